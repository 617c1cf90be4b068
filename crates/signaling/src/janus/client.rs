//! The client as an application sees it.

use std::sync::Arc;

use esp_wire::Signal;

use super::JanusConfig;
use super::api::Api;
use super::worker::{Item, Worker};
use crate::http::Http;
use crate::mailbox::Mailbox;
use crate::running::Running;
use crate::{Error, Signaling, SignalingEvents};

/// Publishes into a video room of a Janus server, or plays from one; it works on two threads of its own.
///
/// The peer connection should send only, or receive only, and have no data channels. A request for events that waits
/// at the server when the client stops ends with the session there, which may be a moment later.
pub struct Janus {
    config: JanusConfig,
    running: Option<Running<Item>>,
    stopped: bool,
}

impl Janus {
    /// A client that does nothing before [`Signaling::start`].
    pub fn new(config: JanusConfig) -> Self {
        Janus {
            config,
            running: None,
            stopped: false,
        }
    }
}

impl Signaling for Janus {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        if self.running.is_some() || self.stopped {
            return Err(Error::Misuse("this client was started before".into()));
        }
        let tls = self.config.common.trust.client_config()?;
        let http = Http::new(tls, self.config.answer_size);
        let api = Api::new(http, &self.config);
        let mailbox = Arc::new(Mailbox::new(self.config.common.queue));
        let worker = Worker::new(self.config.clone(), api, Arc::clone(&mailbox), events);
        let running = Running::spawn("janus".into(), mailbox, move || worker.run())?;
        self.running = Some(running);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        if let Signal::Customized(_) = msg {
            return Err(Error::Misuse(
                "a video room carries no messages of the application".into(),
            ));
        }
        match &self.running {
            Some(running) => running.mailbox.put(Item::Signal(msg.clone().into_owned())),
            None if self.stopped => Err(Error::Closed),
            None => Err(Error::Misuse("start the signaling first".into())),
        }
    }

    fn connection_begins(&mut self) {
        if let Some(running) = &self.running
            && let Err(error) = running.mailbox.put(Item::Begins)
        {
            tracing::debug!(%error, "the beginning of a connection was not heard");
        }
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.stopped = true;
        let running = self.running.take();
        running.map_or(Ok(()), |running| {
            running.stop(self.config.common.goodbye, "Janus server")
        })
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}
