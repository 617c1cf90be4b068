//! DTLS to one server over a UDP socket of its own (RFC 7350): the socket of a
//! [`ServerAssociation`](esp_dtls::ServerAssociation), whose certificates are judged as those of a TLS stream are.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use esp_dtls::{Judge, Received, ServerAssociation};
use esp_trust::Verifier;
use esp_wire::{Input, Instant, SocketId, Train};
use mio::Interest;
use mio::net::UdpSocket;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{Opening, Secured, Taken, Tools};
use crate::shard::tls;

/// Datagrams of one association, noise too, before the next one gets its turn.
const READS: usize = 64;

/// A connected UDP socket as OpenSSL sees it.
struct Wire {
    io: UdpSocket,
    /// Reads that are left in this turn.
    reads: usize,
    /// What the network answered, until it was asked for.
    refused: Option<io::Error>,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(left) = self.reads.checked_sub(1) {
            self.reads = left;
            match self.io.recv(buffer) {
                Err(error) if is_refusal(&error) => self.refused = Some(error),
                read => return read,
            }
        }
        Err(ErrorKind::WouldBlock.into())
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

/// Nobody listens there; Windows calls it a reset.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
    )
}

fn is_of_one_datagram(error: &io::Error) -> bool {
    let of_now = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
    of_now || is_refusal(error)
}

/// A DTLS association with a server, and its socket.
pub(super) struct Association {
    id: SocketId,
    token: usize,
    remote: SocketAddr,
    session: ServerAssociation<Wire>,
    /// The peer knows that it is open.
    told: bool,
    /// A turn that nobody but time began has left datagrams in the socket.
    again: Option<Instant>,
}

impl Association {
    /// Begins the handshake.
    pub(super) fn connect(tools: &mut Tools<'_>, opening: &Opening) -> Result<Self, String> {
        let remote = opening.remote;
        let told = |error: &dyn std::fmt::Display| format!("{remote}: {error}");
        let name = tls::server_name(opening.server_name.as_deref(), remote)
            .map_err(|error| told(&error))?;
        let (verifier, context) = tools.tls.datagrams().map_err(|error| told(&error))?;
        let mut io = open(opening.local, remote).map_err(|error| told(&error))?;
        let token = tools
            .register(opening.id, &mut io, Interest::READABLE)
            .map_err(|error| told(&error))?;
        let wire = Wire {
            io,
            reads: READS,
            refused: None,
        };
        let said = match &name {
            ServerName::DnsName(name) => Some(name.as_ref().to_owned()),
            _ => None,
        };
        let until = tools.now + tools.config.stream_connect_timeout;
        let judge = judge(verifier, name);
        let begun =
            ServerAssociation::new(&context, said.as_deref(), wire, judge, tools.now, until);
        let session = begun.map_err(|error| {
            // The socket is gone already.
            tools.registered.try_remove(token);
            told(&error)
        })?;
        Ok(Association {
            id: opening.id,
            token,
            remote,
            session,
            told: false,
            again: None,
        })
    }

    fn named(&self, why: &dyn std::fmt::Display) -> String {
        format!("{}: {why}", self.remote)
    }

    /// `true` once datagrams may flow.
    fn establish(&mut self, tell: &mut dyn FnMut(Input<'_>)) -> Result<bool, String> {
        if self.told {
            return Ok(true);
        }
        if !self.session.advance().map_err(|why| self.named(&why))? {
            let refused = self.session.wire_mut().refused.take();
            return refused.map_or(Ok(false), |why| Err(self.named(&why)));
        }
        let local = self.session.wire().io.local_addr();
        let local = local.map_err(|why| self.named(&why))?;
        self.told = true;
        tell(Input::StreamOpened {
            stream: self.id,
            local,
            remote: self.remote,
        });
        Ok(true)
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
        self.session.wire_mut().reads = READS;
        if self.establish(tell)? {
            loop {
                match self.session.receive(scratch) {
                    Ok(Received::Datagram(count)) => tell(Input::StreamBytes {
                        stream: self.id,
                        data: &mut scratch[..count],
                    }),
                    Ok(Received::Nothing) => break,
                    Ok(Received::End) => {
                        return Err(self.named(&"the server ended the association"));
                    }
                    Err(why) => return Err(self.named(&why)),
                }
            }
        }
        Ok(self.session.wire().reads == 0)
    }

    fn send(&mut self, train: &Train) -> Taken {
        let mut taken = Taken::default();
        for segment in train.segments() {
            taken.dropped += usize::from(!self.session.send(segment));
        }
        taken
    }

    fn handle_timeout(
        &mut self,
        now: Instant,
        scratch: &mut [u8],
        tell: &mut dyn FnMut(Input<'_>),
    ) -> Result<(), String> {
        let due = self.session.handle_timeout(now);
        let due = due.map_err(|why| self.named(&why))?;
        let again = self.again.take_if(|at| *at <= now).is_some();
        if (due || again) && self.drive(scratch, tell)? {
            self.again = Some(now);
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let handshake = self.session.poll_timeout();
        [handshake, self.again].into_iter().flatten().min()
    }

    fn goodbye(&mut self) {
        self.session.close();
    }

    fn forget(&mut self, tools: &mut Tools<'_>) {
        tools.forget(self.token, &mut self.session.wire_mut().io);
    }
}

/// Believes whom TLS streams believe.
fn judge(verifier: Verifier, name: ServerName<'static>) -> Judge {
    Box::new(move |shown| {
        let mut chain = shown.iter().map(|one| CertificateDer::from(one.as_slice()));
        let first = chain.next().ok_or("the server shows no certificate")?;
        let others: Vec<_> = chain.collect();
        let judged = verifier.verify_server_cert(&first, &others, &name, &[], UnixTime::now());
        judged.map(drop).map_err(|error| esp_trust::words(&error))
    })
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
