//! Rounds: every contender in turn, each in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::figure::{self, Figure, Sample};
use crate::report::{self, Part};
use crate::{Arguments, Suite, contender, plot, usage};

/// A contender that takes longer is ended and left out of the round.
const PATIENCE: Duration = Duration::from_secs(120);

/// Rounds of the memory suite: what it counts hardly varies, and slow contenders take long.
const MEMORY_ROUNDS: u32 = 2;

/// Measures, prints and draws.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let suites = match arguments.suite {
        Suite::All => vec![Suite::Data, Suite::Setup, Suite::Memory, Suite::Media],
        one => vec![one],
    };
    let known: Vec<&str> = suites.iter().flat_map(|it| contender::names(*it)).collect();
    let unknown = arguments
        .contender
        .iter()
        .find(|name| !known.contains(&name.as_str()));
    if let Some(name) = unknown {
        let mut known = known;
        known.sort_unstable();
        known.dedup();
        return Err(format!(
            "no contender {name} in this build; there are {}",
            known.join(", ")
        ));
    }
    let mut results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    if !arguments.contender.is_empty() || arguments.case.is_some() {
        // What was left out must not seem to be missing.
        results.push("part");
    }
    std::fs::create_dir_all(&results).map_err(|error| error.to_string())?;
    let mut parts = Vec::new();
    for suite in suites {
        let part = measure(arguments, suite);
        plot::draw(&results, &part)?;
        parts.push(part);
    }
    if arguments.suite == Suite::All {
        let command = format!(
            "cargo xtask bench all --rounds {} --seconds {}",
            arguments.rounds, arguments.seconds
        );
        write(&results.join("figures.md"), &report::page(&parts, &command))?;
    }
    if let Some(file) = &arguments.json {
        let figures: Vec<&Figure> = parts.iter().flat_map(|part| &part.figures).collect();
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        write(file, &(text + "\n"))?;
    }
    Ok(())
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// All rounds of one suite.
fn measure(arguments: &Arguments, suite: Suite) -> Part {
    let chosen: Vec<&str> = contender::names(suite)
        .into_iter()
        .filter(|name| {
            arguments.contender.is_empty() || arguments.contender.iter().any(|it| it == name)
        })
        .collect();
    let load = usage::load();
    let mut samples = Vec::new();
    let rounds = match (arguments.suite, suite) {
        (Suite::All, Suite::Memory) => arguments.rounds.min(MEMORY_ROUNDS),
        _ => arguments.rounds,
    };
    for round in 1..=rounds {
        for name in &chosen {
            eprintln!("{}, round {round} of {rounds}: {name}", suite.name());
            match one(arguments, suite, name) {
                Ok(found) => samples.extend(found.into_iter().map(|it| ((*name).to_owned(), it))),
                Err(why) => eprintln!("  {name}: {why}"),
            }
        }
    }
    let figures = figure::figures(&samples);
    println!("{}", figure::table(&figures));
    let heading = format!(
        "{}; {}; load {load} before, {} after",
        usage::today(),
        usage::machine(),
        usage::load()
    );
    println!("{heading}");
    Part {
        suite: suite.name(),
        heading,
        figures,
    }
}

/// One round of one contender.
fn one(arguments: &Arguments, suite: Suite, name: &str) -> Result<Vec<Sample>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .args([suite.name(), "--one", "--contender", name])
        .args(["--seconds", &arguments.seconds.to_string()]);
    if let Some(case) = &arguments.case {
        command.args(["--case", case]);
    }
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let output = child.stdout.take().ok_or("no output")?;
    let (to, lines) = mpsc::channel();
    let reader = thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    let mut samples = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => match serde_json::from_str(&line) {
                Ok(sample) => samples.push(sample),
                Err(_) => eprintln!("  {line}"),
            },
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Err(mpsc::RecvTimeoutError::Timeout) => {
                eprintln!("  {name}: ended after {} s of silence", PATIENCE.as_secs());
                let _ = child.kill();
                break;
            }
        }
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    let _ = reader.join();
    if !status.success() {
        eprintln!("  {name}: {status}");
    }
    Ok(samples)
}
