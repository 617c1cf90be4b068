//! Which access units count as whole after a loss.

use esp_wire::Codec;

use super::assemble::{Assembler, Outcome};
use super::jitter::Incoming;

const SPS: &[u8] = &[0x67, 1];
const PPS: &[u8] = &[0x68, 1];
const SEI: &[u8] = &[0x06, 1];
const IDR: &[u8] = &[0x65, 0x88];
const LATER_SLICE: &[u8] = &[0x65, 0x48];
const PICTURE: &[u8] = &[0x41, 0x9a];

/// Feeds packets of (timestamp, marker, gap before, payload), and tells what became of each
/// access unit: `K` keyframe, `P` another picture, `S` no picture, `x` broken.
fn fates(packets: &[(u32, bool, bool, &[u8])]) -> String {
    let mut assembler = Assembler::new(1_000);
    let mut fates = String::new();
    for &(timestamp, marker, gap, payload) in packets {
        let packet = Incoming {
            timestamp,
            marker,
            content: (!payload.is_empty()).then_some((Codec::H264, 96)),
            rotation: None,
            audio_level: None,
            payload,
        };
        assembler.push(&packet, gap, &mut |outcome| {
            fates.push(match outcome {
                Outcome::Whole(finished, _) if finished.keyframe => 'K',
                Outcome::Whole(finished, _) if finished.no_picture => 'S',
                Outcome::Whole(..) => 'P',
                Outcome::Broken => 'x',
            });
        });
    }
    fates
}

#[test]
fn markers_or_timestamps_end_access_units() {
    let with = [
        (1, false, false, SPS),
        (1, false, false, PPS),
        (1, true, false, IDR),
        (2, true, false, PICTURE),
    ];
    assert_eq!(fates(&with), "KP");
    let without = with.map(|(timestamp, _, gap, payload)| (timestamp, false, gap, payload));
    assert_eq!(fates(&without), "K");
    let sets_alone = [
        (1, false, false, SPS),
        (1, true, false, PPS),
        (2, true, false, IDR),
    ];
    assert_eq!(fates(&sets_alone), "SK");
}

#[test]
fn a_gap_breaks_what_it_may_have_cost() {
    // In the middle, at the end, at the start.
    assert_eq!(fates(&[(1, false, false, SPS), (1, true, true, IDR)]), "x");
    let end = [
        (1, false, false, PICTURE),
        (2, true, true, PICTURE),
        (3, true, false, PICTURE),
    ];
    assert_eq!(fates(&end), "xPP");
    let start = [(1, true, true, LATER_SLICE), (2, true, false, PICTURE)];
    assert_eq!(fates(&start), "xP");
    // Padding after the gap hides nothing.
    let padding = [(1, false, true, &[][..]), (1, true, false, LATER_SLICE)];
    assert_eq!(fates(&padding), "x");
}

#[test]
fn a_keyframe_may_have_lost_its_parameter_sets() {
    let first = [
        (1, false, false, SPS),
        (1, false, false, PPS),
        (1, true, false, IDR),
    ];
    let lost = |next: &[(u32, bool, bool, &'static [u8])]| fates(&[&first[..], next].concat());
    assert_eq!(lost(&[(2, true, true, IDR)]), "Kx");
    assert_eq!(lost(&[(2, false, true, SEI), (2, true, false, IDR)]), "Kx");
    assert_eq!(lost(&[(2, true, false, IDR)]), "KK");
    let whole = [
        (2, false, true, SPS),
        (2, false, false, PPS),
        (2, true, false, IDR),
    ];
    assert_eq!(lost(&whole), "KK");
}

#[test]
fn an_access_unit_is_bounded() {
    let long = [0x41; 600];
    let packets = [(1, false, false, &long[..]), (1, true, false, &long)];
    assert_eq!(fates(&packets), "x");
}
