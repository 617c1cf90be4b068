//! Names to addresses, without holding up a shard: DNS by the system, `.local` by multicast DNS, which also
//! answers for names of our own.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use esp_wire::{QueryId, Resolution};
use mdns_sd::{HostnameResolutionEvent, ServiceDaemon, ServiceInfo};

use crate::shard::{Command, Handle, Key};

/// Multicast DNS tells of hosts by their services: this one stands for nothing but the host.
const SERVICE: &str = "_ice._udp.local.";
/// Names that one peer may have answered for.
const NAMES: usize = 64;
/// Resolutions under way at one time for one peer; more are answered with nothing.
const AT_ONCE: usize = 32;

#[derive(Default)]
struct Inner {
    /// Started with the first `.local` name, ended with the resolver.
    mdns: Option<ServiceDaemon>,
    under_way: HashMap<u64, usize>,
    /// What is answered for: the peer, its name, and how the daemon calls it.
    published: Vec<(u64, String, String)>,
}

/// Resolves names on threads of its own, one for each question under way.
pub(crate) struct Resolver {
    inner: std::sync::Arc<Mutex<Inner>>,
    timeout: Duration,
}

fn locked(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Resolver {
    pub(crate) fn new(timeout: Duration) -> Self {
        Resolver {
            inner: std::sync::Arc::default(),
            timeout,
        }
    }

    /// Resolves a name; the shard is told by [`Command::Resolved`], with no address on failure.
    pub(crate) fn resolve(
        &self,
        shard: Handle,
        key: Key,
        query: QueryId,
        name: String,
        by: Resolution,
    ) {
        let admitted = {
            let mut inner = locked(&self.inner);
            let count = inner.under_way.entry(key.serial).or_default();
            *count += 1;
            *count <= AT_ONCE
        };
        let inner = std::sync::Arc::clone(&self.inner);
        let timeout = self.timeout;
        let answer = {
            let shard = shard.clone();
            move |addresses: Vec<IpAddr>| {
                if let Some(count) = locked(&inner).under_way.get_mut(&key.serial) {
                    *count = count.saturating_sub(1);
                }
                shard.send(Command::Resolved(key, query, addresses));
            }
        };
        if !admitted {
            return answer(Vec::new());
        }
        let mdns = match by {
            Resolution::Mdns => self.mdns(),
            Resolution::Dns => None,
        };
        let spawned = thread::Builder::new()
            .name("resolve".into())
            .spawn(move || {
                answer(match by {
                    Resolution::Dns => by_dns(&name),
                    Resolution::Mdns => mdns
                        .map(|daemon| by_mdns(&daemon, &name, timeout))
                        .unwrap_or_default(),
                });
            });
        if let Err(error) = spawned {
            tracing::warn!(%error, "no thread to resolve a name");
            if let Some(count) = locked(&self.inner).under_way.get_mut(&key.serial) {
                *count = count.saturating_sub(1);
            }
            shard.send(Command::Resolved(key, query, Vec::new()));
        }
    }

    /// Answers for a name of a peer's on the local link.
    pub(crate) fn publish(&self, serial: u64, name: &str, address: IpAddr) {
        let Some(daemon) = self.mdns() else {
            return;
        };
        let mut inner = locked(&self.inner);
        let own = inner
            .published
            .iter()
            .filter(|(owner, ..)| *owner == serial);
        if own.count() >= NAMES {
            return;
        }
        let label = name.trim_end_matches('.').trim_end_matches(".local");
        let host = format!("{label}.local.");
        let none: [(&str, &str); 0] = [];
        let info = ServiceInfo::new(SERVICE, label, &host, address, 9, &none[..]);
        let told = info.and_then(|mut info| {
            // The name is random: nobody else has it.
            info.set_requires_probe(false);
            let called = info.get_fullname().to_owned();
            daemon.register(info).map(|()| called)
        });
        match told {
            Ok(called) => inner.published.push((serial, name.to_owned(), called)),
            Err(error) => tracing::warn!(%error, "a name cannot be published"),
        }
    }

    /// Answers for a name no more.
    pub(crate) fn withdraw(&self, serial: u64, name: &str) {
        self.withdraw_all(|owner, own| owner == serial && own == name);
    }

    fn withdraw_all(&self, gone: impl Fn(u64, &str) -> bool) {
        let mut inner = locked(&self.inner);
        let Inner {
            mdns, published, ..
        } = &mut *inner;
        published.retain(|(owner, name, called)| {
            let gone = gone(*owner, name);
            if gone && let Some(daemon) = mdns {
                // It says goodbye by itself; nobody waits for that.
                let _ = daemon.unregister(called);
            }
            !gone
        });
    }

    /// Forgets a peer that is gone.
    pub(crate) fn forget(&self, serial: u64) {
        self.withdraw_all(|owner, _| owner == serial);
        locked(&self.inner).under_way.remove(&serial);
    }

    fn mdns(&self) -> Option<ServiceDaemon> {
        let mut inner = locked(&self.inner);
        if inner.mdns.is_none() {
            match ServiceDaemon::new() {
                Ok(daemon) => inner.mdns = Some(daemon),
                Err(error) => tracing::warn!(%error, "multicast DNS is not available"),
            }
        }
        inner.mdns.clone()
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        if let Some(daemon) = locked(&self.inner).mdns.take() {
            // It ends its thread by itself; nobody waits for its last word.
            let _ = daemon.shutdown();
        }
    }
}

fn by_dns(name: &str) -> Vec<IpAddr> {
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => addresses.map(|address| address.ip()).collect(),
        Err(error) => {
            tracing::debug!(%name, %error, "a name did not resolve");
            Vec::new()
        }
    }
}

fn by_mdns(daemon: &ServiceDaemon, name: &str, timeout: Duration) -> Vec<IpAddr> {
    let name = format!("{}.", name.trim_end_matches('.'));
    let millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let Ok(events) = daemon.resolve_hostname(&name, Some(millis)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    while let Ok(event) = events.recv_timeout(timeout) {
        match event {
            HostnameResolutionEvent::AddressesFound(_, addresses) => {
                found.extend(addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr));
                break;
            }
            HostnameResolutionEvent::SearchTimeout(_)
            | HostnameResolutionEvent::SearchStopped(_) => break,
            _ => {}
        }
    }
    let _ = daemon.stop_resolve_hostname(&name);
    found.sort();
    found
}

#[cfg(test)]
#[cfg(target_os = "linux")]
#[path = "../tests/it/alone.rs"]
mod alone;

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_published_resolves_until_it_is_withdrawn() {
        let name = "resolver::tests::a_name_that_is_published_resolves_until_it_is_withdrawn";
        alone::alone(name, publish_and_withdraw);
    }

    fn publish_and_withdraw() {
        let (here, there) = [(); 2]
            .map(|()| Resolver::new(Duration::from_secs(5)))
            .into();
        let address: IpAddr = alone::ADDRESS.parse().unwrap();
        let name = "5f2a9c1e-0d3b-4e7f-8a6c-1b2d3e4f5a6b.local";
        here.publish(7, name, address);
        let daemon = there.mdns().unwrap();
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen = by_mdns(&daemon, name, Duration::from_secs(5));
            if !seen.is_empty() {
                break;
            }
        }
        assert_eq!(seen, [address]);
        here.withdraw(8, name);
        assert_eq!(locked(&here.inner).published.len(), 1);
        here.forget(7);
        assert!(locked(&here.inner).published.is_empty());
    }
}
