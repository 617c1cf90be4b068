//! Which endpoint, as whom, and how patiently.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use esp_wire::Trickle;

use crate::Error;
use crate::settings::{Common, common_settings};
use crate::url::{Url, is_loopback};

/// What the server wants to know of its client (RFC 9725 §4.7). `Debug` never shows a secret.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhipAuth {
    /// Nothing, or it stands in the URL.
    #[default]
    None,
    /// A bearer token (RFC 6750 §2.1).
    Bearer(String),
    /// A user with a password (RFC 7617).
    Basic {
        /// Without a colon.
        user: String,
        /// Any text.
        password: String,
    },
}

impl fmt::Debug for WhipAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WhipAuth::None => "None",
            WhipAuth::Bearer(_) => "Bearer(..)",
            WhipAuth::Basic { .. } => "Basic(..)",
        })
    }
}

impl WhipAuth {
    /// The value of `Authorization`.
    pub(super) fn header(&self) -> Option<String> {
        match self {
            WhipAuth::None => None,
            WhipAuth::Bearer(token) => Some(format!("Bearer {token}")),
            WhipAuth::Basic { user, password } => {
                let credentials = STANDARD.encode(format!("{user}:{password}"));
                Some(format!("Basic {credentials}"))
            }
        }
    }

    fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::Misuse(what.to_owned()));
        match self {
            // RFC 6750 §2.1: b64token.
            WhipAuth::Bearer(token)
                if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) =>
            {
                wrong("a bearer token is plain ASCII without spaces")
            }
            // RFC 7617 §2.
            WhipAuth::Basic { user, password }
                if user.contains(':') || format!("{user}{password}").contains(char::is_control) =>
            {
                wrong("a user has no colon, and neither user nor password a control character")
            }
            _ => Ok(()),
        }
    }
}

/// Settings of a [`Whip`](crate::Whip) or [`Whep`](crate::Whep) client. `Debug` shows neither token nor path.
#[derive(Clone)]
pub struct WhipConfig {
    pub(super) url: Url,
    pub(super) auth: WhipAuth,
    pub(super) common: Common,
    pub(super) longest_wait: Duration,
    pub(super) redirects: usize,
    pub(super) candidates: usize,
    pub(super) ice_servers: usize,
    pub(super) answer_size: u64,
    pub(super) trickle: Trickle,
    pub(super) asks_options: bool,
}

impl fmt::Debug for WhipConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WhipConfig")
            .field("server", &self.url.origin())
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}

impl WhipConfig {
    /// The endpoint of an `https` or `http` URL.
    ///
    /// # Errors
    /// [`Error::Misuse`] in words, when it is none.
    pub fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url)?;
        if !matches!(url.scheme.as_str(), "http" | "https") {
            return Err(Error::Misuse(format!(
                "a WHIP or WHEP server is reached by https or http, not by {}",
                url.scheme
            )));
        }
        Ok(WhipConfig {
            url,
            auth: WhipAuth::None,
            common: Common::default(),
            longest_wait: Duration::from_secs(300),
            redirects: 5,
            candidates: 128,
            ice_servers: 16,
            answer_size: 256 * 1024,
            trickle: Trickle::Full,
            asks_options: true,
        })
    }

    /// With this token or password; none by default.
    ///
    /// # Errors
    /// [`Error::Misuse`] for one that cannot stand in a header.
    pub fn with_auth(mut self, auth: WhipAuth) -> Result<Self, Error> {
        auth.check()?;
        self.auth = auth;
        Ok(self)
    }

    common_settings!();

    /// With no `Retry-After` heeded beyond this; 5 minutes by default.
    pub fn with_longest_wait(mut self, wait: Duration) -> Self {
        self.longest_wait = wait;
        self
    }

    /// With this many redirects followed in a row at most; 5 by default.
    pub fn with_redirects(mut self, redirects: usize) -> Self {
        self.redirects = redirects;
        self
    }

    /// With this many candidates of one ICE generation told at most; 128 by default.
    pub fn with_candidates(mut self, candidates: usize) -> Self {
        self.candidates = candidates;
        self
    }

    /// With this many ICE servers taken from one answer of the server at most; 16 by default.
    pub fn with_ice_servers(mut self, servers: usize) -> Self {
        self.ice_servers = servers;
        self
    }

    /// With answers of this many bytes at most; 256 KiB by default.
    pub fn with_answer_size(mut self, bytes: u64) -> Self {
        self.answer_size = bytes;
        self
    }

    /// With all candidates in the offer, which waits for them ([`Trickle::Half`], [`Trickle::None`]), for servers that
    /// take none later; by default ([`Trickle::Full`]) the offer goes at once and candidates follow.
    pub fn with_trickle(mut self, trickle: Trickle) -> Self {
        self.trickle = trickle;
        self
    }

    /// With or without an `OPTIONS` request before the offer; with it by default. Servers that tell ICE servers there
    /// spare a call behind NATs a second round of gathering; those that do not tell them with the answer.
    pub fn with_options_request(mut self, asks: bool) -> Self {
        self.asks_options = asks;
        self
    }

    /// The server, as in `https://HOST:PORT`, without the path, which may be a secret.
    pub fn server(&self) -> String {
        self.url.origin()
    }

    /// Whether a token would go over the network unsecured: it is set, the URL is `http`, and not of this host.
    pub fn exposes_secret(&self) -> bool {
        self.auth != WhipAuth::None && !self.url.is_secure() && !is_loopback(&self.url.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_written_and_never_shown() {
        // RFC 7617 §2.
        let basic = WhipAuth::Basic {
            user: "Aladdin".into(),
            password: "open sesame".into(),
        };
        let header = basic.header().unwrap();
        assert_eq!(header, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let config = WhipConfig::new("https://a/live/secret-key").unwrap();
        let config = config.with_auth(basic).unwrap();
        let shown = format!("{config:?}");
        assert!(
            !shown.contains("sesame") && !shown.contains("secret-key"),
            "{shown}"
        );
        assert!(!config.exposes_secret());
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert!(WhipConfig::new("wss://a/b").is_err());
        let config = WhipConfig::new("http://a/b").unwrap();
        for auth in [
            WhipAuth::Bearer("a\r\nb: c".into()),
            WhipAuth::Bearer(String::new()),
            WhipAuth::Basic {
                user: "a:b".into(),
                password: String::new(),
            },
        ] {
            assert!(config.clone().with_auth(auth).is_err());
        }
        let bearer = config.with_auth(WhipAuth::Bearer("x".into())).unwrap();
        assert!(bearer.exposes_secret());
    }
}
