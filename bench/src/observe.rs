//! What travels, seen on the loopback interface itself: how large datagrams are, and which
//! version of DTLS protects them.
//!
//! A packet socket with virtio headers tells the segment size of what travels as one big
//! buffer (GSO), so trains are told from large datagrams. Needs the right to open packet sockets.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Watches the loopback interface until it is asked.
pub(crate) struct Observer {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<HashMap<u16, Sight>>,
}

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    /// Bytes of UDP payload of the largest datagram.
    pub(crate) largest: u64,
    /// The version of DTLS, told by protected records.
    pub(crate) version: Option<&'static str>,
}

impl Sight {
    fn add(&mut self, other: Sight) {
        self.largest = self.largest.max(other.largest);
        self.version = self.version.or(other.version);
    }
}

const VIRTIO_HEADER: usize = 10;
const ETHERNET_HEADER: usize = 14;
const UDP_HEADER: usize = 8;
/// That of a plain record of DTLS.
const RECORD_HEADER: usize = 13;

/// A packet socket on the loopback interface; `None` without the right to have one.
fn open() -> Option<i32> {
    // SAFETY: plain system calls on a descriptor of our own, with pointers to locals.
    unsafe {
        let ip = (libc::ETH_P_IP as u16).to_be();
        let socket = libc::socket(libc::AF_PACKET, libc::SOCK_RAW, i32::from(ip));
        if socket < 0 {
            return None;
        }
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = ip;
        address.sll_ifindex = libc::if_nametoindex(c"lo".as_ptr()) as i32;
        let on: i32 = 1;
        let wait = libc::timeval {
            tv_sec: 0,
            tv_usec: 50_000,
        };
        let bound = libc::bind(
            socket,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_ll>() as u32,
        );
        libc::setsockopt(
            socket,
            libc::SOL_PACKET,
            libc::PACKET_VNET_HDR,
            (&raw const on).cast(),
            4,
        );
        libc::setsockopt(
            socket,
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const wait).cast(),
            size_of::<libc::timeval>() as u32,
        );
        (bound == 0).then_some(socket)
    }
}

/// The source port of what a packet socket gave, and what can be seen of it.
fn look(packet: &[u8]) -> Option<(u16, Sight)> {
    let gso_type = *packet.get(1)?;
    let gso_size = u16::from_ne_bytes([*packet.get(4)?, *packet.get(5)?]);
    let ip = packet.get(VIRTIO_HEADER + ETHERNET_HEADER..)?;
    if ip.first()? >> 4 != 4 || *ip.get(9)? != 17 {
        return None;
    }
    let udp = ip.get(usize::from(ip[0] & 15) * 4..)?;
    let port = u16::from_be_bytes([*udp.first()?, *udp.get(1)?]);
    let length = u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]);
    let largest = match gso_type {
        0 => u64::from(length).saturating_sub(UDP_HEADER as u64),
        _ => u64::from(gso_size),
    };
    let version = protection(udp.get(UDP_HEADER..)?);
    Some((port, Sight { largest, version }))
}

/// The version of DTLS behind a protected record: 1.3 has headers of its own for them (RFC 9147
/// §4), 1.2 has the usual ones with an epoch that is not 0, often behind plain ones.
fn protection(mut datagram: &[u8]) -> Option<&'static str> {
    loop {
        match datagram.first()? {
            0x20..=0x3f => return Some("DTLS 1.3"),
            20..=26 if datagram.get(3..5)? != [0, 0] => return Some("DTLS 1.2"),
            20..=26 => {
                let length = u16::from_be_bytes([*datagram.get(11)?, *datagram.get(12)?]);
                datagram = datagram.get(RECORD_HEADER + usize::from(length)..)?;
            }
            _ => return None,
        }
    }
}

/// The UDP ports of this process: what it holds open, looked up in the tables of the kernel.
fn own_ports() -> HashSet<u16> {
    let sockets: HashSet<String> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.ok()?.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let mut ports = HashSet::new();
    for table in ["/proc/self/net/udp", "/proc/self/net/udp6"] {
        let text = std::fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(inode)) = (columns.get(1), columns.get(9)) else {
                continue;
            };
            let port = local
                .rsplit(':')
                .next()
                .map(|it| u16::from_str_radix(it, 16));
            if let (Some(Ok(port)), true) = (port, sockets.contains(*inode)) {
                ports.insert(port);
            }
        }
    }
    ports
}

impl Observer {
    /// Starts to watch; `None` without the right to do so.
    pub(crate) fn start() -> Option<Self> {
        let socket = open()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen: HashMap<u16, Sight> = HashMap::new();
            let mut buffer = vec![0_u8; 1_536];
            while !stopped.load(Ordering::Relaxed) {
                // SAFETY: the kernel writes at most what the buffer holds.
                let got =
                    unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
                if let Ok(got) = usize::try_from(got)
                    && let Some((port, sight)) = look(&buffer[..got])
                {
                    seen.entry(port).or_default().add(sight);
                }
            }
            // SAFETY: the descriptor is ours and nobody uses it any more.
            unsafe { libc::close(socket) };
            seen
        });
        Some(Observer { stop, thread })
    }

    /// What the sockets sent that this process has open now.
    pub(crate) fn finish(self) -> Sight {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.thread.join().unwrap_or_default();
        let own = own_ports();
        let mut all = Sight::default();
        for (port, sight) in seen {
            if own.contains(&port) {
                all.add(sight);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::protection;

    #[test]
    fn versions_are_told_by_protected_records() {
        let plain = [22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0xaa];
        let sealed = [22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xaa];
        assert_eq!(protection(&plain), None);
        assert_eq!(protection(&sealed), Some("DTLS 1.2"));
        let both: Vec<u8> = plain.iter().chain(&sealed).copied().collect();
        assert_eq!(protection(&both), Some("DTLS 1.2"));
        assert_eq!(protection(&[0x2e, 0, 1]), Some("DTLS 1.3"));
        assert_eq!(protection(&[0x80, 0x60]), None);
        assert_eq!(protection(&[]), None);
    }
}
