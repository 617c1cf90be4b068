//! Publishing to a media server, and playing from one, by HTTP: WHIP (RFC 9725) and WHEP
//! (draft-ietf-wish-whep).
//!
//! 1. `OPTIONS` of the endpoint: it is there, and may tell ICE servers (`Link: <...>; rel="ice-server"`).
//! 2. `POST` of our offer, `application/sdp`; 201 carries the answer, `Location` the URL of the session, `ETag` the
//!    ICE generation, `Link` ICE servers. 307 and 308 are followed, 409, 429 and 5xx tried again after `Retry-After`.
//!    A player may get 406 with an offer of the server instead; its answer goes by `PATCH` to the session.
//! 3. Candidates found later: `PATCH` of the session, `application/trickle-ice-sdpfrag`, `If-Match: ETAG`.
//! 4. A restart of ICE: the same with new credentials and `If-Match: *`; the answer's fragment, put into the answer of
//!    before, is what the peer connection gets. A server that cannot is begun anew with.
//! 5. The end: `DELETE` of the session.
//!
//! The token goes to the host of the user's URL, and to those that this host names by a redirect or by `Location`
//! over HTTPS; to no other, and never from HTTPS to HTTP.

mod changes;
mod client;
mod config;
mod describe;
mod link;
mod reply;
mod rest;
mod worker;

pub use self::client::{Whep, Whip};
pub use self::config::{WhipAuth, WhipConfig};

/// In the reason of a refusal where a token is missing or is not taken.
pub const NEEDS_TOKEN: &str = "whoever asks must be known";

/// What it is all for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Publish,
    Play,
}

impl Kind {
    /// The server's kind in words.
    fn server(self) -> &'static str {
        match self {
            Kind::Publish => "WHIP",
            Kind::Play => "WHEP",
        }
    }
}
