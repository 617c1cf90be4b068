//! The TLS of one stream to a server.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

use esp_trust::{words, words_of_io};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Error};

use super::stream::Queue;
use crate::trust::TlsClient;

/// Bytes that one TLS record carries at most.
const RECORD: usize = 16 * 1024;

/// One session; it reads and writes whatever stream it is handed.
pub(super) struct Tls {
    session: ClientConnection,
}

impl Tls {
    /// A session with the server of this name; without one, its certificate must carry its address.
    pub(super) fn new(
        client: &TlsClient,
        name: Option<&str>,
        remote: SocketAddr,
    ) -> Result<Self, String> {
        let name = server_name(name, remote)?;
        let session =
            ClientConnection::new(client.config()?, name).map_err(|error| words(&error))?;
        Ok(Tls { session })
    }

    /// Goes on with the handshake; `true` when it is over.
    pub(super) fn handshake<S: Read + Write>(&mut self, mut io: S) -> io::Result<bool> {
        while self.session.is_handshaking() {
            match self.session.complete_io(&mut io) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(io::Error::other(
                        "the server ended the stream during the TLS handshake",
                    ));
                }
                Err(error) => return Err(in_words(error)),
            }
        }
        Ok(true)
    }

    /// Reads plain bytes; 0 is the end, announced by the server.
    pub(super) fn read<S: Read + Write>(&mut self, mut io: S, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(out) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Err(io::Error::other("the stream was cut without a TLS goodbye"));
                }
                Err(error) => return Err(error),
            }
            self.session.read_tls(&mut io)?;
            if let Err(error) = self.session.process_new_packets() {
                // The alert is a courtesy.
                let _ = self.session.write_tls(&mut io);
                return Err(io::Error::other(words(&error)));
            }
        }
    }

    /// Writes as much of the queue as the stream takes.
    pub(super) fn flush<S: Write>(&mut self, mut io: S, queue: &mut Queue) -> io::Result<()> {
        loop {
            while self.session.wants_write() {
                match self.session.write_tls(&mut io) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            let waiting = queue.front();
            if waiting.is_empty() {
                return Ok(());
            }
            let count = self
                .session
                .writer()
                .write(&waiting[..waiting.len().min(RECORD)])?;
            queue.consume(count);
        }
    }

    /// Whether records wait for the stream.
    pub(super) fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Says that nothing more will be sent; a flush carries it.
    pub(super) fn goodbye(&mut self) {
        self.session.send_close_notify();
    }
}

/// The name that a server's certificate must carry.
pub(super) fn server_name(
    name: Option<&str>,
    remote: SocketAddr,
) -> Result<ServerName<'static>, String> {
    match name {
        None => Ok(ServerName::IpAddress(remote.ip().into())),
        Some(name) => ServerName::try_from(name.trim_end_matches('.').to_owned())
            .map_err(|_| format!("`{name}` is not the name of a server")),
    }
}

fn in_words(error: io::Error) -> io::Error {
    let is_tls = error.get_ref().is_some_and(|inner| inner.is::<Error>());
    match is_tls {
        true => io::Error::other(words_of_io(&error)),
        false => error,
    }
}
