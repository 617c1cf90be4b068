//! The JSON of AppRTC, as a server or a peer with odd ideas sends it, and what WHIP and WHEP servers answer.

use std::time::UNIX_EPOCH;

use esp_sdp::{Description, Fragment};
use esp_wire::{Role, ServerUrl};

// Nothing outside its crate may use it, so it is compiled once more here.
#[path = "../../../crates/signaling/src/apprtc/message.rs"]
#[allow(dead_code, reason = "the client uses more of it than is tried here")]
mod message;

#[path = "../../../crates/signaling/src/whip/describe.rs"]
#[allow(dead_code, reason = "the client uses more of it than is tried here")]
mod describe;
#[path = "../../../crates/signaling/src/whip/link.rs"]
mod link;
#[path = "../../../crates/signaling/src/whip/reply.rs"]
#[allow(dead_code, reason = "the client uses more of it than is tried here")]
mod reply;

use crate::json::{self, Incoming};
use message::FromServer;

/// What a client keeps at most.
const SERVERS: usize = 4;
const CANDIDATES: usize = 128;
const NEEDS_TOKEN: &str = "";

/// As the client of a media server has it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Publish,
    Play,
}

impl Kind {
    fn server(self) -> &'static str {
        match self {
            Kind::Publish => "WHIP",
            Kind::Play => "WHEP",
        }
    }
}

/// What can be read is written so that it reads the same; lists of servers stay short.
pub(crate) fn messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let FromServer::Incoming(Incoming::Signal(signal)) = message::read_from_server(text) {
        for role in [Role::Controlling, Role::Controlled] {
            let written = json::write(&signal, role).expect("what was read can be written");
            let Some(Incoming::Signal(again)) = json::read(&written) else {
                panic!("it does not read back: {written}");
            };
            // The first writing fills in what a peer left out; nothing changes after it.
            assert_eq!(json::write(&again, role), Some(written));
        }
    }
    if let Some(servers) = message::ice_servers(text) {
        assert!(servers.len() <= 16);
        assert!(
            servers
                .iter()
                .all(|server| (1..=16).contains(&server.urls.len()))
        );
        let _ = message::expiry(&servers);
    }
    headers(text);
    // An answer, and the fragment of a restart behind an empty line.
    let (answer, fragment) = text.split_once("\n\n").unwrap_or((text, ""));
    described(answer, fragment);
}

/// Headers and bodies of a media server.
fn headers(text: &str) {
    let servers = link::ice_servers(text.lines(), SERVERS);
    assert!(servers.len() <= SERVERS);
    for server in &servers {
        let url: ServerUrl = server.urls[0].parse().expect("only what can be asked");
        assert_eq!(server.username.is_empty(), !url_has_user(&url));
    }
    let _ = reply::retry_after(text, UNIX_EPOCH);
    for content in ["application/problem+json", "text/plain"] {
        let said = reply::problem(content, text);
        for kind in [Kind::Publish, Kind::Play] {
            let told = reply::refusal(kind, "https://a", 409, true, said.clone(), None).reason;
            assert!(told.chars().count() < 500 && !told.contains(char::is_control));
        }
    }
}

fn url_has_user(url: &ServerUrl) -> bool {
    matches!(url.scheme, esp_wire::Scheme::Turn | esp_wire::Scheme::Turns)
}

/// Our description gives fragments that can be read; a restart changes nothing but ICE.
fn described(text: &str, fragment: &str) {
    let Ok(description) = Description::parse(text) else {
        return;
    };
    if let Ok(mut ours) = describe::Ours::of(text) {
        ours.add("candidate:1 1 udp 1 192.0.2.1 1 typ host", CANDIDATES);
        ours.add("", CANDIDATES);
        let whole = ours.whole().to_string();
        if whole.len() <= Fragment::MAX_TEXT {
            let read = Fragment::parse(&whole).expect("our fragment can be read");
            assert_eq!(read.ufrag, ours.ufrag());
        }
        ours.mark_told();
        assert!(!ours.is_untold());
    }
    let Ok(fragment) = Fragment::parse(fragment) else {
        return;
    };
    let Ok(renewed) = describe::renewed(text, &fragment) else {
        return;
    };
    let renewed = Description::parse(&renewed).expect("what was renewed can be read");
    assert_eq!(renewed.sections().len(), description.sections().len());
    for (before, after) in description.sections().iter().zip(renewed.sections()) {
        assert_eq!(
            (&before.kind, &before.mid, before.port),
            (&after.kind, &after.mid, after.port)
        );
        assert_eq!(before.fingerprints, after.fingerprints);
        if let Some(ice) = &after.ice {
            assert_eq!((&ice.ufrag, &ice.pwd), (&fragment.ufrag, &fragment.pwd));
        }
    }
}
