//! Channels on streams: opening (RFC 8832), and what arrives on them (RFC 8831 §6.6).

use esp_wire::Instant;

use super::{
    Association,
    delivery::{Message, Notice},
};
use crate::{
    ChannelConfig,
    channel::{
        Phase as ChannelPhase, Reset,
        dcep::{self, Dcep, ppid},
    },
    incoming::reassembly::Received,
    outgoing::queue::{Draft, Policy},
};

/// Channels beyond the limit that may wait to be refused.
const REFUSED: usize = 64;

impl Association {
    /// The DTLS client opens channels on even streams, the server on odd ones (RFC 8832 §6);
    /// channels opened before wait for this.
    pub fn set_dtls_role(&mut self, client: bool) {
        self.client = Some(client);
        for key in self.channels.keys() {
            self.assign_stream(key);
            self.activate(key);
        }
    }

    /// Gives a channel of ours the lowest free stream of our parity, once the role is known.
    pub(super) fn assign_stream(&mut self, key: u32) {
        let waits = self.channels.get(key).is_some_and(|channel| {
            channel.stream.is_none() && channel.phase == ChannelPhase::Waiting
        });
        let Some(client) = self.client.filter(|_| waits) else {
            return;
        };
        match self.channels.free_stream(!client) {
            Some(stream) => self.channels.assign(key, stream),
            None => self.fail_channel(key),
        }
    }

    /// After the handshake: all channels that have a stream begin.
    pub(super) fn activate_channels(&mut self, _now: Instant) {
        for key in self.channels.keys() {
            self.assign_stream(key);
            self.activate(key);
        }
    }

    /// Lets a channel send, when the association and its stream allow it.
    pub(super) fn activate(&mut self, key: u32) {
        if !self.phase.sends_data() {
            return;
        }
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let Some(stream) = channel.stream else {
            return;
        };
        if channel.may_send || channel.phase == ChannelPhase::Closing {
            return;
        }
        if u32::from(stream) >= self.reconfig.outbound() {
            self.reconfig.want_stream(stream);
            return;
        }
        channel.may_send = true;
        if channel.phase == ChannelPhase::Waiting {
            match channel.config.negotiated {
                Some(_) => self.announce(key),
                None => channel.phase = ChannelPhase::Opening,
            }
        }
        self.out.schedule(&mut self.channels, key);
    }

    /// The channel is open: tells the owner, and delivers what came before.
    fn announce(&mut self, key: u32) {
        let Some(handle) = self.channels.handle(key) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.phase = ChannelPhase::Open;
        let held = std::mem::take(&mut channel.inc.held);
        let (stream, by_peer) = (channel.stream.unwrap_or_default(), channel.by_peer);
        self.delivering.notify(Notice::Open {
            channel: handle,
            stream,
            by_peer,
        });
        for received in held {
            self.delivering.deliver(Notice::Message(Message {
                channel: handle,
                received,
            }));
        }
    }

    /// A message or part is complete: its stream decides when it is delivered.
    pub(super) fn accept(&mut self, received: Received) {
        let stream = received.label.stream;
        self.supersede(stream);
        // One that is asked for above the limit lives until it is closed again.
        let room = match received.label.ppid {
            ppid::DCEP => self.config.max_channels + REFUSED,
            _ => self.config.max_channels,
        };
        let key = match self.channels.key_on(stream) {
            Some(key) if self.channels.get(key).is_some() => key,
            None if self.channels.len() < room => self.channels.add(
                ChannelConfig::default(),
                Some(stream),
                true,
                ChannelPhase::Unannounced,
            ),
            _ => {
                self.inc.discharge(received.bytes);
                return;
            }
        };
        self.in_order(key, |inc, deliver| inc.accept(received, deliver));
    }

    /// A message on a stream that the peer has reset, after it was asked to accept our reset: it
    /// uses the stream again, so it has performed ours, and only the answer is missing.
    fn supersede(&mut self, stream: u16) {
        let Some(key) = self.channels.key_on(stream) else {
            return;
        };
        if let Some(channel) = self.channels.get_mut(key)
            && channel.incoming_reset
            && channel.outgoing_reset == Reset::Requested
        {
            channel.outgoing_reset = Reset::Done;
            self.finish_close(key);
        }
    }

    /// Runs one step of a stream's order and takes what it releases.
    pub(super) fn in_order(
        &mut self,
        key: u32,
        step: impl FnOnce(
            &mut crate::incoming::stream::InStream,
            &mut dyn FnMut(Received),
        ) -> Option<Received>,
    ) {
        let mut released = std::mem::take(&mut self.delivering.released);
        if let Some(channel) = self.channels.get_mut(key)
            && let Some(rejected) = step(&mut channel.inc, &mut |received| released.push(received))
        {
            self.inc.discharge(rejected.bytes);
        }
        for received in released.drain(..) {
            self.on_message(key, received);
        }
        self.delivering.released = released;
        self.spare_parts();
    }

    /// Tells the owners of refused messages that there is room now.
    pub(super) fn invite_writers(&mut self) {
        if let Some(key) = self.out.starving(&self.channels)
            && let Some(channel) = self.channels.get_mut(key)
            && channel.blocked.take().is_some()
            && let Some(handle) = self.channels.handle(key)
        {
            self.delivering.notify(Notice::Writable(handle));
        }
        while let Some(key) = self.control.blocked.front().copied() {
            let need = self.channels.get(key).and_then(|channel| channel.blocked);
            if need.is_some_and(|need| !self.out.store.invites(need)) {
                return;
            }
            self.control.blocked.pop_front();
            if let Some(channel) = self.channels.get_mut(key)
                && channel.blocked.take().is_some()
                && let Some(handle) = self.channels.handle(key)
            {
                self.delivering.notify(Notice::Writable(handle));
            }
        }
    }

    /// Delivers parts of messages whose turn has come, when memory is short.
    pub(super) fn spare_parts(&mut self) {
        while let Some(part) = self.inc.spare_part(&self.channels) {
            self.accept(part);
        }
    }

    /// A message whose turn has come.
    fn on_message(&mut self, key: u32, received: Received) {
        if received.label.ppid == ppid::DCEP {
            let parsed = Dcep::parse(&received.bytes);
            self.inc.discharge(received.bytes);
            match parsed {
                Ok(Dcep::Open(config)) => self.on_open(key, config),
                Ok(Dcep::Ack) => self.on_sign_of_life(key),
                Err(_) => {
                    self.stats.packets_dropped += 1;
                    self.refuse(key);
                }
            }
            return;
        }
        let known = matches!(
            received.label.ppid,
            ppid::TEXT
                | ppid::BINARY
                | ppid::TEXT_EMPTY
                | ppid::BINARY_EMPTY
                | ppid::TEXT_PARTIAL
                | ppid::BINARY_PARTIAL
        );
        if !known {
            self.inc.discharge(received.bytes);
            self.stats.packets_dropped += 1;
            return;
        }
        self.on_sign_of_life(key);
        let handle = self.channels.handle(key);
        let (Some(channel), Some(handle)) = (self.channels.get_mut(key), handle) else {
            self.inc.discharge(received.bytes);
            return;
        };
        if channel.refused {
            self.inc.discharge(received.bytes);
            return;
        }
        if channel.phase == ChannelPhase::Unannounced {
            // A negotiated channel that we have not created yet.
            channel.inc.held.push_back(received);
            return;
        }
        self.delivering.deliver(Notice::Message(Message {
            channel: handle,
            received,
        }));
    }

    /// RFC 8832 §6: the ACK, or any message, says that the peer knows the channel.
    fn on_sign_of_life(&mut self, key: u32) {
        if self
            .channels
            .get(key)
            .is_some_and(|channel| channel.phase == ChannelPhase::Opening)
        {
            self.announce(key);
        }
    }

    /// RFC 8832 §6: the peer opens a channel; the answer goes out on the same stream.
    fn on_open(&mut self, key: u32, config: ChannelConfig) {
        let crowded = self.channels.len() > self.config.max_channels;
        let names = config.label.len() + config.protocol.len();
        let memory = self.config.receive_buffer;
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        // The DTLS client opens even streams, the server odd ones.
        let wrong = match (self.client, channel.stream) {
            (Some(client), Some(stream)) => (stream % 2 == 1) != client,
            _ => false,
        };
        if channel.phase != ChannelPhase::Unannounced || wrong || crowded {
            self.stats.packets_dropped += 1;
            self.refuse(key);
            return;
        }
        if !self.channels.charge_names(key, names, memory) {
            self.refuse(key);
            return;
        }
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.config = config;
        channel.by_peer = true;
        let draft = Draft {
            channel: key,
            ppid: ppid::DCEP,
            unordered: false,
            policy: Policy::default(),
            data: &dcep::ACK_MESSAGE,
            last: true,
        };
        self.out.store.push(&mut channel.out, draft);
        self.announce(key);
        self.activate(key);
    }

    /// RFC 8832 §6: what cannot be opened is closed, without an ACK; so is a channel that is opened twice.
    fn refuse(&mut self, key: u32) {
        if let Some(channel) = self.channels.get_mut(key)
            && channel.phase == ChannelPhase::Unannounced
        {
            channel.refused = true;
            let held = std::mem::take(&mut channel.inc.held);
            for received in held {
                self.inc.discharge(received.bytes);
            }
        }
        self.mark_reset(key);
        self.reconfig.note_refusal();
        // The peer must know that its message was seen before it was refused.
        self.inc.tracker.hurry();
    }

    /// A paused channel's message goes to its channel instead of the owner.
    pub(super) fn hold_if_paused(&mut self, message: Message) -> Option<Message> {
        let key = self.channels.key(message.channel);
        match key.and_then(|key| self.channels.get_mut(key)) {
            Some(channel) if channel.inc.paused => {
                channel.inc.held.push_back(message.received);
                None
            }
            _ => Some(message),
        }
    }

    /// A channel can not be opened: the owner hears that it is closed.
    pub(super) fn fail_channel(&mut self, key: u32) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.outgoing_reset = Reset::Done;
            channel.incoming_reset = true;
        }
        self.finish_close(key);
    }

    /// Closes a channel whose both directions are reset.
    pub(super) fn finish_close(&mut self, key: u32) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        if channel.outgoing_reset != Reset::Done || !channel.incoming_reset {
            return;
        }
        self.retire(key);
    }

    /// Frees the stream and tells the owner behind the last message.
    fn retire(&mut self, key: u32) {
        let handle = self.channels.handle(key);
        let (Some(channel), Some(handle)) = (self.channels.get_mut(key), handle) else {
            return;
        };
        if std::mem::replace(&mut channel.retired, true) {
            return;
        }
        let announced = channel.phase != ChannelPhase::Unannounced && !channel.refused;
        let stream = channel.stream;
        let mut leftovers: Vec<Received> = channel.inc.reset().collect();
        if !announced {
            leftovers.extend(std::mem::take(&mut channel.inc.held));
        }
        channel.inc.paused = false;
        let held = std::mem::take(&mut channel.inc.held);
        for received in leftovers {
            self.inc.discharge(received.bytes);
        }
        for received in held.into_iter().rev() {
            self.delivering.deliver_first(Message {
                channel: handle,
                received,
            });
        }
        match announced {
            true => {
                self.channels.detach(key);
                self.delivering.deliver(Notice::Closed {
                    channel: handle,
                    stream,
                });
            }
            false => self.channels.remove(key),
        }
    }

    /// All channels end with the association.
    pub(super) fn close_all_channels(&mut self) {
        for key in self.channels.keys() {
            if let Some(channel) = self.channels.get_mut(key) {
                channel.outgoing_reset = Reset::Done;
                channel.incoming_reset = true;
            }
            self.retire(key);
        }
    }
}
