//! The client's side of the long-term credential mechanism (RFC 8489 §9.2).
//!
//! 1. The first request goes without credentials; the server answers 401 with realm and nonce.
//! 2. [`LongTermAuth::on_response`] learns them and says [`AuthVerdict::Retry`].
//! 3. The next request carries what [`LongTermAuth::apply`] writes.
//! 4. A 438 brings a new nonce; the request is tried again with it.

use std::fmt;

use crate::attribute::AttributeType;
use crate::builder::MessageBuilder;
use crate::error_code::ErrorCode;
use crate::header::Class;
use crate::integrity::{Integrity, Key, PasswordAlgorithm, userhash};
use crate::message::Message;
use crate::nonce::SecurityFeatures;
use crate::opaque::{self, OpaqueStringError, opaque_string};

/// So many 438 in a row, without a success between them, end it.
const MAX_STALE_RUN: u32 = 5;

/// A user's credential and what the server has said about it; one for each server and client
/// address. `Debug` shows neither password nor key.
pub struct LongTermAuth {
    username: String,
    password: String,
    session: Option<Session>,
    generation: u32,
    stale_run: u32,
}

/// What the server's last challenge said.
struct Session {
    realm: String,
    nonce: String,
    /// The value of PASSWORD-ALGORITHMS, echoed as it came.
    offered: Option<Vec<u8>>,
    algorithm: PasswordAlgorithm,
    anonymous: bool,
    key: Key,
}

impl Session {
    /// RFC 8489 §9.2.5: with PASSWORD-ALGORITHMS, MESSAGE-INTEGRITY-SHA256 only.
    fn integrity(&self) -> Integrity {
        match self.offered {
            Some(_) => Integrity::Sha256,
            None => Integrity::Sha1,
        }
    }
}

/// Which challenge a request was formed under; kept with the request until its response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generation(u32);

impl Generation {
    /// Before the first challenge: the request carried no credentials.
    pub const NONE: Generation = Generation(0);
}

/// What is to be done with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthVerdict {
    /// Process it.
    Accept {
        /// Whether its integrity was confirmed; false when the request carried no credentials.
        authenticated: bool,
    },
    /// Form the request anew, with a new transaction ID.
    Retry,
    /// Act as if it had not been received; on a stream, give up the transaction instead
    /// (RFC 8489 §9.2.5).
    Discard,
    /// Give up.
    Failed(AuthError),
}

/// Why a server and a credential do not come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthError {
    /// The server refused user name and password.
    Refused,
    /// The challenge lacks a realm or a nonce.
    BadChallenge,
    /// Somebody has stripped security features from the challenge (RFC 8489 §9.2.1).
    BidDown,
    /// The server accepts none of our password algorithms.
    NoCommonAlgorithm,
    /// The server calls every nonce stale that it hands out.
    StaleForever,
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AuthError::Refused => "the server refused user name and password",
            AuthError::BadChallenge => "the server's challenge has no realm or nonce",
            AuthError::BidDown => "security features were stripped from the server's challenge",
            AuthError::NoCommonAlgorithm => "the server knows none of our password algorithms",
            AuthError::StaleForever => "the server calls each of its nonces stale",
        })
    }
}

impl std::error::Error for AuthError {}

impl LongTermAuth {
    /// A credential that no server has challenged yet.
    pub fn new(username: &str, password: &str) -> Result<Self, OpaqueStringError> {
        opaque::check(username)?;
        opaque::check(password)?;
        Ok(LongTermAuth {
            username: opaque_string(username).into_owned(),
            password: opaque_string(password).into_owned(),
            session: None,
            generation: 0,
            stale_run: 0,
        })
    }

    /// The same server's challenge answered by another credential; requests in flight must have
    /// ended before.
    pub fn with_credentials(
        &self,
        username: &str,
        password: &str,
    ) -> Result<Self, OpaqueStringError> {
        let mut next = LongTermAuth::new(username, password)?;
        next.session = self.session.as_ref().map(|old| Session {
            realm: old.realm.clone(),
            nonce: old.nonce.clone(),
            offered: old.offered.clone(),
            algorithm: old.algorithm,
            anonymous: old.anonymous,
            key: Key::long_term(&next.username, &old.realm, &next.password, old.algorithm),
        });
        next.generation = self.generation;
        Ok(next)
    }

    /// The same credential and challenge, for another connection to the same server.
    pub(crate) fn again(&self) -> Result<Self, OpaqueStringError> {
        self.with_credentials(&self.username, &self.password)
    }

    /// What a request formed now is formed under.
    pub fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// The realm, once the server has named it.
    pub fn realm(&self) -> Option<&str> {
        self.session.as_ref().map(|session| session.realm.as_str())
    }

    /// Forgets the server's challenge, for another server or another client address.
    pub fn reset(&mut self) {
        self.session = None;
        self.generation = 0;
        self.stale_run = 0;
    }

    /// Appends the credentials and integrity to a request; nothing before the first challenge.
    /// Only FINGERPRINT may follow.
    pub fn apply(&self, builder: &mut MessageBuilder<'_>) {
        let Some(session) = &self.session else {
            return;
        };
        match session.anonymous {
            true => builder.userhash(&userhash(&self.username, &session.realm)),
            false => builder.username(&self.username),
        };
        builder.realm(&session.realm).nonce(&session.nonce);
        if let Some(offered) = &session.offered {
            builder.attribute(AttributeType::PASSWORD_ALGORITHMS, offered);
            builder.password_algorithm(session.algorithm);
        }
        builder.integrity_by(session.integrity(), &session.key);
    }

    /// Judges the response to a request that was formed under `sent`.
    pub fn on_response(&mut self, response: &Message<'_>, sent: Generation) -> AuthVerdict {
        let code = match response.class() {
            Class::Error => response.error_code().map(|(code, _)| code),
            _ => None,
        };
        match code {
            Some(ErrorCode::UNAUTHENTICATED | ErrorCode::STALE_NONCE) => {
                let stale = code == Some(ErrorCode::STALE_NONCE);
                match self.on_challenge(response, sent, stale) {
                    Ok(()) => AuthVerdict::Retry,
                    Err(error) => AuthVerdict::Failed(error),
                }
            }
            _ => self.on_answer(response, sent),
        }
    }

    /// A 401 or 438.
    fn on_challenge(
        &mut self,
        response: &Message<'_>,
        sent: Generation,
        stale: bool,
    ) -> Result<(), AuthError> {
        if sent != self.generation() && self.session.is_some() {
            // Another request has brought a newer challenge meanwhile.
            return Ok(());
        }
        let nonce = response.nonce().ok_or(AuthError::BadChallenge)?;
        let offered = response.attribute(AttributeType::PASSWORD_ALGORITHMS);
        // RFC 8489 §9.2.5: the bit without the attribute means that somebody took it away.
        let features = SecurityFeatures::of_nonce(nonce).unwrap_or_default();
        let promised = features.contains(SecurityFeatures::PASSWORD_ALGORITHMS);
        let before = self.session.as_ref().filter(|s| s.offered.is_some());
        if (promised || before.is_some()) && offered.is_none() && !(stale && before.is_some()) {
            return Err(AuthError::BidDown);
        }
        // A 438 without it lowers nothing: what was agreed on goes on with the new nonce, as servers expect,
        // and nobody ends an allocation by forging one.
        let kept = before.filter(|_| offered.is_none());
        let kept = kept.map(|before| (before.offered.clone(), before.algorithm));
        let known = self.session.as_ref().map(|session| session.realm.as_str());
        let realm = match (response.realm(), stale) {
            (Some(realm), _) => realm,
            (None, true) => known.ok_or(AuthError::BadChallenge)?,
            (None, false) => return Err(AuthError::BadChallenge),
        };
        if stale {
            self.stale_run += 1;
            if self.stale_run > MAX_STALE_RUN {
                return Err(AuthError::StaleForever);
            }
        } else if known == Some(realm) {
            // RFC 8489 §9.2.5: the same credentials are not tried twice.
            return Err(AuthError::Refused);
        }
        let (offered, algorithm) = match (response.password_algorithms(), kept) {
            (Some(mut codes), _) => {
                let first = codes.find_map(PasswordAlgorithm::from_code);
                let first = first.ok_or(AuthError::NoCommonAlgorithm)?;
                (offered.map(<[u8]>::to_vec), first)
            }
            (None, Some(kept)) => kept,
            (None, None) => (None, PasswordAlgorithm::Md5),
        };
        self.session = Some(Session {
            realm: realm.to_owned(),
            nonce: nonce.to_owned(),
            offered,
            algorithm,
            anonymous: features.contains(SecurityFeatures::USERNAME_ANONYMITY),
            key: Key::long_term(&self.username, realm, &self.password, algorithm),
        });
        self.generation += 1;
        Ok(())
    }

    /// Any other response.
    fn on_answer(&mut self, response: &Message<'_>, sent: Generation) -> AuthVerdict {
        let features = response.nonce().and_then(SecurityFeatures::of_nonce);
        let promised = features.unwrap_or_default();
        let stripped = promised.contains(SecurityFeatures::PASSWORD_ALGORITHMS)
            && !response.has(AttributeType::PASSWORD_ALGORITHMS);
        let session = match &self.session {
            Some(session) if sent != Generation::NONE => session,
            _ if stripped => return AuthVerdict::Discard,
            // Without credentials in the request the server has no key to protect its answer with.
            _ => {
                return AuthVerdict::Accept {
                    authenticated: false,
                };
            }
        };
        match response.verify(&session.key) {
            // RFC 8489 §9.2.5 has all responses ignored from which the attribute is missing. From what is
            // authentic by SHA-256 nobody can have taken it: servers leave it out.
            Ok(Integrity::Sha1) if stripped => AuthVerdict::Discard,
            Ok(integrity) if integrity == session.integrity() => {
                self.stale_run = 0;
                AuthVerdict::Accept {
                    authenticated: true,
                }
            }
            _ => AuthVerdict::Discard,
        }
    }
}

impl fmt::Debug for LongTermAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LongTermAuth")
            .field("username", &self.username)
            .field("realm", &self.realm())
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}
