//! Permissions and channels, and when they must be refreshed (RFC 8656 §9, §12).

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use esp_wire::Instant;

use crate::turn::TurnEvent;
use crate::turn::frame::CHANNELS;

/// How far the server has agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grant {
    /// Not asked yet, or time to ask again.
    Wanted,
    /// The request is in flight for the first time.
    Asked,
    /// Granted, until it is renewed at this time.
    Granted { renew_at: Instant },
    /// Granted, and the renewal is in flight.
    Renewing,
}

impl Grant {
    pub(crate) fn is_granted(self) -> bool {
        matches!(self, Grant::Granted { .. } | Grant::Renewing)
    }

    fn ask(&mut self, now: Instant) -> bool {
        match *self {
            Grant::Wanted => *self = Grant::Asked,
            Grant::Granted { renew_at } if renew_at <= now => *self = Grant::Renewing,
            _ => return false,
        }
        true
    }

    fn due(self) -> Option<Instant> {
        match self {
            Grant::Wanted => Some(Instant::ZERO),
            Grant::Granted { renew_at } => Some(renew_at),
            Grant::Asked | Grant::Renewing => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) number: u16,
    pub(crate) grant: Grant,
}

/// What is to be asked of the server next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Permission(IpAddr),
    Channel(SocketAddr, u16),
}

impl Wish {
    /// What its first success means.
    pub(crate) fn granted_event(self) -> TurnEvent {
        match self {
            Wish::Permission(peer) => TurnEvent::Permitted(peer),
            Wish::Channel(peer, _) => TurnEvent::ChannelBound(peer),
        }
    }
}

/// All peers of an allocation.
#[derive(Debug, Default)]
pub(crate) struct Peers {
    permissions: BTreeMap<IpAddr, Grant>,
    channels: BTreeMap<SocketAddr, Channel>,
    by_number: BTreeMap<u16, SocketAddr>,
    /// Channels that were ever bound; numbers are not used twice (RFC 8656 §12).
    bound: u16,
}

impl Peers {
    /// Wants a permission; false when there are too many.
    pub(crate) fn permit(&mut self, peer: IpAddr, most: usize) -> bool {
        let known = self.permissions.contains_key(&peer);
        if !known && self.permissions.len() >= most {
            return false;
        }
        self.permissions.entry(peer).or_insert(Grant::Wanted);
        true
    }

    /// Wants a channel; false when there are too many, or numbers have run out.
    pub(crate) fn bind(&mut self, peer: SocketAddr, most: usize) -> bool {
        if self.channels.contains_key(&peer) {
            return true;
        }
        let number = CHANNELS.start() + self.bound;
        if self.channels.len() >= most || !CHANNELS.contains(&number) {
            return false;
        }
        self.bound += 1;
        let grant = Grant::Wanted;
        self.channels.insert(peer, Channel { number, grant });
        self.by_number.insert(number, peer);
        true
    }

    /// No longer renews what belongs to this address.
    pub(crate) fn forget(&mut self, peer: IpAddr) {
        self.permissions.remove(&peer);
        self.channels.retain(|address, _| address.ip() != peer);
        self.by_number.retain(|_, address| address.ip() != peer);
    }

    pub(crate) fn clear(&mut self) {
        self.permissions.clear();
        self.channels.clear();
        self.by_number.clear();
    }

    /// Asks for all again, at a new server.
    pub(crate) fn start_over(&mut self) {
        let channels = self.channels.values_mut().map(|channel| &mut channel.grant);
        for grant in self.permissions.values_mut().chain(channels) {
            *grant = Grant::Wanted;
        }
    }

    pub(crate) fn peer_of(&self, number: u16) -> Option<SocketAddr> {
        self.by_number.get(&number).copied()
    }

    /// The number of a channel that the server has confirmed.
    pub(crate) fn channel_to(&self, peer: SocketAddr) -> Option<u16> {
        let channel = self.channels.get(&peer)?;
        channel.grant.is_granted().then_some(channel.number)
    }

    /// Whether packets from this address are expected.
    pub(crate) fn knows(&self, peer: IpAddr) -> bool {
        self.permissions.contains_key(&peer) || self.channels.keys().any(|one| one.ip() == peer)
    }

    pub(crate) fn is_permitted(&self, peer: IpAddr) -> bool {
        let grant = self.permissions.get(&peer);
        grant.is_some_and(|grant| grant.is_granted())
    }

    /// What to ask for now; it counts as asked.
    pub(crate) fn next_wish(&mut self, now: Instant) -> Option<Wish> {
        for (peer, channel) in &mut self.channels {
            if channel.grant.ask(now) {
                return Some(Wish::Channel(*peer, channel.number));
            }
        }
        for (peer, grant) in &mut self.permissions {
            if grant.ask(now) {
                return Some(Wish::Permission(*peer));
            }
        }
        None
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let channels = self.channels.values().map(|channel| &channel.grant);
        let all = self.permissions.values().chain(channels);
        all.filter_map(|grant| grant.due()).min()
    }

    /// The server agreed, and is asked again after `renewal`; true when it did so for the first time.
    pub(crate) fn on_granted(&mut self, now: Instant, wish: Wish, renewal: Duration) -> bool {
        let renew_at = now + renewal;
        let granted = Grant::Granted { renew_at };
        match wish {
            Wish::Permission(peer) => {
                let old = self.permissions.get_mut(&peer);
                old.is_some_and(|grant| !std::mem::replace(grant, granted).is_granted())
            }
            Wish::Channel(peer, _) => {
                // RFC 8656 §12.1: the binding installs or refreshes the permission.
                if let Some(grant) = self.permissions.get_mut(&peer.ip()) {
                    *grant = granted;
                }
                let old = self.channels.get_mut(&peer);
                old.is_some_and(|one| !std::mem::replace(&mut one.grant, granted).is_granted())
            }
        }
    }

    /// A renewal was not answered: what was granted is still good for a while; false when nothing was.
    pub(crate) fn put_off(&mut self, wish: Wish, renew_at: Instant) -> bool {
        let grant = match wish {
            Wish::Permission(peer) => self.permissions.get_mut(&peer),
            Wish::Channel(peer, _) => self.channels.get_mut(&peer).map(|one| &mut one.grant),
        };
        match grant {
            Some(grant) if *grant == Grant::Renewing => {
                *grant = Grant::Granted { renew_at };
                true
            }
            _ => false,
        }
    }

    /// The server refused; it is not asked again.
    pub(crate) fn on_refused(&mut self, wish: Wish) {
        match wish {
            Wish::Permission(peer) => {
                self.permissions.remove(&peer);
            }
            Wish::Channel(peer, number) => {
                self.channels.remove(&peer);
                self.by_number.remove(&number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_asked_again_after_the_renewal() {
        let second = Duration::from_secs(1);
        let peer: SocketAddr = "192.0.2.1:9".parse().unwrap();
        let mut peers = Peers::default();
        assert!(peers.permit(peer.ip(), 1) && peers.bind(peer, 1));
        let now = Instant::ZERO + second;
        let channel = peers.next_wish(now).unwrap();
        assert!(matches!(channel, Wish::Channel(..)));
        assert!(peers.on_granted(now, channel, 7 * second));
        assert_eq!(peers.next_due(), Some(now + 7 * second));
        assert_eq!(peers.next_wish(now + 6 * second), None);
        assert_eq!(peers.next_wish(now + 7 * second), Some(channel));
    }
}
