//! A device, and listeners that read slowly, fall silent, or are too many.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use esp_rooms::{DeviceConfig, Full, Heard, Limits};
use serde_json::json;

use crate::client::{PATIENCE, calm, wait_for};
use crate::device::{ANSWER, BEAT, Door, OFFER, quiet};

#[test]
fn who_does_not_read_is_cut_and_the_rest_is_bounded() {
    let limits = Limits {
        patience: Duration::from_secs(2),
        ghost_expiry: Duration::from_secs(3),
        ping_interval: Duration::from_secs(1),
        ..calm()
    };
    let door = Door::open(
        limits,
        DeviceConfig {
            queue_bytes: 200_000,
            ..quiet()
        },
    );
    let _stuck = door.listen("");
    let big = json!({ "type": "customized", "data": "x".repeat(60_000) }).to_string();
    // Until the kernel's buffers and the queue are full, and for as long as that is borne.
    let mut full = 0;
    wait_for(|| {
        full += u32::from(door.device.say(&big) == Err(Full));
        door.house.server.stats().connections == 0
    });
    assert!(full > 0);
    assert_eq!(door.heard.recv_timeout(PATIENCE), Ok(Heard::Lost));
    assert!(!door.device.is_taken());
    // There is room again.
    door.device.say(&big).unwrap();
}

#[test]
fn who_falls_silent_loses_its_place() {
    let limits = Limits {
        ghost_expiry: Duration::from_secs(3),
        ping_interval: Duration::from_secs(1),
        ..calm()
    };
    let beats = DeviceConfig {
        heartbeat: Duration::from_millis(50),
        ..DeviceConfig::default()
    };
    let door = Door::open(limits, beats);
    // Its stream is open, and it has answered before.
    let mut stream = door.listen("");
    let name = stream.name();
    assert_eq!(stream.next(), Some(serde_json::from_str(BEAT).unwrap()));
    assert_eq!(door.post(&name, BEAT), 200);
    while stream.next().is_some() {}
    assert_eq!(door.heard.recv_timeout(PATIENCE), Ok(Heard::Lost));
    // Its stream is cut, which a heartbeat finds out.
    drop(door.listen(""));
    assert_eq!(door.heard.recv_timeout(PATIENCE), Ok(Heard::Lost));
    wait_for(|| door.house.server.stats().expired == 2);
}

#[test]
fn connections_are_bounded_and_the_listener_stays() {
    let limits = Limits {
        connections_per_address: 3,
        patience: Duration::from_secs(2),
        ..calm()
    };
    let door = Door::open(limits, quiet());
    let mut stream = door.listen("");
    let name = stream.name();
    // Half a head each, from whom nothing more comes.
    let mut slow: Vec<TcpStream> = (0..10).map(|_| door.house.connect()).collect();
    for stream in &mut slow {
        // Most are cut at once.
        let _ = stream.write_all(b"POST /webrtc/signal/post HTTP/1.1\r\n");
    }
    for stream in &mut slow {
        let _ = stream.read_to_end(&mut Vec::new());
    }
    wait_for(|| door.house.server.stats().connections == 1);
    assert_eq!(door.post(&name, ANSWER), 200);
    door.device.say(OFFER).unwrap();
    assert_eq!(stream.next().unwrap()["type"], "offer");
}
