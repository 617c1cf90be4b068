//! The way to a client's WebSocket, bounded by messages and bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::Limits;

/// What goes to a client's WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parcel {
    /// A message of the other client, to be wrapped.
    Message(String),
    /// Whether the other client is there, for those who asked to be told.
    Presence(bool),
    /// Close: another socket took over, or the client left.
    Close(&'static str),
}

#[derive(Default)]
struct Backlog {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// Where the rooms post; only they send, under their lock, so that checking and adding need no more.
pub(crate) struct Outlet {
    sender: UnboundedSender<Parcel>,
    backlog: Arc<Backlog>,
}

/// Where a socket reads.
pub(crate) struct Mail {
    receiver: UnboundedReceiver<Parcel>,
    backlog: Arc<Backlog>,
}

pub(crate) fn mail() -> (Outlet, Mail) {
    let (sender, receiver) = unbounded_channel();
    let backlog = Arc::<Backlog>::default();
    let outlet = Outlet {
        sender,
        backlog: backlog.clone(),
    };
    (outlet, Mail { receiver, backlog })
}

impl Outlet {
    /// Posts a message; it comes back when the socket is gone or too far behind.
    pub(crate) fn post(&self, text: String, limits: &Limits) -> Result<(), String> {
        let size = text.len();
        let messages = self.backlog.messages.load(Ordering::Relaxed);
        let bytes = self.backlog.bytes.load(Ordering::Relaxed);
        if messages >= limits.queue_messages || bytes + size > limits.queue_bytes {
            return Err(text);
        }
        self.backlog.messages.fetch_add(1, Ordering::Relaxed);
        self.backlog.bytes.fetch_add(size, Ordering::Relaxed);
        match self.sender.send(Parcel::Message(text)) {
            Ok(()) => Ok(()),
            Err(back) => match back.0 {
                Parcel::Message(text) => Err(text),
                Parcel::Presence(_) | Parcel::Close(_) => Ok(()),
            },
        }
    }

    /// Tells whether the other client is there.
    pub(crate) fn tell(&self, present: bool) {
        let _ = self.sender.send(Parcel::Presence(present));
    }

    /// Asks the socket to close once it has sent what was posted.
    pub(crate) fn close(&self, why: &'static str) {
        let _ = self.sender.send(Parcel::Close(why));
    }
}

impl Mail {
    /// The next parcel; none when the rooms dropped the outlet.
    pub(crate) async fn next(&mut self) -> Option<Parcel> {
        let parcel = self.receiver.recv().await?;
        self.taken(&parcel);
        Some(parcel)
    }

    #[cfg(test)]
    pub(crate) fn try_next(&mut self) -> Option<Parcel> {
        let parcel = self.receiver.try_recv().ok()?;
        self.taken(&parcel);
        Some(parcel)
    }

    fn taken(&self, parcel: &Parcel) {
        if let Parcel::Message(text) = parcel {
            self.backlog.messages.fetch_sub(1, Ordering::Relaxed);
            self.backlog.bytes.fetch_sub(text.len(), Ordering::Relaxed);
        }
    }
}
