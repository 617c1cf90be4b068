//! The OpaqueString profile of user names, realms and passwords (RFC 8265 §4.2).

use std::borrow::Cow;
use std::fmt;

/// Why a string cannot be a user name, a realm or a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpaqueStringError {
    /// It is empty.
    Empty,
    /// It holds a control character.
    Control,
    /// It is longer than a STUN attribute takes (508 bytes).
    TooLong,
}

impl fmt::Display for OpaqueStringError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpaqueStringError::Empty => "the string is empty",
            OpaqueStringError::Control => "the string holds a control character",
            OpaqueStringError::TooLong => "the string is longer than 508 bytes",
        })
    }
}

impl std::error::Error for OpaqueStringError {}

/// Applies the mapping of OpaqueString: spaces outside ASCII become U+0020 (RFC 8265 §4.2.1).
///
/// Text is taken as it comes otherwise: it is expected to be in normalization form C already, as
/// keyboards and configuration files give it.
pub fn opaque_string(text: &str) -> Cow<'_, str> {
    match text.contains(is_other_space) {
        true => Cow::Owned(text.replace(is_other_space, " ")),
        false => Cow::Borrowed(text),
    }
}

/// Checks what OpaqueString forbids.
pub(crate) fn check(text: &str) -> Result<(), OpaqueStringError> {
    if text.is_empty() {
        return Err(OpaqueStringError::Empty);
    }
    if text.chars().any(char::is_control) {
        return Err(OpaqueStringError::Control);
    }
    match text.len() > 508 {
        true => Err(OpaqueStringError::TooLong),
        false => Ok(()),
    }
}

/// General category Zs without U+0020.
fn is_other_space(c: char) -> bool {
    matches!(
        c,
        '\u{A0}' | '\u{1680}' | '\u{2000}'..='\u{200A}' | '\u{202F}' | '\u{205F}' | '\u{3000}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_are_mapped_and_controls_refused() {
        assert_eq!(opaque_string("a\u{3000}b\u{A0}c d"), "a b c d");
        assert!(matches!(opaque_string("plain"), Cow::Borrowed(_)));
        assert_eq!(check(""), Err(OpaqueStringError::Empty));
        assert_eq!(check("a\0"), Err(OpaqueStringError::Control));
        assert_eq!(check("pass word"), Ok(()));
        assert_eq!(check(&"x".repeat(509)), Err(OpaqueStringError::TooLong));
    }
}
