//! Partial reliability: exactly what the policy says.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use esp_sctp::{ChannelConfig, Config, Reliability};
use esp_wire::Rng;

use crate::link::{Link, Net, Seen, pattern};

const SECOND: Duration = Duration::from_secs(1);

/// Sends messages at a steady pace; returns which arrived, in the order of arrival.
fn stream(
    net: &mut Net,
    config: ChannelConfig,
    count: usize,
    size: usize,
    pace: Duration,
) -> Vec<usize> {
    let channel = net.open(0, config);
    net.run_until(30 * SECOND, |net| {
        net.count(1, |seen| matches!(seen, Seen::Open { .. })) > 0
            && net.count(0, |seen| matches!(seen, Seen::Open { .. })) > 0
    });
    for index in 0..count {
        let mut data = pattern(index, size);
        data[..4].copy_from_slice(&(index as u32).to_be_bytes());
        net.send(0, channel, &data);
        net.run(pace);
    }
    net.run(60 * SECOND);
    let stats = net.sides[0].stats();
    assert_eq!((stats.send_buffered, stats.in_flight), (0, 0), "{stats:?}");
    assert_eq!(net.sides[1].stats().receive_buffered, 0);
    net.messages(1)
        .iter()
        .map(|data| {
            let index = u32::from_be_bytes([data[0], data[1], data[2], data[3]]) as usize;
            assert!(data[4..] == pattern(index, size)[4..]);
            index
        })
        .collect()
}

#[test]
fn every_policy_delivers_what_it_says() {
    let pace = Duration::from_millis(5);
    for interleaving in [true, false] {
        for ordered in [true, false] {
            for size in [100, 6_000] {
                for reliability in [
                    Reliability::Reliable,
                    Reliability::MaxRetransmits(0),
                    Reliability::MaxRetransmits(3),
                    Reliability::MaxLifetime(Duration::from_millis(60)),
                ] {
                    let side = Config::default().with_interleaving(interleaving);
                    let mut net = Net::connected(9, [side.clone(), side], Link::lossy(0.2));
                    let config = ChannelConfig {
                        ordered,
                        ..ChannelConfig::new("x").with_reliability(reliability)
                    };
                    let arrived = stream(&mut net, config, 200, size, pace);
                    let distinct: BTreeSet<usize> = arrived.iter().copied().collect();
                    let case = format!(
                        "{interleaving} {ordered} {size} {reliability:?} {}",
                        arrived.len()
                    );
                    assert_eq!(distinct.len(), arrived.len(), "{case}");
                    assert!(!ordered || arrived.is_sorted(), "{case}");
                    match reliability {
                        Reliability::Reliable => assert_eq!(arrived.len(), 200, "{case}"),
                        Reliability::MaxRetransmits(0) if size == 100 => {
                            assert!((130..185).contains(&arrived.len()), "{case}");
                        }
                        Reliability::MaxRetransmits(0) => {
                            assert!((20..120).contains(&arrived.len()), "{case}");
                        }
                        Reliability::MaxRetransmits(_) => {
                            assert!((185..=200).contains(&arrived.len()), "{case}");
                        }
                        Reliability::MaxLifetime(_) => {
                            assert!((1..200).contains(&arrived.len()), "{case}");
                        }
                    }
                    let stats = net.sides[0].stats();
                    if reliability == Reliability::Reliable {
                        assert_eq!(stats.messages_abandoned, 0);
                    } else {
                        assert!(
                            stats.messages_abandoned as usize + arrived.len() >= 200,
                            "{case}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn what_must_not_be_sent_again_is_no_probe_of_the_tail_either() {
    let mut net = Net::connected(3, Default::default(), Link::default());
    let once = net.open(
        0,
        ChannelConfig::new("once").with_reliability(Reliability::MaxRetransmits(0)),
    );
    net.run(SECOND);
    let before = net.sides[0].stats();
    net.link.loss = 1.0;
    net.send(0, once, b"lost");
    net.run(2 * SECOND);
    net.link.loss = 0.0;
    net.run(10 * SECOND);
    let after = net.sides[0].stats();
    assert_eq!(after.chunks_retransmitted, before.chunks_retransmitted);
    assert_eq!(after.messages_abandoned, before.messages_abandoned + 1);
    assert_eq!((after.send_buffered, after.in_flight), (0, 0), "{after:?}");
    assert!(net.messages(1).is_empty());
    net.send(0, once, b"next");
    net.run(SECOND);
    assert_eq!(net.messages(1), [b"next"]);
}

#[test]
fn a_message_that_expires_before_it_is_sent_is_not_sent() {
    let mut net = Net::connected(
        9,
        Default::default(),
        Link {
            rate: 1_000_000,
            ..Link::default()
        },
    );
    let bulk = net.open(0, ChannelConfig::new("bulk").with_priority(1_024));
    let lifetime = Reliability::MaxLifetime(Duration::from_millis(50));
    let short = net.open(
        0,
        ChannelConfig::new("short")
            .with_reliability(lifetime)
            .with_priority(1),
    );
    net.run(SECOND);
    for _ in 0..20 {
        net.send(0, bulk, &[0; 20_000]);
    }
    for index in 0..20u8 {
        net.send(0, short, &[index; 5_000]);
    }
    net.run(60 * SECOND);
    let small = net
        .messages(1)
        .iter()
        .filter(|data| data.len() == 5_000)
        .count();
    assert!(small < 10, "{small}");
    assert_eq!(net.messages(1).len() - small, 20);
    assert_eq!(net.sides[0].stats().messages_abandoned as usize, 20 - small);
}

#[test]
fn a_reliable_channel_is_untouched_by_the_losses_of_another() {
    let mut net = Net::connected(11, Default::default(), Link::lossy(0.2));
    let loose = net.open(
        0,
        ChannelConfig::new("l").with_reliability(Reliability::MaxRetransmits(0)),
    );
    let firm = net.open(0, ChannelConfig::new("f"));
    net.run(5 * SECOND);
    for index in 0..200usize {
        net.send(0, loose, &[255; 3_000]);
        net.send(0, firm, &(index as u32).to_be_bytes());
        net.run(Duration::from_millis(3));
    }
    net.run(60 * SECOND);
    let firm: Vec<u32> = net
        .messages(1)
        .iter()
        .filter(|data| data.len() == 4)
        .map(|data| u32::from_be_bytes([data[0], data[1], data[2], data[3]]))
        .collect();
    assert_eq!(firm, (0..200).collect::<Vec<u32>>());
}

/// Indices of the one-fragment messages in a packet.
fn indices(packet: &[u8]) -> Vec<usize> {
    let mut rest = &packet[12..];
    let mut indices = Vec::new();
    while rest.len() >= 4 {
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        let payload = match rest[0] {
            0 => rest.get(16..len),
            64 => rest.get(20..len),
            _ => None,
        };
        if let Some([a, b, c, d, ..]) = payload
            && len > 100
        {
            indices.push(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    indices
}

#[test]
fn no_message_is_sent_more_often_than_its_policy_says() {
    for (limit, ordered, interleaving) in [
        (0, true, true),
        (0, false, false),
        (1, true, false),
        (3, false, true),
    ] {
        let side = Config::default().with_interleaving(interleaving);
        let mut net = Net::connected(3, [side.clone(), side], Link::default());
        // How often each message left, and whether one of them passed.
        let log = Rc::new(RefCell::new(vec![(0, false); 300]));
        let kept = Rc::clone(&log);
        let mut rng = Rng::new([limit as u8; 32]);
        net.filter = Some(Box::new(move |from, packet| {
            let drops = rng.chance(0.2);
            if from == 0 {
                for index in indices(packet) {
                    let entry = &mut kept.borrow_mut()[index];
                    *entry = (entry.0 + 1, entry.1 || !drops);
                }
            }
            drops
        }));
        let config = ChannelConfig {
            ordered,
            ..ChannelConfig::new("x").with_reliability(Reliability::MaxRetransmits(limit))
        };
        let arrived = stream(&mut net, config, 300, 100, Duration::from_millis(3));
        let arrived: BTreeSet<usize> = arrived.into_iter().collect();
        for (index, (sent, passed)) in log.borrow().iter().enumerate() {
            let case = format!("{limit} {ordered} {interleaving}: {index} left {sent} times");
            assert!((1..=1 + usize::from(limit)).contains(sent), "{case}");
            assert_eq!(arrived.contains(&index), *passed, "{case}");
            assert!(*passed || *sent == 1 + usize::from(limit), "{case}");
        }
        assert!(arrived.len() > 200);
    }
}
