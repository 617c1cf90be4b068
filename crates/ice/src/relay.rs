//! Allocations on TURN servers (RFC 8445 §5.1.1.2, RFC 8656), and the sockets they stand for.
//!
//! 1. For each server of `turn:` and `turns:` URLs and each socket of ours (over streams: for each
//!    of its addresses) an allocation is asked for, one new one every Ta, all side by side.
//! 2. Each relayed address becomes a socket of its own inside the agent, with a name that the driver
//!    never sees: pairs, checks and consent treat it as any other. What is sent out of it is wrapped
//!    for its server on the way out, what comes from the server is unwrapped on the way in
//!    (`relaying.rs`).
//! 3. The first check to an address asks for its permission, the path in use for a channel.
//! 4. An allocation that fails is told in words and asked for again while there is hope: from
//!    another port (437), at another server (300), for fewer address families (440), or later.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_stun::ErrorCode;
use esp_stun::turn::{Families, Framer, TurnClient, TurnError};
use esp_wire::{Instant, Room, SocketId, Transport};

use crate::tcp_relay::Tunnel;

/// Room that the framing of any relay takes.
pub(crate) const RELAY_ROOM: Room = Room { head: 48, tail: 3 };
/// Pause before a failed allocation is asked for again, which grows with each failure.
const PAUSE: Duration = Duration::from_secs(4);
/// So many failures in a row end it.
const ATTEMPTS: u32 = 6;

/// Where an allocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// To be asked for when its slot comes.
    Queued,
    /// Its stream or socket is being opened.
    Opening,
    /// The client is at work.
    Running,
    /// It failed; it is asked for again then, if at all.
    Failed(Option<Instant>),
    /// It is to be forgotten.
    Gone,
}

/// One allocation, asked for or granted.
#[derive(Debug)]
pub(crate) struct Relay {
    /// The number of its server among those of the agent.
    pub(crate) server: u32,
    /// The server's address as it was resolved.
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    /// It relays TCP (`tcp_relay.rs`).
    pub(crate) tcp: bool,
    /// The socket of ours that asks; `None` over a stream.
    pub(crate) base: Option<SocketId>,
    /// The socket or stream that is used, which is not `base` after a 437.
    pub(crate) via: SocketId,
    pub(crate) stage: Stage,
    pub(crate) client: Option<TurnClient>,
    pub(crate) framer: Framer,
    /// The relayed addresses and the sockets that they are inside the agent.
    pub(crate) sockets: Vec<(SocketId, SocketAddr)>,
    pub(crate) families: Families,
    /// The server holds another allocation for our port, or may do so.
    pub(crate) other_port: bool,
    /// Where the server sent us (RFC 8489 §10), and the name to be found there.
    pub(crate) alternate: Option<(SocketAddr, Option<String>)>,
    pub(crate) redirects: u32,
    pub(crate) failures: u32,
    /// It was granted or failed once; gathering does not wait for it any more.
    pub(crate) settled: bool,
    /// It is given back when data does not take it any more.
    pub(crate) retired: bool,
    /// It is being given back.
    pub(crate) given_back: bool,
    /// The local interface address of its stream.
    pub(crate) local: Option<IpAddr>,
}

impl Relay {
    pub(crate) fn new(
        server: u32,
        address: SocketAddr,
        transport: Transport,
        base: Option<SocketId>,
        families: Families,
    ) -> Self {
        Relay {
            server,
            address,
            transport,
            tcp: false,
            base,
            via: base.unwrap_or(SocketId(u32::MAX)),
            stage: Stage::Queued,
            client: None,
            framer: Framer::new(),
            sockets: Vec::new(),
            families,
            other_port: false,
            alternate: None,
            redirects: 0,
            failures: 0,
            settled: false,
            retired: false,
            given_back: false,
            local: None,
        }
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.transport != Transport::Udp
    }

    /// Whether it has a socket or stream of its own to be closed.
    pub(crate) fn owns_socket(&self) -> bool {
        Some(self.via) != self.base && self.via != SocketId(u32::MAX)
    }

    pub(crate) fn is_allocated(&self) -> bool {
        self.client.as_ref().is_some_and(TurnClient::is_allocated)
    }

    /// The server that is to be spoken to.
    pub(crate) fn target(&self) -> SocketAddr {
        (self.alternate.as_ref()).map_or(self.address, |(address, _)| *address)
    }

    /// The socket inside the agent for datagrams of this peer.
    pub(crate) fn socket_for(&self, peer: SocketAddr) -> Option<SocketId> {
        let same = |(_, relayed): &&(SocketId, SocketAddr)| relayed.is_ipv4() == peer.is_ipv4();
        self.sockets.iter().find(same).map(|(socket, _)| *socket)
    }

    /// Notes a failure; it is tried again after a pause unless there is no hope, at once when the server
    /// has forgotten what it granted.
    pub(crate) fn fail(&mut self, now: Instant, error: &TurnError) {
        let hopeless = matches!(
            error,
            TurnError::Auth(_)
                | TurnError::Credentials(_)
                | TurnError::Build(_)
                | TurnError::Refused(ErrorCode::UNSUPPORTED_TRANSPORT, _)
        );
        let lost = *error == TurnError::Lost;
        self.failures += u32::from(!lost);
        self.settled = true;
        self.alternate = None;
        self.redirects = 0;
        let again = !hopeless && self.failures < ATTEMPTS;
        self.stage =
            Stage::Failed(again.then(|| now + PAUSE * if lost { 0 } else { self.failures }));
    }

    fn next(&self) -> Option<Instant> {
        match self.stage {
            Stage::Failed(at) => at,
            _ => Some(self.client.as_ref()?.poll_timeout()?.at),
        }
    }
}

/// All allocations of an agent.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    pub(crate) list: Vec<Relay>,
    pub(crate) tunnels: Vec<Tunnel>,
    /// Application datagrams that could not be handed on in place, with their lengths.
    pub(crate) spilled: Vec<u8>,
    pub(crate) lengths: std::collections::VecDeque<usize>,
    /// Bytes of `spilled` that were handed on already.
    pub(crate) taken: usize,
}

impl Relays {
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn has_queued(&self) -> bool {
        self.list.iter().any(|relay| relay.stage == Stage::Queued)
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.list.iter().all(|relay| relay.settled)
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        let tunnels = self.tunnels.iter().filter_map(Tunnel::next);
        self.list
            .iter()
            .filter_map(Relay::next)
            .chain(tunnels)
            .min()
    }

    /// The allocation that a socket inside the agent stands for.
    pub(crate) fn owner(&self, socket: SocketId) -> Option<&Relay> {
        let owns = |relay: &&Relay| relay.sockets.iter().any(|(own, _)| *own == socket);
        self.list.iter().find(owns)
    }

    pub(crate) fn owner_mut(&mut self, socket: SocketId) -> Option<&mut Relay> {
        let owns = |relay: &&mut Relay| relay.sockets.iter().any(|(own, _)| *own == socket);
        self.list.iter_mut().find(owns)
    }

    /// The client that speaks to this server out of this socket.
    pub(crate) fn speaking(&self, socket: SocketId, remote: SocketAddr) -> Option<usize> {
        let speaks = |relay: &Relay| {
            let server = relay.client.as_ref().map(TurnClient::server);
            relay.via == socket && server == Some(remote)
        };
        self.list.iter().position(speaks)
    }

    pub(crate) fn of_via(&self, via: SocketId) -> Option<usize> {
        let found = |relay: &Relay| relay.via == via && relay.owns_socket();
        self.list.iter().position(found)
    }

    /// Asks the servers whether they still have what they granted.
    pub(crate) fn probe(&mut self, now: Instant) {
        let clients = self
            .list
            .iter_mut()
            .filter_map(|relay| relay.client.as_mut());
        clients.for_each(|client| client.probe(now));
    }

    /// Those that failed are asked for again at once.
    pub(crate) fn ask_again(&mut self, server: Option<u32>) {
        for relay in &mut self.list {
            let meant = server.is_none_or(|server| relay.server == server);
            if meant && matches!(relay.stage, Stage::Failed(_)) {
                relay.stage = Stage::Queued;
                relay.failures = 0;
                relay.settled = false;
            }
        }
    }
}
