//! What a test does with a browser, whatever its kind.

use std::path::Path;

use serde_json::Value;

use crate::Outcome;

/// One tab, as its browser names it.
#[derive(Debug)]
pub(crate) struct Tab {
    pub(super) target: String,
    /// Chromium's name for the connection to it.
    pub(super) session: String,
}

/// One kind of browser over its own protocol.
pub(crate) trait Remote {
    /// Name and version.
    fn version(&mut self) -> Outcome<String>;
    /// Opens an empty tab.
    fn open(&mut self) -> Outcome<Tab>;
    fn close(&mut self, tab: &Tab) -> Outcome<()>;
    fn navigate(&mut self, tab: &Tab, url: &str) -> Outcome<()>;
    fn reload(&mut self, tab: &Tab) -> Outcome<()>;
    /// The value of an expression; a promise is awaited.
    fn evaluate(&mut self, tab: &Tab, expression: &str) -> Outcome<Value>;
    /// Chooses files for the file input with this id.
    fn choose_files(&mut self, tab: &Tab, id: &str, files: &[&Path]) -> Outcome<()>;
    fn resize(&mut self, tab: &Tab, width: u32, height: u32, dark: bool) -> Outcome<()>;
    /// What the tab looks like: a PNG in Base64.
    fn screenshot(&mut self, tab: &Tab) -> Outcome<String>;
    /// Ends the browser.
    fn quit(&mut self) -> Outcome<()>;
    /// The last lines of all consoles.
    fn console(&self) -> String;
}
