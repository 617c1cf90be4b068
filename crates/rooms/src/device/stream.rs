//! The event stream of a device (`text/event-stream`), as the body of an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::Frame;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::MissedTickBehavior;

use super::{Device, Next, Ticket};
use crate::server::Shared;

/// How long a listener is to wait before it comes again, in ms.
const RETRY: u32 = 1_000;
const HEARTBEAT: &[u8] = b"data: {\"type\":\"heartbeat\"}\n\n";
/// All that is heard where somebody else listens.
pub(super) const TAKEN: &[u8] = b"retry: 2000\ndata: {\"type\":\"taken\"}\n\n";

/// A stream that begins with `greeting` and ends with the listener's right to it.
pub(super) fn body(shared: Arc<Shared>, device: Device, ticket: Ticket, greeting: &str) -> Body {
    let (sender, receiver) = channel(1);
    shared.sessions.fetch_add(1, Ordering::Relaxed);
    let open = Open(Arc::clone(&shared));
    let before = ticket.next - 1;
    let first = format!("retry: {RETRY}\n{}", event(&ticket, before, greeting));
    tokio::spawn(pour(shared, device, ticket, sender, first.into()));
    Body::new(Stream {
        receiver,
        _open: open,
    })
}

/// JSON as it is written holds no line feed but between tokens, where a space means the same.
fn event(ticket: &Ticket, number: u64, text: &str) -> String {
    let text = text.replace(['\r', '\n'], " ");
    format!("id: {}.{number}\ndata: {text}\n\n", ticket.name)
}

/// Hands over what the device says, as fast as it is taken.
async fn pour(
    shared: Arc<Shared>,
    device: Device,
    mut ticket: Ticket,
    sender: Sender<Bytes>,
    first: Bytes,
) {
    let mut stopping = shared.stopping();
    let mut changes = device.changes();
    let mut beats = tokio::time::interval(device.config().heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats.reset();
    let mut bytes = first;
    // Who closes its end is noticed when something is sent.
    while sender.send(bytes).await.is_ok() {
        bytes = loop {
            changes.mark_unchanged();
            match device.next(&mut ticket) {
                Next::Event(number, text) => break event(&ticket, number, &text).into(),
                Next::End => return,
                Next::Wait => {}
            }
            tokio::select! {
                // What was said before the end is still heard.
                biased;
                _ = changes.changed() => {}
                _ = beats.tick() => break Bytes::from_static(HEARTBEAT),
                _ = stopping.wait_for(|stop| *stop) => return,
                () = sender.closed() => return device.ended(shared.awake(), &ticket),
            }
        };
    }
    device.ended(shared.awake(), &ticket);
}

/// Counts a stream among those that a stop waits for.
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Stream {
    receiver: Receiver<Bytes>,
    _open: Open,
}

impl HttpBody for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.receiver.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
