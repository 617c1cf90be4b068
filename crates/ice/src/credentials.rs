//! The user name fragment and password of one side (RFC 8445 §5.3).

use std::fmt;

use esp_wire::Rng;

use crate::error::{Error, Misuse};

/// What one side gives to the other in SDP; `Debug` never shows the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name fragment, 4 to 256 ice-chars (RFC 8839 §5.4).
    pub ufrag: String,
    /// The password, 22 to 256 ice-chars.
    pub pwd: String,
}

impl Credentials {
    /// Credentials as they came in a description.
    pub fn new(ufrag: impl Into<String>, pwd: impl Into<String>) -> Self {
        Credentials {
            ufrag: ufrag.into(),
            pwd: pwd.into(),
        }
    }

    /// Fresh ones: 48 and 144 random bits (RFC 8445 §5.3 asks for 24 and 128).
    pub(crate) fn random(rng: &mut Rng) -> Self {
        Credentials::new(rng.ice_chars(8), rng.ice_chars(24))
    }

    /// Checks lengths and characters.
    pub(crate) fn check(&self) -> Result<(), Error> {
        // Some stacks use "-", "_" or "=" as well; what matters is that ":" and controls are out.
        let fits = |text: &str, least: usize| {
            (least..=256).contains(&text.len())
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_graphic() && byte != b':')
        };
        if fits(&self.ufrag, 4) && fits(&self.pwd, 22) {
            Ok(())
        } else {
            Err(Error::Misuse(Misuse::Credentials))
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("ufrag", &self.ufrag)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let shown = format!("{:?}", Credentials::new("abcd", "secretsecretsecretsecret"));
        assert!(shown.contains("abcd") && !shown.contains("secret"));
    }

    #[test]
    fn short_and_odd_credentials_are_refused() {
        let good = Credentials::random(&mut Rng::new([1; 32]));
        assert!(good.check().is_ok());
        assert!(Credentials::new("abc", &good.pwd).check().is_err());
        assert!(Credentials::new("abcd", "short").check().is_err());
        assert!(Credentials::new("ab:cd", &good.pwd).check().is_err());
        assert!(
            Credentials::new("x".repeat(257), &good.pwd)
                .check()
                .is_err()
        );
    }
}
