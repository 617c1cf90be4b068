//! Candidates on their own: `application/trickle-ice-sdpfrag` (RFC 8840 §9), as WHIP uses it.

use std::fmt;

use crate::Error;
use crate::attributes::is_ice_text;

/// A fragment of a description that carries candidates. `Debug` never shows the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fragment {
    /// `a=ice-ufrag`: the ICE generation that the candidates belong to; empty when not told.
    pub ufrag: String,
    /// `a=ice-pwd`; empty when not told.
    pub pwd: String,
    /// `a=ice-options`.
    pub options: Vec<String>,
    /// The mids of the bundle; empty when not told.
    pub bundle: Vec<String>,
    /// The m-sections with candidates.
    pub sections: Vec<FragmentSection>,
}

/// One m-section of a [`Fragment`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FragmentSection {
    /// What follows `m=`, e.g. `audio 9 UDP/TLS/RTP/SAVPF 0`.
    pub m_line: String,
    /// Its mid.
    pub mid: String,
    /// Its candidates, `candidate:...`.
    pub candidates: Vec<String>,
    /// No more candidates follow.
    pub end_of_candidates: bool,
}

impl Fragment {
    /// Bytes of the longest fragment that is read.
    pub const MAX_TEXT: usize = 64 * 1024;
    const MAX_SECTIONS: usize = 32;
    const MAX_CANDIDATES: usize = 128;

    /// Reads a fragment; unknown lines are ignored, more than 128 candidates of an m-section too.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > Self::MAX_TEXT {
            return Err(Error::malformed("", "the fragment is longer than 64 KiB"));
        }
        let mut fragment = Fragment::default();
        for line in text
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
        {
            fragment.line(line)?;
        }
        Ok(fragment)
    }

    fn line(&mut self, line: &str) -> Result<(), Error> {
        let attribute = match line.split_at_checked(2) {
            Some(("a=", attribute)) => attribute,
            Some(("m=", m_line)) => {
                if self.sections.len() == Self::MAX_SECTIONS {
                    return Err(Error::malformed(line, "there are more than 32 m-sections"));
                }
                self.sections.push(FragmentSection {
                    m_line: m_line.to_owned(),
                    ..FragmentSection::default()
                });
                return Ok(());
            }
            _ if line.as_bytes().get(1) == Some(&b'=') => return Ok(()),
            _ => return Err(Error::malformed(line, "it is not a line of a description")),
        };
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match (name, self.sections.last_mut()) {
            ("ice-ufrag" | "ice-pwd", _) => self.credential(line, name, value)?,
            ("ice-options", _) => {
                self.options = value.split_ascii_whitespace().map(str::to_owned).collect();
            }
            ("group", None) => {
                if let Some(mids) = value.strip_prefix("BUNDLE") {
                    self.bundle = mids.split_ascii_whitespace().map(str::to_owned).collect();
                }
            }
            ("mid", Some(section)) => section.mid = value.to_owned(),
            ("candidate", Some(section)) if section.candidates.len() < Self::MAX_CANDIDATES => {
                section.candidates.push(attribute.to_owned());
            }
            ("end-of-candidates", Some(section)) => section.end_of_candidates = true,
            ("candidate", None) => {
                return Err(Error::malformed(line, "no m-section stands before it"));
            }
            _ => {}
        }
        Ok(())
    }

    fn credential(&mut self, line: &str, name: &str, value: &str) -> Result<(), Error> {
        let (least, place) = match name {
            "ice-ufrag" => (4, &mut self.ufrag),
            _ => (22, &mut self.pwd),
        };
        if !is_ice_text(value, least) {
            return Err(Error::malformed(
                line,
                format!("it has not {least} to 256 plain characters (RFC 8839 §5.4)"),
            ));
        }
        value.clone_into(place);
        Ok(())
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in [("ice-ufrag", &self.ufrag), ("ice-pwd", &self.pwd)] {
            if !value.is_empty() {
                write!(f, "a={name}:{value}\r\n")?;
            }
        }
        if !self.options.is_empty() {
            write!(f, "a=ice-options:{}\r\n", self.options.join(" "))?;
        }
        if !self.bundle.is_empty() {
            write!(f, "a=group:BUNDLE {}\r\n", self.bundle.join(" "))?;
        }
        for section in &self.sections {
            write!(f, "m={}\r\na=mid:{}\r\n", section.m_line, section.mid)?;
            for candidate in &section.candidates {
                write!(f, "a={candidate}\r\n")?;
            }
            if section.end_of_candidates {
                f.write_str("a=end-of-candidates\r\n")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fragment")
            .field("ufrag", &self.ufrag)
            .field("bundle", &self.bundle)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &str = "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0\r\n\
        a=end-of-candidates\r\n";

    #[test]
    fn a_fragment_reads_back() {
        let fragment = Fragment::parse(SAMPLE).unwrap();
        assert_eq!(fragment.sections[0].candidates.len(), 1);
        assert!(fragment.sections[0].end_of_candidates);
        assert_eq!(fragment.bundle, ["0", "1"]);
        assert_eq!(fragment.to_string(), SAMPLE);
        assert!(!format!("{fragment:?}").contains("P2uY"));
    }

    #[test]
    fn a_candidate_needs_an_m_section() {
        assert!(Fragment::parse("a=candidate:1 1 udp 1 192.0.2.1 1 typ host").is_err());
        assert!(Fragment::parse("hello").is_err());
        assert!(Fragment::parse("a=ice-ufrag:x").is_err());
    }
}
