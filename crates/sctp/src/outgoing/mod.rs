//! Everything on its way out: queued messages, what is in flight, and how much may be.
//!
//! 1. `send` copies a message into the store ([`queue`]) and gives its channel a turn
//!    ([`scheduler`]).
//! 2. [`transmit`] lays fragments ([`fragment`]) straight from the store into packets, as far as both windows go.
//! 3. A SACK ([`acknowledge`]) frees what arrived, finds what was lost ([`recovery`]) and moves the
//!    congestion window.
//! 4. What is given up is skipped by FORWARD-TSN ([`abandon`]).

mod abandon;
mod acknowledge;
mod flight;
mod fragment;
pub(crate) mod queue;
mod recovery;
mod scheduler;
mod transmit;
mod unfinished;

use std::time::Duration;

use esp_wire::Instant;

use crate::{
    Config, Stats,
    channel::{Channel, Channels},
    chunk::data::{DATA_HEADER, I_DATA_HEADER},
    congestion::{Congestion, Pacer},
    packet::HEADER,
    ranges::Ranges,
    rto::Rto,
    surplus,
};
use abandon::Skipping;
use flight::Flight;
use queue::Store;
use recovery::Recovery;
use scheduler::{Claim, Scheduler};
use unfinished::Unfinished;

pub(crate) use transmit::Stop;
pub(crate) use unfinished::Limit;

/// The sending half of an association.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) store: Store,
    flight: Flight,
    scheduler: Scheduler,
    /// The channel whose message is on its way in DATA chunks, which nothing may interrupt.
    current: Option<u32>,
    recovery: Recovery,
    congestion: Box<dyn Congestion>,
    pacer: Pacer,
    pacing: bool,
    pub(crate) rto: Rto,
    peer_window: usize,
    /// The number of the next packet with data; the first is 1.
    next_packet: u64,
    interleaved: bool,
    partial: bool,
    skipping: Skipping,
    unfinished: Unfinished,
    packet_size: usize,
    /// The congestion window was what stopped the last train.
    window_limited: bool,
    /// One packet may leave although the window is full.
    grace: bool,
    probe_due: bool,
    reorder_at: Option<Instant>,
    scratch: Scratch,
    counts: Counts,
}

/// Memory that SACK processing uses again and again.
#[derive(Debug, Default)]
struct Scratch {
    seen: Ranges,
    fresh: Vec<(u64, u64)>,
    lost: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    retransmitted: u64,
    abandoned: u64,
    congestion: u64,
    spurious: u64,
    timeouts: u64,
}

/// What the handshake settled for the sending half.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) first_tsn: u64,
    pub(crate) peer_window: u32,
    pub(crate) interleaved: bool,
    pub(crate) partial: bool,
}

impl Outgoing {
    pub(crate) fn new(config: &Config, now: Instant, packet_size: usize) -> Self {
        Outgoing {
            store: Store::new(config.send_buffer),
            flight: Flight::new(1, DATA_HEADER),
            scheduler: Scheduler::new(config.scheduling),
            current: None,
            recovery: Recovery::new(),
            congestion: config.congestion.build(packet_size),
            pacer: Pacer::new(now),
            pacing: config.pacing,
            rto: Rto::new(config.rto_initial, config.rto_min, config.rto_max),
            peer_window: 0,
            next_packet: 1,
            interleaved: false,
            partial: false,
            skipping: Skipping::default(),
            unfinished: Unfinished::default(),
            packet_size,
            window_limited: false,
            grace: false,
            probe_due: false,
            reorder_at: None,
            scratch: Scratch::default(),
            counts: Counts::default(),
        }
    }

    /// Takes up what the handshake settled.
    pub(crate) fn start(&mut self, agreed: Agreed) {
        let header = match agreed.interleaved {
            true => I_DATA_HEADER,
            false => DATA_HEADER,
        };
        self.flight = Flight::new(agreed.first_tsn, header);
        self.peer_window = agreed.peer_window as usize;
        self.interleaved = agreed.interleaved;
        self.partial = agreed.partial;
        self.skipping = Skipping::from(agreed.first_tsn - 1);
        self.unfinished = Unfinished::default();
    }

    /// Forgets all messages and everything learned about the path.
    pub(crate) fn reset(&mut self, config: &Config, now: Instant) {
        *self = Outgoing::new(config, now, self.packet_size);
    }

    /// Of another path nothing is known.
    pub(crate) fn on_path(&mut self, config: &Config) {
        self.congestion = config.congestion.build(self.packet_size);
        self.rto = Rto::new(config.rto_initial, config.rto_min, config.rto_max);
        self.recovery.forget_losses();
        self.update_pace();
    }

    pub(crate) fn set_packet_size(&mut self, bytes: usize) {
        self.packet_size = bytes;
        self.congestion.set_packet_size(bytes);
    }

    fn header(&self) -> usize {
        match self.interleaved {
            true => I_DATA_HEADER,
            false => DATA_HEADER,
        }
    }

    /// User data that fits into a packet of its own.
    fn largest_fragment(&self) -> usize {
        self.packet_size - HEADER - self.header()
    }

    /// Gives a channel a turn when it has something to send.
    pub(crate) fn schedule(&mut self, channels: &mut Channels, channel: u32) {
        self.note_ended(channels, channel);
        let idle = channels
            .get(channel)
            .is_some_and(|entry| !entry.out.scheduled && !entry.out.waits && entry.may_send);
        if !idle || self.current == Some(channel) || !self.lets_begin(channels, channel) {
            return;
        }
        let Some(entry) = channels.get_mut(channel) else {
            return;
        };
        let front = entry.out.queue.front();
        let Some(segment) = front.and_then(|front| self.store.segments.get(*front)) else {
            return;
        };
        let Some(message) = self.store.messages.get(segment.message) else {
            return;
        };
        entry.out.scheduled = true;
        let served = entry.out.take_served();
        entry.out.rank = self.scheduler.add(Claim {
            channel,
            priority: entry.config.priority,
            arrival: message.arrival,
            rank: entry.out.rank,
            served,
        });
    }

    /// True when there is something to send, now or when a window opens.
    pub(crate) fn has_data(&self) -> bool {
        self.flight.has_lost() || self.store.unsent() > 0
    }

    /// True when all other channels wait for the next part of this one's message, which is not here yet, and has
    /// `len` bytes: it must be let in, or nothing would ever make room.
    pub(crate) fn starves(&self, key: u32, channel: &Channel, len: usize) -> bool {
        self.current == Some(key)
            && channel.out.queue.is_empty()
            && self.store.has_room_beyond(len, channel.out.open)
    }

    /// The channel of which that is true.
    pub(crate) fn starving(&self, channels: &Channels) -> Option<u32> {
        let key = self.current?;
        let channel = channels.get(key)?;
        self.starves(key, channel, channel.blocked?).then_some(key)
    }

    /// Messages that were given up.
    pub(crate) fn given_up(&self) -> u64 {
        self.counts.abandoned
    }

    /// Packets with data that have left.
    pub(crate) fn packets(&self) -> u64 {
        self.next_packet
    }

    /// The number of the newest packet of which something has arrived.
    pub(crate) fn newest_arrived(&self) -> u64 {
        self.recovery.newest()
    }

    /// It is to be known whether the packet with this number arrives.
    pub(crate) fn watch(&mut self, packet: u64) {
        self.recovery.watched = Some(packet);
    }

    /// The number of the watched packet, once it has arrived.
    pub(crate) fn take_watched(&mut self) -> Option<u64> {
        self.recovery.seen.take()
    }

    /// The TSN sent last.
    pub(crate) fn last_tsn(&self) -> u64 {
        self.flight.next_tsn() - 1
    }

    /// True when no message waits for anything.
    pub(crate) fn is_drained(&self) -> bool {
        self.flight.is_empty() && self.store.is_empty()
    }

    /// True when the retransmission timer must run.
    pub(crate) fn awaits_acknowledgement(&self) -> bool {
        !self.flight.is_empty()
    }

    /// The association idles: gives free memory back.
    pub(crate) fn release_memory(&mut self) {
        self.store.release_memory();
    }

    /// Gives memory back that was not needed since the last call; so many channels there are.
    pub(crate) fn give_back(&mut self, channels: usize) {
        self.store.give_back();
        self.scheduler.give_back(channels);
        self.unfinished.give_back(channels);
        let lately = self.flight.give_back();
        self.scratch.seen.give_back(lately);
        surplus::shrink_list(&mut self.scratch.fresh, lately);
        surplus::shrink_list(&mut self.scratch.lost, lately);
    }

    /// The peer's last advertised window.
    pub(crate) fn peer_window(&self) -> u32 {
        self.peer_window as u32
    }

    /// The association has ended: gives all memory back.
    pub(crate) fn forget(&mut self) {
        self.store = Store::new(0);
        self.flight = Flight::new(1, DATA_HEADER);
        self.scheduler.clear();
        self.current = None;
    }

    /// True when the peer closed its window and only probes go on.
    pub(crate) fn is_probing_window(&self) -> bool {
        self.peer_window == 0
    }

    /// When the next packet in doubt counts as lost.
    pub(crate) fn reorder_at(&self) -> Option<Instant> {
        self.reorder_at
    }

    /// How long to wait for a SACK before the tail is probed; `None` when it need not be.
    pub(crate) fn probe_delay(&self, peer_delay: Duration) -> Option<Duration> {
        let smoothed = self.rto.smoothed()?;
        if self.flight.bytes() == 0 || self.recovery.probed || self.flight.has_lost() {
            return None;
        }
        // RFC 8985 §7.2: twice the round trip, and the SACK delay for a lone packet.
        let mut delay = smoothed * 2;
        if self.flight.bytes() <= self.packet_size {
            delay += peer_delay;
        }
        let delay = delay.max(Duration::from_millis(10));
        (delay < self.rto.timeout()).then_some(delay)
    }

    /// The tail of the flight is to be sent once more (RFC 8985 §7.3).
    pub(crate) fn probe_tail(&mut self) {
        self.probe_due = self.flight.bytes() > 0;
        self.recovery.probed = true;
    }

    /// When a paced burst may leave next.
    pub(crate) fn paced_until(&self) -> Instant {
        self.pacer.next()
    }

    pub(crate) fn fill_stats(&self, stats: &mut Stats) {
        stats.chunks_retransmitted = self.counts.retransmitted;
        stats.messages_abandoned = self.counts.abandoned;
        stats.congestion_events = self.counts.congestion;
        stats.spurious_events = self.counts.spurious;
        stats.timeouts = self.counts.timeouts;
        stats.rtt = self.rto.smoothed().unwrap_or_default();
        stats.congestion_window = self.congestion.window();
        stats.in_flight = self.flight.bytes();
        stats.peer_window = self.peer_window;
        stats.send_buffered = self.store.charged();
        stats.interleaving = self.interleaved;
    }
}
