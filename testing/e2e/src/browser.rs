//! A real Chromium without a window, with a microphone that beeps and a camera that moves.

use std::cell::RefCell;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use crate::cdp::Cdp;
use crate::directory::Directory;
use crate::page::Page;
use crate::{Outcome, wait};

/// Under which names it may be installed.
const NAMES: &[&str] = &["chromium", "chromium-browser", "google-chrome"];
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
const START: Duration = Duration::from_secs(60);

/// One browser at a time: two would starve each other on small machines.
static TURN: Mutex<()> = Mutex::new(());

/// A Chromium with a profile of its own; it ends when this is dropped.
pub struct Browser {
    process: Child,
    cdp: RefCell<Cdp>,
    profile: Directory,
    version: String,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts one, after the one before has ended.
    ///
    /// # Errors
    /// When none is installed or it does not come up.
    pub fn start() -> Outcome<Self> {
        Browser::start_with(&[])
    }

    /// Starts one with more options on its command line.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_with(options: &[&str]) -> Outcome<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = Directory::new("chromium")?;
        let mut process = spawn(&profile, options)?;
        let cdp = connect(&mut process, &profile);
        let mut cdp = match cdp {
            Ok(cdp) => cdp,
            Err(why) => {
                end(&mut process);
                return Err(why);
            }
        };
        let version = cdp.call("Browser.getVersion", json!({}), None)?;
        Ok(Browser {
            process,
            cdp: RefCell::new(cdp),
            profile,
            version: version["product"].as_str().unwrap_or_default().to_owned(),
            _turn: turn,
        })
    }

    /// Opens a page in a tab of its own.
    ///
    /// # Errors
    /// When Chromium refuses.
    pub fn open(&self, url: &str) -> Outcome<Page<'_>> {
        let target = self.call("Target.createTarget", json!({"url": "about:blank"}), None)?;
        let target = target["targetId"].as_str().unwrap_or_default().to_owned();
        let attach = json!({"targetId": target, "flatten": true});
        let session = self.call("Target.attachToTarget", attach, None)?;
        let session = session["sessionId"].as_str().unwrap_or_default().to_owned();
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            self.call(domain, json!({}), Some(&session))?;
        }
        let page = Page::new(self, target, session);
        page.navigate(url)?;
        Ok(page)
    }

    /// Its name and version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn call(
        &self,
        method: &str,
        params: Value,
        session: Option<&str>,
    ) -> Outcome<Value> {
        self.cdp.borrow_mut().call(method, params, session)
    }

    pub(crate) fn console(&self) -> String {
        self.cdp.borrow().console()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The polite way ends its helpers too; the other way is for when it hangs.
        let _ = self.call("Browser.close", json!({}), None);
        let ended = wait::until("Chromium goes on", Duration::from_secs(5), || {
            self.process.try_wait().ok().flatten()
        });
        if ended.is_err() {
            end(&mut self.process);
        }
    }
}

fn spawn(profile: &Directory, options: &[&str]) -> Outcome<Child> {
    let directory = format!("--user-data-dir={}", profile.path().display());
    for name in NAMES {
        let started = Command::new(name)
            .args(FLAGS)
            .args(options)
            .arg(&directory)
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(process) = started {
            return Ok(process);
        }
    }
    Err("Chromium is not installed: `cargo xtask prepare` installs it or says how".into())
}

/// Waits for the file in which Chromium says where it listens.
fn connect(process: &mut Child, profile: &Directory) -> Outcome<Cdp> {
    let file = profile.path().join("DevToolsActivePort");
    let (port, path) = wait::until("Chromium did not come up", START, || {
        if let Ok(Some(status)) = process.try_wait() {
            return Some(Err(format!("Chromium ended at once ({status})")));
        }
        let text = fs::read_to_string(&file).ok()?;
        let (port, path) = text.trim_end().split_once('\n')?;
        Some(Ok((port.parse::<u16>().ok()?, path.to_owned())))
    })??;
    Cdp::connect(port, &path)
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

impl std::fmt::Debug for Browser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Browser")
            .field("version", &self.version)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
