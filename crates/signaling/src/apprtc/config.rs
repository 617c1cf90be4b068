//! Which room of which server, and how patiently.

use std::time::Duration;

use crate::Error;
use crate::settings::{Common, common_settings};
use crate::url::Url;

/// Settings of an [`AppRtc`](crate::AppRtc) client.
#[derive(Clone, Debug)]
pub struct AppRtcConfig {
    /// `B/`, the root of the server.
    pub(crate) base: Url,
    pub(crate) room: String,
    pub(crate) common: Common,
    pub(crate) ping: Duration,
    pub(crate) silence: Duration,
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
            common: Common::default(),
            ping: Duration::from_secs(5),
            silence: Duration::from_secs(15),
            message_size: 256 * 1024,
            answer_size: 4 * 1024 * 1024,
        })
    }

    common_settings!();

    /// With pings this often, and the server given up after this silence; 5 s and 15 s by default.
    pub fn with_keepalive(mut self, ping: Duration, silence: Duration) -> Self {
        self.ping = ping;
        self.silence = silence;
        self
    }

    /// With received messages of this many bytes at most; 256 KiB by default.
    pub fn with_message_size(mut self, bytes: usize) -> Self {
        self.message_size = bytes;
        self
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
