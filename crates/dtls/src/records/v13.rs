//! Records of DTLS 1.3 under AES-GCM (RFC 9147 §4): epochs and their keys, ours and the library's numbers.

use esp_crypto::TAG_LEN;
use zeroize::Zeroizing;

use super::cipher13::{HEAD, Keys, Refusal};
use super::lone::{Lone, key_update_in};
use super::numbers::{Numbers, translate};
use super::split::PLAIN_HEADER;
use super::window::Window;
use super::{
    ACK, ALERT, APPLICATION_DATA, Control, HANDSHAKE, MAX_NUMBER, Opened, Unsupported, exhausted,
};
use crate::Error;
use crate::secrets::{Keys13, Secrets};

const FIRST_EPOCH: u16 = 3;
const HANDSHAKE_EPOCH: u16 = 2;
/// Epochs of the peer that can be told apart. Two would do (RFC 9147 §8), but peers are known that send a second key
/// update before the first is confirmed, and whose sending keys lag behind from then on.
const MAX_RECEIVE_EPOCHS: usize = 4;
/// Records that a key seals at most; RFC 9147 §4.5.3 says 2^24.5.
const MAX_SEALED: u64 = 23_726_566;

pub(crate) struct Records13 {
    pub(super) is_client: bool,
    send: Sending,
    previous_send: Option<Box<Sending>>,
    /// The epochs that the peer may seal under, the newest last.
    receive: Vec<Receiving>,
    /// Handshake messages that were sent, and that were received.
    sent: Numbers,
    received: Numbers,
    /// Records under one key before it is replaced.
    update_after: u64,
    pub(super) updating: bool,
    /// The number of the library's last message under these keys.
    pub(super) last_message: Option<u16>,
    /// The numbers of the peer's last KeyUpdate, as it came and as it took effect.
    update_seen: Option<u16>,
    pub(super) peer_update: Option<u16>,
    /// Once the library has retired.
    pub(super) lone: Option<Box<Lone>>,
    forged: u64,
}

struct Sending {
    epoch: u16,
    keys: Keys,
    secret: Zeroizing<Vec<u8>>,
    next: u64,
    /// What the library takes for the next number.
    library_next: u64,
}

struct Receiving {
    epoch: u16,
    keys: Keys,
    secret: Zeroizing<Vec<u8>>,
    window: Window,
    library_next: u64,
}

impl Records13 {
    pub(super) fn new(
        keys: [Keys13; 2],
        is_client: bool,
        update_after: u64,
    ) -> Result<Self, Unsupported> {
        let [client, server] = keys;
        let (send, receive) = if is_client {
            (client, server)
        } else {
            (server, client)
        };
        Ok(Records13 {
            is_client,
            send: Sending::new(FIRST_EPOCH, &send)?,
            previous_send: None,
            receive: vec![Receiving::new(FIRST_EPOCH, &receive)?],
            sent: Numbers::default(),
            received: Numbers::default(),
            update_after,
            updating: false,
            last_message: None,
            update_seen: None,
            peer_update: None,
            lone: None,
            forged: 0,
        })
    }

    pub(super) fn update(&mut self, secrets: &mut Secrets) -> Result<(), Error> {
        if let Some(keys) = secrets.take_13(self.is_client) {
            self.push_sending(&keys)?;
        }
        if let Some(keys) = secrets.take_13(!self.is_client) {
            self.peer_update = self.update_seen;
            self.push_receiving(&keys)?;
        }
        Ok(())
    }

    pub(super) fn push_sending(&mut self, keys: &Keys13) -> Result<(), Error> {
        let epoch = self.send.epoch.checked_add(1).ok_or_else(exhausted)?;
        let next = Sending::new(epoch, keys).map_err(changed)?;
        self.previous_send = Some(Box::new(std::mem::replace(&mut self.send, next)));
        self.updating = false;
        Ok(())
    }

    pub(super) fn push_receiving(&mut self, keys: &Keys13) -> Result<(), Error> {
        let newest = self.receive.last().map_or(FIRST_EPOCH, |it| it.epoch);
        let epoch = newest.checked_add(1).ok_or_else(exhausted)?;
        if self.receive.len() >= MAX_RECEIVE_EPOCHS {
            self.receive.remove(0);
        }
        self.receive
            .push(Receiving::new(epoch, keys).map_err(changed)?);
        Ok(())
    }

    /// Gives back what only the library's records need.
    pub(super) fn forget_library(&mut self) {
        self.previous_send = None;
        self.sent = Numbers::default();
        self.received = Numbers::default();
    }

    pub(super) fn send_epoch(&self) -> u16 {
        self.send.epoch
    }

    pub(super) fn send_secret(&self) -> &[u8] {
        &self.send.secret
    }

    pub(super) fn receive_secret(&self) -> &[u8] {
        self.receive.last().map_or(&[], |it| &it.secret)
    }

    /// Bytes of a key under the hash of the suite; those of another suite were refused.
    pub(super) fn key_len(&self) -> usize {
        if self.send.secret.len() == 48 { 32 } else { 16 }
    }

    /// Seals content and content type between room for header and tag; the number of the record.
    pub(super) fn seal_next(&mut self, record: &mut [u8]) -> Option<u64> {
        let number = self.send.next;
        self.send.seal(record).map(|()| number)
    }

    pub(super) fn forged(&self) -> u64 {
        self.forged
    }

    pub(super) fn is_late(&self) -> bool {
        self.receive
            .iter()
            .any(|receiving| receiving.epoch & 3 == HANDSHAKE_EPOCH)
    }

    pub(super) fn wants_update(&mut self) -> bool {
        if self.updating || self.send.next < self.update_after {
            return false;
        }
        self.updating = true;
        true
    }

    pub(super) fn seal(&mut self, record: &mut [u8]) -> Result<(), Error> {
        let at = record.len().checked_sub(TAG_LEN + 1);
        let slot = at
            .filter(|at| *at >= HEAD)
            .and_then(|at| record.get_mut(at));
        *slot.ok_or(Error::Misuse("the segment is shorter than a record"))? = APPLICATION_DATA;
        self.send.seal(record).map(|_| ()).ok_or_else(exhausted)
    }

    pub(super) fn open(&mut self, record: &mut [u8]) -> Opened {
        let Some(flags) = record.first().filter(|flags| **flags & 0xf0 == 0x20) else {
            return Opened::Refused;
        };
        let bits = u16::from(flags & 3);
        let mut receiving = self.receive.iter_mut();
        let Some(receiving) = receiving.rfind(|it| it.epoch & 3 == bits) else {
            return match self.open_late(record) {
                Some(control) => Opened::Control(control),
                None => Opened::Refused,
            };
        };
        let (next, window) = (receiving.window.next(), &receiving.window);
        let inner = match receiving.keys.open(record, next, |it| window.is_fresh(it)) {
            Ok(inner) => inner,
            Err(Refusal::Forged) => {
                self.forged += 1;
                return Opened::Refused;
            }
            Err(Refusal::Unfit) => return Opened::Refused,
        };
        receiving.window.note(inner.number);
        match inner.content_type {
            APPLICATION_DATA => Opened::Data(inner.content),
            ALERT | HANDSHAKE | ACK => Opened::Control(Control {
                content_type: inner.content_type,
                content: inner.content,
                epoch: receiving.epoch,
                number: inner.number,
            }),
            _ => Opened::Refused,
        }
    }

    pub(super) fn for_library(&mut self, control: &Control, record: &mut [u8], out: &mut Vec<u8>) {
        let mut receiving = self.receive.iter_mut();
        let Some(receiving) = receiving.rfind(|it| it.epoch == control.epoch) else {
            return;
        };
        let content = &mut record[control.content.clone()];
        match control.content_type {
            ACK => translate(content, |epoch, wire| self.sent.in_library(epoch, wire)),
            HANDSHAKE => {
                if let Some(update) = key_update_in(content) {
                    self.update_seen = Some(update);
                }
                let library = receiving.library_next;
                self.received
                    .remember(control.epoch, control.number, library);
            }
            _ => {}
        }
        out.resize(HEAD, 0);
        out.extend_from_slice(content);
        out.push(control.content_type);
        out.resize(out.len() + TAG_LEN, 0);
        let number = receiving.library_next;
        receiving.library_next += 1;
        // The peer's nonce is used again here, in memory: this copy never leaves.
        if receiving.keys.seal(control.epoch, number, out).is_none() {
            out.clear();
        }
    }

    pub(super) fn reseal(&mut self, datagram: &mut Vec<u8>) -> Option<()> {
        let mut at = 0;
        while at < datagram.len() {
            let rest = &mut datagram[at..];
            let len = if rest[0] & 0xe0 == 0x20 {
                // The library writes the same header as we do.
                let header = rest.first_chunk::<HEAD>()?;
                HEAD + usize::from(u16::from_be_bytes([header[3], header[4]]))
            } else {
                let header = rest.first_chunk::<PLAIN_HEADER>()?;
                PLAIN_HEADER + usize::from(u16::from_be_bytes([header[11], header[12]]))
            };
            let record = rest.get_mut(..len)?;
            if record[0] & 0xe0 == 0x20 && !self.reseal_record(record)? {
                datagram.drain(at..at + len);
            } else {
                at += len;
            }
        }
        Some(())
    }

    /// `false` when the record is not to be sent.
    fn reseal_record(&mut self, record: &mut [u8]) -> Option<bool> {
        let bits = u16::from(record[0] & 3);
        let previous = self.previous_send.as_mut();
        let sending = if self.send.epoch & 3 == bits {
            &mut self.send
        } else if let Some(previous) = previous.filter(|it| it.epoch & 3 == bits) {
            previous
        } else {
            return (bits == HANDSHAKE_EPOCH).then_some(true);
        };
        let library = sending.library_next;
        let inner = sending.keys.open(record, library, |_| true).ok()?;
        sending.library_next = inner.number + 1;
        let content = &mut record[inner.content];
        match inner.content_type {
            APPLICATION_DATA => return Some(false),
            ACK => translate(content, |epoch, number| {
                self.received.on_wire(epoch, number)
            }),
            HANDSHAKE => {
                self.updating = true;
                if let Some(update) = key_update_in(content) {
                    self.last_message = Some(update);
                }
                self.sent
                    .remember(sending.epoch, sending.next, inner.number);
            }
            _ => {}
        }
        sending.seal(record)?;
        Some(true)
    }
}

impl Sending {
    fn new(epoch: u16, keys: &Keys13) -> Result<Self, Unsupported> {
        Ok(Sending {
            epoch,
            keys: Keys::new(keys)?,
            secret: keys.secret.clone(),
            next: 0,
            library_next: 0,
        })
    }

    fn seal(&mut self, record: &mut [u8]) -> Option<()> {
        let number = self.next;
        if number >= MAX_SEALED.min(MAX_NUMBER) {
            return None;
        }
        self.next += 1;
        self.keys.seal(self.epoch, number, record)
    }
}

impl Receiving {
    fn new(epoch: u16, keys: &Keys13) -> Result<Self, Unsupported> {
        Ok(Receiving {
            epoch,
            keys: Keys::new(keys)?,
            secret: keys.secret.clone(),
            window: Window::new(),
            library_next: 0,
        })
    }
}

fn changed(_: Unsupported) -> Error {
    Error::Library("the keys changed their kind".into())
}

#[cfg(test)]
impl Records13 {
    /// A record as the library makes it.
    pub(in crate::records) fn seal_for_test(
        &self,
        content_type: u8,
        content: &[u8],
        number: u64,
    ) -> Vec<u8> {
        let mut record = vec![0; HEAD];
        record.extend_from_slice(content);
        record.push(content_type);
        record.resize(record.len() + TAG_LEN, 0);
        self.send.keys.seal(3, number, &mut record).unwrap();
        record
    }
}
