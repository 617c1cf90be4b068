//! What an ICE restart flushes (RFC 8445 §9): credentials, candidates of the peer, pairs, checks.

use std::net::{IpAddr, SocketAddr};

use esp_stun::Key;
use esp_wire::{Instant, Rng, SocketId};

use crate::candidate::Candidate;
use crate::checklist::Checklist;
use crate::credentials::Credentials;
use crate::mdns::Mdns;
use crate::pair::{Pair, PairId};
use crate::remote::Remotes;
use crate::transaction::Checks;

/// Our credentials with the key they make.
#[derive(Debug)]
pub(crate) struct LocalAuth {
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
}

/// The peer's credentials with what requests to it carry.
#[derive(Debug)]
pub(crate) struct RemoteAuth {
    pub(crate) credentials: Credentials,
    pub(crate) key: Key,
    /// The peer's fragment, a colon, ours (RFC 8445 §7.2.2).
    pub(crate) username: String,
}

impl RemoteAuth {
    pub(crate) fn new(credentials: Credentials, ours: &Credentials) -> Self {
        RemoteAuth {
            key: Key::short_term(&credentials.pwd),
            username: format!("{}:{}", credentials.ufrag, ours.ufrag),
            credentials,
        }
    }
}

/// A check of the peer that came before its credentials (RFC 8445 §7.3).
#[derive(Clone, Debug)]
pub(crate) struct EarlyCheck {
    pub(crate) socket: SocketId,
    pub(crate) remote: SocketAddr,
    pub(crate) priority: u32,
    pub(crate) use_candidate: bool,
    /// What the peer calls itself; compared once its credentials are known.
    pub(crate) ufrag: String,
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) local: LocalAuth,
    pub(crate) remote: Option<RemoteAuth>,
    pub(crate) remotes: Remotes,
    pub(crate) remote_ended: bool,
    /// The peer's passive candidates over TCP, a bounded number.
    pub(crate) passive: Vec<(Candidate, SocketAddr)>,
    /// The addresses that relays of TCP let through, a bounded number.
    pub(crate) reach: Vec<IpAddr>,
    /// Candidates that came before the credentials they belong to.
    pub(crate) held: Vec<Candidate>,
    pub(crate) mdns: Mdns,
    pub(crate) early: Vec<EarlyCheck>,
    pub(crate) checklist: Checklist,
    pub(crate) checks: Checks,
    pub(crate) selected: Option<PairId>,
    /// When a pair was selected for the first time.
    pub(crate) first_selected: Option<Instant>,
    /// When the first valid pair came, for nomination.
    pub(crate) first_valid: Option<Instant>,
    /// When the wait for a better one ends.
    pub(crate) nominate_at: Option<Instant>,
    /// When both sides' credentials were known.
    pub(crate) checking_since: Option<Instant>,
    /// When pairs that failed are tried again.
    pub(crate) retry_at: Option<Instant>,
    pub(crate) path_told: bool,
    pub(crate) failed: bool,
}

impl Session {
    pub(crate) fn new(generation: u32, rng: &mut Rng) -> Self {
        let credentials = Credentials::random(rng);
        Session {
            generation,
            local: LocalAuth {
                key: Key::short_term(&credentials.pwd),
                credentials,
            },
            remote: None,
            remotes: Remotes::default(),
            remote_ended: false,
            passive: Vec::new(),
            reach: Vec::new(),
            held: Vec::new(),
            mdns: Mdns::default(),
            early: Vec::new(),
            checklist: Checklist::default(),
            checks: Checks::default(),
            selected: None,
            first_selected: None,
            first_valid: None,
            nominate_at: None,
            checking_since: None,
            retry_at: None,
            path_told: false,
            failed: false,
        }
    }

    pub(crate) fn selected_pair(&self) -> Option<&Pair> {
        self.checklist.find(self.selected?)
    }

    /// Removes a pair with all that refers to it.
    pub(crate) fn remove_pair(&mut self, id: PairId) {
        self.checklist.remove(id);
        self.checks.remove_pair(id);
        if self.selected == Some(id) {
            self.selected = None;
        }
    }
}

/// What is left of the session before the restart: enough to stay in touch until the new one works.
#[derive(Debug)]
pub(crate) struct Previous {
    pub(crate) generation: u32,
    pub(crate) local: LocalAuth,
    pub(crate) remote: Option<RemoteAuth>,
    /// The pair that was in use.
    pub(crate) pair: Option<Pair>,
}
