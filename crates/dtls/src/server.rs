//! Our end of an association with a server that is known by name (RFC 7350), by OpenSSL.
//!
//! 1. [`ServerAssociation::advance`] sends the flights of the handshake, and again those that were lost.
//! 2. When it is over, the certificates that the server has shown go to the judge; nothing but the handshake was
//!    sent before.
//! 3. From then on each datagram travels in a record of its own, both ways.
//! 4. [`ServerAssociation::close`] says goodbye.
//!
//! OpenSSL reads and writes the datagrams itself, on the wire that the caller gives it. It repeats by the system's
//! clock, so it is asked to every 100 ms; how long the handshake may take is counted in the caller's time.

use std::io::{self, Read, Write};
use std::time::Duration;

use esp_wire::Instant;
use openssl::error::ErrorStack;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};

use crate::sift::{least, sift};
use crate::{Error, Violation};

/// Bytes of a datagram of the handshake at most.
const MTU: u32 = 1_200;
/// So often OpenSSL is asked to repeat what was lost; it knows when.
const LOOK: Duration = Duration::from_millis(100);

/// The settings that all associations with servers share: DTLS 1.2 with suites that have forward secrecy.
#[derive(Clone)]
pub struct ServerContext(SslContext);

impl ServerContext {
    /// Makes the settings.
    ///
    /// # Errors
    /// [`Error::Library`] when OpenSSL refuses them.
    pub fn new() -> Result<Self, Error> {
        let build = || -> Result<_, ErrorStack> {
            let mut context = SslContext::builder(SslMethod::dtls_client())?;
            // The certificates are judged by the caller, with the roots and in the words of TLS.
            context.set_verify(SslVerifyMode::NONE);
            // Another handshake could show other certificates, which nobody would judge.
            context.set_options(
                SslOptions::NO_QUERY_MTU | SslOptions::NO_RENEGOTIATION | SslOptions::NO_TICKET,
            );
            context.set_min_proto_version(Some(SslVersion::DTLS1_2))?;
            context.set_cipher_list("ECDHE+AESGCM:ECDHE+CHACHA20")?;
            Ok(ServerContext(context.build()))
        };
        build().map_err(library)
    }
}

impl std::fmt::Debug for ServerContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerContext").finish_non_exhaustive()
    }
}

/// Judges the certificates that a server shows, in DER, its own first; says in words why it does not believe them.
pub type Judge = Box<dyn FnMut(&[Vec<u8>]) -> Result<(), String> + Send>;

/// What [`ServerAssociation::receive`] has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A datagram of so many bytes, or what was left of one that was larger than the buffer before.
    Datagram(usize),
    /// Nothing, for now.
    Nothing,
    /// The server has ended the association.
    End,
}

#[derive(Clone, Copy)]
enum Phase {
    Handshaking { until: Instant, look_at: Instant },
    Open,
    Over,
}

/// The wire, without what OpenSSL is not to see.
struct Sieve<W> {
    wire: W,
    /// The fewest bytes of a record under keys.
    least: usize,
}

impl<W: Read> Read for Sieve<W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.wire.read(buffer)?;
            let kept = sift(&mut buffer[..len], self.least);
            if kept > 0 {
                return Ok(kept);
            }
        }
    }
}

impl<W: Write> Write for Sieve<W> {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.wire.write(datagram)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.wire.flush()
    }
}

/// Our end of a DTLS association with a server.
///
/// The wire is non-blocking: a read gives one datagram or [`WouldBlock`](std::io::ErrorKind::WouldBlock), a write takes
/// one.
pub struct ServerAssociation<W> {
    session: SslStream<Sieve<W>>,
    judge: Judge,
    phase: Phase,
}

impl<W: Read + Write> ServerAssociation<W> {
    /// An association whose handshake may take until `until`; nothing is sent before
    /// [`ServerAssociation::advance`]. The server is told `name`, if there is one.
    ///
    /// # Errors
    /// [`Error::Library`] when OpenSSL refuses the name or the wire.
    pub fn new(
        context: &ServerContext,
        name: Option<&str>,
        wire: W,
        judge: Judge,
        now: Instant,
        until: Instant,
    ) -> Result<Self, Error> {
        let build = || -> Result<_, ErrorStack> {
            let mut ssl = Ssl::new(&context.0)?;
            if let Some(name) = name {
                ssl.set_hostname(name)?;
            }
            ssl.set_mtu(MTU)?;
            let least = least(&ssl);
            SslStream::new(ssl, Sieve { wire, least })
        };
        let phase = Phase::Handshaking {
            until,
            look_at: now,
        };
        Ok(ServerAssociation {
            session: build().map_err(library)?,
            judge,
            phase,
        })
    }

    /// The wire.
    pub fn wire(&self) -> &W {
        &self.session.get_ref().wire
    }

    /// The wire, to be changed.
    pub fn wire_mut(&mut self) -> &mut W {
        &mut self.session.get_mut().wire
    }

    /// Goes on with the handshake as far as the wire allows; `true` once datagrams may flow.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] when the server ends the handshake, breaks its rules or is not believed;
    /// [`Error::Misuse`] when the association is over.
    pub fn advance(&mut self) -> Result<bool, Error> {
        match self.phase {
            Phase::Open => return Ok(true),
            Phase::Over => return Err(OVER),
            Phase::Handshaking { .. } => {}
        }
        forget_errors();
        match self.session.connect() {
            Ok(()) => {}
            Err(error) if waits(&error) => return Ok(false),
            Err(error) => {
                self.phase = Phase::Over;
                return Err(refused(&error));
            }
        }
        if let Err(violation) = self.verify() {
            // The alert is a courtesy.
            let _ = self.session.shutdown();
            self.phase = Phase::Over;
            return Err(violation);
        }
        self.session.get_mut().least = least(self.session.ssl());
        self.phase = Phase::Open;
        Ok(true)
    }

    fn verify(&mut self) -> Result<(), Error> {
        let chain = self.session.ssl().peer_cert_chain().into_iter().flatten();
        let chain: Result<Vec<_>, _> = chain.map(|one| one.to_der()).collect();
        let chain = chain.map_err(library)?;
        if chain.is_empty() {
            return Err(Error::PeerMisbehaved(Violation::NoCertificate));
        }
        (self.judge)(&chain).map_err(|why| Error::PeerMisbehaved(Violation::Untrusted(why)))
    }

    /// Takes the next datagram of the server; noise on the wire is dropped.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] when the server breaks the protocol; [`Error::Misuse`] when the association is not
    /// open.
    pub fn receive(&mut self, into: &mut [u8]) -> Result<Received, Error> {
        if !matches!(self.phase, Phase::Open) {
            return Err(OVER);
        }
        forget_errors();
        match self.session.ssl_read(into) {
            Ok(count) => Ok(Received::Datagram(count)),
            Err(error) if waits(&error) => Ok(Received::Nothing),
            Err(error) => {
                self.phase = Phase::Over;
                match error.code() {
                    ErrorCode::ZERO_RETURN => Ok(Received::End),
                    _ => Err(refused(&error)),
                }
            }
        }
    }

    /// Sends a datagram in a record of its own; `false` when it cannot be sent, now or ever.
    pub fn send(&mut self, datagram: &[u8]) -> bool {
        forget_errors();
        matches!(self.phase, Phase::Open) && self.session.ssl_write(datagram).is_ok()
    }

    /// What time asks for: `true` when [`ServerAssociation::advance`] is to be called.
    ///
    /// # Errors
    /// [`Error::Timeout`] when the handshake takes too long; the association is over.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<bool, Error> {
        let Phase::Handshaking { until, look_at } = &mut self.phase else {
            return Ok(false);
        };
        if *until <= now {
            self.phase = Phase::Over;
            return Err(Error::Timeout);
        }
        if *look_at > now {
            return Ok(false);
        }
        *look_at = now + LOOK;
        Ok(true)
    }

    /// When [`ServerAssociation::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.phase {
            Phase::Handshaking { until, look_at } => Some(until.min(look_at)),
            Phase::Open | Phase::Over => None,
        }
    }

    /// Ends the association. A server that does not hear of it lets it go in time.
    pub fn close(&mut self) {
        if matches!(self.phase, Phase::Open) {
            forget_errors();
            let _ = self.session.shutdown();
        }
        self.phase = Phase::Over;
    }
}

impl<W> std::fmt::Debug for ServerAssociation<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerAssociation").finish_non_exhaustive()
    }
}

const OVER: Error = Error::Misuse("the association with the server is not open");

/// OpenSSL takes whatever error its thread has not looked at for one of the next call.
fn forget_errors() {
    drop(ErrorStack::get());
}

fn library(error: ErrorStack) -> Error {
    Error::Library(error.to_string())
}

pub(crate) fn waits(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

pub(crate) fn refused(error: &openssl::ssl::Error) -> Error {
    let first = error.ssl_error().and_then(|stack| stack.errors().first());
    let reason = first.and_then(|one| one.reason());
    let words = reason.map_or_else(|| error.to_string(), str::to_owned);
    Error::PeerMisbehaved(Violation::Protocol(words))
}
