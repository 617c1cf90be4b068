//! One direction of a link: delay, jitter, loss, duplication, reordering, rate, queue and MTU.

use std::time::Duration;

use esp_wire::{Ecn, Instant, Rng};

/// How a link treats its packets. All of it can be changed while the net runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Time from one end to the other.
    pub delay: Duration,
    /// At most so much more, evenly spread; packets keep their order.
    pub jitter: Duration,
    /// Probability that a packet is lost, 0.0 to 1.0.
    pub loss: f64,
    /// Mean number of packets that are lost in a row; 1.0 means that losses are independent.
    pub burst: f64,
    /// Probability that a packet arrives twice.
    pub duplicate: f64,
    /// Probability that a packet is late by `reorder_by`, while others overtake it.
    pub reorder: f64,
    /// By how much.
    pub reorder_by: Duration,
    /// Bits a second, IP and UDP headers included; `None` is without limit.
    pub rate: Option<u64>,
    /// Bytes that wait for the rate; what comes on top is dropped (drop tail).
    pub queue: usize,
    /// With more bytes waiting, ECN-capable packets are marked (RFC 3168).
    pub mark: Option<usize>,
    /// Bytes of the largest IP packet; larger ones vanish, as in a black hole.
    pub mtu: usize,
    /// Whether it carries anything.
    pub up: bool,
}

impl Default for Link {
    /// A perfect link of no length, with an MTU of 1,500 bytes.
    fn default() -> Self {
        Link {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: 0.0,
            burst: 1.0,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by: Duration::from_millis(10),
            rate: None,
            queue: 256 * 1024,
            mark: None,
            mtu: 1_500,
            up: true,
        }
    }
}

impl Link {
    /// A link with this delay.
    pub fn delayed(delay: Duration) -> Self {
        Link::default().with_delay(delay)
    }

    /// Sets the delay.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Sets the jitter.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// Sets the probability of loss.
    #[must_use]
    pub fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// Sets the probability of loss and the mean length of a burst in packets.
    #[must_use]
    pub fn with_bursts(mut self, loss: f64, burst: f64) -> Self {
        self.loss = loss;
        self.burst = burst;
        self
    }

    /// Sets the probability of duplication.
    #[must_use]
    pub fn with_duplicates(mut self, duplicate: f64) -> Self {
        self.duplicate = duplicate;
        self
    }

    /// Sets the probability of reordering and by how much a packet is late.
    #[must_use]
    pub fn with_reordering(mut self, reorder: f64, by: Duration) -> Self {
        self.reorder = reorder;
        self.reorder_by = by;
        self
    }

    /// Sets the rate in bits a second and the queue in bytes.
    #[must_use]
    pub fn with_rate(mut self, rate: u64, queue: usize) -> Self {
        self.rate = Some(rate);
        self.queue = queue;
        self
    }

    /// Marks ECN-capable packets when more than `bytes` wait.
    #[must_use]
    pub fn with_mark(mut self, bytes: usize) -> Self {
        self.mark = Some(bytes);
        self
    }

    /// Sets the MTU in bytes of IP packet.
    #[must_use]
    pub fn with_mtu(mut self, mtu: usize) -> Self {
        self.mtu = mtu;
        self
    }
}

/// What a link has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets that were put in.
    pub sent: u64,
    /// Their bytes, IP and UDP headers included.
    pub bytes: u64,
    /// Packets that came out, duplicates not counted.
    pub delivered: u64,
    /// Packets that chance took.
    pub lost: u64,
    /// Packets that the full queue dropped.
    pub queue_drops: u64,
    /// Packets larger than the MTU.
    pub too_big: u64,
    /// Packets that met a link that was down.
    pub down: u64,
    /// Packets that arrived twice.
    pub duplicated: u64,
    /// Packets that were made late.
    pub reordered: u64,
    /// Packets that were marked.
    pub marked: u64,
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// By chance.
    Chance,
    /// The queue was full.
    Queue,
    /// It was larger than the MTU.
    TooBig,
    /// The link was down.
    Down,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not arrive.
    Lost(Loss),
    /// It arrives.
    Arrives(Instant),
    /// It arrives twice.
    Twice(Instant, Instant),
}

/// One direction of a link at work.
#[derive(Clone, Debug, Default)]
pub struct Pipe {
    /// How it treats packets; may be changed at any time.
    pub link: Link,
    stats: LinkStats,
    /// When the last bit of all that was accepted is on the wire.
    busy_until: Instant,
    last_arrival: Instant,
    in_burst: bool,
}

impl Pipe {
    /// A pipe with nothing in it.
    pub fn new(link: Link) -> Self {
        Pipe {
            link,
            ..Pipe::default()
        }
    }

    /// What it has done so far.
    pub fn stats(&self) -> LinkStats {
        self.stats
    }

    /// Bytes of the largest IP packet that it takes.
    pub fn mtu(&self) -> usize {
        self.link.mtu
    }

    /// Bytes that wait for the rate at `now`.
    pub fn backlog(&self, now: Instant) -> usize {
        let Some(rate) = self.link.rate else {
            return 0;
        };
        let bits = self.busy_until.since(now).as_nanos() * u128::from(rate) / 1_000_000_000;
        usize::try_from(bits / 8).unwrap_or(usize::MAX)
    }

    /// Puts in a packet of `len` bytes, headers included, and says when it comes out.
    pub fn admit(&mut self, now: Instant, len: usize, ecn: &mut Ecn, rng: &mut Rng) -> Fate {
        self.stats.sent += 1;
        self.stats.bytes += len as u64;
        if let Some(loss) = self.drop_reason(now, len, rng) {
            *match loss {
                Loss::Chance => &mut self.stats.lost,
                Loss::Queue => &mut self.stats.queue_drops,
                Loss::TooBig => &mut self.stats.too_big,
                Loss::Down => &mut self.stats.down,
            } += 1;
            return Fate::Lost(loss);
        }
        let congested = self.link.mark.is_some_and(|most| self.backlog(now) > most);
        if congested && matches!(ecn, Ecn::Ect0 | Ecn::Ect1) {
            *ecn = Ecn::Ce;
            self.stats.marked += 1;
        }
        self.stats.delivered += 1;
        let arrival = self.serialize(now, len) + self.link.delay + self.draw_jitter(rng);
        if rng.chance(self.link.reorder) {
            self.stats.reordered += 1;
            return Fate::Arrives(arrival + self.link.reorder_by);
        }
        let arrival = arrival.max(self.last_arrival);
        self.last_arrival = arrival;
        if rng.chance(self.link.duplicate) {
            self.stats.duplicated += 1;
            return Fate::Twice(arrival, arrival + self.draw_jitter(rng));
        }
        Fate::Arrives(arrival)
    }

    fn drop_reason(&mut self, now: Instant, len: usize, rng: &mut Rng) -> Option<Loss> {
        if !self.link.up {
            return Some(Loss::Down);
        }
        if len > self.link.mtu {
            return Some(Loss::TooBig);
        }
        if self.chance_takes(rng) {
            return Some(Loss::Chance);
        }
        let waiting = self.backlog(now);
        (waiting > 0 && waiting + len > self.link.queue).then_some(Loss::Queue)
    }

    /// The two states of Gilbert's model: in a burst everything is lost, else nothing.
    fn chance_takes(&mut self, rng: &mut Rng) -> bool {
        let Link { loss, burst, .. } = self.link;
        if loss <= 0.0 || loss >= 1.0 || burst <= 1.0 {
            self.in_burst = rng.chance(loss);
            return self.in_burst;
        }
        self.in_burst = match self.in_burst {
            true => !rng.chance(1.0 / burst),
            false => rng.chance(loss / (burst * (1.0 - loss))),
        };
        self.in_burst
    }

    /// When the last bit of the packet is on the wire.
    fn serialize(&mut self, now: Instant, len: usize) -> Instant {
        let Some(rate) = self.link.rate else {
            return now;
        };
        let nanos = len as u64 * 8 * 1_000_000_000 / rate.max(1);
        self.busy_until = self.busy_until.max(now) + Duration::from_nanos(nanos);
        self.busy_until
    }

    fn draw_jitter(&self, rng: &mut Rng) -> Duration {
        let nanos = u64::try_from(self.link.jitter.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(rng.below(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(link: Link, count: u64, every: Duration) -> (Vec<(u64, Instant)>, LinkStats) {
        let mut pipe = Pipe::new(link);
        let mut rng = Rng::new([5; 32]);
        let mut out = Vec::new();
        for index in 0..count {
            let now = Instant::ZERO + every * index as u32;
            match pipe.admit(now, 1_000, &mut Ecn::NotEct, &mut rng) {
                Fate::Lost(_) => {}
                Fate::Arrives(at) => out.push((index, at)),
                Fate::Twice(first, second) => out.extend([(index, first), (index, second)]),
            }
        }
        (out, pipe.stats())
    }

    #[test]
    fn loss_has_its_rate_and_its_bursts() {
        for burst in [1.0, 4.0] {
            let link = Link::default().with_bursts(0.1, burst);
            let (out, stats) = arrivals(link, 20_000, Duration::from_millis(1));
            let mut gaps = 0;
            for pair in out.windows(2) {
                gaps += u64::from(pair[1].0 - pair[0].0 > 1);
            }
            let (lost, mean) = (stats.lost as f64, stats.lost as f64 / gaps as f64);
            assert!((1_700.0..2_300.0).contains(&lost), "{lost} lost");
            let expected = if burst > 1.0 { burst } else { 1.0 / 0.9 };
            assert!((mean / expected - 1.0).abs() < 0.15, "bursts of {mean}");
        }
    }

    #[test]
    fn jitter_keeps_the_order_and_reordering_does_not() {
        let link = Link::delayed(Duration::from_millis(20)).with_jitter(Duration::from_millis(9));
        let (out, _) = arrivals(link.clone(), 1_000, Duration::from_millis(1));
        assert!(out.is_sorted_by_key(|(_, at)| *at));
        let link = link.with_reordering(0.05, Duration::from_millis(30));
        let (out, stats) = arrivals(link, 1_000, Duration::from_millis(1));
        assert!(!out.is_sorted_by_key(|(_, at)| *at));
        assert!((25..80).contains(&stats.reordered));
    }

    #[test]
    fn the_rate_makes_a_queue_that_overflows() {
        // 1,000 bytes take 8 ms at 1 Mbit/s; they come every 4 ms, ten wait at most.
        let link = Link::default().with_rate(1_000_000, 10_000);
        let (out, stats) = arrivals(link, 1_000, Duration::from_millis(4));
        assert_eq!(out[0].1, Instant::from_millis(8));
        assert!((490..520).contains(&out.len()), "{}", out.len());
        assert_eq!(stats.queue_drops + out.len() as u64, 1_000);
        let (index, at) = out[400];
        let waited = at.since(Instant::from_millis(4 * index));
        assert!((70..=88).contains(&waited.as_millis()), "{waited:?}");
    }
}
