//! What both sides hold, and messages that are larger than that (RFC 9260 §6.9).

use std::time::Duration;

use esp_sctp::{
    Association, ChannelConfig, ChannelHandle, CloseReason, Config, Delivery, Error, Misuse,
    PeerMisbehaved,
};
use esp_wire::{DataKind, Origin};

use crate::{
    forge::{ABORT, Forge, I_DATA, RE_CONFIG, SACK, chunk, kinds, word},
    link::{Link, Net, Seen, pattern},
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn what_memory_cannot_hold_is_refused_by_name() {
    let small = Config::default().with_buffers(100_000, 100_000);
    let large = small.clone().with_max_message_size(100_001);
    let refused = Association::new(large.clone(), Origin::seeded(1)).err();
    assert_eq!(refused, Some(Misuse::Config("max_message_size")));
    // In parts there is nothing to hold.
    let parts = large.with_delivery(Delivery::Parts);
    assert!(Association::new(parts, Origin::seeded(1)).is_ok());
    let mut net = Net::connected(1, [small.clone(), small], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    let now = net.now;
    let too_large = Error::TooLarge {
        size: 100_001,
        limit: 100_000,
    };
    let sent = net.sides[0].send(now, channel, DataKind::Binary, &[0; 100_001]);
    assert_eq!(sent, Err(too_large));
}

#[test]
fn spare_memory_of_buffers_that_are_handed_over_is_not_held() {
    let config = Config::default().with_buffers(1 << 20, 1 << 20);
    let mut net = Net::connected(1, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    let now = net.now;
    // Far more capacity than content: a copy is kept, and the buffer stays with its owner.
    let mut wide = Vec::with_capacity(16 << 20);
    wide.extend_from_slice(b"little");
    net.sides[0]
        .send_owned(now, channel, DataKind::Binary, &mut wide)
        .unwrap();
    assert!(wide.is_empty() && wide.capacity() >= 16 << 20);
    assert!(net.sides[0].stats().send_buffered < 1_000);
    // About as much as a copy would need: it is taken over.
    let mut narrow = Vec::with_capacity(69_000);
    narrow.extend_from_slice(&[7; 68_000]);
    net.sides[0]
        .send_owned(now, channel, DataKind::Binary, &mut narrow)
        .unwrap();
    assert!(narrow.is_empty() && narrow.capacity() < 69_000);
    net.run(SECOND);
    assert_eq!(net.messages(1), [&b"little"[..], &[7; 68_000]]);
    // However large the buffers are, what is charged stays within the limit.
    loop {
        let now = net.now;
        let mut data = Vec::with_capacity(300_000);
        data.extend_from_slice(&[1; 150_000]);
        match net.sides[0].send_owned(now, channel, DataKind::Binary, &mut data) {
            Ok(()) => assert!(net.sides[0].stats().send_buffered <= 1 << 20),
            Err(error) => {
                assert_eq!(error, Error::WouldBlock);
                assert_eq!(data.len(), 150_000);
                break;
            }
        }
    }
}

#[test]
fn a_message_in_parts_takes_at_most_as_much_memory_again() {
    // Other channels have filled the send buffer, and wait for a message that goes on for long.
    let limit = 200_000;
    let config = Config::default()
        .with_buffers(limit, 8 << 20)
        .with_delivery(Delivery::Parts)
        .with_interleaving(false);
    let link = Link {
        delay: Duration::from_millis(100),
        ..Link::default()
    };
    let mut net = Net::connected(1, [config.clone(), config], link);
    let long = net.open(0, ChannelConfig::new("long"));
    let other = net.open(0, ChannelConfig::new("other"));
    net.run(2 * SECOND);
    let now = net.now;
    net.sides[0]
        .send_part(now, long, DataKind::Binary, &pattern(0, 1_000), false)
        .unwrap();
    net.flush();
    while net.sides[0]
        .send(now, other, DataKind::Binary, &[9; 1_000])
        .is_ok()
    {}
    let (mut parts, total) = (1, 200);
    let mut most = 0;
    net.run_until(600 * SECOND, |net| {
        while parts < total {
            let now = net.now;
            let last = parts + 1 == total;
            let data = pattern(parts, 20_000);
            match net.sides[0].send_part(now, long, DataKind::Binary, &data, last) {
                Ok(()) => parts += 1,
                Err(Error::WouldBlock) => break,
                Err(error) => panic!("{error}"),
            }
        }
        most = most.max(net.sides[0].stats().send_buffered);
        net.sides[0].stats().send_buffered == 0
    });
    assert_eq!(parts, total);
    assert!(most > limit && most <= 2 * limit + 1_000, "{most}");
    let received: usize = net.seen[1]
        .iter()
        .map(|seen| match seen {
            Seen::Part { len, .. } => *len,
            _ => 0,
        })
        .sum();
    assert_eq!(received, 1_000 + (total - 1) * 20_000);
    assert!(net.messages(1).len() > 100);
}

/// What a channel still has to send, in messages of this size that are sent in parts or whole.
struct Source {
    channel: ChannelHandle,
    left: usize,
    size: usize,
    at: usize,
}

impl Source {
    /// Sends as much as goes.
    fn pump(&mut self, net: &mut Net, part: usize) {
        while self.left > 0 {
            let now = net.now;
            let len = part.min(self.size - self.at);
            let last = self.at + len == self.size;
            let sent =
                net.sides[0].send_part(now, self.channel, DataKind::Binary, &vec![5; len], last);
            match sent {
                Ok(()) if last => (self.at, self.left) = (0, self.left - 1),
                Ok(()) => self.at += len,
                Err(Error::WouldBlock) => return,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn many_messages_beyond_memory_at_once_pass_in_parts() {
    for (interleaving, loss) in [(true, 0.0), (true, 0.05), (false, 0.0), (false, 0.05)] {
        let config = Config::default()
            .with_buffers(150_000, 150_000)
            .with_delivery(Delivery::Parts)
            .with_interleaving(interleaving);
        let mut net = Net::connected(3, [config.clone(), config], Link::lossy(loss));
        let mut sources: Vec<Source> = (0..6)
            .map(|index| {
                let config = ChannelConfig {
                    ordered: index % 2 == 0,
                    ..ChannelConfig::new("x")
                };
                let channel = net.open(0, config);
                Source {
                    channel,
                    left: 2,
                    size: 400_000,
                    at: 0,
                }
            })
            .collect();
        net.run_until(600 * SECOND, |net| {
            for source in &mut sources {
                source.pump(net, 30_000);
            }
            assert!(net.sides[1].stats().receive_buffered <= 300_000);
            net.count(1, |seen| matches!(seen, Seen::Part { last: true, .. })) == 12
        });
        let mut bytes = 0;
        for seen in &net.seen[1] {
            if let Seen::Part { len, .. } = seen {
                bytes += len;
            }
        }
        assert_eq!(bytes, 12 * 400_000, "{interleaving} {loss}");
        let first = net.count(1, |seen| matches!(seen, Seen::Part { first: true, .. }));
        assert_eq!(first, 12);
    }
}

#[test]
fn many_large_messages_at_once_reach_a_peer_that_combines_them() {
    // Together they are four times the peer's memory; begun all at once, none could ever be completed.
    for (loss, ordered) in [(0.0, true), (0.05, true), (0.0, false)] {
        let config = Config::default();
        let mut net = Net::connected(4, [config.clone(), config], Link::lossy(loss));
        let limit = net.sides[1].max_message_size();
        net.sides[0].set_remote_max_message_size(limit);
        let mut sources: Vec<Source> = (0..16)
            .map(|_| {
                let config = ChannelConfig {
                    ordered,
                    ..ChannelConfig::new("x")
                };
                let channel = net.open(0, config);
                Source {
                    channel,
                    left: 1,
                    size: 1 << 20,
                    at: 0,
                }
            })
            .collect();
        let mut chat = 0;
        let small = net.open(0, ChannelConfig::new("chat"));
        net.run_until(120 * SECOND, |net| {
            for source in &mut sources {
                source.pump(net, 1 << 20);
            }
            let now = net.now;
            chat += usize::from(
                net.sides[0]
                    .send(now, small, DataKind::Text, b"beside")
                    .is_ok(),
            );
            net.messages(1)
                .iter()
                .filter(|data| data.len() == 1 << 20)
                .count()
                == 16
        });
        assert!(chat > 10);
        assert_eq!(net.sides[1].stats().chunks_refused, 0, "{loss} {ordered}");
    }
}

/// A fragment in an I-DATA chunk.
fn fragment(tsn: u32, stream: u16, flags: u8, number: u32, len: usize) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0; 6]);
    let word = if flags & 2 != 0 { 53 } else { number };
    value.extend(word.to_be_bytes());
    value.resize(16 + len, 3);
    chunk(I_DATA, flags, &value)
}

#[test]
fn a_peer_that_begins_more_than_memory_holds_is_told_so() {
    let config = Config::default().with_buffers(100_000, 100_000);
    let mut forge = Forge::connected(config);
    // Beginnings on ever more streams. The window stays open by a little, for the ends; then it is too much.
    let (mut heard, mut sent) = (Vec::new(), 0);
    while !forge.net.sides[0].has_ended() {
        assert!(sent < 1_000);
        let tsn = forge.first[1].wrapping_add(sent);
        heard = forge.tell(&[fragment(tsn, sent as u16, 2, 0, 1_000)]);
        for sack in heard.iter().filter(|chunk| chunk.kind == SACK) {
            let window = word(&sack.value, 4);
            let open = if sent < 150 { 1_000 } else { 0 };
            assert!(window >= open, "{window} after {sent}");
        }
        assert!(forge.net.sides[0].stats().receive_buffered <= 200_000);
        sent += 1;
    }
    assert_eq!(kinds(&heard), [ABORT]);
    // RFC 9260 §3.3.10.4: out of resource.
    assert_eq!(heard[0].cause(), Some((4, &[][..])));
    let reason = CloseReason::PeerMisbehaved(PeerMisbehaved::TooMuchUnfinished);
    assert_eq!(forge.net.seen[0].last(), Some(&Seen::Ended(reason)));
}

/// A DATA_CHANNEL_OPEN in an I-DATA chunk.
fn open(tsn: u32, stream: u16, kind: u8, label: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0; 6]);
    value.extend(50u32.to_be_bytes());
    value.extend([3, kind, 1, 0, 0, 0, 0, 0]);
    value.extend((label.len() as u16).to_be_bytes());
    value.extend([0; 2]);
    value.extend(label);
    chunk(I_DATA, 3, &value)
}

/// The streams of outgoing reset requests among what was heard.
fn resets(heard: &[crate::forge::Sighted]) -> Vec<u16> {
    heard
        .iter()
        .filter(|chunk| chunk.kind == RE_CONFIG && chunk.value[..2] == [0, 13])
        .flat_map(|chunk| {
            let len = usize::from(u16::from_be_bytes([chunk.value[2], chunk.value[3]]));
            chunk.value[16..len]
                .chunks_exact(2)
                .map(|stream| u16::from_be_bytes([stream[0], stream[1]]))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn what_cannot_be_opened_is_closed_without_an_answer() {
    // RFC 8832 §6: the first side is the DTLS client, so the peer opens odd streams.
    let opens = |forge: &Forge, kind: u8, stream: u16, label: &[u8]| {
        vec![open(forge.first[1], stream, kind, label)]
    };
    for (kind, stream, good) in [(0, 1, true), (0, 2, false), (0x7f, 1, false)] {
        let mut forge = Forge::connected(Config::default());
        let chunks = opens(&forge, kind, stream, b"x");
        let heard = forge.tell(&chunks);
        let acks = heard.iter().filter(|chunk| chunk.kind == I_DATA).count();
        let seen = forge.net.count(0, |seen| matches!(seen, Seen::Open { .. }));
        assert_eq!((acks, seen), (usize::from(good), usize::from(good)));
        let expected = if good { vec![] } else { vec![stream] };
        assert_eq!(resets(&heard), expected, "{kind} {stream}");
    }
    // Opened twice: closed.
    let mut forge = Forge::connected(Config::default());
    let first = forge.first[1];
    forge.tell(&[open(first, 1, 0, b"x")]);
    // Our ACK is acknowledged, so that its stream may be reset.
    let sack = [forge.first[0].to_be_bytes(), [0, 1, 0, 0], [0; 4]].concat();
    forge.tell(&[chunk(SACK, 0, &sack)]);
    let mut again = open(first.wrapping_add(1), 1, 0, b"x");
    again[15] = 1;
    assert_eq!(resets(&forge.tell(&[again])), [1]);
    assert_eq!(
        forge.net.count(0, |seen| matches!(seen, Seen::Open { .. })),
        1
    );
}

#[test]
fn names_of_channels_are_bounded_by_receive_memory() {
    let config = Config::default().with_buffers(200_000, 200_000);
    let mut net = Net::connected(6, [Config::default(), config], Link::default());
    net.sides[0].set_remote_max_message_size(200_000);
    let channels: Vec<ChannelHandle> = (0..8)
        .map(|_| net.open(0, ChannelConfig::new("l".repeat(60_000))))
        .collect();
    net.run(5 * SECOND);
    // Three of them fit; the others are closed again.
    let open = |net: &Net| net.count(1, |seen| matches!(seen, Seen::Open { .. }));
    assert_eq!(open(&net), 3);
    let closed = |net: &Net| net.count(0, |seen| matches!(seen, Seen::Closed(_)));
    assert_eq!(closed(&net), 5);
    // What is closed makes room.
    let now = net.now;
    net.sides[0].close_channel(now, channels[0]).unwrap();
    net.run(2 * SECOND);
    net.open(0, ChannelConfig::new("l".repeat(60_000)));
    net.run(2 * SECOND);
    assert_eq!((open(&net), closed(&net)), (4, 6));
}

#[test]
fn names_that_wait_to_be_sent_are_bounded_beside_the_data() {
    let config = Config::default().with_buffers(150_000, 150_000);
    let mut net = Net::connected(6, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    // A buffer that is full of data refuses no channel.
    while net.sides[0]
        .send(net.now, channel, DataKind::Binary, &[1; 10_000])
        .is_ok()
    {}
    let named = |len: usize| ChannelConfig::new("l".repeat(len));
    let many: Vec<_> = (0..1_000).map(|_| net.open(0, named(30))).collect();
    net.open(0, named(65_535));
    // 12 bytes come before the names.
    net.open(0, named(150_000 - 1_000 * 42 - 65_547 - 12));
    let now = net.now;
    let refused = Err(Error::Misuse(Misuse::TooManyOpening));
    assert_eq!(net.sides[0].open_channel(now, named(0)), refused);
    // What has arrived makes room.
    net.run(10 * SECOND);
    let opens = |net: &Net| net.count(1, |seen| matches!(seen, Seen::Open { .. }));
    assert_eq!(opens(&net), 1 + many.len() + 2);
    net.open(0, named(65_535));
    net.open(0, named(65_535));
    let now = net.now;
    assert_eq!(net.sides[0].open_channel(now, named(65_535)), refused);
    // One alone may have any length, and what is closed before it was sent makes room.
    let config = Config::default().with_buffers(4_096, 150_000);
    let mut early = Association::new(config, Origin::seeded(5)).unwrap();
    let longest = named(65_535).with_protocol("p".repeat(65_535));
    let channel = early.open_channel(now, longest.clone()).unwrap();
    assert_eq!(early.open_channel(now, named(1)), refused);
    early.close_channel(now, channel).unwrap();
    assert!(early.open_channel(now, longest).is_ok());
}

#[test]
fn messages_of_unknown_size_begin_one_after_the_other() {
    // Three in parts, each nearly as large as the peer's memory.
    let config = Config::default().with_buffers(70_000, 70_000);
    let mut net = Net::connected(5, [config.clone(), config], Link::default());
    net.sides[0].set_remote_max_message_size(60_000);
    let mut sources: Vec<Source> = (0..3)
        .map(|_| Source {
            channel: net.open(0, ChannelConfig::new("x")),
            left: 2,
            size: 60_000,
            at: 0,
        })
        .collect();
    net.run_until(60 * SECOND, |net| {
        for source in &mut sources {
            source.pump(net, 500);
        }
        net.messages(1).len() == 6
    });
    assert_eq!(net.sides[1].stats().chunks_refused, 0);
}
