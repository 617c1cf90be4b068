//! One handle: joining a room with it, what is said by it, and leaving.

use std::time::{Duration, Instant};

use esp_wire::Signal;
use serde_json::{Value, json};

use super::JanusConfig;
use super::api::{Api, Handle, Session, Trouble, shown};
use super::config::Way;

/// The room has as many publishers as it takes.
const FULL: i64 = 432;
/// The publisher has gone.
const NO_FEED: i64 = 428;

/// Why we are not in the room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotIn {
    Trouble(Trouble),
    /// It may be otherwise later.
    Later(String),
}

impl From<Trouble> for NotIn {
    fn from(trouble: Trouble) -> Self {
        NotIn::Trouble(trouble)
    }
}

/// A room that was joined, or will be.
pub(super) struct Room {
    pub(super) handle: Handle,
    /// The room has taken us in.
    pub(super) joined: bool,
    /// When that is given up.
    pub(super) until: Instant,
    /// Our description went there.
    pub(super) described: bool,
}

impl Room {
    /// Asks to be taken in; an event says what came of it.
    pub(super) fn enter(api: &Api, session: Session, config: &JanusConfig) -> Result<Self, NotIn> {
        let handle = api.attach(session)?;
        let room = Room {
            handle,
            joined: false,
            until: Instant::now() + config.common.request_timeout,
            described: false,
        };
        match room.join(api, config) {
            Ok(()) => Ok(room),
            Err(why) => {
                room.detach(api, config.common.goodbye_part());
                Err(why)
            }
        }
    }

    fn join(&self, api: &Api, config: &JanusConfig) -> Result<(), NotIn> {
        let mut body = json!({ "request": "join", "room": config.room.json() });
        match &config.way {
            Way::Publish => {
                body["ptype"] = "publisher".into();
                if let Some(display) = &config.display {
                    body["display"] = display.as_str().into();
                }
            }
            Way::Play(feed) => {
                let feed = match feed {
                    Some(feed) => feed.clone(),
                    None => self.first_publisher(api, config)?,
                };
                body["ptype"] = "subscriber".into();
                body["streams"] = json!([{ "feed": feed }]);
            }
        }
        if let Some(pin) = &config.pin {
            body["pin"] = pin.as_str().into();
        }
        api.message(self.handle, body, None)?;
        Ok(())
    }

    fn first_publisher(&self, api: &Api, config: &JanusConfig) -> Result<Value, NotIn> {
        let body = json!({ "request": "listparticipants", "room": config.room.json() });
        let mut list = api.message(self.handle, body, None)?;
        if let Some(code) = list["error_code"].as_i64() {
            return Err(refused(config, &shown(&list["error"]), code));
        }
        let list = list["participants"].as_array_mut();
        let publisher = list
            .into_iter()
            .flatten()
            .find(|one| one["publisher"] == true);
        publisher
            .map(|one| one["id"].take())
            .ok_or_else(|| NotIn::Later(format!("nobody publishes in room {} yet", config.room)))
    }

    /// Says something. What the server cannot be told is passed over.
    pub(super) fn say(&mut self, api: &Api, way: &Way, signal: &Signal<'_>) -> Result<(), Trouble> {
        match signal {
            Signal::Sdp(sdp) => {
                let (request, kind) = match way {
                    Way::Publish if self.described => ("configure", "offer"),
                    Way::Publish => ("publish", "offer"),
                    Way::Play(_) => ("start", "answer"),
                };
                let jsep = json!({ "type": kind, "sdp": sdp, "trickle": true });
                let body = json!({ "request": request });
                api.message(self.handle, body, Some(jsep))?;
                self.described = true;
                Ok(())
            }
            Signal::Candidate { candidate, .. } if candidate.is_empty() => {
                api.trickle(self.handle, json!({ "completed": true }))
            }
            Signal::Candidate {
                candidate,
                mid,
                line,
            } => {
                let line = line.unwrap_or(0);
                let mut value = json!({ "candidate": candidate, "sdpMLineIndex": line });
                if let Some(mid) = mid {
                    value["sdpMid"] = (**mid).into();
                }
                api.trickle(self.handle, value)
            }
            _ => Ok(()),
        }
    }

    /// Leaves; the server finds us gone in any case.
    pub(super) fn leave(self, api: &Api, way: &Way, timeout: Duration) {
        let request = match way {
            Way::Publish => "unpublish",
            Way::Play(_) => "leave",
        };
        if self.described
            && let Err(why) = api.goodbye(self.handle, json!({ "request": request }), timeout)
        {
            tracing::debug!(?why, "the room has not heard that we leave");
        }
        self.detach(api, timeout);
    }

    fn detach(&self, api: &Api, timeout: Duration) {
        if let Err(why) = api.detach(self.handle, timeout) {
            tracing::debug!(?why, "the handle was not detached");
        }
    }
}

/// What a refusal of the room means.
pub(super) fn refused(config: &JanusConfig, reason: &str, code: i64) -> NotIn {
    let words = format!("room {} refuses: {reason} (code {code})", config.room);
    match code {
        FULL | NO_FEED => NotIn::Later(words),
        _ => NotIn::Trouble(Trouble::Refused(words)),
    }
}
