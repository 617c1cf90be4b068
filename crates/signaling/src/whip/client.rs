//! The clients as an application sees them.

use std::sync::Arc;

use esp_wire::{Signal, Trickle};

use super::rest::Rest;
use super::worker::{Mail, Worker};
use super::{Kind, WhipConfig};
use crate::http::Http;
use crate::mailbox::Mailbox;
use crate::running::Running;
use crate::{Error, Signaling, SignalingEvents};

/// Publishes to a WHIP server (RFC 9725); it works on one thread of its own.
///
/// The peer connection should send only, and have no data channels.
pub struct Whip(Client);

/// Plays from a WHEP server (draft-ietf-wish-whep); it works on one thread of its own.
///
/// The peer connection should receive only, and have no data channels.
pub struct Whep(Client);

impl Whip {
    /// A client that does nothing before [`Signaling::start`].
    pub fn new(config: WhipConfig) -> Self {
        Whip(Client::new(Kind::Publish, config))
    }
}

impl Whep {
    /// A client that does nothing before [`Signaling::start`].
    pub fn new(config: WhipConfig) -> Self {
        Whep(Client::new(Kind::Play, config))
    }
}

macro_rules! signaling {
    ($($client:ty)*) => {$(
        impl Signaling for $client {
            fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
                self.0.start(events)
            }

            fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
                self.0.send_msg(msg)
            }

            fn stop(&mut self) -> Result<(), Error> {
                self.0.stop()
            }

            fn connection_begins(&mut self) {
                self.0.connection_begins();
            }

            fn trickle(&self) -> Trickle {
                self.0.config.trickle
            }
        }
    )*};
}

signaling! { Whip Whep }

struct Client {
    kind: Kind,
    config: WhipConfig,
    running: Option<Running<Mail>>,
    stopped: bool,
}

impl Client {
    fn new(kind: Kind, config: WhipConfig) -> Self {
        Client {
            kind,
            config,
            running: None,
            stopped: false,
        }
    }

    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        if self.running.is_some() || self.stopped {
            return Err(Error::Misuse("this client was started before".into()));
        }
        let tls = self.config.common.trust.client_config()?;
        let http = Http::new(tls, self.config.answer_size);
        let rest = Rest::new(http, self.kind, &self.config);
        let mailbox = Arc::new(Mailbox::new(self.config.common.queue));
        let worker = Worker::new(self.config.clone(), rest, Arc::clone(&mailbox), events);
        let name = self.kind.server().to_ascii_lowercase();
        let running = Running::spawn(name, mailbox, move || worker.run())?;
        self.running = Some(running);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        if let Signal::Customized(_) = msg {
            return Err(Error::Misuse(format!(
                "{} carries no messages of the application",
                self.kind.server()
            )));
        }
        match &self.running {
            Some(running) => running.mailbox.put(Mail::Signal(msg.clone().into_owned())),
            None if self.stopped => Err(Error::Closed),
            None => Err(Error::Misuse("start the signaling first".into())),
        }
    }

    fn connection_begins(&mut self) {
        if let Some(running) = &self.running
            && let Err(error) = running.mailbox.put(Mail::Begins)
        {
            tracing::debug!(%error, "the beginning of a connection was not heard");
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stopped = true;
        let running = self.running.take();
        running.map_or(Ok(()), |running| {
            running.stop(self.config.common.goodbye, "server")
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
