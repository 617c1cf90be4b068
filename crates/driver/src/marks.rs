//! Marks of ECN: whether the sockets of this system tell them, and what a socket needs to tell them.

use std::io;
#[cfg(any(target_os = "linux", target_os = "android"))]
use std::os::fd::AsFd;
use std::sync::LazyLock;

use quinn_udp::UdpSocketState;
use socket2::{Domain, Protocol, Socket, Type};

/// Asked once for the process: what a system can do with one socket it can do with all.
pub(crate) fn are_told() -> bool {
    static TOLD: LazyLock<bool> = LazyLock::new(|| {
        let asked = asked(Domain::IPV4).or_else(|_| asked(Domain::IPV6));
        let told = asked.is_ok_and(|(told, _)| told);
        if !told {
            tracing::debug!("sockets do not tell ECN marks: data channels go without");
        }
        told
    });
    *TOLD
}

/// A socket without an address that a driver keeps open: Linux patches its own code, and stops all cores for it,
/// when the first socket that merges datagrams opens and when the last one closes. Peers that come and go one by
/// one would pay for both.
pub(crate) fn pattern() -> Option<Socket> {
    asked(Domain::IPV4).ok().map(|(_, socket)| socket)
}

/// Makes a socket as the shards do, and looks whether the system has taken up what was asked of it.
fn asked(family: Domain) -> io::Result<(bool, Socket)> {
    let socket = Socket::new(family, Type::DGRAM, Some(Protocol::UDP))?;
    UdpSocketState::new((&socket).into())?;
    give_room(&socket);
    let told = tells(&socket, family)?;
    Ok((told, socket))
}

/// The library asks for the time of each datagram. Nobody here reads it, and of what the system tells beside a
/// datagram there is no room for the mark any more when it comes with a time.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn give_room(socket: &impl AsFd) {
    use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};
    let _ = setsockopt(socket, ReceiveTimestampns, &false);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn give_room<T>(_: &T) {}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    windows
))]
fn tells(socket: &Socket, family: Domain) -> io::Result<bool> {
    match family {
        Domain::IPV4 => socket.recv_tos_v4(),
        _ => socket.recv_tclass_v6(),
    }
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    windows
)))]
fn tells(_: &Socket, _: Domain) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_marks_of_either_family() {
        assert!(are_told());
        assert!(asked(Domain::IPV4).unwrap().0);
        // A machine may have no IPv6; one that has it tells.
        assert!(asked(Domain::IPV6).map_or(true, |(told, _)| told));
    }
}
