//! A process in a namespace, and what it says.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::{Namespace, Outcome};

/// Lines that are kept to explain a failure.
const LINES: usize = 80;

type Said = Arc<Mutex<VecDeque<String>>>;

/// A process that is told lines and tells lines; it is ended when this is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Mutex<Receiver<String>>,
    said: Said,
    complaints: Said,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts a program in a namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(namespace: &Namespace, program: &str, arguments: &[String]) -> Outcome<Self> {
        let mut child = namespace.spawn_piped(program, arguments)?;
        let (said, complaints) = (Said::default(), Said::default());
        let (sender, lines) = channel();
        let mut readers = Vec::new();
        if let Some(out) = child.stdout.take() {
            readers.push(read(out, &said, Some(sender)));
        }
        if let Some(err) = child.stderr.take() {
            readers.push(read(err, &complaints, None));
        }
        Ok(Process {
            stdin: child.stdin.take(),
            child,
            lines: Mutex::new(lines),
            said,
            complaints,
            readers,
        })
    }

    /// Tells it a line.
    ///
    /// # Errors
    /// When it has ended.
    pub fn tell(&mut self, line: &str) -> Outcome<()> {
        let stdin = self.stdin.as_mut().ok_or("it listens no more")?;
        let told = writeln!(stdin, "{line}");
        told.map_err(|error| format!("it listens no more: {error}{}", self.said()))
    }

    /// The next line on its standard output.
    ///
    /// # Errors
    /// When none comes.
    pub fn line(&self, patience: Duration) -> Outcome<String> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.recv_timeout(patience).map_err(|error| {
            let why = match error {
                RecvTimeoutError::Timeout => "it said nothing",
                RecvTimeoutError::Disconnected => "it has ended",
            };
            format!("{why}{}", self.said())
        })
    }

    /// Waits until it says something with `text` in it, on standard output.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for(&self, text: &str, patience: Duration) -> Outcome<String> {
        let begun = Instant::now();
        loop {
            let line = self
                .line(patience.saturating_sub(begun.elapsed()))
                .map_err(|why| format!("no `{text}`: {why}"))?;
            if line.contains(text) {
                return Ok(line);
            }
        }
    }

    /// What it has said lately, for a failure's text.
    pub fn said(&self) -> String {
        text(&self.said) + &text(&self.complaints)
    }

    /// What it has said lately on its standard error, for a failure's text.
    pub fn complaints(&self) -> String {
        text(&self.complaints)
    }

    /// Kills it without a word to anybody.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

fn text(said: &Said) -> String {
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.iter().map(|line| format!("\n  | {line}")).collect()
}

fn read(
    stream: impl Read + Send + 'static,
    said: &Said,
    lines: Option<Sender<String>>,
) -> JoinHandle<()> {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() == LINES {
                said.pop_front();
            }
            said.push_back(line.clone());
            drop(said);
            if let Some(lines) = &lines {
                // Nobody waits for lines any more.
                let _ = lines.send(line);
            }
        }
    })
}
