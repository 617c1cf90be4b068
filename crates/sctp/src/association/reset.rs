//! Closing channels: a channel is closed when both directions of its stream are reset (RFC 8831 §6.7), by
//! RFC 6525. Here are our own requests; what the peer asks for is in [`super::reconfig`].
//!
//! 1. The closer's outgoing reset request, after all its messages are acknowledged
//! 2. The response, "performed", or "in progress" while messages are missing
//! 3. The other side's own request for its direction, and the response to that
//!
//! A side has one request outstanding at a time (RFC 6525 §5.1.1), and one chunk names as many streams as fit into a
//! packet: closing many channels takes a round trip for each packet full of them, 120 for 65,534 channels and packets of
//! 1,160 bytes. What RFC 6525 has besides does not make it fewer:
//!
//! - An *incoming* reset request beside ours: the other side resets its direction anyhow as soon as it hears of our
//!   request, and the requests of both sides are on their way at the same time.
//! - A request without a list, for *all* streams, where all channels are closed at once: it hits those that the peer
//!   is opening meanwhile and of which nothing has arrived here; and there are stacks that tell their applications
//!   of listed streams only, whose channels would stay open for ever.
//!
//! Other stacks deny a request of more than 512 bytes. They are asked again for fewer streams at a time.

use std::collections::VecDeque;

use esp_wire::Instant;

use super::Association;
use crate::{
    ChannelHandle, CloseReason, Why,
    channel::{Phase as ChannelPhase, Reset},
    chunk::reconfig::{self, Outcome, Request},
    packet::HEADER,
    surplus,
};

/// Requests of both sides.
#[derive(Debug, Default)]
pub(super) struct Reconfig {
    supported: bool,
    /// Sequence number of our next request.
    next: u32,
    /// Sequence number of the peer's next request.
    pub(super) expected: u32,
    outstanding: Option<Outstanding>,
    /// Channels that want their outgoing stream reset.
    wanted: VecDeque<ChannelHandle>,
    /// The peer has denied a longer list of streams.
    modest: bool,
    /// What we answered to the peer's last requests, for repetitions; the last one at the end.
    pub(super) answers: VecDeque<(u32, Outcome)>,
    /// Streams that we may send on.
    pub(super) outbound: u32,
    /// Streams that we want to send on.
    pub(super) desired: u32,
    /// Streams that the peer may send on.
    pub(super) inbound: u32,
    /// A channel was refused since the last request.
    refused: bool,
}

/// Our request that was not answered yet.
#[derive(Debug)]
struct Outstanding {
    sequence: u32,
    what: Asked,
    chunk: Vec<u8>,
    /// The peer has said that it is busy with it.
    in_progress: bool,
}

#[derive(Debug)]
enum Asked {
    Reset(Vec<ChannelHandle>),
    Add(u16),
}

/// Channels that are not ready for their reset, and that one pass looks at.
const PASS: usize = 2_048;
/// Streams in a request that every stack takes: what 512 bytes hold.
const MODEST: usize = 240;
/// RFC 6525 §4.1: bytes of an outgoing reset request before its streams, with the head of the chunk.
const REQUEST: usize = 4 + 16;
/// Bytes that are left for a response and a SACK in the same packet.
const BESIDE: usize = 32;

impl Reconfig {
    /// Takes up what the handshake settled.
    pub(super) fn start(&mut self, local_tsn: u32, peer_tsn: u32, supported: bool, inbound: u16) {
        *self = Reconfig {
            supported,
            // RFC 6525 §4.1: the sequence begins with the first TSN.
            next: local_tsn,
            expected: peer_tsn,
            outbound: u32::from(inbound),
            desired: u32::from(inbound),
            inbound: 65_535,
            ..Reconfig::default()
        };
    }

    /// Streams that the peer takes from us.
    pub(super) fn outbound(&self) -> u32 {
        self.outbound
    }

    /// Streams that we take from the peer.
    pub(super) fn inbound(&self) -> u32 {
        self.inbound
    }

    /// A channel of the peer is to be closed at once.
    pub(super) fn note_refusal(&mut self) {
        self.refused = true;
    }

    /// A channel needs this stream.
    pub(super) fn want_stream(&mut self, stream: u16) {
        self.desired = self.desired.max(u32::from(stream) + 1);
    }

    /// Gives memory back; so many channels there are.
    pub(super) fn give_back(&mut self, channels: usize) {
        surplus::shrink(&mut self.wanted, channels);
    }

    /// Streams that one request names at most.
    fn batch(&self, packet_size: usize) -> usize {
        match self.modest {
            true => MODEST,
            false => (packet_size - HEADER - REQUEST - BESIDE) / 2,
        }
    }
}

impl Association {
    /// The channel's outgoing stream is to be reset after what it still has to send.
    pub(super) fn want_reset(&mut self, now: Instant, key: u32) {
        if self.mark_reset(key) {
            self.pursue_reconfig(now);
        }
    }

    /// Closes what was refused.
    pub(super) fn pursue_refusals(&mut self, now: Instant) {
        if std::mem::take(&mut self.reconfig.refused) {
            self.pursue_reconfig(now);
        }
    }

    /// Queues a channel for the next request; false when it is queued or done.
    pub(super) fn mark_reset(&mut self, key: u32) -> bool {
        let handle = self.channels.handle(key);
        if let (Some(channel), Some(handle)) = (self.channels.get_mut(key), handle)
            && channel.outgoing_reset == Reset::No
        {
            channel.outgoing_reset = Reset::Wanted;
            channel.phase = ChannelPhase::Closing;
            self.out.give_up_open(&mut self.channels, key);
            self.reconfig.wanted.push_back(handle);
            return true;
        }
        false
    }

    /// Sends the next request, when none is outstanding and something is ready for it.
    pub(super) fn pursue_reconfig(&mut self, now: Instant) {
        if !self.phase.sends_data() || self.reconfig.outstanding.is_some() {
            return;
        }
        if !self.reconfig.supported {
            self.close_without_reset();
            return;
        }
        if self.reconfig.desired > self.reconfig.outbound {
            self.request_streams(now);
            return;
        }
        if !self.reconfig.wanted.is_empty() {
            self.request_reset(now);
        }
    }

    /// A peer without RFC 6525 cannot reset: our side of the channel just ends.
    fn close_without_reset(&mut self) {
        while let Some(handle) = self.reconfig.wanted.pop_front() {
            self.close_for_good(handle);
        }
    }

    /// A channel ends whose stream was not reset: nobody may use the stream again, since the peer goes
    /// on counting where it was.
    fn close_for_good(&mut self, handle: ChannelHandle) {
        if let Some(key) = self.channels.key(handle) {
            self.channels.quarantine(key);
            self.fail_channel(key);
        }
    }

    fn request_streams(&mut self, now: Instant) {
        let count = (self.reconfig.desired - self.reconfig.outbound) as u16;
        let sequence = self.reconfig.next;
        let request = Request::AddOutgoing { sequence, count };
        self.request(now, Asked::Add(count), &request);
    }

    fn request_reset(&mut self, now: Instant) {
        let batch = self.reconfig.batch(self.packet_size);
        let (mut handles, mut streams) = (Vec::new(), Vec::new());
        let mut unready = 0;
        for _ in 0..self.reconfig.wanted.len() {
            let Some(handle) = self.reconfig.wanted.pop_front() else {
                break;
            };
            let key = self.channels.key(handle);
            let Some(channel) = key.and_then(|key| self.channels.get_mut(key)) else {
                continue;
            };
            // RFC 6525 §5.1.2: what was sent on the stream is to be acknowledged first.
            match channel.stream {
                Some(stream) if channel.out.live == 0 => {
                    channel.outgoing_reset = Reset::Requested;
                    handles.push(handle);
                    streams.push(stream);
                }
                _ => {
                    self.reconfig.wanted.push_back(handle);
                    unready += 1;
                }
            }
            if handles.len() == batch || unready == PASS {
                break;
            }
        }
        if handles.is_empty() {
            return;
        }
        let request = Request::OutgoingReset {
            sequence: self.reconfig.next,
            response_to: self.reconfig.expected.wrapping_sub(1),
            last_tsn: self.out.last_tsn() as u32,
            streams,
        };
        self.request(now, Asked::Reset(handles), &request);
    }

    fn request(&mut self, now: Instant, what: Asked, request: &Request) {
        let chunk = reconfig::emit(std::slice::from_ref(request));
        self.control.push(chunk.clone());
        self.reconfig.outstanding = Some(Outstanding {
            sequence: self.reconfig.next,
            what,
            chunk,
            in_progress: false,
        });
        self.reconfig.next = self.reconfig.next.wrapping_add(1);
        self.timers.set(Why::Reconfig, now + self.out.rto.timeout());
    }

    /// The request was not answered in time (RFC 6525 §5.1.1 A5).
    pub(super) fn repeat_reconfig(&mut self, now: Instant) {
        let Some(outstanding) = &mut self.reconfig.outstanding else {
            return;
        };
        self.control.push(outstanding.chunk.clone());
        // RFC 6525 §5.2.7 H2: that the peer is busy is no failure.
        if !std::mem::take(&mut outstanding.in_progress) {
            if !self.liveness.note_failure(self.config.max_retransmits) {
                self.end(CloseReason::Unreachable);
                return;
            }
            self.out.rto.back_off();
        }
        self.timers.set(Why::Reconfig, now + self.out.rto.timeout());
    }

    /// Takes the answer to our request (RFC 6525 §5.2.7).
    pub(super) fn on_response(&mut self, now: Instant, sequence: u32, outcome: Outcome) {
        match &self.reconfig.outstanding {
            Some(outstanding) if outstanding.sequence == sequence => {}
            _ => return,
        }
        self.liveness.note_success();
        if outcome == Outcome::InProgress {
            // RFC 6525 §5.2.7 H2: the same request again, after a while.
            if let Some(outstanding) = &mut self.reconfig.outstanding {
                outstanding.in_progress = true;
            }
            self.timers.set(Why::Reconfig, now + self.out.rto.timeout());
            return;
        }
        self.timers.stop(Why::Reconfig);
        let done = matches!(outcome, Outcome::Performed | Outcome::NothingToDo);
        match self.reconfig.outstanding.take().map(|asked| asked.what) {
            Some(Asked::Reset(handles)) if done => self.outgoing_reset_done(&handles),
            Some(Asked::Reset(handles)) if outcome == Outcome::Denied && handles.len() > MODEST => {
                self.ask_for_fewer(handles);
            }
            Some(Asked::Reset(handles)) => {
                handles
                    .into_iter()
                    .for_each(|handle| self.close_for_good(handle));
            }
            Some(Asked::Add(count)) => self.streams_added(count, done),
            None => {}
        }
        self.pursue_reconfig(now);
    }

    /// The list may have been too long for the peer: its streams are named again, in shorter ones.
    fn ask_for_fewer(&mut self, handles: Vec<ChannelHandle>) {
        self.reconfig.modest = true;
        for handle in handles.into_iter().rev() {
            let key = self.channels.key(handle);
            if let Some(channel) = key.and_then(|key| self.channels.get_mut(key))
                && channel.outgoing_reset == Reset::Requested
            {
                channel.outgoing_reset = Reset::Wanted;
                self.reconfig.wanted.push_front(handle);
            }
        }
    }

    fn outgoing_reset_done(&mut self, handles: &[ChannelHandle]) {
        for handle in handles {
            let Some(key) = self.channels.key(*handle) else {
                continue;
            };
            if let Some(channel) = self.channels.get_mut(key)
                && channel.outgoing_reset == Reset::Requested
            {
                channel.outgoing_reset = Reset::Done;
                channel.out.next_ordered = 0;
                channel.out.next_unordered = 0;
            }
            self.finish_close(key);
        }
    }

    fn streams_added(&mut self, count: u16, granted: bool) {
        if granted {
            self.reconfig.outbound += u32::from(count);
        }
        self.reconfig.desired = self.reconfig.outbound;
        for key in self.channels.keys() {
            let waits = self
                .channels
                .get(key)
                .is_some_and(|channel| !channel.may_send && channel.phase == ChannelPhase::Waiting);
            match waits {
                true if granted => self.activate(key),
                true => self.fail_waiting(key),
                false => {}
            }
        }
    }

    fn fail_waiting(&mut self, key: u32) {
        let beyond = self.channels.get(key).is_some_and(|channel| {
            channel
                .stream
                .is_some_and(|stream| u32::from(stream) >= self.reconfig.outbound)
        });
        if beyond {
            self.out.abandon_channel(&mut self.channels, key);
            self.fail_channel(key);
        }
    }
}
