//! Vectors built by hand from RFC 6184, and round trips.

use esp_wire::Codec;
use proptest::prelude::*;

use super::*;
use crate::PayloadMap;

fn payloads(mode: u8, frame: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut plan = Plan::default();
    let map = PayloadMap {
        packetization_mode: mode,
        ..PayloadMap::new(Codec::H264, 96)
    };
    plan.make(&map, frame, limit)?;
    Ok((0..plan.pieces.len())
        .map(|index| {
            let mut out = Vec::new();
            plan.write(index, frame, &mut out);
            assert_eq!(out.len(), plan.pieces[index].len);
            out
        })
        .collect())
}

fn joined(payloads: &[Vec<u8>]) -> Result<(Vec<u8>, Contents), Broken> {
    let mut assembly = Assembly::default();
    let mut frame = Vec::new();
    for payload in payloads {
        assembly.push(payload, &mut frame)?;
    }
    if assembly.is_whole() {
        Ok((frame, assembly.contents))
    } else {
        Err(Broken)
    }
}

#[test]
fn start_codes_of_both_lengths_and_trailing_zeros() {
    let stream = [
        0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 0, 0, 3, 9, 0, 0,
    ];
    let units: Vec<_> = nal_units(&stream).collect();
    assert_eq!(units, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0, 0, 3, 9]]);
    assert_eq!(nal_units(&[1, 2, 3]).count(), 0);
    assert_eq!(nal_units(&[0, 0, 1]).count(), 0);
    assert_eq!(nal_units(&[0, 0, 1, 0, 0, 1, 9]).count(), 1);
}

#[test]
fn parameter_sets_are_aggregated_and_the_idr_is_fragmented() {
    let mut frame = vec![
        0, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 1, 0x28, 3, 0, 0, 0, 1, 0x65,
    ];
    frame.extend((0..25).map(|byte| byte | 0x80));
    let cut = payloads(1, &frame, 12).unwrap();
    // STAP-A: the highest NRI (3), sizes of 16 bits.
    assert_eq!(cut[0], [0x78, 0, 3, 0x67, 1, 2, 0, 2, 0x28, 3]);
    // FU-A: 25 bytes in three fragments of 9, 9 and 7.
    assert_eq!(cut.len(), 4);
    assert_eq!(cut[1][..3], [0x7c, 0x85, 0x80]);
    assert_eq!(cut[2][..3], [0x7c, 0x05, 0x89]);
    assert_eq!(cut[3][..3], [0x7c, 0x45, 0x92]);
    assert_eq!(cut[1].len(), cut[2].len());
    let (back, contents) = joined(&cut).unwrap();
    assert_eq!(back, frame);
    assert!(contents.sps && contents.pps && contents.idr && contents.slice);
}

#[test]
fn mode_0_sends_single_units_and_refuses_long_ones() {
    let frame = [0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2];
    let cut = payloads(0, &frame, 12).unwrap();
    assert_eq!(cut, [vec![0x67, 1], vec![0x68, 2]]);
    let long = [&[0, 0, 1][..], &[0x65; 13]].concat();
    assert_eq!(payloads(0, &long, 12), Err(Malformed::TooLongForPacket));
}

#[test]
fn what_is_not_annex_b_is_refused() {
    assert_eq!(payloads(1, &[], 100), Err(Malformed::Empty));
    assert_eq!(payloads(1, &[1, 2, 3, 4], 100), Err(Malformed::NoStartCode));
    assert_eq!(payloads(1, &[0, 0, 1, 0x1c], 100), Err(Malformed::Empty));
}

#[test]
fn broken_payloads_are_noticed() {
    for sequence in [
        &[vec![0x7c, 0x05, 1]][..],                  // a middle without a start
        &[vec![0x7c, 0x85, 1]],                      // a start without an end
        &[vec![0x7c, 0x85, 1], vec![0x7c, 0x85, 1]], // two starts
        &[vec![0x7c, 0x85, 1], vec![0x41, 1]],       // a unit inside a fragment
        &[vec![0x78, 0, 5, 1]],                      // an aggregate cut off
        &[vec![0x78, 0, 1, 0x41, 0]],                // half a size
        &[vec![0x78, 0, 0]],                         // an empty unit
        &[vec![0x78]],                               // an empty aggregate
        &[vec![0x79, 0, 0, 0, 1, 0x41]],             // STAP-B
        &[vec![]],
    ] {
        assert_eq!(joined(sequence).err(), Some(Broken), "{sequence:?}");
    }
}

#[test]
fn the_first_packet_of_an_access_unit_is_known() {
    assert!(begins_access_unit(&[0x78, 0, 2, 0x67, 1]));
    assert!(begins_access_unit(&[0x67, 1]));
    assert!(begins_access_unit(&[0x41, 0x80]));
    assert!(!begins_access_unit(&[0x41, 0x40]));
    assert!(begins_access_unit(&[0x7c, 0x85, 0x88]));
    assert!(!begins_access_unit(&[0x7c, 0x05, 0x88]));
    assert!(!begins_access_unit(&[0x78, 0]));
}

/// NAL units without start codes inside and without a zero at the end.
fn units() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let unit = (1u8..24, 0u8..4, prop::collection::vec(1u8..=255, 0..400))
        .prop_map(|(kind, importance, body)| [vec![kind | (importance << 5)], body].concat());
    prop::collection::vec(unit, 1..12)
}

proptest! {
    #[test]
    fn access_units_round_trip(units in units(), limit in 40usize..300, long: bool) {
        let frame: Vec<u8> = units.iter().flat_map(|unit| [&START_CODE[usize::from(!long)..], unit].concat()).collect();
        let cut = payloads(1, &frame, limit).unwrap();
        prop_assert!(cut.iter().all(|payload| payload.len() <= limit));
        let (back, contents) = joined(&cut).unwrap();
        prop_assert_eq!(nal_units(&back).collect::<Vec<_>>(), units);
        prop_assert_eq!(contents, Contents::of(&frame));
        prop_assert!(back.starts_with(&START_CODE));
    }

    #[test]
    fn fragments_but_the_last_are_equal(len in 301usize..5_000, limit in 20usize..300) {
        let frame = [&START_CODE[..], &vec![0x65; len]].concat();
        let cut = payloads(1, &frame, limit).unwrap();
        let (last, others) = cut.split_last().unwrap();
        prop_assert!(others.iter().all(|payload| payload.len() == others[0].len()));
        prop_assert!(last.len() <= others[0].len() && last.len() > 2);
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10),
                          limit in 0usize..50, mode in 0u8..2) {
        let _ = joined(&noise);
        for bytes in &noise {
            begins_access_unit(bytes);
            let _ = payloads(mode, bytes, limit);
            let _ = payloads(mode, &[&[0, 0, 1][..], bytes].concat(), limit);
        }
    }
}
