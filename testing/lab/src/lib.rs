//! Real processes in networks of their own.
//!
//! An [`Internet`] is a network namespace of Linux with servers in it, a [`Site`] a router with a NAT that joins a
//! LAN to it, a [`Host`] a machine with a cable in a site. [`Device`]s run in hosts, one process each, and are told by
//! pipes what to do; [`Coturn`] runs in the internet. All of it needs root.
//!
//! ```text
//!   host ── site ── internet ── site ── host
//!           (NAT)   (coturn)    (NAT)
//! ```
//!
//! Nothing has a name in the system: a namespace lives as long as a descriptor of this process or a process in
//! it, and the processes are ended by the kernel with the thread that started them. So nothing stays behind,
//! however a test ends.

pub mod browser;
mod call;
mod coturn;
mod device;
mod namespace;
mod network;
mod process;
pub mod traffic;

pub use call::{Call, End};
pub use coturn::{Coturn, CoturnConfig, rest_login};
pub use device::{Device, DeviceConfig, Marks, Path};
pub use namespace::Namespace;
pub use network::{Host, Internet, Nat, Site};
pub use process::Process;

pub use esp_e2e::Outcome;
