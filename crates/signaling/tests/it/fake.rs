//! A room server that does what a test says and remembers what it was asked.

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

use crate::PATIENCE;

/// The server's memory and orders.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) log: Vec<String>,
    /// Joins that are answered FULL.
    pub(crate) full: usize,
    /// Posts that are answered with this status.
    pub(crate) post_status: Option<u16>,
    pub(crate) initiator: bool,
    pub(crate) messages: Vec<String>,
    pub(crate) servers: String,
    /// URLs in answers have no scheme and host.
    pub(crate) relative: bool,
    clients: HashSet<String>,
    joined: usize,
    sockets: HashMap<String, TcpStream>,
}

pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        shared.0.lock().unwrap().servers = r#"{"iceServers":[{"urls":["stun:a"]}]}"#.into();
        let (inner, port) = (shared.clone(), address.port());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = inner.clone();
                std::thread::spawn(move || serve(stream, &inner, port));
            }
        });
        Fake { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/r/demo", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Waits until the log has a line that begins so, and returns all of it.
    pub(crate) fn wait_for(&self, line: &str) -> Vec<String> {
        let state = self.state();
        let (state, time) = self
            .shared
            .1
            .wait_timeout_while(state, PATIENCE, |state| {
                !state.log.iter().any(|known| known.starts_with(line))
            })
            .unwrap();
        assert!(!time.timed_out(), "no {line:?} in {:#?}", state.log);
        state.log.clone()
    }

    /// Sends a text to a client by its WebSocket.
    pub(crate) fn say(&self, client: &str, text: &str) {
        let stream = self.state().sockets[client].try_clone().unwrap();
        let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
        socket.send(Message::text(text)).unwrap();
    }

    /// Breaks the connection of a client; nobody is let in again before the answer is dropped.
    pub(crate) fn cut(&self, client: &str) -> MutexGuard<'_, State> {
        let mut state = self.state();
        let stream = state.sockets.remove(client).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        state
    }

    /// Forgets everybody, as a restart does.
    pub(crate) fn forget(&self) {
        self.state().clients.clear();
    }
}

fn note(shared: &(Mutex<State>, Condvar), line: String) {
    shared.0.lock().unwrap().log.push(line);
    shared.1.notify_all();
}

/// The head of a request: its first line and the headers that matter.
struct Head {
    method: String,
    path: String,
    length: usize,
    key: Option<String>,
    origin: String,
}

fn head(reader: &mut BufReader<TcpStream>) -> Option<Head> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let mut head = Head {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        length: 0,
        key: None,
        origin: String::new(),
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            return Some(head);
        };
        let value = value.trim().to_owned();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = value.parse().unwrap(),
            "sec-websocket-key" => head.key = Some(value),
            "origin" => head.origin = value,
            _ => {}
        }
    }
}

fn serve(stream: TcpStream, shared: &Arc<(Mutex<State>, Condvar)>, port: u16) {
    let mut out = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    while let Some(head) = head(&mut reader) {
        if let Some(key) = head.key {
            let accept = derive_accept_key(key.as_bytes());
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Accept: {accept}\r\n\r\n"
            );
            out.write_all(answer.as_bytes()).unwrap();
            note(shared, format!("socket from {}", head.origin));
            talk(out, shared);
            return;
        }
        let mut body = vec![0; head.length];
        reader.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        let (status, answer) = answer(shared, port, &head, &body);
        let location = match status {
            307 => format!("Location: {}\r\n", head.path.replacen("/old", "", 1)),
            _ => String::new(),
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\n{location}Content-Length: {}\r\n\r\n{answer}",
            answer.len()
        );
        if out.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn answer(
    shared: &Arc<(Mutex<State>, Condvar)>,
    port: u16,
    head: &Head,
    body: &str,
) -> (u16, String) {
    let parts: Vec<&str> = head.path.trim_start_matches('/').split('/').collect();
    let good = |ok: bool| match ok {
        true => (200, r#"{"result":"SUCCESS"}"#.to_owned()),
        false => (404, r#"{"result":"UNKNOWN_CLIENT"}"#.to_owned()),
    };
    let mut state = shared.0.lock().unwrap();
    let reply = match (head.method.as_str(), &parts[..]) {
        // Requests to `/old/...` are sent on to `/...`.
        ("POST", ["old", ..]) => (307, String::new()),
        ("POST", ["join", room]) => {
            state.log.push(format!("join {room}"));
            if state.full > 0 {
                state.full -= 1;
                (200, r#"{"result":"FULL"}"#.to_owned())
            } else {
                (200, join(&mut state, room, port))
            }
        }
        ("POST", ["ice"]) => {
            state.log.push("ice".into());
            (200, state.servers.clone())
        }
        ("POST", ["message", _, client]) => {
            state.log.push(format!("post {client} {body}"));
            match state.post_status.take() {
                Some(status) => (status, "{}".into()),
                None => good(state.clients.contains(*client)),
            }
        }
        ("POST", ["leave", _, client]) => {
            state.log.push(format!("leave {client}"));
            good(state.clients.remove(*client))
        }
        ("DELETE", ["post", _, client]) => {
            state.log.push(format!("delete {client}"));
            good(true)
        }
        _ => (404, "nothing here".into()),
    };
    drop(state);
    shared.1.notify_all();
    reply
}

fn join(state: &mut State, room: &str, port: u16) -> String {
    state.joined += 1;
    let client = format!("c{}", state.joined);
    state.clients.insert(client.clone());
    let (socket, post) = match state.relative {
        true => ("/ws".to_owned(), "/post".to_owned()),
        false => (
            format!("ws://127.0.0.1:{port}/ws"),
            format!("http://127.0.0.1:{port}/post"),
        ),
    };
    serde_json::json!({ "result": "SUCCESS", "params": {
        "client_id": client,
        "is_initiator": if state.initiator { "true" } else { "false" },
        "room_id": room,
        "wss_url": socket,
        "wss_post_url": post,
        "ice_server_url": "/ice",
        "messages": state.messages,
    }})
    .to_string()
}

fn talk(stream: TcpStream, shared: &Arc<(Mutex<State>, Condvar)>) {
    let mut socket = WebSocket::from_raw_socket(stream.try_clone().unwrap(), Role::Server, None);
    let mut name = String::new();
    while let Ok(message) = socket.read() {
        let Message::Text(text) = message else {
            continue;
        };
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        if value["cmd"] == "register" {
            name = value["clientid"].as_str().unwrap().to_owned();
            let mut state = shared.0.lock().unwrap();
            state.log.push(format!("register {name}"));
            let known = state.clients.contains(&name);
            if known {
                state
                    .sockets
                    .insert(name.clone(), stream.try_clone().unwrap());
            }
            drop(state);
            shared.1.notify_all();
            if !known {
                let error = r#"{"msg":"","error":"no such client; join first"}"#;
                let _ = socket.send(Message::text(error));
                let _ = socket.close(None);
                return;
            }
        } else {
            note(
                shared,
                format!("ws {name} {}", value["msg"].as_str().unwrap()),
            );
        }
    }
}
