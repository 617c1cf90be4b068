//! A Janus server of the tests' own: sessions, handles and one video room.

use std::collections::{HashMap, VecDeque};
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::PATIENCE;
use crate::studio::{Asked, read};

/// The server's memory and orders.
#[derive(Default)]
pub(crate) struct State {
    /// What was asked, without polls.
    pub(crate) log: Vec<String>,
    /// What every request must show.
    pub(crate) secret: Option<(&'static str, &'static str)>,
    pub(crate) pin: Option<&'static str>,
    /// Who publishes.
    pub(crate) publishers: Vec<u64>,
    /// Errors that the next requests of these verbs get.
    pub(crate) refusals: HashMap<&'static str, VecDeque<(i64, &'static str)>>,
    /// Errors that the room says to the next requests.
    pub(crate) room_refusals: VecDeque<(i64, &'static str)>,
    sessions: HashMap<u64, VecDeque<Value>>,
    made: u64,
    newest: (u64, u64),
}

impl State {
    /// Says an event to the newest handle.
    pub(crate) fn say(&mut self, mut event: Value) {
        let (session, handle) = self.newest;
        event["sender"] = handle.into();
        self.push(session, event);
    }

    fn push(&mut self, session: u64, event: Value) {
        if let Some(events) = self.sessions.get_mut(&session) {
            events.push_back(event);
        }
    }

    fn of_room(&mut self, data: Value, jsep: Option<Value>) {
        let plugin = json!({ "plugin": "janus.plugin.videoroom", "data": data });
        let mut event = json!({ "janus": "event", "plugindata": plugin });
        if let Some(jsep) = jsep {
            event["jsep"] = jsep;
        }
        self.say(event);
    }

    /// Forgets all sessions, as a restart does.
    pub(crate) fn forget(&mut self) {
        self.sessions.clear();
    }
}

type Shared = Arc<(Mutex<State>, Condvar)>;

pub(crate) struct Gateway {
    pub(crate) address: SocketAddr,
    shared: Shared,
}

impl Gateway {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        let inner = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = inner.clone();
                std::thread::spawn(move || serve(&stream, &inner));
            }
        });
        Gateway { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/janus", self.address)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// Changes what it knows, and wakes whoever waits.
    pub(crate) fn change(&self, act: impl FnOnce(&mut State)) {
        act(&mut self.lock());
        self.shared.1.notify_all();
    }

    /// Waits until something was asked so often, and returns all of the log.
    pub(crate) fn wait_for(&self, line: &str, times: usize) -> Vec<String> {
        let is_so = |state: &State| state.log.iter().filter(|it| *it == line).count() >= times;
        let waited = self
            .shared
            .1
            .wait_timeout_while(self.lock(), PATIENCE, |state| !is_so(state));
        let (state, time) = waited.unwrap();
        assert!(!time.timed_out(), "no {line:?} in {:#?}", state.log);
        state.log.clone()
    }
}

fn serve(stream: &TcpStream, shared: &Shared) {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    while let Some(asked) = read(&mut reader) {
        let answer = match asked.method.as_str() {
            "GET" => poll(&asked, shared),
            _ => ask(&asked, shared),
        };
        shared.1.notify_all();
        let (status, body) = match answer {
            Some(value) => (200, value.to_string()),
            None => (404, String::new()),
        };
        let size = body.len();
        let text = format!("HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n\r\n{body}");
        if out.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn refused(code: i64, reason: &str) -> Value {
    json!({ "janus": "error", "error": { "code": code, "reason": reason } })
}

/// Waits for events; none for a session that is not there.
fn poll(asked: &Asked, shared: &Shared) -> Option<Value> {
    let (path, query) = asked.path.split_once('?')?;
    let session = path.strip_prefix("/janus/")?.parse().ok()?;
    let mut state = shared.0.lock().unwrap();
    if let Some((name, secret)) = state.secret
        && !query.contains(&format!("{name}={secret}"))
    {
        return Some(refused(403, "who are you"));
    }
    let waits = |state: &mut State| state.sessions.get(&session).is_some_and(VecDeque::is_empty);
    state = shared.1.wait_while(state, waits).unwrap();
    let events = state.sessions.get_mut(&session)?;
    Some(events.drain(..).collect())
}

fn ask(asked: &Asked, shared: &Shared) -> Option<Value> {
    let request: Value = serde_json::from_str(&asked.body).ok()?;
    let path = asked.path.strip_prefix("/janus")?;
    let ids: Vec<u64> = path
        .split('/')
        .skip(1)
        .map(|id| id.parse().unwrap())
        .collect();
    let mut state = shared.0.lock().unwrap();
    let verb = request["janus"].as_str()?.to_owned();
    state.log.push(match verb.as_str() {
        "message" => {
            let jsep = request["jsep"]["type"].as_str().unwrap_or_default();
            format!("{} {jsep}", request["body"]["request"].as_str()?)
        }
        "trickle" => match request["candidate"]["candidate"].as_str() {
            Some(text) => format!("trickle {}", text.split(' ').nth(5)?),
            None => format!("completed {}", request["candidate"]["completed"]),
        },
        verb => verb.to_owned(),
    });
    let mut answer = answer(&mut state, &verb, &ids, &request);
    answer["transaction"] = request["transaction"].clone();
    Some(answer)
}

fn answer(state: &mut State, verb: &str, ids: &[u64], request: &Value) -> Value {
    if let Some((name, secret)) = state.secret
        && request[name] != secret
    {
        return refused(403, "who are you");
    }
    let refusals = state.refusals.get_mut(verb);
    if let Some((code, reason)) = refusals.and_then(VecDeque::pop_front) {
        return refused(code, reason);
    }
    match ids.first() {
        Some(session) if !state.sessions.contains_key(session) => return refused(458, "unknown"),
        _ => {}
    }
    match verb {
        "create" => {
            state.made += 1;
            let id = state.made;
            state.sessions.insert(id, VecDeque::new());
            json!({ "janus": "success", "data": { "id": id } })
        }
        "attach" => {
            assert_eq!(request["plugin"], "janus.plugin.videoroom");
            state.made += 1;
            state.newest = (ids[0], state.made);
            json!({ "janus": "success", "data": { "id": state.made } })
        }
        "detach" => {
            let event = json!({ "janus": "detached", "sender": ids[1] });
            state.push(ids[0], event);
            json!({ "janus": "success" })
        }
        "destroy" => {
            state.sessions.remove(&ids[0]);
            json!({ "janus": "success" })
        }
        "message" => message(state, &request["body"], &request["jsep"]),
        _ => json!({ "janus": "ack" }),
    }
}

fn message(state: &mut State, body: &Value, jsep: &Value) -> Value {
    let of = |kind: &str, sdp: &str| Some(json!({ "type": kind, "sdp": sdp }));
    let publishers = state.publishers.clone();
    if let Some((code, error)) = state.room_refusals.pop_front() {
        state.of_room(
            json!({ "videoroom": "event", "error_code": code, "error": error }),
            None,
        );
        return json!({ "janus": "ack" });
    }
    match body["request"].as_str().unwrap() {
        "join" if state.pin.is_some_and(|pin| body["pin"] != pin) => {
            let data = json!({ "videoroom": "event", "error_code": 433, "error": "wrong pin" });
            state.of_room(data, None);
        }
        "join" if body["ptype"] == "publisher" => {
            state.of_room(json!({ "videoroom": "joined", "room": body["room"] }), None);
        }
        "join" => {
            let feed = body["streams"][0]["feed"].as_u64().unwrap();
            let data = match publishers.contains(&feed) {
                true => json!({ "videoroom": "attached" }),
                false => json!({ "videoroom": "event", "error_code": 428, "error": "no feed" }),
            };
            let jsep = publishers
                .contains(&feed)
                .then(|| of("offer", &format!("feed {feed}")));
            state.of_room(data, jsep.flatten());
        }
        "listparticipants" => {
            let one = |id: &u64| json!({ "id": id, "publisher": true });
            let mut list = vec![json!({ "id": 1, "publisher": false })];
            list.extend(publishers.iter().map(one));
            let data = json!({ "videoroom": "participants", "participants": list });
            return json!({ "janus": "success", "plugindata": { "data": data } });
        }
        "publish" | "configure" => {
            let sdp = format!("to {}", jsep["sdp"].as_str().unwrap());
            let data = json!({ "videoroom": "event", "configured": "ok" });
            state.of_room(data, of("answer", &sdp));
        }
        _ => {}
    }
    json!({ "janus": "ack" })
}
