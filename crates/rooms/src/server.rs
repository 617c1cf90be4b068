//! The server: its threads, and what its parts share.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use esp_wire::{IceServer, Rng};
use serde::Serialize;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::awake::Awake;
use crate::event::Counters;
use crate::listen::{self, Bound};
use crate::names::random;
use crate::rate::{Doors, Rates};
use crate::rooms::{Fault, Rooms};
use crate::routes::router;
use crate::{Config, Device, Error, Event, Limits, OnEvent, Refusal, Stats, device};

/// How long a stop waits for sockets to say goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A room server that runs on threads of its own until it is stopped or dropped.
///
/// Commands: [`start`](Server::start), [`stop`](Server::stop). Questions: [`addresses`](Server::addresses),
/// [`url`](Server::url), [`room_url`](Server::room_url), [`stats`](Server::stats).
pub struct Server {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
    addresses: Vec<SocketAddr>,
    roots: Vec<String>,
}

impl Server {
    /// Binds the listeners and serves. When this returns, clients can connect.
    ///
    /// # Errors
    /// [`Error::PortTaken`], [`Error::Bind`], [`Error::Misuse`] for settings that make no sense, and
    /// [`Error::System`] when there are no threads or no randomness.
    pub fn start(config: Config) -> Result<Self, Error> {
        config.limits.check()?;
        if config.listeners.is_empty() {
            return Err(Error::Misuse("there is nothing to listen on".to_owned()));
        }
        let bound = listen::bind(&config.listeners)?;
        let addresses = bound.iter().map(|bound| bound.address).collect();
        let roots = bound.iter().map(|b| b.sites.known[0].root()).collect();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("rooms")
            .enable_all()
            .build()
            .map_err(Error::System)?;
        let (stop, stopping) = watch::channel(false);
        let shared = Arc::new(Shared::new(config, stopping)?);
        let thread = std::thread::Builder::new()
            .name("rooms".to_owned())
            .spawn({
                let shared = shared.clone();
                move || run(runtime, shared, bound)
            })
            .map_err(Error::System)?;
        Ok(Server {
            shared,
            stop,
            thread: Some(thread),
            addresses,
            roots,
        })
    }

    /// Where it listens, in the order of the configuration; listeners that were passed over are left out.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The root URL of the first listener, without a slash at its end: `http://localhost:8080`.
    pub fn url(&self) -> &str {
        &self.roots[0]
    }

    /// The root URL of each listener, as [`Server::addresses`] are ordered.
    pub fn urls(&self) -> &[String] {
        &self.roots
    }

    /// The URL of a room's page on the first listener: `http://localhost:8080/r/demo`.
    pub fn room_url(&self, room: &str) -> String {
        format!("{}/r/{room}", self.url())
    }

    /// The URL of a device's page on the first listener: `http://localhost:8080/webrtc/test`.
    pub fn device_url(&self) -> String {
        format!("{}{}", self.url(), device::PAGE)
    }

    /// What it has counted, and what it holds now.
    pub fn stats(&self) -> Stats {
        let (rooms, clients) = self.shared.lock_rooms().count();
        let counters = &self.shared.counters;
        Stats {
            rooms: rooms as u64,
            clients: clients as u64,
            connections: self.shared.doors.count() as u64,
            requests: counters.requests.load(Ordering::Relaxed),
            relayed: counters.relayed.load(Ordering::Relaxed),
            dropped: counters.dropped.load(Ordering::Relaxed),
            expired: counters.expired.load(Ordering::Relaxed),
            refused: counters.refused_in_all(),
        }
    }

    /// How many requests were refused for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.shared.counters.refused(why)
    }

    /// Closes every connection and waits until its threads have ended. Calls go on without it.
    pub fn stop(mut self) {
        self.shut();
    }

    fn shut(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut();
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("urls", &self.roots)
            .finish_non_exhaustive()
    }
}

/// Owns the runtime, so that a `Server` can be dropped anywhere.
fn run(runtime: Runtime, shared: Arc<Shared>, bound: Vec<Bound>) {
    let mut stopping = shared.stopping();
    runtime.block_on(async {
        let router = router(shared.clone());
        let mut accepting = Vec::new();
        for bound in bound {
            let accept = listen::accept(shared.clone(), router.clone(), bound);
            accepting.push(tokio::spawn(accept));
        }
        accepting.push(tokio::spawn(sweep(shared.clone())));
        let _ = stopping.wait_for(|stop| *stop).await;
        for task in accepting {
            task.abort();
            let _ = task.await;
        }
        // WebSockets and event streams say goodbye; other connections are cut.
        let deadline = Instant::now() + GOODBYE;
        while shared.sessions.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    runtime.shutdown_timeout(GOODBYE);
}

/// Looks for silent clients and forgets full buckets.
async fn sweep(shared: Arc<Shared>) {
    let interval = shared.limits.sweep_interval();
    // Looked at every `interval`, a client of this age is found before it is `ghost_expiry` old.
    let silence = shared.limits.ghost_expiry.saturating_sub(interval);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (now, heard_by) = (Instant::now(), shared.awake());
        let expired = shared.with_rooms(|rooms| rooms.expire(heard_by, silence));
        let expired = expired as u64;
        shared
            .counters
            .expired
            .fetch_add(expired, Ordering::Relaxed);
        shared.rates.sweep(now);
        if let Some(device) = &shared.device
            && device.expire(heard_by, silence)
        {
            Counters::add(&shared.counters.expired);
        }
    }
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) ice_servers: Vec<IceEntry>,
    pub(crate) rates: Rates,
    pub(crate) doors: Arc<Doors>,
    /// What is served in the place of rooms.
    pub(crate) device: Option<Device>,
    /// WebSockets and event streams that are open.
    pub(crate) sessions: AtomicUsize,
    awake: Awake,
    counters: Counters,
    rooms: Mutex<Rooms>,
    on_event: Option<OnEvent>,
    stopping: watch::Receiver<bool>,
}

/// An ICE server as browsers take it (W3C `RTCIceServer`).
#[derive(Serialize)]
pub(crate) struct IceEntry {
    urls: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    username: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    credential: String,
}

impl From<IceServer> for IceEntry {
    fn from(server: IceServer) -> Self {
        IceEntry {
            urls: server.urls,
            username: server.username,
            credential: server.credential,
        }
    }
}

impl Shared {
    fn new(config: Config, stopping: watch::Receiver<bool>) -> Result<Self, Error> {
        let limits = config.limits;
        Ok(Shared {
            ice_servers: config.ice_servers.into_iter().map(IceEntry::from).collect(),
            rates: Rates::new(limits.rate, limits.burst),
            doors: Doors::new(limits.connections, limits.connections_per_address),
            device: config.device,
            sessions: AtomicUsize::new(0),
            // Each sweep looks at it.
            awake: Awake::new(Instant::now(), limits.sweep_interval() * 2),
            counters: Counters::default(),
            rooms: Mutex::new(Rooms::new(limits.clone(), Rng::new(random()?))),
            on_event: config.on_event,
            stopping,
            limits,
        })
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.clone()
    }

    /// The moment by which clients are heard and found silent.
    pub(crate) fn awake(&self) -> Instant {
        self.awake.at(Instant::now())
    }

    fn lock_rooms(&self) -> std::sync::MutexGuard<'_, Rooms> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with the rooms, then tells what came of it, unlocked.
    pub(crate) fn with_rooms<T>(&self, act: impl FnOnce(&mut Rooms) -> T) -> T {
        let mut rooms = self.lock_rooms();
        let result = act(&mut rooms);
        let events = rooms.take_events();
        drop(rooms);
        for event in &events {
            tracing::debug!(?event);
            self.tell(event);
        }
        result
    }

    pub(crate) fn relay(
        &self,
        room: &str,
        client: &str,
        text: String,
        bye: bool,
    ) -> Result<(), Fault> {
        let relayed = self.with_rooms(|rooms| rooms.relay(room, client, text, bye));
        match relayed {
            Ok(()) => Counters::add(&self.counters.relayed),
            Err(Fault::QueueFull) => Counters::add(&self.counters.dropped),
            Err(_) => {}
        }
        relayed
    }

    pub(crate) fn count_request(&self) {
        Counters::add(&self.counters.requests);
    }

    pub(crate) fn refuse(&self, remote: IpAddr, why: Refusal) {
        self.counters.refuse(why);
        tracing::debug!(%remote, ?why, "refused");
        self.tell(&Event::Refused { remote, why });
    }

    fn tell(&self, event: &Event) {
        if let Some(on_event) = &self.on_event {
            on_event(event);
        }
    }
}
