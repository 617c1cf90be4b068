use std::ptr;

use super::*;
use crate::peer::default::callbacks::deaf;

fn read_with(change: impl FnOnce(&mut esp_peer_cfg_t)) -> Outcome<Settings> {
    let mut cfg = deaf();
    change(&mut cfg);
    // SAFETY: the tests put in only pointers that are NULL or good.
    unsafe { Settings::read(&cfg, false) }
}

fn refused(change: impl FnOnce(&mut esp_peer_cfg_t)) -> c_int {
    read_with(change)
        .map(drop)
        .map_err(|error| error.code())
        .unwrap_err()
}

#[test]
fn a_plain_configuration_is_read() {
    let mut server = esp_peer_ice_server_cfg_t {
        stun_url: c"turn:example.org".as_ptr().cast_mut(),
        user: c"me".as_ptr().cast_mut(),
        psw: ptr::null_mut(),
    };
    let list = &raw mut server;
    let settings = read_with(|cfg| {
        (cfg.server_lists, cfg.server_num) = (list, 1);
        (cfg.role, cfg.ice_trans_policy) = (1, 1);
        (cfg.audio_info.codec, cfg.audio_info.sample_rate) = (3, 16_000);
        (cfg.audio_info.channel, cfg.audio_dir) = (2, 3);
        (cfg.video_info.codec, cfg.video_dir) = (1, 2);
        (cfg.no_auto_reconnect, cfg.manual_ch_create) = (1, 1);
    })
    .unwrap();
    let peer = settings.peer;
    assert_eq!(
        peer.servers,
        [IceServer::turn("turn:example.org", "me", "")]
    );
    assert_eq!(
        (peer.role, peer.policy),
        (Role::Controlled, IcePolicy::Relay)
    );
    let opus = AudioInfo {
        codec: Codec::Opus,
        sample_rate: 48_000,
        channels: 2,
    };
    assert_eq!(
        (peer.audio, peer.audio_direction),
        (vec![opus], Direction::SendRecv)
    );
    assert_eq!(peer.video.len(), 1);
    assert_eq!(peer.video_direction, Direction::RecvOnly);
    assert!(peer.data_channels && peer.manual_channels && !peer.ice_restart);
    assert!(peer.ice.ipv6 && peer.ice.tcp_active);
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert_eq!(refused(|cfg| cfg.role = 2), -1);
    assert_eq!(refused(|cfg| cfg.ice_trans_policy = -1), -1);
    assert_eq!(refused(|cfg| cfg.audio_dir = 4), -1);
    assert_eq!(refused(|cfg| cfg.video_dir = 17), -1);
    assert_eq!(refused(|cfg| cfg.audio_info.codec = 4), -1);
    assert_eq!(refused(|cfg| cfg.video_info.codec = 3), -1);
    assert_eq!(refused(|cfg| cfg.server_num = 1), -1);
    assert_eq!(refused(|cfg| cfg.extra_size = 1), -1);
    let rate = |cfg: &mut esp_peer_cfg_t| {
        (cfg.audio_info.codec, cfg.audio_info.sample_rate) = (1, 16_000);
    };
    assert_eq!(refused(rate), -1);
    let mjpeg = |cfg: &mut esp_peer_cfg_t| (cfg.video_info.codec, cfg.video_dir) = (2, 1);
    assert_eq!(refused(mjpeg), -4);
    let pixels = |cfg: &mut esp_peer_cfg_t| {
        (cfg.video_info.codec, cfg.video_dir, cfg.video_info.width) = (1, 1, -1);
    };
    assert_eq!(refused(pixels), -1);
    let mut extra = esp_peer_default_cfg_t::default();
    let pointer = (&raw mut extra).cast();
    let short = |cfg: &mut esp_peer_cfg_t| (cfg.extra_cfg, cfg.extra_size) = (pointer, 8);
    assert_eq!(refused(short), -1);
}

fn with_extra(mut extra: esp_peer_default_cfg_t) -> Settings {
    let pointer = (&raw mut extra).cast();
    let size = size_of::<esp_peer_default_cfg_t>() as c_int;
    read_with(|cfg| (cfg.extra_cfg, cfg.extra_size) = (pointer, size)).unwrap()
}

#[test]
fn zeros_are_the_defaults_and_switches_decide() {
    let plain = read_with(|_| {}).unwrap();
    let zeros = with_extra(esp_peer_default_cfg_t::default());
    assert_eq!(zeros.peer.rtp, plain.peer.rtp);
    assert_eq!(zeros.peer.sctp.send_buffer, plain.peer.sctp.send_buffer);
    assert_eq!(zeros.peer.sctp.max_message_size, 1 << 20);
    assert_eq!(zeros.peer.automatic_channel, plain.peer.automatic_channel);
    assert_eq!(zeros.driver.main_loop_wait, Duration::from_millis(100));
    assert_eq!(zeros.peer.ice.max_candidates, 16);
    assert_eq!(zeros.peer.ice.consent.expiry, Duration::from_secs(30));
    assert!(!zeros.peer.ice.ipv6 && !zeros.peer.ice.tcp_active && !zeros.keep_role);
}

fn strange() -> esp_peer_default_cfg_t {
    esp_peer_default_cfg_t {
        agent_recv_timeout: 500,
        data_ch_cfg: esp_peer_default_data_ch_cfg_t {
            cache_timeout: 700,
            send_cache_size: 1_536,
            recv_cache_size: 16_384,
        },
        rtp_cfg: esp_peer_default_rtp_cfg_t {
            audio_recv_jitter: esp_peer_default_jitter_cfg_t {
                cache_timeout: 60,
                resend_delay: 10,
                pli_send_interval: 0,
                cache_size: 1_024,
            },
            send_pool_size: 1_024,
            send_queue_num: 10,
            max_resend_count: 2,
            ..Default::default()
        },
        keep_role: 1,
        ipv6_support: 1,
        tcp_support: 1,
        max_candidates: 200,
        max_tcp_connections: 2,
        alive_binding_retries: 2,
        ice_use_lite_mode: 1,
        insecure_skip_turn_cert_verify: 1,
    }
}

#[test]
fn figures_are_taken_or_moved_to_their_bounds() {
    let Settings {
        peer,
        driver,
        keep_role,
    } = with_extra(strange());
    assert_eq!(driver.main_loop_wait, Duration::from_millis(500));
    let lifetime = Reliability::MaxLifetime(Duration::from_millis(700));
    assert_eq!(peer.automatic_channel.reliability, lifetime);
    assert_eq!(
        (peer.sctp.send_buffer, peer.sctp.receive_buffer),
        (4_096, 16_384)
    );
    assert_eq!(
        (peer.sctp.max_message_size, driver.data_outbox_bytes),
        (16_384, 4_096)
    );
    assert_eq!(peer.rtp.audio.cache_timeout, Duration::from_millis(60));
    assert_eq!(peer.rtp.audio.resend_delay, Duration::from_millis(10));
    assert_eq!(
        (peer.rtp.audio.cache_size, peer.rtp.video.cache_size),
        (16_000, 400_000)
    );
    assert_eq!(
        (peer.rtp.send_pool_size, driver.media_outbox_bytes),
        (16_000, 16_000)
    );
    assert_eq!(
        (peer.rtp.send_queue_num, peer.rtp.max_resend_count),
        (10, 2)
    );
    assert!(keep_role && peer.ice.ipv6 && peer.ice.tcp_passive && !peer.ice.lite);
    assert_eq!((peer.ice.max_candidates, driver.accepted_streams), (64, 2));
    assert_eq!(peer.ice.consent.expiry, Duration::from_secs(12));
}
