//! From the configuration of C to that of a peer and its driver.

use std::ffi::{c_int, c_void};
use std::fmt::Display;
use std::time::Duration;

use esp_driver::{DriverConfig, ServerTrust};
use esp_peer::rtp::JitterConfig;
use esp_peer::{Error, PeerConfig, Reliability};
use esp_wire::{AudioInfo, Codec, Direction, IcePolicy, IceServer, Role, Trickle, VideoInfo};

use crate::border::{Outcome, invalid, read, text};
use crate::peer::types::*;

/// `alive_binding_retries` counts periods of this length.
const BINDING_PERIOD: Duration = Duration::from_secs(6);

/// What each peer receives into: it has its driver for itself, and takes one merged run of datagrams at a time.
const RECEIVE_MEMORY: usize = 65_535;

/// What a configuration says.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) peer: PeerConfig,
    pub(crate) driver: DriverConfig,
    pub(super) keep_role: bool,
}

impl Settings {
    /// Reads a configuration.
    ///
    /// # Safety
    /// The pointers in `cfg` are NULL, or show what the headers say.
    pub(crate) unsafe fn read(cfg: &esp_peer_cfg_t, loopback: bool) -> Outcome<Self> {
        let mut peer = PeerConfig::default().with_trickle(Trickle::Half);
        // SAFETY: the caller vouches for the list.
        peer.servers = unsafe { servers(cfg.server_lists, c_int::from(cfg.server_num)) }?;
        peer.role = role(cfg.role)?;
        peer.policy = match cfg.ice_trans_policy {
            0 => IcePolicy::All,
            1 => IcePolicy::Relay,
            _ => return invalid("ice_trans_policy"),
        };
        let (audio_dir, video_dir) = (
            direction(cfg.audio_dir, "audio_dir")?,
            direction(cfg.video_dir, "video_dir")?,
        );
        if let (Some(info), true) = (audio(&cfg.audio_info)?, audio_dir != Direction::None) {
            peer = peer.with_audio(audio_dir, vec![info]);
        }
        if let Some(info) = video(&cfg.video_info, video_dir)? {
            peer = peer.with_video(video_dir, vec![info]);
        }
        peer.ice_restart = cfg.no_auto_reconnect == 0;
        peer.ice.include_loopback = loopback;
        if cfg.enable_data_channel != 0 {
            peer = peer.with_data_channels(cfg.manual_ch_create != 0);
        }
        let mut settings = Settings {
            peer,
            driver: DriverConfig::default().with_receive_memory(RECEIVE_MEMORY),
            keep_role: false,
        };
        // SAFETY: the caller vouches for `extra_cfg`.
        if let Some(extra) = unsafe { extra(cfg.extra_cfg, cfg.extra_size) }? {
            settings.apply(&extra);
        }
        Ok(settings)
    }

    fn apply(&mut self, extra: &esp_peer_default_cfg_t) {
        self.apply_data(&extra.data_ch_cfg);
        self.apply_rtp(&extra.rtp_cfg);
        self.keep_role = extra.keep_role != 0;
        if extra.agent_recv_timeout != 0 {
            self.driver.main_loop_wait = milliseconds(extra.agent_recv_timeout);
        }
        let ice = &mut self.peer.ice;
        ice.ipv6 = extra.ipv6_support != 0;
        ice.tcp_active = extra.tcp_support != 0;
        ice.tcp_passive = extra.tcp_support != 0;
        if extra.max_candidates != 0 {
            let asked = usize::from(extra.max_candidates);
            ice.max_candidates = bounded("max_candidates", asked, 1, 64);
        }
        self.driver.accepted_streams = match extra.max_tcp_connections {
            0 => 4,
            asked => usize::from(asked),
        };
        if extra.alive_binding_retries != 0 {
            // RFC 7675 §5.1: consent expires after 30 s.
            let retries = bounded("alive_binding_retries", extra.alive_binding_retries, 1, 5);
            ice.consent.expiry = BINDING_PERIOD * u32::from(retries);
        }
        if extra.ice_use_lite_mode != 0 {
            tracing::info!(
                "ice_use_lite_mode: ignored; a full agent connects wherever a lite one does"
            );
        }
        if extra.insecure_skip_turn_cert_verify != 0 {
            tracing::warn!("TURN servers may show any certificate");
            let dangerous = ServerTrust::default().dangerous();
            self.driver.server_trust = dangerous.insecure_skip_turn_cert_verify();
        }
    }

    fn apply_data(&mut self, data: &esp_peer_default_data_ch_cfg_t) {
        if data.cache_timeout != 0 {
            let lifetime = Reliability::MaxLifetime(milliseconds(data.cache_timeout));
            self.peer.automatic_channel.reliability = lifetime;
        }
        let least = esp_peer::sctp::Config::MIN_BUFFER;
        let sctp = &self.peer.sctp;
        let memory = |name, asked, default| match asked {
            0 => default,
            asked => bounded(name, asked as usize, least, c_int::MAX as usize),
        };
        let send = memory("send_cache_size", data.send_cache_size, sctp.send_buffer);
        let receive = memory("recv_cache_size", data.recv_cache_size, sctp.receive_buffer);
        if data.send_cache_size != 0 {
            self.driver.data_outbox_bytes = send;
        }
        self.peer.sctp = sctp.clone().with_buffers(send, receive);
    }

    fn apply_rtp(&mut self, rtp: &esp_peer_default_rtp_cfg_t) {
        let ours = &mut self.peer.rtp;
        apply_jitter(&mut ours.audio, &rtp.audio_recv_jitter);
        apply_jitter(&mut ours.video, &rtp.video_recv_jitter);
        if rtp.send_pool_size != 0 {
            let asked = rtp.send_pool_size as usize;
            ours.send_pool_size = bounded("send_pool_size", asked, 16_000, c_int::MAX as usize);
            self.driver.media_outbox_bytes = ours.send_pool_size;
        }
        if rtp.send_queue_num != 0 {
            let asked = rtp.send_queue_num as usize;
            ours.send_queue_num = bounded("send_queue_num", asked, 8, 16_384);
        }
        if rtp.max_resend_count != 0 {
            ours.max_resend_count = rtp.max_resend_count;
        }
    }
}

fn apply_jitter(ours: &mut JitterConfig, asked: &esp_peer_default_jitter_cfg_t) {
    let times = [
        (&mut ours.cache_timeout, asked.cache_timeout),
        (&mut ours.resend_delay, asked.resend_delay),
        (&mut ours.pli_send_interval, asked.pli_send_interval),
    ];
    for (ours, asked) in times {
        if asked != 0 {
            *ours = milliseconds(asked);
        }
    }
    if asked.cache_size != 0 {
        let size = asked.cache_size as usize;
        ours.cache_size = bounded("cache_size", size, 16_000, 16_000_000);
    }
}

fn milliseconds(count: u16) -> Duration {
    Duration::from_millis(count.into())
}

/// A figure moved to the bound that it is beyond, with a line in the log.
fn bounded<T: Ord + Copy + Display>(name: &str, asked: T, least: T, most: T) -> T {
    let taken = asked.clamp(least, most);
    if taken != asked {
        tracing::info!("{name}: {taken} in place of {asked}");
    }
    taken
}

pub(super) fn role(number: c_int) -> Outcome<Role> {
    match number {
        0 => Ok(Role::Controlling),
        1 => Ok(Role::Controlled),
        _ => invalid("role"),
    }
}

pub(crate) fn direction(number: c_int, what: &str) -> Outcome<Direction> {
    match number {
        0 => Ok(Direction::None),
        1 => Ok(Direction::SendOnly),
        2 => Ok(Direction::RecvOnly),
        3 => Ok(Direction::SendRecv),
        _ => invalid(what),
    }
}

/// Sound as RTP announces it; Opus has one clock whatever its encoder takes (RFC 7587 §4.1).
pub(crate) fn audio(info: &esp_peer_audio_stream_info_t) -> Outcome<Option<AudioInfo>> {
    let (codec, sample_rate, good) = match (info.codec, info.sample_rate) {
        (0, _) => return Ok(None),
        (1, rate) => (Codec::Pcma, 8_000, matches!(rate, 0 | 8_000)),
        (2, rate) => (Codec::Pcmu, 8_000, matches!(rate, 0 | 8_000)),
        (3, rate) => {
            let known = matches!(rate, 0 | 8_000 | 12_000 | 16_000 | 24_000 | 48_000);
            (Codec::Opus, 48_000, known)
        }
        _ => return invalid("audio_info.codec"),
    };
    let most = if codec == Codec::Opus { 2 } else { 1 };
    if !good || info.channel > most {
        return invalid("audio_info: a rate or a number of channels that the codec has not");
    }
    Ok(Some(AudioInfo {
        codec,
        sample_rate,
        channels: info.channel.max(1),
    }))
}

/// Pictures as RTP announces them.
pub(crate) fn video(
    info: &esp_peer_video_stream_info_t,
    flow: Direction,
) -> Outcome<Option<VideoInfo>> {
    match pictures(info)? {
        Some(_) if flow == Direction::None => Ok(None),
        Some(info) if info.codec == Codec::Mjpeg => {
            tracing::warn!("MJPEG does not travel over RTP: send it over a data channel");
            Err(Error::NotSupported("MJPEG over RTP"))
        }
        info => Ok(info),
    }
}

/// Pictures, whichever way they travel.
pub(crate) fn pictures(info: &esp_peer_video_stream_info_t) -> Outcome<Option<VideoInfo>> {
    let codec = match info.codec {
        0 => return Ok(None),
        1 => Codec::H264,
        2 => Codec::Mjpeg,
        _ => return invalid("video_info.codec"),
    };
    let figure = |number: c_int| match u32::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => invalid("video_info: less than nothing"),
    };
    Ok(Some(VideoInfo {
        codec,
        width: figure(info.width)?,
        height: figure(info.height)?,
        fps: figure(info.fps)?,
    }))
}

/// Copies a list of servers.
///
/// # Safety
/// The pointer is NULL, or shows as many servers, and so do their strings.
pub(crate) unsafe fn servers(
    list: *const esp_peer_ice_server_cfg_t,
    count: c_int,
) -> Outcome<Vec<IceServer>> {
    let Ok(count) = usize::try_from(count) else {
        return invalid("fewer servers than none");
    };
    (0..count)
        .map(|at| {
            if list.is_null() {
                return invalid("no list of servers");
            }
            // SAFETY: the caller vouches for as many servers.
            let at = unsafe { list.add(at) };
            // SAFETY: as above.
            let server = unsafe { read(at, "a list of servers") }?;
            // SAFETY: the caller vouches for the strings.
            let url = unsafe { text(server.stun_url, "the URL of a server") }?;
            // SAFETY: as above.
            let user = unsafe { text(server.user, "the user of a server") }?;
            // SAFETY: as above.
            let password = unsafe { text(server.psw, "the password of a server") }?;
            let Some(url) = url else {
                return invalid("a server without a URL");
            };
            Ok(IceServer::turn(
                url,
                user.unwrap_or_default(),
                password.unwrap_or_default(),
            ))
        })
        .collect()
}

/// Copies the configuration of this implementation.
///
/// # Safety
/// The pointer is NULL, or shows as many bytes as `size` says.
unsafe fn extra(pointer: *const c_void, size: c_int) -> Outcome<Option<esp_peer_default_cfg_t>> {
    let known = usize::try_from(size).is_ok_and(|size| size == size_of::<esp_peer_default_cfg_t>());
    match (pointer.is_null(), known) {
        (true, _) if size == 0 => Ok(None),
        // SAFETY: the size is that of the structure; the caller vouches for the bytes.
        (false, true) => unsafe { read(pointer.cast(), "extra_cfg") }.map(Some),
        _ => invalid("extra_size is not the size of `esp_peer_default_cfg_t`"),
    }
}

#[cfg(test)]
mod tests;
