//! `stuns:` servers, and `stun:` servers over TCP (RFC 7064, RFC 7350, RFC 8489 §6.2).
//!
//! 1. To each address of such a server that we can reach, a stream is opened.
//! 2. One Binding request goes over it, and its response says that the server works. The address in it is that
//!    of the stream, which goes to this server only: it makes no candidate.
//! 3. A server none of whose addresses answers is told in words.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::{Class, ErrorCode, Message, MessageBuilder, Method, Retransmission};
use esp_stun::{TransactionId, Transactions};
use esp_wire::{Action, Destination, Instant, Room, SocketId, Train, Transport};

use crate::agent::Agent;
use crate::event::Event;
use crate::gathering::can_reach;
use crate::local::BaseRole;

/// Most servers that are asked over streams.
const MAX_QUERIES: usize = 16;
/// How long a request on a stream waits for its response.
const TIMEOUT: Duration = Duration::from_secs(10);
/// No response is longer; a stream that says more is not of a STUN server.
const MAX_RESPONSE: usize = 2_048;

/// One server asked over a stream.
#[derive(Debug)]
pub(crate) struct Query {
    server: u32,
    address: SocketAddr,
    transport: Transport,
    /// `None` once it is over.
    stream: Option<SocketId>,
    request: Transactions<()>,
    received: Vec<u8>,
}

impl Query {
    pub(crate) fn is_settled(&self) -> bool {
        self.stream.is_none()
    }

    pub(crate) fn stream(&self) -> Option<SocketId> {
        self.stream
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.request.poll_timeout()
    }

    /// What the server said, once it is whole; `Err` when that is not STUN.
    fn take(&mut self, data: &[u8]) -> Result<Option<Vec<u8>>, ()> {
        if self.transport == Transport::Dtls {
            return Ok(Some(data.to_vec()));
        }
        self.received.extend_from_slice(data);
        match Message::frame_len(&self.received) {
            Ok(Some(len)) if len <= self.received.len() => {
                Ok(Some(self.received.drain(..len).collect()))
            }
            Ok(_) if self.received.len() < MAX_RESPONSE => Ok(None),
            _ => Err(()),
        }
    }
}

impl Agent {
    /// Opens a stream to each server that is asked so and was not yet.
    pub(crate) fn plan_queries(&mut self) {
        for (server, transport, address) in self.gathering.stream_servers() {
            let open = |role| role == BaseRole::Open;
            let reachable = (self.locals.bases.iter())
                .filter(|base| open(base.role))
                .filter_map(|base| base.local)
                .any(|local| can_reach(local, address));
            let queries = &self.gathering.queries;
            let known = |query: &Query| (query.server, query.address) == (server, address);
            if !reachable || queries.len() >= MAX_QUERIES || queries.iter().any(known) {
                continue;
            }
            let Some(server_name) = (self.gathering.server(server)).map(|one| one.host.clone())
            else {
                continue;
            };
            let stream = self.fresh_socket();
            self.gathering.reopen();
            self.gathering.queries.push(Query {
                server,
                address,
                transport,
                stream: Some(stream),
                request: Transactions::new(Retransmission {
                    rto: self.config.initial_rto,
                    last_wait: 8,
                    reliable_timeout: TIMEOUT,
                    ..Retransmission::default()
                }),
                received: Vec::new(),
            });
            self.actions.push_back(Action::OpenStream {
                stream,
                transport,
                local: None,
                remote: address,
                server_name: Some(server_name),
            });
        }
    }

    /// Forgets those whose server is gone.
    pub(crate) fn drop_queries(&mut self) {
        for query in std::mem::take(&mut self.gathering.queries) {
            if self.gathering.server(query.server).is_some() {
                self.gathering.queries.push(query);
            } else if let Some(socket) = query.stream {
                self.actions.push_back(Action::Close { socket });
            }
        }
    }

    fn query_on(&mut self, stream: SocketId) -> Option<usize> {
        let queries = self.gathering.queries.iter();
        let mut found = queries.enumerate();
        found.find_map(|(at, query)| (query.stream == Some(stream)).then_some(at))
    }

    /// The stream is open: the request goes out.
    pub(crate) fn on_query_opened(&mut self, now: Instant, stream: SocketId) {
        let Some(at) = self.query_on(stream) else {
            return;
        };
        let id = TransactionId::random(&mut self.rng);
        let query = &mut self.gathering.queries[at];
        let mut buffer = [0; 64];
        let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, id);
        let len = builder.fingerprint().finish().unwrap_or(0);
        let reliable = query.transport != Transport::Dtls;
        query
            .request
            .start(now, id, reliable, buffer[..len].to_vec(), ());
    }

    /// Fills a train with the next request over a stream.
    pub(crate) fn poll_queries(&mut self, now: Instant, train: &mut Train) -> bool {
        for query in &mut self.gathering.queries {
            if let Some(socket) = query.stream
                && let Some(due) = query.request.poll_due(now)
            {
                train.begin(Room::default(), due.message().len());
                train.push(due.message());
                train.set_destination(Destination {
                    socket,
                    remote: query.address,
                });
                self.refresh_deadline();
                return true;
            }
        }
        false
    }

    /// Takes bytes of a server that was asked over a stream; `false` when they are of another.
    pub(crate) fn on_answer_bytes(&mut self, now: Instant, stream: SocketId, data: &[u8]) -> bool {
        let Some(at) = self.query_on(stream) else {
            return false;
        };
        let query = &mut self.gathering.queries[at];
        let bytes = match query.take(data) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return true,
            Err(()) => {
                self.end_query(at, Err("it does not speak STUN there".to_owned()));
                return true;
            }
        };
        let answer = Message::parse(&bytes).ok();
        let Some((message, done)) = answer
            .and_then(|message| Some((message, query.request.complete(message.transaction_id())?)))
        else {
            self.counters.unknown_responses += 1;
            return true;
        };
        if let Some(sample) = done.round_trip(now) {
            self.gathering.rtt.sample(sample);
        }
        let outcome = match message.class() {
            Class::Success => Ok(()),
            _ => {
                let code = message.error_code().map(|(code, _)| code);
                let code = code.unwrap_or(ErrorCode::SERVER_ERROR);
                Err(format!("the STUN server refused: {code}"))
            }
        };
        self.end_query(at, outcome);
        true
    }

    /// The stream could not be opened, or has ended.
    pub(crate) fn on_query_closed(&mut self, stream: SocketId, reason: &str) {
        if let Some(at) = self.query_on(stream) {
            self.gathering.queries[at].stream = None;
            self.end_query(at, Err(reason.to_owned()));
        }
    }

    /// Gives up those that time has run out for.
    pub(crate) fn run_queries(&mut self, now: Instant) {
        for at in 0..self.gathering.queries.len() {
            if (self.gathering.queries[at].request.poll_expired(now)).is_some() {
                self.end_query(at, Err("it did not answer".to_owned()));
            }
        }
    }

    fn end_query(&mut self, at: usize, outcome: Result<(), String>) {
        let query = &mut self.gathering.queries[at];
        query.request.retain(|_| false);
        query.received = Vec::new();
        let id = query.server;
        if let Some(socket) = query.stream.take() {
            self.actions.push_back(Action::Close { socket });
        }
        let asked = |query: &Query| query.server == id && !query.is_settled();
        let waiting = self.gathering.queries.iter().any(asked);
        let Some(server) = self.gathering.server_mut(id) else {
            return;
        };
        server.answered |= outcome.is_ok();
        let Err(reason) = outcome else { return };
        if !waiting && !server.answered && !std::mem::replace(&mut server.told, true) {
            let url = server.url.clone();
            self.push_event(Event::ServerFailed { url, reason });
        }
    }
}
