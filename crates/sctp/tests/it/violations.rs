//! What a peer may do wrong or out of turn, and what it is told (RFC 9260 §3.3.10, §5.2, §8.4, §8.5).

use std::time::Duration;

use esp_sctp::{ChannelConfig, CloseReason, Config, PeerMisbehaved};

use crate::{
    forge::{
        ABORT, COOKIE_ACK, COOKIE_ECHO, ERROR, FORWARD_TSN, Forge, HEARTBEAT, HEARTBEAT_ACK,
        I_DATA, INIT, INIT_ACK, RE_CONFIG, SACK, SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE,
        Sighted, chunk, chunks, init, kinds, parameter, seal, word,
    },
    link::Seen,
};

const SECOND: Duration = Duration::from_secs(1);
pub(crate) const TAG: u32 = 0x0102_0304;
pub(crate) const STREAMS: [u16; 2] = [10, 10];

pub(crate) fn forge() -> Forge {
    Forge::connected(Config::default())
}

pub(crate) fn heartbeat() -> Vec<u8> {
    chunk(HEARTBEAT, 0, &parameter(1, b"echo"))
}

/// A whole message in an I-DATA chunk.
pub(crate) fn data(tsn: u32, stream: u16, payload: &[u8]) -> Vec<u8> {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend([0; 6]);
    value.extend(53u32.to_be_bytes());
    value.extend(payload);
    chunk(I_DATA, 3, &value)
}

#[test]
fn unknown_chunks_are_skipped_and_reported_by_their_upper_bits() {
    for (kind, expected) in [
        (0x3f, vec![]),
        (0x7f, vec![ERROR]),
        (0xbf, vec![HEARTBEAT_ACK]),
        (0xff, vec![ERROR, HEARTBEAT_ACK]),
    ] {
        let mut forge = forge();
        let unknown = chunk(kind, 0x55, &[7; 301]);
        let heard = forge.tell(&[unknown.clone(), heartbeat()]);
        assert_eq!(kinds(&heard), expected, "{kind}");
        if kind & 0x40 != 0 {
            // RFC 9260 §3.3.10.6: the whole chunk.
            assert_eq!(heard[0].cause(), Some((6, &unknown[..305])));
        }
        if kind & 0x80 != 0 {
            assert_eq!(heard[heard.len() - 1].value, parameter(1, b"echo"));
        }
    }
}

#[test]
fn unknown_parameters_of_an_init_come_back() {
    let mut forge = forge();
    let more = [
        parameter(0x8999, b"silent"),
        parameter(0xc999, b"told"),
        parameter(0x4999, b"last"),
        parameter(0xc998, b"not read"),
    ]
    .concat();
    let heard = forge.say(0, &[chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &more))]);
    assert_eq!(kinds(&heard), [INIT_ACK]);
    assert_eq!(heard[0].tag, TAG);
    let text = &heard[0].value;
    let holds = |bytes: &[u8]| text.windows(bytes.len()).any(|some| some == bytes);
    assert!(holds(&parameter(8, &parameter(0xc999, b"told"))));
    assert!(holds(&parameter(8, &parameter(0x4999, b"last"))));
    assert!(!holds(b"silent") && !holds(b"not read"));
    // The padding of the last parameter may be counted or not.
    for len in [0, 1, 2, 3] {
        let value = init(TAG, 9_000, STREAMS, 1, &vec![0; len]);
        let heard = forge.say(0, &[chunk(INIT, 0, &value)]);
        assert_eq!(kinds(&heard), [INIT_ACK], "{len}");
    }
}

/// The first side has begun, and what the second answered is held back.
pub(crate) fn waiting_for_an_init_ack() -> (Forge, Vec<u8>) {
    let mut forge = Forge::new(Default::default());
    let now = forge.net.now;
    forge.net.sides[0].connect(now).expect("a fresh one");
    forge.net.flush();
    let begun = forge.packets().remove(0);
    forge.tags[0] = word(&begun, 16);
    let mut begun = begun;
    let answers = {
        let mut train = esp_wire::Train::with_capacity(4_096);
        let taken = forge.net.sides[1].handle_input(now, &mut begun);
        taken.expect("a sound INIT");
        assert!(forge.net.sides[1].poll_transmit(now, &mut train));
        train.segment(0).to_vec()
    };
    *forge.silent.borrow_mut() = true;
    (forge, answers)
}

#[test]
fn unknown_parameters_of_an_init_ack_are_reported_with_the_cookie() {
    let (mut forge, mut answer) = waiting_for_an_init_ack();
    let more = parameter(0xc999, b"what");
    let len = u16::from_be_bytes([answer[14], answer[15]]) + more.len() as u16;
    answer[14..16].copy_from_slice(&len.to_be_bytes());
    answer.extend(&more);
    seal(&mut answer);
    forge.net.inject(0, answer);
    forge.net.flush();
    let heard = forge.heard();
    assert_eq!(kinds(&heard), [COOKIE_ECHO, ERROR]);
    assert_eq!(heard[1].cause(), Some((8, &more[..])));
}

#[test]
fn an_impossible_init_is_answered_by_an_abort_and_changes_nothing() {
    let host = parameter(11, b"example\0");
    for (value, cause) in [
        (init(TAG, 1_499, STREAMS, 1, &[]), 7),
        (init(TAG, 9_000, [0, 1], 1, &[]), 7),
        (init(TAG, 9_000, [1, 0], 1, &[]), 7),
        (init(TAG, 9_000, STREAMS, 1, &host), 5),
    ] {
        let mut forge = forge();
        let heard = forge.say(0, &[chunk(INIT, 0, &value)]);
        assert_eq!(kinds(&heard), [ABORT]);
        assert_eq!((heard[0].tag, heard[0].flags), (TAG, 0));
        assert_eq!(heard[0].cause().unwrap().0, cause);
        assert!(forge.net.sides[0].is_connected());
    }
    let mut forge = forge();
    let silent = [
        // No tag to answer to.
        vec![chunk(INIT, 0, &init(0, 9_000, STREAMS, 1, &[]))],
        // Not alone, in either place.
        vec![
            chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[])),
            heartbeat(),
        ],
    ];
    for chunks in silent {
        assert_eq!(forge.say(0, &chunks), []);
    }
    let bundled = chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]));
    assert_eq!(kinds(&forge.tell(&[heartbeat(), bundled])), [HEARTBEAT_ACK]);
    // A tag does not belong to an INIT.
    let tagged = chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]));
    assert_eq!(forge.tell(&[tagged]), []);
}

#[test]
fn an_init_ack_without_a_cookie_or_streams_ends_the_attempt() {
    let cookie = parameter(7, &[1; 32]);
    for (value, cause, text) in [
        (init(TAG, 9_000, STREAMS, 1, &[]), 2, vec![0, 0, 0, 1, 0, 7]),
        (init(TAG, 9_000, [0, 1], 1, &cookie), 7, vec![]),
        (init(TAG, 9_000, [1, 0], 1, &cookie), 7, vec![]),
    ] {
        let (mut forge, _) = waiting_for_an_init_ack();
        let heard = forge.tell(&[chunk(INIT_ACK, 0, &value)]);
        assert_eq!(kinds(&heard), [ABORT]);
        assert_eq!((heard[0].tag, heard[0].flags), (TAG, 0));
        assert_eq!(heard[0].cause(), Some((cause, &text[..])));
        let ended = Seen::Ended(CloseReason::PeerMisbehaved(PeerMisbehaved::Handshake));
        assert_eq!(forge.net.seen[0], [ended]);
    }
    // With no tag at all the ABORT carries ours.
    let (mut forge, _) = waiting_for_an_init_ack();
    let heard = forge.tell(&[chunk(INIT_ACK, 0, &init(0, 9_000, STREAMS, 1, &cookie))]);
    assert_eq!(kinds(&heard), [ABORT]);
    assert_eq!((heard[0].tag, heard[0].flags), (forge.tags[0], 1));
    assert!(forge.net.sides[0].has_ended());
}

#[test]
fn an_init_ack_with_too_small_a_window_is_refused_and_changes_nothing() {
    let (mut forge, good) = waiting_for_an_init_ack();
    let cookie = parameter(7, &[1; 32]);
    let value = init(TAG, 1_499, STREAMS, 1, &cookie);
    let heard = forge.tell(&[chunk(INIT_ACK, 0, &value)]);
    assert_eq!(kinds(&heard), [ABORT]);
    assert_eq!(heard[0].tag, TAG);
    *forge.silent.borrow_mut() = false;
    forge.net.inject(0, good);
    forge
        .net
        .run_until(SECOND, |net| net.sides[0].is_connected());
}

#[test]
fn what_comes_out_of_turn_in_the_handshake_is_dropped() {
    // RFC 9260 §5.2.3, §5.2.5: an INIT ACK and a COOKIE ACK when nobody waits for them.
    let mut forge = forge();
    let cookie = parameter(7, &[1; 32]);
    let value = init(TAG, 9_000, STREAMS, 1, &cookie);
    assert_eq!(forge.tell(&[chunk(INIT_ACK, 0, &value)]), []);
    assert_eq!(forge.tell(&[chunk(COOKIE_ACK, 0, &[])]), []);
    let stale = chunk(ERROR, 0, &parameter(3, &[0; 4]));
    assert_eq!(forge.tell(&[stale]), []);
    assert!(forge.net.sides[0].is_connected());
    // A COOKIE ACK while the INIT ACK is awaited does nothing either.
    let (mut forge, good) = waiting_for_an_init_ack();
    assert_eq!(forge.tell(&[chunk(COOKIE_ACK, 0, &[])]), []);
    forge.net.inject(0, good);
    forge.net.flush();
    assert_eq!(kinds(&forge.heard()), [COOKIE_ECHO]);
    // With a wrong tag it is nobody's.
    forge.say(TAG, &[chunk(COOKIE_ACK, 0, &[])]);
    assert!(!forge.net.sides[0].is_connected());
    forge.tell(&[chunk(COOKIE_ACK, 0, &[])]);
    assert!(forge.net.sides[0].is_connected());
}

#[test]
fn data_of_a_stream_that_cannot_be_is_acknowledged_and_reported() {
    let mut forge = forge();
    let tsn = forge.first[1];
    let heard = forge.tell(&[data(tsn, 65_535, b"x"), chunk(0xbf, 0, &[]), heartbeat()]);
    let error = heard.iter().find(|chunk| chunk.kind == ERROR).unwrap();
    assert_eq!(error.cause(), Some((1, &[0xff, 0xff, 0, 0][..])));
    let sack = heard.iter().find(|chunk| chunk.kind == SACK).unwrap();
    assert_eq!(word(&sack.value, 0), tsn);
    assert!(forge.net.messages(0).is_empty());
}

#[test]
fn violations_end_the_association_with_their_cause() {
    let first = forge().first;
    let mut plain = first[1].to_be_bytes().to_vec();
    plain.extend([0; 8]);
    plain.extend(b"x");
    let unsent = [first[0].wrapping_add(7).to_be_bytes(), [0; 4], [0; 4]].concat();
    for (chunk, cause, value, violation) in [
        // An I-DATA chunk without data: its TSN is told.
        (
            data(first[1], 0, b""),
            9,
            &first[1].to_be_bytes()[..],
            PeerMisbehaved::EmptyData,
        ),
        // DATA after I-DATA was agreed, and its FORWARD-TSN.
        (chunk(0, 3, &plain), 13, &[], PeerMisbehaved::WrongDataChunk),
        (
            chunk(FORWARD_TSN, 0, &first[1].to_be_bytes()),
            13,
            &[],
            PeerMisbehaved::WrongDataChunk,
        ),
        (
            chunk(SACK, 0, &unsent),
            13,
            &[],
            PeerMisbehaved::AcknowledgedUnsent,
        ),
    ] {
        let mut forge = forge();
        assert_eq!(forge.first, first);
        let heard = forge.tell(&[chunk]);
        assert_eq!(kinds(&heard), [ABORT]);
        assert_eq!((heard[0].tag, heard[0].flags), (forge.tags[1], 0));
        assert_eq!(heard[0].cause(), Some((cause, value)));
        let reason = CloseReason::PeerMisbehaved(violation);
        assert_eq!(forge.net.seen[0].last(), Some(&Seen::Ended(reason)));
    }
}

#[test]
fn tags_decide_whose_a_packet_is() {
    let reason = parameter(12, b"why");
    let abort = |flags| vec![chunk(ABORT, flags, &reason)];
    for (own, flags, ends) in [
        (true, 0, true),
        (true, 1, false),
        (false, 1, true),
        (false, 0, false),
    ] {
        let mut forge = forge();
        let tag = forge.tags[usize::from(!own)];
        // RFC 9260 §9.1: never answered.
        assert_eq!(forge.say(tag, &abort(flags)), []);
        assert_eq!(forge.net.sides[0].has_ended(), ends, "{own} {flags}");
        let told = CloseReason::AbortedByPeer {
            cause: 12,
            text: "why".to_owned(),
        };
        assert_eq!(forge.net.seen[0].last() == Some(&Seen::Ended(told)), ends);
    }
    let mut forge = forge();
    let tags = [forge.tags[0] ^ 1, forge.tags[1], 0];
    for tag in tags {
        for kind in [HEARTBEAT, SHUTDOWN, RE_CONFIG, SHUTDOWN_ACK] {
            assert_eq!(forge.say(tag, &[chunk(kind, 0, &[0; 8])]), []);
        }
        assert_eq!(forge.say(tag, &[chunk(0xff, 0, &[])]), []);
    }
    // RFC 9260 §8.5.1 C: only in SHUTDOWN-ACK-SENT.
    assert_eq!(forge.tell(&[chunk(SHUTDOWN_COMPLETE, 0, &[])]), []);
    assert!(forge.net.sides[0].is_connected());
}

#[test]
fn an_association_that_has_ended_tells_whoever_goes_on() {
    let mut forge = forge();
    let now = forge.net.now;
    forge.net.sides[0].abort(now, "");
    forge.net.flush();
    let own = forge.tags[0];
    for kind in [
        I_DATA,
        SACK,
        HEARTBEAT,
        HEARTBEAT_ACK,
        SHUTDOWN,
        RE_CONFIG,
        194,
        0xff,
    ] {
        let heard = forge.tell(&[chunk(kind, 0, &[0; 20])]);
        assert_eq!(kinds(&heard), [ABORT], "{kind}");
        assert_eq!((heard[0].tag, heard[0].flags), (own, 1));
        // Never in answer to an ABORT, wherever it stands.
        let aborts = [chunk(kind, 0, &[0; 20]), chunk(ABORT, 0, &[])];
        assert_eq!(forge.tell(&aborts), []);
    }
    for kind in [ABORT, SHUTDOWN_COMPLETE, COOKIE_ACK, ERROR] {
        assert_eq!(forge.tell(&[chunk(kind, 0, &[])]), [], "{kind}");
    }
    let heard = forge.say(77, &[chunk(SHUTDOWN_ACK, 0, &[])]);
    assert_eq!(kinds(&heard), [SHUTDOWN_COMPLETE]);
    assert_eq!((heard[0].tag, heard[0].flags), (77, 1));
    let heard = forge.say(0, &[chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]))]);
    assert_eq!(kinds(&heard), [ABORT]);
    assert_eq!((heard[0].tag, heard[0].flags), (TAG, 0));
}

/// The tag and the cookie of an INIT ACK.
pub(crate) fn cookie_of(answer: &Sighted) -> (u32, Vec<u8>) {
    let len = usize::from(u16::from_be_bytes([answer.value[18], answer.value[19]]));
    assert_eq!(answer.value[16..18], [0, 7]);
    (word(&answer.value, 0), answer.value[20..16 + len].to_vec())
}

#[test]
fn a_cookie_while_shutting_down_brings_no_new_association() {
    let mut forge = forge();
    let begin = [chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]))];
    let (tag, cookie) = cookie_of(&forge.say(0, &begin)[0]);
    let acknowledged = forge.first[0].wrapping_sub(1).to_be_bytes();
    assert_eq!(
        kinds(&forge.tell(&[chunk(SHUTDOWN, 0, &acknowledged)])),
        [SHUTDOWN_ACK]
    );
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [ERROR, SHUTDOWN_ACK]);
    assert_eq!(heard[0].cause(), Some((10, &[][..])));
    // An INIT is answered the same way (RFC 9260 §9.2).
    assert_eq!(kinds(&forge.say(0, &begin)), [SHUTDOWN_ACK]);
    assert!(!forge.net.seen[0].contains(&Seen::Restarted));
    forge.tell(&[chunk(SHUTDOWN_COMPLETE, 0, &[])]);
    assert_eq!(
        forge.net.seen[0].last(),
        Some(&Seen::Ended(CloseReason::Shutdown))
    );
}

#[test]
fn a_shutdown_goes_on_when_the_peer_begins_anew() {
    let mut forge = forge();
    let begin = [chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]))];
    let (tag, cookie) = cookie_of(&forge.say(0, &begin)[0]);
    let now = forge.net.now;
    forge.net.sides[0].shutdown(now);
    forge.net.flush();
    forge.packets();
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [COOKIE_ACK, SHUTDOWN]);
    assert!(heard.iter().all(|chunk| chunk.tag == TAG));
}

#[test]
fn a_cookie_of_an_overtaken_attempt_is_dropped() {
    let mut forge = forge();
    let begin = |tag| [chunk(INIT, 0, &init(tag, 9_000, STREAMS, 1, &[]))];
    let (old_tag, old) = cookie_of(&forge.say(0, &begin(TAG))[0]);
    let (tag, cookie) = cookie_of(&forge.say(0, &begin(TAG + 1))[0]);
    assert_ne!(old_tag, tag);
    // A cookie counts only with the tag that it was given for.
    assert_eq!(forge.say(old_tag, &[chunk(COOKIE_ECHO, 0, &cookie)]), []);
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [COOKIE_ACK]);
    assert_eq!(heard[0].tag, TAG + 1);
    // Its tie-tags are those of an association that is gone.
    assert_eq!(forge.say(old_tag, &[chunk(COOKIE_ECHO, 0, &old)]), []);
    // Case D: once more, because the COOKIE ACK was lost, however late.
    forge.net.now += 100 * SECOND;
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [COOKIE_ACK]);
    let restarts = |seen: &Seen| *seen == Seen::Restarted;
    assert_eq!(forge.net.count(0, restarts), 1);
}

#[test]
fn a_stale_cookie_is_named_and_the_peer_tries_again() {
    let short = Config {
        cookie_lifetime: Duration::from_millis(100),
        ..Config::default()
    };
    let mut forge = Forge::new([Config::default(), short]);
    // The first COOKIE ECHO is lost, and the second comes too late for the cookie.
    let mut errors = 0;
    let (sender, receiver) = std::sync::mpsc::channel();
    let mut lost = false;
    forge.net.filter = Some(Box::new(move |from, packet| {
        if from == 1 && packet[12] == ERROR {
            let _ = sender.send(chunks(packet));
        }
        let drops = from == 0 && packet[12] == COOKIE_ECHO && !lost;
        lost |= drops;
        drops
    }));
    let now = forge.net.now;
    forge.net.sides[0].connect(now).unwrap();
    forge
        .net
        .run_until(10 * SECOND, |net| net.sides[0].is_connected());
    while let Ok(heard) = receiver.try_recv() {
        let (cause, value) = heard[0].cause().unwrap();
        // How much too late, in microseconds.
        let late = u32::from_be_bytes(value.try_into().unwrap());
        assert_eq!(cause, 3);
        assert!((300_000..600_000).contains(&late), "{late}");
        errors += 1;
    }
    assert_eq!(errors, 1);
}

#[test]
fn a_peer_that_calls_every_cookie_stale_is_given_up() {
    let none = Config {
        cookie_lifetime: Duration::from_millis(1),
        ..Config::default()
    };
    let mut forge = Forge::new([Config::default(), none]);
    let now = forge.net.now;
    forge.net.sides[0].connect(now).unwrap();
    forge.net.run(60 * SECOND);
    let ended = Seen::Ended(CloseReason::Unreachable);
    assert_eq!(forge.net.seen[0], [ended]);
}

#[test]
fn limits_of_repetition_are_kept() {
    let config = Config {
        max_init_retransmits: 3,
        ..Config::default().with_max_retransmits(4)
    };
    let mut forge = Forge::new([config.clone(), config.clone()]);
    *forge.silent.borrow_mut() = true;
    let now = forge.net.now;
    forge.net.sides[0].connect(now).unwrap();
    forge.net.run(600 * SECOND);
    assert_eq!(kinds(&forge.heard()), [INIT; 4]);
    // Association.Max.Retrans is exceeded by the fifth timeout in a row.
    let mut forge = Forge::connected(config.with_heartbeat_interval(None));
    let channel = forge.net.open(0, ChannelConfig::new("x"));
    forge.net.send(0, channel, b"lost");
    forge.net.run(600 * SECOND);
    assert_eq!(forge.net.sides[0].stats().timeouts, 5);
    let ended = Seen::Ended(CloseReason::Unreachable);
    assert!(forge.net.seen[0].contains(&ended));
}

#[test]
fn nothing_leaves_before_the_cookie_is_acknowledged() {
    let (mut forge, good) = waiting_for_an_init_ack();
    let channel = forge.net.open(0, ChannelConfig::new("x"));
    forge.net.send(0, channel, &[1; 5_000]);
    forge.net.inject(0, good);
    forge.net.run(Duration::from_millis(1_400));
    let packets = forge.packets();
    assert!(packets.len() >= 2);
    for packet in &packets {
        assert_eq!(kinds(&chunks(packet)), [COOKIE_ECHO]);
    }
    // The COOKIE ACK may bring data along, and lets ours go.
    let tsn = {
        let init = forge.net.sides[1].local_init();
        word(&init, 16)
    };
    let heard = forge.tell(&[chunk(COOKIE_ACK, 0, &[]), data(tsn, 1, b"first")]);
    assert_eq!(kinds(&heard)[..2], [SACK, I_DATA]);
}

#[test]
fn a_peer_with_two_tags_is_known_by_the_later_one() {
    // RFC 9260 §5.2.4 B: it answers our INIT, knows nothing of that any more, and begins itself.
    let begin = [chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 7, &[]))];
    let (mut forge, good) = waiting_for_an_init_ack();
    forge.net.inject(0, good.clone());
    forge.net.flush();
    assert_eq!(kinds(&forge.heard()), [COOKIE_ECHO]);
    let (tag, cookie) = cookie_of(&forge.say(0, &begin)[0]);
    assert_eq!(tag, forge.tags[0]);
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [COOKIE_ACK]);
    assert_eq!(heard[0].tag, TAG);
    assert_eq!(forge.net.seen[0], [Seen::Connected]);
    // The same after the first tag was taken up: what was sent to that is void.
    let (mut forge, _) = waiting_for_an_init_ack();
    let (tag, cookie) = cookie_of(&forge.say(0, &begin)[0]);
    forge.net.inject(0, good);
    forge.net.flush();
    forge.tell(&[chunk(COOKIE_ACK, 0, &[])]);
    forge.packets();
    assert!(forge.net.sides[0].is_connected());
    let heard = forge.say(tag, &[chunk(COOKIE_ECHO, 0, &cookie)]);
    assert_eq!(kinds(&heard), [COOKIE_ACK]);
    assert_eq!(heard[0].tag, TAG);
    assert_eq!(forge.net.seen[0][1..], [Seen::Connected, Seen::Restarted]);
}
