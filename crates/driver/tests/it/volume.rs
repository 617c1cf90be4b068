//! What `cargo xtask volume` does at full size: many bytes, many channels, through sockets and queues. (One message
//! beyond all memory is in `parts`.)

use esp_peer::{ChannelConfig, Error, PeerConnection};
use esp_wire::{DataFrame, DataKind};

use crate::pair::{End, Told, connected};

/// The byte at this place of all that is sent.
fn pattern(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

fn send(end: &End, stream_id: u16, data: &[u8]) {
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data,
    };
    loop {
        match end.connection.send_data(frame) {
            Ok(()) => return,
            Err(Error::WouldBlock) => {
                end.wait(|told| (told == Told::Writable(stream_id)).then_some(()));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_byte_of_many_messages_is_right() {
    const SIZE: usize = 64 << 10;
    const MESSAGES: usize = 400;
    let (_driver, [from, to]) = connected([None, None]);
    let stream_id = from.wait_channel().stream_id;
    to.wait_channel();
    let sender = std::thread::spawn(move || {
        for message in 0..MESSAGES {
            let data: Vec<u8> = (message * SIZE..).map(pattern).take(SIZE).collect();
            send(&from, stream_id, &data);
        }
        from
    });
    for message in 0..MESSAGES {
        let data = to.wait_data();
        assert!(data.len() == SIZE);
        let right = |(at, byte): (usize, &u8)| *byte == pattern(message * SIZE + at);
        assert!(data.iter().enumerate().all(right), "message {message}");
    }
    sender.join().unwrap();
}

#[test]
fn many_channels_are_open_at_once_used_and_closed() {
    /// Of either side.
    const CHANNELS: usize = 1_000;
    let (_driver, pair) = connected([None, None]);
    for end in &pair {
        end.wait_channel();
    }
    for number in 0..CHANNELS {
        for end in &pair {
            let config = ChannelConfig::new(format!("channel {number}"));
            end.connection.create_data_channel(config).unwrap();
        }
    }
    let streams = pair.each_ref().map(|end| {
        let mut streams: Vec<u16> = (0..2 * CHANNELS)
            .map(|_| end.wait_channel().stream_id)
            .collect();
        streams.sort_unstable();
        streams
    });
    assert_eq!(streams[0], streams[1]);
    for stream_id in &streams[0] {
        send(&pair[0], *stream_id, &stream_id.to_be_bytes());
    }
    for _ in &streams[0] {
        let (stream_id, data) = pair[1].wait(|told| match told {
            Told::Data(stream_id, _, data) => Some((stream_id, data)),
            _ => None,
        });
        assert_eq!(data, stream_id.to_be_bytes());
    }
    // Each is closed by the side that did not open it.
    for stream_id in &streams[0] {
        let far = &pair[usize::from(stream_id % 2)];
        far.connection.close_data_channel(*stream_id).unwrap();
    }
    for end in &pair {
        let mut closed: Vec<u16> = (0..2 * CHANNELS)
            .map(|_| {
                end.wait(|told| match told {
                    Told::Closed(stream_id) => Some(stream_id),
                    _ => None,
                })
            })
            .collect();
        closed.sort_unstable();
        assert_eq!(closed, streams[0]);
    }
}
