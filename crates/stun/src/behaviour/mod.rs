//! How the NATs on the way behave (RFC 5780 §4), and which servers answer.
//!
//! 1. One socket asks every server for its mapped address.
//! 2. The first server that names another address of its own (OTHER-ADDRESS) is asked there, at its
//!    first port and at its second, by the same socket: equal or not, the mapped addresses tell the
//!    mapping behaviour (§4.3). Without such a server, two that answered tell part of it.
//! 3. A second socket asks that server once, and then to answer from its other address, and from its
//!    other port alone (CHANGE-REQUEST): what comes through tells the filtering behaviour (§4.4).
//! 4. The second socket sends to the mapped address of the first: it arrives where the NAT
//!    hairpins (§4.5).

mod findings;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_wire::{Action, Destination, Input, Instant, Origin, Rng, Room, SocketId, Train};

pub use self::findings::{Answer, Dependence, Findings, Mapping};
use crate::header::{Class, Method, TransactionId};
use crate::message::Message;
use crate::transaction::{Retransmission, Transaction, Transactions};
use crate::typed::ChangeRequest;
use crate::{ErrorCode, MessageBuilder};

/// The socket of the servers and of the mapping tests.
const MAPPING: SocketId = SocketId(0);
/// The socket of the filtering and hairpin tests.
const FILTERING: SocketId = SocketId(1);
/// Most servers that are asked.
const MAX_SERVERS: usize = 32;
/// No request of ours is longer.
const LONGEST: usize = 64;

/// Which question a request asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    /// Number of the server.
    Server(usize),
    OtherAddress,
    OtherAddressAndPort,
    /// It opens the filter for the server's first address and port.
    Opening,
    ChangeBoth,
    ChangePort,
    Hairpin,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    test: Test,
    to: Destination,
}

/// Finds out how the NATs between this host and its servers behave; one address family at a time.
///
/// Feed [`handle_input`](Discovery::handle_input) and [`handle_timeout`](Discovery::handle_timeout), drain
/// [`poll_action`](Discovery::poll_action) and [`poll_transmit`](Discovery::poll_transmit) until
/// [`is_done`](Discovery::is_done).
#[derive(Debug)]
pub struct Discovery {
    rng: Rng,
    locals: Vec<IpAddr>,
    actions: VecDeque<Action>,
    bound: [Option<SocketAddr>; 2],
    requests: Transactions<Asked>,
    /// The number of the server that names another address, and that address.
    pair: Option<(usize, SocketAddr)>,
    /// It answers, but not from where it was told to.
    unwilling: bool,
    findings: Findings,
}

impl Discovery {
    /// A discovery that will ask these servers, all of one address family; more than 32, and those of
    /// another family than the first, are left out. `locals` are the addresses of this host.
    pub fn new(origin: Origin, servers: &[SocketAddr], locals: &[IpAddr]) -> Self {
        let ipv4 = servers.first().is_none_or(SocketAddr::is_ipv4);
        let asked = servers.iter().filter(|server| server.is_ipv4() == ipv4);
        let answers: Vec<Answer> = asked.take(MAX_SERVERS).map(|at| Answer::of(*at)).collect();
        let any = match ipv4 {
            true => IpAddr::from([0; 4]),
            false => IpAddr::from([0; 16]),
        };
        let bind = |socket| Action::Bind {
            socket,
            local: SocketAddr::new(any, 0),
        };
        Discovery {
            rng: Rng::new(origin.seed).fork("nat behaviour"),
            locals: locals.to_vec(),
            actions: VecDeque::from([bind(MAPPING), bind(FILTERING)]),
            bound: [None; 2],
            // RFC 8489 §6.2.1 waits for 39.5 s; here somebody watches: 0, 500 and 1500 ms, over at 2500.
            requests: Transactions::new(Retransmission {
                rto: Duration::from_millis(500),
                count: 3,
                last_wait: 2,
                ..Retransmission::default()
            }),
            pair: None,
            unwilling: false,
            findings: Findings::new(answers),
        }
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// Whether nothing more will be found.
    pub fn is_done(&self) -> bool {
        let opened = self.bound.iter().all(Option::is_some) || self.findings.failure.is_some();
        opened && self.requests.is_empty()
    }

    /// Takes what the driver tells; what is no answer to a request is ignored.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Bound { socket, local } => self.on_bound(now, socket, local),
            Input::Closed { reason, .. } => {
                self.findings.failure.get_or_insert(reason.to_owned());
                self.requests.retain(|_| false);
            }
            Input::Datagrams {
                socket,
                remote,
                size,
                data,
                ..
            } => {
                for datagram in data.chunks(size.max(1)) {
                    self.on_datagram(now, socket, remote, datagram);
                }
            }
            _ => {}
        }
    }

    /// Draws the conclusions from requests that were not answered.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(silent) = self.requests.poll_expired(now) {
            self.on_silence(silent.tag.test);
        }
    }

    /// When [`Discovery::handle_timeout`] or [`Discovery::poll_transmit`] have something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.requests.poll_timeout()
    }

    /// The sockets it needs.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Fills `train` with the next request; `false` when none is due.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        let Some(request) = self.requests.poll_due(now) else {
            return false;
        };
        train.begin(Room::default(), LONGEST);
        train.push(request.message());
        train.set_destination(request.tag.to);
        true
    }

    fn on_bound(&mut self, now: Instant, socket: SocketId, local: SocketAddr) {
        let Some(bound) = self.bound.get_mut(socket.0 as usize) else {
            return;
        };
        *bound = Some(local);
        if socket == MAPPING {
            self.findings.local_port = local.port();
        }
        if self.bound.iter().any(Option::is_none) {
            return;
        }
        for number in 0..self.findings.answers.len() {
            let server = self.findings.answers[number].server;
            self.ask(now, Test::Server(number), MAPPING, server);
        }
    }

    fn ask(&mut self, now: Instant, test: Test, socket: SocketId, remote: SocketAddr) {
        let id = TransactionId::random(&mut self.rng);
        let mut buffer = [0; LONGEST];
        let mut builder = MessageBuilder::request(&mut buffer, Method::BINDING, id);
        match test {
            Test::ChangeBoth => builder.change_request(ChangeRequest {
                ip: true,
                port: true,
            }),
            Test::ChangePort => builder.change_request(ChangeRequest {
                ip: false,
                port: true,
            }),
            _ => &mut builder,
        };
        let Ok(len) = builder.fingerprint().finish() else {
            return;
        };
        let to = Destination { socket, remote };
        let message = buffer[..len].to_vec();
        self.requests
            .start(now, id, false, message, Asked { test, to });
    }

    fn on_datagram(&mut self, now: Instant, socket: SocketId, remote: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else {
            return;
        };
        let id = message.transaction_id();
        let Some(Asked { test, to }) = self.requests.find(id).map(|asked| asked.tag) else {
            return;
        };
        if message.class() == Class::Request {
            // It came back to the socket that it was not sent from.
            if test == Test::Hairpin && socket == MAPPING {
                self.requests.complete(id);
                self.findings.hairpin = Some(true);
            }
            return;
        }
        if socket != to.socket || !self.comes_from(test, to.remote, remote) {
            // RFC 5780 §6.1: who cannot change, refuses; some send from the first address instead.
            self.unwilling |= remote == to.remote;
            return;
        }
        if let Some(request) = self.requests.complete(id) {
            self.on_answer(now, &request, &message);
        }
    }

    /// Whether an answer to a test may come from there.
    fn comes_from(&self, test: Test, asked: SocketAddr, from: SocketAddr) -> bool {
        match (test, self.pair) {
            (Test::ChangeBoth, Some((_, other))) => from == other,
            (Test::ChangePort, Some((_, other))) => {
                from == SocketAddr::new(asked.ip(), other.port())
            }
            _ => from == asked,
        }
    }

    fn on_answer(&mut self, now: Instant, request: &Transaction<Asked>, message: &Message<'_>) {
        let mapped = match message.class() {
            Class::Success => message
                .xor_mapped_address()
                .or_else(|| message.mapped_address()),
            _ => None,
        };
        let test = request.tag.test;
        match test {
            Test::Server(number) => self.on_server(now, number, request, message, mapped),
            Test::OtherAddress => self.findings.other_address = mapped,
            Test::OtherAddressAndPort => self.findings.other_port = mapped,
            Test::Opening => self.on_opened(now),
            Test::ChangeBoth if mapped.is_some() => {
                self.findings.filtering = Some(Dependence::EndpointIndependent);
            }
            Test::ChangePort if mapped.is_some() => {
                self.findings
                    .filtering
                    .get_or_insert(Dependence::AddressDependent);
            }
            Test::ChangeBoth | Test::ChangePort | Test::Hairpin => {}
        }
        self.conclude();
    }

    fn on_server(
        &mut self,
        now: Instant,
        number: usize,
        request: &Transaction<Asked>,
        message: &Message<'_>,
        mapped: Option<SocketAddr>,
    ) {
        let Some(answer) = self.findings.answers.get_mut(number) else {
            return;
        };
        let first = answer.server;
        answer.after = Some(now.since(request.first_sent()));
        answer.mapped = mapped;
        answer.refused = refusal(message);
        answer.other = message.other_address();
        let Some(mapped) = mapped else {
            return;
        };
        if self.findings.mapped.is_none() {
            self.findings.mapped = Some(mapped);
            let local = self.locals.contains(&mapped.ip());
            self.findings.translated = Some(!local || mapped.port() != self.findings.local_port);
            if self.findings.translated == Some(true) {
                self.ask(now, Test::Hairpin, FILTERING, mapped);
            }
        }
        let other = self.findings.answers[number].other;
        let usable = |other: &SocketAddr| {
            other.is_ipv4() == first.is_ipv4()
                && other.ip() != first.ip()
                && other.port() != first.port()
        };
        if let (None, Some(other)) = (self.pair, other.filter(usable)) {
            self.pair = Some((number, other));
            self.findings.discovered_by = Some(first);
            let beside = SocketAddr::new(other.ip(), first.port());
            self.ask(now, Test::OtherAddress, MAPPING, beside);
            self.ask(now, Test::OtherAddressAndPort, MAPPING, other);
            self.ask(now, Test::Opening, FILTERING, first);
        }
    }

    /// The server may now send to the second socket: who else may?
    fn on_opened(&mut self, now: Instant) {
        let Some((number, _)) = self.pair else {
            return;
        };
        let server = self.findings.answers[number].server;
        self.ask(now, Test::ChangeBoth, FILTERING, server);
        self.ask(now, Test::ChangePort, FILTERING, server);
    }

    fn on_silence(&mut self, test: Test) {
        let waits = |requests: &Transactions<Asked>, other| {
            requests.iter().any(|request| request.tag.test == other)
        };
        match test {
            Test::Hairpin => self.findings.hairpin = Some(false),
            // The last of the two to fall silent concludes, if the server was there all the time.
            Test::ChangeBoth | Test::ChangePort
                if !waits(&self.requests, Test::ChangeBoth)
                    && !waits(&self.requests, Test::ChangePort)
                    && self.findings.other_port.is_some()
                    && !self.unwilling =>
            {
                self.findings
                    .filtering
                    .get_or_insert(Dependence::AddressAndPortDependent);
            }
            _ => {}
        }
        self.conclude();
    }

    /// RFC 5780 §4.3: compares what the servers saw.
    fn conclude(&mut self) {
        let by_pair = self.pair.and_then(|(number, _)| {
            let first = self.findings.answers[number].mapped?;
            let (address, port) = (self.findings.other_address?, self.findings.other_port?);
            Some(if first == address && address == port {
                Mapping::EndpointIndependent
            } else if address == port {
                Mapping::AddressDependent
            } else {
                Mapping::AddressAndPortDependent
            })
        });
        self.findings.mapping = by_pair.or_else(|| self.findings.compare_servers());
    }
}

/// The words of an error response.
fn refusal(message: &Message<'_>) -> Option<(ErrorCode, String)> {
    let (code, reason) = message.error_code()?;
    Some((code, reason.to_owned()))
}
