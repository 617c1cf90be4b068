//! A link to a room server that can die while both of its ends believe that it lives.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Outcome, wait};

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Those of the client.
    ToServer,
    /// Those of the server.
    ToClient,
}

/// Carries connections to a room server; of WebSockets it swallows messages when it is told to.
///
/// What shows that a link lives, pings and pongs, passes all the time, and so do the client's registration and what
/// the server tells of presence.
#[derive(Debug)]
pub struct DeadLink {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    server: Mutex<Option<SocketAddr>>,
    /// Which messages are swallowed, from the first one on with this word in it; and what they said.
    dead: Mutex<Option<(Way, String)>>,
    swallowed: Mutex<Vec<String>>,
    /// Both ends of each connection.
    open: Mutex<Vec<TcpStream>>,
    ending: AtomicBool,
}

impl DeadLink {
    /// A link that leads nowhere yet.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new() -> Outcome<Self> {
        let failed = |error: std::io::Error| format!("a link: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shared = Arc::<Shared>::default();
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                for client in listener.incoming().flatten() {
                    if shared.ending.load(Ordering::Relaxed) {
                        return;
                    }
                    // A client that finds no server finds its connection closed.
                    let _ = shared.carry(client);
                }
            }
        });
        Ok(DeadLink {
            address,
            shared,
            thread: Some(thread),
        })
    }

    /// Leads to this server from now on.
    pub fn lead_to(&self, server: SocketAddr) {
        *locked(&self.shared.server) = Some(server);
    }

    /// The root URL under which it shows the server.
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.address.port())
    }

    /// From the first one on with `word` in it, messages of this way are swallowed.
    pub fn die_with(&self, way: Way, word: &str) {
        locked(&self.shared.swallowed).clear();
        *locked(&self.shared.dead) = Some((way, word.to_owned()));
    }

    /// Waits until a message was swallowed.
    ///
    /// # Errors
    /// When that does not happen.
    pub fn has_swallowed(&self, patience: Duration) -> Outcome<()> {
        wait::until("nothing was swallowed", patience, || {
            (!locked(&self.shared.swallowed).is_empty()).then_some(())
        })
    }

    /// Closes every connection that is there; those that follow live.
    pub fn revive(&self) {
        *locked(&self.shared.dead) = None;
        self.shared.close_all();
    }
}

impl Drop for DeadLink {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.shared.close_all();
    }
}

impl Shared {
    fn carry(self: &Arc<Self>, client: TcpStream) -> std::io::Result<()> {
        let Some(server) = *locked(&self.server) else {
            return Ok(());
        };
        let server = TcpStream::connect(server)?;
        for stream in [&client, &server] {
            stream.set_nodelay(true)?;
            locked(&self.open).push(stream.try_clone()?);
        }
        for (way, from, to) in [
            (Way::ToServer, client.try_clone()?, server.try_clone()?),
            (Way::ToClient, server, client),
        ] {
            let shared = Arc::clone(self);
            thread::spawn(move || {
                shared.pump(way, &from, &to);
                for stream in [from, to] {
                    // The other direction has ended with this one.
                    let _ = stream.shutdown(Shutdown::Both);
                }
            });
        }
        Ok(())
    }

    fn close_all(&self) {
        for stream in locked(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Carries bytes until one end closes.
    fn pump(&self, way: Way, mut from: &TcpStream, mut to: &TcpStream) {
        let mut head = Some(Vec::new());
        let mut frames = Frames::default();
        let mut buffer = [0; 16_384];
        loop {
            let Ok(length @ 1..) = from.read(&mut buffer) else {
                return;
            };
            let bytes = &buffer[..length];
            let passed = match is_socket(&mut head, bytes) {
                Some(rest) => {
                    let (plain, framed) = bytes.split_at(length - rest);
                    let mut passed = plain.to_vec();
                    frames.bytes.extend_from_slice(framed);
                    while let Some((frame, text)) = frames.next() {
                        if !self.swallows(way, &text, frames.texts) {
                            passed.extend(frame);
                        }
                    }
                    passed
                }
                None => bytes.to_vec(),
            };
            if to.write_all(&passed).is_err() {
                return;
            }
        }
    }

    fn swallows(&self, way: Way, text: &Option<String>, number: usize) -> bool {
        let Some(text) = text else { return false };
        let spared = match way {
            Way::ToServer => number == 1,
            Way::ToClient => text.contains("\"present\""),
        };
        let dead = locked(&self.dead);
        let Some((dying, word)) = dead.as_ref() else {
            return false;
        };
        let mut swallowed = locked(&self.swallowed);
        let begun = !swallowed.is_empty() || text.contains(word);
        if spared || *dying != way || !begun {
            return false;
        }
        swallowed.push(text.clone());
        true
    }
}

/// How many of these bytes belong to a WebSocket, if this connection is one: all those behind its head.
fn is_socket(head: &mut Option<Vec<u8>>, bytes: &[u8]) -> Option<usize> {
    let Some(begun) = head else {
        return Some(bytes.len());
    };
    begun.extend_from_slice(bytes);
    let end = begun.windows(4).position(|it| it == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&begun[..end]).to_lowercase();
    let rest = begun.len() - end;
    if text.contains("upgrade: websocket") && rest <= bytes.len() {
        *head = None;
        return Some(rest);
    }
    None
}

/// The frames of one direction of a WebSocket (RFC 6455 §5.2).
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// How many texts there were.
    texts: usize,
}

impl Frames {
    /// The next whole frame, and what it says if it is a text.
    fn next(&mut self) -> Option<(Vec<u8>, Option<String>)> {
        let byte = |at: usize| self.bytes.get(at).copied();
        let (opcode, second) = (byte(0)? & 0xf, byte(1)?);
        let (length, mut at) = match second & 0x7f {
            126 => (usize::from(u16::from_be_bytes([byte(2)?, byte(3)?])), 4),
            127 => {
                let length: [u8; 8] = self.bytes.get(2..10)?.try_into().ok()?;
                (usize::try_from(u64::from_be_bytes(length)).ok()?, 10)
            }
            short => (usize::from(short), 2),
        };
        let mut mask = [0; 4];
        if second & 0x80 != 0 {
            mask = self.bytes.get(at..at + 4)?.try_into().ok()?;
            at += 4;
        }
        let payload = self.bytes.get(at..at + length)?.iter();
        let text = (opcode == 1).then(|| {
            let plain = payload.zip(mask.iter().cycle()).map(|(a, b)| a ^ b);
            String::from_utf8_lossy(&plain.collect::<Vec<u8>>()).into_owned()
        });
        self.texts += usize::from(text.is_some());
        let frame = self.bytes.drain(..at + length).collect();
        Some((frame, text))
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
