//! The attributes of RFC 8839, RFC 8122, RFC 4145, RFC 8285, RFC 4585 and RFC 5576 as values.

use std::fmt;
use std::str::FromStr;

use esp_wire::Direction;

/// One side's ICE parameters (RFC 8839 §5.3 to §5.6). `Debug` never shows the password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Ice {
    /// `a=ice-ufrag`, 4 to 256 characters.
    pub ufrag: String,
    /// `a=ice-pwd`, 22 to 256 characters.
    pub pwd: String,
    /// `a=ice-lite`: it only answers checks.
    pub lite: bool,
    /// `a=ice-options` tags such as `trickle`, `ice2`, `renomination`.
    pub options: Vec<String>,
    /// `a=ice-pacing`: the time between two checks that is proposed, ms (RFC 8839 §5.5).
    pub pacing: Option<u32>,
}

impl Ice {
    /// Whether candidates may follow by signaling (RFC 8840 §4.1).
    pub fn trickles(&self) -> bool {
        self.options.iter().any(|option| option == "trickle")
    }
}

impl fmt::Debug for Ice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ice")
            .field("ufrag", &self.ufrag)
            .field("lite", &self.lite)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// RFC 8839 §5.4: ice-char = ALPHA / DIGIT / "+" / "/". Others are met in the wild.
pub(crate) fn is_ice_text(text: &str, least: usize) -> bool {
    (least..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The hash of a DTLS certificate (RFC 8122 §5); reads and shows as `sha-256 AB:CD:...`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    /// The hash function in lower case, e.g. `sha-256`.
    pub algorithm: String,
    /// The hash.
    pub value: Vec<u8>,
}

impl FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text
            .trim()
            .split_once(' ')
            .ok_or("a fingerprint is a hash function, a space and hexadecimal bytes")?;
        let value = hex
            .trim()
            .split(':')
            .map(|byte| match byte.len() {
                2 if byte.bytes().all(|digit| digit.is_ascii_hexdigit()) => {
                    u8::from_str_radix(byte, 16).map_err(|_| "not hexadecimal")
                }
                _ => Err("its bytes are not two hexadecimal digits each"),
            })
            .collect::<Result<Vec<u8>, _>>()?;
        let algorithm = algorithm.to_ascii_lowercase();
        let expected = match algorithm.as_str() {
            "sha-1" => Some(20),
            "sha-224" => Some(28),
            "sha-256" => Some(32),
            "sha-384" => Some(48),
            "sha-512" => Some(64),
            _ => None,
        };
        if expected.is_some_and(|expected| expected != value.len()) {
            return Err("its length is not that of its hash function");
        }
        Ok(Fingerprint { algorithm, value })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.algorithm)?;
        for (index, byte) in self.value.iter().enumerate() {
            write!(f, "{}{byte:02X}", if index == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `a=setup` (RFC 4145 §4, RFC 8842 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Setup {
    /// It sends the ClientHello.
    Active,
    /// It waits for the ClientHello.
    Passive,
    /// The answerer chooses.
    ActPass,
    /// No connection for now; WebRTC forbids it.
    HoldConn,
}

impl Setup {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Setup::Active => "active",
            Setup::Passive => "passive",
            Setup::ActPass => "actpass",
            Setup::HoldConn => "holdconn",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [
            Setup::Active,
            Setup::Passive,
            Setup::ActPass,
            Setup::HoldConn,
        ]
        .into_iter()
        .find(|setup| setup.name() == text)
    }
}

/// Which side of DTLS this peer plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// The client: it sends the ClientHello.
    Active,
    /// The server.
    Passive,
}

impl DtlsRole {
    pub(crate) const fn setup(self) -> Setup {
        match self {
            DtlsRole::Active => Setup::Active,
            DtlsRole::Passive => Setup::Passive,
        }
    }
}

/// RTCP feedback that a codec may be controlled with (RFC 4585, RFC 5104 and drafts in use).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feedback {
    /// `nack`: lost packets are named.
    Nack,
    /// `nack pli`: a picture is lost.
    Pli,
    /// `ccm fir`: a full picture is demanded.
    Fir,
    /// `goog-remb`: the receiver's estimate of the bandwidth.
    Remb,
    /// `transport-cc`: arrival times of all packets.
    TransportCc,
}

impl Feedback {
    /// All that are known.
    pub const ALL: [Feedback; 5] = [
        Feedback::Remb,
        Feedback::TransportCc,
        Feedback::Fir,
        Feedback::Nack,
        Feedback::Pli,
    ];

    /// Its text in `a=rtcp-fb`.
    pub const fn name(self) -> &'static str {
        match self {
            Feedback::Nack => "nack",
            Feedback::Pli => "nack pli",
            Feedback::Fir => "ccm fir",
            Feedback::Remb => "goog-remb",
            Feedback::TransportCc => "transport-cc",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|feedback| feedback.name() == text.trim())
    }
}

/// An RTP header extension (RFC 8285) that may be agreed upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// The m-section of a packet (RFC 9143).
    Mid,
    /// When the packet left, 24 bits of 6.18 fixed point seconds.
    AbsSendTime,
    /// The transport-wide sequence number.
    TransportCc,
    /// Loudness of a sound packet (RFC 6464).
    AudioLevel,
    /// How much later than its timestamp the packet left (RFC 5450).
    TransmissionOffset,
    /// How the picture is to be turned (3GPP TS 26.114).
    VideoOrientation,
    /// The stream of a simulcast (RFC 8852).
    Rid,
    /// The stream that a retransmission repairs (RFC 8852).
    RepairedRid,
    /// Bounds of the receiver's delay.
    PlayoutDelay,
    /// When the frame was captured.
    AbsCaptureTime,
}

impl Extension {
    /// All that are known.
    pub const ALL: [Extension; 10] = [
        Extension::Mid,
        Extension::AbsSendTime,
        Extension::TransportCc,
        Extension::AudioLevel,
        Extension::TransmissionOffset,
        Extension::VideoOrientation,
        Extension::Rid,
        Extension::RepairedRid,
        Extension::PlayoutDelay,
        Extension::AbsCaptureTime,
    ];

    /// Its name in `a=extmap`.
    pub const fn uri(self) -> &'static str {
        match self {
            Extension::Mid => "urn:ietf:params:rtp-hdrext:sdes:mid",
            Extension::AbsSendTime => "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
            Extension::TransportCc => {
                "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
            }
            Extension::AudioLevel => "urn:ietf:params:rtp-hdrext:ssrc-audio-level",
            Extension::TransmissionOffset => "urn:ietf:params:rtp-hdrext:toffset",
            Extension::VideoOrientation => "urn:3gpp:video-orientation",
            Extension::Rid => "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id",
            Extension::RepairedRid => "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id",
            Extension::PlayoutDelay => "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay",
            Extension::AbsCaptureTime => {
                "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time"
            }
        }
    }

    /// The extension with this name.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|extension| extension.uri() == uri)
    }
}

/// `a=extmap` (RFC 8285 §5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtMap {
    /// 1 to 14 in the one-byte form, up to 255 in the two-byte form.
    pub id: u8,
    /// Which way it is used, seen from the describing side.
    pub direction: Direction,
    /// Its name.
    pub uri: String,
}

impl ExtMap {
    /// Reads `ID[/DIRECTION] URI [ATTRIBUTES]`; `None` for IDs outside 1 to 255 (RFC 8285 §6
    /// lets offers carry others, which the answerer may leave out).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let (id, direction) = match words.next()?.split_once('/') {
            Some((id, direction)) => (id, direction_of(direction)?),
            None => (text.split_ascii_whitespace().next()?, Direction::SendRecv),
        };
        let id = id.parse().ok().filter(|id| *id != 0 && *id != 15)?;
        Some(ExtMap {
            id,
            direction,
            uri: words.next()?.to_owned(),
        })
    }
}

/// The direction attribute with this name (RFC 8866 §6.7).
pub(crate) fn direction_of(name: &str) -> Option<Direction> {
    Some(match name {
        "sendrecv" => Direction::SendRecv,
        "sendonly" => Direction::SendOnly,
        "recvonly" => Direction::RecvOnly,
        "inactive" => Direction::None,
        _ => return None,
    })
}

/// The name of a direction attribute.
pub(crate) const fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::SendRecv => "sendrecv",
        Direction::SendOnly => "sendonly",
        Direction::RecvOnly => "recvonly",
        Direction::None => "inactive",
    }
}

/// `a=msid` (RFC 8830): which MediaStream and track an m-section carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Msid {
    /// The MediaStream, `-` for none.
    pub stream: String,
    /// The track; may be empty.
    pub track: String,
}

impl Msid {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        Some(Msid {
            stream: words.next()?.to_owned(),
            track: words.next().unwrap_or_default().to_owned(),
        })
    }
}

/// What the `a=ssrc` lines say of one source (RFC 5576 §4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcInfo {
    /// The source.
    pub ssrc: u32,
    /// Its canonical name, empty when not told.
    pub cname: String,
    /// The older place of `msid`.
    pub msid: Option<Msid>,
}

/// `a=ssrc-group` (RFC 5576 §4.2), e.g. `FID` of a source and its retransmissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SsrcGroup {
    /// `FID`, `SIM`, `FEC-FR`.
    pub semantics: String,
    /// The sources in order.
    pub ssrcs: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_keeps_its_bytes() {
        let text = format!("sha-256 {}", vec!["AB"; 32].join(":"));
        let print: Fingerprint = text.parse().unwrap();
        assert_eq!(print.value, [0xab; 32]);
        assert_eq!(print.to_string(), text);
        assert!("sha-256 AB:CD".parse::<Fingerprint>().is_err());
        assert!("sha-256 +1".parse::<Fingerprint>().is_err());
        assert!("x 01:ff".parse::<Fingerprint>().is_ok());
    }

    #[test]
    fn extension_maps_with_and_without_direction() {
        let map = ExtMap::parse("3/recvonly urn:a with more").unwrap();
        assert_eq!((map.id, map.direction), (3, Direction::RecvOnly));
        assert_eq!(map.uri, "urn:a");
        assert!(ExtMap::parse("0 urn:a").is_none());
        assert!(ExtMap::parse("4096 urn:a").is_none());
        assert!(ExtMap::parse("15 urn:a").is_none());
    }

    #[test]
    fn feedback_is_read_as_a_whole() {
        assert_eq!(Feedback::parse("nack pli"), Some(Feedback::Pli));
        assert_eq!(Feedback::parse("nack rpsi"), None);
    }
}
