//! The algorithm of RFC 9260 §7.2: additive increase, halving.

use esp_wire::Instant;

use super::{Acknowledged, Congestion, initial_window};

/// RFC 9260's congestion control.
#[derive(Clone, Debug)]
pub struct Reno {
    packet: usize,
    window: usize,
    threshold: usize,
    partial: usize,
    before: Option<(usize, usize)>,
}

impl Reno {
    /// A fresh window for packets of `packet_size` bytes.
    pub fn new(packet_size: usize) -> Self {
        Reno {
            packet: packet_size,
            window: initial_window(packet_size),
            threshold: usize::MAX,
            partial: 0,
            before: None,
        }
    }
}

impl Congestion for Reno {
    fn window(&self) -> usize {
        self.window
    }

    fn in_slow_start(&self) -> bool {
        self.window <= self.threshold
    }

    fn on_acknowledged(&mut self, _now: Instant, acknowledged: Acknowledged) {
        if acknowledged.in_recovery || !acknowledged.window_limited {
            return;
        }
        if self.in_slow_start() {
            // RFC 9260 §7.2.1 with RFC 3465's L = all: SACKs come once a train, not once a packet,
            // and pacing spreads what they release.
            self.window += acknowledged.bytes;
            return;
        }
        // RFC 9260 §7.2.2: one packet a window.
        self.partial += acknowledged.bytes;
        while self.partial >= self.window {
            self.partial -= self.window;
            self.window += self.packet;
        }
    }

    fn on_congestion(&mut self, _now: Instant) {
        self.before = Some((self.window, self.threshold));
        // RFC 9260 §7.2.3: ssthresh = max(cwnd / 2, 4 * PMDCS).
        self.threshold = (self.window / 2).max(4 * self.packet);
        self.window = self.threshold;
        self.partial = 0;
    }

    fn on_timeout(&mut self, _now: Instant) {
        self.before.get_or_insert((self.window, self.threshold));
        self.threshold = (self.window / 2).max(4 * self.packet);
        self.window = self.packet;
        self.partial = 0;
    }

    fn on_spurious(&mut self, _now: Instant) {
        if let Some((window, threshold)) = self.before.take() {
            self.window = self.window.max(window);
            self.threshold = threshold;
        }
    }

    fn set_packet_size(&mut self, bytes: usize) {
        self.packet = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(bytes: usize) -> Acknowledged {
        Acknowledged {
            bytes,
            rtt: None,
            window_limited: true,
            in_recovery: false,
            round_ended: false,
        }
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_packet() {
        let mut reno = Reno::new(1_000);
        reno.on_acknowledged(Instant::ZERO, ack(10_000));
        assert_eq!(reno.window(), 20_000);
        reno.on_congestion(Instant::ZERO);
        assert_eq!(reno.window(), 10_000);
        reno.threshold = 9_000;
        reno.on_acknowledged(Instant::ZERO, ack(10_000));
        assert_eq!(reno.window(), 11_000);
        reno.on_timeout(Instant::ZERO);
        assert_eq!(reno.window(), 1_000);
    }

    #[test]
    fn reductions_leave_four_packets_and_timeouts_one() {
        // RFC 9260 §7.2.3.
        let mut reno = Reno::new(1_000);
        reno.window = 100_000;
        reno.on_timeout(Instant::ZERO);
        assert_eq!((reno.window, reno.threshold), (1_000, 50_000));
        reno.on_congestion(Instant::ZERO);
        assert_eq!((reno.window, reno.threshold), (4_000, 4_000));
        reno.window = 6_000;
        reno.on_timeout(Instant::ZERO);
        assert_eq!((reno.window, reno.threshold), (1_000, 4_000));
    }

    #[test]
    fn growth_is_for_who_uses_the_window_and_carries_over() {
        let mut reno = Reno::new(1_000);
        reno.threshold = 9_000;
        for useless in [
            Acknowledged {
                window_limited: false,
                ..ack(50_000)
            },
            Acknowledged {
                in_recovery: true,
                ..ack(50_000)
            },
        ] {
            reno.on_acknowledged(Instant::ZERO, useless);
            assert_eq!(reno.window(), 10_000);
        }
        // RFC 9260 §7.2.2: what is more than a window counts for the next one.
        reno.on_acknowledged(Instant::ZERO, ack(15_000));
        assert_eq!(reno.window(), 11_000);
        reno.on_acknowledged(Instant::ZERO, ack(6_000));
        assert_eq!(reno.window(), 12_000);
    }

    #[test]
    fn an_unfounded_reduction_is_undone() {
        let mut reno = Reno::new(1_000);
        reno.on_congestion(Instant::ZERO);
        reno.on_spurious(Instant::ZERO);
        assert_eq!(reno.window(), 10_000);
        assert!(reno.in_slow_start());
    }
}
