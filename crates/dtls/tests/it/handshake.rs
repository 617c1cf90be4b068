use std::time::Duration;

use esp_dtls::{DtlsRole, Error, SrtpProfile, State, Version, Versions};
use esp_wire::{Instant, Room, Train};

use crate::link::{End, Link, Told, config, connected};

#[test]
fn every_pair_of_versions_meets_in_both_roles() {
    use Versions::{Auto, Only12, Only13};
    for (left, right, version) in [
        (Auto, Auto, Version::Dtls13),
        (Auto, Only12, Version::Dtls12),
        (Auto, Only13, Version::Dtls13),
        (Only12, Auto, Version::Dtls12),
        (Only13, Auto, Version::Dtls13),
        (Only12, Only12, Version::Dtls12),
        (Only13, Only13, Version::Dtls13),
    ] {
        for client in 0..2 {
            let link = connected([left, right], client);
            for (index, end) in link.ends.iter().enumerate() {
                assert!(matches!(end.told[..], [Told::Connected(v, Some(_))] if v == version));
                assert_eq!(end.dtls.version(), Some(version));
                let other = crate::link::certificate(1 - index);
                assert_eq!(end.dtls.peer_certificate(), Some(other.certificate_der()));
            }
            let [a, b] = link.ends.each_ref().map(End::keys);
            assert_eq!(a.profile, b.profile);
            assert_eq!(a.profile, SrtpProfile::AeadAes256Gcm);
            assert_eq!(
                (&a.local_key, &a.local_salt),
                (&b.remote_key, &b.remote_salt)
            );
            assert_eq!(
                (&a.remote_key, &a.remote_salt),
                (&b.local_key, &b.local_salt)
            );
            assert_ne!(a.local_key, a.remote_key);
            assert_eq!(a.local_key.len(), a.profile.key_len());
            assert_eq!(a.local_salt.len(), a.profile.salt_len());
            assert!(link.largest <= 1_200, "a datagram of {}", link.largest);
        }
    }
}

#[test]
fn versions_without_overlap_fail() {
    for versions in [
        (Versions::Only12, Versions::Only13),
        (Versions::Only13, Versions::Only12),
    ] {
        let mut link = Link::new(&config(0, versions.0), &config(1, versions.1), 1);
        link.introduce();
        link.start(0);
        assert!(!link.run(Instant::from_millis(60_000), Link::is_connected));
        assert!(link.ends.iter().any(|end| end.failed.is_some()));
        assert!(link.ends.iter().all(|end| end.told.is_empty()));
    }
}

#[test]
fn loss_and_reordering_are_overcome() {
    for versions in [Versions::Auto, Versions::Only12, Versions::Only13] {
        for seed in 0..12 {
            let mut link = Link::new(&config(0, versions), &config(1, versions), seed);
            link.loss = 0.15;
            link.jitter = Duration::from_millis(30);
            link.introduce();
            link.start(seed as usize % 2);
            let connected = link.run(Instant::from_millis(30_000), Link::is_connected);
            let failed = link.ends.each_ref().map(|end| end.failed.clone());
            assert!(connected, "{versions:?}, seed {seed}: {failed:?}");
        }
    }
}

#[test]
fn reordering_alone_costs_little() {
    for seed in 0..20 {
        let mut link = Link::new(&config(0, Versions::Auto), &config(1, Versions::Auto), seed);
        link.jitter = Duration::from_millis(20);
        link.introduce();
        link.start(0);
        link.connect();
        assert!(
            link.now < Instant::from_millis(600),
            "seed {seed}: {:?}",
            link.now
        );
    }
}

#[test]
fn small_datagrams_carry_big_flights() {
    for versions in [Versions::Auto, Versions::Only12, Versions::Only13] {
        let small = |index| config(index, versions).with_mtu(256);
        let mut link = Link::new(&small(0), &small(1), 3);
        link.introduce();
        link.start(0);
        link.connect();
        assert!(link.largest <= 256, "a datagram of {}", link.largest);
        assert!(link.sent >= 8, "{versions:?}: {} datagrams", link.sent);
    }
}

#[test]
fn datagrams_before_the_role_are_held() {
    for versions in [Versions::Auto, Versions::Only12] {
        let mut link = Link::new(&config(0, versions), &config(1, versions), 3);
        link.introduce();
        let now = link.now;
        link.ends[0].dtls.set_role(now, DtlsRole::Client).unwrap();
        let until = Instant::from_millis(100);
        assert!(!link.run(until, Link::is_connected));
        assert_eq!(link.ends[1].dtls.state(), State::New);
        link.now = until;
        link.ends[1].dtls.set_role(until, DtlsRole::Server).unwrap();
        link.connect();
        assert!(link.now < Instant::from_millis(140), "{:?}", link.now);
    }
}

#[test]
fn a_role_cannot_change() {
    let mut end = End::new(&config(0, Versions::Auto));
    let now = Instant::ZERO;
    end.dtls.set_role(now, DtlsRole::Client).unwrap();
    end.dtls.set_role(now, DtlsRole::Client).unwrap();
    let refused = end.dtls.set_role(now, DtlsRole::Server);
    assert!(matches!(refused, Err(Error::Misuse(_))));
    assert_eq!(end.dtls.role(), Some(DtlsRole::Client));
}

#[test]
fn a_silent_peer_is_given_up() {
    for versions in [Versions::Auto, Versions::Only12, Versions::Only13] {
        let mut link = Link::new(&config(0, versions), &config(1, versions), 3);
        link.loss = 1.0;
        link.introduce();
        link.start(0);
        assert!(!link.run(Instant::from_millis(100_000), |_| false));
        assert_eq!(link.ends[0].failed, Some(Error::Timeout));
        assert_eq!(link.ends[0].dtls.state(), State::Failed);
        assert_eq!(link.ends[0].dtls.poll_timeout(), None);
        assert!(link.now >= Instant::from_millis(29_000), "{:?}", link.now);
        assert!(link.now <= Instant::from_millis(31_000), "{:?}", link.now);
        assert!(link.sent >= 6, "{} datagrams", link.sent);
    }
}

#[test]
fn flights_leave_the_room_that_was_asked_for() {
    let mut end = End::new(&config(0, Versions::Auto));
    end.dtls.set_below(Room { head: 4, tail: 3 });
    end.dtls.set_role(Instant::ZERO, DtlsRole::Client).unwrap();
    let mut train = Train::with_capacity(4_096);
    assert!(end.dtls.poll_transmit(Instant::ZERO, &mut train));
    assert_eq!(train.room(), Room { head: 4, tail: 3 });
    assert_eq!(train.segment(0)[0], 22);
}

#[test]
fn bad_settings_are_refused() {
    for config in [
        config(0, Versions::Auto).with_mtu(100),
        config(0, Versions::Auto).with_mtu(9_000),
        config(0, Versions::Auto).with_first_timeout(Duration::ZERO),
        config(0, Versions::Auto).with_first_timeout(Duration::from_secs(31)),
        config(0, Versions::Auto).with_handshake_timeout(Duration::ZERO),
    ] {
        let refused = esp_dtls::Dtls::new(&config, &esp_wire::Origin::seeded(1));
        assert!(matches!(refused, Err(Error::Misuse(_))));
    }
}
