//! The JSON of AppRTC's server: its WebSocket and its answers.

use esp_wire::IceServer;
use serde_json::{Value, json};

use crate::json::{Incoming, from_value, read};

/// One text of the WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FromServer {
    Incoming(Incoming),
    /// The server's complaint.
    Error(String),
    /// Nothing that concerns us.
    Other,
}

/// Reads `{"msg":TEXT,"error":TEXT}` or a bare message.
pub(crate) fn read_from_server(text: &str) -> FromServer {
    let Ok(value) = serde_json::from_str::<Value>(text) else {
        return FromServer::Other;
    };
    if let Some(error) = value.get("error").and_then(Value::as_str)
        && !error.is_empty()
    {
        return FromServer::Error(error.to_owned());
    }
    let incoming = match value.get("msg") {
        Some(Value::String(msg)) => read(msg),
        Some(msg @ Value::Object(_)) => from_value(msg.clone()),
        _ => from_value(value),
    };
    incoming.map_or(FromServer::Other, FromServer::Incoming)
}

/// The command that registers a client.
pub(crate) fn register(room: &str, client: &str) -> String {
    json!({ "cmd": "register", "roomid": room, "clientid": client }).to_string()
}

/// The command that sends a message.
pub(crate) fn send(msg: &str) -> String {
    json!({ "cmd": "send", "msg": msg }).to_string()
}

/// The servers of `{"iceServers":[...]}`, 16 at most.
pub(crate) fn ice_servers(text: &str) -> Option<Vec<IceServer>> {
    const MOST: usize = 16;
    let value: Value = serde_json::from_str(text).ok()?;
    let list = value.get("iceServers")?.as_array()?;
    let text_of = |server: &Value, name: &str| {
        let text = server.get(name).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    Some(
        list.iter()
            .take(MOST)
            .map(|server| IceServer {
                urls: ["urls", "url", "uris"]
                    .iter()
                    .find_map(|name| server.get(name))
                    .map(texts)
                    .unwrap_or_default(),
                username: text_of(server, "username"),
                credential: text_of(server, "credential"),
            })
            .filter(|server| !server.urls.is_empty())
            .collect(),
    )
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list
            .iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .take(16)
            .collect(),
        _ => Vec::new(),
    }
}

/// When the credentials expire, seconds since 1970: a username may begin with that time.
pub(crate) fn expiry(servers: &[IceServer]) -> Option<u64> {
    servers
        .iter()
        .filter_map(|server| {
            let digits: String = server
                .username
                .chars()
                .take_while(char::is_ascii_digit)
                .collect();
            let ends = server.username[digits.len()..].chars().next();
            let is_time = (9..=11).contains(&digits.len()) && matches!(ends, None | Some(':'));
            digits.parse().ok().filter(|_| is_time)
        })
        .min()
}

#[cfg(test)]
mod tests {
    use esp_wire::Signal;

    use super::*;

    #[test]
    fn both_forms_of_the_server_are_read() {
        let bye = FromServer::Incoming(Incoming::Signal(Signal::Bye));
        assert_eq!(
            read_from_server(r#"{"msg":"{\"type\":\"bye\"}","error":""}"#),
            bye
        );
        assert_eq!(read_from_server(r#"{"type":"bye"}"#), bye);
        let lost = r#"{"msg":"{\"type\":\"bye\",\"reason\":\"expired\"}"}"#;
        assert_eq!(
            read_from_server(lost),
            FromServer::Incoming(Incoming::PeerLost)
        );
        let error = r#"{"msg":"","error":"too fast"}"#;
        assert_eq!(
            read_from_server(error),
            FromServer::Error("too fast".into())
        );
        for other in [
            "",
            "7",
            "[]",
            r#"{"msg":"","error":"","present":true}"#,
            r#"{"msg":"x"}"#,
        ] {
            assert_eq!(read_from_server(other), FromServer::Other, "{other}");
        }
        assert_eq!(
            read(r#"{"type":"customized","data":{"a":1}}"#),
            Some(Incoming::Signal(Signal::Customized(r#"{"a":1}"#.into())))
        );
    }

    #[test]
    fn servers_and_their_expiry() {
        let servers = ice_servers(
            r#"{"iceServers":[{"urls":["turn:a","turn:b"],"username":"1700000000:me","credential":"x"},
                {"url":"stun:c"},{"urls":[]},7]}"#,
        )
        .unwrap();
        assert_eq!(servers.len(), 2);
        assert_eq!(servers[1].urls, ["stun:c"]);
        assert_eq!(expiry(&servers), Some(1_700_000_000));
        assert_eq!(expiry(&[IceServer::turn("turn:a", "12345", "")]), None);
        assert_eq!(
            expiry(&[IceServer::turn("turn:a", "1700000000x", "")]),
            None
        );
        assert!(ice_servers("{}").is_none());
    }
}
