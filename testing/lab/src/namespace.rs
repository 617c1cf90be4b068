//! A network of its own for processes and threads.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use nix::sched::{CloneFlags, setns, unshare};

use crate::Outcome;

type Job = (Command, Sender<io::Result<Child>>);

/// A network namespace without a name.
///
/// It lives as long as this, or a process in it. What [`spawn`](Self::spawn) starts ends with this.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    descriptor: OwnedFd,
    jobs: Option<Sender<Job>>,
    worker: Option<JoinHandle<()>>,
}

impl Namespace {
    /// Makes one, with its loopback up; `name` is for failures' texts alone.
    ///
    /// # Errors
    /// When this process is not root's.
    pub fn new(name: impl Into<String>) -> Outcome<Self> {
        let name = name.into();
        let (made, is_made) = channel();
        let (jobs, to_do) = channel::<Job>();
        let worker = thread::spawn(move || {
            let entered = unshare(CloneFlags::CLONE_NEWNET)
                .map_err(io::Error::from)
                .and_then(|()| File::open("/proc/thread-self/ns/net"));
            let done = entered.is_err();
            let _ = made.send(entered);
            if done {
                return;
            }
            // The processes that are started here end with this thread.
            for (mut command, answer) in to_do {
                let _ = answer.send(command.spawn());
            }
        });
        let file = is_made
            .recv()
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("no network namespace (the lab needs root): {error}"))?;
        let namespace = Namespace {
            name,
            descriptor: OwnedFd::from(file),
            jobs: Some(jobs),
            worker: Some(worker),
        };
        namespace.ip("link set lo up")?;
        Ok(namespace)
    }

    /// What it is called in failures' texts.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Does something in a thread that is in it: the sockets that it opens stay in it, and so do the processes
    /// that it starts.
    ///
    /// # Errors
    /// When it cannot be entered, or the work panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Outcome<T> {
        thread::scope(|scope| {
            let entered = scope.spawn(|| {
                setns(&self.descriptor, CloneFlags::CLONE_NEWNET).map_err(|error| {
                    format!("{}: the namespace cannot be entered: {error}", self.name)
                })?;
                Ok(work())
            });
            match entered.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }

    /// Starts a program in it, which the kernel ends with this namespace, or with this process.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(&self, program: &str, configure: impl FnOnce(&mut Command)) -> Outcome<Child> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", program]);
        configure(&mut command);
        let (answer, child) = channel();
        let jobs = self.jobs.as_ref().ok_or("the namespace is gone")?;
        jobs.send((command, answer))
            .map_err(|_| "the namespace is gone")?;
        child
            .recv()
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("{program} could not be started: {error}"))
    }

    /// As [`spawn`](Self::spawn), with a pipe to each of its three streams.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn_piped<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> Outcome<Child> {
        self.spawn(program, |command| {
            command
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
        })
    }

    /// Lets `ip` carry out these lines.
    ///
    /// # Errors
    /// What it says.
    pub fn ip(&self, lines: &str) -> Outcome<()> {
        self.feed("ip", &["-batch", "-"], lines)
    }

    /// Lets `nft` load these rules.
    ///
    /// # Errors
    /// What it says.
    pub fn nft(&self, rules: &str) -> Outcome<()> {
        self.feed("nft", &["-f", "-"], rules)
    }

    /// Sets values under `/proc/sys/net`.
    ///
    /// # Errors
    /// When one is refused.
    pub fn set(&self, values: &[(&str, &str)]) -> Outcome<()> {
        self.inside(|| {
            for (name, value) in values {
                let path = format!("/proc/sys/net/{name}");
                std::fs::write(&path, value).map_err(|error| format!("{path}: {error}"))?;
            }
            Ok(())
        })?
    }

    /// Where `ip` finds it.
    pub(crate) fn path(&self) -> String {
        let descriptor = self.descriptor.as_raw_fd();
        format!("/proc/{}/fd/{descriptor}", std::process::id())
    }

    fn feed(&self, program: &str, arguments: &[&str], text: &str) -> Outcome<()> {
        let mut child = self.spawn_piped(program, arguments)?;
        if let Some(mut stdin) = child.stdin.take() {
            // It may have ended over an earlier line; then it says so below.
            let _ = stdin.write_all(text.as_bytes());
        }
        let output = child
            .wait_with_output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("{program} in {}: {why}{text}", self.name))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(worker) = self.worker.take() {
            // It only starts processes.
            let _ = worker.join();
        }
    }
}
