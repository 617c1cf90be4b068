//! Notes when the packets of the transport arrived, and turns that into transport-wide feedback.

use esp_wire::{Instant, ShortRead, Writer};

use crate::clock::SequenceUnwrap;
use crate::rtcp::transport_cc::{Subject, TICKS, write_transport_cc};

/// Packets that one window of feedback spans at most.
const WINDOW: usize = 1_024;

/// Arrival times of a window of transport-wide numbers.
#[derive(Debug)]
pub(crate) struct Arrivals {
    unwrap: SequenceUnwrap,
    /// The first number that was not reported yet.
    base: u64,
    /// One behind the highest number that arrived.
    end: u64,
    /// Ticks of arrival, by number modulo the window; empty until something arrives.
    ticks: Vec<Option<i64>>,
    number: u8,
}

impl Arrivals {
    pub(crate) fn new() -> Self {
        Arrivals {
            unwrap: SequenceUnwrap::default(),
            base: 0,
            end: 0,
            ticks: Vec::new(),
            number: 0,
        }
    }

    /// Notes the arrival of a packet; what was reported already is not reported again.
    pub(crate) fn note(&mut self, now: Instant, sequence: u16) {
        if self.ticks.is_empty() {
            self.ticks = vec![None; WINDOW];
        }
        let number = self.unwrap.unwrap(sequence);
        self.unwrap.note(number);
        if self.is_empty() {
            if self.end != 0 && number < self.base {
                return;
            }
            self.skip_to(number);
            // What lies between the last report and now is reported as missing, within reason.
        } else if number < self.base {
            return;
        }
        if number >= self.base + WINDOW as u64 {
            self.skip_to(number + 1 - WINDOW as u64);
        }
        self.end = self.end.max(number + 1);
        let tick = now.as_nanos() / u64::from(1_000_000_000 / TICKS);
        self.ticks[slot(number)].get_or_insert(tick as i64);
    }

    /// Moves the base forward, except that a gap of less than half a window stays reported.
    fn skip_to(&mut self, number: u64) {
        let keeps_gap = self.end != 0
            && self.is_empty()
            && number >= self.base
            && number - self.base < WINDOW as u64 / 2;
        if keeps_gap {
            self.end = self.base;
            return;
        }
        let until = number.min(self.base + WINDOW as u64);
        for old in self.base..until {
            self.ticks[slot(old)] = None;
        }
        self.base = number;
        self.end = self.end.max(number);
    }

    /// True when nothing waits to be reported.
    pub(crate) fn is_empty(&self) -> bool {
        self.base == self.end
    }

    /// True when much waits to be reported: it must not wait until it finds no room any more.
    pub(crate) fn is_urgent(&self) -> bool {
        self.end - self.base >= WINDOW as u64 / 2
    }

    /// Writes the next message.
    pub(crate) fn write(
        &mut self,
        out: &mut Writer<'_>,
        sender: u32,
        media: u32,
    ) -> Result<(), ShortRead> {
        let subject = Subject {
            sender,
            media,
            base: self.base as u16,
            number: self.number,
        };
        let count = (self.end - self.base) as usize;
        let (base, ticks) = (self.base, &self.ticks);
        let covered = write_transport_cc(out, subject, count, |index| {
            ticks[slot(base + index as u64)]
        })?;
        for number in self.base..self.base + covered as u64 {
            self.ticks[slot(number)] = None;
        }
        self.base += covered as u64;
        self.number = self.number.wrapping_add(1);
        Ok(())
    }
}

fn slot(number: u64) -> usize {
    (number % WINDOW as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Rtcp, packets};

    fn report(arrivals: &mut Arrivals) -> Vec<(u16, bool)> {
        let mut bytes = [0; 1200];
        let mut out = Writer::new(&mut bytes);
        arrivals.write(&mut out, 1, 2).unwrap();
        match packets(out.written()).next() {
            Some(Ok(Rtcp::TransportCc(feedback))) => feedback
                .packets()
                .map(|(number, at)| (number, at.is_some()))
                .collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn gaps_within_and_between_reports_are_told() {
        let mut arrivals = Arrivals::new();
        let mut now = Instant::from_millis(1_000);
        for number in [65_534, 65_535, 1] {
            now += std::time::Duration::from_millis(3);
            arrivals.note(now, number);
        }
        assert_eq!(
            report(&mut arrivals),
            [(65_534, true), (65_535, true), (0, false), (1, true)]
        );
        assert!(arrivals.is_empty());
        arrivals.note(now, 0); // too late
        assert!(arrivals.is_empty());
        arrivals.note(now, 4);
        assert_eq!(report(&mut arrivals), [(2, false), (3, false), (4, true)]);
    }

    #[test]
    fn a_jump_begins_a_new_window() {
        let mut arrivals = Arrivals::new();
        arrivals.note(Instant::ZERO, 10);
        arrivals.note(Instant::ZERO, 20_000);
        let mut told = 0;
        while !arrivals.is_empty() {
            told += report(&mut arrivals)
                .iter()
                .filter(|(_, here)| *here)
                .count();
        }
        assert_eq!(told, 1);
    }
}
