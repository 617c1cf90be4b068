//! What a peer cannot do itself: sockets, streams and names, opened and closed for it.

use std::net::SocketAddr;
use std::sync::Arc;

use esp_wire::{Action, Input, Instant, SocketId};

use super::registered::Registered;
use super::slot::{Shared, Slot};
use super::socket::Socket;
use super::stream::{Opening, Tools};

impl Slot {
    pub(super) fn take_actions(&mut self, now: Instant, shard: &mut Shared<'_>) {
        while let Some(action) = self.peer.poll_action() {
            match action {
                Action::Bind { socket, local } => self.bind(now, socket, local, shard),
                Action::Listen { socket, local } => {
                    let opened = self.streams.listen(&mut shard.tools, socket, local);
                    self.answer(now, socket, opened.map_err(|why| format!("{local}: {why}")));
                }
                Action::OpenStream {
                    stream: id,
                    transport,
                    local,
                    remote,
                    server_name,
                } => {
                    let opening = Opening {
                        id,
                        transport,
                        local,
                        remote,
                        server_name,
                    };
                    if let Err(why) = self.streams.open(&mut shard.tools, opening) {
                        self.refuse(now, id, &why);
                    }
                }
                Action::Close { socket } => self.close_socket(socket, shard),
                Action::Publish { name, address } => {
                    shard.resolver.publish(self.key.serial, &name, address);
                }
                Action::Withdraw { name } => shard.resolver.withdraw(self.key.serial, &name),
                Action::Resolve { query, name, by } => {
                    self.names
                        .ask(query, now + shard.tools.config.resolve_timeout);
                    shard
                        .resolver
                        .resolve(shard.handle.clone(), self.key, query, name, by);
                }
            }
        }
    }

    fn answer(&mut self, now: Instant, socket: SocketId, opened: Result<SocketAddr, String>) {
        match opened {
            Ok(local) => self.input(now, Input::Bound { socket, local }),
            Err(why) => self.refuse(now, socket, &why),
        }
    }

    fn refuse(&mut self, now: Instant, socket: SocketId, reason: &str) {
        self.input(now, Input::Closed { socket, reason });
    }

    fn bind(&mut self, now: Instant, id: SocketId, local: SocketAddr, shard: &mut Shared<'_>) {
        let tools = &mut shard.tools;
        let place = self.key.place;
        let shares = local.port() == 0 && !shard.commons.has_joined(place, local.ip());
        if let Some(port) = shard.common_port.filter(|_| shares) {
            let joined = shard.commons.join(local, port, id, tools);
            let opened = joined.map(|(socket, local)| {
                self.sockets.push((id, socket));
                self.commons.push(id);
                local
            });
            return self.answer(now, id, opened);
        }
        let opened = Socket::bind(local, tools.config).and_then(|(mut socket, local)| {
            let token = tools
                .registered
                .insert(Registered::of_socket(self.key.place, id));
            match socket.register(tools.registry, token) {
                Ok(()) => {
                    self.sockets.push((id, Arc::new(socket)));
                    Ok(local)
                }
                Err(error) => {
                    tools.registered.remove(token);
                    Err(error)
                }
            }
        });
        self.answer(now, id, opened.map_err(|why| format!("{local}: {why}")));
    }

    fn close_socket(&mut self, id: SocketId, shard: &mut Shared<'_>) {
        let tools = &mut shard.tools;
        let Some(at) = self.sockets.iter().position(|(other, _)| *other == id) else {
            return self.streams.close(tools, id);
        };
        let (_, socket) = self.sockets.swap_remove(at);
        if let Some(at) = self.commons.iter().position(|common| *common == id) {
            self.commons.swap_remove(at);
            shard
                .commons
                .leave(self.key.place, Some(id), tools.registered);
        } else {
            close(socket, tools);
        }
        if self.stuck.as_ref().is_some_and(|stuck| stuck.socket == id) {
            self.stuck = None;
        }
    }

    /// Gives the sockets and streams back.
    pub(super) fn release(&mut self, tools: &mut Tools<'_>) {
        self.streams.release(tools);
        for (id, socket) in self.sockets.drain(..) {
            if !self.commons.contains(&id) {
                close(socket, tools);
            }
        }
    }
}

/// Closes a socket that nobody else uses: with the descriptor goes its registration.
fn close(socket: Arc<Socket>, tools: &mut Tools<'_>) {
    tools.registered.try_remove(socket.token);
}
