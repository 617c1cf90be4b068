//! One SCTP association with its data channels.
//!
//! 1. [`handshake`]: INIT, INIT ACK, COOKIE ECHO, COOKIE ACK, from both sides at once in WebRTC.
//! 2. [`channels`]: DATA_CHANNEL_OPEN and ACK on a stream, then messages both ways.
//! 3. [`input`] takes packets apart, [`output`] lays trains out, [`timeout`] runs the timers.
//! 4. [`reset`] and [`reconfig`]: RE-CONFIG closes streams, one direction each.
//! 5. [`shutdown`]: SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE, or ABORT.

mod channels;
mod commands;
mod delivery;
mod early;
mod ecn;
mod handshake;
mod input;
mod output;
mod reconfig;
mod reset;
mod shutdown;
mod skipping;
mod timeout;

use std::collections::VecDeque;

use esp_wire::{Deadline, Instant, Origin, Rng, Room};

use crate::{
    CloseReason, Config, Delivery, Misuse, Stats, Why,
    channel::Channels,
    cookie::{Jar, PeerInit},
    incoming::Incoming,
    outgoing::{Limit, Outgoing},
    packet::Address,
    pmtu::Pmtu,
    timers::Timers,
};
use delivery::Delivering;
use early::Early;
use ecn::Marks;
use handshake::Handshake;
use output::Control;
use reset::Reconfig;
use timeout::Liveness;

/// One SCTP association with its data channels.
///
/// Commands (`connect`, `open_channel`, `send`, ...) mutate, [`Association::handle_input`] and
/// [`Association::handle_timeout`] feed, the `poll_` methods drain; in any order. After every call
/// that mutates or feeds, and after the events were taken (which opens the window for the peer),
/// `poll_transmit` until it is false and `poll_timeout` are due.
///
/// To send one SACK a train, feed all packets of a received train before `poll_transmit`; between packets that
/// came one by one, call [`Association::acknowledge`].
#[derive(Debug)]
pub struct Association {
    config: Config,
    rng: Rng,
    jar: Jar,
    room: Room,
    /// The size of packets in use.
    packet_size: usize,
    /// What the path takes by `set_path`, and what it may be asked for.
    base_size: usize,
    largest_size: usize,
    pmtu: Pmtu,
    /// The DTLS role, once it is known.
    client: Option<bool>,
    /// The largest message that the peer takes.
    remote_max: u64,
    phase: Phase,
    handshake: Handshake,
    local_tag: u32,
    peer: PeerInit,
    /// Packets leave without a checksum.
    zero_checksum: bool,
    marks: Marks,
    out: Outgoing,
    inc: Incoming,
    channels: Channels,
    reconfig: Reconfig,
    control: Control,
    early: Early,
    timers: Timers,
    liveness: Liveness,
    delivering: Delivering,
    reason: CloseReason,
    stats: Stats,
}

/// The states of RFC 9260 §4, with one for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    CookieWait,
    CookieEchoed,
    Established,
    ShutdownPending,
    ShutdownSent,
    ShutdownReceived,
    ShutdownAckSent,
    Ended,
}

impl Phase {
    /// Data may leave.
    fn sends_data(self) -> bool {
        matches!(
            self,
            Phase::Established | Phase::ShutdownPending | Phase::ShutdownReceived
        )
    }

    /// There is an association.
    fn is_connected(self) -> bool {
        !matches!(
            self,
            Phase::Closed | Phase::CookieWait | Phase::CookieEchoed | Phase::Ended
        )
    }

    /// The shutdown has begun.
    fn is_closing(self) -> bool {
        self.is_connected() && self != Phase::Established
    }
}

/// The least packet size that the layout of chunks counts on.
const LEAST_PACKET: usize = 512;
/// The most: lengths of fragments have 16 bits.
const MOST_PACKET: usize = 65_000;
/// 1,200 bytes for a datagram, less what DTLS 1.2 with an explicit nonce takes.
const DEFAULT_PACKET: usize = 1_160;

impl Association {
    /// An association that has sent nothing yet; it answers a peer that begins.
    pub fn new(config: Config, origin: Origin) -> Result<Self, Misuse> {
        config.check()?;
        let mut rng = Rng::new(origin.seed).fork("sctp");
        let jar = Jar::new(&mut rng, config.cookie_lifetime);
        let mut association = Association {
            jar,
            room: Room::default(),
            packet_size: DEFAULT_PACKET,
            base_size: DEFAULT_PACKET,
            largest_size: 0,
            pmtu: Pmtu::default(),
            client: None,
            // RFC 8841 §6.1: without the attribute 64 KiB.
            remote_max: 65_536,
            phase: Phase::Closed,
            handshake: Handshake::new(&mut rng),
            local_tag: 0,
            peer: PeerInit::default(),
            zero_checksum: false,
            marks: Marks::default(),
            out: Outgoing::new(&config, origin.now, DEFAULT_PACKET),
            inc: Incoming::new(&config),
            channels: Channels::default(),
            reconfig: Reconfig::default(),
            control: Control::default(),
            early: Early::default(),
            timers: Timers::default(),
            liveness: Liveness::default(),
            delivering: Delivering::default(),
            reason: CloseReason::Aborted,
            stats: Stats::default(),
            rng,
            config,
        };
        association.bound_size();
        Ok(association)
    }

    /// Sets the room that the layers below need, and the largest SCTP packet in bytes (at least
    /// 512): what remains of the path's MTU beside them.
    pub fn set_path(&mut self, room: Room, max_payload: usize) {
        self.room = room;
        self.base_size = max_payload.max(LEAST_PACKET) & !3;
        self.bound_size();
    }

    /// Lets the association look for a path that takes packets of up to `max_payload` bytes, more
    /// than [`Association::set_path`] allowed (RFC 8899); without it, and with
    /// [`Config::path_mtu_discovery`] off, nothing is probed. Probes travel in trains of their own;
    /// what was cut for a path that took more is sent again as it is, in trains that allow
    /// fragments ([`Train::is_fragmentable`](esp_wire::Train::is_fragmentable)).
    pub fn set_largest_packet(&mut self, max_payload: usize) {
        self.largest_size = max_payload & !3;
        self.bound_size();
    }

    /// Packets take another way: what was found out about the size that passes, about marks, and about how
    /// much may be under way and for how long (RFC 9260 §7.2.5.2), is forgotten.
    pub fn path_changed(&mut self) {
        self.marks.on_path();
        self.out.on_path(&self.config);
        self.pmtu.restart();
        self.follow_size();
    }

    /// The network said that packets of more than `max_payload` bytes do not pass (ICMP). Since anybody may
    /// have said so, no packet becomes smaller than [`Association::set_path`] allowed.
    pub fn path_too_big(&mut self, max_payload: usize) {
        if self.pmtu.on_too_big(max_payload) {
            self.follow_size();
        }
    }

    /// The size of packets in use, in bytes.
    pub fn packet_size(&self) -> usize {
        self.packet_size
    }

    fn bound_size(&mut self) {
        let ceiling = match self.config.path_mtu_discovery {
            true => self.largest_size.min(MOST_PACKET),
            false => 0,
        };
        self.pmtu
            .set_bounds(self.base_size, ceiling.max(self.base_size));
        self.follow_size();
    }

    /// Uses the size that the search has found.
    fn follow_size(&mut self) {
        let size = self.pmtu.size();
        if size != self.packet_size {
            self.packet_size = size;
            self.out.set_packet_size(size);
        }
    }

    /// The largest message that the peer takes (`a=max-message-size`, RFC 8841 §6.1), in bytes;
    /// 0 for any.
    pub fn set_remote_max_message_size(&mut self, bytes: u64) {
        self.remote_max = match bytes {
            0 => u64::MAX,
            bytes => bytes,
        };
        self.follow_remote_max();
    }

    /// A peer that takes any message takes it in parts; else it combines messages in its memory.
    fn follow_remote_max(&mut self) {
        let combines = self.remote_max != u64::MAX && self.peer.window > 0;
        self.out.bound_unfinished(combines.then_some(Limit {
            memory: self.peer.window as usize,
            message: usize::try_from(self.remote_max).unwrap_or(usize::MAX),
        }));
    }

    /// The largest message that we take, for `a=max-message-size`; 0 for any.
    pub fn max_message_size(&self) -> u64 {
        match self.config.delivery {
            Delivery::Whole => self.config.max_message_size as u64,
            Delivery::Parts => 0,
        }
    }

    /// True between the handshake and the end.
    pub fn is_connected(&self) -> bool {
        self.phase.is_connected()
    }

    /// True after the end; nothing will happen any more but the delivery of what had arrived.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// When to call [`Association::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        self.timers.next()
    }

    /// Counters and gauges.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats;
        self.out.fill_stats(&mut stats);
        stats.receive_buffered = self.inc.held();
        stats.chunks_refused = self.inc.refused();
        stats.duplicates_received = self.inc.duplicates();
        stats.zero_checksum = self.zero_checksum;
        stats.marking = self.marks.are_sent();
        stats.packet_size = self.packet_size;
        stats.path_probes = self.pmtu.probes;
        stats.black_holes = self.pmtu.black_holes;
        stats
    }

    fn address(&self, tag: u32) -> Address {
        Address {
            source: self.config.local_port,
            destination: self.config.remote_port,
            tag,
        }
    }

    /// Sets the timers that follow from what is in flight and in memory.
    fn arm(&mut self, now: Instant) {
        if !self.phase.is_connected() {
            return;
        }
        if !self.out.awaits_acknowledgement() {
            self.timers.stop(Why::Retransmit);
            self.timers.stop(Why::Probe);
        } else if !self.timers.is_set(Why::Retransmit) {
            self.timers
                .set(Why::Retransmit, now + self.out.rto.timeout());
        }
        match self.out.reorder_at() {
            Some(at) => self.timers.set(Why::Reorder, at),
            None => self.timers.stop(Why::Reorder),
        }
        if self.inc.tracker.is_delayed() && !self.timers.is_set(Why::Sack) {
            self.timers.set(Why::Sack, now + self.config.sack_delay);
        }
        self.sweep_in_turn(now);
    }
}

/// At most so many entries are kept for a peer that asks faster than answers leave.
const MAX_QUEUED: usize = 64;

/// Appends unless the queue is full.
fn push_bounded<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() < MAX_QUEUED {
        queue.push_back(value);
    }
}
