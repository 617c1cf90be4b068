//! A way between device and page that loses datagrams: each sees the relay in the place of the other.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::{Outcome, wait};

/// How often a thread looks whether it is to end.
const TURN: Duration = Duration::from_millis(200);
/// How long it may take to hear of another loss.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries datagrams between two ends; of DTLS it loses as many as it is told, by the same dice every time.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// The socket that each end sees, the device's first, and where that end is.
    sides: [UdpSocket; 2],
    ends: [Mutex<Option<SocketAddr>>; 2],
    /// Says how many of a thousand datagrams are lost, as a datagram behind those that came before.
    voice: UdpSocket,
    voice_at: SocketAddr,
    /// The number of the last word; an echo of an earlier one is none of this one.
    word: AtomicU32,
    /// The sizes of what was lost on its way from each end.
    lost: [Mutex<Vec<usize>>; 2],
    ending: AtomicBool,
}

/// The length of a word: its number, and how many of a thousand are lost.
const WORD: usize = 8;

fn word(number: u32, of_a_thousand: u32) -> [u8; WORD] {
    ((u64::from(number) << 32) | u64::from(of_a_thousand)).to_be_bytes()
}

const DEVICE: usize = 0;
const PAGE: usize = 1;

impl Relay {
    /// One that loses nothing yet.
    ///
    /// # Errors
    /// When no socket can be had.
    pub fn new() -> Outcome<Self> {
        let socket = || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
            socket.set_read_timeout(Some(TURN))?;
            Ok(socket)
        };
        let failed = |error: std::io::Error| format!("a relay: {error}");
        let voice = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        voice.set_read_timeout(Some(TURN)).map_err(failed)?;
        let shared = Arc::new(Shared {
            sides: [socket().map_err(failed)?, socket().map_err(failed)?],
            ends: Default::default(),
            voice_at: voice.local_addr().map_err(failed)?,
            voice,
            word: AtomicU32::new(0),
            lost: Default::default(),
            ending: AtomicBool::new(false),
        });
        let threads = [DEVICE, PAGE].map(|from| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.carry(from))
        });
        Ok(Relay {
            shared,
            threads: threads.into(),
        })
    }

    /// From now on, loses so many of a thousand datagrams, both ways; what was sent to it before has met with the
    /// loss of before.
    ///
    /// # Errors
    /// When the relay does not hear of it.
    pub fn lose(&self, of_a_thousand: u32) -> Outcome<()> {
        let number = self.shared.word.fetch_add(1, Ordering::Relaxed);
        let word = word(number, of_a_thousand);
        for side in &self.shared.sides {
            let port = side.local_addr().map_err(|error| error.to_string())?.port();
            let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            wait::until("the relay does not hear", PATIENCE, || {
                self.shared.voice.send_to(&word, at).ok()?;
                let mut echo = [0; WORD];
                loop {
                    // The echo of an earlier word may be before it.
                    let (_, from) = self.shared.voice.recv_from(&mut echo).ok()?;
                    if from == at && echo == word {
                        return Some(());
                    }
                }
            })?;
        }
        Ok(())
    }

    /// How many datagrams the system has dropped on their way to the page, because somebody did not read in time.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn dropped_to_page(&self) -> Outcome<usize> {
        self.dropped_from(DEVICE)
    }

    /// The same on their way to the device.
    ///
    /// # Errors
    /// As for [`dropped_to_page`](Self::dropped_to_page).
    pub fn dropped_to_device(&self) -> Outcome<usize> {
        self.dropped_from(PAGE)
    }

    fn dropped_from(&self, end: usize) -> Outcome<usize> {
        let here = self.shared.sides[end].local_addr();
        let here = here.map_err(|error| error.to_string())?.port();
        let there = locked(&self.shared.ends[1 - end]).map(|there| there.port());
        let sockets = fs::read_to_string("/proc/net/udp").map_err(|error| error.to_string())?;
        let drops = sockets.lines().filter_map(|line| {
            let (_, at) = line.split_whitespace().nth(1)?.rsplit_once(':')?;
            let port = u16::from_str_radix(at, 16).ok()?;
            let drops: usize = line.split_whitespace().next_back()?.parse().ok()?;
            (port == here || Some(port) == there).then_some(drops)
        });
        Ok(drops.sum())
    }

    /// How many datagrams of these sizes it has lost on their way to the page.
    pub fn lost_to_page(&self, sizes: RangeInclusive<usize>) -> usize {
        self.lost_from(DEVICE, &sizes)
    }

    /// How many bytes it has lost on their way to the device.
    pub fn lost_bytes_to_device(&self) -> usize {
        locked(&self.shared.lost[PAGE]).iter().sum()
    }

    /// How many datagrams of these sizes it has lost on their way to the device.
    pub fn lost_to_device(&self, sizes: RangeInclusive<usize>) -> usize {
        self.lost_from(PAGE, &sizes)
    }

    fn lost_from(&self, end: usize, sizes: &RangeInclusive<usize>) -> usize {
        let lost = locked(&self.shared.lost[end]);
        lost.iter().filter(|size| sizes.contains(size)).count()
    }

    /// The device's description, with the relay in the device's place.
    ///
    /// # Errors
    /// When it has no address that the relay can use.
    pub fn stand_in_for_device(&self, sdp: &str) -> Outcome<String> {
        self.stand_in(DEVICE, sdp)
    }

    /// The page's description, with the relay in the page's place.
    ///
    /// # Errors
    /// As for the device.
    pub fn stand_in_for_page(&self, sdp: &str) -> Outcome<String> {
        self.stand_in(PAGE, sdp)
    }

    /// Notes where an end is and puts the socket there that the other end is to see.
    fn stand_in(&self, end: usize, sdp: &str) -> Outcome<String> {
        let port = self.shared.sides[1 - end]
            .local_addr()
            .map_err(|error| error.to_string())?
            .port();
        let mut found = None;
        let mut told = String::new();
        for line in sdp.lines() {
            let Some(candidate) = line.strip_prefix("a=candidate:") else {
                told.extend([line, "\r\n"]);
                continue;
            };
            let fields: Vec<&str> = candidate.split_whitespace().collect();
            if let [
                foundation,
                "1",
                transport,
                priority,
                ip,
                at,
                "typ",
                "host",
                ..,
            ] = fields[..]
                && found.is_none()
                && transport.eq_ignore_ascii_case("udp")
                && let Ok(ip) = ip.parse::<Ipv4Addr>()
                && let Ok(at) = at.parse::<u16>()
            {
                found = Some(SocketAddr::from((ip, at)));
                told.push_str(&format!(
                    "a=candidate:{foundation} 1 udp {priority} {ip} {port} typ host\r\n"
                ));
            }
        }
        let Some(address) = found else {
            return Err(format!("no IPv4 address in:\n{sdp}"));
        };
        *locked(&self.shared.ends[end]) = Some(address);
        Ok(told)
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Carries what one end sends to the other.
    fn carry(&self, from: usize) {
        let to = 1 - from;
        let mut dice = 0x2545_f491_4f6c_dd1d_u64.wrapping_add(from as u64);
        let mut datagram = [0; 65_536];
        let mut loss = 0;
        while !self.ending.load(Ordering::Relaxed) {
            let Ok((length, by)) = self.sides[from].recv_from(&mut datagram) else {
                continue;
            };
            if by == self.voice_at
                && let Some((_, of_a_thousand)) = datagram[..length].split_last_chunk()
            {
                loss = u64::from(u32::from_be_bytes(*of_a_thousand));
                // What is lost is said again.
                let _ = self.sides[from].send_to(&datagram[..length], by);
                continue;
            }
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            let is_dtls = (20..64).contains(&datagram[0]);
            if is_dtls && dice % 1_000 < loss {
                locked(&self.lost[from]).push(length);
                continue;
            }
            let end = *locked(&self.ends[to]);
            if let Some(end) = end {
                // What does not go out is lost too.
                let _ = self.sides[to].send_to(&datagram[..length], end);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DTLS: [u8; 3] = [23, 254, 253];

    fn description(end: &UdpSocket) -> String {
        let port = end.local_addr().expect("bound").port();
        format!("a=candidate:1 1 udp 1 127.0.0.1 {port} typ host\r\n")
    }

    fn port(sdp: &str) -> u16 {
        let port = sdp.split_whitespace().nth(5).expect("a port");
        port.parse().expect("a number")
    }

    #[test]
    fn what_is_sent_before_a_word_meets_the_loss_of_before() {
        let relay = Relay::new().expect("sockets");
        let [device, page] = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        let seen = relay.stand_in_for_device(&description(&device));
        let to_device = ("127.0.0.1", port(&seen.expect("an address")));
        relay
            .stand_in_for_page(&description(&page))
            .expect("an address");
        for _ in 0..100 {
            relay.lose(1_000).expect("heard");
            page.send_to(&DTLS, to_device).expect("sent");
            relay.lose(0).expect("heard");
            page.send_to(&[0x80; 5], to_device).expect("sent");
            let mut datagram = [0; 16];
            assert_eq!(device.recv(&mut datagram).expect("one that is not lost"), 5);
        }
        assert_eq!(relay.lost_to_device(3..=3), 100);
    }
}
