//! All timers of an association in one table.

use esp_wire::{Deadline, Instant};

/// Why an association wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// INIT or COOKIE ECHO is sent again (T1, RFC 9260 §5.1).
    Handshake,
    /// Nothing was acknowledged for a timeout (T3-rtx, RFC 9260 §6.3).
    Retransmit,
    /// The tail of a burst is probed (RFC 8985 §7).
    Probe,
    /// Packets overtaken by later ones count as lost (RFC 8985 §6).
    Reorder,
    /// A delayed SACK is due (RFC 9260 §6.2).
    Sack,
    /// A heartbeat is due or was not answered (RFC 9260 §8.3).
    Heartbeat,
    /// A RE-CONFIG was not answered (RFC 6525 §5.1.1).
    Reconfig,
    /// SHUTDOWN or SHUTDOWN ACK is sent again (T2, RFC 9260 §9.2).
    Shutdown,
    /// The shutdown takes too long (T5, RFC 9260 §9.2).
    ShutdownGuard,
    /// A probe of the path's MTU was not answered, or the next is due (RFC 8899 §5.1.1).
    PathMtu,
    /// The next paced burst may leave.
    Pacing,
    /// Free buffers are given back.
    Idle,
}

impl Why {
    const ALL: [Why; 12] = [
        Why::Handshake,
        Why::Retransmit,
        Why::Probe,
        Why::Reorder,
        Why::Sack,
        Why::Heartbeat,
        Why::Reconfig,
        Why::Shutdown,
        Why::ShutdownGuard,
        Why::PathMtu,
        Why::Pacing,
        Why::Idle,
    ];
}

/// The table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    at: [Option<Instant>; Why::ALL.len()],
}

impl Timers {
    pub(crate) fn set(&mut self, why: Why, at: Instant) {
        self.at[why as usize] = Some(at);
    }

    pub(crate) fn stop(&mut self, why: Why) {
        self.at[why as usize] = None;
    }

    pub(crate) fn stop_all(&mut self) {
        self.at = Default::default();
    }

    pub(crate) fn is_set(&self, why: Why) -> bool {
        self.at[why as usize].is_some()
    }

    /// Takes one timer that is due.
    pub(crate) fn expired(&mut self, now: Instant) -> Option<Why> {
        let why = Why::ALL
            .into_iter()
            .find(|why| self.at[*why as usize].is_some_and(|at| at <= now))?;
        self.stop(why);
        Some(why)
    }

    pub(crate) fn next(&self) -> Option<Deadline<Why>> {
        Why::ALL
            .into_iter()
            .filter_map(|why| self.at[why as usize].map(|at| Deadline { at, why }))
            .min_by_key(|deadline| deadline.at)
    }
}
