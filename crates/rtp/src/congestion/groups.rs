//! Packets that left together are looked at together (draft-ietf-rmcat-gcc-02 §5.2).

use esp_wire::Instant;

/// Packets that leave within this time make one group.
const SEND_SPAN: u64 = 5_000_000;
/// Packets that arrive within so many microseconds of each other, sooner than they left, were
/// held somewhere and let go at once: they make one group, too.
const BURST_GAP: i64 = 5_000;
/// Such a group spans at most so many microseconds.
const BURST_SPAN: i64 = 100_000;
/// A change of delay by more microseconds than this is another clock.
const ANOTHER_CLOCK: i64 = 3_000_000;

/// How two neighbouring groups compare, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Step {
    /// Between their departures.
    pub(super) sent: f64,
    /// Between their arrivals.
    pub(super) arrived: f64,
    /// Arrival of the later one, by the receiver's clock.
    pub(super) at: f64,
}

/// What came of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Grouped {
    /// Nothing yet.
    Waits,
    /// A group is complete.
    Step(Step),
    /// The receiver has another clock: all that was learned of delays is void.
    AnotherClock,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: Instant,
    last_sent: Instant,
    first_arrived: i64,
    last_arrived: i64,
}

/// The group that fills, and the one before.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    before: Option<Group>,
}

impl Groups {
    /// Takes a packet that arrived; packets come in the order in which they left.
    pub(super) fn add(&mut self, sent: Instant, arrived: i64) -> Grouped {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::of(sent, arrived));
            return Grouped::Waits;
        };
        if sent < current.first_sent {
            // It is reported late: its group is over.
            return Grouped::Waits;
        }
        if current.takes(sent, arrived) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = current.last_arrived.max(arrived);
            return Grouped::Waits;
        }
        let done = *current;
        *current = Group::of(sent, arrived);
        let Some(before) = self.before.replace(done) else {
            return Grouped::Waits;
        };
        let sent_us = (done.last_sent - before.last_sent).as_micros() as i64;
        let arrived_us = done.last_arrived - before.last_arrived;
        if (arrived_us - sent_us).abs() > ANOTHER_CLOCK {
            *self = Groups::default();
            return Grouped::AnotherClock;
        }
        if arrived_us < 0 {
            // One group overtook the other.
            return Grouped::Waits;
        }
        Grouped::Step(Step {
            sent: sent_us as f64 / 1e3,
            arrived: arrived_us as f64 / 1e3,
            at: done.last_arrived as f64 / 1e3,
        })
    }
}

impl Group {
    fn of(sent: Instant, arrived: i64) -> Self {
        Group {
            first_sent: sent,
            last_sent: sent,
            first_arrived: arrived,
            last_arrived: arrived,
        }
    }

    fn takes(&self, sent: Instant, arrived: i64) -> bool {
        if (sent - self.first_sent).as_nanos() <= u128::from(SEND_SPAN) {
            return true;
        }
        let gap = arrived - self.last_arrived;
        let sent_gap = (sent - self.last_sent).as_micros() as i64;
        gap <= BURST_GAP && gap < sent_gap && arrived - self.first_arrived < BURST_SPAN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(packets: &[(u64, i64)]) -> Vec<Step> {
        let mut groups = Groups::default();
        let all = packets
            .iter()
            .map(|(ms, at)| groups.add(Instant::from_millis(*ms), at * 1_000));
        all.filter_map(|grouped| match grouped {
            Grouped::Step(step) => Some(step),
            _ => None,
        })
        .collect()
    }

    #[test]
    fn packets_of_one_frame_are_one_step() {
        let seen = steps(&[(0, 10), (2, 12), (20, 30), (21, 34), (40, 60), (60, 80)]);
        let first = Step {
            sent: 19.0,
            arrived: 22.0,
            at: 34.0,
        };
        assert_eq!(seen[0], first);
        assert_eq!((seen[1].sent, seen[1].arrived), (19.0, 26.0));
    }

    #[test]
    fn what_was_held_and_let_go_at_once_is_one_group() {
        // Those that left at 10, 20 and 30 arrive together.
        let seen = steps(&[(0, 5), (10, 40), (20, 41), (30, 41), (40, 50), (50, 60)]);
        assert_eq!((seen[0].sent, seen[0].arrived), (30.0, 36.0));
    }

    #[test]
    fn another_clock_is_noticed() {
        let mut groups = Groups::default();
        let mut last = Grouped::Waits;
        for (ms, at) in [(0, 0), (10, 10), (20, 90_000), (30, 90_010)] {
            last = groups.add(Instant::from_millis(ms), at * 1_000);
        }
        assert_eq!(last, Grouped::AnotherClock);
    }
}
