use std::time::Duration;

use esp_dtls::{Dtls, DtlsRole, Event, State, Versions};
use esp_wire::{Instant, Origin, Train};
use proptest::prelude::*;

use crate::link::{Link, config, connected};

fn versions() -> impl Strategy<Value = Versions> {
    prop_oneof![
        Just(Versions::Auto),
        Just(Versions::Only12),
        Just(Versions::Only13)
    ]
}

/// Bytes that look like the start of a DTLS record more often than chance would have it.
fn datagram() -> impl Strategy<Value = Vec<u8>> {
    let record = (
        prop_oneof![20_u8..=26, 32_u8..=63],
        any::<[u8; 8]>(),
        0_u8..2,
        proptest::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|(kind, seq, epoch, body)| {
            let mut bytes = vec![kind, 0xfe, 0xfd, 0, epoch];
            bytes.extend(&seq[..6]);
            bytes.extend((body.len() as u16).to_be_bytes());
            bytes.extend(body);
            bytes
        });
    prop_oneof![record, proptest::collection::vec(any::<u8>(), 0..200)]
}

fn drain(dtls: &mut Dtls, now: Instant) {
    let mut train = Train::with_capacity(4_096);
    while dtls.poll_transmit(now, &mut train) {}
    while let Some(event) = dtls.poll_event() {
        assert!(!matches!(event, Event::Connected { .. } | Event::Data(_)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn garbage_never_panics(
        versions in versions(),
        client: bool,
        garbage in proptest::collection::vec(datagram(), 0..40),
    ) {
        let mut dtls = Dtls::new(&config(0, versions), &Origin::seeded(1)).unwrap();
        let role = if client { DtlsRole::Client } else { DtlsRole::Server };
        let mut now = Instant::ZERO;
        dtls.set_role(now, role).unwrap();
        for mut bytes in garbage {
            now += Duration::from_millis(3);
            let _ = dtls.handle_input(now, &mut bytes);
            let _ = dtls.handle_timeout(now);
            drain(&mut dtls, now);
        }
        prop_assert!(dtls.state() != State::Connected);
    }

    #[test]
    fn changed_flights_never_panic(
        versions in versions(),
        seed: u64,
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..60),
    ) {
        let mut link = Link::new(&config(0, versions), &config(1, versions), seed);
        link.introduce();
        link.start(0);
        let mut train = Train::with_capacity(4_096);
        let mut now = Instant::ZERO;
        let mut changes = changes.into_iter().cycle();
        for _ in 0..12 {
            now += Duration::from_millis(40);
            for from in 0..2 {
                while link.ends[from].dtls.poll_transmit(now, &mut train) {
                    for datagram in train.segments() {
                        let mut datagram = datagram.to_vec();
                        let (at, to) = changes.next().unwrap();
                        let at = usize::from(at) % datagram.len();
                        datagram[at] = to;
                        let _ = link.ends[1 - from].dtls.handle_input(now, &mut datagram);
                    }
                }
                let _ = link.ends[from].dtls.handle_timeout(now);
                while link.ends[from].dtls.poll_event().is_some() {}
            }
        }
    }

    #[test]
    fn a_connected_end_stays_so(garbage in proptest::collection::vec(datagram(), 0..60)) {
        let mut link = connected([Versions::Auto; 2], 0);
        let now = link.now;
        for mut bytes in garbage {
            for end in &mut link.ends {
                prop_assert!(end.dtls.handle_input(now, &mut bytes).is_ok());
            }
        }
        for end in &mut link.ends {
            end.listen();
            prop_assert_eq!(end.told.len(), 1);
            prop_assert_eq!(end.dtls.state(), State::Connected);
        }
    }
}

#[test]
fn verbatim_noise_does_not_stop_a_handshake() {
    for versions in [Versions::Auto, Versions::Only12, Versions::Only13] {
        let mut link = Link::new(&config(0, versions), &config(1, versions), 5);
        link.introduce();
        link.start(0);
        for _ in 0..20 {
            link.launch(0, vec![22; 60]);
            link.launch(1, vec![22; 60]);
            link.launch(1, vec![0x2f; 60]);
        }
        link.connect();
    }
}

#[test]
fn a_flood_is_bounded_and_survived() {
    let mut dtls = Dtls::new(&config(0, Versions::Auto), &Origin::seeded(1)).unwrap();
    for _ in 0..1_000 {
        dtls.handle_input(Instant::ZERO, &mut [22; 100]).unwrap();
    }
    assert_eq!(dtls.stats().dropped, 1_000 - 16);
    dtls.handle_input(Instant::ZERO, &mut []).unwrap();
    dtls.handle_input(Instant::ZERO, &mut [128; 10]).unwrap();
    dtls.handle_input(Instant::ZERO, &mut vec![22; 4_000])
        .unwrap();
    assert_eq!(dtls.stats().datagrams_ignored, 3);
}
