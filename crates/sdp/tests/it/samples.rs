//! Descriptions of Chromium 156 and Firefox 153: read, emitted, answered, accepted.

use esp_sdp::{Description, DtlsRole, Extension, Feedback, Params, SectionKind, Setup, answer};
use esp_wire::{Codec, Direction, Kind};

use crate::{device, sample, sample_names};

#[test]
fn all_samples_are_emitted_byte_for_byte() {
    for name in sample_names() {
        let text = sample(&name);
        assert_eq!(
            Description::parse(&text).unwrap().to_string(),
            text,
            "{name}"
        );
    }
}

#[test]
fn lone_line_feeds_are_read() {
    let text = sample("chromium_offer");
    let read = Description::parse(&text.replace("\r\n", "\n")).unwrap();
    assert_eq!(read.to_string(), text);
}

#[test]
fn the_offer_of_chromium_is_understood() {
    let offer = Description::parse(&sample("chromium_offer")).unwrap();
    let [audio, video, data] = offer.sections() else {
        panic!("not three m-sections");
    };
    assert_eq!(audio.kind, SectionKind::Audio);
    assert_eq!(audio.payloads[0].codec(), Some(Codec::Opus));
    assert_eq!(audio.payloads[0].feedback, [Feedback::TransportCc]);
    assert_eq!(audio.setup, Some(Setup::ActPass));
    assert_eq!(audio.candidates.len(), 4);
    assert!(audio.candidates[0].starts_with("candidate:"));
    assert_eq!(video.payload(102).unwrap().feedback.len(), 5);
    assert_eq!(video.rtx_of(102), Some(103));
    assert_eq!(video.ssrc_groups[0].semantics, "FID");
    assert_eq!(data.sctp_port, Some(5_000));
    assert_eq!(data.max_message_size, Some(262_144));
    assert!(audio.ice.as_ref().unwrap().trickles());
    assert_eq!(offer.bundle(), [["0", "1", "2"]]);
}

#[test]
fn the_session_level_of_firefox_is_inherited() {
    let offer = Description::parse(&sample("firefox_offer")).unwrap();
    for section in offer.sections() {
        assert_eq!(section.fingerprints[0].algorithm, "sha-256");
        assert!(section.ice.as_ref().unwrap().trickles());
    }
    assert_eq!(offer.sections()[2].max_message_size, Some(1_073_741_823));
}

#[test]
fn chromium_is_answered() {
    let offer = Description::parse(&sample("chromium_offer")).unwrap();
    let (text, agreed) = answer(&device(), None, &offer).unwrap();
    let transport = agreed.transport.as_ref().unwrap();
    assert_eq!(transport.dtls_role, DtlsRole::Active);
    assert_eq!((transport.mid.as_str(), transport.line), ("0", 0));
    assert_eq!(transport.candidates.len(), 4);
    let audio = agreed.media(Kind::Audio).unwrap();
    let codecs: Vec<_> = audio.send.iter().map(|it| it.codec).collect();
    assert_eq!(codecs, [Codec::Opus, Codec::Pcmu, Codec::Pcma]);
    assert_eq!(audio.direction, Direction::SendRecv);
    assert_eq!(audio.extension_id(Extension::Mid), Some(4));
    let video = agreed.media(Kind::Video).unwrap();
    let [h264] = &video.send[..] else {
        panic!("one H.264 alone is common: {:?}", video.send);
    };
    assert_eq!((h264.payload_type, h264.rtx_payload_type), (108, Some(109)));
    assert_eq!(h264.feedback.len(), 5);
    assert_eq!(video.remote_ssrcs.len(), 1);
    assert_eq!(video.remote_rtx[0].0, video.remote_ssrcs[0]);
    let data = agreed.data.as_ref().unwrap();
    assert_eq!(data.remote_max_message_size, 262_144);
    let text = text.to_string();
    assert!(
        text.contains("m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n"),
        "{text}"
    );
    for unknown in ["rtcp-xr", "VP8", "red", "color-space", "actpass", "playout"] {
        assert!(!text.contains(unknown), "{unknown} was echoed: {text}");
    }
}

#[test]
fn firefox_without_h264_has_its_video_rejected() {
    let offer = Description::parse(&sample("firefox_offer")).unwrap();
    let (text, agreed) = answer(&device(), None, &offer).unwrap();
    let accepted: Vec<_> = agreed.sections.iter().map(|it| it.accepted).collect();
    assert_eq!(accepted, [true, false, true]);
    assert_eq!(agreed.bundle, ["0", "2"]);
    let Params::Opus(opus) = agreed.media(Kind::Audio).unwrap().send[0].params else {
        panic!("no Opus");
    };
    assert!(opus.stereo && opus.in_band_fec);
    assert_eq!(opus.max_playback_rate, Some(48_000));
    let text = text.to_string();
    assert!(
        text.contains("m=video 0 UDP/TLS/RTP/SAVPF 120\r\n"),
        "{text}"
    );
    assert!(text.contains("a=group:BUNDLE 0 2\r\n"), "{text}");
}

#[test]
fn whoever_only_receives_is_sent_to() {
    for browser in ["chromium", "firefox"] {
        let name = format!("{browser}_offer_recvonly");
        let offer = Description::parse(&sample(&name)).unwrap();
        let (_, agreed) = answer(&device(), None, &offer).unwrap();
        let audio = agreed.media(Kind::Audio).unwrap();
        assert_eq!(audio.direction, Direction::SendOnly, "{name}");
        assert!(audio.remote_ssrcs.is_empty() || browser == "firefox");
    }
}

#[test]
fn every_offer_is_answered_and_every_text_reads_back() {
    for name in sample_names() {
        if name.contains("answer") {
            continue;
        }
        let offer = Description::parse(&sample(&name)).unwrap();
        let (text, agreed) = answer(&device(), None, &offer).unwrap();
        assert_eq!(text.sections().len(), offer.sections().len(), "{name}");
        assert_eq!(
            Description::parse(&text.to_string()).unwrap(),
            text,
            "{name}"
        );
        let video_only_without_ours = name == "firefox_offer_simulcast";
        assert_eq!(
            agreed.transport.is_none(),
            video_only_without_ours,
            "{name}"
        );
        assert_eq!(
            agreed.data.is_some(),
            text.to_string().contains("sctp-port")
        );
    }
}

#[test]
fn a_restart_is_seen() {
    for browser in ["chromium", "firefox"] {
        let read = |name| Description::parse(&sample(&format!("{browser}_{name}"))).unwrap();
        let (_, agreed) = answer(&device(), None, &read("offer")).unwrap();
        assert!(!read("reoffer").restarts_ice(&agreed), "{browser}");
        assert!(read("restart_offer").restarts_ice(&agreed), "{browser}");
        let (_, later) = answer(&device(), Some(&agreed), &read("restart_offer")).unwrap();
        let changes = later.changes_since(&agreed);
        assert!(changes.ice_restart && !changes.dtls_restart, "{browser}");
        assert_eq!(later.session_version, agreed.session_version + 1);
    }
}

#[test]
fn a_stopped_video_leaves_the_rest() {
    for browser in ["chromium", "firefox"] {
        let name = format!("{browser}_offer_stopped_video");
        let offer = Description::parse(&sample(&name)).unwrap();
        let (text, agreed) = answer(&device(), None, &offer).unwrap();
        assert!(agreed.media(Kind::Video).is_none());
        assert_eq!(agreed.bundle, ["0", "2"]);
        assert!(text.to_string().contains("m=video 0 "));
    }
}
