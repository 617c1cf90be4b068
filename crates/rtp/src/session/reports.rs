//! RTCP on its way out: regular reports, and feedback as soon as it is due.

use std::time::Duration;

use esp_wire::{Deadline, Instant, Rng, ShortRead, Train, Writer};

use super::{Session, Why};
use crate::receive::Method;
use crate::rtcp::feedback::{write_fir, write_nack, write_pli, write_remb};
use crate::rtcp::report::{MAX_BLOCKS, ReportBlock, write_receiver_report, write_sender_report};
use crate::rtcp::sdes::{write_bye, write_cnames};

/// A stream counts as sending this many report intervals after its last packet (RFC 3550 §6.4).
const ACTIVE_INTERVALS: u32 = 2;
/// Sources that one compound describes at most.
const MAX_SOURCES: usize = 8;

/// What is due, and buffers that are used again.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    buffer: Vec<u8>,
    sequences: Vec<u16>,
    blocks: Vec<ReportBlock>,
    ssrcs: Vec<u32>,
    report_at: Option<Instant>,
    report_due: bool,
    arrivals_at: Option<Instant>,
    arrivals_due: bool,
    bye_due: bool,
    /// Where the turn among senders stands when not all fit one compound.
    turn: usize,
}

impl Outgoing {
    /// The first packet of any stream starts the reports; the first comes early, so that the
    /// peer can play sound and pictures in step soon.
    pub(super) fn on_activity(&mut self, now: Instant, interval: Duration) {
        if self.report_at.is_none() && !self.report_due {
            self.report_at = Some(now + interval / 8);
        }
    }

    /// A packet with a transport-wide number came.
    pub(super) fn on_arrival(&mut self, now: Instant, interval: Duration, urgent: bool) {
        if urgent {
            self.arrivals_at = None;
            self.arrivals_due = true;
        } else if self.arrivals_at.is_none() && !self.arrivals_due {
            self.arrivals_at = Some(now + interval);
        }
    }

    pub(super) fn say_bye(&mut self) {
        self.bye_due = true;
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, interval: Duration, rng: &mut Rng) {
        if self.report_at.is_some_and(|at| at <= now) {
            self.report_due = true;
            // RFC 3550 §6.3.1: between half and one and a half times the interval.
            let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
            let spread = Duration::from_nanos(nanos / 2 + rng.below(nanos));
            self.report_at = Some(now + spread);
        }
        if self.arrivals_at.is_some_and(|at| at <= now) {
            self.arrivals_at = None;
            self.arrivals_due = true;
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Deadline<Why>> {
        // While a report waits to leave, the next one adds nothing.
        let report = self.report_at.filter(|_| !self.report_due);
        let report = report.map(|at| Deadline {
            at,
            why: Why::Report,
        });
        let arrivals = self.arrivals_at.map(|at| Deadline {
            at,
            why: Why::TransportFeedback,
        });
        Deadline::earlier(report, arrivals)
    }
}

impl Session {
    /// Fills `train` with one RTCP packet if anything is due.
    pub(super) fn fill_rtcp(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.tracks.is_empty() || !self.has_rtcp() {
            return false;
        }
        let mut buffer = std::mem::take(&mut self.outgoing.buffer);
        buffer.resize(super::MAX_PACKET, 0);
        let room = self.rtcp_room.unwrap_or(self.room);
        let more = (room.head + room.tail).saturating_sub(self.room.head + self.room.tail);
        let limit = self.max_packet.saturating_sub(more);
        let mut out = Writer::new(&mut buffer[..limit]);
        self.write_rtcp(now, &mut out);
        let len = out.len();
        let mut filled = false;
        if len > 0 {
            train.begin(room, len);
            filled = train.push(&buffer[..len]);
        }
        self.outgoing.buffer = buffer;
        filled
    }

    fn has_rtcp(&self) -> bool {
        let due = &self.outgoing;
        due.report_due
            || due.bye_due
            || due.arrivals_due
            || self
                .receivers
                .iter()
                .any(|receiver| receiver.nacks.is_due() || receiver.wants_keyframe())
    }

    /// Writes what is due and fits; what is left out stays due.
    fn write_rtcp(&mut self, now: Instant, out: &mut Writer<'_>) {
        // RFC 5506: feedback may travel alone only where that was negotiated.
        let active = |track: &&super::Track| track.direction != esp_wire::Direction::None;
        let reduced = self
            .tracks
            .iter()
            .filter(active)
            .all(|track| track.reduced_size);
        if self.outgoing.report_due {
            self.outgoing.report_due = false;
            if self.write_reports(now, out).is_err() {
                return;
            }
            let _ = self.write_bitrate(out);
        } else if !reduced || self.outgoing.bye_due {
            let ssrc = self.tracks[0].ssrcs().ssrc;
            let head = write_receiver_report(out, ssrc, &[]);
            if head
                .and_then(|()| write_cnames(out, &[ssrc], &self.cname))
                .is_err()
            {
                return;
            }
        }
        // What does not fit is written by the next call.
        let _ = self.write_feedback(now, out);
        if self.outgoing.bye_due {
            self.outgoing.ssrcs.clear();
            let sent = self.tracks.iter().filter(|track| track.sender.has_sent());
            self.outgoing
                .ssrcs
                .extend(sent.map(|track| track.ssrcs().ssrc));
            if self.outgoing.ssrcs.is_empty() {
                self.outgoing.ssrcs.push(self.tracks[0].ssrcs().ssrc);
            }
            if write_bye(out, &self.outgoing.ssrcs).is_ok() {
                self.outgoing.bye_due = false;
            }
        }
    }

    /// Sender reports of all streams that send, the first with all report blocks; a receiver
    /// report when none sends; then the description of the sources.
    fn write_reports(&mut self, now: Instant, out: &mut Writer<'_>) -> Result<(), ShortRead> {
        let ntp = self.ntp_at(now);
        let mut blocks = std::mem::take(&mut self.outgoing.blocks);
        let mut ssrcs = std::mem::take(&mut self.outgoing.ssrcs);
        blocks.clear();
        ssrcs.clear();
        // A compound of half the packet leaves room for descriptions and feedback.
        let most = (out.room() / 2 / 24).min(MAX_BLOCKS);
        let receivers = self.receivers.iter_mut().take(most);
        blocks.extend(receivers.map(|receiver| receiver.report(now)));
        let span = self.config.report_interval * ACTIVE_INTERVALS;
        let count = self.tracks.len();
        for step in 0..count {
            let index = (self.outgoing.turn + step) % count;
            let track = &self.tracks[index];
            if ssrcs.len() >= MAX_SOURCES {
                self.outgoing.turn = index;
                break;
            }
            if !track.sender.has_sent() || !track.sender.sent_within(now, span) {
                continue;
            }
            let Some(info) = track.sender.report(now, ntp) else {
                continue;
            };
            let about: &[ReportBlock] = if ssrcs.is_empty() { &blocks } else { &[] };
            if write_sender_report(out, track.ssrcs().ssrc, &info, about).is_err() {
                self.outgoing.turn = index;
                break;
            }
            ssrcs.push(track.ssrcs().ssrc);
        }
        if ssrcs.is_empty() {
            let ssrc = self.tracks[0].ssrcs().ssrc;
            write_receiver_report(out, ssrc, &blocks)?;
            ssrcs.push(ssrc);
        }
        let described = write_cnames(out, &ssrcs, &self.cname)
            .or_else(|_| write_cnames(out, &ssrcs[..1], &self.cname));
        self.outgoing.blocks = blocks;
        self.outgoing.ssrcs = ssrcs;
        described
    }

    fn write_feedback(&mut self, now: Instant, out: &mut Writer<'_>) -> Result<(), ShortRead> {
        for receiver in &mut self.receivers {
            let local = self.tracks[usize::from(receiver.track.0)].ssrcs().ssrc;
            let ssrc = receiver.ssrc;
            if let Some((method, number)) = receiver.keyframes().request() {
                match method {
                    Method::Pli => write_pli(out, local, ssrc)?,
                    Method::Fir => write_fir(out, local, ssrc, number)?,
                }
                receiver.keyframes().note_asked(now);
                receiver.count_requests(0, 1);
            }
            if receiver.nacks.is_due() {
                let sequences = &mut self.outgoing.sequences;
                receiver.nacks.collect(now, sequences);
                let asked = write_nack(out, local, ssrc, sequences)?;
                receiver.nacks.note_asked(now, asked);
                receiver.count_requests(asked, 0);
            }
        }
        if self.outgoing.arrivals_due {
            let local = self.tracks[0].ssrcs().ssrc;
            let media = self.receivers.first().map_or(0, |receiver| receiver.ssrc);
            while !self.arrivals.is_empty() {
                self.arrivals.write(out, local, media)?;
                self.feedback_sent += 1;
            }
            self.outgoing.arrivals_due = false;
        }
        Ok(())
    }

    /// REMB for all streams received, where it was negotiated and a limit is set.
    fn write_bitrate(&mut self, out: &mut Writer<'_>) -> Result<(), ShortRead> {
        let Some(bitrate) = self.config.max_receive_bitrate else {
            return Ok(());
        };
        self.outgoing.ssrcs.clear();
        for receiver in &self.receivers {
            let track = &self.tracks[usize::from(receiver.track.0)];
            if track.recv.iter().any(|map| map.remb) {
                self.outgoing.ssrcs.push(receiver.ssrc);
            }
        }
        match self.outgoing.ssrcs.is_empty() {
            true => Ok(()),
            false => write_remb(
                out,
                self.tracks[0].ssrcs().ssrc,
                bitrate,
                &self.outgoing.ssrcs,
            ),
        }
    }
}
