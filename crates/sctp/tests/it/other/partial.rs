//! What either side gives up, and how the other takes it.

use std::time::Duration;

use esp_sctp::{ChannelConfig, Reliability};
use sctp_proto::ReliabilityType;

use super::{Begins, Both, Way, number, numbered};

const COUNT: usize = 300;

/// Which messages came: in order where that was promised, each once and unchanged.
fn check(got: &[Vec<u8>], ordered: bool, size: usize, case: &str) {
    let mut order: Vec<usize> = got.iter().map(|data| number(data)).collect();
    for (data, index) in got.iter().zip(&order) {
        assert!(*data == numbered(*index, size), "{case}");
    }
    assert!(!ordered || order.is_sorted(), "{case}");
    order.sort_unstable();
    order.dedup();
    assert_eq!(order.len(), got.len(), "{case}");
}

#[test]
fn the_other_understands_what_we_give_up() {
    let mut seed = 20;
    for reliability in [
        Reliability::MaxRetransmits(0),
        Reliability::MaxRetransmits(2),
        Reliability::MaxLifetime(Duration::from_millis(40)),
    ] {
        for (ordered, size) in [(true, 400), (false, 400), (true, 3_000), (false, 3_000)] {
            seed += 1;
            let begins = [Begins::Ours, Begins::Theirs][seed as usize % 2];
            let case = format!("{reliability:?} {ordered} {size}");
            let mut both = Both::new(seed, Way::default(), begins);
            both.other.echoes = false;
            let channel = both.open(ChannelConfig {
                ordered,
                ..ChannelConfig::new("x").with_reliability(reliability)
            });
            both.until(|both| !both.opened.is_empty());
            both.run(100);
            both.way = Way {
                jitter: 3,
                ..Way::lossy(0.2)
            };
            for index in 0..COUNT {
                both.send(channel, &numbered(index, size));
                both.run(2);
            }
            // What was given up is told, so that nothing waits for it, and later messages pass.
            both.way = Way::default();
            both.until(|both| both.ours.stats().send_buffered == 0);
            both.send(channel, &numbered(COUNT, size));
            both.until(|both| {
                let last = both.other.got.last();
                last.is_some_and(|(_, data)| number(data) == COUNT)
            });
            let got: Vec<Vec<u8>> = both
                .other
                .got
                .iter()
                .map(|(_, data)| data.clone())
                .collect();
            check(&got, ordered, size, &case);
            let abandoned = both.ours.stats().messages_abandoned as usize;
            assert!(abandoned + got.len() > COUNT, "{case}: {abandoned}");
            assert!(got.len() > COUNT / 6, "{case}: {}", got.len());
            assert!(abandoned > 0, "{case}");
        }
    }
}

#[test]
fn we_understand_what_the_other_gives_up() {
    let mut seed = 40;
    for (kind, value) in [
        (ReliabilityType::Rexmit, 0),
        (ReliabilityType::Rexmit, 2),
        (ReliabilityType::Timed, 40),
    ] {
        for (unordered, size) in [(false, 400), (true, 400), (false, 3_000), (true, 3_000)] {
            seed += 1;
            let begins = [Begins::Ours, Begins::Theirs][seed as usize % 2];
            let case = format!("{kind:?} {value} {unordered} {size}");
            let mut both = Both::new(seed, Way::default(), begins);
            both.other.echoes = false;
            both.other.open(1, unordered, kind, value);
            both.until(|both| !both.opened.is_empty());
            both.run(100);
            both.way = Way {
                jitter: 3,
                ..Way::lossy(0.2)
            };
            for index in 0..COUNT {
                both.other.send(1, &numbered(index, size));
                both.run(2);
            }
            both.way = Way::default();
            // Beside it a channel that loses nothing.
            both.other.open(3, false, ReliabilityType::Reliable, 0);
            both.other.send(3, &numbered(0, 10));
            both.until(|both| both.on(3).len() == 1);
            both.run(3_000);
            both.other.send(1, &numbered(COUNT, size));
            both.until(|both| both.on(1).last().is_some_and(|data| number(data) == COUNT));
            both.run(1_000);
            let got: Vec<Vec<u8>> = both.on(1).into_iter().map(<[u8]>::to_vec).collect();
            check(&got, !unordered, size, &case);
            assert!(got.len() > COUNT / 6, "{case}: {}", got.len());
            assert_eq!(both.ours.stats().receive_buffered, 0, "{case}");
        }
    }
}
