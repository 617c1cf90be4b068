//! Bursts that see whether the path carries more, within limits.
//!
//! 1. When video is first sent, a burst leaves at three times the bitrate of the start.
//! 2. What carries it is probed for twice as much, and so on, until a burst arrives stretched.
//! 3. Later there is one now and then while all that is allowed is used; in vain, ever less often.

use std::time::Duration;

use esp_wire::Instant;

use super::PacketReport;

/// A burst lasts so long, and has at least so many packets.
const SPAN_MS: u64 = 15;
/// A later burst lasts longer: others may use the path, too, and pause between their pictures.
const LATER_SPAN_MS: u64 = 60;
pub(super) const PACKETS: u32 = 5;
/// Bytes of a large packet.
const PACKET: u64 = 1_100;
/// The first burst, in bitrates of the start, and each further one in what the last one found.
const FIRST: u64 = 3;
const FURTHER: u64 = 2;
/// A later burst, in halves of the estimate.
const LATER_HALVES: u64 = 3;
/// No burst is faster than so many times what arrives.
const MOST_OF_ACKED: u64 = 4;
/// Time between bursts, at least and at most.
const LEAST_PAUSE: Duration = Duration::from_secs(4);
const MOST_PAUSE: Duration = Duration::from_secs(32);
/// Time to wait after the bitrate was lowered to less than half.
const RECOVERY: Duration = Duration::from_secs(2);
/// A burst that nobody reports is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// A burst that arrives at less than this part of its rate has filled the path, in tenths.
const STRETCHED: u64 = 9;
/// What is used of the throughput of a stretched burst, in percent.
const USED: u64 = 95;

/// A burst of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Its name, not zero, which all its packets carry.
    pub id: u16,
    /// Bits a second.
    pub bitrate: u64,
    /// Bytes, at least.
    pub bytes: usize,
    /// Packets, at least.
    pub packets: u32,
}

/// The burst under way.
#[derive(Clone, Copy, Debug)]
struct Cluster {
    probe: Probe,
    began: Instant,
    /// It goes on where the last one left off.
    further: bool,
    /// Of the packets that arrived: departures and arrivals of the first and the last.
    sent: Option<(Instant, Instant)>,
    arrived: (i64, i64),
    /// Bytes of all that arrived, the first and the last apart.
    bytes: u64,
    first: u64,
    last: u64,
    packets: u32,
}

/// Plans bursts and reads what became of them.
#[derive(Clone, Debug)]
pub(super) struct Probes {
    next_id: u16,
    /// The bitrate of the next burst, and when it may leave.
    planned: Option<(Instant, u64)>,
    cluster: Option<Cluster>,
    pause: Duration,
    last: Option<Instant>,
    evaluated: u32,
}

impl Probes {
    pub(super) fn new() -> Self {
        Probes {
            next_id: 1,
            planned: None,
            cluster: None,
            pause: LEAST_PAUSE,
            last: None,
            evaluated: 0,
        }
    }

    pub(super) fn evaluated(&self) -> u32 {
        self.evaluated
    }

    /// The path is new: bursts begin again.
    pub(super) fn restart(&mut self) {
        *self = Probes {
            next_id: self.next_id,
            evaluated: self.evaluated,
            ..Probes::new()
        };
    }

    /// The bitrate was lowered; after a fall, a burst soon sees whether that is still needed.
    pub(super) fn on_lowered(&mut self, now: Instant, from: u64, to: u64) {
        self.planned = None;
        self.cluster = None;
        self.last = Some(now);
        if to < from / 2 {
            self.pause = RECOVERY;
        }
    }

    /// Whether a burst may be due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        match (self.cluster, self.planned, self.last) {
            (Some(cluster), ..) => now - cluster.began > PATIENCE,
            (None, Some((at, _)), _) => at <= now,
            (None, None, last) => last.is_none_or(|last| now - last >= self.pause),
        }
    }

    /// The burst that is due, if any. `used` tells that all that is allowed is used.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        estimate: u64,
        most: u64,
        acked: Option<u64>,
        used: bool,
    ) -> Option<Probe> {
        if self.cluster.is_some_and(|it| now - it.began > PATIENCE) {
            self.cluster = None;
            self.note_end(now, false);
        }
        if self.cluster.is_some() {
            return None;
        }
        let further = self.planned.is_some() || self.last.is_none();
        let bitrate = match (self.planned, self.last) {
            (Some((at, bitrate)), _) => (at <= now).then_some(bitrate)?,
            (None, None) => estimate * FIRST,
            (None, Some(last)) if used && now - last >= self.pause => estimate * LATER_HALVES / 2,
            _ => return None,
        };
        self.planned = None;
        let bitrate = match acked {
            Some(acked) => bitrate.min(acked * MOST_OF_ACKED),
            None => bitrate,
        };
        let bitrate = bitrate.min(most);
        if bitrate <= estimate {
            self.note_end(now, false);
            return None;
        }
        let span = match further {
            true => SPAN_MS,
            false => LATER_SPAN_MS,
        };
        let probe = Probe {
            id: self.next_id,
            bitrate,
            bytes: (bitrate * span / 8_000).max(u64::from(PACKETS) * PACKET) as usize,
            packets: PACKETS,
        };
        self.next_id = self.next_id.checked_add(1).unwrap_or(1);
        self.last = Some(now);
        self.cluster = Some(Cluster {
            probe,
            began: now,
            further,
            sent: None,
            arrived: (0, 0),
            bytes: 0,
            first: 0,
            last: 0,
            packets: 0,
        });
        Some(probe)
    }

    /// Notes a packet that feedback spoke of.
    pub(super) fn note(&mut self, packet: &PacketReport) {
        let (Some(cluster), Some(arrived)) = (&mut self.cluster, packet.arrived) else {
            return;
        };
        if packet.probe != Some(cluster.probe.id) {
            return;
        }
        let size = packet.size as u64;
        cluster.packets += 1;
        cluster.bytes += size;
        cluster.last = size;
        match &mut cluster.sent {
            None => {
                cluster.sent = Some((packet.sent, packet.sent));
                cluster.arrived = (arrived, arrived);
                cluster.first = size;
            }
            Some((_, last)) => {
                *last = packet.sent;
                cluster.arrived.1 = cluster.arrived.1.max(arrived);
            }
        }
    }

    /// What the burst found out, once most of it was reported: bits a second.
    pub(super) fn result(&mut self, now: Instant, estimate: u64) -> Option<u64> {
        let cluster = self.cluster?;
        let enough =
            cluster.packets >= PACKETS - 1 && cluster.bytes * 10 >= cluster.probe.bytes as u64 * 8;
        if !enough {
            return None;
        }
        self.cluster = None;
        self.evaluated += 1;
        let (first, last) = cluster.sent?;
        let sent = rate(
            cluster.bytes - cluster.last,
            (last - first).as_micros() as i64,
        );
        let arrived = rate(
            cluster.bytes - cluster.first,
            cluster.arrived.1 - cluster.arrived.0,
        );
        let stretched = arrived < sent / 10 * STRETCHED;
        let found = match stretched {
            // Others may fill the path: a burst takes their part for a moment.
            true if !cluster.further => 0,
            true => arrived / 100 * USED,
            // A burst that came in one piece says no more than that it came.
            false => sent.min(arrived),
        };
        let most = cluster.probe.bitrate * FURTHER;
        let (found, ended) = (found.min(most), stretched && found < most);
        let better = found > estimate + estimate / 10;
        self.note_end(now, better);
        if better && !ended {
            self.planned = Some((now, found * FURTHER));
        }
        Some(found)
    }

    fn note_end(&mut self, now: Instant, better: bool) {
        self.last = Some(now);
        self.pause = match better {
            true => LEAST_PAUSE,
            false => (self.pause * 2).min(MOST_PAUSE),
        };
    }
}

fn rate(bytes: u64, micros: i64) -> u64 {
    match u64::try_from(micros) {
        // Nothing can be told of a shorter time.
        Ok(micros) if micros >= 1_000 => bytes * 8_000_000 / micros,
        _ => u64::MAX / 1_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends the burst at its rate over a path of this rate, and reads the result.
    fn through(probes: &mut Probes, now: Instant, probe: Probe, path: u64) -> Option<u64> {
        let mut sent = now;
        let mut free = 0;
        for _ in 0..probe.bytes.div_ceil(1_100) {
            let leaves = (sent.as_nanos() / 1_000) as i64;
            free = free.max(leaves) + (1_100 * 8_000_000 / path) as i64;
            probes.note(&PacketReport {
                sent,
                size: 1_100,
                arrived: Some(free + 20_000),
                was_missing: false,
                probe: Some(probe.id),
            });
            sent += Duration::from_nanos(1_100 * 8_000_000_000 / probe.bitrate);
        }
        probes.result(sent, 1)
    }

    #[test]
    fn bursts_double_until_one_is_stretched() {
        let mut probes = Probes::new();
        let mut now = Instant::ZERO;
        let mut found = 300_000;
        let mut rates = Vec::new();
        while let Some(probe) = probes.poll(now, found, 100_000_000, Some(found), true) {
            rates.push(probe.bitrate / 1_000);
            found = through(&mut probes, now, probe, 5_000_000).unwrap();
            now += Duration::from_millis(100);
        }
        assert_eq!(rates[0], 900);
        assert!((3..=5).contains(&rates.len()), "{rates:?}");
        assert!((4_500_000..=4_800_000).contains(&found), "{found}");
    }

    #[test]
    fn in_vain_they_become_rare() {
        let mut probes = Probes::new();
        probes.on_lowered(Instant::ZERO, 1, 1);
        let mut sent = Vec::new();
        for second in 0..120 {
            let now = Instant::from_millis(second * 1_000);
            if let Some(probe) = probes.poll(now, 1_000_000, 10_000_000, Some(1_000_000), true) {
                sent.push(second);
                assert!(probe.bytes <= 12_000 && probe.packets == 5);
                assert_eq!(through(&mut probes, now, probe, 1_000_000), Some(0));
            }
        }
        assert!((4..=6).contains(&sent.len()), "{sent:?}");
        assert!(sent.windows(2).all(|pair| pair[1] - pair[0] >= 4));
    }

    #[test]
    fn a_burst_that_is_lost_is_given_up() {
        let mut probes = Probes::new();
        let now = Instant::ZERO;
        assert!(probes.poll(now, 300_000, u64::MAX, None, true).is_some());
        assert_eq!(probes.result(now, 300_000), None);
        let later = now + Duration::from_secs(60);
        assert_eq!(probes.poll(later, 300_000, u64::MAX, None, true), None);
        let again = later + MOST_PAUSE;
        assert!(probes.poll(again, 300_000, u64::MAX, None, true).is_some());
    }

    #[test]
    fn nothing_is_probed_beyond_the_limits() {
        let mut probes = Probes::new();
        assert_eq!(
            probes.poll(Instant::ZERO, 500_000, 500_000, None, true),
            None
        );
        let probe = Probes::new().poll(Instant::ZERO, 500_000, 20_000_000, Some(200_000), true);
        assert_eq!(probe.map(|probe| probe.bitrate), Some(800_000));
    }
}
