//! One end of the pair: a connection, and what it was told.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_driver::{Connection, Driver};
use esp_peer::sctp::Delivery;
use esp_peer::{ChannelConfig, ChannelInfo, Error, Handler, PeerConfig, PeerConnection};
use esp_wire::{DataFrame, Role, Signal};

/// So long nothing at all may happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one end was told.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) opened: VecDeque<u16>,
    pub(crate) closed: u64,
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) parts: u64,
    pub(crate) wrong: u64,
    writable: bool,
    /// After so many bytes the pattern begins anew; 0 for never.
    pub(crate) period: u64,
}

#[derive(Clone)]
pub(crate) struct Ear {
    told: Arc<(Mutex<Heard>, Condvar)>,
    signals: Sender<Signal<'static>>,
}

impl Ear {
    fn new() -> (Self, Receiver<Signal<'static>>) {
        let (signals, said) = channel();
        let told = Arc::default();
        (Ear { told, signals }, said)
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.told.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard());
        self.told.1.notify_all();
    }

    /// Waits until something fits that was told.
    pub(crate) fn wait<T>(
        &self,
        mut fits: impl FnMut(&mut Heard) -> Option<T>,
    ) -> Result<T, String> {
        let mut heard = self.heard();
        loop {
            if let Some(found) = fits(&mut heard) {
                return Ok(found);
            }
            let waited = self.told.1.wait_timeout(heard, PATIENCE);
            let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return Err("nothing happens any more".into());
            }
            heard = again;
        }
    }

    fn take(&self, frame: DataFrame<'_>, last: bool) {
        self.note(|heard| {
            let place = match heard.period {
                0 => heard.bytes,
                period => heard.bytes % period,
            };
            let right = (frame.data.iter().enumerate())
                .all(|(at, byte)| *byte == pattern(place + at as u64));
            heard.wrong += u64::from(!right);
            heard.bytes += frame.data.len() as u64;
            heard.parts += 1;
            heard.messages += u64::from(last);
        });
    }
}

/// The byte at this place of all that is sent.
pub(crate) fn pattern(at: u64) -> u8 {
    (at ^ at >> 8 ^ at >> 16 ^ at >> 24) as u8
}

impl Handler for Ear {
    fn on_msg(&mut self, msg: Signal<'_>) {
        // After the end nobody listens.
        let _ = self.signals.send(msg.into_owned());
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.note(|heard| heard.opened.push_back(channel.stream_id));
    }

    fn on_channel_close(&mut self, _: &ChannelInfo) {
        self.note(|heard| heard.closed += 1);
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.take(frame, true);
    }

    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {
        self.take(part, last);
    }

    fn on_writable(&mut self, _: u16) {
        self.note(|heard| heard.writable = true);
    }
}

pub(crate) struct End {
    pub(crate) connection: Arc<Connection>,
    pub(crate) ear: Ear,
}

impl End {
    /// Sends until it is taken.
    pub(crate) fn insist(&self, mut send: impl FnMut() -> Result<(), Error>) -> Result<(), String> {
        loop {
            match send() {
                Ok(()) => return Ok(()),
                Err(Error::WouldBlock) => self
                    .ear
                    .wait(|heard| std::mem::take(&mut heard.writable).then_some(()))?,
                Err(error) => return Err(words(error)),
            }
        }
    }
}

pub(crate) fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Two ends that are connected, and the stream of the channel that opens by itself.
pub(crate) fn connect(driver: &Driver) -> Result<([End; 2], u16), String> {
    let end = |role| {
        let mut config = PeerConfig::default()
            .with_role(role)
            .with_data_channels(false)
            .with_delivery(Delivery::Parts)
            .with_loopback();
        config.automatic_channel = ChannelConfig::new("volume");
        let (ear, said) = Ear::new();
        let connection = driver.open(config, Box::new(ear.clone())).map_err(words)?;
        let connection = Arc::new(connection);
        Ok::<_, String>((End { connection, ear }, said))
    };
    let (near, near_said) = end(Role::Controlling)?;
    let (far, far_said) = end(Role::Controlled)?;
    for (said, to) in [(near_said, &far), (far_said, &near)] {
        let to = Arc::downgrade(&to.connection);
        std::thread::spawn(move || {
            for signal in said {
                let Some(to) = to.upgrade() else { return };
                drop(to.send_msg(&signal));
            }
        });
    }
    let ends = [near, far];
    for end in ends.iter().rev() {
        end.connection.new_connection().map_err(words)?;
    }
    let open = |end: &End| end.ear.wait(|heard| heard.opened.pop_front());
    let stream_id = open(&ends[0])?;
    open(&ends[1])?;
    Ok((ends, stream_id))
}
