//! What both sides have named is used, and nothing else (RFC 3758 §3.3, RFC 6525 §5.1.1, RFC 8260 §2.3.1,
//! RFC 9653 §5).

use std::time::Duration;

use esp_sctp::{ChannelConfig, Config, Reliability};

use crate::{
    forge::{
        ABORT, COOKIE_ECHO, FORWARD_TSN, Forge, I_DATA, INIT, INIT_ACK, RE_CONFIG, SACK, chunk,
        chunks, kinds, parameter, seal, word,
    },
    link::{Link, Net, Seen},
};

const SECOND: Duration = Duration::from_secs(1);
const DATA: u8 = 0;
const I_FORWARD_TSN: u8 = 194;

/// An INIT chunk whose parameters of one type have another value.
fn with_parameter(init: &[u8], kind: u16, change: impl Fn(&mut [u8])) -> Vec<u8> {
    let mut init = init.to_vec();
    let (mut at, mut changed) = (20, 0);
    while at + 4 <= init.len() {
        let len = usize::from(u16::from_be_bytes([init[at + 2], init[at + 3]]));
        if init[at..at + 2] == kind.to_be_bytes() {
            change(&mut init[at + 4..at + len]);
            changed += 1;
        }
        at += len.next_multiple_of(4);
    }
    assert_eq!(changed, 1);
    init
}

/// A pair whose first side takes this for the second one's INIT; what leaves is recorded.
fn told(change: impl Fn(&[u8]) -> Vec<u8>) -> Net {
    let mut net = Net::pair(4, Link::default());
    let inits = [0, 1].map(|side: usize| net.sides[side].local_init());
    let now = net.now;
    let init = change(&inits[1]);
    net.sides[0].connect_with_init(now, &init).expect("sound");
    net.sides[1]
        .connect_with_init(now, &inits[0])
        .expect("sound");
    net.recording = true;
    net
}

/// Takes a chunk type out of the list of supported ones.
fn without(init: &[u8], kind: u8) -> Vec<u8> {
    with_parameter(init, 0x8008, |list| {
        let at = list.iter().position(|listed| *listed == kind);
        // Authentication, of which nothing is used here.
        list[at.expect("it is listed")] = 15;
    })
}

/// Kinds of all chunks that the first side has sent.
fn sent(net: &Net) -> Vec<u8> {
    let packets = net.left.iter().filter(|(_, from, _)| *from == 0);
    packets
        .flat_map(|(_, _, packet)| kinds(&chunks(packet)))
        .collect()
}

#[test]
fn messages_are_given_up_only_with_a_peer_that_knows_the_chunk_for_it() {
    // RFC 8260 §2.3.1: with I-DATA that is I-FORWARD-TSN, whatever else is listed.
    for (kind, given_up) in [(I_FORWARD_TSN, 0), (RE_CONFIG, 1)] {
        let mut net = told(|init| without(init, kind));
        let once = ChannelConfig::new("once").with_reliability(Reliability::MaxRetransmits(0));
        let channel = net.open(0, once);
        net.run(SECOND);
        net.link.loss = 1.0;
        net.send(0, channel, b"lost");
        net.run(SECOND / 5);
        net.link.loss = 0.0;
        net.run(5 * SECOND);
        assert_eq!(net.messages(1).len(), 1 - given_up, "{kind}");
        let stats = net.sides[0].stats();
        assert_eq!(stats.messages_abandoned as usize, given_up, "{kind}");
        let sent = sent(&net);
        assert!(sent.contains(&I_DATA) && !sent.contains(&DATA));
        assert!(!sent.contains(&FORWARD_TSN));
        assert_eq!(sent.contains(&I_FORWARD_TSN), given_up > 0, "{kind}");
    }
}

#[test]
fn a_peer_without_reset_is_not_asked_for_one() {
    let mut net = told(|init| without(init, RE_CONFIG));
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    let now = net.now;
    net.sides[0]
        .close_channel(now, channel)
        .expect("it is open");
    net.run(SECOND);
    assert_eq!(net.seen[0].last(), Some(&Seen::Closed(channel)));
    assert!(!sent(&net).contains(&RE_CONFIG));
}

/// True when the checksum is right; asserts that it is zero otherwise.
fn is_sealed(packet: &[u8]) -> bool {
    let mut right = packet.to_vec();
    seal(&mut right);
    let zero = packet[8..12] == [0; 4];
    assert!(zero || right == packet, "neither right nor zero");
    right == packet
}

#[test]
fn checksums_are_left_out_only_where_they_may_be() {
    for zero in [true, false] {
        let config = Config::default().with_zero_checksum(zero);
        let mut net = Net::new(4, [config.clone(), config], Link::default());
        net.recording = true;
        net.connect();
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, &[1; 50_000]);
        net.run(SECOND);
        let now = net.now;
        net.sides[0]
            .close_channel(now, channel)
            .expect("it is open");
        net.run(SECOND);
        net.sides[0].abort(net.now, "done");
        net.run(SECOND);
        let mut left_out = 0;
        for (_, _, packet) in &net.left {
            let kinds = kinds(&chunks(packet));
            // RFC 9653 §5.2: what comes before the peer's word, what carries a cookie, and answers to what belongs to no
            // association.
            let before = [INIT, INIT_ACK, COOKIE_ECHO, ABORT];
            let must = kinds.iter().any(|kind| before.contains(kind));
            let sealed = is_sealed(packet);
            assert_eq!(sealed, must || !zero, "{kinds:?}");
            left_out += usize::from(!sealed);
        }
        assert!(!zero || left_out > 40, "{left_out}");
        assert!(net.sides[1].has_ended());
    }
}

#[test]
fn a_peer_that_relies_on_something_else_than_dtls_gets_checksums() {
    for method in [0, 1, 2, 1 << 24] {
        let number = |value: &mut [u8]| value.copy_from_slice(&u32::to_be_bytes(method));
        let mut net = told(|init| with_parameter(init, 0x8001, number));
        let channel = net.open(0, ChannelConfig::new("x"));
        net.send(0, channel, &[1; 5_000]);
        net.run(SECOND);
        assert_eq!(net.messages(1).len(), 1);
        assert_eq!(net.sides[0].stats().zero_checksum, method == 1);
        let packets = net.left.iter().filter(|(_, from, _)| *from == 0);
        let sealed: Vec<bool> = packets.map(|(_, _, packet)| is_sealed(packet)).collect();
        assert!(
            sealed.iter().all(|sealed| *sealed == (method != 1)),
            "{method}"
        );
    }
}

#[test]
fn a_wrong_checksum_is_dropped_and_zero_is_one_unless_it_was_allowed() {
    for zero in [true, false] {
        let mut forge = Forge::connected(Config::default().with_zero_checksum(zero));
        let beat = |sum: [u8; 4]| {
            let mut packet = crate::forge::packet(0, &[chunk(4, 0, &[0, 1, 0, 4])]);
            packet[8..12].copy_from_slice(&sum);
            packet
        };
        let tag = forge.tags[0].to_be_bytes();
        for (sum, answered) in [([0; 4], zero), ([1, 2, 3, 4], false)] {
            let mut packet = beat(sum);
            packet[4..8].copy_from_slice(&tag);
            forge.net.inject(0, packet);
            forge.net.flush();
            assert_eq!(!forge.heard().is_empty(), answered, "{zero} {sum:?}");
        }
    }
}

/// A whole message of the peer on stream 1.
fn message(forge: &Forge, interleaving: bool, ahead: u32, number: u16, ppid: u8) -> Vec<u8> {
    let mut value = forge.first[1].wrapping_add(ahead).to_be_bytes().to_vec();
    let payload: &[u8] = match ppid {
        50 => &[3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        _ => b"told",
    };
    match interleaving {
        true => value.extend([&[0, 1, 0, 0, 0, 0][..], &number.to_be_bytes()].concat()),
        false => value.extend([&[0, 1][..], &number.to_be_bytes()].concat()),
    }
    value.extend([0, 0, 0, ppid]);
    value.extend(payload);
    chunk(if interleaving { I_DATA } else { DATA }, 3, &value)
}

#[test]
fn a_forward_tsn_that_is_out_of_date_skips_nothing() {
    for interleaving in [true, false] {
        let config = Config::default().with_interleaving(interleaving);
        let mut forge = Forge::connected(config);
        let open = message(&forge, interleaving, 0, 0, 50);
        forge.tell(&[open]);
        let skip = |tsn: u32| {
            let mut value = tsn.to_be_bytes().to_vec();
            let kind = match interleaving {
                true => {
                    value.extend([0, 1, 0, 0, 0, 0, 0, 9]);
                    I_FORWARD_TSN
                }
                false => {
                    value.extend([0, 1, 0, 9]);
                    FORWARD_TSN
                }
            };
            chunk(kind, 0, &value)
        };
        // RFC 3758 §3.6: behind what has come, at it, and farther ahead than anything can be.
        let first = forge.first[1];
        for tsn in [first.wrapping_sub(5), first, first.wrapping_add(1 << 20)] {
            let heard = forge.tell(&[skip(tsn)]);
            let sack = heard.iter().find(|chunk| chunk.kind == SACK);
            assert_eq!(word(&sack.expect("a SACK").value, 0), first);
        }
        let told = message(&forge, interleaving, 1, 1, 53);
        forge.tell(&[told]);
        assert_eq!(forge.net.messages(0), [b"told"], "{interleaving}");
        // In its time it does.
        let now = [skip(first.wrapping_add(2))];
        forge.tell(&now);
        let next = message(&forge, interleaving, 3, 10, 53);
        forge.tell(&[next]);
        assert_eq!(forge.net.messages(0).len(), 2);
    }
}

/// A fragment of an unordered message of the peer's, with this message and fragment number.
fn fragment(forge: &Forge, ahead: u32, stream: u16, flags: u8, numbers: [u32; 2]) -> Vec<u8> {
    let mut value = forge.first[1].wrapping_add(ahead).to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0; 2]);
    value.extend(numbers.map(u32::to_be_bytes).concat());
    value.extend([7; 1_000]);
    chunk(I_DATA, 4 | flags, &value)
}

/// An I-FORWARD-TSN for one unordered message.
fn skip_unordered(forge: &Forge, ahead: u32, stream: u16, message: u32) -> Vec<u8> {
    let mut value = forge.first[1].wrapping_add(ahead).to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0, 1]);
    value.extend(message.to_be_bytes());
    chunk(I_FORWARD_TSN, 0, &value)
}

#[test]
fn nothing_stays_of_messages_that_were_skipped() {
    const BEGIN: u8 = 2;
    const END: u8 = 1;
    let held = |forge: &Forge| forge.net.sides[0].stats().receive_buffered;
    let mut forge = Forge::connected(Config::default());
    let open = message(&forge, true, 0, 0, 50);
    forge.tell(&[open]);
    // RFC 8260 §2.3.1: the beginning is missing; the end comes when all of it was given up.
    let late = [
        skip_unordered(&forge, 1, 1, 0),
        fragment(&forge, 2, 1, END, [0, 1]),
    ];
    forge.tell(&late);
    assert_eq!(held(&forge), 0);
    // The next is another message, and one on a stream of which nothing is known yet is no exception.
    let next = [
        fragment(&forge, 3, 1, BEGIN, [1, 53]),
        fragment(&forge, 4, 1, END, [1, 1]),
        fragment(&forge, 5, 9, BEGIN, [0, 53]),
    ];
    forge.tell(&next[..2]);
    assert_eq!(forge.net.messages(0), [[7; 2_000]]);
    forge.tell(&next[2..]);
    assert!(held(&forge) >= 1_000);
    let skip = [skip_unordered(&forge, 6, 9, 0)];
    forge.tell(&skip);
    assert_eq!(held(&forge), 0);
    // The same of an ordered message: the end of what was skipped.
    let mut late = [
        skip_unordered(&forge, 7, 1, 1),
        fragment(&forge, 8, 1, END, [1, 1]),
    ];
    late[0][11] = 0;
    late[1][1] = END;
    forge.tell(&late);
    assert_eq!(held(&forge), 0);
    // RFC 3758 §3.6: with DATA, what came behind the TSN that is named goes with what is missing before it.
    let mut forge = Forge::connected(Config::default().with_interleaving(false));
    let part = |ahead: u32, flags: u8| {
        let mut value = forge.first[1].wrapping_add(ahead).to_be_bytes().to_vec();
        value.extend([0, 1, 0, 0, 0, 0, 0, 53]);
        value.extend([7; 1_000]);
        chunk(DATA, flags, &value)
    };
    let parts = [part(1, 0), part(2, END)];
    forge.tell(&parts);
    assert!(held(&forge) >= 2_000);
    let skip = [&forge.first[1].to_be_bytes()[..], &[0, 1, 0, 0]].concat();
    let heard = forge.tell(&[chunk(FORWARD_TSN, 0, &skip)]);
    let sack = heard.iter().find(|chunk| chunk.kind == SACK);
    let through = forge.first[1].wrapping_add(2);
    assert_eq!(word(&sack.expect("a SACK").value, 0), through);
    assert_eq!(held(&forge), 0);
}

#[test]
fn a_stream_that_was_reset_counts_its_unordered_messages_anew() {
    // RFC 8260 §2.3.2, of what we send: stream, U bit and number of each first fragment.
    let mut net = Net::connected(4, Default::default(), Link::default());
    net.recording = true;
    for _ in 0..2 {
        let channel = net.open(0, ChannelConfig::new("x").unordered());
        net.run(SECOND);
        for _ in 0..3 {
            net.send(0, channel, b"x");
        }
        net.run(SECOND);
        let now = net.now;
        net.sides[0]
            .close_channel(now, channel)
            .expect("it is open");
        net.run(SECOND);
    }
    let packets = net.left.iter().filter(|(_, from, _)| *from == 0);
    let data = packets.flat_map(|(_, _, packet)| chunks(packet));
    let numbers: Vec<(u8, u32)> = data
        .filter(|chunk| chunk.kind == I_DATA)
        .map(|chunk| (chunk.flags & 4, word(&chunk.value, 8)))
        .collect();
    let once = [(0, 0), (4, 0), (4, 1), (4, 2)];
    assert_eq!(numbers, [once, once].concat());
    assert_eq!(net.messages(1).len(), 6);
    // And of what we get: what was skipped before says nothing of what comes after.
    let mut forge = Forge::connected(Config::default());
    let begin = [
        message(&forge, true, 0, 0, 50),
        skip_unordered(&forge, 1, 1, 9),
    ];
    forge.tell(&begin);
    let first = forge.first[1];
    let mut reset = [
        first.to_be_bytes(),
        [0; 4],
        first.wrapping_add(1).to_be_bytes(),
    ]
    .concat();
    reset.extend([0, 1]);
    forge.tell(&[chunk(RE_CONFIG, 0, &parameter(13, &reset))]);
    let again = [
        message(&forge, true, 2, 0, 50),
        fragment(&forge, 3, 1, 2, [0, 53]),
        fragment(&forge, 4, 1, 1, [0, 1]),
    ];
    forge.tell(&again);
    assert_eq!(forge.net.messages(0), [[7; 2_000]]);
}

#[test]
fn a_fragment_that_comes_twice_counts_once() {
    // With I-DATA the TSN says nothing of it; a sound peer never does so.
    let mut forge = Forge::connected(Config::default());
    let parts = [
        message(&forge, true, 0, 0, 50),
        fragment(&forge, 1, 1, 2, [0, 53]),
        fragment(&forge, 2, 1, 0, [0, 1]),
        fragment(&forge, 3, 1, 0, [0, 1]),
        fragment(&forge, 4, 1, 1, [0, 2]),
    ];
    for part in parts {
        forge.tell(&[part]);
    }
    assert_eq!(forge.net.messages(0), [[7; 3_000]]);
    assert_eq!(forge.net.sides[0].stats().receive_buffered, 0);
}
