//! Sending, receiving and callbacks do not hold each other up.

use std::sync::mpsc::channel;
use std::time::Duration;

use esp_peer::{PeerConnection, State};
use esp_wire::{DataFrame, DataKind, Frame};

use crate::pair::{PATIENCE, Told, begin, connected, driver, ends};

/// A picture that can be told by its number.
fn picture(number: u8) -> Vec<u8> {
    let mut unit = vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x96];
    unit.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
    unit.extend_from_slice(&[0, 0, 0, 1, 0x65]);
    unit.extend([number | 1; 3_000]);
    unit
}

#[test]
fn a_callback_that_blocks_stops_neither_sending_nor_other_peers() {
    let driver = driver();
    let open = |config, handler| driver.open(config, handler).unwrap();
    // The callback of `a` for the first picture blocks until it is let go.
    let (entered, blocked) = channel();
    let (release, released) = channel::<()>();
    let hook = Box::new(move |told: &Told| {
        if matches!(told, Told::Video(_)) {
            let _ = entered.send(());
            let _ = released.recv_timeout(PATIENCE);
        }
    });
    let first = ends(&open, [Some(hook), None]);
    let second = ends(&open, [None, None]);
    for pair in [&first, &second] {
        begin(pair);
        for end in pair {
            end.wait_state(State::Connected);
        }
    }
    let [a, b] = &first;
    let frame = |data| Frame {
        pts: Duration::ZERO,
        data,
    };
    let unit = picture(1);
    b.connection.send_video(frame(&unit)).unwrap();
    blocked.recv_timeout(PATIENCE).unwrap();
    // While the callback of `a` blocks: it sends, and the other pair lives.
    a.connection.send_audio(frame(b"still here")).unwrap();
    b.wait(|told| matches!(told, Told::Audio(data) if data == b"still here").then_some(()));
    let [c, d] = &second;
    c.connection.send_audio(frame(b"unaffected")).unwrap();
    d.wait(|told| matches!(told, Told::Audio(data) if data == b"unaffected").then_some(()));
    let stream_id = c.wait_channel().stream_id;
    c.connection
        .send_data(DataFrame {
            kind: DataKind::Text,
            stream_id,
            data: b"unaffected too",
        })
        .unwrap();
    assert_eq!(d.wait_data(), b"unaffected too");
    release.send(()).unwrap();
}

#[test]
fn a_blocked_application_closes_the_window_and_loses_nothing() {
    let (entered, blocked) = channel();
    let (release, released) = channel::<()>();
    let mut first = true;
    let hook = Box::new(move |told: &Told| {
        if matches!(told, Told::Data(..)) && std::mem::take(&mut first) {
            let _ = entered.send(());
            let _ = released.recv_timeout(PATIENCE);
        }
    });
    let (_driver, [a, b]) = connected([None, Some(hook)]);
    let stream_id = a.wait_channel().stream_id;
    let chunk = vec![3; 64 * 1024];
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data: &chunk,
    };
    let mut sent = 0;
    let mut full = 0;
    a.connection.send_data(frame).unwrap();
    sent += 1;
    blocked.recv_timeout(PATIENCE).unwrap();
    // More than all buffers on the way together hold cannot be sent while nobody takes it.
    while full < 3 && sent < 1_000 {
        match a.connection.send_data(frame) {
            Ok(()) => sent += 1,
            Err(_) => {
                full += 1;
                let _ = a.connection.query().unwrap();
            }
        }
    }
    assert!(sent < 1_000, "nothing ever closed");
    release.send(()).unwrap();
    for _ in 0..sent {
        assert_eq!(b.wait_data().len(), chunk.len());
    }
}
