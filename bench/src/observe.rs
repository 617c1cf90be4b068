//! How large datagrams are on the wire, seen on the loopback interface itself.
//!
//! A packet socket with virtio headers tells the segment size of what travels as one big
//! buffer (GSO), so trains are told from large datagrams. Needs the right to open packet sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Watches the loopback interface until it is asked.
pub(crate) struct Observer {
    largest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

const VIRTIO_HEADER: usize = 10;

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

/// The UDP payload of one datagram in what a packet socket gave.
fn payload(packet: &[u8]) -> Option<u64> {
    let gso_type = *packet.get(1)?;
    let gso_size = u16::from_ne_bytes([*packet.get(4)?, *packet.get(5)?]);
    let ip = packet.get(VIRTIO_HEADER + 14..)?;
    if ip.first()? >> 4 != 4 || *ip.get(9)? != 17 {
        return None;
    }
    if gso_type != 0 {
        return Some(u64::from(gso_size));
    }
    let udp = ip.get(usize::from(ip[0] & 15) * 4..)?;
    let length = u16::from_be_bytes([*udp.get(4)?, *udp.get(5)?]);
    Some(u64::from(length).saturating_sub(8))
}

impl Observer {
    /// Starts to watch; `None` without the right to do so.
    pub(crate) fn start() -> Option<Self> {
        let socket = open()?;
        let largest = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, stopped) = (Arc::clone(&largest), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = vec![0_u8; 256];
            while !stopped.load(Ordering::Relaxed) {
                // SAFETY: the kernel writes at most what the buffer holds.
                let got =
                    unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
                if let Ok(got) = usize::try_from(got)
                    && let Some(size) = payload(&buffer[..got])
                {
                    seen.fetch_max(size, Ordering::Relaxed);
                }
            }
            // SAFETY: the descriptor is ours and nobody uses it any more.
            unsafe { libc::close(socket) };
        });
        Some(Observer {
            largest,
            stop,
            thread,
        })
    }

    /// The largest datagram seen, in bytes of UDP payload.
    pub(crate) fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            return 0;
        }
        self.largest.load(Ordering::Relaxed)
    }
}
