//! A driver: its shards, its delivery threads, and how peers are opened on them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use esp_peer::{Error, Handler, PeerConfig};

use crate::connection::Connection;
use crate::pool::Pool;
use crate::resolver::Resolver;
use crate::shard::{Command, Handle, Shard};
use crate::{Clock, DriverConfig};

/// Carries any number of peers on a fixed number of threads.
///
/// Clones are the same driver. Its threads end when it and all of its connections are gone.
#[derive(Clone)]
pub struct Driver {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    config: DriverConfig,
    pool: Arc<Pool>,
    shards: Vec<Handle>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    next: AtomicUsize,
    /// For the kernel alone.
    _pattern: Option<socket2::Socket>,
}

impl Driver {
    /// Starts the threads of a driver.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for settings that make no sense, in words; else when the system gives no thread
    /// or no poll descriptor.
    pub fn start(config: DriverConfig) -> io::Result<Self> {
        let checked = config.check();
        checked.map_err(|why| io::Error::new(io::ErrorKind::InvalidInput, why))?;
        let clock = Clock::new();
        let pool = Pool::start(config.delivery_threads)?;
        let resolver = Arc::new(Resolver::new(config.resolve_timeout));
        let mut shards = Vec::new();
        let mut threads = Vec::new();
        for index in 0..config.shards.max(1) {
            let shard = Shard::new(
                clock,
                config.clone(),
                Some(Arc::clone(&pool)),
                Arc::clone(&resolver),
                index,
            )?;
            shards.push(shard.handle());
            threads.push(
                thread::Builder::new()
                    .name(format!("shard-{index}"))
                    .spawn(move || shard.run())?,
            );
        }
        Ok(Driver {
            inner: Arc::new(Inner {
                clock,
                config,
                pool,
                shards,
                threads: Mutex::new(threads),
                next: AtomicUsize::new(0),
                _pattern: crate::marks::pattern(),
            }),
        })
    }

    /// Opens a peer on one of the shards; its events go to `handler`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for settings that contradict each other, [`Error::Failed`] when the
    /// system has no random bytes or the driver has ended.
    pub fn open(&self, config: PeerConfig, handler: Box<dyn Handler>) -> Result<Connection, Error> {
        let next = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let shard = &self.inner.shards[next % self.inner.shards.len()];
        Connection::on_shard(self, shard.clone(), config, handler)
    }

    /// The clock that all peers of this driver share.
    pub fn clock(&self) -> Clock {
        self.inner.clock
    }

    pub(crate) fn config(&self) -> &DriverConfig {
        &self.inner.config
    }
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for shard in &self.shards {
            shard.send(Command::Stop);
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // What a peer holds may hold the last driver: its own thread cannot wait for itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a shard panicked");
            }
        }
        self.pool.stop();
    }
}
