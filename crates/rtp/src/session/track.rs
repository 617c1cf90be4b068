//! One m-section: what was negotiated for it, and its stream sent.

use esp_wire::{Direction, Instant, Kind};

use super::{LocalSsrcs, MediaConfig, PayloadMap};
use crate::extension::ExtensionMap;
use crate::send::{Sender, Template};
use crate::{Error, Misuse};

/// Payload types that cannot be told from RTCP (RFC 5761 §4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 64..=95;

/// What a payload type of an m-section means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// A codec.
    Media(PayloadMap),
    /// Retransmissions of that codec. Forward error correction would be a third kind.
    Rtx(PayloadMap),
}

/// An m-section. It is kept when negotiation drops it, so that its stream sent can go on.
pub(super) struct Track {
    pub(super) mid: String,
    pub(super) kind: Kind,
    pub(super) direction: Direction,
    pub(super) sender: Sender,
    pub(super) recv: Vec<PayloadMap>,
    pub(super) remote_rtx: Vec<(u32, u32)>,
    pub(super) reduced_size: bool,
    pub(super) keyframe_event: Option<Instant>,
    pub(super) fir_number: Option<u8>,
    pub(super) parameter_sets: Vec<u8>,
}

impl Track {
    /// Checks what was negotiated.
    pub(super) fn check(config: &MediaConfig) -> Result<(), Error> {
        if config.mid.is_empty() || config.mid.len() > 255 {
            return Err(Misuse::BadMid.into());
        }
        for map in config.recv.iter().chain(&config.send) {
            if map.codec.kind() != config.kind || map.codec == esp_wire::Codec::Mjpeg {
                return Err(Misuse::BadCodec.into());
            }
            for payload_type in std::iter::once(map.pt).chain(map.rtx_pt) {
                if payload_type > 127 || RTCP_TYPES.contains(&payload_type) {
                    return Err(Misuse::BadPayloadType(payload_type).into());
                }
            }
        }
        let mut used = [false; 128];
        for map in &config.recv {
            for payload_type in std::iter::once(map.pt).chain(map.rtx_pt) {
                if std::mem::replace(&mut used[usize::from(payload_type)], true) {
                    return Err(Misuse::BadPayloadType(payload_type).into());
                }
            }
        }
        Ok(())
    }

    /// An m-section that nothing was negotiated for.
    pub(super) fn new(config: &MediaConfig, sender: Sender) -> Self {
        Track {
            mid: config.mid.clone(),
            kind: config.kind,
            direction: Direction::None,
            sender,
            recv: Vec::new(),
            remote_rtx: Vec::new(),
            reduced_size: false,
            keyframe_event: None,
            fir_number: None,
            parameter_sets: Vec::new(),
        }
    }

    /// Takes what was negotiated.
    pub(super) fn configure(&mut self, config: &MediaConfig) {
        self.direction = config.direction;
        self.recv.clone_from(&config.recv);
        self.remote_rtx.clone_from(&config.remote_rtx);
        self.reduced_size = config.reduced_size;
        let mut extensions = ExtensionMap::new();
        for (id, extension) in &config.extensions {
            extensions.set(*id, *extension);
        }
        let template = Template::new(self.ssrcs().ssrc, &config.mid, &extensions);
        let send = config.send.filter(|_| config.direction.sends());
        self.sender.configure(send, template);
    }

    /// Stops it both ways.
    pub(super) fn stop(&mut self) {
        self.direction = Direction::None;
        self.recv.clear();
        self.sender.configure(None, Template::default());
    }

    pub(super) fn ssrcs(&self) -> LocalSsrcs {
        self.sender.ssrcs
    }

    /// What `payload_type` means on the way in.
    pub(super) fn payload(&self, payload_type: u8) -> Option<Payload> {
        self.recv.iter().find_map(|map| {
            if map.pt == payload_type {
                Some(Payload::Media(*map))
            } else if map.rtx_pt == Some(payload_type) {
                Some(Payload::Rtx(*map))
            } else {
                None
            }
        })
    }
}
