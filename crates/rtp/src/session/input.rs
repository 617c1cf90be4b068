//! RTP packets on their way in: routed, then handed to their stream.

use std::time::Duration;

use esp_wire::Instant;

use super::track::Payload;
use super::{Session, TrackId, frames_of};
use crate::packet::Packet;
use crate::receive::Receiver;
use crate::receive::jitter::Incoming;

/// How long packets of a stream that said goodbye are ignored.
const AFTERMATH: Duration = Duration::from_secs(2);

impl Session {
    /// Takes a decrypted RTP packet.
    pub fn handle_rtp(&mut self, now: Instant, packet: &mut [u8]) {
        self.seen = self.seen.max(now);
        let Ok(packet) = Packet::parse(packet) else {
            self.dropped.malformed_rtp += 1;
            return;
        };
        let header = packet.header;
        let values = self.extensions.values(packet.extensions);
        if let Some(number) = values.transport_seq.filter(|_| self.wants_arrivals) {
            self.arrivals.note(now, number);
            let urgent = self.arrivals.is_urgent();
            self.outgoing
                .on_arrival(now, self.config.twcc_interval, urgent);
        }
        let routed = self
            .router
            .route(values.mid, header.ssrc, header.payload_type)
            .filter(|index| self.tracks[*index].direction.receives());
        let Some(index) = routed else {
            self.dropped.unrouted += 1;
            return;
        };
        let mut incoming = Incoming {
            timestamp: header.timestamp,
            marker: header.marker,
            content: None,
            rotation: values.rotation,
            audio_level: values.audio_level.map(|(_, level)| level),
            payload: packet.payload,
        };
        let sequence = header.sequence;
        match self.tracks[index].payload(header.payload_type) {
            Some(Payload::Media(map)) => {
                let Some(receiver) = self.receiver(now, header.ssrc, index) else {
                    return;
                };
                if !packet.payload.is_empty() {
                    incoming.content = Some((map.codec, map.pt));
                    self.receivers[receiver].configure(&map);
                }
                self.hand_to(now, receiver, sequence, &incoming, false);
            }
            Some(Payload::Rtx(map)) => {
                incoming.content = Some((map.codec, map.pt));
                self.on_rtx(now, index, header.ssrc, incoming);
            }
            // A payload type that nobody asked for takes a number in a stream that is known.
            None => match self.find_receiver(header.ssrc) {
                Some(receiver) => self.hand_to(now, receiver, sequence, &incoming, false),
                None => self.dropped.unrouted += 1,
            },
        }
    }

    /// RFC 4588 §4: the payload is the original sequence number, then the original payload.
    fn on_rtx(&mut self, now: Instant, track: usize, ssrc: u32, mut incoming: Incoming<'_>) {
        // What is shorter only probes the path.
        let Some((original, payload)) = incoming.payload.split_first_chunk() else {
            return;
        };
        let Some(receiver) = self.rtx_receiver(track, ssrc) else {
            self.dropped.stray_rtx += 1;
            return;
        };
        if !payload.is_empty() {
            incoming.payload = payload;
            self.hand_to(
                now,
                receiver,
                u16::from_be_bytes(*original),
                &incoming,
                true,
            );
        }
    }

    fn hand_to(
        &mut self,
        now: Instant,
        receiver: usize,
        sequence: u16,
        incoming: &Incoming<'_>,
        repaired: bool,
    ) {
        let mut out = frames_of!(self);
        self.receivers[receiver].on_packet(now, sequence, incoming, repaired, &mut out);
    }

    pub(super) fn find_receiver(&self, ssrc: u32) -> Option<usize> {
        self.receivers
            .iter()
            .position(|receiver| receiver.ssrc == ssrc)
    }

    /// The stream of an SSRC, which is made when it is new and there is room.
    fn receiver(&mut self, now: Instant, ssrc: u32, track: usize) -> Option<usize> {
        let id = TrackId(u16::try_from(track).ok()?);
        if let Some(index) = self.find_receiver(ssrc) {
            // A MID may move a stream to another m-section.
            if self.receivers[index].track == id {
                return Some(index);
            }
            self.end_streams(now, super::EndReason::Removed, |_, receiver| {
                receiver.ssrc == ssrc
            });
        }
        self.departed.retain(|(_, at)| now - *at < AFTERMATH);
        if self.departed.iter().any(|(departed, _)| *departed == ssrc) {
            self.dropped.unrouted += 1;
            return None;
        }
        if self.receivers.len() >= self.config.max_streams {
            self.dropped.too_many_streams += 1;
            return None;
        }
        let kind = self.tracks[track].kind;
        let mut receiver = Receiver::new(now, ssrc, id, kind, &self.config);
        receiver.set_parameter_sets(&self.tracks[track].parameter_sets);
        let early = self.early_reports.iter().position(|early| early.0 == ssrc);
        if let Some((_, info, at)) = early.and_then(|index| self.early_reports.remove(index)) {
            receiver.on_sender_report(at, info);
        }
        self.receivers.push(receiver);
        self.outgoing.on_activity(now, self.config.report_interval);
        Some(self.receivers.len() - 1)
    }

    /// The stream that an RTX stream repairs: as announced, as learned, or the only one there is.
    fn rtx_receiver(&mut self, track: usize, rtx: u32) -> Option<usize> {
        let announced = self.tracks[track]
            .remote_rtx
            .iter()
            .find(|(_, repair)| *repair == rtx)
            .map(|(ssrc, _)| *ssrc);
        if let Some(ssrc) = announced {
            return self.find_receiver(ssrc);
        }
        let learned = |receiver: &Receiver| receiver.rtx_ssrc == Some(rtx);
        if let Some(index) = self.receivers.iter().position(learned) {
            return Some(index);
        }
        let mut candidates = self.receivers.iter().enumerate().filter(|(_, receiver)| {
            usize::from(receiver.track.0) == track && receiver.rtx_ssrc.is_none()
        });
        let (index, _) = candidates.next()?;
        if candidates.next().is_some() {
            return None;
        }
        self.receivers[index].rtx_ssrc = Some(rtx);
        Some(index)
    }
}
