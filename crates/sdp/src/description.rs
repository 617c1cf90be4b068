//! A session description: its lines, kept as they are, and the typed view of them.

use std::fmt;
use std::str::FromStr;

use esp_wire::Direction;
use sdp_types::{Attribute, Session};

use crate::attributes::direction_of;
use crate::section::{ice_text, push_fingerprint, setup};
use crate::{Error, ExtMap, Fingerprint, MediaSection, Negotiated, Setup};

/// How much a description may hold; what bounds the memory that a peer can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub text: usize,
    /// m-sections.
    pub sections: usize,
    /// Candidates of each m-section; more are ignored.
    pub candidates: usize,
    /// Sources and source groups of each m-section; more are ignored.
    pub sources: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            text: 64 * 1024,
            sections: 32,
            candidates: 128,
            sources: 64,
        }
    }
}

/// Values of the session level that m-sections inherit.
#[derive(Debug)]
pub(crate) struct SessionLevel {
    pub(crate) ufrag: Option<String>,
    pub(crate) pwd: Option<String>,
    pub(crate) ice_lite: bool,
    pub(crate) ice_options: Vec<String>,
    pub(crate) ice_pacing: Option<u32>,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) setup: Option<Setup>,
    pub(crate) direction: Direction,
    pub(crate) extmap_allow_mixed: bool,
    pub(crate) end_of_candidates: bool,
    pub(crate) extensions: Vec<ExtMap>,
    bundle: Vec<Vec<String>>,
}

/// A session description (RFC 8866) as WebRTC uses it (RFC 8829).
///
/// [`Description::parse`] reads it, `Display` emits it; what was read is emitted byte for byte
/// (lines end in CRLF), lines that are unknown included. `Debug` shows no ICE password.
#[derive(Clone)]
pub struct Description {
    lines: Session,
    sections: Vec<MediaSection>,
    bundle: Vec<Vec<String>>,
    ice_lite: bool,
}

impl Description {
    /// Reads a description within the default [`Limits`].
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_within(text, &Limits::default())
    }

    /// Reads a description within `limits`.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the line.
    pub fn parse_within(text: &str, limits: &Limits) -> Result<Self, Error> {
        if text.len() > limits.text {
            return Err(Error::malformed(
                "",
                format!("it has {} bytes, more than {}", text.len(), limits.text),
            ));
        }
        let sections = text
            .split('\n')
            .filter(|line| line.starts_with("m="))
            .count();
        if sections > limits.sections {
            return Err(Error::malformed(
                "",
                format!(
                    "it has {sections} m-sections, more than {}",
                    limits.sections
                ),
            ));
        }
        let lines = Session::parse(text.as_bytes()).map_err(|error| {
            let reason = error.to_string();
            Error::malformed(line_of(text, &reason), reason)
        })?;
        Self::from_lines(lines, limits)
    }

    /// The typed view of lines.
    pub(crate) fn from_lines(lines: Session, limits: &Limits) -> Result<Self, Error> {
        let session = SessionLevel::parse(&lines)?;
        let sections = lines
            .medias
            .iter()
            .map(|media| MediaSection::parse(media, &session, limits))
            .collect::<Result<Vec<_>, _>>()?;
        for (index, section) in sections.iter().enumerate() {
            let twice = |other: &MediaSection| !section.mid.is_empty() && other.mid == section.mid;
            if sections[..index].iter().any(twice) {
                return Err(Error::malformed(
                    format!("a=mid:{}", section.mid),
                    "two m-sections have the same mid",
                ));
            }
        }
        Ok(Description {
            lines,
            sections,
            bundle: session.bundle,
            ice_lite: session.ice_lite,
        })
    }

    /// The m-sections in order.
    pub fn sections(&self) -> &[MediaSection] {
        &self.sections
    }

    /// The mids of each BUNDLE group (RFC 8843), the tagged one first.
    pub fn bundle(&self) -> &[Vec<String>] {
        &self.bundle
    }

    /// Whether the describing side is an ICE lite agent (RFC 8839 §5.3).
    pub fn ice_lite(&self) -> bool {
        self.ice_lite
    }

    /// The session id and version of the `o=` line.
    pub fn version(&self) -> (&str, u64) {
        (&self.lines.origin.sess_id, self.lines.origin.sess_version)
    }

    /// Whether this is an offer: it leaves the DTLS role to the answer (`a=setup:actpass`, RFC 8842 §5.2), as
    /// no answer may.
    pub fn leaves_setup(&self) -> bool {
        let mut setups = self.sections.iter().filter_map(|section| section.setup);
        setups.any(|setup| setup == Setup::ActPass)
    }

    /// Whether it restarts ICE against what was agreed before: user fragment and password differ
    /// (RFC 8839 §4.4.1.1.1). The answer then needs new ones too.
    pub fn restarts_ice(&self, previous: &Negotiated) -> bool {
        let Some(transport) = &previous.transport else {
            return false;
        };
        let tagged = self
            .sections
            .iter()
            .find(|section| section.mid == transport.mid && section.ice.is_some())
            .or_else(|| self.sections.iter().find(|section| section.ice.is_some()));
        match tagged.and_then(|section| section.ice.as_ref()) {
            Some(ice) => ice.ufrag != transport.ice.ufrag || ice.pwd != transport.ice.pwd,
            None => false,
        }
    }
}

impl SessionLevel {
    fn parse(lines: &Session) -> Result<Self, Error> {
        let mut session = SessionLevel {
            ufrag: None,
            pwd: None,
            ice_lite: false,
            ice_options: Vec::new(),
            ice_pacing: None,
            fingerprints: Vec::new(),
            setup: None,
            direction: Direction::SendRecv,
            extmap_allow_mixed: false,
            end_of_candidates: false,
            extensions: Vec::new(),
            bundle: Vec::new(),
        };
        for attribute in &lines.attributes {
            let value = attribute.value.as_deref().unwrap_or_default();
            match attribute.attribute.as_str() {
                "ice-ufrag" => session.ufrag = Some(ice_text(attribute, value, 4)?),
                "ice-pwd" => session.pwd = Some(ice_text(attribute, value, 22)?),
                // One that cannot be read says nothing.
                "ice-pacing" => session.ice_pacing = value.trim().parse().ok(),
                "ice-lite" => session.ice_lite = true,
                "ice-options" => session
                    .ice_options
                    .extend(value.split_ascii_whitespace().map(str::to_owned)),
                "fingerprint" => push_fingerprint(&mut session.fingerprints, attribute, value)?,
                "setup" => session.setup = Some(setup(attribute, value)?),
                "extmap-allow-mixed" => session.extmap_allow_mixed = true,
                "end-of-candidates" => session.end_of_candidates = true,
                "extmap" => session.extensions.extend(ExtMap::parse(value)),
                "group" => {
                    let mut words = value.split_ascii_whitespace();
                    if words.next() == Some("BUNDLE") {
                        session.bundle.push(words.map(str::to_owned).collect());
                    }
                }
                name => {
                    if let Some(direction) = direction_of(name) {
                        session.direction = direction;
                    }
                }
            }
        }
        Ok(session)
    }
}

/// The line that a parser's message names by its number.
fn line_of(text: &str, reason: &str) -> String {
    reason
        .split_once("line ")
        .and_then(|(_, rest)| {
            let end = rest
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(rest.len());
            rest[..end].parse::<usize>().ok()
        })
        .and_then(|number| text.lines().nth(number.checked_sub(1)?))
        .unwrap_or_default()
        .to_owned()
}

/// An attribute as its line.
pub(crate) fn shown(attribute: &Attribute) -> String {
    match &attribute.value {
        Some(value) => format!("a={}:{value}", attribute.attribute),
        None => format!("a={}", attribute.attribute),
    }
}

impl FromStr for Description {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Description::parse(text)
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        self.lines.write(&mut bytes).map_err(|_| fmt::Error)?;
        f.write_str(std::str::from_utf8(&bytes).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Description")
            .field("origin", &self.lines.origin)
            .field("bundle", &self.bundle)
            .field("sections", &self.sections)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Description {
    fn eq(&self, other: &Self) -> bool {
        self.lines == other.lines
    }
}

impl Eq for Description {}
