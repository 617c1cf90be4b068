//! The parts of the H.264 syntax (ITU-T H.264) that sending and storing frames needs.

mod bits;
mod level;
mod nal;
mod slice;
mod sps;

pub(crate) use bits::BitReader;
pub(crate) use level::{fits, least_level, max_bitrate};
pub use nal::{NalUnits, nal_type};
pub(crate) use nal::{append_annex_b, is_keyframe, kind, parameter_sets};
pub(crate) use slice::{SliceHead, SliceKind};
pub use sps::Sps;
