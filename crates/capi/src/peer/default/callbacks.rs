//! What a program is told: the handler of a connection that calls C.

use std::ffi::{CStr, CString, c_int};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use esp_peer::{ChannelInfo, Handler, Notice, State};
use esp_wire::{AudioInfo, Codec, DataFrame, DataKind, Frame, Signal, VideoInfo};

use crate::border::{size, with_zero};
use crate::peer::types::*;

/// The callbacks of a configuration, and what goes with them.
#[derive(Clone, Copy)]
pub(crate) struct Callbacks(esp_peer_cfg_t);

// SAFETY: the program owes callbacks that may be called in whatever task it calls `esp_peer_main_loop`, and `ctx` is
// only handed back to them; no other pointer of the configuration is looked at after it was opened.
unsafe impl Send for Callbacks {}
// SAFETY: as above; nothing here is ever written.
unsafe impl Sync for Callbacks {}

impl Callbacks {
    pub(super) fn of(cfg: &esp_peer_cfg_t) -> Self {
        Callbacks(*cfg)
    }

    /// Those that tell nobody.
    pub(crate) fn deaf() -> Self {
        Callbacks(deaf())
    }

    fn tell<T>(&self, callback: Told<T>, mut what: T) {
        if let Some(callback) = callback {
            // SAFETY: the program owes callbacks of these types; `what` lives until the call returns.
            unsafe { callback(&raw mut what, self.0.ctx) };
        }
    }

    pub(super) fn state(&self, state: State) {
        if let Some(callback) = self.0.on_state {
            // SAFETY: the program owes a callback of this type.
            unsafe { callback(c_int::from(state as u8), self.0.ctx) };
        }
    }

    /// A text with a zero behind it.
    fn msg(&self, kind: c_int, text: &str) {
        let mut data = with_zero(text.as_bytes());
        self.tell(
            self.0.on_msg,
            esp_peer_msg_t {
                kind,
                data: data.as_mut_ptr(),
                size: size(text.len()),
            },
        );
    }

    fn frame(&self, callback: Told<esp_peer_frame_t>, frame: Frame<'_>) {
        self.tell(callback, frame_shown(frame));
    }
}

/// Milliseconds that wrap around.
pub(crate) fn milliseconds(pts: Duration) -> u32 {
    (pts.as_millis() & u128::from(u32::MAX)) as u32
}

/// An open channel; C programs keep the pointer to its label.
struct Channel {
    label: Arc<CStr>,
    stream_id: u16,
}

/// The open channels of a connection.
#[derive(Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<Vec<Channel>>>);

impl Channels {
    fn lock(&self) -> MutexGuard<'_, Vec<Channel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an open channel in, and tells where its label stays.
    pub(crate) fn open(&self, channel: &ChannelInfo) -> Arc<CStr> {
        let label = c_text(&channel.label);
        self.lock().push(Channel {
            label: Arc::clone(&label),
            stream_id: channel.stream_id,
        });
        label
    }

    /// Takes a channel out, and tells where its label is; none for one that is not open.
    pub(crate) fn take(&self, stream_id: u16) -> Option<Arc<CStr>> {
        let mut open = self.lock();
        let at = open.iter().position(|it| it.stream_id == stream_id)?;
        Some(open.remove(at).label)
    }

    fn close(&self, channel: &ChannelInfo) -> Arc<CStr> {
        let known = self.take(channel.stream_id);
        known.unwrap_or_else(|| c_text(&channel.label))
    }

    /// The stream of the channel that was opened first.
    pub(crate) fn first(&self) -> Option<u16> {
        self.lock().first().map(|channel| channel.stream_id)
    }

    /// The label of the channel on this stream.
    pub(crate) fn label(&self, stream_id: u16) -> Option<Arc<CStr>> {
        let open = self.lock();
        let found = open.iter().find(|channel| channel.stream_id == stream_id);
        found.map(|channel| Arc::clone(&channel.label))
    }

    /// The stream of the first channel with this label.
    pub(super) fn find(&self, label: &CStr) -> Option<u16> {
        let open = self.lock();
        let found = open.iter().find(|channel| *channel.label == *label);
        found.map(|channel| channel.stream_id)
    }
}

/// A text up to its first zero.
fn c_text(text: &str) -> Arc<CStr> {
    let until = text.split('\0').next().unwrap_or_default();
    CString::new(until).unwrap_or_default().into()
}

/// Tells a program what a connection reports.
pub(super) struct Teller {
    callbacks: Callbacks,
    channels: Channels,
    /// Memory for texts, which end with a zero for C.
    text: Vec<u8>,
}

impl Teller {
    pub(super) fn new(callbacks: Callbacks, channels: Channels) -> Self {
        Teller {
            callbacks,
            channels,
            text: Vec::new(),
        }
    }

    fn channel(
        &self,
        callback: Told<esp_peer_data_channel_info_t>,
        label: &CStr,
        channel: &ChannelInfo,
    ) {
        self.callbacks.tell(
            callback,
            esp_peer_data_channel_info_t {
                label: label.as_ptr(),
                stream_id: channel.stream_id,
            },
        );
    }
}

impl Handler for Teller {
    fn on_state(&mut self, state: State) {
        self.callbacks.state(state);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        match msg {
            Signal::Sdp(text) => self.callbacks.msg(1, &text),
            // The end of candidates has no message in this interface.
            Signal::Candidate { candidate, .. } if !candidate.is_empty() => {
                self.callbacks.msg(2, &candidate);
            }
            _ => {}
        }
    }

    fn on_audio_info(&mut self, info: AudioInfo) {
        self.callbacks
            .tell(self.callbacks.0.on_audio_info, audio_shown(info));
    }

    fn on_audio_data(&mut self, frame: Frame<'_>) {
        self.callbacks.frame(self.callbacks.0.on_audio_data, frame);
    }

    fn on_video_info(&mut self, info: VideoInfo) {
        self.callbacks
            .tell(self.callbacks.0.on_video_info, video_shown(info));
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        self.callbacks.frame(self.callbacks.0.on_video_data, frame);
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        let label = self.channels.open(channel);
        self.channel(self.callbacks.0.on_channel_open, &label, channel);
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        let (kind, data) = match frame.kind {
            DataKind::Binary => (1, frame.data.as_ptr().cast_mut()),
            DataKind::Text => {
                self.text.clear();
                self.text.extend_from_slice(frame.data);
                self.text.push(0);
                (2, self.text.as_mut_ptr())
            }
        };
        self.callbacks.tell(
            self.callbacks.0.on_data,
            esp_peer_data_frame_t {
                kind,
                stream_id: frame.stream_id,
                data,
                size: size(frame.data.len()),
            },
        );
    }

    fn on_channel_close(&mut self, channel: &ChannelInfo) {
        let label = self.channels.close(channel);
        self.channel(self.callbacks.0.on_channel_close, &label, channel);
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        log(notice);
    }
}

/// Sound as C has it.
pub(crate) fn audio_shown(info: AudioInfo) -> esp_peer_audio_stream_info_t {
    esp_peer_audio_stream_info_t {
        codec: codec_number(info.codec),
        sample_rate: info.sample_rate,
        channel: info.channels,
    }
}

/// Pictures as C has them.
pub(crate) fn video_shown(info: VideoInfo) -> esp_peer_video_stream_info_t {
    let pixels = |count: u32| c_int::try_from(count).unwrap_or(0);
    esp_peer_video_stream_info_t {
        codec: codec_number(info.codec),
        width: pixels(info.width),
        height: pixels(info.height),
        fps: pixels(info.fps),
    }
}

/// A frame as C has it.
pub(crate) fn frame_shown(frame: Frame<'_>) -> esp_peer_frame_t {
    esp_peer_frame_t {
        pts: milliseconds(frame.pts),
        data: frame.data.as_ptr().cast_mut(),
        size: size(frame.data.len()),
    }
}

fn codec_number(codec: Codec) -> c_int {
    match codec {
        Codec::Pcma | Codec::H264 => 1,
        Codec::Pcmu | Codec::Mjpeg => 2,
        Codec::Opus => 3,
        _ => 0,
    }
}

fn log(notice: &Notice<'_>) {
    match notice {
        Notice::Paired {
            local,
            local_type,
            remote,
            remote_type,
        } => tracing::info!("paired: {local} ({local_type}) with {remote} ({remote_type})"),
        Notice::Secured { version, .. } => tracing::info!("secured by {version}"),
        Notice::Connected { after } => tracing::info!("connected after {} ms", after.as_millis()),
        Notice::Interrupted => tracing::warn!("the path went silent"),
        Notice::Recovered => tracing::info!("the path came back"),
        Notice::ServerFailed { url, reason } => tracing::warn!("{url}: {reason}"),
        Notice::Ended { reason } => tracing::warn!("ended: {reason}"),
        Notice::ChannelsEnded { reason } => tracing::info!("data channels ended: {reason}"),
        Notice::LocalCandidate(line) => tracing::debug!("our {line}"),
        Notice::RemoteCandidate(line) => tracing::debug!("the peer's {line}"),
        other => tracing::debug!("{other:?}"),
    }
}

/// A configuration that tells nobody, of data channels alone.
pub(crate) fn deaf() -> esp_peer_cfg_t {
    // SAFETY: pointers that are NULL, callbacks that are not there, and numbers.
    let zeros: esp_peer_cfg_t = unsafe { std::mem::zeroed() };
    esp_peer_cfg_t {
        enable_data_channel: 1,
        ..zeros
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_found_by_their_labels_in_the_order_of_opening() {
        let channels = Channels::default();
        let info = |stream_id, label: &str| ChannelInfo {
            stream_id,
            label: label.into(),
            protocol: String::new(),
        };
        for channel in [info(4, "a"), info(6, "b\0c"), info(8, "a")] {
            channels.open(&channel);
        }
        assert_eq!(channels.find(c"a"), Some(4));
        assert_eq!(channels.find(c"b"), Some(6));
        assert_eq!(&*channels.close(&info(4, "a")), c"a");
        assert_eq!(channels.find(c"a"), Some(8));
        assert_eq!(channels.find(c"c"), None);
    }

    #[test]
    fn times_wrap_around() {
        assert_eq!(milliseconds(Duration::from_millis(0x1_0000_0007)), 7);
    }
}
