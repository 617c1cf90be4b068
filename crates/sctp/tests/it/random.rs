//! Random operations over random links: nothing is lost that must not be, nothing comes twice,
//! nothing stays in memory.

use std::time::Duration;

use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Delivery, Error, Scheduling};
use esp_wire::{DataKind, Origin};
use proptest::prelude::*;

use crate::link::{Link, Net, Seen};

#[derive(Clone, Debug)]
enum Step {
    Open {
        side: usize,
        ordered: bool,
    },
    Send {
        side: usize,
        channel: usize,
        size: usize,
    },
    Close {
        side: usize,
        channel: usize,
    },
    Run {
        millis: u64,
    },
    Delivery {
        side: usize,
        on: bool,
    },
    Pause {
        side: usize,
        channel: usize,
        on: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let side = 0usize..2;
    prop_oneof![
        2 => (side.clone(), any::<bool>()).prop_map(|(side, ordered)| Step::Open { side, ordered }),
        8 => (side.clone(), 0usize..8, prop_oneof![0usize..40, 0usize..3_000, 0usize..100_000])
            .prop_map(|(side, channel, size)| Step::Send { side, channel, size }),
        1 => (side.clone(), 0usize..8).prop_map(|(side, channel)| Step::Close { side, channel }),
        4 => (0u64..80).prop_map(|millis| Step::Run { millis }),
        1 => (side.clone(), any::<bool>()).prop_map(|(side, on)| Step::Delivery { side, on }),
        1 => (side, 0usize..8, any::<bool>())
            .prop_map(|(side, channel, on)| Step::Pause { side, channel, on }),
    ]
}

fn link() -> impl Strategy<Value = Link> {
    (
        0u64..40,
        0u64..20,
        0.0..0.25,
        0.0..0.1,
        prop_oneof![Just(0), Just(2_000_000), Just(50_000_000)],
    )
        .prop_map(|(delay, jitter, loss, duplication, rate)| Link {
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            loss,
            duplication,
            rate,
            queue: Duration::from_millis(60),
        })
}

fn config() -> impl Strategy<Value = Config> {
    let scheduling = prop_oneof![
        Just(Scheduling::FirstComeFirstServed),
        Just(Scheduling::RoundRobin),
        Just(Scheduling::Priority),
        Just(Scheduling::WeightedFair),
    ];
    (
        any::<bool>(),
        any::<bool>(),
        scheduling,
        any::<bool>(),
        110_000usize..1_000_000,
    )
        .prop_map(|(interleaving, zero, scheduling, pacing, buffer)| {
            Config::default()
                .with_interleaving(interleaving)
                .with_zero_checksum(zero)
                .with_scheduling(scheduling)
                .with_pacing(pacing)
                // A quarter of all packets is lost, for many hours: chance alone must not end it.
                .with_max_retransmits(30)
                .with_heartbeat_interval(None)
                .with_buffers(buffer, buffer)
        })
}

/// What one side sent on a channel of its own.
struct Sent {
    side: usize,
    channel: ChannelHandle,
    ordered: bool,
    closed: bool,
    messages: Vec<Vec<u8>>,
}

fn perform(net: &mut Net, sent: &mut Vec<Sent>, step: Step, serial: &mut u32) {
    let now = net.now;
    let own = |sent: &[Sent], side: usize, channel: usize| -> Option<usize> {
        let of: Vec<usize> = (0..sent.len())
            .filter(|index| sent[*index].side == side)
            .collect();
        (!of.is_empty()).then(|| of[channel % of.len()])
    };
    match step {
        Step::Open { side, ordered } => {
            let config = ChannelConfig {
                ordered,
                ..ChannelConfig::new("x")
            };
            let channel = net.open(side, config);
            sent.push(Sent {
                side,
                channel,
                ordered,
                closed: false,
                messages: Vec::new(),
            });
        }
        Step::Send {
            side,
            channel,
            size,
        } => {
            let Some(index) = own(sent, side, channel) else {
                return;
            };
            *serial += 1;
            let mut data = vec![*serial as u8; size.max(4)];
            data[..4].copy_from_slice(&serial.to_be_bytes());
            match net.sides[side].send(now, sent[index].channel, DataKind::Binary, &data) {
                Ok(()) => sent[index].messages.push(data),
                Err(Error::WouldBlock | Error::Misuse(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        Step::Close { side, channel } => {
            let Some(index) = own(sent, side, channel) else {
                return;
            };
            let _ = net.sides[side].close_channel(now, sent[index].channel);
            sent[index].closed = true;
        }
        Step::Run { millis } => net.run(Duration::from_millis(millis)),
        Step::Delivery { side, on } => net.sides[side].set_delivery(on),
        Step::Pause { side, channel, on } => {
            let Some(index) = own(sent, 1 - side, channel) else {
                return;
            };
            if let Some(far) = net.far(1 - side, sent[index].channel) {
                net.sides[side].pause_receive(far, on);
            }
        }
    }
}

fn settle(net: &mut Net, sent: &[Sent]) {
    for side in 0..2 {
        net.sides[side].set_delivery(true);
    }
    for one in sent {
        if let Some(far) = net.far(one.side, one.channel) {
            net.sides[1 - one.side].pause_receive(far, false);
        }
    }
    net.run(Duration::from_secs(900));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn reliable_channels_keep_their_promise(
        seed in 0u64..1_000,
        link in link(),
        configs in (config(), config()),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut net = Net::connected(seed, [configs.0, configs.1], link);
        let (mut sent, mut serial) = (Vec::new(), 0);
        for step in steps {
            perform(&mut net, &mut sent, step, &mut serial);
        }
        settle(&mut net, &sent);
        for side in 0..2 {
            prop_assert!(net.sides[side].is_connected(), "{:?}", net.seen[side].iter().filter(|seen| matches!(seen, Seen::Ended(_))).collect::<Vec<_>>());
            let stats = net.sides[side].stats();
            prop_assert_eq!((stats.send_buffered, stats.receive_buffered), (0, 0));
            let mut got: Vec<&[u8]> = net.messages(side);
            let mut expected: Vec<&[u8]> = Vec::new();
            for one in sent.iter().filter(|one| one.side == 1 - side) {
                // A channel that was closed before the peer ever saw it sends nothing.
                let cut = one.closed && !one.messages.iter().any(|message| got.contains(&&message[..]));
                if cut { continue; }
                if one.ordered {
                    let order: Vec<&[u8]> = got.iter().copied()
                        .filter(|data| one.messages.iter().any(|message| message == data)).collect();
                    prop_assert!(order.iter().copied().eq(one.messages.iter().map(|message| &message[..])));
                }
                expected.extend(one.messages.iter().map(|message| &message[..]));
            }
            got.sort_unstable();
            expected.sort_unstable();
            prop_assert!(got == expected, "{} of {}", got.len(), expected.len());
            let closed = sent.iter().filter(|one| one.closed).count();
            prop_assert!(net.count(side, |seen| matches!(seen, Seen::Closed(_))) <= closed);
        }
    }

    #[test]
    fn any_bytes_are_survived(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        parts: bool,
    ) {
        let config = Config::default()
            .with_delivery(if parts { Delivery::Parts } else { Delivery::Whole });
        let mut net = Net::connected(1, [config.clone(), config], Link::default());
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, &[1; 10_000]);
        let (sender, receiver) = std::sync::mpsc::channel();
        net.filter = Some(Box::new(move |from, packet| {
            let _ = sender.send((from, packet.to_vec()));
            false
        }));
        net.run(Duration::from_millis(200));
        for mut packet in packets {
            packet.resize(packet.len().next_multiple_of(4).max(16), 0);
            let (from, real) = receiver.try_recv().unwrap_or((0, packet.clone()));
            // The header of a real packet, so that the noise comes through; no checksum.
            packet[..8].copy_from_slice(&real[..8]);
            packet[8..12].fill(0);
            net.inject(1 - from, packet);
            let mut changed = real;
            for (index, value) in &mutations {
                let at = index.index(changed.len());
                changed[at] = *value;
            }
            changed[8..12].fill(0);
            net.inject(1 - from, changed);
        }
        net.run(Duration::from_secs(5));
    }

    #[test]
    fn calls_in_any_order_do_no_harm(calls in prop::collection::vec((0u8..12, 0u16..4, 0u64..3_000), 1..60)) {
        let mut side = Association::new(Config::default(), Origin::seeded(3)).unwrap();
        let mut train = esp_wire::Train::with_capacity(4_096);
        let mut now = esp_wire::Instant::ZERO;
        let mut channel = None;
        for (call, stream, wait) in calls {
            now += Duration::from_millis(wait);
            match call {
                0 => { let _ = side.connect(now); }
                1 => channel = side.open_channel(now, ChannelConfig::new("x")).ok(),
                2 => channel = side.open_channel(now, ChannelConfig::new("x").negotiated(stream)).ok(),
                3 => side.set_dtls_role(stream % 2 == 0),
                4 => side.handle_timeout(now),
                5 => { while side.poll_transmit(now, &mut train) {} }
                6 => { while side.poll_event().is_some() {} }
                7 => if stream == 0 { side.shutdown(now) },
                8 => if stream == 0 { side.abort(now, "x") },
                9 => { let _ = side.handle_input(now, &mut [0; 16]); }
                _ => if let Some(channel) = channel {
                    let _ = side.send(now, channel, DataKind::Text, b"x");
                    if stream == 3 { let _ = side.close_channel(now, channel); }
                }
            }
        }
    }
}
