//! DTLS to one server over a UDP socket of its own (RFC 7350), by OpenSSL.
//!
//! 1. `Handshaking`: OpenSSL sends and repeats its flights.
//! 2. The certificates that the server has shown are judged as those of a TLS stream are; nothing but the
//!    handshake was sent before.
//! 3. `Open`: each datagram goes in a record of its own, both ways.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use esp_trust::Verifier;
use esp_wire::{Input, Instant, SocketId, Train};
use mio::Interest;
use mio::net::UdpSocket;
use openssl::ssl::{ErrorCode, Ssl, SslOptions, SslStream};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Opening, Secured, Taken, Tools};
use crate::shard::tls;

/// Reads of one association before the next one gets its turn.
const READS: usize = 16;
/// Bytes of a datagram of the handshake at most.
const MTU: u32 = 1_200;
/// So often OpenSSL is asked to repeat what was lost; it knows when.
const LOOK: Duration = Duration::from_millis(100);

enum Phase {
    Handshaking { until: Instant, look_at: Instant },
    Open,
}

/// A connected UDP socket as OpenSSL sees it.
struct Wire {
    io: UdpSocket,
    /// What the network answered, until it was asked for.
    refused: Option<io::Error>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.io.recv(buffer) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.refused = Some(error);
                Err(ErrorKind::WouldBlock.into())
            }
            read => read,
        }
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        match self.io.send(datagram) {
            // As lost on the way.
            Err(error) if is_of_one_datagram(&error) => {}
            sent => return sent,
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn is_of_one_datagram(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::ConnectionRefused | ErrorKind::Interrupted
    )
}

/// A DTLS association with a server.
pub(super) struct Association {
    id: SocketId,
    token: usize,
    remote: SocketAddr,
    phase: Phase,
    session: SslStream<Wire>,
    verifier: Verifier,
    name: ServerName<'static>,
}

impl Association {
    /// Begins the handshake.
    pub(super) fn connect(tools: &mut Tools<'_>, opening: &Opening) -> Result<Self, String> {
        let remote = opening.remote;
        let told = |error: &dyn std::fmt::Display| format!("{remote}: {error}");
        let name = tls::server_name(opening.server_name.as_deref(), remote)
            .map_err(|error| told(&error))?;
        let (verifier, context) = tools.tls.datagrams().map_err(|error| told(&error))?;
        let mut ssl = Ssl::new(&context).map_err(|error| told(&error))?;
        if let ServerName::DnsName(name) = &name {
            ssl.set_hostname(name.as_ref())
                .map_err(|error| told(&error))?;
        }
        ssl.set_mtu(MTU).map_err(|error| told(&error))?;
        let mut io = open(opening.local, remote).map_err(|error| told(&error))?;
        let token = tools
            .register(opening.id, &mut io, Interest::READABLE)
            .map_err(|error| told(&error))?;
        let wire = Wire { io, refused: None };
        let session = match SslStream::new(ssl, wire) {
            Ok(session) => session,
            Err(error) => {
                // The socket is gone already.
                tools.ports.try_remove(token);
                return Err(told(&error));
            }
        };
        Ok(Association {
            id: opening.id,
            token,
            remote,
            phase: Phase::Handshaking {
                until: tools.now + tools.config.stream_connect_timeout,
                look_at: tools.now,
            },
            session,
            verifier,
            name,
        })
    }

    fn told(&self, why: &str) -> String {
        format!("{}: {why}", self.remote)
    }

    /// `true` once datagrams may flow.
    fn establish(&mut self, tell: &mut dyn FnMut(Input<'_>)) -> Result<bool, String> {
        if matches!(self.phase, Phase::Open) {
            return Ok(true);
        }
        match self.session.connect() {
            Ok(()) => {}
            Err(error) if matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE) => {
                let refused = self.session.get_mut().refused.take();
                return refused.map_or(Ok(false), |error| Err(error.to_string()));
            }
            Err(error) => return Err(words(&error)),
        }
        self.verify()?;
        let local = self.session.get_ref().io.local_addr();
        let local = local.map_err(|error| error.to_string())?;
        self.phase = Phase::Open;
        tell(Input::StreamOpened {
            stream: self.id,
            local,
            remote: self.remote,
        });
        Ok(true)
    }

    /// Judges what the server has shown, as for TLS.
    fn verify(&mut self) -> Result<(), String> {
        let chain = self.session.ssl().peer_cert_chain().into_iter().flatten();
        let chain: Result<Vec<_>, _> = chain
            .map(|one| one.to_der().map(CertificateDer::from))
            .collect();
        let chain = chain.map_err(|error| error.to_string())?;
        let (first, others) = chain
            .split_first()
            .ok_or("the server shows no certificate")?;
        let now = UnixTime::now();
        let judged = (self.verifier).verify_server_cert(first, others, &self.name, &[], now);
        if let Err(error) = judged {
            // The alert is a courtesy.
            let _ = self.session.shutdown();
            return Err(esp_trust::words(&error));
        }
        Ok(())
    }
}

impl Secured for Association {
    fn id(&self) -> SocketId {
        self.id
    }

    fn drive(
        &mut self,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<bool, String> {
        if !self.establish(tell).map_err(|why| self.told(&why))? {
            return Ok(false);
        }
        for _ in 0..READS {
            match self.session.ssl_read(scratch) {
                Ok(count) => tell(Input::StreamBytes {
                    stream: self.id,
                    data: &mut scratch[..count],
                }),
                Err(error) => match error.code() {
                    ErrorCode::WANT_READ | ErrorCode::WANT_WRITE => return Ok(false),
                    ErrorCode::ZERO_RETURN => {
                        return Err(self.told("the server ended the association"));
                    }
                    _ => return Err(self.told(&words(&error))),
                },
            }
        }
        Ok(true)
    }

    fn send(&mut self, train: &Train) -> Taken {
        let mut taken = Taken::default();
        let open = matches!(self.phase, Phase::Open);
        for segment in train.segments() {
            let sent = open && self.session.ssl_write(segment).is_ok();
            taken.dropped += usize::from(!sent);
        }
        taken
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<(), String> {
        let Phase::Handshaking { until, look_at } = &mut self.phase else {
            return Ok(());
        };
        if *until <= now {
            return Err(self.told("the DTLS handshake takes too long"));
        }
        if *look_at <= now {
            *look_at = now + LOOK;
            self.drive(scratch, tell)?;
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Handshaking { until, look_at } => Some(until.min(look_at)),
            Phase::Open => None,
        }
    }

    fn goodbye(&mut self) {
        if matches!(self.phase, Phase::Open) {
            // A server that does not hear it lets the association go in time.
            let _ = self.session.shutdown();
        }
    }

    fn forget(&mut self, tools: &mut Tools<'_>) {
        tools.forget(self.token, &mut self.session.get_mut().io);
    }
}

fn open(local: Option<SocketAddr>, remote: SocketAddr) -> io::Result<UdpSocket> {
    let any = match remote {
        SocketAddr::V4(_) => SocketAddr::from(([0; 4], 0)),
        SocketAddr::V6(_) => SocketAddr::from(([0; 16], 0)),
    };
    let io = UdpSocket::bind(local.unwrap_or(any))?;
    io.connect(remote)?;
    Ok(io)
}

/// The settings that all associations with servers share.
pub(crate) fn context() -> Result<openssl::ssl::SslContext, String> {
    let build = || {
        let method = openssl::ssl::SslMethod::dtls_client();
        let mut context = openssl::ssl::SslContext::builder(method)?;
        // The certificates are judged by us, with the roots and in the words of TLS.
        context.set_verify(openssl::ssl::SslVerifyMode::NONE);
        context.set_options(SslOptions::NO_QUERY_MTU);
        context.set_min_proto_version(Some(openssl::ssl::SslVersion::DTLS1_2))?;
        context.set_cipher_list("ECDHE+AESGCM:ECDHE+CHACHA20")?;
        Ok(context.build())
    };
    build().map_err(|error: openssl::error::ErrorStack| format!("DTLS: {error}"))
}

fn words(error: &openssl::ssl::Error) -> String {
    let first = error.ssl_error().and_then(|stack| stack.errors().first());
    match first.and_then(|one| one.reason()) {
        Some(reason) => format!("DTLS: {reason}"),
        None => format!("DTLS: {error}"),
    }
}
