//! Two engines without addresses.

use std::time::Duration;

use esp_netsim::{Duplex, Engine, Link, Side};
use esp_wire::{Ecn, Instant, Room, Train};

/// Sends a number every 10 ms and writes down what comes.
struct Ticker {
    next: Option<Instant>,
    due: u32,
    sent: u8,
    count: u8,
    heard: Vec<u8>,
}

impl Ticker {
    fn new(count: u8) -> Self {
        Ticker {
            next: Some(Instant::ZERO),
            due: 0,
            sent: 0,
            count,
            heard: Vec::new(),
        }
    }
}

impl Engine for Ticker {
    fn handle_datagram(&mut self, _now: Instant, _ecn: Ecn, datagram: &mut [u8]) {
        self.heard.push(datagram[0]);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next.is_some_and(|next| next <= now) {
            self.due += 1;
            let more = self.sent + 1 < self.count;
            self.next = more.then_some(now + Duration::from_millis(10));
        }
    }

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        if self.due == 0 || self.sent == self.count {
            return false;
        }
        self.due -= 1;
        train.begin(Room::default(), 100);
        train.push(&[self.sent; 100]);
        self.sent += 1;
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }
}

#[test]
fn both_ways_with_planned_losses() {
    let link = Link::delayed(Duration::from_millis(30));
    let mut pair = Duplex::seeded(1, link, Ticker::new(5), Ticker::new(5));
    pair.filter(|from, datagram| !(from == Side::A && datagram[0] == 2));
    let took = pair.run_until(|pair| pair.a.heard.len() == 5, Duration::from_secs(1));
    assert_eq!(took, Duration::from_millis(70));
    pair.run_for(Duration::from_secs(1));
    assert_eq!(pair.a.heard, [0, 1, 2, 3, 4]);
    assert_eq!(pair.b.heard, [0, 1, 3, 4]);
    pair.inject(Side::B, &[9]);
    pair.run_for(Duration::ZERO);
    assert_eq!(pair.b.heard.last(), Some(&9));
    let (to_b, to_a) = pair.stats();
    assert_eq!((to_b.sent, to_a.sent, to_a.bytes), (4, 5, 640));
}

#[test]
fn chance_depends_on_the_seed_alone() {
    let run = |seed| {
        let link = Link::delayed(Duration::from_millis(5)).with_loss(0.3);
        let mut pair = Duplex::seeded(seed, link, Ticker::new(200), Ticker::new(0));
        pair.run_for(Duration::from_secs(3));
        pair.b.heard.clone()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let failed = Duplex::seeded(77, Link::default(), Ticker::new(1), Ticker::new(0))
        .try_run_until(|_| false, Duration::from_secs(1))
        .unwrap_err();
    assert!(failed.to_string().contains("seed 77"));
}
