//! Data channels between two peers.

use std::time::Duration;

use esp_peer::{ChannelConfig, Error, PeerConfig, Reliability, State};
use esp_wire::{DataFrame, DataKind};

use crate::station::{World, everything};

fn reliable() -> PeerConfig {
    let mut config = everything();
    config.automatic_channel = ChannelConfig::new("data");
    config
}

fn connected(seed: u64) -> World {
    let mut world = World::new(seed, Duration::from_millis(10), reliable(), reliable());
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world
}

fn message(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7 + at / 251) as u8).collect()
}

fn send(world: &mut World, stream_id: u16, data: &[u8]) -> Result<(), Error> {
    world.at_a(|peer, now| {
        peer.send_data(
            now,
            DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data,
            },
        )
    })
}

#[test]
fn the_dtls_client_opens_one_channel_by_itself() {
    let world = connected(1);
    for station in [world.a(), world.b()] {
        assert_eq!(station.channels.len(), 1);
        assert_eq!(station.channels[0].label, "data");
        assert!(station.has(State::DataChannelConnected));
    }
}

#[test]
fn messages_of_any_size_arrive_whole_also_under_loss() {
    for (seed, loss) in [(2, 0.0), (3, 0.05)] {
        let mut world = connected(seed);
        world.net.loss(loss);
        let stream_id = world.a().channels[0].stream_id;
        let sizes = [0, 1, 1_200, 65_536, 262_144, 1 << 20];
        for (sent, size) in sizes.into_iter().enumerate() {
            let data = message(size);
            send(&mut world, stream_id, &data).unwrap();
            world.run_until(|_, b| b.data.len() > sent);
            assert!(world.b().data[sent].2 == data, "{size} bytes differ");
        }
    }
}

#[test]
fn a_message_over_the_limit_is_refused_with_the_limit() {
    let mut world = connected(4);
    let stream_id = world.a().channels[0].stream_id;
    let error = send(&mut world, stream_id, &message((1 << 20) + 1)).unwrap_err();
    assert_eq!(
        error,
        Error::TooLarge {
            size: (1 << 20) + 1,
            limit: 1 << 20
        }
    );
    assert!(error.to_string().contains("1048576"), "{error}");
}

#[test]
fn channels_of_both_sides_open_and_close() {
    let mut world = connected(5);
    for (label, side) in [("from a", true), ("from b", false)] {
        let config = ChannelConfig::new(label)
            .unordered()
            .with_reliability(Reliability::MaxRetransmits(0));
        match side {
            true => world.at_a(|peer, now| peer.create_data_channel(now, config).unwrap()),
            false => world.at_b(|peer, now| peer.create_data_channel(now, config).unwrap()),
        }
    }
    world.run_until(|a, b| a.channels.len() == 3 && b.channels.len() == 3);
    let labels = |world: &World| {
        let mut labels: Vec<String> = world
            .a()
            .channels
            .iter()
            .map(|it| it.label.clone())
            .collect();
        labels.sort();
        labels
    };
    assert_eq!(labels(&world), ["data", "from a", "from b"]);
    let stream_id = world
        .a()
        .channels
        .iter()
        .find(|channel| channel.label == "from b")
        .unwrap()
        .stream_id;
    world.at_a(|peer, now| peer.close_data_channel(now, stream_id).unwrap());
    world.run_until(|a, b| a.channels.len() == 2 && b.channels.len() == 2);
    assert_eq!(labels(&world), ["data", "from a"]);
    assert_eq!(
        send(&mut world, stream_id, b"late"),
        Err(Error::NotExists("no data channel is open on this stream"))
    );
}

#[test]
fn without_delivery_the_window_closes_and_nothing_is_lost() {
    let mut world = connected(6);
    let stream_id = world.a().channels[0].stream_id;
    world.at_b(|peer, _| peer.set_delivery(false));
    let mut sent = 0;
    // Sending goes on until the memory of both sides is full.
    for _ in 0..1_000 {
        match send(&mut world, stream_id, &message(65_536)) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => world.net.run_for(Duration::from_millis(100)),
            Err(error) => panic!("{error}"),
        }
        if world.net.now().as_nanos() > 20_000_000_000 {
            break;
        }
    }
    assert!(world.b().data.is_empty());
    world.at_b(|peer, _| peer.set_delivery(true));
    world.run_until(|_, b| b.data.len() == sent);
    assert!(
        world
            .b()
            .data
            .iter()
            .all(|(_, _, data)| *data == message(65_536))
    );
}

#[test]
fn under_heavy_loss_each_channel_delivers_what_its_policy_says() {
    const COUNT: u32 = 300;
    let mut world = connected(7);
    let policies = [
        ("all, in order", true, Reliability::Reliable),
        ("all", false, Reliability::Reliable),
        ("once", false, Reliability::MaxRetransmits(0)),
        ("once, in order", true, Reliability::MaxRetransmits(0)),
        (
            "soon",
            false,
            Reliability::MaxLifetime(Duration::from_millis(30)),
        ),
    ];
    for (label, ordered, reliability) in policies {
        let mut config = ChannelConfig::new(label).with_reliability(reliability);
        config.ordered = ordered;
        world.at_a(|peer, now| peer.create_data_channel(now, config).unwrap());
    }
    world.run_until(|a, b| a.channels.len() == 6 && b.channels.len() == 6);
    let stream_of = |world: &World, label: &str| {
        let channels = &world.a().channels;
        let channel = channels.iter().find(|channel| channel.label == label);
        channel.unwrap().stream_id
    };
    let streams = policies.map(|(label, ..)| stream_of(&world, label));
    world.net.loss(0.2);
    for number in 0..COUNT {
        for stream_id in streams {
            let mut data = message(700);
            data[..4].copy_from_slice(&number.to_be_bytes());
            while send(&mut world, stream_id, &data).is_err() {
                world.net.run_for(Duration::from_millis(20));
            }
        }
        world.net.run_for(Duration::from_millis(10));
    }
    world.net.run_for(Duration::from_secs(30));
    for ((label, ordered, reliability), stream_id) in policies.into_iter().zip(streams) {
        let mut numbers = Vec::new();
        for (_, _, data) in world.b().data.iter().filter(|(id, ..)| *id == stream_id) {
            assert!(data[4..] == message(700)[4..], "{label}: bytes differ");
            numbers.push(u32::from_be_bytes(*data.first_chunk().unwrap()));
        }
        let arrived = numbers.len() as u32;
        assert!(!ordered || numbers.is_sorted(), "{label}: out of order");
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len() as u32, arrived, "{label}: twice");
        match reliability {
            Reliability::Reliable => assert_eq!(arrived, COUNT, "{label}"),
            _ => assert!((COUNT / 3..COUNT).contains(&arrived), "{label}: {arrived}"),
        }
    }
}

#[test]
fn a_device_with_little_memory_takes_what_it_has_room_for() {
    const MEMORY: usize = 100_000;
    let small = reliable().with_data_memory(MEMORY, MEMORY);
    let mut world = World::new(14, Duration::from_millis(10), reliable(), small);
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world.net.loss(0.02);
    let stream_id = world.a().channels[0].stream_id;
    // A single message can fill it, a larger one is refused by the sender, with the limit.
    let error = send(&mut world, stream_id, &message(MEMORY + 1)).unwrap_err();
    assert!(error.to_string().contains("100000"), "{error}");
    for sent in 0..30 {
        send(&mut world, stream_id, &message(MEMORY)).unwrap();
        world.run_until(|_, b| b.data.len() > sent);
        assert!(world.b().data[sent].2 == message(MEMORY), "bytes differ");
    }
}

#[test]
fn a_peer_that_leaves_closes_each_channel_once_and_by_its_name() {
    let mut world = connected(31);
    world.at_a(|peer, now| {
        peer.create_data_channel(now, ChannelConfig::new("more"))
            .unwrap();
    });
    world.run_until(|a, b| a.channels.len() == 2 && b.channels.len() == 2);
    world.at_a(|peer, now| peer.disconnect(now)).unwrap();
    world.run_until(|_, b| b.has(State::Disconnected));
    for station in [world.a(), world.b()] {
        let mut closed = station.closed.clone();
        closed.sort();
        assert_eq!(closed, ["data", "more"]);
        let ends = |state: &&State| **state == State::DataChannelDisconnected;
        assert_eq!(station.states.iter().filter(ends).count(), 1);
    }
}
