//! The one place of a device's listener: who has it, and what it has not heard yet.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Full, Heard};
use crate::rate::AddressKey;
use crate::routes::type_of;

/// What may be posted, besides heartbeats.
const TYPES: [&str; 5] = ["offer", "answer", "candidate", "customized", "bye"];
const BYE: &str = r#"{"type":"bye"}"#;

/// What became of a request to listen.
pub(crate) enum Admission {
    /// The stream may begin; whether it goes on where another was cut.
    Welcome(Ticket, bool),
    /// Somebody else listens.
    Taken,
}

/// A stream's right to the place.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The name of the listener.
    pub(crate) name: String,
    serial: u64,
    /// The number of the event that comes next.
    pub(crate) next: u64,
}

/// What a stream is to send.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// This event, of this number.
    Event(u64, Arc<str>),
    /// Nothing yet.
    Wait,
    /// The place belongs to another stream, or to nobody.
    End,
}

/// Why a posted message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not a JSON object of a known type.
    Malformed,
    /// Nobody listens.
    Nobody,
    /// Whoever posts is not the listener.
    Stranger,
    /// The device does not keep up.
    Full,
}

struct Listener {
    name: String,
    address: AddressKey,
    /// Of its stream.
    serial: u64,
    open: bool,
    /// It has answered a heartbeat, so it will answer the next.
    answers: bool,
    /// When its stream was cut, or when it was heard.
    heard: Instant,
}

pub(super) struct Place {
    most_messages: usize,
    most_bytes: usize,
    listener: Option<Listener>,
    serials: u64,
    /// What was said: sent and kept for a stream that is cut, or not sent yet.
    log: VecDeque<Arc<str>>,
    bytes: usize,
    /// The number of the first in `log`.
    first: u64,
    /// The number of the first that no stream has taken.
    unsent: u64,
}

impl Place {
    pub(super) fn new(most_messages: usize, most_bytes: usize) -> Self {
        Place {
            most_messages,
            most_bytes,
            listener: None,
            serials: 0,
            log: VecDeque::new(),
            bytes: 0,
            first: 1,
            unsent: 1,
        }
    }

    pub(super) fn is_taken(&self) -> bool {
        self.listener.is_some()
    }

    pub(super) fn say(&mut self, text: &str) -> Result<(), Full> {
        while self.log.len() >= self.most_messages || self.bytes + text.len() > self.most_bytes {
            if self.first == self.unsent {
                return Err(Full);
            }
            self.forget_first();
        }
        self.push(text);
        Ok(())
    }

    /// A bye finds room in any case.
    pub(super) fn say_bye(&mut self) {
        match self.listener {
            Some(_) => self.push(BYE),
            None => self.forget_all(),
        }
    }

    fn push(&mut self, text: &str) {
        self.bytes += text.len();
        self.log.push_back(text.into());
    }

    fn forget_first(&mut self) {
        if let Some(text) = self.log.pop_front() {
            self.bytes -= text.len();
            self.first += 1;
        }
    }

    /// What was said belongs to a listener that is not there any more.
    fn forget_all(&mut self) {
        self.first += self.log.len() as u64;
        self.unsent = self.first;
        self.log.clear();
        self.bytes = 0;
    }

    pub(super) fn admit(
        &mut self,
        now: Instant,
        address: IpAddr,
        last: Option<&str>,
        name: &str,
    ) -> Admission {
        let last = last.and_then(|last| last.rsplit_once('.'));
        self.serials += 1;
        let serial = self.serials;
        let Some(listener) = &mut self.listener else {
            self.listener = Some(Listener {
                name: name.to_owned(),
                address: address.into(),
                serial,
                open: true,
                answers: false,
                heard: now,
            });
            let next = self.first;
            let name = name.to_owned();
            return Admission::Welcome(Ticket { name, serial, next }, false);
        };
        let Some((_, number)) = last.filter(|(name, _)| *name == listener.name) else {
            return Admission::Taken;
        };
        listener.serial = serial;
        listener.open = true;
        listener.heard = now;
        listener.address = address.into();
        let name = listener.name.clone();
        let heard = number.parse().unwrap_or(0_u64);
        let next = heard.saturating_add(1).clamp(self.first, self.unsent);
        Admission::Welcome(Ticket { name, serial, next }, true)
    }

    fn holds(&self, ticket: &Ticket) -> bool {
        let serial = self.listener.as_ref().map(|listener| listener.serial);
        serial == Some(ticket.serial)
    }

    pub(super) fn next(&mut self, ticket: &mut Ticket) -> Next {
        if !self.holds(ticket) {
            return Next::End;
        }
        let number = ticket.next;
        let at = number.checked_sub(self.first);
        let Some(at) = at.and_then(|at| usize::try_from(at).ok()) else {
            // Forgotten before it was taken: only what is sent is forgotten.
            return Next::End;
        };
        let Some(text) = self.log.get(at) else {
            return Next::Wait;
        };
        ticket.next += 1;
        self.unsent = self.unsent.max(ticket.next);
        Next::Event(number, Arc::clone(text))
    }

    pub(super) fn ended(&mut self, now: Instant, ticket: &Ticket) {
        if self.holds(ticket)
            && let Some(listener) = &mut self.listener
        {
            listener.open = false;
            listener.heard = now;
        }
    }

    pub(super) fn post(
        &mut self,
        now: Instant,
        address: IpAddr,
        name: Option<&str>,
        text: String,
        hears: &dyn Fn(Heard) -> Result<(), Full>,
    ) -> Result<(), Fault> {
        let kind = type_of(&text).ok_or(Fault::Malformed)?;
        let beats = kind == "heartbeat";
        if !beats && !TYPES.contains(&kind.as_str()) {
            return Err(Fault::Malformed);
        }
        let listener = self.listener.as_mut().ok_or(Fault::Nobody)?;
        let known = match name {
            Some(name) => listener.name == name,
            None => listener.address == address.into(),
        };
        if !known {
            return Err(Fault::Stranger);
        }
        if listener.open {
            listener.heard = now;
        }
        listener.answers |= beats;
        if !beats {
            hears(Heard::Message(text)).map_err(|Full| Fault::Full)?;
        }
        if kind == "bye" {
            self.listener = None;
            self.forget_all();
        }
        Ok(())
    }

    /// Gives up a listener after the first time without a stream, after the second without an answer.
    pub(super) fn expire(
        &mut self,
        now: Instant,
        (cut, unanswered): (Duration, Duration),
        hears: &dyn Fn(Heard) -> Result<(), Full>,
    ) -> bool {
        let silent = self.listener.as_ref().is_some_and(|listener| {
            let patience = if listener.open { unanswered } else { cut };
            let judged = !listener.open || listener.answers;
            judged && now.saturating_duration_since(listener.heard) >= patience
        });
        // One that cannot be told is told at the next look.
        if !silent || hears(Heard::Lost).is_err() {
            return false;
        }
        self.listener = None;
        self.forget_all();
        true
    }
}

#[cfg(test)]
mod tests;
