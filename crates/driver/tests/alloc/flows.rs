//! Steady flows: nothing is allocated for what passes.

use esp_driver::{Driver, DriverConfig};
use esp_peer::{Certificate, ChannelConfig, DtlsVersions, Error, PeerConnection};
use esp_wire::{DataFrame, DataKind, Frame};

use crate::TURN;
use crate::counting::{Allocations, watch};
use crate::ends::{End, Wish, pair};

/// Bytes until queues and buffers have the size that they need; counting begins after them.
const WARM_UP: u64 = 30_000_000;
/// Bytes of each stretch that is judged: some 11,000 packets.
const STRETCH: u64 = 15_000_000;
const STRETCHES: usize = 3;
/// Stretches until that many were steady.
const TRIES: usize = 100;

/// With one thread for delivery; others would start at some time, when all are in a call.
fn one_thread() -> Driver {
    Driver::start(DriverConfig::default().with_delivery_threads(1)).unwrap()
}

/// Sends messages over the channels in turn until so many bytes more have arrived.
fn pour(ends: &[End; 2], streams: &[u16], message: &[u8], bytes: u64) {
    let arrived = || ends[1].ear.look(|told| told.bytes);
    let until = arrived() + bytes;
    for &stream_id in streams.iter().cycle() {
        if arrived() >= until {
            return;
        }
        let frame = DataFrame {
            kind: DataKind::Binary,
            stream_id,
            data: message,
        };
        loop {
            match ends[0].connection.send_data(frame) {
                Ok(()) => break,
                Err(Error::WouldBlock) => {
                    let ear = &ends[0].ear;
                    ear.wait(|told| std::mem::take(&mut told.writable).then_some(()));
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// How often packets were lost or came late: on a machine where others take all the time, a flow is not steady.
fn troubles(ends: &[End; 2]) -> [u64; 3] {
    let report = ends[0].connection.query().unwrap().sctp.unwrap();
    [
        report.timeouts,
        report.chunks_retransmitted,
        report.congestion_events,
    ]
}

/// Lets all queues on the way grow to what they may hold: the receiver takes nothing until its window is closed and
/// the sender is refused.
fn fill(ends: &[End; 2], streams: &[u16], message: &[u8]) {
    let _closed = ends[1].ear.close();
    for &stream_id in streams.iter().cycle() {
        let frame = DataFrame {
            kind: DataKind::Binary,
            stream_id,
            data: message,
        };
        match ends[0].connection.send_data(frame) {
            Ok(()) => {}
            Err(Error::WouldBlock) => {
                let report = ends[0].connection.query().unwrap();
                if report.sctp.unwrap().peer_window < 1_500 {
                    return;
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A flow allocates nothing for a packet or a message. What is left, and bounded here: tables and lists that double
/// (the list of what was lost or came twice, of free buffers, of channels), and what is kept in order when packets are
/// lost, with buffers for more messages at a time than ever before. Most stretches have none of it, one at least must
/// have none; a machine under load has some, and then for two messages of a hundred at most.
fn judge(what: &str, messages: u64, found: &Allocations) {
    let held = ["pool::Pool::take", "spare::Spare::copy", "btree::node"];
    let (mut held_now, mut grown) = (0, 0);
    for (trace, count) in &found.ours {
        match held.iter().any(|place| trace.contains(place)) {
            true => held_now += *count as u64,
            false => grown += count,
        }
    }
    let library: usize = found.library.values().sum();
    println!("{what}: {held_now} buffers, {grown} tables; {library} in the DTLS library");
    assert_eq!(library, 0, "{what}: {found:#?}");
    assert!(grown <= 32, "{what}: {found:#?}");
    assert!(held_now <= 16 + messages / 50, "{what}: {found:#?}");
}

#[test]
fn messages_of_any_size_over_one_channel_or_many_allocate_nothing() {
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let certificate = Certificate::generate().unwrap();
    let cases = [(65_536, 1), (1_024, 1), (64, 1), (1_024, 100)];
    for dtls in [DtlsVersions::Only13, DtlsVersions::Only12] {
        for (size, channels) in cases {
            let driver = one_thread();
            let (ends, first) = pair(&driver, &certificate, dtls, Wish::Data);
            let mut streams = vec![first];
            while streams.len() < channels {
                let config = ChannelConfig::new("more");
                ends[0].connection.create_data_channel(config).unwrap();
                let opened = ends
                    .each_ref()
                    .map(|end| end.ear.wait(|told| told.opened.pop_front()));
                streams.push(opened[0]);
            }
            let what = format!("{dtls:?}, {size} bytes, {channels} channels");
            let message = vec![5; size];
            fill(&ends, &streams, &message);
            pour(&ends, &streams, &message, WARM_UP);
            let (mut steady, mut clean) = (0, 0);
            for _ in 0..TRIES {
                let before = troubles(&ends);
                let ((), found) = watch(|| pour(&ends, &streams, &message, STRETCH));
                if troubles(&ends) == before {
                    judge(&what, STRETCH / size as u64, &found);
                    steady += 1;
                    clean += usize::from(found.ours.is_empty());
                }
                if steady >= STRETCHES && clean > 0 {
                    break;
                }
            }
            assert!(steady >= STRETCHES, "{what}: the flow is never steady");
            assert!(clean > 0, "{what}: every stretch allocates something");
        }
    }
}

/// Sends pictures both ways, the next one when the last one has arrived.
fn look_at_each_other(ends: &[End; 2], picture: &[u8], count: &mut u32, pictures: u32) {
    for _ in 0..pictures {
        for end in ends {
            let frame = Frame {
                pts: std::time::Duration::from_millis(33) * *count,
                data: picture,
            };
            end.connection.send_video(frame).unwrap();
        }
        *count += 1;
        for end in ends {
            end.ear
                .wait(|told| (told.frames >= u64::from(*count)).then_some(()));
        }
    }
}

#[test]
fn pictures_both_ways_allocate_nothing() {
    /// Packets of a picture.
    const PACKETS: usize = 20;
    let _turn = TURN
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let certificate = Certificate::generate().unwrap();
    let driver = one_thread();
    let (ends, _) = pair(&driver, &certificate, DtlsVersions::Auto, Wish::Pictures);
    let mut key = vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x96];
    key.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    key.extend_from_slice(&[0, 0, 0, 1, 0x65, 0xa5, 0xa5, 0xa5]);
    let mut unit = vec![0, 0, 0, 1, 0x41];
    unit.resize(1_100, 0xa5);
    let picture = unit.repeat(PACKETS);
    let mut count = 0;
    look_at_each_other(&ends, &key, &mut count, 1);
    look_at_each_other(&ends, &picture, &mut count, 500);
    for _ in 0..STRETCHES {
        let ((), found) = watch(|| look_at_each_other(&ends, &picture, &mut count, 250));
        judge("pictures both ways", 500, &found);
    }
}
