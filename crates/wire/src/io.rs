//! What passes between a peer and the driver that does its I/O.

use std::net::{IpAddr, SocketAddr};

/// Names a socket or a stream of one peer; the peer chooses it, the driver answers under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

impl SocketId {
    /// Numbers come in runs of this length, one run for each call of a peer.
    pub const SPAN: u32 = 1 << 16;
    /// In each run, the numbers from this one on are the driver's, for the streams that it accepts.
    pub const ACCEPTED: u32 = 1 << 15;

    /// The name of the `n`th stream that the listener `self` accepted: in the run of the listener,
    /// and never one that a peer chooses. It comes again after 32,768 streams.
    pub fn accepted(self, n: u16) -> SocketId {
        let run = self.0 - self.0 % Self::SPAN;
        SocketId(run + Self::ACCEPTED + u32::from(n) % Self::ACCEPTED)
    }

    /// Whether the driver chose it, for a stream that a listener accepted.
    pub fn is_accepted(self) -> bool {
        self.0 % Self::SPAN >= Self::ACCEPTED
    }
}

/// Names a question to the resolver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u32);

/// Where a train goes: out of this socket, to this address (for a stream, its far end).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// The socket or stream to send on.
    pub socket: SocketId,
    /// The far end.
    pub remote: SocketAddr,
}

/// The ECN field of the IP header (RFC 3168 §5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ecn {
    /// Not ECN-capable.
    #[default]
    NotEct,
    /// ECN-capable, ECT(1).
    Ect1,
    /// ECN-capable, ECT(0).
    Ect0,
    /// Congestion experienced.
    Ce,
}

/// What a stream runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Datagrams.
    Udp,
    /// A plain TCP stream.
    Tcp,
    /// A TLS stream over TCP; the driver ends the TLS.
    Tls,
    /// Datagrams in DTLS over UDP (RFC 7350); the driver ends the DTLS. It is opened as a stream is, but each
    /// [`Input::StreamBytes`] is one whole datagram, each datagram of a train goes alone, and some get
    /// lost.
    Dtls,
}

/// One address of one network interface that is up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interface {
    /// The system's name of the interface.
    pub name: String,
    /// The system's number of the interface, the IPv6 scope.
    pub index: u32,
    /// One of its addresses.
    pub address: IpAddr,
}

/// What the driver tells a peer.
#[derive(Debug)]
pub enum Input<'a> {
    /// Datagrams of one sender, `size` bytes each but for the last, which may be shorter. They are
    /// decrypted in place.
    Datagrams {
        /// The socket that received them.
        socket: SocketId,
        /// Who sent them.
        remote: SocketAddr,
        /// Their ECN mark.
        ecn: Ecn,
        /// Size of each datagram but the last.
        size: usize,
        /// The datagrams, one behind the other.
        data: &'a mut [u8],
    },
    /// Answer to [`Action::Bind`] or [`Action::Listen`]: the socket is open.
    Bound {
        /// The socket.
        socket: SocketId,
        /// Its local address.
        local: SocketAddr,
    },
    /// Answer to [`Action::OpenStream`]: the stream is up, TLS included. Also a stream that was
    /// accepted by a listener; the driver names it by [`SocketId::accepted`], and its local address is
    /// that of the listener.
    StreamOpened {
        /// The stream.
        stream: SocketId,
        /// Its local address.
        local: SocketAddr,
        /// Its far end.
        remote: SocketAddr,
    },
    /// Bytes of a stream, cut anywhere.
    StreamBytes {
        /// The stream.
        stream: SocketId,
        /// The bytes.
        data: &'a mut [u8],
    },
    /// The socket or stream could not be opened, or has ended.
    Closed {
        /// The socket or stream.
        socket: SocketId,
        /// The system's word for it, for logs and reports.
        reason: &'a str,
    },
    /// A socket that was full takes datagrams again; a stream that had to drop some, too.
    Writable {
        /// The socket.
        socket: SocketId,
    },
    /// The network said that a destination cannot be reached (ICMP).
    Unreachable {
        /// The socket that sent.
        socket: SocketId,
        /// The destination.
        remote: SocketAddr,
    },
    /// The network said that datagrams were too big for a destination (ICMP; RFC 8899 §4.6).
    TooBig {
        /// The socket that sent.
        socket: SocketId,
        /// The destination; without its port where the system does not tell it.
        remote: SocketAddr,
        /// Bytes of the largest datagram that fits, without the headers of IP and UDP.
        size: usize,
    },
    /// Answer to [`Action::Resolve`]; no address when the name is unknown or time ran out.
    Resolved {
        /// The question.
        query: QueryId,
        /// The addresses, best first.
        addresses: &'a [IpAddr],
    },
    /// The addresses of this host, at the start and whenever they change.
    Interfaces(&'a [Interface]),
}

/// How a name is to be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// By the system's resolver.
    Dns,
    /// By multicast DNS on the local link (RFC 6762).
    Mdns,
}

/// What a peer asks of the driver, since it cannot do it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a UDP socket; answered by [`Input::Bound`] or [`Input::Closed`].
    Bind {
        /// The name of the new socket.
        socket: SocketId,
        /// The local address; port 0 lets the system choose.
        local: SocketAddr,
    },
    /// Open a stream; answered by [`Input::StreamOpened`] or [`Input::Closed`].
    OpenStream {
        /// The name of the new stream.
        stream: SocketId,
        /// TCP, TLS or DTLS.
        transport: Transport,
        /// The local address to start from, if it matters.
        local: Option<SocketAddr>,
        /// The far end.
        remote: SocketAddr,
        /// The name that the server's certificate must carry (TLS, DTLS).
        server_name: Option<String>,
    },
    /// Take in TCP streams (RFC 6544: a passive candidate); answered by [`Input::Bound`] or
    /// [`Input::Closed`], then by [`Input::StreamOpened`] for each stream. Streams outlive their listener.
    Listen {
        /// The name of the listener.
        socket: SocketId,
        /// The local address; port 0 lets the system choose.
        local: SocketAddr,
    },
    /// Close a socket, a stream or a listener; nothing more is told about it. What a stream has
    /// taken is still sent, for as long as the driver has patience.
    Close {
        /// The socket or stream.
        socket: SocketId,
    },
    /// Resolve a name; answered by [`Input::Resolved`].
    Resolve {
        /// The name of the question.
        query: QueryId,
        /// The host name.
        name: String,
        /// How.
        by: Resolution,
    },
    /// Answer for a name by multicast DNS on the local link (RFC 6762), until it is withdrawn or the peer
    /// is gone; nothing is told about it.
    Publish {
        /// A single label under `.local`.
        name: String,
        /// The address that it stands for.
        address: IpAddr,
    },
    /// Answer for a name no more.
    Withdraw {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_streams_stay_in_the_run_of_their_listener() {
        let listener = SocketId(5 * SocketId::SPAN + 7);
        for n in [0, 1, 0x7fff, 0x8000, u16::MAX] {
            let stream = listener.accepted(n);
            assert_eq!(stream.0 / SocketId::SPAN, 5);
            assert!(stream.is_accepted() && !listener.is_accepted());
            assert_eq!(stream, stream.accepted(n));
        }
        assert_ne!(listener.accepted(0), listener.accepted(1));
    }
}
