//! What networks do to engines that know of sockets.

use std::net::{IpAddr, SocketAddr};

use esp_wire::{Ecn, Input, QueryId, SocketId};

use crate::Bytes;

/// A datagram on its way.
#[derive(Clone)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A socket, mostly one that is open, and a far end.
pub(crate) fn place(
    bytes: &mut Bytes<'_>,
    sockets: &[(SocketId, SocketAddr)],
) -> (SocketId, SocketAddr) {
    let (choice, host) = (bytes.u8(), bytes.u8());
    let socket = sockets
        .get(usize::from(choice))
        .map_or(SocketId(u32::from(choice)), |(socket, _)| *socket);
    let remote = match host % 4 {
        0 => SocketAddr::from(([192, 0, 2, host], 3_478)),
        1 => SocketAddr::from(([10, 1, 0, 1], 1_001)),
        2 => SocketAddr::from(([10, 0, 0, 1], u16::from(host) + 999)),
        _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], 9)),
    };
    (socket, remote)
}

/// Datagrams of `size` bytes each but for the last.
pub(crate) fn datagrams(
    socket: SocketId,
    remote: SocketAddr,
    size: usize,
    data: &mut [u8],
) -> Input<'_> {
    Input::Datagrams {
        socket,
        remote,
        ecn: Ecn::NotEct,
        size,
        data,
    }
}

const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)),
    IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
];

/// An input that may come at a time when nobody waits for it.
pub(crate) fn odd_input(
    code: u8,
    socket: SocketId,
    remote: SocketAddr,
    data: &mut [u8],
) -> Input<'_> {
    match code % 7 {
        0 => Input::Closed {
            socket,
            reason: "it broke",
        },
        1 => Input::Unreachable { socket, remote },
        2 => Input::Writable { socket },
        3 => Input::StreamOpened {
            stream: socket,
            local: SocketAddr::from(([10, 0, 0, 1], 7)),
            remote,
        },
        4 => Input::StreamBytes {
            stream: socket,
            data,
        },
        5 => Input::Resolved {
            query: QueryId(socket.0),
            addresses: &ADDRESSES[usize::from(data.len() > 4)..],
        },
        _ => Input::Bound {
            socket,
            local: remote,
        },
    }
}
