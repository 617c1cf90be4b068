//! The bitrate for peers that tell losses only (draft-ietf-rmcat-gcc-02 §6).

use super::LossReport;

/// Below this share of losses the bound is lifted, above that it is lowered.
const FEW: f64 = 0.02;
const MANY: f64 = 0.1;
/// Growth of the bound with each report.
const GROWTH: f64 = 1.05;

/// A bound that losses set; none while there are few.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossBound {
    bound: Option<f64>,
}

impl LossBound {
    /// Takes the next report and gives the bound in bits a second.
    pub(super) fn on_report(&mut self, report: LossReport) -> Option<u64> {
        let sent = report.sent_bitrate as f64;
        let lost = report.fraction_lost.clamp(0.0, 1.0);
        if lost > MANY {
            let before = self.bound.unwrap_or(sent).min(sent);
            self.bound = Some(before * (1.0 - lost / 2.0));
        } else if lost < FEW {
            // Where twice as much is allowed as is used, it bounds nothing any more.
            self.bound = self
                .bound
                .map(|bound| bound * GROWTH)
                .filter(|bound| *bound < 2.0 * sent.max(1.0));
        }
        self.bound.map(|bound| bound as u64)
    }

    /// The bound in bits a second.
    pub(super) fn bound(&self) -> Option<u64> {
        self.bound.map(|bound| bound as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(fraction_lost: f64, sent_bitrate: u64) -> LossReport {
        LossReport {
            fraction_lost,
            sent_bitrate,
        }
    }

    #[test]
    fn many_losses_lower_it_and_few_lift_it() {
        let mut bound = LossBound::default();
        assert_eq!(bound.on_report(report(0.0, 1_000_000)), None);
        assert_eq!(bound.on_report(report(0.05, 1_000_000)), None);
        assert_eq!(bound.on_report(report(0.2, 1_000_000)), Some(900_000));
        assert_eq!(bound.on_report(report(0.05, 900_000)), Some(900_000));
        assert_eq!(bound.on_report(report(0.0, 900_000)), Some(945_000));
        let mut reports = 0;
        while bound.on_report(report(0.0, 900_000)).is_some() {
            reports += 1;
        }
        assert!((10..20).contains(&reports), "{reports}");
    }
}
