//! Answering requests (RFC 8489 §9.2.4, RFC 8656 §7.2, §8.2, §10.2, §12.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_stun::{
    Class, ErrorCode, Family, Integrity, Key, Message, MessageBuilder, Method, PasswordAlgorithm,
    SecurityFeatures, userhash,
};
use esp_wire::{Action, Instant, SocketId};

use super::tcp::is_stream;
use super::{Allocation, Client, TurnServer};

/// How long permissions and channels live (RFC 8656 §9, §12).
const PERMISSION: Duration = Duration::from_secs(300);
const CHANNEL: Duration = Duration::from_secs(600);
/// How long a relay socket may take to be bound.
const BINDING: Duration = Duration::from_secs(10);

/// How a request was authenticated, and hence how its response is.
pub(super) type Proof = (Key, Integrity);

impl TurnServer {
    pub(super) fn on_request(&mut self, now: Instant, client: Client, bytes: &[u8]) {
        let Ok(request) = Message::parse(bytes) else {
            return;
        };
        if request.method() == Method::BINDING {
            return self.succeed(client, &request, None, |builder| {
                builder.xor_mapped_address(client.1);
            });
        }
        let proof = match self.authenticate(now, client, &request) {
            Ok(proof) => proof,
            Err(code) => return self.challenge(now, client, &request, code),
        };
        if self.strict
            && let Some(allocation) = self.allocations.get(&client)
            && request.username() != Some(&allocation.username)
        {
            let code = ErrorCode::WRONG_CREDENTIALS;
            return self.refuse_with(client, &request, &proof, code, |_| ());
        }
        if let Some(server) = self.alternate {
            return self.refuse_with(client, &request, &proof, ErrorCode::TRY_ALTERNATE, |b| {
                b.alternate_server(server);
            });
        }
        let done = match request.method() {
            Method::ALLOCATE => self.allocate(now, client, &request, bytes),
            Method::REFRESH => self.refresh(now, client, &request, &proof),
            Method::CREATE_PERMISSION => self.permit(now, client, &request, &proof),
            Method::CHANNEL_BIND => self.bind_channel(now, client, &request, &proof),
            Method::CONNECT => self.connect(now, client, (&request, bytes), &proof),
            Method::CONNECTION_BIND => self.bind_connection(client, &request, &proof),
            _ => Err(ErrorCode::BAD_REQUEST),
        };
        if let Err(code) = done {
            self.refuse_with(client, &request, &proof, code, |_| ());
        }
    }

    fn nonce(&self, now: Instant) -> String {
        let round = now.as_nanos() / self.nonce_lifetime.as_nanos().max(1) as u64;
        let mut features = SecurityFeatures::default();
        if !self.algorithms.is_empty() {
            features = features.with(SecurityFeatures::PASSWORD_ALGORITHMS);
        }
        if self.anonymity {
            features = features.with(SecurityFeatures::USERNAME_ANONYMITY);
        }
        match features == SecurityFeatures::default() {
            true => format!("round{round}"),
            false => format!("{}round{round}", features.nonce_cookie()),
        }
    }

    /// The users who may be meant by a request.
    fn users(&self, now: Instant, client: Client) -> Vec<(&str, &str)> {
        let first = (self.username.as_str(), self.password.as_str());
        let Some((at, username, password)) = &self.later else {
            return vec![first];
        };
        let made = self.allocations.get(&client).map(|one| &one.username);
        let kept = self.strict && made == Some(&self.username);
        match *at <= now {
            true if kept => vec![first, (username, password)],
            true => vec![(username, password)],
            false => vec![first],
        }
    }

    fn authenticate(
        &self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
    ) -> Result<Proof, ErrorCode> {
        let integrity = request.integrity().ok_or(ErrorCode::UNAUTHENTICATED)?;
        let nonce = request.nonce().ok_or(ErrorCode::BAD_REQUEST)?;
        let meant = |(username, _): &(&str, &str)| {
            let hash = userhash(username, &self.realm);
            request.username() == Some(*username)
                || (self.anonymity && request.userhash() == Some(&hash))
        };
        let users = self.users(now, client);
        let user = users.into_iter().find(meant);
        let (username, password) = user.ok_or(ErrorCode::UNAUTHENTICATED)?;
        let algorithm = match request.password_algorithm() {
            Some(algorithm) if !self.algorithms.contains(&algorithm) => {
                return Err(ErrorCode::BAD_REQUEST);
            }
            Some(algorithm) => algorithm,
            None => PasswordAlgorithm::Md5,
        };
        let key = Key::long_term(username, &self.realm, password, algorithm);
        if request.verify(&key).is_err() {
            return Err(ErrorCode::UNAUTHENTICATED);
        }
        if nonce != self.nonce(now) {
            return Err(ErrorCode::STALE_NONCE);
        }
        Ok((key, integrity))
    }

    fn challenge(&mut self, now: Instant, client: Client, request: &Message<'_>, code: ErrorCode) {
        let nonce = self.nonce(now);
        let mut buffer = [0; 1_024];
        let mut builder = MessageBuilder::error(&mut buffer, request);
        builder.error_code(code).realm(&self.realm).nonce(&nonce);
        if !self.algorithms.is_empty() {
            builder.password_algorithms(&self.algorithms);
        }
        let len = builder.fingerprint().finish().expect("a short response");
        self.push(client, buffer[..len].to_vec());
    }

    pub(super) fn refuse_with(
        &mut self,
        client: Client,
        request: &Message<'_>,
        (key, integrity): &Proof,
        code: ErrorCode,
        more: impl FnOnce(&mut MessageBuilder<'_>),
    ) {
        let mut buffer = [0; 1_024];
        let mut builder = MessageBuilder::error(&mut buffer, request);
        more(builder.error_code(code));
        let len = builder.integrity_by(*integrity, key).fingerprint().finish();
        self.push(client, buffer[..len.expect("a short response")].to_vec());
    }

    pub(super) fn succeed(
        &mut self,
        client: Client,
        request: &Message<'_>,
        proof: Option<&Proof>,
        more: impl FnOnce(&mut MessageBuilder<'_>),
    ) {
        let mut buffer = [0; 1_024];
        let mut builder = MessageBuilder::success(&mut buffer, request);
        more(&mut builder);
        if let Some((key, integrity)) = proof {
            builder.integrity_by(*integrity, key);
        }
        let len = builder.fingerprint().finish().expect("a short response");
        if request.method() == Method::ALLOCATE
            && let Some(allocation) = self.allocations.get_mut(&client)
        {
            allocation.response = buffer[..len].to_vec();
        }
        self.push(client, buffer[..len].to_vec());
    }

    /// Whether TCP is to be relayed (RFC 6062 §5.1), and may be.
    fn wants_tcp(&self, client: Client, request: &Message<'_>) -> Result<bool, ErrorCode> {
        let of_datagrams = request.dont_fragment()
            || request.even_port().is_some()
            || request.reservation_token().is_some();
        match request.requested_transport() {
            // RFC 6062 §5.1.
            Some(17) if !self.udp_relays => Err(ErrorCode::FORBIDDEN),
            Some(17) => Ok(false),
            Some(6) if !self.tcp_relays => Err(ErrorCode::UNSUPPORTED_TRANSPORT),
            Some(6) if !is_stream(client) || of_datagrams => Err(ErrorCode::BAD_REQUEST),
            Some(6) => Ok(true),
            _ => Err(ErrorCode::UNSUPPORTED_TRANSPORT),
        }
    }

    fn allocate(
        &mut self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), ErrorCode> {
        if self.allocations.contains_key(&client) {
            return self.allocate_again(client, request, bytes);
        }
        let tcp = self.wants_tcp(client, request)?;
        if self.mismatches > 0 {
            self.mismatches -= 1;
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        if self.allocations.len() >= self.quota {
            return Err(ErrorCode::ALLOCATION_QUOTA_REACHED);
        }
        let relays = self.bind_relays(client, request, tcp);
        if relays.is_empty() {
            return Err(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED);
        }
        let allocation = Allocation {
            expires_at: now + BINDING,
            pending: Some(bytes.to_vec()),
            username: request.username().unwrap_or_default().to_owned(),
            tcp,
            unbound: relays.len(),
            relays,
            ..Allocation::default()
        };
        self.allocations.insert(client, allocation);
        Ok(())
    }

    /// A request of a client that has, or waits for, its allocation.
    fn allocate_again(
        &mut self,
        client: Client,
        request: &Message<'_>,
        bytes: &[u8],
    ) -> Result<(), ErrorCode> {
        let allocation = self.allocations.get(&client);
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        if allocation.pending.as_deref() == Some(bytes) {
            return Ok(());
        }
        // RFC 8489 §6.3.1: a retransmission gets the same response.
        let again = Message::parse(&allocation.response)
            .is_ok_and(|response| response.transaction_id() == request.transaction_id());
        if !again {
            return Err(ErrorCode::ALLOCATION_MISMATCH);
        }
        let response = allocation.response.clone();
        self.push(client, response);
        Ok(())
    }

    /// Opens a socket, or a listener, on an address of each family that is asked for and there is.
    fn bind_relays(
        &mut self,
        client: Client,
        request: &Message<'_>,
        tcp: bool,
    ) -> Vec<(SocketId, SocketAddr)> {
        let mut relays = Vec::new();
        let wanted = match request.requested_address_family() {
            Some(family) => vec![family],
            None => vec![Family::V4],
        };
        for family in wanted
            .into_iter()
            .chain(request.additional_address_family())
        {
            let any = match family {
                Family::V4 => IpAddr::from([0; 4]),
                Family::V6 => IpAddr::from([0; 16]),
            };
            let own = |ip: &&IpAddr| Family::of(**ip) == family;
            let Some(ip) = self.addresses.iter().find(own) else {
                continue;
            };
            let socket = SocketId(self.next_relay);
            self.next_relay += 1;
            let local = SocketAddr::new(any, 0);
            self.actions.push_back(match tcp {
                true => Action::Listen { socket, local },
                false => Action::Bind { socket, local },
            });
            relays.push((socket, SocketAddr::new(*ip, 0)));
            self.relays.insert(socket, client);
        }
        relays
    }

    pub(super) fn on_bound(&mut self, now: Instant, socket: SocketId, local: SocketAddr) {
        let Some(client) = self.relays.get(&socket).copied() else {
            return;
        };
        let Some(allocation) = self.allocations.get_mut(&client) else {
            return;
        };
        for (_, address) in allocation.relays.iter_mut().filter(|(s, _)| *s == socket) {
            address.set_port(local.port());
        }
        allocation.unbound -= 1;
        if allocation.unbound > 0 {
            return;
        }
        let Some(bytes) = allocation.pending.take() else {
            return;
        };
        allocation.expires_at = now + self.lifetime;
        let relays: Vec<_> = allocation.relays.iter().map(|(_, at)| *at).collect();
        let Ok(request) = Message::parse(&bytes) else {
            return;
        };
        let both = request.additional_address_family().is_some();
        let proof = self.authenticate(now, client, &request).ok();
        let lifetime = self.lifetime;
        self.succeed(client, &request, proof.as_ref(), |builder| {
            for relay in &relays {
                builder.xor_relayed_address(*relay);
            }
            builder.xor_mapped_address(client.1).lifetime(lifetime);
            if both && relays.len() < 2 {
                let code = ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED;
                builder.address_error_code(Family::V6, code);
            }
        });
    }

    fn refresh(
        &mut self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
        proof: &Proof,
    ) -> Result<(), ErrorCode> {
        if self.trouble > 0 {
            self.trouble -= 1;
            return Err(ErrorCode::SERVER_ERROR);
        }
        let allocation = self.allocations.get_mut(&client);
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let mut lifetime = self.lifetime;
        if request.lifetime() == Some(Duration::ZERO) {
            lifetime = Duration::ZERO;
            self.remove(client);
        } else {
            allocation.expires_at = now + lifetime;
        }
        self.succeed(client, request, Some(proof), |builder| {
            builder.lifetime(lifetime);
        });
        Ok(())
    }

    pub(super) fn check_peer(&self, client: Client, peer: SocketAddr) -> Result<(), ErrorCode> {
        let allocation = self.allocations.get(&client);
        let allocation = allocation.ok_or(ErrorCode::ALLOCATION_MISMATCH)?;
        let mut relays = allocation.relays.iter();
        if !relays.any(|(_, at)| at.is_ipv4() == peer.is_ipv4()) {
            return Err(ErrorCode::PEER_ADDRESS_FAMILY_MISMATCH);
        }
        match self.forbidden.contains(&peer.ip()) {
            true => Err(ErrorCode::FORBIDDEN),
            false => Ok(()),
        }
    }

    fn permit(
        &mut self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
        proof: &Proof,
    ) -> Result<(), ErrorCode> {
        let peers: Vec<_> = request.xor_peer_addresses().collect();
        if peers.is_empty() {
            return Err(ErrorCode::BAD_REQUEST);
        }
        for peer in &peers {
            self.check_peer(client, *peer)?;
        }
        if let Some(allocation) = self.allocations.get_mut(&client) {
            let granted = peers.iter().map(|peer| (peer.ip(), now + PERMISSION));
            allocation.permissions.extend(granted);
        }
        self.succeed(client, request, Some(proof), |_| ());
        Ok(())
    }

    fn bind_channel(
        &mut self,
        now: Instant,
        client: Client,
        request: &Message<'_>,
        proof: &Proof,
    ) -> Result<(), ErrorCode> {
        let number = request.channel_number().ok_or(ErrorCode::BAD_REQUEST)?;
        let peer = request.xor_peer_address().ok_or(ErrorCode::BAD_REQUEST)?;
        self.check_peer(client, peer)?;
        if let Some(allocation) = self.allocations.get_mut(&client) {
            let mut channels = allocation.channels.iter();
            // RFC 8656 §12.2: neither the number nor the peer may be bound otherwise.
            let clash = channels.any(|(n, (p, _))| (*n == number) != (*p == peer));
            if clash || !(0x4000..=0x4FFF).contains(&number) {
                return Err(ErrorCode::BAD_REQUEST);
            }
            allocation.channels.insert(number, (peer, now + CHANNEL));
            allocation.permissions.insert(peer.ip(), now + PERMISSION);
        }
        self.succeed(client, request, Some(proof), |_| ());
        Ok(())
    }

    /// One message of a client.
    pub(super) fn on_message(&mut self, now: Instant, client: Client, bytes: &[u8]) {
        if esp_stun::turn::is_channel_data(bytes) {
            return self.on_channel_data(now, client, bytes);
        }
        match Message::parse(bytes) {
            Ok(message) if message.class() == Class::Request => {
                self.on_request(now, client, bytes);
            }
            Ok(message) if message.method() == Method::SEND => {
                if let (Some(peer), Some(data)) = (message.xor_peer_address(), message.data()) {
                    self.relay_to(now, client, peer, data);
                }
            }
            _ => {}
        }
    }
}
