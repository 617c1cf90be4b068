//! What losses say: whether they come from sending too much, or belong to the path.
//!
//! 1. Losses are counted over a window of packets.
//! 2. When they exceed what belongs to the path, less is sent: what arrived, and a little less.
//! 3. The next window is the trial. With fewer losses the path was full; with as many they belong to the
//!    path (radio), the bitrate is given back, and only more losses than these count from then on.

use std::time::Duration;

use esp_wire::Instant;

use super::PacketReport;

/// A window has so many packets and lasts so long, or is as long as the latter with fewer packets.
const PACKETS: u32 = 60;
const SPAN: Duration = Duration::from_millis(500);
const FEW_PACKETS: u32 = 20;
const LONG_SPAN: Duration = Duration::from_secs(2);
/// Losses beyond those of the path that are tolerated.
const TOLERANCE: f64 = 0.05;
/// Losses that chance may add, in standard deviations.
const CHANCE: f64 = 2.5;
/// No path is thought to lose more than this by itself.
const MOST_INHERENT: f64 = 0.2;
/// What is left of the throughput.
const BACKOFF: f64 = 0.95;
/// So many percent of the throughput are less than before.
const LOWERED: u64 = 97;

/// What is to be done about losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// Send no more than this.
    Lower(u64),
    /// The path was full at this throughput, as lowering showed.
    Full(u64),
    /// Lowering was of no use: go back to this.
    Restore(u64),
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    loss: f64,
    acked: u64,
    before: u64,
}

/// Counts losses and judges them.
#[derive(Clone, Debug)]
pub(super) struct LossControl {
    received: u32,
    lost: u32,
    began: Option<Instant>,
    /// Packets that left before this do not count.
    since: Instant,
    inherent: f64,
    latest: f64,
    trial: Option<Trial>,
}

impl LossControl {
    pub(super) fn new() -> Self {
        LossControl {
            received: 0,
            lost: 0,
            began: None,
            since: Instant::ZERO,
            inherent: 0.0,
            latest: 0.0,
            trial: None,
        }
    }

    /// Share of packets lost in the last window.
    pub(super) fn latest(&self) -> f64 {
        self.latest
    }

    /// Counts a packet.
    pub(super) fn note(&mut self, packet: &PacketReport) {
        if packet.sent < self.since {
            return;
        }
        match packet.arrived {
            None => self.lost += 1,
            Some(_) => {
                self.received += 1;
                self.lost = self.lost.saturating_sub(u32::from(packet.was_missing));
            }
        }
    }

    /// Judges at the end of a window; `acked` is what arrives now, `bitrate` what may be sent.
    pub(super) fn judge(&mut self, now: Instant, acked: Option<u64>, bitrate: u64) -> Verdict {
        let began = *self.began.get_or_insert(now);
        let packets = self.received + self.lost;
        let enough = packets >= PACKETS && now - began >= SPAN;
        let late = packets >= FEW_PACKETS && now - began >= LONG_SPAN;
        let Some(acked) = acked.filter(|_| enough || late) else {
            return Verdict::Fine;
        };
        let loss = f64::from(self.lost) / f64::from(packets);
        self.latest = loss;
        (self.received, self.lost, self.began) = (0, 0, Some(now));
        if let Some(trial) = self.trial.take() {
            return self.conclude(now, loss, acked, trial);
        }
        let chance = CHANCE * (self.inherent * (1.0 - self.inherent) / f64::from(packets)).sqrt();
        if loss <= self.inherent + chance.max(TOLERANCE) {
            // What the path loses by itself may become less.
            self.inherent += 0.2 * (loss.min(self.inherent) - self.inherent);
            return Verdict::Fine;
        }
        self.trial = Some(Trial {
            loss,
            acked,
            before: bitrate,
        });
        self.since = now;
        Verdict::Lower((acked as f64 * BACKOFF) as u64)
    }

    fn conclude(&mut self, now: Instant, loss: f64, acked: u64, trial: Trial) -> Verdict {
        if loss <= trial.loss / 2.0 || trial.loss > MOST_INHERENT + TOLERANCE {
            return Verdict::Full(trial.acked);
        }
        if acked * 100 > trial.acked * LOWERED {
            // As much arrives as before: less was not sent yet.
            self.trial = Some(trial);
            self.since = now;
            return Verdict::Lower((acked as f64 * BACKOFF * BACKOFF) as u64);
        }
        self.inherent = loss.min(trial.loss).min(MOST_INHERENT);
        Verdict::Restore(trial.before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Windows of 100 packets, of which every so many-th is lost while so much arrives, and what was said at
    /// their ends.
    fn windows(loss: &mut LossControl, windows: &[(u64, u64)]) -> Vec<Verdict> {
        let mut said = Vec::new();
        for (window, (every, acked)) in windows.iter().enumerate() {
            let began = 600 * window as u64;
            for index in 0..100 {
                let at = Instant::from_millis(began + index * 6);
                loss.note(&PacketReport {
                    sent: at,
                    size: 1_000,
                    arrived: (index % every != 0).then_some(0),
                    was_missing: false,
                    probe: None,
                });
                loss.judge(at, None, 0);
            }
            let end = Instant::from_millis(began + 600);
            said.push(loss.judge(end, Some(*acked), 1_000_000));
        }
        said
    }

    #[test]
    fn a_full_path_is_told_from_a_path_that_loses() {
        let mut loss = LossControl::new();
        let (full, less) = (900_000, 855_000);
        let said = windows(
            &mut loss,
            &[(50, full), (10, full), (8, full), (200, less), (50, less)],
        );
        let heeded = [
            Verdict::Fine,
            Verdict::Lower(855_000),
            // Nothing was lowered yet.
            Verdict::Lower(812_250),
            Verdict::Full(900_000),
            Verdict::Fine,
        ];
        assert_eq!(said, heeded);
        let mut loss = LossControl::new();
        let said = windows(
            &mut loss,
            &[(10, full), (10, less), (10, full), (9, full), (3, full)],
        );
        let lossy = [
            Verdict::Lower(855_000),
            Verdict::Restore(1_000_000),
            Verdict::Fine,
            Verdict::Fine,
            Verdict::Lower(855_000),
        ];
        assert_eq!(said, lossy);
    }

    #[test]
    fn what_comes_late_was_not_lost() {
        let mut loss = LossControl::new();
        for index in 0..100 {
            let mut packet = PacketReport {
                sent: Instant::from_millis(index * 10),
                size: 1_000,
                arrived: None,
                was_missing: false,
                probe: None,
            };
            loss.note(&packet);
            packet.arrived = Some(0);
            packet.was_missing = true;
            loss.note(&packet);
        }
        loss.judge(Instant::ZERO, Some(1), 1);
        let said = loss.judge(Instant::from_millis(1_000), Some(1), 1);
        assert_eq!((said, loss.latest()), (Verdict::Fine, 0.0));
    }
}
