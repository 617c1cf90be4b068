//! The formats of an RTP m-section: `rtpmap`, `fmtp` and `rtcp-fb` of one payload type.

use esp_wire::Codec;

use crate::{Feedback, Params};

/// One payload type with all that is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The payload type, 0 to 127.
    pub payload_type: u8,
    /// The encoding name as written; empty when a dynamic type has no `rtpmap`.
    pub name: String,
    /// Ticks a second.
    pub clock_rate: u32,
    /// Channels of sound; 1 when not told.
    pub channels: u8,
    /// The format's parameters as written.
    pub fmtp: String,
    /// The feedback that is known to this crate.
    pub feedback: Vec<Feedback>,
}

impl Payload {
    /// A payload type as RFC 3551 table 4 defines it without any `rtpmap`.
    pub(crate) fn bare(payload_type: u8) -> Self {
        let (name, clock_rate) = match payload_type {
            0 => ("PCMU", 8_000),
            8 => ("PCMA", 8_000),
            9 => ("G722", 8_000),
            13 => ("CN", 8_000),
            _ => ("", 0),
        };
        Payload {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels: 1,
            fmtp: String::new(),
            feedback: Vec::new(),
        }
    }

    /// Takes over `NAME/RATE[/CHANNELS]`.
    pub(crate) fn set_map(&mut self, map: &str) -> Option<()> {
        let mut parts = map.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let clock_rate = parts.next()?.parse().ok()?;
        let channels = match parts.next() {
            Some(channels) => channels.parse().ok()?,
            None => 1,
        };
        self.name = name.to_owned();
        self.clock_rate = clock_rate;
        self.channels = channels;
        Some(())
    }

    /// The codec, when it is one of ours.
    pub fn codec(&self) -> Option<Codec> {
        let codec = [Codec::H264, Codec::Opus, Codec::Pcmu, Codec::Pcma]
            .into_iter()
            .find(|codec| codec.name().eq_ignore_ascii_case(&self.name))?;
        let mono = matches!(codec, Codec::Pcmu | Codec::Pcma);
        (self.clock_rate == codec.clock_rate() && (!mono || self.channels == 1)).then_some(codec)
    }

    /// Its parameters, read as those of its codec.
    pub fn params(&self) -> Params {
        self.codec()
            .map_or(Params::None, |codec| Params::parse(codec, &self.fmtp))
    }

    /// For `rtx`, the payload type that it retransmits (RFC 4588 §8.1).
    pub fn retransmits(&self) -> Option<u8> {
        if !self.name.eq_ignore_ascii_case("rtx") {
            return None;
        }
        parameters(&self.fmtp)
            .find(|(name, _)| name.eq_ignore_ascii_case("apt"))
            .and_then(|(_, value)| value.parse().ok())
    }
}

/// The `name=value` pairs of an `fmtp`.
pub(crate) fn parameters(fmtp: &str) -> impl Iterator<Item = (&str, &str)> {
    fmtp.split(';').filter_map(|parameter| {
        let parameter = parameter.trim();
        if parameter.is_empty() {
            return None;
        }
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        Some((name.trim(), value.trim()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_types_need_no_map() {
        assert_eq!(Payload::bare(0).codec(), Some(Codec::Pcmu));
        assert_eq!(Payload::bare(8).codec(), Some(Codec::Pcma));
        assert_eq!(Payload::bare(96).codec(), None);
    }

    #[test]
    fn maps_are_read_without_regard_to_case() {
        let mut payload = Payload::bare(100);
        payload.set_map("OPUS/48000/2").unwrap();
        assert_eq!(payload.codec(), Some(Codec::Opus));
        payload.set_map("opus/16000").unwrap();
        assert_eq!(payload.codec(), None);
        assert!(payload.set_map("opus").is_none());
        assert!(payload.set_map("opus/x").is_none());
        payload.set_map("rtx/90000").unwrap();
        payload.fmtp = "apt=96; rtx-time=3000".into();
        assert_eq!(payload.retransmits(), Some(96));
    }
}
