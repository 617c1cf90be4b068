//! Which room of which server, and how patiently.

use std::time::Duration;

use crate::url::Url;
use crate::{Error, Trust};

/// How a client tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first delay after a failure; it doubles with every further one.
    pub first: Duration,
    /// The longest delay after a failure.
    pub most: Duration,
    /// The delay after the room was found full.
    pub full: Duration,
    /// Failures in a row after which it gives up; none: never.
    pub attempts: Option<u32>,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            first: Duration::from_millis(250),
            most: Duration::from_secs(10),
            full: Duration::from_secs(2),
            attempts: None,
        }
    }
}

/// Settings of an [`AppRtc`](crate::AppRtc) client.
#[derive(Clone, Debug)]
pub struct AppRtcConfig {
    /// `B/`, the root of the server.
    pub(crate) base: Url,
    pub(crate) room: String,
    pub(crate) trust: Trust,
    pub(crate) retry: Retry,
    pub(crate) request_timeout: Duration,
    pub(crate) goodbye: Duration,
    pub(crate) ping: Duration,
    pub(crate) silence: Duration,
    pub(crate) queue: usize,
    pub(crate) message_size: usize,
    pub(crate) answer_size: u64,
}

impl AppRtcConfig {
    /// The room of a URL: `http://HOST[:PORT]/r/ROOM`, `.../join/ROOM`, or `.../ROOM`, with `https` too.
    ///
    /// # Errors
    /// [`Error::Misuse`] in words, when it is none of these.
    pub fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url)?;
        let path = url.path.split('?').next().unwrap_or_default();
        let (folder, room) = path
            .trim_end_matches('/')
            .rsplit_once('/')
            .unwrap_or_default();
        let folder = ["/r", "/join"]
            .iter()
            .find_map(|marker| folder.strip_suffix(marker))
            .unwrap_or(folder);
        Self::room(&format!("{}{folder}/", url.origin()), room)
    }

    /// The room `room` of the server whose root is `base`.
    ///
    /// # Errors
    /// [`Error::Misuse`] for a URL or a name that cannot be one.
    pub fn room(base: &str, room: &str) -> Result<Self, Error> {
        let mut base = Url::parse(base)?;
        if !matches!(base.scheme.as_str(), "http" | "https") {
            return Err(Error::Misuse(format!(
                "a room server is reached by http or https, not by {}",
                base.scheme
            )));
        }
        if !base.path.ends_with('/') {
            base.path.push('/');
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if room.is_empty() || room.len() > 128 || !room.bytes().all(plain) {
            return Err(Error::Misuse(format!(
                "{room:?} is not the name of a room; write 1 to 128 of A-Z a-z 0-9 _ -, as in \
                 http://HOST:PORT/r/ROOM"
            )));
        }
        Ok(AppRtcConfig {
            base,
            room: room.to_owned(),
            trust: Trust::Public,
            retry: Retry::default(),
            request_timeout: Duration::from_secs(10),
            goodbye: Duration::from_secs(5),
            ping: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            queue: 256,
            message_size: 256 * 1024,
            answer_size: 4 * 1024 * 1024,
        })
    }

    /// With this belief in certificates; of public authorities by default.
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// With these delays between attempts.
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// With this patience for one HTTP request or the opening of the WebSocket; 10 s by default.
    pub fn with_request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// With this patience for the goodbye of [`Signaling::stop`](crate::Signaling::stop), of which each request may
    /// take two fifths; 5 s by default.
    pub fn with_goodbye(mut self, timeout: Duration) -> Self {
        self.goodbye = timeout;
        self
    }

    /// With pings this often, and the server given up after this silence; 5 s and 15 s by default.
    pub fn with_keepalive(mut self, ping: Duration, silence: Duration) -> Self {
        self.ping = ping;
        self.silence = silence;
        self
    }

    /// With this many messages waiting to be sent at most; 256 by default.
    pub fn with_queue(mut self, messages: usize) -> Self {
        self.queue = messages.max(1);
        self
    }

    /// With received messages of this many bytes at most; 256 KiB by default.
    pub fn with_message_size(mut self, bytes: usize) -> Self {
        self.message_size = bytes;
        self
    }

    /// How long each request of the goodbye may take.
    pub(crate) fn goodbye_part(&self) -> Duration {
        self.goodbye / 5 * 2
    }

    /// The name of the room.
    pub fn room_name(&self) -> &str {
        &self.room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_are_found_in_urls() {
        for (url, base, room) in [
            ("http://a:8080/r/demo", "http://a:8080/", "demo"),
            ("http://a/join/demo?x=y", "http://a/", "demo"),
            ("https://a/apprtc/r/d-1_2/", "https://a/apprtc/", "d-1_2"),
            ("https://a/demo", "https://a/", "demo"),
        ] {
            let config = AppRtcConfig::new(url).unwrap();
            assert_eq!(
                (config.base.to_string().as_str(), config.room.as_str()),
                (base, room)
            );
        }
        for (url, word) in [
            ("http://a:8080", "name of a room"),
            ("http://a/r/d%20", "name of a room"),
            ("ftp://a/r/demo", "scheme"),
            ("ws://a/r/demo", "http or https"),
            ("demo", "http://"),
        ] {
            let error = AppRtcConfig::new(url).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
