//! ECN marks on real sockets: two peers, and between them a router that marks as a long queue does.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use esp_peer::ice::InterfaceFilter;
use esp_peer::{PeerConnection, State};
use esp_wire::{DataFrame, DataKind, Direction, Signal};
use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token};
use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSocketState};

use crate::pair::{begin_through, driver, ends};

/// Of so many ECN-capable datagrams one is marked.
const EVERY: u64 = 50;

/// What the router has seen.
#[derive(Default)]
struct Seen {
    /// Datagrams by the two bits of their mark and the class of their first byte (RFC 7983 §7).
    datagrams: Mutex<BTreeMap<(u8, &'static str), u64>>,
    marked: AtomicU64,
    stop: AtomicBool,
}

/// The router's socket towards one peer.
struct Side {
    io: UdpSocket,
    state: UdpSocketState,
    /// Where the peer is, once its candidate was told.
    peer: Arc<Mutex<Option<SocketAddr>>>,
}

impl Side {
    fn new() -> Self {
        let io = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let state = UdpSocketState::new((&io).into()).unwrap();
        // With the time of each datagram, which the library asks for, there is no room for its mark.
        setsockopt(&io, ReceiveTimestampns, &false).unwrap();
        let peer = Arc::default();
        Side { io, state, peer }
    }
}

fn class(first: u8) -> &'static str {
    match first {
        0..4 => "STUN",
        23 | 32..64 => "data",
        20..23 => "handshake",
        _ => "other",
    }
}

/// Passes on all that has come to one side; with its mark, or marked.
fn pass(from: &Side, to: &Side, seen: &Seen) {
    let mut buffers = vec![[0; 65_535]; BATCH_SIZE];
    loop {
        let mut slices: Vec<_> = buffers.iter_mut().map(|it| IoSliceMut::new(it)).collect();
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        let received = from.state.recv((&from.io).into(), &mut slices, &mut metas);
        let count = match received {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            // An answer to what was sent to a peer that is gone.
            Err(_) => continue,
        };
        for (meta, buffer) in metas.iter().zip(&buffers).take(count) {
            for datagram in buffer[..meta.len].chunks(meta.stride.max(1)) {
                let kind = (meta.ecn.map_or(0, |mark| mark as u8), class(datagram[0]));
                *seen.datagrams.lock().unwrap().entry(kind).or_default() += 1;
                let mut ecn = meta.ecn;
                if ecn == Some(EcnCodepoint::Ect0) {
                    let number = seen.marked.fetch_add(1, Ordering::Relaxed);
                    if number % EVERY == EVERY - 1 {
                        ecn = Some(EcnCodepoint::Ce);
                    }
                }
                let Some(destination) = *to.peer.lock().unwrap() else {
                    continue;
                };
                let transmit = Transmit {
                    destination,
                    ecn,
                    contents: datagram,
                    segment_size: None,
                    src_ip: None,
                };
                // What does not fit is lost, as in any router.
                let _ = to.state.try_send((&to.io).into(), &transmit);
            }
        }
    }
}

/// Runs until it is told to stop.
fn route(mut sides: [Side; 2], seen: Arc<Seen>) -> JoinHandle<()> {
    let mut poll = Poll::new().unwrap();
    for (number, side) in sides.iter_mut().enumerate() {
        poll.registry()
            .register(&mut side.io, Token(number), Interest::READABLE)
            .unwrap();
    }
    std::thread::spawn(move || {
        let mut events = Events::with_capacity(4);
        while !seen.stop.load(Ordering::Relaxed) {
            poll.poll(&mut events, Some(Duration::from_millis(50)))
                .unwrap();
            let [a, b] = &sides;
            pass(a, b, &seen);
            pass(b, a, &seen);
        }
    })
}

/// Puts the router's address in the place of a candidate's, which is noted.
fn redirect(text: &str, router: SocketAddr, peer: &Mutex<Option<SocketAddr>>) -> String {
    let line = |line: &str| {
        let mut words: Vec<_> = line.split(' ').map(str::to_owned).collect();
        if !words[0].contains("candidate:") || words.len() < 8 {
            return line.to_owned();
        }
        let real = format!("{}:{}", words[4], words[5]);
        *peer.lock().unwrap() = Some(real.parse().unwrap());
        (words[4], words[5]) = (router.ip().to_string(), router.port().to_string());
        words.join(" ")
    };
    text.split("\r\n")
        .map(line)
        .collect::<Vec<_>>()
        .join("\r\n")
}

#[test]
fn marks_of_a_router_slow_the_sender_down() {
    let driver = driver();
    let pair = ends(
        &|config, handler| {
            let mut config = config
                .with_audio(Direction::None, Vec::new())
                .with_video(Direction::None, Vec::new());
            config.ice.interfaces = InterfaceFilter::Only(vec!["lo".into()]);
            config.ice.ipv6 = false;
            // A machine under load may take its time; that is no sign of a path that swallows marks.
            let (patient, most) = (Duration::from_secs(10), Duration::from_secs(60));
            config.sctp = config.sctp.with_rto(patient, patient, most);
            driver.open(config, handler).unwrap()
        },
        [None, None],
    );
    let sides = [Side::new(), Side::new()];
    // What side 0 tells of itself reaches side 1, which sees the router's second socket in its place.
    let towards = [1, 0].map(|side: usize| sides[side].io.local_addr().unwrap());
    let peers = [0, 1].map(|side: usize| Arc::clone(&sides[side].peer));
    let seen = Arc::<Seen>::default();
    let router = route(sides, Arc::clone(&seen));
    begin_through(&pair, move |from, mut signal| {
        if let Signal::Sdp(text)
        | Signal::Candidate {
            candidate: text, ..
        } = &mut signal
        {
            *text = redirect(text, towards[from], &peers[from]).into();
        }
        signal
    });
    for end in &pair {
        end.wait_state(State::Connected);
    }
    let stream_id = pair[0].wait_channel().stream_id;
    pair[1].wait_channel();
    for number in 0..40_u8 {
        let data = &[number; 60_000];
        let kind = DataKind::Binary;
        let frame = DataFrame {
            kind,
            stream_id,
            data,
        };
        pair[0].connection.send_data(frame).unwrap();
        assert!(pair[1].wait_data() == data);
    }
    let [sender, receiver] = [0, 1].map(|end: usize| pair[end].connection.query().unwrap());
    let (sender, receiver) = (sender.sctp.unwrap(), receiver.sctp.unwrap());
    seen.stop.store(true, Ordering::Relaxed);
    router.join().unwrap();
    let datagrams = seen.datagrams.lock().unwrap();
    for ((mark, class), count) in datagrams.iter() {
        println!("{count} of {class} with {mark:02b}");
        assert!(*mark == 0 || *class == "data", "{mark:02b} on {class}");
    }
    assert!(datagrams[&(EcnCodepoint::Ect0 as u8, "data")] > 1_000);
    assert!(
        sender.marking && receiver.marks_received > 10,
        "{receiver:?}"
    );
    assert!(sender.congestion_events > 0, "{sender:?}");
}
