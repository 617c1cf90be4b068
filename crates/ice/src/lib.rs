//! The ICE agent: candidates, pairs, checks, nomination, consent (RFC 8445, RFC 8838, RFC 7675).
//!
//! [`Agent`] makes no system call. It is told of interfaces, sockets and datagrams by
//! [`esp_wire::Input`], asks for sockets and names by [`esp_wire::Action`], and fills
//! [`esp_wire::Train`]s with its own packets. One agent carries one component: everything is bundled
//! and RTCP is multiplexed.
//!
//! Where to look:
//!
//! | mechanism | file |
//! |---|---|
//! | the candidate line, priorities | `candidate.rs`, `priority.rs` |
//! | sockets, host and server-reflexive candidates | `gathering.rs`, `interfaces.rs`, `local.rs` |
//! | the other side's candidates, `.local` names | `remote.rs`, `mdns.rs` |
//! | pairs and their states | `pair.rs`, `checklist.rs` |
//! | checks sent and received | `checks_out.rs`, `checks_in.rs`, `transaction.rs` |
//! | pacing and retransmission times | `pacing.rs` |
//! | which pair is used | `nomination.rs`, `path.rs` |
//! | consent, early warning | `consent.rs` |
//! | new credentials | `restart.rs` |

mod agent;
mod candidate;
mod checklist;
mod checks_in;
mod checks_out;
mod config;
mod consent;
mod credentials;
mod encode;
mod error;
mod event;
mod gathering;
mod interfaces;
mod local;
mod mdns;
mod nomination;
mod outbox;
mod pacing;
mod pair;
mod path;
mod priority;
mod remote;
mod restart;
mod session;
mod timers;
mod transaction;

pub use agent::{Agent, Counters, Received};
pub use candidate::{
    Candidate, CandidateError, CandidateHost, CandidateKind, CandidateTransport, TcpType,
};
pub use config::{Config, ConsentTiming, InterfaceFilter, LinkLocal, NominationPolicy};
pub use credentials::Credentials;
pub use error::{Error, Misuse};
pub use event::{Event, FailureReason, GatheringState, State, WarningReason};
pub use local::LocalCandidate;
pub use pair::{PairEnd, PairId, PairReport, PairState};
pub use path::Path;
pub use priority::{candidate_priority, pair_priority};
pub use timers::Why;
