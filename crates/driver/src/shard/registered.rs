//! What the poll of a shard watches: whose it is, and what is known of it.

use esp_wire::SocketId;

/// A socket, stream or listener that the poll watches, by its token.
pub(super) struct Registered {
    /// The place of its peer; none that is taken when all peers use it.
    pub(super) place: usize,
    /// What its peer calls it.
    pub(super) socket: SocketId,
    /// In line to be read.
    pub(super) queued: bool,
    /// The system has an error to tell.
    pub(super) failing: bool,
    /// A stream or a listener.
    pub(super) stream: bool,
    /// A socket that all peers use, by its number.
    pub(super) common: Option<usize>,
}

impl Registered {
    pub(super) fn of_socket(place: usize, socket: SocketId) -> Self {
        Registered {
            place,
            socket,
            queued: false,
            failing: false,
            stream: false,
            common: None,
        }
    }

    pub(super) fn of_common(number: usize) -> Self {
        Registered {
            common: Some(number),
            ..Registered::of_socket(usize::MAX, SocketId(0))
        }
    }

    pub(super) fn of_stream(place: usize, socket: SocketId) -> Self {
        Registered {
            stream: true,
            ..Registered::of_socket(place, socket)
        }
    }
}
