//! What is kept from OpenSSL: it ends an association for a record under keys that is shorter than a nonce and a tag,
//! which anyone can send (RFC 6347 §4.1.2.7: invalid records are to be discarded silently).

use openssl::ssl::SslRef;

/// Bytes of a record's header (RFC 6347 §4.1).
const HEADER: usize = 13;
/// What AES-GCM adds to the content of a record: explicit nonce and tag (RFC 5288 §3).
const GCM: usize = 8 + 16;
/// What ChaCha20-Poly1305 adds (RFC 7905 §2).
const CHACHA: usize = 16;

/// The fewest bytes of a record under keys; before the suite is known, no record is as short as an alert.
pub(crate) fn least(session: &SslRef) -> usize {
    let suite = session.current_cipher().map(|suite| suite.name());
    match suite.is_some_and(|name| name.contains("CHACHA20")) {
        true => CHACHA,
        false => GCM,
    }
}

/// Takes the records out of a datagram that are shorter than `least` under keys; what is left of it, at its front.
pub(crate) fn sift(datagram: &mut [u8], least: usize) -> usize {
    let (mut at, mut kept) = (0, 0);
    while let Some(header) = datagram.get(at..at + HEADER) {
        let under_keys = header[3..5] != [0, 0];
        let body = usize::from(u16::from_be_bytes([header[11], header[12]]));
        let end = (at + HEADER + body).min(datagram.len());
        if !under_keys || end - at >= HEADER + least {
            datagram.copy_within(at..end, kept);
            kept += end - at;
        }
        at = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u8, body: usize) -> Vec<u8> {
        let mut record = vec![23, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 7, 0, body as u8];
        record.resize(HEADER + body, epoch);
        record
    }

    #[test]
    fn short_records_under_keys_go_and_the_others_stay() {
        let parts = [(0, 2), (1, 23), (1, 24), (2, 0), (0, 0), (1, 200)];
        let mut datagram: Vec<u8> = (parts.iter())
            .flat_map(|(epoch, body)| record(*epoch, *body))
            .collect();
        let kept = sift(&mut datagram, GCM);
        let stay = [(0, 2), (1, 24), (0, 0), (1, 200)];
        let wanted: Vec<u8> = (stay.iter())
            .flat_map(|(epoch, body)| record(*epoch, *body))
            .collect();
        assert_eq!(datagram[..kept], wanted);
    }

    #[test]
    fn a_record_that_was_cut_counts_by_what_is_there() {
        for there in 0..=200 {
            let mut datagram = record(1, 200);
            datagram.truncate(HEADER + there);
            let wanted = if there < GCM { 0 } else { HEADER + there };
            assert_eq!(sift(&mut datagram, GCM), wanted);
        }
        assert_eq!(sift(&mut [22; HEADER - 1], GCM), 0);
        assert_eq!(sift(&mut [], GCM), 0);
    }
}
