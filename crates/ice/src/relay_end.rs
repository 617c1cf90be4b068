//! How allocations end: they fail and are tried another way, lose their socket or stream, or are given back.

use esp_stun::ErrorCode;
use esp_stun::turn::{Families, TurnError};
use esp_wire::{Action, Instant, SocketId};

use crate::agent::Agent;
use crate::event::{Event, WarningReason};
use crate::relay::{Relay, Stage};

/// So many servers may send us on to another.
const MAX_REDIRECTS: u32 = 3;

impl Agent {
    /// The stream or socket of an allocation could not be opened, or has ended.
    pub(crate) fn on_relay_closed(&mut self, now: Instant, socket: SocketId, reason: &str) {
        let Some(at) = self.relays.of_via(socket) else {
            return self.on_query_closed(socket, reason);
        };
        self.end_tunnels(now, socket);
        // The driver has closed it already.
        let relay = &mut self.relays.list[at];
        relay.via = relay.base.unwrap_or(SocketId(u32::MAX));
        self.locals.bases.retain(|base| base.socket != socket);
        if self.relays.list[at].given_back {
            self.forget_relay(now, at);
        } else {
            self.fail_relay(now, at, &TurnError::StreamClosed(reason.to_owned()));
        }
    }

    /// There is no allocation, or none any more: another way is tried, or a pause is made.
    pub(crate) fn fail_relay(&mut self, now: Instant, at: usize, error: &TurnError) {
        self.end_relay(now, at, WarningReason::RelayLost);
        let relay = &mut self.relays.list[at];
        if relay.retired {
            relay.stage = Stage::Gone;
            return;
        }
        match error {
            error if error.wants_other_socket() && !relay.other_port && !relay.is_stream() => {
                relay.other_port = true;
                relay.stage = Stage::Queued;
                return;
            }
            TurnError::TryAlternate(server, name)
                if relay.is_stream() && relay.redirects < MAX_REDIRECTS =>
            {
                relay.redirects += 1;
                relay.alternate = Some((*server, name.clone()));
                relay.stage = Stage::Queued;
                return;
            }
            TurnError::Refused(ErrorCode::ADDRESS_FAMILY_NOT_SUPPORTED, _)
                if relay.families == Families::Both =>
            {
                relay.families = Families::V4;
                relay.stage = Stage::Queued;
                return;
            }
            _ => {}
        }
        relay.fail(now, error);
        let id = relay.server;
        self.tell_relay_failure(id, error);
    }

    /// Tells once of a server none of whose allocations is there.
    fn tell_relay_failure(&mut self, id: u32, error: &TurnError) {
        let working =
            |relay: &Relay| relay.server == id && (relay.is_allocated() || !relay.settled);
        if self.relays.list.iter().any(working) {
            return;
        }
        let Some(server) = self.gathering.server_mut(id).filter(|server| !server.told) else {
            return;
        };
        server.told = true;
        let (url, reason) = (server.url.clone(), error.to_string());
        self.push_event(Event::ServerFailed { url, reason });
    }

    /// Ends the client with all that depends on it.
    fn end_relay(&mut self, now: Instant, at: usize, reason: WarningReason) {
        self.end_tunnels(now, self.relays.list[at].via);
        let relay = &mut self.relays.list[at];
        relay.client = None;
        relay.framer = esp_stun::turn::Framer::new();
        relay.local = None;
        if relay.owns_socket() {
            let socket = relay.via;
            self.actions.push_back(Action::Close { socket });
            self.locals.bases.retain(|base| base.socket != socket);
        }
        relay.via = relay.base.unwrap_or(SocketId(u32::MAX));
        for (socket, _) in std::mem::take(&mut relay.sockets) {
            self.drop_base(now, socket, reason);
        }
    }

    fn drop_relay_sockets(&mut self, now: Instant, at: usize) {
        self.end_tunnels(now, self.relays.list[at].via);
        for (socket, _) in std::mem::take(&mut self.relays.list[at].sockets) {
            self.drop_base(now, socket, WarningReason::RelayLost);
        }
    }

    pub(crate) fn forget_relay(&mut self, now: Instant, at: usize) {
        self.end_relay(now, at, WarningReason::RelayLost);
        self.relays.list[at].stage = Stage::Gone;
    }

    pub(crate) fn is_relay_in_use(&self, at: usize) -> bool {
        let sockets = &self.relays.list[at].sockets;
        let active = self.active.as_ref().map(|active| active.socket);
        let previous = self.previous.as_ref().and_then(|old| old.pair.as_ref());
        let previous = previous.map(|pair| pair.socket);
        (sockets.iter()).any(|(socket, _)| Some(*socket) == active || Some(*socket) == previous)
            || self.is_tunnel_in_use(self.relays.list[at].via, &[active, previous])
    }

    /// Deletes an allocation that nobody uses.
    pub(crate) fn give_back(&mut self, now: Instant, at: usize) {
        let relay = &mut self.relays.list[at];
        if relay.given_back {
            return;
        }
        match &mut relay.client {
            Some(client) => {
                relay.given_back = true;
                client.close(now);
                self.drop_relay_sockets(now, at);
            }
            None => self.forget_relay(now, at),
        }
    }

    /// Ends all allocations that depend on a socket of ours which is gone, or on a stream from an
    /// address which is gone.
    pub(crate) fn drop_relays_of(&mut self, now: Instant, base: SocketId) {
        for at in 0..self.relays.list.len() {
            if self.relays.list[at].base == Some(base) {
                self.forget_relay(now, at);
            }
        }
    }

    /// Opens streams anew whose local address is gone.
    pub(crate) fn renew_streams(&mut self, now: Instant) {
        let addresses = self.interfaces.clone().unwrap_or_default();
        for at in 0..self.relays.list.len() {
            let gone = |local| !addresses.iter().any(|(_, address)| *address == local);
            if self.relays.list[at].local.is_some_and(gone) {
                self.end_relay(now, at, WarningReason::SocketLost);
                let relay = &mut self.relays.list[at];
                (relay.stage, relay.settled) = (Stage::Queued, false);
                self.gathering.reopen();
            }
        }
    }

    /// Gives all allocations back, so that the servers need not keep them until they expire. Nothing
    /// else is done any more; packets come out of [`Agent::poll_transmit`], and
    /// [`Agent::is_leaving`] says whether answers are awaited. [`Agent::close`] follows.
    pub fn leave(&mut self, now: Instant) {
        if self.closed || std::mem::replace(&mut self.leaving, true) {
            return;
        }
        for relay in &mut self.relays.list {
            match &mut relay.client {
                Some(client) => client.close(now),
                None => relay.stage = Stage::Gone,
            }
        }
        self.run(now);
    }

    /// Whether a TURN server has yet to confirm that an allocation is deleted.
    pub fn is_leaving(&self) -> bool {
        self.leaving && !self.relays.is_empty()
    }
}
