//! One UDP socket: batches in and out by GSO, GRO and recvmmsg where the kernel has them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use esp_wire::{Ecn, Input, Instant, SocketId, Train};
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

use super::fragments::Leave;
use super::icmp::{self, Answer};
use crate::DriverConfig;

/// Bytes that the kernel may merge into one receive (GRO).
const MERGED: usize = 65_535;
/// Receives in one call; more buy little and cost 64 KiB each.
const RECEIVES: usize = if BATCH_SIZE < 8 { BATCH_SIZE } else { 8 };

/// The buffers that all sockets of a shard receive into.
pub(super) struct Receiver {
    buffer: Vec<u8>,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Receiver {
            buffer: vec![0; RECEIVES * MERGED],
        }
    }

    /// Room for what streams read.
    pub(super) fn scratch(&mut self) -> &mut [u8] {
        &mut self.buffer[..MERGED]
    }
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
        // The system may give less than asked; it works with what it gives.
        let _ = state.set_recv_buffer_size((&socket).into(), config.socket_receive_buffer);
        let _ = state.set_send_buffer_size((&socket).into(), config.socket_send_buffer);
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
        let received = {
            let mut chunks = receiver.buffer.chunks_exact_mut(MERGED);
            let mut slices: [IoSliceMut<'_>; RECEIVES] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            self.state.recv((&self.io).into(), &mut slices, &mut metas)
        };
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Read::Empty,
            // An answer to an earlier send; the next read goes on behind it.
            Err(_) => return Read::Failed,
        };
        for (meta, chunk) in metas
            .iter()
            .zip(receiver.buffer.chunks_exact_mut(MERGED))
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
        if count < RECEIVES {
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
            self.state.try_send((&self.io).into(), &transmit)
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

#[cfg(any(target_os = "linux", target_os = "android"))]
fn is_loss(error: &io::Error) -> bool {
    use nix::errno::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMSGSIZE | Errno::ENOBUFS))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn is_loss(error: &io::Error) -> bool {
    quinn_udp::is_msg_size_err(error)
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
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use esp_wire::{Destination, Room};
    use mio::{Events, Poll};

    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn a_port_where_nobody_listens_is_told_and_others_hear_nothing_of_it() {
        let any = "127.0.0.1:0".parse().unwrap();
        let nobody = std::net::UdpSocket::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .unwrap();
        let (far, somebody) = Socket::bind(any, &DriverConfig::default()).unwrap();
        let (mut near, _) = Socket::bind(any, &DriverConfig::default()).unwrap();
        let mut poll = Poll::new().unwrap();
        poll.registry()
            .register(&mut near.io, Token(0), Interest::READABLE)
            .unwrap();
        let send = |remote| {
            let mut train = Train::with_capacity(1_500);
            train.begin(Room::default(), 100);
            assert!(train.push(b"is anybody there?"));
            train.set_destination(Destination {
                socket: SocketId(0),
                remote,
            });
            near.send(&mut train, &mut 0)
        };
        assert_eq!(send(nobody), Sent::Done);
        let mut events = Events::with_capacity(4);
        while events.iter().all(|event| !event.is_error()) {
            poll.poll(&mut events, Some(Duration::from_secs(60)))
                .unwrap();
            assert!(!events.is_empty(), "the system told nothing");
        }
        // The error that is still pending hits the next call, which is for somebody else.
        assert_eq!(send(somebody), Sent::Done);
        let mut told = Vec::new();
        near.read_answers(|remote, answer| {
            assert!(matches!(answer, Answer::Unreachable));
            told.push(remote);
        });
        assert_eq!(told, [nobody]);
        let mut receiver = Receiver::new();
        let mut heard = 0;
        far.read(SocketId(1), Instant::ZERO, &mut receiver, |_, _| heard += 1);
        assert_eq!(heard, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn leave_to_fragment_ends_with_the_train() {
        use nix::libc;
        use nix::sys::socket::getsockopt;
        use nix::{getsockopt_impl, sockopt_impl};

        sockopt_impl!(
            /// How it is.
            Discovery,
            GetOnly,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::c_int
        );
        let any = "127.0.0.1:0".parse().unwrap();
        let (socket, _) = Socket::bind(any, &DriverConfig::default()).unwrap();
        let now = || getsockopt(&socket.io, Discovery).unwrap();
        assert_eq!(now(), libc::IP_PMTUDISC_PROBE);
        let leave = Leave::take(&socket.io);
        assert_eq!(now(), libc::IP_PMTUDISC_DONT);
        drop(leave);
        assert_eq!(now(), libc::IP_PMTUDISC_PROBE);
    }

    /// A kernel that answers each send by what `answer` says of its number and size.
    fn sent(
        bytes: usize,
        most: &Cell<usize>,
        mut answer: impl FnMut(usize, usize) -> io::Result<()>,
    ) -> (Sent, usize, Vec<usize>) {
        let bytes = vec![0; bytes];
        let (mut progress, mut pieces, mut number) = (0, Vec::new(), 0);
        let sent = in_pieces(
            &bytes,
            100,
            &mut progress,
            || most.get(),
            |contents| {
                number += 1;
                answer(number, contents.len()).inspect(|()| pieces.push(contents.len()))
            },
        );
        (sent, progress, pieces)
    }

    fn errno(number: i32) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(number))
    }

    #[test]
    fn a_train_goes_on_one_by_one_where_the_kernel_cannot_segment() {
        let most = Cell::new(64);
        let (sent, progress, pieces) = sent(350, &most, |_, len| {
            if len > 100 {
                most.set(1);
                return errno(5);
            }
            Ok(())
        });
        assert_eq!((sent, progress), (Sent::Done, 350));
        assert_eq!(pieces, [100, 100, 100, 50]);
    }

    #[test]
    fn a_full_socket_keeps_the_rest() {
        let most = Cell::new(2);
        let full = |number, _| match number {
            1 => Ok(()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        let (sent, progress, pieces) = sent(350, &most, full);
        assert_eq!((sent, progress), (Sent::Full, 200));
        assert_eq!(pieces, [200]);
    }

    #[test]
    fn an_answer_to_an_earlier_datagram_costs_nothing() {
        let most = Cell::new(1);
        let refused = |number, _| match number {
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            _ => Ok(()),
        };
        let (outcome, progress, pieces) = sent(300, &most, refused);
        assert_eq!((outcome, progress), (Sent::Done, 300));
        assert_eq!(pieces, [100, 100, 100]);
        let never = |_, _| Err(io::ErrorKind::NetworkUnreachable.into());
        let (outcome, progress, _) = sent(300, &most, never);
        assert_eq!((outcome, progress), (Sent::Refused, 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_too_big_is_lost_and_not_unreachable() {
        let most = Cell::new(1);
        let (outcome, progress, pieces) = sent(250, &most, |_, len| match len {
            100 => errno(90),
            _ => Ok(()),
        });
        assert_eq!((outcome, progress), (Sent::Done, 250));
        assert_eq!(pieces, [50]);
    }
}
