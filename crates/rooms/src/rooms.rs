//! The rooms and who is in them, without I/O: time comes in, messages go out through [`Outlet`]s.
//!
//! 1. `join` gives a client its name; the first in a room is the initiator. What the first said while it
//!    was alone goes to the second with its answer.
//! 2. `register` opens a client's outlet; what came for it since it joined goes out first.
//! 3. `relay` hands a message to the other client, or keeps it for the client to come.
//! 4. `leave`, or silence, removes a client; the one who stays hears `bye` unless the leaver said it, and
//!    is the initiator from then on: clients know it by the bye, the rooms by its being alone.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use esp_wire::Rng;

use crate::mail::Outlet;
use crate::rate::AddressKey;
use crate::{Event, Left, Limits, RoomName};

/// AppRTC is a protocol of two.
const CLIENTS: usize = 2;
const BYE: &str = r#"{"type":"bye"}"#;
/// Its call may live on without signaling.
const EXPIRED: &str = r#"{"type":"bye","reason":"expired"}"#;

struct Client {
    id: String,
    address: AddressKey,
    /// It said bye and nothing since.
    said_bye: bool,
    heard: Instant,
    /// It asked to be told whether the other is there.
    wants_presence: bool,
    /// It has had a socket.
    registered: bool,
    /// To its socket, with the number of that registration.
    outlet: Option<(u64, Outlet)>,
    /// For it, until it registers.
    inbox: Queue,
    /// From it, for a client to come.
    outbox: Queue,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<String>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, text: String, limits: &Limits) -> bool {
        if self.messages.len() >= limits.queue_messages
            || self.bytes + text.len() > limits.queue_bytes
        {
            return false;
        }
        self.bytes += text.len();
        self.messages.push_back(text);
        true
    }

    fn take(&mut self) -> VecDeque<String> {
        self.bytes = 0;
        std::mem::take(&mut self.messages)
    }
}

/// The answer to a join.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) client: String,
    pub(crate) initiator: bool,
    pub(crate) messages: VecDeque<String>,
}

/// Why a command was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Full,
    TooManyRooms,
    TooManyClients,
    UnknownRoom,
    UnknownClient,
    QueueFull,
}

pub(crate) struct Rooms {
    limits: Limits,
    rng: Rng,
    serial: u64,
    rooms: HashMap<RoomName, Vec<Client>>,
    by_address: HashMap<AddressKey, usize>,
    events: Vec<Event>,
}

impl Rooms {
    pub(crate) fn new(limits: Limits, rng: Rng) -> Self {
        Rooms {
            limits,
            rng,
            serial: 0,
            rooms: HashMap::new(),
            by_address: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// What happened since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(crate) fn count(&self) -> (usize, usize) {
        (self.rooms.len(), self.by_address.values().sum())
    }

    pub(crate) fn join(
        &mut self,
        now: Instant,
        name: RoomName,
        address: AddressKey,
    ) -> Result<Joined, Fault> {
        self.make_place(&name);
        let present = self.rooms.get(&name).map_or(0, Vec::len);
        if present >= CLIENTS {
            return Err(Fault::Full);
        }
        if present == 0 && self.rooms.len() >= self.limits.rooms {
            return Err(Fault::TooManyRooms);
        }
        let of_address = self.by_address.entry(address).or_insert(0);
        if *of_address >= self.limits.clients_per_address {
            return Err(Fault::TooManyClients);
        }
        *of_address += 1;
        let id = format!("{:016}", self.rng.below(10_000_000_000_000_000));
        let room = self.rooms.entry(name.clone()).or_default();
        let mut messages = VecDeque::new();
        if let Some(first) = room.first_mut() {
            messages = first.outbox.take();
            first.said_bye = false;
        }
        let initiator = room.is_empty();
        room.push(Client {
            id: id.clone(),
            address,
            said_bye: false,
            heard: now,
            wants_presence: false,
            registered: false,
            outlet: None,
            inbox: Queue::default(),
            outbox: Queue::default(),
        });
        self.events.push(Event::Joined {
            room: name,
            client: id.clone(),
            initiator,
        });
        Ok(Joined {
            client: id,
            initiator,
            messages,
        })
    }

    /// A full room gives up a client that said bye and lost its socket: its `leave` was lost with it.
    fn make_place(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let gone = |client: &&Client| client.said_bye && client.outlet.is_none();
        if room.len() >= CLIENTS
            && let Some(client) = room.iter().find(gone)
        {
            let id = client.id.clone();
            self.remove(name.as_str(), &id, Left::Replaced);
        }
    }

    /// Opens a client's outlet and returns its serial number; a socket it had before is closed.
    pub(crate) fn register(
        &mut self,
        now: Instant,
        name: &str,
        id: &str,
        outlet: Outlet,
        wants_presence: bool,
    ) -> Result<u64, Fault> {
        let client = find(&mut self.rooms, name, id)?;
        self.serial += 1;
        let serial = self.serial;
        client.heard = now;
        client.wants_presence = wants_presence;
        client.registered = true;
        if let Some((_, old)) = client.outlet.replace((serial, outlet)) {
            old.close("registered again");
        }
        for text in client.inbox.take() {
            client.deliver(text, &self.limits);
        }
        if let Some((room, clients)) = self.rooms.get_key_value(name) {
            tell_presence(clients);
            self.events.push(Event::Registered {
                room: room.clone(),
                client: id.to_owned(),
            });
        }
        Ok(serial)
    }

    /// The client showed a sign of life.
    pub(crate) fn heard(&mut self, now: Instant, name: &str, id: &str) {
        if let Ok(client) = find(&mut self.rooms, name, id) {
            client.heard = now;
        }
    }

    /// The client's socket closed. It may register again until it expires.
    pub(crate) fn disconnected(&mut self, name: &str, id: &str, serial: u64) {
        if let Ok(client) = find(&mut self.rooms, name, id)
            && client
                .outlet
                .as_ref()
                .is_some_and(|(current, _)| *current == serial)
        {
            client.outlet = None;
        }
    }

    /// Hands `text` to the other client, or keeps it for the one to come.
    pub(crate) fn relay(
        &mut self,
        name: &str,
        id: &str,
        text: String,
        bye: bool,
    ) -> Result<(), Fault> {
        let room = self.rooms.get_mut(name).ok_or(Fault::UnknownRoom)?;
        let from = room.iter().position(|client| client.id == id);
        let from = from.ok_or(Fault::UnknownClient)?;
        let speaks_again = room[from].said_bye && !bye;
        room[from].said_bye = bye;
        if bye {
            room[from].outbox.take();
        }
        let Some(to) = room.iter().position(|client| client.id != id) else {
            let kept = bye || room[from].outbox.push(text, &self.limits);
            return if kept { Ok(()) } else { Err(Fault::QueueFull) };
        };
        if speaks_again {
            // It did not leave after its bye, so it has heard what was kept for a successor.
            room[to].outbox.take();
        }
        if !bye && room[to].said_bye {
            room[from].outbox.push(text.clone(), &self.limits);
        }
        if room[to].deliver(text, &self.limits) {
            Ok(())
        } else {
            Err(Fault::QueueFull)
        }
    }

    /// The client leaves; false when there is none of that name.
    pub(crate) fn leave(&mut self, name: &str, id: &str) -> bool {
        self.remove(name, id, Left::Leave)
    }

    fn remove(&mut self, name: &str, id: &str, how: Left) -> bool {
        let Some((room_name, _)) = self.rooms.get_key_value(name) else {
            return false;
        };
        let room_name = room_name.clone();
        let room = self.rooms.get_mut(name).expect("found above");
        let Some(index) = room.iter().position(|client| client.id == id) else {
            return false;
        };
        let gone = room.remove(index);
        if let Some((_, outlet)) = &gone.outlet {
            outlet.close("left");
        }
        if let Some(stayer) = room.first_mut() {
            if !gone.said_bye {
                let bye = if how == Left::Silent { EXPIRED } else { BYE };
                stayer.deliver(bye.to_owned(), &self.limits);
            }
            tell_presence(room);
        } else {
            self.rooms.remove(name);
        }
        if let Some(count) = self.by_address.get_mut(&gone.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&gone.address);
            }
        }
        self.events.push(Event::Left {
            room: room_name,
            client: gone.id,
            how,
        });
        true
    }

    /// Removes those that were not heard for `silence`; returns how many.
    pub(crate) fn expire(&mut self, now: Instant, silence: Duration) -> usize {
        let mut silent = Vec::new();
        for (name, room) in &self.rooms {
            for client in room {
                if now.saturating_duration_since(client.heard) >= silence {
                    silent.push((name.clone(), client.id.clone()));
                }
            }
        }
        for (name, id) in &silent {
            self.remove(name.as_str(), id, Left::Silent);
        }
        silent.len()
    }
}

impl Client {
    /// Sends by the outlet; without one, or when it is stuck, the message waits in the inbox.
    fn deliver(&mut self, text: String, limits: &Limits) -> bool {
        let text = match &self.outlet {
            None => text,
            Some((_, outlet)) => match outlet.post(text, limits) {
                Ok(()) => return true,
                Err(text) => {
                    // Dropping the outlet closes the socket; the client may register again.
                    self.outlet = None;
                    text
                }
            },
        };
        self.inbox.push(text, limits)
    }
}

/// Tells those who asked whether the other is there and has registered at some time.
fn tell_presence(room: &[Client]) {
    for client in room {
        if client.wants_presence
            && let Some((_, outlet)) = &client.outlet
        {
            outlet.tell(room.iter().any(|c| c.id != client.id && c.registered));
        }
    }
}

fn find<'a>(
    rooms: &'a mut HashMap<RoomName, Vec<Client>>,
    name: &str,
    id: &str,
) -> Result<&'a mut Client, Fault> {
    let room = rooms.get_mut(name).ok_or(Fault::UnknownRoom)?;
    room.iter_mut()
        .find(|client| client.id == id)
        .ok_or(Fault::UnknownClient)
}

#[cfg(test)]
mod tests;
