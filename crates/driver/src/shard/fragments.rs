//! Leave for the network to cut datagrams in pieces, for those that were laid out for a path that took more.

use mio::net::UdpSocket;

/// As long as it lives, IP may fragment what the socket sends.
pub(super) struct Leave<'a>(&'a UdpSocket);

impl<'a> Leave<'a> {
    pub(super) fn take(io: &'a UdpSocket) -> Self {
        system::set(io, system::FRAGMENTS);
        Leave(io)
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        system::set(self.0, system::WHOLE);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use mio::net::UdpSocket;
    use nix::libc;
    use nix::sys::socket::setsockopt;
    use nix::{setsockopt_impl, sockopt_impl};

    /// ip(7): never fragment, and find the path's MTU by probes.
    pub(super) const WHOLE: i32 = libc::IP_PMTUDISC_PROBE;
    /// ip(7): fragment where need be.
    pub(super) const FRAGMENTS: i32 = libc::IP_PMTUDISC_DONT;

    sockopt_impl!(
        /// `IP_MTU_DISCOVER`.
        V4,
        SetOnly,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::c_int
    );
    sockopt_impl!(
        /// `IPV6_MTU_DISCOVER`, which knows the same values.
        V6,
        SetOnly,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        libc::c_int
    );

    /// A socket takes one of the two, or both; what the other one answers means nothing.
    pub(super) fn set(io: &UdpSocket, discovery: i32) {
        let _ = setsockopt(io, V4, &discovery);
        let _ = setsockopt(io, V6, &discovery);
    }
}

/// Elsewhere such datagrams are lost, and the connection ends by silence.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use mio::net::UdpSocket;

    pub(super) const WHOLE: i32 = 0;
    pub(super) const FRAGMENTS: i32 = 1;

    pub(super) fn set(_: &UdpSocket, _: i32) {}
}
