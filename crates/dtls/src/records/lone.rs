//! The handshake protocol of DTLS 1.3 after the library has retired (RFC 9147 §5.8.4, §7, §8).
//!
//! 1. Whoever asks for new keys sends a KeyUpdate and repeats it until it is acknowledged; then it seals under the
//!    keys of the next epoch ([`Records13::start_update`], [`Records13::on_time`]).
//! 2. Who receives one opens under the next epoch's keys from then on, acknowledges, and sends a KeyUpdate too
//!    when it was asked to ([`Records13::on_control`]).
//! 3. A server that sees a client's last flight again, since the acknowledgment of it was lost, acknowledges again.

use std::time::Duration;

use esp_wire::Instant;

use super::cipher13::{HEAD, Inner, Keys};
use super::v13::Records13;
use super::{ACK, ALERT, CLOSE_NOTIFY, Control, HANDSHAKE};
use crate::Error;
use crate::secrets::{self, Keys13};

/// RFC 8446 §4.
const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;
/// Type, length, number, offset and length of the fragment (RFC 9147 §5.2).
const MESSAGE_HEADER: usize = 12;
const HANDSHAKE_EPOCH: u16 = 2;
/// Records of a client's last flight that are answered: a replay costs its sender nothing.
const LATE_ANSWERS: u8 = 64;
/// The longest time between two repetitions (RFC 9147 §5.8.2).
const MAX_WAIT: Duration = Duration::from_secs(60);

/// When a message that is not acknowledged is sent again, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    pub(crate) first: Duration,
    pub(crate) retries: usize,
}

/// Watches the handshake for what has to be known after it: the numbers of our messages.
pub(crate) struct Witness {
    send: Keys,
    receive: Keys13,
    next_record: u64,
    next_message: u16,
}

/// What goes on after the handshake.
pub(super) struct Lone {
    next_message: u16,
    timing: Timing,
    /// Opens what a client sends again of its last flight.
    late: Option<Keys13>,
    late_answers: u8,
    pending: Option<Pending>,
}

/// A KeyUpdate that is not acknowledged yet.
struct Pending {
    message: [u8; MESSAGE_HEADER + 1],
    /// The numbers of its records in the present epoch.
    sent: Vec<u64>,
    due: Instant,
    wait: Duration,
    left: usize,
}

impl Witness {
    /// `None` when the suite is none that is known here. The keys are those of the handshake, client first.
    pub(crate) fn new(keys: [Keys13; 2], is_client: bool) -> Option<Self> {
        let [client, server] = keys;
        let (send, receive) = if is_client {
            (client, server)
        } else {
            (server, client)
        };
        Some(Witness {
            send: Keys::new(&send).ok()?,
            receive,
            next_record: 0,
            next_message: 0,
        })
    }

    /// Looks at a datagram of the library.
    pub(crate) fn note(&mut self, mut datagram: &[u8]) {
        while !datagram.is_empty() {
            let (len, _) = super::first_record(datagram, false);
            let (record, rest) = datagram.split_at(len);
            datagram = rest;
            if record[0] & 0xe3 != 0x20 | HANDSHAKE_EPOCH as u8 {
                continue;
            }
            let mut record = record.to_vec();
            let Ok(inner) = self.send.open(&mut record, self.next_record, |_| true) else {
                continue;
            };
            self.next_record = self.next_record.max(inner.number + 1);
            if inner.content_type == HANDSHAKE {
                for message in messages(&record[inner.content]).flatten() {
                    self.next_message = self.next_message.max(message.number.saturating_add(1));
                }
            }
        }
    }
}

/// A whole message of the handshake, or a fragment of one.
struct Message<'a> {
    kind: u8,
    number: u16,
    is_whole: bool,
    body: &'a [u8],
}

/// The messages in a record; `None` ends it when the rest is malformed.
fn messages(mut content: &[u8]) -> impl Iterator<Item = Option<Message<'_>>> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let parsed = first_message(content);
        content = parsed.as_ref().map_or(&[][..], |(_, rest)| rest);
        Some(parsed.map(|(message, _)| message))
    })
}

fn first_message(content: &[u8]) -> Option<(Message<'_>, &[u8])> {
    let (header, rest) = content.split_first_chunk::<MESSAGE_HEADER>()?;
    let fragment_len = [0, header[9], header[10], header[11]];
    let (body, rest) = rest.split_at_checked(u32::from_be_bytes(fragment_len) as usize)?;
    let message = Message {
        kind: header[0],
        number: u16::from_be_bytes([header[4], header[5]]),
        is_whole: header[1..4] == header[9..12] && header[6..9] == [0; 3],
        body,
    };
    Some((message, rest))
}

/// The number of the last KeyUpdate in a record.
pub(super) fn key_update_in(content: &[u8]) -> Option<u16> {
    let updates = messages(content).flatten();
    let updates = updates.filter(|message| message.kind == KEY_UPDATE);
    updates.last().map(|message| message.number)
}

impl Records13 {
    /// `false` as long as the library has something under way.
    pub(super) fn stand_alone(
        &mut self,
        witness: &mut Option<Box<Witness>>,
        timing: Timing,
    ) -> bool {
        if self.updating {
            return false;
        }
        let Some(witness) = witness.take_if(|it| it.next_message > 0) else {
            return false;
        };
        let after_handshake = self.last_message.map_or(0, |it| it.saturating_add(1));
        self.lone = Some(Box::new(Lone {
            next_message: witness.next_message.max(after_handshake),
            timing,
            late: (!self.is_client).then_some(witness.receive),
            late_answers: LATE_ANSWERS,
            pending: None,
        }));
        self.forget_library();
        true
    }

    /// A record of an epoch without keys: a client may repeat its last flight.
    pub(super) fn open_late(&mut self, record: &mut [u8]) -> Option<Control> {
        let lone = self.lone.as_mut()?;
        let is_late = record.first()? & 3 == HANDSHAKE_EPOCH as u8;
        if !is_late || lone.late_answers == 0 {
            return None;
        }
        let keys = Keys::new(lone.late.as_ref()?).ok()?;
        let Inner {
            number,
            content_type,
            content,
        } = keys.open(record, 0, |_| true).ok()?;
        if content_type != HANDSHAKE {
            return None;
        }
        lone.late_answers -= 1;
        Some(Control {
            content_type,
            content,
            epoch: HANDSHAKE_EPOCH,
            number,
        })
    }

    /// Draws the conclusions from a record that is no alert; the answer is put behind `out`.
    pub(super) fn on_control(
        &mut self,
        now: Instant,
        control: &Control,
        record: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let content = record.get(control.content.clone()).unwrap_or_default();
        match control.content_type {
            ACK => self.on_ack(content),
            HANDSHAKE if control.epoch == HANDSHAKE_EPOCH => {
                self.acknowledge(control, out);
                Ok(())
            }
            HANDSHAKE => self.on_messages(now, control, content, out),
            _ => Ok(()),
        }
    }

    fn on_messages(
        &mut self,
        now: Instant,
        control: &Control,
        content: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let mut understood = true;
        let mut answer = false;
        for message in messages(content) {
            match message {
                Some(Message {
                    kind: KEY_UPDATE,
                    number,
                    is_whole: true,
                    body: &[request @ 0..=1],
                }) => {
                    let last = self.peer_update;
                    // A copy is acknowledged and changes nothing.
                    if last.is_none_or(|last| number > last) {
                        self.peer_update = Some(number);
                        self.advance_receiving()?;
                        answer |= request == 1;
                    }
                }
                // Nothing is resumed: tickets are of no use.
                Some(message) if message.kind == NEW_SESSION_TICKET && self.is_client => {}
                _ => understood = false,
            }
        }
        if understood {
            self.acknowledge(control, out);
        }
        if answer && !self.updating {
            self.start_update(now, false, out);
        }
        Ok(())
    }

    /// RFC 9147 §7.
    fn acknowledge(&mut self, control: &Control, out: &mut Vec<u8>) {
        let mut ack = [0; 18];
        ack[1] = 16;
        ack[2..10].copy_from_slice(&u64::from(control.epoch).to_be_bytes());
        ack[10..].copy_from_slice(&control.number.to_be_bytes());
        // When the keys are used up, nothing is sent any more.
        let _ = self.seal_content(ACK, &ack, out);
    }

    fn on_ack(&mut self, content: &[u8]) -> Result<(), Error> {
        let Some((len, pairs)) = content.split_first_chunk::<2>() else {
            return Ok(());
        };
        if usize::from(u16::from_be_bytes(*len)) != pairs.len() {
            return Ok(());
        }
        let epoch = u64::from(self.send_epoch());
        let Some(pending) = self.lone.as_ref().and_then(|lone| lone.pending.as_ref()) else {
            return Ok(());
        };
        let (pairs, _) = pairs.as_chunks::<16>();
        let is_ours = pairs.iter().any(|pair| {
            let (of_epoch, number) = pair.split_at(8);
            of_epoch == epoch.to_be_bytes()
                && pending.sent.iter().any(|it| number == it.to_be_bytes())
        });
        if is_ours {
            if let Some(lone) = &mut self.lone {
                lone.pending = None;
            }
            self.advance_sending()?;
        }
        Ok(())
    }

    /// Tells the peer that this side takes new keys, and asks for the same when `request` says so.
    pub(super) fn start_update(&mut self, now: Instant, request: bool, out: &mut Vec<u8>) {
        let Some(lone) = &mut self.lone else {
            return;
        };
        let mut message = [0; MESSAGE_HEADER + 1];
        message[0] = KEY_UPDATE;
        message[3] = 1;
        message[4..6].copy_from_slice(&lone.next_message.to_be_bytes());
        message[11] = 1;
        message[12] = u8::from(request);
        lone.next_message = lone.next_message.wrapping_add(1);
        lone.pending = Some(Pending {
            message,
            sent: Vec::new(),
            due: now + lone.timing.first,
            wait: lone.timing.first,
            left: lone.timing.retries,
        });
        self.updating = true;
        self.send_update(message, out);
    }

    fn send_update(&mut self, message: [u8; MESSAGE_HEADER + 1], out: &mut Vec<u8>) {
        let number = self.seal_content(HANDSHAKE, &message, out);
        if let Some(pending) = self.lone.as_mut().and_then(|lone| lone.pending.as_mut()) {
            pending.sent.extend(number);
        }
    }

    /// When a KeyUpdate is to be sent again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let lone = self.lone.as_ref()?;
        lone.pending.as_ref().map(|pending| pending.due)
    }

    /// Sends a KeyUpdate again whose time has come.
    pub(super) fn on_time(&mut self, now: Instant, out: &mut Vec<u8>) -> Result<(), Error> {
        let pending = self.lone.as_mut().and_then(|lone| lone.pending.as_mut());
        let Some(pending) = pending.filter(|pending| pending.due <= now) else {
            return Ok(());
        };
        pending.left = pending.left.checked_sub(1).ok_or(Error::Timeout)?;
        pending.wait = (pending.wait * 2).min(MAX_WAIT);
        pending.due = now + pending.wait;
        let message = pending.message;
        self.send_update(message, out);
        Ok(())
    }

    /// A close_notify; nothing is sent again after it.
    pub(super) fn goodbye(&mut self, out: &mut Vec<u8>) {
        if let Some(lone) = &mut self.lone {
            lone.pending = None;
        }
        let _ = self.seal_content(ALERT, &CLOSE_NOTIFY, out);
    }

    fn seal_content(&mut self, content_type: u8, content: &[u8], out: &mut Vec<u8>) -> Option<u64> {
        let start = out.len();
        out.resize(start + HEAD, 0);
        out.extend_from_slice(content);
        out.push(content_type);
        out.resize(out.len() + esp_crypto::TAG_LEN, 0);
        let number = self.seal_next(&mut out[start..]);
        if number.is_none() {
            out.truncate(start);
        }
        number
    }

    fn advance_receiving(&mut self) -> Result<(), Error> {
        let next = secrets::next_keys(self.receive_secret(), self.key_len());
        self.push_receiving(&next?)
    }

    fn advance_sending(&mut self) -> Result<(), Error> {
        let next = secrets::next_keys(self.send_secret(), self.key_len());
        self.push_sending(&next?)?;
        self.forget_library();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
