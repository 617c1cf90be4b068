//! The client's state and its public face; what it tells stands in `event.rs`.

use std::collections::VecDeque;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_wire::{Deadline, Destination, Instant, Origin, Rng, Room, Train, Transport};

use crate::auth::{Generation, LongTermAuth};
use crate::error_code::ErrorCode;
use crate::transaction::{RoundTrip, Transactions};
use crate::turn::peers::{Peers, Wish};
use crate::turn::rotation::Rotation;
use crate::turn::tcp::Connections;
use crate::turn::{TurnConfig, TurnError, TurnEvent, TurnStats, TurnWhy};

/// After so long a refresh that failed is tried again, four times a minute at most.
const REFRESH_AGAIN: Duration = Duration::from_secs(15);

/// What a request in flight is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Allocate,
    Refresh,
    Close,
    Peer(Wish),
    Connect(SocketAddr),
}

/// What is remembered of a request until its response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) purpose: Purpose,
    pub(crate) sent: Generation,
}

/// Where the allocation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Not asked for yet.
    Idle,
    /// The first success is awaited.
    Allocating,
    /// Data can flow.
    Allocated {
        refresh_at: Instant,
        expires_at: Instant,
    },
    /// Its deletion is awaited.
    Closing,
    /// It is over.
    Over,
}

/// One allocation on a TURN server, seen from one socket or stream; see the [module](crate::turn).
///
/// - Commands: [`start`](Self::start), [`permit`](Self::permit),
///   [`bind_channel`](Self::bind_channel), [`forget`](Self::forget),
///   [`set_credentials`](Self::set_credentials), [`probe`](Self::probe), [`close`](Self::close).
/// - Feed: [`handle_message`](Self::handle_message) with what comes from [`server`](Self::server)
///   (over a stream, what [`Framer`](crate::turn::Framer) cuts),
///   [`handle_timeout`](Self::handle_timeout), [`handle_closed`](Self::handle_closed).
/// - Drain: [`poll_transmit`](Self::poll_transmit), [`poll_event`](Self::poll_event),
///   [`poll_timeout`](Self::poll_timeout).
/// - TCP relays: [`connect`](Self::connect), [`bind_connection`](Self::bind_connection),
///   [`release`](Self::release).
/// - Data out: a train laid out with [`room`](Self::room) goes through [`wrap`](Self::wrap).
pub struct TurnClient {
    pub(crate) config: TurnConfig,
    pub(crate) server: SocketAddr,
    pub(crate) rng: Rng,
    pub(crate) auth: LongTermAuth,
    pub(crate) rotation: Rotation,
    pub(crate) state: State,
    pub(crate) transactions: Transactions<Tag>,
    pub(crate) round_trip: RoundTrip,
    pub(crate) peers: Peers,
    pub(crate) connections: Connections,
    pub(crate) events: VecDeque<TurnEvent>,
    pub(crate) relayed: Vec<SocketAddr>,
    pub(crate) reservation: Option<[u8; 8]>,
    /// The server has not said that it does not know the attribute.
    pub(crate) dont_fragment: bool,
    pub(crate) redirects: u32,
    pub(crate) last_sent: Instant,
    pub(crate) keepalive_due: bool,
    pub(crate) stats: TurnStats,
}

impl TurnClient {
    /// A client that has not sent anything yet. Fails when the credentials cannot be sent.
    pub fn new(config: TurnConfig, origin: Origin) -> Result<Self, TurnError> {
        config.check()?;
        Ok(TurnClient {
            dont_fragment: config.dont_fragment,
            reservation: None,
            auth: LongTermAuth::new(&config.username, &config.password)?,
            server: config.server,
            rotation: Rotation::default(),
            rng: Rng::new(origin.seed),
            state: State::Idle,
            transactions: Transactions::new(config.retransmission),
            round_trip: RoundTrip::default(),
            peers: Peers::default(),
            connections: Connections::default(),
            events: VecDeque::new(),
            relayed: Vec::new(),
            redirects: 0,
            last_sent: origin.now,
            keepalive_due: false,
            stats: TurnStats::default(),
            config,
        })
    }

    /// Asks for the allocation; once.
    pub fn start(&mut self, now: Instant) {
        if self.state == State::Idle {
            self.state = State::Allocating;
            self.request(now, Purpose::Allocate);
        }
    }

    /// Lets an address through, now and for as long as the allocation lives; may be called before
    /// there is one. Answered by [`TurnEvent::Permitted`] or [`TurnEvent::PeerRefused`].
    pub fn permit(&mut self, now: Instant, peer: IpAddr) {
        if !self.peers.permit(peer, self.config.max_peers) {
            self.stats.too_many_peers += 1;
        }
        self.ask_for_peers(now);
    }

    /// Binds a channel to a peer, which makes data to it cheap, and keeps it bound. Permits its
    /// address, too, and with TCP relays does only that. Answered by [`TurnEvent::ChannelBound`] or [`TurnEvent::PeerRefused`].
    pub fn bind_channel(&mut self, now: Instant, peer: SocketAddr) {
        let most = self.config.max_peers;
        let bind = !self.config.tcp;
        if !self.peers.permit(peer.ip(), most) || bind && !self.peers.bind(peer, most) {
            self.stats.too_many_peers += 1;
        }
        self.ask_for_peers(now);
    }

    /// Renews nothing any more that belongs to this address; the server forgets it in time.
    pub fn forget(&mut self, peer: IpAddr) {
        self.peers.forget(peer);
    }

    /// Asks the server whether it still has the allocation, when there is reason to doubt it;
    /// [`TurnEvent::Failed`] follows if it has not.
    pub fn probe(&mut self, now: Instant) {
        if self.is_allocated() && !self.is_refreshing() {
            self.request(now, Purpose::Refresh);
        }
    }

    /// Deletes the allocation; [`TurnEvent::Closed`] follows, at the latest when the server does
    /// not answer.
    pub fn close(&mut self, now: Instant) {
        self.keepalive_due = false;
        self.transactions.retain(|_| false);
        match self.state {
            State::Allocated { .. } | State::Allocating => {
                self.state = State::Closing;
                self.request(now, Purpose::Close);
            }
            State::Idle => self.end(TurnEvent::Closed),
            State::Closing | State::Over => {}
        }
        self.peers.clear();
        self.connections.clear();
    }

    /// The server that is spoken to, after redirections.
    pub fn server(&self) -> SocketAddr {
        self.server
    }

    /// The settings.
    pub fn config(&self) -> &TurnConfig {
        &self.config
    }

    /// The relayed addresses, once allocated.
    pub fn relayed(&self) -> &[SocketAddr] {
        &self.relayed
    }

    /// The token of the port beside ours, when the server has reserved it; good for 30 s at another client.
    pub fn reservation(&self) -> Option<[u8; 8]> {
        self.reservation
    }

    /// Whether data can flow.
    pub fn is_allocated(&self) -> bool {
        matches!(self.state, State::Allocated { .. })
    }

    /// Whether it has failed or was closed.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether the server has said that it lets this address through.
    pub fn is_permitted(&self, peer: IpAddr) -> bool {
        self.peers.is_permitted(peer)
    }

    /// Whether data to this peer goes as ChannelData.
    pub fn has_channel(&self, peer: SocketAddr) -> bool {
        self.peers.channel_to(peer).is_some()
    }

    /// The round-trip time to the server, as far as requests have measured it.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip.smoothed()
    }

    /// What was dropped.
    pub fn stats(&self) -> TurnStats {
        self.stats
    }

    /// Room that a train to this peer needs now.
    pub fn room(&self, peer: SocketAddr) -> Room {
        let framing = crate::turn::send::Framing {
            dont_fragment: self.dont_fragment,
            reliable: self.is_reliable(),
        };
        framing.room(self.has_channel(peer), peer)
    }

    /// Does what its time has come for.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(expired) = self.transactions.poll_expired(now) {
            let error = match expired.discarded() {
                0 => TurnError::Timeout,
                _ => TurnError::Integrity,
            };
            self.on_failed(now, expired.tag.purpose, error);
        }
        if let State::Allocated {
            refresh_at,
            expires_at,
        } = self.state
        {
            if expires_at <= now {
                return self.fail(TurnError::Lost);
            }
            if refresh_at <= now && !self.is_refreshing() {
                self.request(now, Purpose::Refresh);
            }
            self.connections.lapse(now);
            self.rotate(now);
            self.ask_for_peers(now);
            self.keepalive_due |= self.keepalive_at().is_some_and(|at| at <= now);
        }
    }

    /// The stream to the server has ended.
    pub fn handle_closed(&mut self, reason: &str) {
        match self.state {
            State::Closing => self.end(TurnEvent::Closed),
            _ => self.fail(TurnError::StreamClosed(reason.to_owned())),
        }
    }

    /// Fills a train with the next request to the server; false when there is none.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if let Some(due) = self.transactions.poll_due(now) {
            train.begin(Room::default(), due.message().len());
            train.push(due.message());
        } else if std::mem::take(&mut self.keepalive_due) {
            self.write_keepalive(train);
        } else {
            return false;
        }
        self.last_sent = now;
        train.set_destination(self.destination());
        true
    }

    /// The next thing to be known.
    pub fn poll_event(&mut self) -> Option<TurnEvent> {
        self.events.pop_front()
    }

    /// When it wants to be woken.
    pub fn poll_timeout(&self) -> Option<Deadline<TurnWhy>> {
        let deadline = |at: Option<Instant>, why| at.map(|at| Deadline { at, why });
        let mut next = deadline(self.transactions.poll_timeout(), TurnWhy::Request);
        if let State::Allocated {
            refresh_at,
            expires_at,
        } = self.state
        {
            let refresh = (!self.is_refreshing()).then_some(refresh_at);
            for other in [
                deadline(refresh, TurnWhy::Refresh),
                deadline(Some(expires_at), TurnWhy::Expiry),
                deadline(self.next_peer(), TurnWhy::Peer),
                self.connection_lapse(),
                deadline(self.keepalive_at(), TurnWhy::Keepalive),
            ] {
                next = Deadline::earlier(next, other);
            }
        }
        next
    }

    /// Where everything goes.
    pub(crate) fn destination(&self) -> Destination {
        Destination {
            socket: self.config.socket,
            remote: self.server,
        }
    }

    pub(crate) fn is_reliable(&self) -> bool {
        matches!(self.config.transport, Transport::Tcp | Transport::Tls)
    }

    /// Ends it with an error.
    pub(crate) fn fail(&mut self, error: TurnError) {
        self.end(TurnEvent::Failed(error));
    }

    /// Ends it; nothing is sent and nothing but this is told any more.
    pub(crate) fn end(&mut self, last: TurnEvent) {
        if self.state != State::Over {
            self.state = State::Over;
            self.keepalive_due = false;
            self.transactions.retain(|_| false);
            self.peers.clear();
            self.connections.clear();
            self.events.push_back(last);
        }
    }

    /// A request did not get what it wanted.
    pub(crate) fn on_failed(&mut self, now: Instant, purpose: Purpose, error: TurnError) {
        let mismatch = ErrorCode::ALLOCATION_MISMATCH;
        match purpose {
            Purpose::Close => self.end(TurnEvent::Closed),
            // RFC 8656 §7.4: it is asked again without what it does not know.
            Purpose::Allocate if self.dont_fragment && error.is_unknown("DONT-FRAGMENT") => {
                self.dont_fragment = false;
                self.request(now, Purpose::Allocate);
            }
            Purpose::Allocate => self.fail(error),
            // RFC 8656 §8.2: the server has no such allocation any more.
            _ if matches!(error, TurnError::Refused(code, _) if code == mismatch) => {
                self.fail(TurnError::Lost);
            }
            Purpose::Refresh if self.rotation.is_trying() => self.rotate_back(now, error),
            Purpose::Refresh => self.on_refresh_failed(now, error),
            Purpose::Connect(peer) => self.on_connect_failed(now, peer, error),
            Purpose::Peer(wish)
                if error == TurnError::Timeout && self.peers.put_off(wish, now + REFRESH_AGAIN) => {
            }
            Purpose::Peer(wish) => {
                self.peers.on_refused(wish);
                let peer = match wish {
                    Wish::Permission(peer) => peer,
                    Wish::Channel(peer, _) => peer.ip(),
                };
                self.events.push_back(TurnEvent::PeerRefused(peer, error));
            }
        }
    }

    /// RFC 8489 §6.3.4: a server in trouble, or out of reach, is asked again while there is time.
    fn on_refresh_failed(&mut self, now: Instant, error: TurnError) {
        let may_pass = match error {
            TurnError::Timeout => true,
            TurnError::Refused(code, _) => (500..600).contains(&code.0),
            _ => false,
        };
        match &mut self.state {
            State::Allocated {
                refresh_at,
                expires_at,
            } if may_pass && now + REFRESH_AGAIN < *expires_at => {
                *refresh_at = now + REFRESH_AGAIN;
            }
            _ => self.fail(error),
        }
    }

    fn is_refreshing(&self) -> bool {
        let mut purposes = self.transactions.iter().map(|one| one.tag.purpose);
        purposes.any(|purpose| purpose == Purpose::Refresh)
    }

    /// While other credentials are tried, nothing else is asked.
    fn next_peer(&self) -> Option<Instant> {
        let next = [self.peers.next_due(), self.connections.next_due()];
        next.into_iter()
            .flatten()
            .min()
            .filter(|_| !self.rotation.is_trying())
    }

    fn keepalive_at(&self) -> Option<Instant> {
        let quiet = !self.is_reliable() && !self.keepalive_due;
        quiet.then(|| self.last_sent + self.config.keepalive)
    }
}

impl fmt::Debug for TurnClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnClient")
            .field("server", &self.server)
            .field("state", &self.state)
            .field("relayed", &self.relayed)
            .finish_non_exhaustive()
    }
}
