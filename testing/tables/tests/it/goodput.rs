//! Cells of `docs/tables/goodput.md`, computed again.

use esp_tables::goodput::{Cell, Weather, cells, figure, run};

const TABLE: &str = include_str!("../../../../docs/tables/goodput.md");

/// The section of a weather in the text.
fn section(weather: Weather) -> &'static str {
    let title = match weather {
        Weather::Plain => "## Loss",
        Weather::Reordering => "## Reordering",
        Weather::Bufferbloat => "## Bufferbloat",
        Weather::Long => "## Time to fill",
    };
    let (_, rest) = TABLE.split_once(title).expect("the section is there");
    rest.split("\n## ").next().unwrap_or_default()
}

/// What the table says of a cell.
fn written(cell: &Cell) -> &'static str {
    let column = cells()
        .iter()
        .filter(|other| {
            (other.weather, other.rate, other.rtt) == (cell.weather, cell.rate, cell.rtt)
        })
        .position(|other| other.loss == cell.loss)
        .expect("the cell is one of the table");
    let row = section(cell.weather).lines().find(|line| {
        let mut columns = line.split('|').map(str::trim).skip(1);
        columns.next() == Some(&cell.rate.to_string())
            && columns.next() == Some(&cell.rtt.to_string())
    });
    let mut columns = row.expect("the row is there").split('|').map(str::trim);
    columns.nth(5 + column).expect("the column is there")
}

fn check(keep: impl Fn(&Cell) -> bool) {
    let mut count = 0;
    for cell in cells().iter().filter(|cell| keep(cell)) {
        let figure = figure(cell);
        assert_eq!(
            figure,
            written(cell),
            "{cell:?}; `cargo xtask tables goodput`"
        );
        if cell.loss == 0.0 {
            let figure: f64 = figure.parse().expect("a number");
            assert!(figure >= 0.9 * cell.rate as f64, "{cell:?}: {figure}");
        }
        count += 1;
    }
    assert!(count > 0);
}

#[test]
fn clean_and_lossy_cells_are_as_written() {
    check(|cell| {
        cell.weather == Weather::Plain && cell.rate == 10 && [20, 100].contains(&cell.rtt)
    });
}

#[test]
fn fast_cells_are_as_written() {
    check(|cell| {
        let link = (cell.rate, cell.rtt);
        let fast = [(100, 20), (100, 100), (1_000, 20)].contains(&link);
        cell.weather == Weather::Plain && fast && [0.0, 0.02].contains(&cell.loss)
    });
}

#[test]
fn reordered_and_bloated_cells_are_as_written() {
    check(|cell| {
        cell.weather != Weather::Plain && cell.rate == 10 && [10, 100].contains(&cell.rtt)
    });
}

#[test]
fn a_link_without_loss_is_filled() {
    let mut rows = 0;
    for cell in cells().iter().filter(|cell| cell.loss == 0.0) {
        assert!(cell.holds(), "{cell:?}");
        // 64 MB are over before a flow that doubles each round trip fills this path; with more it does.
        if (cell.rate, cell.rtt, cell.weather) == (1_000, 400, Weather::Reordering) {
            continue;
        }
        let figure: f64 = written(cell).parse().expect("a number");
        assert!(figure >= 0.9 * cell.rate as f64, "{cell:?}: {figure}");
        rows += 1;
    }
    assert_eq!(rows, 21 + 20 + 21 + 2);
}

/// Figures of a table's rows by section, in order; `None` for a cell that says in a word that it has none.
fn figures(table: &str) -> Vec<Vec<Option<f64>>> {
    let figure = |text: &str| match text {
        "failed" => None,
        number => Some(number.parse().expect("a number")),
    };
    let rows = table.lines().filter(|line| line.starts_with("| 1"));
    rows.map(|row| {
        let columns = row.trim_matches('|').split('|').map(str::trim);
        columns.map(figure).collect()
    })
    .collect()
}

#[test]
fn every_row_with_loss_is_ahead_of_str0m() {
    let theirs = figures(include_str!(
        "../../../../docs/tables/goodput-str0m-2026-11.md"
    ));
    let mut ours = figures(TABLE);
    // It was not given the time to fill the longest paths.
    assert_eq!(ours.len(), theirs.len() + 2);
    ours.truncate(theirs.len());
    let mut compared = 0;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        // Rate, round trip, product, buffers; theirs is without the product.
        assert_eq!(
            (ours[0], ours[1], ours[3]),
            (theirs[0], theirs[1], theirs[2])
        );
        let rate = ours[0].expect("a rate");
        for (mine, other) in ours[5..].iter().zip(&theirs[4..]) {
            let mine = mine.expect("each of our cells has a figure");
            let Some(other) = *other else { continue };
            // Where both fill the link they may be equal.
            let filled = other >= 0.9 * rate && mine >= other;
            assert!(mine > other || filled, "{ours:?} beside {theirs:?}");
            compared += 1;
        }
    }
    // All that have loss: five columns, and twice one.
    assert_eq!(compared, 21 * 7);
}

#[test]
fn the_same_cell_gives_the_same_figures() {
    let cell = cells()[0];
    let outcome = || {
        let outcome = run(&cell).expect("a pair that runs");
        (outcome.goodput.to_bits(), outcome.received, outcome.stats)
    };
    assert_eq!(outcome(), outcome());
}
