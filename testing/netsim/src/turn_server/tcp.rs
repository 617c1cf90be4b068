//! Relaying TCP (RFC 6062): each connection with a peer is spliced to a stream of the client.
//!
//! 1. Connect opens a stream to the peer; or a permitted peer opens one to the relayed address, which the
//!    client is told of by ConnectionAttempt.
//! 2. ConnectionBind on another stream of the client joins the two, and that stream carries no STUN any more.
//! 3. Either end takes the other with it; so does the end of the allocation.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::{ErrorCode, Message, MessageBuilder, Method, TransactionId};
use esp_wire::{Action, Instant, SocketId, Transport};

use super::request::Proof;
use super::{Client, FIRST_STREAM, TurnServer};
use crate::host::FIRST_SECURED;

/// The streams to peers that we open have numbers from here on.
const FIRST_CONNECT: u32 = 0x0001_0000;
/// RFC 6062 §5.2, §5.3: how long to try a peer, and to wait for ConnectionBind.
const PATIENCE: Duration = Duration::from_secs(30);
/// So much of a peer's data is held for a client that has not bound the connection.
const MAX_HELD: usize = 65_536;

/// How far a connection with a peer has come.
#[derive(Debug)]
enum Stage {
    /// The peer is being tried, for this request.
    Connecting(Vec<u8>, Proof),
    /// ConnectionBind is awaited; the peer has sent this meanwhile.
    Pending(Vec<u8>),
    /// It is the far end of this stream of the client.
    Spliced(SocketId, SocketAddr),
}

#[derive(Debug)]
struct Splice {
    owner: Client,
    peer: SocketAddr,
    id: u32,
    stage: Stage,
    /// When patience ends; once spliced it has no end.
    until: Instant,
}

/// All connections with peers, by their stream.
#[derive(Debug, Default)]
pub(super) struct Splices {
    list: BTreeMap<SocketId, Splice>,
    /// The clients' streams that are spliced, with the peers' streams.
    bound: BTreeMap<SocketId, SocketId>,
    opened: u32,
    ids: u32,
}

impl Splices {
    /// The peer's stream that a client's stream is spliced to.
    pub(super) fn has_bound(&self, stream: SocketId) -> bool {
        self.bound.contains_key(&stream)
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let waiting = |one: &&Splice| !matches!(one.stage, Stage::Spliced(..));
        let waiting = self.list.values().filter(waiting);
        waiting.map(|one| one.until).min()
    }

    fn fresh_id(&mut self) -> u32 {
        self.ids += 1;
        // Nothing like a counter from zero, so that nobody takes it for one.
        self.ids.wrapping_mul(0x9E37_79B1)
    }

    fn has(&self, owner: Client, peer: SocketAddr) -> bool {
        let mut all = self.list.values();
        all.any(|one| one.owner == owner && one.peer == peer)
    }
}

/// Whether a client speaks over TCP or TLS.
pub(super) fn is_stream(client: Client) -> bool {
    (FIRST_STREAM..FIRST_SECURED).contains(&client.0.0)
}

impl TurnServer {
    /// Connections with peers at this moment, spliced to a client's stream or not yet.
    pub fn connections(&self) -> usize {
        self.splices.list.len()
    }

    /// RFC 6062 §5.2.
    pub(super) fn connect(
        &mut self,
        now: Instant,
        client: Client,
        (request, bytes): (&Message<'_>, &[u8]),
        proof: &Proof,
    ) -> Result<(), ErrorCode> {
        let allocation = self.allocations.get(&client).filter(|one| one.tcp);
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let peer = request.xor_peer_address().ok_or(ErrorCode::BAD_REQUEST)?;
        let same_family = |at: &&(SocketId, SocketAddr)| at.1.is_ipv4() == peer.is_ipv4();
        let relay = allocation.relays.iter().find(same_family).copied();
        self.check_peer(client, peer)?;
        if self.splices.has(client, peer) {
            return Err(ErrorCode::CONNECTION_ALREADY_EXISTS);
        }
        let (_, local) = relay.ok_or(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH)?;
        let stream = SocketId(FIRST_CONNECT + self.splices.opened);
        self.splices.opened += 1;
        let splice = Splice {
            owner: client,
            peer,
            id: self.splices.fresh_id(),
            stage: Stage::Connecting(bytes.to_vec(), proof.clone()),
            until: now + PATIENCE,
        };
        self.splices.list.insert(stream, splice);
        self.actions.push_back(Action::OpenStream {
            stream,
            transport: Transport::Tcp,
            local: Some(local),
            remote: peer,
            server_name: None,
        });
        Ok(())
    }

    /// RFC 6062 §5.4. What follows on the stream is the peer's.
    pub(super) fn bind_connection(
        &mut self,
        client: Client,
        request: &Message<'_>,
        proof: &Proof,
    ) -> Result<(), ErrorCode> {
        if self.cut_binds > 0 {
            self.cut_binds -= 1;
            self.actions.push_back(Action::Close { socket: client.0 });
            return Ok(());
        }
        let id = request.connection_id().filter(|_| is_stream(client));
        let id = id.ok_or(ErrorCode::BAD_REQUEST)?;
        let pending = |one: &Splice| one.id == id && matches!(one.stage, Stage::Pending(_));
        let mut list = self.splices.list.iter_mut();
        let found = list.find(|(_, one)| pending(one));
        let (far, splice) = found.ok_or(ErrorCode::BAD_REQUEST)?;
        // RFC 6062 §4.3: by the user whose allocation it is.
        let owner = self.allocations.get(&splice.owner);
        let user = request.username().unwrap_or_default();
        if owner.is_none_or(|one| one.username != user) {
            return Err(ErrorCode::WRONG_CREDENTIALS);
        }
        let stage = Stage::Spliced(client.0, client.1);
        let held = std::mem::replace(&mut splice.stage, stage);
        self.splices.bound.insert(client.0, *far);
        self.succeed(client, request, Some(proof), |_| ());
        if let Stage::Pending(held) = held
            && !held.is_empty()
        {
            self.push(client, held);
        }
        Ok(())
    }

    /// A stream is open; whether it is one with a peer.
    pub(super) fn on_peer_stream(
        &mut self,
        now: Instant,
        stream: SocketId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> bool {
        if let Some(splice) = self.splices.list.get_mut(&stream) {
            let pending = Stage::Pending(Vec::new());
            let (owner, id) = (splice.owner, splice.id);
            splice.until = now + PATIENCE;
            if let Stage::Connecting(request, proof) = std::mem::replace(&mut splice.stage, pending)
                && let Ok(request) = Message::parse(&request)
            {
                self.succeed(owner, &request, Some(&proof), |builder| {
                    builder.connection_id(id);
                });
            }
            return true;
        }
        let mut all = self.allocations.iter();
        let relayed = |one: &super::Allocation| one.relays.iter().any(|(_, at)| *at == local);
        let Some((owner, allocation)) = all.find(|(_, one)| one.tcp && relayed(one)) else {
            return false;
        };
        let permitted = allocation.permissions.get(&remote.ip());
        if permitted.is_none_or(|expires_at| *expires_at <= now) {
            self.actions.push_back(Action::Close { socket: stream });
            return true;
        }
        let (owner, id) = (*owner, self.splices.fresh_id());
        let splice = Splice {
            owner,
            peer: remote,
            id,
            stage: Stage::Pending(Vec::new()),
            until: now + PATIENCE,
        };
        self.splices.list.insert(stream, splice);
        self.tell_attempt(owner, remote, id);
        true
    }

    fn tell_attempt(&mut self, owner: Client, peer: SocketAddr, id: u32) {
        let mut buffer = [0; 128];
        let mut transaction = [0x62; 12];
        transaction[8..].copy_from_slice(&id.to_be_bytes());
        let method = Method::CONNECTION_ATTEMPT;
        let mut builder =
            MessageBuilder::indication(&mut buffer, method, TransactionId(transaction));
        builder.connection_id(id).xor_peer_address(peer);
        let len = builder.fingerprint().finish().expect("a short indication");
        self.push(owner, buffer[..len].to_vec());
    }

    /// Bytes of a stream; whether they are a connection's and not STUN.
    pub(super) fn on_spliced_bytes(&mut self, stream: SocketId, data: &[u8]) -> bool {
        if let Some(far) = self.splices.bound.get(&stream).copied() {
            if let Some(splice) = self.splices.list.get(&far) {
                let to = (far, splice.peer);
                self.relayed += 1;
                self.push(to, data.to_vec());
            }
            return true;
        }
        let Some(splice) = self.splices.list.get_mut(&stream) else {
            return false;
        };
        match &mut splice.stage {
            Stage::Spliced(socket, at) => {
                let to = (*socket, *at);
                self.relayed += 1;
                self.push(to, data.to_vec());
            }
            Stage::Pending(held) if held.len() + data.len() <= MAX_HELD => {
                held.extend_from_slice(data);
            }
            Stage::Pending(_) | Stage::Connecting(..) => self.cut(stream),
        }
        true
    }

    /// A stream has ended; whether it was one end of a connection, of which the other end goes, too.
    pub(super) fn on_spliced_closed(&mut self, socket: SocketId) -> bool {
        if let Some(far) = self.splices.bound.remove(&socket) {
            self.splices.list.remove(&far);
            self.actions.push_back(Action::Close { socket: far });
            return true;
        }
        let Some(splice) = self.splices.list.remove(&socket) else {
            return false;
        };
        match splice.stage {
            Stage::Connecting(request, proof) => self.fail_connect(splice.owner, &request, &proof),
            Stage::Pending(_) => {}
            Stage::Spliced(near, _) => {
                self.splices.bound.remove(&near);
                self.actions.push_back(Action::Close { socket: near });
            }
        }
        true
    }

    fn fail_connect(&mut self, owner: Client, request: &[u8], proof: &Proof) {
        if let Ok(request) = Message::parse(request) {
            let code = ErrorCode::CONNECTION_TIMEOUT_OR_FAILURE;
            self.refuse_with(owner, &request, proof, code, |_| ());
        }
    }

    /// Ends a connection at both ends.
    fn cut(&mut self, far: SocketId) {
        self.on_spliced_closed(far);
        self.actions.push_back(Action::Close { socket: far });
    }

    /// Ends those whose time is over.
    pub(super) fn expire_connections(&mut self, now: Instant) {
        let waiting = |one: &Splice| !matches!(one.stage, Stage::Spliced(..));
        let over = |one: &Splice| waiting(one) && one.until <= now;
        self.cut_all(over);
    }

    /// RFC 6062 §5.5: the end of an allocation is that of its connections.
    pub(super) fn cut_connections(&mut self, owner: Client) {
        self.cut_all(|one| one.owner == owner);
    }

    fn cut_all(&mut self, which: impl Fn(&Splice) -> bool) {
        let list = self.splices.list.iter();
        let chosen: Vec<_> = list
            .filter(|(_, one)| which(one))
            .map(|(s, _)| *s)
            .collect();
        for stream in chosen {
            self.cut(stream);
        }
    }
}
