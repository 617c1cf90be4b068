//! Settings of the agent.

use std::ops::RangeInclusive;
use std::time::Duration;

use esp_wire::{IcePolicy, Interface, Role};

use crate::error::{Error, Misuse};
use crate::filter::{AddressFilter, KindFilter};
use crate::pacing::SharedPacer;

/// Settings; `Default` suits a device that talks to browsers.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// The role to start in: controlling for the side that offers.
    pub role: Role,
    /// Which candidates are gathered.
    pub policy: IcePolicy,
    /// Whether IPv4 is used.
    pub ipv4: bool,
    /// Whether IPv6 is used.
    pub ipv6: bool,
    /// Whether loopback addresses are candidates; RFC 8445 §5.1.1.1 forbids it on real networks.
    pub include_loopback: bool,
    /// When link-local addresses are candidates.
    pub link_local: LinkLocal,
    /// Which interfaces are used.
    pub interfaces: InterfaceFilter,
    /// Which addresses of this host are used.
    pub addresses: AddressFilter,
    /// Which addresses of the peer's candidates are checked; a check that the peer sends from elsewhere
    /// is answered all the same.
    pub remote_addresses: AddressFilter,
    /// Which kinds of candidates the peer is told of.
    pub kinds: KindFilter,
    /// The local ports of sockets and listeners; `None` leaves them to the system. A firewall that lets
    /// this range in needs to let in nothing else.
    pub ports: Option<RangeInclusive<u16>>,
    /// Whether host candidates are told by names of multicast DNS in place of addresses, as browsers do.
    pub hide_addresses: bool,
    /// Whether this is a lite agent (`a=ice-lite`), for hosts with a public address: it has host
    /// candidates only and sends no checks.
    pub lite: bool,
    /// Most local candidates that are gathered, 1 to 64; 16.
    pub max_candidates: usize,
    /// Most allocations on TURN servers at one time, 0 to 32; 8.
    pub max_relays: usize,
    /// Whether streams are opened to TCP candidates of the peer (RFC 6544).
    pub tcp_active: bool,
    /// Whether TCP candidates are offered, which the peer opens streams to; off.
    pub tcp_passive: bool,
    /// Whether TCP candidates are offered that both sides open streams between at once (`so`, RFC 6544 §7.1), for
    /// firewalls on both sides that stop datagrams; off.
    pub tcp_simultaneous: bool,
    /// Whether TURN servers that are spoken to over TCP or TLS are asked for relays of TCP as well (RFC 6062), for
    /// calls where neither side gets a datagram out; off. They count among [`Config::max_relays`].
    pub tcp_relays: bool,
    /// Whether each allocation over UDP is asked for from a socket of its own, as is needed where several agents share
    /// a socket, since a server has one allocation for one address and port of ours (RFC 8656 §7.2); off.
    pub relays_apart: bool,
    /// The lifetime that is asked for allocations; `None` leaves it to the server.
    pub relay_lifetime: Option<Duration>,
    /// After so long permissions and channels on TURN servers are renewed, from 1 s, below 5 minutes; 4 minutes.
    pub relay_renewal: Duration,
    /// Whether TURN servers are asked not to fragment what goes in Send indications (DONT-FRAGMENT, RFC 8656 §14.8);
    /// servers that do not know it are not. Off.
    pub relay_dont_fragment: bool,
    /// Most candidates of the peer that are kept, 1 to 1,000; 64.
    pub max_remote_candidates: usize,
    /// Most pairs (RFC 8445 §6.1.2.5), 1 to 4,000; 100.
    pub max_pairs: usize,
    /// Most checks that are remembered before the peer's credentials are known, up to 256; 32.
    pub max_early_checks: usize,
    /// Whether `.local` names of the peer are resolved.
    pub resolve_mdns: bool,
    /// Most `.local` names that are resolved in one session, up to 256; 16.
    pub max_mdns: usize,
    /// Time between two new transactions (Ta, RFC 8445 §14.2), at least 5 ms; 20 ms. It is what
    /// `a=ice-pacing` proposes.
    pub pacing: Duration,
    /// Ta that is assumed of a peer that proposes none; 20 ms. RFC 8445 §14.2 has 50 ms, which only
    /// delays the call: nothing but our own sending depends on it.
    pub silent_peer_pacing: Duration,
    /// The pacer that this agent shares with others; `None` paces it alone. RFC 8445 §14.2 counts all new
    /// transactions of a host together.
    pub shared_pacer: Option<SharedPacer>,
    /// First retransmission while no round trip was measured; 250 ms. RFC 8445 §14.3 asks for
    /// 500 ms; the shorter one repairs a lost first check sooner, and pacing bounds the rate.
    pub initial_rto: Duration,
    /// Least time to a retransmission once a round trip was measured; 100 ms.
    pub min_rto: Duration,
    /// When the controlling side chooses.
    pub nomination: NominationPolicy,
    /// How consent is kept.
    pub consent: ConsentTiming,
    /// Silence after which [`Event::Disconnected`](crate::Event::Disconnected) warns; 8 s.
    pub disconnected_after: Duration,
    /// Time after which [`Event::GatheringOverdue`](crate::Event::GatheringOverdue) tells those who
    /// wait for all candidates to go without; 1 s.
    pub gather_timeout: Duration,
    /// Least time to try before giving up (RFC 8863 §4); 39.5 s.
    pub patience: Duration,
    /// How often bindings at STUN servers are refreshed until a pair is selected; 15 s.
    pub binding_refresh: Duration,
    /// Whether another pair may be nominated when the selected one has gone silent, without an ICE
    /// restart; RFC 8445 §8.1.1 asks for the restart, peers of today follow.
    pub roaming: bool,
    /// Bytes of the largest datagram for application data, 576 to 65,000; 1,200.
    pub max_datagram: usize,
}

/// When link-local addresses (169.254/16, fe80::/10) are candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkLocal {
    /// Never.
    Never,
    /// On interfaces that have no other address of the family, such as a cable between two devices.
    #[default]
    IfAlone,
    /// Always.
    Always,
}

/// Which interfaces are used, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum InterfaceFilter {
    /// All that are up.
    #[default]
    All,
    /// Only these.
    Only(Vec<String>),
    /// All but these.
    Except(Vec<String>),
}

impl InterfaceFilter {
    /// Whether the interface passes.
    pub(crate) fn admits(&self, interface: &Interface) -> bool {
        match self {
            InterfaceFilter::All => true,
            InterfaceFilter::Only(names) => names.contains(&interface.name),
            InterfaceFilter::Except(names) => !names.contains(&interface.name),
        }
    }
}

/// When the controlling side chooses: at once when no better pair can come, else after a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NominationPolicy {
    /// Longest wait for a better pair after the first valid one; 1 s. Data flows meanwhile.
    pub max_wait: Duration,
    /// Shortest wait while better pairs are still being checked; 50 ms.
    pub min_wait: Duration,
}

impl Default for NominationPolicy {
    fn default() -> Self {
        NominationPolicy {
            max_wait: Duration::from_secs(1),
            min_wait: Duration::from_millis(50),
        }
    }
}

/// How consent is kept (RFC 7675 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsentTiming {
    /// Basic period of checks, each varied by 20 %; at least 5 s, so that no period is below 4 s.
    pub interval: Duration,
    /// Time without a response after which nothing more is sent; at most 30 s.
    pub expiry: Duration,
}

impl Default for ConsentTiming {
    fn default() -> Self {
        ConsentTiming {
            interval: Duration::from_secs(5),
            expiry: Duration::from_secs(30),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Config {
            role: Role::Controlling,
            policy: IcePolicy::All,
            ipv4: true,
            ipv6: true,
            include_loopback: false,
            link_local: LinkLocal::IfAlone,
            interfaces: InterfaceFilter::All,
            addresses: AddressFilter::All,
            remote_addresses: AddressFilter::All,
            kinds: KindFilter::default(),
            ports: None,
            hide_addresses: false,
            lite: false,
            max_candidates: 16,
            max_relays: 8,
            tcp_active: true,
            tcp_passive: false,
            tcp_simultaneous: false,
            tcp_relays: false,
            relays_apart: false,
            relay_lifetime: None,
            relay_renewal: Duration::from_secs(240),
            relay_dont_fragment: false,
            max_remote_candidates: 64,
            max_pairs: 100,
            max_early_checks: 32,
            resolve_mdns: true,
            max_mdns: 16,
            pacing: Duration::from_millis(20),
            silent_peer_pacing: Duration::from_millis(20),
            shared_pacer: None,
            initial_rto: Duration::from_millis(250),
            min_rto: Duration::from_millis(100),
            nomination: NominationPolicy::default(),
            consent: ConsentTiming::default(),
            disconnected_after: Duration::from_secs(8),
            gather_timeout: Duration::from_secs(1),
            patience: Duration::from_millis(39_500),
            binding_refresh: Duration::from_secs(15),
            roaming: true,
            max_datagram: 1_200,
        }
    }
}

macro_rules! with {
    ($($name:ident = $field:ident: $kind:ty;)*) => {
        impl Config {
            $(
                #[doc = concat!("Sets [`Config::", stringify!($field), "`].")]
                pub fn $name(mut self, $field: $kind) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

with! {
    with_role = role: Role;
    with_policy = policy: IcePolicy;
    with_ipv4 = ipv4: bool;
    with_ipv6 = ipv6: bool;
    with_loopback = include_loopback: bool;
    with_link_local = link_local: LinkLocal;
    with_interfaces = interfaces: InterfaceFilter;
    with_addresses = addresses: AddressFilter;
    with_remote_addresses = remote_addresses: AddressFilter;
    with_kinds = kinds: KindFilter;
    with_ports = ports: Option<RangeInclusive<u16>>;
    with_hide_addresses = hide_addresses: bool;
    with_lite = lite: bool;
    with_max_candidates = max_candidates: usize;
    with_max_relays = max_relays: usize;
    with_tcp_active = tcp_active: bool;
    with_tcp_passive = tcp_passive: bool;
    with_tcp_simultaneous = tcp_simultaneous: bool;
    with_tcp_relays = tcp_relays: bool;
    with_relays_apart = relays_apart: bool;
    with_relay_lifetime = relay_lifetime: Option<Duration>;
    with_relay_renewal = relay_renewal: Duration;
    with_relay_dont_fragment = relay_dont_fragment: bool;
    with_max_remote_candidates = max_remote_candidates: usize;
    with_max_pairs = max_pairs: usize;
    with_max_early_checks = max_early_checks: usize;
    with_resolve_mdns = resolve_mdns: bool;
    with_max_mdns = max_mdns: usize;
    with_pacing = pacing: Duration;
    with_silent_peer_pacing = silent_peer_pacing: Duration;
    with_shared_pacer = shared_pacer: Option<SharedPacer>;
    with_initial_rto = initial_rto: Duration;
    with_min_rto = min_rto: Duration;
    with_nomination = nomination: NominationPolicy;
    with_consent = consent: ConsentTiming;
    with_disconnected_after = disconnected_after: Duration;
    with_gather_timeout = gather_timeout: Duration;
    with_patience = patience: Duration;
    with_binding_refresh = binding_refresh: Duration;
    with_roaming = roaming: bool;
    with_max_datagram = max_datagram: usize;
}

impl Config {
    /// Refuses what is out of range, by name.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let second = Duration::from_secs(1);
        let rules = [
            (self.ipv4 || self.ipv6, "one of ipv4 and ipv6 must be on"),
            ((1..=64).contains(&self.max_candidates), "max_candidates"),
            (
                !(self.ports.as_ref()).is_some_and(|ports| ports.is_empty() || *ports.start() == 0),
                "ports must hold one, and not 0",
            ),
            (
                !self.lite || self.policy == IcePolicy::All,
                "a lite agent has no relays",
            ),
            (self.max_relays <= 32, "max_relays"),
            (
                (1..=1_000).contains(&self.max_remote_candidates),
                "max_remote_candidates",
            ),
            ((1..=4_000).contains(&self.max_pairs), "max_pairs"),
            (self.max_early_checks <= 256, "max_early_checks"),
            (self.max_mdns <= 256, "max_mdns"),
            // RFC 8445 §14.2: all transactions of a host together, at most one in 5 ms.
            (self.pacing >= Duration::from_millis(5), "pacing"),
            (self.pacing <= 2 * second, "pacing"),
            (self.silent_peer_pacing <= 2 * second, "silent_peer_pacing"),
            (self.initial_rto >= Duration::from_millis(50), "initial_rto"),
            (self.initial_rto <= 10 * second, "initial_rto"),
            (self.min_rto >= Duration::from_millis(20), "min_rto"),
            (self.min_rto <= 10 * second, "min_rto"),
            // RFC 7675 §5.1: periods of at least 4 s, expiry after 30 s.
            (self.consent.interval >= 5 * second, "consent.interval"),
            (self.consent.expiry <= 30 * second, "consent.expiry"),
            (
                self.consent.expiry > self.consent.interval,
                "consent.expiry must exceed consent.interval",
            ),
            // RFC 8656 §9: a permission lives 5 minutes.
            (
                (second..300 * second).contains(&self.relay_renewal),
                "relay_renewal",
            ),
            (self.disconnected_after >= second, "disconnected_after"),
            (self.binding_refresh >= second, "binding_refresh"),
            ((576..=65_000).contains(&self.max_datagram), "max_datagram"),
        ];
        match rules.iter().find(|(holds, _)| !holds) {
            Some((_, name)) => Err(Error::Misuse(Misuse::Config(name))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_sound_and_nonsense_is_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let error = Config::default()
            .with_pacing(Duration::from_millis(4))
            .check()
            .unwrap_err();
        assert!(error.to_string().contains("pacing"));
        assert!(
            Config::default()
                .with_ipv4(false)
                .with_ipv6(false)
                .check()
                .is_err()
        );
    }
}
