//! str0m in the same simulated network: `str0m goodput` and `str0m ice` print its figures for every
//! row of `docs/tables/goodput.md` and of the times in `docs/tables/ice.md`; `str0m cell RTT RATE LOSS
//! [BUFFER MiB]` and `str0m row RTT CANDIDATES BASES` print one.

mod goodput;
mod ice;

use std::process::ExitCode;
use std::time::Instant;

use esp_tables::goodput::{Cell, Weather};
use esp_wire::Instant as Virtual;

/// The version that stands in `Cargo.lock`.
const VERSION: &str = "0.25.0";

/// Turns virtual time into the only time that str0m knows.
#[derive(Clone, Copy, Debug)]
struct Clock(Instant);

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "an instant can only be had from the clock; all that follow are computed"
    )]
    fn new() -> Self {
        Clock(Instant::now())
    }

    /// How long ago that was, for those who watch the computing.
    fn age(self) -> std::time::Duration {
        self.0.elapsed()
    }

    fn at(self, now: Virtual) -> Instant {
        self.0 + std::time::Duration::from_nanos(now.as_nanos())
    }

    /// Rounded up, so that what is due then is due.
    fn back(self, at: Instant) -> Virtual {
        let nanos = at.saturating_duration_since(self.0).as_nanos();
        Virtual::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| args.get(at).and_then(|text| text.parse::<f64>().ok());
    match args.first().map(String::as_str) {
        Some("goodput") => print!("{}", goodput::table()),
        Some("ice") => print!("{}", ice::table()),
        Some("cell") => {
            let cell = Cell {
                rtt: number(1).unwrap_or(50.0) as u64,
                rate: number(2).unwrap_or(10.0) as u64,
                loss: number(3).unwrap_or(0.0),
                weather: Weather::Plain,
                buffer: (number(4).unwrap_or(4.0) as usize) << 20,
            };
            println!("{:?}", goodput::run(&cell));
        }
        Some("row") => {
            let row = [1, 2, 3].map(|at| number(at).unwrap_or(1.0) as u64);
            println!("{}", ice::row(row.into()));
        }
        _ => {
            eprintln!(
                "str0m goodput | ice | cell RTT RATE LOSS [BUFFER] | row RTT CANDIDATES BASES"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
