use std::time::Duration;

use esp_dtls::{Error, State, Versions};
use esp_wire::{Room, Train};

use crate::link::{BOTH, Told, connected, sum};

#[test]
fn a_record_adds_exactly_the_room() {
    for versions in BOTH {
        for client in 0..2 {
            let mut link = connected([versions; 2], client);
            for from in 0..2 {
                let dtls = &mut link.ends[from].dtls;
                let below = Room { head: 4, tail: 0 };
                let room = dtls.room();
                for size in [1, 2, 15, 16, 17, 100, 1_150, 1_400] {
                    let mut train = Train::with_capacity(65_536);
                    train.begin(room.plus(below), size);
                    let count = train.vacancy().min(40);
                    for index in 0..count {
                        train.push_with(|slot| {
                            slot.fill(index as u8);
                            slot.len()
                        });
                    }
                    dtls.protect(link.now, &mut train).unwrap();
                    assert_eq!(train.len(), count);
                    assert!(train.segments().all(|it| it.len() == size + sum(room)));
                    assert_eq!(train.room(), below);
                    train.grow(below.head, 0).unwrap();
                    let whole = train.contiguous().unwrap();
                    assert_eq!(whole.1, size + sum(room) + 4);
                    assert_eq!(whole.0.len(), whole.1 * count);
                }
            }
        }
    }
}

#[test]
fn trains_arrive_as_they_were() {
    for versions in BOTH {
        let mut link = connected([versions; 2], 0);
        for from in 0..2 {
            let mut payloads: Vec<Vec<u8>> = (0..30).map(|i| vec![i as u8; 1_100]).collect();
            payloads.push(b"short".to_vec());
            link.send(from, &payloads);
            link.settle();
            assert_eq!(link.ends[1 - from].data(), payloads);
        }
        assert_eq!(link.ends[0].dtls.stats().records_sent, 31);
    }
}

#[test]
fn lost_records_are_not_missed_and_copies_not_delivered() {
    for versions in BOTH {
        let mut link = connected([versions; 2], 0);
        link.loss = 0.3;
        for round in 0..40_u8 {
            link.send(0, &[vec![round; 50]]);
        }
        link.settle();
        let got = link.ends[1].data().len();
        assert!((10..40).contains(&got), "{got}");
        link.loss = 0.0;

        let dtls = &mut link.ends[0].dtls;
        let mut train = Train::with_capacity(2_000);
        train.begin(dtls.room(), 10);
        train.push(b"once");
        dtls.protect(link.now, &mut train).unwrap();
        let record = train.segment(0).to_vec();
        for _ in 0..3 {
            link.launch(0, record.clone());
        }
        link.settle();
        assert_eq!(link.ends[1].data().len(), got + 1);
    }
}

#[test]
fn a_changed_record_is_dropped() {
    for versions in BOTH {
        let mut link = connected([versions; 2], 0);
        let dtls = &mut link.ends[0].dtls;
        let mut train = Train::with_capacity(2_000);
        train.begin(dtls.room(), 40);
        train.push(&[3; 40]);
        dtls.protect(link.now, &mut train).unwrap();
        let record = train.segment(0).to_vec();
        for index in 0..record.len() {
            let mut bad = record.clone();
            bad[index] ^= 0x10;
            link.launch(0, bad);
        }
        link.settle();
        assert!(link.ends[1].data().is_empty());
        assert_eq!(link.ends[1].dtls.state(), State::Connected);
        link.launch(0, record);
        link.settle();
        assert_eq!(link.ends[1].data(), [&[3; 40][..]]);
    }
}

#[test]
fn a_train_without_room_is_refused_and_unharmed() {
    let mut link = connected([Versions::Auto; 2], 0);
    let mut train = Train::with_capacity(2_000);
    train.begin(Room { head: 4, tail: 17 }, 10);
    train.push(b"payload");
    let refused = link.ends[0].dtls.protect(link.now, &mut train);
    assert!(matches!(refused, Err(Error::Misuse(_))));
    assert_eq!(train.segment(0), b"payload");
    assert_eq!(link.ends[0].dtls.state(), State::Connected);
}

#[test]
fn goodbye_reaches_the_peer() {
    for versions in BOTH {
        for closer in 0..2 {
            let mut link = connected([versions; 2], 0);
            link.send(closer, &[b"last words".to_vec()]);
            let now = link.now;
            link.ends[closer].dtls.close(now);
            link.ends[closer].dtls.close(now);
            assert_eq!(link.ends[closer].dtls.state(), State::Closed);
            link.settle();
            let other = &link.ends[1 - closer];
            assert_eq!(other.data(), [b"last words"]);
            assert_eq!(other.told.last(), Some(&Told::Closed));
            assert_eq!(other.dtls.state(), State::Closed);
            assert_eq!(other.failed, None);
            let mut train = Train::with_capacity(2_000);
            train.begin(Room { head: 21, tail: 17 }, 10);
            train.push(b"late");
            assert!(link.ends[closer].dtls.protect(now, &mut train).is_err());
        }
    }
}

#[test]
fn an_idle_association_sets_no_timer() {
    for versions in BOTH {
        let mut link = connected([versions; 2], 0);
        link.run(link.now + Duration::from_secs(30), |_| false);
        for end in &link.ends {
            assert_eq!(end.dtls.poll_timeout(), None);
            assert_eq!(end.dtls.state(), State::Connected);
        }
        link.send(0, &[b"still there".to_vec()]);
        link.settle();
        assert_eq!(link.ends[1].data(), [b"still there"]);
    }
}
