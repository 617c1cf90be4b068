//! A server under test, and the few lines of HTTP and WebSocket that speak to it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use esp_rooms::{Config, Error, Event, Limits, Server};
use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Nobody is given up for being slow, and after the first ping there is none.
pub(crate) fn calm() -> Limits {
    Limits {
        ghost_expiry: Duration::from_secs(3_600),
        ping_interval: Duration::from_secs(1_200),
        patience: PATIENCE,
        ..Limits::default()
    }
}

/// Waits until the condition holds.
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "never came");
        std::thread::yield_now();
    }
}

pub(crate) struct House {
    pub(crate) server: Server,
    pub(crate) events: Receiver<Event>,
    pub(crate) address: SocketAddr,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let of = |line: &'_ str| line.split_once(": ").map(|(n, _)| n.to_ascii_lowercase());
        let line = self.head.lines().find(|l| of(l).as_deref() == Some(name))?;
        Some(line.split_once(": ")?.1)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    pub(crate) fn result(&self) -> String {
        self.json()["result"].as_str().unwrap_or("").to_owned()
    }
}

pub(crate) struct Member {
    pub(crate) room: String,
    pub(crate) id: String,
    pub(crate) params: Value,
}

impl Member {
    pub(crate) fn initiator(&self) -> bool {
        self.params["is_initiator"] == "true"
    }

    pub(crate) fn messages(&self) -> Vec<&str> {
        let messages = self.params["messages"].as_array().unwrap();
        messages.iter().map(|m| m.as_str().unwrap()).collect()
    }

    pub(crate) fn path(&self, verb: &str) -> String {
        format!("/{verb}/{}/{}", self.room, self.id)
    }
}

impl House {
    pub(crate) fn open(limits: Limits) -> Self {
        Self::with(Config::local(0).with_limits(limits))
    }

    pub(crate) fn with(config: Config) -> Self {
        House::try_with(config).unwrap()
    }

    pub(crate) fn try_with(config: Config) -> Result<Self, Error> {
        let (sender, events) = channel();
        let server = Server::start(config.with_events(move |event| {
            let _ = sender.send(event.clone());
        }))?;
        Ok(House {
            address: server.addresses()[0],
            server,
            events,
        })
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Sends these bytes and reads one answer.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // A server that refuses may close before it has read all.
        let _ = stream.write_all(request);
        read_answer(&mut stream)
    }

    pub(crate) fn ask(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let host = self.host();
        let mut request = format!("{line} HTTP/1.1\r\nConnection: close\r\n");
        if !headers.iter().any(|(name, _)| *name == "Host") {
            request += &format!("Host: {host}\r\n");
        }
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
        self.raw(request.as_bytes())
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(&format!("POST {path}"), &[], body)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "")
    }

    pub(crate) fn join(&self, room: &str) -> Member {
        let answer = self.post(&format!("/join/{room}"), "");
        assert_eq!(answer.result(), "SUCCESS", "{}", answer.body);
        let params = answer.json()["params"].clone();
        Member {
            room: room.to_owned(),
            id: params["client_id"].as_str().unwrap().to_owned(),
            params,
        }
    }

    pub(crate) fn socket(&self, origin: Option<&str>) -> Result<Socket, tungstenite::Error> {
        let url = format!("ws://{}/ws", self.host());
        let mut request = url.into_client_request()?;
        if let Some(origin) = origin {
            request
                .headers_mut()
                .insert("Origin", origin.parse().unwrap());
        }
        let stream = self.connect();
        match tungstenite::client(request, stream) {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(tungstenite::HandshakeError::Failure(error)) => Err(error),
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn register(&self, member: &Member) -> Socket {
        let mut socket = self.socket(None).unwrap();
        socket.register(member);
        // Not before the server has it: what is sent by another connection must not overtake.
        self.until(
            |event| matches!(event, Event::Registered { client, .. } if *client == member.id),
        );
        socket
    }

    /// Waits for an event and returns it.
    pub(crate) fn until(&self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.events.recv_timeout(PATIENCE).expect("an event");
            if wanted(&event) {
                return event;
            }
        }
    }

    pub(crate) fn until_left(&self, member: &Member) -> Event {
        self.until(|event| matches!(event, Event::Left { client, .. } if *client == member.id))
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends these bytes, says that nothing more will come, and reads the answer.
pub(crate) fn shut_and_read(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    read_answer(&mut stream)
}

pub(crate) fn read_answer(stream: &mut impl Read) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    // An error after an answer is no matter: the server closed on what it did not read.
    while let Ok(count) = stream.read(&mut chunk) {
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..count]);
    }
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or(0),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

pub(crate) struct Socket(pub(crate) WebSocket<TcpStream>);

impl Socket {
    pub(crate) fn put(&mut self, value: &Value) {
        // Refused messages may find the socket closed.
        let _ = self.0.send(Message::text(value.to_string()));
    }

    pub(crate) fn register(&mut self, member: &Member) {
        self.put(&json!({ "cmd": "register", "roomid": member.room, "clientid": member.id }));
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.put(&json!({ "cmd": "send", "msg": text }));
    }

    /// The next text; none when the server closed.
    pub(crate) fn next(&mut self) -> Option<Value> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next message of the other client.
    pub(crate) fn hear(&mut self) -> String {
        let value = self.next().expect("a message");
        assert_eq!(value["error"], "", "{value}");
        value["msg"].as_str().unwrap().to_owned()
    }

    /// What the server complains of, and that it closes then.
    pub(crate) fn complaint(&mut self) -> String {
        let value = self.next().expect("a complaint");
        assert_eq!(self.next(), None);
        value["error"].as_str().unwrap().to_owned()
    }
}
