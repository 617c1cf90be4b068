//! How much one address may ask for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What counts as one address: an IPv4 address, or an IPv6 /64, since one host has a whole /64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct AddressKey(u128);

impl From<IpAddr> for AddressKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => AddressKey(u128::from(u32::from(address))),
            IpAddr::V6(address) if address.is_loopback() => AddressKey(u128::from(u32::MAX) + 1),
            IpAddr::V6(address) => AddressKey(u128::from(address) >> 64 << 64),
        }
    }
}

/// A bucket that fills by `rate` a second up to `burst`.
pub(crate) struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(burst: u32, now: Instant) -> Self {
        Bucket {
            tokens: f64::from(burst),
            at: now,
        }
    }

    fn fill(&mut self, now: Instant, rate: u32, burst: u32) {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + elapsed * f64::from(rate)).min(f64::from(burst));
        self.at = now;
    }
}

/// A bucket for each address. Full buckets are forgotten, and their number is bounded.
pub(crate) struct Rates {
    rate: u32,
    burst: u32,
    buckets: Mutex<HashMap<AddressKey, Bucket>>,
}

const MOST_BUCKETS: usize = 16_384;

impl Rates {
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        Rates {
            rate,
            burst,
            buckets: Mutex::new(HashMap::new()),
        }
    }

    /// Takes one token; false when there is none.
    pub(crate) fn take(&self, address: AddressKey, now: Instant) -> bool {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MOST_BUCKETS && !buckets.contains_key(&address) {
            self.forget(&mut buckets, now);
            if buckets.len() >= MOST_BUCKETS {
                return false;
            }
        }
        let bucket = buckets
            .entry(address)
            .or_insert_with(|| Bucket::full(self.burst, now));
        bucket.fill(now, self.rate, self.burst);
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Drops the buckets that are full again.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        self.forget(&mut buckets, now);
    }

    fn forget(&self, buckets: &mut HashMap<AddressKey, Bucket>, now: Instant) {
        buckets.retain(|_, bucket| {
            bucket.fill(now, self.rate, self.burst);
            bucket.tokens < f64::from(self.burst)
        });
    }
}

/// Counts open connections, in all and by address.
pub(crate) struct Doors {
    most: usize,
    most_per_address: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    by_address: HashMap<AddressKey, usize>,
}

/// One open connection; dropped when it closes.
pub(crate) struct Permit {
    doors: Arc<Doors>,
    address: AddressKey,
}

impl Doors {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Doors {
            most,
            most_per_address,
            open: Mutex::default(),
        })
    }

    pub(crate) fn enter(self: &Arc<Self>, address: AddressKey) -> Option<Permit> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let here = open.by_address.get(&address).copied().unwrap_or(0);
        if open.all >= self.most || here >= self.most_per_address {
            return None;
        }
        open.all += 1;
        open.by_address.insert(address, here + 1);
        Some(Permit {
            doors: self.clone(),
            address,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self
            .doors
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.all = open.all.saturating_sub(1);
        if let Some(here) = open.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                open.by_address.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> AddressKey {
        AddressKey::from(text.parse::<IpAddr>().unwrap())
    }

    #[test]
    fn a_bucket_runs_dry_and_fills() {
        let rates = Rates::new(10, 3);
        let start = Instant::now();
        let one = address("192.0.2.1");
        assert_eq!((0..5).filter(|_| rates.take(one, start)).count(), 3);
        assert!(rates.take(address("192.0.2.2"), start));
        let later = start + Duration::from_millis(150);
        assert!(rates.take(one, later) && !rates.take(one, later));
        rates.sweep(start + Duration::from_secs(9));
        assert!(rates.buckets.lock().unwrap().is_empty());
    }

    #[test]
    fn an_ipv6_host_is_one_address() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::2:3"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("::1"), address("0.0.0.1"));
    }

    #[test]
    fn doors_close_and_open() {
        let doors = Doors::new(3, 2);
        let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = doors.enter(a);
        let second = doors.enter(a);
        assert!(first.is_some() && second.is_some() && doors.enter(a).is_none());
        let third = doors.enter(b);
        assert!(third.is_some() && doors.enter(b).is_none());
        drop(first);
        assert!(doors.enter(b).is_some());
        drop((second, third));
        assert_eq!(doors.count(), 0);
    }
}
