//! A TURN server on loopback: the engine of netsim on real sockets, over UDP, TCP and TLS.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use esp_driver::{Clock, ServerTrust};
use esp_netsim::{Endpoint, TurnServer};
use esp_wire::{Action, Ecn, Input, Instant, Interface, SocketId, Train};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub(crate) const NAME: &str = "turn.example";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Streams that were accepted have numbers from here on.
const FIRST_STREAM: u32 = 0x8000_0000;

/// Either kind of stream.
trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

struct Stream {
    socket: SocketId,
    remote: SocketAddr,
    io: Box<dyn Wire>,
    unsent: Vec<u8>,
}

/// A running server; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) trust: ServerTrust,
    relayed: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One with this user.
    pub(crate) fn start(username: &str, password: &str) -> Self {
        // An address, as the driver's tests have no names.
        let names = [HOME.to_string(), NAME.to_owned()];
        let rcgen::CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listen = || TcpListener::bind((HOME, 0)).unwrap();
        let (plain, secure) = (listen(), listen());
        let main = UdpSocket::bind((HOME, 0)).unwrap();
        let mut server = Server {
            udp: main.local_addr().unwrap(),
            tcp: plain.local_addr().unwrap(),
            tls: secure.local_addr().unwrap(),
            trust: ServerTrust::of_der(vec![cert.der().to_vec()]).unwrap(),
            relayed: Arc::default(),
            stop: Arc::default(),
            thread: None,
        };
        let mut host = Host {
            engine: TurnServer::new(server.udp.port(), username, password),
            clock: Clock::new(),
            tls: Arc::new(tls),
            listeners: [plain, secure],
            sockets: vec![(SocketId(0), main)],
            streams: Vec::new(),
            accepted: FIRST_STREAM,
            train: Train::with_capacity(Train::MAX_BYTES),
        };
        let (relayed, stop) = (Arc::clone(&server.relayed), Arc::clone(&server.stop));
        server.thread = Some(std::thread::spawn(move || {
            host.begin();
            while !stop.load(Ordering::Relaxed) {
                host.turn();
                relayed.store(host.engine.relayed(), Ordering::Relaxed);
            }
        }));
        server
    }

    /// Datagrams relayed, both ways.
    pub(crate) fn relayed(&self) -> u64 {
        self.relayed.load(Ordering::Relaxed)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Host {
    engine: TurnServer,
    clock: Clock,
    tls: Arc<ServerConfig>,
    listeners: [TcpListener; 2],
    sockets: Vec<(SocketId, UdpSocket)>,
    streams: Vec<Stream>,
    accepted: u32,
    train: Train,
}

impl Host {
    fn begin(&mut self) {
        let interface = Interface {
            name: "lo".into(),
            index: 1,
            address: HOME,
        };
        for listener in &self.listeners {
            listener.set_nonblocking(true).unwrap();
        }
        // The one that clients speak to is what wakes the loop, others wait a little.
        let wait = Duration::from_millis(2);
        self.sockets[0].1.set_read_timeout(Some(wait)).unwrap();
        let now = self.clock.now();
        self.engine
            .handle_input(now, Input::Interfaces(&[interface]));
    }

    fn turn(&mut self) {
        self.accept();
        self.read_sockets();
        self.read_streams();
        let now = self.clock.now();
        if self.engine.poll_timeout().is_some_and(|at| at <= now) {
            self.engine.handle_timeout(now);
        }
        self.act(now);
        self.transmit(now);
    }

    fn accept(&mut self) {
        for (index, listener) in self.listeners.iter().enumerate() {
            while let Ok((io, remote)) = listener.accept() {
                let local = io.local_addr().unwrap();
                io.set_nonblocking(true).unwrap();
                io.set_nodelay(true).unwrap();
                let socket = SocketId(self.accepted);
                self.accepted += 1;
                let stream = socket;
                self.streams.push(Stream {
                    socket,
                    remote,
                    io: self.tls_or_plain(index == 1, io),
                    unsent: Vec::new(),
                });
                let opened = Input::StreamOpened {
                    stream,
                    local,
                    remote,
                };
                self.engine.handle_input(self.clock.now(), opened);
            }
        }
    }

    fn tls_or_plain(&self, tls: bool, io: TcpStream) -> Box<dyn Wire> {
        match tls {
            false => Box::new(io),
            true => {
                let session = ServerConnection::new(Arc::clone(&self.tls)).unwrap();
                Box::new(StreamOwned::new(session, io))
            }
        }
    }

    fn read_sockets(&mut self) {
        let mut buffer = [0; 2_048];
        for (socket, io) in &self.sockets {
            while let Ok((size, remote)) = io.recv_from(&mut buffer) {
                let datagrams = Input::Datagrams {
                    socket: *socket,
                    remote,
                    ecn: Ecn::NotEct,
                    size,
                    data: &mut buffer[..size],
                };
                self.engine.handle_input(self.clock.now(), datagrams);
            }
        }
    }

    fn read_streams(&mut self) {
        let mut buffer = [0; 16_384];
        let (engine, now) = (&mut self.engine, self.clock.now());
        self.streams.retain_mut(|stream| {
            loop {
                match stream.io.read(&mut buffer) {
                    Ok(count @ 1..) => engine.handle_input(
                        now,
                        Input::StreamBytes {
                            stream: stream.socket,
                            data: &mut buffer[..count],
                        },
                    ),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                    Ok(0) | Err(_) => {
                        let (socket, reason) = (stream.socket, "closed");
                        engine.handle_input(now, Input::Closed { socket, reason });
                        return false;
                    }
                }
            }
        });
    }

    fn act(&mut self, now: Instant) {
        while let Some(action) = self.engine.poll_action() {
            match action {
                // Its own sockets are open already, or not wanted.
                Action::Bind { socket, .. } if socket.0 < 100 => {}
                Action::Bind { socket, .. } => {
                    let io = UdpSocket::bind((HOME, 0)).unwrap();
                    io.set_nonblocking(true).unwrap();
                    let local = io.local_addr().unwrap();
                    self.sockets.push((socket, io));
                    self.engine
                        .handle_input(now, Input::Bound { socket, local });
                }
                Action::Close { socket } => {
                    self.sockets.retain(|(other, _)| *other != socket);
                    self.streams.retain(|stream| stream.socket != socket);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn transmit(&mut self, now: Instant) {
        while self.engine.poll_transmit(now, &mut self.train) {
            let to = self.train.destination().unwrap();
            for segment in self.train.segments() {
                if let Some((_, io)) = self.sockets.iter().find(|(own, _)| *own == to.socket) {
                    // Whoever is gone does not hear it.
                    let _ = io.send_to(segment, to.remote);
                }
                let streams = &mut self.streams;
                let stream = streams.iter_mut().find(|one| one.socket == to.socket);
                if let Some(stream) = stream.filter(|stream| stream.remote == to.remote) {
                    stream.unsent.extend_from_slice(segment);
                }
            }
        }
        for stream in &mut self.streams {
            while !stream.unsent.is_empty() {
                match stream.io.write(&stream.unsent) {
                    Ok(count) => drop(stream.unsent.drain(..count)),
                    Err(_) => break,
                }
            }
            let _ = stream.io.flush();
        }
    }
}
