//! How the NATs between this host and its servers behave, asked of the network by sockets of its own.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_stun::behaviour::{Discovery, Findings};
use esp_wire::{Action, Input, SocketId, Train};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};

use crate::{Clock, interfaces};

/// No answer of a STUN server is longer.
const LONGEST: usize = 2_048;

/// Asks these STUN servers, all of one address family, over UDP how they see this host and how the NATs
/// on the way behave (RFC 5780); blocks until that is known or `limit` has passed.
///
/// # Errors
/// When the system gives no poll descriptor, no random bytes, or does not tell its addresses. A socket
/// that cannot be opened is told by [`Findings::failure`].
pub fn survey(servers: &[SocketAddr], limit: Duration) -> io::Result<Findings> {
    let clock = Clock::new();
    let locals: Vec<IpAddr> = interfaces()?.into_iter().map(|one| one.address).collect();
    let mut survey = Survey {
        clock,
        discovery: Discovery::new(clock.origin()?, servers, &locals),
        poll: Poll::new()?,
        sockets: Vec::new(),
    };
    let mut events = Events::with_capacity(4);
    let mut train = Train::with_capacity(LONGEST);
    let until = clock.now() + limit;
    loop {
        survey.act();
        survey.send(&mut train);
        let now = clock.now();
        if survey.discovery.is_done() || now >= until {
            return Ok(survey.discovery.findings().clone());
        }
        let next = survey.discovery.poll_timeout();
        let wait = next.map_or(until, |at| at.min(until)).since(now);
        match survey.poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => survey.receive(),
        }
        survey.discovery.handle_timeout(clock.now());
    }
}

struct Survey {
    clock: Clock,
    discovery: Discovery,
    poll: Poll,
    sockets: Vec<(SocketId, UdpSocket)>,
}

impl Survey {
    fn act(&mut self) {
        while let Some(action) = self.discovery.poll_action() {
            let Action::Bind { socket, local } = action else {
                continue;
            };
            let now = self.clock.now();
            match self.open(socket, local) {
                Ok(local) => {
                    let bound = Input::Bound { socket, local };
                    self.discovery.handle_input(now, bound);
                }
                Err(error) => {
                    let reason = &error.to_string();
                    let closed = Input::Closed { socket, reason };
                    self.discovery.handle_input(now, closed);
                }
            }
        }
    }

    fn open(&mut self, id: SocketId, local: SocketAddr) -> io::Result<SocketAddr> {
        let mut socket = UdpSocket::bind(local)?;
        let local = socket.local_addr()?;
        let token = Token(self.sockets.len());
        let registry = self.poll.registry();
        registry.register(&mut socket, token, Interest::READABLE)?;
        self.sockets.push((id, socket));
        Ok(local)
    }

    fn send(&mut self, train: &mut Train) {
        while self.discovery.poll_transmit(self.clock.now(), train) {
            let Some(to) = train.destination() else {
                continue;
            };
            let socket = self.sockets.iter().find(|(id, _)| *id == to.socket);
            for segment in train.segments() {
                // What cannot be sent now is repeated, or silence tells.
                let _ = socket.map(|(_, socket)| socket.send_to(segment, to.remote));
            }
        }
    }

    fn receive(&mut self) {
        let mut buffer = [0; LONGEST];
        for (id, socket) in &self.sockets {
            loop {
                let (len, remote) = match socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An answer of the network to an earlier datagram.
                    Err(_) => continue,
                };
                self.discovery.handle_input(
                    self.clock.now(),
                    Input::Datagrams {
                        socket: *id,
                        remote,
                        ecn: esp_wire::Ecn::NotEct,
                        size: len,
                        data: &mut buffer[..len],
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use esp_stun::{Message, MessageBuilder};

    use super::*;

    #[test]
    fn a_server_on_this_host_is_asked() {
        let server = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = server.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; LONGEST];
            let (len, from) = server.recv_from(&mut buffer).unwrap();
            let request = Message::parse(&buffer[..len]).unwrap();
            let mut bytes = [0; 100];
            let mut builder = MessageBuilder::success(&mut bytes, &request);
            let len = builder.xor_mapped_address(from).finish().unwrap();
            server.send_to(&bytes[..len], from).unwrap();
        });
        let found = survey(&[at], Duration::from_secs(60)).unwrap();
        answering.join().unwrap();
        assert!(found.answered() && found.failure.is_none(), "{found:?}");
        assert_eq!(found.translated, Some(false));
        assert_eq!(found.keeps_ports(), Some(true));
    }
}
