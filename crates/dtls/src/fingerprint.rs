use std::fmt;
use std::str::FromStr;

use esp_crypto::{sha256, sha384, sha512};

use crate::{Error, Violation};

/// A hash function of certificate fingerprints (RFC 8122 §5), weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashFunction {
    /// SHA-1: parsed, since peers still announce it, but never enough.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashFunction {
    const ALL: [HashFunction; 4] = [
        HashFunction::Sha1,
        HashFunction::Sha256,
        HashFunction::Sha384,
        HashFunction::Sha512,
    ];

    /// The name in SDP.
    pub fn name(self) -> &'static str {
        match self {
            HashFunction::Sha1 => "sha-1",
            HashFunction::Sha256 => "sha-256",
            HashFunction::Sha384 => "sha-384",
            HashFunction::Sha512 => "sha-512",
        }
    }

    /// Bytes of a value.
    pub fn size(self) -> usize {
        match self {
            HashFunction::Sha1 => 20,
            HashFunction::Sha256 => 32,
            HashFunction::Sha384 => 48,
            HashFunction::Sha512 => 64,
        }
    }

    fn hash(self, certificate: &[u8]) -> Option<Vec<u8>> {
        match self {
            HashFunction::Sha1 => None,
            HashFunction::Sha256 => Some(sha256(&[certificate]).to_vec()),
            HashFunction::Sha384 => Some(sha384(&[certificate]).to_vec()),
            HashFunction::Sha512 => Some(sha512(&[certificate]).to_vec()),
        }
    }
}

impl fmt::Display for HashFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hash of a certificate, as in SDP's `a=fingerprint` (RFC 8122 §5).
///
/// It reads and prints the form `sha-256 AB:CD:..`; names and digits are read in either case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The hash function.
    pub algorithm: HashFunction,
    /// The hash of the certificate's DER.
    pub value: Vec<u8>,
}

impl Fingerprint {
    /// The SHA-256 fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Self {
        Fingerprint {
            algorithm: HashFunction::Sha256,
            value: sha256(&[certificate]).to_vec(),
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm.name())?;
        for (index, byte) in self.value.iter().enumerate() {
            let before = if index == 0 { ' ' } else { ':' };
            write!(f, "{before}{byte:02X}")?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut words = text.split_ascii_whitespace();
        let (Some(name), Some(digits), None) = (words.next(), words.next(), words.next()) else {
            return Err(Error::Malformed("a fingerprint is a name and a value"));
        };
        let algorithm = HashFunction::ALL
            .into_iter()
            .find(|function| function.name().eq_ignore_ascii_case(name))
            .ok_or(Error::Malformed("an unknown hash function"))?;
        let value: Option<Vec<u8>> = digits.split(':').map(byte_of).collect();
        match value {
            Some(value) if value.len() == algorithm.size() => Ok(Fingerprint { algorithm, value }),
            Some(_) => Err(Error::Malformed("a fingerprint of the wrong length")),
            None => Err(Error::Malformed("a fingerprint that is not hexadecimal")),
        }
    }
}

fn byte_of(pair: &str) -> Option<u8> {
    let plain = pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
}

/// RFC 8122 §5.1: of several announced functions only the strongest counts; one match in its set is enough.
pub(crate) fn check(announced: &[Fingerprint], certificate: &[u8]) -> Result<(), Error> {
    let strongest = announced
        .iter()
        .map(|fingerprint| fingerprint.algorithm)
        .max();
    let matches = strongest
        .and_then(|function| Some((function, function.hash(certificate)?)))
        .is_some_and(|(function, value)| {
            announced
                .iter()
                .any(|it| it.algorithm == function && it.value == value)
        });
    if matches {
        return Ok(());
    }
    let presented = strongest
        .and_then(|algorithm| {
            let value = algorithm.hash(certificate)?;
            Some(Fingerprint { algorithm, value })
        })
        .unwrap_or_else(|| Fingerprint::of(certificate));
    Err(Error::PeerMisbehaved(Violation::Fingerprint {
        announced: announced.to_vec(),
        presented,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_reads() {
        let text = format!("sha-256 {}", ["0A"; 32].join(":"));
        let fingerprint: Fingerprint = text.parse().unwrap();
        assert_eq!(fingerprint.to_string(), text);
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint.clone()));
        assert_eq!(text.replace("sha", "SHA").parse(), Ok(fingerprint));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "",
            "sha-256",
            "sha-256 AB",
            "md5 00:11",
            "sha-256 +A",
            &format!("sha-256 {}", ["0A"; 31].join(":")),
            &format!("sha-256 {} x", ["0A"; 32].join(":")),
            &format!("sha-256 {}", ["+A"; 32].join(":")),
            &format!("sha-256 {}", ["ä"; 32].join(":")),
        ] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_the_strongest_function_counts() {
        let of = |algorithm: HashFunction, certificate: &[u8]| Fingerprint {
            algorithm,
            value: algorithm.hash(certificate).unwrap(),
        };
        let right = of(HashFunction::Sha256, b"cert");
        let wrong = of(HashFunction::Sha512, b"other");
        assert!(check(std::slice::from_ref(&right), b"cert").is_ok());
        assert!(check(&[of(HashFunction::Sha384, b"cert")], b"cert").is_ok());
        assert!(check(&[right.clone(), wrong.clone()], b"cert").is_err());
        assert!(check(&[wrong, of(HashFunction::Sha512, b"cert"), right], b"cert").is_ok());
        assert!(check(&[], b"cert").is_err());
        let sha1 = Fingerprint {
            algorithm: HashFunction::Sha1,
            value: vec![0; 20],
        };
        assert!(check(&[sha1], b"cert").is_err());
    }
}
