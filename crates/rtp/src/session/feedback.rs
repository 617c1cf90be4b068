//! RTCP on its way in.

use esp_wire::{Instant, Kind};

use super::events::Notice;
use super::{EndReason, Session, TrackId};
use crate::rtcp::{self, Blocks, Rtcp, SenderInfo, sdes};

impl Session {
    /// Takes a decrypted RTCP packet, compound or of reduced size.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &mut [u8]) {
        self.rtcp_received += 1;
        let packet: &[u8] = packet;
        if packet.is_empty() {
            self.dropped.malformed_rtcp += 1;
        }
        for packet in rtcp::packets(packet) {
            match packet {
                Ok(packet) => self.on_rtcp(now, packet),
                Err(_) => self.dropped.malformed_rtcp += 1,
            }
        }
    }

    fn on_rtcp(&mut self, now: Instant, packet: Rtcp<'_>) {
        match packet {
            Rtcp::SenderReport { ssrc, info, blocks } => {
                match self.find_receiver(ssrc) {
                    Some(index) => self.receivers[index].on_sender_report(now, info),
                    None => self.keep_report(now, ssrc, info),
                }
                self.on_blocks(now, blocks);
            }
            Rtcp::ReceiverReport { blocks, .. } => self.on_blocks(now, blocks),
            Rtcp::Sdes(description) => self.on_sdes(description),
            Rtcp::Bye(bye) => {
                for ssrc in bye.ssrcs() {
                    self.end_streams(now, EndReason::Bye, |_, receiver| receiver.ssrc == ssrc);
                }
            }
            Rtcp::Nack(nack) => {
                if let Some(index) = self.sender_of(nack.media)
                    && self.tracks[index].sender.map.is_some_and(|map| map.nack)
                {
                    self.tracks[index].sender.on_nack(now, nack.sequences());
                }
            }
            Rtcp::Pli { media, .. } => {
                if let Some(index) = self.sender_of(media) {
                    self.on_keyframe_request(now, index);
                }
            }
            Rtcp::Fir(fir) => {
                for (media, number) in fir.entries() {
                    let Some(index) = self.sender_of(media) else {
                        continue;
                    };
                    // RFC 5104 §4.3.1.2: the same number is a repetition of the same command.
                    if self.tracks[index].fir_number.replace(number) != Some(number) {
                        self.on_keyframe_request(now, index);
                    }
                }
            }
            Rtcp::Remb(remb) => self.on_remb(now, remb.bitrate),
            Rtcp::TransportCc(feedback) => self.on_transport_feedback(now, feedback),
            Rtcp::Other { .. } => {}
        }
    }

    /// A report may overtake the first packet of its stream, and the next one is seconds away.
    fn keep_report(&mut self, now: Instant, ssrc: u32, info: SenderInfo) {
        self.early_reports.retain(|(early, ..)| *early != ssrc);
        if self.early_reports.len() >= self.config.max_streams {
            self.early_reports.pop_front();
        }
        self.early_reports.push_back((ssrc, info, now));
    }

    fn sender_of(&self, ssrc: u32) -> Option<usize> {
        self.tracks
            .iter()
            .position(|track| track.ssrcs().ssrc == ssrc)
    }

    fn on_blocks(&mut self, now: Instant, blocks: Blocks<'_>) {
        let ntp = self.ntp_at(now);
        for block in blocks.iter() {
            if let Some(index) = self.sender_of(block.ssrc) {
                let sender = &mut self.tracks[index].sender;
                sender.on_report(ntp, &block);
                if let Some(rtt) = sender.stats.rtt {
                    for receiver in &mut self.receivers {
                        receiver.nacks.hint(rtt);
                    }
                }
                self.on_losses(now, index);
            }
        }
    }

    /// RFC 8843 §9.2: a MID in SDES binds an SSRC just as one in a packet does.
    fn on_sdes(&mut self, description: rtcp::Sdes<'_>) {
        for (ssrc, kind, text) in description.items() {
            if kind == sdes::MID
                && let Some(track) = self.router.mid(text)
            {
                self.router.learn(ssrc, track);
            }
        }
    }

    fn on_keyframe_request(&mut self, now: Instant, index: usize) {
        let track = &mut self.tracks[index];
        track.sender.stats.keyframe_requests += 1;
        let interval = self.config.keyframe_answer_interval;
        let recent = track.keyframe_event.is_some_and(|at| now - at < interval);
        if recent || track.kind != Kind::Video || track.sender.map.is_none() {
            return;
        }
        track.keyframe_event = Some(now);
        let event = Notice::KeyframeRequested {
            track: TrackId(index as u16),
        };
        self.events.notice(event, &mut self.dropped.unread_events);
    }
}
