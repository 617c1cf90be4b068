//! Which room of which server, as whom, and how patiently.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use crate::Error;
use crate::settings::{Common, common_settings};
use crate::url::{Url, is_loopback};

/// The name of a room: a number, or a text where the server has such names (`string_ids`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JanusRoom {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl JanusRoom {
    pub(super) fn json(&self) -> Value {
        match self {
            JanusRoom::Number(number) => (*number).into(),
            JanusRoom::Text(text) => text.as_str().into(),
        }
    }
}

impl From<u64> for JanusRoom {
    fn from(number: u64) -> Self {
        JanusRoom::Number(number)
    }
}

impl FromStr for JanusRoom {
    type Err = Error;

    /// A number where it is one, else a text.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text.parse() {
            Ok(number) => Ok(JanusRoom::Number(number)),
            Err(_) if !text.is_empty() && !text.contains(char::is_control) => {
                Ok(JanusRoom::Text(text.to_owned()))
            }
            Err(_) => Err(Error::Misuse(format!("{text:?} is not the name of a room"))),
        }
    }
}

impl fmt::Display for JanusRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JanusRoom::Number(number) => number.fmt(f),
            JanusRoom::Text(text) => f.write_str(text),
        }
    }
}

/// Which way media goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Publish,
    /// This publisher, or the first there is.
    Play(Option<Value>),
}

/// Settings of a [`Janus`](crate::Janus) client. `Debug` shows no secret.
#[derive(Clone)]
pub struct JanusConfig {
    pub(super) url: Url,
    pub(super) room: JanusRoom,
    pub(super) way: Way,
    pub(super) pin: Option<String>,
    pub(super) display: Option<String>,
    pub(super) api_secret: Option<String>,
    pub(super) token: Option<String>,
    pub(super) common: Common,
    pub(super) keepalive: Duration,
    pub(super) poll: Duration,
    pub(super) answer_size: u64,
}

impl fmt::Debug for JanusConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JanusConfig")
            .field("server", &self.url.origin())
            .field("room", &self.room)
            .field("way", &self.way)
            .field("display", &self.display)
            .finish_non_exhaustive()
    }
}

impl JanusConfig {
    /// Publishes into this room of the server at an `http` or `https` URL, as in `http://HOST:8088/janus`.
    ///
    /// # Errors
    /// [`Error::Misuse`] in words, when it is no such URL.
    pub fn publish(url: &str, room: impl Into<JanusRoom>) -> Result<Self, Error> {
        let mut url = Url::parse(url)?;
        if !matches!(url.scheme.as_str(), "http" | "https") {
            return Err(Error::Misuse(format!(
                "a Janus server is reached by http or https, not by {}",
                url.scheme
            )));
        }
        if url.path.contains('?') {
            return Err(Error::Misuse(
                "the URL of a Janus server has no query, as in http://HOST:8088/janus".into(),
            ));
        }
        while url.path.ends_with('/') {
            url.path.pop();
        }
        Ok(JanusConfig {
            url,
            room: room.into(),
            way: Way::Publish,
            pin: None,
            display: None,
            api_secret: None,
            token: None,
            common: Common::default(),
            keepalive: Duration::from_secs(25),
            poll: Duration::from_secs(60),
            answer_size: 256 * 1024,
        })
    }

    /// Plays what is published in this room: by the publisher of this name, or by the first there is.
    ///
    /// # Errors
    /// As for [`publish`](Self::publish).
    pub fn play(
        url: &str,
        room: impl Into<JanusRoom>,
        feed: Option<JanusRoom>,
    ) -> Result<Self, Error> {
        let mut config = Self::publish(url, room)?;
        config.way = Way::Play(feed.map(|feed| feed.json()));
        Ok(config)
    }

    common_settings!();

    /// With this PIN of the room; none by default.
    pub fn with_pin(mut self, pin: impl Into<String>) -> Self {
        self.pin = Some(pin.into());
        self
    }

    /// With this name shown to others in the room; none by default.
    pub fn with_display(mut self, name: impl Into<String>) -> Self {
        self.display = Some(name.into());
        self
    }

    /// With the secret that the server asks of all its clients (`api_secret`); none by default.
    pub fn with_api_secret(mut self, secret: impl Into<String>) -> Self {
        self.api_secret = Some(secret.into());
        self
    }

    /// With a token of our own (`token_auth`); none by default.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// With a keepalive after this time without other requests; 25 s by default, since servers forget sessions after 60 s.
    pub fn with_keepalive(mut self, interval: Duration) -> Self {
        self.keepalive = interval;
        self
    }

    /// With this patience for events, of which the server says after 30 s that there are none; 60 s by default.
    pub fn with_poll(mut self, timeout: Duration) -> Self {
        self.poll = timeout;
        self
    }

    /// With answers of this many bytes at most; 256 KiB by default.
    pub fn with_answer_size(mut self, bytes: u64) -> Self {
        self.answer_size = bytes;
        self
    }

    /// The server, as in `https://HOST:PORT`.
    pub fn server(&self) -> String {
        self.url.origin()
    }

    /// Whether a secret would go over the network unsecured: one is set, the URL is `http`, and not of this host.
    pub fn exposes_secret(&self) -> bool {
        let known = [&self.pin, &self.api_secret, &self.token];
        let secret = known.iter().any(|secret| secret.is_some());
        secret && !self.url.is_secure() && !is_loopback(&self.url.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_said() {
        for url in ["ws://a/janus", "a", "http://a/janus?x=1"] {
            assert!(JanusConfig::publish(url, 1).is_err(), "{url}");
        }
        let config = JanusConfig::publish("http://a:8088/janus//", 1).unwrap();
        assert_eq!(config.url.to_string(), "http://a:8088/janus");
        assert_eq!(config.server(), "http://a:8088");
        assert_eq!("12".parse(), Ok(JanusRoom::Number(12)));
        assert_eq!("12a".parse(), Ok(JanusRoom::Text("12a".into())));
        assert!("".parse::<JanusRoom>().is_err());
    }

    #[test]
    fn secrets_are_never_shown() {
        let plain = JanusConfig::publish("http://a/janus", 1).unwrap();
        assert!(!plain.exposes_secret());
        let config = plain
            .with_pin("p1n")
            .with_api_secret("s3cret")
            .with_token("t0ken");
        assert!(config.exposes_secret());
        let shown = format!("{config:?}");
        for secret in ["p1n", "s3cret", "t0ken"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let local = JanusConfig::play("http://[::1]/janus", 1, None).unwrap();
        assert!(!local.with_pin("1").exposes_secret());
    }
}
