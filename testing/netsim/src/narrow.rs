//! A TURN server beyond which the network takes small datagrams only, and says so (RFC 8656 §11.5, §18.13).

use std::cell::Cell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;

use esp_stun::{Icmp, Message, MessageBuilder, Method, TransactionId};
use esp_wire::{Action, Destination, Input, Instant, Room, Train};

use crate::endpoint::Endpoint;
use crate::turn_server::TurnServer;

/// Headers of IPv4 and UDP, of IPv6 and UDP.
const HEADERS: [usize; 2] = [28, 48];

/// How often a client asked for datagrams that are not fragmented (DONT-FRAGMENT).
#[derive(Debug, Default)]
pub struct Marks {
    /// Allocate requests that did.
    pub allocates: Cell<u32>,
    /// Send indications that did.
    pub sends: Cell<u32>,
}

/// A TURN server for one client over UDP. Like Linux it sets DF on all that it relays: what is larger than the
/// next hop takes is lost, and the client is told by an indication with ICMP.
#[derive(Debug)]
pub struct NarrowServer {
    server: TurnServer,
    mtu: usize,
    client: Option<Destination>,
    words: VecDeque<Vec<u8>>,
    marks: Rc<Marks>,
}

impl NarrowServer {
    /// Puts a next hop behind a server that takes packets of `mtu` bytes, their headers included.
    pub fn new(server: TurnServer, mtu: usize) -> Self {
        NarrowServer {
            server,
            mtu,
            client: None,
            words: VecDeque::new(),
            marks: Rc::default(),
        }
    }

    /// What the client marked, counted from now on.
    pub fn marks(&self) -> Rc<Marks> {
        self.marks.clone()
    }

    fn note(&mut self, from: Destination, datagram: &[u8]) {
        let Ok(message) = Message::parse(datagram) else {
            return;
        };
        let count = match message.method() {
            Method::ALLOCATE => {
                self.client = Some(from);
                &self.marks.allocates
            }
            Method::SEND => &self.marks.sends,
            _ => return,
        };
        if message.dont_fragment() {
            count.set(count.get() + 1);
        }
    }

    /// Whether a datagram to a peer is lost; the client is told then.
    fn loses(&mut self, to: Destination, len: usize) -> bool {
        let Some(client) = self.client else {
            return false;
        };
        let headers = HEADERS[usize::from(to.remote.is_ipv6())];
        if to.socket == client.socket || len + headers <= self.mtu {
            return false;
        }
        let word = too_big(to.remote, self.mtu as u32, self.words.len() as u8);
        self.words.push_back(word);
        true
    }
}

/// A Data indication with the ICMP message that a packet to this peer was too big.
fn too_big(peer: SocketAddr, mtu: u32, number: u8) -> Vec<u8> {
    let (kind, code) = match peer {
        SocketAddr::V4(_) => (3, 4),
        SocketAddr::V6(_) => (2, 0),
    };
    let mut buffer = vec![0; 128];
    let id = TransactionId([number; 12]);
    let mut builder = MessageBuilder::indication(&mut buffer, Method::DATA, id);
    builder.xor_peer_address(peer).icmp(Icmp {
        kind,
        code,
        data: mtu,
    });
    let len = builder.finish().expect("a buffer that is large enough");
    buffer.truncate(len);
    buffer
}

impl Endpoint for NarrowServer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if let Input::Datagrams {
            socket,
            remote,
            size,
            ref data,
            ..
        } = input
        {
            for datagram in data.chunks(size.max(1)) {
                self.note(Destination { socket, remote }, datagram);
            }
        }
        self.server.handle_input(now, input);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.server.handle_timeout(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        while self.server.poll_transmit(now, train) {
            let len = train.segment(0).len();
            if !(train.destination()).is_some_and(|to| self.loses(to, len)) {
                return true;
            }
        }
        let (Some(client), Some(word)) = (self.client, self.words.pop_front()) else {
            return false;
        };
        train.begin(Room::default(), word.len());
        train.push(&word);
        train.set_destination(client);
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.server.poll_timeout()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.server.poll_action()
    }
}
