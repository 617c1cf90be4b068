//! `esp-tables NAME`: prints one of the tables.

use std::process::ExitCode;

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let table = match name.as_str() {
        "bandwidth" => esp_tables::bandwidth::table(),
        "goodput" => esp_tables::goodput::table(),
        "fairness" => esp_tables::goodput::fairness(),
        "ice" => esp_tables::ice::table(),
        other => {
            eprintln!("there is no table {other:?}; there are: bandwidth, fairness, goodput, ice");
            return ExitCode::FAILURE;
        }
    };
    print!("{table}");
    ExitCode::SUCCESS
}
