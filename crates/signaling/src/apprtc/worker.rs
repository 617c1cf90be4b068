//! The thread of a client: it enters the room, talks, and comes back when it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use esp_wire::{Role, Signal};
use mio::Poll;
use rustls::ClientConfig;

use super::AppRtcConfig;
use super::backoff::Backoff;
use super::message::{self, FromServer, Incoming};
use super::rest::{self, NoPlace, NotSent, Place};
use super::socket::{Heard, NotOpen, Opening, Socket, wait};
use crate::http::Http;
use crate::{IceCause, IceInfo, SignalingEvents};

/// A connection that lasted this long was good: the next failure is a first one.
const GOOD: Duration = Duration::from_secs(5);
/// The pause after the server asked for fewer messages.
const SLOWER: Duration = Duration::from_secs(1);

const STRANDED: &str = "the address by which the room server was reached is gone";
const LOST_US: &str = "the room server does not know us any more";

pub(super) struct Worker {
    config: AppRtcConfig,
    tls: Arc<ClientConfig>,
    http: Http,
    poll: Poll,
    commands: Receiver<Signal<'static>>,
    /// Taken from the commands, not sent yet.
    outbox: VecDeque<Signal<'static>>,
    stop: Arc<AtomicBool>,
    events: Box<dyn SignalingEvents>,
    backoff: Backoff,
    was_connected: bool,
}

/// Why a conversation ended.
enum End {
    Stopped,
    /// The connection is lost, our place may be there yet.
    Lost(String),
    /// The server does not know us any more.
    Unknown(String),
    /// We have hung up.
    SaidBye,
}

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
    pub(super) fn new(
        config: AppRtcConfig,
        tls: Arc<ClientConfig>,
        http: Http,
        poll: Poll,
        commands: Receiver<Signal<'static>>,
        stop: Arc<AtomicBool>,
        events: Box<dyn SignalingEvents>,
    ) -> Self {
        Worker {
            backoff: Backoff::new(config.retry),
            config,
            tls,
            http,
            poll,
            commands,
            outbox: VecDeque::new(),
            stop,
            events,
            was_connected: false,
        }
    }

    pub(super) fn run(mut self) {
        let reason = self.live();
        self.events.on_close(&reason);
    }

    fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn live(&mut self) -> String {
        let mut place: Option<Seat> = None;
        let mut cause = IceCause::Joined;
        loop {
            let mut seat = match place.take() {
                Some(seat) => seat,
                None if self.stopping() => return "stopped".into(),
                None => match self.enter(cause) {
                    Ok(seat) => seat,
                    Err(Some(reason)) => return reason,
                    Err(None) => continue,
                },
            };
            match self.converse(&mut seat) {
                End::Stopped => return "stopped".into(),
                End::SaidBye => {
                    cause = IceCause::Joined;
                    self.drop_stale();
                }
                End::Unknown(reason) => {
                    cause = IceCause::Rejoined;
                    self.drop_stale();
                    if !seat.fresh {
                        // The server is back, it only has a new memory.
                        self.backoff.reset();
                    }
                    if let Some(reason) = self.try_later(&reason, false) {
                        return reason;
                    }
                }
                End::Lost(reason) => {
                    if let Some(reason) = self.try_later(&reason, false) {
                        self.say_goodbye(&seat.place, None);
                        return reason;
                    }
                    if self.stopping() {
                        self.say_goodbye(&seat.place, None);
                        return "stopped".into();
                    }
                    place = Some(seat);
                }
            }
        }
    }

    /// Joins the room and tells what it found; an error holds the reason to give up, if any.
    fn enter(&mut self, cause: IceCause) -> Result<Seat, Option<String>> {
        let mut place = match rest::join(&self.http, &self.config) {
            Ok(place) => place,
            Err(NoPlace::Full) => {
                let reason = format!("the room {:?} is full, two are in it", self.config.room);
                return Err(self.try_later(&reason, true));
            }
            Err(NoPlace::Never(reason)) if !self.was_connected => return Err(Some(reason)),
            Err(NoPlace::Later(reason) | NoPlace::Never(reason)) => {
                return Err(self.try_later(&reason, false));
            }
        };
        let refresh = self.fetch_servers(&mut place);
        self.tell_ice_info(&place, cause);
        Ok(Seat {
            place,
            refresh,
            fresh: true,
        })
    }

    fn tell_ice_info(&mut self, place: &Place, cause: IceCause) {
        self.events.on_ice_info(IceInfo {
            servers: place.servers.clone(),
            role: place.role,
            cause,
        });
    }

    /// Fetches the servers and says when to do so again.
    fn fetch_servers(&mut self, place: &mut Place) -> Option<Instant> {
        if let Err(reason) = rest::fetch_servers(&self.http, place, self.config.request_timeout) {
            tracing::warn!(%reason, "the ICE servers known so far stay in use");
        }
        let expiry = message::expiry(&place.servers)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let left = Duration::from_secs(expiry).saturating_sub(now);
        // A tenth of the time, at most 5 minutes, is left for the fetch; never more than one a second.
        let early = (left / 10).min(Duration::from_secs(300));
        Instant::now().checked_add((left - early).max(Duration::from_secs(1)))
    }

    /// Says why it is not connected and waits; a reason when it is time to give up.
    fn try_later(&mut self, reason: &str, full: bool) -> Option<String> {
        let delay = if full {
            Some(self.backoff.full())
        } else {
            self.backoff.next()
        };
        let Some(delay) = delay else {
            return Some(format!("{reason}; given up"));
        };
        tracing::info!(%reason, ?delay, "signaling is tried again");
        self.events.on_reconnecting(&format!(
            "{reason}; trying again in {:.1} s",
            delay.as_secs_f64()
        ));
        let until = Instant::now() + delay;
        while !self.stopping() && Instant::now() < until {
            if let Err(error) = wait(&mut self.poll, until) {
                return Some(format!("the system's poll failed: {error}"));
            }
        }
        None
    }

    /// Descriptions and candidates of before mean nothing in a room that was entered anew.
    fn drop_stale(&mut self) {
        while let Ok(signal) = self.commands.try_recv() {
            self.outbox.push_back(signal);
        }
        self.outbox
            .retain(|signal| matches!(signal, Signal::Customized(_)));
    }

    fn converse(&mut self, seat: &mut Seat) -> End {
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
                rest::leave(&self.http, &seat.place);
                rest::delete(&self.http, &seat.place);
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
            timeout: self.config.request_timeout,
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
            match message::read(&text) {
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
        let Some(text) = message::write(&signal, place.role) else {
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
        match rest::post(&self.http, place, &text, self.config.request_timeout) {
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
        let until = Instant::now() + Duration::from_secs(2);
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

    fn say_goodbye(&mut self, place: &Place, socket: Option<Socket>) {
        rest::leave(&self.http, place);
        if let Some(mut socket) = socket {
            if let Some(bye) = message::write(&Signal::Bye, place.role) {
                let _ = socket.send(message::send(&bye));
            }
            rest::delete(&self.http, place);
            socket.close(&mut self.poll);
        } else {
            rest::delete(&self.http, place);
        }
    }
}

/// A place with what is due for it.
struct Seat {
    place: Place,
    /// When to fetch the servers again.
    refresh: Option<Instant>,
    /// It was not confirmed yet; its messages are to be handled.
    fresh: bool,
}
