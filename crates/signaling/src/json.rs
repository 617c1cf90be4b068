//! The JSON by which AppRTC, the rooms of `esp-rooms` and devices that serve themselves write messages.

use std::borrow::Cow;

use esp_wire::{Role, Signal};
use serde_json::{Value, json};

/// What a message of the peer or the server means to us.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Incoming {
    /// The peer says something.
    Signal(Signal<'static>),
    /// The server says bye for a peer that it has not heard for long.
    PeerLost,
}

/// A message as a JSON object: `{"type":"offer"|"answer","sdp"}`, `{"type":"candidate","candidate","id","label"}`,
/// `{"type":"bye"}` or `{"type":"customized","data"}`; none for what it has no words for.
pub fn write(signal: &Signal<'_>, role: Role) -> Option<String> {
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
pub fn read(text: &str) -> Option<Incoming> {
    from_value(serde_json::from_str(text).ok()?)
}

pub(crate) fn from_value(mut value: Value) -> Option<Incoming> {
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
}
