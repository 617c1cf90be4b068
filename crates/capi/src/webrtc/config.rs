//! What a solution is made of, copied.

use std::ffi::{CString, c_int, c_void};
use std::ptr;

use esp_wire::IceServer;

use super::types::*;
use crate::border::{Outcome, bytes, invalid, read, text};
use crate::peer::default;
use crate::peer::default::settings::Settings;
use crate::peer::types::*;
use crate::signaling::maker::{Kind, Maker};
use crate::signaling::types::esp_peer_signaling_impl_t;

/// Bytes of a picture in one chunk, where the program does not say.
const CHUNK: usize = 10_000;

/// The configuration of a solution.
pub(super) struct Config {
    pub(super) signaling: SignalingConfig,
    pub(super) peer: PeerSource,
    /// For when signaling names none.
    pub(super) servers: Vec<IceServer>,
    /// Without lists, which are elsewhere here.
    pub(super) given: esp_webrtc_peer_cfg_t,
    /// How pictures go by a data channel, if they do.
    pub(super) pictures: Option<Pictures>,
}

// SAFETY: the program owes functions that may be called in any task; contexts and what a foreign `extra_cfg` points to
// are only handed back to them.
unsafe impl Send for Config {}
// SAFETY: as above; nothing here is ever written.
unsafe impl Sync for Config {}

/// How pictures go by a data channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pictures {
    Whole,
    /// In chunks of so many bytes.
    Chunks(usize),
}

/// Where signaling comes from.
pub(super) enum SignalingConfig {
    Ours(Box<Maker>),
    Theirs(SignalingTable),
}

/// A table of the program's own, and what it is started with.
pub(super) struct SignalingTable {
    pub(super) table: esp_peer_signaling_impl_t,
    pub(super) url: Option<CString>,
    pub(super) extra: Extra,
}

/// Where peer connections come from.
pub(super) enum PeerSource {
    Ours(Box<Settings>),
    Theirs(Box<PeerTable>),
}

/// A table of the program's own, and what it is opened with.
pub(super) struct PeerTable {
    pub(super) ops: esp_peer_ops_t,
    /// Without role, servers, callbacks and `extra_cfg`.
    pub(super) cfg: esp_peer_cfg_t,
    pub(super) extra: Extra,
}

/// A copy of an `extra_cfg`, aligned for whatever it is.
pub(super) struct Extra {
    words: Vec<u64>,
    size: c_int,
}

impl Extra {
    /// # Safety
    /// The pointer is NULL, or shows as many bytes.
    unsafe fn copy(pointer: *const c_void, size: c_int) -> Outcome<Self> {
        // SAFETY: the caller vouches for the bytes.
        let bytes = unsafe { bytes(pointer.cast(), size, "extra_cfg") }?;
        let word = |part: &[u8]| {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            u64::from_ne_bytes(word)
        };
        Ok(Extra {
            words: bytes.chunks(8).map(word).collect(),
            size,
        })
    }

    /// Where it is, and its bytes.
    pub(super) fn shown(&self) -> (*mut c_void, c_int) {
        match self.words.is_empty() {
            true => (ptr::null_mut(), 0),
            false => (self.words.as_ptr().cast_mut().cast(), self.size),
        }
    }
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Safety
    /// The pointers in `cfg` are NULL, or show what the headers say.
    pub(super) unsafe fn read(cfg: &esp_webrtc_cfg_t) -> Outcome<Self> {
        // SAFETY: the caller owes a table.
        let table = unsafe { read(cfg.signaling_impl, "no table of signaling") }?;
        // SAFETY: and what the settings show.
        let signaling = unsafe { SignalingConfig::read(table, &cfg.signaling_cfg) }?;
        let peer = &cfg.peer_cfg;
        // SAFETY: the caller owes as many servers.
        let servers =
            unsafe { default::settings::servers(peer.server_lists, c_int::from(peer.server_num)) }?;
        let by_channel = peer.video_over_data_channel != 0;
        let pictures = match (by_channel, peer.video_dc_chunked, peer.video_dc_chunk_size) {
            (false, ..) => None,
            (true, 0, _) => Some(Pictures::Whole),
            (true, _, 0) => Some(Pictures::Chunks(CHUNK)),
            (true, _, size) => Some(Pictures::Chunks(size.into())),
        };
        Ok(Config {
            signaling,
            // SAFETY: the caller owes a table, or NULL, and what the settings show.
            peer: unsafe { PeerSource::read(cfg.peer_impl, peer) }?,
            servers,
            given: esp_webrtc_peer_cfg_t {
                server_lists: ptr::null_mut(),
                server_num: 0,
                extra_cfg: ptr::null_mut(),
                extra_size: 0,
                ..*peer
            },
            pictures,
        })
    }
}

impl SignalingConfig {
    /// # Safety
    /// As for [`Config::read`].
    unsafe fn read(
        table: esp_peer_signaling_impl_t,
        cfg: &esp_webrtc_signaling_cfg_t,
    ) -> Outcome<Self> {
        if table.start.is_none() {
            return invalid("the table of signaling has no `start`");
        }
        if let Some(kind) = Kind::of(&table) {
            // SAFETY: the caller vouches for the pointers.
            let maker = unsafe { Maker::read(kind, cfg.signal_url, cfg.extra_cfg, cfg.extra_size) };
            return Ok(SignalingConfig::Ours(Box::new(maker?)));
        }
        // SAFETY: the caller vouches for the text.
        let url = unsafe { text(cfg.signal_url, "a URL that is not UTF-8") }?;
        Ok(SignalingConfig::Theirs(SignalingTable {
            table,
            url: url.and_then(|url| CString::new(url).ok()),
            // SAFETY: the caller vouches for the bytes.
            extra: unsafe { Extra::copy(cfg.extra_cfg, cfg.extra_size) }?,
        }))
    }
}

impl PeerSource {
    /// # Safety
    /// As for [`Config::read`].
    unsafe fn read(ops: *const esp_peer_ops_t, given: &esp_webrtc_peer_cfg_t) -> Outcome<Self> {
        let cfg = peer_cfg(given);
        let ops = match ops.is_null() {
            true => None,
            // SAFETY: the caller owes a table.
            false => Some(unsafe { read(ops, "no table of operations") }?),
        };
        if let Some(ops) = ops.filter(|ops| !default::is_ours(ops)) {
            if ops.open.is_none() {
                return invalid("the table of operations has no `open`");
            }
            return Ok(PeerSource::Theirs(Box::new(PeerTable {
                ops,
                cfg,
                // SAFETY: the caller vouches for the bytes.
                extra: unsafe { Extra::copy(given.extra_cfg, given.extra_size) }?,
            })));
        }
        let cfg = esp_peer_cfg_t {
            extra_cfg: given.extra_cfg,
            extra_size: given.extra_size,
            ..cfg
        };
        // SAFETY: the caller vouches for `extra_cfg`.
        let settings = unsafe { Settings::read(&cfg, false) }?;
        let peer = &settings.peer;
        if peer.audio.is_empty() && peer.video.is_empty() && !peer.data_channels {
            return invalid("a connection that is to carry nothing");
        }
        Ok(PeerSource::Ours(Box::new(settings)))
    }
}

/// The configuration of a peer connection, without role, servers, callbacks and `extra_cfg`.
fn peer_cfg(given: &esp_webrtc_peer_cfg_t) -> esp_peer_cfg_t {
    let mut cfg = default::callbacks::deaf();
    cfg.ice_trans_policy = given.ice_trans_policy;
    cfg.audio_info = given.audio_info;
    cfg.audio_dir = given.audio_dir;
    cfg.no_auto_reconnect = given.no_auto_reconnect;
    cfg.manual_ch_create = given.manual_ch_create;
    cfg.enable_data_channel = given.enable_data_channel;
    if given.video_over_data_channel != 0 {
        cfg.enable_data_channel = 1;
    } else {
        cfg.video_info = given.video_info;
        cfg.video_dir = given.video_dir;
    }
    cfg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_copied_and_aligned() {
        let bytes = [7_u8; 11];
        // SAFETY: it shows as many bytes.
        let extra = unsafe { Extra::copy(bytes.as_ptr().cast(), 11) }.unwrap();
        let (at, size) = extra.shown();
        assert!(at.cast::<u64>().is_aligned() && size == 11);
        // SAFETY: it shows as many bytes, which live as long as `extra`.
        let copy = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), 11) };
        assert_eq!(copy, bytes);
        // SAFETY: NULL.
        let none = unsafe { Extra::copy(ptr::null(), 0) }.unwrap();
        assert_eq!(none.shown(), (ptr::null_mut(), 0));
        // SAFETY: NULL.
        assert!(unsafe { Extra::copy(ptr::null(), 1) }.is_err());
    }
}
