//! Whether the sockets of this system tell the ECN marks of what they receive, and so may offer to heed them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::LazyLock;

use quinn_udp::UdpSocketState;

/// Asked once for the process: what a system can do with one socket it can do with all.
pub(crate) fn are_told() -> bool {
    static TOLD: LazyLock<bool> = LazyLock::new(|| {
        let told = asked(Ipv4Addr::LOCALHOST.into())
            .or_else(|_| asked(Ipv6Addr::LOCALHOST.into()))
            .unwrap_or(false);
        if !told {
            tracing::debug!("sockets do not tell ECN marks: data channels go without");
        }
        told
    });
    *TOLD
}

/// Opens a socket as the shards do, and looks whether the system has taken up what was asked of it.
fn asked(address: IpAddr) -> io::Result<bool> {
    let socket = UdpSocket::bind((address, 0))?;
    UdpSocketState::new((&socket).into())?;
    tells(&socket, address)
}

#[cfg(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "ios",
    target_os = "freebsd",
    windows
))]
fn tells(socket: &UdpSocket, address: IpAddr) -> io::Result<bool> {
    let socket = socket2::SockRef::from(socket);
    match address {
        IpAddr::V4(_) => socket.recv_tos_v4(),
        IpAddr::V6(_) => socket.recv_tclass_v6(),
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
fn tells(_: &UdpSocket, _: IpAddr) -> io::Result<bool> {
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_marks_of_either_family() {
        assert!(are_told());
        assert!(asked(Ipv4Addr::LOCALHOST.into()).unwrap());
        // A machine may have no IPv6; one that has it tells.
        assert!(asked(Ipv6Addr::LOCALHOST.into()).unwrap_or(true));
    }
}
