//! Remembers what was sent under which transport-wide number, and reads feedback against it.

use std::time::Duration;

use esp_wire::Instant;

use super::Observation;
use crate::rtcp::TransportFeedback;
use crate::rtcp::transport_cc::TICKS;

/// Packets that are remembered.
const WINDOW: usize = 2_048;

#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    number: u16,
    at: Instant,
    /// Zero when the slot is empty or was reported.
    size: u16,
}

/// What was sent on the transport, by transport-wide number.
#[derive(Debug)]
pub(crate) struct SentPackets {
    next: u16,
    slots: Vec<Sent>,
}

impl SentPackets {
    pub(crate) fn new() -> Self {
        SentPackets {
            next: 1,
            slots: Vec::new(),
        }
    }

    /// Notes a packet and gives it its number.
    pub(crate) fn note(&mut self, now: Instant, size: usize) -> u16 {
        if self.slots.is_empty() {
            self.slots = vec![Sent::default(); WINDOW];
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.slots[usize::from(number) % WINDOW] = Sent {
            number,
            at: now,
            size: u16::try_from(size).unwrap_or(u16::MAX),
        };
        number
    }

    /// What a feedback message says about what was sent; every packet counts once.
    pub(crate) fn observe(&mut self, now: Instant, feedback: TransportFeedback<'_>) -> Observation {
        let mut seen = Observation::default();
        let mut first: Option<(Instant, i64)> = None;
        let mut last: Option<(Instant, i64)> = None;
        for (number, arrival) in feedback.packets() {
            let Some(sent) = self.slots.get_mut(usize::from(number) % WINDOW) else {
                return seen;
            };
            if sent.number != number || sent.size == 0 {
                continue;
            }
            let Some(arrival) = arrival else {
                // It may still arrive and be reported then.
                seen.lost += 1;
                continue;
            };
            seen.received += 1;
            seen.bytes += u64::from(sent.size);
            sent.size = 0;
            first = first.or(Some((sent.at, arrival)));
            last = Some((sent.at, arrival));
        }
        if let (Some((first_at, first_tick)), Some((last_at, last_tick))) = (first, last) {
            let tick_us = i64::from(1_000_000 / TICKS);
            let arrived_us = (last_tick - first_tick).saturating_mul(tick_us);
            let sent_us = i64::try_from((last_at - first_at).as_micros()).unwrap_or(i64::MAX);
            seen.arrival_span = Duration::from_micros(arrived_us.max(0).unsigned_abs());
            seen.delay_growth_us = arrived_us.saturating_sub(sent_us);
            seen.rtt = Some(now - last_at);
        }
        seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::congestion::arrivals::Arrivals;
    use crate::rtcp::{Rtcp, packets};
    use esp_wire::Writer;

    #[test]
    fn a_growing_queue_is_seen() {
        let mut sent = SentPackets::new();
        let mut arrivals = Arrivals::new();
        for index in 0..10u64 {
            let number = sent.note(Instant::from_millis(index * 10), 1_000);
            if index != 4 {
                // Every packet waits 2 ms longer than the one before.
                arrivals.note(Instant::from_millis(50 + index * 12), number);
            }
        }
        let mut bytes = [0; 200];
        let mut out = Writer::new(&mut bytes);
        arrivals.write(&mut out, 1, 2).unwrap();
        let Some(Ok(Rtcp::TransportCc(feedback))) = packets(out.written()).next() else {
            panic!("no feedback")
        };
        let seen = sent.observe(Instant::from_millis(200), feedback);
        assert_eq!((seen.received, seen.lost, seen.bytes), (9, 1, 9_000));
        assert_eq!(seen.arrival_span, Duration::from_millis(108));
        assert_eq!(seen.delay_growth_us, 18_000);
        assert_eq!(seen.rtt, Some(Duration::from_millis(110)));
        let again = sent.observe(Instant::from_millis(200), feedback);
        assert_eq!((again.received, again.lost), (0, 1));
    }
}
