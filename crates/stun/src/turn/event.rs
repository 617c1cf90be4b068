//! What a client tells: events, what a message turned out to be, why it is to be woken, and counters.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::turn::{ConnectionId, TurnError};

/// What a TURN client tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TurnEvent {
    /// The server relays from now on.
    Allocated {
        /// The relayed addresses, one for each family that was given.
        relayed: Vec<SocketAddr>,
        /// Our own address as the server sees it, a server-reflexive candidate.
        mapped: Option<SocketAddr>,
        /// Lifetime that the server granted.
        lifetime: Duration,
    },
    /// The server lets this address through.
    Permitted(IpAddr),
    /// The server does not.
    PeerRefused(IpAddr, TurnError),
    /// From now on data to this peer costs 4 bytes only.
    ChannelBound(SocketAddr),
    /// The server has a TCP connection with this peer, to be bound within 30 s by
    /// [`TurnClient::bind_connection`](crate::turn::TurnClient::bind_connection) (RFC 6062).
    PeerConnected {
        /// The far end.
        peer: SocketAddr,
        /// The server's name for it.
        connection: ConnectionId,
        /// Whether the peer has connected to the relayed address; else we asked for it.
        incoming: bool,
    },
    /// The server has no TCP connection to this peer for us: by 447 it did not come about, by 446 there is one.
    ConnectRefused(SocketAddr, TurnError),
    /// The allocation is kept with the credentials before, since the server refuses it those that
    /// [`TurnClient::set_credentials`](crate::turn::TurnClient::set_credentials) brought.
    CredentialsRefused(TurnError),
    /// Over UDP the server has sent us to this one; destination and source are different now.
    Redirected(SocketAddr),
    /// There is no allocation, or none any more; the client is of no more use.
    Failed(TurnError),
    /// The allocation was deleted as asked.
    Closed,
}

/// What a message from the server turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// It was for the client itself, or noise.
    Consumed,
    /// A datagram of a peer, to be handled as if it had come to the relayed address.
    Data {
        /// Who sent it.
        peer: SocketAddr,
        /// Its bytes.
        data: &'a mut [u8],
    },
    /// The server got an ICMP error for what we sent to this peer.
    Unreachable(SocketAddr),
    /// What we sent to this peer was too big for its way, which takes packets of so many bytes, IP header
    /// included; 0 when that is not known.
    TooBig(SocketAddr, u32),
}

/// Why a TURN client wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnWhy {
    /// A request is to be sent, again, or given up.
    Request,
    /// The allocation is to be refreshed.
    Refresh,
    /// A permission or channel is to be renewed, or a connection to be asked for or given up.
    Peer,
    /// NATs on the way are to be kept open.
    Keepalive,
    /// The allocation ends.
    Expiry,
}

/// What was dropped, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnStats {
    /// Neither STUN nor ChannelData, or malformed.
    pub malformed: u64,
    /// Responses to no request of ours, and requests.
    pub unexpected: u64,
    /// Responses whose integrity did not hold.
    pub unauthentic: u64,
    /// ChannelData on a channel that we have not bound.
    pub unknown_channel: u64,
    /// Data from addresses that we have not permitted.
    pub unpermitted: u64,
    /// Peers that exceeded the limit.
    pub too_many_peers: u64,
}
