//! One tab of a browser.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::browser::Tab;
use crate::{Browser, Outcome, wait};

/// One tab; it is closed when this is dropped.
#[derive(Debug)]
pub struct Page<'a> {
    browser: &'a Browser,
    tab: Tab,
}

impl<'a> Page<'a> {
    pub(crate) fn new(browser: &'a Browser, tab: Tab) -> Self {
        Page { browser, tab }
    }

    /// Goes to another page.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn navigate(&self, url: &str) -> Outcome<()> {
        self.browser.remote().navigate(&self.tab, url)
    }

    /// Loads the page again.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn reload(&self) -> Outcome<()> {
        self.browser.remote().reload(&self.tab)
    }

    /// The value of an expression; a promise is awaited.
    ///
    /// # Errors
    /// What the page throws.
    pub fn evaluate(&self, expression: &str) -> Outcome<Value> {
        self.browser.remote().evaluate(&self.tab, expression)
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
                self.browser.remote().console()
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
        self.browser.remote().choose_files(&self.tab, id, files)
    }

    /// Sets the size of the view in pixels, and light or dark.
    ///
    /// # Errors
    /// When the browser refuses; Firefox cannot be made dark.
    pub fn resize(&self, width: u32, height: u32, dark: bool) -> Outcome<()> {
        let mut remote = self.browser.remote();
        remote.resize(&self.tab, width, height, dark)
    }

    /// Writes what the page looks like to a PNG file.
    ///
    /// # Errors
    /// When the browser refuses or the file cannot be written.
    pub fn screenshot(&self, path: &Path) -> Outcome<()> {
        let picture = self.browser.remote().screenshot(&self.tab)?;
        let picture = STANDARD
            .decode(picture)
            .map_err(|error| error.to_string())?;
        fs::write(path, picture).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // The browser may be gone; its tabs went with it.
        let _ = self.browser.remote().close(&self.tab);
    }
}
