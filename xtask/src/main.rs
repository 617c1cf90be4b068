//! Chores of the house: `cargo xtask --help`.

mod bench;
mod check;
mod dag;
mod fuzz;
mod prepare;
mod run;
mod tables;
mod volume;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the house.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Installs what is missing, then checks and tests everything: what has to pass before a change lands
    Test {
        /// Leave out format, lints and documentation
        #[arg(long)]
        only_tests: bool,
    },
    /// Checks that packages depend on each other only as ARCHITECTURE.md allows
    Dag,
    /// Installs what the tests need (browsers) where it is missing
    Prepare,
    /// Measures us beside other stacks and the limits of this machine: `bench data --rounds 5`
    Bench {
        /// `data`, `setup`, `memory` or `media`, then its options (`bench -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Makes one call between the program and a real browser and prints its figures
    Show {
        /// `chromium` or `firefox`
        #[arg(long, default_value = "chromium")]
        browser: String,
        /// Saves a picture of the page
        #[arg(long, value_name = "FILE.png")]
        screenshot: Option<String>,
    },
    /// Moves much data between a device and a real browser, checks every byte, and prints how fast it went
    Bulk {
        /// `chromium` or `firefox`; both when left out
        #[arg(long)]
        browser: Option<String>,
        /// How much goes each way
        #[arg(long, default_value_t = 256)]
        megabytes: u64,
        /// Bytes of each message: a power of two up to 1 MiB
        #[arg(long, default_value_t = 65_536)]
        message: u64,
    },
    /// Moves much between two peers of ours over real sockets, checks every byte, and prints how long it took
    Volume(volume::Amounts),
    /// Computes a table of what the engines do in virtual time and writes it to `docs/tables`
    Tables {
        /// Which one: `goodput`, `fairness`, `ice` or `str0m`
        name: String,
    },
    /// Makes many calls in one process and counts threads, sockets and memory
    Soak {
        /// How many calls, one after the other
        #[arg(long, default_value_t = 200)]
        calls: u32,
    },
    /// Fuzzes one target or all of them, with the stable compiler
    Fuzz {
        /// One of fuzz/targets; all when left out
        target: Option<String>,
        /// How long each runs
        #[arg(long, default_value_t = 60)]
        seconds: u32,
        /// Adds what earlier runs found to the kept corpus, as far as it covers more
        #[arg(long)]
        minimize: bool,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test { only_tests } => check::all(only_tests),
        Chore::Dag => dag::check(),
        Chore::Prepare => prepare::all(),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::Show {
            browser,
            screenshot,
        } => {
            let mut arguments = vec!["--browser", &browser];
            if let Some(file) = &screenshot {
                arguments.extend(["--screenshot", file]);
            }
            counterpart("show", &arguments)
        }
        Chore::Bulk {
            browser,
            megabytes,
            message,
        } => {
            let (megabytes, message) = (megabytes.to_string(), message.to_string());
            let mut arguments = vec!["--megabytes", &megabytes, "--message", &message];
            if let Some(browser) = &browser {
                arguments.extend(["--browser", browser]);
            }
            counterpart("bulk", &arguments)
        }
        Chore::Volume(amounts) => volume::run(&amounts),
        Chore::Tables { name } => tables::write(&name),
        Chore::Soak { calls } => counterpart("soak", &["--calls", &calls.to_string()]),
        Chore::Fuzz {
            target,
            seconds,
            minimize,
        } => fuzz::fuzz(target.as_deref(), seconds, minimize),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one of the programs of `testing/e2e`, optimized.
fn counterpart(name: &str, arguments: &[&str]) -> Result<(), String> {
    let run = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "esp-e2e",
        "--bin",
        name,
        "--",
    ];
    run::cargo(&[&run[..], arguments].concat())
}
