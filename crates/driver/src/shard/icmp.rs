//! What the network answered to datagrams that it could not deliver.

use std::net::SocketAddr;

use mio::net::UdpSocket;

/// Answers read in one go; a flood of them loses some.
#[cfg(any(target_os = "linux", target_os = "android"))]
const ANSWERS: usize = 256;

/// Reads the socket's queue of errors (ip(7), `IP_RECVERR`) and tells every destination that cannot be
/// reached.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn read_unreachable(io: &UdpSocket, mut tell: impl FnMut(SocketAddr)) {
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
            // "Too big" is for path MTU discovery, which finds out by itself.
            let too_big = i32::try_from(error.ee_errno)
                .is_ok_and(|errno| Errno::from_raw(errno) == Errno::EMSGSIZE);
            if FROM_NETWORK.contains(&error.ee_origin) && !too_big {
                tell(to);
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
pub(super) fn read_unreachable(_: &UdpSocket, _: impl FnMut(SocketAddr)) {}
