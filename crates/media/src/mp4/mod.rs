//! MP4 files (ISO/IEC 14496-12, -15): a demuxer, and a writer of fragments.

mod boxes;
mod demux;
mod fragment;
mod moov;
mod mux;
mod table;

pub(crate) use demux::to_annex_b;
pub use demux::{Mp4, Sample, Track, TrackKind};
pub(crate) use mux::to_lengths;
pub use mux::{FragmentWriter, Run, RunSample, TrackConfig};

/// A four-character code.
pub type FourCc = [u8; 4];
