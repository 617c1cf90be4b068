//! One stream: connecting, the TLS handshake, bytes in and out, the end.
//!
//! 1. `Connecting`: the system connects; readiness or an error tells how it went.
//! 2. `Handshaking`: TLS, if there is any.
//! 3. `Open`: bytes both ways. The far end's half-close ends it: neither TURN nor ICE-TCP has a use
//!    for half a stream.
//! 4. `Lingering`: closed by the peer; what it had sent still goes out, and what comes is thrown away, lest
//!    the system answers it with a reset that overtakes our last bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};

use esp_wire::{Input, Instant, SocketId, Train};
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::Queue;
use crate::shard::tls::Tls;

/// Reads of one stream before the next one gets its turn.
const READS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Connecting { until: Instant },
    Handshaking { until: Instant },
    Open,
    Lingering { until: Instant },
}

/// A stream of a peer.
pub(super) struct Stream {
    pub(super) id: SocketId,
    pub(super) io: TcpStream,
    pub(super) token: usize,
    /// The listener that accepted it.
    pub(super) listener: Option<SocketId>,
    remote: SocketAddr,
    phase: Phase,
    tls: Option<Box<Tls>>,
    queue: Queue,
    limit: usize,
    /// Something was dropped since the queue was last known to have room.
    refused: bool,
    /// Writing failed, for this reason; it ends with the next look at it.
    failed: Option<String>,
}

/// What became of a train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Taken {
    /// Segments that did not fit and are gone.
    pub(in crate::shard) dropped: usize,
    /// The stream is broken and wants to be looked at.
    pub(in crate::shard) failed: bool,
}

impl Stream {
    /// Begins to connect.
    pub(super) fn connect(
        id: SocketId,
        local: Option<SocketAddr>,
        remote: SocketAddr,
        tls: Option<Tls>,
        until: Instant,
        limit: usize,
    ) -> io::Result<Self> {
        let io = match local {
            None => TcpStream::connect(remote)?,
            Some(local) => connect_from(local, remote)?,
        };
        let mut stream = Stream::new(id, io, remote, limit);
        stream.phase = Phase::Connecting { until };
        stream.tls = tls.map(Box::new);
        Ok(stream)
    }

    /// A stream that a listener took in.
    pub(super) fn accepted(
        id: SocketId,
        listener: SocketId,
        io: TcpStream,
        remote: SocketAddr,
        limit: usize,
    ) -> Self {
        // Without it, small frames wait for company; the stream works all the same.
        let _ = io.set_nodelay(true);
        let mut stream = Stream::new(id, io, remote, limit);
        stream.listener = Some(listener);
        stream
    }

    fn new(id: SocketId, io: TcpStream, remote: SocketAddr, limit: usize) -> Self {
        Stream {
            id,
            io,
            token: usize::MAX,
            listener: None,
            remote,
            phase: Phase::Open,
            tls: None,
            queue: Queue::default(),
            limit,
            refused: false,
            failed: None,
        }
    }

    /// When it must have come further.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Connecting { until }
            | Phase::Handshaking { until }
            | Phase::Lingering { until } => Some(until),
            Phase::Open => None,
        }
    }

    /// Why it is over, when its time is up.
    pub(super) fn expired(&self, now: Instant) -> Option<String> {
        let remote = self.remote;
        match self.phase {
            Phase::Connecting { until } if until <= now => {
                Some(format!("{remote}: no answer to the TCP connection"))
            }
            Phase::Handshaking { until } if until <= now => {
                Some(format!("{remote}: the TLS handshake takes too long"))
            }
            Phase::Lingering { until } if until <= now => Some(String::new()),
            _ => None,
        }
    }

    /// Whether the peer still hears of it.
    pub(super) fn is_heard(&self) -> bool {
        !matches!(self.phase, Phase::Lingering { .. })
    }

    /// Does what can be done now; `Ok(true)` when there is more to read, `Err` says why it is over.
    pub(super) fn drive(
        &mut self,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<bool, String> {
        if !self.establish(tell).map_err(|error| self.name(&error))? {
            return Ok(false);
        }
        let more = self
            .read(scratch, tell)
            .map_err(|error| self.name(&error))?;
        if let Some(reason) = self.failed.take() {
            return Err(reason);
        }
        self.flush().map_err(|error| self.name(&error))?;
        if !self.is_heard() && self.is_flushed() {
            return Err(String::new());
        }
        if self.refused && self.queue.len() <= self.limit / 2 {
            self.refused = false;
            tell(Input::Writable { socket: self.id });
        }
        Ok(more)
    }

    fn name(&self, error: &io::Error) -> String {
        format!("{}: {error}", self.remote)
    }

    /// `true` once bytes may flow.
    fn establish(&mut self, tell: &mut dyn FnMut(Input<'_>)) -> io::Result<bool> {
        if let Phase::Connecting { until } = self.phase {
            if let Some(error) = self.io.take_error()? {
                return Err(error);
            }
            match self.io.peer_addr() {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
            let _ = self.io.set_nodelay(true);
            self.phase = Phase::Handshaking { until };
        }
        if let Phase::Handshaking { .. } = self.phase {
            if let Some(tls) = &mut self.tls
                && !tls.handshake(&mut self.io)?
            {
                return Ok(false);
            }
            self.phase = Phase::Open;
            tell(Input::StreamOpened {
                stream: self.id,
                local: self.io.local_addr()?,
                remote: self.remote,
            });
        }
        Ok(true)
    }

    /// Hands on what has arrived; `true` when there may be more.
    fn read(&mut self, scratch: &mut [u8], tell: &mut dyn FnMut(Input<'_>)) -> io::Result<bool> {
        for _ in 0..READS {
            let read = match &mut self.tls {
                Some(tls) => tls.read(&mut self.io, scratch),
                None => self.io.read(scratch),
            };
            match read {
                Ok(0) => return Err(io::Error::other("the far end closed the stream")),
                Ok(count) if self.is_heard() => tell(Input::StreamBytes {
                    stream: self.id,
                    data: &mut scratch[..count],
                }),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Takes a train, segment by segment; what does not fit is dropped whole.
    pub(super) fn send(&mut self, train: &Train) -> Taken {
        let mut taken = Taken::default();
        let open = self.phase == Phase::Open && self.failed.is_none();
        for segment in train.segments() {
            if open && self.queue.len() + segment.len() <= self.limit {
                self.queue.push(segment);
            } else {
                taken.dropped += 1;
            }
        }
        self.refused |= taken.dropped > 0 && open;
        if open && let Err(error) = self.flush() {
            self.failed = Some(self.name(&error));
            taken.failed = true;
        }
        taken
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            return tls.flush(&mut self.io, &mut self.queue);
        }
        while !self.queue.is_empty() {
            match self.io.write(self.queue.front()) {
                Ok(count) => self.queue.consume(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn is_flushed(&self) -> bool {
        self.queue.is_empty() && self.tls.as_ref().is_none_or(|tls| !tls.wants_write())
    }

    /// The peer closes it; `true` when it is over at once, else it lingers.
    pub(super) fn close(&mut self, until: Instant, scratch: &mut [u8]) -> bool {
        if self.phase != Phase::Open || self.failed.is_some() {
            return true;
        }
        self.phase = Phase::Lingering { until };
        if let Some(tls) = &mut self.tls {
            tls.goodbye();
        }
        self.drive(scratch, &mut |_| {}).is_err()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The far end sees an end of the stream rather than a reset, where the system allows it.
        let _ = self.io.shutdown(Shutdown::Write);
    }
}

fn connect_from(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(
        Domain::for_address(remote),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_nonblocking(true)?;
    if local.port() != 0 {
        take_again(&socket)?;
        // A listener of ours has the port, too (RFC 6544 §7.1).
        share_port(&socket)?;
    }
    socket.bind(&SockAddr::from(local))?;
    match socket.connect(&SockAddr::from(remote)) {
        Ok(()) => {}
        Err(error) if is_under_way(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Lets a port be bound that streams which have ended still wait on. On Windows it can be anyway, and the option
/// would let others in.
pub(super) fn take_again(socket: &Socket) -> io::Result<()> {
    match cfg!(windows) {
        true => Ok(()),
        false => socket.set_reuse_address(true),
    }
}

/// Lets other sockets of this user have the same port.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn share_port(socket: &Socket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    Ok(setsockopt(socket, sockopt::ReusePort, &true)?)
}

/// Elsewhere a listener keeps its port for itself.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn share_port(_: &Socket) -> io::Result<()> {
    Ok(())
}

/// Whether the system goes on connecting: `EINPROGRESS`, or its like on Windows.
fn is_under_way(error: &io::Error) -> bool {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const IN_PROGRESS: i32 = nix::errno::Errno::EINPROGRESS as i32;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const IN_PROGRESS: i32 = 36;
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(IN_PROGRESS)
}
