//! The rules of one round, case by case.

use esp_sdp::{
    CodecSpec, Description, DtlsRole, Error, Extension, H264Params, Local, Params, ProfileLevelId,
    accept, answer, offer,
};
use esp_wire::{Codec, Direction, Kind};

use crate::{device, other, sample};

/// An offer of one m-section of sound, with these lines at its end.
fn audio_offer(formats: &str, lines: &[&str]) -> String {
    let mut text = format!(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\n\
         a=ice-ufrag:peer\r\na=ice-pwd:peerpeerpeerpeerpeerpeer\r\n\
         a=fingerprint:sha-256 {}\r\na=setup:actpass\r\na=rtcp-mux\r\n",
        vec!["01"; 32].join(":")
    );
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

fn read(text: &str) -> Description {
    Description::parse(text).unwrap()
}

#[test]
fn our_own_offer_in_full() {
    let text = offer(&device(), None).unwrap().to_string();
    assert_eq!(text, include_str!("our_offer.sdp"));
}

#[test]
fn two_of_ours_agree() {
    let (mut us, them) = (device(), other());
    us.candidates = vec!["candidate:1 1 udp 2 192.0.2.1 5000 typ host".into()];
    us.end_of_candidates = true;
    let offered = offer(&us, None).unwrap();
    assert!(offered.to_string().contains("m=audio 5000 "));
    let (answered, theirs) = answer(&them, None, &read(&offered.to_string())).unwrap();
    let ours = accept(&offered, &read(&answered.to_string())).unwrap();
    let (our, their) = (ours.transport.unwrap(), theirs.transport.unwrap());
    assert_eq!(our.dtls_role, DtlsRole::Passive);
    assert_eq!(their.dtls_role, DtlsRole::Active);
    assert_eq!(our.ice.ufrag, "wxyz");
    assert_eq!(their.candidates.len(), 1);
    assert!(their.end_of_candidates && !our.end_of_candidates);
    assert_eq!(ours.media.len(), 2);
    for (our, their) in ours.media.iter().zip(&theirs.media) {
        assert_eq!(our.send, their.receive);
        assert_eq!(our.receive, their.send);
        assert_eq!(our.extensions, their.extensions);
        assert_eq!(our.remote_cname.as_deref(), Some("you"));
    }
    let video = ours.media.iter().find(|it| it.kind == Kind::Video).unwrap();
    assert_eq!(video.remote_rtx, [(12_222, 12_223)]);
    assert_eq!(ours.bundle, ["0", "1", "2"]);
}

#[test]
fn the_offerers_order_wins_unless_ours_is_to() {
    let text = audio_offer("0 8 111", &["a=rtpmap:111 opus/48000/2"]);
    let order = |local: &Local| -> Vec<Codec> {
        let (_, agreed) = answer(local, None, &read(&text)).unwrap();
        agreed.media[0].send.iter().map(|it| it.codec).collect()
    };
    let mut local = device();
    assert_eq!(order(&local), [Codec::Pcmu, Codec::Pcma, Codec::Opus]);
    local.prefer_local_codecs = true;
    assert_eq!(order(&local), [Codec::Opus, Codec::Pcmu, Codec::Pcma]);
}

#[test]
fn directions_meet() {
    use Direction::{None as No, RecvOnly, SendOnly, SendRecv};
    for (ours, offered, agreed, word) in [
        (SendRecv, "sendrecv", SendRecv, "sendrecv"),
        (SendRecv, "sendonly", RecvOnly, "recvonly"),
        (SendRecv, "recvonly", SendOnly, "sendonly"),
        (SendRecv, "inactive", No, "inactive"),
        (SendOnly, "sendrecv", SendOnly, "sendonly"),
        (SendOnly, "sendonly", No, "inactive"),
        (RecvOnly, "sendrecv", RecvOnly, "recvonly"),
    ] {
        let mut local = device();
        local.audio.as_mut().unwrap().direction = ours;
        let text = audio_offer("0", &[&format!("a={offered}")]);
        let (text, negotiated) = answer(&local, None, &read(&text)).unwrap();
        assert_eq!(negotiated.media[0].direction, agreed);
        let text = text.to_string();
        assert!(text.contains(&format!("a={word}\r\n")), "{text}");
        assert_eq!(text.contains("a=ssrc:"), agreed.sends());
    }
}

#[test]
fn roles_follow_setup() {
    for (offered, role) in [
        ("actpass", DtlsRole::Active),
        ("active", DtlsRole::Passive),
        ("passive", DtlsRole::Active),
    ] {
        let text = audio_offer("0", &[]).replace("actpass", offered);
        let (_, agreed) = answer(&device(), None, &read(&text)).unwrap();
        assert_eq!(agreed.transport.unwrap().dtls_role, role);
    }
    let text = audio_offer("0", &[]).replace("actpass", "holdconn");
    let error = answer(&device(), None, &read(&text)).unwrap_err();
    assert!(matches!(error, Error::PeerMisbehaved(_)));
    let text = audio_offer("0", &[]).replace("actpass", "maybe");
    let error = Description::parse(&text).unwrap_err().to_string();
    assert!(error.contains("a=setup:maybe"), "{error}");
}

#[test]
fn what_a_connection_needs_is_demanded() {
    for missing in ["a=ice-ufrag", "a=ice-pwd", "a=fingerprint"] {
        let text: String = audio_offer("0", &[])
            .split_inclusive("\r\n")
            .filter(|line| !line.starts_with(missing))
            .collect();
        let error = answer(&device(), None, &read(&text)).unwrap_err();
        assert!(matches!(error, Error::Incompatible(_)), "{missing}");
    }
    let text = audio_offer("0", &[]).replace("a=rtcp-mux\r\n", "");
    let (text, agreed) = answer(&device(), None, &read(&text)).unwrap();
    assert!(agreed.transport.is_none());
    assert!(text.to_string().contains("m=audio 0 "));
}

#[test]
fn what_is_not_bundled_is_rejected() {
    let text = sample("chromium_offer").replace("BUNDLE 0 1 2", "BUNDLE 1 2");
    let (_, agreed) = answer(&device(), None, &read(&text)).unwrap();
    assert_eq!(agreed.bundle, ["1", "2"]);
    assert_eq!(agreed.transport.unwrap().mid, "1");
    let text = sample("chromium_offer").replace("a=group:BUNDLE 0 1 2\r\n", "");
    let (text, agreed) = answer(&device(), None, &read(&text)).unwrap();
    let accepted: Vec<_> = agreed.sections.iter().map(|it| it.accepted).collect();
    assert_eq!(accepted, [true, false, false]);
    assert!(!text.to_string().contains("BUNDLE"));
}

#[test]
fn the_transport_is_that_of_the_first_accepted_of_the_bundle() {
    let mut local = device();
    local.audio = None;
    let offer = read(&sample("chromium_offer"));
    let (text, agreed) = answer(&local, None, &offer).unwrap();
    assert_eq!(agreed.transport.as_ref().unwrap().mid, "1");
    assert!(
        agreed.transport.as_ref().unwrap().candidates[0]
            .candidate
            .contains("34105")
    );
    assert!(
        text.to_string()
            .contains("m=audio 0 UDP/TLS/RTP/SAVPF 111\r\n")
    );
    assert!(agreed.takes_candidate(Some("1"), Some(1)));
    assert!(!agreed.takes_candidate(Some("0"), Some(0)));
    assert!(agreed.takes_candidate(Some("video"), Some(1)));
}

#[test]
fn extra_sections_are_answered_in_their_place() {
    let one = audio_offer("0", &[]);
    let at = one.find("m=").unwrap();
    let again = one[at..].replace("mid:a", "mid:b");
    let text = format!("{one}{again}m=image 9 udptl t38\r\n").replace("BUNDLE a", "BUNDLE a b");
    let (text, agreed) = answer(&device(), None, &read(&text)).unwrap();
    let text = text.to_string();
    assert!(text.contains("m=audio 0 UDP/TLS/RTP/SAVPF 0\r\n"), "{text}");
    assert!(text.contains("m=image 0 udptl t38\r\n"), "{text}");
    assert_eq!(agreed.media.len(), 1);
    assert_eq!(agreed.sections.len(), 3);
}

#[test]
fn h264_is_matched_by_profile_and_mode() {
    let base = audio_offer("100", &["a=rtpmap:100 H264/90000"]).replace("m=audio", "m=video");
    let agreed = |fmtp: &str| {
        let text = format!("{base}a=fmtp:100 {fmtp}\r\n");
        let (_, agreed) = answer(&device(), None, &read(&text)).unwrap();
        agreed.media.first().map(
            |media| match (media.send[0].params, media.receive[0].params) {
                (Params::H264(send), Params::H264(receive)) => (
                    send.profile_level_id.to_string(),
                    receive.profile_level_id.to_string(),
                ),
                _ => panic!("not H.264"),
            },
        )
    };
    let some = |send: &str, receive: &str| Some((send.to_owned(), receive.to_owned()));
    let asym = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=";
    let sym = "packetization-mode=1;profile-level-id=";
    for (fmtp, expected) in [
        (format!("{asym}42e01f"), some("42e01f", "42e01f")),
        (format!("{asym}42e034"), some("42e034", "42e01f")),
        (format!("{asym}42c00d"), some("42c00d", "42c01f")),
        (format!("{sym}42e00d"), some("42e00d", "42e00d")),
        (format!("{sym}42e034"), some("42e01f", "42e01f")),
        (format!("{sym}42001f"), some("42001f", "42001f")),
        (format!("{sym}4d001f"), None),
        (format!("{sym}64001f"), None),
        ("packetization-mode=0;profile-level-id=42e01f".into(), None),
        ("packetization-mode=1".into(), some("42e01f", "42e01f")),
        (
            "packetization-mode=1 ; Profile-Level-ID=42E01F".into(),
            some("42e01f", "42e01f"),
        ),
    ] {
        assert_eq!(agreed(&fmtp), expected, "{fmtp}");
    }
}

#[test]
fn both_modes_are_taken_when_both_are_ours() {
    let mut local = device();
    let profile = ProfileLevelId::CONSTRAINED_BASELINE_3_1;
    let video = local.video.as_mut().unwrap();
    video
        .codecs
        .push(CodecSpec::h264(104, profile, 0).with_rtx(105));
    let (_, agreed) = answer(&local, None, &read(&sample("chromium_offer"))).unwrap();
    let types: Vec<_> = agreed.media(Kind::Video).unwrap().send.iter().collect();
    let types: Vec<_> = types
        .iter()
        .map(|it| (it.payload_type, it.rtx_payload_type))
        .collect();
    assert_eq!(types, [(108, Some(109)), (114, Some(115))]);
}

#[test]
fn the_older_form_of_data_is_answered_in_kind() {
    let text = sample("chromium_offer_data")
        .replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000")
        .replace(
            "a=sctp-port:5000\r\n",
            "a=sctpmap:5000 webrtc-datachannel 1024\r\n",
        )
        .replace("a=max-message-size:262144\r\n", "");
    let (text, agreed) = answer(&device(), None, &read(&text)).unwrap();
    let data = agreed.data.unwrap();
    assert_eq!(
        (data.remote_sctp_port, data.remote_max_message_size),
        (5_000, 65_536)
    );
    let text = text.to_string();
    assert!(
        text.contains("m=application 9 DTLS/SCTP 5000\r\n"),
        "{text}"
    );
    assert!(
        text.contains("a=sctpmap:5000 webrtc-datachannel 65535\r\n"),
        "{text}"
    );
}

#[test]
fn sctp_init_is_answered_only_when_both_have_it() {
    let plain = sample("chromium_offer_data");
    let with = format!("{plain}a=sctp-init:AQAA\r\n");
    let mut local = device();
    for (ours, text, expected) in [
        (None, &plain, None),
        (None, &with, None),
        (Some("BBBB"), &plain, None),
        (Some("BBBB"), &with, Some("AQAA")),
    ] {
        local.data.as_mut().unwrap().sctp_init = ours.map(str::to_owned);
        let (text, agreed) = answer(&local, None, &read(text)).unwrap();
        let agreed = agreed.data.unwrap().remote_sctp_init;
        assert_eq!(agreed.as_deref(), expected);
        assert_eq!(text.to_string().contains("sctp-init"), expected.is_some());
    }
}

#[test]
fn message_sizes_of_zero_mean_any() {
    let text = sample("chromium_offer_data").replace("size:262144", "size:0");
    let (_, agreed) = answer(&device(), None, &read(&text)).unwrap();
    assert_eq!(agreed.data.unwrap().remote_max_message_size, u64::MAX);
    let huge = sample("chromium_offer_data").replace("size:262144", "size:99999999999999999999");
    let (_, agreed) = answer(&device(), None, &read(&huge)).unwrap();
    assert_eq!(agreed.data.unwrap().remote_max_message_size, u64::MAX);
}

#[test]
fn wildcard_feedback_and_odd_extensions() {
    let lines = [
        "a=rtcp-fb:* nack",
        "a=rtcp-fb:0 transport-cc",
        "a=extmap:3/recvonly urn:ietf:params:rtp-hdrext:sdes:mid",
        "a=extmap:200 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01",
    ];
    let (_, agreed) = answer(&device(), None, &read(&audio_offer("0 8", &lines))).unwrap();
    assert_eq!(agreed.media[0].send[0].feedback.len(), 2);
    assert_eq!(agreed.media[0].send[1].feedback.len(), 1);
    assert_eq!(agreed.media[0].extensions, []);
    let mut local = device();
    local.extmap_allow_mixed = true;
    let mixed = [&lines[..], &["a=extmap-allow-mixed"]].concat();
    let (_, agreed) = answer(&local, None, &read(&audio_offer("0", &mixed))).unwrap();
    assert_eq!(agreed.media[0].extensions, [(200, Extension::TransportCc)]);
}

#[test]
fn an_answer_must_fit_its_offer() {
    let offered = offer(&device(), None).unwrap();
    let (good, _) = answer(&other(), None, &offered).unwrap();
    let good = good.to_string();
    for (from, to, word) in [
        ("a=mid:1", "a=mid:9", "mid"),
        ("BUNDLE 0 1 2", "BUNDLE 0 7", "bundles"),
        ("m=video", "m=audio", "m-section 1"),
        ("a=setup:active", "a=setup:actpass", "actpass"),
    ] {
        let error = accept(&offered, &read(&good.replace(from, to))).unwrap_err();
        assert!(matches!(error, Error::PeerMisbehaved(_)));
        assert!(error.to_string().contains(word), "{error}");
    }
    let short = &good[..good.find("m=application").unwrap()];
    assert!(accept(&offered, &read(&short.replace(" 2\r\n", "\r\n"))).is_err());
}

#[test]
fn an_answer_may_reject_and_leave_out() {
    let offered = offer(&device(), None).unwrap();
    let mut plain = other();
    plain.audio = None;
    plain.data = None;
    let (answered, _) = answer(&plain, None, &offered).unwrap();
    let agreed = accept(&offered, &answered).unwrap();
    assert_eq!(agreed.transport.as_ref().unwrap().mid, "1");
    assert_eq!((agreed.media.len(), agreed.data.is_none()), (1, true));
    let nothing = answered.to_string().replace("m=video 9", "m=video 0");
    let agreed = accept(&offered, &read(&nothing)).unwrap();
    assert!(agreed.transport.is_none() && agreed.media.is_empty());
}

#[test]
fn an_answer_may_use_other_payload_types() {
    let offered = offer(&device(), None).unwrap();
    let (answered, _) = answer(&other(), None, &offered).unwrap();
    let moved = answered.to_string().replace("111", "120");
    let agreed = accept(&offered, &read(&moved)).unwrap();
    let audio = agreed.media(Kind::Audio).unwrap();
    assert_eq!(audio.send[0].payload_type, 120);
    assert_eq!(audio.receive[0].payload_type, 111);
}

#[test]
fn our_settings_are_checked() {
    type Break = fn(&mut Local);
    let broken: [(Break, &str); 5] = [
        (|it| it.ice.pwd.clear(), "password"),
        (|it| it.fingerprints.clear(), "fingerprint"),
        (|it| it.data.as_mut().unwrap().max_message_size = 0, "size"),
        (|it| it.audio.as_mut().unwrap().codecs.clear(), "codec"),
        (
            |it| it.audio.as_mut().unwrap().codecs[0].payload_type = 72,
            "payload type",
        ),
    ];
    for (breaks, word) in broken {
        let mut local = device();
        breaks(&mut local);
        let error = offer(&local, None).unwrap_err();
        assert!(matches!(error, Error::Misuse(_)));
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn payload_types_that_clash_are_moved() {
    let mut local = device();
    local.video.as_mut().unwrap().codecs[0] =
        CodecSpec::h264(111, ProfileLevelId::CONSTRAINED_BASELINE_3_1, 1).with_rtx(0);
    let text = offer(&local, None).unwrap().to_string();
    assert!(
        text.contains("m=video 9 UDP/TLS/RTP/SAVPF 96 97\r\n"),
        "{text}"
    );
    assert_eq!(H264Params::default().packetization_mode, 1);
}

#[test]
fn limits_hold() {
    let long = format!("{}a=x:{}\r\n", audio_offer("0", &[]), "y".repeat(70_000));
    assert!(
        Description::parse(&long)
            .unwrap_err()
            .to_string()
            .contains("bytes")
    );
    let many = audio_offer("0", &[]) + &"m=image 0 x y\r\n".repeat(40);
    assert!(
        Description::parse(&many)
            .unwrap_err()
            .to_string()
            .contains("m-sections")
    );
    let candidates = vec!["a=candidate:1 1 udp 1 192.0.2.1 1 typ host"; 500];
    let offer = read(&audio_offer("0", &candidates));
    assert_eq!(offer.sections()[0].candidates.len(), 128);
}

#[test]
fn errors_show_the_line() {
    for (line, place) in [
        ("a=rtpmap:0 opus", "a=rtpmap:0 opus"),
        ("a=fingerprint:sha-256 zz", "a=fingerprint:sha-256 zz"),
        ("a=mid:", "a=mid"),
        ("b=AS:x", "b=AS:x"),
    ] {
        let error = Description::parse(&audio_offer("0", &[line])).unwrap_err();
        let Error::Malformed { line: shown, .. } = &error else {
            panic!("{error}");
        };
        assert!(shown.starts_with(place), "{error}");
    }
    let short = audio_offer("0", &[]).replace("peerpeerpeerpeerpeerpeer", "secret");
    let error = Description::parse(&short).unwrap_err();
    assert!(!format!("{error:?}{error}").contains("secret"));
    assert!(Description::parse("").is_err());
    assert!(Description::parse("hello").is_err());
}
