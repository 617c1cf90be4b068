//! Stream reconfiguration (RFC 6525): a channel closes when both directions of its stream are
//! reset (RFC 8831 §6.7).
//!
//! 1. The closer's outgoing reset request, after all its messages are acknowledged
//! 2. The response, "performed", or "in progress" while messages are missing
//! 3. The other side's own request for its direction, and the response to that

use std::collections::VecDeque;

use esp_wire::Instant;

use super::{Association, delivery::Notice};
use crate::{
    ChannelHandle, CloseReason, Why,
    channel::{Phase as ChannelPhase, Reset},
    chunk::reconfig::{self, Outcome, Request},
    serial,
};

/// Requests of both sides.
#[derive(Debug, Default)]
pub(super) struct Reconfig {
    supported: bool,
    /// Sequence number of our next request.
    next: u32,
    /// Sequence number of the peer's next request.
    expected: u32,
    outstanding: Option<Outstanding>,
    /// Channels that want their outgoing stream reset.
    wanted: VecDeque<ChannelHandle>,
    /// What we answered to the peer's last requests, for repetitions; the last one at the end.
    answers: VecDeque<(u32, Outcome)>,
    /// Streams that we may send on.
    outbound: u32,
    /// Streams that we want to send on.
    desired: u32,
    /// Streams that the peer may send on.
    inbound: u32,
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

/// Channels that one pass looks at.
const PASS: usize = 2_048;
/// RFC 6525 §4.1: streams in one request; what 512 bytes hold, and packets are larger.
const BATCH: usize = 240;

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
        let (mut handles, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..self.reconfig.wanted.len().min(PASS) {
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
                _ => self.reconfig.wanted.push_back(handle),
            }
            if handles.len() == BATCH {
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

    /// Takes a RE-CONFIG chunk (RFC 6525 §5.2).
    pub(super) fn on_reconfig(&mut self, now: Instant, value: &[u8]) {
        let Ok(requests) = reconfig::parse(value) else {
            self.stats.packets_dropped += 1;
            return;
        };
        // RFC 6525 §5.2.1: all answers go into one chunk.
        let mut answers = Vec::with_capacity(2);
        for request in requests {
            let answer = match request {
                Request::Response { sequence, outcome } => {
                    self.on_response(now, sequence, outcome);
                    continue;
                }
                Request::OutgoingReset {
                    sequence,
                    last_tsn,
                    streams,
                    ..
                } => self.answer(sequence, |this| {
                    this.reset_incoming(now, last_tsn, &streams)
                }),
                Request::IncomingReset { sequence, streams } => {
                    self.answer(sequence, |this| this.reset_asked(now, &streams))
                }
                Request::AddOutgoing { sequence, count } => {
                    self.answer(sequence, |this| this.grant_streams(u32::from(count)))
                }
                Request::AddIncoming { sequence, count } => {
                    self.answer(sequence, |this| this.streams_asked(u32::from(count)))
                }
                // RFC 8831 §6.2 has no use for it: channels are numbered by streams, not by TSNs.
                Request::TsnReset { sequence } => self.answer(sequence, |_| Outcome::Denied),
            };
            answers.push(answer);
        }
        if !answers.is_empty() {
            self.control.push(reconfig::emit(&answers));
            self.inc.tracker.hurry();
        }
        self.pursue_reconfig(now);
    }

    /// Performs a request of the peer once, and answers it every time.
    fn answer(&mut self, sequence: u32, perform: impl FnOnce(&mut Self) -> Outcome) -> Request {
        let known = self
            .reconfig
            .answers
            .iter()
            .find(|(known, _)| *known == sequence)
            .map(|(_, outcome)| *outcome);
        let outcome = match known {
            Some(outcome) => outcome,
            None if sequence == self.reconfig.expected => {
                let outcome = perform(self);
                // RFC 6525 §5.2.2 E2: the same request will come again.
                if outcome != Outcome::InProgress {
                    self.reconfig.expected = sequence.wrapping_add(1);
                    self.reconfig.answers.push_back((sequence, outcome));
                    if self.reconfig.answers.len() > 2 {
                        self.reconfig.answers.pop_front();
                    }
                }
                outcome
            }
            None => Outcome::BadSequence,
        };
        Request::Response { sequence, outcome }
    }

    /// RFC 6525 §5.2.2: the peer begins its streams anew.
    fn reset_incoming(&mut self, now: Instant, last_tsn: u32, streams: &[u16]) -> Outcome {
        let cumulative = self.inc.tracker.cumulative();
        if serial::unwrap32(cumulative, last_tsn) > cumulative {
            return Outcome::InProgress;
        }
        if streams
            .iter()
            .any(|stream| u32::from(*stream) >= self.reconfig.inbound)
        {
            return Outcome::WrongStream;
        }
        for stream in streams {
            self.inc.forget_stream(*stream);
        }
        let keys = match streams.is_empty() {
            true => self.channels.keys(),
            false => streams
                .iter()
                .filter_map(|stream| self.channels.key_on(*stream))
                .collect(),
        };
        let last = serial::unwrap32(cumulative, last_tsn);
        for key in keys {
            // Some peers reset a stream once more in answer to our reset. When the stream has been opened
            // anew by then, and the peer has not seen that, it is not the new channel that they mean.
            let late = self.channels.get(key).is_some_and(|channel| {
                channel.phase == ChannelPhase::Opening && !channel.known && last <= channel.born
            });
            if !late {
                self.reset_incoming_channel(now, key);
            }
        }
        Outcome::Performed
    }

    fn reset_incoming_channel(&mut self, now: Instant, key: u32) {
        let handle = self.channels.handle(key);
        let (Some(channel), Some(handle)) = (self.channels.get_mut(key), handle) else {
            return;
        };
        let Some(stream) = channel.stream else {
            return;
        };
        let leftovers: Vec<_> = channel.inc.reset().collect();
        channel.incoming_reset = true;
        let phase = channel.phase;
        for received in leftovers {
            self.inc.discharge(received.bytes);
        }
        self.inc.forget_stream(stream);
        match phase {
            ChannelPhase::Unannounced => {
                self.fail_channel(key);
                return;
            }
            ChannelPhase::Closing => {}
            _ => self.delivering.deliver(Notice::Closing(handle)),
        }
        // RFC 8831 §6.7: the other side resets its own direction, too.
        self.want_reset(now, key);
        self.finish_close(key);
    }

    /// RFC 6525 §5.2.3: the peer asks us to reset our streams, or all that there are.
    fn reset_asked(&mut self, now: Instant, streams: &[u16]) -> Outcome {
        let mut keys: Vec<u32> = match streams.is_empty() {
            true => self.channels.keys(),
            false => streams
                .iter()
                .filter_map(|stream| self.channels.key_on(*stream))
                .collect(),
        };
        keys.retain(|key| {
            self.channels.get(*key).is_some_and(|channel| {
                channel.stream.is_some() && channel.outgoing_reset == Reset::No
            })
        });
        if keys.is_empty() {
            return Outcome::NothingToDo;
        }
        for key in keys {
            self.want_reset(now, key);
        }
        Outcome::Performed
    }

    /// RFC 6525 §5.2.5: the peer wants more streams to send on.
    fn grant_streams(&mut self, count: u32) -> Outcome {
        match self.reconfig.inbound + count <= 65_535 {
            true => {
                self.reconfig.inbound += count;
                Outcome::Performed
            }
            false => Outcome::Denied,
        }
    }

    /// RFC 6525 §5.2.6: the peer wants us to have more streams to send on; our own request follows.
    fn streams_asked(&mut self, count: u32) -> Outcome {
        let wanted = self.reconfig.outbound + count;
        match wanted <= 65_535 {
            true => {
                self.reconfig.desired = self.reconfig.desired.max(wanted);
                Outcome::Performed
            }
            false => Outcome::Denied,
        }
    }

    fn on_response(&mut self, now: Instant, sequence: u32, outcome: Outcome) {
        match &self.reconfig.outstanding {
            Some(outstanding) if outstanding.sequence == sequence => {}
            _ => return,
        }
        self.liveness.note_success();
        if outcome == Outcome::InProgress {
            // RFC 6525 §5.2.7: the same request again, after a while.
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
