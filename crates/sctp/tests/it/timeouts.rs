//! What a retransmission timeout sends, and what it takes away (RFC 9260 §6.3.3, §7.2.3).

use std::time::Duration;

use esp_sctp::{ChannelConfig, ChannelHandle, Config, congestion::Algorithm};
use esp_wire::Instant;

use crate::{
    forge::{I_DATA, Sighted, chunks, word},
    link::{Link, Net},
};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);
const DATA: u8 = 0;
/// Bytes of a packet.
const PACKET: usize = 1_160;

/// The packets with data that the first side has sent since the last call.
fn sent(net: &mut Net) -> Vec<(Instant, Vec<Sighted>)> {
    let left = std::mem::take(&mut net.left);
    let packets = left.into_iter().filter(|(_, from, _)| *from == 0);
    packets
        .map(|(at, _, packet)| (at, chunks(&packet)))
        .filter(|(_, chunks)| chunks.iter().any(is_data))
        .collect()
}

fn is_data(chunk: &Sighted) -> bool {
    matches!(chunk.kind, DATA | I_DATA)
}

fn tsns(packets: &[(Instant, Vec<Sighted>)]) -> Vec<u32> {
    let chunks = packets.iter().flat_map(|(_, chunks)| chunks);
    let data = chunks.filter(|chunk| is_data(chunk));
    data.map(|chunk| word(&chunk.value, 0)).collect()
}

/// A pair whose first side has a channel and a window of hundreds of packets, and whose packets are recorded.
fn pair(config: Config) -> (Net, ChannelHandle) {
    let mut net = Net::connected(5, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    for _ in 0..5 {
        net.send(0, channel, &[0; 100_000]);
    }
    net.run(2 * SECOND);
    assert_eq!(net.messages(1).len(), 5);
    assert!(net.sides[0].stats().congestion_window > 100 * PACKET);
    net.recording = true;
    (net, channel)
}

/// Runs to the next timeout, and until nothing more of it is sent.
fn time_out(net: &mut Net) {
    let before = net.sides[0].stats().timeouts;
    net.run_until(20 * SECOND, |net| net.sides[0].stats().timeouts > before);
}

/// All of a large flight is lost, time and again.
fn check_timeouts(algorithm: Algorithm, interleaving: bool) {
    let case = format!("{algorithm:?}, interleaving {interleaving}");
    let config = Config::default()
        .with_congestion(algorithm)
        .with_interleaving(interleaving);
    let (mut net, channel) = pair(config);
    let begun = net.now;
    net.link.loss = 1.0;
    for _ in 0..60 {
        net.send(0, channel, &[1; 100]);
    }
    net.send(0, channel, &[2; 9_000]);
    net.run(300 * MS);
    let stats = net.sides[0].stats();
    assert_eq!(net.sides[0].buffered_amount(channel), 0, "{case}");
    assert!(stats.in_flight > 15_000, "{case}: {}", stats.in_flight);
    let flight = tsns(&sent(&mut net));
    let mut before = begun;
    // RFC 9260 §6.3.3 E2: the time doubles.
    for wait in [400, 800, 1_600, 3_200] {
        time_out(&mut net);
        // RFC 9260 §7.2.3: one packet, until something of it is acknowledged.
        assert_eq!(net.sides[0].stats().congestion_window, PACKET, "{case}");
        net.run(MS * (2 * wait - 10));
        let packets = sent(&mut net);
        assert_eq!(packets.len(), 1, "{case}");
        let (at, chunks) = &packets[0];
        assert_eq!(*at, before + MS * wait, "{case}");
        before = *at;
        // RFC 9260 §6.3.3 E3: the earliest that fit into it.
        let again = tsns(&packets);
        assert_eq!(again, flight[..again.len()], "{case}");
        let chunk = chunks[0].value.len() + 4;
        assert_eq!(again.len(), (PACKET - 12) / chunk, "{case}");
    }
    net.link.loss = 0.0;
    time_out(&mut net);
    assert_eq!(sent(&mut net).len(), 1, "{case}");
    // Slow start: an acknowledged packet makes room for two.
    net.run(29 * MS);
    let packets = sent(&mut net).len();
    let most = match algorithm {
        // It takes note of how much was lost, and leaves four packets.
        Algorithm::Tolerant => 5,
        _ => 3,
    };
    assert!((2..=most).contains(&packets), "{case}: {packets}");
    net.run(5 * SECOND);
    assert_eq!(net.messages(1).len(), 5 + 61, "{case}");
    let stats = net.sides[0].stats();
    assert_eq!((stats.in_flight, stats.timeouts), (0, 5), "{case}");
}

#[test]
fn a_timeout_sends_one_packet_of_the_earliest_chunks_and_the_next_comes_later() {
    for algorithm in [Algorithm::Tolerant, Algorithm::Cubic, Algorithm::Reno] {
        for interleaving in [true, false] {
            check_timeouts(algorithm, interleaving);
        }
    }
}

#[test]
fn a_timeout_that_came_too_early_takes_nothing_away() {
    for algorithm in [Algorithm::Tolerant, Algorithm::Cubic, Algorithm::Reno] {
        let (mut net, channel) = pair(Config::default().with_congestion(algorithm));
        let before = net.sides[0].stats();
        // Nothing is lost, but the answer takes longer than the timeout.
        net.link.delay = 300 * MS;
        net.send(0, channel, &[3; 50_000]);
        time_out(&mut net);
        assert_eq!(net.sides[0].stats().congestion_window, PACKET);
        net.run(5 * SECOND);
        let after = net.sides[0].stats();
        let case = format!("{algorithm:?}: {after:?}");
        assert_eq!(after.spurious_events, before.spurious_events + 1, "{case}");
        assert!(
            after.congestion_window >= before.congestion_window,
            "{case}"
        );
        assert_eq!(net.messages(1).len(), 6, "{case}");
        // Of 44 chunks few were sent again before the first reports of what came twice.
        let again = after.chunks_retransmitted - before.chunks_retransmitted;
        assert!(again < 20, "{case}");
    }
}

#[test]
fn a_timeout_leaves_half_of_the_window_to_slow_start() {
    // RFC 9260 §7.2.3: ssthresh = max(cwnd / 2, 4 * PMDCS); from there on a packet a round trip (§7.2.2).
    let config = Config::default().with_congestion(Algorithm::Reno);
    let (mut net, channel) = pair(config);
    let window = net.sides[0].stats().congestion_window;
    net.link.loss = 1.0;
    net.send(0, channel, &[4; 50_000]);
    net.run(399 * MS);
    net.link.loss = 0.0;
    time_out(&mut net);
    let (mut last, mut widest) = (PACKET, 0);
    for _ in 0..100 {
        while net.sides[0].stats().send_buffered < 2_000_000 {
            net.send(0, channel, &[5; 100_000]);
        }
        net.run(20 * MS);
        let now = net.sides[0].stats().congestion_window;
        widest = widest.max(now);
        if last > window / 2 {
            assert!(now - last <= 3 * PACKET, "{last} {now} of {window}");
        }
        last = now;
    }
    assert_eq!(net.sides[0].stats().timeouts, 1);
    assert!(widest >= window / 2, "{widest} of {window}");
    assert!(widest <= window / 2 + 110 * PACKET, "{widest} of {window}");
}
