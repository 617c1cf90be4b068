//! Congestion control behind one small trait: RFC 9260's, CUBIC, and a tolerant CUBIC as the default.
//!
//! Loss detection and the accounting of bytes in flight are the sender's; an algorithm only keeps
//! the window. CUBIC (RFC 9438) regains a large window after a loss in time that does not depend on
//! the round trip, which RFC 9260's additive increase does not, and shares fairly with the TCP and
//! QUIC flows beside it, most of which run it too. But devices hang on radio links, where packets
//! get lost without any queue being full, and there every window that a loss always reduces is tiny:
//! 1 % of loss leaves CUBIC 6 of 100 Mbit/s at a round trip of 20 ms. [`Tolerant`], the default, starts
//! and reduces as CUBIC does where a queue overflows, and keeps its window where round trips show that none
//! did. (A model of the path as in BBR would do so too, but takes what it likes from flows that obey
//! loss.) Its growth is additive, since shares become equal by that much sooner than along CUBIC's curve.
//!
//! Proportional rate reduction (RFC 6937, RFC 9937) is not used: it keeps a sender from falling silent,
//! or sending a burst, while what is in flight falls to the reduced window. Here the pacer spreads
//! packets in any case, the first packet after a reduction leaves at once, reductions are by 30 % at
//! most, and in the default not at all where no queue was full.

mod cubic;
mod pacer;
mod reno;
mod tolerant;
mod watch;

use std::{fmt, time::Duration};

use esp_wire::Instant;

pub use cubic::Cubic;
pub(crate) use pacer::Pacer;
pub use reno::Reno;
pub use tolerant::Tolerant;

/// What a SACK newly acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged {
    /// Bytes, chunk headers included.
    pub bytes: usize,
    /// The round-trip sample of this SACK, when it has one.
    pub rtt: Option<Duration>,
    /// The window was the limit of sending, so that its growth is justified.
    pub window_limited: bool,
    /// Packets lost before the last recovery began are still being repaired.
    pub in_recovery: bool,
    /// A round trip has passed since the last round began.
    pub round_ended: bool,
}

/// Keeps the congestion window of one path.
pub trait Congestion: fmt::Debug + Send {
    /// Bytes that may be in flight.
    fn window(&self) -> usize;

    /// True while the window grows exponentially.
    fn in_slow_start(&self) -> bool;

    /// A SACK acknowledged new data.
    fn on_acknowledged(&mut self, now: Instant, acknowledged: Acknowledged);

    /// The first loss of a round trip was noticed.
    fn on_congestion(&mut self, now: Instant);

    /// A queue marked a packet, at most once a round trip (RFC 3168): the same as a loss, unless an
    /// algorithm knows better.
    fn on_marked(&mut self, now: Instant) {
        self.on_congestion(now);
    }

    /// So many chunks were noticed to be lost; comes before [`Congestion::on_congestion`].
    fn on_lost(&mut self, _chunks: usize) {}

    /// The retransmission timer expired.
    fn on_timeout(&mut self, now: Instant);

    /// The last reductions turned out to be unfounded: the packets had only been late.
    fn on_spurious(&mut self, now: Instant);

    /// The path takes packets of another size.
    fn set_packet_size(&mut self, bytes: usize);
}

/// The algorithms that come with the crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 9438 with an early exit from slow start (RFC 9406).
    Cubic,
    /// RFC 9260 §7.2.
    Reno,
    /// CUBIC that does not take every loss for a full queue.
    #[default]
    Tolerant,
}

impl Algorithm {
    pub(crate) fn build(self, packet_size: usize) -> Box<dyn Congestion> {
        match self {
            Algorithm::Cubic => Box::new(Cubic::new(packet_size)),
            Algorithm::Reno => Box::new(Reno::new(packet_size)),
            Algorithm::Tolerant => Box::new(Tolerant::new(packet_size)),
        }
    }
}

/// RFC 6928: ten packets to start with.
fn initial_window(packet_size: usize) -> usize {
    10 * packet_size
}
