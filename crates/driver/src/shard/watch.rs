//! Word from the system that an interface or an address came or went.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) use self::netlink::Watch;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) use self::silence::Watch;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod netlink {
    use std::io;
    use std::os::fd::{AsRawFd, OwnedFd};

    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};
    use nix::errno::Errno;
    use nix::sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
    };

    /// `RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR` (rtnetlink(7)).
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;

    /// A socket that the kernel writes to when interfaces or addresses change.
    pub(in crate::shard) struct Watch {
        socket: OwnedFd,
    }

    impl Watch {
        /// Opens it; `None` where the system has no such thing.
        pub(in crate::shard) fn open(registry: &Registry, token: Token) -> Option<Self> {
            match Self::try_open(registry, token) {
                Ok(watch) => Some(watch),
                Err(error) => {
                    tracing::debug!(%error, "the system does not tell of address changes");
                    None
                }
            }
        }

        fn try_open(registry: &Registry, token: Token) -> io::Result<Self> {
            let socket = socket(
                AddressFamily::Netlink,
                SockType::Raw,
                SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC,
                SockProtocol::NetlinkRoute,
            )?;
            bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS))?;
            registry.register(
                &mut SourceFd(&socket.as_raw_fd()),
                token,
                Interest::READABLE,
            )?;
            Ok(Watch { socket })
        }

        /// Reads all that waits; what it says does not matter, the addresses are read anew. `true` when there was
        /// something.
        pub(in crate::shard) fn drain(&self) -> bool {
            let mut buffer = [0; 4_096];
            let mut told = false;
            loop {
                match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                    // More came than the socket holds: that is word enough.
                    Ok(1..) | Err(Errno::ENOBUFS) => told = true,
                    Err(Errno::EINTR) => {}
                    Ok(0) | Err(_) => return told,
                }
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod silence {
    use mio::{Registry, Token};

    /// No word: the addresses are looked at in intervals.
    pub(in crate::shard) enum Watch {}

    impl Watch {
        pub(in crate::shard) fn open(_: &Registry, _: Token) -> Option<Self> {
            None
        }

        pub(in crate::shard) fn drain(&self) -> bool {
            match *self {}
        }
    }
}
