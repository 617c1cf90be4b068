//! Chromium's DevTools protocol: JSON over a WebSocket.

use std::collections::VecDeque;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use crate::Outcome;

/// How long Chromium may take for one answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of its console that are kept.
const LINES: usize = 40;

pub(crate) struct Cdp {
    socket: WebSocket<TcpStream>,
    last: u64,
    /// What pages wrote to their consoles, the latest at the end.
    console: VecDeque<String>,
}

impl Cdp {
    /// Connects to the browser at this WebSocket path of this port.
    pub(crate) fn connect(port: u16, path: &str) -> Outcome<Self> {
        let failed = |error: &dyn std::fmt::Display| format!("Chromium's DevTools: {error}");
        let stream = TcpStream::connect(("127.0.0.1", port)).map_err(|error| failed(&error))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|error| failed(&error))?;
        let url = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) =
            tungstenite::client(url.as_str(), stream).map_err(|error| failed(&error))?;
        Ok(Cdp {
            socket,
            last: 0,
            console: VecDeque::new(),
        })
    }

    /// Asks for `method` and waits for the answer.
    pub(crate) fn call(
        &mut self,
        method: &str,
        params: Value,
        session: Option<&str>,
    ) -> Outcome<Value> {
        self.last += 1;
        let mut request = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = session {
            request["sessionId"] = session.into();
        }
        self.socket
            .send(Message::text(request.to_string()))
            .map_err(|error| format!("{method}: {error}"))?;
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let message = match self.socket.read() {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(Error::Io(error)) => return Err(format!("{method}: {error}")),
                Err(error) => return Err(format!("{method}: {error}")),
            };
            let mut message: Value = serde_json::from_str(message.as_str())
                .map_err(|error| format!("{method}: {error}"))?;
            if message["id"] != self.last {
                self.note(&message);
                continue;
            }
            if let Some(error) = message.get("error") {
                return Err(format!("{method}: {error}"));
            }
            return Ok(message["result"].take());
        }
        Err(format!("{method}: no answer"))
    }

    /// The last lines of the console.
    pub(crate) fn console(&self) -> String {
        self.console
            .iter()
            .map(|line| format!("\n  {line}"))
            .collect()
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let line = match event["method"].as_str() {
            Some("Runtime.consoleAPICalled") => params["args"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|value| match &value["value"] {
                    Value::Null => value["description"].to_string(),
                    value => value.to_string(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Some("Runtime.exceptionThrown") => {
                params["exceptionDetails"]["exception"]["description"].to_string()
            }
            Some("Log.entryAdded") => {
                format!("{} {}", params["entry"]["text"], params["entry"]["url"])
            }
            _ => return,
        };
        if self.console.len() == LINES {
            self.console.pop_front();
        }
        self.console.push_back(line);
    }
}
