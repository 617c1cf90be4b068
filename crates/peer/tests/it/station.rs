//! Two peers on a network, with a signaling that takes as long as the network.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use esp_netsim::{Endpoint, HostId, Net};
use esp_peer::{Certificate, ChannelInfo, Event, NegotiatedMedia, Peer, PeerConfig, State};
use esp_wire::{
    Action, AudioInfo, Codec, DataFrame, DataKind, Destination, Direction, Ecn, Input, Instant,
    Role, Signal, Train, VideoInfo,
};

type Post = Rc<RefCell<VecDeque<(Instant, Signal<'static>)>>>;

/// A peer with what it was told, and a letter box on either side.
pub(crate) struct Station {
    pub(crate) peer: Peer,
    pub(crate) states: Vec<State>,
    pub(crate) sent: Vec<Signal<'static>>,
    pub(crate) audio: Vec<(Duration, Vec<u8>)>,
    pub(crate) video: Vec<(Duration, Vec<u8>)>,
    pub(crate) data: Vec<(u16, DataKind, Vec<u8>)>,
    /// Messages that came in parts: in how many, and how they begin.
    pub(crate) parts: usize,
    begun: BTreeMap<u16, Vec<u8>>,
    pub(crate) lows: Vec<u16>,
    pub(crate) channels: Vec<ChannelInfo>,
    /// Labels of channels that were closed, in order.
    pub(crate) closed: Vec<String>,
    pub(crate) negotiated: Option<NegotiatedMedia>,
    pub(crate) notices: Vec<String>,
    /// What the path carries, as it was told.
    pub(crate) bitrates: Vec<u64>,
    /// First bytes of the datagrams that left marked as ECN-capable.
    pub(crate) marked: BTreeSet<u8>,
    /// Where the last train went.
    pub(crate) last_sent: Option<Destination>,
    /// Signals on their way here.
    inbox: Post,
    outbox: Post,
    /// Its link to the signaling is dead: what is said here, and what is said to here, is lost.
    pub(crate) mute: bool,
    pub(crate) deaf: bool,
    delay: Duration,
    now: Instant,
}

impl Station {
    fn new(peer: Peer, inbox: Post, outbox: Post, delay: Duration) -> Self {
        Station {
            peer,
            states: Vec::new(),
            sent: Vec::new(),
            audio: Vec::new(),
            video: Vec::new(),
            data: Vec::new(),
            parts: 0,
            begun: BTreeMap::new(),
            lows: Vec::new(),
            channels: Vec::new(),
            closed: Vec::new(),
            negotiated: None,
            notices: Vec::new(),
            bitrates: Vec::new(),
            marked: BTreeSet::new(),
            last_sent: None,
            inbox,
            outbox,
            mute: false,
            deaf: false,
            delay,
            now: Instant::ZERO,
        }
    }

    pub(crate) fn has(&self, state: State) -> bool {
        self.states.contains(&state)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.has(State::Connected)
    }

    fn take_signals(&mut self, now: Instant) {
        loop {
            let due = match self.inbox.borrow().front() {
                Some((at, _)) => *at <= now,
                None => false,
            };
            if !due {
                return;
            }
            let signal = self.inbox.borrow_mut().pop_front();
            if let Some((_, signal)) = signal
                && !self.deaf
            {
                let _ = self.peer.handle_signal(now, &signal);
            }
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.peer.poll_event() {
            match event {
                Event::State(state) => self.states.push(state),
                Event::Msg(signal) => {
                    let signal = signal.into_owned();
                    self.sent.push(signal.clone());
                    if !self.mute {
                        let arrives = self.now + self.delay;
                        self.outbox.borrow_mut().push_back((arrives, signal));
                    }
                }
                Event::Audio(frame) => self.audio.push((frame.pts, frame.data.to_vec())),
                Event::Video(frame) => self.video.push((frame.pts, frame.data.to_vec())),
                Event::Data(frame) => {
                    self.data
                        .push((frame.stream_id, frame.kind, frame.data.to_vec()));
                }
                Event::DataPart { part, last } => {
                    self.parts += 1;
                    let message = self.begun.entry(part.stream_id).or_default();
                    message.extend_from_slice(part.data);
                    if last {
                        let whole = self.begun.remove(&part.stream_id).unwrap_or_default();
                        self.data.push((part.stream_id, part.kind, whole));
                    }
                }
                Event::BufferedAmountLow(stream_id) => self.lows.push(stream_id),
                Event::ChannelOpen(channel) => self.channels.push(channel),
                Event::ChannelClose(channel) => {
                    self.closed.push(channel.label.clone());
                    self.channels
                        .retain(|open| open.stream_id != channel.stream_id);
                }
                Event::Negotiated(media) => self.negotiated = Some(media),
                Event::Bitrate(bitrate) => self.bitrates.push(bitrate),
                Event::Notice(notice) => self.notices.push(format!("{notice:?}")),
                _ => {}
            }
        }
    }
}

impl Endpoint for Station {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        self.peer.handle_input(now, input).unwrap();
        self.take_events();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.take_signals(now);
        self.peer.handle_timeout(now);
        self.take_events();
    }

    fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.now = now;
        let sent = self.peer.poll_transmit(now, train);
        if sent {
            self.last_sent = train.destination();
            if train.ecn() != Ecn::NotEct {
                let first = train.segments().filter_map(|datagram| datagram.first());
                self.marked.extend(first);
            }
        }
        self.take_events();
        sent
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let letter = self.inbox.borrow().front().map(|(at, _)| *at);
        let peer = self.peer.poll_timeout().map(|deadline| deadline.at);
        [letter, peer].into_iter().flatten().min()
    }

    fn poll_action(&mut self) -> Option<Action> {
        let action = self.peer.poll_action();
        self.take_events();
        action
    }
}

/// Sound, pictures and data both ways.
pub(crate) fn everything() -> PeerConfig {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| Certificate::generate().unwrap());
    let audio = |codec, sample_rate| AudioInfo {
        codec,
        sample_rate,
        channels: 1,
    };
    PeerConfig::default()
        .with_audio(
            Direction::SendRecv,
            vec![
                audio(Codec::Opus, 48_000),
                audio(Codec::Pcmu, 8_000),
                audio(Codec::Pcma, 8_000),
            ],
        )
        .with_video(
            Direction::SendRecv,
            vec![VideoInfo {
                codec: Codec::H264,
                width: 640,
                height: 480,
                fps: 25,
            }],
        )
        .with_data_channels(false)
        .with_certificate(certificate.clone())
}

/// A network with an offerer and an answerer, each link with this delay.
pub(crate) struct World {
    pub(crate) net: Net<Station>,
    pub(crate) offerer: HostId,
    pub(crate) answerer: HostId,
}

impl World {
    pub(crate) fn new(seed: u64, delay: Duration, offers: PeerConfig, answers: PeerConfig) -> Self {
        let offers = offers.with_role(Role::Controlling);
        World::of_roles(seed, delay, offers, answers.with_role(Role::Controlled))
    }

    /// The same with roles as they are configured.
    pub(crate) fn of_roles(seed: u64, delay: Duration, a: PeerConfig, b: PeerConfig) -> Self {
        let mut net = Net::seeded(seed);
        let (forth, back) = (Post::default(), Post::default());
        let origins = (net.origin("offerer"), net.origin("answerer"));
        let offerer = Peer::new(a, origins.0).unwrap();
        let answerer = Peer::new(b, origins.1).unwrap();
        let offerer = net.host(
            "offerer",
            Station::new(offerer, back.clone(), forth.clone(), delay * 2),
        );
        let answerer = net.host("answerer", Station::new(answerer, forth, back, delay * 2));
        net.delay(delay);
        World {
            net,
            offerer,
            answerer,
        }
    }

    /// The same with a signaling that takes this long each way.
    pub(crate) fn signaling(mut self, delay: Duration) -> Self {
        for host in [self.offerer, self.answerer] {
            self.net.endpoint_mut(host).delay = delay;
        }
        self
    }

    /// Has the offerer say something on its first channel, and waits until it was heard.
    pub(crate) fn say(&mut self, text: &[u8]) {
        let data = DataFrame {
            stream_id: self.a().channels[0].stream_id,
            kind: DataKind::Text,
            data: text,
        };
        self.at_a(|peer, now| peer.send_data(now, data)).unwrap();
        self.run_until(|_, b| b.data.iter().any(|(_, _, data)| data == text));
    }

    /// Takes a host off the network, or puts it back.
    pub(crate) fn cut(&mut self, host: HostId, cut: bool) {
        let address = self.net.address(host);
        let (up, down) = self.net.link_mut(host, address);
        let loss = if cut { 1.0 } else { 0.0 };
        (up.loss, down.loss) = (loss, loss);
    }

    /// A letter of one to the other, from outside of both.
    pub(crate) fn post(&mut self, to: HostId, signal: Signal<'static>) {
        let now = self.net.now();
        let station = self.net.endpoint_mut(to);
        station.inbox.borrow_mut().push_back((now, signal));
    }

    /// Begins a connection on both sides.
    pub(crate) fn begin(&mut self) {
        let now = self.net.now();
        for host in [self.answerer, self.offerer] {
            let station = self.net.endpoint_mut(host);
            station.now = now;
            station.peer.new_connection(now).unwrap();
            station.take_events();
        }
    }

    pub(crate) fn a(&self) -> &Station {
        self.net.endpoint(self.offerer)
    }

    pub(crate) fn b(&self) -> &Station {
        self.net.endpoint(self.answerer)
    }

    /// Works on the offerer.
    pub(crate) fn at_a<T>(&mut self, work: impl FnOnce(&mut Peer, Instant) -> T) -> T {
        self.at(self.offerer, work)
    }

    /// Works on the answerer.
    pub(crate) fn at_b<T>(&mut self, work: impl FnOnce(&mut Peer, Instant) -> T) -> T {
        self.at(self.answerer, work)
    }

    /// Works on either.
    pub(crate) fn at<T>(&mut self, host: HostId, work: impl FnOnce(&mut Peer, Instant) -> T) -> T {
        let now = self.net.now();
        let station = self.net.endpoint_mut(host);
        station.now = now;
        let done = work(&mut station.peer, now);
        station.take_events();
        done
    }

    pub(crate) fn run_until(&mut self, done: impl Fn(&Station, &Station) -> bool) {
        let (a, b) = (self.offerer, self.answerer);
        let limit = Duration::from_secs(60);
        if let Err(error) = self
            .net
            .try_run_until(|net| done(net.endpoint(a), net.endpoint(b)), limit)
        {
            for station in [self.a(), self.b()] {
                println!("{:?}\n{:#?}", station.states, station.notices);
                println!("{} messages", station.data.len());
                println!("{:#?}", station.peer.report(self.net.now()).sctp);
            }
            panic!("{error}");
        }
    }

    /// Begins and runs until both sides are connected.
    pub(crate) fn connect(&mut self) {
        self.begin();
        self.run_until(|a, b| a.is_connected() && b.is_connected());
    }
}
