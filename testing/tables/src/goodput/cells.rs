//! The cells of the table, and its text.

use super::{Cell, Outcome, Weather, line, run};

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

/// The buffers that a path gets in the table: the default where it holds the path twice.
fn buffer(rate: u64, rtt: u64) -> usize {
    match BUFFER as u64 >= 2 * rate * rtt * 125 {
        true => BUFFER,
        false => LARGE_BUFFER,
    }
}

/// All cells, in the order of the table.
pub fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    let few = &[0.0, 0.01][..];
    let weathers = [
        (Weather::Plain, &RATES[..], &ROUND_TRIPS[..], &LOSSES[..]),
        (Weather::Reordering, &RATES, &ROUND_TRIPS, few),
        (Weather::Bufferbloat, &RATES, &ROUND_TRIPS, few),
        (Weather::Long, &[1_000], &[200, 400], &[0.0, 0.001, 0.01]),
    ];
    for (weather, rates, round_trips, losses) in weathers {
        for &rate in rates {
            for &rtt in round_trips {
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
settings are the defaults but for two. The buffers are those of the row (send and receive, each): the default of 4 MiB
where that is twice the bandwidth-delay product (`BDP`), 64 MiB elsewhere. And interleaving is off, for which one channel
has no use: with it chunk headers are 4 bytes longer, which takes 0.4 %; str0m does not have it.

A cell ends when 64 MB have arrived, or what the link carries in 8 s, or after 60 s; the flow goes on beyond that. It shows
user data in Mbit/s that arrived, in order or ahead of what was missing, over the second half of these bytes, so that the
start of the flow is left out; over the last eighth at 1 Gbit/s and 200 or 400 ms, where 64 MB are less than five BDP.
Links are rated with all headers; 92.4 % can be user data in packets of this size. Loss is random and the same both ways.
str0m in the same cells: [goodput-str0m-2026-11.md](goodput-str0m-2026-11.md); how flows share a link:
[fairness.md](fairness.md).

What bounds the figures:

- **The start.** Without loss every row is within 10 % of the link but one: 1 Gbit/s at 400 ms with reordering. A window may
  double in a round trip at most (RFC 9260 §7.2.1), so that a flow's rate after V bytes is at most ln 2 · V a round trip:
  887 Mbit/s after 64 MB at 400 ms, less than 90 % of the link whatever is done. (Its other rows show more since their last
  eighth lies within one burst of a round trip.) Given more to move, the flow fills this path as well: the last section.
- **The buffers.** An ordered flow keeps what lies behind a missing packet, and a packet lost k times comes k + 1 round trips
  late. 4 MiB are 3.4 BDP at 100 Mbit/s and 100 ms and at 1 Gbit/s and 10 ms, too little from 2 % on: with 16 MiB these rows have
  91 and 87, 909 and 897 Mbit/s at 5 and 10 %, and the latter 909 with reordering and 1 %. 64 MiB are 2.7 BDP at 200 ms and 1.3 at 400 ms, which the last section shows; more would
  not help much, since SACKs count in 16 bits and end at 65,535 packets, 74 MB.
- **SACKs.** One packet of them tells of 283 gaps, the lowest ones (RFC 9260 §6.7), and a gap lasts a round trip at least: with
  loss p no more than 283 / p packets a round trip can be repaired in time. That is 512 Mbit/s at 50 ms and 10 % and at 100 ms
  and 5 %, 256 at 100 ms and 10 %, 64 at 400 ms and 10 %; cells with more end before it is felt.
- **What a path loses by itself is learned once.** Losses of 3 % over some hundred packets are taken for a queue that nobody
  feels, on trial: the window stays 30 % smaller until it shows that nothing has changed by that, for five round trips or so. The
  measured half of a cell at 10 Mbit/s and 400 ms is ten round trips, and a trial that falls into it makes 8.56 out of 9.1 at 2 %.
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
        (
            Weather::Long,
            "Time to fill the path (512 MB a cell, the second half of it measured)",
        ),
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
