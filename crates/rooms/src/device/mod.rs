//! A device that serves itself: one page listens to it and talks to it, without rooms between them.
//!
//! 1. `GET /webrtc/signal`: an event stream (`text/event-stream`) that begins with `connected`; a `heartbeat` at
//!    intervals. Whoever comes while somebody else listens hears `taken`, and the stream ends.
//! 2. What the device says comes as events: `offer`, `answer`, `candidate`, `customized`, `bye`.
//! 3. `POST /webrtc/signal/post`: the same objects, the other way.
//! 4. A stream that is cut may be opened again, from the event behind the last one that was heard.
//! 5. `bye` of the listener gives its place away; so does silence.

mod place;
mod routes;
mod stream;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use self::place::Place;
pub(crate) use self::place::{Admission, Fault, Next, Ticket};
pub(crate) use self::routes::{PAGE, router};
use crate::{Error, Limits};

/// Settings of a [`Device`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// Bytes of one posted message.
    pub message_size: usize,
    /// Between two heartbeats of an event stream.
    pub heartbeat: Duration,
    /// Events that are kept for a listener that is not there or reads slowly.
    pub queue_messages: usize,
    /// Bytes of such events.
    pub queue_bytes: usize,
}

impl Default for DeviceConfig {
    /// 16 KiB, 5 s, 256 events and 512 KiB.
    fn default() -> Self {
        let limits = Limits::default();
        DeviceConfig {
            message_size: 16 * 1024,
            heartbeat: Duration::from_secs(5),
            queue_messages: limits.queue_messages,
            queue_bytes: limits.queue_bytes,
        }
    }
}

/// What a [`Device`] hears.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// A message of the listener: a JSON object with a `type`.
    Message(String),
    /// The listener has fallen silent, without a bye, and lost its place.
    Lost,
}

/// There is no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no room for more")
    }
}

impl std::error::Error for Full {}

/// A device that a [`Server`](crate::Server) serves instead of rooms, by
/// [`Config::with_device`](crate::Config::with_device). Clones are the same device.
#[derive(Clone)]
pub struct Device(Arc<Inner>);

type Hears = Box<dyn Fn(Heard) -> Result<(), Full> + Send + Sync>;

struct Inner {
    config: DeviceConfig,
    hears: Hears,
    place: Mutex<Place>,
    /// Counts changes of the place.
    changed: watch::Sender<u64>,
}

impl Device {
    /// A device that hears by `hears`, which must not block, and says when it takes no more.
    ///
    /// # Errors
    /// [`Error::Misuse`] when a setting is 0.
    pub fn new(
        config: DeviceConfig,
        hears: impl Fn(Heard) -> Result<(), Full> + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let counts = [
            ("message_size", config.message_size),
            ("queue_messages", config.queue_messages),
            ("queue_bytes", config.queue_bytes),
        ];
        if let Some((name, _)) = counts.iter().find(|(_, value)| *value == 0) {
            return Err(Error::Misuse(format!("the limit {name} must not be 0")));
        }
        if config.heartbeat.is_zero() {
            return Err(Error::Misuse("heartbeat must not be 0".to_owned()));
        }
        Ok(Device(Arc::new(Inner {
            place: Mutex::new(Place::new(config.queue_messages, config.queue_bytes)),
            hears: Box::new(hears),
            changed: watch::channel(0).0,
            config,
        })))
    }

    /// Says a message, a JSON object, to whoever listens; it waits until somebody does.
    ///
    /// # Errors
    /// [`Full`] when too much is waiting.
    pub fn say(&self, text: &str) -> Result<(), Full> {
        self.change(|place| place.say(text))
    }

    /// Says bye to whoever listens. What waits for a listener that is not there is forgotten.
    pub fn say_bye(&self) {
        self.change(|place| {
            place.say_bye();
            Ok::<(), Full>(())
        })
        .unwrap_or_default();
    }

    /// Whether somebody listens, or has until just now.
    pub fn is_taken(&self) -> bool {
        self.lock().is_taken()
    }

    pub(crate) fn config(&self) -> &DeviceConfig {
        &self.0.config
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the place, and wakes the stream.
    fn change<T, E>(&self, act: impl FnOnce(&mut Place) -> Result<T, E>) -> Result<T, E> {
        let done = act(&mut self.lock())?;
        let changed = &self.0.changed;
        changed.send_modify(|count| *count = count.wrapping_add(1));
        Ok(done)
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Gives the place to a listener, or back to it.
    pub(crate) fn admit(
        &self,
        now: Instant,
        address: IpAddr,
        last: Option<&str>,
    ) -> Result<Admission, Error> {
        let name = crate::RoomName::random()?;
        let admit = |place: &mut Place| Ok(place.admit(now, address, last, name.as_str()));
        self.change(admit)
    }

    /// What a stream is to send next.
    pub(crate) fn next(&self, ticket: &mut Ticket) -> Next {
        self.lock().next(ticket)
    }

    /// A stream has ended.
    pub(crate) fn ended(&self, now: Instant, ticket: &Ticket) {
        self.lock().ended(now, ticket);
    }

    /// A message was posted.
    pub(crate) fn post(
        &self,
        now: Instant,
        address: IpAddr,
        name: Option<&str>,
        text: String,
    ) -> Result<(), Fault> {
        self.change(|place| place.post(now, address, name, text, &self.0.hears))
    }

    /// Gives up a listener whose stream was cut this long ago, or that does not answer any more; whether there was one.
    pub(crate) fn expire(&self, now: Instant, silence: Duration) -> bool {
        // Who answers heartbeats may miss two.
        let beats = silence.max(self.0.config.heartbeat * 3);
        let hears = &self.0.hears;
        let expire = |place: &mut Place| match place.expire(now, (silence, beats), hears) {
            true => Ok(()),
            false => Err(()),
        };
        self.change(expire).is_ok()
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Device")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
