//! Counts for receiver reports (RFC 3550 §A.3, §A.8).

use std::time::Duration;

use esp_wire::Instant;

use crate::clock::{ntp_middle, short_of, time_of};
use crate::rtcp::{ReportBlock, SenderInfo};

/// What a receiver knows about one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reception {
    first: u64,
    highest: u64,
    received: u64,
    expected_before: u64,
    received_before: u64,
    /// Arrival less timestamp of the packet before, in ticks, wrapping.
    transit: Option<u32>,
    /// Jitter in ticks, times 16.
    jitter: u32,
    sender: Option<(SenderInfo, Instant)>,
}

impl Reception {
    /// Counts a packet of the stream itself (not of its RTX stream).
    pub(crate) fn note(&mut self, now: Instant, number: u64, timestamp: u32, rate: u32) {
        if self.received == 0 {
            self.first = number;
            self.highest = number;
        }
        // What came before the first packet makes the range longer.
        self.first = self.first.min(number);
        self.highest = self.highest.max(number);
        self.received += 1;
        let arrival = u128::from(now.as_nanos()) * u128::from(rate) / 1_000_000_000;
        let transit = (arrival as u32).wrapping_sub(timestamp);
        if let Some(before) = self.transit {
            // RFC 3550 §A.8: J += (|D| - J) / 16, in integers.
            let d = (transit.wrapping_sub(before) as i32).unsigned_abs();
            let jitter = i64::from(self.jitter) + i64::from(d) - i64::from((self.jitter + 8) >> 4);
            self.jitter = u32::try_from(jitter.max(0))
                .unwrap_or(u32::MAX)
                .min(u32::MAX - 8);
        }
        self.transit = Some(transit);
    }

    /// Begins anew after the sender restarted its numbers.
    pub(crate) fn restart(&mut self) {
        *self = Reception {
            sender: self.sender,
            ..Reception::default()
        };
    }

    /// Notes a sender report.
    pub(crate) fn note_sender(&mut self, now: Instant, info: SenderInfo) {
        self.sender = Some((info, now));
    }

    /// What the last sender report said.
    pub(crate) fn sender(&self) -> Option<SenderInfo> {
        self.sender.map(|(info, _)| info)
    }

    /// Packets lost so far, below zero when duplicates came.
    pub(crate) fn lost(&self) -> i64 {
        self.expected() as i64 - self.received as i64
    }

    /// The interarrival jitter.
    pub(crate) fn jitter(&self, rate: u32) -> Duration {
        time_of(i64::from(self.jitter >> 4), rate)
    }

    fn expected(&self) -> u64 {
        match self.received {
            0 => 0,
            _ => self.highest - self.first + 1,
        }
    }

    /// The report block up to `now`; the next one's loss fraction begins here.
    pub(crate) fn block(&mut self, now: Instant, ssrc: u32) -> ReportBlock {
        let expected = self.expected().saturating_sub(self.expected_before);
        let received = self.received.saturating_sub(self.received_before);
        self.expected_before = self.expected();
        self.received_before = self.received;
        let lost = expected.saturating_sub(received);
        let fraction = (lost << 8).checked_div(expected).unwrap_or(0);
        let (last_sr, since_last_sr) = match self.sender {
            Some((info, at)) => (ntp_middle(info.ntp), short_of(now - at)),
            None => (0, 0),
        };
        ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            lost: self.lost().clamp(-0x80_0000, 0x7f_ffff) as i32,
            // The unwrapped numbers begin one cycle above zero.
            highest: (self.highest as u32).wrapping_sub(0x1_0000),
            jitter: self.jitter >> 4,
            last_sr,
            since_last_sr,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_jitter_are_counted_as_in_the_rfc() {
        let mut reception = Reception::default();
        for number in 0..8u64 {
            if number == 3 || number == 4 {
                continue;
            }
            let ms = 20 * number + if number % 2 == 1 { 4 } else { 0 };
            reception.note(
                Instant::from_millis(ms),
                0x1_0000 + 65_530 + number,
                160 * number as u32,
                8_000,
            );
        }
        let block = reception.block(Instant::from_millis(200), 7);
        assert_eq!((block.ssrc, block.lost, block.fraction_lost), (7, 2, 64));
        assert_eq!(block.highest, 0x1_0001);
        // Differences of 32 ticks: the jitter climbs by 2 a packet at first.
        assert!((8..=10).contains(&block.jitter), "{}", block.jitter);
        let quiet = reception.block(Instant::from_millis(300), 7);
        assert_eq!((quiet.lost, quiet.fraction_lost), (2, 0));
    }

    #[test]
    fn the_last_sender_report_is_named() {
        let mut reception = Reception::default();
        let info = SenderInfo {
            ntp: 0x0001_0002_0003_0004,
            ..SenderInfo::default()
        };
        reception.note_sender(Instant::from_millis(1_000), info);
        let block = reception.block(Instant::from_millis(1_500), 7);
        assert_eq!((block.last_sr, block.since_last_sr), (0x0002_0003, 0x8000));
        assert_eq!((block.lost, block.fraction_lost), (0, 0));
    }
}
