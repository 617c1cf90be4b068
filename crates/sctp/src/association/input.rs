//! Takes packets apart (RFC 9260 §6.10, §8.4, §8.5).

use esp_wire::Instant;

use super::{Association, Phase};
use crate::{
    CloseReason, Error, PeerMisbehaved, Why,
    chunk::{
        self, Chunk, Chunks, Unknown,
        control::{self, REFLECTED, cause},
        data::Data,
        kind,
        sack::Sack,
    },
    incoming::Taken,
    packet::Header,
    serial,
};

/// Whether the rest of a packet is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    Stop,
}

impl Association {
    /// Takes one packet out of DTLS.
    ///
    /// Noise is counted and dropped; an error means that the association has ended because the
    /// peer broke the protocol, and that the ABORT is ready to be sent.
    pub fn handle_input(&mut self, now: Instant, packet: &mut [u8]) -> Result<(), Error> {
        let Ok((header, chunks)) = Header::parse(packet, self.config.zero_checksum) else {
            self.stats.packets_dropped += 1;
            return Ok(());
        };
        if header.source != self.config.remote_port || header.destination != self.config.local_port
        {
            self.stats.packets_dropped += 1;
            return Ok(());
        }
        let Some(Ok(first)) = Chunks::new(chunks).next() else {
            self.stats.packets_dropped += 1;
            return Ok(());
        };
        if !self.belongs(&header, &first, chunks) {
            return Ok(());
        }
        self.stats.packets_received += 1;
        self.read(now, &header, chunks);
        self.arm(now);
        self.ended_by_peer()
    }

    /// RFC 9260 §8.5: the verification tag, and what is done with packets of no association (§8.4).
    fn belongs(&mut self, header: &Header, first: &Chunk<'_>, chunks: &[u8]) -> bool {
        let own = self.phase != Phase::Closed && header.tag == self.local_tag;
        let reflected = first.flags & REFLECTED != 0;
        let peers = self.peer.tag != 0 && header.tag == self.peer.tag;
        let good = match first.kind {
            // RFC 9260 §8.5.1 A: an INIT is alone in its packet, and carries no tag.
            kind::INIT => header.tag == 0 && first.whole.len().next_multiple_of(4) >= chunks.len(),
            _ if header.tag == 0 => false,
            kind::ABORT | kind::SHUTDOWN_COMPLETE => match reflected {
                true => peers,
                false => own,
            },
            // Judged by the cookie.
            kind::COOKIE_ECHO => true,
            kind::SHUTDOWN_ACK if !self.phase.is_connected() => !has_abort(chunks),
            _ => own && self.phase != Phase::Ended,
        };
        if !good {
            self.stats.packets_dropped += 1;
            self.answer_stray(header, first, chunks);
        }
        good
    }

    /// RFC 9260 §8.4 8: a packet of an association that has ended is answered by an ABORT, so that
    /// a peer that missed the end learns of it. Before the beginning nothing is answered: what comes
    /// then may be the first data of a peer that has our INIT from a description.
    fn answer_stray(&mut self, header: &Header, first: &Chunk<'_>, chunks: &[u8]) {
        let ended = self.phase == Phase::Ended && header.tag == self.local_tag && header.tag != 0;
        let silent = matches!(
            first.kind,
            kind::INIT | kind::SHUTDOWN_COMPLETE | kind::ERROR | kind::COOKIE_ACK
        );
        if ended && !silent && !has_abort(chunks) && self.control.replies.is_empty() {
            self.reply(header.tag, &control::abort(REFLECTED, None));
        }
    }

    fn read(&mut self, now: Instant, header: &Header, chunks: &[u8]) {
        let mut has_data = false;
        for chunk in Chunks::new(chunks) {
            let Ok(chunk) = chunk else {
                self.stats.packets_dropped += 1;
                break;
            };
            let alone = matches!(
                chunk.kind,
                kind::INIT | kind::INIT_ACK | kind::SHUTDOWN_COMPLETE
            );
            if alone && chunk.whole.len().next_multiple_of(4) < chunks.len() {
                // RFC 9260 §6.10: these are never bundled.
                self.stats.packets_dropped += 1;
                break;
            }
            let next = match chunk.kind {
                kind::DATA | kind::I_DATA => {
                    has_data = true;
                    self.on_data(&chunk)
                }
                kind::SACK => self.on_sack(now, chunk.value),
                _ => self.on_control(now, header, &chunk),
            };
            if next == Next::Stop || self.phase == Phase::Ended {
                break;
            }
        }
        if has_data {
            self.inc.tracker.end_packet();
            self.pursue_refusals(now);
        }
        if self.phase == Phase::ShutdownSent {
            self.while_shutdown_sent(now, has_data);
        }
    }

    fn on_data(&mut self, chunk: &Chunk<'_>) -> Next {
        // RFC 9260 §6: DATA before the handshake is done is dropped; after the peer's SHUTDOWN it
        // has no business either.
        if !matches!(
            self.phase,
            Phase::Established | Phase::ShutdownPending | Phase::ShutdownSent
        ) {
            return Next::Continue;
        }
        let interleaved = self.inc.is_interleaved();
        if (chunk.kind == kind::I_DATA) != interleaved {
            // RFC 8260 §2.2.3
            self.fail(PeerMisbehaved::WrongDataChunk, cause::PROTOCOL_VIOLATION);
            return Next::Stop;
        }
        let Ok(data) = Data::parse(chunk.flags, chunk.value, interleaved) else {
            self.stats.packets_dropped += 1;
            return Next::Continue;
        };
        if data.payload.is_empty() {
            // RFC 9260 §6.2
            let tsn = data.tsn.to_be_bytes();
            self.fail_with(PeerMisbehaved::EmptyData, cause::NO_USER_DATA, &tsn);
            return Next::Stop;
        }
        self.note_marked(data.tsn);
        if u32::from(data.stream) >= self.reconfig.inbound() {
            self.refuse_stream(&data);
            return Next::Continue;
        }
        let channel = self.channels.on_stream(data.stream);
        match self.inc.on_data(&data, channel) {
            Ok(Taken::Nothing) => {}
            Ok(Taken::Messages(received)) => self.accept(received),
            Err(violation) => {
                let cause = match violation {
                    PeerMisbehaved::TooMuchUnfinished => cause::OUT_OF_RESOURCE,
                    _ => cause::PROTOCOL_VIOLATION,
                };
                self.fail(violation, cause);
                return Next::Stop;
            }
        }
        Next::Continue
    }

    /// RFC 9260 §6.5: acknowledged, reported, and dropped.
    fn refuse_stream(&mut self, data: &Data<'_>) {
        self.inc.drop_data(data.tsn);
        let mut value = [0; 4];
        value[..2].copy_from_slice(&data.stream.to_be_bytes());
        let error = control::error(cause::INVALID_STREAM, &value);
        self.control.answer(error, self.packet_size);
    }

    fn on_sack(&mut self, now: Instant, value: &[u8]) -> Next {
        match Sack::parse(value) {
            Ok(sack) if self.phase.is_connected() => self.on_acknowledgement(now, &sack),
            Ok(_) => Next::Continue,
            Err(_) => {
                self.stats.packets_dropped += 1;
                Next::Continue
            }
        }
    }

    fn on_acknowledgement(&mut self, now: Instant, sack: &Sack<'_>) -> Next {
        self.stats.sacks_received += 1;
        for tsn in sack.duplicates() {
            let tsn = serial::unwrap32(self.out.last_tsn(), tsn);
            self.marks.on_duplicate(tsn);
        }
        match self.out.on_sack(&mut self.channels, now, sack) {
            Ok(effect) => {
                if effect.stale {
                    return Next::Continue;
                }
                if effect.progress {
                    let watched = self.out.take_watched();
                    self.marks.on_arrived(self.out.newest_arrived(), watched);
                }
                if effect.progress || effect.advanced {
                    self.liveness.note_success();
                    self.liveness.note_activity(now);
                    self.pmtu.on_progress();
                    self.restart_retransmit(now);
                    self.allow_shutdown_time(now);
                } else if self.out.is_probing_window() {
                    // RFC 9260 §6.1: a peer that answers probes is not unreachable.
                    self.liveness.note_success();
                }
                self.after_progress(now);
                Next::Continue
            }
            Err(violation) => {
                self.fail(violation, cause::PROTOCOL_VIOLATION);
                Next::Stop
            }
        }
    }

    /// RFC 9260 §6.3.2 R3, and the probe of the tail with it.
    pub(super) fn restart_retransmit(&mut self, now: Instant) {
        self.timers.stop(Why::Retransmit);
        match self.out.probe_delay(super::timeout::PEER_SACK_DELAY) {
            Some(delay) => self.timers.set(Why::Probe, now + delay),
            None => self.timers.stop(Why::Probe),
        }
    }

    /// Something was acknowledged: what waited for that goes on.
    pub(super) fn after_progress(&mut self, now: Instant) {
        self.invite_writers();
        self.pursue_reconfig(now);
        if self.phase.is_closing() {
            self.pursue_shutdown(now);
        }
        if self.out.is_drained() && !self.timers.is_set(Why::Idle) {
            self.await_idleness(now);
        }
    }

    fn on_control(&mut self, now: Instant, header: &Header, chunk: &Chunk<'_>) -> Next {
        if matches!(
            chunk.kind,
            kind::INIT | kind::INIT_ACK | kind::COOKIE_ECHO | kind::COOKIE_ACK
        ) {
            self.stats.handshake_received += 1;
        }
        match chunk.kind {
            kind::INIT => self.on_init(now, chunk.value),
            kind::INIT_ACK => self.on_init_ack(now, chunk.value),
            kind::COOKIE_ECHO => {
                if !self.on_cookie_echo(now, header.tag, chunk.value) {
                    return Next::Stop;
                }
            }
            kind::COOKIE_ACK => self.on_cookie_ack(now),
            kind::HEARTBEAT if self.phase.is_connected() => {
                let answer = chunk::encode(kind::HEARTBEAT_ACK, 0, chunk.value);
                self.control.answer(answer, self.packet_size);
            }
            kind::HEARTBEAT => {}
            kind::HEARTBEAT_ACK => self.on_heartbeat_ack(now, chunk.value),
            kind::ABORT => self.on_abort(chunk.value),
            kind::ERROR => self.on_error(chunk.value),
            kind::SHUTDOWN => self.on_shutdown_chunk(now, chunk.value),
            kind::SHUTDOWN_ACK => {
                self.on_shutdown_ack(header.tag);
                return Next::Stop;
            }
            kind::SHUTDOWN_COMPLETE => self.on_shutdown_complete(),
            kind::FORWARD_TSN | kind::I_FORWARD_TSN => self.on_forward(chunk),
            kind::RE_CONFIG if self.phase.is_connected() => self.on_reconfig(now, chunk.value),
            kind::ECNE if self.phase.is_connected() => self.on_echo(now, chunk.value),
            kind::CWR if self.phase.is_connected() => self.on_reduced(chunk.value),
            kind::RE_CONFIG | kind::PAD | kind::ECNE | kind::CWR => {}
            _ => return self.on_unknown(chunk),
        }
        Next::Continue
    }

    /// RFC 9260 §3.2: the two upper bits say what to do.
    fn on_unknown(&mut self, chunk: &Chunk<'_>) -> Next {
        let unknown = Unknown::chunk(chunk.kind);
        if unknown.report && self.phase.is_connected() {
            // As much of it as a packet takes.
            let most = self.packet_size - super::LEAST_PACKET / 4;
            let shown = &chunk.whole[..chunk.whole.len().min(most)];
            let error = control::error(cause::UNRECOGNIZED_CHUNK, shown);
            self.control.answer(error, self.packet_size);
        }
        match unknown.skip {
            true => Next::Continue,
            false => Next::Stop,
        }
    }

    /// RFC 9260 §5.2.6: a stale cookie begins the handshake anew; other errors are only counted.
    fn on_error(&mut self, value: &[u8]) {
        let (cause, _) = control::first_cause(value);
        if cause == cause::STALE_COOKIE && self.phase == Phase::CookieEchoed {
            self.begin_again();
        }
    }

    fn on_shutdown_chunk(&mut self, now: Instant, value: &[u8]) {
        if !self.phase.is_connected() {
            return;
        }
        if let Some(cumulative) = value.first_chunk::<4>() {
            // RFC 9260 §9.2: it acknowledges like a SACK without blocks. Some peers put a TSN of their own
            // there, which says nothing.
            let (last, cumulative) = (self.out.last_tsn(), u32::from_be_bytes(*cumulative));
            if serial::unwrap32(last, cumulative) <= last {
                let sack = Sack::plain(cumulative, self.out.peer_window());
                self.on_acknowledgement(now, &sack);
            }
        }
        self.on_shutdown(now);
    }

    /// The round trip of a heartbeat (RFC 9260 §8.3).
    fn on_heartbeat_ack(&mut self, now: Instant, value: &[u8]) {
        // The info parameter holds when it was sent, and a number that only we know.
        let Some(info) = value.get(4..20) else {
            return;
        };
        let (Some(sent), Some(nonce)) = (info.first_chunk::<8>(), info.last_chunk::<8>()) else {
            return;
        };
        let nonce = u64::from_be_bytes(*nonce);
        if self.pmtu.answer(nonce) {
            self.liveness.note_success();
            self.timers.stop(Why::PathMtu);
            self.follow_size();
            return;
        }
        if self.liveness.answer(nonce) {
            let sent = Instant::from_nanos(u64::from_be_bytes(*sent));
            self.out.rto.sample(now.since(sent));
            self.schedule_heartbeat(now);
        }
    }

    /// Ends the association as unreachable when too many failures have come in a row.
    pub(super) fn note_failure(&mut self) -> bool {
        let alive = self.liveness.note_failure(self.config.max_retransmits);
        if !alive {
            self.end(CloseReason::Unreachable);
        }
        alive
    }
}

/// True when there is an ABORT among the chunks, which is never answered (RFC 9260 §8.4 2).
fn has_abort(chunks: &[u8]) -> bool {
    Chunks::new(chunks)
        .flatten()
        .any(|chunk| chunk.kind == kind::ABORT)
}
