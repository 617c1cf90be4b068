//! The requests of AppRTC over HTTP.

use std::time::Duration;

use esp_wire::{IceServer, Role};
use serde_json::Value;

use super::AppRtcConfig;
use super::message;
use crate::Error;
use crate::http::{Http, Method};
use crate::url::Url;

/// Our place in a room.
pub(super) struct Place {
    /// `B/`, where redirects led to.
    base: Url,
    pub(super) room: String,
    pub(super) client: String,
    pub(super) role: Role,
    pub(super) socket_url: Url,
    post_url: Option<Url>,
    ice_url: Option<Url>,
    pub(super) servers: Vec<IceServer>,
    /// What was said in the room before we came.
    pub(super) messages: Vec<String>,
}

impl Place {
    /// The `Origin` of our WebSocket.
    pub(super) fn origin(&self) -> String {
        self.base.origin()
    }
}

/// Why a room could not be entered.
pub(super) enum NoPlace {
    /// Two are in it.
    Full,
    /// It may work later.
    Later(String),
    /// It never will.
    Never(String),
}

/// Why a message was not taken.
pub(super) enum NotSent {
    /// The server does not know us any more.
    Unknown,
    /// The server is out of reach.
    Lost(String),
    /// Too much at once.
    Slower,
    /// It would not take this message at any time.
    Refused(String),
}

pub(super) fn join(http: &Http, config: &AppRtcConfig) -> Result<Place, NoPlace> {
    let path = format!("join/{}", config.room);
    let url = config.base.join(&path).map_err(never)?;
    let reply = match http.send(Method::Post, &url, "", config.common.request_timeout) {
        Ok(reply) => reply,
        Err(Error::Unreachable(reason)) => return Err(NoPlace::Later(reason)),
        Err(error) => return Err(never(error)),
    };
    let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let result = answer.get("result").and_then(Value::as_str);
    match (reply.status, result) {
        (200..=299, Some("SUCCESS")) => {}
        (_, Some("FULL")) => return Err(NoPlace::Full),
        (400 | 401 | 403 | 404 | 405 | 501, _) => {
            return Err(NoPlace::Never(format!(
                "{} does not let us into the room {:?} (status {}{}); check the URL",
                reply.url.origin(),
                config.room,
                reply.status,
                result.map(|word| format!(", {word}")).unwrap_or_default(),
            )));
        }
        (200..=299, _) => {
            return Err(NoPlace::Never(format!(
                "what answers at {} is not an AppRTC room server; check the URL",
                reply.url.origin()
            )));
        }
        (status, _) => {
            return Err(NoPlace::Later(format!(
                "{} is out of order (status {status})",
                reply.url.origin()
            )));
        }
    }
    let mut base = reply.url.clone();
    if let Some(root) = base.path.strip_suffix(&path) {
        base.path = root.to_owned();
    }
    place(config, base, answer.get("params").unwrap_or(&Value::Null)).map_err(never)
}

fn never(error: Error) -> NoPlace {
    NoPlace::Never(error.to_string())
}

fn place(config: &AppRtcConfig, base: Url, params: &Value) -> Result<Place, Error> {
    let text = |name: &str| match params.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        Some(Value::Bool(yes)) => Some(yes.to_string()),
        _ => None,
    };
    let demanded = |name: &str| {
        text(name)
            .ok_or_else(|| Error::Malformed(format!("the room server's answer has no {name}")))
    };
    let client = demanded("client_id")?;
    if client.len() > 256
        || !client
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'/')
    {
        return Err(Error::Malformed(
            "the client_id of the room server is no name".into(),
        ));
    }
    let mut socket_url = base.join(&demanded("wss_url")?)?;
    socket_url.scheme = match socket_url.scheme.as_str() {
        "http" => "ws".into(),
        "https" => "wss".into(),
        _ => socket_url.scheme,
    };
    if base.is_secure() && !socket_url.is_secure() {
        return Err(Error::Refused(
            "the room server wants its messages over an unsecured WebSocket".into(),
        ));
    }
    let link = |name: &str| text(name).and_then(|link| base.join(&link).ok());
    let role = match demanded("is_initiator")?.as_str() {
        "true" => Role::Controlling,
        _ => Role::Controlled,
    };
    let messages = params.get("messages").and_then(Value::as_array);
    Ok(Place {
        room: text("room_id").unwrap_or_else(|| config.room.clone()),
        client,
        role,
        socket_url,
        post_url: link("wss_post_url"),
        ice_url: link("ice_server_url"),
        servers: text("pc_config")
            .and_then(|config| message::ice_servers(&config))
            .unwrap_or_default(),
        messages: messages
            .into_iter()
            .flatten()
            .map(|item| match item {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            })
            .collect(),
        base,
    })
}

/// Fetches the ICE servers; when that fails, the ones known stay.
pub(super) fn fetch_servers(
    http: &Http,
    place: &mut Place,
    timeout: Duration,
) -> Result<(), String> {
    let Some(url) = &place.ice_url else {
        return Ok(());
    };
    let reply = http
        .send(Method::Post, url, "", timeout)
        .map_err(|error| error.to_string())?;
    match message::ice_servers(&reply.body) {
        Some(servers) if (200..300).contains(&reply.status) => {
            place.servers = servers;
            Ok(())
        }
        _ => Err(format!(
            "the list of ICE servers cannot be had (status {})",
            reply.status
        )),
    }
}

pub(super) fn post(
    http: &Http,
    place: &Place,
    text: &str,
    timeout: Duration,
) -> Result<(), NotSent> {
    let url = place
        .base
        .join(&format!("message/{}/{}", place.room, place.client))
        .map_err(|error| NotSent::Refused(error.to_string()))?;
    let reply = http
        .send(Method::Post, &url, text, timeout)
        .map_err(|error| NotSent::Lost(error.to_string()))?;
    let answer: Value = serde_json::from_str(&reply.body).unwrap_or_default();
    let result = answer.get("result").and_then(Value::as_str);
    match (reply.status, result) {
        (200..=299, Some("SUCCESS") | None) => Ok(()),
        (404, _) | (_, Some("UNKNOWN_ROOM" | "UNKNOWN_CLIENT")) => Err(NotSent::Unknown),
        (429, _) => Err(NotSent::Slower),
        (500..=599, _) => Err(NotSent::Lost(format!(
            "{} is out of order (status {})",
            url.origin(),
            reply.status
        ))),
        (status, result) => Err(NotSent::Refused(format!(
            "the room server did not take a message (status {status}, {})",
            result.unwrap_or("no reason")
        ))),
    }
}

/// The first half of the goodbye.
pub(super) fn leave(http: &Http, place: &Place, timeout: Duration) {
    if let Ok(url) = place
        .base
        .join(&format!("leave/{}/{}", place.room, place.client))
    {
        said(http.send(Method::Post, &url, "", timeout));
    }
}

/// The second half of the goodbye.
pub(super) fn delete(http: &Http, place: &Place, timeout: Duration) {
    let Some(url) = &place.post_url else {
        return;
    };
    let root = url.to_string();
    let url = format!(
        "{}/{}/{}",
        root.trim_end_matches('/'),
        place.room,
        place.client
    );
    if let Ok(url) = Url::parse(&url) {
        said(http.send(Method::Delete, &url, "", timeout));
    }
}

fn said(sent: Result<crate::http::Reply, Error>) {
    // The server finds us gone in any case.
    if let Err(error) = sent {
        tracing::debug!(%error, "a goodbye was not heard");
    }
}
