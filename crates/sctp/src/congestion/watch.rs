//! What a path is like: its least round trip, and what it loses whatever is sent.

use std::time::Duration;

use esp_wire::Instant;

use super::cubic::BETA;

/// How long a least round trip is believed: one to two times this.
const MEMORY: Duration = Duration::from_secs(120);
/// Packets over which loss is measured.
const SPAN: f64 = 512.0;
/// Lost packets that are enough to measure by.
const ENOUGH: u64 = 32;
/// Packets that would be lost during a trial if it were in vain.
const DECISIVE: f64 = 24.0;
/// Loss beyond twice the background that is a sign of its own.
const EXCESS: f64 = 0.03;
/// What the background may at most be exceeded by besides.
const MORE: f64 = 0.1;
/// Rounds after a reduction before its effect is seen.
pub(super) const SETTLING: u32 = 2;
/// Packets after which older losses by chance count half.
const FADING: f64 = 8_192.0;
/// Losses by chance that are no chance.
const SEVERAL: f64 = 2.0;
/// Loss by chance that keeps a flow which halves at each from filling a window of 60 packets.
const USUAL: f64 = 0.000_4;

/// The least round trip over the last minutes, in two halves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Least {
    began: Option<Instant>,
    before: Option<Duration>,
    current: Option<Duration>,
}

impl Least {
    pub(super) fn sample(&mut self, now: Instant, rtt: Duration) {
        let began = *self.began.get_or_insert(now);
        if now.since(began) > MEMORY {
            self.began = Some(now);
            self.before = self.current.take();
        }
        self.current = Some(self.current.map_or(rtt, |least| least.min(rtt)));
    }

    pub(super) fn value(&self) -> Option<Duration> {
        self.before.into_iter().chain(self.current).min()
    }
}

/// Loss over spans of packets.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Watch {
    pub(super) lost: u64,
    pub(super) arrived: u64,
    /// What the path loses whatever we do.
    background: f64,
    /// The loss that the window was reduced for before the span began, which may be taken back.
    on_trial: Option<f64>,
    /// Rounds until the next span begins.
    settling: u32,
}

/// What a span of packets says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Unremarkable,
    /// More is lost than before.
    Excess,
    /// The last reduction changed nothing.
    InVain,
}

impl Watch {
    /// True while a reduction may still prove to be in vain.
    pub(super) fn is_trying(&self) -> bool {
        self.on_trial.is_some()
    }

    pub(super) fn judge(&mut self) -> Verdict {
        if self.settling > 0 {
            self.settling -= 1;
            self.lost = 0;
            self.arrived = 0;
            return Verdict::Unremarkable;
        }
        let packets = (self.lost + self.arrived) as f64;
        let expected = self
            .on_trial
            .map_or(packets / SPAN, |before| packets * before / DECISIVE);
        if expected < 1.0 && self.lost < ENOUGH {
            return Verdict::Unremarkable;
        }
        let rate = self.lost as f64 / packets;
        self.lost = 0;
        self.arrived = 0;
        if let Some(before) = self.on_trial.take() {
            // Between no effect and the effect on a link that was simply overrun, nearer to the latter since a trial
            // begins when more than the usual was lost; yet more loss is not the path's own either.
            let overrun = (1.0 - (1.0 - before) / BETA).max(0.0);
            if ((before + 2.0 * overrun) / 3.0..1.5 * before + EXCESS).contains(&rate) {
                self.background = rate;
                return Verdict::InVain;
            }
            // What is still lost is not the window's, within reason.
            self.background = self.background.max(rate.min(EXCESS));
        }
        if rate > (2.0 * self.background).min(self.background + MORE) + EXCESS {
            self.on_trial = Some(rate);
            self.settling = SETTLING;
            return Verdict::Excess;
        }
        if rate < self.background {
            self.background += (rate - self.background) / 8.0;
        }
        Verdict::Unremarkable
    }
}

/// Losses at which no queue was felt.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chance {
    lost: f64,
    seen: f64,
}

impl Chance {
    /// So many packets arrived.
    pub(super) fn note_arrived(&mut self, packets: u64) {
        self.seen += packets as f64;
        if self.seen > FADING {
            self.seen /= 2.0;
            self.lost /= 2.0;
        }
    }

    /// So many were lost without a queue.
    pub(super) fn note_lost(&mut self, packets: usize) {
        self.lost += packets as f64;
        self.seen += packets as f64;
    }

    /// True when the path loses so much by itself that no flow that takes each loss for a full queue could
    /// be harmed here.
    pub(super) fn is_usual(&self) -> bool {
        self.lost >= SEVERAL && self.lost > USUAL * self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A round of a thousand packets of which so many were lost.
    fn round(watch: &mut Watch, lost: u64) -> Verdict {
        watch.lost += lost;
        watch.arrived += 1_000 - lost;
        watch.judge()
    }

    fn tried(lost: u64) -> Watch {
        let mut watch = Watch::default();
        assert_eq!(round(&mut watch, lost), Verdict::Excess);
        // What was sent before the reduction says nothing of it.
        for _ in 0..SETTLING {
            assert_eq!(round(&mut watch, lost), Verdict::Unremarkable);
        }
        assert!(watch.is_trying());
        watch
    }

    #[test]
    fn a_path_that_loses_whatever_is_sent_is_remembered() {
        let mut watch = tried(100);
        assert_eq!(round(&mut watch, 100), Verdict::InVain);
        assert!(!watch.is_trying());
        assert_eq!(round(&mut watch, 150), Verdict::Unremarkable);
        assert_eq!(round(&mut watch, 300), Verdict::Excess);
    }

    #[test]
    fn a_reduction_that_helped_is_not_in_vain() {
        let mut watch = tried(100);
        assert_eq!(round(&mut watch, 5), Verdict::Unremarkable);
        assert!(!watch.is_trying());
        assert_eq!(round(&mut watch, 100), Verdict::Excess);
    }
}
