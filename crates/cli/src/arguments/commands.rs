//! The options of each command.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use esp_webrtc::driver::ServerTrust;

use super::options::{
    Credentials, IceOptions, LinkOptions, MediaOptions, Output, ServerOptions, TrustOptions,
};
use super::values::{seconds, size};
use crate::failure::Failure;

pub(super) const DOORBELL_HELP: &str = "On the terminal:
  Enter or /ring rings; a line is sent as chat; /file PATH sends a file; /hangup ends the call; /quit leaves.

A doorbell builds its connection when the call is accepted: by ACCEPT_CALL, or by an offer.
A data channel with the label `echo` gets back what it sends.

Examples:
  esp-webrtc --ring                     rings as soon as somebody is there
  esp-webrtc --port 9000 --room porch --no-audio
  esp-webrtc --files inbox --quota 1G   keeps files dropped on the page
  esp-webrtc --url https://rooms.example.org/r/porch
  esp-webrtc --lan                      prints a QR code and a fingerprint
  esp-webrtc --local                    no rooms: http://localhost:8080/webrtc/test is this device
  esp-webrtc --local --lan              the same for this network, over HTTPS";

pub(super) const SERVE_HELP: &str = "Examples:
  esp-webrtc serve                      http://localhost:8080/r/ROOM, for this host alone
  esp-webrtc serve --lan                https://ADDRESS:8443/r/ROOM for this network, too
  esp-webrtc serve --ice-server turn:turn.example.org --ice-user me --ice-password @secret.txt";

pub(super) const CALL_HELP: &str = "On the terminal a line is sent as chat; /file PATH sends a file; /hangup ends the call; /quit leaves.
A data channel with the label `echo` gets back what it sends.

Examples:
  esp-webrtc call http://localhost:8080/r/demo
  esp-webrtc call http://localhost:8080/r/demo --record calls --for 60
  esp-webrtc call http://localhost:8080/r/demo --send 10M --message-size 1M";

pub(super) const PROBE_HELP: &str = "Examples:
  esp-webrtc probe                      asks two public STUN servers
  esp-webrtc probe --no-servers         asks nobody
  esp-webrtc probe --server stun:192.0.2.1:3478 --server stun:stun.example.org
  esp-webrtc probe --server turns:turn.example.org --ice-user me --ice-password @secret.txt --json

Of NATs, one server tells whether there is one; two at different addresses also tell how it maps; one that
offers RFC 5780 (OTHER-ADDRESS) also tells how it filters.";

const ERRANDS: &str = "Errands";

/// What every member of a room may choose.
#[derive(Args)]
pub(crate) struct MemberOptions {
    #[command(flatten)]
    pub(crate) trust: TrustOptions,
    #[command(flatten)]
    pub(crate) servers: IceOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) link: LinkOptions,
}

/// Options of `doorbell`.
#[derive(Args)]
pub(crate) struct Doorbell {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    /// Name of the room
    #[arg(long, default_value = "demo", conflicts_with_all = ["lan", "url"])]
    pub(crate) room: String,
    /// Join this room of another server instead of serving one
    #[arg(long, value_name = "URL", conflicts_with_all = ["lan", "port", "lan_port"])]
    pub(crate) url: Option<String>,
    /// Serve the page of this device alone: no rooms, one browser at a time
    #[arg(long, conflicts_with_all = ["room", "url"])]
    pub(crate) local: bool,
    #[command(flatten)]
    pub(crate) member: MemberOptions,
    /// Ring as soon as the room is joined
    #[arg(long, help_heading = "Bell")]
    pub(crate) ring: bool,
    /// Connect at once, without waiting for ACCEPT_CALL (for peers that know no doorbell)
    #[arg(long, help_heading = "Bell")]
    pub(crate) auto_accept: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of `serve`.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) server: ServerOptions,
    #[command(flatten)]
    pub(crate) servers: IceOptions,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of `call`.
#[derive(Args)]
pub(crate) struct Call {
    /// The room: http://HOST[:PORT]/r/ROOM
    #[arg(value_name = "ROOM-URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) member: MemberOptions,
    /// Send this many bytes over an `echo` channel, check what comes back byte by byte, and end
    #[arg(long, value_name = "BYTES", value_parser = size, help_heading = ERRANDS)]
    pub(crate) send: Option<u64>,
    /// Bytes of each message of --send
    #[arg(long, value_name = "BYTES", value_parser = size, default_value = "64K", requires = "send", help_heading = ERRANDS)]
    pub(crate) message_size: u64,
    /// Send this file over the `file` channel, and end
    #[arg(long, value_name = "FILE", help_heading = ERRANDS)]
    pub(crate) send_file: Option<PathBuf>,
    /// End after this many seconds; with --send or --send-file, that is a failure
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds, help_heading = ERRANDS)]
    pub(crate) limit: Option<Duration>,
    /// Go on after --send and --send-file are done
    #[arg(long, help_heading = ERRANDS)]
    pub(crate) stay: bool,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of `probe`.
#[derive(Args)]
pub(crate) struct Probe {
    /// A STUN or TURN server to ask, again for more
    #[arg(long = "server", value_name = "URL", default_values = [
        "stun:stun.l.google.com:19302", "stun:stun.cloudflare.com:3478",
    ])]
    pub(crate) servers: Vec<String>,
    #[command(flatten)]
    pub(crate) credentials: Credentials,
    /// Ask no server
    #[arg(long, conflicts_with = "servers")]
    pub(crate) no_servers: bool,
    /// Believe turns: servers with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) server_ca: Option<PathBuf>,
    /// How long to wait for answers, in seconds
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "5")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Probe {
    /// Whose certificates the TLS streams to servers accept.
    pub(crate) fn trust(&self) -> Result<ServerTrust, Failure> {
        let Some(path) = &self.server_ca else {
            return Ok(ServerTrust::default());
        };
        let words = |why: String| {
            Failure::of_option("--server-ca", format_args!("{}: {why}", path.display()))
        };
        let pem = std::fs::read(path).map_err(|error| words(error.to_string()))?;
        ServerTrust::of_pem(&pem).map_err(words)
    }
}
