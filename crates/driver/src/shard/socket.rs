//! One UDP socket: batches in and out by GSO, GRO and recvmmsg where the kernel has them.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;

use esp_wire::{Ecn, Input, Instant, SocketId, Train};
use mio::net::UdpSocket;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

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
}

/// How a read ended.
pub(super) enum Read {
    /// The socket may have more.
    Some,
    /// The socket is empty.
    Empty,
}

/// How a send ended.
pub(super) enum Sent {
    /// The kernel has it.
    Done,
    /// The socket is full; the train must be kept.
    Full,
    /// The kernel refused it: no route, no such network, too big.
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
            // An ICMP answer to an earlier send; the next read goes on behind it.
            Err(_) => return Read::Some,
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
        let ecn = to_codepoint(train.ecn());
        let most = self.state.max_gso_segments().max(1);
        let Some((bytes, size)) = train.contiguous() else {
            return Sent::Done;
        };
        for contents in bytes[*progress..].chunks(size.max(1) * most) {
            let transmit = Transmit {
                destination: to.remote,
                ecn,
                contents,
                segment_size: (contents.len() > size).then_some(size),
                src_ip: None,
            };
            match self.state.try_send((&self.io).into(), &transmit) {
                Ok(()) => *progress += contents.len(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Sent::Full,
                Err(_) => return Sent::Refused,
            }
        }
        Sent::Done
    }
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
