//! What the table promises, on another seed than its own.

use super::*;

/// The seed that every promise is held to.
const SEED: u64 = 7;

fn outcomes(weather: Weather) -> Vec<(Case, Outcome)> {
    let cases = cases().into_iter().filter(|case| case.weather == weather);
    cases
        .map(|case| {
            let outcome = case.run(SEED);
            println!("{case:?} seed {SEED}: {outcome:?}");
            (case, outcome)
        })
        .collect()
}

fn millis(time: Duration) -> u128 {
    time.as_millis()
}

#[test]
fn the_rate_is_found_soon_and_packets_hardly_wait() {
    for weather in [Weather::Plain, Weather::Bufferbloat] {
        for (case, it) in outcomes(weather) {
            assert!(it.found.unwrap() <= Duration::from_secs(3));
            assert!((0.7..=1.0).contains(&it.used));
            let (usual, most) = match case.rate {
                300_000 => (160, 280),
                _ => (100, 180),
            };
            assert!(millis(it.wait.0) <= usual && millis(it.wait.1) <= most);
            assert!(it.shown > 0.95);
        }
    }
}

#[test]
fn random_losses_do_not_make_it_collapse() {
    for (weather, least) in [(Weather::Loss2, 0.6), (Weather::Loss10, 0.4)] {
        for (_, it) in outcomes(weather) {
            assert!(it.used >= least);
            assert!(millis(it.wait.0) <= 200);
        }
    }
}

#[test]
fn neither_do_jitter_and_reordering() {
    for weather in [Weather::Jitter, Weather::Reordering] {
        for (_, it) in outcomes(weather) {
            assert!(it.used >= 0.7 && it.shown > 0.95);
        }
    }
}

#[test]
fn a_short_queue_is_no_reason_to_flood_it() {
    for (_, it) in outcomes(Weather::Shallow) {
        assert!((0.6..=1.0).contains(&it.used) && it.shown > 0.7);
    }
}

#[test]
fn a_third_of_the_rate_is_heeded_and_its_return_found() {
    for (_, it) in outcomes(Weather::Dip) {
        let (calm, back) = it.dip.unwrap();
        assert!(calm <= Duration::from_secs(8) && back <= Duration::from_secs(15));
    }
}

#[test]
fn two_share_a_link() {
    for (_, it) in outcomes(Weather::Two) {
        assert!(it.share >= 0.2 && it.used >= 0.7);
        assert!(millis(it.wait.0) <= 150);
    }
}

#[test]
fn the_table_is_what_is_computed() {
    let table = include_str!("../../../../docs/tables/bandwidth.md");
    for case in cases().into_iter().step_by(8) {
        let row = row(case);
        assert!(table.contains(&row), "not in the table any more: {row}");
    }
}
