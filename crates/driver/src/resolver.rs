//! Names to addresses, without holding up a shard: DNS by the system, `.local` by multicast DNS.

use std::collections::HashMap;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use esp_wire::{QueryId, Resolution};
use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};

use crate::shard::{Command, Handle, Key};

/// Resolutions under way at one time for one peer; more are answered with nothing.
const AT_ONCE: usize = 32;

#[derive(Default)]
struct Inner {
    /// Started with the first `.local` name, ended with the resolver.
    mdns: Option<ServiceDaemon>,
    under_way: HashMap<u64, usize>,
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

    /// Forgets a peer that is gone.
    pub(crate) fn forget(&self, serial: u64) {
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
