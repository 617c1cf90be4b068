//! Peers that move into a shard and out of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use esp_peer::Peer;
use esp_wire::Input;

use super::slot::Slot;
use super::stream::Tools;
use super::{Key, Link, Shard};

/// Serial numbers of peers; the shards of a driver share a resolver, which knows peers by these.
static SERIALS: AtomicU64 = AtomicU64::new(1);

impl Shard {
    /// Takes a peer in.
    pub(crate) fn open(&mut self, peer: Peer, link: Arc<Link>) -> Key {
        let entry = self.slots.vacant_entry();
        let key = Key {
            place: entry.key(),
            serial: SERIALS.fetch_add(1, Ordering::Relaxed),
        };
        entry.insert(Box::new(Slot::new(key, peer, link)));
        self.know_interfaces();
        let now = self.clock.now();
        self.current = Some(key.place);
        if let Some(slot) = self.slots.get_mut(key.place) {
            slot.input(now, Input::Interfaces(&self.interfaces));
        }
        self.touch(key.place);
        key
    }

    /// Lets a peer say goodbye and gives it up.
    pub(super) fn close(&mut self, key: Key) {
        if self.slot(key).is_none() {
            return;
        }
        self.current = Some(key.place);
        let now = self.clock.now();
        if let Some(slot) = self.slots.get_mut(key.place) {
            slot.farewell(now, &mut self.train);
        }
        self.remove(key.place);
    }

    /// Takes a peer out with all that belongs to it.
    pub(super) fn remove(&mut self, place: usize) -> Option<Box<Slot>> {
        let mut slot = self.slots.try_remove(place)?;
        slot.release(&mut Tools {
            registry: self.poll.registry(),
            registered: &mut self.registered,
            place,
            config: &self.config,
            tls: &self.tls,
            now: self.clock.now(),
            scratch: self.datagrams.scratch(),
        });
        self.timers.change(place, slot.deadline, None);
        self.touched.retain(|&other| other != place);
        self.commons.leave(place, None, &mut self.registered);
        self.resolver.forget(slot.key.serial);
        Some(slot)
    }
}
