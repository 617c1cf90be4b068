use esp_dtls::{Error, Fingerprint, State, Versions, Violation};
use esp_wire::{Instant, Room, Train};

use crate::link::{BOTH, Link, Told, certificate, config};

fn fingerprint(index: usize) -> Fingerprint {
    certificate(index).fingerprint().clone()
}

#[test]
fn the_wrong_certificate_ends_it_before_any_key() {
    for versions in BOTH {
        for impostor in 0..2 {
            let mut link = Link::new(&config(0, versions), &config(1, versions), 1);
            link.introduce();
            let end = &mut link.ends[1 - impostor];
            let wrong = fingerprint(1 - impostor);
            end.dtls
                .set_remote_fingerprints(vec![wrong.clone()])
                .unwrap();
            link.start(0);
            assert!(!link.run(Instant::from_millis(60_000), Link::is_connected));
            let end = &link.ends[1 - impostor];
            assert!(end.told.is_empty());
            assert_eq!(end.dtls.state(), State::Failed);
            let Some(Error::PeerMisbehaved(Violation::Fingerprint {
                announced,
                presented,
            })) = &end.failed
            else {
                panic!("{:?}", end.failed);
            };
            assert_eq!(announced[..], std::slice::from_ref(&wrong)[..]);
            assert_eq!(presented, &fingerprint(impostor));
            let words = end.failed.as_ref().unwrap().to_string();
            assert!(words.contains(&wrong.to_string()) && words.contains(&presented.to_string()));
        }
    }
}

#[test]
fn no_announced_fingerprint_is_no_trust() {
    let mut link = Link::new(&config(0, Versions::Auto), &config(1, Versions::Auto), 1);
    link.introduce();
    link.ends[0].dtls.set_remote_fingerprints(vec![]).unwrap();
    link.start(0);
    assert!(!link.run(Instant::from_millis(60_000), Link::is_connected));
    assert_eq!(link.ends[0].dtls.state(), State::Failed);
    assert!(link.ends[0].told.is_empty());
}

#[test]
fn everything_is_held_until_a_late_fingerprint() {
    for versions in BOTH {
        for late in 0..2 {
            let mut link = Link::new(&config(0, versions), &config(1, versions), 1);
            link.ends[1 - late]
                .dtls
                .set_remote_fingerprints(vec![fingerprint(late)])
                .unwrap();
            link.start(0);
            let done = |link: &Link| link.ends[1 - late].dtls.state() == State::Connected;
            assert!(link.run(Instant::from_millis(5_000), done));
            link.settle();
            link.send(1 - late, &[b"early".to_vec(), b"data".to_vec()]);
            link.settle();

            let end = &mut link.ends[late];
            assert_eq!(end.dtls.state(), State::Unverified);
            assert!(end.told.is_empty());
            let mut train = Train::with_capacity(2_000);
            train.begin(Room { head: 32, tail: 32 }, 100);
            train.push(b"too early");
            let refused = end.dtls.protect(link.now, &mut train);
            assert!(matches!(refused, Err(Error::Misuse(_))));

            end.dtls
                .set_remote_fingerprints(vec![fingerprint(1 - late)])
                .unwrap();
            end.listen();
            assert!(matches!(end.told[0], Told::Connected(..)));
            assert_eq!(end.data(), [&b"early"[..], b"data"]);
        }
    }
}

#[test]
fn a_late_wrong_fingerprint_drops_what_was_held() {
    for versions in BOTH {
        let mut link = Link::new(&config(0, versions), &config(1, versions), 1);
        link.ends[1]
            .dtls
            .set_remote_fingerprints(vec![fingerprint(0)])
            .unwrap();
        link.start(0);
        let done = |link: &Link| link.ends[1].dtls.state() == State::Connected;
        assert!(link.run(Instant::from_millis(5_000), done));
        link.settle();
        link.send(1, &[b"early".to_vec()]);
        link.settle();
        let refused = link.ends[0]
            .dtls
            .set_remote_fingerprints(vec![fingerprint(0)]);
        assert!(matches!(refused, Err(Error::PeerMisbehaved(_))));
        link.settle();
        assert!(link.ends[0].told.is_empty());
        // The other side learns that it is over.
        assert_eq!(link.ends[1].told.last(), Some(&Told::Closed));
    }
}

#[test]
fn held_data_is_bounded() {
    let held = config(0, Versions::Auto).with_max_held(1_000);
    let mut link = Link::new(&held, &config(1, Versions::Auto), 1);
    link.ends[1]
        .dtls
        .set_remote_fingerprints(vec![fingerprint(0)])
        .unwrap();
    link.start(0);
    let done = |link: &Link| link.ends[1].dtls.state() == State::Connected;
    assert!(link.run(Instant::from_millis(5_000), done));
    link.settle();
    for _ in 0..100 {
        link.send(1, &[vec![7; 300]]);
    }
    link.settle();
    let end = &mut link.ends[0];
    end.dtls
        .set_remote_fingerprints(vec![fingerprint(1)])
        .unwrap();
    end.listen();
    assert_eq!(end.data().len(), 3);
    assert_eq!(end.dtls.stats().dropped, 97);
    // What was taken makes room again.
    link.send(1, &[vec![8; 300]]);
    link.settle();
    assert_eq!(link.ends[0].data().len(), 4);
}

#[test]
fn a_changed_announcement_is_checked_again() {
    let mut link = crate::link::connected([Versions::Auto; 2], 0);
    let end = &mut link.ends[0];
    end.dtls
        .set_remote_fingerprints(vec![fingerprint(1)])
        .unwrap();
    assert_eq!(end.dtls.state(), State::Connected);
    assert!(
        end.dtls
            .set_remote_fingerprints(vec![fingerprint(0)])
            .is_err()
    );
    assert_eq!(end.dtls.state(), State::Failed);
}
