//! The thread of one medium, which runs while somebody wants its frames.

use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::Error;
use crate::pace::{Pacer, lock};

/// What a lane's thread does; times count from the generator's start.
pub(super) trait Engine: Send + 'static {
    /// A sink with what it wants.
    type Subscriber: Send;

    /// The thread begins; gives when the first frame is due.
    fn begin(&mut self, now: Duration) -> Duration;

    /// A frame is due; gives when the next one is. An error ends the lane.
    fn tick(
        &mut self,
        now: Duration,
        subscribers: &Mutex<Vec<Self::Subscriber>>,
    ) -> Result<Duration, Error>;
}

pub(super) struct Lane<E: Engine> {
    name: &'static str,
    origin: Instant,
    subscribers: Arc<Mutex<Vec<E::Subscriber>>>,
    failure: Arc<Mutex<Option<String>>>,
    state: Mutex<State<E>>,
}

enum State<E> {
    Idle(Box<E>),
    Running(Arc<Pacer>, JoinHandle<Box<E>>),
    /// The thread panicked, or could not be started.
    Lost,
}

impl<E: Engine> Lane<E> {
    pub(super) fn new(name: &'static str, origin: Instant, engine: E) -> Self {
        Lane {
            name,
            origin,
            subscribers: Arc::default(),
            failure: Arc::default(),
            state: Mutex::new(State::Idle(Box::new(engine))),
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        lock(&self.failure).clone()
    }

    /// Adds a subscriber; the first one starts the thread.
    pub(super) fn subscribe(&self, subscriber: E::Subscriber) -> Result<(), Error> {
        if let Some(why) = self.failure() {
            return Err(Error::misuse(format!("the source has ended: {why}")));
        }
        let mut state = lock(&self.state);
        lock(&self.subscribers).push(subscriber);
        match std::mem::replace(&mut *state, State::Lost) {
            State::Idle(engine) => *state = self.spawn(engine)?,
            State::Lost => return Err(Error::misuse("the source's thread has panicked")),
            running => *state = running,
        }
        Ok(())
    }

    fn spawn(&self, mut engine: Box<E>) -> Result<State<E>, Error> {
        let pacer = Arc::new(Pacer::default());
        let (origin, subscribers, failure) =
            (self.origin, self.subscribers.clone(), self.failure.clone());
        let waiting = pacer.clone();
        let handle = thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                let mut due = engine.begin(origin.elapsed());
                while !waiting.wait_until(origin + due) {
                    match engine.tick(origin.elapsed(), &subscribers) {
                        Ok(next) => due = next,
                        Err(error) => {
                            tracing::error!(%error, "a source has ended");
                            *lock(&failure) = Some(error.to_string());
                            break;
                        }
                    }
                }
                engine
            })?;
        Ok(State::Running(pacer, handle))
    }

    /// Takes subscribers out; the last one ends the thread, and waits for its end.
    pub(super) fn unsubscribe(&self, which: impl Fn(&E::Subscriber) -> bool) {
        let mut state = lock(&self.state);
        let mut subscribers = lock(&self.subscribers);
        subscribers.retain(|subscriber| !which(subscriber));
        let idle = subscribers.is_empty();
        drop(subscribers);
        let State::Running(pacer, handle) = &*state else {
            return;
        };
        // A sink that drops its capture in a call by this very thread cannot wait for its end.
        if !idle || handle.thread().id() == thread::current().id() {
            return;
        }
        pacer.stop();
        if let State::Running(_, handle) = std::mem::replace(&mut *state, State::Lost)
            && let Ok(engine) = handle.join()
        {
            *state = State::Idle(engine);
        }
    }
}

impl<E: Engine> Drop for Lane<E> {
    fn drop(&mut self) {
        if let State::Running(pacer, _) = &*lock(&self.state) {
            pacer.stop();
        }
    }
}
