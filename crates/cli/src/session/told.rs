//! The events for what channels and files say, and advice on what signaling says.

use esp_webrtc::signaling::{OTHER_NAME, UNTRUSTED};
use serde_json::{Value, json};

use super::MOST_TEXT;
use crate::inputs::Said;
use crate::print::{bytes, clean};

/// The event for what channels, messages and checks say.
pub(super) fn of_channel(said: &Said) -> Option<(&'static str, String, Value)> {
    let text = |text: &str| clean(text, MOST_TEXT);
    Some(match said {
        Said::Opened { label, id } => (
            "channel",
            format!("data channel {:?} is open", text(label)),
            json!({ "label": text(label), "id": id, "open": true }),
        ),
        Said::Closed { label, id } => (
            "channel",
            format!("data channel {:?} is closed", text(label)),
            json!({ "label": text(label), "id": id, "open": false }),
        ),
        Said::Text { label, text: line } => (
            "chat",
            format!("{}: {}", text(label), text(line)),
            json!({ "label": text(label), "text": text(line) }),
        ),
        Said::Binary { label, bytes: size } => (
            "message",
            format!("{}: {}", text(label), bytes(*size as u64)),
            json!({ "label": text(label), "bytes": size }),
        ),
        Said::Verified(verified) => (
            "verified",
            format!(
                "{} in {} messages came back the same after {} ms",
                bytes(verified.bytes),
                verified.messages,
                verified.took.as_millis()
            ),
            json!({ "bytes": verified.bytes, "messages": verified.messages,
                "ms": verified.took.as_millis() as u64 }),
        ),
        _ => return None,
    })
}

/// The event for what became of a file; what is different is said when the program ends.
pub(super) fn of_file(said: &Said) -> Option<(&'static str, String, Value)> {
    let text = |text: &str| clean(text, MOST_TEXT);
    Some(match said {
        Said::FileKept {
            name,
            bytes: size,
            path,
        } => (
            "file",
            format!("received {} as {}", bytes(*size), path.display()),
            json!({ "name": name, "bytes": size, "path": path.display().to_string() }),
        ),
        Said::FileRefused { name, reason } => (
            "file_refused",
            format!("refused the file {:?}: {}", text(name), text(reason)),
            json!({ "name": text(name), "reason": text(reason) }),
        ),
        Said::FileSent { name, bytes: size } => (
            "file_sent",
            format!("the peer has the file {:?}, {}", text(name), bytes(*size)),
            json!({ "name": name, "bytes": size }),
        ),
        Said::FileFailed { name, reason } => (
            "file_failed",
            format!("the file {:?} was not sent: {}", text(name), text(reason)),
            json!({ "name": name, "reason": text(reason) }),
        ),
        _ => return None,
    })
}

/// A reason of signaling, with the options that help.
pub(super) fn advised(reason: &str) -> String {
    let advice = if reason.contains(UNTRUSTED) {
        "; if the server is your own, give --pin FINGERPRINT (it prints it), or --ca FILE"
    } else if reason.contains(OTHER_NAME) {
        "; give the name that it is for, or --pin FINGERPRINT if the server is your own"
    } else {
        ""
    };
    format!("{reason}{advice}")
}
