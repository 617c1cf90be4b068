//! A device's signaling, and a page in raw HTTP.

#![allow(clippy::unwrap_used)] // Helpers of tests are tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use esp_local::{Config, DeviceConfig, Local, LocalConfig};
use esp_rooms::Limits;
use esp_signaling::{Error, IceCause, IceInfo, Signaling, SignalingEvents};
use esp_wire::{IceServer, Signal};
use serde_json::{Value, json};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, PartialEq)]
enum Told {
    Info(IceCause, Vec<IceServer>),
    Connected,
    Message(Signal<'static>),
    PeerLost,
    Closed(String),
}

struct Teller(Sender<Told>);

impl Teller {
    fn tell(&self, told: Told) {
        let _ = self.0.send(told);
    }
}

impl SignalingEvents for Teller {
    fn on_ice_info(&mut self, info: IceInfo) {
        assert!(info.is_initiator());
        self.tell(Told::Info(info.cause, info.servers));
    }

    fn on_connected(&mut self) {
        self.tell(Told::Connected);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.tell(Told::Message(msg.into_owned()));
    }

    fn on_close(&mut self, reason: &str) {
        self.tell(Told::Closed(reason.to_owned()));
    }

    fn on_peer_lost(&mut self) {
        self.tell(Told::PeerLost);
    }
}

/// A signaling that was started, and what it has told since.
struct Device {
    local: Local,
    told: Receiver<Told>,
    address: SocketAddr,
    servers: Vec<IceServer>,
}

impl Device {
    fn start(limits: Limits, config: LocalConfig) -> Self {
        let servers = vec![IceServer::stun("stun:stun.example.org")];
        let server = Config::local(0)
            .with_limits(limits)
            .with_ice_servers(servers.clone());
        let mut local = Local::serve(server, config).unwrap();
        let address = local.server().unwrap().addresses()[0];
        let (sender, told) = channel();
        local.start(Box::new(Teller(sender))).unwrap();
        let device = Device {
            local,
            told,
            address,
            servers,
        };
        device.expect([device.info(IceCause::Joined), Told::Connected]);
        device
    }

    fn info(&self, cause: IceCause) -> Told {
        Told::Info(cause, self.servers.clone())
    }

    fn expect<const N: usize>(&self, wanted: [Told; N]) {
        for one in wanted {
            assert_eq!(self.told.recv_timeout(PATIENCE).unwrap(), one);
        }
    }

    fn send(&self, head: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (port, size) = (self.address.port(), body.len());
        // Of version 1.0, whose bodies are not in chunks.
        let request = format!(
            "{head} HTTP/1.0\r\nHost: localhost:{port}\r\nContent-Length: {size}\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        BufReader::new(stream)
    }

    fn post(&self, value: &Value) -> bool {
        let mut answer = String::new();
        let mut reader = self.send("POST /webrtc/signal/post", &value.to_string());
        reader.read_to_string(&mut answer).unwrap();
        answer.starts_with("HTTP/1.0 200 ")
    }

    /// Listens, and reads `connected`.
    fn listen(&self) -> Page {
        let mut page = Page(self.send("GET /webrtc/signal", ""));
        assert_eq!(page.next().unwrap()["type"], "connected");
        page
    }
}

struct Page(BufReader<TcpStream>);

impl Page {
    /// The next event; none when the stream has ended.
    fn next(&mut self) -> Option<Value> {
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
        }
    }
}

fn candidate() -> Signal<'static> {
    Signal::Candidate {
        candidate: "candidate:1".into(),
        mid: Some("0".into()),
        line: Some(0),
    }
}

#[test]
fn a_call_is_arranged_and_ended_by_either_side() {
    let mut device = Device::start(Limits::default(), LocalConfig::default());
    let ring = Signal::Customized("RING".into());
    device.local.send_msg(&ring).unwrap();
    let mut page = device.listen();
    assert_eq!(
        page.next().unwrap(),
        json!({ "type": "customized", "data": "RING" })
    );
    assert!(device.post(&json!({ "type": "customized", "data": "ACCEPT_CALL" })));
    device.expect([Told::Message(Signal::Customized("ACCEPT_CALL".into()))]);
    let offer = Signal::Sdp("v=0\r\na=setup:actpass\r\n".into());
    device.local.send_msg(&offer).unwrap();
    device.local.send_msg(&candidate()).unwrap();
    let event = page.next().unwrap();
    assert_eq!(
        (&event["type"], &event["sdp"]),
        (&json!("offer"), &json!("v=0\r\na=setup:actpass\r\n"))
    );
    let event = page.next().unwrap();
    assert_eq!(
        event,
        json!({ "type": "candidate", "candidate": "candidate:1", "id": "0", "label": 0 })
    );
    assert!(device.post(&json!({ "type": "answer", "sdp": "v=0\r\na=setup:active\r\n" })));
    assert!(device.post(&event));
    let answer = Signal::Sdp("v=0\r\na=setup:active\r\n".into());
    device.expect([Told::Message(answer), Told::Message(candidate())]);

    // The page hangs up, and comes again.
    assert!(device.post(&json!({ "type": "bye" })));
    device.expect([Told::Message(Signal::Bye), device.info(IceCause::PeerLeft)]);
    assert_eq!(page.next(), None);
    let mut page = device.listen();
    // The device hangs up, and then it ends.
    device.local.send_msg(&Signal::Bye).unwrap();
    device.expect([device.info(IceCause::Joined)]);
    device.local.stop().unwrap();
    device.expect([Told::Closed("stopped".into())]);
    let bye = Some(json!({ "type": "bye" }));
    assert_eq!(
        [page.next(), page.next(), page.next()],
        [bye.clone(), bye, None]
    );
}

#[test]
fn a_page_that_falls_silent_is_lost() {
    let limits = Limits {
        ghost_expiry: Duration::from_secs(1),
        ping_interval: Duration::from_millis(300),
        ..Limits::default()
    };
    let beats = DeviceConfig {
        heartbeat: Duration::from_millis(50),
        ..DeviceConfig::default()
    };
    let device = Device::start(limits, LocalConfig::default().with_device(beats));
    let mut page = device.listen();
    assert_eq!(page.next(), Some(json!({ "type": "heartbeat" })));
    drop(page);
    device.expect([Told::PeerLost, device.info(IceCause::PeerLost)]);
    assert!(!device.local.is_taken());
}

#[test]
fn what_makes_no_sense_is_passed_over() {
    let device = Device::start(Limits::default(), LocalConfig::default());
    let _page = device.listen();
    for value in [
        json!({ "type": "offer" }),
        json!({ "type": "candidate", "candidate": 7 }),
        json!({ "type": "customized" }),
        json!({ "type": "heartbeat" }),
    ] {
        assert!(device.post(&value), "{value}");
    }
    assert!(device.post(&json!({ "type": "customized", "data": "x" })));
    device.expect([Told::Message(Signal::Customized("x".into()))]);
}

#[test]
fn what_waits_for_a_page_is_bounded() {
    let few = DeviceConfig {
        queue_messages: 2,
        ..DeviceConfig::default()
    };
    let mut device = Device::start(Limits::default(), LocalConfig::default().with_device(few));
    let word = Signal::Customized("RING".into());
    for _ in 0..2 {
        device.local.send_msg(&word).unwrap();
    }
    assert_eq!(device.local.send_msg(&word), Err(Error::WouldBlock));
    let mut page = device.listen();
    for _ in 0..2 {
        assert_eq!(page.next().unwrap()["data"], "RING");
    }
    device.local.send_msg(&word).unwrap();
    assert_eq!(page.next().unwrap()["data"], "RING");
}

#[test]
fn it_is_used_in_order() {
    let config = || Config::local(0);
    let mut local = Local::serve(config(), LocalConfig::default()).unwrap();
    assert!(local.url().ends_with("/webrtc/test"));
    let (sender, told) = channel();
    let word = Signal::Customized("RING".into());
    assert!(matches!(local.send_msg(&word), Err(Error::Misuse(_))));
    local.start(Box::new(Teller(sender.clone()))).unwrap();
    assert!(matches!(
        local.start(Box::new(Teller(sender))),
        Err(Error::Misuse(_))
    ));
    assert_eq!((local.stop(), local.stop()), (Ok(()), Ok(())));
    assert_eq!(local.send_msg(&word), Err(Error::Closed));
    assert_eq!(told.iter().last(), Some(Told::Closed("stopped".into())));
    // One that is never started ends too; settings are checked.
    drop(Local::serve(config(), LocalConfig::default()).unwrap());
    let none = DeviceConfig {
        message_size: 0,
        ..DeviceConfig::default()
    };
    let wrong = LocalConfig::default().with_device(none);
    assert!(Local::serve(config(), wrong).is_err());
}
