//! A peer that lets each SACK release four packets (RFC 9260 §6.1 D), as dcSCTP and usrsctp do.

use std::time::Duration;

use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Event};
use esp_wire::{DataKind, Instant, Origin, Train};

const BURST: usize = 4;
const STREAM: u16 = 1;

/// A sender of such a kind, and one that takes what comes in batches.
struct Pair {
    now: Instant,
    sender: Association,
    receiver: Association,
    channel: ChannelHandle,
    /// Whether the receiver answers packets apart that it takes in one batch.
    apart: bool,
    received: usize,
}

impl Pair {
    fn new(apart: bool) -> Self {
        let now = Instant::ZERO;
        let side = |seed| {
            let config = Config::default()
                .with_buffers(16 << 20, 16 << 20)
                .with_max_message_size(16 << 20);
            let mut side =
                Association::new(config, Origin::seeded(seed)).expect("the settings are good");
            side.set_dtls_role(seed == 0);
            side.set_remote_max_message_size(0);
            side
        };
        let (mut sender, mut receiver) = (side(0), side(1));
        sender
            .connect_with_init(now, &receiver.local_init())
            .expect("the chunk is good");
        receiver
            .connect_with_init(now, &sender.local_init())
            .expect("the chunk is good");
        let config = || ChannelConfig::new("bulk").negotiated(STREAM);
        let opened = "the stream is free";
        let channel = sender.open_channel(now, config()).expect(opened);
        receiver.open_channel(now, config()).expect(opened);
        Pair {
            now,
            sender,
            receiver,
            channel,
            apart,
            received: 0,
        }
    }

    fn send(&mut self, size: usize) {
        let message = vec![7; size];
        self.sender
            .send(self.now, self.channel, DataKind::Binary, &message)
            .expect("there is room");
    }

    /// What the sender lets go at once.
    fn burst(&mut self) -> Vec<Vec<u8>> {
        let mut train = Train::with_capacity(BURST * 1_160);
        match self.sender.poll_transmit(self.now, &mut train) {
            true => train.segments().map(<[u8]>::to_vec).collect(),
            false => Vec::new(),
        }
    }

    /// The receiver takes all that is under way in one batch; what its SACKs release is under way next.
    fn round(&mut self, flying: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        self.now += Duration::from_micros(500);
        for mut packet in flying {
            if self.apart {
                self.receiver.acknowledge(self.now);
            }
            let taken = self.receiver.handle_input(self.now, &mut packet);
            taken.expect("the packet is good");
        }
        while let Some(event) = self.receiver.poll_event() {
            if let Event::Message { data, .. } = event {
                self.received += data.len();
            }
        }
        let mut sacks = Vec::new();
        let mut train = Train::with_capacity(65_000);
        while self.receiver.poll_transmit(self.now, &mut train) {
            sacks.extend(train.segments().map(<[u8]>::to_vec));
        }
        let mut next = Vec::new();
        for mut sack in sacks {
            let taken = self.sender.handle_input(self.now, &mut sack);
            taken.expect("the SACK is good");
            next.extend(self.burst());
        }
        next
    }
}

/// The most packets under way after some rounds.
fn flight(apart: bool) -> usize {
    let mut pair = Pair::new(apart);
    pair.send(8 << 20);
    let mut flying = pair.burst();
    assert_eq!(flying.len(), BURST);
    for _ in 0..8 {
        flying = pair.round(flying);
    }
    flying.len()
}

#[test]
fn packets_that_come_one_by_one_are_not_answered_by_one_sack() {
    assert_eq!(flight(false), BURST);
    assert!(flight(true) >= 16 * BURST, "{}", flight(true));
}

#[test]
fn everything_arrives_and_the_last_word_is_the_whole_truth() {
    let mut pair = Pair::new(true);
    let mut expected = 0;
    for size in [1, 100, 5_000, 300_000, 2 << 20] {
        pair.send(size);
        expected += size;
    }
    let mut flying = pair.burst();
    let mut drops = 0;
    for round in 0..4_000 {
        // Now and then one is lost, and all SACKs of a batch with it say so.
        if round % 3 == 2 && flying.len() > 1 {
            flying.remove(flying.len() / 2);
            drops += 1;
        }
        flying = pair.round(flying);
        if flying.is_empty() {
            // A timer runs: the delayed SACK's, or the sender's.
            let sides = [&pair.sender, &pair.receiver];
            let next = sides.iter().filter_map(|side| side.poll_timeout());
            let Some(at) = next.map(|deadline| deadline.at).min() else {
                break;
            };
            pair.now = pair.now.max(at);
            pair.sender.handle_timeout(pair.now);
            pair.receiver.handle_timeout(pair.now);
            flying = pair.burst();
        }
        if pair.received == expected && pair.sender.stats().in_flight == 0 {
            break;
        }
    }
    let stats = pair.sender.stats();
    assert!(drops > 0);
    assert_eq!((pair.received, stats.in_flight), (expected, 0));
    assert_eq!(stats.send_buffered, 0);
}

#[test]
fn sacks_that_nobody_fetches_are_bounded() {
    let mut pair = Pair::new(true);
    pair.send(8 << 20);
    let mut sent = 0;
    // Enough round trips for a large window.
    let mut flying = pair.burst();
    for _ in 0..10 {
        flying = pair.round(flying);
    }
    for mut packet in flying {
        pair.receiver.acknowledge(pair.now);
        pair.receiver.handle_input(pair.now, &mut packet).unwrap();
        sent += 1;
    }
    for _ in 0..1_000 {
        pair.receiver.acknowledge(pair.now);
    }
    let mut train = Train::with_capacity(65_000);
    let mut sacks = 0;
    while pair.receiver.poll_transmit(pair.now, &mut train) {
        sacks += train.len();
    }
    assert!(sent > 128, "{sent}");
    assert!((32..=65).contains(&sacks), "{sacks} for {sent}");
}
