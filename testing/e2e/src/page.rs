//! One tab of a browser.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Browser, Outcome, wait};

/// One tab; it is closed when this is dropped.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a Browser,
    target: String,
    session: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(browser: &'a Browser, target: String, session: String) -> Self {
        Page {
            browser,
            target,
            session,
        }
    }

    fn call(&self, method: &str, params: Value) -> Outcome<Value> {
        self.browser.call(method, params, Some(&self.session))
    }

    /// Goes to another page.
    ///
    /// # Errors
    /// When Chromium refuses.
    pub fn navigate(&self, url: &str) -> Outcome<()> {
        let answer = self.call("Page.navigate", json!({"url": url}))?;
        match answer["errorText"].as_str() {
            None | Some("") => Ok(()),
            Some(why) => Err(format!("{url}: {why}")),
        }
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// When Chromium refuses.
    pub fn reload(&self) -> Outcome<()> {
        self.call("Page.reload", json!({})).map(drop)
    }

    /// The value of an expression; a promise is awaited.
    ///
    /// # Errors
    /// What the page throws.
    pub fn evaluate(&self, expression: &str) -> Outcome<Value> {
        let params = json!({
            "expression": expression,
            "awaitPromise": true,
            "returnByValue": true,
            "userGesture": true,
        });
        let mut answer = self.call("Runtime.evaluate", params)?;
        match answer.get("exceptionDetails") {
            None => Ok(answer["result"]["value"].take()),
            Some(details) => Err(format!(
                "{expression}: {}",
                details["exception"]["description"]
            )),
        }
    }

    /// The value of an expression that is a number.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate); when it is none.
    pub fn number(&self, expression: &str) -> Outcome<f64> {
        let value = self.evaluate(expression)?;
        value
            .as_f64()
            .ok_or_else(|| format!("{expression} is no number but {value}"))
    }

    /// Waits until an expression is true, and gives its value.
    ///
    /// # Errors
    /// When `patience` is over, with what the page shows then.
    pub fn wait_for(&self, condition: &str, patience: Duration) -> Outcome<Value> {
        let found = wait::until(&format!("not true: {condition}"), patience, || {
            // A page that is loading throws; the next look is at the new one.
            let value = self.evaluate(condition).ok()?;
            let empty = matches!(value, Value::Null | Value::Bool(false))
                || value == 0
                || value.as_str() == Some("");
            (!empty).then_some(value)
        });
        found.map_err(|why| {
            let view =
                self.evaluate("JSON.stringify(window.__doorbell ?? document.body?.innerText)");
            let notice = self.evaluate("document.getElementById('notice')?.textContent");
            format!(
                "{why}\n  page: {}\n  notice: {}\n  console: {}",
                view.unwrap_or_default(),
                notice.unwrap_or_default(),
                self.browser.console()
            )
        })
    }

    /// Presses the element with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn click(&self, id: &str) -> Outcome<()> {
        self.evaluate(&format!("document.getElementById('{id}').click()"))
            .map(drop)
    }

    /// Chooses files for the file input with this id.
    ///
    /// # Errors
    /// When there is none.
    pub fn choose_files(&self, id: &str, files: &[&Path]) -> Outcome<()> {
        let element = self.call(
            "Runtime.evaluate",
            json!({"expression": format!("document.getElementById('{id}')")}),
        )?;
        let object = &element["result"]["objectId"];
        self.call(
            "DOM.setFileInputFiles",
            json!({"objectId": object, "files": files}),
        )
        .map(drop)
    }

    /// Sets the size of the view in pixels, and light or dark.
    ///
    /// # Errors
    /// When Chromium refuses.
    pub fn resize(&self, width: u32, height: u32, dark: bool) -> Outcome<()> {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let value = if dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.call("Emulation.setEmulatedMedia", features).map(drop)
    }

    /// Writes what the page looks like to a PNG file.
    ///
    /// # Errors
    /// When Chromium refuses or the file cannot be written.
    pub fn screenshot(&self, path: &Path) -> Outcome<()> {
        let answer = self.call("Page.captureScreenshot", json!({"format": "png"}))?;
        let picture = STANDARD
            .decode(answer["data"].as_str().unwrap_or_default())
            .map_err(|error| error.to_string())?;
        fs::write(path, picture).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // The browser may be gone; its tabs went with it.
        let _ = self
            .browser
            .call("Target.closeTarget", json!({"targetId": self.target}), None);
    }
}
