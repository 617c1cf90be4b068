//! Chromium by its DevTools protocol.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::link::Link;
use super::remote::{Remote, Tab};
use crate::Outcome;
use crate::directory::Directory;

/// Under which names it may be installed.
pub(super) const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];

const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--remote-debugging-port=0",
    "--remote-allow-origins=*",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection",
];

/// What its command line holds.
pub(super) fn arguments(profile: &Directory) -> Vec<String> {
    let mut arguments: Vec<String> = FLAGS.iter().map(|&flag| flag.to_owned()).collect();
    arguments.push(format!("--user-data-dir={}", profile.path().display()));
    arguments
}

/// Where it listens, as it writes into its profile.
pub(super) fn address(profile: &Directory) -> Option<(u16, String)> {
    let text = fs::read_to_string(profile.path().join("DevToolsActivePort")).ok()?;
    let (port, path) = text.trim_end().split_once('\n')?;
    Some((port.parse().ok()?, path.to_owned()))
}

/// A connected Chromium.
pub(super) struct Chromium {
    link: Link,
}

impl Chromium {
    pub(super) fn connect(port: u16, path: &str, namespace: Option<&str>) -> Outcome<Self> {
        let link = Link::connect(port, path, namespace, line)?;
        Ok(Chromium { link })
    }

    fn call(&mut self, method: &str, params: Value) -> Outcome<Value> {
        self.link.call(json!({"method": method, "params": params}))
    }

    fn call_in(&mut self, tab: &Tab, method: &str, params: Value) -> Outcome<Value> {
        let request = json!({"method": method, "params": params, "sessionId": tab.session});
        self.link.call(request)
    }
}

impl Remote for Chromium {
    fn version(&mut self) -> Outcome<String> {
        let version = self.call("Browser.getVersion", json!({}))?;
        Ok(version["product"].as_str().unwrap_or_default().to_owned())
    }

    fn open(&mut self) -> Outcome<Tab> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}))?;
        let target = target["targetId"].as_str().unwrap_or_default().to_owned();
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call("Target.attachToTarget", attach)?;
        let session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        let tab = Tab { target, session };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call_in(&tab, domain, json!({}))?;
        }
        Ok(tab)
    }

    fn close(&mut self, tab: &Tab) -> Outcome<()> {
        self.call("Target.closeTarget", json!({"targetId": tab.target}))
            .map(drop)
    }

    fn navigate(&mut self, tab: &Tab, url: &str) -> Outcome<()> {
        let answer = self.call_in(tab, "Page.navigate", json!({"url": url}))?;
        match answer["errorText"].as_str() {
            None | Some("") => Ok(()),
            Some(why) => Err(format!("{url}: {why}")),
        }
    }

    fn reload(&mut self, tab: &Tab) -> Outcome<()> {
        self.call_in(tab, "Page.reload", json!({})).map(drop)
    }

    fn evaluate(&mut self, tab: &Tab, expression: &str) -> Outcome<Value> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call_in(tab, "Runtime.evaluate", params)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].take()),
            Some(details) => Err(format!(
                "{expression}: {}",
                details["exception"]["description"]
            )),
        }
    }

    fn choose_files(&mut self, tab: &Tab, id: &str, files: &[&Path]) -> Outcome<()> {
        let expression = format!("document.getElementById('{id}')");
        let element = self.call_in(tab, "Runtime.evaluate", json!({"expression": expression}))?;
        let object = &element["result"]["objectId"];
        let params = json!({"objectId": object, "files": files});
        self.call_in(tab, "DOM.setFileInputFiles", params).map(drop)
    }

    fn resize(&mut self, tab: &Tab, width: u32, height: u32, dark: bool) -> Outcome<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call_in(tab, "Emulation.setDeviceMetricsOverride", metrics)?;
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call_in(tab, "Emulation.setEmulatedMedia", features)
            .map(drop)
    }

    fn screenshot(&mut self, tab: &Tab) -> Outcome<String> {
        let answer = self.call_in(tab, "Page.captureScreenshot", json!({"format": "png"}))?;
        Ok(answer["data"].as_str().unwrap_or_default().to_owned())
    }

    fn quit(&mut self) -> Outcome<()> {
        self.call("Browser.close", json!({})).map(drop)
    }

    fn console(&self) -> String {
        self.link.console()
    }
}

fn line(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" => Some(
            params["args"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|value| match &value["value"] {
                    Value::Null => value["description"].to_string(),
                    value => value.to_string(),
                })
                .collect::<Vec<_>>()
                .join(" "),
        ),
        "Runtime.exceptionThrown" => {
            Some(params["exceptionDetails"]["exception"]["description"].to_string())
        }
        "Log.entryAdded" => Some(format!(
            "{} {}",
            params["entry"]["text"], params["entry"]["url"]
        )),
        _ => None,
    }
}
