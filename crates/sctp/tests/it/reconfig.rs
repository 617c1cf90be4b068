//! Requests of RFC 6525 that our own side never makes.

use std::{cell::RefCell, rc::Rc, time::Duration};

use esp_sctp::{ChannelConfig, Config, Error, Misuse};

use crate::{
    forge::{Forge, I_DATA, RE_CONFIG, SACK, Sighted, chunk, chunks, parameter},
    link::{Link, Net, Seen},
};

const SECOND: Duration = Duration::from_secs(1);

/// A pair whose first side is asked by forged packets; what it answers is kept.
struct Asked {
    net: Net,
    /// Ports and tag of packets to the first side, and the sequence number of the next request.
    header: Vec<u8>,
    sequence: u32,
    answers: Rc<RefCell<Vec<Vec<u8>>>>,
}

impl Asked {
    fn new() -> Asked {
        let mut net = Net::new(8, [Config::default(), Config::default()], Link::default());
        let first = Rc::new(RefCell::new((Vec::new(), 0)));
        let seen = Rc::clone(&first);
        net.filter = Some(Box::new(move |from, packet| {
            if from == 1 {
                let mut seen = seen.borrow_mut();
                seen.0 = packet[..8].to_vec();
                if packet[12] == 1 || packet[12] == 2 {
                    // RFC 6525 §4.1: requests count from the first TSN on.
                    seen.1 = u32::from_be_bytes([packet[28], packet[29], packet[30], packet[31]]);
                }
            }
            false
        }));
        net.connect();
        net.run(SECOND);
        let answers = Rc::new(RefCell::new(Vec::new()));
        let kept = Rc::clone(&answers);
        net.filter = Some(Box::new(move |from, packet| {
            let mut rest = &packet[12..];
            while from == 0 && rest.len() >= 4 {
                let len = usize::from(u16::from_be_bytes([rest[2], rest[3]]));
                if rest[0] == RE_CONFIG {
                    kept.borrow_mut().push(rest[..len].to_vec());
                }
                rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            }
            false
        }));
        let (header, sequence) = first.borrow().clone();
        Asked {
            net,
            header,
            sequence,
            answers,
        }
    }

    /// Sends a request with this type and what follows its number; gives the answers' result codes
    /// and the types of requests that come beside them.
    fn ask(&mut self, kind: u16, rest: &[u8]) -> (Vec<u32>, Vec<u16>) {
        let mut packet = self.header.clone();
        packet.extend([0; 4]);
        let len = 8 + rest.len();
        packet.extend([RE_CONFIG, 0]);
        packet.extend((4 + len as u16).to_be_bytes());
        packet.extend(kind.to_be_bytes());
        packet.extend((len as u16).to_be_bytes());
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(rest);
        packet.resize(packet.len().next_multiple_of(4), 0);
        self.answers.borrow_mut().clear();
        self.net.inject(0, packet);
        self.net.flush();
        let (mut results, mut requests) = (Vec::new(), Vec::new());
        for chunk in self.answers.borrow().iter() {
            let kind = u16::from_be_bytes([chunk[4], chunk[5]]);
            match kind {
                16 => {
                    assert_eq!(chunk[8..12], self.sequence.to_be_bytes());
                    results.push(u32::from(chunk[15]));
                }
                other => requests.push(other),
            }
        }
        (results, requests)
    }
}

const PERFORMED: u32 = 1;
const DENIED: u32 = 2;
const WRONG_STREAM: u32 = 3;
const BAD_SEQUENCE: u32 = 5;

#[test]
fn streams_asked_of_us_are_denied_beyond_what_there_can_be() {
    // All 65,535 streams are there from the start.
    let mut asked = Asked::new();
    assert_eq!(asked.ask(18, &[0, 1, 0, 0]), (vec![DENIED], vec![]));
    // The same question again has the same answer.
    assert_eq!(asked.ask(18, &[0, 1, 0, 0]), (vec![DENIED], vec![]));
    // More streams of the peer's own, too.
    asked.sequence = asked.sequence.wrapping_add(1);
    assert_eq!(asked.ask(17, &[0, 1, 0, 0]), (vec![DENIED], vec![]));
    // Nothing more is no more than there can be.
    asked.sequence = asked.sequence.wrapping_add(1);
    assert_eq!(asked.ask(18, &[0, 0, 0, 0]), (vec![PERFORMED], vec![]));
}

#[test]
fn a_reset_of_all_tsns_is_denied_and_one_out_of_turn_refused() {
    let mut asked = Asked::new();
    assert_eq!(asked.ask(15, &[]), (vec![DENIED], vec![]));
    asked.sequence = asked.sequence.wrapping_add(7);
    assert_eq!(asked.ask(15, &[]), (vec![BAD_SEQUENCE], vec![]));
    assert!(asked.net.sides[0].is_connected());
}

#[test]
fn a_stream_that_the_peer_wants_reset_is() {
    let mut asked = Asked::new();
    let channel = asked.net.open(0, ChannelConfig::new("x"));
    asked.net.run(SECOND);
    let stream = asked.net.sides[0].stream_id(channel).expect("a stream");
    // The answer, and our own request for our direction (type 13).
    assert_eq!(
        asked.ask(14, &stream.to_be_bytes()),
        (vec![PERFORMED], vec![13])
    );
    asked.net.run(SECOND);
    let closing = |seen: &Seen| matches!(seen, Seen::Closing(_));
    assert_eq!(asked.net.count(1, closing), 1);
}

#[test]
fn a_stream_beyond_all_is_not_reset() {
    let mut asked = Asked::new();
    let sequence = [0; 4];
    let last = asked.sequence.wrapping_sub(1).to_be_bytes();
    let rest = [&sequence[..], &last[..], &[0xff, 0xff]].concat();
    assert_eq!(asked.ask(13, &rest), (vec![WRONG_STREAM], vec![]));
}

/// An outgoing reset request for one stream.
fn reset(sequence: u32, last: u32, stream: u16) -> Vec<u8> {
    let mut value = sequence.to_be_bytes().to_vec();
    value.extend([0; 4]);
    value.extend(last.to_be_bytes());
    value.extend(stream.to_be_bytes());
    chunk(RE_CONFIG, 0, &parameter(13, &value))
}

#[test]
fn a_reset_that_is_older_than_the_channel_does_not_close_it() {
    for known in [false, true] {
        let mut forge = Forge::connected(Config::default());
        let channel = forge.net.open(0, ChannelConfig::new("x"));
        forge.net.flush();
        if known {
            // The peer has seen the OPEN, and does not want it.
            let sack = [forge.first[0].to_be_bytes(), [0, 1, 0, 0], [0; 4]].concat();
            forge.tell(&[chunk(SACK, 0, &sack)]);
        }
        let first = forge.first[1];
        let heard = forge.tell(&[reset(first, first.wrapping_sub(1), 0)]);
        let answer = heard
            .iter()
            .find(|chunk| chunk.value[..4] == [0, 16, 0, 12]);
        let answer = answer.expect("an answer");
        assert_eq!(answer.value[11], PERFORMED as u8);
        let closing = forge.net.count(0, |seen| *seen == Seen::Closing(channel));
        assert_eq!(closing, usize::from(known));
    }
}

#[test]
fn two_requests_in_one_chunk_have_one_answer() {
    let mut forge = Forge::connected(Config::default());
    let first = forge.first[1];
    let mut value = parameter(18, &[first.to_be_bytes(), [0, 1, 0, 0]].concat());
    value.extend(parameter(15, &first.wrapping_add(1).to_be_bytes()));
    let ask = [chunk(RE_CONFIG, 0, &value)];
    // However often it is asked.
    for _ in 0..2 {
        let heard = forge.tell(&ask);
        let answers: Vec<_> = heard
            .iter()
            .filter(|chunk| chunk.kind == RE_CONFIG)
            .collect();
        assert_eq!(answers.len(), 1);
        let results = [answers[0].value[11], answers[0].value[23]].map(u32::from);
        assert_eq!(results, [DENIED, DENIED]);
        assert!(heard.iter().any(|chunk| chunk.kind == SACK));
    }
}

#[test]
fn a_stream_whose_reset_is_denied_is_not_used_again() {
    let mut forge = Forge::connected(Config::default());
    let channel = forge.net.open(0, ChannelConfig::new("x"));
    forge.net.flush();
    let sack = [forge.first[0].to_be_bytes(), [0, 1, 0, 0], [0; 4]].concat();
    forge.tell(&[chunk(SACK, 0, &sack)]);
    let now = forge.net.now;
    forge.net.sides[0].close_channel(now, channel).unwrap();
    forge.net.flush();
    let heard = forge.heard();
    let request = heard.iter().find(|chunk| chunk.kind == RE_CONFIG).unwrap();
    let mut denied = request.value[4..8].to_vec();
    denied.extend(DENIED.to_be_bytes());
    forge.tell(&[chunk(RE_CONFIG, 0, &parameter(16, &denied))]);
    assert_eq!(forge.net.seen[0].last(), Some(&Seen::Closed(channel)));
    let next = forge.net.open(0, ChannelConfig::new("y"));
    assert_eq!(forge.net.sides[0].stream_id(next), Some(2));
    let now = forge.net.now;
    let taken = forge.net.sides[0].open_channel(now, ChannelConfig::new("z").negotiated(0));
    assert_eq!(taken, Err(Error::Misuse(Misuse::StreamTaken)));
    // What the peer still sends there goes nowhere, and costs nothing.
    let mut value = forge.first[1].to_be_bytes().to_vec();
    value.extend([0; 12]);
    value[15] = 53;
    value.extend(b"late");
    forge.tell(&[chunk(I_DATA, 3, &value)]);
    assert_eq!(forge.net.sides[0].stats().receive_buffered, 0);
    assert!(forge.net.messages(0).is_empty());
}

#[test]
fn a_peer_that_asks_for_all_streams_gets_all() {
    let mut asked = Asked::new();
    let channels = [0, 0, 1].map(|side| asked.net.open(side, ChannelConfig::new("x")));
    asked.net.run(SECOND);
    assert_eq!(asked.ask(14, &[]), (vec![PERFORMED], vec![13]));
    // While they are being reset there is nothing to do.
    asked.sequence = asked.sequence.wrapping_add(1);
    let nothing = 0;
    assert_eq!(asked.ask(14, &[]), (vec![nothing], vec![]));
    asked.net.run(SECOND);
    let closing = |seen: &Seen| matches!(seen, Seen::Closing(_));
    assert_eq!(asked.net.count(1, closing), channels.len());
}

/// The streams that an outgoing reset request names.
fn named(request: &[u8]) -> usize {
    assert_eq!(request[..2], [0, 13]);
    let len = usize::from(u16::from_be_bytes([request[2], request[3]]));
    (len - 16) / 2
}

#[test]
fn a_request_names_as_many_streams_as_a_packet_holds() {
    let mut net = Net::connected(3, Default::default(), Link::default());
    let channels: Vec<_> = (0..5_000)
        .map(|_| net.open(0, ChannelConfig::new("x")))
        .collect();
    net.run(5 * SECOND);
    let requests = Rc::new(RefCell::new([Vec::new(), Vec::new()]));
    let seen = Rc::clone(&requests);
    net.filter = Some(Box::new(move |from, packet| {
        let asks = |chunk: &Sighted| chunk.kind == RE_CONFIG && chunk.value[1] == 13;
        let asked = chunks(packet).into_iter().filter(asks);
        seen.borrow_mut()[from].extend(asked.map(|chunk| named(&chunk.value)));
        false
    }));
    let began = net.now;
    for channel in &channels {
        net.sides[0].close_channel(began, *channel).unwrap();
    }
    net.run_until(60 * SECOND, |net| {
        (0..2).all(|side| net.count(side, |seen| matches!(seen, Seen::Closed(_))) == 5_000)
    });
    // 1,160 bytes; the first channel did not wait for the others. Both sides name all.
    let whole = (1_160 - 12 - 20 - 32) / 2;
    let requests = requests.borrow();
    assert_eq!(requests[0][..3], [1, whole, whole]);
    assert_eq!(requests[0].iter().sum::<usize>(), 5_000);
    assert_eq!(requests[0].len(), 1 + 4_999usize.div_ceil(whole));
    assert_eq!(requests[1], requests[0]);
    // A round trip has 20 ms.
    let rounds = requests[0].len() as u32 + 1;
    assert!(net.now - began <= rounds * Duration::from_millis(20));
}

#[test]
fn a_peer_that_denies_a_long_list_is_asked_for_less() {
    let mut forge = Forge::connected(Config::default());
    // Nothing has to arrive before these can be reset.
    let channels: Vec<_> = (0..600)
        .map(|stream| {
            let config = ChannelConfig::new("x").negotiated(stream);
            forge.net.open(0, config)
        })
        .collect();
    let now = forge.net.now;
    for channel in &channels {
        forge.net.sides[0].close_channel(now, *channel).unwrap();
    }
    forge.net.flush();
    let mut heard = forge.heard();
    let mut asked = Vec::new();
    for outcome in [1, 2, 1, 2, 1].map(|outcome| [0, 0, 0, outcome]) {
        let request = heard.iter().find(|chunk| chunk.kind == RE_CONFIG).unwrap();
        asked.push(named(&request.value));
        let answer = [&request.value[4..8], &outcome].concat();
        heard = forge.tell(&[chunk(RE_CONFIG, 0, &parameter(16, &answer))]);
    }
    // When a short list is denied, its channels end, and their streams are not used again.
    assert_eq!(asked, [1, 548, 240, 240, 119]);
    let closed = |seen: &Seen| matches!(seen, Seen::Closed(_));
    assert_eq!(forge.net.count(0, closed), 240);
}

#[test]
fn a_request_for_a_path_that_took_more_is_repeated_as_it_was() {
    let mut net = Net::connected(3, Default::default(), Link::default());
    for side in &mut net.sides {
        side.set_largest_packet(4_000);
    }
    let channels: Vec<_> = (0..1_500)
        .map(|_| net.open(0, ChannelConfig::new("x")))
        .collect();
    net.run(5 * SECOND);
    assert_eq!(net.sides[0].packet_size(), 4_000);
    let requests = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&requests);
    net.filter = Some(Box::new(move |from, packet| {
        let asks = |chunk: &Sighted| chunk.kind == RE_CONFIG && chunk.value.len() > 1_160;
        let mut asked = seen.borrow_mut();
        let before = asked.len();
        if from == 0 {
            asked.extend(chunks(packet).into_iter().filter(asks));
        }
        // The first is lost.
        before == 0 && asked.len() == 1
    }));
    let now = net.now;
    for channel in &channels {
        net.sides[0].close_channel(now, *channel).unwrap();
    }
    net.run(Duration::from_millis(50));
    assert_eq!(requests.borrow().len(), 1);
    for side in &mut net.sides {
        side.set_largest_packet(0);
    }
    net.run_until(60 * SECOND, |net| {
        (0..2).all(|side| net.count(side, |seen| matches!(seen, Seen::Closed(_))) == 1_500)
    });
    let requests = requests.borrow();
    assert_eq!(requests.len(), 2);
    assert!(requests[0] == requests[1]);
}

#[test]
fn a_reset_waits_for_the_messages_before_it() {
    // RFC 6525 §5.2.2: "in progress" until all up to the sender's last TSN has come.
    let mut forge = Forge::connected(Config::default());
    let (first, stream) = (forge.first[1], 1);
    let data = |ahead: u32, number: u32, ppid: u32, payload: &[u8]| {
        let mut value = first.wrapping_add(ahead).to_be_bytes().to_vec();
        value.extend(u16::to_be_bytes(stream));
        value.extend([0; 2]);
        value.extend(number.to_be_bytes());
        value.extend(ppid.to_be_bytes());
        value.extend(payload);
        chunk(I_DATA, 3, &value)
    };
    forge.tell(&[data(0, 0, 50, &[3, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0])]);
    let sack = [forge.first[0].to_be_bytes(), [0, 1, 0, 0], [0; 4]].concat();
    forge.tell(&[chunk(SACK, 0, &sack)]);
    let ask = [reset(first, first.wrapping_add(2), stream)];
    let outcomes = |heard: &[Sighted]| -> Vec<u8> {
        let answers = heard.iter().filter(|chunk| chunk.kind == RE_CONFIG);
        answers
            .filter(|chunk| chunk.value[..2] == [0, 16])
            .map(|chunk| chunk.value[11])
            .collect()
    };
    const IN_PROGRESS: u8 = 6;
    forge.tell(&[data(2, 2, 53, b"second")]);
    assert_eq!(outcomes(&forge.tell(&ask)), [IN_PROGRESS]);
    assert_eq!(
        forge.net.count(0, |seen| matches!(seen, Seen::Closing(_))),
        0
    );
    forge.tell(&[data(1, 1, 53, b"first")]);
    assert_eq!(outcomes(&forge.tell(&ask)), [PERFORMED as u8]);
    assert_eq!(forge.net.messages(0), [&b"first"[..], b"second"]);
    assert_eq!(
        forge.net.count(0, |seen| matches!(seen, Seen::Closing(_))),
        1
    );
}

#[test]
fn a_peer_that_is_busy_with_a_reset_is_asked_again_and_never_given_up() {
    let mut forge = Forge::connected(Config::default().with_heartbeat_interval(None));
    let channel = forge.net.open(0, ChannelConfig::new("x"));
    forge.net.flush();
    let sack = [forge.first[0].to_be_bytes(), [0, 1, 0, 0], [0; 4]].concat();
    forge.tell(&[chunk(SACK, 0, &sack)]);
    let now = forge.net.now;
    forge.net.sides[0].close_channel(now, channel).unwrap();
    forge.net.flush();
    let sequence = forge.heard()[0].value[4..8].to_vec();
    let answer = |outcome: u8| {
        let value = [&sequence[..], &[0, 0, 0, outcome]].concat();
        [chunk(RE_CONFIG, 0, &parameter(16, &value))]
    };
    // RFC 6525 §5.2.7 H2: far more often than failures are allowed.
    for _ in 0..40 {
        forge.tell(&answer(6));
        forge.net.run(11 * SECOND);
        let again = forge.heard();
        assert_eq!(again[0].kind, RE_CONFIG);
        assert_eq!(again[0].value[4..8], sequence[..]);
    }
    assert!(forge.net.sides[0].is_connected());
    forge.tell(&answer(1));
    assert!(forge.net.sides[0].is_connected());
}
