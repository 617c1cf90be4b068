//! Packets on their way out: RTCP, then sound, then what is sent again, then video as it is paced.

use esp_wire::{Instant, Kind, Train};

use super::bandwidth::is_observed;
use super::{Class, Session, Track};
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
            burst: 0,
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
        if waiting && self.tracks.iter().any(is_observed) {
            let begun = self.bandwidth.begin_burst(now, &mut self.pacer);
            self.pace_at = self.pace_at.filter(|_| !begun);
        }
        if !waiting {
            self.pacer.on_empty();
            if self.bandwidth.burst() == 0 {
                self.pace_at = None;
                return false;
            }
        }
        // Waiting for a whole train keeps wake-ups and sends few.
        if self.pace_at.is_some_and(|at| at > now) {
            return false;
        }
        let budget = self.bandwidth.budget(self.pacer.budget(now));
        if budget == 0 {
            self.pace_at = Some(self.pacer.ready_at());
            return false;
        }
        let used = match self.fill_paced(now, train, budget) {
            0 => self.fill_padding(now, train),
            used => used,
        };
        if used > 0 {
            self.pacer.spend(used);
            let count = train.len();
            self.bandwidth.on_sent(now, &mut self.pacer, used, count);
        } else {
            self.bandwidth.end_burst(now, &mut self.pacer);
        }
        used > 0
    }

    /// Retransmissions, then video, of one track; its bytes.
    fn fill_paced(&mut self, now: Instant, train: &mut Train, budget: usize) -> usize {
        let mut stamps = Stamps {
            now,
            ntp: self.ntp_at(now),
            sent: &mut self.sent,
            burst: self.bandwidth.burst(),
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
                    if again {
                        self.bandwidth.resent.add(now, used);
                    }
                    self.turn = index + 1;
                    return used;
                }
            }
        }
        0
    }

    /// What fills a burst when no media waits; its bytes.
    fn fill_padding(&mut self, now: Instant, train: &mut Train) -> usize {
        let mut stamps = Stamps {
            now,
            ntp: self.ntp_at(now),
            sent: &mut self.sent,
            burst: self.bandwidth.burst(),
        };
        let observed = |track: &&mut Track| {
            track.kind == Kind::Video && is_observed(track) && track.sender.can_pad()
        };
        match self.tracks.iter_mut().find(observed) {
            Some(track) if stamps.burst != 0 => {
                track.sender.fill_padding(&mut stamps, train, self.room)
            }
            _ => 0,
        }
    }
}
