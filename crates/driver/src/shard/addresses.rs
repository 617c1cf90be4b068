//! The addresses of this host, told to every peer when they change.

use std::time::Duration;

use esp_wire::Input;

use super::{Shard, touch};
use crate::interfaces;

/// Changes come in bursts: the addresses are looked at this long after the first word of one.
const CALM: Duration = Duration::from_millis(100);
/// Where the system tells of changes, they are looked at this many times more seldom.
const TOLD: u32 = 15;

impl Shard {
    /// The system said that something changed.
    pub(super) fn on_word(&mut self) {
        if let Some(watch) = &self.watch {
            watch.drain();
        }
        let calm = match self.slots.is_empty() {
            // Whoever comes first wants to know at once.
            true => Duration::ZERO,
            false => CALM,
        };
        self.interfaces_due = Some(self.clock.now() + calm);
    }

    /// Knows the addresses for a peer that moves in: reading them costs some 40 calls of the system, so they
    /// are read again only where they may have changed while nobody looked.
    pub(super) fn know_interfaces(&mut self) {
        let alone = self.slots.len() == 1;
        let due = self.interfaces_due.is_none_or(|at| self.clock.now() >= at);
        let told = match &self.watch {
            Some(watch) if alone => watch.drain(),
            Some(_) => false,
            None => true,
        };
        if self.interfaces_seen.is_none() || (alone && (due || told)) {
            self.look_at_interfaces();
        }
    }

    fn look_at_interfaces(&mut self) -> bool {
        let now = self.clock.now();
        let wait = match self.watch {
            Some(_) => self.config.interface_interval * TOLD,
            None => self.config.interface_interval,
        };
        self.interfaces_seen = Some(now);
        self.interfaces_due = Some(now + wait);
        match interfaces() {
            Ok(found) if found != self.interfaces => {
                self.interfaces = found;
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%error, "the addresses of this host cannot be read");
                false
            }
        }
    }

    pub(super) fn watch_interfaces(&mut self) {
        let now = self.clock.now();
        let due = self.interfaces_due.is_some_and(|at| now >= at);
        if !due || self.slots.is_empty() || !self.look_at_interfaces() {
            return;
        }
        for (place, slot) in &mut self.slots {
            self.current = Some(place);
            slot.input(now, Input::Interfaces(&self.interfaces));
            touch(&mut self.touched, slot, place);
        }
    }
}
