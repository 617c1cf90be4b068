//! What the network answered to datagrams that it could not deliver.

use std::net::SocketAddr;

use esp_wire::{Input, SocketId};
use mio::net::UdpSocket;

/// Answers read in one go; a flood of them loses some.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ANSWERS: usize = 256;

/// Bytes of UDP's header, and of IP's by its version.
#[cfg(any(target_os = "linux", target_os = "android"))]
const HEADERS: [usize; 3] = [8, 20, 40];

/// What the network answered.
#[cfg_attr(not(any(target_os = "linux", target_os = "android")), allow(dead_code))]
pub(super) enum Answer {
    /// The destination cannot be reached.
    Unreachable,
    /// A datagram has at most this many bytes.
    TooBig(usize),
}

impl Answer {
    /// What a peer is told of it.
    pub(super) fn input(self, socket: SocketId, remote: SocketAddr) -> Input<'static> {
        match self {
            Answer::Unreachable => Input::Unreachable { socket, remote },
            Answer::TooBig(size) => Input::TooBig {
                socket,
                remote,
                size,
            },
        }
    }
}

/// Reads the socket's queue of errors (ip(7), `IP_RECVERR`) and tells what it says of each destination.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn read_answers(io: &UdpSocket, mut tell: impl FnMut(SocketAddr, Answer)) {
    use std::io::IoSliceMut;
    use std::os::fd::AsRawFd;

    use nix::errno::Errno;
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};

    /// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6`.
    const FROM_NETWORK: [u8; 2] = [2, 3];

    let mut control = vec![0; 512];
    let mut data = [0; 1];
    for _ in 0..ANSWERS {
        let mut parts = [IoSliceMut::new(&mut data)];
        let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
        let answer =
            match recvmsg::<SockaddrStorage>(io.as_raw_fd(), &mut parts, Some(&mut control), flags)
            {
                Ok(answer) => answer,
                Err(Errno::EINTR) => continue,
                Err(_) => return,
            };
        let Some(to) = answer.address.as_ref().and_then(address) else {
            continue;
        };
        let Ok(parts) = answer.cmsgs() else {
            continue;
        };
        for part in parts {
            let (ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _)) = part
            else {
                continue;
            };
            let too_big = i32::try_from(error.ee_errno)
                .is_ok_and(|errno| Errno::from_raw(errno) == Errno::EMSGSIZE);
            if too_big {
                let [udp, v4, v6] = HEADERS;
                let ip = if to.is_ipv4() { v4 } else { v6 };
                tell(
                    to,
                    Answer::TooBig((error.ee_info as usize).saturating_sub(udp + ip)),
                );
            } else if FROM_NETWORK.contains(&error.ee_origin) {
                tell(to, Answer::Unreachable);
            }
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn address(found: &nix::sys::socket::SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = found.as_sockaddr_in() {
        return Some(SocketAddr::V4((*v4).into()));
    }
    found
        .as_sockaddr_in6()
        .map(|v6| SocketAddr::V6((*v6).into()))
}

/// Other systems tell nothing of an unconnected socket.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn read_answers(_: &UdpSocket, _: impl FnMut(SocketAddr, Answer)) {}
