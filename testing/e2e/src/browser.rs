//! A real browser without a window, with a microphone and a camera that are not there.

mod chromium;
mod firefox;
mod link;
mod remote;

use std::cell::{RefCell, RefMut};
use std::fmt;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use self::chromium::Chromium;
use self::firefox::Firefox;
pub(crate) use self::remote::{Remote, Tab};
use crate::directory::Directory;
use crate::page::Page;
use crate::{Outcome, wait};

const START: Duration = Duration::from_secs(240);
const END: Duration = Duration::from_secs(60);

/// One browser at a time: two would starve each other on small machines.
static TURN: Mutex<()> = Mutex::new(());

/// Which browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Its microphone beeps twice a second; it has H.264.
    Chromium,
    /// Its microphone hums all the time; its H.264 comes as a download, which there is none of here.
    Firefox,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 2] = [Kind::Chromium, Kind::Firefox];

    /// The one with this name, in small letters.
    pub fn named(name: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name, in small letters.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        }
    }

    fn programs(self) -> &'static [&'static str] {
        match self {
            Kind::Chromium => chromium::NAMES,
            Kind::Firefox => firefox::NAMES,
        }
    }

    fn address(self, profile: &Directory) -> Option<(u16, String)> {
        match self {
            Kind::Chromium => chromium::address(profile),
            Kind::Firefox => firefox::address(profile),
        }
    }

    fn connect(self, port: u16, path: &str, namespace: Option<&str>) -> Outcome<Box<dyn Remote>> {
        Ok(match self {
            Kind::Chromium => Box::new(Chromium::connect(port, path, namespace)?),
            Kind::Firefox => Box::new(Firefox::connect(port, path, namespace)?),
        })
    }
}

/// How a browser is started.
#[derive(Clone, Debug)]
pub struct Launch {
    kind: Kind,
    options: Vec<String>,
    preferences: Vec<(String, Value)>,
    namespace: Option<String>,
}

impl Launch {
    /// One of this kind, as most tests have it.
    pub fn new(kind: Kind) -> Self {
        Launch {
            kind,
            options: Vec::new(),
            preferences: Vec::new(),
            namespace: None,
        }
    }

    /// With one more option on its command line.
    #[must_use]
    pub fn with_option(mut self, option: &str) -> Self {
        self.options.push(option.into());
        self
    }

    /// With a preference (Firefox's `about:config`), which wins over what is set here anyway.
    #[must_use]
    pub fn with_preference(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.preferences.push((name.into(), value.into()));
        self
    }

    /// Within this network namespace (as `ip netns` names them), for which one has to be root.
    #[must_use]
    pub fn in_namespace(mut self, name: &str) -> Self {
        self.namespace = Some(name.into());
        self
    }

    /// Starts it, after the browser before has ended.
    ///
    /// # Errors
    /// When none is installed or it does not come up.
    pub fn start(self) -> Outcome<Browser> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let profile = Directory::new(self.kind.name())?;
        let mut process = self.spawn(&profile)?;
        match self.reach(&mut process, &profile) {
            Ok((remote, version)) => Ok(Browser {
                kind: self.kind,
                process,
                remote: RefCell::new(remote),
                profile,
                version,
                _turn: turn,
            }),
            Err(why) => {
                end(&mut process);
                Err(why)
            }
        }
    }

    fn spawn(&self, profile: &Directory) -> Outcome<Child> {
        let arguments = match self.kind {
            Kind::Chromium => chromium::arguments(profile),
            Kind::Firefox => {
                firefox::prepare(profile, &self.preferences)?;
                firefox::arguments(profile)
            }
        };
        for name in self.kind.programs() {
            let mut command = match &self.namespace {
                None => Command::new(name),
                Some(namespace) => {
                    let mut command = Command::new("ip");
                    command.args(["netns", "exec", namespace, name]);
                    command
                }
            };
            let started = command
                .args(&arguments)
                .args(&self.options)
                .arg("about:blank")
                // Firefox refuses the home of somebody else.
                .env("HOME", profile.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            if let Ok(process) = started {
                return Ok(process);
            }
        }
        let name = self.kind.name();
        Err(format!(
            "{name} is not installed: `cargo xtask prepare` installs it or says how"
        ))
    }

    /// Waits until it says where it listens, and connects.
    fn reach(
        &self,
        process: &mut Child,
        profile: &Directory,
    ) -> Outcome<(Box<dyn Remote>, String)> {
        let name = self.kind.name();
        let (port, path) = wait::until(&format!("{name} did not come up"), START, || {
            if let Ok(Some(status)) = process.try_wait() {
                return Some(Err(format!("{name} ended at once ({status})")));
            }
            Some(Ok(self.kind.address(profile)?))
        })??;
        let namespace = self.namespace.as_deref();
        let mut remote = self.kind.connect(port, &path, namespace)?;
        let version = remote.version()?;
        Ok((remote, version))
    }
}

/// A browser with a profile of its own; it ends when this is dropped.
pub struct Browser {
    kind: Kind,
    process: Child,
    remote: RefCell<Box<dyn Remote>>,
    profile: Directory,
    version: String,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// Starts a Chromium, after the browser before has ended.
    ///
    /// # Errors
    /// When none is installed or it does not come up.
    pub fn start() -> Outcome<Self> {
        Browser::start_a(Kind::Chromium)
    }

    /// Starts one of this kind, after the browser before has ended.
    ///
    /// # Errors
    /// As for [`start`](Self::start).
    pub fn start_a(kind: Kind) -> Outcome<Self> {
        Launch::new(kind).start()
    }

    /// Opens a page in a tab of its own.
    ///
    /// # Errors
    /// When the browser refuses.
    pub fn open(&self, url: &str) -> Outcome<Page<'_>> {
        let tab = self.remote().open()?;
        let page = Page::new(self, tab);
        page.navigate(url)?;
        Ok(page)
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its name and version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn remote(&self) -> RefMut<'_, Box<dyn Remote>> {
        self.remote.borrow_mut()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The polite way ends its helpers too; the other way is for when it hangs.
        let _ = self.remote.get_mut().quit();
        let ended = wait::until("the browser goes on", END, || {
            self.process.try_wait().ok().flatten()
        });
        if ended.is_err() {
            end(&mut self.process);
        }
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

impl fmt::Debug for Browser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Browser")
            .field("version", &self.version)
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}
