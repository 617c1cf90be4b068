//! What a session waits for: events, channels, lines of the terminal, the end.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use esp_webrtc::Event;

use crate::failure::Failure;
use crate::trial::Verified;

/// Lines of the peer and the terminal that wait at most; further ones are dropped.
const MOST_LINES: usize = 256;

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Input {
    Event(Event),
    Channel(Said),
    Line(String),
    Stop,
}

/// What data channels say.
#[derive(Debug)]
pub(crate) enum Said {
    Opened {
        label: String,
        id: u16,
    },
    Closed {
        label: String,
        id: u16,
    },
    Text {
        label: String,
        text: String,
    },
    Binary {
        label: String,
        bytes: usize,
    },
    FileKept {
        name: String,
        bytes: u64,
        path: PathBuf,
    },
    FileRefused {
        name: String,
        reason: String,
    },
    FileSent {
        name: String,
        bytes: u64,
    },
    FileFailed {
        name: String,
        reason: String,
    },
    Verified(Verified),
    Different {
        reason: String,
    },
}

impl Said {
    /// There may be as many of these as the peer likes.
    fn is_noise(&self) -> bool {
        !matches!(
            self,
            Said::Verified(_) | Said::Different { .. } | Said::FileSent { .. }
        )
    }
}

/// Takes inputs from any thread.
#[derive(Clone)]
pub(crate) struct Inbox {
    sender: Sender<Input>,
    lines: Arc<AtomicUsize>,
}

impl Inbox {
    /// What must not be lost.
    pub(crate) fn put(&self, input: Input) {
        // Without a receiver the session has ended.
        let _ = self.sender.send(input);
    }

    /// What data channels say; noise is dropped when too much of it waits.
    pub(crate) fn say(&self, said: Said) {
        if !said.is_noise() {
            return self.put(Input::Channel(said));
        }
        if self.lines.fetch_add(1, Ordering::Relaxed) < MOST_LINES {
            self.put(Input::Channel(said));
        } else {
            self.lines.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Gives inputs to the session.
pub(crate) struct Inputs {
    receiver: Receiver<Input>,
    inbox: Inbox,
}

impl Inputs {
    /// Waits from now on for the end of the program, and for lines of the terminal.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let (sender, receiver) = channel();
        let inbox = Inbox {
            sender,
            lines: Arc::default(),
        };
        let inputs = Inputs { receiver, inbox };
        let inbox = inputs.inbox();
        on_interrupt(move || inbox.put(Input::Stop))?;
        let inbox = inputs.inbox();
        std::thread::Builder::new()
            .name("terminal".into())
            .spawn(move || {
                // Bounded by the size of a line that somebody types.
                for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                    inbox.put(Input::Line(line));
                }
            })
            .map_err(Failure::of)?;
        Ok(inputs)
    }

    /// Where to put inputs.
    pub(crate) fn inbox(&self) -> Inbox {
        self.inbox.clone()
    }

    /// The next input; none when `until` comes first.
    pub(crate) fn next(&self, until: Option<Instant>) -> Option<Input> {
        // An hour more or less is nothing for somebody who waits for ever.
        let patience = until.map_or(Duration::from_secs(3_600), |until| {
            until.saturating_duration_since(Instant::now())
        });
        match self.receiver.recv_timeout(patience) {
            Ok(input) => {
                if matches!(&input, Input::Channel(said) if said.is_noise()) {
                    self.inbox.lines.fetch_sub(1, Ordering::Relaxed);
                }
                Some(input)
            }
            Err(RecvTimeoutError::Timeout) => None,
            // Not while this has an inbox of its own.
            Err(RecvTimeoutError::Disconnected) => Some(Input::Stop),
        }
    }
}

/// Calls `stop` when the program is told to end; told twice, it ends at once.
pub(crate) fn on_interrupt(mut stop: impl FnMut() + Send + 'static) -> Result<(), Failure> {
    let mut told = false;
    ctrlc::set_handler(move || {
        if std::mem::replace(&mut told, true) {
            std::process::exit(130);
        }
        stop();
    })
    .map_err(Failure::of)
}
