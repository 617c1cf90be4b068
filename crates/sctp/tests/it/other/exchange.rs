//! Messages of all sizes, in order and without, on many streams, there and back.

use bytes::Bytes;
use esp_sctp::ChannelConfig;
use sctp_proto::{ReliabilityType, TransportConfig, generate_snap_token};

use super::{Begins, Both, MEMORY, Way, number, numbered};

const EACH: [Begins; 2] = [Begins::Ours, Begins::Theirs];

/// Messages go there and come back on one channel.
fn exchange(both: &mut Both, ordered: bool, sizes: &[usize]) {
    let channel = both.open(ChannelConfig {
        ordered,
        ..ChannelConfig::new("echo")
    });
    both.until(|both| !both.opened.is_empty());
    for (index, size) in sizes.iter().enumerate() {
        both.send(channel, &numbered(index, *size));
    }
    both.until(|both| both.messages.len() == sizes.len());
    let mut seen: Vec<usize> = Vec::new();
    for (_, data) in &both.messages {
        let index = number(data);
        assert!(*data == numbered(index, sizes[index]), "message {index}");
        seen.push(index);
    }
    assert!(!ordered || seen.is_sorted());
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..sizes.len()));
    both.until(|both| both.ours.stats().send_buffered == 0);
    assert_eq!(both.ours.stats().receive_buffered, 0);
}

#[test]
fn messages_of_all_sizes_come_back() {
    let sizes = [4, 100, 1_128, 1_129, 5_000, 60_000, 5, 300_000, 6, 20_000];
    for begins in EACH {
        for (seed, way) in [
            (1, Way::default()),
            (2, Way::lossy(0.05)),
            (3, Way::lossy(0.2)),
            (4, Way::bad()),
        ] {
            for ordered in [true, false] {
                exchange(&mut Both::new(seed, way, begins), ordered, &sizes);
            }
        }
    }
}

#[test]
fn messages_without_bytes_come_back_as_such() {
    let mut both = Both::new(5, Way::default(), Begins::Theirs);
    let channel = both.open(ChannelConfig::new("echo"));
    both.send(channel, b"");
    both.send(channel, b"1");
    both.send(channel, b"");
    both.until(|both| both.messages.len() == 3);
    assert_eq!(both.on(0), [&b""[..], b"1", b""]);
}

#[test]
fn messages_of_mebibytes_come_back() {
    for (begins, ordered, loss) in [
        (Begins::Ours, true, 0.0),
        (Begins::Theirs, false, 0.0),
        (Begins::Ours, false, 0.01),
    ] {
        let mut both = Both::new(6, Way::lossy(loss), begins);
        exchange(&mut both, ordered, &[3 << 20, 7, 1 << 20, 2 << 20]);
    }
}

#[test]
fn a_description_may_carry_the_handshake() {
    let token = generate_snap_token(&TransportConfig::default()).expect("a token");
    // Its token is in its configuration, ours is made before it knows us.
    let own = Both::idle(7, Way::default(), false, None, MEMORY)
        .ours
        .local_init();
    let tokens = Some((token.clone(), Bytes::from(own)));
    let mut both = Both::idle(7, Way::default(), true, tokens, MEMORY);
    let now = both.now;
    let begun = both.ours.connect_with_init(now, &token);
    begun.expect("a sound INIT");
    exchange(&mut both, true, &[4, 50_000]);
}

#[test]
fn many_streams_of_all_kinds_do_not_mix() {
    for begins in EACH {
        for (seed, way) in [(8, Way::default()), (9, Way::bad())] {
            let mut both = Both::new(seed, way, begins);
            let channels: Vec<_> = (0..40)
                .map(|index| {
                    both.open(ChannelConfig {
                        ordered: index % 2 == 0,
                        ..ChannelConfig::new("x")
                    })
                })
                .collect();
            both.until(|both| both.opened.len() == 40);
            let count = 600;
            let size = |index: usize| [10, 900, 3_000, 20_000][index / 40 % 4] + index;
            for index in 0..count {
                both.send(channels[index % 40], &numbered(index, size(index)));
            }
            both.until(|both| both.messages.len() == count);
            for place in 0..40 {
                // The DTLS client opens even streams.
                let got = both.on(2 * place as u16);
                let mut order: Vec<usize> = got.iter().map(|data| number(data)).collect();
                for (data, index) in got.iter().zip(&order) {
                    assert!(**data == numbered(*index, size(*index)), "{index}");
                }
                assert!(place % 2 == 1 || order.is_sorted(), "stream {place}");
                order.sort_unstable();
                assert!(order.into_iter().eq((place..count).step_by(40)));
            }
        }
    }
}

#[test]
fn channels_that_the_other_opens_carry_both_ways() {
    for begins in EACH {
        let mut both = Both::new(10, Way::bad(), begins);
        both.other.echoes = false;
        let count = 12;
        for index in 0..count {
            let unordered = index % 3 == 0;
            both.other
                .open(2 * index + 1, unordered, ReliabilityType::Reliable, 0);
        }
        both.until(|both| both.opened.len() == usize::from(count));
        for index in 0..60 {
            let stream = 2 * (index as u16 % count) + 1;
            both.other.send(stream, &numbered(index, 3_000));
            let channel = both.ours.channel_on(stream).expect("its channel");
            both.send(channel, &numbered(index, 4_000));
        }
        both.until(|both| both.messages.len() == 60 && both.other.got.len() == 60);
        for (of, size) in [(&both.messages, 3_000), (&both.other.got, 4_000)] {
            for (stream, data) in of {
                let index = number(data);
                assert_eq!(*stream, 2 * (index as u16 % count) + 1);
                assert!(*data == numbered(index, size));
            }
        }
    }
}
