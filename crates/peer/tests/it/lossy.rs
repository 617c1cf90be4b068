//! What tests share in which the signaling loses what it carries.

use std::time::Duration;

use esp_netsim::HostId;
use esp_wire::Signal;

use crate::station::{Station, World, everything};

/// Of each link.
pub(crate) const DELAY: Duration = Duration::from_millis(10);

/// The user name fragment of a description.
pub(crate) fn ufrag(description: &str) -> &str {
    let line = description
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap()
}

impl Station {
    /// All descriptions that it has made.
    pub(crate) fn descriptions(&self) -> Vec<&str> {
        let texts = self.sent.iter().filter_map(|signal| match signal {
            Signal::Sdp(text) => Some(&**text),
            _ => None,
        });
        texts.collect()
    }

    /// Its last description, once more.
    pub(crate) fn last_words(&self) -> Signal<'static> {
        Signal::Sdp(self.descriptions().last().unwrap().to_string().into())
    }

    pub(crate) fn was_told(&self, word: &str) -> bool {
        self.notices.iter().any(|notice| notice.contains(word))
    }

    pub(crate) fn recovered(&self) -> bool {
        self.was_told("Recovered")
    }
}

impl World {
    /// Two that are connected, with a channel open.
    pub(crate) fn in_a_call(seed: u64) -> World {
        let mut world = World::new(seed, DELAY, everything(), everything());
        world.connect();
        world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
        world
    }

    pub(crate) fn side(&self, offerer: bool) -> HostId {
        match offerer {
            true => self.offerer,
            false => self.answerer,
        }
    }

    /// How many descriptions the offerer has made, and the answerer.
    pub(crate) fn said(&self) -> [usize; 2] {
        [self.a(), self.b()].map(|station| station.descriptions().len())
    }

    /// The link of a host to the signaling dies, or lives again.
    pub(crate) fn lose_signaling(&mut self, host: HostId, lost: bool) {
        let station = self.net.endpoint_mut(host);
        (station.mute, station.deaf) = (lost, lost);
    }

    /// Tells a host that its link lives again.
    pub(crate) fn restore_signaling(&mut self, host: HostId) {
        self.at(host, |peer, now| peer.signaling_restored(now))
            .unwrap();
    }
}
