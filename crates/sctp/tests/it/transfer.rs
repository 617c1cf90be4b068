//! Messages of all sizes, whole and in parts, and what bounds them.

use std::time::Duration;

use esp_sctp::{ChannelConfig, Config, Delivery, Error, Misuse};
use esp_wire::DataKind;

use crate::link::{Link, Net, Seen, pattern};

const SECOND: Duration = Duration::from_secs(1);

fn exchange(seed: u64, configs: [Config; 2], link: Link, sizes: &[usize]) {
    let mut net = Net::connected(seed, configs, link);
    let channel = net.open(0, ChannelConfig::new("x"));
    let mut next = 0;
    net.run_until(600 * SECOND, |net| {
        while next < sizes.len() {
            let now = net.now;
            let data = pattern(next, sizes[next]);
            match net.sides[0].send(now, channel, DataKind::Binary, &data) {
                Ok(()) => next += 1,
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        net.messages(1).len() == sizes.len()
    });
    for (index, data) in net.messages(1).into_iter().enumerate() {
        assert!(data == pattern(index, sizes[index]), "message {index}");
    }
    assert!(net.largest <= 1_160);
}

fn links() -> Vec<Link> {
    let ms = Duration::from_millis;
    vec![
        Link::default(),
        Link::lossy(0.02),
        Link::lossy(0.2),
        Link {
            jitter: ms(20),
            ..Link::default()
        },
        Link {
            duplication: 0.2,
            jitter: ms(5),
            ..Link::lossy(0.05)
        },
        Link {
            rate: 5_000_000,
            queue: ms(50),
            ..Link::default()
        },
        Link {
            delay: Duration::ZERO,
            ..Link::default()
        },
    ]
}

#[test]
fn messages_of_all_sizes_arrive_over_any_link() {
    let sizes = [
        0, 1, 2, 3, 4, 64, 1_000, 1_128, 1_129, 1_200, 16_384, 65_535, 65_536, 65_537, 262_144, 0,
    ];
    for interleaving in [true, false] {
        let config = Config::default().with_interleaving(interleaving);
        for (seed, link) in links().into_iter().enumerate() {
            exchange(seed as u64, [config.clone(), config.clone()], link, &sizes);
        }
    }
}

#[test]
fn a_mebibyte_fits_the_defaults_and_small_buffers_do_not_lock() {
    exchange(1, Default::default(), Link::default(), &[1 << 20; 6]);
    let small = Config::default().with_buffers(100_000, 100_000);
    exchange(
        2,
        [small.clone(), small.clone()],
        Link::lossy(0.05),
        &[60_000; 20],
    );
    exchange(3, [small.clone(), small], Link::default(), &[1; 3_000]);
}

#[test]
fn text_stays_text() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let channel = net.open(1, ChannelConfig::new("x"));
    let now = net.now;
    for (kind, data) in [
        (DataKind::Text, "grüß"),
        (DataKind::Text, ""),
        (DataKind::Binary, ""),
    ] {
        net.sides[1]
            .send(now, channel, kind, data.as_bytes())
            .unwrap();
    }
    net.run(SECOND);
    let got: Vec<_> = net.seen[0]
        .iter()
        .filter_map(|seen| match seen {
            Seen::Message { kind, data, .. } => Some((*kind, data.clone())),
            _ => None,
        })
        .collect();
    let text = "grüß".as_bytes().to_vec();
    assert_eq!(
        got,
        [
            (DataKind::Text, text),
            (DataKind::Text, vec![]),
            (DataKind::Binary, vec![])
        ]
    );
}

#[test]
fn limits_are_told() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.sides[0].set_remote_max_message_size(1_000);
    let now = net.now;
    assert_eq!(
        net.sides[0].send(now, channel, DataKind::Text, &[0; 1_001]),
        Err(Error::TooLarge {
            size: 1_001,
            limit: 1_000
        })
    );
    net.sides[0]
        .send(now, channel, DataKind::Text, &[0; 1_000])
        .unwrap();
}

#[test]
fn a_full_send_buffer_blocks_until_it_is_writable() {
    let config = Config::default().with_buffers(50_000, 50_000);
    let mut net = Net::connected(1, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    net.sides[0].set_buffered_amount_low_threshold(channel, 5_000);
    let now = net.now;
    let mut accepted = 0;
    while net.sides[0]
        .send(now, channel, DataKind::Binary, &[1; 4_000])
        .is_ok()
    {
        accepted += 1;
    }
    assert!((8..=12).contains(&accepted), "{accepted}");
    assert_eq!(net.sides[0].buffered_amount(channel), accepted * 4_000);
    net.run(SECOND);
    assert_eq!(net.count(0, |seen| *seen == Seen::Writable(channel)), 1);
    assert_eq!(net.count(0, |seen| *seen == Seen::Low(channel)), 1);
    assert_eq!(net.messages(1).len(), accepted);
}

#[test]
fn the_window_follows_what_the_application_leaves() {
    let config = Config::default()
        .with_buffers(4 << 20, 200_000)
        .with_max_message_size(50_000);
    let mut net = Net::connected(1, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    net.sides[1].set_delivery(false);
    for index in 0..100 {
        net.send(0, channel, &pattern(index, 10_000));
    }
    net.run(30 * SECOND);
    assert!(net.messages(1).is_empty());
    let held = net.sides[1].stats().receive_buffered;
    assert!((150_000..210_000).contains(&held), "{held}");
    assert!(
        net.sides[0].is_connected(),
        "probing goes on for as long as it takes"
    );
    net.run(600 * SECOND);
    net.sides[1].set_delivery(true);
    net.run_until(20 * SECOND, |net| net.messages(1).len() == 100);
    for (index, data) in net.messages(1).into_iter().enumerate() {
        assert!(data == pattern(index, 10_000));
    }
}

#[test]
fn a_paused_channel_holds_only_its_own_messages() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let (a, b) = (
        net.open(0, ChannelConfig::new("a")),
        net.open(0, ChannelConfig::new("b")),
    );
    net.run(SECOND);
    let far = net.far(0, a).unwrap();
    net.sides[1].pause_receive(far, true);
    for index in 0..10u8 {
        net.send(0, a, &[index]);
        net.send(0, b, &[100 + index]);
    }
    net.run(SECOND);
    assert_eq!(net.messages(1).len(), 10);
    net.sides[1].pause_receive(far, false);
    net.run(SECOND);
    let got: Vec<u8> = net.messages(1).iter().map(|data| data[0]).collect();
    let expected: Vec<u8> = (100..110).chain(0..10).collect();
    assert_eq!(got, expected);
}

#[test]
fn a_message_far_larger_than_memory_passes_in_parts() {
    for (interleaving, loss) in [(true, 0.0), (true, 0.03), (false, 0.0), (false, 0.03)] {
        let config = Config::default()
            .with_buffers(200_000, 200_000)
            .with_delivery(Delivery::Parts)
            .with_interleaving(interleaving);
        let mut net = Net::connected(1, [config.clone(), config], Link::lossy(loss));
        let channel = net.open(0, ChannelConfig::new("x"));
        let total = 3_000_000;
        let piece = pattern(1, 30_000);
        let (mut sent, mut checked) = (0, 0);
        net.run_until(600 * SECOND, |net| {
            while sent < total {
                let now = net.now;
                let last = sent + piece.len() == total;
                match net.sides[0].send_part(now, channel, DataKind::Binary, &piece, last) {
                    Ok(()) => sent += piece.len(),
                    Err(Error::WouldBlock) => break,
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(net.sides[1].stats().receive_buffered <= 400_000);
            checked = net.seen[1]
                .iter()
                .map(|seen| match seen {
                    Seen::Part { len, .. } => *len,
                    _ => 0,
                })
                .sum();
            checked == total
        });
        let parts: Vec<(bool, bool)> = net.seen[1]
            .iter()
            .filter_map(|seen| match seen {
                Seen::Part { first, last, .. } => Some((*first, *last)),
                _ => None,
            })
            .collect();
        assert!(parts[0].0 && parts[parts.len() - 1].1);
        assert_eq!(parts.iter().filter(|part| part.0).count(), 1);
        assert_eq!(parts.iter().filter(|part| part.1).count(), 1);
    }
}

#[test]
fn parts_follow_their_rules() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    let now = net.now;
    let side = &mut net.sides[0];
    side.send_part(now, channel, DataKind::Text, b"ab", false)
        .unwrap();
    assert_eq!(
        side.send(now, channel, DataKind::Text, b"c"),
        Err(Error::Misuse(Misuse::MessageOpen))
    );
    assert_eq!(
        side.send_part(now, channel, DataKind::Text, b"", true),
        Err(Error::Misuse(Misuse::EmptyPart))
    );
    side.send_part(now, channel, DataKind::Text, b"cd", true)
        .unwrap();
    net.run(SECOND);
    assert_eq!(net.messages(1), [b"abcd"]);
}

#[test]
fn a_message_above_the_announced_limit_ends_the_association() {
    let small = Config::default().with_max_message_size(10_000);
    let mut net = Net::connected(1, [Config::default(), small], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.send(0, channel, &[1; 20_000]);
    net.run(SECOND);
    assert!(net.sides.iter().all(esp_sctp::Association::has_ended));
}

#[test]
fn small_messages_pass_beside_large_ones_when_interleaved() {
    let link = Link {
        rate: 10_000_000,
        ..Link::default()
    };
    let mut net = Net::connected(1, Default::default(), link);
    let (bulk, chat) = (
        net.open(0, ChannelConfig::new("bulk")),
        net.open(0, ChannelConfig::new("chat")),
    );
    net.run(SECOND);
    for _ in 0..3 {
        net.send(0, bulk, &[1; 1 << 20]);
    }
    net.run(Duration::from_millis(200));
    net.send(0, chat, b"hello");
    let start = net.now;
    net.run_until(10 * SECOND, |net| net.messages(1).contains(&&b"hello"[..]));
    assert!(
        net.now - start < Duration::from_millis(250),
        "{:?}",
        net.now - start
    );
    assert!(net.messages(1).len() < 2);
}

#[test]
fn memory_is_given_back() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.send(0, channel, &[1; 1 << 20]);
    net.run(SECOND);
    let stats = net.sides[0].stats();
    assert_eq!((stats.send_buffered, stats.in_flight), (0, 0));
    assert_eq!(net.sides[1].stats().receive_buffered, 0);
}

#[test]
fn the_path_may_become_narrower_and_wider() {
    let mut net = Net::connected(1, Default::default(), Link::lossy(0.1));
    let channel = net.open(0, ChannelConfig::new("x"));
    let mut expected = Vec::new();
    for round in 0..12 {
        let size = [1_160, 600, 1_400, 512][round % 4];
        net.sides[0].set_path(crate::link::ROOM, size);
        for index in 0..4 {
            let data = pattern(round * 4 + index, 20_000);
            net.send(0, channel, &data);
            expected.push(data);
        }
        net.run(Duration::from_millis(40));
    }
    net.run_until(120 * SECOND, |net| net.messages(1).len() == expected.len());
    assert!(net.messages(1) == expected);
}

#[test]
fn one_sack_answers_a_train() {
    let mut net = Net::connected(1, Default::default(), Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    let before = net.sides[1].stats();
    for index in 0..20 {
        net.send(0, channel, &pattern(index, 100_000));
    }
    net.run(5 * SECOND);
    let after = net.sides[1].stats();
    let packets = after.packets_received - before.packets_received;
    let sacks = after.sacks_sent - before.sacks_sent;
    assert!(packets > 1_700);
    assert!(sacks * 8 < packets, "{sacks} for {packets}");
}
