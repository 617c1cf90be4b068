//! A seeded network in virtual time.
//!
//! [`Net`] holds hosts with addresses, networks behind NATs, links that delay, lose, duplicate,
//! reorder and queue, a table of names, and servers. What runs on a host is an [`Endpoint`]: an ICE
//! agent, a whole peer, anything that takes [`esp_wire::Input`] and fills [`esp_wire::Train`]s.
//! [`Duplex`] joins two engines that know no addresses. Time only passes when nothing is left to be
//! done; the same seed gives the same run, and every failure prints it.
//!
//! ```
//! use std::time::Duration;
//! use esp_netsim::{Echo, Nat, Net};
//!
//! let mut net = Net::seeded(7);
//! let far = net.host("far", Echo::listener(5000));
//! let to = (net.address(far), 5000).into();
//! let near = net.host("near", Echo::caller(to, 3));
//! net.behind(near, Nat::symmetric()).delay(Duration::from_millis(20));
//! net.run_until(|net| net.endpoint(near).received() == 3, Duration::from_secs(1));
//! assert_eq!(net.now().as_nanos(), 40_000_000);
//! ```

mod actions;
mod clock;
mod duplex;
mod echo;
mod endpoint;
mod host;
mod link;
mod log;
mod names;
mod narrow;
mod nat;
mod net;
mod route;
mod run;
mod stream;
mod stun_server;
mod topology;
mod turn_server;

pub use duplex::{Duplex, Engine, Side};
pub use echo::Echo;
pub use endpoint::Endpoint;
pub use host::HostId;
pub use link::{Fate, Link, LinkStats, Loss, Pipe};
pub use log::{Outcome, Record};
pub use names::Answer;
pub use narrow::{Marks, NarrowServer};
pub use nat::{Behaviour, Nat};
pub use net::{Net, NetStats};
pub use run::TimedOut;
pub use stun_server::StunServer;
pub use topology::SiteId;
pub use turn_server::TurnServer;
