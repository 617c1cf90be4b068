//! The requests of AppRTC over HTTP, and the way to the page.
//!
//! | request | answer |
//! |---|---|
//! | `POST /join/{room}` | `SUCCESS` with params, or `FULL` |
//! | `POST /ice` | the ICE servers |
//! | `GET /ws` | the WebSocket |
//! | `POST /message/{room}/{client}`, `POST /post/{room}/{client}` | relays the body |
//! | `POST /leave/{room}/{client}`, `DELETE /post/{room}/{client}` | leaves |
//! | `GET /`, `/r/{room}`, `/app/{file}` | the page |

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::guard::{Site, Sites, harden};
use crate::rate::{AddressKey, Permit};
use crate::rooms::{Fault, Joined};
use crate::server::Shared;
use crate::{Refusal, RoomName, device, page, socket};

/// What a request knows of its connection; it holds the connection's place among the open ones.
#[derive(Clone)]
pub(crate) struct Connection {
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) sites: Arc<Sites>,
    pub(crate) _permit: Arc<Permit>,
}

/// What a server serves: rooms, or a device in their place.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let served = match shared.device.clone() {
        Some(device) => device::router(shared.clone(), device),
        None => rooms(shared.clone()),
    };
    served
        .fallback(async || page::plain(StatusCode::NOT_FOUND, "there is no such page\n"))
        .layer(from_fn_with_state(shared, guard))
}

fn rooms(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/r/{room}", get(room_page))
        .route("/app/{file}", get(page_file))
        .route("/join/{room}", post(join))
        .route("/ice", post(ice))
        .route("/ws", get(socket::upgrade))
        .route("/message/{room}/{client}", post(message))
        .route("/leave/{room}/{client}", post(leave))
        .route("/post/{room}/{client}", post(message).delete(leave))
        .with_state(shared)
}

/// Everything passes here, in and out.
async fn guard(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    mut request: Request,
    next: Next,
) -> Response<Body> {
    shared.count_request();
    let remote = connection.remote.ip();
    let checked = connection.sites.check(
        connection.local,
        request.method(),
        request.uri(),
        request.headers(),
    );
    let (mut response, site) = match checked {
        Err(why) => {
            shared.refuse(remote, why);
            (page::plain(StatusCode::FORBIDDEN, word(why)), None)
        }
        Ok(site) if !shared.rates.take(remote.into(), Instant::now()) => {
            shared.refuse(remote, Refusal::Rate);
            let mut response = page::plain(StatusCode::TOO_MANY_REQUESTS, word(Refusal::Rate));
            let wait = HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, wait);
            (response, Some(site))
        }
        Ok(site) => {
            request.extensions_mut().insert(site.clone());
            (next.run(request).await, Some(site))
        }
    };
    harden(response.headers_mut(), site.as_ref());
    response
}

fn word(why: Refusal) -> &'static str {
    match why {
        Refusal::Host => "this server does not go by that name\n",
        Refusal::Origin => "pages of other sites have no business here\n",
        Refusal::Rate => "too many requests; try again in a second\n",
        Refusal::Size => "the message is too long\n",
        Refusal::Slow => "the message took too long\n",
        _ => "refused\n",
    }
}

pub(crate) fn answer(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The AppRTC word for a fault. Only FULL is an answer like any other.
fn fault(shared: &Shared, connection: &Connection, fault: Fault) -> Response<Body> {
    let (status, result, why) = match fault {
        Fault::Full => (StatusCode::OK, "FULL", Refusal::Full),
        Fault::TooManyRooms => (
            StatusCode::SERVICE_UNAVAILABLE,
            "TOO_MANY_ROOMS",
            Refusal::Rooms,
        ),
        Fault::TooManyClients => (
            StatusCode::TOO_MANY_REQUESTS,
            "TOO_MANY_CLIENTS",
            Refusal::Rooms,
        ),
        Fault::UnknownRoom => (StatusCode::NOT_FOUND, "UNKNOWN_ROOM", Refusal::Malformed),
        Fault::UnknownClient => (StatusCode::NOT_FOUND, "UNKNOWN_CLIENT", Refusal::Malformed),
        Fault::QueueFull => (StatusCode::TOO_MANY_REQUESTS, "QUEUE_FULL", Refusal::Rate),
    };
    shared.refuse(connection.remote.ip(), why);
    answer(status, &json!({ "result": result }))
}

fn malformed(shared: &Shared, connection: &Connection, result: &str) -> Response<Body> {
    shared.refuse(connection.remote.ip(), Refusal::Malformed);
    answer(StatusCode::BAD_REQUEST, &json!({ "result": result }))
}

async fn join(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    Extension(site): Extension<Site>,
    Path(room): Path<String>,
) -> Response<Body> {
    let Ok(name) = room.parse::<RoomName>() else {
        return malformed(&shared, &connection, "INVALID_ROOM");
    };
    let address = AddressKey::from(connection.remote.ip());
    let joined = shared.with_rooms(|rooms| rooms.join(shared.awake(), name, address));
    match joined {
        Ok(joined) => answer(StatusCode::OK, &success(&shared, &site, &room, joined)),
        Err(why) => fault(&shared, &connection, why),
    }
}

fn success(shared: &Shared, site: &Site, room: &str, joined: Joined) -> Value {
    let root = site.root();
    let pc_config = json!({
        "iceServers": shared.ice_servers,
        "bundlePolicy": "max-bundle",
        "rtcpMuxPolicy": "require",
    });
    json!({
        "result": "SUCCESS",
        "params": {
            "client_id": joined.client,
            "is_initiator": if joined.initiator { "true" } else { "false" },
            "room_id": room,
            "room_link": format!("{root}/r/{room}"),
            "wss_url": format!("{}/ws", site.socket_root()),
            "wss_post_url": format!("{root}/post"),
            "ice_server_url": format!("{root}/ice"),
            "pc_config": pc_config.to_string(),
            "pc_constraints": r#"{"optional":[]}"#,
            "offer_options": "{}",
            "media_constraints": r#"{"audio":true,"video":true}"#,
            "is_loopback": "false",
            "header_message": "",
            "messages": joined.messages,
            "error_messages": [],
            "warning_messages": [],
        },
    })
}

async fn ice(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let servers = json!({ "iceServers": shared.ice_servers });
    answer(StatusCode::OK, &servers)
}

async fn message(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    Path((room, client)): Path<(String, String)>,
    request: Request,
) -> Response<Body> {
    let body = match read_body(&shared, shared.limits.message_size, request).await {
        Ok(body) => body,
        Err(why) => return cut_short(&shared, &connection, why),
    };
    let Some((text, bye)) = String::from_utf8(body.into()).ok().and_then(|text| {
        let bye = says_bye(&text)?;
        Some((text, bye))
    }) else {
        return malformed(&shared, &connection, "INVALID_MESSAGE");
    };
    match shared.relay(&room, &client, text, bye) {
        Ok(()) => answer(StatusCode::OK, &json!({ "result": "SUCCESS" })),
        Err(why) => fault(&shared, &connection, why),
    }
}

/// The answer to a request whose body is not read to its end.
pub(crate) fn cut_short(shared: &Shared, connection: &Connection, why: Refusal) -> Response<Body> {
    shared.refuse(connection.remote.ip(), why);
    let status = match why {
        Refusal::Slow => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::PAYLOAD_TOO_LARGE,
    };
    let mut response = page::plain(status, word(why));
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// Whether a message is a bye; none when it is not a JSON object.
pub(crate) fn says_bye(text: &str) -> Option<bool> {
    Some(type_of(text)? == "bye")
}

/// The type of a message, empty without one; none when it is not a JSON object.
pub(crate) fn type_of(text: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type", default)]
        kind: Value,
    }
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let typed: Typed = serde_json::from_str(text).ok()?;
    Some(typed.kind.as_str().unwrap_or_default().to_owned())
}

/// A body of at most `most` bytes.
pub(crate) async fn read_body(
    shared: &Shared,
    most: usize,
    request: Request,
) -> Result<Bytes, Refusal> {
    // What is announced need not be read to be refused.
    if request.body().size_hint().lower() > most as u64 {
        return Err(Refusal::Size);
    }
    let read = axum::body::to_bytes(request.into_body(), most);
    match tokio::time::timeout(shared.limits.patience, read).await {
        Err(_) => Err(Refusal::Slow),
        Ok(Err(_)) => Err(Refusal::Size),
        Ok(Ok(body)) => Ok(body),
    }
}

async fn leave(
    State(shared): State<Arc<Shared>>,
    Extension(connection): Extension<Connection>,
    Path((room, client)): Path<(String, String)>,
) -> Response<Body> {
    if shared.with_rooms(|rooms| rooms.leave(&room, &client)) {
        answer(StatusCode::OK, &json!({ "result": "SUCCESS" }))
    } else {
        fault(&shared, &connection, Fault::UnknownClient)
    }
}

#[derive(Deserialize)]
struct Wanted {
    room: Option<String>,
}

async fn index(query: Result<Query<Wanted>, QueryRejection>, headers: HeaderMap) -> Response<Body> {
    let wanted = query.map_or(Some(String::new()), |Query(wanted)| wanted.room);
    match wanted.map(|room| room.parse::<RoomName>()) {
        None => page::file("index.html", &headers),
        Some(Err(_)) => page::plain(
            StatusCode::BAD_REQUEST,
            "a room name is 1 to 128 letters, digits, _ or -\n",
        ),
        Some(Ok(room)) => page::moved(&format!("/r/{}", room.as_str())),
    }
}

async fn room_page(Path(room): Path<String>, headers: HeaderMap) -> Response<Body> {
    match room.parse::<RoomName>() {
        Ok(_) => page::file("room.html", &headers),
        Err(_) => page::plain(
            StatusCode::NOT_FOUND,
            "a room name is 1 to 128 letters, digits, _ or -\n",
        ),
    }
}

pub(crate) async fn page_file(Path(name): Path<String>, headers: HeaderMap) -> Response<Body> {
    page::file(&name, &headers)
}
