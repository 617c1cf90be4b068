//! Vectors and round trips of the chunks.

use proptest::prelude::*;

use super::{
    Chunks, Parameters, Unknown, control,
    data::{Data, flag},
    encode,
    forward::{self, Forward, Skip},
    init::{Extensions, Init},
    kind,
    reconfig::{self, Outcome, Request},
    sack::{self, Sack},
};
use crate::{
    Malformed,
    packet::{Address, Builder, HEADER},
};

const ADDRESS: Address = Address {
    source: 5000,
    destination: 5000,
    tag: 1,
};

fn built(fill: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut slot = vec![0xee; 2_048];
    let mut builder = Builder::new(&mut slot, ADDRESS);
    fill(&mut builder);
    let len = builder.len();
    slot[HEADER..len].to_vec()
}

#[test]
fn data_is_laid_out_as_the_rfcs_draw_it() {
    let data = Data {
        flags: flag::BEGIN | flag::END,
        tsn: 0x0102_0304,
        stream: 5,
        message: 6,
        ppid: 53,
        fragment: 0,
        payload: b"abc",
    };
    let plain = built(|packet| assert!(data.emit(packet, false)));
    let expected = [
        0, 3, 0, 19, 1, 2, 3, 4, 0, 5, 0, 6, 0, 0, 0, 53, b'a', b'b', b'c', 0,
    ];
    assert_eq!(plain, expected);
    let interleaved = built(|packet| assert!(data.emit(packet, true)));
    let expected = [
        64, 3, 0, 23, 1, 2, 3, 4, 0, 5, 0, 0, 0, 0, 0, 6, 0, 0, 0, 53, b'a', b'b', b'c', 0,
    ];
    assert_eq!(interleaved, expected);
    let later = Data {
        flags: 0,
        fragment: 9,
        ..data
    };
    let bytes = built(|packet| assert!(later.emit(packet, true)));
    assert_eq!(bytes[16..20], [0, 0, 0, 9]);
}

#[test]
fn a_sack_is_laid_out_as_the_rfc_draws_it() {
    let blocks = [(2u16, 3u16), (5, 5)];
    let bytes = built(|packet| {
        assert!(sack::emit(packet, 10, 1_000, blocks.into_iter(), &[7]));
    });
    let expected = [
        3, 0, 0, 28, 0, 0, 0, 10, 0, 0, 3, 232, 0, 2, 0, 1, 0, 2, 0, 3, 0, 5, 0, 5, 0, 0, 0, 7,
    ];
    assert_eq!(bytes, expected);
}

#[test]
fn an_init_names_its_extensions() {
    let init = Init {
        tag: 1,
        window: 0x1_0000,
        outbound: 65_535,
        inbound: 65_535,
        tsn: 2,
        extensions: Extensions {
            forward_tsn: true,
            i_forward_tsn: true,
            reconfig: true,
            interleaving: true,
            zero_checksum: true,
            ecn: true,
        },
        ..Init::default()
    };
    let bytes = init.emit(kind::INIT);
    let parameters: Vec<(u16, Vec<u8>)> = Parameters::new(&bytes[20..])
        .map(|parameter| parameter.map(|parameter| (parameter.kind, parameter.value.to_vec())))
        .collect::<Result<_, _>>()
        .unwrap();
    let expected = [
        (0xc000, vec![]),
        (0x8001, vec![0, 0, 0, 1]),
        (0x8000, vec![]),
        (0x8008, vec![130, 192, 64, 194]),
    ];
    assert_eq!(parameters, expected);
    assert_eq!(Init::parse(&bytes[4..]), Ok(init));
}

#[test]
fn unknown_parameters_are_treated_by_their_upper_bits() {
    let mut value = Init {
        tag: 1,
        ..Init::default()
    }
    .emit(kind::INIT)[4..]
        .to_vec();
    let at = value.len();
    // Skip in silence, skip and report, then stop and report: what follows is not read.
    for kind in [0x8999u16, 0xc999, 0x4999, 0xc000] {
        super::put_parameter(&mut value, kind, b"xy");
    }
    let init = Init::parse(&value).unwrap();
    assert!(!init.extensions.forward_tsn);
    let reported: Vec<u16> = Parameters::new(&init.unrecognized)
        .map(|parameter| {
            let inner = parameter.unwrap().value;
            u16::from_be_bytes([inner[0], inner[1]])
        })
        .collect();
    assert_eq!(reported, [0xc999, 0x4999]);
    // A parameter that is cut off is an error; less than a header is padding (RFC 9260 §3.2).
    assert!(Init::parse(&value[..at + 5]).is_err());
    assert!(Init::parse(&value[..at + 3]).is_ok());
}

#[test]
fn unknown_chunks_are_treated_by_their_upper_bits() {
    let of = |kind| {
        let unknown = Unknown::chunk(kind);
        (unknown.skip, unknown.report)
    };
    assert_eq!(of(0x3f), (false, false));
    assert_eq!(of(0x7f), (false, true));
    assert_eq!(of(0xbf), (true, false));
    assert_eq!(of(0xff), (true, true));
}

#[test]
fn lengths_that_lie_end_the_walk() {
    for bytes in [&[0, 0, 0, 3][..], &[0, 0, 0, 9, 0, 0, 0, 0], &[0, 0, 0]] {
        let all: Vec<_> = Chunks::new(bytes).collect();
        assert_eq!(all, [Err(Malformed::Short)]);
    }
}

#[test]
fn an_abort_tells_its_first_cause() {
    let abort = control::abort(0, Some((12, b"why")));
    assert_eq!(abort, [6, 0, 0, 11, 0, 12, 0, 7, b'w', b'h', b'y', 0]);
    assert_eq!(control::first_cause(&abort[4..11]), (12, "why".to_owned()));
    assert_eq!(control::first_cause(&[]), (0, String::new()));
}

#[test]
fn requests_round_trip() {
    let all = [
        Request::OutgoingReset {
            sequence: 1,
            response_to: 2,
            last_tsn: 3,
            streams: vec![4, 5, 6],
        },
        Request::IncomingReset {
            sequence: 1,
            streams: vec![],
        },
        Request::TsnReset { sequence: 9 },
        Request::Response {
            sequence: 1,
            outcome: Outcome::InProgress,
        },
        Request::AddOutgoing {
            sequence: 1,
            count: 7,
        },
        Request::AddIncoming {
            sequence: 1,
            count: 7,
        },
    ];
    for pair in all.windows(2) {
        let bytes = reconfig::emit(pair);
        let chunk = Chunks::new(&bytes).next().unwrap().unwrap();
        assert_eq!(reconfig::parse(chunk.value).unwrap(), pair);
    }
    for code in 0..9 {
        assert_eq!(Outcome::from_code(code).code(), code);
    }
}

#[test]
fn an_unknown_request_ends_the_chunk_or_is_skipped() {
    let known = Request::TsnReset { sequence: 9 };
    for (kind, read) in [(19, 0), (0x4013, 0), (0x8013, 1), (0xc013, 1)] {
        let mut value = Vec::new();
        super::put_parameter(&mut value, kind, &[0; 8]);
        value.extend(&reconfig::emit(std::slice::from_ref(&known))[4..]);
        assert_eq!(reconfig::parse(&value).unwrap().len(), read, "{kind}");
    }
}

proptest! {
    #[test]
    fn data_round_trips(
        flags in 0u8..16, tsn: u32, stream: u16, message: u16, number: u32, interleaved: bool,
        payload in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let begins = flags & flag::BEGIN != 0;
        let data = Data {
            flags, tsn, stream,
            message: u32::from(message),
            ppid: if begins || !interleaved { number } else { 0 },
            fragment: if begins || !interleaved { 0 } else { number },
            payload: &payload,
        };
        let bytes = built(|packet| assert!(data.emit(packet, interleaved)));
        let chunk = Chunks::new(&bytes).next().unwrap().unwrap();
        prop_assert_eq!(Data::parse(chunk.flags, chunk.value, interleaved).unwrap(), data);
    }

    #[test]
    fn sacks_round_trip(
        cumulative: u32, window: u32,
        blocks in prop::collection::vec((any::<u16>(), any::<u16>()), 0..40),
        duplicates in prop::collection::vec(any::<u32>(), 0..20),
    ) {
        let bytes = built(|packet| {
            assert!(sack::emit(packet, cumulative, window, blocks.iter().copied(), &duplicates));
        });
        let sack = Sack::parse(&bytes[4..]).unwrap();
        prop_assert_eq!((sack.cumulative, sack.window), (cumulative, window));
        prop_assert!(sack.blocks().eq(blocks));
        prop_assert!(sack.duplicates().eq(duplicates));
    }

    #[test]
    fn forwards_round_trip(
        cumulative: u32, interleaved: bool,
        skips in prop::collection::vec((any::<u16>(), any::<bool>(), any::<u16>()), 0..30),
    ) {
        let skips: Vec<Skip> = skips.into_iter().map(|(stream, unordered, message)| Skip {
            stream,
            unordered: unordered && interleaved,
            message: u32::from(message),
        }).collect();
        let bytes = built(|packet| assert!(forward::emit(packet, cumulative, &skips, interleaved)));
        let forward = Forward::parse(&bytes[4..], interleaved).unwrap();
        prop_assert_eq!(forward.cumulative, cumulative);
        prop_assert!(forward.skips().eq(skips));
    }

    #[test]
    fn any_bytes_parse_or_not(bytes in prop::collection::vec(any::<u8>(), 0..200), kind: u8) {
        for chunk in Chunks::new(&bytes).flatten() {
            prop_assert!(chunk.whole.len() >= 4);
        }
        let _ = Init::parse(&bytes);
        let _ = Data::parse(kind, &bytes, kind & 1 == 0);
        if let Ok(sack) = Sack::parse(&bytes) {
            let _ = (sack.blocks().count(), sack.duplicates().count());
        }
        let _ = Forward::parse(&bytes, kind & 1 == 0).map(|forward| forward.skips().count());
        let _ = reconfig::parse(&bytes);
        let _ = control::first_cause(&bytes);
        let whole = encode(kind, 0, &bytes);
        let chunk = Chunks::new(&whole).next().unwrap().unwrap();
        prop_assert_eq!(chunk.value, &bytes[..]);
    }
}
