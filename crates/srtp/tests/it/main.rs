//! Senders against receivers: round trips, timelines and noise.

#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use esp_srtp::{Error, Keying, Profile, Receiver, ReceiverConfig, Sender};
use esp_wire::{Room, Train};
use proptest::prelude::*;

const PROFILES: [Profile; 4] = [
    Profile::Aes128CmSha1_80,
    Profile::Aes128CmSha1_32,
    Profile::AeadAes128Gcm,
    Profile::AeadAes256Gcm,
];

fn keying(profile: Profile) -> Keying {
    let key: Vec<u8> = (1..=profile.key_len() as u8).collect();
    let salt: Vec<u8> = (101..=100 + profile.salt_len() as u8).collect();
    Keying::new(profile, &key, &salt).unwrap()
}

fn pair(profile: Profile) -> (Sender, Receiver) {
    let keying = keying(profile);
    (
        Sender::new(&keying).unwrap(),
        Receiver::new(&keying).unwrap(),
    )
}

fn rtp(ssrc: u32, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend([0, 0, 0, 1]);
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

fn rtcp(ssrc: u32, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(body);
    packet
}

fn protect(sender: &mut Sender, packet: &[u8]) -> Result<Vec<u8>, Error> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + 32, 0);
    let len = sender.protect_rtp_slice(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn protect_rtcp(sender: &mut Sender, packet: &[u8]) -> Vec<u8> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + 32, 0);
    let len = sender
        .protect_rtcp_slice(&mut buffer, packet.len())
        .unwrap();
    buffer.truncate(len);
    buffer
}

fn opens(receiver: &mut Receiver, packet: &[u8]) -> Result<Vec<u8>, Error> {
    let mut work = packet.to_vec();
    let len = receiver.unprotect_rtp(&mut work)?;
    work.truncate(len);
    Ok(work)
}

#[test]
fn a_train_is_protected_in_place() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let below = Room { head: 4, tail: 0 };
        let packets: Vec<Vec<u8>> = (0..20)
            .map(|i| rtp(7, 100 + i, &vec![i as u8; if i == 19 { 30 } else { 900 }]))
            .collect();
        let mut train = Train::with_capacity(65_536);
        train.begin(sender.rtp_room().plus(below), packets[0].len());
        for packet in &packets {
            assert!(train.push(packet));
        }
        sender.protect_rtp(&mut train).unwrap();
        assert_eq!(train.room(), below);
        for (packet, protected) in packets.iter().zip(train.segments()) {
            assert_eq!(protected.len(), packet.len() + sender.rtp_room().tail);
            assert_ne!(protected[12..28], packet[12..28]);
            assert_eq!(opens(&mut receiver, protected).unwrap(), *packet);
        }
        assert_eq!(sender.stats().rtp_packets, 20);
        assert_eq!(receiver.stats().rtp_packets, 20);

        train.begin(Room { head: 0, tail: 3 }, 100);
        train.push(&packets[19]);
        assert!(matches!(
            sender.protect_rtp(&mut train),
            Err(Error::Misuse(_))
        ));
    }
}

#[test]
fn rtcp_goes_both_through_trains_and_slices() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = rtcp(9, &[5; 40]);
        let mut train = Train::with_capacity(2_000);
        train.begin(sender.rtcp_room(), packet.len());
        train.push(&packet);
        sender.protect_rtcp(&mut train).unwrap();
        let mut first = train.segment(0).to_vec();
        assert_eq!(first.len(), packet.len() + sender.rtcp_room().tail);
        let mut second = protect_rtcp(&mut sender, &packet);
        assert_ne!(first, second);
        let replay = second.clone();
        assert_eq!(receiver.unprotect_rtcp(&mut second), Ok(packet.len()));
        assert_eq!(second[..packet.len()], packet);
        assert_eq!(receiver.unprotect_rtcp(&mut first), Ok(packet.len()));
        assert_eq!(
            receiver.unprotect_rtcp(&mut replay.clone()),
            Err(Error::Replayed)
        );
        let empty = protect_rtcp(&mut sender, &packet[..8]);
        assert_eq!(receiver.unprotect_rtcp(&mut empty.clone()), Ok(8));
    }
}

#[test]
fn the_rollover_counter_follows_the_wraps() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        // Every 257th packet arrives, over five wraps.
        let mut index = 60_000_u64;
        while index < 5 * 65_536 {
            let packet = rtp(1, index as u16, b"payload");
            let protected = protect(&mut sender, &packet).unwrap();
            assert_eq!(opens(&mut receiver, &protected), Ok(packet), "{index}");
            index += 257;
        }
        assert_eq!(receiver.stats().unauthentic, 0);
    }
}

#[test]
fn packets_swapped_around_a_wrap_are_understood() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let numbers = [65_500, 65_533, 65_534, 65_535, 0, 1, 2];
        let protected: Vec<Vec<u8>> = numbers
            .iter()
            .map(|n| protect(&mut sender, &rtp(1, *n, b"x")).unwrap())
            .collect();
        for at in [0, 4, 2, 6, 3, 1, 5] {
            assert!(
                opens(&mut receiver, &protected[at]).is_ok(),
                "{}",
                numbers[at]
            );
        }
        for packet in &protected {
            assert_eq!(opens(&mut receiver, packet), Err(Error::Replayed));
        }
    }
}

#[test]
fn the_replay_window_is_as_wide_as_configured() {
    let keying = keying(Profile::AeadAes128Gcm);
    for (size, reach) in [(64, 64), (65, 128), (1_024, 1_024)] {
        let mut sender = Sender::new(&keying).unwrap();
        let config = ReceiverConfig::default().with_rtp_window(size);
        let mut receiver = Receiver::with_config(&keying, config).unwrap();
        let protected: Vec<Vec<u8>> = (0..3_000)
            .map(|n| protect(&mut sender, &rtp(1, n, b"x")).unwrap())
            .collect();
        assert!(opens(&mut receiver, &protected[2_999]).is_ok());
        assert!(opens(&mut receiver, &protected[3_000 - reach]).is_ok());
        let old = opens(&mut receiver, &protected[2_999 - reach]);
        assert_eq!(old, Err(Error::TooOld));
    }
    let small = ReceiverConfig::default().with_rtp_window(63);
    assert!(Receiver::with_config(&keying, small).is_err());
    let none = ReceiverConfig::default().with_max_sources(0);
    assert!(Receiver::with_config(&keying, none).is_err());
}

#[test]
fn forged_packets_leave_no_trace() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let packet = rtp(1, 10, b"payload");
        let protected = protect(&mut sender, &packet).unwrap();
        for bit in 0..protected.len() * 8 {
            let mut bad = protected.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                opens(&mut receiver, &bad).is_err(),
                "{profile:?}, bit {bit}"
            );
        }
        assert!(format!("{receiver:?}").contains("sources: 0"));
        assert_eq!(opens(&mut receiver, &protected), Ok(packet));
        let stats = receiver.stats();
        assert_eq!(
            stats.unauthentic + stats.malformed,
            protected.len() as u64 * 8
        );

        let control = protect_rtcp(&mut sender, &rtcp(1, &[3; 16]));
        for bit in 0..control.len() * 8 {
            let mut bad = control.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(
                receiver.unprotect_rtcp(&mut bad).is_err(),
                "{profile:?}, bit {bit}"
            );
        }
        assert!(receiver.unprotect_rtcp(&mut control.clone()).is_ok());
    }
}

#[test]
fn directions_and_kinds_do_not_mix() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        let protected = protect(&mut sender, &rtp(1, 10, &[0; 40])).unwrap();
        let error = receiver.unprotect_rtcp(&mut protected.clone());
        assert_eq!(error, Err(Error::Unauthentic));
        let other_key = vec![9; profile.key_len()];
        let other_salt = vec![9; profile.salt_len()];
        let other = Keying::new(profile, &other_key, &other_salt).unwrap();
        let mut stranger = Receiver::new(&other).unwrap();
        assert_eq!(opens(&mut stranger, &protected), Err(Error::Unauthentic));
    }
}

#[test]
fn a_repeated_number_must_carry_the_same_packet_under_gcm() {
    let (mut sender, mut receiver) = pair(Profile::AeadAes128Gcm);
    let first = protect(&mut sender, &rtp(1, 10, b"same")).unwrap();
    for n in 11..900 {
        protect(&mut sender, &rtp(1, n, b"other")).unwrap();
    }
    assert_eq!(protect(&mut sender, &rtp(1, 10, b"same")).unwrap(), first);
    let mut buffer = rtp(1, 10, b"SAME");
    let len = buffer.len();
    buffer.resize(len + 16, 0);
    let refused = sender.protect_rtp_slice(&mut buffer, len);
    assert!(matches!(refused, Err(Error::Misuse(_))));
    assert!(buffer.iter().all(|byte| *byte == 0));
    assert_eq!(sender.stats().refused, 1);
    for n in 900..1_100 {
        protect(&mut sender, &rtp(1, n, b"other")).unwrap();
    }
    assert!(protect(&mut sender, &rtp(1, 10, b"same")).is_err());
    // A number that was left out may still come once.
    let (mut sender, _) = pair(Profile::AeadAes256Gcm);
    protect(&mut sender, &rtp(1, 10, b"a")).unwrap();
    protect(&mut sender, &rtp(1, 12, b"b")).unwrap();
    let late = protect(&mut sender, &rtp(1, 11, b"c")).unwrap();
    assert!(opens(&mut receiver, &late).is_err());
    assert!(protect(&mut sender, &rtp(1, 11, b"d")).is_err());
}

#[test]
fn plain_retransmission_is_the_same_packet_in_counter_mode() {
    let (mut sender, mut receiver) = pair(Profile::Aes128CmSha1_80);
    let first = protect(&mut sender, &rtp(1, 65_535, b"same")).unwrap();
    protect(&mut sender, &rtp(1, 0, b"next")).unwrap();
    let again = protect(&mut sender, &rtp(1, 65_535, b"same")).unwrap();
    assert_eq!(again, first);
    assert!(opens(&mut receiver, &again).is_ok());
}

#[test]
fn sources_are_bounded() {
    let keying = keying(Profile::AeadAes128Gcm);
    let mut sender = Sender::new(&keying).unwrap().with_max_sources(3);
    let config = ReceiverConfig::default().with_max_sources(2);
    let mut receiver = Receiver::with_config(&keying, config).unwrap();
    let packets: Vec<Vec<u8>> = (1..=3)
        .map(|ssrc| protect(&mut sender, &rtp(ssrc, 5, b"x")).unwrap())
        .collect();
    assert!(protect(&mut sender, &rtp(4, 5, b"x")).is_err());
    assert!(opens(&mut receiver, &packets[0]).is_ok());
    assert!(opens(&mut receiver, &packets[1]).is_ok());
    let next = protect(&mut sender, &rtp(1, 6, b"x")).unwrap();
    assert!(opens(&mut receiver, &next).is_ok());
    // The second was silent for longest.
    assert!(opens(&mut receiver, &packets[2]).is_ok());
    assert_eq!(receiver.stats().evicted, 1);
    assert_eq!(opens(&mut receiver, &packets[0]), Err(Error::Replayed));
    assert_eq!(opens(&mut receiver, &packets[2]), Err(Error::Replayed));
}

#[test]
fn short_and_odd_packets_are_malformed() {
    for profile in PROFILES {
        let (mut sender, mut receiver) = pair(profile);
        for len in 0..12 + sender.rtp_room().tail {
            assert_eq!(
                receiver.unprotect_rtp(&mut vec![0x80; len]),
                Err(Error::Malformed)
            );
        }
        for len in 0..8 + sender.rtcp_room().tail {
            assert_eq!(
                receiver.unprotect_rtcp(&mut vec![0x80; len]),
                Err(Error::Malformed)
            );
        }
        assert_eq!(
            receiver.unprotect_rtp(&mut [0x40; 60]),
            Err(Error::Malformed)
        );
        assert_eq!(
            receiver.unprotect_rtcp(&mut [0x40; 60]),
            Err(Error::Malformed)
        );
        assert_eq!(protect(&mut sender, &[0x80; 11]), Err(Error::Malformed));
        assert_eq!(protect(&mut sender, &[0x9f; 20]), Err(Error::Malformed));
        let small = sender.protect_rtp_slice(&mut [0x80; 20], 20);
        assert!(matches!(small, Err(Error::Misuse(_))));
        assert!(sender.protect_rtcp_slice(&mut [0x80; 60], 7).is_err());
    }
}

#[test]
fn keys_fit_their_profile_and_stay_hidden() {
    for profile in PROFILES {
        assert_eq!(Profile::from_id(profile.id()), Some(profile));
        assert!(Keying::new(profile, &[1; 15], &vec![1; profile.salt_len()]).is_err());
        assert!(Keying::new(profile, &vec![1; profile.key_len()], &[1; 13]).is_err());
        let shown = format!("{:?}", keying(profile));
        assert_eq!(shown, format!("Keying {{ profile: {profile:?}, .. }}"));
    }
    assert_eq!(Profile::from_id(3), None);
}

fn profile() -> impl Strategy<Value = Profile> {
    (0..4_usize).prop_map(|at| PROFILES[at])
}

proptest! {
    #[test]
    fn any_packet_survives(
        profile in profile(),
        csrc in 0_u8..16,
        extension in proptest::option::of(0_u16..20),
        sequence: u16,
        ssrc: u32,
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut packet = rtp(ssrc, sequence, &[]);
        packet[0] |= csrc;
        packet.extend(vec![0xcc; usize::from(csrc) * 4]);
        if let Some(words) = extension {
            packet[0] |= 0x10;
            packet.extend([0xbe, 0xde]);
            packet.extend(words.to_be_bytes());
            packet.extend(vec![0xee; usize::from(words) * 4]);
        }
        let header = packet.len();
        packet.extend(&payload);
        let (mut sender, mut receiver) = pair(profile);
        let protected = protect(&mut sender, &packet).unwrap();
        prop_assert_eq!(&protected[..header], &packet[..header]);
        prop_assert_eq!(opens(&mut receiver, &protected).unwrap(), packet);
    }

    #[test]
    fn any_order_delivers_each_packet_once(
        profile in profile(),
        start: u16,
        steps in proptest::collection::vec(1_u16..40, 1..120),
        order in proptest::collection::vec(any::<u16>(), 0..300),
    ) {
        let (mut sender, mut receiver) = pair(profile);
        let mut sequence = start;
        let mut packets = vec![protect(&mut sender, &rtp(1, start, b"first")).unwrap()];
        for step in steps {
            sequence = sequence.wrapping_add(step);
            packets.push(protect(&mut sender, &rtp(1, sequence, b"x")).unwrap());
        }
        // The first one starts the count; the window then reaches over all that may come.
        opens(&mut receiver, &packets[0]).unwrap();
        let mut delivered = vec![false; packets.len()];
        delivered[0] = true;
        for at in order {
            let at = usize::from(at) % packets.len();
            match opens(&mut receiver, &packets[at]) {
                Ok(_) => prop_assert!(!std::mem::replace(&mut delivered[at], true)),
                Err(Error::Replayed) => prop_assert!(delivered[at]),
                Err(Error::TooOld) => {}
                Err(other) => prop_assert!(false, "{}", other),
            }
        }
    }

    #[test]
    fn garbage_never_panics(
        profile in profile(),
        garbage in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..120), 0..20),
    ) {
        let (mut sender, mut receiver) = pair(profile);
        for bytes in garbage {
            let mut versioned = bytes.clone();
            if let Some(first) = versioned.first_mut() {
                *first = *first & 0x3f | 0x80;
            }
            for bytes in [bytes, versioned] {
                prop_assert!(receiver.unprotect_rtp(&mut bytes.clone()).is_err());
                prop_assert!(receiver.unprotect_rtcp(&mut bytes.clone()).is_err());
                let _ = protect(&mut sender, &bytes);
            }
        }
    }
}
