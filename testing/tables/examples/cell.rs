//! Computes one cell of the goodput table: `cell RTT RATE LOSS [plain|reorder|bloat] [BUFFER MiB] [cubic|reno|..]`.

use esp_sctp::{Config, congestion::Algorithm};
use esp_tables::goodput::{Cell, Weather, run_with};
use std::time::Duration;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize| args.get(index).and_then(|text| text.parse::<f64>().ok());
    let weather = match args.get(3).map(String::as_str) {
        Some("reorder") => Weather::Reordering,
        Some("bloat") => Weather::Bufferbloat,
        _ => Weather::Plain,
    };
    let mut config = Config::default();
    match args.get(5).map(String::as_str) {
        Some("cubic") => config = config.with_congestion(Algorithm::Cubic),
        Some("reno") => config = config.with_congestion(Algorithm::Reno),
        _ => {}
    }
    let rtts = match number(0) {
        Some(0.0) | None => vec![1, 10, 20, 50, 100, 200, 400],
        Some(r) => vec![r as u64],
    };
    let losses = match number(2) {
        Some(l) if l >= 0.0 => vec![l],
        _ => vec![0.0, 0.001, 0.01, 0.02, 0.05, 0.1],
    };
    for rtt in rtts {
        for &loss in &losses {
            let cell = Cell {
                rtt,
                rate: number(1).unwrap_or(100.0) as u64,
                loss,
                weather,
                buffer: (number(4).unwrap_or(4.0) as usize) << 20,
            };
            match run_with(
                &cell,
                config.clone(),
                cell.volume(),
                Duration::from_secs(60),
            ) {
                Ok(o) => println!(
                    "rtt {rtt} loss {loss}: {:.2} Mbit/s, {} MB, rtx {} to {} red {} undone {} cwnd {} srtt {:?}",
                    o.goodput,
                    o.received >> 20,
                    o.stats.chunks_retransmitted,
                    o.stats.timeouts,
                    o.stats.congestion_events,
                    o.stats.spurious_events,
                    o.stats.congestion_window,
                    o.stats.rtt
                ),
                Err(e) => println!("{e}"),
            }
        }
    }
}
