//! Records of our own against those of the library, which is the independent peer here.

use std::time::Duration;

use esp_dtls::{Config, State, Versions};
use esp_wire::Train;
use proptest::prelude::*;

use crate::link::{BOTH, Link, Told, config};

/// Who has records of its own.
const MIXES: [[bool; 2]; 3] = [[true, true], [true, false], [false, true]];

fn pair(versions: Versions, own: [bool; 2], change: impl Fn(Config) -> Config) -> [Config; 2] {
    [0, 1].map(|index| change(config(index, versions).with_own_records(own[index])))
}

fn link(configs: &[Config; 2], client: usize, seed: u64) -> Link {
    let mut link = Link::new(&configs[0], &configs[1], seed);
    link.introduce();
    link.start(client);
    link
}

fn connected(configs: &[Config; 2], client: usize, seed: u64) -> Link {
    let mut link = link(configs, client, seed);
    link.connect();
    link
}

/// Seals one payload and gives the record.
fn record(link: &mut Link, from: usize, payload: &[u8]) -> Vec<u8> {
    let dtls = &mut link.ends[from].dtls;
    let mut train = Train::with_capacity(2_000);
    train.begin(dtls.room(), payload.len());
    assert!(train.push(payload));
    dtls.protect(link.now, &mut train).unwrap();
    train.segment(0).to_vec()
}

/// Hands a datagram to an end and collects what comes of it.
fn receive(link: &mut Link, to: usize, mut datagram: Vec<u8>) -> Vec<Vec<u8>> {
    let now = link.now;
    let end = &mut link.ends[to];
    let mut got = Vec::new();
    if let Some(data) = end.dtls.open(now, &mut datagram).unwrap() {
        got.push(data.to_vec());
    }
    end.told.clear();
    end.listen();
    got.extend(end.data().into_iter().map(<[u8]>::to_vec));
    got
}

#[test]
fn both_kinds_of_records_understand_each_other() {
    for versions in BOTH {
        for own in MIXES {
            for client in 0..2 {
                for seed in [7, 8] {
                    let mut link = connected(&pair(versions, own, |it| it), client, seed);
                    for from in [0, 1, 0] {
                        let mut payloads: Vec<Vec<u8>> =
                            (0..30).map(|i| vec![i as u8; 1_100]).collect();
                        payloads.push(b"x".to_vec());
                        link.ends[1 - from].told.clear();
                        link.send(from, &payloads);
                        link.settle();
                        assert_eq!(link.ends[1 - from].data(), payloads);
                    }
                    let now = link.now;
                    link.ends[client].dtls.close(now);
                    link.settle();
                    assert_eq!(link.ends[1 - client].told.last(), Some(&Told::Closed));
                    assert_eq!(link.ends[1 - client].failed, None);
                }
            }
        }
    }
}

/// Every datagram of the handshake is lost once, and both ends send as soon as they can.
#[test]
fn any_lost_flight_is_made_up_for() {
    for versions in BOTH {
        for own in MIXES {
            for client in 0..2 {
                for lost in 0..14 {
                    let mut link = link(&pair(versions, own, |it| it), client, 7);
                    link.lose = Some(Box::new(move |_, index, _| index == lost));
                    talk_once_connected(&mut link);
                }
            }
        }
    }
}

/// One end hears nothing for a while, from any datagram on.
#[test]
fn a_pause_in_either_direction_is_made_up_for() {
    for versions in BOTH {
        for own in MIXES {
            for deaf in 0..2 {
                for start in 0..8 {
                    let mut link = link(&pair(versions, own, |it| it), 0, 8);
                    let mut heard = 0;
                    link.lose = Some(Box::new(move |from, _, _| {
                        heard += usize::from(from != deaf);
                        from != deaf && (start..start + 6).contains(&heard)
                    }));
                    talk_once_connected(&mut link);
                }
            }
        }
    }
}

/// Each end sends on and on from the moment it is connected, until both have heard the other.
fn talk_once_connected(link: &mut Link) {
    for round in 0..12_000 {
        let until = link.now + Duration::from_millis(25);
        link.run(until, |_| false);
        link.now = until;
        for from in 0..2 {
            let state = link.ends[1 - from].dtls.state();
            assert_eq!(
                link.ends[from].failed, None,
                "{from} {state:?} {:?}",
                link.now
            );
            // The library gives up when 48 datagrams wait for the end of its handshake.
            if link.ends[from].dtls.state() == State::Connected && (round < 8 || round % 16 == 0) {
                link.send(from, &[vec![from as u8; 20]]);
            }
        }
        let heard = |end: usize| link.ends[end].data().len() >= 3;
        if heard(0) && heard(1) {
            link.lose = None;
            link.run(link.now + Duration::from_secs(400), |_| false);
            for end in &link.ends {
                assert_eq!((end.dtls.state(), &end.failed), (State::Connected, &None));
                assert_eq!(end.dtls.poll_timeout(), None, "a flight is never confirmed");
            }
            return;
        }
    }
    panic!("the ends do not hear each other");
}

#[test]
fn connects_and_talks_over_a_bad_path() {
    for versions in BOTH {
        for own in MIXES {
            for seed in 0..12 {
                let long = Duration::from_secs(200);
                let configs = pair(versions, own, |it| it.with_handshake_timeout(long));
                let mut link = link(&configs, seed as usize % 2, seed);
                link.loss = 0.25;
                link.jitter = Duration::from_millis(60);
                talk_once_connected(&mut link);
            }
        }
    }
}

#[test]
fn more_records_than_a_header_can_number() {
    for versions in BOTH {
        for own in [[true, true], [true, false]] {
            let mut link = connected(&pair(versions, own, |it| it), 0, 7);
            for from in 0..2 {
                let mut lost = 0;
                for index in 0..72_000_u32 {
                    let sealed = record(&mut link, from, &index.to_be_bytes());
                    // A few long gaps, and one in fifty.
                    if index % 50 == 3 || (20_000..45_000).contains(&index) {
                        lost += 1;
                        continue;
                    }
                    let got = receive(&mut link, 1 - from, sealed);
                    assert_eq!(got, [index.to_be_bytes()], "{versions:?} {own:?}");
                }
                assert!(lost > 20_000);
            }
        }
    }
}

/// Sends `count` records each way and checks that all arrive, with a settled link after each train.
fn exchange(link: &mut Link, count: usize, lossless: bool) {
    let stats = link.ends.each_ref().map(|it| it.dtls.stats());
    for round in 0..count / 10 {
        for from in 0..2 {
            let payloads: Vec<Vec<u8>> = (0..10).map(|i| vec![round as u8, i, 1, 1]).collect();
            link.ends[1 - from].told.clear();
            link.send(from, &payloads);
            link.settle();
            for end in &link.ends {
                assert_eq!(end.failed, None);
                assert_eq!(end.dtls.state(), State::Connected);
            }
            if lossless {
                let now = link.ends.each_ref().map(|it| it.dtls.stats());
                let got = link.ends[1 - from].data();
                assert_eq!(got, payloads, "from {from}: {stats:?} {now:?}");
            }
        }
    }
}

#[test]
fn keys_are_updated_by_either_end() {
    for own in MIXES {
        for initiators in [[true, false], [false, true], [true, true]] {
            let mut configs = pair(Versions::Only13, own, |it| it);
            for index in 0..2 {
                if initiators[index] {
                    configs[index] = configs[index].clone().with_key_update_after(50);
                }
            }
            let mut link = connected(&configs, 0, 7);
            // Far enough for the epochs to pass all four values of their low bits.
            exchange(&mut link, 600, true);
            let handshake = link.sent - 2 * 600;
            assert!(handshake > 25, "keys were not updated: {handshake}");
        }
    }
}

#[test]
fn keys_are_updated_over_a_bad_path() {
    for own in MIXES {
        for seed in 0..4 {
            let configs = pair(Versions::Only13, own, |it| it.with_key_update_after(60));
            let mut link = connected(&configs, 1, seed);
            link.loss = 0.2;
            link.jitter = Duration::from_millis(30);
            exchange(&mut link, 1_500, false);
            link.loss = 0.0;
            link.jitter = Duration::ZERO;
            link.run(link.now + Duration::from_secs(30), |_| false);
            exchange(&mut link, 20, true);
        }
    }
}

#[test]
fn goodbye_in_the_middle_of_a_key_update() {
    for own in MIXES {
        for closer in 0..2 {
            let configs = pair(Versions::Only13, own, |it| it.with_key_update_after(30));
            let mut link = connected(&configs, 0, 7);
            let payloads = vec![vec![5; 10]; 31];
            link.send(closer, &payloads);
            let now = link.now;
            link.ends[closer].dtls.close(now);
            link.settle();
            let other = &link.ends[1 - closer];
            assert_eq!(other.data().len(), 31);
            assert_eq!(other.told.last(), Some(&Told::Closed));
            assert_eq!(other.failed, None);
        }
    }
}

#[test]
fn a_record_counts_once_however_late_it_comes_again() {
    for versions in BOTH {
        let mut link = connected(&pair(versions, [true, true], |it| it), 0, 7);
        let records: Vec<Vec<u8>> = (0..3_000_u32)
            .map(|index| record(&mut link, 0, &index.to_be_bytes()))
            .collect();
        // In pairs that swapped places, each at once and again later.
        for swapped in records.chunks(2) {
            for record in swapped.iter().rev() {
                assert_eq!(receive(&mut link, 1, record.clone()).len(), 1);
                assert!(receive(&mut link, 1, record.clone()).is_empty());
            }
        }
        for record in records {
            assert!(receive(&mut link, 1, record).is_empty());
        }
        let stats = link.ends[1].dtls.stats();
        assert_eq!(stats.records_received, 3_000);
        assert_eq!(stats.records_refused, 6_000);
    }
}

#[test]
fn forgeries_are_counted_and_leave_no_trace() {
    for versions in BOTH {
        let mut link = connected(&pair(versions, [true, true], |it| it), 0, 7);
        let sealed = record(&mut link, 0, &[3; 40]);
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut bad = sealed.clone();
                bad[index] ^= 1 << bit;
                assert!(receive(&mut link, 1, bad).is_empty());
            }
            assert!(receive(&mut link, 1, sealed[..index].to_vec()).is_empty());
        }
        // A record reflected to its sender.
        assert!(receive(&mut link, 0, sealed.clone()).is_empty());
        assert_eq!(receive(&mut link, 1, sealed), [[3; 40]]);
        assert!(link.ends[1].dtls.stats().records_refused >= 300);
        link.settle();
        assert!(
            link.ends
                .iter()
                .all(|it| it.dtls.state() == State::Connected)
        );
    }
}

/// A plain record costs its sender nothing, so that it must not make an end answer for ever.
#[test]
fn a_handshake_that_is_over_cannot_be_replayed() {
    for own in MIXES {
        for client in 0..2 {
            let mut link = link(&pair(Versions::Only12, own, |it| it), client, 7);
            let said = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let ears = std::rc::Rc::clone(&said);
            link.lose = Some(Box::new(move |from, _, datagram| {
                ears.borrow_mut().push((1 - from, datagram.to_vec()));
                false
            }));
            link.connect();
            for from in 0..2 {
                link.send(from, &[b"confirmed".to_vec()]);
            }
            link.settle();
            link.lose = None;
            let sent = link.sent;
            for (to, datagram) in said.take() {
                for _ in 0..3 {
                    assert!(receive(&mut link, to, datagram.clone()).is_empty());
                }
            }
            link.run(link.now + Duration::from_secs(5), |_| false);
            assert_eq!(link.sent, sent, "something was answered");
            exchange(&mut link, 10, true);
        }
    }
}

/// Both ends have nothing left to do for the handshake: what is in memory of it may be gone.
#[test]
fn goodbye_long_after_the_handshake() {
    for versions in BOTH {
        for own in MIXES {
            for closer in 0..2 {
                let mut link = connected(&pair(versions, own, |it| it), 0, 7);
                exchange(&mut link, 10, true);
                link.run(link.now + Duration::from_secs(400), |_| false);
                exchange(&mut link, 10, true);
                let now = link.now;
                link.ends[closer].dtls.close(now);
                link.settle();
                let other = &link.ends[1 - closer];
                assert_eq!(other.told.last(), Some(&Told::Closed));
                assert_eq!((other.dtls.state(), &other.failed), (State::Closed, &None));
                assert_eq!(link.ends[closer].failed, None);
            }
        }
    }
}

#[test]
fn records_share_a_datagram() {
    for versions in BOTH {
        let mut link = connected(&pair(versions, [true, true], |it| it), 0, 7);
        let first = record(&mut link, 0, b"first");
        let second = record(&mut link, 0, b"second");
        let mut noise = second.clone();
        noise[20] ^= 1;
        let datagram = [&first[..], &noise, &second, b"\x16junk"].concat();
        let got = receive(&mut link, 1, datagram);
        assert_eq!(got, [&b"first"[..], b"second"]);
    }
}

#[test]
fn early_data_waits_for_the_end_of_the_handshake() {
    for versions in BOTH {
        for own in MIXES {
            let mut link = link(&pair(versions, own, |it| it), 0, 7);
            // The last flight of the side that is done first is lost, its data arrives.
            let mut done = false;
            let mut lost = 0;
            link.lose = Some(Box::new(move |from, index, _| {
                done |= index > 3;
                let lose = from == 0 && done && lost < 2;
                lost += usize::from(lose);
                lose
            }));
            talk_once_connected(&mut link);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn arbitrary_datagrams_change_nothing(
        only_13 in any::<bool>(),
        to in 0..2_usize,
        datagrams in prop::collection::vec(
            (20..64_u8, prop::collection::vec(any::<u8>(), 0..120), any::<prop::sample::Index>(), 0..4_u8),
            1..40,
        ),
    ) {
        let versions = BOTH[usize::from(only_13)];
        let mut link = connected(&pair(versions, [true, true], |it| it), 0, 7);
        for (first, bytes, place, kind) in datagrams {
            let good = record(&mut link, 1 - to, b"genuine");
            let datagram = match kind {
                0 => [&[first][..], &bytes].concat(),
                // Something in front, behind and within.
                1 => [&good[..place.index(good.len())], &bytes].concat(),
                2 => {
                    let mut bad = good.clone();
                    for (at, byte) in bytes.iter().enumerate() {
                        bad[(place.index(1_000) + at) % good.len()] ^= byte | 1;
                    }
                    bad
                }
                _ => [&good[..13.min(good.len())], &bytes].concat(),
            };
            // By chance the record may be whole, with noise behind it.
            let datagram = match datagram.starts_with(&good) {
                true => datagram,
                false => {
                    prop_assert!(receive(&mut link, to, datagram).is_empty());
                    good
                }
            };
            prop_assert_eq!(receive(&mut link, to, datagram), [b"genuine"]);
            prop_assert_eq!(link.ends[to].dtls.state(), State::Connected);
        }
    }
}
