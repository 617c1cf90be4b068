//! A WHIP and WHEP server that really reads what it is asked, does what a test says, and remembers it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use crate::sdp::{Description, Fragment};

/// How long anything may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What answers offers and takes candidates; by itself the studio says an answer that leads nowhere.
pub(crate) trait Desk: Send + Sync {
    /// The answer to an offer.
    fn answer(&self, session: &str, offer: &str) -> Option<String>;

    /// Candidates that followed.
    fn candidates(&self, _session: &str, _fragment: &Fragment) {}

    /// The session is over.
    fn end(&self, _session: &str) {}
}

struct Nobody;

impl Desk for Nobody {
    fn answer(&self, _session: &str, offer: &str) -> Option<String> {
        Some(described(offer, "passive"))
    }
}

/// A description that fits the m-sections of `of`.
pub(crate) fn described(of: &str, setup: &str) -> String {
    let description = Description::parse(of).unwrap();
    let mids: Vec<&str> = description
        .sections()
        .iter()
        .map(|it| it.mid.as_str())
        .collect();
    let mut text = format!(
        "v=0\r\no=- 99 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {}\r\na=ice-lite\r\n",
        mids.join(" ")
    );
    for (at, section) in description.sections().iter().enumerate() {
        text += &format!(
            "m={} 9 {} {}\r\nc=IN IP4 0.0.0.0\r\na=mid:{}\r\na=ice-ufrag:theirs\r\n\
             a=ice-pwd:theirstheirstheirstheirs\r\na=setup:{setup}\r\na=rtcp-mux\r\n",
            section.kind.name(),
            section.protocol,
            section.formats.join(" "),
            section.mid
        );
        if at == 0 {
            text += "a=candidate:1 1 udp 2130706431 192.0.2.7 4000 typ host\r\n";
        }
    }
    text
}

/// An answer that a test wants instead of the usual one.
#[derive(Clone, Default)]
pub(crate) struct Odd {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Odd {
    pub(crate) fn of(status: u16) -> Self {
        Odd {
            status,
            ..Odd::default()
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn saying(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }
}

/// One session at the server.
struct Session {
    tag: u32,
    ufrag: String,
    /// An offer of the server waits for its answer.
    countered: bool,
}

/// The server's memory and orders.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) log: Vec<String>,
    /// The value of `Authorization` that is wanted.
    pub(crate) secret: Option<String>,
    /// What the next requests of these methods get instead.
    pub(crate) odd: HashMap<&'static str, VecDeque<Odd>>,
    /// `Link` headers of OPTIONS and of POST.
    pub(crate) links: (Vec<String>, Vec<String>),
    /// What stands before the path in `Location`.
    pub(crate) location: String,
    /// No `ETag` is told, and none wanted.
    pub(crate) no_tags: bool,
    /// The player's offer is not taken; the server offers itself.
    pub(crate) counters: bool,
    /// Requests of this method wait until it is another one.
    mute: Option<&'static str>,
    sessions: HashMap<String, Session>,
    made: usize,
}

impl State {
    pub(crate) fn odd(&mut self, method: &'static str, odd: Odd) {
        self.odd.entry(method).or_default().push_back(odd);
    }

    /// Forgets all sessions, as a restart does.
    pub(crate) fn forget(&mut self) {
        self.sessions.clear();
    }
}

type Shared = Arc<(Mutex<State>, Condvar)>;

pub(crate) struct Studio {
    pub(crate) address: SocketAddr,
    shared: Shared,
}

impl Studio {
    pub(crate) fn start() -> Self {
        Studio::with(Nobody)
    }

    pub(crate) fn with(desk: impl Desk + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        let (inner, desk) = (shared.clone(), Arc::new(desk));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (inner, desk) = (inner.clone(), desk.clone());
                std::thread::spawn(move || serve(&stream, &inner, &*desk));
            }
        });
        Studio { address, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/live/garden", self.address)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap()
    }

    /// From now on, requests of this method wait for the next call.
    pub(crate) fn mute(&self, method: Option<&'static str>) {
        self.state().mute = method;
        self.shared.1.notify_all();
    }

    /// Waits until the log has a line that begins so, and returns all of it.
    pub(crate) fn wait_for(&self, line: &str) -> Vec<String> {
        self.wait_until(line, |log| log.iter().any(|known| known.starts_with(line)))
    }

    /// Waits until the log is so, and returns all of it.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let state = self.state();
        let (state, time) = self
            .shared
            .1
            .wait_timeout_while(state, PATIENCE, |state| !is_so(&state.log))
            .unwrap();
        assert!(!time.timed_out(), "no {what:?} in {:#?}", state.log);
        state.log.clone()
    }
}

pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

pub(crate) fn read(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

fn serve(stream: &TcpStream, shared: &Shared, desk: &dyn Desk) {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    while let Some(asked) = read(&mut reader) {
        let method = asked.method.as_str();
        if shared.0.lock().unwrap().mute == Some(method) {
            note(shared, format!("{method} unheard"));
            let state = shared.0.lock().unwrap();
            drop(shared.1.wait_while(state, |it| it.mute == Some(method)));
        }
        let answer = answer(&asked, shared, desk);
        let mut head = format!("HTTP/1.1 {} X\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if answer.status != 204 {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        let text = format!("{head}\r\n{}", answer.body);
        if out.write_all(text.as_bytes()).is_err() {
            return;
        }
    }
}

fn note(shared: &Shared, line: String) {
    shared.0.lock().unwrap().log.push(line);
    shared.1.notify_all();
}

fn answer(asked: &Asked, shared: &Shared, desk: &dyn Desk) -> Odd {
    let header = |name: &str| asked.headers.get(name).map(String::as_str);
    let mut state = shared.0.lock().unwrap();
    let tag = header("if-match")
        .map(|tag| format!(" {tag}"))
        .unwrap_or_default();
    state
        .log
        .push(format!("{} {}{tag}", asked.method, asked.path));
    shared.1.notify_all();
    // A browser's preflight has no token; ours is no preflight.
    if state.secret.is_some() && state.secret.as_deref() != header("authorization") {
        return Odd::of(401);
    }
    if let Some(to) = asked.path.strip_prefix("/old") {
        return Odd::of(307).with("Location", to);
    }
    let odd = state.odd.get_mut(asked.method.as_str());
    if let Some(odd) = odd.and_then(VecDeque::pop_front) {
        return odd;
    }
    let content = header("content-type").unwrap_or_default();
    match (asked.method.as_str(), asked.path.strip_prefix("/s/")) {
        ("OPTIONS", None) => linked(Odd::of(204), &state.links.0),
        ("POST", None) if content != "application/sdp" => Odd::of(415),
        ("POST", None) => {
            let answer = post(&mut state, &asked.body);
            drop(state);
            finished(answer, asked, shared, desk)
        }
        ("PATCH", Some(id)) => patch(&mut state, asked, id, content, desk),
        ("DELETE", Some(id)) => match state.sessions.remove(id) {
            Some(_) => {
                desk.end(id);
                Odd::of(200)
            }
            None => Odd::of(404),
        },
        (_, None) => Odd::of(405),
        _ => Odd::of(404),
    }
}

fn linked(odd: Odd, links: &[String]) -> Odd {
    links.iter().fold(odd, |odd, link| odd.with("Link", link))
}

/// All of the answer to an offer but its body, with the name of the session.
fn post(state: &mut State, offer: &str) -> (Odd, String) {
    let Ok(description) = Description::parse(offer) else {
        return (Odd::of(400), String::new());
    };
    state.made += 1;
    let id = state.made.to_string();
    let ice = description.sections()[0].ice.clone().unwrap();
    let session = Session {
        tag: 1,
        ufrag: ice.ufrag,
        countered: state.counters,
    };
    state.sessions.insert(id.clone(), session);
    let mut odd = Odd::of(if state.counters { 406 } else { 201 })
        .with("Content-Type", "application/sdp")
        .with("Location", &format!("{}/s/{id}", state.location));
    if !state.no_tags {
        odd = odd.with("ETag", "\"1\"");
    }
    (linked(odd, &state.links.1), id)
}

fn finished((odd, id): (Odd, String), asked: &Asked, shared: &Shared, desk: &dyn Desk) -> Odd {
    match odd.status {
        201 => match desk.answer(&id, &asked.body) {
            Some(answer) => odd.saying(&answer),
            None => {
                shared.0.lock().unwrap().sessions.remove(&id);
                Odd::of(500)
            }
        },
        406 => odd.saying(&described(&asked.body, "actpass")),
        _ => odd,
    }
}

fn patch(state: &mut State, asked: &Asked, id: &str, content: &str, desk: &dyn Desk) -> Odd {
    let no_tags = state.no_tags;
    let Some(session) = state.sessions.get_mut(id) else {
        return Odd::of(404);
    };
    let tag = asked.headers.get("if-match").map(String::as_str);
    let known = format!("\"{}\"", session.tag);
    match tag {
        Some("*") => {}
        None if no_tags => {}
        None => return Odd::of(428),
        Some(tag) if tag != known => return Odd::of(412),
        Some(_) => {}
    }
    if content == "application/sdp" && session.countered {
        let Ok(answer) = Description::parse(&asked.body) else {
            return Odd::of(400);
        };
        session.countered = false;
        session.ufrag = answer.sections()[0].ice.clone().unwrap().ufrag;
        state.log.push("answered".into());
        return Odd::of(204);
    }
    if content != "application/trickle-ice-sdpfrag" {
        return Odd::of(415);
    }
    let Ok(fragment) = Fragment::parse(&asked.body) else {
        return Odd::of(400);
    };
    let section = &fragment.sections[0];
    let told = format!(
        "told {} {}",
        section.candidates.len(),
        section.end_of_candidates
    );
    if tag != Some("*") {
        if fragment.ufrag != session.ufrag {
            return Odd::of(422);
        }
        desk.candidates(id, &fragment);
        state.log.push(told);
        return Odd::of(204);
    }
    session.tag += 1;
    session.ufrag = fragment.ufrag;
    let tag = format!("\"{}\"", session.tag);
    state.log.push(format!("restarted, {told}"));
    Odd::of(200)
        .with("Content-Type", "application/trickle-ice-sdpfrag")
        .with("ETag", &tag)
        .saying("a=ice-lite\r\na=ice-ufrag:anew\r\na=ice-pwd:anewanewanewanewanewanew\r\n")
}
