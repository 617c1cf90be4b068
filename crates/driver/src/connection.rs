//! Our implementation of `PeerConnection`: a peer on a shard, seen from any thread.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, TryLockError};
use std::time::Duration;

use esp_peer::ice::SharedPacer;
use esp_peer::{
    ChannelConfig, Error, Handler, Peer, PeerConfig, PeerConnection, Report, RtpTransformer,
    TransformerSide,
};
use esp_wire::{Bytes, DataFrame, DataKind, Frame, IceServer, Instant, Kind, Role, Signal};

use crate::driver::Driver;
use crate::mailbox::{Desk, Mailbox};
use crate::outbox::{Outbox, Portion};
use crate::resolver::Resolver;
use crate::shard::{Command, Handle, Job, Key, Link, Shard};
use crate::{Clock, DriverConfig};

/// How often a caller looks whether `main_loop` has left it the shard.
const HANDOVER: Duration = Duration::from_millis(5);

/// A peer on a driver. Dropping it closes it.
pub struct Connection {
    shard: Handle,
    key: Key,
    link: Arc<Link>,
    closed: AtomicBool,
    /// The shard of a connection that its owner drives by [`PeerConnection::main_loop`].
    own: Option<Mutex<Shard>>,
    /// How long one `main_loop` waits for the network at most.
    main_loop_wait: Duration,
    /// Keeps the threads alive.
    _driver: Option<Driver>,
}

impl Connection {
    /// Opens a peer without any thread: nothing happens but in [`PeerConnection::main_loop`], which the
    /// owner calls over and over, and which makes the calls to `handler`.
    ///
    /// # Errors
    /// As for [`Driver::open`].
    pub fn open_manual(
        driver: DriverConfig,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Self, Error> {
        driver.check().map_err(Error::InvalidArgument)?;
        let clock = Clock::new();
        let resolver = Arc::new(Resolver::new(driver.resolve_timeout));
        let mut shard = Shard::new(clock, driver.clone(), None, resolver, 0).map_err(failed)?;
        let handle = shard.handle();
        let peer = Peer::new(fitted(config, &driver), clock.origin().map_err(failed)?)?;
        let (link, known) = link(&driver, &handle, handler);
        let key = shard.open(peer, Arc::clone(&link));
        let _ = known.set(key);
        Ok(Connection {
            shard: handle,
            key,
            link,
            closed: AtomicBool::new(false),
            own: Some(Mutex::new(shard)),
            main_loop_wait: driver.main_loop_wait,
            _driver: None,
        })
    }

    pub(crate) fn on_shard(
        driver: &Driver,
        shard: Handle,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Self, Error> {
        let origin = driver.clock().origin().map_err(failed)?;
        let peer = Peer::new(fitted(config, driver.config()), origin)?;
        let (link, known) = link(driver.config(), &shard, handler);
        let (answer, key) = channel();
        if !shard.send(Command::Open(Box::new(peer), Arc::clone(&link), answer)) {
            return Err(Error::Failed("the driver has ended".into()));
        }
        let key = key
            .recv()
            .map_err(|_| Error::Failed("the driver has ended".into()))?;
        let _ = known.set(key);
        Ok(Connection {
            shard,
            key,
            link,
            closed: AtomicBool::new(false),
            own: None,
            main_loop_wait: Duration::ZERO,
            _driver: Some(driver.clone()),
        })
    }

    /// Runs `work` on the peer in its shard and waits for the answer.
    fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Peer, Instant) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        const CLOSED: Error = Error::WrongState("the connection is closed");
        if self.closed.load(Ordering::Acquire) {
            return Err(CLOSED);
        }
        if self.shard.is_inside() {
            return Err(Error::WrongState(
                "a transformer cannot call the connection it works for",
            ));
        }
        let (answer, answered) = channel();
        let job: Job = Box::new(move |peer, now| {
            // Nobody listens any more when the caller was torn down; the work is done all the same.
            let _ = answer.send(work(peer, now));
        });
        if !self.shard.send(Command::Run(self.key, job)) {
            return Err(CLOSED);
        }
        let Some(own) = &self.own else {
            return answered.recv().map_err(|_| CLOSED)?;
        };
        loop {
            match own.try_lock() {
                Ok(mut shard) => shard.carry_out_commands(),
                Err(TryLockError::Poisoned(_)) => return Err(CLOSED),
                // `main_loop` runs in another thread: the command woke it.
                Err(TryLockError::WouldBlock) => {}
            }
            match answered.recv_timeout(HANDOVER) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Disconnected) => return Err(CLOSED),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Datagrams that were lost because a stream to a TURN server took them more slowly than they came.
    pub fn datagrams_dropped_by_streams(&self) -> u64 {
        self.link.stream_dropped()
    }

    /// Restarts ICE: new credentials and candidates are offered, the connection goes on meanwhile.
    ///
    /// # Errors
    /// As [`Peer::restart_ice`](esp_peer::Peer::restart_ice).
    pub fn restart_ice(&self) -> Result<(), Error> {
        self.run(|peer, now| peer.restart_ice(now))
    }

    fn call_shard(&self) {
        if self.link.call() {
            self.shard.call(self.key);
        }
    }
}

/// The queues of a new connection; the mailbox learns the key once it is known.
fn link(
    config: &DriverConfig,
    shard: &Handle,
    handler: Box<dyn Handler>,
) -> (Arc<Link>, Arc<std::sync::OnceLock<Key>>) {
    let known = Arc::new(std::sync::OnceLock::new());
    let resume = {
        let (shard, known) = (shard.clone(), Arc::clone(&known));
        Box::new(move || {
            if let Some(key) = known.get() {
                shard.call(*key);
            }
        })
    };
    let outbox = Outbox::new(config.media_outbox_bytes, config.data_outbox_bytes);
    let mailbox = Mailbox::new(handler, config.mailbox_bytes, resume);
    (Arc::new(Link::new(outbox, mailbox)), known)
}

/// Settings of a peer that shares its pace with all others of this process, and offers what the sockets of this
/// system can do.
fn fitted(mut config: PeerConfig, driver: &DriverConfig) -> PeerConfig {
    static PACER: LazyLock<SharedPacer> = LazyLock::new(SharedPacer::new);
    if driver.shared_pacing {
        config.ice.shared_pacer.get_or_insert_with(|| PACER.clone());
    }
    config.ecn &= crate::marks::are_told();
    config.largest_datagram = config.largest_datagram.min(driver.send_memory);
    config.ice.relays_apart |= driver.shared_port.is_some();
    config
}

fn failed(error: std::io::Error) -> Error {
    Error::Failed(error.to_string())
}

impl PeerConnection for Connection {
    fn new_connection(&self) -> Result<(), Error> {
        self.run(|peer, now| peer.new_connection(now))
    }

    fn update_ice_info(&self, role: Role, servers: &[IceServer]) -> Result<(), Error> {
        let servers = servers.to_vec();
        self.run(move |peer, now| peer.update_ice_info(now, role, &servers))
    }

    fn send_msg(&self, msg: &Signal<'_>) -> Result<(), Error> {
        let msg = msg.clone().into_owned();
        self.run(move |peer, now| peer.handle_signal(now, &msg))
    }

    fn signaling_restored(&self) -> Result<(), Error> {
        self.run(|peer, now| peer.signaling_restored(now))
    }

    fn send_audio(&self, frame: Frame<'_>) -> Result<(), Error> {
        self.link.outbox.push_media(Kind::Audio, frame)?;
        self.call_shard();
        Ok(())
    }

    fn send_video(&self, frame: Frame<'_>) -> Result<(), Error> {
        self.link.outbox.push_media(Kind::Video, frame)?;
        self.call_shard();
        Ok(())
    }

    fn send_data(&self, frame: DataFrame<'_>) -> Result<(), Error> {
        self.link.outbox.push_data(frame, Portion::Whole)?;
        self.call_shard();
        Ok(())
    }

    fn send_data_owned(
        &self,
        stream_id: u16,
        kind: DataKind,
        data: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let bytes = Bytes::Given(data);
        self.link
            .outbox
            .push(stream_id, kind, Portion::Whole, bytes)?;
        self.call_shard();
        Ok(())
    }

    fn send_data_part(&self, part: DataFrame<'_>, last: bool) -> Result<(), Error> {
        self.link.outbox.push_data(part, Portion::Part { last })?;
        self.call_shard();
        Ok(())
    }

    fn buffered_amount(&self, stream_id: u16) -> Result<usize, Error> {
        let waiting = self.link.outbox.buffered(stream_id)?;
        Ok(waiting + self.run(move |peer, _| peer.buffered_amount(stream_id))?)
    }

    fn set_buffered_amount_low_threshold(&self, stream_id: u16, bytes: usize) -> Result<(), Error> {
        self.link.outbox.set_low(stream_id, bytes);
        self.run(move |peer, _| peer.set_buffered_amount_low_threshold(stream_id, bytes))
    }

    fn create_data_channel(&self, config: ChannelConfig) -> Result<(), Error> {
        self.run(move |peer, now| peer.create_data_channel(now, config))
    }

    fn close_data_channel(&self, stream_id: u16) -> Result<(), Error> {
        if self.link.outbox.push_close(stream_id) {
            self.call_shard();
            return Ok(());
        }
        self.run(move |peer, now| peer.close_data_channel(now, stream_id))
    }

    fn request_keyframe(&self) -> Result<(), Error> {
        self.run(|peer, now| peer.request_keyframe(now))
    }

    fn main_loop(&self) -> Result<(), Error> {
        let Some(own) = &self.own else {
            return Ok(());
        };
        own.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .turn(Some(self.main_loop_wait))
            .map_err(failed)?;
        // Without the lock: what is called may call back.
        let mut desk = Desk::default();
        while self.link.mailbox.deliver(usize::MAX, &mut desk) {}
        Ok(())
    }

    fn disconnect(&self) -> Result<(), Error> {
        self.run(|peer, now| peer.disconnect(now))
    }

    fn query(&self) -> Result<Report, Error> {
        let dropped = self.link.mailbox.media_dropped();
        let stream_dropped = self.link.stream_dropped();
        let strays = self.shard.strays();
        self.run(move |peer, now| {
            let mut report = peer.report(now);
            report.media_dropped_by_application = dropped;
            report.stream_dropped = stream_dropped;
            report.shared_port_strays = strays;
            Ok(report)
        })
    }

    fn set_rtp_transformer(
        &self,
        side: TransformerSide,
        transformer: Option<Box<dyn RtpTransformer>>,
    ) -> Result<(), Error> {
        self.run(move |peer, _| peer.set_rtp_transformer(side, transformer))
    }

    fn paired_addr(&self) -> Option<SocketAddr> {
        self.run(|peer, _| Ok(peer.paired_addr())).ok().flatten()
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shard.send(Command::Close(self.key));
        if let Some(own) = &self.own
            && let Ok(mut shard) = own.try_lock()
        {
            shard.carry_out_commands();
        }
        self.link.outbox.clear(true);
        self.link.mailbox.close(!self.shard.is_inside());
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
