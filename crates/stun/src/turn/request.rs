//! Forming requests (RFC 8656 §7.1, §8, §10.1, §12.1, RFC 6062 §4.3).

use std::time::Duration;

use esp_wire::{Instant, Room, Train};

use crate::address::Family;
use crate::builder::MessageBuilder;
use crate::header::{Method, TransactionId};
use crate::turn::client::{Purpose, State, Tag};
use crate::turn::peers::Wish;
use crate::turn::{Families, TurnClient};

/// IP protocol numbers, the transports to peers (RFC 8656 §18.8, RFC 6062 §4.1).
const UDP: u8 = 17;
const TCP: u8 = 6;
/// No request of ours is longer: names, realm and nonce take 508 bytes each at most.
pub(crate) const MAX_REQUEST: usize = 2_048;

impl TurnClient {
    /// Starts a request with the credentials of this moment.
    pub(crate) fn request(&mut self, now: Instant, purpose: Purpose) {
        let id = TransactionId::random(&mut self.rng);
        let mut buffer = [0; MAX_REQUEST];
        let method = match purpose {
            Purpose::Allocate => Method::ALLOCATE,
            Purpose::Refresh | Purpose::Close => Method::REFRESH,
            Purpose::Peer(Wish::Permission(_)) => Method::CREATE_PERMISSION,
            Purpose::Peer(Wish::Channel(..)) => Method::CHANNEL_BIND,
            Purpose::Connect(_) => Method::CONNECT,
        };
        let mut builder = MessageBuilder::request(&mut buffer, method, id);
        if let Some(software) = &self.config.software {
            builder.software(software);
        }
        match purpose {
            Purpose::Allocate => self.write_allocate(&mut builder),
            Purpose::Refresh => {
                if let Some(lifetime) = self.config.lifetime {
                    builder.lifetime(lifetime);
                }
            }
            // RFC 8656 §8.1: a lifetime of zero deletes the allocation.
            Purpose::Close => {
                builder.lifetime(Duration::ZERO);
            }
            Purpose::Peer(Wish::Permission(peer)) => {
                builder.xor_peer_address((peer, 0).into());
            }
            Purpose::Peer(Wish::Channel(peer, number)) => {
                builder.channel_number(number).xor_peer_address(peer);
            }
            Purpose::Connect(peer) => {
                builder.xor_peer_address(peer);
            }
        }
        self.auth.apply(&mut builder);
        builder.fingerprint();
        let len = match builder.finish() {
            Ok(len) => len,
            Err(error) => return self.fail(error.into()),
        };
        let tag = Tag {
            purpose,
            sent: self.auth.generation(),
        };
        let (reliable, message) = (self.is_reliable(), buffer[..len].to_vec());
        self.transactions.start(now, id, reliable, message, tag);
    }

    fn write_allocate(&self, builder: &mut MessageBuilder<'_>) {
        builder.requested_transport(if self.config.tcp { TCP } else { UDP });
        if let Some(lifetime) = self.config.lifetime {
            builder.lifetime(lifetime);
        }
        if let Some(reserve) = self.config.even_port {
            builder.even_port(reserve);
        }
        if let Some(token) = &self.config.reservation {
            builder.reservation_token(token);
        }
        if self.dont_fragment {
            builder.dont_fragment();
        }
        match self.config.families {
            Families::V4 => {}
            Families::V6 => {
                builder.requested_address_family(Family::V6);
            }
            Families::Both => {
                builder.additional_address_family(Family::V6);
            }
        }
    }

    /// Asks for all permissions, channels and connections that are due.
    pub(crate) fn ask_for_peers(&mut self, now: Instant) {
        while let State::Allocated { .. } = self.state
            && !self.rotation.is_trying()
        {
            let wish = self.peers.next_wish(now).map(Purpose::Peer);
            let connect = || self.connections.next_connect(now).map(Purpose::Connect);
            let Some(purpose) = wish.or_else(connect) else {
                return;
            };
            self.request(now, purpose);
        }
    }

    /// A Binding indication, which the server ignores and NATs do not (RFC 8445 §11).
    pub(crate) fn write_keepalive(&mut self, train: &mut Train) {
        let id = TransactionId::random(&mut self.rng);
        train.begin(Room::default(), 64);
        train.push_with(|slot| {
            let mut builder = MessageBuilder::indication(slot, Method::BINDING, id);
            builder.fingerprint().finish().unwrap_or(0)
        });
    }
}
