//! Rows of `docs/tables/fairness.md`, computed again, and what all of them must show.

use esp_tables::goodput::{fairness_row, pairings};

const TABLE: &str = include_str!("../../../../docs/tables/fairness.md");

#[test]
fn shares_are_as_written() {
    let mut count = 0;
    for pairing in pairings() {
        if pairing.rate == 10 && [20, 50].contains(&pairing.rtt) && pairing.queue <= 0.5 {
            let row = fairness_row(&pairing);
            assert!(TABLE.contains(&row), "{row}; `cargo xtask tables fairness`");
            count += 1;
        }
    }
    assert_eq!(count, 4);
}

#[test]
fn two_of_ours_share_evenly_and_a_plain_flow_gets_its_share() {
    let rows = TABLE.lines().filter(|line| line.ends_with(") |"));
    let mut count = 0;
    for row in rows {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        let jain = |at: usize| {
            let index = columns[at].split(' ').next().unwrap_or_default();
            index.parse::<f64>().expect("an index")
        };
        let rtt: u64 = columns[2].parse().expect("a round trip");
        assert!(jain(4) >= 0.95, "{row}");
        if rtt <= 50 {
            assert!(jain(5) >= 0.8 && jain(6) >= 0.8, "{row}");
        }
        count += 1;
    }
    assert_eq!(count, pairings().len());
}
