//! Which m-section a packet belongs to (RFC 8843 §9.2): by MID, then SSRC, then payload type.

use std::collections::VecDeque;

/// SSRCs that are learned from packets; the oldest makes room.
const MAX_LEARNED: usize = 64;

/// Who a payload type belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owner {
    #[default]
    Nobody,
    One(usize),
    Several,
}

/// The tables of one BUNDLE group; tracks are indices.
#[derive(Debug)]
pub(crate) struct Router {
    mids: Vec<(Box<[u8]>, usize)>,
    announced: Vec<(u32, usize)>,
    learned: VecDeque<(u32, usize)>,
    payload_types: [Owner; 128],
}

impl Router {
    pub(crate) fn new() -> Self {
        Router {
            mids: Vec::new(),
            announced: Vec::new(),
            learned: VecDeque::new(),
            payload_types: [Owner::Nobody; 128],
        }
    }

    /// Empties all tables but what was learned, for a new negotiation.
    pub(crate) fn clear(&mut self) {
        self.mids.clear();
        self.announced.clear();
        self.payload_types = [Owner::Nobody; 128];
    }

    /// Adds an m-section.
    pub(crate) fn add_mid(&mut self, mid: &str, track: usize) {
        self.mids.push((mid.as_bytes().into(), track));
    }

    /// Adds an SSRC that the peer announced.
    pub(crate) fn add_ssrc(&mut self, ssrc: u32, track: usize) {
        self.learned.retain(|(known, _)| *known != ssrc);
        self.announced.push((ssrc, track));
    }

    /// Adds a payload type that an m-section receives; one that several use routes nothing.
    pub(crate) fn add_payload_type(&mut self, payload_type: u8, track: usize) {
        let owner = &mut self.payload_types[usize::from(payload_type & 127)];
        *owner = match *owner {
            Owner::Nobody => Owner::One(track),
            Owner::One(other) if other == track => Owner::One(track),
            _ => Owner::Several,
        };
    }

    /// The m-section named `mid`.
    pub(crate) fn mid(&self, mid: &[u8]) -> Option<usize> {
        let found = self.mids.iter().find(|(known, _)| **known == *mid)?;
        Some(found.1)
    }

    /// The m-section of an SSRC.
    pub(crate) fn ssrc(&self, ssrc: u32) -> Option<usize> {
        let of = |known: &&(u32, usize)| known.0 == ssrc;
        let learned = self.learned.iter().find(of);
        Some(learned.or_else(|| self.announced.iter().find(of))?.1)
    }

    /// Notes that an SSRC belongs to an m-section, from a MID in a packet or in SDES.
    pub(crate) fn learn(&mut self, ssrc: u32, track: usize) {
        if self.ssrc(ssrc) == Some(track) {
            return;
        }
        self.learned.retain(|(known, _)| *known != ssrc);
        if self.learned.len() >= MAX_LEARNED {
            self.learned.pop_front();
        }
        self.learned.push_back((ssrc, track));
    }

    /// The m-section of a packet; `None` to drop it.
    pub(crate) fn route(
        &mut self,
        mid: Option<&[u8]>,
        ssrc: u32,
        payload_type: u8,
    ) -> Option<usize> {
        if let Some(mid) = mid {
            // A MID that nobody has: the packet is dropped, whatever its SSRC.
            let track = self.mid(mid)?;
            self.learn(ssrc, track);
            return Some(track);
        }
        if let Some(track) = self.ssrc(ssrc) {
            return Some(track);
        }
        match self.payload_types[usize::from(payload_type & 127)] {
            Owner::One(track) => {
                self.learn(ssrc, track);
                Some(track)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router() -> Router {
        let mut router = Router::new();
        router.add_mid("0", 0);
        router.add_mid("1", 1);
        router.add_ssrc(10, 0);
        for (payload_type, track) in [(111, 0), (96, 1), (0, 0), (0, 1)] {
            router.add_payload_type(payload_type, track);
        }
        router
    }

    #[test]
    fn a_mid_goes_first_and_is_remembered() {
        let mut router = router();
        assert_eq!(router.route(Some(b"1"), 10, 111), Some(1));
        assert_eq!(router.route(None, 10, 111), Some(1));
        assert_eq!(router.route(Some(b"2"), 10, 111), None);
    }

    #[test]
    fn then_the_ssrc_then_a_payload_type_that_one_section_has() {
        let mut router = router();
        assert_eq!(router.route(None, 10, 96), Some(0));
        assert_eq!(router.route(None, 20, 96), Some(1));
        assert_eq!(router.route(None, 20, 111), Some(1));
        assert_eq!(router.route(None, 30, 0), None);
        assert_eq!(router.route(None, 30, 77), None);
    }

    #[test]
    fn what_is_learned_is_bounded() {
        let mut router = router();
        for ssrc in 0..1_000 {
            router.route(None, 1_000 + ssrc, 96);
        }
        assert_eq!(router.learned.len(), MAX_LEARNED);
        assert_eq!(router.ssrc(1_999), Some(1));
        assert_eq!(router.ssrc(1_000), None);
    }
}
