//! Firefox by WebDriver BiDi.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::link::Link;
use super::remote::{Remote, Tab};
use crate::Outcome;
use crate::directory::Directory;

/// Under which names it may be installed.
pub(super) const NAMES: &[&str] = &["firefox-esr", "firefox"];

/// What makes it quiet, and gives it a microphone, a camera and addresses.
const PREFERENCES: &[(&str, &str)] = &[
    ("app.normandy.enabled", "false"),
    ("app.update.disabledForTesting", "true"),
    ("browser.aboutwelcome.enabled", "false"),
    ("browser.safebrowsing.malware.enabled", "false"),
    ("browser.safebrowsing.phishing.enabled", "false"),
    ("browser.shell.checkDefaultBrowser", "false"),
    ("datareporting.policy.dataSubmissionEnabled", "false"),
    ("extensions.update.enabled", "false"),
    ("media.autoplay.blocking_policy", "0"),
    ("media.autoplay.default", "0"),
    ("media.devices.insecure.enabled", "true"),
    ("media.getusermedia.insecure.enabled", "true"),
    ("media.gmp-manager.updateEnabled", "false"),
    ("media.navigator.permission.disabled", "true"),
    ("media.navigator.streams.fake", "true"),
    ("media.peerconnection.ice.loopback", "true"),
    ("media.peerconnection.ice.obfuscate_host_addresses", "false"),
    ("network.captive-portal-service.enabled", "false"),
    ("network.connectivity-service.enabled", "false"),
    ("toolkit.telemetry.enabled", "false"),
];

/// What its command line holds.
pub(super) fn arguments(profile: &Directory) -> Vec<String> {
    vec![
        "--headless".into(),
        "--no-remote".into(),
        "--profile".into(),
        profile.path().display().to_string(),
        "--remote-debugging-port".into(),
        "0".into(),
    ]
}

/// Writes the preferences that it begins with; of two, the later one wins.
pub(super) fn prepare(profile: &Directory, more: &[(String, Value)]) -> Outcome<()> {
    let mut text: String = PREFERENCES
        .iter()
        .map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"))
        .collect();
    for (name, value) in more {
        text.push_str(&format!("user_pref(\"{name}\", {value});\n"));
    }
    let path = profile.path().join("user.js");
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Where it listens, as it writes into its profile.
pub(super) fn address(profile: &Directory) -> Option<(u16, String)> {
    let text = fs::read_to_string(profile.path().join("WebDriverBiDiServer.json")).ok()?;
    let address: Value = serde_json::from_str(&text).ok()?;
    let port = u16::try_from(address["ws_port"].as_u64()?).ok()?;
    Some((port, "/session".into()))
}

/// A connected Firefox.
pub(super) struct Firefox {
    link: Link,
    version: String,
}

impl Firefox {
    pub(super) fn connect(port: u16, path: &str, namespace: Option<&str>) -> Outcome<Self> {
        let mut link = Link::connect(port, path, namespace, line)?;
        let session = link.call(json!({
            "method": "session.new",
            "params": {"capabilities": {"alwaysMatch": {"acceptInsecureCerts": true}}},
        }))?;
        let said = &session["capabilities"];
        let word = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
        let version = format!("{}/{}", word("browserName"), word("browserVersion"));
        link.call(json!({
            "method": "session.subscribe",
            "params": {"events": ["log.entryAdded"]},
        }))?;
        Ok(Firefox { link, version })
    }

    fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.link.call(json!({"method": method, "params": params}))
    }

    /// What an expression comes to, as BiDi tells it.
    fn run(&mut self, tab: &Tab, expression: &str) -> Outcome<Value> {
        let params = json!({
            "expression": expression,
            "target": {"context": tab.target},
            "awaitPromise": true,
            "userActivation": true,
        });
        let mut answer = self.call("script.evaluate", params)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"].take()),
            Some(details) => Err(format!("{expression}: {}", details["text"])),
        }
    }
}

impl Remote for Firefox {
    fn version(&mut self) -> Outcome<String> {
        Ok(self.version.clone())
    }

    fn open(&mut self) -> Outcome<Tab> {
        let tab = self.call("browsingContext.create", json!({"type": "tab"}))?;
        Ok(Tab {
            target: tab["context"].as_str().unwrap_or_default().to_owned(),
            session: String::new(),
        })
    }

    fn close(&mut self, tab: &Tab) -> Outcome<()> {
        self.call("browsingContext.close", json!({"context": tab.target}))
            .map(drop)
    }

    fn navigate(&mut self, tab: &Tab, url: &str) -> Outcome<()> {
        let params = json!({"context": tab.target, "url": url, "wait": "interactive"});
        self.call("browsingContext.navigate", params).map(drop)
    }

    fn reload(&mut self, tab: &Tab) -> Outcome<()> {
        let params = json!({"context": tab.target, "wait": "interactive"});
        self.call("browsingContext.reload", params).map(drop)
    }

    fn evaluate(&mut self, tab: &Tab, expression: &str) -> Outcome<Value> {
        self.run(tab, expression).map(|value| plain(&value))
    }

    fn choose_files(&mut self, tab: &Tab, id: &str, files: &[&Path]) -> Outcome<()> {
        let element = self.run(tab, &format!("document.getElementById('{id}')"))?;
        let params = json!({
            "context": tab.target,
            "element": {"sharedId": element["sharedId"]},
            "files": files,
        });
        self.call("input.setFiles", params).map(drop)
    }

    fn resize(&mut self, tab: &Tab, width: u32, height: u32, dark: bool) -> Outcome<()> {
        if dark {
            return Err("Firefox is dark by its preferences alone".into());
        }
        let size = json!({"width": width, "height": height});
        let params = json!({"context": tab.target, "viewport": size});
        self.call("browsingContext.setViewport", params).map(drop)
    }

    fn screenshot(&mut self, tab: &Tab) -> Outcome<String> {
        let params = json!({"context": tab.target});
        let answer = self.call("browsingContext.captureScreenshot", params)?;
        Ok(answer["data"].as_str().unwrap_or_default().to_owned())
    }

    fn quit(&mut self) -> Outcome<()> {
        self.call("browser.close", json!({})).map(drop)
    }

    fn console(&self) -> String {
        self.link.console()
    }
}

/// A BiDi value as plain JSON; what has no counterpart there is null.
fn plain(value: &Value) -> Value {
    let inner = &value["value"];
    match value["type"].as_str().unwrap_or_default() {
        "string" | "boolean" => inner.clone(),
        "number" if inner.is_number() => inner.clone(),
        "number" if inner == "-0" => 0.into(),
        "array" => inner.as_array().into_iter().flatten().map(plain).collect(),
        "object" => {
            let entries = inner.as_array().into_iter().flatten();
            let named = entries.filter_map(|entry| {
                let name = entry[0].as_str()?.to_owned();
                Some((name, plain(&entry[1])))
            });
            Value::Object(named.collect::<Map<_, _>>())
        }
        _ => Value::Null,
    }
}

fn line(event: &Value) -> Option<String> {
    let params = &event["params"];
    (event["method"] == "log.entryAdded").then(|| {
        let place = &params["stackTrace"]["callFrames"][0]["url"];
        format!("{} {place}", params["text"])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_plain() {
        let told = json!({"type": "object", "value": [
            ["door", {"type": "number", "value": 1}],
            ["rtt", {"type": "number", "value": "NaN"}],
            ["error", {"type": "null"}],
            ["open", {"type": "array", "value": [{"type": "string", "value": "chat"}]}],
            ["got", {"type": "object", "value": [["bytes", {"type": "number", "value": "-0"}]]}],
        ]});
        let wanted = json!({
            "door": 1, "rtt": null, "error": null, "open": ["chat"], "got": {"bytes": 0},
        });
        assert_eq!(plain(&told), wanted);
        assert_eq!(plain(&json!({"type": "undefined"})), Value::Null);
    }
}
