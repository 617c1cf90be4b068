//! Messages in parts.

use std::time::Duration;

use esp_peer::sctp::Delivery;
use esp_peer::{ChannelConfig, Error, PeerConfig};
use esp_wire::{DataFrame, DataKind};

use crate::station::{World, everything};

/// Memory for 256 KiB each way.
fn small(interleaving: bool) -> PeerConfig {
    let mut config = everything().with_delivery(Delivery::Parts);
    config.automatic_channel = ChannelConfig::new("data");
    config.sctp = config
        .sctp
        .with_buffers(256 << 10, 256 << 10)
        .with_interleaving(interleaving);
    config
}

fn connected(seed: u64, config: &PeerConfig) -> World {
    let delay = Duration::from_millis(5);
    let mut world = World::new(seed, delay, config.clone(), config.clone());
    world.connect();
    world.at_a(|peer, now| {
        peer.create_data_channel(now, ChannelConfig::new("other"))
            .unwrap();
    });
    world.run_until(|a, b| a.channels.len() == 2 && b.channels.len() == 2);
    world
}

fn pattern(from: usize, len: usize) -> Vec<u8> {
    (from..from + len)
        .map(|at| (at ^ at >> 8 ^ at >> 16) as u8)
        .collect()
}

fn part(world: &mut World, stream_id: u16, data: &[u8], last: bool) -> Result<(), Error> {
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data,
    };
    world.at_a(|peer, now| peer.send_data_part(now, frame, last))
}

/// Sends a message from byte `sent` on in parts of 50,000 bytes, `beside` each that found no room.
fn send_in_parts(
    world: &mut World,
    stream_id: u16,
    mut sent: usize,
    len: usize,
    mut beside: impl FnMut(&mut World),
) {
    while sent < len {
        let size = (len - sent).min(50_000);
        match part(world, stream_id, &pattern(sent, size), sent + size == len) {
            Ok(()) => sent += size,
            Err(Error::WouldBlock) => {
                beside(world);
                world.net.run_for(Duration::from_millis(5));
                assert!(world.net.now().as_nanos() < 300_000_000_000, "{sent} bytes");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_message_beyond_all_memory_arrives() {
    for (seed, loss, interleaving) in [(90, 0.0, true), (91, 0.02, true), (92, 0.01, false)] {
        let mut world = connected(seed, &small(interleaving));
        world.net.loss(loss);
        let stream_id = world.a().channels[0].stream_id;
        let len = 5 << 20;
        send_in_parts(&mut world, stream_id, 0, len, |_| {});
        world.run_until(|_, b| b.data.len() == 1);
        assert!(world.b().data[0].2 == pattern(0, len), "bytes differ");
        assert!(world.b().parts > 20, "{} parts", world.b().parts);
        // A small one comes whole.
        // Its acknowledgement may still be under way: there is no room before.
        send_in_parts(&mut world, stream_id, 0, 5, |_| {});
        let parts = world.b().parts;
        world.run_until(|_, b| b.data.len() == 2);
        assert_eq!(world.b().parts, parts);
    }
}

#[test]
fn a_message_that_has_begun_goes_on_where_others_fill_the_memory() {
    for interleaving in [true, false] {
        let mut world = connected(93, &small(interleaving));
        let [first, other] = [0, 1].map(|at| world.a().channels[at].stream_id);
        part(&mut world, first, &pattern(0, 1_000), false).unwrap();
        world.net.run_for(Duration::from_millis(100));
        let mut others = 0;
        let mut fill = |world: &mut World| {
            while part(world, other, &[9; 20_000], true).is_ok() {
                others += 1;
            }
        };
        fill(&mut world);
        let len = 1 << 20;
        send_in_parts(&mut world, first, 1_000, len, &mut fill);
        world.run_until(|_, b| b.data.iter().any(|(id, ..)| *id == first));
        assert!(others > 5, "{others}");
        world.run_until(|_, b| b.data.len() == others + 1);
        let message = world.b().data.iter().find(|(id, ..)| *id == first);
        assert!(message.unwrap().2 == pattern(0, len), "bytes differ");
    }
}

#[test]
fn parts_have_rules() {
    let mut world = connected(94, &small(true));
    let stream_id = world.a().channels[0].stream_id;
    part(&mut world, stream_id, b"begins", false).unwrap();
    let whole = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data: b"between",
    };
    assert!(world.at_a(|peer, now| peer.send_data(now, whole)).is_err());
    assert!(part(&mut world, stream_id, b"", true).is_err());
    let error = part(&mut world, stream_id, &[0; 300_000], false).unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 262_144, .. }),
        "{error}"
    );
    part(&mut world, stream_id, b", ends", true).unwrap();
    part(&mut world, stream_id, b"", true).unwrap();
    world.run_until(|_, b| b.data.len() == 2);
    assert_eq!(world.b().data[0].2, b"begins, ends");
    assert_eq!(world.b().data[1].2, b"");
}

#[test]
fn who_takes_whole_messages_says_how_large_they_may_be() {
    let mut whole = small(true).with_delivery(Delivery::Whole);
    whole.sctp.max_message_size = 100_000;
    let delay = Duration::from_millis(5);
    let mut world = World::new(95, delay, small(true), whole);
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    let stream_id = world.a().channels[0].stream_id;
    part(&mut world, stream_id, &[1; 60_000], false).unwrap();
    let error = part(&mut world, stream_id, &[1; 60_000], true).unwrap_err();
    assert!(
        matches!(error, Error::TooLarge { limit: 100_000, .. }),
        "{error}"
    );
}

#[test]
fn the_threshold_of_the_buffered_amount_is_told() {
    let mut world = connected(96, &small(true));
    let stream_id = world.a().channels[0].stream_id;
    world.at_a(|peer, _| {
        peer.set_buffered_amount_low_threshold(stream_id, 20_000)
            .unwrap();
    });
    let told = world.a().lows.len();
    part(&mut world, stream_id, &[1; 200_000], true).unwrap();
    let amount = |world: &mut World| world.at_a(|peer, _| peer.buffered_amount(stream_id).unwrap());
    assert!(amount(&mut world) > 100_000);
    world.run_until(|a, _| a.lows.len() > told);
    assert!(amount(&mut world) <= 20_000);
    world.run_until(|_, b| b.data.len() == 1);
    assert_eq!(world.a().lows.len(), told + 1);
}
