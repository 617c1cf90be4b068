//! The cells of the table, and its text.

use super::{Cell, Outcome, VOLUME, Weather, line, run};

/// Round trips in ms.
const ROUND_TRIPS: [u64; 7] = [1, 10, 20, 50, 100, 200, 400];
/// Rates in Mbit/s.
const RATES: [u64; 3] = [10, 100, 1_000];
/// Loss each way.
const LOSSES: [f64; 6] = [0.0, 0.001, 0.01, 0.02, 0.05, 0.1];
/// The default buffers.
pub const BUFFER: usize = 4 << 20;
/// Buffers of a server that serves long fat paths.
pub const LARGE_BUFFER: usize = 64 << 20;

/// Buffers that do not hold the longest paths, which a cell is too short to fill.
pub const SHORT_BUFFER: usize = 16 << 20;

/// The buffers that a path gets in the table: the default where it holds the path twice, and less than
/// the path where a cell moves less than five times of what that holds.
fn buffer(rate: u64, rtt: u64) -> usize {
    let product = rate * rtt * 125;
    match (BUFFER as u64) >= 2 * product {
        true => BUFFER,
        false if VOLUME >= 5 * product => LARGE_BUFFER,
        false => SHORT_BUFFER,
    }
}

/// All cells, in the order of the table.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let weathers = [
        (Weather::Plain, &LOSSES[..]),
        (Weather::Reordering, &[0.0, 0.01][..]),
        (Weather::Bufferbloat, &[0.0, 0.01][..]),
    ];
    for (weather, losses) in weathers {
        for rate in RATES {
            for rtt in ROUND_TRIPS {
                for &loss in losses {
                    let buffer = buffer(rate, rtt);
                    cells.push(Cell {
                        rtt,
                        rate,
                        loss,
                        weather,
                        buffer,
                    });
                }
            }
        }
    }
    cells
}

const HEAD: &str = "# Goodput in virtual time

One association with one ordered channel and messages of 16 KiB, in datagrams of 1,200 bytes (DTLS 1.2
included; IP and UDP come on top), over a simulated link; written by `cargo xtask tables goodput`. All
settings are the defaults but for the buffers, which each row states (send and receive, each). A cell moves
what the link carries in 8 s, 64 MB at most, or runs for 60 s; it shows
user data in Mbit/s over the second half of what was received, so that the start of the flow is left out. At most 92 % of the link can be user data in packets of this size. Loss is random and the same
both ways. `BDP` is the bandwidth-delay product. Where 64 MB are less than five of it, a flow has hardly left its
start when the cell ends; the buffers of these rows do not hold it. str0m in the same cells:
[goodput-str0m-2026-11.md](goodput-str0m-2026-11.md); how flows share a link: [fairness.md](fairness.md).
";

/// The table as it stands in `docs/tables/goodput.md`.
pub fn table() -> String {
    let mut out = String::from(HEAD);
    for (weather, title) in [
        (
            Weather::Plain,
            "Loss (the queue holds one BDP, 64 KiB at least)",
        ),
        (
            Weather::Reordering,
            "Reordering (1 % of the packets come a quarter of a round trip late)",
        ),
        (Weather::Bufferbloat, "Bufferbloat (the queue holds 1 s)"),
    ] {
        section(&mut out, weather, title);
    }
    out
}

fn section(out: &mut String, weather: Weather, title: &str) {
    let all = cells();
    let cells: Vec<&Cell> = all.iter().filter(|cell| cell.weather == weather).collect();
    let losses = cells.iter().position(|cell| cell.rtt != cells[0].rtt);
    let losses = losses.unwrap_or(cells.len());
    line(out, &format!("\n## {title}\n"));
    let mut head = String::from("| link Mbit/s | RTT ms | BDP KiB | buffers MiB |");
    let mut rule = String::from("|---:|---:|---:|---:|");
    for cell in &cells[..losses] {
        head += &format!(" {} % lost |", percent(cell.loss));
        rule += "---:|";
    }
    line(out, &head);
    line(out, &rule);
    for row in cells.chunks(losses) {
        let first = row[0];
        let mut text = format!(
            "| {} | {} | {} | {} |",
            first.rate,
            first.rtt,
            first.product() >> 10,
            first.buffer >> 20
        );
        for cell in row {
            text += &format!(" {} |", figure(cell));
        }
        line(out, &text);
    }
}

fn percent(loss: f64) -> String {
    format!("{}", (loss * 1_000.0).round() / 10.0)
}

/// The text of a cell.
pub fn figure(cell: &Cell) -> String {
    match run(cell) {
        Ok(Outcome { goodput, .. }) => shown(goodput),
        Err(error) => error.to_string(),
    }
}

/// A figure with three digits.
pub fn shown(goodput: f64) -> String {
    match goodput {
        _ if goodput >= 100.0 => format!("{goodput:.0}"),
        _ if goodput >= 10.0 => format!("{goodput:.1}"),
        _ => format!("{goodput:.2}"),
    }
}
