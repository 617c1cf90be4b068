//! Peers at rest.

use std::sync::PoisonError;
use std::time::Instant;

use esp_driver::{Driver, DriverConfig};
use esp_peer::{Certificate, DtlsVersions, PeerConnection};

use crate::TURN;
use crate::counting::held;
use crate::ends::{PATIENCE, Wish, pair};

#[test]
fn an_idle_peer_with_an_open_channel_is_small() {
    const PAIRS: usize = 40;
    /// Bytes of heap for each.
    const BOUNDS: [(DtlsVersions, i64); 2] = [
        (DtlsVersions::Only13, 23 << 10),
        (DtlsVersions::Only12, 22 << 10),
    ];
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let certificate = Certificate::generate().unwrap();
    for (dtls, bound) in BOUNDS {
        let open = || pair(&driver, &certificate, dtls, Wish::Data);
        let warm: Vec<_> = (0..3).map(|_| open()).collect();
        let before = held();
        let pairs: Vec<_> = (0..PAIRS).map(|_| open()).collect();
        let began = Instant::now();
        // The last acknowledgements are still under way; what asks waits for its turn behind them.
        let each = loop {
            let each = (held() - before) / (2 * PAIRS as i64);
            if each <= bound || began.elapsed() > PATIENCE {
                break each;
            }
            for (ends, _) in &pairs {
                for end in ends {
                    drop(end.connection.query().unwrap());
                }
            }
        };
        println!("{dtls:?}: {each} bytes a peer");
        assert!(each <= bound, "{dtls:?}: {each} bytes a peer");
        drop((warm, pairs));
    }
}
