//! Errors, messages and servers between Rust and C.

use std::ffi::{CString, c_int};

use esp_peer::Error;
use esp_webrtc::signaling;
use esp_wire::{IceServer, Signal};

use crate::border::{Outcome, invalid};
use crate::peer::types::esp_peer_ice_server_cfg_t;

/// An error of a signaling as C has it.
pub(crate) fn error(error: signaling::Error) -> Error {
    match error {
        signaling::Error::Misuse(what) => Error::InvalidArgument(what),
        signaling::Error::WouldBlock => Error::WouldBlock,
        signaling::Error::Closed => Error::WrongState("the signaling has ended"),
        signaling::Error::Malformed(what) => Error::BadData(what),
        error => Error::Failed(error.to_string()),
    }
}

/// What a message of C says.
pub(crate) fn signal(kind: c_int, text: &str) -> Outcome<Signal<'_>> {
    Ok(match kind {
        1 if text.is_empty() => return invalid("an empty description"),
        1 => Signal::Sdp(text.into()),
        2 => {
            let line = text.trim();
            Signal::Candidate {
                candidate: line.strip_prefix("a=").unwrap_or(line).into(),
                mid: None,
                line: None,
            }
        }
        3 => Signal::Bye,
        4 => Signal::Customized(text.into()),
        _ => return invalid("the type of a message"),
    })
}

/// The number and the text of a message for C; none for what C has no message for.
pub(crate) fn parts<'a>(signal: &'a Signal<'_>) -> Option<(c_int, &'a str)> {
    match signal {
        Signal::Sdp(text) => Some((1, text)),
        Signal::Candidate { candidate, .. } if !candidate.is_empty() => Some((2, candidate)),
        Signal::Bye => Some((3, "")),
        Signal::Customized(text) => Some((4, text)),
        _ => None,
    }
}

/// The server that helps most where only one can be named: a relay.
pub(super) fn best(servers: &[IceServer]) -> Option<&IceServer> {
    let relays = |server: &&IceServer| server.urls.iter().any(|url| url.starts_with("turn"));
    servers.iter().find(relays).or(servers.first())
}

/// A server in texts of C.
#[derive(Default)]
pub(crate) struct CServer([Option<CString>; 3]);

impl CServer {
    pub(crate) fn of(server: Option<&IceServer>) -> Self {
        let Some(server) = server else {
            return CServer::default();
        };
        let relay = server.urls.iter().find(|url| url.starts_with("turn"));
        let url = relay.or(server.urls.first());
        let text = |text: &String| CString::new(text.as_str()).ok();
        CServer([
            url.and_then(text),
            text(&server.username),
            text(&server.credential),
        ])
    }

    /// Pointers into this.
    pub(crate) fn shown(&self) -> esp_peer_ice_server_cfg_t {
        let [stun_url, user, psw] = self.0.each_ref().map(|text| match text {
            Some(text) => text.as_ptr().cast_mut(),
            None => std::ptr::null_mut(),
        });
        esp_peer_ice_server_cfg_t {
            stun_url,
            user,
            psw,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_is_named() {
        let stun = IceServer::stun("stun:a");
        let both = [stun.clone(), IceServer::turn("turn:b", "u", "p")];
        assert_eq!(best(&both), Some(&both[1]));
        assert_eq!(best(&both[..1]), Some(&stun));
        let none = CServer::of(best(&[])).shown();
        assert!(none.stun_url.is_null() && none.user.is_null() && none.psw.is_null());
    }

    #[test]
    fn messages_come_and_go() {
        let line = "candidate:1 1 UDP 1 192.0.2.1 9 typ host";
        let said = signal(2, "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host\r\n").unwrap();
        assert_eq!(parts(&said), Some((2, line)));
        for (kind, text) in [(1, "v=0"), (3, ""), (4, "RING")] {
            assert_eq!(parts(&signal(kind, text).unwrap()), Some((kind, text)));
        }
        assert!(signal(1, "").is_err() && signal(0, "a").is_err() && signal(5, "a").is_err());
    }
}
