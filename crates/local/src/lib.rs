//! Signaling without a server: the device serves its page itself.
//!
//! [`Local`] is a [`Signaling`] on top of the HTTP and TLS of `esp-rooms`: one browser at a time opens the page
//! `/webrtc/test`, listens to the device's event stream and posts to it (`PROTOCOL.md` of `esp-rooms`). The device
//! offers, always.
//!
//! ```no_run
//! use esp_local::{Config, Local, LocalConfig};
//!
//! let signaling = Local::serve(Config::local(8080), LocalConfig::default())?;
//! println!("{}", signaling.url());
//! // Then `WebRtc::builder(signaling)`.
//! # Ok::<(), esp_local::Error>(())
//! ```

mod worker;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use esp_rooms::{Device, Full, Server};
use esp_signaling::{Error as SignalingError, Signaling, SignalingEvents, json};
use esp_wire::{IceServer, Role, Signal};

pub use esp_rooms::{Config, DeviceConfig, Error};

use self::worker::{Item, Worker};

/// Settings of a [`Local`].
#[derive(Clone, Debug)]
pub struct LocalConfig {
    device: DeviceConfig,
    queue: usize,
}

impl Default for LocalConfig {
    /// Those of [`DeviceConfig`], and 256 messages.
    fn default() -> Self {
        LocalConfig {
            device: DeviceConfig::default(),
            queue: 256,
        }
    }
}

impl LocalConfig {
    /// With these sizes and times.
    pub fn with_device(mut self, device: DeviceConfig) -> Self {
        self.device = device;
        self
    }

    /// With this many messages of the page waiting to be handled at most; further ones are refused. 256 by default.
    pub fn with_queue(mut self, messages: usize) -> Self {
        self.queue = messages.max(1);
        self
    }
}

/// A device that serves itself; its server runs from the beginning, so that its URL can be shown.
///
/// It has one thread beside those of the server. Both end with [`Signaling::stop`], or when it is dropped.
pub struct Local {
    device: Device,
    server: Option<Server>,
    servers: Vec<IceServer>,
    items: SyncSender<Item>,
    inbox: Option<Receiver<Item>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

impl Local {
    /// Serves. `config` says where it listens, its limits, and which STUN and TURN servers both sides are told.
    ///
    /// # Errors
    /// Those of [`Server::start`], and [`Error::Misuse`] for settings that make no sense.
    pub fn serve(config: Config, local: LocalConfig) -> Result<Self, Error> {
        let (items, inbox) = sync_channel(local.queue);
        let heard = items.clone();
        let device = Device::new(local.device, move |word| {
            heard.try_send(Item::Heard(word)).map_err(|_| Full)
        })?;
        let servers = config.ice_servers.clone();
        let server = Server::start(config.with_device(device.clone()))?;
        Ok(Local {
            device,
            server: Some(server),
            servers,
            items,
            inbox: Some(inbox),
            thread: None,
            stop: Arc::default(),
        })
    }

    /// Its server, until it is stopped.
    pub fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    /// The URL of its page on the first listener; empty once it is stopped.
    pub fn url(&self) -> String {
        self.server().map(Server::device_url).unwrap_or_default()
    }

    /// Whether a page listens.
    pub fn is_taken(&self) -> bool {
        self.device.is_taken()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Signaling for Local {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), SignalingError> {
        let started = || SignalingError::Misuse("this signaling was started before".into());
        let inbox = self.inbox.take().ok_or_else(started)?;
        let worker = Worker {
            inbox,
            events,
            servers: self.servers.clone(),
            stop: Arc::clone(&self.stop),
        };
        let thread = std::thread::Builder::new()
            .name("local signaling".into())
            .spawn(move || worker.run())
            .map_err(|error| {
                SignalingError::Misuse(format!(
                    "the system refuses what the signaling needs: {error}"
                ))
            })?;
        self.thread = Some(thread);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), SignalingError> {
        if self.is_stopped() {
            return Err(SignalingError::Closed);
        }
        if self.thread.is_none() {
            return Err(SignalingError::Misuse("start the signaling first".into()));
        }
        if *msg == Signal::Bye {
            // Told to both ends, or to none.
            return match self.items.try_send(Item::SaidBye) {
                Ok(()) => {
                    self.device.say_bye();
                    Ok(())
                }
                Err(TrySendError::Full(_)) => Err(SignalingError::WouldBlock),
                Err(TrySendError::Disconnected(_)) => Err(SignalingError::Closed),
            };
        }
        match json::write(msg, Role::Controlling) {
            Some(text) => self
                .device
                .say(&text)
                .map_err(|Full| SignalingError::WouldBlock),
            None => Err(SignalingError::Misuse("there are no words for this".into())),
        }
    }

    fn stop(&mut self) -> Result<(), SignalingError> {
        if self.stop.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        self.device.say_bye();
        // The stream ends behind the bye.
        self.server = None;
        // A full queue wakes the thread as well.
        let _ = self.items.try_send(Item::Stop);
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
        Ok(())
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local")
            .field("server", &self.server)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}
