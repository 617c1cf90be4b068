//! Session descriptions, alone and in offer and answer.

use std::sync::OnceLock;

use esp_sdp::{
    CodecSpec, DataLocal, Description, Extension, Feedback, Fingerprint, Fragment, Ice, Local,
    MediaLocal, Negotiated, ProfileLevelId, accept, answer, offer,
};
use esp_wire::{Codec, Direction};

/// What is read is written so that it reads the same.
pub(crate) fn description(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Fragment::parse(text);
    for codec in [Codec::H264, Codec::Opus, Codec::Pcmu] {
        let _ = esp_sdp::Params::parse(codec, text);
    }
    let Ok(read) = Description::parse(text) else {
        return;
    };
    for section in read.sections() {
        for payload in &section.payloads {
            let _ = (payload.codec(), payload.params(), payload.retransmits());
        }
    }
    let written = read.to_string();
    let again = Description::parse(&written).expect("what was written can be read");
    assert_eq!(again.to_string(), written);
}

/// The text as an offer, as an answer to ours, and as a later offer.
pub(crate) fn agreement(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(read) = Description::parse(text) else {
        return;
    };
    let local = device();
    for previous in [None, Some(known().1)] {
        answered(local, previous, &read);
    }
    let Ok(agreed) = accept(known().0, &read) else {
        return;
    };
    for media in &agreed.media {
        assert_eq!(media.send.len(), media.receive.len());
        assert!(!media.send.is_empty());
    }
    if agreed.transport.is_some() {
        let _ = read.restarts_ice(&agreed);
        offer(local, Some(&agreed)).expect("what was agreed on can be offered again");
    }
}

fn answered(local: &Local, previous: Option<&Negotiated>, read: &Description) {
    let Ok((text, agreed)) = answer(local, previous, read) else {
        return;
    };
    assert_eq!(text.sections().len(), read.sections().len());
    let back = Description::parse(&text.to_string()).expect("our answer can be read");
    for (asked, told) in read.sections().iter().zip(back.sections()) {
        assert_eq!((&asked.kind, &asked.mid), (&told.kind, &told.mid));
    }
    if agreed.transport.is_some() {
        let next = offer(local, Some(&agreed)).expect("what was agreed on can be offered again");
        assert!(next.sections().len() >= read.sections().len());
    }
}

/// Our offer, and what was agreed on with one like us.
fn known() -> (&'static Description, &'static Negotiated) {
    static KNOWN: OnceLock<(Description, Negotiated)> = OnceLock::new();
    let (offer, agreed) = KNOWN.get_or_init(|| {
        let ours = offer(device(), None).expect("an offer");
        let (_, agreed) = answer(device(), None, &ours).expect("an answer");
        (ours, agreed)
    });
    (offer, agreed)
}

/// A device that sends and takes everything.
fn device() -> &'static Local {
    static DEVICE: OnceLock<Local> = OnceLock::new();
    DEVICE.get_or_init(|| {
        let ice = Ice {
            ufrag: "abcd".into(),
            pwd: "0123456789012345678901".into(),
            lite: false,
            options: vec!["trickle".into()],
            pacing: None,
        };
        let print = Fingerprint {
            algorithm: "sha-256".into(),
            value: vec![0xab; 32],
        };
        let mut local = Local::new(7, ice, vec![print]);
        let audio = vec![CodecSpec::opus(111), CodecSpec::pcmu(), CodecSpec::pcma()];
        let mut audio = MediaLocal::new(Direction::SendRecv, audio, 1111, "me");
        audio.extensions = vec![Extension::Mid, Extension::TransportCc];
        let profile = ProfileLevelId::CONSTRAINED_BASELINE_3_1;
        let video = vec![CodecSpec::h264(102, profile, 1).with_rtx(103)];
        let mut video = MediaLocal::new(Direction::SendRecv, video, 2222, "me");
        video.rtx_ssrc = Some(2223);
        video.extensions = vec![Extension::Mid, Extension::TransportCc];
        video.feedback = Feedback::ALL.to_vec();
        local.audio = Some(audio);
        local.video = Some(video);
        local.data = Some(DataLocal::default());
        local
    })
}
