//! What a client says and hears while its WebSocket lives.
//!
//! 1. It registers; the answer to a ping shows that the server has taken that.
//! 2. What waits is sent: by the initiator over HTTP, by the other side and for a bye over the socket.
//! 3. Pings show whether the server is there; servers are fetched again before their credentials expire.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use esp_wire::{Role, Signal};

use super::message::{self, FromServer};
use super::rest::{self, NotSent, Place};
use super::socket::{Heard, NotOpen, Opening, Socket, wait};
use super::worker::{End, Seat, Worker};
use crate::IceCause;
use crate::json::{self, Incoming};

/// A connection that lasted this long was good: the next failure is a first one.
const GOOD: Duration = Duration::from_secs(5);
/// The pause after the server asked for fewer messages.
const SLOWER: Duration = Duration::from_secs(1);

const STRANDED: &str = "the address by which the room server was reached is gone";
const LOST_US: &str = "the room server does not know us any more";

/// One WebSocket's life.
struct Conversation {
    socket: Socket,
    opened: Instant,
    /// The server has answered since we registered.
    confirmed: bool,
    heard: Instant,
    next_ping: Instant,
    /// Nothing is sent before.
    hold: Option<Instant>,
}

impl Worker {
    /// Opens a WebSocket and talks until it ends, or is to end.
    pub(super) fn converse(&mut self, seat: &mut Seat) -> End {
        let mut talk = match self.open(&seat.place) {
            Ok(talk) => talk,
            Err(End::Stopped) => {
                self.say_goodbye(&seat.place, None);
                return End::Stopped;
            }
            Err(end) => return end,
        };
        let end = match self.talk(seat, &mut talk) {
            Ok(()) => End::Stopped,
            Err(end) => end,
        };
        if talk.opened.elapsed() >= GOOD {
            self.backoff.reset();
        }
        match &end {
            End::Stopped => {
                self.last_words(seat, &mut talk);
                self.say_goodbye(&seat.place, Some(talk.socket));
            }
            End::SaidBye => {
                // Nobody waits for this, and a room that still holds us would be full.
                let timeout = self.config.common.request_timeout;
                rest::leave(&self.http, &seat.place, timeout);
                rest::delete(&self.http, &seat.place, timeout);
                talk.socket.close(&mut self.poll);
            }
            End::Lost(_) | End::Unknown(_) => {}
        }
        end
    }

    fn open(&mut self, place: &Place) -> Result<Conversation, End> {
        let stop = self.stop.clone();
        let opening = Opening {
            url: &place.socket_url,
            origin: place.origin(),
            tls: &self.tls,
            timeout: self.config.common.request_timeout,
            message_size: self.config.message_size,
            stopping: &|| stop.load(Ordering::SeqCst),
        };
        let mut socket = Socket::open(&mut self.poll, &opening).map_err(|why| match why {
            NotOpen::Stopped => End::Stopped,
            NotOpen::Lost(reason) => End::Lost(reason),
            // A server that is there but will not have us may have forgotten the room.
            NotOpen::Refused(reason) => End::Unknown(reason),
        })?;
        let register = message::register(&place.room, &place.client);
        socket.send(register).map_err(End::Lost)?;
        // The answer to this ping shows that the server has taken the registration.
        socket.ping().map_err(End::Lost)?;
        let now = Instant::now();
        Ok(Conversation {
            socket,
            opened: now,
            confirmed: false,
            heard: now,
            next_ping: now + self.config.ping,
            hold: None,
        })
    }

    /// Talks until told to stop.
    fn talk(&mut self, seat: &mut Seat, talk: &mut Conversation) -> Result<(), End> {
        loop {
            while let Some(heard) = talk.socket.read().map_err(End::Lost)? {
                talk.heard = Instant::now();
                self.hear(seat, talk, heard)?;
            }
            talk.socket.flush().map_err(End::Lost)?;
            if self.stopping() {
                return Ok(());
            }
            self.keep_alive(seat, talk)?;
            if talk.confirmed {
                self.send_waiting(&seat.place, talk)?;
            }
            let until = self.wake_at(seat, talk);
            wait(&mut self.poll, until)
                .map_err(|error| End::Lost(format!("the system's poll failed: {error}")))?;
        }
    }

    fn wake_at(&self, seat: &Seat, talk: &Conversation) -> Instant {
        let silence = talk.heard + self.config.silence;
        [seat.refresh, talk.hold]
            .into_iter()
            .flatten()
            .fold(talk.next_ping.min(silence), Instant::min)
    }

    fn keep_alive(&mut self, seat: &mut Seat, talk: &mut Conversation) -> Result<(), End> {
        let now = Instant::now();
        if now.duration_since(talk.heard) >= self.config.silence {
            return Err(End::Lost(format!(
                "nothing was heard of the room server for {} s",
                self.config.silence.as_secs_f32()
            )));
        }
        if now >= talk.next_ping {
            if talk.socket.is_stranded() {
                return Err(End::Lost(STRANDED.into()));
            }
            talk.next_ping = now + self.config.ping;
            talk.socket.ping().map_err(End::Lost)?;
        }
        if seat.refresh.is_some_and(|at| now >= at) {
            seat.refresh = self.fetch_servers(&mut seat.place);
            self.tell_ice_info(&seat.place, IceCause::Refreshed);
        }
        Ok(())
    }

    fn hear(&mut self, seat: &mut Seat, talk: &mut Conversation, heard: Heard) -> Result<(), End> {
        let message = match heard {
            Heard::Life => FromServer::Other,
            Heard::Text(text) => message::read_from_server(&text),
        };
        if let FromServer::Error(error) = message {
            tracing::warn!(%error, "the room server complains");
            return if talk.confirmed {
                Ok(())
            } else {
                Err(End::Unknown(format!("the room server says: {error}")))
            };
        }
        if !talk.confirmed {
            talk.confirmed = true;
            self.confirmed(seat);
        }
        if let FromServer::Incoming(incoming) = message {
            self.take(&mut seat.place, incoming);
        }
        Ok(())
    }

    fn confirmed(&mut self, seat: &mut Seat) {
        self.was_connected = true;
        self.events.on_connected();
        if !std::mem::take(&mut seat.fresh) {
            return;
        }
        for text in std::mem::take(&mut seat.place.messages) {
            match json::read(&text) {
                Some(incoming) => self.take(&mut seat.place, incoming),
                None => tracing::debug!("a message in the room is not of the protocol"),
            }
        }
    }

    fn take(&mut self, place: &mut Place, incoming: Incoming) {
        let cause = match incoming {
            Incoming::Signal(Signal::Bye) => {
                self.events.on_msg(Signal::Bye);
                IceCause::PeerLeft
            }
            Incoming::PeerLost => {
                self.events.on_peer_lost();
                IceCause::PeerLost
            }
            Incoming::Signal(signal) => return self.events.on_msg(signal),
        };
        place.role = Role::Controlling;
        self.tell_ice_info(place, cause);
    }

    fn send_waiting(&mut self, place: &Place, talk: &mut Conversation) -> Result<(), End> {
        if talk.hold.is_some_and(|until| Instant::now() < until) {
            return Ok(());
        }
        talk.hold = None;
        while !self.stopping()
            && let Some(signal) = self.next_signal()
        {
            if talk.socket.is_stranded() {
                self.outbox.push_front(signal);
                return Err(End::Lost(STRANDED.into()));
            }
            self.send(place, talk, signal)?;
            if talk.hold.is_some() {
                break;
            }
        }
        Ok(())
    }

    fn next_signal(&mut self) -> Option<Signal<'static>> {
        let kept = self.outbox.pop_front();
        kept.or_else(|| self.commands.try_recv().ok())
    }

    /// Sends one signal; what may yet be sent later goes back to the front.
    fn send(
        &mut self,
        place: &Place,
        talk: &mut Conversation,
        signal: Signal<'static>,
    ) -> Result<(), End> {
        let Some(text) = json::write(&signal, place.role) else {
            return Ok(());
        };
        let bye = signal == Signal::Bye;
        if bye || place.role == Role::Controlled {
            return match talk.socket.send(message::send(&text)) {
                Ok(()) if bye => Err(End::SaidBye),
                Ok(()) => Ok(()),
                Err(reason) => {
                    self.outbox.push_front(signal);
                    Err(End::Lost(reason))
                }
            };
        }
        match rest::post(&self.http, place, &text, self.config.common.request_timeout) {
            Ok(()) => Ok(()),
            Err(NotSent::Refused(reason)) => {
                tracing::warn!(%reason, "a message is lost");
                Ok(())
            }
            Err(why) => {
                self.outbox.push_front(signal);
                match why {
                    NotSent::Unknown => Err(End::Unknown(LOST_US.into())),
                    NotSent::Lost(reason) => Err(End::Lost(reason)),
                    NotSent::Slower | NotSent::Refused(_) => {
                        talk.hold = Some(Instant::now() + SLOWER);
                        Ok(())
                    }
                }
            }
        }
    }

    /// What was asked for before the stop is sent, as far as it goes at once.
    fn last_words(&mut self, seat: &Seat, talk: &mut Conversation) {
        let until = Instant::now() + self.config.common.goodbye_part();
        while talk.confirmed
            && talk.hold.is_none()
            && Instant::now() < until
            && let Some(signal) = self.next_signal()
        {
            if signal == Signal::Bye || self.send(&seat.place, talk, signal).is_err() {
                break;
            }
        }
    }
}
