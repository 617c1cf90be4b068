//! A host that owns a TURN client and does with it what an ICE agent would.

use std::collections::VecDeque;
use std::net::SocketAddr;

use esp_netsim::Endpoint;
use esp_stun::turn::{Framer, Incoming, TurnClient, TurnConfig, TurnEvent};
use esp_wire::{Action, Input, Instant, Origin, SocketId, Train, Transport};

pub(crate) const SOCKET: SocketId = SocketId(0);

pub(crate) struct TurnUser {
    pub(crate) client: TurnClient,
    pub(crate) events: Vec<(Instant, TurnEvent)>,
    pub(crate) heard: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) unreachable: Vec<SocketAddr>,
    /// Batches that wait to be relayed: the peer, the size of full datagrams, the datagrams.
    pub(crate) outbox: VecDeque<(SocketAddr, usize, Vec<Vec<u8>>)>,
    actions: VecDeque<Action>,
    framer: Framer,
}

impl TurnUser {
    pub(crate) fn new(config: TurnConfig, origin: Origin) -> Self {
        let action = match config.transport {
            Transport::Udp => Action::Bind {
                socket: SOCKET,
                local: "0.0.0.0:0".parse().unwrap(),
            },
            transport => Action::OpenStream {
                stream: SOCKET,
                transport,
                local: None,
                remote: config.server,
                server_name: None,
            },
        };
        TurnUser {
            client: TurnClient::new(config, origin).unwrap(),
            events: Vec::new(),
            heard: Vec::new(),
            unreachable: Vec::new(),
            outbox: VecDeque::new(),
            actions: VecDeque::from([action]),
            framer: Framer::new(),
        }
    }

    pub(crate) fn send(&mut self, peer: SocketAddr, data: &[u8]) {
        self.send_train(peer, data.len(), &[data]);
    }

    pub(crate) fn send_train(&mut self, peer: SocketAddr, size: usize, train: &[&[u8]]) {
        let train = train.iter().map(|data| data.to_vec()).collect();
        self.outbox.push_back((peer, size, train));
    }

    pub(crate) fn has(&self, wanted: impl Fn(&TurnEvent) -> bool) -> bool {
        self.events.iter().any(|(_, event)| wanted(event))
    }

    pub(crate) fn relayed(&self) -> SocketAddr {
        self.client.relayed()[0]
    }

    fn note(&mut self, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Consumed | Incoming::TooBig(..) => {}
            Incoming::Data { peer, data } => self.heard.push((peer, data.to_vec())),
            Incoming::Unreachable(peer) => self.unreachable.push(peer),
        }
    }

    fn drain(&mut self, now: Instant) {
        while let Some(event) = self.client.poll_event() {
            self.events.push((now, event));
        }
    }
}

impl Endpoint for TurnUser {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Bound { .. } | Input::StreamOpened { .. } => self.client.start(now),
            Input::Datagrams {
                remote, size, data, ..
            } => {
                assert_eq!(remote, self.client.server());
                for datagram in data.chunks_mut(size) {
                    let mut copy = datagram.to_vec();
                    let incoming = self.client.handle_message(now, &mut copy);
                    self.note(incoming);
                }
            }
            Input::StreamBytes { data, .. } => {
                self.framer.push(data);
                while let Some(mut frame) = self.framer.next_frame().unwrap().map(|f| f.to_vec()) {
                    let incoming = self.client.handle_message(now, &mut frame);
                    self.note(incoming);
                }
            }
            Input::Closed { reason, .. } => self.client.handle_closed(reason),
            _ => {}
        }
        self.drain(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.client.handle_timeout(now);
        self.drain(now);
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.client.poll_transmit(now, train) {
            return true;
        }
        self.drain(now);
        if !self.client.is_allocated() {
            return false;
        }
        let Some((peer, size, datagrams)) = self.outbox.pop_front() else {
            return false;
        };
        train.begin(self.client.room(peer), size);
        for datagram in &datagrams {
            assert!(train.push(datagram));
        }
        self.client.wrap(now, train, peer).unwrap();
        true
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.client.poll_timeout().map(|deadline| deadline.at)
    }

    fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }
}
