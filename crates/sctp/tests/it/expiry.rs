//! Messages whose time is over: nothing of them is sent again, the peer is told to skip them, once and at once, and
//! what waited for them goes on (RFC 3758 §3.5, §4.1).

use std::time::Duration;

use esp_sctp::{ChannelConfig, ChannelHandle, CloseReason, Config, Delivery, Reliability};
use esp_wire::Instant;

use crate::{
    forge::{FORWARD_TSN, Forge, I_DATA, SACK, Sighted, chunk, chunks},
    link::{Link, Net, Seen, pattern},
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const DATA: u8 = 0;
const I_FORWARD_TSN: u8 = 194;
/// Messages of a flight.
const COUNT: usize = 30;

#[derive(Clone, Copy, Debug)]
struct Case {
    interleaving: bool,
    ordered: bool,
    size: usize,
}

fn cases() -> impl Iterator<Item = Case> {
    (0..8).map(|index| Case {
        interleaving: index & 1 == 0,
        ordered: index & 2 == 0,
        size: if index & 4 == 0 { 100 } else { 5_000 },
    })
}

/// When the first side sent chunks of these kinds since the last call.
fn sent(net: &Net, kinds: [u8; 2]) -> Vec<Instant> {
    let is_one = |chunk: &Sighted| kinds.contains(&chunk.kind);
    let packets = net.left.iter().filter(|(_, from, _)| *from == 0);
    packets
        .filter(|(_, _, packet)| chunks(packet).iter().any(is_one))
        .map(|(at, ..)| *at)
        .collect()
}

fn data(net: &Net) -> Vec<Instant> {
    sent(net, [DATA, I_DATA])
}

fn forwards(net: &Net) -> Vec<Instant> {
    sent(net, [FORWARD_TSN, I_FORWARD_TSN])
}

/// A pair that has a wide window, and a channel whose messages live this long; from now on nothing arrives.
fn cut_off(case: Case, lifetime: Duration) -> (Net, ChannelHandle) {
    let side = Config::default().with_interleaving(case.interleaving);
    let mut net = Net::connected(6, [side.clone(), side], Link::default());
    let bulk = net.open(0, ChannelConfig::new("bulk"));
    let channel = ChannelConfig {
        ordered: case.ordered,
        ..ChannelConfig::new("x").with_reliability(Reliability::MaxLifetime(lifetime))
    };
    let channel = net.open(0, channel);
    net.run(SECOND);
    net.send(0, bulk, &[0; 500_000]);
    net.run(2 * SECOND);
    net.seen[1].clear();
    net.recording = true;
    net.link.loss = 1.0;
    for index in 0..COUNT {
        net.send(0, channel, &pattern(index, case.size));
    }
    (net, channel)
}

/// In the end nothing is left of the flight, of which so many messages passed, and the channel goes on.
fn check_end(case: Case, net: &mut Net, channel: ChannelHandle, passed: usize) {
    net.run(20 * SECOND);
    let stats = net.sides[0].stats();
    let given_up = stats.messages_abandoned as usize;
    assert_eq!(given_up, COUNT - passed, "{case:?}");
    assert_eq!((stats.send_buffered, stats.in_flight), (0, 0), "{case:?}");
    assert_eq!(net.sides[1].stats().receive_buffered, 0, "{case:?}");
    let expected: Vec<_> = (0..passed).map(|index| pattern(index, case.size)).collect();
    assert!(net.messages(1) == expected, "{case:?}");
    net.send(0, channel, b"next");
    net.run(100 * MS);
    assert_eq!(net.messages(1).last(), Some(&&b"next"[..]), "{case:?}");
}

#[test]
fn a_flight_that_expires_after_its_timeout_is_not_sent_again() {
    for case in cases() {
        let lifetime = 410 * MS;
        let (mut net, channel) = cut_off(case, lifetime);
        let begun = net.now;
        net.run_until(SECOND, |net| net.sides[0].stats().timeouts == 1);
        assert_eq!(net.now, begun + 400 * MS);
        // Everything of the flight had left, and a packet of it leaves again while it may.
        assert_eq!(net.sides[0].buffered_amount(channel), 0, "{case:?}");
        assert_eq!(data(&net).last(), Some(&net.now), "{case:?}");
        net.run(3 * SECOND);
        // Timeouts at 1.2 and 2.8 s told the peer to skip it, in vain.
        let told = [1_200, 2_800].map(|after| begun + MS * after);
        assert_eq!(forwards(&net), told, "{case:?}");
        net.link.loss = 0.0;
        net.left.clear();
        check_end(case, &mut net, channel, 0);
        assert_eq!(forwards(&net), [begun + 6_000 * MS], "{case:?}");
        // RFC 3758 §3.2: the stream is named, but for unordered messages in DATA chunks.
        let streams = match (case.interleaving, case.ordered) {
            (true, _) => 8,
            (false, true) => 4,
            (false, false) => 0,
        };
        let all = net.left.iter().flat_map(|(.., packet)| chunks(packet));
        let mut forward = all.filter(|chunk| [FORWARD_TSN, I_FORWARD_TSN].contains(&chunk.kind));
        let forward = forward.next().expect("it was told");
        assert_eq!(forward.value.len(), 4 + streams, "{case:?}");
        let again = data(&net);
        assert!(again.iter().all(|at| *at > begun + 20 * SECOND), "{case:?}");
    }
}

#[test]
fn a_flight_that_expires_while_its_first_packet_is_answered_is_not_sent_again() {
    for case in cases() {
        let (mut net, channel) = cut_off(case, 405 * MS);
        let begun = net.now;
        net.run(399 * MS);
        // The packet of the timeout arrives; the answer comes when all is too late.
        net.link.loss = 0.0;
        net.run_until(SECOND, |net| net.sides[0].stats().timeouts == 1);
        net.left.clear();
        let passed = match (case.size, case.interleaving) {
            (100, true) => 1_148 / 120,
            (100, false) => 1_148 / 116,
            _ => 0,
        };
        net.run(200 * MS);
        assert_eq!(data(&net), [], "{case:?}");
        // The peer hears of it at once, and once.
        let [told] = forwards(&net)[..] else {
            panic!("{case:?}: told {} times", forwards(&net).len());
        };
        let due = begun + 405 * MS..=begun + 420 * MS;
        assert!(due.contains(&told), "{case:?}");
        check_end(case, &mut net, channel, passed);
    }
}

#[test]
fn a_message_in_parts_that_expires_is_told_to_be_over_once() {
    let side = Config::default().with_delivery(Delivery::Parts);
    let mut net = Net::connected(6, [side.clone(), side], Link::default());
    let lifetime = Reliability::MaxLifetime(600 * MS);
    let channel = net.open(0, ChannelConfig::new("x").with_reliability(lifetime));
    net.run(SECOND);
    net.send(0, channel, &[7; 400_000]);
    net.run(95 * MS);
    net.link.loss = 1.0;
    net.run(2 * SECOND);
    net.link.loss = 0.0;
    net.run(10 * SECOND);
    let part = |seen: &Seen| matches!(seen, Seen::Part { last: false, .. });
    assert!(net.count(1, part) > 0);
    assert_eq!(
        net.count(1, |seen| matches!(seen, Seen::Part { last: true, .. })),
        0
    );
    assert_eq!(net.count(1, |seen| *seen == Seen::Aborted), 1);
    assert_eq!(net.sides[0].stats().messages_abandoned, 1);
    assert_eq!(net.sides[1].stats().receive_buffered, 0);
    net.send(0, channel, b"next");
    net.run(SECOND);
    assert_eq!(net.messages(1), [b"next"]);
}

/// A pair that has just sent ten packets of messages that live for 15 ms, which is less than a round trip, and has as
/// many waiting.
fn expiring(configs: [Config; 2]) -> (Net, ChannelHandle) {
    let mut net = Net::connected(6, configs, Link::default());
    let lifetime = Reliability::MaxLifetime(15 * MS);
    let channel = net.open(0, ChannelConfig::new("x").with_reliability(lifetime));
    net.run(SECOND);
    for index in 0..200 {
        net.send(0, channel, &pattern(index, 1_000));
    }
    net.flush();
    assert!(net.sides[0].buffered_amount(channel) > 100_000);
    // Nothing but packets and timers makes it go on.
    net.polling = [false; 2];
    (net, channel)
}

#[test]
fn a_channel_whose_last_messages_expire_unsent_is_closed() {
    let (mut net, channel) = expiring(Default::default());
    let now = net.now;
    net.sides[0]
        .close_channel(now, channel)
        .expect("it is open");
    net.run(100 * MS);
    net.polling = [true; 2];
    net.flush();
    for side in 0..2 {
        assert_eq!(
            net.count(side, |seen| matches!(seen, Seen::Closed(_))),
            1,
            "{side}"
        );
    }
    assert!(net.sides[0].stats().messages_abandoned > 100);
}

#[test]
fn a_shutdown_goes_on_when_the_last_messages_expire_unsent() {
    let (mut net, _) = expiring(Default::default());
    let now = net.now;
    net.sides[0].shutdown(now);
    net.run(100 * MS);
    net.polling = [true; 2];
    net.flush();
    let ended = Seen::Ended(CloseReason::Shutdown);
    for side in 0..2 {
        assert_eq!(net.count(side, |seen| *seen == ended), 1, "{side}");
    }
}

/// A SACK for no more than what was reported before, and these blocks.
fn sack(cumulative: u32, blocks: &[(u16, u16)]) -> Vec<u8> {
    let mut value = cumulative.to_be_bytes().to_vec();
    value.extend([0, 16, 0, 0, 0, blocks.len() as u8, 0, 0]);
    for (first, last) in blocks {
        value.extend(first.to_be_bytes());
        value.extend(last.to_be_bytes());
    }
    chunk(SACK, 0, &value)
}

/// How far FORWARD-TSNs among these chunks skip, from a TSN on.
fn skips(heard: &[Sighted], from: u32) -> Vec<u32> {
    let forwards = heard.iter().filter(|chunk| chunk.kind == I_FORWARD_TSN);
    forwards
        .map(|chunk| crate::forge::word(&chunk.value, 0).wrapping_sub(from))
        .collect()
}

#[test]
fn what_is_given_up_later_is_told_while_the_first_word_of_it_is_on_its_way() {
    let mut forge = Forge::connected(Config::default());
    let config = ChannelConfig::new("x").with_reliability(Reliability::MaxRetransmits(0));
    let channel = forge.net.open(0, config.negotiated(1));
    for index in 0..8 {
        forge.net.send(0, channel, &pattern(index, 1_100));
    }
    forge.net.flush();
    let before = forge.first[0].wrapping_sub(1);
    forge.net.run(20 * MS);
    forge.packets();
    // The first is overtaken by three packets, and given up.
    let heard = forge.tell(&[sack(before, &[(2, 4)])]);
    assert_eq!(skips(&heard, before), [1]);
    forge.net.run(MS);
    // Nothing new: it is not told again within a round trip.
    let heard = forge.tell(&[sack(before, &[(2, 4), (6, 7)])]);
    assert_eq!(skips(&heard, before), []);
    forge.net.run(MS);
    // RFC 3758 §3.5 C3, F3: so is the fifth.
    let heard = forge.tell(&[sack(before, &[(2, 4), (6, 8)])]);
    assert_eq!(skips(&heard, before), [5]);
    // A word that got lost is said again a round trip later, when something comes that lies behind it.
    forge.net.run(30 * MS);
    let heard = forge.tell(&[sack(before, &[(2, 4), (6, 8)])]);
    assert_eq!(skips(&heard, before), [5]);
    // What arrived of it leaves nothing to tell.
    let heard = forge.tell(&[sack(before.wrapping_add(4), &[(2, 4)])]);
    assert_eq!(skips(&heard, before), []);
    let heard = forge.tell(&[sack(before.wrapping_add(8), &[])]);
    assert_eq!(skips(&heard, before), []);
    assert_eq!(forge.net.sides[0].stats().in_flight, 0);
}

#[test]
fn what_arrived_of_a_message_that_is_given_up_is_skipped_with_it() {
    // RFC 3758 §3.5 A3.
    let mut forge = Forge::connected(Config::default());
    let config = ChannelConfig::new("x").with_reliability(Reliability::MaxRetransmits(0));
    let channel = forge.net.open(0, config.negotiated(1));
    forge.net.send(0, channel, &pattern(0, 3_000));
    forge.net.send(0, channel, &pattern(1, 3_000));
    forge.net.flush();
    let before = forge.first[0].wrapping_sub(1);
    let heard = forge.tell(&[sack(before, &[(2, 5)])]);
    assert_eq!(skips(&heard, before), [3]);
}

#[test]
fn what_a_peer_takes_back_is_not_skipped_with_what_was_given_up() {
    let mut forge = Forge::connected(Config::default());
    let once = ChannelConfig::new("once").with_reliability(Reliability::MaxRetransmits(0));
    let once = forge.net.open(0, once.negotiated(1));
    let firm = forge.net.open(0, ChannelConfig::new("firm").negotiated(2));
    for (index, channel) in [once, firm, firm, firm, once, firm, firm, firm]
        .into_iter()
        .enumerate()
    {
        forge.net.send(0, channel, &pattern(index, 1_100));
        forge.net.flush();
    }
    let before = forge.first[0].wrapping_sub(1);
    let heard = forge.tell(&[sack(before, &[(2, 4)])]);
    assert_eq!(skips(&heard, before), [1]);
    // RFC 9260 §6.2.1: it had the next three, and has them no more.
    let again = forge.tell(&[sack(before.wrapping_add(1), &[])]);
    assert_eq!(again.iter().filter(|chunk| chunk.kind == I_DATA).count(), 3);
    let heard = forge.tell(&[sack(before.wrapping_add(1), &[(5, 7)])]);
    assert_eq!(forge.net.sides[0].stats().messages_abandoned, 2);
    assert_eq!(skips(&heard, before), []);
    let heard = forge.tell(&[sack(before.wrapping_add(4), &[(2, 4)])]);
    assert_eq!(skips(&heard, before), [5]);
}

#[test]
fn a_list_of_skipped_messages_beyond_a_packet_goes_on_with_the_next() {
    let mut net = Net::connected(6, Default::default(), Link::default());
    let config = || ChannelConfig::new("x").with_reliability(Reliability::MaxRetransmits(0));
    let channels: Vec<_> = (0..500).map(|_| net.open(0, config())).collect();
    net.run(2 * SECOND);
    net.link.loss = 1.0;
    for channel in &channels {
        net.send(0, *channel, b"lost");
    }
    net.run_until(SECOND, |net| net.sides[0].stats().timeouts == 1);
    assert_eq!(net.sides[0].stats().messages_abandoned, 500);
    // Answers are sooner there than they are expected.
    net.link.delay = 5 * MS;
    // The word of the timeout itself is lost; that of the next one passes, with 143 streams in a packet.
    net.link.loss = 0.0;
    net.recording = true;
    net.run_until(2 * SECOND, |net| net.sides[0].stats().timeouts == 2);
    net.run(4 * 10 * MS);
    let stats = net.sides[0].stats();
    assert_eq!((stats.in_flight, stats.send_buffered), (0, 0), "{stats:?}");
    assert_eq!(forwards(&net).len(), 4);
    for channel in &channels {
        net.send(0, *channel, b"next");
    }
    net.run(SECOND);
    assert_eq!(net.messages(1), vec![b"next"; 500]);
}
