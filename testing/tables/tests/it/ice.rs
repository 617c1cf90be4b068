//! Cells of `docs/tables/ice.md`, computed again.

use esp_tables::ice::{nats, speed};

const TABLE: &str = include_str!("../../../../docs/tables/ice.md");

#[test]
fn every_pair_of_nats_that_can_connect_does_as_written() {
    let cells = nats::cells();
    for (at, cell) in cells.iter().enumerate() {
        if at % 3 != 0 {
            continue;
        }
        let title = if cell.turn {
            "### With TURN"
        } else {
            "### Without TURN"
        };
        let (_, section) = TABLE.split_once(title).expect("the section is there");
        let line = section
            .lines()
            .nth(4 + at % 25 / 5)
            .expect("the row is there");
        let written = line.split('|').map(str::trim).nth(2 + at % 5);
        let figure = nats::figure(cell);
        assert_eq!(
            written,
            Some(figure.as_str()),
            "{cell:?}; `cargo xtask tables ice`"
        );
        assert_eq!(figure != "no path", nats::can_connect(cell), "{cell:?}");
    }
}

#[test]
fn times_are_as_written() {
    for (rtt, candidates, bases) in [(20, 20, 4), (100, 5, 1), (2_000, 1, 1)] {
        let row = speed::row((rtt, candidates, bases), speed::SEEDS);
        assert!(TABLE.contains(&row), "{row}; `cargo xtask tables ice`");
    }
}

#[test]
fn without_loss_every_row_is_within_the_bound() {
    let (_, section) = TABLE
        .split_once("## Time to connected")
        .expect("the section is there");
    let rows = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.contains("RTT"));
    let mut count = 0;
    for row in rows {
        let beyond = row
            .split('|')
            .map(str::trim)
            .nth(5)
            .expect("the column is there");
        let beyond: i64 = beyond.parse().expect("a number");
        assert!(beyond <= 0, "{row}");
        assert!(!row.contains("failed"), "{row}");
        count += 1;
    }
    assert_eq!(count, speed::rows().len());
}
