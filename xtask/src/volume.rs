//! Much data, one large message, many channels.

use clap::Args;

use crate::run;

/// How much of each; 0 leaves it out.
#[derive(Args)]
pub(crate) struct Amounts {
    /// MB through one association, in messages of 64 KiB
    #[arg(long, value_name = "MB", default_value_t = 10_000)]
    megabytes: u64,
    /// MiB of one single message
    #[arg(long, value_name = "MIB", default_value_t = 1_024)]
    message: u64,
    /// Channels that are opened by both sides, used and closed, a thousand at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 65_000)]
    channels: u64,
    /// Channels that are open at the same time, at most 65,534
    #[arg(long, value_name = "NUMBER", default_value_t = 65_534)]
    at_once: u64,
}

/// Runs the example of the driver, optimized.
pub(crate) fn run(amounts: &Amounts) -> Result<(), String> {
    let numbers = [
        ("--megabytes", amounts.megabytes),
        ("--message", amounts.message),
        ("--channels", amounts.channels),
        ("--at-once", amounts.at_once),
    ];
    let options = numbers.map(|(name, number)| [name.to_owned(), number.to_string()]);
    let example = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "esp-driver",
        "--example",
        "volume",
        "--",
    ];
    let options = options.iter().flatten().map(String::as_str);
    run::cargo(&example.into_iter().chain(options).collect::<Vec<_>>())
}
