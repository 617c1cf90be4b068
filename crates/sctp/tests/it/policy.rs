//! Partial reliability against a log of the wire: a message arrives if and only if each of its fragments
//! passed, and none left more often, or later, than its policy allows (RFC 3758 §4.1, RFC 7496 §3).

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use esp_sctp::{ChannelConfig, Config, Reliability};
use esp_wire::{Instant, Rng};

use crate::link::{Link, Net, pattern};

const SECOND: Duration = Duration::from_secs(1);
const COUNT: usize = 250;

/// What happened to one TSN.
#[derive(Clone, Debug, Default)]
struct Trace {
    sent: Vec<Instant>,
    passed: bool,
    /// Message of a first fragment, by its first four bytes.
    begins: Option<usize>,
    ends: bool,
    /// Stream, unordered, and message number of I-DATA.
    number: Option<(u16, bool, u32)>,
}

type Log = Rc<RefCell<BTreeMap<u32, Trace>>>;

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Notes the data chunks of a packet.
fn note(log: &Log, packet: &[u8], now: Instant, passes: bool) {
    let mut log = log.borrow_mut();
    let mut rest = &packet[12..];
    while rest.len() >= 4 {
        let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
        if matches!(rest[0], 0 | 64) {
            let header = if rest[0] == 64 { 20 } else { 16 };
            let trace = log.entry(word(rest, 4)).or_default();
            trace.sent.push(now);
            trace.passed |= passes;
            let begins = rest[1] & 2 != 0;
            trace.begins = begins.then(|| word(rest, header) as usize);
            trace.ends = rest[1] & 1 != 0;
            let stream = u16::from_be_bytes([rest[8], rest[9]]);
            trace.number = (rest[0] == 64).then(|| (stream, rest[1] & 4 != 0, word(rest, 12)));
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
}

/// Fragments of each message.
fn messages(log: &BTreeMap<u32, Trace>, first: u32) -> BTreeMap<usize, Vec<Trace>> {
    let mut messages: BTreeMap<usize, Vec<Trace>> = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    let mut current = None;
    let mut tsns: Vec<u32> = log.keys().copied().collect();
    tsns.sort_by_key(|tsn| tsn.wrapping_sub(first));
    for tsn in tsns {
        let trace = &log[&tsn];
        if let Some(index) = trace.begins {
            current = Some(index);
            if let Some(number) = trace.number {
                numbers.insert(number, index);
            }
        }
        let of = match trace.number {
            Some(number) => numbers.get(&number).copied(),
            None => current,
        };
        messages
            .entry(of.expect("a message that has begun"))
            .or_default()
            .push(trace.clone());
    }
    messages
}

struct Case {
    reliability: Reliability,
    ordered: bool,
    interleaving: bool,
    size: usize,
}

impl Case {
    fn name(&self) -> String {
        format!(
            "{:?} ordered {} interleaving {} size {}",
            self.reliability, self.ordered, self.interleaving, self.size
        )
    }
}

/// What was queued when, and what the wire saw.
struct Run {
    net: Net,
    queued: Vec<Instant>,
    log: Log,
}

/// Sends messages over a link that loses a fifth of them.
fn run(case: &Case, seed: u64) -> Run {
    let side = Config::default().with_interleaving(case.interleaving);
    let mut net = Net::connected(seed, [side.clone(), side], Link::default());
    let config = ChannelConfig {
        ordered: case.ordered,
        ..ChannelConfig::new("x").with_reliability(case.reliability)
    };
    let channel = net.open(0, config);
    net.run(SECOND);
    let log = Log::default();
    let clock = Rc::new(RefCell::new(net.now));
    let (kept, at) = (Rc::clone(&log), Rc::clone(&clock));
    let mut rng = Rng::new([seed as u8; 32]);
    net.filter = Some(Box::new(move |from, packet| {
        // Only what carries messages is lost, so that the sender always knows what has passed.
        let drops = from == 0 && rng.chance(0.2);
        if from == 0 {
            note(&kept, packet, *at.borrow(), !drops);
        }
        drops
    }));
    let step = |net: &mut Net, time: Duration| {
        let end = net.now + time;
        while net.step(end) {
            *clock.borrow_mut() = net.now;
        }
        *clock.borrow_mut() = net.now;
    };
    let mut queued = Vec::new();
    for index in 0..COUNT {
        let mut data = pattern(index, case.size);
        data[..4].copy_from_slice(&(index as u32).to_be_bytes());
        queued.push(net.now);
        net.send(0, channel, &data);
        net.flush();
        step(&mut net, Duration::from_millis(4));
    }
    step(&mut net, 120 * SECOND);
    Run { net, queued, log }
}

/// Which messages arrived, each once and unchanged.
fn arrived(case: &Case, net: &Net) -> BTreeSet<usize> {
    let name = case.name();
    let got = net.messages(1);
    let order: Vec<usize> = got.iter().map(|data| word(data, 0) as usize).collect();
    for (data, index) in got.iter().zip(&order) {
        assert!(data[4..] == pattern(*index, case.size)[4..], "{name}");
    }
    let distinct: BTreeSet<usize> = order.iter().copied().collect();
    assert_eq!(distinct.len(), order.len(), "{name}: twice");
    assert!(!case.ordered || order.is_sorted(), "{name}: order");
    distinct
}

/// Whether the fragments of a message left as often and as late as they may.
fn check_sends(case: &Case, queued: Instant, fragments: &[Trace], passed: bool) {
    let name = case.name();
    let most = fragments.iter().map(|one| one.sent.len()).max();
    match case.reliability {
        Reliability::Reliable => assert!(passed, "{name}"),
        Reliability::MaxRetransmits(limit) => {
            let allowed = 1 + usize::from(limit);
            // Given up only when a fragment was lost as often as it may be sent.
            let spent = fragments
                .iter()
                .any(|one| !one.passed && one.sent.len() == allowed);
            assert!(most.is_none_or(|most| most <= allowed), "{name}: {most:?}");
            assert!(passed || spent, "{name}");
        }
        Reliability::MaxLifetime(lifetime) => {
            let last = fragments.iter().filter_map(|one| one.sent.last()).max();
            assert!(last.is_none_or(|last| *last < queued + lifetime), "{name}");
        }
    }
}

/// Checks all that the log says.
fn check(case: &Case, seed: u64) {
    let run = run(case, seed);
    let name = case.name();
    let stats = run.net.sides[0].stats();
    assert_eq!((stats.send_buffered, stats.in_flight), (0, 0), "{name}");
    assert_eq!(run.net.sides[1].stats().receive_buffered, 0, "{name}");
    let arrived = arrived(case, &run.net);
    let log = run.log.borrow();
    let first = log.iter().find(|(_, trace)| trace.begins == Some(0));
    let sent = messages(&log, *first.expect("the first message").0);
    for (index, queued) in run.queued.iter().enumerate() {
        let fragments = sent.get(&index).map_or(&[][..], Vec::as_slice);
        let complete = fragments.last().is_some_and(|last| last.ends);
        let passed = complete && fragments.iter().all(|fragment| fragment.passed);
        assert_eq!(arrived.contains(&index), passed, "{name}: {index}");
        check_sends(case, *queued, fragments, passed);
    }
    let given_up = COUNT - arrived.len();
    assert_eq!(stats.messages_abandoned as usize, given_up, "{name}");
    assert!(arrived.len() > COUNT / 10, "{name}: {}", arrived.len());
}

#[test]
fn every_policy_is_kept_to_the_letter() {
    for interleaving in [true, false] {
        for ordered in [true, false] {
            for (size, reliability) in [
                (100, Reliability::MaxRetransmits(0)),
                (100, Reliability::MaxRetransmits(2)),
                (100, Reliability::MaxLifetime(Duration::from_millis(70))),
                (5_000, Reliability::Reliable),
                (5_000, Reliability::MaxRetransmits(0)),
                (5_000, Reliability::MaxRetransmits(1)),
                (5_000, Reliability::MaxLifetime(Duration::from_millis(120))),
            ] {
                let case = Case {
                    reliability,
                    ordered,
                    interleaving,
                    size,
                };
                check(&case, 7);
            }
        }
    }
}
