use std::collections::VecDeque;

use esp_wire::{Deadline, Instant, Origin, Room, Train};

use crate::library::Library;
use crate::outlet::Outlet;
use crate::{Config, Error, Fingerprint, SrtpKeys, Violation, fingerprint};

/// Who starts the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DtlsRole {
    /// This side, `a=setup:active`.
    Client,
    /// The peer, `a=setup:passive`.
    Server,
}

/// A version of DTLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// DTLS 1.2 (RFC 6347).
    Dtls12,
    /// DTLS 1.3 (RFC 9147).
    Dtls13,
}

/// Where an association stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The role is not known yet; datagrams are held.
    New,
    /// Flights are under way.
    Handshaking,
    /// The handshake is complete but the peer's certificate could not be checked yet; everything is held.
    Unverified,
    /// Payloads flow both ways.
    Connected,
    /// One of the two sides said goodbye.
    Closed,
    /// An error ended it.
    Failed,
}

/// Why an association wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// To repeat a flight, to acknowledge one, or to give up.
    Handshake,
}

/// What an association tells.
#[derive(Debug)]
pub enum Event<'a> {
    /// The handshake is complete and the peer is who the signaling announced.
    Connected {
        /// The version that was agreed on.
        version: Version,
        /// The keys for SRTP; `None` when the peer has no profile in common.
        srtp: Option<SrtpKeys>,
    },
    /// One datagram of application data.
    Data(&'a mut [u8]),
    /// The peer ended the association (close_notify).
    Closed,
}

/// What an association counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Datagrams that the library took.
    pub datagrams_received: u64,
    /// Datagrams that were no DTLS, too large, or came after the end.
    pub datagrams_ignored: u64,
    /// Datagrams, payloads and flights that found their bounded queue full.
    pub dropped: u64,
    /// Records that [`Dtls::protect`] made.
    pub records_sent: u64,
    /// Records of application data that the peer sent, apart from those that the library opened.
    pub records_received: u64,
    /// Records that were forged, replayed, out of place or malformed, apart from those of the library.
    pub records_refused: u64,
}

/// One end of a DTLS association, without I/O.
///
/// Commands: [`Dtls::set_role`], [`Dtls::set_remote_fingerprints`], [`Dtls::set_below`], [`Dtls::protect`],
/// [`Dtls::close`]. Feed [`Dtls::handle_input`] and [`Dtls::handle_timeout`]; drain [`Dtls::poll_transmit`],
/// [`Dtls::poll_event`] and [`Dtls::poll_timeout`], in any order. An error for which [`Error::is_fatal`] holds
/// ends the association; it is returned once.
pub struct Dtls {
    pub(crate) library: Library,
    pub(crate) outlet: Outlet,
    pub(crate) state: State,
    pub(crate) stats: Stats,
    role: Option<DtlsRole>,
    announced: Option<Vec<Fingerprint>>,
    verified: bool,
    /// Datagrams from before the role, or from before an automatic client knows the version.
    pub(crate) early: VecDeque<Vec<u8>>,
    /// Application records from before the end of the handshake.
    pub(crate) ahead: VecDeque<Vec<u8>>,
    pub(crate) max_early: usize,
    /// A record as the library is to see it.
    pub(crate) control: Vec<u8>,
    below: Room,
    pub(crate) now: Instant,
    /// The moment that the library knows of.
    advanced: Option<Instant>,
    tell_connected: bool,
    tell_closed: bool,
}

impl Dtls {
    /// An association that waits for its role.
    ///
    /// [`Error::Misuse`] when the settings contradict each other.
    pub fn new(config: &Config, origin: &Origin) -> Result<Self, Error> {
        Ok(Dtls {
            library: Library::new(config, origin.now)?,
            outlet: Outlet {
                max_held: config.max_held,
                ..Outlet::default()
            },
            state: State::New,
            stats: Stats::default(),
            role: None,
            announced: None,
            verified: false,
            early: VecDeque::new(),
            ahead: VecDeque::new(),
            max_early: config.max_early,
            control: Vec::new(),
            below: Room::default(),
            now: origin.now,
            advanced: None,
            tell_connected: false,
            tell_closed: false,
        })
    }

    /// Starts the handshake in this role; datagrams that came before are worked on now.
    ///
    /// [`Error::Misuse`] when another role was set before; setting the same one again changes nothing.
    pub fn set_role(&mut self, now: Instant, role: DtlsRole) -> Result<(), Error> {
        self.advance_to(now);
        match self.role {
            Some(same) if same == role => return Ok(()),
            Some(_) => return Err(Error::Misuse("the DTLS role cannot change")),
            None if self.state != State::New => return Err(Error::Misuse("DTLS has ended")),
            None => self.role = Some(role),
        }
        self.state = State::Handshaking;
        if role == DtlsRole::Client {
            self.library.become_client();
        }
        let started = self.library.advance(self.now);
        self.settle(started)?;
        self.replay_early()
    }

    /// The fingerprints that the signaling announced for the peer (RFC 8122); one that matches is enough.
    ///
    /// May come at any time. [`Error::PeerMisbehaved`] when the peer has shown another certificate already.
    pub fn set_remote_fingerprints(&mut self, announced: Vec<Fingerprint>) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        self.announced = Some(announced);
        self.verified = false;
        self.settle(Ok(()))
    }

    /// The room that the layers below want around handshake datagrams and alerts.
    pub fn set_below(&mut self, below: Room) {
        self.below = below;
    }

    /// Lets the timers that are due fire: flights are repeated, or the handshake is given up.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.advance_to(now);
        let is_due = self.outlet.deadline.is_some_and(|at| at <= self.now);
        if self.state == State::New || self.is_over() || !is_due {
            return Ok(());
        }
        self.advanced = None;
        self.tell_time()
    }

    /// Fills `train` with handshake datagrams or alerts; `false` when there are none.
    pub fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some(first) = self.outlet.flights.front() else {
            return false;
        };
        train.begin(self.below, first.len());
        while let Some(flight) = self.outlet.flights.pop_front() {
            if !train.push(&flight) {
                if train.is_empty() {
                    // The caller's buffer is too small for it: as lost.
                    self.outlet.dropped += 1;
                    continue;
                }
                self.outlet.flights.push_front(flight);
                break;
            }
            self.outlet.recycle(flight);
        }
        !train.is_empty()
    }

    /// The next event; nothing of the peer comes before its certificate was checked.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        if std::mem::take(&mut self.tell_connected) {
            let version = self.library.version()?;
            let role = self.role?;
            let keying = self.outlet.keying.take();
            let srtp = keying.and_then(|(profile, keys)| SrtpKeys::split(profile, &keys, role));
            return Some(Event::Connected { version, srtp });
        }
        if self.verified
            && matches!(self.state, State::Connected | State::Closed)
            && let Some(range) = self.outlet.inbox.pop()
        {
            return Some(Event::Data(self.outlet.inbox.slice(range)));
        }
        std::mem::take(&mut self.tell_closed).then_some(Event::Closed)
    }

    /// When to call [`Dtls::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        if self.state == State::New || self.is_over() {
            return None;
        }
        self.outlet.deadline.map(|at| Deadline {
            at,
            why: Why::Handshake,
        })
    }

    /// Ends the association; a close_notify comes out of [`Dtls::poll_transmit`] when there were keys for one.
    pub fn close(&mut self, now: Instant) {
        self.advance_to(now);
        if self.is_over() {
            return;
        }
        if self.role.is_some() {
            self.library.close();
            // What cannot be sealed is not sent.
            let _ = self.library.drain(self.now, &mut self.outlet);
        }
        self.end(State::Closed);
    }

    /// Where the association stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// The role, once it is set.
    pub fn role(&self) -> Option<DtlsRole> {
        self.role
    }

    /// The version, once it is agreed on.
    pub fn version(&self) -> Option<Version> {
        self.role.and_then(|_| self.library.version())
    }

    /// The peer's certificate in DER, once it was shown; believe it only when the state is
    /// [`State::Connected`].
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.outlet.peer_certificate.as_deref()
    }

    /// What was counted.
    pub fn stats(&self) -> Stats {
        Stats {
            dropped: self.stats.dropped + self.outlet.dropped,
            ..self.stats
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.state, State::Closed | State::Failed)
    }

    pub(crate) fn advance_to(&mut self, now: Instant) {
        // The library wants its time to be monotonic.
        self.now = self.now.max(now);
    }

    /// Tells the library the time, once for all datagrams of a moment.
    pub(crate) fn tell_time(&mut self) -> Result<(), Error> {
        if self.advanced == Some(self.now) {
            return Ok(());
        }
        self.advanced = Some(self.now);
        let advanced = self.library.advance(self.now);
        self.settle(advanced)
    }

    /// Drains the library after a step and draws the conclusions.
    pub(crate) fn settle(&mut self, step: Result<(), Error>) -> Result<(), Error> {
        if let Err(error) = step {
            self.end(State::Failed);
            return Err(error);
        }
        if let Err(error) = self.library.drain(self.now, &mut self.outlet) {
            self.end(State::Failed);
            return Err(error);
        }
        self.verify()?;
        if self.outlet.complete && self.state == State::Handshaking {
            if self.outlet.peer_certificate.is_none() {
                return self.refuse(Error::PeerMisbehaved(Violation::NoCertificate));
            }
            self.state = State::Unverified;
            self.early = VecDeque::new();
        }
        if self.state == State::Unverified && self.verified {
            self.state = State::Connected;
            self.tell_connected = true;
        }
        self.retire();
        if self.outlet.peer_closed && !self.is_over() {
            self.tell_closed = true;
            self.outlet.deadline = None;
            if self.state == State::Connected {
                self.state = State::Closed;
            } else {
                self.end(State::Closed);
            }
        }
        Ok(())
    }

    /// Lets the library go as soon as it has no duty left.
    pub(crate) fn retire(&mut self) {
        if self.state == State::Connected
            && self.outlet.deadline.is_none()
            && self.ahead.is_empty()
            && !self.outlet.peer_closed
        {
            self.library.retire();
        }
    }

    fn verify(&mut self) -> Result<(), Error> {
        if self.verified {
            return Ok(());
        }
        let (Some(announced), Some(certificate)) = (&self.announced, &self.outlet.peer_certificate)
        else {
            return Ok(());
        };
        match fingerprint::check(announced, certificate) {
            Ok(()) => self.verified = true,
            Err(error) => return self.refuse(error),
        }
        Ok(())
    }

    /// Ends the association with a goodbye, so that the peer need not wait for its own timeout.
    fn refuse(&mut self, error: Error) -> Result<(), Error> {
        self.library.close();
        let _ = self.library.drain(self.now, &mut self.outlet);
        self.end(State::Failed);
        Err(error)
    }

    /// Forgets what must not be used any more; alerts stay to be sent.
    pub(crate) fn end(&mut self, state: State) {
        self.state = state;
        self.outlet.inbox.clear();
        self.outlet.keying = None;
        self.outlet.deadline = None;
        self.early = VecDeque::new();
        self.ahead = VecDeque::new();
        self.tell_connected = false;
    }
}

impl std::fmt::Debug for Dtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dtls")
            .field("state", &self.state)
            .field("role", &self.role)
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
