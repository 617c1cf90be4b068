//! Installs what the tests need where it is missing.

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::run;

/// A program or file that a test needs, and the Debian package that holds it.
const NEEDED: &[(&str, &str)] = &[
    ("chromium", "chromium"),
    ("firefox-esr", "firefox-esr"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("setpriv", "util-linux"),
    ("turnserver", "coturn"),
    ("janus", "janus"),
    ("kill", "procps"),
    ("c++", "g++"),
    ("pkg-config", "pkg-config"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
];

/// Whether it is there.
fn has(what: &str) -> bool {
    match what.starts_with('/') {
        true => Path::new(what).exists(),
        false => run::exists(what),
    }
}

/// Installs everything that is missing; elsewhere than on Debian as root, says what to install.
pub(crate) fn all() -> Result<(), String> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(what, _)| !has(what))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !can_install() {
        return Err(format!(
            "the tests need: {}; install it (on Debian: apt-get install {}) and start again",
            missing.join(", "),
            missing.join(" ")
        ));
    }
    install(&missing)
}

/// Whether packages can be installed: on Debian, as root.
pub(crate) fn can_install() -> bool {
    Path::new("/etc/debian_version").exists() && is_root()
}

/// Tries of what a network or another `apt-get` may spoil, and the time between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(20);

/// Installs these packages of Debian.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    let mut tried = 1;
    loop {
        match apt_get(&["update", "-qq"]).and_then(|()| apt_get(&arguments)) {
            Err(why) if tried < TRIES => eprintln!("{why}; once more in {} s", PAUSE.as_secs()),
            done => return done,
        }
        tried += 1;
        sleep(PAUSE);
    }
}

/// Runs `apt-get` without a question that nobody would answer; another one that runs is waited for.
fn apt_get(arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new("apt-get");
    command
        .args(["-o", "DPkg::Lock::Timeout=600"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    run::finish(command, &format!("apt-get {}", arguments.join(" ")))
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
