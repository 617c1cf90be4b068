//! Messages in parts and buffers handed over, through sockets and queues.

use esp_driver::{Driver, DriverConfig};
use esp_peer::sctp::Delivery;
use esp_peer::{Error, PeerConnection, State};
use esp_wire::{DataFrame, DataKind};

use crate::pair::{End, Told, begin, ends};

fn connected(driver: &Driver) -> ([End; 2], u16) {
    let open = |config: esp_peer::PeerConfig, handler| {
        let mut config = config.with_delivery(Delivery::Parts);
        config.sctp = config.sctp.with_buffers(1 << 20, 512 << 10);
        driver.open(config, handler).unwrap()
    };
    let pair = ends(&open, [None, None]);
    begin(&pair);
    for end in &pair {
        end.wait_state(State::Connected);
    }
    let stream_id = pair[0].wait_channel().stream_id;
    pair[1].wait_channel();
    (pair, stream_id)
}

fn fill(part: &mut [u8], from: usize) {
    for (at, byte) in part.iter_mut().enumerate() {
        let at = from + at;
        *byte = (at ^ at >> 8 ^ at >> 16) as u8;
    }
}

#[test]
fn a_message_beyond_all_memory_passes_a_slow_receiver() {
    let config = DriverConfig {
        mailbox_bytes: 256 << 10,
        data_outbox_bytes: 256 << 10,
        ..DriverConfig::default()
    };
    let driver = Driver::start(config).unwrap();
    let (pair, stream_id) = connected(&driver);
    let len = 12 << 20;
    let [from, to] = pair;
    let sender = std::thread::spawn(move || {
        let mut sent = 0;
        while sent < len {
            let size = (len - sent).min(40_000);
            let mut data = vec![0; size];
            fill(&mut data, sent);
            let part = DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data: &data,
            };
            match from.connection.send_data_part(part, sent + size == len) {
                Ok(()) => sent += size,
                Err(Error::WouldBlock) => {
                    from.wait(|told| (told == Told::Writable(stream_id)).then_some(()));
                }
                Err(error) => panic!("{error}"),
            }
        }
        from
    });
    let (mut taken, mut expected) = (0, Vec::new());
    let mut ended = false;
    while !ended {
        let (data, last) = to.wait(|told| match told {
            Told::Part(_, data, last) => Some((data, last)),
            _ => None,
        });
        expected.resize(data.len(), 0);
        fill(&mut expected, taken);
        assert!(data == expected, "bytes differ near {taken}");
        taken += data.len();
        ended = last;
    }
    assert_eq!(taken, len);
    sender.join().unwrap();
}

#[test]
fn buffers_that_are_handed_over_come_back() {
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let (pair, stream_id) = connected(&driver);
    let connection = &pair[0].connection;
    let mut came_back = 0;
    let mut buffer = Vec::new();
    for round in 0..200_usize {
        came_back += usize::from(buffer.capacity() > 0);
        buffer.resize(10_000 + round, 0);
        fill(&mut buffer, round);
        let expected = buffer.clone();
        connection
            .send_data_owned(stream_id, DataKind::Binary, &mut buffer)
            .unwrap();
        assert!(buffer.is_empty());
        assert!(pair[1].wait_data() == expected);
    }
    assert!(came_back > 100, "{came_back} of 200");
    buffer.resize(2 << 20, 0);
    let error = connection
        .send_data_owned(stream_id, DataKind::Binary, &mut buffer)
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooLarge {
                limit: 1_048_576,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(buffer.len(), 2 << 20);
}

#[test]
fn the_buffered_amount_counts_all_that_waits() {
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let (pair, stream_id) = connected(&driver);
    let connection = &pair[0].connection;
    connection
        .set_buffered_amount_low_threshold(stream_id, 100_000)
        .unwrap();
    let mut sent = 0;
    loop {
        let frame = DataFrame {
            kind: DataKind::Binary,
            stream_id,
            data: &[5; 60_000],
        };
        match connection.send_data(frame) {
            Ok(()) => sent += 1,
            Err(Error::WouldBlock) => break,
            Err(error) => panic!("{error}"),
        }
    }
    pair[0].wait(|told| (told == Told::Low(stream_id)).then_some(()));
    for _ in 0..sent {
        assert_eq!(pair[1].wait_data().len(), 60_000);
    }
    assert_eq!(connection.buffered_amount(stream_id), Ok(0));
    assert!(matches!(
        connection.buffered_amount(stream_id + 2),
        Err(Error::NotExists(_))
    ));
}
