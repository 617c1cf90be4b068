//! Requests and answers in JSON over a WebSocket, as both kinds of browser speak them.

use std::collections::VecDeque;
use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use serde_json::Value;
use tungstenite::{Message, WebSocket};

use crate::Outcome;

/// How long a browser may take for one answer.
const PATIENCE: Duration = Duration::from_secs(180);
/// Lines of its console that are kept.
const LINES: usize = 40;

/// A connection to a browser.
pub(super) struct Link {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// Turns an event into a line of the console, when it is one.
    line: fn(&Value) -> Option<String>,
    /// What pages wrote to their consoles, the latest at the end.
    console: VecDeque<String>,
}

impl Link {
    /// Connects to this path of this port, in a network namespace if one is named.
    pub(super) fn connect(
        port: u16,
        path: &str,
        namespace: Option<&str>,
        line: fn(&Value) -> Option<String>,
    ) -> Outcome<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("the browser's WebSocket: {error}");
        let stream = match namespace {
            None => local(port),
            Some(name) => within(name, port),
        }
        .map_err(|error| failed(&error))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| failed(&error))?;
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) =
            tungstenite::client(url.as_str(), stream).map_err(|error| failed(&error))?;
        Ok(Link {
            socket,
            last: 0,
            line,
            console: VecDeque::new(),
        })
    }

    /// Asks `request`, which has a `method`, and waits for the answer.
    pub(super) fn call(&mut self, mut request: Value) -> Outcome<Value> {
        self.last += 1;
        request["id"] = self.last.into();
        let method = request["method"].as_str().unwrap_or_default().to_owned();
        self.socket
            .send(Message::text(request.to_string()))
            .map_err(|error| format!("{method}: {error}"))?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(error) => return Err(format!("{method}: {error}")),
            };
            let mut message: Value = serde_json::from_str(message.as_str())
                .map_err(|error| format!("{method}: {error}"))?;
            if message["id"] != self.last {
                self.note(&message);
                continue;
            }
            if let Some(error) = message.get("error") {
                let more = message["message"].as_str().unwrap_or_default();
                return Err(format!("{method}: {error} {more}"));
            }
            return Ok(message["result"].take());
        }
        Err(format!("{method}: no answer"))
    }

    /// The last lines of the console.
    pub(super) fn console(&self) -> String {
        self.console
            .iter()
            .map(|line| format!("\n  {line}"))
            .collect()
    }

    fn note(&mut self, event: &Value) {
        let Some(line) = (self.line)(event) else {
            return;
        };
        if self.console.len() == LINES {
            self.console.pop_front();
        }
        self.console.push_back(line);
    }
}

fn local(port: u16) -> Outcome<TcpStream> {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(|error| error.to_string())
}

/// A socket belongs for good to the namespace that its thread was in when it was made.
fn within(namespace: &str, port: u16) -> Outcome<TcpStream> {
    let path = Path::new("/run/netns").join(namespace);
    let connect = move || {
        let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        setns(file, CloneFlags::CLONE_NEWNET)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        local(port)
    };
    thread::spawn(connect)
        .join()
        .map_err(|_| "the thread in the namespace panicked")?
}
