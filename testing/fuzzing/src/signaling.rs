//! The JSON of AppRTC, as a server or a peer with odd ideas sends it.

use esp_wire::Role;

// Nothing outside its crate may use it, so it is compiled once more here.
#[path = "../../../crates/signaling/src/apprtc/message.rs"]
#[allow(dead_code, reason = "the client uses more of it than is tried here")]
mod message;

use message::{FromServer, Incoming};

/// What can be read is written so that it reads the same; lists of servers stay short.
pub(crate) fn messages(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let FromServer::Incoming(Incoming::Signal(signal)) = message::read_from_server(text) {
        for role in [Role::Controlling, Role::Controlled] {
            let written = message::write(&signal, role).expect("what was read can be written");
            let Some(Incoming::Signal(again)) = message::read(&written) else {
                panic!("it does not read back: {written}");
            };
            // The first writing fills in what a peer left out; nothing changes after it.
            assert_eq!(message::write(&again, role), Some(written));
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
}
