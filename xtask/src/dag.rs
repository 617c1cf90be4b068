//! The rule of the house: arrows between packages only go down.

use std::process::Command;

use serde_json::Value;

use crate::run;

/// What each package may use; tests of any package may use `netsim` besides.
const TABLE: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("crypto", &["wire"]),
    ("stun", &["wire", "crypto"]),
    ("ice", &["stun", "wire"]),
    ("dtls", &["crypto", "wire"]),
    ("srtp", &["crypto", "wire"]),
    ("rtp", &["wire"]),
    ("sctp", &["wire"]),
    ("sdp", &["wire"]),
    (
        "peer",
        &[
            "wire", "crypto", "stun", "ice", "dtls", "srtp", "rtp", "sctp", "sdp",
        ],
    ),
    ("trust", &[]),
    ("driver", &["peer", "dtls", "stun", "trust", "wire"]),
    ("signaling", &["sdp", "trust", "wire"]),
    ("rooms", &["wire"]),
    ("local", &["rooms", "signaling", "wire"]),
    ("media", &["wire"]),
    ("webrtc", &["peer", "driver", "signaling", "media", "wire"]),
    ("capi", &["webrtc", "peer", "driver", "wire"]),
    ("cli", &["webrtc", "rooms", "local"]),
    ("netsim", &["wire", "stun"]),
    (
        "fuzzing",
        &[
            "peer", "ice", "dtls", "srtp", "rtp", "sctp", "sdp", "stun", "media", "netsim", "wire",
        ],
    ),
    ("tables", &["netsim", "ice", "rtp", "sctp", "wire"]),
    ("e2e", &["webrtc", "cli", "rooms"]),
    ("lab", &["e2e", "webrtc"]),
];

/// What tests of a package may use besides.
const TESTS: &[(&str, &str)] = &[("capi", "rooms")];

/// Fails with every arrow that is not in the table.
pub(crate) fn check() -> Result<(), String> {
    let output = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(run::root())
        .output()
        .map_err(|error| format!("`cargo metadata` could not be started: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("`cargo metadata` made no sense: {error}"))?;
    let wrong = wrong_arrows(&metadata);
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "arrows that ARCHITECTURE.md does not allow:\n  {}",
            wrong.join("\n  ")
        ))
    }
}

fn wrong_arrows(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let mut wrong = Vec::new();
    for package in packages {
        let name = room(&package["name"]);
        if name == "xtask" {
            continue;
        }
        let Some((_, allowed)) = TABLE.iter().find(|(room, _)| *room == name) else {
            wrong.push(format!("{name}: not in the table"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if dependency["path"].is_null() {
                continue;
            }
            let to = room(&dependency["name"]);
            let test_only = dependency["kind"] == "dev";
            let test_net = test_only && (to == "netsim" || TESTS.contains(&(name, to)));
            if !allowed.contains(&to) && !test_net {
                wrong.push(format!("{name} → {to}"));
            }
        }
    }
    wrong
}

fn room(name: &Value) -> &str {
    let name = name.as_str().unwrap_or_default();
    name.strip_prefix("esp-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_arrow_up_is_named() {
        let arrow = |kind: Value| {
            wrong_arrows(&json!({"packages": [{
                "name": "esp-sctp",
                "dependencies": [
                    {"name": "esp-wire", "path": "/wire", "kind": null},
                    {"name": "esp-netsim", "path": "/netsim", "kind": kind},
                    {"name": "esp-elsewhere", "path": null, "kind": null},
                ],
            }]}))
        };
        assert_eq!(arrow(json!("dev")), Vec::<String>::new());
        assert_eq!(arrow(Value::Null), ["sctp → netsim"]);
        let rooms = |kind: Value| {
            wrong_arrows(&json!({"packages": [{
                "name": "esp-capi",
                "dependencies": [{"name": "esp-rooms", "path": "/rooms", "kind": kind}],
            }]}))
        };
        assert_eq!(rooms(json!("dev")), Vec::<String>::new());
        assert_eq!(rooms(Value::Null), ["capi → rooms"]);
    }
}
