//! Relaying data (RFC 8656 §11, §12).

use std::net::SocketAddr;

use esp_stun::{MessageBuilder, Method, TransactionId};
use esp_wire::Instant;

use super::{Client, FIRST_STREAM, TurnServer};
use crate::host::FIRST_SECURED;

impl TurnServer {
    pub(super) fn on_channel_data(&mut self, now: Instant, client: Client, bytes: &[u8]) {
        let number = u16::from_be_bytes([bytes[0], bytes[1]]);
        let len = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
        let Some(data) = bytes.get(4..4 + len) else {
            return;
        };
        let allocation = self.allocations.get(&client);
        let channel = allocation.and_then(|allocation| allocation.channels.get(&number));
        if let Some((peer, expires_at)) = channel.copied()
            && expires_at > now
        {
            self.relay_to(now, client, peer, data);
        }
    }

    /// Data of a client on its way to a peer.
    pub(super) fn relay_to(&mut self, now: Instant, client: Client, peer: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&client) else {
            return;
        };
        let permitted = allocation.permissions.get(&peer.ip());
        if permitted.is_none_or(|expires_at| *expires_at <= now) {
            return;
        }
        let mut relays = allocation.relays.iter();
        let relay = relays.find(|(_, at)| at.is_ipv4() == peer.is_ipv4());
        if let Some((socket, _)) = relay.copied() {
            self.relayed += 1;
            self.push((socket, peer), data.to_vec());
        }
    }

    /// Data of a peer on its way to the client.
    pub(super) fn on_peer(&mut self, now: Instant, client: Client, peer: SocketAddr, data: &[u8]) {
        let Some(allocation) = self.allocations.get(&client) else {
            return;
        };
        let permitted = allocation.permissions.get(&peer.ip());
        if permitted.is_none_or(|expires_at| *expires_at <= now) {
            return;
        }
        let mut channels = allocation.channels.iter();
        let bound = channels.find(|(_, (at, expires_at))| *at == peer && *expires_at > now);
        let message = match bound {
            Some((number, _)) => {
                let mut message = number.to_be_bytes().to_vec();
                message.extend((data.len() as u16).to_be_bytes());
                message.extend(data);
                if (FIRST_STREAM..FIRST_SECURED).contains(&client.0.0) {
                    message.resize(message.len().next_multiple_of(4), 0);
                }
                message
            }
            None => {
                let mut buffer = vec![0; data.len() + 64];
                let id = self.relayed.to_be_bytes();
                let mut transaction = [0; 12];
                transaction[4..].copy_from_slice(&id);
                let id = TransactionId(transaction);
                let mut builder = MessageBuilder::indication(&mut buffer, Method::DATA, id);
                builder.xor_peer_address(peer).data(data);
                let len = builder.finish().expect("a buffer that is large enough");
                buffer.truncate(len);
                buffer
            }
        };
        self.relayed += 1;
        self.push(client, message);
    }
}
