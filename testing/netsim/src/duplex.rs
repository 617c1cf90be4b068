//! Two engines that know no addresses, joined by one link each way.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use esp_wire::{Ecn, Instant, Origin, Rng, Train};

use crate::link::{Fate, Link, LinkStats, Pipe};
use crate::run::TimedOut;

/// A machine that takes datagrams and fills trains, above all addresses: SCTP, RTP, DTLS.
pub trait Engine {
    /// Takes one datagram, which may be changed in place.
    fn handle_datagram(&mut self, now: Instant, ecn: Ecn, datagram: &mut [u8]);

    /// Called when the instant of [`Engine::poll_timeout`] has come.
    fn handle_timeout(&mut self, now: Instant);

    /// Fills one batch; false when there is nothing to send.
    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool;

    /// When it wants to be woken.
    fn poll_timeout(&self) -> Option<Instant>;
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

impl Side {
    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Side::A => Side::B,
            Side::B => Side::A,
        }
    }
}

type Filter = Box<dyn FnMut(Side, &[u8]) -> bool>;

/// A seeded pair of engines in virtual time. Lengths count 28 bytes of IP and UDP headers.
pub struct Duplex<A, B = A> {
    /// The first engine.
    pub a: A,
    /// The second engine.
    pub b: B,
    /// From `a` to `b`; its link may be changed at any time.
    pub to_b: Pipe,
    /// From `b` to `a`.
    pub to_a: Pipe,
    seed: u64,
    now: Instant,
    rng: Rng,
    flying: BTreeMap<(Instant, u64), (Side, Ecn, Vec<u8>)>,
    order: u64,
    train: Train,
    spare: Vec<Vec<u8>>,
    filter: Option<Filter>,
    idle: u32,
}

impl<A: Engine, B: Engine> Duplex<A, B> {
    /// Joins two engines by the same kind of link both ways, at time zero.
    pub fn seeded(seed: u64, link: Link, a: A, b: B) -> Self {
        Duplex {
            a,
            b,
            to_b: Pipe::new(link.clone()),
            to_a: Pipe::new(link),
            seed,
            now: Instant::ZERO,
            rng: Rng::new(Origin::seeded(seed).seed).fork("duplex"),
            flying: BTreeMap::new(),
            order: 0,
            train: Train::with_capacity(65_536),
            spare: Vec::new(),
            filter: None,
            idle: 0,
        }
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What the links have done: from `a` to `b`, and from `b` to `a`.
    pub fn stats(&self) -> (LinkStats, LinkStats) {
        (self.to_b.stats(), self.to_a.stats())
    }

    /// Lets only those datagrams pass of which `keep`, told who sends, says so; for losses by plan.
    pub fn filter(&mut self, keep: impl FnMut(Side, &[u8]) -> bool + 'static) {
        self.filter = Some(Box::new(keep));
    }

    /// Lets all datagrams pass again.
    pub fn no_filter(&mut self) {
        self.filter = None;
    }

    /// Puts a datagram on the way to `to` that no engine has sent; for attacks and replays.
    pub fn inject(&mut self, to: Side, datagram: &[u8]) {
        self.order += 1;
        let flight = (to, Ecn::NotEct, datagram.to_vec());
        self.flying.insert((self.now, self.order), flight);
    }

    /// Runs until `condition` holds, which may command the engines as well, and gives the time
    /// that it took.
    ///
    /// # Panics
    /// When `limit` passes first; the message shows the seed.
    #[track_caller]
    pub fn run_until(
        &mut self,
        condition: impl FnMut(&mut Self) -> bool,
        limit: Duration,
    ) -> Duration {
        match self.try_run_until(condition, limit) {
            Ok(took) => took,
            Err(_) => panic!(
                "the condition did not hold within {limit:?} (seed {})",
                self.seed
            ),
        }
    }

    /// Runs until `condition` holds or `limit` has passed.
    pub fn try_run_until(
        &mut self,
        mut condition: impl FnMut(&mut Self) -> bool,
        limit: Duration,
    ) -> Result<Duration, TimedOut> {
        let start = self.now;
        while !condition(self) {
            if !self.step(start + limit) && !condition(self) {
                return Err(TimedOut::new(format!("nothing within {limit:?}\n{self}")));
            }
        }
        Ok(self.now.since(start))
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Does the next thing that is to be done, at `end` at the latest; false when nothing is left
    /// before `end`, which is now then.
    pub fn step(&mut self, end: Instant) -> bool {
        self.pump();
        let first = self.flying.first_entry();
        if let Some(entry) = first.filter(|entry| entry.key().0 <= self.now) {
            let (to, ecn, mut datagram) = entry.remove();
            match to {
                Side::A => self.a.handle_datagram(self.now, ecn, &mut datagram),
                Side::B => self.b.handle_datagram(self.now, ecn, &mut datagram),
            }
            self.spare.push(datagram);
            return true;
        }
        let arrival = self.flying.keys().next().map(|(at, _)| *at);
        let deadlines = [self.a.poll_timeout(), self.b.poll_timeout(), arrival];
        let next = deadlines.into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = self.now.max(end);
            return false;
        };
        if next > self.now {
            self.now = next;
            self.idle = 0;
        }
        self.fire_timeouts();
        true
    }

    fn fire_timeouts(&mut self) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= self.now);
        let (a, b) = (due(self.a.poll_timeout()), due(self.b.poll_timeout()));
        self.idle += u32::from(a || b);
        assert!(
            self.idle < 100_000,
            "a deadline of {} never passes (seed {})",
            if a { "a" } else { "b" },
            self.seed
        );
        if a {
            self.a.handle_timeout(self.now);
        }
        if b {
            self.b.handle_timeout(self.now);
        }
    }

    fn pump(&mut self) {
        while self.a.poll_transmit(self.now, &mut self.train) {
            self.depart(Side::A);
        }
        while self.b.poll_transmit(self.now, &mut self.train) {
            self.depart(Side::B);
        }
    }

    fn depart(&mut self, from: Side) {
        let pipe = match from {
            Side::A => &mut self.to_b,
            Side::B => &mut self.to_a,
        };
        for segment in self.train.segments() {
            if self
                .filter
                .as_mut()
                .is_some_and(|keep| !keep(from, segment))
            {
                continue;
            }
            let mut ecn = self.train.ecn();
            let mut len = segment.len() + 28;
            if self.train.is_fragmentable() {
                len = len.min(pipe.mtu());
            }
            let fate = pipe.admit(self.now, len, &mut ecn, &mut self.rng);
            let arrivals = match fate {
                Fate::Lost(_) => [None, None],
                Fate::Arrives(at) => [Some(at), None],
                Fate::Twice(first, second) => [Some(first), Some(second)],
            };
            for at in arrivals.into_iter().flatten() {
                let mut data = self.spare.pop().unwrap_or_default();
                data.clear();
                data.extend_from_slice(segment);
                self.order += 1;
                let flight = (from.other(), ecn, data);
                self.flying.insert((at, self.order), flight);
            }
        }
    }
}

impl<A, B> fmt::Display for Duplex<A, B> {
    /// The seed, the time and what the links did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.now.as_nanos() as f64 / 1e6;
        writeln!(f, "duplex seed {}, time {millis} ms", self.seed)?;
        writeln!(f, "  a to b: {:?}", self.to_b.stats())?;
        writeln!(f, "  b to a: {:?}", self.to_a.stats())?;
        for ((at, _), (to, _, data)) in self.flying.iter().take(5) {
            writeln!(f, "  {at:?}: {} bytes to {to:?}", data.len())?;
        }
        Ok(())
    }
}

impl<A, B> Drop for Duplex<A, B> {
    /// A failing test shows how to run it again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{self}");
        }
    }
}
