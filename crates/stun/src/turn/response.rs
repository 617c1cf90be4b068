//! What the server says (RFC 8656 §7.3, §7.4, §8.3, §10.3, §11.6, §12.3, §12.6).

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use esp_wire::{Instant, Transport};

use crate::attribute::known;
use crate::auth::AuthVerdict;
use crate::error_code::ErrorCode;
use crate::header::{Class, Method, TransactionId};
use crate::message::Message;
use crate::transaction::RoundTrip;
use crate::turn::client::{Purpose, State};
use crate::turn::event::{Incoming, TurnEvent};
use crate::turn::frame::{CHANNEL_HEADER, is_channel_data, split_channel_data};
use crate::turn::{Families, TurnClient, TurnError};

/// The lifetime of an allocation unless the server says otherwise (RFC 8656 §3.2).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// So long before its end an allocation is refreshed (RFC 8656 §8).
const REFRESH_BEFORE: Duration = Duration::from_secs(60);
/// So many servers may send us on to another.
const MAX_REDIRECTS: u32 = 3;

/// What was found in a message, before its bytes are lent out again.
enum Found {
    Nothing,
    Data(SocketAddr, Range<usize>),
    Unreachable(SocketAddr),
    TooBig(SocketAddr, u32),
}

impl TurnClient {
    /// Takes one message that came from the server: a datagram, or what a
    /// [`Framer`](crate::turn::Framer) cut from the stream.
    pub fn handle_message<'a>(&mut self, now: Instant, bytes: &'a mut [u8]) -> Incoming<'a> {
        let found = match is_channel_data(bytes) {
            true => self.on_channel_data(bytes),
            false => self.on_stun(now, bytes),
        };
        match found {
            Found::Nothing => Incoming::Consumed,
            Found::Unreachable(peer) => Incoming::Unreachable(peer),
            Found::TooBig(peer, mtu) => Incoming::TooBig(peer, mtu),
            Found::Data(peer, range) => {
                let data = &mut bytes[range];
                Incoming::Data { peer, data }
            }
        }
    }

    fn on_channel_data(&mut self, bytes: &[u8]) -> Found {
        let Some((number, len)) = split_channel_data(bytes) else {
            self.stats.malformed += 1;
            return Found::Nothing;
        };
        let Some(peer) = self.peers.peer_of(number) else {
            self.stats.unknown_channel += 1;
            return Found::Nothing;
        };
        Found::Data(peer, CHANNEL_HEADER..CHANNEL_HEADER + len)
    }

    fn on_stun(&mut self, now: Instant, bytes: &[u8]) -> Found {
        let Ok(message) = Message::parse(bytes) else {
            self.stats.malformed += 1;
            return Found::Nothing;
        };
        match message.class() {
            Class::Success | Class::Error => self.on_response(now, &message),
            Class::Indication if message.method() == Method::DATA && !self.config.tcp => {
                return self.on_data(&message);
            }
            Class::Indication if message.method() == Method::CONNECTION_ATTEMPT => {
                self.on_attempt(now, &message);
            }
            Class::Indication | Class::Request => self.stats.unexpected += 1,
        }
        Found::Nothing
    }

    fn on_data(&mut self, message: &Message<'_>) -> Found {
        // RFC 8656 §11.6: the peer, and data or an ICMP error; else it is discarded.
        let Some(peer) = message.xor_peer_address() else {
            self.stats.malformed += 1;
            return Found::Nothing;
        };
        if !self.peers.knows(peer.ip()) {
            self.stats.unpermitted += 1;
            return Found::Nothing;
        }
        if let Some(icmp) = message.icmp() {
            return match (peer.is_ipv4(), icmp.kind, icmp.code) {
                // RFC 792: fragmentation needed; RFC 4443 §3.2: packet too big.
                (true, 3, 4) | (false, 2, _) => Found::TooBig(peer, icmp.data),
                _ => Found::Unreachable(peer),
            };
        }
        let Some(data) = message.data() else {
            self.stats.malformed += 1;
            return Found::Nothing;
        };
        let start = data.as_ptr() as usize - message.bytes().as_ptr() as usize;
        Found::Data(peer, start..start + data.len())
    }

    fn on_response(&mut self, now: Instant, response: &Message<'_>) {
        let id = response.transaction_id();
        let Some(tag) = self.transactions.find(id).map(|one| one.tag) else {
            self.stats.unexpected += 1;
            return;
        };
        match self.auth.on_response(response, tag.sent) {
            AuthVerdict::Discard => {
                self.stats.unauthentic += 1;
                if self.is_reliable() {
                    // RFC 8489 §9.2.5: over a stream the transaction ends at once.
                    self.transactions.complete(id);
                    self.on_failed(now, tag.purpose, TurnError::Integrity);
                } else {
                    self.transactions.on_discarded(id);
                }
            }
            AuthVerdict::Retry => {
                self.complete(now, id);
                self.request(now, tag.purpose);
            }
            AuthVerdict::Failed(error) => {
                self.transactions.complete(id);
                self.on_failed(now, tag.purpose, TurnError::Auth(error));
            }
            AuthVerdict::Accept { authenticated } => {
                self.complete(now, id);
                match judge(response, authenticated) {
                    Ok(()) => self.on_success(now, tag.purpose, response),
                    Err(TurnError::TryAlternate(server, name)) => {
                        self.on_redirect(now, tag.purpose, server, name);
                    }
                    Err(error) => self.on_failed(now, tag.purpose, error),
                }
            }
        }
        self.rotate(now);
    }

    /// Ends a transaction whose response is taken for sound, and learns the round-trip time.
    fn complete(&mut self, now: Instant, id: TransactionId) {
        let done = self.transactions.complete(id);
        if let Some(sample) = done.and_then(|done| done.round_trip(now)) {
            self.round_trip.add(sample);
            let least = self.config.retransmission.rto;
            self.transactions.schedule.rto = self.round_trip.rto(least);
        }
    }

    fn on_success(&mut self, now: Instant, purpose: Purpose, response: &Message<'_>) {
        match purpose {
            Purpose::Allocate => self.on_allocated(now, response),
            Purpose::Refresh => {
                self.rotation.on_accepted();
                let lifetime = response.lifetime().unwrap_or(DEFAULT_LIFETIME);
                self.set_lifetime(now, lifetime);
                self.ask_for_peers(now);
            }
            Purpose::Close => self.end(TurnEvent::Closed),
            Purpose::Peer(wish) => {
                if self.peers.on_granted(now, wish, self.config.renewal) {
                    self.events.push_back(wish.granted_event());
                }
            }
            Purpose::Connect(peer) => self.on_connected(now, peer, response),
        }
    }

    fn on_allocated(&mut self, now: Instant, response: &Message<'_>) {
        let wanted = |address: &SocketAddr| match self.config.families {
            Families::V4 => address.is_ipv4(),
            Families::V6 => address.is_ipv6(),
            Families::Both => true,
        };
        self.relayed = response
            .xor_relayed_addresses()
            .filter(wanted)
            .take(2)
            .collect();
        if self.relayed.is_empty() {
            // RFC 8656 §7.3: an allocation that we cannot use must be deleted.
            self.state = State::Closing;
            self.events
                .push_back(TurnEvent::Failed(TurnError::NoRelayedAddress));
            return self.request(now, Purpose::Close);
        }
        self.reservation = response.reservation_token();
        let lifetime = response.lifetime().unwrap_or(DEFAULT_LIFETIME);
        self.set_lifetime(now, lifetime);
        self.events.push_back(TurnEvent::Allocated {
            relayed: self.relayed.clone(),
            mapped: response.xor_mapped_address(),
            lifetime,
        });
        self.ask_for_peers(now);
    }

    fn set_lifetime(&mut self, now: Instant, lifetime: Duration) {
        if lifetime.is_zero() {
            return self.fail(TurnError::Lost);
        }
        let margin = REFRESH_BEFORE.min(lifetime / 2);
        self.state = State::Allocated {
            refresh_at: now + (lifetime - margin),
            expires_at: now + lifetime,
        };
    }

    /// RFC 8489 §10: the same request to the other server, with the same transport.
    fn on_redirect(
        &mut self,
        now: Instant,
        purpose: Purpose,
        server: SocketAddr,
        name: Option<String>,
    ) {
        self.redirects += 1;
        let same_family = server.is_ipv4() == self.server.is_ipv4();
        if purpose != Purpose::Allocate || self.redirects > MAX_REDIRECTS {
            self.on_failed(now, purpose, refused(ErrorCode::TRY_ALTERNATE, ""));
        } else if self.config.transport != Transport::Udp || !same_family {
            self.on_failed(now, purpose, TurnError::TryAlternate(server, name));
        } else {
            self.server = server;
            self.auth.reset();
            self.round_trip = RoundTrip::default();
            self.transactions.schedule = self.config.retransmission;
            self.peers.start_over();
            self.events.push_back(TurnEvent::Redirected(server));
            self.request(now, Purpose::Allocate);
        }
    }
}

/// Whether a response whose credentials are in order grants what was asked for.
pub(crate) fn judge(response: &Message<'_>, authenticated: bool) -> Result<(), TurnError> {
    let mut unknown = response.unknown_required(&[known::BASE, known::TURN]);
    if unknown.next().is_some() {
        // RFC 8489 §6.3.3, §6.3.4: the transaction has failed.
        return Err(refused(ErrorCode::UNKNOWN_ATTRIBUTE, ""));
    }
    if response.class() == Class::Success {
        return Ok(());
    }
    let (code, words) = response
        .error_code()
        .unwrap_or((ErrorCode::SERVER_ERROR, ""));
    // Servers are seen that count the padding among their words.
    let words = words.trim_end_matches('\0');
    match response.alternate_server() {
        // RFC 8489 §14.8: only an authentic 300 sends anybody anywhere.
        Some(server) if code == ErrorCode::TRY_ALTERNATE && authenticated => {
            let name = response.alternate_domain().map(str::to_owned);
            Err(TurnError::TryAlternate(server, name))
        }
        _ if code == ErrorCode::UNKNOWN_ATTRIBUTE => {
            let kinds = response.unknown_attributes().into_iter().flatten().take(8);
            let names: Vec<_> = kinds
                .map(|kind| {
                    let number = || format!("0x{:04x}", kind.0);
                    kind.name().map_or_else(number, str::to_owned)
                })
                .collect();
            Err(refused(code, &names.join(" ")))
        }
        _ => Err(refused(code, words)),
    }
}

fn refused(code: ErrorCode, words: &str) -> TurnError {
    TurnError::Refused(code, words.to_owned())
}
