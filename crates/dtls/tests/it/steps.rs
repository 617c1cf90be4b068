//! Any commands in any order: nothing panics, nothing is used before it is trusted, the end is the end.

use std::collections::VecDeque;
use std::time::Duration;

use esp_dtls::{Dtls, DtlsRole, Event, State, Versions};
use esp_wire::{Instant, Origin, Train};
use proptest::prelude::*;

use crate::link::{certificate, config};

#[derive(Clone, Debug)]
enum Step {
    Role(usize, bool),
    Announce(usize, bool),
    Deliver(usize),
    Lose(usize),
    Swap(usize),
    Copy(usize),
    Advance(u16),
    Send(usize, u16),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2_usize;
    prop_oneof![
        2 => (end.clone(), any::<bool>()).prop_map(|(end, client)| Step::Role(end, client)),
        2 => (end.clone(), prop::bool::weighted(0.95)).prop_map(|(end, right)| Step::Announce(end, right)),
        24 => end.clone().prop_map(Step::Deliver),
        3 => end.clone().prop_map(Step::Lose),
        3 => end.clone().prop_map(Step::Swap),
        2 => end.clone().prop_map(Step::Copy),
        6 => (0..800_u16).prop_map(Step::Advance),
        6 => (end.clone(), 1..1_100_u16).prop_map(|(end, len)| Step::Send(end, len)),
        1 => (end, prop::bool::weighted(0.2)).prop_map(|(end, close)| if close {
            Step::Close(end)
        } else {
            Step::Deliver(end)
        }),
    ]
}

struct Side {
    dtls: Dtls,
    /// Datagrams on their way to this side.
    inbox: VecDeque<Vec<u8>>,
    trusts: bool,
    connected: bool,
    failed: bool,
    closed: bool,
}

struct World {
    sides: [Side; 2],
    now: Instant,
    train: Train,
}

impl World {
    fn new(versions: [Versions; 2], own: [bool; 2], update: u64) -> Self {
        let config = |index: usize| {
            config(index, versions[index])
                .with_own_records(own[index])
                .with_key_update_after(update)
        };
        let side = |index: usize| Side {
            dtls: Dtls::new(&config(index), &Origin::seeded(3)).unwrap(),
            inbox: VecDeque::new(),
            trusts: false,
            connected: false,
            failed: false,
            closed: false,
        };
        World {
            sides: [side(0), side(1)],
            now: Instant::ZERO,
            train: Train::with_capacity(65_536),
        }
    }

    fn note(&mut self, end: usize, result: Result<(), esp_dtls::Error>) {
        if let Err(error) = result
            && error.is_fatal()
        {
            let side = &mut self.sides[end];
            assert!(
                !side.failed && !side.closed,
                "an error after the end: {error}"
            );
            side.failed = true;
            assert_eq!(side.dtls.state(), State::Failed);
        }
    }

    fn take(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Role(end, client) => {
                let role = if client {
                    DtlsRole::Client
                } else {
                    DtlsRole::Server
                };
                let result = self.sides[end].dtls.set_role(now, role);
                self.note(end, result);
            }
            Step::Announce(end, right) => {
                let of = if right { 1 - end } else { end };
                let announced = vec![certificate(of).fingerprint().clone()];
                self.sides[end].trusts = right;
                let result = self.sides[end].dtls.set_remote_fingerprints(announced);
                self.note(end, result);
            }
            Step::Deliver(end) => {
                if let Some(mut datagram) = self.sides[end].inbox.pop_front() {
                    let opened = self.sides[end].dtls.open(now, &mut datagram);
                    if let Ok(Some(data)) = &opened {
                        assert!(data.iter().all(|byte| usize::from(*byte) == 1 - end));
                    }
                    let result = opened.map(|_| ());
                    self.note(end, result);
                }
            }
            Step::Lose(end) => drop(self.sides[end].inbox.pop_front()),
            Step::Swap(end) => {
                if let Some(first) = self.sides[end].inbox.pop_front() {
                    self.sides[end].inbox.push_back(first);
                }
            }
            Step::Copy(end) => {
                if let Some(first) = self.sides[end].inbox.front().cloned() {
                    self.sides[end].inbox.push_back(first);
                }
            }
            Step::Advance(millis) => {
                self.now += Duration::from_millis(u64::from(millis));
                for end in 0..2 {
                    let result = self.sides[end].dtls.handle_timeout(self.now);
                    self.note(end, result);
                }
            }
            Step::Send(end, len) => self.send(end, usize::from(len)),
            Step::Close(end) => {
                self.sides[end].dtls.close(now);
                self.sides[end].closed = true;
            }
        }
        self.drain();
    }

    fn send(&mut self, end: usize, len: usize) {
        let side = &mut self.sides[end];
        self.train.begin(side.dtls.room(), len);
        self.train.push(&vec![end as u8; len]);
        let before = side.dtls.state();
        let result = side.dtls.protect(self.now, &mut self.train);
        assert!(result.is_err() || before == State::Connected);
        if result.is_ok() {
            let record = self.train.segment(0).to_vec();
            self.sides[1 - end].inbox.push_back(record);
        }
        self.note(end, result);
    }

    fn drain(&mut self) {
        for end in 0..2 {
            while self.sides[end]
                .dtls
                .poll_transmit(self.now, &mut self.train)
            {
                for datagram in self.train.segments() {
                    self.sides[1 - end].inbox.push_back(datagram.to_vec());
                }
            }
            let side = &mut self.sides[end];
            while let Some(event) = side.dtls.poll_event() {
                match event {
                    Event::Connected { .. } => {
                        assert!(
                            side.trusts && !side.connected,
                            "connected without trust or twice"
                        );
                        side.connected = true;
                    }
                    Event::Data(data) => {
                        assert!(side.connected && side.trusts);
                        assert!(data.iter().all(|byte| usize::from(*byte) == 1 - end));
                    }
                    Event::Closed => {}
                }
            }
            let state = side.dtls.state();
            assert!(!side.failed || state == State::Failed);
            assert!(!side.closed || matches!(state, State::Closed | State::Failed));
            assert!(side.inbox.len() < 3_000, "output grows without end");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_order_of_steps(
        left in 0..3_usize,
        right in 0..3_usize,
        own in prop::array::uniform2(prop::bool::weighted(0.8)),
        update in prop_oneof![Just(1 << 23), 5..40_u64],
        usual in prop::bool::weighted(0.7),
        steps in proptest::collection::vec(step(), 0..160),
    ) {
        const VERSIONS: [Versions; 3] = [Versions::Auto, Versions::Only12, Versions::Only13];
        let mut world = World::new([VERSIONS[left], VERSIONS[right]], own, update);
        if usual {
            world.take(Step::Announce(0, true));
            world.take(Step::Announce(1, true));
            world.take(Step::Role(1, false));
            world.take(Step::Role(0, true));
        }
        for step in steps {
            world.take(step);
        }
    }
}
