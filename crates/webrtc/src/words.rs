//! What happened, in words for a log.

use esp_peer::Notice;

/// A line for a notice; `None` for those that are too many to read.
pub(crate) fn of_notice(notice: &Notice<'_>) -> Option<String> {
    Some(match notice {
        Notice::LocalCandidate(line) => format!("our candidate: {}", short(line)),
        Notice::RemoteCandidate(line) => format!("the peer's candidate: {}", short(line)),
        Notice::Paired {
            local,
            local_type,
            remote,
            remote_type,
        } => format!("path: {local} ({local_type}) to {remote} ({remote_type})"),
        Notice::Secured {
            version,
            srtp: Some(srtp),
        } => format!("secured by {version}, media by {srtp}"),
        Notice::Secured { version, .. } => format!("secured by {version}"),
        Notice::Connected { after } => format!("connected after {} ms", after.as_millis()),
        Notice::Interrupted => "the path has gone silent".into(),
        Notice::Recovered => "the path is back".into(),
        Notice::ServerFailed { url, reason } => format!("server {url}: {reason}"),
        Notice::ChannelsRestarted => "the peer's data channels began anew".into(),
        Notice::ChannelsEnded { reason } => format!("the data channels ended: {reason}"),
        Notice::Ended { reason } => format!("the connection ended: {reason}"),
        _ => return None,
    })
}

/// Address, port and type of a candidate line.
fn short(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [_, _, protocol, _, address, port, "typ", kind, ..] => {
            let colon = if address.contains(':') { "]:" } else { ":" };
            let open = if address.contains(':') { "[" } else { "" };
            format!(
                "{open}{address}{colon}{port} {} {kind}",
                protocol.to_lowercase()
            )
        }
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_short() {
        let line = "candidate:1 1 UDP 2130706431 2001:db8::1 4000 typ host";
        assert_eq!(short(line), "[2001:db8::1]:4000 udp host");
        assert_eq!(short("nonsense"), "nonsense");
    }
}
