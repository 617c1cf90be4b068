//! Streams against real listeners and servers on loopback.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener as StdListener, TcpStream as StdStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread;

use esp_wire::{Destination, Room};
use mio::{Events, Poll};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::{Clock, ServerTrust};

const STREAM: SocketId = SocketId(5);
/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the peer was told.
#[derive(Debug, PartialEq)]
enum Told {
    Opened(SocketId, SocketAddr, SocketAddr),
    Bytes(SocketId, usize),
    Closed(SocketId, String),
    Writable(SocketId),
}

/// A shard with one peer, as far as its streams can tell.
struct Bench {
    poll: Poll,
    registered: Slab<Registered>,
    config: DriverConfig,
    tls: TlsClient,
    clock: Clock,
    streams: Streams,
    told: Vec<Told>,
    received: Vec<u8>,
    scratch: Vec<u8>,
}

impl Bench {
    fn new(config: DriverConfig) -> Self {
        Bench {
            poll: Poll::new().unwrap(),
            registered: Slab::new(),
            tls: TlsClient::new(config.server_trust.clone()),
            config,
            clock: Clock::new(),
            streams: Streams::default(),
            told: Vec::new(),
            received: Vec::new(),
            scratch: vec![0; 20_000],
        }
    }

    fn with<T>(
        &mut self,
        work: impl FnOnce(&mut Streams, &mut Tools<'_>, &mut dyn FnMut(Input<'_>)) -> T,
    ) -> T {
        let mut tools = Tools {
            registry: self.poll.registry(),
            registered: &mut self.registered,
            place: 0,
            config: &self.config,
            tls: &self.tls,
            now: self.clock.now(),
            scratch: &mut self.scratch,
        };
        let (told, received) = (&mut self.told, &mut self.received);
        work(&mut self.streams, &mut tools, &mut |input| match input {
            Input::StreamOpened {
                stream,
                local,
                remote,
            } => told.push(Told::Opened(stream, local, remote)),
            Input::StreamBytes { stream, data } => {
                received.extend_from_slice(data);
                told.push(Told::Bytes(stream, data.len()));
            }
            Input::Closed { socket, reason } => {
                told.push(Told::Closed(socket, reason.to_owned()));
            }
            Input::Writable { socket } => told.push(Told::Writable(socket)),
            other => panic!("{other:?}"),
        })
    }

    /// One turn, as the shard makes it.
    fn turn(&mut self, wait: Duration) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(wait)).unwrap();
        let tokens = events.iter().map(|event| event.token().0);
        let mut ready: Vec<_> = tokens
            .filter_map(|token| Some(self.registered.get(token)?.socket))
            .collect();
        while let Some(id) = ready.pop() {
            if self.with(|streams, tools, tell| streams.drive(tools, id, tell)) {
                ready.push(id);
            }
        }
        self.with(|streams, tools, tell| {
            streams.handle_timeout(tools, tell);
            streams.reap(tools, tell);
        });
    }

    fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let end = self.clock.now() + PATIENCE;
        while !done(self) {
            assert!(self.clock.now() < end, "it took too long: {:?}", self.told);
            self.turn(Duration::from_millis(100));
        }
    }

    fn open(
        &mut self,
        transport: Transport,
        remote: SocketAddr,
        name: Option<&str>,
    ) -> Result<(), String> {
        let opening = Opening {
            id: STREAM,
            transport,
            local: None,
            remote,
            server_name: name.map(str::to_owned),
        };
        self.with(|streams, tools, _| streams.open(tools, opening))
    }

    fn opened(&mut self, transport: Transport, remote: SocketAddr, name: Option<&str>) {
        self.open(transport, remote, name).unwrap();
        self.until(|bench| !bench.told.is_empty());
        assert!(matches!(self.told[..], [Told::Opened(STREAM, _, to), ..] if to == remote));
    }

    fn send(&mut self, frames: &[&[u8]]) -> Taken {
        let mut train = Train::with_capacity(Train::MAX_BYTES);
        let longest = frames.iter().map(|frame| frame.len()).max().unwrap();
        train.begin(Room { head: 2, tail: 1 }, longest);
        for frame in frames {
            assert!(train.push(frame));
        }
        train.set_destination(Destination {
            socket: STREAM,
            remote: "127.0.0.1:9".parse().unwrap(),
        });
        self.streams.send(STREAM, &train).unwrap()
    }

    fn close_reason(&mut self) -> String {
        self.until(|bench| matches!(bench.told.last(), Some(Told::Closed(..))));
        assert!(self.streams.streams.is_empty() && self.registered.is_empty());
        match self.told.pop() {
            Some(Told::Closed(STREAM, reason)) => reason,
            other => panic!("{other:?}"),
        }
    }
}

fn bench() -> Bench {
    Bench::new(DriverConfig::default())
}

/// A server that serves one stream; what `serve` returns comes out when it is joined.
fn server<T: Send + 'static>(
    serve: impl FnOnce(StdStream) -> T + Send + 'static,
) -> (SocketAddr, thread::JoinHandle<T>) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let local = listener.local_addr().unwrap();
    let thread = thread::spawn(move || serve(listener.accept().unwrap().0));
    (local, thread)
}

/// A certificate for `name` with its DER, and a server that speaks TLS with it.
fn tls_server<T: Send + 'static>(
    name: &str,
    serve: impl FnOnce(StreamOwned<ServerConnection, StdStream>) -> T + Send + 'static,
) -> (ServerTrust, SocketAddr, thread::JoinHandle<T>) {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let session = ServerConnection::new(Arc::new(config)).unwrap();
    let (local, thread) = server(move |stream| serve(StreamOwned::new(session, stream)));
    let trust = ServerTrust::of_der(vec![cert.der().to_vec()]).unwrap();
    (trust, local, thread)
}

fn echo(mut stream: impl Read + Write) {
    let mut buffer = [0; 1_000];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        stream.write_all(&buffer[..count]).unwrap();
    }
}

/// Frames of 4 to 60 bytes that carry their number.
fn small_frames(count: u32) -> Vec<Vec<u8>> {
    (0..count)
        .map(|number| {
            let mut frame = number.to_be_bytes().to_vec();
            frame.resize(4 + (number % 57) as usize, number as u8);
            frame
        })
        .collect()
}

fn trusting(trust: ServerTrust) -> Bench {
    Bench::new(DriverConfig::default().with_server_trust(trust))
}

#[test]
fn bytes_go_both_ways_until_the_far_end_closes() {
    let (remote, thread) = server(|mut stream| {
        let mut heard = [0; 9];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(&heard).unwrap();
        // Half a stream is the end of it.
        stream.shutdown(Shutdown::Write).unwrap();
        stream.read(&mut heard).unwrap()
    });
    let mut bench = bench();
    bench.opened(Transport::Tcp, remote, None);
    assert_eq!(bench.send(&[b"abcd", b"efgh", b"i"]), Taken::default());
    let reason = bench.close_reason();
    assert!(
        reason.ends_with("the far end closed the stream"),
        "{reason}"
    );
    assert_eq!(bench.received, b"abcdefghi");
    assert_eq!(thread.join().unwrap(), 0);
}

#[test]
fn a_port_where_nobody_listens_is_told_in_words() {
    // A port that the system gives to nobody by chance.
    let remote = "127.0.0.1:1".parse().unwrap();
    let mut bench = bench();
    // The system may refuse at once or later.
    let reason = match bench.open(Transport::Tcp, remote, None) {
        Ok(()) => bench.close_reason(),
        Err(reason) => reason,
    };
    assert!(reason.starts_with("127.0.0.1:1: "), "{reason}");
    assert!(reason.to_lowercase().contains("refused"), "{reason}");
}

#[test]
fn a_stream_starts_from_the_address_that_was_asked_for() {
    let (remote, thread) = server(|stream| stream.peer_addr().unwrap());
    let mut bench = bench();
    let opening = Opening {
        id: STREAM,
        transport: Transport::Tcp,
        local: Some("127.0.0.3:0".parse().unwrap()),
        remote,
        server_name: None,
    };
    bench
        .with(|streams, tools, _| streams.open(tools, opening))
        .unwrap();
    bench.until(|bench| !bench.told.is_empty());
    let Told::Opened(_, local, _) = bench.told[0] else {
        panic!("{:?}", bench.told);
    };
    assert_eq!(local.ip().to_string(), "127.0.0.3");
    assert_eq!(thread.join().unwrap(), local);
}

#[test]
fn a_server_that_keeps_silent_is_given_up() {
    let (held, holder) = channel::<StdStream>();
    let (remote, _thread) = server(move |stream| held.send(stream).unwrap());
    let mut bench = bench();
    // Long enough for the connection, which the system makes by itself.
    bench.config.stream_connect_timeout = Duration::from_secs(1);
    bench
        .open(Transport::Tls, remote, Some("turn.example"))
        .unwrap();
    let reason = bench.close_reason();
    assert!(reason.contains("takes too long"), "{reason}");
    drop(holder);
}

#[test]
fn tls_carries_thousands_of_small_frames_in_order() {
    let (trust, remote, thread) = tls_server("turn.example", echo);
    let mut bench = trusting(trust);
    bench.opened(Transport::Tls, remote, Some("turn.example"));
    let frames = small_frames(4_000);
    let mut sent = Vec::new();
    for frame in &frames {
        while bench.send(&[frame]).dropped > 0 {
            let before = bench.told.len();
            bench.until(|bench| bench.told[before..].contains(&Told::Writable(STREAM)));
        }
        sent.extend_from_slice(frame);
    }
    bench.until(|bench| bench.received.len() >= sent.len());
    assert!(bench.received == sent, "the frames differ");
    bench.with(|streams, tools, _| streams.close(tools, STREAM));
    bench.until(|bench| bench.registered.is_empty());
    thread.join().unwrap();
}

#[test]
fn certificates_that_do_not_fit_are_refused_in_words() {
    let cases = [
        ("turn.example", false, "no trusted root"),
        ("other.example", true, "for another name"),
    ];
    for (name, trusted, words) in cases {
        let (trust, remote, thread) = tls_server("turn.example", |mut stream| {
            stream.read(&mut [0; 10]).is_err()
        });
        let mut bench = match trusted {
            true => trusting(trust),
            false => bench(),
        };
        bench.open(Transport::Tls, remote, Some(name)).unwrap();
        let reason = bench.close_reason();
        assert!(reason.contains(words), "{reason}");
        assert!(thread.join().unwrap(), "the server believes in the stream");
    }
    let mut bench = bench();
    let refused = bench.open(
        Transport::Tls,
        "127.0.0.1:9".parse().unwrap(),
        Some("not a name"),
    );
    assert!(refused.unwrap_err().contains("not the name of a server"));
    assert!(bench.registered.is_empty());
}

#[test]
fn verification_can_be_skipped_only_on_purpose() {
    let (_, remote, thread) = tls_server("turn.example", echo);
    let trust = ServerTrust::default()
        .dangerous()
        .insecure_skip_turn_cert_verify();
    let mut bench = trusting(trust);
    bench.opened(Transport::Tls, remote, Some("other.example"));
    bench.send(&[b"hello"]);
    bench.until(|bench| bench.received == b"hello");
    bench.with(|streams, tools, _| streams.close(tools, STREAM));
    thread.join().unwrap();
}

#[test]
fn roots_come_as_pem_and_addresses_have_certificates_too() {
    assert!(
        ServerTrust::of_pem(b"nothing")
            .unwrap_err()
            .contains("no certificate")
    );
    let rcgen::CertifiedKey { cert, .. } =
        rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    assert!(ServerTrust::of_pem(cert.pem().as_bytes()).is_ok());
    let (trust, remote, thread) = tls_server("127.0.0.1", echo);
    let mut bench = trusting(trust);
    bench.opened(Transport::Tls, remote, None);
    bench.with(|streams, tools, _| streams.close(tools, STREAM));
    thread.join().unwrap();
}

#[test]
fn a_tls_stream_that_is_cut_is_not_taken_for_a_goodbye() {
    let (trust, remote, thread) = tls_server("turn.example", |mut stream| {
        stream.write_all(b"half a message").unwrap();
        stream.sock.shutdown(Shutdown::Both).unwrap();
    });
    let mut bench = trusting(trust);
    bench
        .open(Transport::Tls, remote, Some("turn.example"))
        .unwrap();
    let reason = bench.close_reason();
    assert!(reason.contains("without a TLS goodbye"), "{reason}");
    assert_eq!(bench.received, b"half a message");
    thread.join().unwrap();
}

/// Sends numbered frames until some are dropped; how many were sent, and how many of them dropped.
fn overfill(bench: &mut Bench) -> (u32, usize) {
    let mut number = 0u32;
    loop {
        let frames: Vec<Vec<u8>> = (number..number + 16)
            .map(|number| number.to_be_bytes().repeat(250))
            .collect();
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        number += 16;
        let taken = bench.send(&frames);
        assert!(!taken.failed);
        if taken.dropped > 0 {
            return (number, taken.dropped);
        }
    }
}

#[test]
fn a_slow_server_costs_whole_frames_and_writable_follows() {
    let (go, wait) = channel::<()>();
    let (remote, thread) = server(move |mut stream| {
        wait.recv().unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        heard
    });
    let mut bench = bench();
    bench.config.stream_queue_bytes = 50_000;
    bench.opened(Transport::Tcp, remote, None);
    let (sent, dropped) = overfill(&mut bench);
    assert!(bench.streams.streams[0].deadline().is_none());
    go.send(()).unwrap();
    bench.until(|bench| bench.told.contains(&Told::Writable(STREAM)));
    assert_eq!(bench.send(&[&[0xff; 1_000]]), Taken::default());
    // Closing sends what was taken.
    bench.with(|streams, tools, _| streams.close(tools, STREAM));
    bench.until(|bench| bench.registered.is_empty());
    let heard = thread.join().unwrap();
    assert_eq!(heard.len(), (sent as usize - dropped + 1) * 1_000);
    let numbers: Vec<u32> = heard
        .chunks(1_000)
        .map(|frame| {
            assert!(
                frame.chunks(4).all(|part| part == &frame[..4]),
                "a frame was cut"
            );
            u32::from_be_bytes(frame[..4].try_into().unwrap())
        })
        .collect();
    assert!(numbers.is_sorted());
    assert_eq!(numbers.last(), Some(&u32::MAX));
}

#[test]
fn a_reset_while_data_is_in_flight_is_told() {
    let (full, wait) = channel::<()>();
    let (remote, thread) = server(move |stream| {
        wait.recv().unwrap();
        // Bytes that were never read make the system reset the stream.
        drop(stream);
    });
    let mut bench = bench();
    bench.config.stream_queue_bytes = 50_000;
    bench.opened(Transport::Tcp, remote, None);
    overfill(&mut bench);
    full.send(()).unwrap();
    thread.join().unwrap();
    let reason = bench.close_reason();
    assert!(
        reason.contains("reset") || reason.contains("pipe"),
        "{reason}"
    );
}

#[test]
fn a_broken_stream_that_is_written_to_ends() {
    let (remote, thread) = server(drop);
    let mut bench = bench();
    bench.opened(Transport::Tcp, remote, None);
    thread.join().unwrap();
    // Without looking at it in between, one of these finds out.
    while bench
        .told
        .iter()
        .all(|told| !matches!(told, Told::Closed(..)))
    {
        let Some(_) = bench.streams.streams.first() else {
            break;
        };
        bench.send(&[b"into the void"]);
        bench.with(|streams, tools, tell| streams.reap(tools, tell));
        thread::yield_now();
    }
    bench.close_reason();
}

#[test]
fn listeners_take_streams_in_up_to_a_limit_and_streams_outlive_them() {
    let mut bench = bench();
    bench.config.accepted_streams = 3;
    let listener = SocketId(SocketId::SPAN + 2);
    let local = bench
        .with(|streams, tools, _| streams.listen(tools, listener, "127.0.0.1:0".parse().unwrap()))
        .unwrap();
    let mut clients: Vec<StdStream> = (0..3).map(|_| StdStream::connect(local).unwrap()).collect();
    bench.until(|bench| bench.told.len() == 3);
    let mut names = Vec::new();
    for (told, client) in bench.told.iter().zip(&clients) {
        assert_eq!(
            *told,
            Told::Opened(
                listener.accepted(names.len() as u16),
                local,
                client.local_addr().unwrap()
            )
        );
        names.push(listener.accepted(names.len() as u16));
    }
    // One too many is closed at once.
    let mut extra = StdStream::connect(local).unwrap();
    let turned_away = thread::spawn(move || matches!(extra.read(&mut [0; 1]), Ok(0) | Err(_)));
    bench.until(|_| turned_away.is_finished());
    assert!(turned_away.join().unwrap());
    bench.with(|streams, tools, _| streams.close(tools, listener));
    assert!(StdStream::connect(local).is_err());
    clients[1].write_all(b"still here").unwrap();
    bench.until(|bench| bench.received == b"still here");
    assert!(bench.told.contains(&Told::Bytes(names[1], 10)));
    bench.with(|streams, tools, _| streams.release(tools));
    assert!(bench.registered.is_empty() && bench.streams.poll_timeout().is_none());
    for mut client in clients {
        assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_stream_may_start_from_the_port_of_a_listener_and_no_second_listener_gets_it() {
    let mut bench = bench();
    let listen = |bench: &mut Bench, id: u32, at: SocketAddr| {
        bench.with(|streams, tools, _| streams.listen(tools, SocketId(id), at))
    };
    let any = "127.0.0.1:0".parse().unwrap();
    let local = listen(&mut bench, 1, any).unwrap();
    assert!(listen(&mut bench, 2, local).is_err());
    let far = StdListener::bind("127.0.0.1:0").unwrap();
    let remote = far.local_addr().unwrap();
    let opening = Opening {
        id: STREAM,
        transport: Transport::Tcp,
        local: Some(local),
        remote,
        server_name: None,
    };
    bench
        .with(|streams, tools, _| streams.open(tools, opening))
        .unwrap();
    let (_, from) = far.accept().unwrap();
    assert_eq!(from, local);
    bench.until(|bench| bench.told.contains(&Told::Opened(STREAM, local, remote)));
    // The listener goes on taking streams in.
    let _client = StdStream::connect(local).unwrap();
    bench.until(|bench| bench.told.len() == 2);
}
