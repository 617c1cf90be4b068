//! The peer: one call at a time, and what outlives it.

mod channels;
mod media;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use esp_wire::{
    Action, Deadline, IceServer, Input, Instant, Interface, Origin, Role, Signal, Train,
};

use crate::call::{Call, Progress, version_name};
use crate::transformer::Shared;
use crate::{Error, Event, Notice, PeerConfig, Report, State, TransformerSide};

/// How long a goodbye may take to leave the socket.
const GOODBYE: Duration = Duration::from_millis(500);

/// Which timer of a peer fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// One of ICE.
    Ice(esp_ice::Why),
    /// One of DTLS.
    Dtls(esp_dtls::Why),
    /// One of RTP.
    Rtp(esp_rtp::Why),
    /// One of SCTP.
    Sctp(esp_sctp::Why),
    /// The connection takes too long.
    Connect,
    /// ICE is to be restarted.
    Restart,
    /// The goodbye of the last call is over.
    Goodbye,
}

/// One side of one WebRTC connection, without I/O.
///
/// Commands mutate: [`new_connection`](Self::new_connection), [`handle_signal`](Self::handle_signal),
/// the `send_*` and so on. `handle_*` feeds it, `poll_*` drains it, in any order; after every command and input
/// all of the `poll_*` are worth a look. An error of a command changes nothing and ends nothing; what ends a
/// call comes as [`Event::State`] with a [`Notice::Ended`] before it.
pub struct Peer {
    config: PeerConfig,
    origin: Origin,
    role: Role,
    /// The addresses of this host, once they were told.
    interfaces: Option<Vec<Interface>>,
    call: Option<Box<Call>>,
    /// The last call while it says goodbye, and how long it may.
    leaving: Option<(Box<Call>, Instant)>,
    calls: u32,
    queue: VecDeque<Event<'static>>,
    state: State,
    reason: Option<String>,
    sender: Option<Shared>,
    receiver: Option<Shared>,
    delivery: bool,
    closed: bool,
}

impl Peer {
    /// A peer that is not connected. Without a certificate in `config` it makes one.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] names what is wrong with the settings.
    pub fn new(mut config: PeerConfig, origin: Origin) -> Result<Self, Error> {
        config.check()?;
        if config.certificate.is_none() {
            let certificate =
                crate::Certificate::generate().map_err(|error| Error::Failed(error.to_string()))?;
            config.certificate = Some(certificate);
        }
        let peer = Peer {
            role: config.role,
            config,
            interfaces: None,
            call: None,
            leaving: None,
            calls: 0,
            queue: VecDeque::new(),
            state: State::Disconnected,
            reason: None,
            sender: None,
            receiver: None,
            delivery: true,
            closed: false,
            origin,
        };
        // What the engines find wrong is found now, not with the first call.
        Call::new(&peer.config, &peer.origin, peer.origin.now, 0, peer.role)?;
        Ok(peer)
    }

    /// Starts a connection: candidates are gathered, and when controlling, the offer is made.
    ///
    /// # Errors
    /// [`Error::WrongState`] while connected or connecting: `disconnect` first.
    pub fn new_connection(&mut self, now: Instant) -> Result<(), Error> {
        if self.closed {
            return Err(Error::WrongState("the connection is closed"));
        }
        if self.call.is_some() {
            return Err(Error::WrongState("disconnect the present connection first"));
        }
        self.calls += 1;
        let mut call = Call::new(&self.config, &self.origin, now, self.calls, self.role)?;
        self.reason = None;
        self.set_state(State::NewConnection);
        self.set_state(State::CandidateGathering);
        for (side, transformer) in [
            (TransformerSide::Sender, &self.sender),
            (TransformerSide::Receiver, &self.receiver),
        ] {
            if let (Some(transformer), Some(rtp)) = (transformer, &mut call.rtp) {
                rtp.set_transformer(side, Some(Box::new(transformer.clone())));
            }
        }
        call.ice.start(now);
        if let Some(interfaces) = &self.interfaces {
            call.on_input(now, Input::Interfaces(interfaces));
        }
        self.call = Some(Box::new(call));
        self.advance(now);
        Ok(())
    }

    /// Sets the role of the next connection and the servers of this one and the next.
    pub fn update_ice_info(
        &mut self,
        now: Instant,
        role: Role,
        servers: &[IceServer],
    ) -> Result<(), Error> {
        self.role = role;
        if let Some(call) = &mut self.call {
            call.ice.set_servers(now, servers);
        }
        self.config.servers = servers.to_vec();
        self.advance(now);
        Ok(())
    }

    /// Takes a message of the peer.
    ///
    /// # Errors
    /// [`Error::WrongState`] without a connection, [`Error::BadData`] for what makes no sense.
    pub fn handle_signal(&mut self, now: Instant, msg: &Signal<'_>) -> Result<(), Error> {
        if let Signal::Bye = msg {
            return self.disconnect(now);
        }
        let config = &self.config;
        let call = self
            .call
            .as_mut()
            .ok_or(Error::WrongState("call `new_connection` first"))?;
        let taken = match msg {
            Signal::Sdp(text) => call.on_remote_description(now, config, text),
            Signal::Candidate {
                candidate,
                mid,
                line,
            } => call.on_remote_candidate(now, candidate, mid.as_deref(), *line),
            _ => Err(Error::NotSupported("a message for the application")),
        };
        self.advance(now);
        taken
    }

    /// Restarts ICE: new credentials and candidates are offered, the connection goes on meanwhile
    /// (RFC 8445 §9). When both sides do so at once, the controlled one gives way. An offer that was not answered
    /// yet is made once more.
    ///
    /// # Errors
    /// [`Error::WrongState`] before the peers have agreed on anything, and while a description is under way.
    pub fn restart_ice(&mut self, now: Instant) -> Result<(), Error> {
        let call = self.call.as_mut();
        let call = call.ok_or(Error::WrongState("call `new_connection` first"))?;
        let done = call.restart_ice(now);
        self.advance(now);
        done
    }

    /// Tells that the signaling, which was away for a while, carries messages again: what it may have lost of the first
    /// offer and answer, or of a restart of ICE, is said once more, and a path that is in doubt is restarted. In a
    /// connection that needs nothing it does nothing.
    pub fn signaling_restored(&mut self, now: Instant) -> Result<(), Error> {
        if let Some(call) = &mut self.call {
            call.on_signaling_restored(now, &self.config);
        }
        self.advance(now);
        Ok(())
    }

    /// Ends the connection, if there is one; another may follow.
    pub fn disconnect(&mut self, now: Instant) -> Result<(), Error> {
        self.finish(now, State::Disconnected, None);
        Ok(())
    }

    /// Ends the connection for good.
    pub fn close(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.closed, true) {
            self.finish(now, State::Disconnected, None);
            self.set_state(State::Closed);
        }
    }

    /// The user name fragment that the peer's checks begin with, while there is a call (RFC 8445 §7.2.2).
    pub fn ice_ufrag(&self) -> Option<&str> {
        let call = self.call.as_ref()?;
        Some(&call.ice.local_credentials().ufrag)
    }

    /// The remote address of the pair in use.
    pub fn paired_addr(&self) -> Option<SocketAddr> {
        let call = self.call.as_ref()?;
        call.ice.path().map(|path| path.destination.remote)
    }

    /// States and figures.
    pub fn report(&self, now: Instant) -> Report {
        let call = self.call.as_deref();
        Report {
            state: self.state,
            role: call.map_or(self.role, |call| call.ice.role()),
            reason: self.reason.clone(),
            setup: call.and_then(|call| call.connected_after),
            local_candidates: call
                .map(|call| call.ice.candidate_lines().collect())
                .unwrap_or_default(),
            pairs: call.map(|call| call.ice.pairs()).unwrap_or_default(),
            paired: self.paired_addr(),
            rtt: call.and_then(|call| call.ice.selected()?.rtt),
            dtls: call.and_then(|call| call.dtls.version().map(version_name)),
            srtp: call.and_then(|call| Some(call.srtp.as_ref()?.profile)),
            rtp: call.and_then(|call| Some(call.rtp.as_ref()?.stats())),
            sctp: call.and_then(|call| Some(call.sctp.as_ref()?.stats())),
            traffic: call.map(|call| call.traffic).unwrap_or_default(),
            media_dropped_by_application: 0,
            stream_dropped: 0,
            shared_port_strays: 0,
            at: now,
        }
    }

    /// Takes what the network or the driver brings.
    ///
    /// Noise is counted and dropped; what ends the call comes as an event.
    pub fn handle_input(&mut self, now: Instant, input: Input<'_>) -> Result<(), Error> {
        if let Input::Interfaces(interfaces) = &input {
            self.interfaces = Some(interfaces.to_vec());
        }
        if let Some((leaving, _)) = &mut self.leaving {
            leaving.sockets.note(&input);
        }
        if let Some((leaving, _)) = &mut self.leaving
            && leaving.sockets.owns(&input)
        {
            leaving.on_last_input(now, input);
            return Ok(());
        }
        if let Some(call) = &mut self.call
            && let Some(input) = call.sockets.inward(input)
        {
            call.on_input(now, input);
            self.advance(now);
        }
        Ok(())
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(call) = &mut self.call {
            call.handle_timeout(now, &self.config);
            self.advance(now);
        }
        if let Some((_, until)) = &mut self.leaving
            && *until <= now
        {
            *until = Instant::ZERO;
        }
    }

    /// Fills a train for one destination; `false` when nothing is to be sent now.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if let Some((leaving, until)) = &mut self.leaving {
            if *until > now && leaving.poll_goodbye(now, train) {
                return true;
            }
            if *until <= now || !leaving.ice.is_leaving() {
                *until = Instant::ZERO;
            }
        }
        let Some(call) = &mut self.call else {
            return false;
        };
        let filled = call.poll_transmit(now, train);
        if call.ended.is_some() {
            self.advance(now);
        }
        filled
    }

    /// What the peer needs of the driver.
    pub fn poll_action(&mut self) -> Option<Action> {
        if let Some((leaving, until)) = &mut self.leaving
            && *until == Instant::ZERO
        {
            if let Some(action) = leaving.sockets.close_next() {
                return Some(action);
            }
            self.leaving = None;
        }
        let call = self.call.as_mut()?;
        let action = call.ice.poll_action()?;
        Some(call.sockets.outward(action))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let goodbye = self.leaving.as_ref().map(|(_, until)| Deadline {
            at: *until,
            why: Why::Goodbye,
        });
        let call = self.call.as_ref().and_then(|call| call.poll_timeout());
        Deadline::earlier(goodbye, call)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        if let Some(event) = self.queue.pop_front() {
            if self.queue.is_empty() {
                // What comes here is rare and comes in crowds.
                self.queue = VecDeque::new();
            }
            return Some(event);
        }
        let call = self.call.as_deref_mut()?;
        if let Some(event) = call.rtp.as_mut().and_then(|rtp| rtp.poll_event()) {
            return Some(crate::event::of_rtp(
                event,
                &mut self.queue,
                &mut call.tracks,
                &self.config,
            ));
        }
        let event = call.sctp.as_mut()?.poll_event()?;
        call.channels_ended |= matches!(event, esp_sctp::Event::Closed { .. });
        Some(crate::event::of_sctp(
            event,
            &mut self.queue,
            &mut call.channels,
        ))
    }

    /// Draws the conclusions after a command or an input.
    fn advance(&mut self, now: Instant) {
        let Some(call) = &mut self.call else {
            return;
        };
        call.advance(now, &self.config);
        // A lite agent that is controlled may make the next offer all the same.
        let role = call.ice.role();
        if std::mem::replace(&mut call.role, role) != role && !self.config.ice.lite {
            self.role = role;
        }
        for event in std::mem::take(&mut call.queue) {
            if let Event::State(state) = event {
                self.state = state;
            }
            self.queue.push_back(event);
        }
        if let Some(reason) = call.ended.take() {
            let state = match call.progress {
                Progress::Connected => State::Disconnected,
                _ => State::ConnectFailed,
            };
            self.finish(now, state, Some(reason));
        }
    }

    fn finish(&mut self, now: Instant, state: State, reason: Option<String>) {
        let Some(mut call) = self.call.take() else {
            return;
        };
        call.say_goodbye(now);
        let had_channels = !call.channels.is_empty() && !call.channels_ended;
        for (_, channel) in std::mem::take(&mut call.channels) {
            self.queue.push_back(Event::ChannelClose(*channel));
        }
        if had_channels {
            self.queue
                .push_back(Event::State(State::DataChannelDisconnected));
        }
        if let Some(reason) = reason {
            self.queue.push_back(Event::Notice(Notice::Ended {
                reason: Cow::Owned(reason.clone()),
            }));
            self.reason = Some(reason);
        }
        self.set_state(state);
        // An earlier goodbye that is still under way has had its time.
        if let Some((mut earlier, _)) = self.leaving.take() {
            while let Some(action) = earlier.sockets.close_next() {
                call.sockets.close_also(action);
            }
        }
        self.leaving = Some((call, now + GOODBYE));
    }

    fn set_state(&mut self, state: State) {
        self.state = state;
        self.queue.push_back(Event::State(state));
    }

    fn connected(&mut self) -> Result<&mut Call, Error> {
        self.call
            .as_deref_mut()
            .filter(|call| call.progress == Progress::Connected)
            .ok_or(Error::WrongState("wait for the state `connected`"))
    }
}
