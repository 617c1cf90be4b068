//! INIT and INIT ACK (RFC 9260 §3.3.2, §3.3.3) with the parameters that WebRTC uses.

use esp_wire::Reader;

use super::{Parameters, Unknown, encode, kind, put_parameter};
use crate::Malformed;

/// Parameter types.
mod parameter {
    pub(super) const IPV4: u16 = 5;
    pub(super) const IPV6: u16 = 6;
    pub(super) const STATE_COOKIE: u16 = 7;
    pub(super) const UNRECOGNIZED: u16 = 8;
    pub(super) const COOKIE_PRESERVATIVE: u16 = 9;
    pub(super) const HOST_NAME: u16 = 11;
    pub(super) const ADDRESS_TYPES: u16 = 12;
    pub(super) const ECN: u16 = 0x8000;
    /// RFC 9653 §4.
    pub(super) const ZERO_CHECKSUM: u16 = 0x8001;
    /// RFC 5061 §4.2.7.
    pub(super) const EXTENSIONS: u16 = 0x8008;
    /// RFC 3758 §3.1.
    pub(super) const FORWARD_TSN: u16 = 0xc000;
    pub(super) const ADAPTATION: u16 = 0xc006;
}

/// The error detection method "SCTP over DTLS" (RFC 9653 §8).
const DTLS: u32 = 1;

/// Extensions that one side supports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    /// Partial reliability (RFC 3758).
    pub(crate) forward_tsn: bool,
    /// The same with I-DATA (RFC 8260 §2.3.1).
    pub(crate) i_forward_tsn: bool,
    /// Stream reset (RFC 6525).
    pub(crate) reconfig: bool,
    /// Interleaving (RFC 8260).
    pub(crate) interleaving: bool,
    /// Zero checksums over DTLS (RFC 9653).
    pub(crate) zero_checksum: bool,
    /// Explicit congestion notification (RFC 4960 appendix A).
    pub(crate) ecn: bool,
}

impl Extensions {
    /// What both sides support; zero checksums are a matter of each direction alone.
    pub(crate) fn common(self, other: Extensions) -> Extensions {
        Extensions {
            forward_tsn: self.forward_tsn && other.forward_tsn,
            i_forward_tsn: self.i_forward_tsn && other.i_forward_tsn,
            reconfig: self.reconfig && other.reconfig,
            interleaving: self.interleaving && other.interleaving,
            zero_checksum: self.zero_checksum && other.zero_checksum,
            ecn: self.ecn && other.ecn,
        }
    }

    /// Messages may be given up: with I-DATA only where the chunk that goes with it is named (RFC 8260 §2.3.1).
    pub(crate) fn partial(self) -> bool {
        match self.interleaving {
            true => self.i_forward_tsn,
            false => self.forward_tsn,
        }
    }
}

/// The body of an INIT or INIT ACK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Init {
    pub(crate) tag: u32,
    pub(crate) window: u32,
    pub(crate) outbound: u16,
    pub(crate) inbound: u16,
    pub(crate) tsn: u32,
    pub(crate) extensions: Extensions,
    /// In an INIT ACK.
    pub(crate) cookie: Option<Vec<u8>>,
    /// Unknown parameters to be reported back, whole, at most 512 bytes.
    pub(crate) unrecognized: Vec<u8>,
    /// A host name address, which must be refused (RFC 9260 §3.3.2.1).
    pub(crate) host_name: bool,
}

const MAX_UNRECOGNIZED: usize = 512;

impl Init {
    /// Reads the value of the chunk.
    pub(crate) fn parse(value: &[u8]) -> Result<Init, Malformed> {
        let mut reader = Reader::new(value);
        let mut init = Init {
            tag: reader.u32()?,
            window: reader.u32()?,
            outbound: reader.u16()?,
            inbound: reader.u16()?,
            tsn: reader.u32()?,
            ..Init::default()
        };
        for parameter in Parameters::new(reader.rest()) {
            let parameter = parameter?;
            if !init.take(parameter.kind, parameter.value, parameter.whole)? {
                break;
            }
        }
        Ok(init)
    }

    fn take(&mut self, kind: u16, value: &[u8], whole: &[u8]) -> Result<bool, Malformed> {
        match kind {
            parameter::STATE_COOKIE => self.cookie = Some(value.to_vec()),
            parameter::FORWARD_TSN => self.extensions.forward_tsn = true,
            parameter::ZERO_CHECKSUM => {
                let method = Reader::new(value).u32()?;
                self.extensions.zero_checksum = method == DTLS;
            }
            parameter::EXTENSIONS => {
                let has = |kind| value.contains(&kind);
                self.extensions.reconfig = has(kind::RE_CONFIG);
                self.extensions.interleaving = has(kind::I_DATA);
                self.extensions.forward_tsn |= has(kind::FORWARD_TSN);
                self.extensions.i_forward_tsn = has(kind::I_FORWARD_TSN);
            }
            parameter::ECN => self.extensions.ecn = true,
            parameter::HOST_NAME => self.host_name = true,
            // Addresses and preferences mean nothing inside DTLS (RFC 8261 §5); a report that the
            // peer did not know a parameter of ours is answered by the parameter's absence.
            parameter::IPV4
            | parameter::IPV6
            | parameter::UNRECOGNIZED
            | parameter::COOKIE_PRESERVATIVE
            | parameter::ADDRESS_TYPES
            | parameter::ADAPTATION => {}
            _ => return Ok(self.unknown(kind, whole)),
        }
        Ok(true)
    }

    fn unknown(&mut self, kind: u16, whole: &[u8]) -> bool {
        let unknown = Unknown::parameter(kind);
        if unknown.report && self.unrecognized.len() + whole.len() + 8 <= MAX_UNRECOGNIZED {
            put_parameter(&mut self.unrecognized, parameter::UNRECOGNIZED, whole);
        }
        unknown.skip
    }

    /// The whole chunk, INIT or INIT ACK by `kind`.
    pub(crate) fn emit(&self, kind: u8) -> Vec<u8> {
        let mut value = Vec::with_capacity(96);
        value.extend_from_slice(&self.tag.to_be_bytes());
        value.extend_from_slice(&self.window.to_be_bytes());
        value.extend_from_slice(&self.outbound.to_be_bytes());
        value.extend_from_slice(&self.inbound.to_be_bytes());
        value.extend_from_slice(&self.tsn.to_be_bytes());
        if let Some(cookie) = &self.cookie {
            put_parameter(&mut value, parameter::STATE_COOKIE, cookie);
        }
        let has = self.extensions;
        if has.forward_tsn {
            put_parameter(&mut value, parameter::FORWARD_TSN, &[]);
        }
        if has.zero_checksum {
            put_parameter(&mut value, parameter::ZERO_CHECKSUM, &DTLS.to_be_bytes());
        }
        if has.ecn {
            put_parameter(&mut value, parameter::ECN, &[]);
        }
        let chunks = [
            (has.reconfig, kind::RE_CONFIG),
            (has.forward_tsn, kind::FORWARD_TSN),
            (has.interleaving, kind::I_DATA),
            (has.i_forward_tsn, kind::I_FORWARD_TSN),
        ];
        let mut list = [0; 4];
        let mut count = 0;
        for (_, chunk) in chunks.iter().filter(|(supported, _)| *supported) {
            list[count] = *chunk;
            count += 1;
        }
        if count > 0 {
            put_parameter(&mut value, parameter::EXTENSIONS, &list[..count]);
        }
        if !self.unrecognized.is_empty() {
            value.resize(value.len().next_multiple_of(4), 0);
            value.extend_from_slice(&self.unrecognized);
        }
        encode(kind, 0, &value)
    }
}
