//! What negotiation agreed on becomes tracks and routes.

use esp_wire::Instant;

use super::events::Notice;
use super::track::Track;
use super::{EndReason, MAX_PACKET, MediaConfig, Session, TrackId};
use crate::extension::{Extension, ExtensionMap};
use crate::receive::Receiver;
use crate::send::Sender;
use crate::{Error, Misuse};

impl Session {
    /// Takes what a negotiation agreed on: all m-sections of the BUNDLE group.
    ///
    /// m-sections that are missing stop; those that stay keep their streams. On an error nothing
    /// is changed.
    pub fn set_media(&mut self, now: Instant, media: &[MediaConfig]) -> Result<(), Error> {
        self.check_media(media)?;
        self.router.clear();
        self.extensions = ExtensionMap::new();
        for track in &mut self.tracks {
            if !media.iter().any(|section| section.mid == track.mid) {
                track.stop();
            }
        }
        for section in media {
            let index = self.track_index(section);
            self.tracks[index].configure(section);
            self.route_to(index, section);
        }
        let has_number = self.extensions.id(Extension::TransportCc).is_some();
        self.wants_arrivals = has_number
            && self
                .tracks
                .iter()
                .any(|track| track.direction.receives() && track.recv.iter().any(|map| map.twcc));
        self.end_streams(now, EndReason::Removed, |tracks, receiver| {
            !tracks[usize::from(receiver.track.0)].direction.receives()
        });
        Ok(())
    }

    fn check_media(&self, media: &[MediaConfig]) -> Result<(), Error> {
        for (index, section) in media.iter().enumerate() {
            Track::check(section)?;
            let twice = media[..index].iter().any(|other| other.mid == section.mid);
            let turned = self
                .tracks
                .iter()
                .any(|track| track.mid == section.mid && track.kind != section.kind);
            if twice || turned {
                return Err(Misuse::BadMid.into());
            }
        }
        let fresh = media
            .iter()
            .filter(|section| self.track(&section.mid).is_none());
        if self.tracks.len() + fresh.count() > self.config.max_tracks {
            return Err(Misuse::TooManyTracks.into());
        }
        Ok(())
    }

    /// The index of an m-section's track, which is made when it is new.
    fn track_index(&mut self, section: &MediaConfig) -> usize {
        if let Some(TrackId(index)) = self.track(&section.mid) {
            return usize::from(index);
        }
        let mut rng = self.stream_rng(&section.mid).fork("start");
        let slots = self
            .config
            .send_queue_num
            .min(self.config.send_pool_size / MAX_PACKET)
            .max(8);
        let sender = Sender::new(
            self.local_ssrcs(&section.mid),
            section.kind,
            slots,
            self.config.max_resend_count,
            [rng.u32(), rng.u32(), rng.u32()],
        );
        self.tracks.push(Track::new(section, sender));
        self.tracks.len() - 1
    }

    fn route_to(&mut self, index: usize, section: &MediaConfig) {
        for (id, extension) in &section.extensions {
            self.extensions.set(*id, *extension);
        }
        self.router.add_mid(&section.mid, index);
        // SSRCs that are announced without end would be held without bound.
        let most = self.config.max_streams * 4;
        for ssrc in section.remote_ssrcs.iter().take(most) {
            self.router.add_ssrc(*ssrc, index);
        }
        for (_, rtx) in section.remote_rtx.iter().take(most) {
            self.router.add_ssrc(*rtx, index);
        }
        if section.direction.receives() {
            for map in &section.recv {
                self.router.add_payload_type(map.pt, index);
                if let Some(rtx) = map.rtx_pt {
                    self.router.add_payload_type(rtx, index);
                }
            }
        }
    }

    /// Ends the received streams that `is_over` names.
    pub(super) fn end_streams(
        &mut self,
        now: Instant,
        reason: EndReason,
        is_over: impl Fn(&[Track], &Receiver) -> bool,
    ) {
        let (tracks, events) = (&self.tracks, &mut self.events);
        let (departed, dropped) = (&mut self.departed, &mut self.dropped);
        self.receivers.retain(|receiver| {
            if !is_over(tracks, receiver) {
                return true;
            }
            if departed.len() >= 16 {
                departed.pop_front();
            }
            if reason == EndReason::Bye {
                departed.push_back((receiver.ssrc, now));
            }
            let ended = Notice::Ended {
                track: receiver.track,
                ssrc: receiver.ssrc,
                reason,
            };
            events.notice(ended, &mut dropped.unread_events);
            false
        });
    }
}
