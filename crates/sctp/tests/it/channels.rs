//! Opening, naming, closing and using streams again.

use std::{collections::BTreeSet, time::Duration};

use esp_sctp::{ChannelConfig, Config, Error, Misuse, Reliability};
use esp_wire::DataKind;

use crate::link::{Link, Net, Seen};

const SECOND: Duration = Duration::from_secs(1);

fn opens(net: &Net, side: usize) -> Vec<(u16, String, bool)> {
    net.seen[side]
        .iter()
        .filter_map(|seen| match seen {
            Seen::Open {
                stream,
                label,
                by_peer,
                ..
            } => Some((*stream, label.clone(), *by_peer)),
            _ => None,
        })
        .collect()
}

#[test]
fn the_dtls_role_decides_on_streams() {
    let mut net = Net::pair(1, Link::default());
    net.open(0, ChannelConfig::new("a"));
    net.open(0, ChannelConfig::new("b"));
    net.open(1, ChannelConfig::new("c"));
    net.connect();
    net.run(SECOND);
    let of = |list: &[(u16, &str, bool)]| -> BTreeSet<(u16, String, bool)> {
        list.iter()
            .map(|(stream, label, by_peer)| (*stream, (*label).to_owned(), *by_peer))
            .collect()
    };
    let first = opens(&net, 0).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        first,
        of(&[(0, "a", false), (2, "b", false), (1, "c", true)])
    );
    let second = opens(&net, 1).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(
        second,
        of(&[(0, "a", true), (2, "b", true), (1, "c", false)])
    );
}

#[test]
fn what_a_channel_is_reaches_the_peer() {
    let mut net = Net::pair(1, Link::default());
    net.connect();
    let config = ChannelConfig::new("größer")
        .with_protocol("chat.v1")
        .unordered()
        .with_reliability(Reliability::MaxLifetime(Duration::from_millis(1_500)))
        .with_priority(512);
    let channel = net.open(1, config.clone());
    net.run(SECOND);
    let far = net.far(1, channel).unwrap();
    assert_eq!(net.sides[0].channel_config(far), Some(&config));
    let longest = ChannelConfig::new("l".repeat(65_535)).with_protocol("p".repeat(65_535));
    let channel = net.open(0, longest.clone());
    net.run(SECOND);
    let far = net.far(0, channel).unwrap();
    assert_eq!(net.sides[1].channel_config(far), Some(&longest));
    let now = net.now;
    assert_eq!(
        net.sides[0].open_channel(now, ChannelConfig::new("l".repeat(65_536))),
        Err(Error::Misuse(Misuse::NameTooLong))
    );
}

#[test]
fn messages_may_follow_the_opening_at_once() {
    for loss in [0.0, 0.3] {
        let mut net = Net::pair(4, Link::lossy(loss));
        let channel = net.open(0, ChannelConfig::new("x").unordered());
        for index in 0..20u8 {
            net.send(0, channel, &[index]);
        }
        net.connect();
        net.run_until(60 * SECOND, |net| net.messages(1).len() == 20);
        let first = net.seen[1]
            .iter()
            .position(|seen| matches!(seen, Seen::Message { .. }));
        let open = net.seen[1]
            .iter()
            .position(|seen| matches!(seen, Seen::Open { .. }));
        assert!(open < first);
        // RFC 8832 §6: ordered until the peer has answered.
        let got: Vec<u8> = net.messages(1).iter().map(|data| data[0]).collect();
        assert!(got.is_sorted());
    }
}

#[test]
fn negotiated_channels_need_no_opening() {
    let mut net = Net::pair(1, Link::default());
    let near = net.open(0, ChannelConfig::new("n").negotiated(7));
    net.send(0, near, b"early");
    net.connect();
    net.run(SECOND);
    assert!(net.messages(1).is_empty());
    let far = net.open(1, ChannelConfig::new("n").negotiated(7));
    net.run(SECOND);
    assert_eq!(net.messages(1), [b"early"]);
    net.send(1, far, b"back");
    net.run(SECOND);
    assert_eq!(net.messages(0), [b"back"]);
    let now = net.now;
    for stream in [7, 65_535] {
        assert_eq!(
            net.sides[0].open_channel(now, ChannelConfig::new("n").negotiated(stream)),
            Err(Error::Misuse(Misuse::StreamTaken))
        );
    }
}

#[test]
fn a_closed_channel_delivers_first_and_frees_its_stream() {
    for (loss, interleaving) in [(0.0, true), (0.2, true), (0.0, false), (0.2, false)] {
        let config = Config::default().with_interleaving(interleaving);
        let mut net = Net::connected(6, [config.clone(), config], Link::lossy(loss));
        for round in 0..5u8 {
            net.seen = [Vec::new(), Vec::new()];
            let channel = net.open(0, ChannelConfig::new("x"));
            assert_eq!(net.sides[0].stream_id(channel), Some(0));
            for index in 0..10u8 {
                net.send(0, channel, &vec![index + round; 5_000]);
            }
            let now = net.now;
            net.sides[0].close_channel(now, channel).unwrap();
            assert_eq!(
                net.sides[0].send(now, channel, DataKind::Text, b"late"),
                Err(Error::Misuse(Misuse::ChannelClosed))
            );
            net.run_until(120 * SECOND, |net| {
                (0..2).all(|side| net.count(side, |seen| matches!(seen, Seen::Closed(_))) == 1)
            });
            assert_eq!(net.messages(1).len(), 10);
            assert!(matches!(net.seen[1].last(), Some(Seen::Closed(_))));
            assert!(net.sides[0].stream_id(channel).is_none());
        }
    }
}

#[test]
fn either_side_and_both_at_once_may_close() {
    let mut net = Net::connected(6, Default::default(), Link::default());
    let a = net.open(0, ChannelConfig::new("a"));
    let b = net.open(0, ChannelConfig::new("b"));
    net.run(SECOND);
    let (far_a, far_b) = (net.far(0, a).unwrap(), net.far(0, b).unwrap());
    let now = net.now;
    net.sides[1].close_channel(now, far_a).unwrap();
    net.sides[0].close_channel(now, b).unwrap();
    net.sides[1].close_channel(now, far_b).unwrap();
    net.run(SECOND);
    for side in 0..2 {
        assert_eq!(net.count(side, |seen| matches!(seen, Seen::Closed(_))), 2);
    }
    assert!(net.seen[0].contains(&Seen::Closing(a)));
}

#[test]
fn a_channel_closed_before_the_handshake_never_was() {
    let mut net = Net::pair(6, Link::default());
    let channel = net.open(0, ChannelConfig::new("a"));
    let now = net.now;
    net.sides[0].close_channel(now, channel).unwrap();
    net.connect();
    net.run(SECOND);
    assert!(net.seen[0].contains(&Seen::Closed(channel)));
    assert!(opens(&net, 1).is_empty());
}

#[test]
fn many_channels_open_carry_and_close() {
    let mut net = Net::connected(6, Default::default(), Link::default());
    let count = 65_000;
    let mut channels = Vec::new();
    for index in 0..count {
        let side = index % 2;
        channels.push((side, net.open(side, ChannelConfig::new("x"))));
    }
    net.run_until(30 * SECOND, |net| {
        (0..2).all(|side| net.count(side, |seen| matches!(seen, Seen::Open { .. })) == count)
    });
    net.run(SECOND);
    for some in channels.chunks(5_000) {
        for (side, channel) in some {
            net.send(*side, *channel, &[1; 100]);
        }
        net.run(SECOND);
    }
    net.run_until(30 * SECOND, |net| {
        net.messages(0).len() == count / 2 && net.messages(1).len() == count / 2
    });
    let now = net.now;
    for (side, channel) in channels {
        net.sides[side].close_channel(now, channel).unwrap();
    }
    net.run_until(60 * SECOND, |net| {
        (0..2).all(|side| net.count(side, |seen| matches!(seen, Seen::Closed(_))) == count)
    });
}

#[test]
fn the_number_of_channels_is_bounded() {
    let small = Config::default().with_max_channels(5);
    let mut net = Net::connected(6, [Config::default(), small], Link::default());
    for _ in 0..9 {
        net.open(0, ChannelConfig::new("x"));
    }
    net.run(SECOND);
    assert_eq!(opens(&net, 1).len(), 5);
    let now = net.now;
    assert_eq!(
        net.sides[1].open_channel(now, ChannelConfig::new("y")),
        Err(Error::Misuse(Misuse::TooManyChannels))
    );
}
