//! From packets in order to frames.

use esp_wire::Codec;

use super::jitter::Incoming;
use crate::format::h264::{self, Assembly};

/// A frame as it comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Finished {
    pub(crate) timestamp: u32,
    pub(crate) payload_type: u8,
    pub(crate) codec: Codec,
    pub(crate) keyframe: bool,
    /// Video without any picture: parameter sets on their own.
    pub(crate) no_picture: bool,
    pub(crate) rotation: u16,
    pub(crate) audio_level: Option<u8>,
}

/// What became of an access unit that ended.
pub(crate) enum Outcome<'a> {
    /// It is whole. The receiver may swap the buffer for another one.
    Whole(Finished, &'a mut Vec<u8>),
    /// A part was missing or malformed.
    Broken,
}

/// Puts video packets together; `sink` hears of each access unit that ends.
#[derive(Debug, Default)]
pub(crate) struct Assembler {
    frame: Vec<u8>,
    assembly: Assembly,
    open: bool,
    broken: bool,
    /// Packets were lost right before it; they may have been its parameter sets.
    uncertain: bool,
    gap: bool,
    timestamp: u32,
    rotation: u16,
    content: Option<(Codec, u8)>,
    parameters_known: bool,
    /// The stream carries its parameter sets itself.
    in_band: bool,
    /// Parameter sets of SDP, in Annex B.
    parameter_sets: Vec<u8>,
    most: usize,
}

impl Assembler {
    /// An assembler of access units of at most `most` bytes.
    pub(crate) fn new(most: usize) -> Self {
        Assembler {
            most,
            ..Assembler::default()
        }
    }

    /// Gives the parameter sets that go before keyframes without any.
    pub(crate) fn set_parameter_sets(&mut self, annex_b: &[u8]) {
        self.parameter_sets.clear();
        self.parameter_sets.extend_from_slice(annex_b);
    }

    /// Takes the next packet in order; `gap` when packets right before it were given up.
    pub(crate) fn push(
        &mut self,
        packet: &Incoming<'_>,
        gap: bool,
        sink: &mut dyn FnMut(Outcome<'_>),
    ) {
        let Some((codec, _)) = packet.content else {
            // Padding hides what the gap before it may have cost.
            self.gap |= gap;
            return;
        };
        let gap = gap | std::mem::take(&mut self.gap);
        if self.open && (self.timestamp != packet.timestamp || self.content != packet.content) {
            // A lost packet may have been the end, or a sender sets no markers.
            self.broken |= gap;
            self.finish(sink);
        }
        if !self.open {
            self.begin(packet);
            self.broken = gap && !h264::begins_access_unit(packet.payload);
            self.uncertain = gap;
        } else {
            self.broken |= gap;
        }
        if let Some(rotation) = packet.rotation {
            self.rotation = rotation;
        }
        debug_assert_eq!(codec, Codec::H264, "the only video codec in RTP");
        if !self.broken {
            let pushed = self.assembly.push(packet.payload, &mut self.frame);
            self.broken = pushed.is_err() || self.frame.len() > self.most;
        }
        if packet.marker {
            self.finish(sink);
        }
    }

    /// Forgets what is open; true when something was.
    pub(crate) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.open)
    }

    fn begin(&mut self, packet: &Incoming<'_>) {
        self.frame.clear();
        self.assembly = Assembly::default();
        self.open = true;
        self.timestamp = packet.timestamp;
        self.content = packet.content;
    }

    fn finish(&mut self, sink: &mut dyn FnMut(Outcome<'_>)) {
        self.open = false;
        let Some((codec, payload_type)) = self.content else {
            return;
        };
        let contents = self.assembly.contents;
        let stripped = self.uncertain && self.in_band && contents.idr && !contents.sps;
        if self.broken || stripped || !self.assembly.is_whole() || self.frame.is_empty() {
            sink(Outcome::Broken);
            return;
        }
        let in_band = contents.sps && contents.pps;
        self.in_band |= in_band;
        self.parameters_known |= in_band;
        if contents.idr && !contents.sps && !self.parameter_sets.is_empty() {
            let sets = self.parameter_sets.iter().copied();
            self.frame.splice(0..0, sets);
            self.parameters_known = true;
        }
        let finished = Finished {
            timestamp: self.timestamp,
            payload_type,
            codec,
            keyframe: contents.idr && self.parameters_known,
            no_picture: !contents.slice,
            rotation: self.rotation,
            audio_level: None,
        };
        sink(Outcome::Whole(finished, &mut self.frame));
    }
}
