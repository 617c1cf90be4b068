//! What the receiver reports about a stream sent: NACKs, and report blocks.

use std::time::Duration;

use esp_wire::{Instant, Room, Train};

use super::padding::Rtx;
use super::{Sender, Stamps};
use crate::clock::{ntp_middle, time_of, time_of_short};
use crate::rtcp::ReportBlock;

/// A packet is not sent again within this time, nor within three quarters of a round trip, since
/// the request may have crossed it.
const MIN_SPACING: Duration = Duration::from_millis(5);
const MAX_SPACING: Duration = Duration::from_millis(400);

impl Sender {
    /// Queues packets that the receiver misses, as far as they are still here.
    pub(crate) fn on_nack(&mut self, now: Instant, sequences: impl Iterator<Item = u16>) {
        let rtt = self.stats.rtt.unwrap_or(Duration::ZERO);
        let spacing = (rtt * 3 / 4).clamp(MIN_SPACING, MAX_SPACING);
        for sequence in sequences {
            self.stats.nacked += 1;
            let behind = (self.next as u16).wrapping_sub(sequence);
            let number = self.next.saturating_sub(u64::from(behind));
            let max_resends = self.max_resends;
            let sent = number < self.unsent;
            let slot = self.history.slot_mut(number).filter(|_| sent);
            let Some(slot) = slot.filter(|slot| slot.resends < max_resends) else {
                self.stats.not_resent += 1;
                continue;
            };
            let under_way = slot.resends > 0 && slot.sent_at.is_some_and(|at| now - at < spacing);
            if !slot.queued && !under_way {
                slot.queued = true;
                self.resend.push_back(number);
            }
        }
    }

    /// Fills `train` with packets to be sent again, and returns their bytes.
    pub(crate) fn fill_resends(
        &mut self,
        stamps: &mut Stamps<'_>,
        train: &mut Train,
        room: Room,
        budget: usize,
    ) -> usize {
        let rtx_pt = self.map.and_then(|map| map.rtx_pt);
        let growth = rtx_pt.map_or(0, |_| 2);
        let mut used = 0;
        while let Some(&number) = self.resend.front() {
            let Some(slot) = self.history.slot_mut(number) else {
                self.resend.pop_front();
                continue;
            };
            let len = slot.bytes.len() + growth;
            if used == 0 {
                train.begin(room, len);
                if train.payload_size() < len {
                    self.resend.pop_front();
                    continue;
                }
            } else if train.vacancy() == 0 || len > train.payload_size() || used + len > budget {
                break;
            }
            self.resend.pop_front();
            slot.queued = false;
            slot.resends += 1;
            slot.sent_at = Some(stamps.now);
            match rtx_pt {
                Some(rtx_pt) => {
                    let rtx = Rtx {
                        payload_type: rtx_pt,
                        ssrc: self.ssrcs.rtx,
                        sequence: self.rtx_sequence,
                    };
                    self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
                    let original = slot.bytes.split_at(slot.header);
                    rtx.push(train, original, &self.template, stamps);
                }
                // Not stamped again: the same SRTP index must never cover other bytes, since
                // GCM would lose its authentication key (RFC 7714 §8.1).
                None => {
                    train.push(&slot.bytes);
                }
            }
            self.stats.retransmitted += 1;
            used += len;
        }
        used
    }

    /// Takes a report about this stream that came in at NTP time `ntp`.
    pub(crate) fn on_report(&mut self, ntp: u64, block: &ReportBlock) {
        self.stats.remote_lost = block.lost;
        self.stats.remote_fraction_lost = f64::from(block.fraction_lost) / 256.0;
        if let Some(map) = self.map {
            self.stats.remote_jitter = time_of(i64::from(block.jitter), map.codec.clock_rate());
        }
        if block.last_sr != 0 {
            // RFC 3550 §6.4.1: now - DLSR - LSR; below zero is a clock's trembling.
            let rtt = ntp_middle(ntp)
                .wrapping_sub(block.since_last_sr)
                .wrapping_sub(block.last_sr) as i32;
            self.stats.rtt = Some(time_of_short(rtt.max(0).unsigned_abs()));
        }
    }
}
