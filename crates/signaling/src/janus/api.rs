//! The requests to a Janus server.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::JanusConfig;
use crate::Error;
use crate::http::{Http, Request};
use crate::url::Url;

/// Events that one answer may hold.
const MOST_EVENTS: usize = 10;
/// The server does not know the session, or the handle.
const NO_SESSION: i64 = 458;
const NO_HANDLE: i64 = 459;

/// Why a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The server cannot be reached.
    Away(String),
    /// It does not know our session, or our handle.
    Gone,
    /// It refuses, for this reason.
    Refused(String),
}

/// A session at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session(pub(super) u64);

/// A handle in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) session: Session,
    pub(super) id: u64,
}

/// The server as one client sees it.
pub(super) struct Api {
    http: Http,
    base: Url,
    /// Names and values that go with every request.
    secrets: Vec<(&'static str, String)>,
    timeout: Duration,
    poll: Duration,
    transactions: AtomicU64,
}

impl Api {
    pub(super) fn new(http: Http, config: &JanusConfig) -> Self {
        let secrets = [("apisecret", &config.api_secret), ("token", &config.token)];
        Api {
            http,
            base: config.url.clone(),
            secrets: secrets
                .into_iter()
                .filter_map(|(name, secret)| Some((name, secret.clone()?)))
                .collect(),
            timeout: config.common.request_timeout,
            poll: config.poll,
            transactions: AtomicU64::new(0),
        }
    }

    pub(super) fn server(&self) -> String {
        self.base.origin()
    }

    pub(super) fn create(&self) -> Result<Session, Trouble> {
        let answer = self.ask("", "create", json!({}), self.timeout)?;
        self.id_of(&answer).map(Session)
    }

    pub(super) fn attach(&self, session: Session) -> Result<Handle, Trouble> {
        let plugin = json!({ "plugin": "janus.plugin.videoroom" });
        let answer = self.ask(&format!("/{}", session.0), "attach", plugin, self.timeout)?;
        let id = self.id_of(&answer)?;
        Ok(Handle { session, id })
    }

    fn id_of(&self, answer: &Value) -> Result<u64, Trouble> {
        let id = answer["data"]["id"].as_u64();
        id.ok_or_else(|| self.odd("gives no number"))
    }

    /// Says the last word to the room.
    pub(super) fn goodbye(
        &self,
        handle: Handle,
        body: Value,
        timeout: Duration,
    ) -> Result<(), Trouble> {
        let more = json!({ "body": body });
        self.ask(&path(handle), "message", more, timeout).map(drop)
    }

    /// Says something to the room; the answer is the room's word where it says it at once.
    pub(super) fn message(
        &self,
        handle: Handle,
        body: Value,
        jsep: Option<Value>,
    ) -> Result<Value, Trouble> {
        let mut more = json!({ "body": body });
        if let Some(jsep) = jsep {
            more["jsep"] = jsep;
        }
        let mut answer = self.ask(&path(handle), "message", more, self.timeout)?;
        Ok(answer["plugindata"]["data"].take())
    }

    pub(super) fn trickle(&self, handle: Handle, candidate: Value) -> Result<(), Trouble> {
        let more = json!({ "candidate": candidate });
        self.ask(&path(handle), "trickle", more, self.timeout)
            .map(drop)
    }

    pub(super) fn keepalive(&self, session: Session) -> Result<(), Trouble> {
        let path = format!("/{}", session.0);
        self.ask(&path, "keepalive", json!({}), self.timeout)
            .map(drop)
    }

    pub(super) fn detach(&self, handle: Handle, timeout: Duration) -> Result<(), Trouble> {
        self.ask(&path(handle), "detach", json!({}), timeout)
            .map(drop)
    }

    pub(super) fn destroy(&self, session: Session, timeout: Duration) -> Result<(), Trouble> {
        let path = format!("/{}", session.0);
        self.ask(&path, "destroy", json!({}), timeout).map(drop)
    }

    /// Waits for events, and gives them; none when there were none for long.
    pub(super) fn poll(&self, session: Session) -> Result<Vec<Value>, Trouble> {
        let mut query = format!("/{}?maxev={MOST_EVENTS}", session.0);
        for (name, secret) in &self.secrets {
            query += &format!("&{name}={}", encoded(secret));
        }
        match self.exchange("GET", &query, None, self.poll)? {
            Value::Array(events) => Ok(events),
            event => self.checked(event).map(|event| vec![event]),
        }
    }

    fn ask(
        &self,
        path: &str,
        verb: &str,
        more: Value,
        timeout: Duration,
    ) -> Result<Value, Trouble> {
        let number = self.transactions.fetch_add(1, Ordering::Relaxed);
        let transaction = format!("esp{number}");
        let mut request = Map::new();
        request.insert("janus".into(), verb.into());
        request.insert("transaction".into(), transaction.as_str().into());
        for (name, secret) in &self.secrets {
            request.insert((*name).into(), secret.as_str().into());
        }
        if let Value::Object(more) = more {
            request.extend(more);
        }
        let body = Value::Object(request).to_string();
        let answer = self.checked(self.exchange("POST", path, Some(&body), timeout)?)?;
        match answer["transaction"] == transaction.as_str() {
            true => Ok(answer),
            false => Err(self.odd("is not to this question")),
        }
    }

    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        timeout: Duration,
    ) -> Result<Value, Trouble> {
        let url = Url {
            path: format!("{}{path}", self.base.path),
            ..self.base.clone()
        };
        let headers = [("content-type", "application/json")];
        let exchanged = self.http.exchange(&Request {
            method,
            url: &url,
            headers: if body.is_some() { &headers } else { &[] },
            body,
            timeout,
        });
        let answer = exchanged.map_err(|error| match error {
            Error::Unreachable(reason) => Trouble::Away(reason),
            error => Trouble::Refused(error.to_string()),
        })?;
        match answer.status {
            200 => serde_json::from_str(&answer.body).map_err(|_| self.odd("is no JSON")),
            // What was a session before is not one any more.
            404 if method == "GET" => Err(Trouble::Gone),
            status @ 500..=599 => Err(Trouble::Away(format!(
                "{} is out of order (status {status})",
                self.server()
            ))),
            status => Err(Trouble::Refused(format!(
                "what is at this path of {} is no Janus server (status {status}); check the URL",
                self.server()
            ))),
        }
    }

    fn checked(&self, answer: Value) -> Result<Value, Trouble> {
        if answer["janus"] != "error" {
            return Ok(answer);
        }
        let error = &answer["error"];
        match error["code"].as_i64() {
            Some(NO_SESSION | NO_HANDLE) => Err(Trouble::Gone),
            code => Err(Trouble::Refused(format!(
                "{} refuses: {} (code {})",
                self.server(),
                shown(&error["reason"]),
                code.unwrap_or_default()
            ))),
        }
    }

    fn odd(&self, what: &str) -> Trouble {
        Trouble::Refused(format!("the answer of {} {what}", self.server()))
    }
}

fn path(handle: Handle) -> String {
    format!("/{}/{}", handle.session.0, handle.id)
}

/// The server's own words, as far as they can be shown.
pub(super) fn shown(words: &Value) -> String {
    const MOST: usize = 200;
    let words = words.as_str().unwrap_or("no reason");
    let plain = words.chars().filter(|letter| !letter.is_control());
    plain.take(MOST).collect()
}

/// A value of a query (RFC 3986 §2.1).
fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stand_in_queries() {
        assert_eq!(encoded("a-Z_0.~"), "a-Z_0.~");
        assert_eq!(encoded("a&b=c /é"), "a%26b%3Dc%20%2F%C3%A9");
    }

    #[test]
    fn words_of_others_are_short_and_harmless() {
        assert_eq!(shown(&json!("a\u{1b}[31mb\n")), "a[31mb");
        assert_eq!(shown(&json!("x".repeat(999))).len(), 200);
        assert_eq!(shown(&json!(7)), "no reason");
    }
}
