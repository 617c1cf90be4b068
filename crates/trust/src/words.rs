//! Why TLS to a server failed, in words.

use std::io;

use rustls::{CertificateError, Error};

/// What the words hold where no root that is believed has signed the server's certificate, so that a program can say
/// what to do about it.
pub const UNTRUSTED: &str = "no trusted root has signed the server's certificate";
/// The same where the certificate is for other names.
pub const OTHER_NAME: &str = "the server's certificate is for another name";

/// The words for an error of TLS.
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => of_certificate(why),
        Error::InvalidMessage(_) => "the server does not speak TLS on this port".into(),
        // Those of a pin.
        Error::General(words) => words.clone(),
        other => format!("TLS: {other}"),
    }
}

/// The words for an error of I/O, which one of TLS may be inside of.
pub fn words_of_io(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    inner.map_or_else(|| error.to_string(), words)
}

fn of_certificate(why: &CertificateError) -> String {
    match why {
        CertificateError::UnknownIssuer => UNTRUSTED.into(),
        CertificateError::NotValidForName => OTHER_NAME.into(),
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            format!(
                "{OTHER_NAME}: {}, not {}",
                names.join(", "),
                expected.to_str()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the server's certificate has expired (or this host's clock is wrong)".into()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the server's certificate is not valid yet (or this host's clock is wrong)".into()
        }
        other => format!("the server's certificate is refused: {other}"),
    }
}

/// A name out of `DnsName("name")`.
fn bare(name: &str) -> &str {
    let mut parts = name.split('"');
    parts.nth(1).unwrap_or(name)
}
