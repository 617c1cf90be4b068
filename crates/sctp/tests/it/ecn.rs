//! Explicit congestion notification: marks, echoes, reductions.

use std::time::Duration;

use esp_sctp::{ChannelConfig, Config, Reliability};
use esp_wire::{Ecn, Instant, Train};

use crate::link::{Link, Net};

const DATA: u8 = 64;
const SACK: u8 = 3;
const ECNE: u8 = 12;
const CWR: u8 = 13;

/// Kinds of the chunks of a packet.
fn kinds(packet: &[u8]) -> Vec<u8> {
    let mut rest = &packet[12..];
    let mut kinds = Vec::new();
    while rest.len() >= 4 {
        kinds.push(rest[0]);
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    kinds
}

/// What a side wants to send: the marks and the kinds of chunks of its packets.
fn take(net: &mut Net, side: usize) -> (Vec<Ecn>, Vec<u8>, Vec<Vec<u8>>) {
    let mut train = Train::with_capacity(65_536);
    let (mut marks, mut chunks, mut packets) = (Vec::new(), Vec::new(), Vec::new());
    while net.sides[side].poll_transmit(net.now, &mut train) {
        marks.push(train.ecn());
        for packet in train.segments() {
            chunks.extend(kinds(packet));
            packets.push(packet.to_vec());
        }
    }
    (marks, chunks, packets)
}

fn give(net: &mut Net, side: usize, ecn: Ecn, packets: Vec<Vec<u8>>) {
    for mut packet in packets {
        let taken = net.sides[side].handle_marked_input(net.now, ecn, &mut packet);
        taken.expect("a sound peer");
    }
}

fn connected(ecn: [bool; 2]) -> (Net, esp_sctp::ChannelHandle) {
    let configs = ecn.map(|on| Config::default().with_ecn(on));
    let mut net = Net::connected(4, configs, Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(Duration::from_secs(1));
    (net, channel)
}

#[test]
fn a_mark_is_echoed_until_the_window_was_reduced() {
    let (mut net, channel) = connected([true, true]);
    net.send(0, channel, &[1; 5_000]);
    let window = net.sides[0].stats().congestion_window;
    let (marks, _, packets) = take(&mut net, 0);
    assert!(marks.iter().all(|mark| *mark == Ecn::Ect0), "{marks:?}");
    give(&mut net, 1, Ecn::Ce, packets);
    let (marks, chunks, echo) = take(&mut net, 1);
    assert_eq!(chunks, [ECNE, SACK]);
    assert_eq!(marks, [Ecn::NotEct]);
    assert_eq!(net.sides[1].stats().marks_received, 5);
    // Heard twice, reduced once.
    give(&mut net, 0, Ecn::NotEct, echo.clone());
    give(&mut net, 0, Ecn::NotEct, echo);
    let stats = net.sides[0].stats();
    assert!(stats.congestion_window < window);
    assert_eq!(stats.congestion_events, 1);
    let (_, chunks, answer) = take(&mut net, 0);
    assert_eq!(chunks, [CWR]);
    // As long as the CWR is on its way the echo goes on.
    net.send(0, channel, &[1; 3_000]);
    let (_, _, packets) = take(&mut net, 0);
    give(&mut net, 1, Ecn::Ect0, packets);
    net.now += Duration::from_millis(100);
    let now = net.now;
    net.sides[1].handle_timeout(now);
    let (_, chunks, _) = take(&mut net, 1);
    assert_eq!(chunks, [ECNE, SACK]);
    give(&mut net, 1, Ecn::NotEct, answer);
    net.send(0, channel, &[1; 3_000]);
    let (_, chunks, packets) = take(&mut net, 0);
    assert!(chunks.iter().all(|kind| *kind == DATA), "{chunks:?}");
    give(&mut net, 1, Ecn::Ect0, packets);
    let (_, chunks, _) = take(&mut net, 1);
    assert_eq!(chunks, [SACK]);
}

#[test]
fn without_both_sides_nothing_is_marked() {
    for ecn in [[true, false], [false, true]] {
        let (mut net, channel) = connected(ecn);
        net.send(0, channel, &[1; 5_000]);
        let (marks, _, packets) = take(&mut net, 0);
        assert!(marks.iter().all(|mark| *mark == Ecn::NotEct), "{marks:?}");
        give(&mut net, 1, Ecn::Ce, packets);
        let (_, chunks, _) = take(&mut net, 1);
        assert_eq!(chunks, [SACK]);
    }
}

#[test]
fn an_echo_of_what_was_never_sent_is_ignored() {
    let (mut net, _) = connected([true, true]);
    let before = net.sides[0].stats().congestion_window;
    let header = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let seen = header.clone();
    net.filter = Some(Box::new(move |from, packet| {
        if from == 1 {
            *seen.borrow_mut() = packet[..8].to_vec();
        }
        false
    }));
    let back = net.open(1, ChannelConfig::new("y"));
    net.send(1, back, b"x");
    net.run(Duration::from_secs(1));
    let mut packet = header.borrow().clone();
    packet.extend([0; 4]);
    for tsn in [0u32, 1 << 30, 1 << 31, u32::MAX] {
        packet.truncate(12);
        packet.extend([ECNE, 0, 0, 8]);
        packet.extend(tsn.to_be_bytes());
        give(&mut net, 0, Ecn::NotEct, vec![packet.clone()]);
    }
    assert!(net.sides[0].stats().congestion_window.abs_diff(before) <= before / 4);
    assert!(net.now > Instant::ZERO && net.sides[0].is_connected());
}

#[test]
fn a_path_that_swallows_what_is_marked_is_found_out() {
    let (mut net, channel) = connected([true, true]);
    net.swallows_marks = true;
    let say = |net: &mut Net, len: usize| {
        net.send(0, channel, &vec![1; len]);
        net.run(Duration::from_secs(20));
        net.sides[0].stats()
    };
    // Marked packets had got through: the first timeout interrupts the marks, the second ends them.
    let first = say(&mut net, 500);
    assert!((first.timeouts, first.marking) == (1, true), "{first:?}");
    let second = say(&mut net, 5_000);
    assert!(
        (second.timeouts, second.marking) == (2, false),
        "{second:?}"
    );
    let marked = net.marked[0];
    let third = say(&mut net, 50_000);
    assert_eq!((third.timeouts, net.marked[0]), (2, marked));
    assert_eq!(net.messages(1).len(), 3);
    // Another path may keep them; one that never does costs a single timeout.
    net.sides[0].path_changed();
    let fourth = say(&mut net, 5_000);
    assert_eq!((fourth.timeouts, fourth.marking), (3, false));
    net.sides[0].path_changed();
    net.swallows_marks = false;
    let fifth = say(&mut net, 50_000);
    assert_eq!((fifth.timeouts, fifth.marking), (3, true));
    assert!(net.marked[0] > marked + 40, "{} packets", net.marked[0]);
    assert_eq!(net.messages(1).len(), 5);
}

#[test]
fn a_path_that_only_lost_everything_for_a_while_is_marked_again() {
    let (mut net, channel) = connected([true, true]);
    net.sides[0].path_changed();
    // The first packets on it are lost, whatever they are.
    net.filter = Some(Box::new(|from, _| from == 0));
    net.send(0, channel, &[1; 5_000]);
    net.run(Duration::from_millis(100));
    net.filter = None;
    net.run(Duration::from_secs(5));
    let stats = net.sides[0].stats();
    assert_eq!((stats.timeouts, stats.marking), (1, false));
    let marked = net.marked[0];
    for _ in 0..4 {
        net.send(0, channel, &[1; 50_000]);
        net.run(Duration::from_secs(1));
    }
    let stats = net.sides[0].stats();
    assert_eq!((stats.timeouts, stats.marking), (1, true));
    assert!(net.marked[0] > marked + 40, "{} packets", net.marked[0]);
    assert_eq!(net.messages(1).len(), 5);
}

#[test]
fn trials_of_a_path_that_swallows_marks_cost_a_packet_each_and_become_rare() {
    let (mut net, channel) = connected([true, true]);
    net.sides[0].path_changed();
    net.swallows_marks = true;
    net.send(0, channel, &[1; 5_000]);
    net.run(Duration::from_secs(5));
    let before = (net.marked[0], net.sides[0].stats());
    assert_eq!((before.1.timeouts, before.1.marking), (1, false));
    for _ in 0..100 {
        net.send(0, channel, &[1; 100_000]);
        net.run(Duration::from_secs(1));
    }
    let stats = net.sides[0].stats();
    assert_eq!((stats.timeouts, stats.marking), (1, false));
    // Of 9,000 packets those behind 64, 128, 256, ...
    let tried = net.marked[0] - before.0;
    assert!((5..=8).contains(&tried), "{tried}");
    let again = stats.chunks_retransmitted - before.1.chunks_retransmitted;
    assert!(again <= 2 * tried as u64, "{again}");
    assert_eq!(net.messages(1).len(), 101);
    // Once marks get through they are used.
    net.swallows_marks = false;
    for _ in 0..200 {
        net.send(0, channel, &[1; 100_000]);
        net.run(Duration::from_secs(1));
    }
    assert!(net.sides[0].stats().marking);
}

#[test]
fn a_timeout_that_came_too_early_does_not_end_the_marks() {
    let (mut net, channel) = connected([true, true]);
    net.sides[0].path_changed();
    // Nothing is lost, but the answer takes longer than the timeout.
    net.link.delay = Duration::from_millis(400);
    net.send(0, channel, &[1; 5_000]);
    net.run(Duration::from_millis(700));
    let early = net.sides[0].stats();
    assert_eq!((early.timeouts, early.marking), (1, false), "{early:?}");
    net.run(Duration::from_secs(5));
    let later = net.sides[0].stats();
    assert!(later.marking, "{later:?}");
    let marked = net.marked[0];
    net.send(0, channel, &[1; 5_000]);
    net.run(Duration::from_secs(5));
    assert!(net.marked[0] > marked);
    assert_eq!(net.messages(1).len(), 2);
}

#[test]
fn messages_that_are_given_up_do_not_pass_for_arrived() {
    let (mut net, _) = connected([true, true]);
    let lossy = ChannelConfig::new("lossy").with_reliability(Reliability::MaxRetransmits(0));
    let lossy = net.open(0, lossy);
    net.run(Duration::from_secs(1));
    net.sides[0].path_changed();
    net.swallows_marks = true;
    for round in 0..20 {
        net.send(0, lossy, &[round; 500]);
        net.run(Duration::from_millis(500));
    }
    let stats = net.sides[0].stats();
    assert!(!stats.marking, "{stats:?}");
    assert!(net.messages(1).len() > 10, "{}", net.messages(1).len());
}

#[test]
fn where_the_layers_below_lose_marks_none_is_set() {
    let (mut net, channel) = connected([true, true]);
    net.sides[0].set_marks_carried(false);
    let before = net.marked[0];
    assert!(before > 0);
    net.send(0, channel, &[1; 50_000]);
    net.run(Duration::from_secs(1));
    assert_eq!(net.marked[0], before);
    net.sides[0].set_marks_carried(true);
    net.send(0, channel, &[1; 50_000]);
    net.run(Duration::from_secs(1));
    assert!(net.marked[0] > before);
}
