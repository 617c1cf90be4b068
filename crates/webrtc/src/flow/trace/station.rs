//! A flow with the peer that it commands, on the seeded network, and what is called and comes back, in order.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use esp_netsim::{Endpoint, HostId, Net};
use esp_peer::{Certificate, Event as PeerEvent, Notice, Peer, PeerConfig, State};
use esp_wire::{Action, Input as Network, Instant, Origin, Role, Signal, Train};

use crate::flow::{Flow, Input, Step};

pub(super) type Post = Rc<RefCell<VecDeque<(Instant, Signal<'static>)>>>;

/// How long a word takes from one side to the other by signaling.
const POST: Duration = Duration::from_millis(30);

/// A flow, the peer that it commands, and what passed between the two.
pub(super) struct Station {
    flow: Flow,
    peer: Option<Peer>,
    config: PeerConfig,
    origin: Origin,
    interfaces: Vec<esp_wire::Interface>,
    pub(super) trace: Vec<String>,
    inbox: Post,
    pub(super) outbox: Post,
    /// In the room: what is said to who is not there waits for it.
    joined: bool,
    /// Its link to the room is dead, and neither side of it knows: all that is said is lost.
    pub(super) cut_off: bool,
    /// When the flow's pause is over.
    pause_until: Option<Instant>,
    now: Instant,
}

impl Station {
    fn input(&mut self, input: Input) {
        self.flow.handle(input);
        self.work();
    }

    fn note(&mut self, line: impl Into<String>) {
        self.trace.push(line.into());
    }

    /// Does what the flow says and tells it what the peer says, until both are silent.
    fn work(&mut self) {
        loop {
            if let Some(step) = self.flow.next() {
                self.step(step);
            } else if let Some(input) = self.hear() {
                self.flow.handle(input);
            } else {
                return;
            }
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match (step, &mut self.peer) {
            (Step::StartSignaling, _) => {
                self.joined = true;
                self.note("signaling.start");
            }
            (Step::StopSignaling, _) => {
                self.joined = false;
                self.note("signaling.stop");
            }
            (Step::OpenPeer { role, servers }, _) => {
                self.note("peer.open");
                let config = self.config.clone().with_role(role).with_servers(servers);
                let mut peer = Peer::new(config, self.origin.clone()).unwrap();
                peer.handle_input(now, Network::Interfaces(&self.interfaces))
                    .unwrap();
                self.peer = Some(peer);
            }
            (Step::UpdateIceInfo { role, servers }, Some(peer)) => {
                peer.update_ice_info(now, role, &servers).unwrap();
            }
            (Step::NewConnection, Some(peer)) => {
                peer.new_connection(now).unwrap();
                self.note("peer.new_connection");
            }
            (Step::PeerMessage(signal), Some(peer)) => {
                if let Signal::Sdp(_) = signal {
                    self.trace.push("peer.send_msg(SDP)".into());
                }
                match peer.handle_signal(now, &signal) {
                    Err(esp_peer::Error::PeerBeganAnew) => {
                        self.flow.handle(Input::PeerBeganAnew(signal));
                    }
                    taken => taken.unwrap(),
                }
            }
            (Step::Disconnect, Some(peer)) => {
                peer.disconnect(now).unwrap();
                self.note("peer.disconnect");
            }
            (Step::ClosePeer, Some(peer)) => {
                peer.close(now);
                self.note("peer.close");
            }
            (Step::SendSignal(signal), _) => {
                if let Signal::Sdp(_) = signal {
                    self.note("signaling.send_msg(SDP)");
                }
                if !self.cut_off {
                    self.outbox.borrow_mut().push_back((now + POST, signal));
                }
            }
            (Step::SignalingRestored, Some(peer)) => {
                peer.signaling_restored(now).unwrap();
                self.note("peer.signaling_restored");
            }
            (Step::Pause(pause), _) => self.pause_until = Some(now + pause),
            _ => {}
        }
    }

    /// The next thing that the peer says and the flow wants to know.
    fn hear(&mut self) -> Option<Input> {
        let peer = self.peer.as_mut()?;
        let event = loop {
            match peer.poll_event()? {
                PeerEvent::State(state) => break Input::PeerState(state),
                PeerEvent::Msg(signal) => break Input::PeerMessage(signal.into_owned()),
                PeerEvent::Notice(Notice::Interrupted) => self.trace.push("INTERRUPTED".into()),
                PeerEvent::Notice(Notice::Recovered) => self.trace.push("RECOVERED".into()),
                _ => {}
            }
        };
        match &event {
            Input::PeerState(State::Connected) => self.note("on_state(CONNECTED)"),
            Input::PeerState(State::Disconnected) => self.note("on_state(DISCONNECTED)"),
            Input::PeerMessage(Signal::Sdp(_)) => self.note("on_msg(SDP)"),
            _ => {}
        }
        Some(event)
    }

    fn read_post(&mut self, now: Instant) {
        while self.joined {
            let due = matches!(self.inbox.borrow().front(), Some((at, _)) if *at <= now);
            let Some((_, signal)) = due.then(|| self.inbox.borrow_mut().pop_front()).flatten()
            else {
                return;
            };
            if self.cut_off {
                continue;
            }
            match signal {
                Signal::Sdp(_) => self.note("signaling.on_msg(SDP)"),
                Signal::Bye => {
                    self.note("signaling.on_msg(BYE)");
                    self.input(ice_info(Role::Controlling));
                }
                _ => {}
            }
            self.input(Input::SignalingMessage(signal));
        }
    }
}

impl Endpoint for Station {
    fn handle_input(&mut self, now: Instant, input: Network<'_>) {
        self.now = now;
        if let Network::Interfaces(interfaces) = &input {
            self.interfaces = interfaces.to_vec();
        }
        if let Some(peer) = &mut self.peer {
            peer.handle_input(now, input).unwrap();
        }
        self.work();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.read_post(now);
        if let Some(peer) = &mut self.peer {
            peer.handle_timeout(now);
        }
        self.work();
        if self.pause_until.take_if(|at| *at <= now).is_some() {
            self.input(Input::PauseOver);
        }
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.now = now;
        let filled = match &mut self.peer {
            Some(peer) => peer.poll_transmit(now, train),
            None => false,
        };
        self.work();
        filled
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let post = self.inbox.borrow().front().map(|(at, _)| *at);
        let post = post.filter(|_| self.joined);
        let peer = self.peer.as_ref().and_then(Peer::poll_timeout);
        [post, peer.map(|deadline| deadline.at), self.pause_until]
            .into_iter()
            .flatten()
            .min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.peer.as_mut()?.poll_action()
    }
}

pub(super) fn ice_info(role: Role) -> Input {
    Input::IceInfo {
        role,
        servers: Vec::new(),
        rejoined: false,
    }
}

pub(super) fn stations(seed: u64) -> (Net<Station>, HostId, HostId) {
    let mut net = Net::seeded(seed);
    net.delay(Duration::from_millis(10));
    let (forth, back) = (Post::default(), Post::default());
    let certificate = Certificate::generate().unwrap();
    let mut station = |name: &str, inbox: &Post, outbox: &Post| {
        let station = Station {
            flow: Flow::new(true, true),
            peer: None,
            config: PeerConfig::default()
                .with_data_channels(false)
                .with_certificate(certificate.clone()),
            origin: net.origin(name),
            interfaces: Vec::new(),
            trace: Vec::new(),
            inbox: Rc::clone(inbox),
            outbox: Rc::clone(outbox),
            joined: false,
            cut_off: false,
            pause_until: None,
            now: Instant::ZERO,
        };
        net.host(name, station)
    };
    let device = station("device", &back, &forth);
    let page = station("page", &forth, &back);
    (net, device, page)
}

pub(super) fn at(net: &mut Net<Station>, host: HostId, inputs: impl IntoIterator<Item = Input>) {
    let now = net.now();
    let station = net.endpoint_mut(host);
    station.now = now;
    for input in inputs {
        station.input(input);
    }
}

pub(super) fn join(net: &mut Net<Station>, host: HostId, role: Role) {
    at(
        net,
        host,
        [Input::Start, ice_info(role), Input::SignalingConnected],
    );
}

pub(super) fn until_connected(net: &mut Net<Station>, host: HostId) {
    net.run_until(
        |net| {
            net.endpoint(host)
                .trace
                .last()
                .is_some_and(|it| it == "on_state(CONNECTED)")
        },
        Duration::from_secs(20),
    );
}

pub(super) fn take_trace(net: &mut Net<Station>, host: HostId) -> Vec<String> {
    std::mem::take(&mut net.endpoint_mut(host).trace)
}

/// Both have joined, the device first, and are connected.
pub(super) fn in_a_call(seed: u64) -> (Net<Station>, HostId, HostId) {
    let (mut net, device, page) = stations(seed);
    net.run_for(Duration::from_millis(1));
    join(&mut net, page, Role::Controlled);
    join(&mut net, device, Role::Controlling);
    until_connected(&mut net, device);
    until_connected(&mut net, page);
    (net, device, page)
}

/// Takes a host off the network, with its link to the room, or puts it back.
pub(super) fn cut_off(net: &mut Net<Station>, host: HostId, off: bool) {
    let address = net.address(host);
    let (up, down) = net.link_mut(host, address);
    let loss = if off { 1.0 } else { 0.0 };
    (up.loss, down.loss) = (loss, loss);
    net.endpoint_mut(host).cut_off = off;
}
