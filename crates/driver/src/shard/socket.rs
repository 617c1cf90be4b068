//! One UDP socket: batches in and out by GSO, GRO and recvmmsg where the kernel has them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use esp_wire::{Ecn, Input, Instant, SocketId, Train};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

use super::fragments::Leave;
use super::icmp::{self, Answer};
use crate::config::LEAST_MEMORY;
use crate::{DriverConfig, marks};

/// Bytes that the kernel may merge into one receive (GRO).
const MERGED: usize = 65_535;
/// Receives in one call at most; more buy little and cost 64 KiB each.
const RECEIVES: usize = if BATCH_SIZE < 8 { BATCH_SIZE } else { 8 };

/// The buffers that all sockets of a shard receive into.
pub(super) struct Receiver {
    buffer: Vec<u8>,
    /// Bytes of one receive: a run of merged datagrams, or one datagram.
    size: usize,
}

impl Receiver {
    /// Buffers that take no more than `memory`, see [`DriverConfig::receive_memory`].
    pub(super) fn new(memory: usize) -> Self {
        let size = match merges(memory) {
            true => MERGED,
            false => (memory / RECEIVES).max(LEAST_MEMORY),
        };
        let receives = (memory / size).clamp(1, RECEIVES);
        Receiver {
            buffer: vec![0; receives * size],
            size,
        }
    }

    /// Room for what streams read.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.buffer[..self.size]
    }
}

/// Whether there is room for what the kernel merges.
fn merges(memory: usize) -> bool {
    memory >= MERGED
}

/// How a read ended.
pub(super) enum Read {
    /// The socket may have more.
    Some,
    /// The socket is empty.
    Empty,
    /// The system gave an error instead.
    Failed,
}

impl Read {
    /// Whether a socket of which `failed` of `reads` reads gave nothing but an error is to be asked again before it
    /// calls. Windows calls only once it was told that the socket is empty.
    pub(super) fn goes_on(failed: usize, reads: usize) -> bool {
        failed < reads || cfg!(windows)
    }
}

/// How a send ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The kernel has it.
    Done,
    /// The socket is full; the train must be kept.
    Full,
    /// The kernel refused it: no route, no such network.
    Refused,
}

pub(super) struct Socket {
    pub(super) io: UdpSocket,
    state: UdpSocketState,
    pub(super) token: usize,
}

impl Socket {
    /// Opens a socket; the second value is its local address.
    pub(super) fn bind(local: SocketAddr, config: &DriverConfig) -> io::Result<(Self, SocketAddr)> {
        let socket = UdpSocket::bind(local)?;
        let state = UdpSocketState::new((&socket).into())?;
        marks::give_room(&socket);
        if !merges(config.receive_memory) {
            keep_apart(&socket);
        }
        // The system may give less than asked; it works with what it gives.
        let _ = state.set_recv_buffer_size((&socket).into(), config.socket_receive_buffer);
        let _ = state.set_send_buffer_size((&socket).into(), config.socket_send_buffer);
        #[cfg(unix)]
        // Without it, what the network answers is heard later, by silence.
        let _ = state.enable_transport_errors((&socket).into());
        let local = socket.local_addr()?;
        Ok((
            Socket {
                io: socket,
                state,
                token: usize::MAX,
            },
            local,
        ))
    }

    /// Has the shard told of what arrives. That there is room is told from [`Socket::await_room`] on: the kernel
    /// frees room with every datagram that leaves, and each time would wake the shard for nothing.
    pub(super) fn register(&mut self, registry: &Registry, token: usize) -> io::Result<()> {
        self.token = token;
        let interest = match cfg!(unix) {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        registry.register(&mut self.io, Token(token), interest)
    }

    /// Has the shard told once when a full socket takes datagrams again.
    pub(super) fn await_room(&self, registry: &Registry) {
        self.change_interest(registry, Interest::READABLE | Interest::WRITABLE);
    }

    /// The socket takes datagrams again.
    pub(super) fn on_room(&self, registry: &Registry) {
        self.change_interest(registry, Interest::READABLE);
    }

    #[cfg(unix)]
    fn change_interest(&self, registry: &Registry, interest: Interest) {
        use std::os::fd::AsRawFd;

        use mio::unix::SourceFd;

        let descriptor = self.io.as_raw_fd();
        let changed = registry.reregister(&mut SourceFd(&descriptor), Token(self.token), interest);
        if let Err(error) = changed {
            tracing::warn!(%error, "a full socket cannot be waited for");
        }
    }

    #[cfg(not(unix))]
    fn change_interest(&self, _: &Registry, _: Interest) {}

    /// Receives one batch and hands it on, one input for each run of merged datagrams.
    pub(super) fn read(
        &self,
        socket: SocketId,
        now: Instant,
        receiver: &mut Receiver,
        mut input: impl FnMut(Instant, Input<'_>),
    ) -> Read {
        let mut metas = [RecvMeta::default(); RECEIVES];
        let mut chunks = receiver.buffer.chunks_exact_mut(receiver.size);
        let receives = chunks.len();
        let received = {
            let mut slices: [IoSliceMut<'_>; RECEIVES] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            let slices = &mut slices[..receives];
            // The poll learns from it that the socket is empty, where it does not find out by itself.
            (self.io).try_io(|| self.state.recv((&self.io).into(), slices, &mut metas))
        };
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Empty,
            // An answer to an earlier send; the next read goes on behind it.
            Err(_) => return Read::Failed,
        };
        for (meta, chunk) in metas
            .iter()
            .zip(receiver.buffer.chunks_exact_mut(receiver.size))
            .take(count)
        {
            if meta.len == 0 {
                continue;
            }
            input(
                now,
                Input::Datagrams {
                    socket,
                    remote: meta.addr,
                    ecn: from_codepoint(meta.ecn),
                    size: meta.stride.max(1),
                    data: &mut chunk[..meta.len],
                },
            );
        }
        if count < receives {
            Read::Empty
        } else {
            Read::Some
        }
    }

    /// Sends a train from byte `progress` on, in as few calls as the kernel allows, and moves
    /// `progress` behind what was sent.
    pub(super) fn send(&self, train: &mut Train, progress: &mut usize) -> Sent {
        let Some(to) = train.destination() else {
            return Sent::Refused;
        };
        let (ecn, fragmentable) = (to_codepoint(train.ecn()), train.is_fragmentable());
        let Some((bytes, size)) = train.contiguous() else {
            return Sent::Done;
        };
        let leave = fragmentable.then(|| Leave::take(&self.io));
        // The kernel cuts trains only where each datagram fits the interface.
        let most = || match leave {
            Some(_) => 1,
            None => self.state.max_gso_segments(),
        };
        in_pieces(bytes, size, progress, most, |contents| {
            let transmit = Transmit {
                destination: to.remote,
                ecn,
                contents,
                segment_size: (contents.len() > size).then_some(size),
                src_ip: None,
            };
            (self.io).try_io(|| self.state.try_send((&self.io).into(), &transmit))
        })
    }

    /// Tells what the network said of destinations.
    pub(super) fn read_answers(&self, tell: impl FnMut(SocketAddr, Answer)) {
        icmp::read_answers(&self.io, tell);
    }
}

/// Sends `bytes` from `progress` on, `most` datagrams of `size` bytes at a time.
fn in_pieces(
    bytes: &[u8],
    size: usize,
    progress: &mut usize,
    most: impl Fn() -> usize,
    mut send: impl FnMut(&[u8]) -> io::Result<()>,
) -> Sent {
    let mut again = false;
    while *progress < bytes.len() {
        let at_once = most().max(1);
        let rest = &bytes[*progress..];
        let contents = &rest[..rest.len().min(size.max(1) * at_once)];
        match send(contents) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Full,
            // The interface cannot segment: from now on one by one, this piece too.
            Err(_) if contents.len() > size && most() < at_once => continue,
            // Full queues and datagrams that are too big are losses like any other.
            Err(error) if is_loss(&error) => {}
            // The socket may tell here what became of an earlier datagram.
            Err(_) if !again => {
                again = true;
                continue;
            }
            Err(_) => return Sent::Refused,
        }
        again = false;
        *progress += contents.len();
    }
    Sent::Done
}

/// Has the kernel hand datagrams over one by one: the library asks it to merge them.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn keep_apart(io: &UdpSocket) {
    use nix::sys::socket::{setsockopt, sockopt::UdpGroSegment};
    // A kernel that refuses does not know how to merge.
    let _ = setsockopt(io, UdpGroSegment, &false);
}

/// Elsewhere they are.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn keep_apart(_: &UdpSocket) {}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_loss(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMSGSIZE | Errno::ENOBUFS))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_loss(error: &io::Error) -> bool {
    /// `ENOBUFS` of the systems that come from BSD, and `WSAENOBUFS`.
    const NO_BUFFERS: i32 = if cfg!(windows) { 10_055 } else { 55 };
    quinn_udp::is_msg_size_err(error) || error.raw_os_error() == Some(NO_BUFFERS)
}

fn from_codepoint(ecn: Option<EcnCodepoint>) -> Ecn {
    match ecn {
        None => Ecn::NotEct,
        Some(EcnCodepoint::Ect0) => Ecn::Ect0,
        Some(EcnCodepoint::Ect1) => Ecn::Ect1,
        Some(EcnCodepoint::Ce) => Ecn::Ce,
    }
}

fn to_codepoint(ecn: Ecn) -> Option<EcnCodepoint> {
    match ecn {
        Ecn::NotEct => None,
        Ecn::Ect0 => Some(EcnCodepoint::Ect0),
        Ecn::Ect1 => Some(EcnCodepoint::Ect1),
        Ecn::Ce => Some(EcnCodepoint::Ce),
    }
}

#[cfg(test)]
mod tests;
