//! ICE restart (RFC 8445 §9): new credentials on both sides, while data stays on the old pair.
//!
//! 1. One side makes new credentials ([`Agent::restart`]) and offers them.
//! 2. The other side sees that they changed, makes its own and answers.
//! 3. Both check anew. The old pair carries data, and its consent is kept with the old credentials,
//!    until a pair of the new session is selected.

use esp_wire::{Action, Instant};

use crate::agent::Agent;
use crate::asking::Query;
use crate::credentials::Credentials;
use crate::error::Error;
use crate::event::{Event, GatheringState, State};
use crate::gathering::Gathering;
use crate::local::{Base, BaseRole, Locals};
use crate::outbox::Outbox;
use crate::relay::Relays;
use crate::session::{Previous, RemoteAuth, Session};

impl Agent {
    /// Restarts ICE from our side: new credentials, for which candidates are told again. The caller
    /// offers them and gives the answer's to [`Agent::set_remote_credentials`].
    pub fn restart(&mut self, now: Instant) {
        if self.closed {
            return;
        }
        self.begin_session(now);
        self.run(now);
    }

    /// Sets the peer's credentials, as its description says.
    ///
    /// When others were set before, the peer has restarted: unless we have restarted ourselves, our
    /// own credentials change too, [`Event::RemoteRestart`] is told, and the answer must carry
    /// [`Agent::local_credentials`] as they are then.
    ///
    /// # Errors
    /// [`Error::Misuse`] when they are no credentials; nothing changes then.
    pub fn set_remote_credentials(
        &mut self,
        now: Instant,
        credentials: Credentials,
    ) -> Result<(), Error> {
        credentials.check()?;
        if self.closed {
            return Ok(());
        }
        match &self.session.remote {
            Some(known) if known.credentials == credentials => return Ok(()),
            Some(_) => {
                self.begin_session(now);
                self.push_event(Event::RemoteRestart);
            }
            None => {}
        }
        let auth = RemoteAuth::new(credentials, &self.session.local.credentials);
        let ufrag = auth.credentials.ufrag.clone();
        self.session.remote = Some(auth);
        self.session.checking_since = Some(now);
        self.renew_search(now);
        for candidate in std::mem::take(&mut self.session.held) {
            self.take_candidate(now, candidate);
        }
        self.pair_all(now);
        for early in std::mem::take(&mut self.session.early) {
            if early.ufrag == ufrag {
                self.on_peer_check(
                    now,
                    early.socket,
                    early.remote,
                    early.priority,
                    early.use_candidate,
                );
            }
        }
        self.run(now);
        Ok(())
    }

    /// Closes all sockets and forgets the peer; nothing is sent or told any more. Allocations on TURN
    /// servers last until they expire unless [`Agent::leave`] came before.
    pub fn close(&mut self) {
        self.closed = true;
        self.actions.clear();
        self.events.clear();
        let real = |base: &&Base| base.role.gathers();
        let sockets = (self.locals.bases.iter().filter(real)).map(|base| base.socket);
        self.actions
            .extend(sockets.map(|socket| Action::Close { socket }));
        let owned = self.relays.list.iter().filter(|relay| relay.owns_socket());
        let sockets = owned.map(|relay| relay.via);
        self.actions
            .extend(sockets.map(|socket| Action::Close { socket }));
        let queries = self.gathering.queries.iter().filter_map(Query::stream);
        self.actions
            .extend(queries.map(|socket| Action::Close { socket }));
        let others = self.locals.bases.iter();
        let listeners = others.filter(|base| matches!(base.role, BaseRole::Listener(_)));
        let sockets = (self.streams.drain(..).map(|stream| stream.socket()))
            .chain(listeners.map(|base| base.socket));
        self.actions
            .extend(sockets.map(|socket| Action::Close { socket }));
        let tunnels = self.relays.tunnels.iter().filter(|one| !one.is_bound());
        self.actions.extend(tunnels.map(|one| Action::Close {
            socket: one.stream(),
        }));
        self.withdraw_names(|_| false);
        self.relays = Relays::default();
        self.locals = Locals::default();
        self.gathering = Gathering::default();
        self.outbox = Outbox::new();
        self.session = Session::new(self.session.generation.wrapping_add(1), &mut self.rng);
        self.previous = None;
        self.active = None;
        self.lost = None;
        self.deadline = None;
        self.state = State::Closed;
    }

    /// Puts the session aside and begins the next one with the sockets there are.
    fn begin_session(&mut self, now: Instant) {
        let generation = self.session.generation.wrapping_add(1);
        let mut next = Session::new(generation, &mut self.rng);
        // A path was told before; what follows is a change.
        next.path_told = self.session.path_told;
        next.held = std::mem::take(&mut self.session.held);
        let mut old = std::mem::replace(&mut self.session, next);
        match &self.active {
            Some(active) if active.generation == old.generation => {
                let id = active.pair;
                let pair = old.checklist.find(id).cloned();
                self.previous = Some(Previous {
                    generation: old.generation,
                    local: old.local,
                    remote: old.remote,
                    pair,
                });
            }
            // A restart during a restart: the pair in use is still the older one.
            Some(_) => {}
            None => {
                self.previous = Some(Previous {
                    generation: old.generation,
                    local: old.local,
                    remote: old.remote.take(),
                    pair: None,
                });
            }
        }
        self.renew_search(now);
        self.locals
            .candidates
            .retain(|known| known.kind != crate::candidate::CandidateKind::PeerReflexive);
        self.gathering.set_concluded(false);
        if self.gathering.state == GatheringState::New {
            return;
        }
        self.gathering.ask_again();
        self.relays.ask_again(None);
        self.relays.probe(now);
        self.set_gathering(now, GatheringState::Gathering);
        for candidate in self.locals.candidates.clone() {
            self.announce(&candidate);
        }
    }

    /// A lost path has all of the time again to be found.
    fn renew_search(&mut self, now: Instant) {
        if let Some((since, _)) = &mut self.lost {
            *since = now.max(*since);
        }
    }
}
