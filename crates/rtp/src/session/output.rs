//! Packets on their way out: RTCP, then sound, then what is sent again, then video as it is paced.

use esp_wire::{Instant, Kind, Train};

use super::{Class, Session};
use crate::send::Stamps;

impl Session {
    /// Fills a train with packets of one class; `None` when nothing is to be sent now.
    ///
    /// The train is laid out with the room of [`Session::set_path`]; its packets are equal in size
    /// but for the last.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> Option<Class> {
        self.seen = self.seen.max(now);
        if self.fill_rtcp(now, train) {
            self.rtcp_sent += 1;
            return Some(Class::Rtcp);
        }
        if self.fill_audio(now, train) || self.fill_video(now, train) {
            return Some(Class::Rtp);
        }
        None
    }

    fn fill_audio(&mut self, now: Instant, train: &mut Train) -> bool {
        let mut stamps = Stamps {
            now,
            ntp: self.ntp_at(now),
            sent: &mut self.sent,
        };
        for track in &mut self.tracks {
            if track.kind != Kind::Audio {
                continue;
            }
            let sender = &mut track.sender;
            if sender.fill(&mut stamps, train, self.room, usize::MAX) > 0
                || sender.fill_resends(&mut stamps, train, self.room, usize::MAX) > 0
            {
                return true;
            }
        }
        false
    }

    fn fill_video(&mut self, now: Instant, train: &mut Train) -> bool {
        let waits = |sender: &crate::send::Sender| sender.pending() > 0 || sender.has_resends();
        let waiting = self
            .tracks
            .iter()
            .any(|track| track.kind == Kind::Video && waits(&track.sender));
        if !waiting {
            self.pacer.on_empty();
            self.pace_at = None;
            return false;
        }
        // Waiting for a whole train keeps wake-ups and sends few.
        if self.pace_at.is_some_and(|at| at > now) {
            return false;
        }
        let budget = self.pacer.budget(now);
        if budget == 0 {
            self.pace_at = Some(self.pacer.ready_at());
            return false;
        }
        let mut stamps = Stamps {
            now,
            ntp: self.ntp_at(now),
            sent: &mut self.sent,
        };
        let count = self.tracks.len();
        for again in [true, false] {
            for step in 0..count {
                let index = (self.turn + step) % count;
                let track = &mut self.tracks[index];
                if track.kind != Kind::Video {
                    continue;
                }
                let used = if again {
                    track
                        .sender
                        .fill_resends(&mut stamps, train, self.room, budget)
                } else {
                    track.sender.fill(&mut stamps, train, self.room, budget)
                };
                if used > 0 {
                    self.pacer.spend(used);
                    self.turn = index + 1;
                    return true;
                }
            }
        }
        false
    }
}
