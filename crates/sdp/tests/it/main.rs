//! Offers and answers of browsers and of our own.
#![allow(clippy::unwrap_used)] // helpers of tests

mod agree;
mod mutate;
mod rounds;
mod samples;

use esp_sdp::{
    CodecSpec, DataLocal, Extension, Feedback, Fingerprint, Ice, Local, MediaLocal, Msid,
    ProfileLevelId,
};
use esp_wire::Direction;

/// A device that sends and takes everything.
fn device() -> Local {
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
    audio.feedback = vec![Feedback::TransportCc, Feedback::Nack, Feedback::Pli];
    audio.msid = Some(Msid {
        stream: "cam".into(),
        track: "mic".into(),
    });
    let profile = ProfileLevelId::CONSTRAINED_BASELINE_3_1;
    let codecs = vec![CodecSpec::h264(102, profile, 1).with_rtx(103)];
    let mut video = MediaLocal::new(Direction::SendRecv, codecs, 2222, "me");
    video.rtx_ssrc = Some(2223);
    video.extensions = vec![Extension::Mid, Extension::TransportCc];
    video.feedback = Feedback::ALL.to_vec();
    local.audio = Some(audio);
    local.video = Some(video);
    local.data = Some(DataLocal::default());
    local
}

/// The other one, with an identity of its own.
fn other() -> Local {
    let mut local = device();
    local.session_id = 8;
    local.ice.ufrag = "wxyz".into();
    local.ice.pwd = "abcdefghijklmnopqrstuv".into();
    local.fingerprints[0].value = vec![0xcd; 32];
    for media in [&mut local.audio, &mut local.video].into_iter().flatten() {
        media.ssrc += 10_000;
        media.rtx_ssrc = media.rtx_ssrc.map(|ssrc| ssrc + 10_000);
        media.cname = "you".into();
    }
    local
}

/// A sample by its name.
fn sample(name: &str) -> String {
    let path = format!("{}/tests/samples/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

/// The names of all samples.
fn sample_names() -> Vec<String> {
    let folder = format!("{}/tests/samples", env!("CARGO_MANIFEST_DIR"));
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            Some(name.strip_suffix(".sdp")?.to_owned())
        })
        .collect();
    names.sort();
    assert!(names.len() > 10);
    names
}

#[test]
fn the_pacing_of_checks_is_told_for_the_whole_session() {
    let mut local = device();
    local.ice.pacing = Some(20);
    let offer = esp_sdp::offer(&local, None).unwrap().to_string();
    let (session, _) = offer.split_once("m=").unwrap();
    assert!(session.contains("a=ice-pacing:20\r\n"));
    let pacing = |text: &str| {
        let parsed = esp_sdp::Description::parse(text).unwrap();
        parsed.sections()[0].ice.as_ref().unwrap().pacing
    };
    assert_eq!(pacing(&offer), Some(20));
    assert_eq!(pacing(&offer.replace("pacing:20", "pacing:soon")), None);
}
