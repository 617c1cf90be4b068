//! The first words on a data connection: ConnectionBind (RFC 6062 §4.3, §4.4).

use std::fmt;
use std::net::SocketAddr;

use esp_wire::{Destination, Instant, Rng, Room, SocketId, Train};

use crate::auth::{AuthVerdict, Generation, LongTermAuth};
use crate::builder::MessageBuilder;
use crate::header::{Method, TransactionId};
use crate::message::Message;
use crate::transaction::Transactions;
use crate::turn::request::MAX_REQUEST;
use crate::turn::response::judge;
use crate::turn::tcp::ConnectionId;
use crate::turn::{TurnClient, TurnError};

/// No answer to a ConnectionBind is longer.
const MAX_RESPONSE: usize = 4_096;

/// One stream to the TURN server on its way to become the way to a peer; from
/// [`TurnClient::bind_connection`].
///
/// - Feed: [`handle_bytes`](Self::handle_bytes), [`handle_timeout`](Self::handle_timeout).
/// - Drain: [`poll_transmit`](Self::poll_transmit), [`poll_timeout`](Self::poll_timeout).
///
/// An error of any of them means that the stream is to be closed.
pub struct DataConnection {
    id: ConnectionId,
    peer: SocketAddr,
    to: Destination,
    software: Option<String>,
    auth: LongTermAuth,
    rng: Rng,
    transactions: Transactions<Generation>,
    /// What has come of the answer.
    answer: Vec<u8>,
    bound: bool,
}

impl DataConnection {
    pub(crate) fn new(
        client: &mut TurnClient,
        now: Instant,
        (id, peer): (ConnectionId, SocketAddr),
        stream: SocketId,
    ) -> Option<Self> {
        // RFC 6062 §4.3: the method and credentials of the control connection.
        let auth = client.auth.again().ok()?;
        let mut connection = DataConnection {
            id,
            peer,
            to: Destination {
                socket: stream,
                remote: client.server,
            },
            software: client.config.software.clone(),
            auth,
            rng: Rng::new(client.rng.array()),
            transactions: Transactions::new(client.config.retransmission),
            answer: Vec::new(),
            bound: false,
        };
        connection.request(now).ok()?;
        Some(connection)
    }

    /// The server's name for it.
    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The peer at its far end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Whether the stream belongs to the peer's data by now.
    pub fn is_bound(&self) -> bool {
        self.bound
    }

    fn request(&mut self, now: Instant) -> Result<(), TurnError> {
        let id = TransactionId::random(&mut self.rng);
        let mut buffer = [0; MAX_REQUEST];
        let mut builder = MessageBuilder::request(&mut buffer, Method::CONNECTION_BIND, id);
        if let Some(software) = &self.software {
            builder.software(software);
        }
        builder.connection_id(self.id.0);
        self.auth.apply(&mut builder);
        let len = builder.fingerprint().finish()?;
        let sent = self.auth.generation();
        let message = buffer[..len].to_vec();
        self.transactions.start(now, id, true, message, sent);
        Ok(())
    }

    /// Fills a train with the request; false when there is none.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        let Some(due) = self.transactions.poll_due(now) else {
            return false;
        };
        train.begin(Room::default(), due.message().len());
        train.push(due.message());
        train.set_destination(self.to);
        true
    }

    /// When the server's patience, or ours, ends.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.transactions.poll_timeout()
    }

    /// Fails when the server has not answered in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), TurnError> {
        match self.transactions.poll_expired(now) {
            Some(_) => Err(TurnError::Timeout),
            None => Ok(()),
        }
    }

    /// Takes bytes of the stream, cut anywhere; `None` until the server has agreed, then what came of the
    /// peer's data, which may be nothing.
    pub fn handle_bytes<'a>(
        &mut self,
        now: Instant,
        mut bytes: &'a mut [u8],
    ) -> Result<Option<&'a mut [u8]>, TurnError> {
        while !self.bound {
            // Byte by byte of the answer, since what follows it is the peer's.
            let missing = self.missing()?;
            let (part, rest) = bytes.split_at_mut(missing.min(bytes.len()));
            self.answer.extend_from_slice(part);
            bytes = rest;
            if part.len() < missing {
                return Ok(None);
            }
            if self.missing()? == 0 {
                let answer = std::mem::take(&mut self.answer);
                self.on_answer(now, &answer)?;
            }
        }
        Ok(Some(bytes))
    }

    /// So many bytes lack until more is known.
    fn missing(&self) -> Result<usize, TurnError> {
        let have = self.answer.len();
        let out_of_step = |_| TurnError::OutOfStep;
        let whole = match have {
            0..8 => 8,
            _ => Message::frame_len(&self.answer)
                .map_err(out_of_step)?
                .unwrap_or(have + 1),
        };
        match whole > MAX_RESPONSE {
            true => Err(TurnError::OutOfStep),
            false => Ok(whole - have),
        }
    }

    fn on_answer(&mut self, now: Instant, bytes: &[u8]) -> Result<(), TurnError> {
        let response = Message::parse(bytes).map_err(|_| TurnError::OutOfStep)?;
        let done = self.transactions.complete(response.transaction_id());
        let Some(sent) = done.map(|done| done.tag) else {
            // RFC 6062 §3: nothing but the answer comes before the data.
            return Err(TurnError::OutOfStep);
        };
        match self.auth.on_response(&response, sent) {
            AuthVerdict::Discard => Err(TurnError::Integrity),
            AuthVerdict::Retry => self.request(now),
            AuthVerdict::Failed(error) => Err(TurnError::Auth(error)),
            AuthVerdict::Accept { authenticated } => {
                judge(&response, authenticated)?;
                self.bound = true;
                Ok(())
            }
        }
    }
}

impl fmt::Debug for DataConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataConnection")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("bound", &self.bound)
            .finish_non_exhaustive()
    }
}
