//! Runs the timers; keeps watch over the peer (RFC 9260 §8).

use std::time::Duration;

use esp_wire::Instant;

use super::{Association, Phase};
use crate::{CloseReason, Why, chunk, chunk::kind};

/// How long a peer may delay its SACK (RFC 9260 §6.2).
pub(super) const PEER_SACK_DELAY: Duration = Duration::from_millis(200);
/// Free memory is given back after this time without data in flight.
const IDLE: Duration = Duration::from_secs(5);

/// Failures in a row, and the heartbeat in flight.
#[derive(Debug, Default)]
pub(super) struct Liveness {
    failures: u32,
    nonce: Option<u64>,
    active_at: Option<Instant>,
    /// What had been sent and received when the wait for idleness began.
    passed: (u64, u64),
    /// When memory was looked through last.
    swept_at: Option<Instant>,
}

impl Liveness {
    pub(super) fn begin(&mut self) {
        *self = Liveness::default();
    }

    /// Counts a failure; false when there were more than `limit` in a row.
    pub(super) fn note_failure(&mut self, limit: u32) -> bool {
        self.failures += 1;
        self.failures <= limit
    }

    pub(super) fn note_success(&mut self) {
        self.failures = 0;
    }

    pub(super) fn note_activity(&mut self, now: Instant) {
        self.active_at = Some(now);
    }

    /// True when the heartbeat in flight was answered.
    pub(super) fn answer(&mut self, nonce: u64) -> bool {
        let right = self.nonce == Some(nonce);
        if right {
            self.nonce = None;
            self.failures = 0;
        }
        right
    }
}

impl Association {
    /// Runs the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(why) = self.timers.expired(now) {
            match why {
                Why::Handshake => self.repeat_handshake(now),
                Why::Retransmit => self.on_retransmit_timer(now),
                Why::Probe => self.out.probe_tail(),
                Why::Reorder => {
                    self.out.find_losses(&mut self.channels, now);
                    self.after_progress(now);
                }
                Why::Sack => self.inc.tracker.hurry(),
                Why::Heartbeat => self.on_heartbeat_timer(now),
                Why::Reconfig => self.repeat_reconfig(now),
                Why::Shutdown => self.repeat_shutdown(now),
                Why::ShutdownGuard => self.abort(now, "the shutdown takes too long"),
                Why::PathMtu => self.pmtu.on_timer(),
                Why::Pacing => {}
                Why::Idle => self.on_idle(now),
            }
        }
        self.arm(now);
    }

    /// T3-rtx (RFC 9260 §6.3.3).
    fn on_retransmit_timer(&mut self, now: Instant) {
        self.timers.stop(Why::Probe);
        if !self.out.is_probing_window() {
            let last = self.out.packets() - 1;
            self.marks.on_timeout(last, self.out.last_tsn());
        }
        self.out.on_timeout(&mut self.channels, now);
        if self.pmtu.on_timeout() {
            self.follow_size();
        }
        if self.note_failure() {
            self.after_progress(now);
        }
    }

    /// Memory is given back when nothing has passed since the timer was set: a flow that waits for its
    /// application is drained again and again.
    fn on_idle(&mut self, now: Instant) {
        let passed = self.passed();
        let still = std::mem::replace(&mut self.liveness.passed, passed) == passed;
        match still && self.out.is_drained() && self.inc.is_idle() {
            true => {
                self.out.release_memory();
                self.inc.pool.release();
                self.early.release();
                // The first forgets what was needed before, of which nothing is now.
                self.sweep(now);
                self.sweep(now);
            }
            false if self.out.store.pool_is_empty() && self.inc.pool.is_empty() => {}
            false => self.timers.set(Why::Idle, now + IDLE),
        }
    }

    /// Looks through memory every few seconds of traffic, too, lest a burst before it keep what it needed.
    pub(super) fn sweep_in_turn(&mut self, now: Instant) {
        let swept = *self.liveness.swept_at.get_or_insert(now);
        if now.since(swept) >= IDLE {
            self.sweep(now);
        }
    }

    /// Gives memory back that was not needed since the last time.
    fn sweep(&mut self, now: Instant) {
        self.liveness.swept_at = Some(now);
        let channels = self.channels.len();
        self.channels.give_back();
        self.out.give_back(channels);
        self.inc.give_back();
        self.delivering.give_back();
        self.reconfig.give_back(channels);
        self.control.give_back(channels);
    }

    /// What was sent and received so far.
    fn passed(&self) -> (u64, u64) {
        (self.out.packets(), self.inc.tracker.cumulative())
    }

    /// Begins to wait for an association without traffic.
    pub(super) fn await_idleness(&mut self, now: Instant) {
        self.liveness.passed = self.passed();
        self.timers.set(Why::Idle, now + IDLE);
    }

    /// RFC 9260 §8.3: the interval, the timeout, and some jitter.
    pub(super) fn schedule_heartbeat(&mut self, now: Instant) {
        let Some(interval) = self.config.heartbeat_interval else {
            return;
        };
        let rto = self.out.rto.timeout();
        let jitter = self.rng.below(rto.as_nanos() as u64);
        let wait = interval + rto / 2 + Duration::from_nanos(jitter);
        self.timers.set(Why::Heartbeat, now + wait);
    }

    fn on_heartbeat_timer(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Established | Phase::ShutdownPending) {
            return;
        }
        if self.liveness.nonce.is_some() {
            // The one before was not answered within its timeout.
            if !self.liveness.note_failure(self.config.max_retransmits) {
                self.end(CloseReason::Unreachable);
                return;
            }
            self.out.rto.back_off();
        } else if let (Some(active), Some(interval)) =
            (self.liveness.active_at, self.config.heartbeat_interval)
            && now.since(active) < interval
        {
            self.schedule_heartbeat(now);
            return;
        }
        let nonce = self.rng.u64();
        self.liveness.nonce = Some(nonce);
        self.control.push(heartbeat(now, nonce));
        self.timers
            .set(Why::Heartbeat, now + self.out.rto.timeout());
    }
}

/// A HEARTBEAT whose info holds when it was sent and a number that only we know.
pub(super) fn heartbeat(now: Instant, nonce: u64) -> Vec<u8> {
    let mut info = [0; 16];
    info[..8].copy_from_slice(&now.as_nanos().to_be_bytes());
    info[8..].copy_from_slice(&nonce.to_be_bytes());
    let mut value = Vec::with_capacity(20);
    chunk::put_parameter(&mut value, 1, &info);
    chunk::encode(kind::HEARTBEAT, 0, &value)
}
