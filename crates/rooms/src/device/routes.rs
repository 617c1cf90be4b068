//! The requests to a device, and the way to its page.
//!
//! | request | answer |
//! |---|---|
//! | `GET /webrtc/signal` (`?last=NUMBER` or `Last-Event-ID`) | the event stream |
//! | `POST /webrtc/signal/post` (`?id=NAME`) | says the body to the device |
//! | `GET /webrtc/test`, `/app/{file}`; `/` leads there | the page |

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;

use super::stream;
use super::{Admission, Device, Fault};
use crate::routes::{Connection, answer, cut_short, page_file, read_body};
use crate::server::Shared;
use crate::{Refusal, page};

/// Where the page is.
pub(crate) const PAGE: &str = "/webrtc/test";

#[derive(Clone)]
pub(crate) struct Desk {
    shared: Arc<Shared>,
    device: Device,
}

pub(crate) fn router(shared: Arc<Shared>, device: Device) -> Router {
    Router::new()
        .route("/", get(async || page::moved(PAGE)))
        .route(
            PAGE,
            get(async |headers: HeaderMap| page::file("room.html", &headers)),
        )
        .route("/app/{file}", get(page_file))
        .route("/webrtc/signal", get(listen))
        .route("/webrtc/signal/post", post(say))
        .with_state(Desk { shared, device })
}

#[derive(Deserialize)]
struct Last {
    last: Option<String>,
}

async fn listen(
    State(desk): State<Desk>,
    Extension(connection): Extension<Connection>,
    query: Result<Query<Last>, QueryRejection>,
    headers: HeaderMap,
) -> Response<Body> {
    let Desk { shared, device } = desk;
    let header = headers
        .get("last-event-id")
        .and_then(|last| last.to_str().ok());
    let query = query.ok().and_then(|Query(query)| query.last);
    let last = header.or(query.as_deref());
    let remote = connection.remote.ip();
    let body = match device.admit(shared.awake(), remote, last) {
        Err(why) => {
            tracing::warn!(%why, "a listener cannot be named");
            return page::plain(StatusCode::SERVICE_UNAVAILABLE, "try again later\n");
        }
        Ok(Admission::Taken) => {
            shared.refuse(remote, Refusal::Full);
            Body::from(stream::TAKEN)
        }
        Ok(Admission::Welcome(ticket, resumed)) => {
            let greeting = json!({
                "type": "connected",
                "id": ticket.name,
                "resumed": resumed,
                "iceServers": shared.ice_servers,
            });
            stream::body(shared, device, ticket, &greeting.to_string())
        }
    };
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

#[derive(Deserialize)]
struct Who {
    id: Option<String>,
}

async fn say(
    State(Desk { shared, device }): State<Desk>,
    Extension(connection): Extension<Connection>,
    query: Result<Query<Who>, QueryRejection>,
    request: Request,
) -> Response<Body> {
    let remote = connection.remote.ip();
    let body = match read_body(&shared, device.config().message_size, request).await {
        Ok(body) => body,
        Err(why) => return cut_short(&shared, &connection, why),
    };
    let posted = match (query, String::from_utf8(body.into())) {
        (Ok(Query(who)), Ok(text)) => device.post(shared.awake(), remote, who.id.as_deref(), text),
        _ => Err(Fault::Malformed),
    };
    let (status, result, why) = match posted {
        Ok(()) => return answer(StatusCode::OK, &json!({ "result": "SUCCESS" })),
        Err(Fault::Malformed) => (
            StatusCode::BAD_REQUEST,
            "INVALID_MESSAGE",
            Refusal::Malformed,
        ),
        Err(Fault::Nobody) => (StatusCode::CONFLICT, "NOBODY_LISTENS", Refusal::Malformed),
        Err(Fault::Stranger) => (StatusCode::FORBIDDEN, "NOT_THE_LISTENER", Refusal::Full),
        Err(Fault::Full) => (StatusCode::TOO_MANY_REQUESTS, "QUEUE_FULL", Refusal::Rate),
    };
    shared.refuse(remote, why);
    answer(status, &json!({ "result": result }))
}
