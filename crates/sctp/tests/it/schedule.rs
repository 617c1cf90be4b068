//! Which channel's bytes are on the wire, packet by packet (RFC 8260 §3).

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, time::Duration};

use esp_sctp::{ChannelConfig, ChannelHandle, Config, Error, Scheduling};
use esp_wire::DataKind;

use crate::link::{Link, Net};

const SECOND: Duration = Duration::from_secs(1);

/// Stream, user bytes, and whether a message begins, of every data chunk, in the order of sending.
type Log = Rc<RefCell<Vec<(u16, usize, bool)>>>;

fn log(net: &mut Net) -> Log {
    let log: Log = Rc::default();
    let kept = Rc::clone(&log);
    let mut known = BTreeSet::new();
    net.filter = Some(Box::new(move |from, packet| {
        let mut rest = &packet[12..];
        while from == 0 && rest.len() >= 4 {
            let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
            let header = match rest[0] {
                0 => 16,
                64 => 20,
                _ => 0,
            };
            // What is sent again takes no turn.
            if header > 0 && known.insert(rest[4..8].to_vec()) {
                let stream = u16::from_be_bytes([rest[8], rest[9]]);
                kept.borrow_mut()
                    .push((stream, len - header, rest[1] & 2 != 0));
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        }
        false
    }));
    log
}

/// Channels of these priorities that always have messages of these sizes to send, for some seconds; gives
/// what left, by channel.
fn contend(
    scheduling: Scheduling,
    interleaving: bool,
    channels: &[(u16, usize)],
) -> Vec<(usize, usize, bool)> {
    let config = Config::default()
        .with_interleaving(interleaving)
        .with_scheduling(scheduling);
    let link = Link {
        rate: 8_000_000,
        ..Link::default()
    };
    let mut net = Net::connected(2, [config.clone(), config], link);
    let open: Vec<ChannelHandle> = channels
        .iter()
        .map(|(priority, _)| net.open(0, ChannelConfig::new("x").with_priority(*priority)))
        .collect();
    net.run(SECOND);
    let streams: Vec<u16> = open
        .iter()
        .map(|channel| net.sides[0].stream_id(*channel).expect("a stream"))
        .collect();
    let log = log(&mut net);
    let end = net.now + 4 * SECOND;
    while net.now < end {
        for (channel, (_, size)) in open.iter().zip(channels) {
            while net.sides[0].buffered_amount(*channel) < 200_000 {
                let now = net.now;
                match net.sides[0].send(now, *channel, DataKind::Binary, &vec![1; *size]) {
                    Ok(()) => {}
                    Err(Error::WouldBlock) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        net.run(Duration::from_millis(5));
    }
    let log = log.borrow();
    log.iter()
        .map(|(stream, bytes, begins)| {
            let index = streams.iter().position(|one| one == stream);
            let index = index.expect("a stream of these");
            (index, *bytes, *begins)
        })
        .collect()
}

fn bytes(log: &[(usize, usize, bool)], channel: usize) -> usize {
    log.iter()
        .filter(|(of, ..)| *of == channel)
        .map(|(_, bytes, _)| bytes)
        .sum()
}

fn messages(log: &[(usize, usize, bool)], channel: usize) -> usize {
    log.iter()
        .filter(|(of, _, begins)| *of == channel && *begins)
        .count()
}

/// True when `a` is `times` `b`, but for 5 %.
fn is_near(a: usize, b: usize, times: f64) -> bool {
    (a as f64 / (b as f64 * times) - 1.0).abs() < 0.05
}

#[test]
fn weights_share_the_wire_by_bytes() {
    for interleaving in [true, false] {
        let channels = [(128, 10_000), (256, 3_000), (512, 30_000), (256, 700)];
        let log = contend(Scheduling::WeightedFair, interleaving, &channels);
        let of = |channel| bytes(&log, channel);
        let all = [0, 1, 2, 3].map(of);
        let case = format!("{interleaving} {all:?}");
        assert!(all[0] > 200_000, "{case}");
        assert!(is_near(all[1], all[0], 2.0), "{case}");
        assert!(is_near(all[2], all[0], 4.0), "{case}");
        assert!(is_near(all[3], all[1], 1.0), "{case}");
    }
}

#[test]
fn round_robin_gives_one_message_or_one_packet_each() {
    // Without I-DATA a turn is a message, whatever its size.
    let log = contend(
        Scheduling::RoundRobin,
        false,
        &[(1, 9_000), (900, 3_000), (5, 500)],
    );
    let turns: Vec<usize> = log
        .iter()
        .filter(|(_, _, begins)| *begins)
        .map(|(of, ..)| *of)
        .collect();
    assert!(turns.len() > 300);
    for (index, of) in turns.iter().enumerate().skip(3) {
        assert_eq!(*of, turns[index - 3], "turn {index}");
    }
    // With I-DATA it is a packet.
    let log = contend(Scheduling::RoundRobin, true, &[(1, 90_000), (900, 30_000)]);
    let (first, second) = (bytes(&log, 0), bytes(&log, 1));
    assert!(is_near(first, second, 1.0), "{first} {second}");
    let longest = log
        .chunk_by(|a, b| a.0 == b.0)
        .map(|run| run.len())
        .max()
        .unwrap();
    assert!(longest <= 3, "{longest} packets in a row");
}

#[test]
fn priority_lets_nothing_of_less_worth_pass() {
    for interleaving in [true, false] {
        let log = contend(
            Scheduling::Priority,
            interleaving,
            &[(256, 5_000), (512, 5_000), (512, 20_000)],
        );
        // The first channel had its turn before the others had anything to send, at most.
        assert!(messages(&log, 0) <= 1, "{interleaving}");
        assert!(messages(&log, 1) > 50 && messages(&log, 2) > 20);
    }
}

#[test]
fn first_come_is_first_served() {
    let config = Config::default().with_scheduling(Scheduling::FirstComeFirstServed);
    let mut net = Net::connected(2, [config.clone(), config], Link::default());
    let open: Vec<ChannelHandle> = (0..3)
        .map(|index| net.open(0, ChannelConfig::new("x").with_priority(index * 500 + 1)))
        .collect();
    net.run(SECOND);
    let streams: Vec<u16> = open
        .iter()
        .map(|channel| net.sides[0].stream_id(*channel).unwrap())
        .collect();
    let log = log(&mut net);
    let order = [2, 0, 0, 1, 2, 1, 0, 2, 2, 1];
    for index in order {
        net.send(0, open[index], &[1; 9_000]);
    }
    net.run(SECOND);
    let begun: Vec<u16> = log
        .borrow()
        .iter()
        .filter(|(_, _, begins)| *begins)
        .map(|(stream, ..)| *stream)
        .collect();
    assert_eq!(begun, order.map(|index| streams[index]));
}
