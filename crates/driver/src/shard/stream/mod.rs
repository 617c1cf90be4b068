//! The streams and listeners of one peer, and its DTLS associations with servers.

mod connection;
mod queue;
#[cfg(feature = "openssl")]
mod secured;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{Input, Instant, SocketId, Train, Transport};
use mio::event::Source;
use mio::net::TcpListener;
use mio::{Interest, Registry, Token};
use slab::Slab;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use self::connection::Stream;
pub(super) use self::connection::Taken;
pub(super) use self::queue::Queue;
use super::registered::Registered;
use super::tls::Tls;
use crate::DriverConfig;
use crate::trust::TlsClient;

/// How long a stream that its peer closed may take to send the rest; in tests, longer than anything takes on a loaded
/// machine.
const LINGER: Duration = Duration::from_secs(if cfg!(test) { 60 } else { 1 });
/// Streams that one listener takes in before others get their turn.
const ACCEPTS: usize = 16;
/// Streams that wait in the system to be taken in.
const BACKLOG: i32 = 64;

/// What streams need of their shard.
pub(super) struct Tools<'a> {
    pub(super) registry: &'a Registry,
    pub(super) registered: &'a mut Slab<Registered>,
    /// The place of the peer, for what it registers.
    pub(super) place: usize,
    pub(super) config: &'a DriverConfig,
    pub(super) tls: &'a TlsClient,
    pub(super) now: Instant,
    /// What is read goes through here; any length but zero.
    pub(super) scratch: &'a mut [u8],
}

impl Tools<'_> {
    fn register(
        &mut self,
        id: SocketId,
        io: &mut impl Source,
        what: Interest,
    ) -> io::Result<usize> {
        let token = self
            .registered
            .insert(Registered::of_stream(self.place, id));
        match self.registry.register(io, Token(token), what) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.registered.remove(token);
                Err(error)
            }
        }
    }

    fn forget(&mut self, token: usize, io: &mut impl Source) {
        // Closing the descriptor deregisters it anyway.
        let _ = self.registry.deregister(io);
        self.registered.try_remove(token);
    }
}

/// A stream that is to be opened.
pub(super) struct Opening {
    pub(super) id: SocketId,
    pub(super) transport: Transport,
    pub(super) local: Option<SocketAddr>,
    pub(super) remote: SocketAddr,
    pub(super) server_name: Option<String>,
}

/// A DTLS association with a server.
trait Secured: Send {
    fn id(&self) -> SocketId;

    /// Does what can be done now; `Ok(true)` when there is more to read, `Err` says why it is over.
    fn drive(
        &mut self,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<bool, String>;

    /// Sends each datagram of a train in a record of its own.
    fn send(&mut self, train: &Train) -> Taken;

    /// Repeats what was lost; `Err` says why it is over.
    fn handle_timeout(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<(), String>;

    fn deadline(&self) -> Option<Instant>;

    /// Says that nothing more will be sent.
    fn goodbye(&mut self);

    /// Gives its socket up.
    fn forget(&mut self, tools: &mut Tools<'_>);
}

#[cfg(feature = "openssl")]
fn secure(tools: &mut Tools<'_>, opening: &Opening) -> Result<Box<dyn Secured>, String> {
    Ok(Box::new(secured::Association::connect(tools, opening)?))
}

#[cfg(not(feature = "openssl"))]
fn secure(_: &mut Tools<'_>, opening: &Opening) -> Result<Box<dyn Secured>, String> {
    let remote = opening.remote;
    Err(format!(
        "{remote}: DTLS to servers needs a build with the feature `openssl`"
    ))
}

struct Listener {
    id: SocketId,
    io: TcpListener,
    token: usize,
}

/// The streams and listeners of one peer; how a stream ends is told by [`Input::Closed`].
#[derive(Default)]
pub(super) struct Streams {
    streams: Vec<Stream>,
    secured: Vec<Box<dyn Secured>>,
    listeners: Vec<Listener>,
    accepted: u16,
    /// A stream broke while it was written to.
    failed: bool,
}

impl Streams {
    /// Begins to open a stream.
    ///
    /// # Errors
    /// In words, when it fails at once; nothing more is told then.
    pub(super) fn open(&mut self, tools: &mut Tools<'_>, opening: Opening) -> Result<(), String> {
        if opening.transport == Transport::Dtls {
            self.secured.push(secure(tools, &opening)?);
            return Ok(());
        }
        let Opening { id, remote, .. } = opening;
        let tls = match opening.transport {
            Transport::Tcp => None,
            Transport::Tls => {
                let name = opening.server_name.as_deref();
                Some(Tls::new(tools.tls, name, remote).map_err(|why| format!("{remote}: {why}"))?)
            }
            Transport::Udp | Transport::Dtls => return Err("UDP has no streams".into()),
        };
        let until = tools.now + tools.config.stream_connect_timeout;
        let limit = tools.config.stream_queue_bytes;
        Stream::connect(id, opening.local, remote, tls, until, limit)
            .and_then(|stream| self.insert(tools, stream))
            .map_err(|error| format!("{remote}: {error}"))
    }

    fn insert(&mut self, tools: &mut Tools<'_>, mut stream: Stream) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        stream.token = tools.register(stream.id, &mut stream.io, both)?;
        self.streams.push(stream);
        Ok(())
    }

    /// Opens a listener; its local address.
    pub(super) fn listen(
        &mut self,
        tools: &mut Tools<'_>,
        id: SocketId,
        local: SocketAddr,
    ) -> io::Result<SocketAddr> {
        let socket = Socket::new(
            Domain::for_address(local),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        if local.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        if local.port() != 0 {
            connection::take_again(&socket)?;
        }
        socket.bind(&SockAddr::from(local))?;
        socket.listen(BACKLOG)?;
        // Streams may be opened from this port. Only now, so that nobody else gets to listen on it.
        connection::share_port(&socket)?;
        let mut io = TcpListener::from_std(socket.into());
        let local = io.local_addr()?;
        let token = tools.register(id, &mut io, Interest::READABLE)?;
        self.listeners.push(Listener { id, io, token });
        Ok(local)
    }

    /// Whether there is such a stream.
    pub(super) fn has(&self, id: SocketId) -> bool {
        self.streams.iter().any(|stream| stream.id == id)
    }

    /// Does what a stream or listener can do now; `true` when it can do more.
    pub(super) fn drive(
        &mut self,
        tools: &mut Tools<'_>,
        id: SocketId,
        tell: &mut dyn FnMut(Input<'_>),
    ) -> bool {
        if let Some(at) = self.listeners.iter().position(|other| other.id == id) {
            return self.accept(tools, at, tell);
        }
        if let Some(at) = self.secured.iter().position(|one| one.id() == id) {
            let driven = self.secured[at].drive(tools.scratch, tell);
            return driven.unwrap_or_else(|reason| {
                self.end_secured(tools, at, &reason, tell);
                false
            });
        }
        let Some(at) = self.streams.iter().position(|stream| stream.id == id) else {
            return false;
        };
        match self.streams[at].drive(tools.scratch, tell) {
            Ok(more) => more,
            Err(reason) => {
                self.end(tools, at, &reason, tell);
                false
            }
        }
    }

    fn end(
        &mut self,
        tools: &mut Tools<'_>,
        at: usize,
        reason: &str,
        tell: &mut dyn FnMut(Input<'_>),
    ) {
        let mut stream = self.streams.swap_remove(at);
        tools.forget(stream.token, &mut stream.io);
        if stream.is_heard() {
            tell(Input::Closed {
                socket: stream.id,
                reason,
            });
        }
    }

    fn end_secured(
        &mut self,
        tools: &mut Tools<'_>,
        at: usize,
        reason: &str,
        tell: &mut dyn FnMut(Input<'_>),
    ) {
        let mut secured = self.secured.swap_remove(at);
        secured.forget(tools);
        let socket = secured.id();
        tell(Input::Closed { socket, reason });
    }

    fn accept(
        &mut self,
        tools: &mut Tools<'_>,
        at: usize,
        tell: &mut dyn FnMut(Input<'_>),
    ) -> bool {
        for _ in 0..ACCEPTS {
            let listener = &self.listeners[at];
            let id = listener.id;
            let (io, remote) = match listener.io.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(error) if is_of_one_stream(&error) => continue,
                Err(error) => {
                    tracing::warn!(%error, "a stream cannot be taken in");
                    return false;
                }
            };
            let many = self
                .streams
                .iter()
                .filter(|stream| stream.listener.is_some());
            if many.count() >= tools.config.accepted_streams {
                tracing::debug!(%remote, "one stream too many");
                continue;
            }
            let Ok(local) = io.local_addr() else {
                continue;
            };
            let name = self.fresh_name(id);
            let limit = tools.config.stream_queue_bytes;
            let stream = Stream::accepted(name, id, io, remote, limit);
            match self.insert(tools, stream) {
                Ok(()) => tell(Input::StreamOpened {
                    stream: name,
                    local,
                    remote,
                }),
                Err(error) => tracing::warn!(%error, "a stream cannot be watched"),
            }
        }
        true
    }

    fn fresh_name(&mut self, listener: SocketId) -> SocketId {
        loop {
            let name = listener.accepted(self.accepted);
            self.accepted = self.accepted.wrapping_add(1);
            if !self.has(name) {
                return name;
            }
        }
    }

    /// Hands a train to a stream; `None` when there is no such stream.
    pub(super) fn send(&mut self, id: SocketId, train: &Train) -> Option<Taken> {
        if let Some(secured) = self.secured.iter_mut().find(|one| one.id() == id) {
            return Some(secured.send(train));
        }
        let stream = self.streams.iter_mut().find(|stream| stream.id == id)?;
        let taken = stream.send(train);
        self.failed |= taken.failed;
        Some(taken)
    }

    /// Ends the streams that broke while they were written to; `true` when there were some.
    pub(super) fn reap(&mut self, tools: &mut Tools<'_>, tell: &mut dyn FnMut(Input<'_>)) -> bool {
        if !std::mem::take(&mut self.failed) {
            return false;
        }
        for at in (0..self.streams.len()).rev() {
            // Whatever it still had to say comes first.
            if let Err(reason) = self.streams[at].drive(tools.scratch, tell) {
                self.end(tools, at, &reason, tell);
            }
        }
        true
    }

    /// Closes a stream or listener; nothing more is told about it.
    pub(super) fn close(&mut self, tools: &mut Tools<'_>, id: SocketId) {
        if let Some(at) = self.listeners.iter().position(|other| other.id == id) {
            let mut listener = self.listeners.swap_remove(at);
            tools.forget(listener.token, &mut listener.io);
        }
        if let Some(at) = self.secured.iter().position(|one| one.id() == id) {
            self.secured[at].goodbye();
            self.end_secured(tools, at, "", &mut |_| {});
        }
        if let Some(at) = self.streams.iter().position(|stream| stream.id == id)
            && self.streams[at].close(tools.now + LINGER, tools.scratch)
        {
            self.end(tools, at, "", &mut |_| {});
        }
    }

    /// When [`Streams::handle_timeout`] wants to be called.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let secured = self.secured.iter().filter_map(|one| one.deadline());
        let streams = self.streams.iter().filter_map(Stream::deadline);
        streams.chain(secured).min()
    }

    /// Ends what has taken too long.
    pub(super) fn handle_timeout(
        &mut self,
        tools: &mut Tools<'_>,
        tell: &mut dyn FnMut(Input<'_>),
    ) {
        for at in (0..self.streams.len()).rev() {
            if let Some(reason) = self.streams[at].expired(tools.now) {
                self.end(tools, at, &reason, tell);
            }
        }
        for at in (0..self.secured.len()).rev() {
            let now = tools.now;
            if let Err(reason) = self.secured[at].handle_timeout(now, tools.scratch, tell) {
                self.end_secured(tools, at, &reason, tell);
            }
        }
    }

    /// Ends everything at once.
    pub(super) fn release(&mut self, tools: &mut Tools<'_>) {
        let streams = self.streams.iter().map(|stream| stream.id);
        let ids: Vec<_> = streams
            .chain(self.secured.iter().map(|one| one.id()))
            .collect();
        for id in ids {
            self.close(tools, id);
        }
        for at in (0..self.streams.len()).rev() {
            self.end(tools, at, "", &mut |_| {});
        }
        for mut listener in self.listeners.drain(..) {
            tools.forget(listener.token, &mut listener.io);
        }
    }
}

/// Errors of `accept` that concern a stream that is gone again.
fn is_of_one_stream(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}
