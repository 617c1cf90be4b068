//! Records of DTLS 1.2 under AES-GCM (RFC 6347 §4.1, RFC 5288 §3).

use esp_crypto::{AesGcm, NONCE_LEN, TAG_LEN};
use zeroize::Zeroizing;

use super::split::PLAIN_HEADER;
use super::window::Window;
use super::{
    ALERT, APPLICATION_DATA, CLOSE_NOTIFY, Control, MAX_NUMBER, MAX_PLAIN, Opened, Unsupported,
    exhausted,
};
use crate::Error;
use crate::secrets::Keys12;

/// Header and explicit nonce.
const HEAD: usize = PLAIN_HEADER + 8;
const VERSION: [u8; 2] = [0xfe, 0xfd];
/// There is no other epoch with keys, as nothing is negotiated again.
const EPOCH: u64 = 1 << 48;

pub(crate) struct Records12 {
    send: Keys,
    receive: Keys,
    /// The number of the next record that is sent.
    next: u64,
    window: Window,
    /// Application data of the peer was seen.
    confirmed: bool,
    /// Alerts are opened here too.
    alone: bool,
    forged: u64,
}

struct Keys {
    gcm: AesGcm,
    salt: Zeroizing<[u8; 4]>,
}

impl Records12 {
    pub(super) fn new(keys: [Keys12; 2], is_client: bool) -> Result<Self, Unsupported> {
        let [client, server] = keys;
        let (client, server) = (Keys::new(client)?, Keys::new(server)?);
        let (send, receive) = if is_client {
            (client, server)
        } else {
            (server, client)
        };
        Ok(Records12 {
            send,
            receive,
            next: 0,
            window: Window::new(),
            confirmed: false,
            alone: false,
            forged: 0,
        })
    }

    pub(super) fn is_confirmed(&self) -> bool {
        self.confirmed
    }

    pub(super) fn stand_alone(&mut self, is_client: bool) -> bool {
        self.alone |= is_client || self.confirmed;
        self.alone
    }

    pub(super) fn goodbye(&mut self) -> Option<Vec<u8>> {
        self.seal_alert(CLOSE_NOTIFY)
    }

    fn seal_alert(&mut self, alert: [u8; 2]) -> Option<Vec<u8>> {
        let mut record = vec![0; HEAD];
        record.extend(alert);
        record.resize(record.len() + TAG_LEN, 0);
        self.seal_as(ALERT, &mut record)?;
        Some(record)
    }

    pub(super) fn forged(&self) -> u64 {
        self.forged
    }

    pub(super) fn seal(&mut self, record: &mut [u8]) -> Result<(), Error> {
        self.seal_as(APPLICATION_DATA, record).ok_or_else(exhausted)
    }

    fn seal_as(&mut self, content_type: u8, record: &mut [u8]) -> Option<()> {
        let number = self.next;
        if number > MAX_NUMBER {
            return None;
        }
        self.next += 1;
        self.send.seal(content_type, EPOCH | number, record)
    }

    pub(super) fn open(&mut self, record: &mut [u8]) -> Opened {
        let Some(number) = number_of(record) else {
            return Opened::Refused;
        };
        let content_type = record[0];
        let known = content_type == APPLICATION_DATA || (self.alone && content_type == ALERT);
        if !known || !self.window.is_fresh(number) {
            return Opened::Refused;
        }
        if self.receive.open(record).is_none() {
            self.forged += 1;
            return Opened::Refused;
        }
        self.window.note(number);
        let content = HEAD..record.len() - TAG_LEN;
        if content_type == ALERT {
            return Opened::Control(Control {
                content_type,
                content,
                epoch: 1,
                number,
            });
        }
        self.confirmed = true;
        Opened::Data(content)
    }

    pub(super) fn reseal(&mut self, datagram: &mut [u8]) -> Option<()> {
        let mut rest = datagram;
        while !rest.is_empty() {
            let header = rest.first_chunk::<PLAIN_HEADER>()?;
            let len = PLAIN_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]));
            let (content_type, plain) = (header[0], header[3..5] == [0, 0]);
            let (record, behind) = rest.split_at_mut_checked(len)?;
            if !plain {
                // The library's own nonces are random; ours never meet them, as its records stay here.
                self.send.open(record)?;
                self.seal_as(content_type, record)?;
            }
            rest = behind;
        }
        Some(())
    }
}

/// The number of a record of the epoch with keys that is long enough to be one.
fn number_of(record: &[u8]) -> Option<u64> {
    let header = record.first_chunk::<HEAD>()?;
    let number = u64::from_be_bytes(*header[3..].first_chunk()?);
    let len = usize::from(u16::from_be_bytes([header[11], header[12]]));
    let right = header[1..3] == VERSION
        && number >> 48 == 1
        && PLAIN_HEADER + len == record.len()
        && (HEAD + TAG_LEN..=HEAD + TAG_LEN + MAX_PLAIN).contains(&record.len());
    right.then_some(number & MAX_NUMBER)
}

impl Keys {
    fn new(keys: Keys12) -> Result<Self, Unsupported> {
        Ok(Keys {
            gcm: AesGcm::new(&keys.key).map_err(|_| Unsupported)?,
            salt: keys.salt,
        })
    }

    fn nonce(&self, explicit: &[u8; 8]) -> [u8; NONCE_LEN] {
        let mut nonce = [0; NONCE_LEN];
        nonce[..4].copy_from_slice(&self.salt[..]);
        nonce[4..].copy_from_slice(explicit);
        nonce
    }

    /// RFC 6347 §4.1.2.1: epoch and number, type, version, length of the plain text.
    fn additional(content_type: u8, number: &[u8; 8], len: usize) -> Option<[u8; 13]> {
        let mut data = [0; 13];
        data[..8].copy_from_slice(number);
        data[8] = content_type;
        data[9..11].copy_from_slice(&VERSION);
        data[11..].copy_from_slice(&u16::try_from(len).ok()?.to_be_bytes());
        Some(data)
    }

    /// RFC 5288 §3: the number serves as the explicit nonce, so that none comes twice.
    fn seal(&self, content_type: u8, number: u64, record: &mut [u8]) -> Option<()> {
        let len = record.len().checked_sub(HEAD + TAG_LEN)?;
        let number = number.to_be_bytes();
        let additional = Self::additional(content_type, &number, len)?;
        let (head, body) = record.split_at_mut_checked(HEAD)?;
        head[0] = content_type;
        head[1..3].copy_from_slice(&VERSION);
        head[3..11].copy_from_slice(&number);
        head[11..13].copy_from_slice(&u16::try_from(8 + len + TAG_LEN).ok()?.to_be_bytes());
        head[13..].copy_from_slice(&number);
        let nonce = self.nonce(&number);
        self.gcm.seal_suffix(&nonce, &additional, body).ok()
    }

    fn open(&self, record: &mut [u8]) -> Option<()> {
        let len = record.len().checked_sub(HEAD + TAG_LEN)?;
        let (head, body) = record.split_at_mut_checked(HEAD)?;
        let number = head[3..].first_chunk::<8>()?;
        let additional = Self::additional(head[0], number, len)?;
        let nonce = self.nonce(head[13..].first_chunk()?);
        self.gcm
            .open_suffix(&nonce, &additional, body)
            .ok()
            .map(|_| ())
    }
}

#[cfg(test)]
impl Records12 {
    pub(in crate::records) fn seal_alert_for_test(&mut self, alert: [u8; 2]) -> Vec<u8> {
        self.seal_alert(alert).unwrap()
    }
}
