//! Settings of the solution.

use esp_media::{Supported, SupportedVideo};
use esp_peer::PeerConfig;
use esp_wire::{AudioInfo, Codec, Direction, VideoInfo};

/// What the solution is to do; [`Default`] sends and receives sound and pictures, with data channels.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which way sound may flow.
    pub audio: Direction,
    /// Which way pictures may flow.
    pub video: Direction,
    /// Codecs for sound, best first; those that neither the capture nor the render knows are left out.
    pub audio_codecs: Vec<Codec>,
    /// Codecs for pictures, best first.
    pub video_codecs: Vec<Codec>,
    /// Target for sound, bits a second; 0 leaves it to the capture.
    pub audio_bitrate: u32,
    /// Target for pictures, bits a second; 0 leaves it to the capture.
    pub video_bitrate: u32,
    /// Whether a connection that was lost, or whose peer has left, is begun anew by itself.
    pub reconnects: bool,
    /// Whether the first connection begins at once; otherwise it waits for
    /// [`WebRtc::enable_peer_connection`](crate::WebRtc::enable_peer_connection), and so does every further one
    /// when there is no reconnection.
    pub enabled: bool,
    /// Whether the capture starts and stops with the connection; otherwise the application sends frames
    /// over [`WebRtc::peer_connection`](crate::WebRtc::peer_connection) itself.
    pub auto_capture: bool,
    /// Everything else about the peer connection. Role, servers, codecs and trickling are filled in.
    pub peer: PeerConfig,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            audio: Direction::SendRecv,
            video: Direction::SendRecv,
            audio_codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
            video_codecs: vec![Codec::H264],
            audio_bitrate: 0,
            video_bitrate: 0,
            reconnects: true,
            enabled: true,
            auto_capture: true,
            peer: PeerConfig::default().with_data_channels(false),
        }
    }
}

impl Settings {
    /// With these ways for sound and pictures.
    pub fn with_directions(mut self, audio: Direction, video: Direction) -> Self {
        self.audio = audio;
        self.video = video;
        self
    }

    /// With these targets in bits a second.
    pub fn with_bitrates(mut self, audio: u32, video: u32) -> Self {
        self.audio_bitrate = audio;
        self.video_bitrate = video;
        self
    }

    /// With or without beginning lost connections anew.
    pub fn with_reconnects(mut self, reconnects: bool) -> Self {
        self.reconnects = reconnects;
        self
    }

    /// With or without a connection at once.
    pub fn with_enabled(mut self, enabled: bool) -> Self {
        self.enabled = enabled;
        self
    }

    /// With these settings of the peer connection.
    pub fn with_peer(mut self, peer: PeerConfig) -> Self {
        self.peer = peer;
        self
    }

    /// The settings of a peer whose capture can deliver `supported`.
    pub(crate) fn peer_config(&self, supported: Option<&Supported>) -> PeerConfig {
        let mut peer = self.peer.clone();
        let sends = |direction: Direction, able: bool| {
            Direction::of(direction.sends() && able, direction.receives())
        };
        let audio: Vec<AudioInfo> = supported.map(|it| it.audio.clone()).unwrap_or_default();
        let video: Vec<SupportedVideo> = supported.map(|it| it.video.clone()).unwrap_or_default();
        let own_frames = !self.auto_capture;
        peer.audio_direction = sends(self.audio, own_frames || !audio.is_empty());
        peer.video_direction = sends(self.video, own_frames || !video.is_empty());
        peer.audio = match peer.audio_direction {
            Direction::None => Vec::new(),
            _ => self
                .audio_codecs
                .iter()
                .map(|codec| known_audio(*codec, &audio))
                .collect(),
        };
        peer.video = match peer.video_direction {
            Direction::None => Vec::new(),
            _ => self
                .video_codecs
                .iter()
                .map(|codec| known_video(*codec, &video))
                .collect(),
        };
        if let Some(first) = video.iter().find(|it| it.info.codec == Codec::H264) {
            // One level stands in the description for both ways: the higher of what is sent and of
            // what the decoder takes.
            let level = first.profile_level.0[2].max(peer.h264_profile_level[2]);
            peer.h264_profile_level[2] = level;
        }
        peer
    }
}

fn known_audio(codec: Codec, supported: &[AudioInfo]) -> AudioInfo {
    let known = supported.iter().find(|info| info.codec == codec);
    known.copied().unwrap_or(AudioInfo {
        codec,
        sample_rate: codec.clock_rate(),
        channels: 1,
    })
}

fn known_video(codec: Codec, supported: &[SupportedVideo]) -> VideoInfo {
    let known = supported.iter().find(|it| it.info.codec == codec);
    known.map_or(
        VideoInfo {
            codec,
            width: 0,
            height: 0,
            fps: 0,
        },
        |it| it.info,
    )
}
