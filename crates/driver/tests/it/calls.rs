//! Calls as an application makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use esp_driver::{Connection, DriverConfig};
use esp_peer::{Error, PeerConnection, State};
use esp_wire::{DataFrame, DataKind, Frame};

use crate::pair::{Told, begin, connected, ends};

fn bytes(stream_id: u16, data: &[u8]) -> DataFrame<'_> {
    DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data,
    }
}

#[test]
fn media_and_data_pass_both_ways() {
    let (_driver, [a, b]) = connected([None, None]);
    let (at_a, at_b) = (a.wait_channel(), b.wait_channel());
    assert_eq!(at_a, at_b);
    let large: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 253) as u8).collect();
    for (from, to) in [(&a, &b), (&b, &a)] {
        for data in [&b""[..], b"x", &large] {
            from.connection
                .send_data(bytes(at_a.stream_id, data))
                .unwrap();
            assert!(to.wait_data() == data, "{} bytes differ", data.len());
        }
        let sound = Frame {
            pts: Duration::ZERO,
            data: b"a packet of sound",
        };
        from.connection.send_audio(sound).unwrap();
        to.wait(|told| matches!(told, Told::Audio(data) if data == sound.data).then_some(()));
    }
    assert!(a.connection.paired_addr().is_some());
    let report = a.connection.query().unwrap();
    assert_eq!(report.state, State::Connected);
    assert!(report.rtt.is_some());
}

#[test]
fn disconnecting_reaches_the_other_side_and_a_new_connection_follows() {
    let (_driver, pair) = connected([None, None]);
    pair[0].connection.disconnect().unwrap();
    for end in &pair {
        end.wait_state(State::Disconnected);
    }
    begin(&pair);
    for end in &pair {
        end.wait_state(State::Connected);
    }
}

#[test]
fn a_closed_connection_refuses_everything_and_calls_nobody() {
    let (_driver, [a, b]) = connected([None, None]);
    a.connection.close();
    assert!(matches!(
        a.connection.new_connection(),
        Err(Error::WrongState(_))
    ));
    assert!(a.connection.query().is_err());
    b.wait_state(State::Disconnected);
}

#[test]
fn a_channel_closes_behind_its_last_message() {
    let (_driver, [a, b]) = connected([None, None]);
    let stream_id = a.wait_channel().stream_id;
    b.wait_channel();
    for number in 0..200_u8 {
        a.connection
            .send_data(bytes(stream_id, &[number; 4_096]))
            .unwrap();
    }
    a.connection.close_data_channel(stream_id).unwrap();
    // From here on it takes nothing more.
    assert!(matches!(
        a.connection.send_data(bytes(stream_id, b"late")),
        Err(Error::NotExists(_))
    ));
    for number in 0..200_u8 {
        assert_eq!(b.wait_data(), [number; 4_096]);
    }
    for end in [&a, &b] {
        end.wait_state(State::DataChannelClosed);
    }
}

#[test]
fn a_channel_at_rest_takes_nothing_more_once_it_is_closed() {
    let (_driver, [a, b]) = connected([None, None]);
    let stream_id = a.wait_channel().stream_id;
    b.wait_channel();
    a.connection
        .send_data(bytes(stream_id, b"the last"))
        .unwrap();
    assert_eq!(b.wait_data(), b"the last");
    a.connection.close_data_channel(stream_id).unwrap();
    assert!(matches!(
        a.connection.send_data(bytes(stream_id, b"late")),
        Err(Error::NotExists(_))
    ));
    for end in [&a, &b] {
        end.wait_state(State::DataChannelClosed);
    }
}

#[test]
fn a_full_outbox_says_so_and_tells_when_it_has_room() {
    let (_driver, [a, b]) = connected([None, None]);
    let stream_id = a.wait_channel().stream_id;
    let chunk = vec![7; 256 * 1024];
    let mut sent = 0;
    loop {
        match a.connection.send_data(bytes(stream_id, &chunk)) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
    }
    a.wait(|told| (told == Told::Writable(stream_id)).then_some(()));
    for _ in 0..sent {
        assert_eq!(b.wait_data().len(), chunk.len());
    }
}

#[test]
fn main_loop_drives_a_connection_without_threads() {
    let open = |config, handler| {
        Connection::open_manual(DriverConfig::default(), config, handler).unwrap()
    };
    let pair = ends(&open, [None, None]);
    let done = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for end in &pair {
            let (connection, done) = (Arc::clone(&end.connection), Arc::clone(&done));
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    connection.main_loop().unwrap();
                }
            });
        }
        begin(&pair);
        let [a, b] = &pair;
        let stream_id = a.wait_channel().stream_id;
        a.connection
            .send_data(bytes(stream_id, b"by hand"))
            .unwrap();
        assert_eq!(b.wait_data(), b"by hand");
        done.store(true, Ordering::Relaxed);
    });
}
