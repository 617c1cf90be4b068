//! The ICE agent: candidates, pairs, checks, nomination, consent (RFC 8445, RFC 8838, RFC 7675).
//!
//! [`Agent`] makes no system call. It is told of interfaces, sockets and datagrams by
//! [`esp_wire::Input`], asks for sockets and names by [`esp_wire::Action`], and fills
//! [`esp_wire::Train`]s with its own packets. One agent carries one component: everything is bundled
//! and RTCP is multiplexed.
//!
//! ```
//! use esp_ice::{Agent, Config};
//! use esp_wire::{Action, Input, Instant, Interface, Origin};
//!
//! let mut agent = Agent::new(Config::default(), Origin::seeded(7))?;
//! let now = Instant::ZERO;
//! agent.start(now);
//! let address = "192.0.2.7".parse()?;
//! let interface = Interface { name: "eth0".into(), index: 2, address };
//! agent.handle_input(now, Input::Interfaces(&[interface]))?;
//! let Some(Action::Bind { socket, local }) = agent.poll_action() else { unreachable!() };
//! assert_eq!(local.to_string(), "192.0.2.7:0");
//! let local = "192.0.2.7:49152".parse()?;
//! agent.handle_input(now, Input::Bound { socket, local })?;
//! let line = agent.candidate_lines().next().expect("a host candidate");
//! assert!(line.starts_with("candidate:1 1 udp 2130706431 192.0.2.7 49152 typ host ufrag "));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where to look:
//!
//! | mechanism | file |
//! |---|---|
//! | the candidate line, priorities | `candidate.rs`, `priority.rs` |
//! | sockets, host and server-reflexive candidates | `gathering.rs`, `servers.rs`, `interfaces.rs`, `local.rs` |
//! | servers that are asked over a stream | `asking.rs` |
//! | relayed candidates: allocations on TURN servers, data through them | `relay.rs`, `allocate.rs`, `allocated.rs`, `relay_end.rs`, `relaying.rs` |
//! | which addresses and ports are used and told | `filter.rs`, `ports.rs`, `names.rs` (ours behind `.local`) |
//! | the other side's candidates, `.local` names | `remote.rs`, `mdns.rs` |
//! | lite agents | `lite.rs` |
//! | candidates over TCP, and at TURN servers | `tcp.rs`, `tcp_relay.rs` |
//! | pairs and their states | `pairing.rs`, `pair.rs`, `checklist.rs` |
//! | sorting what is received | `receive.rs` |
//! | checks sent and received | `checks_out.rs`, `checks_in.rs`, `transaction.rs` |
//! | pacing and retransmission times | `pacing.rs` |
//! | which pair is used | `nomination.rs`, `path.rs` |
//! | consent, early warning | `consent.rs` |
//! | new credentials | `restart.rs` |
//!
//! Where the agent leaves RFC 8445, and the switch that brings it back:
//!
//! | rule | what is done | why | switch |
//! |---|---|---|---|
//! | §14.2: Ta of 50 ms unless both sides agree | 20 ms against a peer that proposes nothing | only our own sending depends on it | [`Config::silent_peer_pacing`] |
//! | §14.2: one Ta for all transactions | requests to servers have a slot of their own, every 5 ms | candidates are there before they are missed | - |
//! | §14.3: first retransmission after 500 ms or more, scaled by the number of checks | 250 ms, 100 ms at least once measured; repetitions have a slot every Ta of their own | a lost first check is repaired sooner, and the rate is bounded all the same | [`Config::initial_rto`], [`Config::min_rto`] |
//! | RFC 8489 §6.2.1: intervals double | up to 1 s | lossy paths are tried often enough | - |
//! | §6.1.4.2: a pair in progress holds back its foundation | it does not | with one component that puts live pairs behind dead ones | - |
//! | §6.1.2.6: a failed pair stays failed | it is tried again while there is time | the other side may begin late, or learn our address late | [`Config::patience`] |
//! | §7.2.5.3.4: a failed nomination fails the checklist | the next valid pair is nominated | there is still a way | - |
//! | §7.1.1: a check carries the priority of a peer-reflexive candidate | one out of a relay carries the relay's | a relay that is heard before its candidate comes must not look better than a direct path | - |
//! | §8.3: candidates are freed after the nomination | allocations are kept | they are the reserve when a path is lost | [`Config::max_relays`] |
//! | §8.1.1: another nomination needs a restart | a silent selected pair is replaced by one that answers | the call goes on when a network changes | [`Config::roaming`] |
//! | §8.1.2: other pairs are removed after the nomination | they are kept, but not checked | they are the reserve for that case | - |

mod agent;
mod allocate;
mod allocated;
mod asking;
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
mod filter;
mod gathering;
mod interfaces;
mod lite;
mod local;
mod mdns;
mod names;
mod nomination;
mod outbox;
mod pacing;
mod pair;
mod pairing;
mod path;
mod ports;
mod priority;
mod receive;
mod relay;
mod relay_end;
mod relaying;
mod remote;
mod restart;
mod servers;
mod session;
mod tcp;
mod tcp_relay;
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
pub use filter::{AddressFilter, KindFilter, Network, NetworkError};
pub use local::LocalCandidate;
pub use pacing::SharedPacer;
pub use pair::{PairEnd, PairId, PairReport, PairState};
pub use path::Path;
pub use priority::{candidate_priority, pair_priority};
pub use timers::Why;
