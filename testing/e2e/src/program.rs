//! The real `esp-webrtc` program.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fmt};

use serde_json::Value;

use crate::{Outcome, process, wait};

/// Lines that are kept to explain a failure.
const LINES: usize = 60;

/// A running `esp-webrtc --events json ...`; it is ended when this is dropped.
pub struct Program {
    process: Child,
    events: Receiver<Value>,
    said: Arc<Mutex<VecDeque<String>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Where the program is; it is built first, with the profile of whoever calls.
    ///
    /// # Errors
    /// When it does not build.
    pub fn path() -> Outcome<&'static Path> {
        static BUILT: OnceLock<Outcome<PathBuf>> = OnceLock::new();
        BUILT.get_or_init(build).as_deref().map_err(String::clone)
    }

    /// Starts it with these arguments and `--events json`.
    ///
    /// # Errors
    /// When it does not build or start.
    pub fn start<A: AsRef<str>>(arguments: &[A]) -> Outcome<Self> {
        let mut command = Command::new(Program::path()?);
        command
            .args(arguments.iter().map(AsRef::as_ref))
            .args(["--events", "json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut process = command
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let (sender, events) = channel();
        let also = sender.clone();
        let mut readers = Vec::new();
        if let Some(out) = process.stdout.take() {
            readers.push(read(out, &said, move |line| {
                if let Ok(event @ Value::Object(_)) = serde_json::from_str(line) {
                    // Nobody waits for events any more.
                    let _ = sender.send(event);
                }
            }));
        }
        if let Some(err) = process.stderr.take() {
            // It has ended once both of its streams have: the last word may come by this one.
            readers.push(read(err, &said, move |_| {
                let _ = &also;
            }));
        }
        Ok(Program {
            process,
            events,
            said,
            readers,
        })
    }

    /// Waits for the event of this name, and gives it; those before it are passed over.
    ///
    /// # Errors
    /// When it does not come or the program ends.
    pub fn wait_for(&self, event: &str, patience: Duration) -> Outcome<Value> {
        self.wait_until(event, patience, |it| it["event"] == event)
    }

    /// Waits for an event that `is_it`; those before it are passed over.
    ///
    /// # Errors
    /// When it does not come or the program ends.
    pub fn wait_until(
        &self,
        what: &str,
        patience: Duration,
        is_it: impl Fn(&Value) -> bool,
    ) -> Outcome<Value> {
        let begun = Instant::now();
        loop {
            let left = patience.saturating_sub(begun.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if is_it(&event) => return Ok(event),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = patience.as_secs();
                    return Err(format!("no `{what}` within {seconds} s{}", self.said()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("it ended before `{what}`{}", self.said()));
                }
            }
        }
    }

    /// Passes over all events so far.
    pub fn forget(&self) {
        while self.events.try_recv().is_ok() {}
    }

    /// Everything it has said lately, for a failure's text.
    pub fn said(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(|line| format!("\n  | {line}")).collect()
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Presses Ctrl-C and waits until it has ended cleanly.
    ///
    /// # Errors
    /// When it does not end, or not cleanly.
    pub fn interrupt(mut self) -> Outcome<()> {
        process::signal(&self.process, "INT")?;
        let status = wait::until("it goes on after Ctrl-C", Duration::from_secs(120), || {
            self.process.try_wait().ok().flatten()
        })
        .map_err(|why| format!("{why}{}", self.said()))?;
        if status.success() {
            Ok(())
        } else {
            Err(format!("it ended with {status}{}", self.said()))
        }
    }

    /// Kills it without a word to anybody.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("process", &self.process.id())
            .finish_non_exhaustive()
    }
}

fn read(
    stream: impl Read + Send + 'static,
    said: &Arc<Mutex<VecDeque<String>>>,
    mut hear: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            hear(&line);
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == LINES {
                said.pop_front();
            }
            said.push_back(line);
        }
    })
}

/// Builds the program into the directory that the running one came from.
fn build() -> Outcome<PathBuf> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let mut directory = own.parent().unwrap_or(Path::new("."));
    if directory.ends_with("deps") {
        directory = directory.parent().unwrap_or(directory);
    }
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target = directory.parent().unwrap_or(directory);
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--package",
            "esp-cli",
            "--bin",
            "esp-webrtc",
        ])
        .args(["--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("`cargo build` could not be started: {error}"))?;
    if output.status.success() {
        Ok(directory.join(format!("esp-webrtc{}", env::consts::EXE_SUFFIX)))
    } else {
        let why = String::from_utf8_lossy(&output.stderr);
        Err(format!("the program does not build:\n{why}"))
    }
}
