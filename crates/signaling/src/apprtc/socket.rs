//! The WebSocket, without blocking: connected, secured and upgraded under one deadline.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tungstenite::client::IntoClientRequest;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use crate::url::Url;

/// A command or a stop is waiting.
pub(super) const WAKE: Token = Token(0);
const SOCKET: Token = Token(1);

/// Why a WebSocket could not be opened.
pub(super) enum NotOpen {
    /// It may work later.
    Lost(String),
    /// The server answered with a status other than 101.
    Refused(String),
    /// We were told to stop.
    Stopped,
}

/// What the server sent.
pub(super) enum Heard {
    Text(String),
    /// A ping, a pong or something that is none of ours.
    Life,
}

pub(super) struct Socket {
    socket: WebSocket<Stream>,
    /// Our address.
    local: Option<IpAddr>,
}

/// What an opening needs.
pub(super) struct Opening<'a> {
    pub(super) url: &'a Url,
    pub(super) origin: String,
    pub(super) tls: &'a Arc<ClientConfig>,
    pub(super) timeout: Duration,
    pub(super) message_size: usize,
    pub(super) stopping: &'a dyn Fn() -> bool,
}

impl Socket {
    pub(super) fn open(poll: &mut Poll, opening: &Opening<'_>) -> Result<Self, NotOpen> {
        let deadline = Instant::now() + opening.timeout;
        let unreachable = |error: io::Error| {
            NotOpen::Lost(format!(
                "{} cannot be reached: {error}",
                opening.url.origin()
            ))
        };
        let addresses: Vec<SocketAddr> = (opening.url.host.as_str(), opening.url.port)
            .to_socket_addrs()
            .map_err(unreachable)?
            .collect();
        let mut last = io::Error::new(ErrorKind::NotFound, "its name has no address");
        for (index, address) in addresses.iter().enumerate() {
            // One dead address must not use up the time of the others.
            let rest = deadline.saturating_duration_since(Instant::now());
            let share = rest / u32::try_from(addresses.len() - index).unwrap_or(1);
            let until = Instant::now() + share;
            match connect(poll, *address, until, opening.stopping)? {
                Ok(stream) => return upgrade(poll, opening, stream, deadline),
                Err(error) => last = error,
            }
        }
        Err(unreachable(last))
    }

    /// Queues a text and sends what the network takes.
    pub(super) fn send(&mut self, text: String) -> Result<(), String> {
        settle(self.socket.send(Message::text(text)))
    }

    pub(super) fn ping(&mut self) -> Result<(), String> {
        settle(self.socket.send(Message::Ping(Vec::new().into())))
    }

    /// Sends what is queued, pongs included.
    pub(super) fn flush(&mut self) -> Result<(), String> {
        settle(self.socket.flush())
    }

    /// The next message; none when there is none yet.
    pub(super) fn read(&mut self) -> Result<Option<Heard>, String> {
        match self.socket.read() {
            Ok(Message::Text(text)) => Ok(Some(Heard::Text(text.as_str().to_owned()))),
            Ok(Message::Close(frame)) => Err(match frame {
                Some(frame) if !frame.reason.is_empty() => {
                    format!("the room server closed the connection: {}", frame.reason)
                }
                _ => "the room server closed the connection".into(),
            }),
            Ok(_) => Ok(Some(Heard::Life)),
            Err(tungstenite::Error::Io(error)) if is_pending(&error) => Ok(None),
            Err(error) => Err(format!("the connection to the room server broke: {error}")),
        }
    }

    /// Whether our address is gone, with its interface or network: the system would go on trying for minutes.
    pub(super) fn is_stranded(&self) -> bool {
        self.local.is_some_and(is_gone)
    }

    /// Says goodbye; what was queued gets half a second to leave.
    pub(super) fn close(mut self, poll: &mut Poll) {
        let until = Instant::now() + Duration::from_millis(500);
        let mut closing = self.socket.close(None);
        while let Err(tungstenite::Error::Io(error)) = &closing {
            if !is_pending(error) || Instant::now() >= until || wait(poll, until).is_err() {
                break;
            }
            closing = self.socket.flush();
        }
    }
}

fn settle(result: tungstenite::Result<()>) -> Result<(), String> {
    match result {
        Ok(()) => Ok(()),
        Err(tungstenite::Error::Io(error)) if is_pending(&error) => Ok(()),
        Err(error) => Err(format!("the connection to the room server broke: {error}")),
    }
}

/// Whether this host has an address no more.
fn is_gone(address: IpAddr) -> bool {
    let bound = UdpSocket::bind((address, 0));
    bound.is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

fn is_pending(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Waits until something happens or the time has come.
pub(super) fn wait(poll: &mut Poll, until: Instant) -> io::Result<()> {
    let mut events = Events::with_capacity(8);
    let timeout = until.saturating_duration_since(Instant::now());
    match poll.poll(&mut events, Some(timeout)) {
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
        result => result,
    }
}

fn connect(
    poll: &mut Poll,
    address: SocketAddr,
    until: Instant,
    stopping: &dyn Fn() -> bool,
) -> Result<io::Result<TcpStream>, NotOpen> {
    let mut stream = match TcpStream::connect(address) {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    let interest = Interest::READABLE | Interest::WRITABLE;
    if let Err(error) = poll.registry().register(&mut stream, SOCKET, interest) {
        return Ok(Err(error));
    }
    loop {
        if stopping() {
            return Err(NotOpen::Stopped);
        }
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            return Ok(Err(error));
        }
        if stream.peer_addr().is_ok() {
            let _ = stream.set_nodelay(true);
            return Ok(Ok(stream));
        }
        if Instant::now() >= until {
            return Ok(Err(ErrorKind::TimedOut.into()));
        }
        if let Err(error) = wait(poll, until) {
            return Ok(Err(error));
        }
    }
}

fn upgrade(
    poll: &mut Poll,
    opening: &Opening<'_>,
    stream: TcpStream,
    deadline: Instant,
) -> Result<Socket, NotOpen> {
    let lost = |reason: String| {
        NotOpen::Lost(format!(
            "no WebSocket to {}: {reason}",
            opening.url.origin()
        ))
    };
    let local = stream.local_addr().ok().map(|at| at.ip());
    let stream = secure(opening, stream).map_err(lost)?;
    let mut request = opening
        .url
        .to_string()
        .into_client_request()
        .map_err(|error| lost(error.to_string()))?;
    let origin = opening
        .origin
        .parse()
        .map_err(|_| lost("its origin is no header".into()))?;
    request.headers_mut().insert("origin", origin);
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * 1024 * 1024)
        .max_message_size(Some(opening.message_size))
        .max_frame_size(Some(opening.message_size));
    let mut attempt = tungstenite::client::client_with_config(request, stream, Some(config));
    loop {
        let pending = match attempt {
            Ok((socket, _)) => return Ok(Socket { socket, local }),
            Err(HandshakeError::Interrupted(pending)) => pending,
            Err(HandshakeError::Failure(tungstenite::Error::Http(response))) => {
                return Err(NotOpen::Refused(format!(
                    "{} refuses the WebSocket (status {})",
                    opening.url.origin(),
                    response.status()
                )));
            }
            Err(HandshakeError::Failure(tungstenite::Error::Io(error))) => {
                return Err(lost(esp_trust::words_of_io(&error)));
            }
            Err(HandshakeError::Failure(error)) => return Err(lost(error.to_string())),
        };
        if (opening.stopping)() {
            return Err(NotOpen::Stopped);
        }
        if Instant::now() >= deadline {
            return Err(lost("it took too long".into()));
        }
        wait(poll, deadline).map_err(|error| lost(error.to_string()))?;
        attempt = pending.handshake();
    }
}

fn secure(opening: &Opening<'_>, stream: TcpStream) -> Result<Stream, String> {
    if !opening.url.is_secure() {
        return Ok(Stream::Plain(stream));
    }
    let name = ServerName::try_from(opening.url.host.clone())
        .map_err(|_| "its host is not a name or an address".to_owned())?;
    let connection =
        ClientConnection::new(opening.tls.clone(), name).map_err(|error| error.to_string())?;
    Ok(Stream::Tls(Box::new(StreamOwned::new(connection, stream))))
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.read(bytes),
            Stream::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(stream) => stream.write(bytes),
            Stream::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Stream::Plain(stream) => stream.flush(),
            Stream::Tls(stream) => stream.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_others_is_gone() {
        assert!(is_gone("192.0.2.1".parse().unwrap()));
        assert!(!is_gone("127.0.0.1".parse().unwrap()));
    }
}
