//! What holds whatever happens, in whatever order.

use std::net::SocketAddr;
use std::time::Duration;

use esp_ice::{
    Agent, Candidate, CandidateHost, CandidateKind, CandidateTransport, Config, Credentials, Event,
    State, TcpType, candidate_priority, pair_priority,
};
use esp_wire::{
    Action, Ecn, IceServer, Input, Instant, Interface, Origin, QueryId, Rng, Role, SocketId, Train,
};
use proptest::prelude::*;

fn candidates() -> impl Strategy<Value = Candidate> {
    let transport = prop_oneof![
        Just(CandidateTransport::Udp),
        Just(CandidateTransport::Tcp(TcpType::Active)),
        Just(CandidateTransport::Tcp(TcpType::Passive)),
        Just(CandidateTransport::Tcp(TcpType::SimultaneousOpen)),
    ];
    let kind = prop_oneof![
        Just(CandidateKind::Host),
        Just(CandidateKind::ServerReflexive),
        Just(CandidateKind::PeerReflexive),
        Just(CandidateKind::Relayed),
    ];
    let host = prop_oneof![
        any::<[u8; 4]>().prop_map(|ip| CandidateHost::Address(ip.into())),
        any::<[u8; 16]>().prop_map(|ip| CandidateHost::Address(ip.into())),
        "[a-z0-9]{1,20}\\.local".prop_map(CandidateHost::Name),
    ];
    let related = proptest::option::of((any::<[u8; 4]>(), any::<u16>()));
    let related = related.prop_map(|it| it.map(|(ip, port)| SocketAddr::new(ip.into(), port)));
    let ufrag = proptest::option::of("[A-Za-z0-9+/]{4,12}");
    let head = (
        "[A-Za-z0-9+/]{1,32}",
        1..=256u16,
        transport,
        1..=0x7fff_ffffu32,
    );
    (head, host, any::<u16>(), kind, related, ufrag).prop_map(
        |((foundation, component, transport, priority), host, port, kind, related, ufrag)| {
            Candidate {
                foundation,
                component,
                transport,
                priority,
                host,
                port,
                kind,
                related,
                ufrag,
            }
        },
    )
}

proptest! {
    #[test]
    fn candidates_round_trip(candidate in candidates()) {
        let line = candidate.to_string();
        prop_assert_eq!(line.parse::<Candidate>().unwrap(), candidate.clone());
        prop_assert_eq!(format!("a={line} generation 0 network-id 1").parse::<Candidate>().unwrap(), candidate);
    }

    #[test]
    fn any_text_is_read_or_refused(line in "(candidate:)?[ -~]{0,200}") {
        let _ = line.parse::<Candidate>();
    }

    #[test]
    fn priorities_order_kinds_and_sides_agree(a in 1..=0x7fff_ffffu32, b in 1..=0x7fff_ffffu32, p in any::<u16>(), q in any::<u16>()) {
        prop_assert!(candidate_priority(CandidateKind::Host, p) > candidate_priority(CandidateKind::ServerReflexive, q));
        prop_assert!(candidate_priority(CandidateKind::Host, p) <= 0x7fff_ffff);
        // Both sides compute the same number, and the worse candidate decides.
        prop_assert_eq!(pair_priority(a, b) >> 1, pair_priority(b, a) >> 1);
        prop_assert!(pair_priority(a, b) >> 32 >= u64::from(a.min(b)));
    }
}

/// Two agents whose output is drained in an order drawn at random, on a link of 10 ms.
struct Shuffled {
    agents: [Agent; 2],
    events: [Vec<Event>; 2],
    now: Instant,
    flying: Vec<(Instant, usize, Vec<u8>)>,
    actions: Vec<(usize, Action)>,
    rng: Rng,
}

impl Shuffled {
    fn address(side: usize) -> SocketAddr {
        SocketAddr::new([192, 0, 2, side as u8 + 1].into(), 7_000)
    }

    fn new(order: u64) -> Self {
        let agent =
            |role, seed| Agent::new(Config::default().with_role(role), Origin::seeded(seed));
        Shuffled {
            agents: [
                agent(Role::Controlling, 1).unwrap(),
                agent(Role::Controlled, 2).unwrap(),
            ],
            events: [Vec::new(), Vec::new()],
            now: Instant::ZERO,
            flying: Vec::new(),
            actions: Vec::new(),
            rng: Origin::seeded(order).fork("order").into_rng(),
        }
    }

    /// Does one thing at random; polls everything in the end, since time must not pass before.
    fn settle(&mut self) {
        for _ in 0..40 {
            let side = self.rng.below(2) as usize;
            match self.rng.below(5) {
                0 => self.transmit(side),
                1 => self.act(side),
                2 => self.hear(side),
                3 => self.agents[side].handle_timeout(self.now),
                _ => drop(self.agents[side].poll_timeout()),
            }
        }
        for _ in 0..4 {
            for side in [0, 1] {
                self.hear(side);
                self.act(side);
                while self.agents[side]
                    .poll_timeout()
                    .is_some_and(|next| next.at <= self.now)
                {
                    self.agents[side].handle_timeout(self.now);
                }
                self.transmit(side);
            }
        }
    }

    fn transmit(&mut self, side: usize) {
        let mut train = Train::with_capacity(2_000);
        while self.agents[side].poll_transmit(self.now, &mut train) {
            let to = train.destination().unwrap().remote;
            for other in [0, 1] {
                if to == Self::address(other) {
                    let at = self.now + Duration::from_millis(10);
                    self.flying.push((at, other, train.segment(0).to_vec()));
                }
            }
        }
    }

    fn act(&mut self, side: usize) {
        while let Some(action) = self.agents[side].poll_action() {
            if let Action::Bind { socket, .. } = action {
                let local = Self::address(side);
                let input = Input::Bound { socket, local };
                self.agents[side].handle_input(self.now, input).unwrap();
            } else {
                self.actions.push((side, action));
            }
        }
    }

    fn hear(&mut self, side: usize) {
        while let Some(event) = self.agents[side].poll_event() {
            if let Event::LocalCandidate { line } = &event {
                self.agents[1 - side]
                    .add_remote_candidate(self.now, line)
                    .unwrap();
            }
            self.events[side].push(event);
        }
    }

    fn run(&mut self) {
        for side in [0, 1] {
            let address = Self::address(side).ip();
            let interface = Interface {
                name: "e".to_owned(),
                index: 1,
                address,
            };
            self.agents[side].start(self.now);
            self.agents[side]
                .handle_input(self.now, Input::Interfaces(&[interface]))
                .unwrap();
            let credentials = self.agents[side].local_credentials().clone();
            self.agents[1 - side]
                .set_remote_credentials(self.now, credentials)
                .unwrap();
        }
        let end = Instant::from_millis(40_000);
        loop {
            self.settle();
            let timers = self.agents.iter().filter_map(|agent| agent.poll_timeout());
            let arrivals = self.flying.iter().map(|(at, ..)| *at);
            let next = timers.map(|next| next.at).chain(arrivals).min().unwrap();
            if next > end {
                return;
            }
            self.now = self.now.max(next);
            let (due, rest) = std::mem::take(&mut self.flying)
                .into_iter()
                .partition(|(at, ..)| *at <= self.now);
            self.flying = rest;
            let due: Vec<(Instant, usize, Vec<u8>)> = due;
            for (_, to, mut data) in due {
                let input = Input::Datagrams {
                    socket: SocketId(0),
                    remote: Self::address(1 - to),
                    ecn: Ecn::NotEct,
                    size: data.len(),
                    data: &mut data,
                };
                self.agents[to].handle_input(self.now, input).unwrap();
            }
        }
    }
}

trait IntoRng {
    fn into_rng(self) -> Rng;
}

impl IntoRng for Origin {
    fn into_rng(self) -> Rng {
        Rng::new(self.seed)
    }
}

#[test]
fn the_order_of_polls_does_not_matter() {
    let mut first = None;
    for order in 0..40 {
        let mut run = Shuffled::new(order);
        run.run();
        let states: Vec<State> = run.agents.iter().map(Agent::state).collect();
        assert_eq!(
            states,
            [State::Completed, State::Completed],
            "order {order}"
        );
        let kinds: Vec<Vec<_>> = (run.events.iter())
            .map(|events| events.iter().map(std::mem::discriminant).collect())
            .collect();
        let pairs: Vec<_> = (run.agents.iter())
            .map(|agent| agent.selected().map(|pair| (pair.local, pair.remote)))
            .collect();
        let result = (kinds, pairs);
        assert_eq!(
            *first.get_or_insert(result.clone()),
            result,
            "order {order}"
        );
    }
}

/// Anything that a caller, a peer, a driver or a stranger may do.
#[derive(Clone, Debug)]
enum Step {
    Start,
    Interfaces(u8),
    Bound(u8, u8),
    Closed(u8),
    Servers(u8),
    Resolved(u8, u8),
    Credentials(u8),
    Candidate(Candidate),
    Ended,
    Restart,
    Close(u8),
    Role(bool),
    Pacing(u16),
    Unreachable(u8, u8),
    Bytes(u8, u8, Vec<u8>),
    /// One of the agent's own packets comes back, possibly damaged.
    Echo(u8, u8, u8),
    Advance(u16),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Start),
        any::<u8>().prop_map(Step::Interfaces),
        (0..6u8, any::<u8>()).prop_map(|(socket, host)| Step::Bound(socket, host)),
        (0..6u8).prop_map(Step::Closed),
        any::<u8>().prop_map(Step::Servers),
        (0..8u8, any::<u8>()).prop_map(|(query, host)| Step::Resolved(query, host)),
        (0..4u8).prop_map(Step::Credentials),
        candidates().prop_map(Step::Candidate),
        Just(Step::Ended),
        Just(Step::Restart),
        any::<u8>().prop_map(Step::Close),
        any::<bool>().prop_map(Step::Role),
        any::<u16>().prop_map(Step::Pacing),
        (0..6u8, any::<u8>()).prop_map(|(socket, host)| Step::Unreachable(socket, host)),
        (
            0..6u8,
            any::<u8>(),
            proptest::collection::vec(any::<u8>(), 0..80)
        )
            .prop_map(|(socket, host, bytes)| Step::Bytes(socket, host, bytes)),
        (0..6u8, any::<u8>(), any::<u8>()).prop_map(|(a, b, c)| Step::Echo(a, b, c)),
        any::<u16>().prop_map(Step::Advance),
    ]
}

fn host(number: u8) -> SocketAddr {
    SocketAddr::new([198, 51, 100, number].into(), 1_000 + u16::from(number))
}

struct Torture {
    agent: Agent,
    now: Instant,
    last: Vec<u8>,
    train: Train,
}

impl Torture {
    fn step(&mut self, step: Step) {
        let (agent, now) = (&mut self.agent, self.now);
        match step {
            Step::Start => agent.start(now),
            Step::Credentials(which) => {
                let credentials = Credentials::new(format!("frag{which}"), "p".repeat(24));
                agent.set_remote_credentials(now, credentials).unwrap();
            }
            Step::Candidate(candidate) => {
                agent
                    .add_remote_candidate(now, &candidate.to_string())
                    .unwrap();
            }
            Step::Ended => agent.end_of_remote_candidates(now),
            Step::Restart => agent.restart(now),
            Step::Close(0) => agent.close(),
            Step::Close(_) => {}
            Step::Role(controls) => agent.set_role(if controls {
                Role::Controlling
            } else {
                Role::Controlled
            }),
            Step::Pacing(ms) => agent.set_remote_pacing(Some(Duration::from_millis(u64::from(ms)))),
            Step::Bytes(socket, at, mut bytes) => self.receive(socket, at, &mut bytes),
            Step::Echo(socket, at, damage) => {
                let mut bytes = self.last.clone();
                if let Some(byte) = bytes.get_mut(usize::from(damage)) {
                    *byte ^= damage;
                }
                self.receive(socket, at, &mut bytes);
            }
            Step::Advance(ms) => self.advance(u64::from(ms)),
            other => self.driver_step(other),
        }
        self.drain();
    }

    fn driver_step(&mut self, step: Step) {
        let (agent, now) = (&mut self.agent, self.now);
        match step {
            Step::Interfaces(bits) => {
                let up = (0..5u8).filter(|bit| bits & (1 << bit) != 0);
                let list: Vec<_> = up
                    .map(|bit| Interface {
                        name: format!("e{bit}"),
                        index: u32::from(bit),
                        address: [10, 0, 0, bit + 1].into(),
                    })
                    .collect();
                agent.handle_input(now, Input::Interfaces(&list)).unwrap();
            }
            Step::Bound(socket, at) => {
                let socket = SocketId(u32::from(socket));
                let local = host(at);
                agent
                    .handle_input(now, Input::Bound { socket, local })
                    .unwrap();
            }
            Step::Closed(socket) => {
                let socket = SocketId(u32::from(socket));
                agent
                    .handle_input(now, Input::Closed { socket, reason: "" })
                    .unwrap();
            }
            Step::Servers(number) => {
                let urls = [
                    "stun:a.example",
                    "stun:198.51.100.9",
                    "turn:b",
                    "turns:c",
                    "?",
                ];
                let servers: Vec<_> = (urls.iter().enumerate())
                    .filter(|(bit, _)| number & (1 << bit) != 0)
                    .map(|(_, url)| IceServer::stun(*url))
                    .collect();
                agent.set_servers(now, &servers);
            }
            Step::Resolved(query, at) => {
                let query = QueryId(u32::from(query));
                let addresses = &[host(at).ip()];
                agent
                    .handle_input(now, Input::Resolved { query, addresses })
                    .unwrap();
            }
            Step::Unreachable(socket, at) => {
                let (socket, remote) = (SocketId(u32::from(socket)), host(at));
                agent
                    .handle_input(now, Input::Unreachable { socket, remote })
                    .unwrap();
            }
            other => unreachable!("{other:?}"),
        }
    }

    fn receive(&mut self, socket: u8, at: u8, data: &mut [u8]) {
        let input = Input::Datagrams {
            socket: SocketId(u32::from(socket)),
            remote: host(at),
            ecn: Ecn::NotEct,
            size: 30.max(data.len() / 2),
            data,
        };
        self.agent.handle_input(self.now, input).unwrap();
    }

    fn advance(&mut self, ms: u64) {
        let end = self.now + Duration::from_millis(ms);
        let mut rounds = 0;
        while let Some(next) = self.agent.poll_timeout().filter(|next| next.at <= end) {
            self.now = self.now.max(next.at);
            self.agent.handle_timeout(self.now);
            self.drain();
            rounds += 1;
            assert!(rounds < 100_000, "{next:?} never passes");
        }
        self.now = end;
    }

    fn drain(&mut self) {
        let mut packets = 0;
        while self.agent.poll_transmit(self.now, &mut self.train) {
            self.last = self.train.segment(0).to_vec();
            packets += 1;
        }
        assert!(packets <= 64);
        while self.agent.poll_event().is_some() {}
        while self.agent.poll_action().is_some() {}
        assert!(self.agent.pairs().len() <= 20);
        assert!(self.agent.remote_candidates().count() <= 10);
        assert!(self.agent.candidates().len() <= 16);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn whatever_happens_nothing_panics_spins_or_grows(steps in proptest::collection::vec(steps(), 1..80)) {
        let config = Config::default()
            .with_max_pairs(20)
            .with_max_remote_candidates(10)
            .with_max_candidates(8);
        let mut torture = Torture {
            agent: Agent::new(config, Origin::seeded(1)).unwrap(),
            now: Instant::ZERO,
            last: Vec::new(),
            train: Train::with_capacity(2_000),
        };
        for step in steps {
            torture.step(step);
        }
        torture.advance(100_000);
    }
}
