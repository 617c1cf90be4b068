//! Local ports out of a range ([`Config::ports`](crate::Config::ports)).
//!
//! 1. A socket asks for a port of the range, from where the seed says.
//! 2. When the system refuses it, it asks for the next one, until one is free or enough were tried.

use std::net::SocketAddr;

use esp_wire::{Action, SocketId};

use crate::agent::Agent;

/// Most ports that one socket tries.
const TRIES: u32 = 256;

/// A socket that waits for its port.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Try {
    socket: SocketId,
    local: SocketAddr,
    listens: bool,
    left: u32,
}

impl Agent {
    /// Asks for a socket, or a listener, at an address; its port is ours to choose.
    pub(crate) fn open_at(&mut self, socket: SocketId, mut local: SocketAddr, listens: bool) {
        if let Some(range) = self.config.ports.clone() {
            let count = u32::from(range.end() - range.start()) + 1;
            let offset = self.rng.below(u64::from(count)) as u16;
            local.set_port(range.start() + offset);
            self.locals.tries.push(Try {
                socket,
                local,
                listens,
                left: count.min(TRIES) - 1,
            });
        }
        self.ask_for(socket, local, listens);
    }

    fn ask_for(&mut self, socket: SocketId, local: SocketAddr, listens: bool) {
        self.actions.push_back(match listens {
            true => Action::Listen { socket, local },
            false => Action::Bind { socket, local },
        });
    }

    /// A port was refused: `true` when another one is asked for.
    pub(crate) fn try_next_port(&mut self, socket: SocketId) -> bool {
        let mut tries = self.locals.tries.iter_mut();
        let Some(attempt) = tries.find(|attempt| attempt.socket == socket) else {
            return false;
        };
        let range = self.config.ports.as_ref().filter(|_| attempt.left > 0);
        let Some(range) = range else {
            self.forget_try(socket);
            return false;
        };
        attempt.left -= 1;
        let port = attempt.local.port();
        let next = if port >= *range.end() {
            *range.start()
        } else {
            port + 1
        };
        attempt.local.set_port(next);
        let Try { local, listens, .. } = *attempt;
        self.ask_for(socket, local, listens);
        true
    }

    /// The socket is open, or is not wanted any more.
    pub(crate) fn forget_try(&mut self, socket: SocketId) {
        self.locals.tries.retain(|attempt| attempt.socket != socket);
    }
}
