//! Which sockets and questions belong to which call.
//!
//! Every call's ICE agent counts its sockets from zero. Their numbers are shifted by a base of the call's
//! own, so that a datagram for a call that has ended is never taken for one of the next.

use std::collections::BTreeSet;

use esp_wire::{Action, Destination, Input, QueryId, SocketId, Train};

/// Numbers that one call may use.
const SPAN: u32 = SocketId::SPAN;

/// The numbers of one call.
#[derive(Debug)]
pub(crate) struct Sockets {
    base: u32,
    open: BTreeSet<SocketId>,
    /// Names that the driver answers for.
    names: BTreeSet<String>,
}

impl Sockets {
    /// The numbers of the `call`th call.
    pub(crate) fn of_call(call: u32) -> Self {
        Sockets {
            base: call.wrapping_mul(SPAN),
            open: BTreeSet::new(),
            names: BTreeSet::new(),
        }
    }

    fn outer(&self, inner: u32) -> u32 {
        self.base.wrapping_add(inner)
    }

    fn inner(&self, outer: u32) -> Option<u32> {
        Some(outer.wrapping_sub(self.base)).filter(|inner| *inner < SPAN)
    }

    /// An action under the numbers that the driver sees.
    pub(crate) fn outward(&mut self, mut action: Action) -> Action {
        match &mut action {
            Action::Bind { socket, .. }
            | Action::Listen { socket, .. }
            | Action::OpenStream { stream: socket, .. } => {
                debug_assert!(socket.0 < SocketId::ACCEPTED, "a number of the driver");
                *socket = SocketId(self.outer(socket.0));
                self.open.insert(*socket);
            }
            Action::Close { socket } => {
                *socket = SocketId(self.outer(socket.0));
                self.open.remove(socket);
            }
            Action::Resolve { query, .. } => *query = QueryId(self.outer(query.0)),
            Action::Publish { name, .. } => {
                self.names.insert(name.clone());
            }
            Action::Withdraw { name } => {
                self.names.remove(name);
            }
        }
        action
    }

    /// Keeps count of the streams that listeners accept, also when the call takes no more input.
    pub(crate) fn note(&mut self, input: &Input<'_>) {
        if let Input::StreamOpened { stream, .. } = input
            && self.inner(stream.0).is_some()
        {
            self.open.insert(*stream);
        }
    }

    /// An input under the numbers that the agent knows; `None` when it is for another call.
    pub(crate) fn inward<'a>(&mut self, mut input: Input<'a>) -> Option<Input<'a>> {
        self.note(&input);
        match &mut input {
            Input::Datagrams { socket, .. }
            | Input::Bound { socket, .. }
            | Input::StreamOpened { stream: socket, .. }
            | Input::StreamBytes { stream: socket, .. }
            | Input::Writable { socket }
            | Input::Unreachable { socket, .. }
            | Input::TooBig { socket, .. } => *socket = SocketId(self.inner(socket.0)?),
            Input::Closed { socket, .. } => {
                let inner = self.inner(socket.0)?;
                self.open.remove(socket);
                *socket = SocketId(inner);
            }
            Input::Resolved { query, .. } => *query = QueryId(self.inner(query.0)?),
            Input::Interfaces(_) => {}
        }
        Some(input)
    }

    /// Whether what a socket brings is for this call.
    pub(crate) fn owns(&self, input: &Input<'_>) -> bool {
        match input {
            Input::Datagrams { socket, .. }
            | Input::StreamBytes { stream: socket, .. }
            | Input::Closed { socket, .. } => self.inner(socket.0).is_some(),
            _ => false,
        }
    }

    /// Puts the driver's number on a train that goes out.
    pub(crate) fn address(&self, train: &mut Train) {
        if let Some(Destination { socket, remote }) = train.destination() {
            train.set_destination(Destination {
                socket: SocketId(self.outer(socket.0)),
                remote,
            });
        }
    }

    /// Takes over what another call still had to close.
    pub(crate) fn close_also(&mut self, action: Action) {
        match action {
            Action::Close { socket } => {
                self.open.insert(socket);
            }
            Action::Withdraw { name } => {
                self.names.insert(name);
            }
            _ => {}
        }
    }

    /// A name that is still answered for, or a socket that is still open, to be given up when the call is over.
    pub(crate) fn close_next(&mut self) -> Option<Action> {
        let name = self.names.pop_first();
        name.map(|name| Action::Withdraw { name }).or_else(|| {
            Some(Action::Close {
                socket: self.open.pop_first()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_call_never_sees_sockets_of_an_earlier_one() {
        let (mut first, mut second) = (Sockets::of_call(0), Sockets::of_call(1));
        let local = "127.0.0.1:0".parse().unwrap();
        let bind = |sockets: &mut Sockets| {
            let socket = SocketId(3);
            sockets.outward(Action::Bind { socket, local })
        };
        let Action::Bind { socket, .. } = bind(&mut first) else {
            panic!("not a bind");
        };
        bind(&mut second);
        assert!(second.inward(Input::Writable { socket }).is_none());
        let Some(Input::Writable { socket: inner }) = first.inward(Input::Writable { socket })
        else {
            panic!("its own socket is unknown");
        };
        assert_eq!(inner, SocketId(3));
        assert_eq!(first.close_next(), Some(Action::Close { socket }));
        assert_eq!(first.close_next(), None);
    }

    #[test]
    fn accepted_streams_are_closed_with_the_call_of_their_listener() {
        let (mut first, mut second) = (Sockets::of_call(3), Sockets::of_call(4));
        let local = "127.0.0.1:9".parse().unwrap();
        let listen = Action::Listen {
            socket: SocketId(2),
            local,
        };
        let Action::Listen { socket, .. } = first.outward(listen) else {
            panic!("not a listener");
        };
        let opened = |stream| Input::StreamOpened {
            stream,
            local,
            remote: local,
        };
        assert!(second.inward(opened(socket.accepted(0))).is_none());
        let Some(Input::StreamOpened { stream, .. }) = first.inward(opened(socket.accepted(0)))
        else {
            panic!("its own stream is unknown");
        };
        assert!(stream.is_accepted());
        // While the call says goodbye, it takes no input; what was accepted is closed all the same.
        first.note(&opened(socket.accepted(1)));
        let close = |socket| Some(Action::Close { socket });
        assert_eq!(first.close_next(), close(socket));
        assert_eq!(first.close_next(), close(socket.accepted(0)));
        assert_eq!(first.close_next(), close(socket.accepted(1)));
        assert_eq!(first.close_next(), None);
    }
}
