//! A real Janus server with one video room.

use std::fmt;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::directory::Directory;
use crate::{Outcome, wait};

const START: Duration = Duration::from_secs(240);
/// Another program may take a port between our look and Janus.
const TRIES: u32 = 5;

/// What every client of the server must know.
pub const API_SECRET: &str = "s3cret & more";
/// The room that there is, for H.264 and Opus.
pub const ROOM: &str = "4711";
/// What lets into it.
pub const PIN: &str = "p1n";

/// What is not needed, and would open ports on all addresses.
const PLUGINS: [&str; 11] = [
    "audiobridge",
    "duktape",
    "echotest",
    "lua",
    "nosip",
    "recordplay",
    "sip",
    "streaming",
    "textroom",
    "videocall",
    "voicemail",
];
const TRANSPORTS: [&str; 5] = ["mqtt", "nanomsg", "pfunix", "rabbitmq", "websockets"];

/// A Janus that runs; it is ended when this is dropped.
pub struct Janus {
    process: Child,
    port: u16,
    directory: Directory,
}

impl Janus {
    /// Starts it on some port of this host's loopback.
    ///
    /// # Errors
    /// When it is not installed or does not come up.
    pub fn start() -> Outcome<Self> {
        let mut tried = 1;
        loop {
            match Self::start_once() {
                Err(_) if tried < TRIES => tried += 1,
                done => return done,
            }
        }
    }

    fn start_once() -> Outcome<Self> {
        let directory = Directory::new("janus")?;
        let port = free_port()?;
        configure(&directory, port)?;
        let log = log(&directory)?;
        let process = Command::new("janus")
            .arg("--disable-colors")
            .arg("-F")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone().map_err(|error| error.to_string())?)
            .stdout(log)
            .spawn()
            .map_err(|error| {
                format!("janus: {error}; `cargo xtask prepare` installs it or says how")
            })?;
        let mut janus = Janus {
            process,
            port,
            directory,
        };
        let up = wait::until("Janus did not come up", START, || {
            if let Ok(Some(status)) = janus.process.try_wait() {
                return Some(Err(format!("Janus ended at once ({status})")));
            }
            let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
            connected.is_ok().then_some(Ok(()))
        });
        match up {
            Ok(Ok(())) => Ok(janus),
            Ok(Err(why)) | Err(why) => Err(format!("{why}{}", janus.said())),
        }
    }

    /// Where its clients find it.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/janus", self.port)
    }

    /// What it has written, for a failure's text.
    pub fn said(&self) -> String {
        let text = fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        text.lines().map(|line| format!("\n  | {line}")).collect()
    }
}

impl Drop for Janus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl fmt::Debug for Janus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Janus")
            .field("process", &self.process.id())
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn free_port() -> Outcome<u16> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok(address.port())
}

fn log(directory: &Directory) -> Outcome<File> {
    let path = directory.path().join("log");
    File::create(&path).map_err(|error| format!("{}: {error}", path.display()))
}

fn configure(directory: &Directory, port: u16) -> Outcome<()> {
    let libraries = |names: &[&str]| {
        let files: Vec<String> = names
            .iter()
            .map(|name| format!("libjanus_{name}.so"))
            .collect();
        files.join(",")
    };
    let folder = directory.path().display();
    let (plugins, transports) = (libraries(&PLUGINS), libraries(&TRANSPORTS));
    let files = [
        (
            "janus.jcfg",
            format!(
                "general: {{ configs_folder = \"{folder}\" api_secret = \"{API_SECRET}\" }}\n\
                 plugins: {{ disable = \"{plugins}\" }}\n\
                 transports: {{ disable = \"{transports}\" }}\n"
            ),
        ),
        (
            "janus.transport.http.jcfg",
            format!(
                "general: {{ http = true ip = \"127.0.0.1\" port = {port} base_path = \"/janus\" https = false }}\n\
                 admin: {{ admin_http = false admin_https = false }}\n"
            ),
        ),
        (
            "janus.plugin.videoroom.jcfg",
            format!(
                "general: {{ }}\n\
                 room-{ROOM}: {{ description = \"test\" pin = \"{PIN}\" publishers = 2 \
                 audiocodec = \"opus\" videocodec = \"h264\" fir_freq = 2 }}\n"
            ),
        ),
    ];
    for (name, text) in files {
        let path = directory.path().join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}
