//! What ICE alone holds: an idle TURN allocation, and an agent with twenty candidates a side; in a
//! network in virtual time, since heap does not depend on clocks.

use std::collections::VecDeque;
use std::time::Duration;

use esp_ice::{Agent, Config, Event};
use esp_netsim::{Endpoint, HostId, Net, SiteId};
use esp_wire::{Action, IceServer, Input, Instant, Origin, Role, Train};

use crate::figure::Sample;
use crate::usage;

/// Candidates of each side.
const CANDIDATES: usize = 20;
/// Nothing here takes longer, in virtual time.
const LIMIT: Duration = Duration::from_secs(30);
/// What passes before an agent counts as idle.
const IDLE: Duration = Duration::from_secs(60);

/// An agent on a host, and its candidates until the other side has them.
struct Side {
    agent: Option<Box<Agent>>,
    lines: VecDeque<String>,
}

impl Side {
    fn new(config: Config, origin: Origin) -> Result<Self, String> {
        let now = origin.now;
        let mut agent = Agent::new(config, origin).map_err(|it| it.to_string())?;
        agent.start(now);
        Ok(Side {
            agent: Some(Box::new(agent)),
            lines: VecDeque::new(),
        })
    }

    fn drain(&mut self) {
        while let Some(event) = self.agent.as_mut().and_then(|agent| agent.poll_event()) {
            if let Event::LocalCandidate { line } = event {
                self.lines.push_back(line);
            }
        }
    }

    /// Bytes that go when the agent goes.
    fn heap(&mut self) -> f64 {
        let before = usage::heap();
        drop(self.agent.take());
        (before - usage::heap()) as f64
    }
}

impl Endpoint for Side {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        if let Some(agent) = &mut self.agent {
            // No application data is sent, and nothing else ends the agent.
            let _ = agent.handle_input(now, input);
        }
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if let Some(agent) = &mut self.agent {
            agent.handle_timeout(now);
        }
        self.drain();
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        let agent = self.agent.as_mut();
        agent.is_some_and(|agent| agent.poll_transmit(now, train))
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let agent = self.agent.as_ref()?;
        agent.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.agent.as_mut()?.poll_action()
    }
}

/// Two agents on a network.
struct Call {
    net: Net<Side>,
    ends: [HostId; 2],
}

impl Call {
    fn new(config: &Config) -> Result<Self, String> {
        let mut net = Net::seeded(7);
        net.keep_log(0);
        let origins = [net.origin("a"), net.origin("b")];
        let [a, b] = origins;
        let controlled = config.clone().with_role(Role::Controlled);
        let a = net.host("a", Side::new(config.clone(), a)?);
        let b = net.host("b", Side::new(controlled, b)?);
        Ok(Call { net, ends: [a, b] })
    }

    /// Runs until both ends have a path, passing candidates on as they come.
    fn connect(&mut self) -> Result<(), String> {
        let now = self.net.now();
        for (from, to) in self.both() {
            let (from, to) = self.net.pair_mut(from, to);
            if let (Some(from), Some(to)) = (&from.agent, &mut to.agent) {
                let credentials = from.local_credentials().clone();
                to.set_remote_credentials(now, credentials)
                    .map_err(|it| it.to_string())?;
            }
        }
        let end = now + LIMIT;
        loop {
            self.pass()?;
            let connected = |end: &HostId| {
                let agent = self.net.endpoint(*end).agent.as_ref();
                agent.is_some_and(|agent| agent.selected().is_some())
            };
            if self.ends.iter().all(connected) {
                return Ok(());
            }
            if !self.net.step(end) {
                return Err("the agents do not connect".into());
            }
        }
    }

    fn both(&self) -> [(HostId, HostId); 2] {
        let [a, b] = self.ends;
        [(a, b), (b, a)]
    }

    fn pass(&mut self) -> Result<(), String> {
        let now = self.net.now();
        for (from, to) in self.both() {
            let (from, to) = self.net.pair_mut(from, to);
            while let (Some(line), Some(agent)) = (from.lines.pop_front(), &mut to.agent) {
                agent
                    .add_remote_candidate(now, &line)
                    .map_err(|it| it.to_string())?;
            }
            to.drain();
        }
        Ok(())
    }

    /// Bytes of the first agent after an idle minute.
    fn heap(&mut self) -> f64 {
        self.net.run_for(IDLE);
        self.net.endpoint_mut(self.ends[0]).heap()
    }
}

/// An agent that has gathered and waits, with an allocation or without.
fn gathered(turn: bool) -> Result<f64, String> {
    let mut call = Call::new(&Config::default())?;
    let at = call.net.turn_server("user", "secret");
    if turn {
        let servers = [IceServer::turn(format!("turn:{at}"), "user", "secret")];
        let now = call.net.now();
        let side = call.net.endpoint_mut(call.ends[0]);
        if let Some(agent) = &mut side.agent {
            agent.set_servers(now, &servers);
        }
        side.drain();
    }
    call.net.run_for(Duration::from_secs(5));
    let lines = &call.net.endpoint(call.ends[0]).lines;
    let relayed = lines.iter().any(|line| line.contains("relay"));
    if relayed != turn {
        return Err(format!("relay candidates: {relayed}"));
    }
    Ok(call.heap())
}

/// A connected agent with `count` candidates on each side.
fn connected(count: usize) -> Result<f64, String> {
    let mut call = Call::new(&Config::default().with_max_candidates(CANDIDATES))?;
    for end in call.ends {
        for number in 1..count {
            let name = format!("eth{number}");
            call.net.add_interface(end, &name, SiteId::PUBLIC);
        }
    }
    call.net.run_for(Duration::from_secs(1));
    for end in call.ends {
        let found = call.net.endpoint(end).lines.len();
        if found != count {
            return Err(format!("{found} candidates for {count}"));
        }
    }
    call.connect()?;
    Ok(call.heap())
}

/// Measures all of it; heap must be counted from the beginning of the process.
pub(crate) fn samples() -> Result<Vec<Sample>, String> {
    let kib = |bytes: f64| bytes / 1_024.0;
    let alone = gathered(false)?;
    let allocation = gathered(true)? - alone;
    let many = format!("{CANDIDATES} candidates a side");
    let heap = |what: &str, case: &str, bytes: f64| Sample::new(what, case, "KiB", kib(bytes));
    Ok(vec![
        heap("heap of a TURN allocation", "idle, over UDP", allocation),
        heap("heap of an ICE agent", "1 candidate a side", connected(1)?),
        heap("heap of an ICE agent", &many, connected(CANDIDATES)?),
    ])
}
