//! The kept corpora run through their targets: what once was found stays found.

use std::panic::catch_unwind;
use std::path::Path;

use esp_fuzzing::TARGETS;

/// Runs a target on its corpus and on a few inputs that every target must stand.
fn replay(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../fuzz/corpus/{name}"));
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a corpus that can be listed").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name} has no corpus");
    for file in files {
        let data = std::fs::read(&file).expect("a corpus that can be read");
        if catch_unwind(|| esp_fuzzing::run(name, &data)).is_err() {
            panic!("{name} fails on {}", file.display());
        }
    }
    for data in [&[][..], &[0], &[255], &[0; 64], &[255; 64]] {
        esp_fuzzing::run(name, data);
    }
}

macro_rules! corpora {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed_and_has_a_binary() {
            let replayed = [$(stringify!($name)),*];
            let known: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, replayed);
            for name in known {
                let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/targets");
                assert!(root.join(format!("{name}.rs")).is_file(), "{name}");
            }
        }
    };
}

corpora! {
    dcep dtls dtls_server ice_agent ice_candidate ice_relay media_file media_mp4 media_opus media_wav
    peer rtcp rtp_formats rtp_packet rtp_session sctp_association sctp_packet sdp_agreement
    sdp_description signaling srtp stun_message stun_stream turn_client
}
