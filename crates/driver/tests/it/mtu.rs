//! Datagrams as large as a real path takes.

use esp_driver::{Driver, DriverConfig};
use esp_peer::{PeerConnection, State};
use esp_wire::{DataFrame, DataKind};

use crate::pair::{begin, ends};

#[test]
fn a_path_that_takes_more_is_used() {
    let driver = Driver::start(DriverConfig::default()).unwrap();
    for (largest, expected) in [(1_200, 1_150..=1_200), (9_000, 8_950..=9_000)] {
        let open = |config: esp_peer::PeerConfig, handler| {
            let config = config.with_largest_datagram(largest);
            driver.open(config, handler).unwrap()
        };
        let pair = ends(&open, [None, None]);
        begin(&pair);
        for end in &pair {
            end.wait_state(State::Connected);
        }
        let channels = [pair[0].wait_channel(), pair[1].wait_channel()];
        // Loopback takes all; the first message may leave before that is known.
        let mut seen = 0;
        while !expected.contains(&seen) {
            let data = &[7; 200_000];
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id: channels[0].stream_id,
                data,
            };
            pair[0].connection.send_data(frame).unwrap();
            assert_eq!(pair[1].wait_data(), data);
            seen = pair[1].connection.query().unwrap().traffic.largest_in;
            assert!(seen <= largest, "{seen} bytes");
        }
    }
}
