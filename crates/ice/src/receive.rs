//! Datagrams of the driver: ICE's own are taken out, the peer's others are handed on, a stranger's are
//! dropped.

use std::net::SocketAddr;

use esp_wire::{Ecn, Instant, SocketId};

use crate::agent::{Agent, Received};
use crate::pair::same_address;

impl Agent {
    /// Sorts datagrams: ICE's own are consumed, others of the peer are moved together.
    pub(crate) fn on_datagrams<'a>(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        ecn: Ecn,
        size: usize,
        data: &'a mut [u8],
    ) -> Option<Received<'a>> {
        if data.is_empty() || size == 0 {
            return None;
        }
        if !self.relays.is_empty()
            && let Some(at) = self.relays.speaking(socket, remote)
        {
            return self.on_relayed(now, at, ecn, size, data);
        }
        // RFC 7983 §7: a first byte of 0 to 3 is STUN.
        let mut kept = data.len();
        if (data.chunks(size)).any(|datagram| datagram[0] < 4) {
            kept = self.consume_stun(now, socket, remote, size, data);
            self.run(now);
        }
        if kept == 0 {
            return None;
        }
        if !self.is_peer(now, socket, remote) {
            self.counters.unknown_source += kept.div_ceil(size) as u64;
            return None;
        }
        Some(Received {
            data: &mut data[..kept],
            size: size.min(kept),
            ecn,
        })
    }

    /// Takes out what is STUN and says how many bytes are left at the front.
    fn consume_stun(
        &mut self,
        now: Instant,
        socket: SocketId,
        remote: SocketAddr,
        size: usize,
        data: &mut [u8],
    ) -> usize {
        let (mut at, mut kept) = (0, 0);
        while at < data.len() {
            let end = data.len().min(at + size);
            if data[at] < 4 {
                self.on_stun(now, socket, remote, &data[at..end]);
            } else {
                data.copy_within(at..end, kept);
                kept += end - at;
            }
            at = end;
        }
        kept
    }

    /// Whether a check has proved that this far end is the peer's.
    pub(crate) fn is_peer(&mut self, now: Instant, socket: SocketId, remote: SocketAddr) -> bool {
        if let Some(active) = &self.active
            && active.socket == socket
            && same_address(active.remote, remote)
        {
            self.on_heard_active(now);
            return true;
        }
        if let Some(pair) = self.session.checklist.between_mut(socket, remote)
            && pair.is_authentic()
        {
            pair.last_heard = Some(now);
            self.on_heard_elsewhere(now);
            return true;
        }
        let previous = self
            .previous
            .as_ref()
            .and_then(|previous| previous.pair.as_ref());
        previous.is_some_and(|pair| pair.is_between(socket, remote))
            || (self.session.early.iter())
                .any(|early| early.socket == socket && same_address(early.remote, remote))
    }
}
