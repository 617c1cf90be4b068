//! Associations that share one link, as one engine of the simulated network.

use std::time::Duration;

use esp_netsim::{Duplex, Engine, Link};
use esp_sctp::{Association, ChannelConfig, ChannelHandle, Config, Error, Event, Stats};
use esp_wire::{DataKind, Ecn, Instant, Origin, Room, Train};

/// What DTLS 1.2 with AES-GCM adds before and behind a packet: header, explicit nonce, tag.
const DTLS: Room = Room { head: 21, tail: 16 };
/// The largest datagram.
pub const DATAGRAM: usize = 1_200;
/// Bytes of a message.
pub const MESSAGE: usize = 16 << 10;
const PORT: u16 = 5_000;

/// One association of several.
#[derive(Debug)]
pub struct Flow {
    association: Association,
    channel: Option<ChannelHandle>,
    /// Bytes that are still to be handed to `send`.
    to_send: u64,
    /// Messages come to be sent from here on.
    start: Instant,
    blocked: bool,
    /// Bytes of messages that were delivered.
    pub delivered: u64,
}

impl Flow {
    fn refill(&mut self, now: Instant, message: &[u8]) {
        let Some(channel) = self.channel else {
            return;
        };
        while now >= self.start && self.to_send > 0 && !self.blocked {
            match (self.association).send(now, channel, DataKind::Binary, message) {
                Ok(()) => self.to_send -= self.to_send.min(message.len() as u64),
                Err(Error::WouldBlock) => self.blocked = true,
                Err(_) => return,
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.association.poll_event() {
            match event {
                Event::Message { data, .. } => self.delivered += data.len() as u64,
                Event::Writable { .. } => self.blocked = false,
                _ => {}
            }
        }
    }

    /// Counters of the association.
    pub fn stats(&self) -> Stats {
        self.association.stats()
    }
}

/// One end of all flows.
#[derive(Debug)]
pub struct End {
    /// The flows in the order of their ports.
    pub flows: Vec<Flow>,
    turn: usize,
    message: Vec<u8>,
    now: Instant,
}

impl End {
    fn new(seed: u64, client: bool, configs: &[Config]) -> Result<End, Error> {
        let mut flows = Vec::new();
        for (port, config) in (PORT..).zip(configs) {
            let config = config.clone().with_ports(port, port);
            let origin = Origin::seeded(seed * 64 + u64::from(port - PORT) * 2 + u64::from(client));
            let mut association = Association::new(config, origin)?;
            association.set_path(DTLS, DATAGRAM - DTLS.head - DTLS.tail);
            association.set_dtls_role(client);
            association.set_remote_max_message_size(0);
            flows.push(Flow {
                association,
                channel: None,
                to_send: 0,
                start: Instant::ZERO,
                blocked: false,
                delivered: 0,
            });
        }
        Ok(End {
            flows,
            turn: 0,
            message: vec![7; MESSAGE],
            now: Instant::ZERO,
        })
    }

    /// Bytes that were delivered or wait for others before them, over all flows.
    pub fn received(&self) -> u64 {
        let of = |flow: &Flow| flow.delivered + flow.stats().receive_buffered as u64;
        self.flows.iter().map(of).sum()
    }
}

impl Engine for End {
    fn handle_datagram(&mut self, now: Instant, ecn: Ecn, datagram: &mut [u8]) {
        self.now = now;
        let end = datagram.len() - DTLS.tail;
        let packet = &mut datagram[DTLS.head..end];
        let port = u16::from_be_bytes([packet[2], packet[3]]);
        if let Some(flow) = self.flows.get_mut(usize::from(port - PORT)) {
            // An association that ends shows in what is delivered.
            let _ = flow.association.handle_marked_input(now, ecn, packet);
            flow.take_events();
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        for flow in &mut self.flows {
            let due = flow.association.poll_timeout();
            if due.is_some_and(|deadline| deadline.at <= now) {
                flow.association.handle_timeout(now);
            }
            flow.take_events();
        }
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.now = now;
        for _ in 0..self.flows.len() {
            self.turn = (self.turn + 1) % self.flows.len();
            let flow = &mut self.flows[self.turn];
            flow.refill(now, &self.message);
            if flow.association.poll_transmit(now, train) {
                return train.grow(DTLS.head, DTLS.tail).is_ok();
            }
        }
        false
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let of = |flow: &Flow| {
            let timer = flow.association.poll_timeout().map(|deadline| deadline.at);
            let start = (flow.start > self.now && flow.to_send > 0).then_some(flow.start);
            timer.into_iter().chain(start).min()
        };
        self.flows.iter().filter_map(of).min()
    }
}

/// A pair of ends whose flows have shaken hands, each with an open channel; the first flow sends
/// from now on, every later one `stagger` after the one before it.
pub fn connect(
    seed: u64,
    link: Link,
    configs: &[Config],
    bytes: u64,
    stagger: Duration,
) -> Result<Duplex<End>, Error> {
    let mut net = Duplex::seeded(
        seed,
        link,
        End::new(seed, true, configs)?,
        End::new(seed, false, configs)?,
    );
    let now = net.now();
    for flow in &mut net.a.flows {
        flow.association.connect(now)?;
    }
    net.run_until(
        |net| {
            let mut flows = net.a.flows.iter().chain(&net.b.flows);
            flows.all(|flow| flow.association.is_connected())
        },
        Duration::from_secs(60),
    );
    let mut start = net.now();
    for flow in &mut net.a.flows {
        let config = ChannelConfig::new("goodput");
        flow.channel = Some(flow.association.open_channel(start, config)?);
        flow.to_send = bytes;
        flow.start = start;
        start += stagger;
    }
    Ok(net)
}
