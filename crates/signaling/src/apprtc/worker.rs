//! The thread of a client: it enters the room, talks, and comes back when it is lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use esp_wire::Signal;
use mio::Poll;
use rustls::ClientConfig;

use super::AppRtcConfig;
use super::backoff::Backoff;
use super::message;
use super::rest::{self, NoPlace, Place};
use super::socket::{Socket, wait};
use crate::http::Http;
use crate::{IceCause, IceInfo, SignalingEvents, json};

pub(super) struct Worker {
    pub(super) config: AppRtcConfig,
    pub(super) tls: Arc<ClientConfig>,
    pub(super) http: Http,
    pub(super) poll: Poll,
    pub(super) commands: Receiver<Signal<'static>>,
    /// Taken from the commands, not sent yet.
    pub(super) outbox: VecDeque<Signal<'static>>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) events: Box<dyn SignalingEvents>,
    pub(super) backoff: Backoff,
    pub(super) was_connected: bool,
}

/// Why a conversation ended.
pub(super) enum End {
    Stopped,
    /// The connection is lost, our place may be there yet.
    Lost(String),
    /// The server does not know us any more.
    Unknown(String),
    /// We have hung up.
    SaidBye,
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
            backoff: Backoff::new(config.common.retry),
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

    pub(super) fn stopping(&self) -> bool {
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

    pub(super) fn tell_ice_info(&mut self, place: &Place, cause: IceCause) {
        self.events.on_ice_info(IceInfo {
            servers: place.servers.clone(),
            role: place.role,
            cause,
        });
    }

    /// Fetches the servers and says when to do so again.
    pub(super) fn fetch_servers(&mut self, place: &mut Place) -> Option<Instant> {
        if let Err(reason) =
            rest::fetch_servers(&self.http, place, self.config.common.request_timeout)
        {
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

    pub(super) fn say_goodbye(&mut self, place: &Place, socket: Option<Socket>) {
        let timeout = self.config.common.goodbye_part();
        rest::leave(&self.http, place, timeout);
        if let Some(mut socket) = socket {
            if let Some(bye) = json::write(&Signal::Bye, place.role) {
                let _ = socket.send(message::send(&bye));
            }
            rest::delete(&self.http, place, timeout);
            socket.close(&mut self.poll);
        } else {
            rest::delete(&self.http, place, timeout);
        }
    }
}

/// A place with what is due for it.
pub(super) struct Seat {
    pub(super) place: Place,
    /// When to fetch the servers again.
    pub(super) refresh: Option<Instant>,
    /// It was not confirmed yet; its messages are to be handled.
    pub(super) fresh: bool,
}
