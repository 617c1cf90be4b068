//! The JSON of AppRTC: what peers say to each other, and the server's answers.

use std::borrow::Cow;

use esp_wire::{IceServer, Role, Signal};
use serde_json::{Value, json};

/// What a message of the peer or the server means to us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    Signal(Signal<'static>),
    /// The server says bye for a peer that it has not heard for long.
    PeerLost,
}

/// A message as the peer's JSON.
pub(crate) fn write(signal: &Signal<'_>, role: Role) -> Option<String> {
    let value = match signal {
        Signal::Sdp(sdp) => json!({ "type": sdp_type(sdp, role), "sdp": sdp }),
        Signal::Candidate {
            candidate,
            mid,
            line,
        } => {
            // Browsers and Android demand both `id` and `label`.
            let label = line.or_else(|| mid.as_deref()?.parse().ok()).unwrap_or(0);
            let id = match mid.as_deref() {
                Some(mid) => mid.to_owned(),
                None => label.to_string(),
            };
            json!({ "type": "candidate", "candidate": candidate, "id": id, "label": label })
        }
        Signal::Bye => json!({ "type": "bye" }),
        Signal::Customized(data) => json!({ "type": "customized", "data": data }),
        _ => return None,
    };
    Some(value.to_string())
}

/// An offer is `actpass`, an answer is not (RFC 8842 §5.2); roles may have changed hands meanwhile.
fn sdp_type(sdp: &str, role: Role) -> &'static str {
    let setup = sdp.lines().find_map(|line| line.strip_prefix("a=setup:"));
    match setup.map(str::trim) {
        Some("actpass") => "offer",
        Some("active" | "passive") => "answer",
        _ if role == Role::Controlling => "offer",
        _ => "answer",
    }
}

/// Reads a message of the peer; `None` for what is not of the protocol.
pub(crate) fn read(text: &str) -> Option<Incoming> {
    from_value(serde_json::from_str(text).ok()?)
}

fn from_value(mut value: Value) -> Option<Incoming> {
    let kind = value.get("type")?.as_str()?.to_owned();
    let signal = match kind.as_str() {
        "offer" | "answer" => Signal::Sdp(Cow::Owned(take_text(&mut value, "sdp")?)),
        "candidate" => candidate(value)?,
        "bye" if value.get("reason").and_then(Value::as_str) == Some("expired") => {
            return Some(Incoming::PeerLost);
        }
        "bye" => Signal::Bye,
        "customized" => Signal::Customized(Cow::Owned(match value.get_mut("data")?.take() {
            Value::String(text) => text,
            other => other.to_string(),
        })),
        _ => return None,
    };
    Some(Incoming::Signal(signal))
}

fn take_text(value: &mut Value, name: &str) -> Option<String> {
    match value.get_mut(name)?.take() {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn candidate(mut value: Value) -> Option<Signal<'static>> {
    // Some peers nest the browser's own object.
    if value.get("candidate")?.is_object() {
        value = value.get_mut("candidate")?.take();
    }
    let mid = ["id", "sdpMid"]
        .iter()
        .find_map(|name| match value.get(name)? {
            Value::String(mid) => Some(mid.clone()),
            Value::Number(mid) => Some(mid.to_string()),
            _ => None,
        });
    let line = ["label", "sdpMLineIndex"]
        .iter()
        .find_map(|name| u16::try_from(value.get(name)?.as_u64()?).ok());
    let mut text = take_text(&mut value, "candidate")?;
    if let Some(bare) = text.strip_prefix("a=") {
        text = bare.to_owned();
    }
    Some(Signal::Candidate {
        candidate: Cow::Owned(text),
        mid: mid.map(Cow::Owned),
        line,
    })
}

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
    use super::*;

    fn candidate_of(text: &str) -> Option<Incoming> {
        read(text)
    }

    #[test]
    fn messages_read_back() {
        for signal in [
            Signal::Sdp("v=0\r\na=setup:actpass\r\n".into()),
            Signal::Candidate {
                candidate: "candidate:1".into(),
                mid: Some("0".into()),
                line: Some(0),
            },
            Signal::Bye,
            Signal::Customized("RING \"x\"".into()),
        ] {
            let text = write(&signal, Role::Controlling).unwrap();
            assert_eq!(read(&text), Some(Incoming::Signal(signal)));
        }
    }

    #[test]
    fn the_type_of_a_description_follows_its_setup() {
        for (setup, role, kind) in [
            ("actpass", Role::Controlled, "offer"),
            ("active", Role::Controlling, "answer"),
            ("", Role::Controlling, "offer"),
            ("", Role::Controlled, "answer"),
        ] {
            let sdp = format!("v=0\r\na=setup:{setup}\r\n");
            let text = write(&Signal::Sdp(sdp.into()), role).unwrap();
            assert!(text.contains(&format!("\"type\":\"{kind}\"")), "{text}");
        }
    }

    #[test]
    fn candidates_always_carry_id_and_label() {
        let write = |mid: Option<&str>, line| {
            let signal = Signal::Candidate {
                candidate: "candidate:1".into(),
                mid: mid.map(|mid| mid.to_owned().into()),
                line,
            };
            serde_json::from_str::<Value>(&write(&signal, Role::Controlled).unwrap()).unwrap()
        };
        for (value, id, label) in [
            (write(Some("audio"), Some(1)), "audio", 1),
            (write(None, Some(2)), "2", 2),
            (write(Some("3"), None), "3", 3),
            (write(None, None), "0", 0),
        ] {
            assert_eq!((&value["id"], &value["label"]), (&json!(id), &json!(label)));
        }
    }

    #[test]
    fn several_shapes_of_candidates_are_read() {
        let expected = Some(Incoming::Signal(Signal::Candidate {
            candidate: "candidate:1".into(),
            mid: Some("0".into()),
            line: Some(1),
        }));
        for text in [
            r#"{"type":"candidate","candidate":"candidate:1","id":"0","label":1}"#,
            r#"{"type":"candidate","candidate":"a=candidate:1","id":0,"label":1}"#,
            r#"{"type":"candidate","candidate":{"candidate":"candidate:1","sdpMid":"0","sdpMLineIndex":1}}"#,
        ] {
            assert_eq!(candidate_of(text), expected, "{text}");
        }
        assert_eq!(candidate_of(r#"{"type":"candidate","candidate":7}"#), None);
        assert_eq!(candidate_of(r#"{"type":"remove-candidates"}"#), None);
    }

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
