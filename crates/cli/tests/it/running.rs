//! The program at work.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use esp_rooms::{Config, Identity, Limits, Listener, Server, TlsConfig};

use crate::program::{Dir, PATIENCE, Program, output};

#[test]
fn the_room_server_starts_and_stops() {
    let mut server = Program::start(&["serve", "--port", "0"]);
    let serving = server.event("serving");
    assert!(
        serving["url"]
            .as_str()
            .unwrap()
            .starts_with("http://localhost:")
    );
    server.interrupt();
    server.event("stopped");
    assert!(server.wait().success());
}

#[test]
fn the_network_is_looked_at() {
    let output = output(&["probe", "--no-servers"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("address 127.0.0.1"), "{text}");
    assert!(text.contains("no server was asked"), "{text}");
}

#[test]
fn a_call_to_a_doorbell() {
    let dir = Dir::new("doorbell");
    let (files, record) = (dir.path("files"), dir.path("record"));
    let mut doorbell = Program::start(&[
        "--port", "0", "--files", &files, "--record", &record, "--levels", "0.5", "--ring",
    ]);
    let url = doorbell.event("serving")["url"]
        .as_str()
        .unwrap()
        .to_owned();
    doorbell.event("ringing");
    let gift = dir.path("gift.txt");
    fs::write(&gift, vec![b'x'; 300_000]).unwrap();

    // Twice: the second call finds the doorbell as the first did.
    for name in ["gift.txt", "gift-2.txt"] {
        let mut call = Program::start(&[
            "call",
            &url,
            "--send",
            "4M",
            "--message-size",
            "1M",
            "--send-file",
            &gift,
        ]);
        doorbell.event("accepted");
        let connected = call.event("connected");
        assert!(connected["dtls"].as_str().unwrap().starts_with("DTLS"));
        doorbell.event("connected");
        let file = doorbell.event("file");
        assert_eq!(file["bytes"], 300_000);
        call.event("stopped");
        assert!(call.wait().success());
        doorbell.event("left");
        let kept = fs::read(dir.0.join("files").join(name)).unwrap();
        assert!(kept.iter().all(|byte| *byte == b'x') && kept.len() == 300_000);
    }
    doorbell.interrupt();
    doorbell.event("stopped");
    assert!(doorbell.wait().success());
}

#[test]
fn two_plain_peers_talk_see_and_hear() {
    let mut server = Program::start(&["serve", "--port", "0"]);
    let url = format!(
        "{}/r/talk",
        server.event("serving")["url"].as_str().unwrap()
    );
    for dtls in ["1.2", "1.3"] {
        let mut first = Program::start(&["call", &url, "--levels", "0.2"]);
        first.event("joined");
        let mut second = Program::start(&["call", &url, "--levels", "0.2", "--dtls", dtls]);
        for call in [&mut first, &mut second] {
            let connected = call.event("connected");
            assert_eq!(connected["dtls"], format!("DTLS {dtls}"));
        }
        for call in [&mut first, &mut second] {
            let flows = |level: &serde_json::Value| {
                level["video_decoded"].as_u64().unwrap() > 10
                    && level["audio_decoded"].as_u64().unwrap() > 10
                    && level["rms_db"].as_f64().unwrap() > -60.0
            };
            while !flows(&call.event("level")) {}
        }
        first.type_line("good morning");
        assert_eq!(second.event("chat")["text"], "good morning");
        second.type_line("/quit");
        second.event("stopped");
        first.event("left");
        first.interrupt();
        first.event("stopped");
        assert!(first.wait().success() && second.wait().success());
    }
    server.interrupt();
    server.event("stopped");
}

/// Why a server is not believed; on a slow machine an attempt may take too long before that.
fn unbelieved(program: &mut Program, why: &str) -> String {
    let mut reasons = (0..20).map(|_| program.event("interrupted")["reason"].to_string());
    let found = reasons.find(|reason| reason.contains(why));
    found.unwrap_or_else(|| panic!("it was never for {why:?}"))
}

#[test]
fn a_server_of_ones_own_is_believed_by_its_fingerprint_or_its_certificate() {
    let dir = Dir::new("own");
    let identity = Identity::generate(&["localhost".to_owned()]).unwrap();
    let tls = TlsConfig::from_identity(&identity).unwrap();
    let here = IpAddr::from(Ipv4Addr::LOCALHOST);
    let listener = Listener::new((here, 0).into()).with_tls(tls);
    let limits = Limits {
        patience: PATIENCE,
        ..Limits::default()
    };
    let config = Config::local(0).with_limits(limits);
    let server = Server::start(config.with_listener(listener)).unwrap();
    let port = server.addresses().last().unwrap().port();
    let (named, numbered) = (
        format!("https://localhost:{port}/r/own"),
        format!("https://127.0.0.1:{port}/r/own"),
    );
    let mut stranger = Program::start(&["call", &named]);
    let reason = unbelieved(&mut stranger, "no trusted root");
    for word in ["--pin", "--ca"] {
        assert!(reason.contains(word), "{reason}");
    }
    drop(stranger);
    let print = identity.fingerprint_text();
    Program::start(&["call", &numbered, "--pin", &print]).event("joined");
    let ca = dir.path("ca.pem");
    fs::write(&ca, identity.certificate_pem()).unwrap();
    Program::start(&["call", &named, "--ca", &ca]).event("joined");
    let mut wrong = Program::start(&["call", &numbered, "--ca", &ca]);
    let reason = unbelieved(&mut wrong, "another name");
    for word in ["localhost", "--pin"] {
        assert!(reason.contains(word), "{reason}");
    }
}
