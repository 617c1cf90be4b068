//! Options of an OpenH264 encoder that its safe interface does not reach: its bitrate while it runs, and
//! what it prints while it starts.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::from_mut;

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_MAX_BITRATE, ENCODER_OPTION_TRACE_LEVEL,
    SBitrateInfo, SPATIAL_LAYER_0, SPATIAL_LAYER_ALL,
};

/// Sets the target of an encoder that has encoded a picture, and a ceiling of 1.5 times that.
///
/// The encoder keeps to it only while it may skip frames. False when it refuses.
pub(super) fn set_bitrate(encoder: &mut Encoder, old: u32, new: u32) -> bool {
    let ceiling = new.saturating_add(new / 2);
    let mut steps = [
        (ENCODER_OPTION_BITRATE, SPATIAL_LAYER_ALL, new),
        (ENCODER_OPTION_BITRATE, SPATIAL_LAYER_0, new),
        (ENCODER_OPTION_MAX_BITRATE, SPATIAL_LAYER_ALL, ceiling),
        (ENCODER_OPTION_MAX_BITRATE, SPATIAL_LAYER_0, ceiling),
    ];
    // The ceiling must not lie below the target at any moment.
    if new > old {
        steps.rotate_left(2);
    }
    steps
        .into_iter()
        .all(|(option, layer, bitrate)| set(encoder, option, layer, bitrate))
}

/// Keeps a new encoder from printing warnings about its settings to the standard error.
pub(super) fn silence(encoder: &mut Encoder) {
    let mut level: c_int = 0;
    // SAFETY: the option reads one `int` through the pointer during the call and keeps nothing of it.
    unsafe {
        encoder
            .raw_api()
            .set_option(ENCODER_OPTION_TRACE_LEVEL, from_mut(&mut level).cast());
    }
}

fn set(encoder: &mut Encoder, option: ENCODER_OPTION, layer: c_int, bitrate: u32) -> bool {
    let mut info = SBitrateInfo {
        iLayer: layer,
        iBitrate: c_int::try_from(bitrate).unwrap_or(c_int::MAX),
    };
    // SAFETY: both options read one `SBitrateInfo` through the pointer during the call and keep nothing of it.
    unsafe {
        encoder
            .raw_api()
            .set_option(option, from_mut(&mut info).cast())
            == 0
    }
}
