//! Writing what is in the outbox into trains (RFC 8445 §7.1, §7.2.2, §7.3).

use std::net::SocketAddr;

use esp_stun::TransactionId;
use esp_stun::{AttributeType, BuildError, Class, ErrorCode, Key, MessageBuilder, Method};
use esp_wire::{Destination, Instant, Role, Train};

use crate::agent::Agent;
use crate::outbox::{Answer, Outgoing};
use crate::relay::RELAY_ROOM;
use crate::session::{LocalAuth, RemoteAuth};

/// No message of ours is longer: the longest user name has 513 bytes (RFC 8489 §14.3).
const LONGEST: usize = 700;

/// What a Binding request to the peer carries.
struct Request<'a> {
    id: TransactionId,
    auth: &'a RemoteAuth,
    role: Role,
    tie_breaker: u64,
    priority: u32,
    use_candidate: bool,
}

impl Agent {
    /// Fills `train` with the next packet of ICE's own; `false` when there is none.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        self.clock = now;
        // A permission is asked for before what needs it.
        if self.poll_relays(now, train) || self.poll_queries(now, train) {
            return true;
        }
        let was_full = self.outbox.is_full();
        let mut written = false;
        while !written {
            let Some(outgoing) = self.outbox.pop() else {
                break;
            };
            written = self.write(now, outgoing, train).is_some();
        }
        if was_full {
            self.refresh_deadline();
        }
        written
    }

    /// Writes one packet; `None` when its reason is gone.
    fn write(&mut self, now: Instant, outgoing: Outgoing, train: &mut Train) -> Option<()> {
        train.begin(RELAY_ROOM, LONGEST);
        let to = match outgoing {
            Outgoing::Response {
                to,
                id,
                generation,
                answer,
            } => {
                let key = &self.local_auth(generation)?.key;
                fill(train, |bytes| {
                    write_response(bytes, id, to.remote, key, answer)
                })?;
                to
            }
            Outgoing::Check(id) => self.write_check(now, id, train)?,
            Outgoing::Consent(id) => self.write_consent(now, id, train)?,
            Outgoing::Gather(id) => {
                let (socket, remote) = self.gathering.on_sent(id, now)?;
                fill(train, |bytes| {
                    let mut builder = MessageBuilder::request(bytes, Method::BINDING, id);
                    builder.fingerprint().finish()
                })?;
                Destination { socket, remote }
            }
        };
        self.address(now, train, to).then_some(())
    }

    fn write_check(
        &mut self,
        now: Instant,
        id: TransactionId,
        train: &mut Train,
    ) -> Option<Destination> {
        self.session.checks.on_sent(id, now);
        let check = self.session.checks.find(id)?;
        if let Some(pair) = self.session.checklist.find_mut(check.request.pair) {
            pair.requests_sent = pair.requests_sent.wrapping_add(1);
        }
        let request = Request {
            id,
            auth: self.session.remote.as_ref()?,
            role: check.request.role,
            tie_breaker: check.request.tie_breaker,
            priority: check.request.priority,
            use_candidate: check.request.use_candidate,
        };
        fill(train, |bytes| write_request(bytes, &request))?;
        Some(Destination {
            socket: check.request.socket,
            remote: check.request.remote,
        })
    }

    fn write_consent(
        &mut self,
        now: Instant,
        id: TransactionId,
        train: &mut Train,
    ) -> Option<Destination> {
        let active = self.active.as_mut()?;
        if !active.consent.on_sent(id, now) {
            return None;
        }
        let (generation, pair) = (active.generation, active.pair);
        let (socket, remote) = (active.socket, active.remote);
        if let Some(pair) = self.pair_of_mut(generation, pair) {
            pair.requests_sent = pair.requests_sent.wrapping_add(1);
        }
        let priority = self.locals.base(socket)?.check_priority();
        let request = Request {
            id,
            auth: self.remote_auth(generation)?,
            role: self.role,
            tie_breaker: self.tie_breaker,
            priority,
            use_candidate: false,
        };
        fill(train, |bytes| write_request(bytes, &request))?;
        Some(Destination { socket, remote })
    }

    fn local_auth(&self, generation: u32) -> Option<&LocalAuth> {
        if generation == self.session.generation {
            return Some(&self.session.local);
        }
        let previous = self.previous.as_ref()?;
        (previous.generation == generation).then_some(&previous.local)
    }

    pub(crate) fn remote_auth(&self, generation: u32) -> Option<&RemoteAuth> {
        if generation == self.session.generation {
            return self.session.remote.as_ref();
        }
        let previous = self.previous.as_ref()?;
        (previous.remote.as_ref()).filter(|_| previous.generation == generation)
    }
}

/// Pushes what `write` makes; `None` when it could not be built.
fn fill(
    train: &mut Train,
    write: impl FnOnce(&mut [u8]) -> Result<usize, BuildError>,
) -> Option<()> {
    (train.push_with(|bytes| write(bytes).unwrap_or(0)) > 0).then_some(())
}

fn write_request(bytes: &mut [u8], request: &Request<'_>) -> Result<usize, BuildError> {
    let mut builder = MessageBuilder::request(bytes, Method::BINDING, request.id);
    builder.username(&request.auth.username);
    match request.role {
        Role::Controlling => builder.ice_controlling(request.tie_breaker),
        Role::Controlled => builder.ice_controlled(request.tie_breaker),
    };
    builder.priority(request.priority);
    if request.use_candidate {
        builder.use_candidate();
    }
    builder.integrity(&request.auth.key).fingerprint().finish()
}

fn write_response(
    bytes: &mut [u8],
    id: TransactionId,
    to: SocketAddr,
    key: &Key,
    answer: Answer,
) -> Result<usize, BuildError> {
    let class = match answer {
        Answer::Success => Class::Success,
        Answer::Refused(_) | Answer::Unknown(_) => Class::Error,
    };
    let mut builder = MessageBuilder::new(bytes, class, Method::BINDING, id);
    match answer {
        Answer::Success => {
            builder.xor_mapped_address(to);
        }
        Answer::Refused(code) => {
            builder.error_code(code);
        }
        Answer::Unknown(unknown) => {
            let mut kinds = [AttributeType(0); 4];
            let mut count = 0;
            for kind in unknown.into_iter().flatten() {
                kinds[count] = kind;
                count += 1;
            }
            builder.error_code(ErrorCode::UNKNOWN_ATTRIBUTE);
            builder.unknown_attributes(&kinds[..count]);
        }
    }
    // RFC 8489 §9.1.3: 400 and 401 are sent without integrity.
    let open = [ErrorCode::BAD_REQUEST, ErrorCode::UNAUTHENTICATED];
    if !matches!(answer, Answer::Refused(code) if open.contains(&code)) {
        builder.integrity(key);
    }
    builder.fingerprint().finish()
}
