//! str0m: it brings no sockets, so each side gets a loop of its own on a plain UDP socket, as its
//! documentation draws it; descriptions travel as text.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::UdpSocketState;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::{ChannelConfig, ChannelId};
use str0m::media::{Direction, MediaKind, Mid, Pt};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use super::{Arrived, Contender, PATIENCE, Pair, Wish};
use crate::suite::RTP_PAYLOAD;

const WAKE: Token = Token(usize::MAX);
/// Datagrams read before writing gets its turn.
const READS: usize = 64;
/// Packets written at a time.
const BURST: u32 = 20;

/// str0m.
#[derive(Default)]
pub(crate) struct Str0m {
    sides: Option<[Side; 2]>,
    next: usize,
}

/// One application: a thread with a loop over all of its peers.
#[derive(Clone)]
struct Side {
    orders: Sender<Order>,
    waker: Arc<Waker>,
}

enum Order {
    Add(usize, Box<Peer>),
    Open(usize, usize),
    Pour(usize, usize),
    Stream(usize, u32),
    Remove(usize),
}

enum Told {
    Connected,
    Open,
}

enum Task {
    Idle,
    Pour {
        data: Vec<u8>,
        next: usize,
    },
    Stream {
        each: Duration,
        begun: Instant,
        bursts: u32,
    },
}

struct Peer {
    rtc: Rtc,
    socket: UdpSocket,
    local: SocketAddr,
    deadline: Instant,
    channels: Vec<ChannelId>,
    media: Option<(Mid, Pt)>,
    task: Task,
    told: Sender<Told>,
    arrived: Arc<Arrived>,
}

impl Side {
    fn start() -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (orders, taken) = channel();
        thread::spawn(move || {
            if let Err(error) = run(poll, &taken) {
                eprintln!("str0m: {error}");
            }
        });
        Ok(Side { orders, waker })
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            let _ = self.waker.wake();
        }
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn run(mut poll: Poll, orders: &Receiver<Order>) -> Done {
    let mut events = Events::with_capacity(256);
    let mut peers: HashMap<usize, Box<Peer>> = HashMap::new();
    let mut buffer = vec![0; 2_000];
    let mut unread: Vec<usize> = Vec::new();
    loop {
        let now = Instant::now();
        let next = peers.values().map(|peer| peer.deadline).min();
        let wait = match next {
            _ if !unread.is_empty() => Some(Duration::ZERO),
            Some(at) => Some(at.saturating_duration_since(now)),
            None => None,
        };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => {
                return Err(error.into());
            }
            _ => {}
        }
        for order in orders.try_iter() {
            carry_out(order, &mut peers, &poll)?;
        }
        let mut ready = std::mem::take(&mut unread);
        ready.extend(
            events
                .iter()
                .map(|it| it.token().0)
                .filter(|it| *it != WAKE.0),
        );
        ready.sort_unstable();
        ready.dedup();
        for name in ready {
            if let Some(peer) = peers.get_mut(&name)
                && peer.read(&mut buffer)?
            {
                unread.push(name);
            }
        }
        let now = Instant::now();
        for peer in peers.values_mut() {
            peer.work(now)?;
        }
    }
}

fn carry_out(order: Order, peers: &mut HashMap<usize, Box<Peer>>, poll: &Poll) -> Done {
    match order {
        Order::Add(name, mut peer) => {
            poll.registry()
                .register(&mut peer.socket, Token(name), Interest::READABLE)?;
            peer.drain()?;
            peers.insert(name, peer);
        }
        Order::Open(name, channels) => {
            if let Some(peer) = peers.get_mut(&name) {
                for _ in 0..channels {
                    let config = ChannelConfig {
                        label: "bench".into(),
                        ..ChannelConfig::default()
                    };
                    peer.rtc.direct_api().create_data_channel(config);
                    peer.drain()?;
                }
            }
        }
        Order::Pour(name, message) => {
            if let Some(peer) = peers.get_mut(&name) {
                peer.task = Task::Pour {
                    data: vec![7; message],
                    next: 0,
                };
            }
        }
        Order::Stream(name, packets) => {
            if let Some(peer) = peers.get_mut(&name) {
                peer.task = Task::Stream {
                    each: Duration::from_secs(1) * BURST / packets,
                    begun: Instant::now(),
                    bursts: 0,
                };
            }
        }
        Order::Remove(name) => {
            if let Some(mut peer) = peers.remove(&name) {
                let _ = poll.registry().deregister(&mut peer.socket);
            }
        }
    }
    Ok(())
}

impl Peer {
    /// Reads what came; whether there may be more.
    fn read(&mut self, buffer: &mut [u8]) -> Result<bool, Box<dyn std::error::Error>> {
        for _ in 0..READS {
            let (got, source) = match self.socket.recv_from(buffer) {
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(_) => continue,
            };
            let receive = Receive {
                proto: Protocol::Udp,
                source,
                destination: self.local,
                contents: buffer[..got].try_into()?,
            };
            self.rtc
                .handle_input(Input::Receive(Instant::now(), receive))?;
            self.drain()?;
        }
        Ok(true)
    }

    fn drain(&mut self) -> Done {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(at) => {
                    self.deadline = at;
                    return Ok(());
                }
                Output::Transmit(out) => {
                    // A full socket loses it as a network would.
                    let _ = self.socket.send_to(&out.contents, out.destination);
                }
                Output::Event(event) => self.on_event(event),
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        match event {
            Event::Connected => {
                let _ = self.told.send(Told::Connected);
            }
            Event::ChannelOpen(channel, _) => {
                self.channels.push(channel);
                let _ = self.told.send(Told::Open);
            }
            Event::ChannelData(data) => self.arrived.add(data.data.len()),
            Event::RtpPacket(packet) => self.arrived.add(packet.payload.len()),
            _ => {}
        }
    }

    /// Fires its timers and sends what its task has.
    fn work(&mut self, now: Instant) -> Done {
        if self.deadline <= now {
            self.rtc.handle_input(Input::Timeout(now))?;
            self.drain()?;
        }
        match std::mem::replace(&mut self.task, Task::Idle) {
            Task::Idle => {}
            Task::Pour { data, mut next } => {
                while !self.channels.is_empty() {
                    let id = self.channels[next % self.channels.len()];
                    let taken = match self.rtc.channel(id) {
                        Some(mut channel) => channel.write(true, &data)?,
                        None => false,
                    };
                    self.drain()?;
                    if !taken {
                        break;
                    }
                    next += 1;
                }
                self.task = Task::Pour { data, next };
            }
            Task::Stream {
                each,
                begun,
                mut bursts,
            } => {
                while begun + each * bursts <= now {
                    self.burst(now, bursts)?;
                    bursts += 1;
                }
                self.deadline = self.deadline.min(begun + each * bursts);
                self.task = Task::Stream {
                    each,
                    begun,
                    bursts,
                };
            }
        }
        Ok(())
    }

    fn burst(&mut self, now: Instant, bursts: u32) -> Done {
        let Some((mid, pt)) = self.media else {
            return Ok(());
        };
        let mut payload = vec![0xa5; RTP_PAYLOAD];
        payload[0] = 0x41;
        for at in 0..BURST {
            let mut api = self.rtc.direct_api();
            if let Some(stream) = api.stream_tx_by_mid(mid, None) {
                let number = u64::from(bursts) * u64::from(BURST) + u64::from(at);
                let time = bursts.wrapping_mul(90);
                stream.write_rtp(RtpWrite::new(
                    pt,
                    number.into(),
                    time,
                    now,
                    payload.as_slice(),
                ));
            }
            self.drain()?;
        }
        Ok(())
    }
}

type Failure = Box<dyn std::error::Error>;

fn peer(wish: Wish, told: Sender<Told>, arrived: Arc<Arrived>) -> Result<Box<Peer>, Failure> {
    let socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    let state = UdpSocketState::new((&socket).into())?;
    let _ = state.set_recv_buffer_size((&socket).into(), 1 << 20);
    let _ = state.set_send_buffer_size((&socket).into(), 1 << 20);
    let local = socket.local_addr()?;
    let now = Instant::now();
    let mut config = RtcConfig::new();
    if wish == Wish::Media {
        config = config.set_rtp_mode(true).clear_codecs().enable_h264(true);
    }
    let mut rtc = config.build(now);
    rtc.add_local_candidate(Candidate::host(local, "udp")?);
    Ok(Box::new(Peer {
        rtc,
        socket,
        local,
        deadline: now,
        channels: Vec::new(),
        media: None,
        task: Task::Idle,
        told,
        arrived,
    }))
}

struct Str0mPair {
    sides: [Side; 2],
    name: usize,
}

impl Str0m {
    fn make(&mut self, wish: Wish, arrived: &Arc<Arrived>) -> Result<Str0mPair, Failure> {
        let sides = match &self.sides {
            Some(known) => known.clone(),
            None => self.sides.insert([Side::start()?, Side::start()?]).clone(),
        };
        self.next += 1;
        let name = self.next;
        let (tell_a, told_a) = channel();
        let (tell_b, told_b) = channel();
        let mut a = peer(wish, tell_a, Arc::clone(arrived))?;
        let mut b = peer(wish, tell_b, Arc::clone(arrived))?;
        let mut change = a.rtc.sdp_api();
        let mid = match wish {
            Wish::Channels(_) => {
                change.add_channel("bench".into());
                None
            }
            Wish::Media => {
                Some(change.add_media(MediaKind::Video, Direction::SendOnly, None, None, None))
            }
        };
        let (offer, pending) = change.apply().ok_or("nothing to offer")?;
        let offer = SdpOffer::from_sdp_string(&offer.to_sdp_string())?;
        let answer = b.rtc.sdp_api().accept_offer(offer)?;
        let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string())?;
        a.rtc.sdp_api().accept_answer(pending, answer)?;
        if let Some(mid) = mid {
            let media = a.rtc.media(mid).ok_or("no media")?;
            let pt = *media.remote_pts().first().ok_or("no payload type")?;
            a.media = Some((mid, pt));
        }
        sides[0].order(Order::Add(name, a));
        sides[1].order(Order::Add(name, b));
        let pair = Str0mPair { sides, name };
        let channels = match wish {
            Wish::Channels(channels) => channels,
            Wish::Media => 0,
        };
        for told in [&told_a, &told_b] {
            while !matches!(told.recv_timeout(PATIENCE)?, Told::Connected) {}
        }
        if channels > 1 {
            pair.sides[0].order(Order::Open(name, channels - 1));
        }
        for told in [&told_a, &told_b] {
            for _ in 0..channels {
                while !matches!(told.recv_timeout(PATIENCE)?, Told::Open) {}
            }
        }
        Ok(pair)
    }
}

impl Contender for Str0m {
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        match self.make(wish, &arrived) {
            Ok(pair) => Ok(Box::new(pair)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Pair for Str0mPair {
    fn pour(&mut self, message: usize) {
        self.sides[0].order(Order::Pour(self.name, message));
    }

    fn stream(&mut self, packets: u32) {
        self.sides[0].order(Order::Stream(self.name, packets));
    }
}

impl Drop for Str0mPair {
    fn drop(&mut self) {
        for side in &self.sides {
            side.order(Order::Remove(self.name));
        }
    }
}
