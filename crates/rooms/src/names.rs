//! Names of rooms.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The name of a room: 1 to 128 of `A-Z a-z 0-9 _ -`.
///
/// Who knows the name may join, so a long name is a secret: `Debug` and `Display` shorten names of more
/// than 12 characters to their first four. [`RoomName::as_str`] gives the whole.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(String);

impl RoomName {
    /// A name of 22 characters that nobody guesses: 132 random bits of the system.
    ///
    /// # Errors
    /// [`Error::System`] when the system gives no randomness.
    pub fn random() -> Result<Self, Error> {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte & 63)]);
        Ok(RoomName(random::<22>()?.iter().map(letter).collect()))
    }

    /// The whole name; keep it out of logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    rustls::crypto::aws_lc_rs::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::System(std::io::Error::other("there is no randomness")))?;
    Ok(bytes)
}

/// A text is not the name of a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomNameError;

impl fmt::Display for RoomNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a room name is 1 to 128 letters, digits, _ or -")
    }
}

impl std::error::Error for RoomNameError {}

impl FromStr for RoomName {
    type Err = RoomNameError;

    fn from_str(name: &str) -> Result<Self, RoomNameError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if (1..=128).contains(&name.len()) && name.bytes().all(plain) {
            Ok(RoomName(name.to_owned()))
        } else {
            Err(RoomNameError)
        }
    }
}

impl Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() <= 12 {
            f.write_str(&self.0)
        } else {
            // Names are ASCII, so byte 4 is a boundary.
            write!(f, "{}…", &self.0[..4])
        }
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoomName({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        for name in ["demo", "A-b_9", "x", &"n".repeat(128)] {
            assert!(name.parse::<RoomName>().is_ok(), "{name}");
        }
        for name in ["", "a b", "../x", "é", "a/b", "a\0", &"n".repeat(129)] {
            assert!(name.parse::<RoomName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_random_name_is_a_name() {
        let (one, other) = (RoomName::random().unwrap(), RoomName::random().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.as_str().parse(), Ok(one.clone()));
        assert_eq!(one.as_str().len(), 22);
    }

    #[test]
    fn a_long_name_is_not_shown_whole() {
        let name: RoomName = "0123456789abcdef".parse().unwrap();
        assert_eq!(name.to_string(), "0123…");
        assert!(!format!("{name:?}").contains("456"));
    }
}
