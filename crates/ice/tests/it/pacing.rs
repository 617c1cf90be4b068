//! Many agents of one host.

use std::collections::{BTreeMap, BTreeSet};

use esp_ice::{Agent, Config, Credentials, SharedPacer};
use esp_stun::{Message, TransactionId};
use esp_wire::{Action, Input, Instant, Interface, Origin, Train};

const AGENTS: usize = 30;
const CANDIDATES: usize = 5;

/// All agents begin at once and check candidates that never answer.
fn begin(pacer: Option<&SharedPacer>) -> Vec<Agent> {
    let begun = (0..AGENTS).map(|number| {
        let config = Config::default().with_shared_pacer(pacer.cloned());
        let mut agent = Agent::new(config, Origin::seeded(number as u64)).unwrap();
        let (now, address) = (Instant::ZERO, "192.0.2.1".parse().unwrap());
        agent.start(now);
        let interface = Interface {
            name: "eth0".into(),
            index: 1,
            address,
        };
        let told = Input::Interfaces(std::slice::from_ref(&interface));
        agent.handle_input(now, told).unwrap();
        while let Some(action) = agent.poll_action() {
            if let Action::Bind { socket, .. } = action {
                let local = (address, 10_000 + number as u16).into();
                agent
                    .handle_input(now, Input::Bound { socket, local })
                    .unwrap();
            }
        }
        let credentials = Credentials::new("abcd", "0123456789012345678901");
        agent.set_remote_credentials(now, credentials).unwrap();
        for port in 1..=CANDIDATES {
            let line = format!("candidate:{port} 1 udp 1000 198.51.100.9 {port} typ host");
            agent.add_remote_candidate(now, &line).unwrap();
        }
        agent
    });
    begun.collect()
}

/// When each new transaction began, and whose it was.
fn run(mut agents: Vec<Agent>, until: Instant) -> BTreeMap<TransactionId, (Instant, usize)> {
    let mut begun = BTreeMap::new();
    let mut train = Train::with_capacity(2_000);
    let mut now = Instant::ZERO;
    while now < until {
        for (number, agent) in agents.iter_mut().enumerate() {
            agent.handle_timeout(now);
            while agent.poll_transmit(now, &mut train) {
                let id = Message::parse(train.segment(0)).unwrap().transaction_id();
                begun.entry(id).or_insert((now, number));
            }
        }
        let next = agents.iter().filter_map(|agent| agent.poll_timeout());
        now = next.map(|next| next.at).min().unwrap().max(now);
    }
    begun
}

#[test]
fn together_they_begin_one_transaction_in_5_ms() {
    let pacer = SharedPacer::new();
    let begun = run(begin(Some(&pacer)), Instant::from_millis(1_500));
    let mut times: Vec<_> = begun.values().copied().collect();
    times.sort_unstable();
    for pair in times.windows(2) {
        let gap = pair[1].0.since(pair[0].0);
        assert!(gap.as_millis() >= 5, "{pair:?}");
    }
    // No slot is lost, and everybody gets as many as the others.
    let needed = AGENTS * CANDIDATES;
    let last = times[needed - 1].0;
    assert_eq!(last, Instant::from_millis(5 * (needed as u64 - 1)));
    for round in times[..needed].chunks(AGENTS) {
        let who: BTreeSet<_> = round.iter().map(|(_, number)| *number).collect();
        assert_eq!(who.len(), AGENTS);
    }
}

#[test]
fn alone_each_keeps_its_own_pace() {
    let begun = run(begin(None), Instant::from_millis(100));
    let first: Vec<_> = begun
        .values()
        .filter(|(at, _)| *at == Instant::ZERO)
        .collect();
    assert_eq!(first.len(), AGENTS);
}
