//! Rounds: every contender in turn, each in a process of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::figure::{self, Sample};
use crate::{Arguments, contender, plot, usage};

/// A contender that takes longer is ended and left out of the round.
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures, prints and draws.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let all = contender::names(arguments.suite);
    let chosen: Vec<&str> = if arguments.contender.is_empty() {
        all
    } else {
        let unknown = arguments
            .contender
            .iter()
            .find(|name| !all.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(format!("no contender {name}; there are {}", all.join(", ")));
        }
        all.into_iter()
            .filter(|name| arguments.contender.iter().any(|it| it == name))
            .collect()
    };
    let load = usage::load();
    let mut samples = Vec::new();
    for round in 1..=arguments.rounds {
        for name in &chosen {
            eprintln!("round {round} of {}: {name}", arguments.rounds);
            match one(arguments, name) {
                Ok(found) => samples.extend(found.into_iter().map(|it| ((*name).to_owned(), it))),
                Err(why) => eprintln!("  {name}: {why}"),
            }
        }
    }
    let figures = figure::figures(&samples);
    println!("{}", figure::table(&figures));
    println!("load before {load}, after {}", usage::load());
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&figures).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n")
            .map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    plot::draw(&results, arguments.suite.name(), &figures)
}

/// One round of one contender.
fn one(arguments: &Arguments, name: &str) -> Result<Vec<Sample>, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command
        .args([arguments.suite.name(), "--one", "--contender", name])
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
