//! The messages of the data channel establishment protocol (RFC 8832 §5).

use std::time::Duration;

use esp_wire::Reader;

use crate::{ChannelConfig, Malformed, Reliability};

/// Payload protocol identifiers (RFC 8831 §8).
pub(crate) mod ppid {
    pub(crate) const DCEP: u32 = 50;
    pub(crate) const TEXT: u32 = 51;
    /// Deprecated partial binary message; its content is delivered as it came.
    pub(crate) const BINARY_PARTIAL: u32 = 52;
    pub(crate) const BINARY: u32 = 53;
    /// Deprecated partial text.
    pub(crate) const TEXT_PARTIAL: u32 = 54;
    pub(crate) const TEXT_EMPTY: u32 = 56;
    pub(crate) const BINARY_EMPTY: u32 = 57;
}

const ACK: u8 = 2;
const OPEN: u8 = 3;
const UNORDERED: u8 = 0x80;
const RELIABLE: u8 = 0;
const MAX_RETRANSMITS: u8 = 1;
const MAX_LIFETIME: u8 = 2;

/// A received message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dcep {
    Open(ChannelConfig),
    Ack,
}

impl Dcep {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Dcep, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            ACK => Ok(Dcep::Ack),
            OPEN => Self::parse_open(reader).map(Dcep::Open),
            _ => Err(Malformed::Field),
        }
    }

    fn parse_open(mut reader: Reader<'_>) -> Result<ChannelConfig, Malformed> {
        let kind = reader.u8()?;
        let priority = reader.u16()?;
        let parameter = reader.u32()?;
        let (label, protocol) = (reader.u16()?, reader.u16()?);
        let mut text = |len: u16| -> Result<String, Malformed> {
            let bytes = reader.take(usize::from(len))?;
            Ok(String::from_utf8_lossy(bytes).into_owned())
        };
        let (label, protocol) = (text(label)?, text(protocol)?);
        let reliability = match kind & !UNORDERED {
            RELIABLE => Reliability::Reliable,
            MAX_RETRANSMITS => {
                Reliability::MaxRetransmits(u16::try_from(parameter).unwrap_or(u16::MAX))
            }
            MAX_LIFETIME => Reliability::MaxLifetime(Duration::from_millis(u64::from(parameter))),
            _ => return Err(Malformed::Field),
        };
        Ok(ChannelConfig {
            label,
            protocol,
            ordered: kind & UNORDERED == 0,
            reliability,
            priority,
            negotiated: None,
        })
    }
}

/// DATA_CHANNEL_OPEN; label and protocol have at most 65,535 bytes.
pub(crate) fn open(config: &ChannelConfig) -> Vec<u8> {
    let (kind, parameter) = match config.reliability {
        Reliability::Reliable => (RELIABLE, 0),
        Reliability::MaxRetransmits(count) => (MAX_RETRANSMITS, u32::from(count)),
        Reliability::MaxLifetime(lifetime) => (
            MAX_LIFETIME,
            u32::try_from(lifetime.as_millis()).unwrap_or(u32::MAX),
        ),
    };
    let order = if config.ordered { 0 } else { UNORDERED };
    let mut bytes = Vec::with_capacity(12 + config.label.len() + config.protocol.len());
    bytes.extend_from_slice(&[OPEN, kind | order]);
    bytes.extend_from_slice(&config.priority.to_be_bytes());
    bytes.extend_from_slice(&parameter.to_be_bytes());
    bytes.extend_from_slice(&(config.label.len() as u16).to_be_bytes());
    bytes.extend_from_slice(&(config.protocol.len() as u16).to_be_bytes());
    bytes.extend_from_slice(config.label.as_bytes());
    bytes.extend_from_slice(config.protocol.as_bytes());
    bytes
}

/// DATA_CHANNEL_ACK.
pub(crate) const ACK_MESSAGE: [u8; 1] = [ACK];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_open_is_laid_out_as_the_rfc_draws_it() {
        let config = ChannelConfig::new("ab")
            .with_protocol("c")
            .unordered()
            .with_reliability(Reliability::MaxRetransmits(3));
        let expected = [3, 0x81, 1, 0, 0, 0, 0, 3, 0, 2, 0, 1, b'a', b'b', b'c'];
        assert_eq!(open(&config), expected);
        assert_eq!(Dcep::parse(&expected), Ok(Dcep::Open(config)));
        assert_eq!(Dcep::parse(&[2]), Ok(Dcep::Ack));
        assert!(Dcep::parse(&expected[..14]).is_err());
        assert!(Dcep::parse(&[9]).is_err());
    }

    proptest! {
        #[test]
        fn any_configuration_round_trips(
            label in ".{0,40}", protocol in ".{0,10}", ordered: bool, priority: u16,
            kind in 0..3, value: u16,
        ) {
            let reliability = match kind {
                0 => Reliability::Reliable,
                1 => Reliability::MaxRetransmits(value),
                _ => Reliability::MaxLifetime(Duration::from_millis(u64::from(value))),
            };
            let config = ChannelConfig {
                label, protocol, ordered, reliability, priority, negotiated: None,
            };
            prop_assert_eq!(Dcep::parse(&open(&config)), Ok(Dcep::Open(config)));
        }

        #[test]
        fn any_bytes_parse_or_not(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Dcep::parse(&bytes);
        }
    }
}
