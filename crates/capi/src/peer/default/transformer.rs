//! RTP transformers of C.

use std::ffi::c_void;

use esp_peer::RtpTransformer;
use esp_peer::rtp::{Buffers, EncodedSize, FrameInfo, TransformError};

use crate::border::{Outcome, invalid};
use crate::gate::calling;
use crate::peer::types::*;

type SizeOf =
    unsafe extern "C" fn(*mut esp_peer_rtp_frame_t, *mut c_bool, *mut c_void) -> std::ffi::c_int;
type Transform = unsafe extern "C" fn(*mut esp_peer_rtp_frame_t, *mut c_void) -> std::ffi::c_int;

/// A pair of C functions that rewrites frames.
pub(super) struct CTransformer {
    size_of: SizeOf,
    transform: Transform,
    ctx: *mut c_void,
    /// The frame at hand passes as it is.
    passes: bool,
}

// SAFETY: the program owes functions that may be called in whatever task it calls the peer's functions; `ctx` is only
// handed back to them.
unsafe impl Send for CTransformer {}

impl CTransformer {
    pub(super) fn boxed(
        callbacks: &esp_peer_rtp_transform_cb_t,
        ctx: *mut c_void,
    ) -> Outcome<Box<dyn RtpTransformer>> {
        let (Some(size_of), Some(transform)) = (callbacks.get_encoded_size, callbacks.transform)
        else {
            return invalid("a transformer needs both of its functions");
        };
        Ok(Box::new(CTransformer {
            size_of,
            transform,
            ctx,
            passes: false,
        }))
    }
}

fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl RtpTransformer for CTransformer {
    fn encoded_size(&mut self, info: FrameInfo, frame: &[u8]) -> EncodedSize {
        let mut shown = esp_peer_rtp_frame_t {
            orig_data: frame.as_ptr().cast_mut(),
            orig_size: size(frame.len()),
            encoded_data: std::ptr::null_mut(),
            encoded_size: 0,
            payload_type: info.payload_type,
        };
        let mut in_place = 0;
        // SAFETY: the program owes a function of this type; what is shown lives until it returns.
        let refused =
            calling(|| unsafe { (self.size_of)(&raw mut shown, &raw mut in_place, self.ctx) });
        self.passes = refused != 0;
        match self.passes {
            true => EncodedSize {
                size: frame.len(),
                in_place: true,
            },
            false => EncodedSize {
                size: shown.encoded_size as usize,
                in_place: in_place != 0,
            },
        }
    }

    fn transform(
        &mut self,
        info: FrameInfo,
        buffers: Buffers<'_>,
    ) -> Result<usize, TransformError> {
        let (orig_data, orig_size, encoded_data, room) = match buffers {
            Buffers::InPlace { original, .. } if self.passes => return Ok(original),
            Buffers::InPlace { data, original } => {
                (data.as_mut_ptr(), original, data.as_mut_ptr(), data.len())
            }
            Buffers::Apart { original, encoded } => (
                original.as_ptr().cast_mut(),
                original.len(),
                encoded.as_mut_ptr(),
                encoded.len(),
            ),
        };
        let mut shown = esp_peer_rtp_frame_t {
            orig_data,
            orig_size: size(orig_size),
            encoded_data,
            encoded_size: size(room),
            payload_type: info.payload_type,
        };
        // SAFETY: the program owes a function of this type; the buffers live until it returns.
        let refused = calling(|| unsafe { (self.transform)(&raw mut shown, self.ctx) });
        let len = shown.encoded_size as usize;
        match refused == 0 && len <= room {
            true => Ok(len),
            false => Err(TransformError),
        }
    }
}
