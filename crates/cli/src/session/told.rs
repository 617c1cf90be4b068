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

/// What helps against reasons with these words in them.
const ADVICE: [(&str, &str); 7] = [
    (
        UNTRUSTED,
        "; if the server is your own, give --pin FINGERPRINT (it prints it), or --ca FILE",
    ),
    (
        OTHER_NAME,
        "; give the name that it is for, or --pin FINGERPRINT if the server is your own",
    ),
    ("Connection refused", " (does a room server run there?)"),
    (
        "lookup address",
        " (is the name right, and is this host online?)",
    ),
    (
        "does not speak TLS",
        " (write http:// if it is a server without TLS)",
    ),
    ("Network is unreachable", " (is this host online?)"),
    ("is full", " (somebody has to leave, or take another room)"),
];

/// A reason of signaling, with what helps.
pub(super) fn advised(reason: &str) -> String {
    let known = ADVICE.iter().find(|(words, _)| reason.contains(words));
    let advice = known.map_or("", |(_, advice)| advice);
    match reason.split_once("; trying again") {
        Some((why, when)) => format!("{why}{advice}; trying again{when}"),
        None => format!("{reason}{advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::advised;

    #[test]
    fn advice_stands_behind_its_reason() {
        let told = advised("http://a: Connection refused (os error 111); trying again in 0.2 s");
        let wanted = "http://a: Connection refused (os error 111) (does a room server run there?); \
                      trying again in 0.2 s";
        assert_eq!(told, wanted);
        assert_eq!(advised("given up"), "given up");
    }
}
