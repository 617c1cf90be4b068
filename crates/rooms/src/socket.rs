//! The WebSocket of a client.
//!
//! 1. in: `{"cmd":"register","roomid":ROOM,"clientid":CLIENT}`, within the server's patience.
//! 2. out: `{"msg":TEXT,"error":""}` for each message of the other client; pings.
//! 3. in: `{"cmd":"send","msg":TEXT}`; pongs.
//! 4. out, before the server closes for a reason: `{"msg":"","error":REASON}`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{Extension, State};
use axum::http::Response;
use serde::Deserialize;
use serde_json::json;

use crate::mail::{Parcel, mail};
use crate::routes::{Connection, says_bye};
use crate::server::Shared;
use crate::{Refusal, RoomName};

pub(crate) async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    upgrade: WebSocketUpgrade,
) -> Response<Body> {
    // Escaping a message in JSON can double its size, or more for control characters.
    let most = shared.limits.message_size.saturating_mul(2) + 1024;
    upgrade
        .max_message_size(most)
        .max_frame_size(most)
        .write_buffer_size(0)
        .on_upgrade(move |socket| async move {
            Session::new(shared, connection).run(socket).await;
        })
}

#[derive(Deserialize)]
#[serde(tag = "cmd", rename_all = "lowercase")]
enum Command {
    Register {
        roomid: String,
        clientid: String,
        #[serde(default)]
        presence: bool,
    },
    Send {
        msg: String,
    },
}

/// How long a client may take to close after the server has.
const FAREWELL: Duration = Duration::from_secs(1);

struct Registration {
    room: RoomName,
    client: String,
    presence: bool,
}

struct Session {
    shared: Arc<Shared>,
    connection: Connection,
}

/// Why a session ends.
enum End {
    /// The client closed, or its connection broke.
    Gone,
    /// The server closes: the code, the reason.
    Close(u16, &'static str),
    /// The client did something wrong.
    Refused(Refusal, &'static str),
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Session {
    fn new(shared: Arc<Shared>, connection: Connection) -> Self {
        shared.sessions.fetch_add(1, Ordering::Relaxed);
        Session { shared, connection }
    }

    async fn run(self, mut socket: WebSocket) {
        let mut stopping = self.shared.stopping();
        let registered = tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => Err(End::Close(close_code::AWAY, "stopping")),
            registered = tokio::time::timeout(self.shared.limits.patience, self.register(&mut socket)) => {
                registered.unwrap_or(Err(End::Refused(Refusal::Slow, "register took too long")))
            }
        };
        let end = match registered {
            Err(end) => end,
            Ok(who) => tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => End::Close(close_code::AWAY, "stopping"),
                end = self.relay(&mut socket, &who) => end,
            },
        };
        let (code, reason) = match end {
            End::Gone => return,
            End::Close(code, reason) => (code, reason),
            End::Refused(why, reason) => {
                self.shared.refuse(self.connection.remote.ip(), why);
                let error = json!({ "msg": "", "error": reason }).to_string();
                let _ = socket.send(Message::Text(error.into())).await;
                (close_code::POLICY, reason)
            }
        };
        let reason = Utf8Bytes::from_static(reason);
        let _ = socket
            .send(Message::Close(Some(CloseFrame { code, reason })))
            .await;
        // What is left unread when a socket closes makes the system drop the words that were sent.
        let rest = async { while let Some(Ok(_)) = socket.recv().await {} };
        let _ = tokio::time::timeout(FAREWELL.min(self.shared.limits.patience), rest).await;
    }

    async fn register(&self, socket: &mut WebSocket) -> Result<Registration, End> {
        loop {
            match self.receive(socket).await? {
                None => {}
                Some(Command::Register {
                    roomid,
                    clientid,
                    presence,
                }) => {
                    let unknown = End::Refused(Refusal::Malformed, "no such client; join first");
                    return match roomid.parse() {
                        Ok(room) => Ok(Registration {
                            room,
                            client: clientid,
                            presence,
                        }),
                        Err(_) => Err(unknown),
                    };
                }
                Some(Command::Send { .. }) => {
                    return Err(End::Refused(Refusal::Malformed, "register first"));
                }
            }
        }
    }

    /// The next command; none for a frame that carries none.
    async fn receive(&self, socket: &mut WebSocket) -> Result<Option<Command>, End> {
        let too_long = End::Refused(Refusal::Size, "the message is too long");
        let message = match socket.recv().await {
            None => return Err(End::Gone),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                return Err(if is_too_long(&error) {
                    too_long
                } else {
                    End::Gone
                });
            }
        };
        if !self
            .shared
            .rates
            .take(self.connection.remote.ip().into(), Instant::now())
        {
            return Err(End::Refused(Refusal::Rate, "too many messages"));
        }
        match message {
            Message::Text(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|_| End::Refused(Refusal::Malformed, "that is not a command")),
            Message::Binary(_) => Err(End::Refused(Refusal::Malformed, "that is not a command")),
            Message::Ping(_) | Message::Pong(_) => Ok(None),
            Message::Close(_) => Err(End::Gone),
        }
    }

    async fn relay(&self, socket: &mut WebSocket, who: &Registration) -> End {
        let shared = &self.shared;
        let (room, client) = (who.room.as_str(), who.client.as_str());
        let (outlet, mut mail) = mail();
        let registered = shared
            .with_rooms(|rooms| rooms.register(shared.awake(), room, client, outlet, who.presence));
        let Ok(serial) = registered else {
            return End::Refused(Refusal::Malformed, "no such client; join first");
        };
        let mut ping = tokio::time::interval(shared.limits.ping_interval);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let end = loop {
            let sent = tokio::select! {
                parcel = mail.next() => match parcel {
                    Some(Parcel::Message(text)) => {
                        let wrapped = json!({ "msg": text, "error": "" }).to_string();
                        socket.send(Message::Text(wrapped.into())).await
                    }
                    Some(Parcel::Presence(present)) => {
                        let told = json!({ "msg": "", "error": "", "present": present }).to_string();
                        socket.send(Message::Text(told.into())).await
                    }
                    Some(Parcel::Close(why)) => break End::Close(close_code::NORMAL, why),
                    None => break End::Refused(Refusal::Slow, "too far behind"),
                },
                _ = ping.tick() => socket.send(Message::Ping(Vec::new().into())).await,
                command = self.receive(socket) => match self.obey(command, room, client) {
                    Ok(None) => Ok(()),
                    Ok(Some(error)) => {
                        let error = json!({ "msg": "", "error": error }).to_string();
                        socket.send(Message::Text(error.into())).await
                    }
                    Err(end) => break end,
                },
            };
            if sent.is_err() {
                break End::Gone;
            }
        };
        shared.with_rooms(|rooms| rooms.disconnected(room, client, serial));
        end
    }

    /// Carries a command out; says what went wrong with it, if it is nothing to part for.
    fn obey(
        &self,
        command: Result<Option<Command>, End>,
        room: &str,
        client: &str,
    ) -> Result<Option<&'static str>, End> {
        let command = command?;
        self.shared
            .with_rooms(|rooms| rooms.heard(self.shared.awake(), room, client));
        let Some(command) = command else {
            return Ok(None);
        };
        let Command::Send { msg } = command else {
            return Err(End::Refused(Refusal::Malformed, "registered already"));
        };
        let Some(bye) = says_bye(&msg) else {
            return Err(End::Refused(
                Refusal::Malformed,
                "a message is a JSON object",
            ));
        };
        if msg.len() > self.shared.limits.message_size {
            return Err(End::Refused(Refusal::Size, "the message is too long"));
        }
        match self.shared.relay(room, client, msg, bye) {
            Ok(()) => Ok(None),
            Err(_) => Ok(Some("not delivered: the other client's queue is full")),
        }
    }
}

/// The WebSocket library's own words are the only trace of a message over the limit.
fn is_too_long(error: &axum::Error) -> bool {
    let text = error.to_string();
    text.contains("too long") || text.contains("too large") || text.contains("too big")
}
