//! The internet, sites behind NATs, and hosts whose cable can be moved.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::{Namespace, Outcome};

/// The network in the middle: a switch that all sites hang on, with addresses of its own for servers.
///
/// [`V4`](Self::V4) and [`V4_OTHER`](Self::V4_OTHER) are its addresses, [`V6`](Self::V6) is the one of IPv6.
#[derive(Debug)]
pub struct Internet {
    namespace: Namespace,
    sites: AtomicU8,
}

impl Internet {
    /// Where servers listen.
    pub const V4: &'static str = "198.51.100.1";
    /// Where a second server listens.
    pub const V4_OTHER: &'static str = "198.51.100.2";
    /// Where servers listen over IPv6.
    pub const V6: &'static str = "2001:db8::1";

    /// An internet that no site has joined. What is for nobody in it is swallowed, as in the real one: a
    /// relay that is told of an unreachable network ends.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new() -> Outcome<Self> {
        let namespace = Namespace::new("internet")?;
        namespace.set(FORWARDING)?;
        namespace.ip(&format!(
            "link add net type bridge\n\
             addr add {}/24 dev net\n\
             addr add {}/24 dev net\n\
             addr add {}/64 dev net nodad\n\
             link set net up\n\
             link add nowhere type bridge\n\
             link set nowhere arp off up\n\
             route add default dev nowhere\n\
             route add 2000::/3 dev nowhere\n",
            Self::V4,
            Self::V4_OTHER,
            Self::V6
        ))?;
        Ok(Internet {
            namespace,
            sites: AtomicU8::new(0),
        })
    }

    /// The namespace, for servers.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}

const FORWARDING: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv6/conf/all/disable_ipv6", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/forwarding", "1"),
];

/// What a site's router does with IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nat {
    /// One port for all peers, which stays the same; only those that were sent to are let in: holes
    /// can be punched.
    Cone,
    /// Another port for each peer (RFC 4787: address and port-dependent mapping).
    Symmetric,
}

impl Nat {
    fn masquerade(self) -> &'static str {
        match self {
            Nat::Cone => "masquerade",
            Nat::Symmetric => "masquerade fully-random",
        }
    }
}

/// A router between a LAN and the internet: NAT for IPv4, a firewall for IPv6.
#[derive(Debug)]
pub struct Site {
    router: Namespace,
    number: u8,
    v4: bool,
    v6: bool,
    hosts: AtomicU8,
}

impl Site {
    /// A site with IPv4 alone.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn v4(internet: &Internet, nat: Nat) -> Outcome<Self> {
        Site::join(internet, Some(nat), false)
    }

    /// A site with IPv6 alone.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn v6(internet: &Internet) -> Outcome<Self> {
        Site::join(internet, None, true)
    }

    fn join(internet: &Internet, nat: Option<Nat>, v6: bool) -> Outcome<Self> {
        let number = internet.sites.fetch_add(1, Ordering::Relaxed) + 1;
        let wan = 10 + number;
        let router = Namespace::new(format!("site {number}"))?;
        router.set(FORWARDING)?;
        internet.namespace().ip(&format!(
            "link add site{number} type veth peer name wan netns {path}\n\
             link set site{number} master net up\n\
             route add 2001:db8:{number}::/64 via 2001:db8::{wan}\n",
            path = router.path(),
        ))?;
        router.ip("link add lan type bridge\nlink set lan up\nlink set wan up\n")?;
        if nat.is_some() {
            router.ip(&format!(
                "addr add {v4}/24 dev wan\n\
                 addr add 192.168.{number}.1/24 dev lan\n\
                 route add default via {gate}\n",
                v4 = address_of(number),
                gate = Internet::V4,
            ))?;
        }
        if v6 {
            router.ip(&format!(
                "addr add 2001:db8::{wan}/64 dev wan nodad\n\
                 addr add 2001:db8:{number}::1/64 dev lan nodad\n\
                 route add default via {gate}\n",
                gate = Internet::V6,
            ))?;
        }
        router.nft(&rules(nat.unwrap_or(Nat::Cone)))?;
        Ok(Site {
            router,
            number,
            v4: nat.is_some(),
            v6,
            hosts: AtomicU8::new(0),
        })
    }

    /// The one IPv4 address that its hosts share.
    pub fn public(&self) -> String {
        address_of(self.number)
    }

    /// Lets out over IPv4 and IPv6 what this expression of nftables admits, and nothing else:
    /// `udp dport 3478`.
    ///
    /// # Errors
    /// When it is none.
    pub fn let_out_only(&self, what: &str) -> Outcome<()> {
        self.router.nft(&format!(
            "table inet strict {{\n\
               chain forward {{\n\
                 type filter hook forward priority -1\n\
                 iifname \"lan\" {what} accept\n\
                 iifname \"lan\" drop\n\
               }}\n\
             }}\n"
        ))
    }

    /// Treats so what goes out over IPv4 marked as ECN-capable: `ip ecn set ce` as a long queue does, `drop` as a
    /// middlebox that knows no marks.
    ///
    /// # Errors
    /// When it is no statement of nftables.
    pub fn treat_marked(&self, how: &str) -> Outcome<()> {
        self.router.nft(&format!(
            "table ip marks {{\n\
               chain forward {{\n\
                 type filter hook forward priority -2\n\
                 iifname \"lan\" ip ecn ect0 {how}\n\
               }}\n\
             }}\n"
        ))
    }

    /// The router.
    pub fn router(&self) -> &Namespace {
        &self.router
    }
}

fn address_of(number: u8) -> String {
    format!("198.51.100.{}", 10 + number)
}

/// What comes in uncalled is dropped, on the router itself too: otherwise it would leave a trace that takes the
/// port from those behind the NAT.
fn rules(nat: Nat) -> String {
    format!(
        "table ip nat {{\n\
           chain out {{\n\
             type nat hook postrouting priority 100\n\
             oifname \"wan\" {}\n\
           }}\n\
         }}\n\
         table inet firewall {{\n\
           chain input {{\n\
             type filter hook input priority 0\n\
             iifname \"wan\" meta l4proto {{ tcp, udp }} ct state new drop\n\
           }}\n\
           chain forward {{\n\
             type filter hook forward priority 0\n\
             iifname \"wan\" ct state new drop\n\
           }}\n\
         }}\n",
        nat.masquerade()
    )
}

/// A machine with at most one cable.
#[derive(Debug)]
pub struct Host {
    namespace: Namespace,
}

impl Host {
    /// A machine without a cable.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn new(name: &str) -> Outcome<Self> {
        let namespace = Namespace::new(name)?;
        namespace.set(&[
            ("ipv6/conf/all/disable_ipv6", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
        ])?;
        Ok(Host { namespace })
    }

    /// A machine in a site.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn at(site: &Site, name: &str) -> Outcome<Self> {
        let host = Host::new(name)?;
        host.plug("eth0", site)?;
        Ok(host)
    }

    /// Plugs a cable into the LAN of a site, as interface `interface`: another address and the way out are there.
    ///
    /// # Errors
    /// When there is such an interface.
    pub fn plug(&self, interface: &str, site: &Site) -> Outcome<()> {
        let host = site.hosts.fetch_add(1, Ordering::Relaxed) + 10;
        let number = site.number;
        site.router.ip(&format!(
            "link add port{host} type veth peer name {interface} netns {path}\n\
             link set port{host} master lan up\n",
            path = self.namespace.path(),
        ))?;
        self.namespace.ip(&format!("link set {interface} up\n"))?;
        if site.v4 {
            self.namespace.ip(&format!(
                "addr add 192.168.{number}.{host}/24 dev {interface}\n\
                 route replace default via 192.168.{number}.1\n"
            ))?;
        }
        if site.v6 {
            self.namespace.ip(&format!(
                "addr add 2001:db8:{number}::{host}/64 dev {interface} nodad\n\
                 route replace default via 2001:db8:{number}::1\n"
            ))?;
        }
        Ok(())
    }

    /// Pulls the cable: the interface is gone, with its addresses and routes.
    ///
    /// # Errors
    /// When there is no such interface.
    pub fn unplug(&self, interface: &str) -> Outcome<()> {
        self.namespace.ip(&format!("link del {interface}\n"))
    }

    /// The namespace, for processes.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }
}
