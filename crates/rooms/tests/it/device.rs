//! A device that serves itself: its event stream, and what is posted to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use esp_rooms::{Config, Device, DeviceConfig, Full, Heard, Identity, Limits, Listener, TlsConfig};
use serde_json::{Value, json};

use crate::client::{House, PATIENCE, calm, wait_for};

pub(crate) const OFFER: &str = r#"{"type":"offer","sdp":"v=0\r\n"}"#;
pub(crate) const ANSWER: &str = r#"{"type":"answer","sdp":"v=0\r\n"}"#;
const BYE: &str = r#"{"type":"bye"}"#;
pub(crate) const BEAT: &str = r#"{"type":"heartbeat"}"#;

/// A device in its house.
pub(crate) struct Door {
    pub(crate) house: House,
    pub(crate) device: Device,
    pub(crate) heard: Receiver<Heard>,
}

/// Without a heartbeat that a test does not ask for.
pub(crate) fn quiet() -> DeviceConfig {
    DeviceConfig {
        heartbeat: Duration::from_secs(1_000),
        ..DeviceConfig::default()
    }
}

impl Door {
    pub(crate) fn open(limits: Limits, config: DeviceConfig) -> Self {
        Self::with(Config::local(0).with_limits(limits), config)
    }

    fn with(config: Config, device: DeviceConfig) -> Self {
        let (words, heard): (SyncSender<Heard>, _) = sync_channel(8);
        let device = Device::new(device, move |word| words.try_send(word).map_err(|_| Full));
        let device = device.unwrap();
        Door {
            house: House::with(config.with_device(device.clone())),
            device,
            heard,
        }
    }

    fn hear(&self) -> String {
        match self.heard.recv_timeout(PATIENCE).unwrap() {
            Heard::Message(text) => text,
            other => panic!("{other:?}"),
        }
    }

    fn request(&self, query: &str, headers: &str) -> String {
        // Of version 1.0, whose bodies are not in chunks.
        let host = self.house.host();
        format!("GET /webrtc/signal{query} HTTP/1.0\r\nHost: {host}\r\n{headers}\r\n")
    }

    pub(crate) fn listen(&self, query: &str) -> Stream<TcpStream> {
        let mut stream = self.house.connect();
        stream
            .write_all(self.request(query, "").as_bytes())
            .unwrap();
        Stream::of(stream)
    }

    pub(crate) fn post(&self, id: &str, text: &str) -> u16 {
        self.house
            .post(&format!("/webrtc/signal/post?id={id}"), text)
            .status
    }
}

/// An event stream whose head is read.
pub(crate) struct Stream<S> {
    reader: BufReader<S>,
    /// Of the event that was read last.
    number: String,
}

impl<S: Read> Stream<S> {
    fn of(stream: S) -> Self {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.contains(" 200 "), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        Stream {
            reader,
            number: String::new(),
        }
    }

    /// The next event; none when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Value> {
        let mut data = None;
        loop {
            let mut line = String::new();
            // One that was cut has ended, too.
            if self.reader.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            match line.trim_end_matches('\n').split_once(": ") {
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                Some(("id", number)) => self.number = number.to_owned(),
                Some((field, _)) => assert_eq!(field, "retry"),
                None => return Some(data.unwrap()),
            }
        }
    }

    /// The name that `connected` gives, which is the next event.
    pub(crate) fn name(&mut self) -> String {
        let event = self.next().unwrap();
        assert_eq!(event["type"], "connected", "{event}");
        event["id"].as_str().unwrap().to_owned()
    }
}

fn ringing(number: usize) -> String {
    json!({ "type": "customized", "data": format!("RING {number}") }).to_string()
}

#[test]
fn it_is_heard_and_hears() {
    let config = Config::local(0)
        .with_limits(calm())
        .with_ice_servers(vec![esp_wire::IceServer::stun("stun:stun.example.org")]);
    let door = Door::with(config, quiet());
    // What is said before somebody listens waits.
    door.device.say(&ringing(1)).unwrap();
    let mut stream = door.listen("");
    let event = stream.next().unwrap();
    let servers = json!([{ "urls": ["stun:stun.example.org"] }]);
    assert_eq!(
        (&event["type"], &event["resumed"]),
        (&json!("connected"), &json!(false))
    );
    assert_eq!(event["iceServers"], servers);
    assert_eq!(stream.next().unwrap()["data"], "RING 1");
    door.device.say(OFFER).unwrap();
    assert_eq!(stream.next().unwrap()["sdp"], "v=0\r\n");
    assert!(door.device.is_taken());
    let name = event["id"].as_str().unwrap();
    for text in [ANSWER, BEAT, &ringing(2)] {
        assert_eq!(door.post(name, text), 200);
    }
    assert_eq!((door.hear(), door.hear()), (ANSWER.to_owned(), ringing(2)));
    // Without a name, but from the listener's address.
    assert_eq!(door.house.post("/webrtc/signal/post", BYE).status, 200);
    assert_eq!((door.hear(), stream.next()), (BYE.to_owned(), None));
    assert!(!door.device.is_taken());
    assert_eq!(door.house.server.stats().refused, 0);
}

#[test]
fn a_second_listener_is_told_that_it_is_taken() {
    let door = Door::open(calm(), quiet());
    let mut first = door.listen("");
    let name = first.name();
    for query in ["", "?last=x.1", "?last=x", "?last=%ff&last"] {
        let mut second = door.listen(query);
        assert_eq!(second.next(), Some(json!({ "type": "taken" })), "{query}");
        assert_eq!(second.next(), None);
    }
    door.device.say(OFFER).unwrap();
    assert_eq!(first.next().unwrap()["type"], "offer");
    assert_eq!(door.post(&name, BYE), 200);
    assert_eq!(first.next(), None);
    let mut third = door.listen("");
    assert_ne!(third.name(), name);
    assert_eq!(door.post(&name, ANSWER), 403);
    // What was said to the first is none of its business.
    door.device.say(&ringing(3)).unwrap();
    assert_eq!(third.next().unwrap()["data"], "RING 3");
}

#[test]
fn what_is_posted_wrongly_is_refused() {
    let door = Door::open(calm(), quiet());
    assert_eq!(door.post("x", ANSWER), 409);
    let mut stream = door.listen("");
    let name = stream.name();
    let path = format!("/webrtc/signal/post?id={name}");
    let large = |size: usize| format!("{{\"type\":\"offer\",\"sdp\":\"{}\"}}", "x".repeat(size));
    for text in [
        "",
        "7",
        "[]",
        "{",
        "{}",
        r#"{"type":"connected"}"#,
        r#"{"type":7}"#,
        "\u{0}",
    ] {
        assert_eq!(door.post(&name, text), 400, "{text}");
    }
    let raw = |head: &str, body: &[u8]| {
        let host = door.house.host();
        let mut request =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}\r\n\r\n")
                .into_bytes();
        request.extend_from_slice(body);
        door.house.raw(&request).status
    };
    assert_eq!(raw("Content-Length: 2", &[0xff, 0xfe]), 400);
    assert_eq!(door.post(&name, &large(16 * 1024)), 413);
    // Announced, and never sent.
    assert_eq!(raw("Content-Length: 99999999", b""), 413);
    let chunk = format!("4100\r\n{}\r\n0\r\n\r\n", "x".repeat(0x4100));
    assert_eq!(raw("Transfer-Encoding: chunked", chunk.as_bytes()), 413);
    assert_eq!(raw("Transfer-Encoding: chunked", b"no\r\n\r\n"), 413);
    assert_eq!(door.post("y", ANSWER), 403);
    assert_eq!(
        door.house.post("/webrtc/signal/post?id", ANSWER).status,
        403
    );
    for line in [
        "GET /webrtc/signal/post",
        "POST /webrtc/signal",
        "PUT /webrtc/test",
    ] {
        assert_eq!(door.house.ask(line, &[], ANSWER).status, 405, "{line}");
    }
    for header in [("Origin", "http://evil.example"), ("Host", "evil.example")] {
        let line = format!("POST {path}");
        assert_eq!(door.house.ask(&line, &[header], ANSWER).status, 403);
    }
    // Nothing of all that was heard, and the listener is still there.
    assert_eq!(door.post(&name, &large(16 * 1024 - 32)), 200);
    assert!(door.hear().starts_with(r#"{"type":"offer""#));
    // A device that does not keep up says so.
    wait_for(|| door.post(&name, ANSWER) == 429);
    assert_eq!(door.hear(), ANSWER);
    assert_eq!(door.post(&name, ANSWER), 200);
}

#[test]
fn a_stream_that_was_cut_goes_on() {
    let door = Door::open(calm(), quiet());
    let mut stream = door.listen("");
    stream.name();
    for number in 0..4 {
        door.device.say(&ringing(number)).unwrap();
    }
    assert_eq!(stream.next().unwrap()["data"], "RING 0");
    let mut again = door.listen(&format!("?last={}", stream.number));
    assert_eq!(again.next().unwrap()["resumed"], true);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(again.next().unwrap()["data"].clone());
    }
    assert_eq!(heard, ["RING 1", "RING 2", "RING 3"]);
    // The first one ends behind what it was sent already.
    while stream.next().is_some() {}
    // As browsers do it by themselves.
    let header = format!("Last-Event-ID: {}\r\n", again.number);
    drop(again);
    door.device.say(&ringing(4)).unwrap();
    let mut third = door.house.connect();
    third
        .write_all(door.request("", &header).as_bytes())
        .unwrap();
    let mut third = Stream::of(third);
    assert_eq!(third.next().unwrap()["resumed"], true);
    assert_eq!(third.next().unwrap()["data"], "RING 4");
}

#[test]
fn who_has_closed_its_side_still_hears() {
    let door = Door::open(calm(), quiet());
    let mut stream = door.house.connect();
    stream.write_all(door.request("", "").as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut stream = Stream::of(stream);
    stream.name();
    door.device.say(OFFER).unwrap();
    assert_eq!(stream.next().unwrap()["type"], "offer");
}

#[test]
fn the_end_is_told() {
    let door = Door::open(calm(), quiet());
    let mut stream = door.listen("");
    stream.name();
    door.device.say(OFFER).unwrap();
    door.device.say_bye();
    door.house.server.stop();
    assert_eq!(stream.next().unwrap()["type"], "offer");
    assert_eq!(stream.next().unwrap()["type"], "bye");
    assert_eq!(stream.next(), None);
}

#[test]
fn it_has_a_page_and_no_rooms() {
    let door = Door::open(calm(), quiet());
    let house = &door.house;
    let url = format!("http://localhost:{}/webrtc/test", house.address.port());
    assert_eq!(house.server.device_url(), url);
    let page = house.get("/webrtc/test");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(house.get("/").header("location"), Some("/webrtc/test"));
    for part in page.body.split("\"/app/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert_eq!(house.get(&format!("/app/{name}")).status, 200, "{name}");
    }
    for line in [
        "GET /r/demo",
        "POST /join/demo",
        "GET /ws",
        "POST /ice",
        "GET /webrtc",
    ] {
        assert_eq!(house.ask(line, &[], "").status, 404, "{line}");
    }
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("connect-src 'self'"), "{policy}");
}

#[test]
fn it_serves_https() {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let identity = Identity::generate(&names).unwrap();
    let tls = TlsConfig::from_identity(&identity).unwrap();
    let listener = Listener::new(([127, 0, 0, 1], 0).into()).with_tls(tls);
    let config = Config {
        listeners: vec![listener],
        ..Config::default()
    };
    let door = Door::with(config.with_limits(calm()), quiet());
    let mut stream = crate::identity::connect(&door.house, &identity);
    stream.write_all(door.request("", "").as_bytes()).unwrap();
    let mut stream = Stream::of(stream);
    stream.name();
    door.device.say(OFFER).unwrap();
    assert_eq!(stream.next().unwrap()["type"], "offer");
    assert!(door.house.server.device_url().starts_with("https://"));
}
