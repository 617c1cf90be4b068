//! Settings of a peer.

use std::time::Duration;

use esp_dtls::{Backend, Certificate, Versions};
use esp_wire::{AudioInfo, Codec, Direction, IcePolicy, IceServer, Role, Trickle, VideoInfo};

use crate::Error;

/// What a peer connection is to do and within which bounds; [`Default`] connects, offers no media
/// and no data.
///
/// The settings of the engines stand as they are in `ice`, `rtp`, `sctp`; what is said twice (role,
/// policy) is taken from here.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// STUN and TURN servers.
    pub servers: Vec<IceServer>,
    /// Controlling makes the offer, controlled answers it.
    pub role: Role,
    /// Which candidates may be used.
    pub policy: IcePolicy,
    /// Sound: codecs in order of preference. Empty for none.
    pub audio: Vec<AudioInfo>,
    /// Which way sound may flow.
    pub audio_direction: Direction,
    /// Pictures: codecs in order of preference. Empty for none.
    pub video: Vec<VideoInfo>,
    /// Which way pictures may flow.
    pub video_direction: Direction,
    /// H.264 `profile-level-id` that we decode at most: `42e01f` is constrained baseline, level 3.1.
    pub h264_profile_level: [u8; 3],
    /// Whether data channels are offered.
    pub data_channels: bool,
    /// Channels are opened by the application alone; otherwise the side that is the DTLS client opens
    /// one by itself.
    pub manual_channels: bool,
    /// The channel that is opened by itself.
    pub automatic_channel: ChannelConfig,
    /// How far the signaling in use carries candidates.
    pub trickle: Trickle,
    /// How long a description waits for candidates when they cannot follow it.
    pub gather_timeout: Duration,
    /// From `new_connection`, or from the remote description, to connected; then it fails with the
    /// reason.
    pub connect_timeout: Duration,
    /// Whether the controlling side makes a new offer when the path is lost for long, and either side when its
    /// signaling comes back meanwhile.
    pub ice_restart: bool,
    /// The certificate; one is made for each peer when there is none.
    pub certificate: Option<Certificate>,
    /// Which versions of DTLS may be spoken.
    pub dtls: Versions,
    /// The library that speaks it; OpenSSL's, in a build with the feature `openssl`, takes peers with RSA
    /// certificates too.
    pub dtls_backend: Backend,
    /// Datagrams that arrive before they can be understood are kept up to this many bytes.
    pub early_bytes: usize,
    /// Packets that SRTP remembers to refuse replays.
    pub replay_window: usize,
    /// Bytes of the largest datagram that the search for the path's MTU may come to (RFC 8899); 1,472, what
    /// Ethernet carries over IPv4. `ice.max_datagram`, 1,200, is taken for granted; nothing is
    /// searched for unless this is more.
    pub largest_datagram: usize,
    /// Whether descriptions offer and answer the shortcut past the SCTP handshake
    /// (`a=sctp-init`, draft-hancke-tsvwg-snap).
    pub snap: bool,
    /// Whether data channels offer and use explicit congestion notification; on, and decides instead of
    /// `sctp.ecn`.
    ///
    /// Then a queue that grows marks packets instead of dropping them, and nothing has to be sent again. A peer
    /// that does not know it skips the parameter without a word (RFC 9260 §3.2.1, type 0x8000), and no packet
    /// leaves marked; neither does any over relays and streams, any but those with data, and any after marked ones
    /// were seen to vanish. To be switched off by who drives a [`Peer`](crate::Peer) over sockets that don't tell
    /// the marks of datagrams or can't set them: marks that nobody reads are losses that nobody heeds. The driver
    /// of this project does so by itself.
    pub ecn: bool,
    /// Settings of ICE.
    pub ice: esp_ice::Config,
    /// Settings of RTP.
    pub rtp: esp_rtp::Config,
    /// Settings of SCTP.
    pub sctp: esp_sctp::Config,
}

pub use esp_sctp::{ChannelConfig, Reliability};

impl Default for PeerConfig {
    fn default() -> Self {
        PeerConfig {
            servers: Vec::new(),
            role: Role::Controlling,
            policy: IcePolicy::All,
            audio: Vec::new(),
            audio_direction: Direction::None,
            video: Vec::new(),
            video_direction: Direction::None,
            h264_profile_level: [0x42, 0xe0, 0x1f],
            data_channels: false,
            manual_channels: false,
            automatic_channel: ChannelConfig::new("data")
                .with_reliability(Reliability::MaxLifetime(Duration::from_secs(5))),
            trickle: Trickle::Full,
            gather_timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(30),
            ice_restart: true,
            certificate: None,
            dtls: Versions::Auto,
            dtls_backend: Backend::Own,
            early_bytes: 64 * 1024,
            replay_window: 1_024,
            largest_datagram: 1_472,
            snap: true,
            ecn: true,
            ice: esp_ice::Config::default(),
            rtp: esp_rtp::Config::default(),
            sctp: esp_sctp::Config::default(),
        }
    }
}

impl PeerConfig {
    /// With these servers.
    pub fn with_servers(mut self, servers: Vec<IceServer>) -> Self {
        self.servers = servers;
        self
    }

    /// With this role.
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// With sound in these codecs, best first.
    pub fn with_audio(mut self, direction: Direction, codecs: Vec<AudioInfo>) -> Self {
        self.audio = codecs;
        self.audio_direction = direction;
        self
    }

    /// With pictures in these codecs, best first.
    pub fn with_video(mut self, direction: Direction, codecs: Vec<VideoInfo>) -> Self {
        self.video = codecs;
        self.video_direction = direction;
        self
    }

    /// With data channels; with `manual` none is opened by itself.
    pub fn with_data_channels(mut self, manual: bool) -> Self {
        self.data_channels = true;
        self.manual_channels = manual;
        self
    }

    /// With these bounds on the memory of data channels, in bytes: what may wait to be sent and acknowledged, and
    /// what may wait for its missing fragments or for the application. 4 MiB each by default, of which an association takes
    /// what its flow needs and gives it back; a device with little memory takes 100,000 each, as `esp_peer` does.
    /// Messages handed over whole are then announced and accepted up to `receive`.
    pub fn with_data_memory(mut self, send: usize, receive: usize) -> Self {
        self.sctp = self.sctp.with_buffers(send, receive);
        self
    }

    /// With messages handed over whole, or larger ones in parts.
    pub fn with_delivery(mut self, delivery: esp_sctp::Delivery) -> Self {
        self.sctp.delivery = delivery;
        self
    }

    /// With this reach of signaling.
    pub fn with_trickle(mut self, trickle: Trickle) -> Self {
        self.trickle = trickle;
        self
    }

    /// With or without an offer of its own when the path is lost for long.
    pub fn with_ice_restart(mut self, on: bool) -> Self {
        self.ice_restart = on;
        self
    }

    /// With this certificate.
    pub fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = Some(certificate);
        self
    }

    /// With these versions of DTLS.
    pub fn with_dtls(mut self, versions: Versions) -> Self {
        self.dtls = versions;
        self
    }

    /// With this largest datagram in the search for the path's MTU, in bytes; up to 1,200 for no search.
    pub fn with_largest_datagram(mut self, bytes: usize) -> Self {
        self.largest_datagram = bytes;
        self
    }

    /// With or without the shortcut past the SCTP handshake.
    pub fn with_snap(mut self, on: bool) -> Self {
        self.snap = on;
        self
    }

    /// With or without explicit congestion notification on data channels.
    pub fn with_ecn(mut self, on: bool) -> Self {
        self.ecn = on;
        self
    }

    /// With DTLS by this library.
    pub fn with_dtls_backend(mut self, backend: Backend) -> Self {
        self.dtls_backend = backend;
        self
    }

    /// With loopback addresses among the candidates, for tests on one host.
    pub fn with_loopback(mut self) -> Self {
        self.ice.include_loopback = true;
        self
    }

    /// Whether sound or pictures may flow.
    pub(crate) fn has_media(&self) -> bool {
        !self.audio.is_empty() || !self.video.is_empty()
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let wrong = |what: &str| Err(Error::InvalidArgument(what.to_owned()));
        for info in &self.audio {
            match info.codec {
                Codec::Opus if info.sample_rate == 48_000 && (1..=2).contains(&info.channels) => {}
                Codec::Pcma | Codec::Pcmu if info.sample_rate == 8_000 && info.channels == 1 => {}
                Codec::Opus => return wrong("Opus takes 48000 Hz and 1 or 2 channels"),
                Codec::Pcma | Codec::Pcmu => return wrong("G.711 takes 8000 Hz and 1 channel"),
                _ => return wrong("not a codec for sound"),
            }
        }
        for info in &self.video {
            match info.codec {
                Codec::H264 => {}
                Codec::Mjpeg => return wrong("MJPEG travels over a data channel, not over RTP"),
                _ => return wrong("not a codec for pictures"),
            }
        }
        if !self.has_media() && !self.data_channels {
            return wrong("nothing to carry: give it sound, pictures or data channels");
        }
        if self.largest_datagram > 65_000 {
            return wrong("a datagram has at most 65000 bytes");
        }
        Ok(())
    }
}
