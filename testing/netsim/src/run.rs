//! Letting time pass.

use std::fmt;
use std::time::Duration;

use esp_wire::{Input, Instant, Train};

use crate::clock::{Event, Tell};
use crate::endpoint::Endpoint;
use crate::host::HostId;
use crate::net::Net;

/// So many timeouts without the clock moving mean that an endpoint's deadline never passes.
const MAX_IDLE: u32 = 100_000;
/// So many batches at one moment mean that an endpoint never stops sending.
const MAX_BATCHES: u32 = 1_000_000;

/// The condition did not come true; `Display` shows seed and packets.
#[derive(Clone, PartialEq, Eq)]
pub struct TimedOut {
    report: String,
}

impl TimedOut {
    pub(crate) fn new(report: String) -> Self {
        TimedOut { report }
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl std::error::Error for TimedOut {}

impl<E: Endpoint> Net<E> {
    /// Runs until `condition` holds, which may command endpoints as well, and gives the time that
    /// it took.
    ///
    /// # Panics
    /// When `limit` passes first; the message shows the seed and the last packets.
    #[track_caller]
    pub fn run_until(
        &mut self,
        condition: impl FnMut(&mut Self) -> bool,
        limit: Duration,
    ) -> Duration {
        match self.try_run_until(condition, limit) {
            Ok(took) => took,
            Err(_) => panic!(
                "the condition did not hold within {limit:?} (seed {})",
                self.seed
            ),
        }
    }

    /// Runs until `condition` holds or `limit` has passed.
    pub fn try_run_until(
        &mut self,
        mut condition: impl FnMut(&mut Self) -> bool,
        limit: Duration,
    ) -> Result<Duration, TimedOut> {
        let start = self.now;
        self.pump();
        while !condition(self) {
            if !self.step(start + limit) && !condition(self) {
                return Err(TimedOut::new(format!("nothing within {limit:?}\n{self}")));
            }
        }
        self.pump();
        Ok(self.now.since(start))
    }

    /// Runs for so long.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
    }

    /// Does the next thing that is to be done, at `end` at the latest; false when nothing is left
    /// before `end`, which is now then.
    pub fn step(&mut self, end: Instant) -> bool {
        self.pump();
        if let Some(event) = self.agenda.pop(self.now) {
            self.handle(event);
            return true;
        }
        let deadline = |net: &Self| {
            let of_hosts = net.hosts.iter();
            let soonest = of_hosts
                .filter_map(|host| host.machine.poll_timeout())
                .min();
            soonest.into_iter().chain(net.agenda.next_at()).min()
        };
        let next = match deadline(self) {
            Some(next) if next <= end => next,
            _ => {
                self.now = self.now.max(end);
                return false;
            }
        };
        if next > self.now {
            self.now = next;
            self.idle_steps = 0;
        }
        self.fire_timeouts();
        true
    }

    fn fire_timeouts(&mut self) {
        for host in &mut self.hosts {
            let due = host.machine.poll_timeout().is_some_and(|at| at <= self.now);
            if due {
                self.idle_steps += 1;
                assert!(
                    self.idle_steps < MAX_IDLE,
                    "the deadline of {} never passes (seed {})",
                    host.name,
                    self.seed
                );
                host.machine.handle_timeout(self.now);
                host.dirty = true;
            }
        }
    }

    /// Collects what all endpoints want to do and send now.
    pub(crate) fn pump(&mut self) {
        while let Some(index) = self.hosts.iter().position(|host| host.dirty) {
            self.hosts[index].dirty = false;
            let host = HostId(index);
            while let Some(action) = self.hosts[index].machine.poll_action() {
                self.act(host, action);
            }
            // Sending may leave actions behind; `transmit` marks the host dirty then.
            self.transmit(host);
        }
    }

    fn transmit(&mut self, host: HostId) {
        let mut train = self
            .train
            .take()
            .unwrap_or_else(|| Train::with_capacity(65_536));
        let mut batches = 0;
        while self.hosts[host.0]
            .machine
            .poll_transmit(self.now, &mut train)
        {
            batches += 1;
            assert!(
                batches < MAX_BATCHES,
                "{} never stops sending (seed {})",
                self.hosts[host.0].name,
                self.seed
            );
            self.depart(host, &train);
        }
        self.train = Some(train);
        while let Some(action) = self.hosts[host.0].machine.poll_action() {
            self.act(host, action);
            self.hosts[host.0].dirty = true;
        }
    }

    fn depart(&mut self, host: HostId, train: &Train) {
        let Some(to) = train.destination() else {
            let name = &self.hosts[host.0].name;
            panic!(
                "{name} sent a train without destination (seed {})",
                self.seed
            );
        };
        for segment in train.segments() {
            let mut data = self.spare.pop().unwrap_or_default();
            data.clear();
            data.extend_from_slice(segment);
            match self.is_stream(host, to.socket) {
                true => self.send_bytes(host, to.socket, data),
                false => {
                    let marks = (train.ecn(), train.is_fragmentable());
                    self.send(host, to.socket, to.remote, marks, data);
                }
            }
        }
    }

    fn handle(&mut self, event: Event<E>) {
        match event {
            Event::Enter(site, packet) => self.on_enter(site, packet),
            Event::Cross(site, packet) => self.on_cross(site, packet),
            Event::Arrive(host, packet) => self.on_arrive(host, packet),
            Event::Tell(host, tell) => self.tell(host, tell),
            Event::Call(call) => call(self),
        }
    }

    fn tell(&mut self, host: HostId, tell: Tell) {
        let now = self.now;
        let entry = &mut self.hosts[host.0];
        entry.dirty = true;
        let machine = &mut entry.machine;
        match tell {
            Tell::Bound(socket, local) => {
                machine.handle_input(now, Input::Bound { socket, local });
            }
            Tell::Opened(stream, local, remote) => {
                let input = Input::StreamOpened {
                    stream,
                    local,
                    remote,
                };
                machine.handle_input(now, input);
            }
            Tell::Bytes(stream, mut data) => {
                let data = &mut data;
                machine.handle_input(now, Input::StreamBytes { stream, data });
            }
            Tell::Closed(socket, reason) => {
                machine.handle_input(now, Input::Closed { socket, reason });
            }
            Tell::Unreachable(socket, remote) => {
                machine.handle_input(now, Input::Unreachable { socket, remote });
            }
            Tell::Resolved(query, addresses) => {
                let addresses = &addresses;
                machine.handle_input(now, Input::Resolved { query, addresses });
            }
            Tell::Interfaces => {
                let interfaces = entry.interfaces();
                if entry.told.as_ref() != Some(&interfaces) {
                    let input = Input::Interfaces(&interfaces);
                    entry.machine.handle_input(now, input);
                    entry.told = Some(interfaces);
                }
            }
        }
    }
}
