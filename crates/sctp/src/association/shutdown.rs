//! The end (RFC 9260 §9).
//!
//! 1. SHUTDOWN, once everything sent is acknowledged
//! 2. SHUTDOWN ACK, once the other side's is, too
//! 3. SHUTDOWN COMPLETE
//!
//! Or ABORT, by either side, at once.

use esp_wire::Instant;

use super::{Association, Phase, delivery::Notice};
use crate::{
    CloseReason, Error, PeerMisbehaved, Why,
    chunk::{
        self,
        control::{self, REFLECTED, cause},
        kind,
    },
};

impl Association {
    /// Ends the association after all messages were delivered (RFC 9260 §9.2);
    /// [`Event::Closed`](crate::Event::Closed) follows.
    pub fn shutdown(&mut self, now: Instant) {
        match self.phase {
            Phase::Established => {
                self.phase = Phase::ShutdownPending;
                for key in self.channels.keys() {
                    self.out.give_up_open(&mut self.channels, key);
                }
                self.guard_shutdown(now);
                self.pursue_shutdown(now);
            }
            Phase::Closed => self.end(CloseReason::Shutdown),
            Phase::CookieWait | Phase::CookieEchoed => self.abort(now, ""),
            _ => {}
        }
    }

    /// Ends the association at once with an ABORT that carries `reason` (RFC 9260 §9.1).
    pub fn abort(&mut self, _now: Instant, reason: &str) {
        if self.phase == Phase::Ended {
            return;
        }
        let text = &reason.as_bytes()[..reason.len().min(128)];
        self.abort_with(cause::USER_ABORT, text);
        self.end(CloseReason::Aborted);
    }

    fn abort_with(&mut self, cause: u16, text: &[u8]) {
        if self.peer.tag != 0 {
            let chunk = control::abort(0, Some((cause, text)));
            self.reply(self.peer.tag, &chunk);
        }
    }

    /// The peer broke the protocol: ABORT, and the end.
    pub(super) fn fail(&mut self, violation: PeerMisbehaved, cause: u16) {
        self.fail_with(violation, cause, &[]);
    }

    pub(super) fn fail_with(&mut self, violation: PeerMisbehaved, cause: u16, value: &[u8]) {
        self.abort_with(cause, value);
        self.end(CloseReason::PeerMisbehaved(violation));
    }

    /// The error that goes with the end, when the peer was to blame.
    pub(super) fn ended_by_peer(&self) -> Result<(), Error> {
        match &self.reason {
            CloseReason::PeerMisbehaved(violation) if self.phase == Phase::Ended => {
                Err(Error::PeerMisbehaved(*violation))
            }
            _ => Ok(()),
        }
    }

    /// Nothing goes on after this.
    pub(super) fn end(&mut self, reason: CloseReason) {
        if self.phase == Phase::Ended {
            return;
        }
        self.phase = Phase::Ended;
        self.timers.stop_all();
        self.control.clear();
        self.early.release();
        let clean = reason == CloseReason::Shutdown;
        self.reason = reason;
        if !clean {
            self.delivering.notify(Notice::Ended);
        }
        self.close_all_channels();
        if clean {
            self.delivering.deliver(Notice::Ended);
        }
        self.out.forget();
        self.inc.clear_incomplete();
    }

    fn guard_shutdown(&mut self, now: Instant) {
        // RFC 9260 §9.2: T5 is five times RTO.Max.
        self.timers
            .set(Why::ShutdownGuard, now + self.config.rto_max * 5);
    }

    /// The guard bounds the exchange at the end; while messages of either side still get through, it only
    /// bounds how long none does.
    pub(super) fn allow_shutdown_time(&mut self, now: Instant) {
        if matches!(self.phase, Phase::ShutdownPending | Phase::ShutdownReceived) {
            self.guard_shutdown(now);
        }
    }

    /// RFC 9260 §9.2: in SHUTDOWN-SENT every packet of the peer restarts T2, and DATA is answered by a
    /// SACK and another SHUTDOWN.
    pub(super) fn while_shutdown_sent(&mut self, now: Instant, has_data: bool) {
        self.liveness.note_success();
        self.timers.set(Why::Shutdown, now + self.out.rto.timeout());
        if has_data {
            self.guard_shutdown(now);
            self.inc.tracker.hurry();
            self.control.shutdown_due = true;
        }
    }

    /// Takes the next step once everything is acknowledged.
    pub(super) fn pursue_shutdown(&mut self, now: Instant) {
        if !self.out.is_drained() {
            return;
        }
        match self.phase {
            Phase::ShutdownPending => {
                self.phase = Phase::ShutdownSent;
                self.control.shutdown_due = true;
            }
            Phase::ShutdownReceived => {
                self.phase = Phase::ShutdownAckSent;
                self.control.shutdown_ack_due = true;
            }
            _ => return,
        }
        self.liveness.note_success();
        self.guard_shutdown(now);
        self.timers.set(Why::Shutdown, now + self.out.rto.timeout());
    }

    /// T2 expired.
    pub(super) fn repeat_shutdown(&mut self, now: Instant) {
        if !self.liveness.note_failure(self.config.max_retransmits) {
            self.end(CloseReason::Unreachable);
            return;
        }
        match self.phase {
            Phase::ShutdownSent => self.control.shutdown_due = true,
            Phase::ShutdownAckSent => self.control.shutdown_ack_due = true,
            _ => return,
        }
        self.out.rto.back_off();
        self.timers.set(Why::Shutdown, now + self.out.rto.timeout());
    }

    /// RFC 9260 §9.2: the peer will send no more.
    pub(super) fn on_shutdown(&mut self, now: Instant) {
        match self.phase {
            Phase::Established | Phase::ShutdownPending => {
                self.phase = Phase::ShutdownReceived;
                self.guard_shutdown(now);
                self.pursue_shutdown(now);
            }
            Phase::ShutdownSent => {
                self.phase = Phase::ShutdownAckSent;
                self.control.shutdown_ack_due = true;
                self.timers.set(Why::Shutdown, now + self.out.rto.timeout());
            }
            _ => {}
        }
    }

    /// RFC 9260 §9.2, §8.4 5 for one that belongs to nothing.
    pub(super) fn on_shutdown_ack(&mut self, tag: u32) {
        match self.phase {
            Phase::ShutdownSent | Phase::ShutdownAckSent => {
                let complete = chunk::encode(kind::SHUTDOWN_COMPLETE, 0, &[]);
                self.reply(self.peer.tag, &complete);
                self.end(CloseReason::Shutdown);
            }
            Phase::Closed | Phase::CookieWait | Phase::CookieEchoed | Phase::Ended => {
                let complete = chunk::encode(kind::SHUTDOWN_COMPLETE, REFLECTED, &[]);
                self.reply(tag, &complete);
            }
            _ => {}
        }
    }

    pub(super) fn on_shutdown_complete(&mut self) {
        if self.phase == Phase::ShutdownAckSent {
            self.end(CloseReason::Shutdown);
        }
    }

    pub(super) fn on_abort(&mut self, value: &[u8]) {
        if matches!(self.phase, Phase::Closed | Phase::Ended) {
            return;
        }
        let (cause, text) = control::first_cause(value);
        self.end(CloseReason::AbortedByPeer { cause, text });
    }
}
