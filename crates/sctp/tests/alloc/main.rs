//! Packets in a steady flow allocate nothing, and attackers cost bounded memory.
#![allow(unsafe_code, reason = "a global allocator that counts")]

mod attack;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    time::Duration,
};

use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Error, Event};
use esp_wire::{DataKind, Instant, Origin, Room, Train};

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
    /// Bytes that this thread has allocated and not freed.
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        LIVE.with(|live| live.set(live.get() + layout.size() as i64));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.with(|live| live.set(live.get() - layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        LIVE.with(|live| live.set(live.get() + size as i64 - layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Pair {
    sides: [Association; 2],
    train: Train,
    now: Instant,
    packets: u64,
    received: u64,
    /// Channels that were closed, on either side.
    closed: u64,
    /// Every so many packets one is lost; zero for none.
    loss: u64,
}

impl Pair {
    fn new(loss: u64) -> Pair {
        let mut now = Instant::from_millis(1);
        let side = |index: u64| {
            let config = Config::default().with_heartbeat_interval(None);
            let mut side = Association::new(config, Origin::seeded(index)).expect("a good setting");
            side.set_path(Room { head: 21, tail: 16 }, 1_160);
            side.set_dtls_role(index == 0);
            side.connect(now).expect("a fresh association");
            side
        };
        let sides = [side(0), side(1)];
        now += Duration::from_millis(1);
        Pair {
            sides,
            train: Train::with_capacity(65_536),
            now,
            packets: 0,
            received: 0,
            closed: 0,
            loss,
        }
    }

    /// Lets all that waits arrive, 5 ms each way.
    fn exchange(&mut self) {
        for from in 0..2 {
            self.now += Duration::from_millis(5);
            for side in &mut self.sides {
                side.handle_timeout(self.now);
            }
            while self.sides[from].poll_transmit(self.now, &mut self.train) {
                for packet in self.train.segments_mut() {
                    self.packets += 1;
                    if self.loss > 0 && self.packets.is_multiple_of(self.loss) {
                        continue;
                    }
                    let taken = self.sides[1 - from].handle_input(self.now, packet);
                    taken.expect("a peer that keeps to the protocol");
                }
            }
            for side in &mut self.sides {
                while let Some(event) = side.poll_event() {
                    match event {
                        Event::Message { data, .. } => self.received += data.len() as u64,
                        Event::ChannelClosed { .. } => self.closed += 1,
                        _ => {}
                    }
                }
            }
        }
    }

    fn send(&mut self, channel: ChannelHandle, message: &[u8], messages: usize) {
        for _ in 0..messages {
            match self.sides[0].send(self.now, channel, DataKind::Binary, message) {
                Ok(()) => {}
                Err(Error::WouldBlock) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Allocations over 20,000 packets, after three times as many to get into the flow.
fn allocations(size: usize, loss: u64) -> (u64, u64) {
    let mut pair = Pair::new(loss);
    while !pair.sides.iter().all(Association::is_connected) {
        pair.exchange();
    }
    let config = ChannelConfig::new("steady");
    let channel = pair.sides[0].open_channel(pair.now, config);
    let channel = channel.expect("a fresh association");
    let message = vec![5; size];
    let burst = (200_000 / size).clamp(4, 400);
    for packets in [60_000, 80_000] {
        COUNT.with(|count| count.set(0));
        while pair.packets < packets {
            pair.send(channel, &message, burst);
            pair.exchange();
        }
    }
    (COUNT.with(Cell::get), pair.received)
}

#[test]
fn a_steady_flow_allocates_nothing() {
    for size in [64, 1_024, 16_384, 65_536] {
        let (count, received) = allocations(size, 0);
        assert!(received > 1_000_000, "{received}");
        assert_eq!(count, 0, "messages of {size} bytes");
    }
}

#[test]
fn nor_does_the_repair_of_losses() {
    let (count, received) = allocations(16_384, 100);
    assert!(received > 1_000_000, "{received}");
    assert_eq!(count, 0);
}

#[test]
fn nor_does_a_flow_that_waits_for_its_application() {
    let mut pair = Pair::new(0);
    while !pair.sides.iter().all(Association::is_connected) {
        pair.exchange();
    }
    let config = ChannelConfig::new("now and then");
    let channel = pair.sides[0].open_channel(pair.now, config);
    let channel = channel.expect("a fresh association");
    // All arrives before the next burst comes: again and again nothing is left to do.
    let spurt = |pair: &mut Pair, seconds: u64| {
        let end = pair.now + Duration::from_secs(seconds);
        while pair.now < end {
            pair.send(channel, &[5; 64], 3_000);
            for _ in 0..8 {
                pair.exchange();
            }
        }
    };
    spurt(&mut pair, 10);
    COUNT.with(|count| count.set(0));
    spurt(&mut pair, 20);
    assert_eq!(COUNT.with(Cell::get), 0);
    assert!(pair.received > 20_000_000, "{}", pair.received);
    // Without traffic the memory is given back.
    let before = LIVE.with(Cell::get);
    for _ in 0..1_500 {
        pair.exchange();
    }
    let freed = before - LIVE.with(Cell::get);
    assert!(freed > 500_000, "{freed} bytes");
}

/// Opens channels from both sides, all at once, uses each, and closes all.
fn storm(pair: &mut Pair, count: usize) {
    let mut channels = Vec::new();
    for index in 0..count {
        let config = ChannelConfig::new("one of many");
        let channel = pair.sides[index % 2].open_channel(pair.now, config);
        channels.push((index % 2, channel.expect("there is room")));
    }
    let due = pair.received + count as u64 * 100;
    for &(side, channel) in &channels {
        let sent = pair.sides[side].send(pair.now, channel, DataKind::Binary, &[3; 100]);
        sent.expect("there is room");
    }
    while pair.received < due {
        pair.exchange();
    }
    for (side, channel) in channels {
        let closed = pair.sides[side].close_channel(pair.now, channel);
        closed.expect("it is open");
    }
    let due = pair.closed + 2 * count as u64;
    while pair.closed < due {
        pair.exchange();
    }
}

#[test]
fn channels_that_are_gone_leave_no_memory() {
    for chat in [false, true] {
        let mut pair = Pair::new(0);
        while !pair.sides.iter().all(Association::is_connected) {
            pair.exchange();
        }
        // One stays open, and may go on speaking.
        let config = ChannelConfig::new("stays");
        let stays = pair.sides[0].open_channel(pair.now, config);
        let stays = stays.expect("a fresh association");
        let pass = |pair: &mut Pair| {
            for round in 0..1_500 {
                if chat && round % 10 == 0 {
                    pair.send(stays, &[1; 50], 1);
                }
                pair.exchange();
            }
        };
        pass(&mut pair);
        let before = LIVE.with(Cell::get);
        storm(&mut pair, 10_000);
        let held = LIVE.with(Cell::get) - before;
        pass(&mut pair);
        let left = LIVE.with(Cell::get) - before;
        println!("{chat}: {left} of {held}");
        // What queues for 64 entries take stays, at both ends.
        assert!(held > 1 << 20, "{held} bytes of the storm are no test");
        assert!(left < 40 << 10, "{left} bytes stay of {held}");
    }
}
