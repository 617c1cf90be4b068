//! What a record of 1,200 bytes costs to seal and to open: `cargo run --release --example records`.
//!
//! Prints the median of several rounds in nanoseconds, for records of our own and for those of the library.

#![expect(
    clippy::disallowed_methods,
    reason = "this measures, so it needs a clock"
)]

use std::time::{Duration, Instant as Clock};

use esp_dtls::{Certificate, Config, Dtls, DtlsRole, Error, Event, State, Versions};
use esp_wire::{Instant, Origin, Train};

const PAYLOAD: usize = 1_200;
const TRAIN: usize = 40;
const TRAINS: usize = 500;
const ROUNDS: usize = 9;

fn main() -> Result<(), Error> {
    println!("{PAYLOAD} bytes         seal ns  open ns");
    for versions in [Versions::Only12, Versions::Only13] {
        for own in [false, true] {
            let mut ends = connect(versions, own)?;
            let mut rounds = Vec::new();
            for _ in 0..ROUNDS {
                rounds.push(round(&mut ends)?);
            }
            let median = |mut of: Vec<u128>| {
                of.sort_unstable();
                of[of.len() / 2]
            };
            let seal = median(rounds.iter().map(|it| it.0).collect());
            let open = median(rounds.iter().map(|it| it.1).collect());
            let who = if own { "own" } else { "library" };
            println!("{versions:?} {who:8} {seal:9} {open:8}");
        }
    }
    Ok(())
}

/// Nanoseconds for each record: sealed by one end, opened by the other.
fn round(ends: &mut [Dtls; 2]) -> Result<(u128, u128), Error> {
    let [sender, receiver] = ends;
    let now = Instant::ZERO + Duration::from_secs(10);
    let mut train = Train::with_capacity(65_536);
    let (mut sealing, mut opening) = (Duration::ZERO, Duration::ZERO);
    let (mut sealed, mut opened) = (0, 0);
    for _ in 0..TRAINS {
        train.begin(sender.room(), PAYLOAD);
        for _ in 0..TRAIN {
            train.push_with(|slot| {
                slot.fill(7);
                slot.len()
            });
        }
        sealed += train.len();
        let start = Clock::now();
        sender.protect(now, &mut train)?;
        sealing += start.elapsed();
        let start = Clock::now();
        for record in train.segments_mut() {
            opened += usize::from(receiver.open(now, record)?.is_some());
            while let Some(event) = receiver.poll_event() {
                opened += usize::from(matches!(event, Event::Data(_)));
            }
        }
        opening += start.elapsed();
    }
    assert_eq!(sealed, opened, "every record arrives");
    let each = |time: Duration| time.as_nanos() / sealed as u128;
    Ok((each(sealing), each(opening)))
}

fn connect(versions: Versions, own: bool) -> Result<[Dtls; 2], Error> {
    let certificates = [Certificate::generate()?, Certificate::generate()?];
    let end = |index: usize| -> Result<Dtls, Error> {
        let config = Config::new(certificates[index].clone())
            .with_versions(versions)
            .with_own_records(own);
        let mut dtls = Dtls::new(&config, &Origin::seeded(index as u64))?;
        dtls.set_remote_fingerprints(vec![certificates[1 - index].fingerprint().clone()])?;
        Ok(dtls)
    };
    let mut ends = [end(0)?, end(1)?];
    ends[0].set_role(Instant::ZERO, DtlsRole::Server)?;
    ends[1].set_role(Instant::ZERO, DtlsRole::Client)?;
    let mut train = Train::with_capacity(65_536);
    for _ in 0..20 {
        for from in 0..2 {
            while ends[from].poll_transmit(Instant::ZERO, &mut train) {
                for datagram in train.segments_mut() {
                    ends[1 - from].handle_input(Instant::ZERO, datagram)?;
                }
            }
            while ends[from].poll_event().is_some() {}
        }
    }
    assert!(ends.iter().all(|end| end.state() == State::Connected));
    Ok(ends)
}
