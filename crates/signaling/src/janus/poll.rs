//! The thread that waits for events of one session.

use std::time::Instant;

use serde_json::Value;

use super::api::{Api, Session, Trouble};
use super::worker::Item;
use crate::Retry;
use crate::apprtc::backoff::Backoff;
use crate::mailbox::Mailbox;

/// What came of waiting.
#[derive(Debug, PartialEq)]
pub(super) enum Polled {
    Event(Value),
    /// The server is out of reach; it is asked again.
    Away(String),
    /// It is back.
    Back,
    /// There will be no more.
    Over(Trouble),
}

/// Hands over the events of a session until it or the mailbox has ended; both end a request that waits.
pub(super) fn follow(api: &Api, session: Session, retry: Retry, mailbox: &Mailbox<Item>) {
    let put = |polled| mailbox.put_through(Item::Polled(session, polled));
    // Whoever waits here gives nothing up: the session is there or it is not.
    let mut backoff = Backoff::new(Retry {
        attempts: None,
        ..retry
    });
    let mut away = false;
    while !mailbox.is_over() {
        let heard = match api.poll(session) {
            Ok(events) => {
                backoff.reset();
                let back = std::mem::take(&mut away).then_some(Polled::Back);
                back.into_iter()
                    .chain(events.into_iter().map(Polled::Event))
                    .all(put)
            }
            Err(Trouble::Away(reason)) => {
                let told = std::mem::replace(&mut away, true) || put(Polled::Away(reason));
                let pause = backoff.next().unwrap_or(retry.most);
                mailbox.wait(Some(Instant::now() + pause), false);
                told
            }
            Err(trouble) => {
                put(Polled::Over(trouble));
                false
            }
        };
        if !heard {
            return;
        }
    }
}
