//! Remembers what was sent under which transport-wide number, and reads feedback against it.

use std::time::Duration;

use esp_wire::Instant;

use super::{Observation, PacketReport};
use crate::rtcp::TransportFeedback;
use crate::rtcp::transport_cc::{REFERENCE, TICKS, WRAP};

/// Packets that are remembered.
const WINDOW: usize = 2_048;
/// Microseconds of one tick.
const TICK_US: i64 = 1_000_000 / TICKS as i64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing is there, or its arrival is known.
    #[default]
    Done,
    UnderWay,
    Missing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    at: Instant,
    number: u16,
    size: u16,
    /// Zero for none.
    probe: u16,
    state: State,
}

/// What was sent on the transport, by transport-wide number.
#[derive(Debug)]
pub(crate) struct SentPackets {
    next: u16,
    slots: Vec<Sent>,
    /// Unwrapped reference time of the latest feedback.
    reference: Option<i64>,
}

impl SentPackets {
    pub(crate) fn new() -> Self {
        SentPackets {
            next: 1,
            slots: Vec::new(),
            reference: None,
        }
    }

    /// Notes a packet, of the probe of this name unless it is zero, and gives it its number.
    pub(crate) fn note(&mut self, now: Instant, size: usize, probe: u16) -> u16 {
        if self.slots.is_empty() {
            self.slots = vec![Sent::default(); WINDOW];
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.slots[usize::from(number) % WINDOW] = Sent {
            at: now,
            number,
            size: u16::try_from(size).unwrap_or(u16::MAX),
            probe,
            state: State::UnderWay,
        };
        number
    }

    /// Fills `reports` with what a feedback message says about what was sent, and gives the sum.
    ///
    /// Every arrival counts once, and so does every loss.
    pub(crate) fn observe(
        &mut self,
        now: Instant,
        feedback: TransportFeedback<'_>,
        reports: &mut Vec<PacketReport>,
    ) -> Observation {
        reports.clear();
        let turns = self.turns(feedback.reference);
        for (number, arrival) in feedback.packets() {
            let Some(sent) = self.slots.get_mut(usize::from(number) % WINDOW) else {
                break;
            };
            if sent.number != number || sent.state == State::Done {
                continue;
            }
            let was_missing = sent.state == State::Missing;
            if was_missing && arrival.is_none() {
                continue;
            }
            // What is missing may still arrive and be reported then.
            sent.state = match arrival {
                Some(_) => State::Done,
                None => State::Missing,
            };
            reports.push(PacketReport {
                sent: sent.at,
                size: usize::from(sent.size),
                arrived: arrival.map(|tick| (tick + turns) * TICK_US),
                was_missing,
                probe: Some(sent.probe).filter(|probe| *probe != 0),
            });
        }
        sum(now, reports)
    }

    /// Ticks to be added since the counter of reference times has wrapped around.
    fn turns(&mut self, reference: i32) -> i64 {
        let reference = i64::from(reference);
        let last = self.reference.unwrap_or(reference);
        let step = (reference - last + WRAP / 2).rem_euclid(WRAP) - WRAP / 2;
        let unwrapped = last + step;
        self.reference = Some(unwrapped);
        (unwrapped - reference) * REFERENCE
    }
}

fn sum(now: Instant, reports: &[PacketReport]) -> Observation {
    let mut seen = Observation::default();
    let mut first: Option<(Instant, i64)> = None;
    let mut last: Option<(Instant, i64)> = None;
    for report in reports {
        let Some(arrived) = report.arrived else {
            seen.lost += 1;
            continue;
        };
        seen.received += 1;
        seen.bytes += report.size as u64;
        first = first.or(Some((report.sent, arrived)));
        last = Some((report.sent, arrived));
    }
    if let (Some((first_at, first_us)), Some((last_at, last_us))) = (first, last) {
        let arrived_us = last_us - first_us;
        let sent_us = i64::try_from((last_at - first_at).as_micros()).unwrap_or(i64::MAX);
        seen.arrival_span = Duration::from_micros(arrived_us.max(0).unsigned_abs());
        seen.delay_growth_us = arrived_us.saturating_sub(sent_us);
        seen.rtt = Some(now - last_at);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::arrivals::Arrivals;
    use crate::rtcp::{Rtcp, packets};
    use esp_wire::Writer;

    fn told(arrivals: &mut Arrivals, bytes: &mut [u8]) -> usize {
        let mut out = Writer::new(bytes);
        arrivals.write(&mut out, 1, 2).unwrap();
        out.len()
    }

    fn read(bytes: &[u8]) -> TransportFeedback<'_> {
        match packets(bytes).next() {
            Some(Ok(Rtcp::TransportCc(feedback))) => feedback,
            other => panic!("no feedback: {other:?}"),
        }
    }

    #[test]
    fn a_growing_queue_is_seen() {
        let mut sent = SentPackets::new();
        let mut arrivals = Arrivals::new();
        for index in 0..10u64 {
            let number = sent.note(Instant::from_millis(index * 10), 1_000, 7);
            if index != 4 {
                // Every packet waits 2 ms longer than the one before.
                arrivals.note(Instant::from_millis(50 + index * 12), number);
            }
        }
        let mut bytes = [0; 200];
        let len = told(&mut arrivals, &mut bytes);
        let (now, mut reports) = (Instant::from_millis(200), Vec::new());
        let seen = sent.observe(now, read(&bytes[..len]), &mut reports);
        assert_eq!((seen.received, seen.lost, seen.bytes), (9, 1, 9_000));
        assert_eq!(seen.arrival_span, Duration::from_millis(108));
        assert_eq!(seen.delay_growth_us, 18_000);
        assert_eq!(seen.rtt, Some(Duration::from_millis(110)));
        assert_eq!((reports.len(), reports[9].probe), (10, Some(7)));
        assert_eq!(reports[9].arrived, Some(158_000));
        let again = sent.observe(now, read(&bytes[..len]), &mut reports);
        assert_eq!((again, reports.len()), (Observation::default(), 0));
    }

    #[test]
    fn what_was_missing_may_still_arrive() {
        let mut sent = SentPackets::new();
        let numbers = [1, 2, 3].map(|ms| sent.note(Instant::from_millis(ms), 500, 0));
        let (mut bytes, mut reports) = ([0; 200], Vec::new());
        for (arrived, lost, received) in [(vec![0, 2], 1, 2), (vec![1], 0, 1)] {
            let mut arrivals = Arrivals::new();
            for index in arrived {
                arrivals.note(Instant::from_millis(40), numbers[index]);
            }
            let len = told(&mut arrivals, &mut bytes);
            let seen = sent.observe(Instant::ZERO, read(&bytes[..len]), &mut reports);
            assert_eq!((seen.lost, seen.received), (lost, received));
        }
        assert!(reports[0].was_missing && reports[0].probe.is_none());
    }

    #[test]
    fn time_goes_on_where_the_reference_wraps() {
        let mut sent = SentPackets::new();
        let (mut bytes, mut reports) = ([0; 200], Vec::new());
        let turn = Duration::from_millis(64) * (1 << 23);
        let mut last = None;
        for index in 0..4u64 {
            let now = Instant::ZERO + turn + Duration::from_millis(index * 100)
                - Duration::from_millis(150);
            let mut arrivals = Arrivals::new();
            arrivals.note(now, sent.note(now, 100, 0));
            let len = told(&mut arrivals, &mut bytes);
            sent.observe(now, read(&bytes[..len]), &mut reports);
            let arrived = reports[0].arrived.unwrap();
            if let Some(last) = last.replace(arrived) {
                assert_eq!(arrived - last, 100_000);
            }
        }
    }
}
