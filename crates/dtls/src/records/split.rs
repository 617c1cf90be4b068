//! Whose a record is: application records are ours, those of the handshake the library's.

/// Bytes of the header of a record of DTLS 1.2, and of a plaintext record of 1.3.
pub(crate) const PLAIN_HEADER: usize = 13;

/// Who works on a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The handshake of the library.
    Library,
    /// The record layer of application data.
    Own,
}

/// The length of the first record of `datagram`, which is not empty, and whose it is.
///
/// What cannot be told apart is the library's, to the end of the datagram. `late` says that the epochs of key
/// updates have reached the low bits of the handshake's.
pub(crate) fn first_record(datagram: &[u8], late: bool) -> (usize, Owner) {
    let rest = (datagram.len(), Owner::Library);
    match datagram[0] {
        32..=63 => unified(datagram, late).unwrap_or(rest),
        _ => plain(datagram).unwrap_or(rest),
    }
}

/// True for a record of the epoch without keys.
pub(crate) fn is_plain(datagram: &[u8]) -> bool {
    let header = datagram.first_chunk::<PLAIN_HEADER>();
    header.is_some_and(|it| !(32..=63).contains(&it[0]) && it[3..5] == [0, 0])
}

/// RFC 6347 §4.1: application data of the one epoch with keys.
fn plain(datagram: &[u8]) -> Option<(usize, Owner)> {
    let header = datagram.first_chunk::<PLAIN_HEADER>()?;
    let len = PLAIN_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
    let own = header[0] == super::APPLICATION_DATA && header[3..5] == [0, 1];
    let owner = if own { Owner::Own } else { Owner::Library };
    (len <= datagram.len()).then_some((len, owner))
}

/// RFC 9147 §4: everything from epoch 3 on, whose kind only decryption shows.
fn unified(datagram: &[u8], late: bool) -> Option<(usize, Owner)> {
    let flags = datagram[0];
    // No connection identifier was agreed on.
    if flags & 0x10 != 0 {
        return None;
    }
    let at = if flags & 0x08 != 0 { 3 } else { 2 };
    let len = if flags & 0x04 != 0 {
        let len = datagram.get(at..at + 2)?;
        at + 2 + usize::from(u16::from_be_bytes([len[0], len[1]]))
    } else {
        datagram.len()
    };
    let own = flags & 0x03 != 2 || late;
    let owner = if own { Owner::Own } else { Owner::Library };
    (len <= datagram.len()).then_some((len, owner))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_told_apart() {
        let mut record = vec![23, 254, 253, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 9, 9, 22];
        assert_eq!(first_record(&record, false), (15, Owner::Own));
        assert!(!is_plain(&record));
        record[4] = 0;
        assert!(is_plain(&record));
        assert_eq!(first_record(&record, false), (15, Owner::Library));
        record[4] = 1;
        record[0] = 22;
        assert_eq!(first_record(&record, false), (15, Owner::Library));
        record[12] = 90;
        assert_eq!(first_record(&record, false), (16, Owner::Library));
        assert_eq!(
            first_record(&[0x2f, 0, 0, 0, 1, 7, 0x2e], false),
            (6, Owner::Own)
        );
        assert_eq!(
            first_record(&[0x2e, 0, 0, 0, 1, 7, 0x2f], false),
            (6, Owner::Library)
        );
        assert_eq!(
            first_record(&[0x2e, 0, 0, 0, 1, 7, 0x2f], true),
            (6, Owner::Own)
        );
        assert_eq!(first_record(&[0x23, 0, 7, 7], false), (4, Owner::Own));
        assert!(!is_plain(&[0x2f; 20]) && !is_plain(&[22, 0, 0]));
        assert_eq!(first_record(&[0x3f, 0, 0], false), (3, Owner::Library));
        assert_eq!(first_record(&[0x2f, 0, 0], false), (3, Owner::Library));
    }
}
