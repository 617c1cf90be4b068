//! Measures us, other stacks and the limits of the machine in turn.
//!
//! The first process plans: for each round and each contender it starts itself once more, so that
//! memory, CPU and threads of one contender never stand in the figures of another, and prints
//! and draws what those processes report.

mod contender;
mod figure;
mod ice;
mod observe;
mod plan;
mod plot;
mod report;
mod suite;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

#[global_allocator]
static HEAP: usage::Counting = usage::Counting;

/// Measures us beside other stacks and beside the limits of the machine.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Arguments {
    /// What to measure
    suite: Suite,
    /// How often everything is measured, contenders in turn
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Writes the figures to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Only these contenders (see README.md), comma-separated
    #[arg(long, visible_alias = "contenders", value_delimiter = ',')]
    contender: Vec<String>,
    /// Only cases whose name contains this
    #[arg(long)]
    case: Option<String>,
    /// Seconds that each case of data and media is measured
    #[arg(long, default_value_t = 1.5)]
    seconds: f64,
    /// Measures in this process and prints samples as lines of JSON: what the plan starts
    #[arg(long, hide = true)]
    one: bool,
}

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// Goodput and CPU of data channels
    Data,
    /// Time and CPU from nothing to an open channel
    Setup,
    /// Heap and RSS of idle peers
    Memory,
    /// RTP packets and their CPU
    Media,
    /// All of them, one after the other
    All,
}

impl Suite {
    /// Its name on the command line and of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Suite::Data => "data",
            Suite::Setup => "setup",
            Suite::Memory => "memory",
            Suite::Media => "media",
            Suite::All => "all",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.one {
        suite::run(&arguments)
    } else {
        plan::run(&arguments)
    };
    // Threads of a contender may still be in their loops: nothing waits for them.
    match done {
        Ok(()) => std::process::exit(0),
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(1)
        }
    }
}
