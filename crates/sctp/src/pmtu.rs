//! The size of packets that the path takes (RFC 8899).
//!
//! 1. The base size is taken for granted; the search begins when the association is up.
//! 2. A probe is a HEARTBEAT padded with a PAD chunk (RFC 8899 §6.2), first of the largest size that
//!    is allowed, then between what is known to pass and what is known not to.
//! 3. Its answer raises the packet size at once; three probes without an answer rule a size out.
//! 4. The search ends when little is left to gain, and begins anew after ten minutes.
//! 5. Timeouts in a row with packets above the base are a black hole (§4.3): back to the base.

use std::time::Duration;

use esp_wire::{Instant, Rng};

/// RFC 8899 §5.1.2: probes of one size before it counts as too large.
const MAX_PROBES: u32 = 3;
/// RFC 8899 §5.1.1: the least time to wait for an answer.
const PROBE_TIMER: Duration = Duration::from_secs(1);
/// RFC 8899 §5.1.1: when a larger size is tried again.
const RAISE_TIMER: Duration = Duration::from_secs(600);
/// The search ends when less than this can be gained.
const WORTHWHILE: usize = 32;
/// Timeouts in a row that are a black hole.
const BLACK_HOLE: u32 = 2;

/// A probe that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Probe {
    size: usize,
    nonce: u64,
    sends: u32,
}

/// Search for the largest packet.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pmtu {
    base: usize,
    ceiling: usize,
    /// What passes, and what does not.
    passes: usize,
    fails: usize,
    /// What the network said would pass, until it is known; 0 for nothing.
    hint: usize,
    probe: Option<Probe>,
    due: bool,
    running: bool,
    timeouts: u32,
    pub(crate) probes: u64,
    pub(crate) black_holes: u64,
}

impl Pmtu {
    /// What the path takes without being asked, and what it may be asked for, in bytes.
    pub(crate) fn set_bounds(&mut self, base: usize, ceiling: usize) {
        if (base, ceiling) != (self.base, self.ceiling) {
            self.base = base;
            self.ceiling = ceiling.max(base);
            self.restart();
        }
    }

    /// Nothing is known of the path any more: back to the base, and a new search.
    pub(crate) fn restart(&mut self) {
        self.passes = self.base;
        self.fails = self.ceiling + 4;
        self.hint = 0;
        self.probe = None;
        self.due = self.running;
        self.timeouts = 0;
    }

    /// The association is up.
    pub(crate) fn begin(&mut self) {
        self.running = true;
        self.restart();
    }

    /// The size of packets to use.
    pub(crate) fn size(&self) -> usize {
        self.passes
    }

    /// The next size to try, when the search goes on.
    fn candidate(&self) -> Option<usize> {
        if self.hint > self.passes && self.hint < self.fails {
            return Some(self.hint);
        }
        if self.fails > self.ceiling {
            return (self.ceiling > self.passes).then_some(self.ceiling);
        }
        let middle = ((self.passes + self.fails) / 2) & !3;
        (self.fails - self.passes >= WORTHWHILE && middle > self.passes).then_some(middle)
    }

    /// True when a probe is to be sent now.
    pub(crate) fn is_due(&self) -> bool {
        self.due && self.ceiling > self.base
    }

    /// The size and the number of the probe to send now, and when its answer is overdue.
    pub(crate) fn probe(
        &mut self,
        now: Instant,
        rto: Duration,
        rng: &mut Rng,
    ) -> (Option<(usize, u64)>, Instant) {
        self.due = false;
        let Some(size) = self.candidate() else {
            return (None, now + RAISE_TIMER);
        };
        let sends = match self.probe {
            Some(probe) if probe.size == size => probe.sends + 1,
            _ => 1,
        };
        let nonce = rng.u64();
        self.probe = Some(Probe { size, nonce, sends });
        self.probes += 1;
        (Some((size, nonce)), now + PROBE_TIMER.max(rto))
    }

    /// True when a HEARTBEAT ACK answers the probe: its size passes, and the next may leave.
    pub(crate) fn answer(&mut self, nonce: u64) -> bool {
        match self.probe {
            Some(probe) if probe.nonce == nonce => {
                self.passes = self.passes.max(probe.size);
                self.probe = None;
                self.due = true;
                self.timeouts = 0;
                true
            }
            _ => false,
        }
    }

    /// The timer expired: the probe was not answered, or it is time for a new search.
    pub(crate) fn on_timer(&mut self) {
        self.due = true;
        match self.probe {
            Some(probe) if probe.sends >= MAX_PROBES => {
                self.fails = probe.size;
                self.probe = None;
            }
            Some(_) => {}
            None => self.fails = self.ceiling + 4,
        }
    }

    /// The network said that packets of more than `size` bytes do not pass. It may be wrong or forged:
    /// nothing goes below the base, and what is said to pass is tried first (RFC 8899 §4.6.2). True when
    /// packets in use are too large.
    pub(crate) fn on_too_big(&mut self, size: usize) -> bool {
        let size = size.max(self.base) & !3;
        if size + 4 >= self.fails {
            return false;
        }
        self.fails = size + 4;
        self.hint = size;
        self.probe = None;
        self.due = self.running;
        let too_large = self.passes > size;
        if too_large {
            self.passes = self.base;
            self.timeouts = 0;
        }
        too_large
    }

    /// Packets of the size in use arrive.
    pub(crate) fn on_progress(&mut self) {
        self.timeouts = 0;
    }

    /// The retransmission timer expired; true when packets of the size in use vanish.
    pub(crate) fn on_timeout(&mut self) -> bool {
        if self.passes <= self.base {
            return false;
        }
        self.timeouts += 1;
        if self.timeouts < BLACK_HOLE {
            return false;
        }
        self.black_holes += 1;
        self.fails = self.passes;
        self.passes = self.base;
        self.probe = None;
        self.timeouts = 0;
        // The search goes on below what has vanished.
        self.due = true;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a search over a path that takes `path` bytes; returns what it found and the probes.
    fn search(pmtu: &mut Pmtu, path: usize) -> (usize, u64) {
        let mut rng = Rng::new([1; 32]);
        let before = pmtu.probes;
        while pmtu.is_due() {
            let (probe, _) = pmtu.probe(Instant::ZERO, Duration::ZERO, &mut rng);
            match probe {
                Some((size, nonce)) if size <= path => assert!(pmtu.answer(nonce)),
                Some(_) => pmtu.on_timer(),
                None => break,
            }
        }
        (pmtu.size(), pmtu.probes - before)
    }

    fn pmtu() -> Pmtu {
        let mut pmtu = Pmtu::default();
        pmtu.set_bounds(1_160, 8_900);
        pmtu.begin();
        pmtu
    }

    #[test]
    fn the_search_finds_what_passes() {
        assert_eq!(search(&mut pmtu(), 9_000), (8_900, 1));
        for path in [1_160, 1_200, 1_432, 4_000, 8_896] {
            let (found, probes) = search(&mut pmtu(), path);
            assert!(
                found <= path && found + WORTHWHILE >= path,
                "{path}: {found}"
            );
            assert!(probes <= 30, "{path}: {probes}");
        }
    }

    #[test]
    fn a_black_hole_leads_back_to_the_base() {
        let mut pmtu = pmtu();
        search(&mut pmtu, 1_432);
        assert!(!pmtu.on_timeout());
        pmtu.on_progress();
        assert!(!pmtu.on_timeout());
        assert!(pmtu.on_timeout());
        assert_eq!(pmtu.size(), 1_160);
        assert!(search(&mut pmtu, 1_300).0 <= 1_300);
    }

    #[test]
    fn after_a_while_larger_sizes_are_tried_again() {
        let mut pmtu = pmtu();
        search(&mut pmtu, 1_432);
        pmtu.on_timer();
        assert_eq!(search(&mut pmtu, 9_000).0, 8_900);
    }

    #[test]
    fn word_of_the_network_shortens_the_search_and_never_goes_below_the_base() {
        let mut pmtu = pmtu();
        search(&mut pmtu, 8_900);
        assert!(pmtu.on_too_big(1_399));
        assert_eq!(pmtu.size(), 1_160);
        assert_eq!(search(&mut pmtu, 1_399), (1_396, 1));
        assert!(!pmtu.on_too_big(1_500));
        assert!(pmtu.on_too_big(0));
        assert_eq!(search(&mut pmtu, 9_000), (1_160, 0));
        // Forged word is believed until the next search.
        pmtu.on_timer();
        assert_eq!(search(&mut pmtu, 9_000).0, 8_900);
    }

    #[test]
    fn without_anything_to_gain_nothing_is_probed() {
        let mut pmtu = Pmtu::default();
        pmtu.set_bounds(1_160, 1_160);
        pmtu.begin();
        assert!(!pmtu.is_due());
    }
}
