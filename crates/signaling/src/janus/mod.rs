//! Publishing into a video room of a Janus server, and playing from one, over its HTTP interface.
//!
//! 1. `POST` to the server: `create` gives a session, `attach` of `janus.plugin.videoroom` a handle in it. Every request
//!    has a transaction, and the server's secret and our token where they are set.
//! 2. Events come by `GET` of the session, one request after the other, each open until there is something to tell.
//! 3. Publishing: `join` as a publisher; our offer goes with `publish` (later ones with `configure`), the answer comes
//!    as an event.
//! 4. Playing: `listparticipants` says who publishes, unless the feed is known; `join` as a subscriber; the offer
//!    comes as an event, our answer goes with `start`.
//! 5. Candidates go by `trickle`, one by one, then `completed`. `keepalive` goes when nothing else does.
//! 6. When the server hangs up, or we do, the handle is left and the room joined anew; when it forgets the session, all begins
//!    anew. The end: `unpublish` or `leave`, `detach`, `destroy`.

mod api;
mod client;
mod config;
mod event;
mod poll;
mod room;
mod session;
mod worker;

pub use self::client::Janus;
pub use self::config::{JanusConfig, JanusRoom};
