//! Two ICE agents whose way leads over relayed TCP (RFC 6062), by operations; the network and the TURN server
//! are those of the simulated network.

use std::collections::VecDeque;
use std::time::Duration;

use esp_ice::{Agent, Config, Event};
use esp_netsim::{Endpoint, HostId, Nat, Net, TurnServer};
use esp_wire::{Action, IcePolicy, IceServer, Input, Instant, Origin, Role, SocketId, Train};

use crate::Bytes;
use crate::net;

/// An agent, and what the steps have in store for it.
struct Peer {
    agent: Agent,
    lines: VecDeque<String>,
    /// Streams and sockets that it has asked for.
    sockets: Vec<SocketId>,
    /// What befalls the next bytes of a stream: place and value.
    change: Option<(u16, u8)>,
    application: u8,
}

impl Peer {
    fn new(config: Config, origin: Origin) -> Self {
        let now = origin.now;
        let mut agent = Agent::new(config, origin).expect("a config that is right");
        agent.start(now);
        Peer {
            agent,
            lines: VecDeque::new(),
            sockets: Vec::new(),
            change: None,
            application: 0,
        }
    }

    fn drain(&mut self) {
        while let Some(event) = self.agent.poll_event() {
            if let Event::LocalCandidate { line } = event {
                self.lines.push_back(line);
            }
        }
        let in_use = self.agent.pairs().iter().filter(|pair| pair.in_use).count();
        assert!(in_use <= 1);
    }

    fn note(&mut self, socket: SocketId) {
        if self.sockets.len() < 64 {
            self.sockets.push(socket);
        }
    }
}

impl Endpoint for Peer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::StreamBytes { stream, data } => {
                if let Some((at, value)) = self.change.take_if(|_| !data.is_empty()) {
                    data[usize::from(at) % data.len()] ^= value;
                }
                let _ = self
                    .agent
                    .handle_input(now, Input::StreamBytes { stream, data });
            }
            input => {
                let _ = self.agent.handle_input(now, input);
            }
        }
        self.drain();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        self.drain();
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.application > 0
            && let Some(path) = self.agent.path()
        {
            self.application -= 1;
            train.begin(path.room, path.size);
            train.push(&[0x80; 200]);
            return self.agent.send(train);
        }
        self.application = 0;
        self.agent.poll_transmit(now, train)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.agent.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_action(&mut self) -> Option<Action> {
        let action = self.agent.poll_action()?;
        match &action {
            Action::OpenStream { stream, .. } => self.note(*stream),
            Action::Bind { socket, .. } | Action::Listen { socket, .. } => self.note(*socket),
            _ => {}
        }
        Some(action)
    }
}

struct World {
    net: Net<Peer>,
    sides: [HostId; 2],
    server: String,
}

/// Steps of two agents, their network and their server.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new(bytes.u8(), bytes.u8());
    world.exchange();
    for _ in 0..60 {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
    for side in world.sides {
        let peer = world.net.endpoint_mut(side);
        peer.agent.close();
        peer.drain();
    }
    world.net.run_for(Duration::from_millis(100));
}

impl World {
    /// `kind` says who is behind what, `server` how the server is.
    fn new(kind: u8, server: u8) -> Self {
        let mut net = Net::seeded(3);
        net.keep_log(0);
        net.delay(Duration::from_millis(10));
        let origins = ["a", "b"].map(|name| net.origin(name));
        let mut index = 0;
        let sides = origins.map(|origin| {
            let relays = index == 0 || kind & 1 != 0;
            let config = Config::default()
                .with_role([Role::Controlling, Role::Controlled][index])
                .with_tcp_relays(relays)
                .with_tcp_passive(!relays)
                .with_max_pairs(16);
            let config = match relays && kind & 2 != 0 {
                true => config.with_policy(IcePolicy::Relay),
                false => config,
            };
            index += 1;
            let host = net.host("peer", Peer::new(config, origin));
            if relays {
                net.behind(host, Nat::symmetric().without_udp());
            }
            host
        });
        let mut turn = TurnServer::new(3478, "user", "pass");
        turn.udp_relays = server & 1 != 0;
        turn.cut_binds = u32::from(server >> 1 & 7);
        let at = net.turn_server_with(turn);
        let server = match server >> 4 & 3 {
            0 => format!("turns:{at}"),
            _ => format!("turn:{at}?transport=tcp"),
        };
        let mut world = World { net, sides, server };
        world.servers(0, "pass");
        world.servers(1, "pass");
        world
    }

    fn servers(&mut self, side: usize, password: &str) {
        let now = self.net.now();
        let peer = self.net.endpoint_mut(self.sides[side]);
        let server = IceServer::turn(self.server.clone(), "user", password);
        peer.agent.set_servers(now, &[server]);
        peer.drain();
    }

    fn exchange(&mut self) {
        let now = self.net.now();
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = self.net.pair_mut(self.sides[from], self.sides[to]);
            let credentials = from.agent.local_credentials().clone();
            let _ = to.agent.set_remote_credentials(now, credentials);
            to.drain();
        }
    }

    fn pass(&mut self) {
        let now = self.net.now();
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to) = self.net.pair_mut(self.sides[from], self.sides[to]);
            while let Some(line) = from.lines.pop_front() {
                let _ = to.agent.add_remote_candidate(now, &line);
            }
            to.drain();
        }
    }

    /// Runs for so long, passing candidates on.
    fn run(&mut self, ms: u64) {
        let end = self.net.now() + Duration::from_millis(ms);
        self.pass();
        while self.net.step(end) {
            self.pass();
        }
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        let side = usize::from(code >> 7);
        let host = self.sides[side];
        let now = self.net.now();
        match code & 15 {
            0..=3 => self.run(u64::from(bytes.u8()) * 4),
            4 => self.run(u64::from(bytes.u16())),
            5 => {
                let peer = self.net.endpoint_mut(host);
                peer.agent.restart(now);
                peer.drain();
                self.exchange();
            }
            6 => {
                let address = self.net.address(host);
                self.net.set_up(host, address, bytes.flag());
            }
            7 => {
                self.net.loss(f64::from(bytes.u8() & 63) / 256.0);
            }
            8 => {
                let change = (bytes.u16(), bytes.u8());
                self.net.endpoint_mut(host).change = Some(change);
            }
            9 => self.servers(side, ["pass", "wrong"][bytes.side()]),
            10 => self.net.endpoint_mut(host).application = 1 + code / 16 % 8,
            11 => {
                let site = self.net.site_of(host);
                self.net.reboot_nat(site);
            }
            12 => self.exchange(),
            _ => {
                let peer = self.net.endpoint_mut(host);
                let which = usize::from(bytes.u8());
                let Some(socket) = peer.sockets.get(which % peer.sockets.len().max(1)) else {
                    return;
                };
                let (socket, from) = (*socket, ([192, 0, 2, 9], bytes.u16()).into());
                let mut noise = bytes.short().to_vec();
                let input = net::odd_input(code >> 4, socket, from, &mut noise);
                let _ = peer.agent.handle_input(now, input);
                peer.drain();
            }
        }
    }
}
