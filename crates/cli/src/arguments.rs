//! What the program is asked for.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand, ValueEnum};
use esp_webrtc::PeerConfig;
use esp_webrtc::driver::ServerTrust;
use esp_webrtc::peer::DtlsVersions;
use esp_webrtc::peer::ice::InterfaceFilter;
use esp_webrtc::signaling::Trust;
use esp_webrtc::wire::{IcePolicy, IceServer, Scheme, ServerUrl};

use crate::failure::Failure;

const ABOUT: &str = "WebRTC for devices: a doorbell, a room server, a plain peer, and a look at the network.

Without a command it is a doorbell: it serves a page on http://localhost:8080 and waits there for a call. \
The options of `doorbell` also work without the word.";

const EXAMPLES: &str = "Examples:
  esp-webrtc                            a doorbell; open the page that it prints
  esp-webrtc --lan                      the same for phones in this network, over HTTPS
  esp-webrtc doorbell --video door.mp4 --record calls
  esp-webrtc serve --port 9000          the room server alone
  esp-webrtc call http://localhost:8080/r/demo
  esp-webrtc probe --server stun:stun.example.org

RUST_LOG=debug, or -v, -vv and -vvv, show on standard error what goes on inside.";

const EVENTS: &str = "Events as JSON:
  With --events json each line on standard output is an object with `time` (UTC, RFC 3339), `event`, and fields:
    serving       url, urls, fingerprint (with --lan)      sending       audio, video
    joined        room                                     interrupted   reason (signaling; a call goes on)
    ringing, accepted (by), denied, door_opened            closed        reason (signaling)
    connecting, paired                                     connected     ms, remote, dtls, srtp
    failed, lost  reason                                   left          (the peer)
    channel       label, id, open                          chat          label, text
    message       label, bytes (binary)                    file          name, bytes, path
    file_refused  name, reason                             file_sent     name, bytes
    file_failed   name, reason                             verified      bytes, messages, ms (--send)
    level         rms_db, peak_db, audio_received, audio_decoded, video_received, video_decoded,
                  width, height, audio_sent, video_sent, frames_dropped, rtt_ms
    recorded      samples, pictures, errors, dir           notice        text (candidates, paths and so on)
    hung_up, stopped
  `serve` prints joined (room, client, initiator), left (room, client, how) and refused (remote, why),
  `probe` prints interface, server (ok, ms, mapped, relayed, reason), nat (mapping, filtering) and result.";

#[derive(Parser)]
#[command(name = "esp-webrtc", version, about = ABOUT, after_help = EXAMPLES, subcommand_required = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to be.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Be a doorbell: serve a room with its page, wait there, ring, and show picture and sound (default)
    #[command(after_help = DOORBELL_HELP)]
    Doorbell(Box<Doorbell>),
    /// Be the room server alone, with its page
    #[command(after_help = SERVE_HELP)]
    Serve(Serve),
    /// Join a room as a plain peer that calls, and calls again
    #[command(after_help = CALL_HELP)]
    Call(Box<Call>),
    /// Say how this network treats calls: its NAT, the servers that answer, and why a call would fail
    #[command(after_help = PROBE_HELP)]
    Probe(Probe),
}

const DOORBELL_HELP: &str = "On the terminal:
  Enter or /ring rings; a line is sent as chat; /file PATH sends a file; /hangup ends the call; /quit leaves.

A doorbell builds its connection when the call is accepted: by ACCEPT_CALL, or by an offer.
A data channel with the label `echo` gets back what it sends.

Examples:
  esp-webrtc --ring                     rings as soon as somebody is there
  esp-webrtc --port 9000 --room porch --no-audio
  esp-webrtc --files inbox --quota 1G   keeps files dropped on the page
  esp-webrtc --url https://rooms.example.org/r/porch
  esp-webrtc --lan                      prints a QR code and a fingerprint";

const SERVE_HELP: &str = "Examples:
  esp-webrtc serve                      http://localhost:8080/r/ROOM, for this host alone
  esp-webrtc serve --lan                https://ADDRESS:8443/r/ROOM for this network, too
  esp-webrtc serve --ice-server turn:turn.example.org --ice-user me --ice-password @secret.txt";

const CALL_HELP: &str = "On the terminal a line is sent as chat; /file PATH sends a file; /hangup ends the call; /quit leaves.
A data channel with the label `echo` gets back what it sends.

Examples:
  esp-webrtc call http://localhost:8080/r/demo
  esp-webrtc call http://localhost:8080/r/demo --record calls --for 60
  esp-webrtc call http://localhost:8080/r/demo --send 10M --message-size 1M";

const PROBE_HELP: &str = "Examples:
  esp-webrtc probe                      asks two public STUN servers
  esp-webrtc probe --no-servers         asks nobody
  esp-webrtc probe --server stun:192.0.2.1:3478 --server stun:stun.example.org
  esp-webrtc probe --server turns:turn.example.org --ice-user me --ice-password @secret.txt --json

Of NATs, one server tells whether there is one; two at different addresses also tell how it maps; one that
offers RFC 5780 (OTHER-ADDRESS) also tells how it filters.";

const ERRANDS: &str = "Errands";

impl Command {
    /// How to print.
    pub(crate) fn output(&self) -> &Output {
        match self {
            Command::Doorbell(arguments) => &arguments.output,
            Command::Serve(arguments) => &arguments.output,
            Command::Call(arguments) => &arguments.output,
            Command::Probe(arguments) => &arguments.output,
        }
    }
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
    #[command(flatten)]
    pub(crate) trust: TrustOptions,
    #[command(flatten)]
    pub(crate) servers: IceOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) link: LinkOptions,
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
    pub(crate) trust: TrustOptions,
    #[command(flatten)]
    pub(crate) servers: IceOptions,
    #[command(flatten)]
    pub(crate) media: MediaOptions,
    #[command(flatten)]
    pub(crate) link: LinkOptions,
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
    /// User of the TURN servers
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_user: String,
    /// Password of the TURN servers, or @FILE that holds it
    #[arg(
        long,
        value_name = "PASSWORD",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_password: String,
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
        let words = |why: String| Failure::Failed(format!("{}: {why}", path.display()));
        let pem = std::fs::read(path).map_err(|error| words(error.to_string()))?;
        ServerTrust::of_pem(&pem).map_err(words)
    }
}

/// Where a room server listens.
#[derive(Args)]
#[command(next_help_heading = "Room server")]
pub(crate) struct ServerOptions {
    /// Port of the page on localhost; 0 lets the system choose
    #[arg(long, default_value_t = 8080)]
    pub(crate) port: u16,
    /// Serve this network too, over HTTPS with a certificate of its own
    #[arg(long)]
    pub(crate) lan: bool,
    /// Port of the page in this network
    #[arg(long, default_value_t = 8443, requires = "lan")]
    pub(crate) lan_port: u16,
    /// Where the certificate is kept [default: $XDG_STATE_HOME/esp-webrtc or ~/.local/state/esp-webrtc]
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Which servers of `https` are believed.
#[derive(Args)]
#[command(next_help_heading = "Room server of others")]
pub(crate) struct TrustOptions {
    /// Believe only the https server with this SHA-256 fingerprint (hexadecimal, colons)
    #[arg(long, value_name = "FINGERPRINT", conflicts_with = "ca")]
    pub(crate) pin: Option<String>,
    /// Believe https servers with a certificate of these authorities (PEM)
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

impl TrustOptions {
    /// What that means.
    pub(crate) fn trust(&self) -> Result<Trust, Failure> {
        if let Some(pin) = &self.pin {
            let print = format!("sha-256 {pin}").parse();
            return match print {
                Ok(print) => Ok(Trust::Pinned(print)),
                Err(_) => Err(Failure::Usage(format!(
                    "{pin:?} is not a fingerprint: write 32 bytes in hexadecimal with colons between them"
                ))),
            };
        }
        match &self.ca {
            None => Ok(Trust::Public),
            Some(path) => std::fs::read_to_string(path)
                .map(Trust::Authorities)
                .map_err(|error| Failure::Failed(format!("{}: {error}", path.display()))),
        }
    }
}

/// STUN and TURN servers.
#[derive(Args)]
#[command(next_help_heading = "STUN and TURN")]
pub(crate) struct IceOptions {
    /// A server for both sides, as in stun:HOST or turn:HOST:PORT?transport=tcp; again for more
    #[arg(long, value_name = "URL")]
    pub(crate) ice_server: Vec<String>,
    /// User of the TURN servers
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_user: String,
    /// Password of the TURN servers, or @FILE that holds it
    #[arg(
        long,
        value_name = "PASSWORD",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) ice_password: String,
}

impl IceOptions {
    /// The servers.
    pub(crate) fn servers(&self) -> Result<Vec<IceServer>, Failure> {
        ice_servers(&self.ice_server, &self.ice_user, &self.ice_password)
    }
}

/// Servers of these URLs; the credential goes to those that take one.
pub(crate) fn ice_servers(
    urls: &[String],
    user: &str,
    password: &str,
) -> Result<Vec<IceServer>, Failure> {
    let password = match password.strip_prefix('@') {
        None => password.to_owned(),
        Some(path) => std::fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| Failure::Failed(format!("{path}: {error}")))?,
    };
    let one = |url: &String| {
        let parsed: ServerUrl = url
            .parse()
            .map_err(|error| Failure::Usage(format!("{error}")))?;
        match parsed.scheme {
            Scheme::Stun | Scheme::Stuns => Ok(IceServer::stun(url)),
            Scheme::Turn | Scheme::Turns if user.is_empty() => Err(Failure::Usage(format!(
                "{url} needs a user: --ice-user NAME --ice-password PASSWORD"
            ))),
            Scheme::Turn | Scheme::Turns => Ok(IceServer::turn(url, user, password.as_str())),
        }
    };
    urls.iter().map(one).collect()
}

/// What is sent and what becomes of what is received.
#[derive(Args)]
#[command(next_help_heading = "Sound and pictures")]
pub(crate) struct MediaOptions {
    /// Send this file in a loop instead of the test picture: H.264 as MP4 or byte stream, no B-frames
    #[arg(long, value_name = "FILE", conflicts_with = "no_video")]
    pub(crate) video: Option<PathBuf>,
    /// Pictures a second of a byte stream that does not say so
    #[arg(long, value_name = "NUMBER", requires = "video", value_parser = clap::value_parser!(u32).range(1..=240))]
    pub(crate) fps: Option<u32>,
    /// Send this WAV file in a loop instead of the melody
    #[arg(long, value_name = "FILE", conflicts_with = "no_audio")]
    pub(crate) audio: Option<PathBuf>,
    /// No pictures, neither way
    #[arg(long)]
    pub(crate) no_video: bool,
    /// No sound, neither way
    #[arg(long)]
    pub(crate) no_audio: bool,
    /// Record each call to WAV and MP4 in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) record: Option<PathBuf>,
    /// Seconds between two lines with levels and figures; 0 for none
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub(crate) levels: Duration,
}

/// The connection and its channels.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct LinkOptions {
    /// The version of DTLS; auto is 1.3 where the peer has it
    #[arg(long, value_enum, default_value_t = Dtls::Auto)]
    pub(crate) dtls: Dtls,
    /// The library that speaks DTLS; OpenSSL's speaks 1.2, also with peers whose certificate is RSA
    #[cfg(feature = "openssl")]
    #[arg(long, value_enum, default_value_t = DtlsLibrary::BuiltIn)]
    pub(crate) dtls_library: DtlsLibrary,
    /// Connect over TURN servers alone: the peer never learns an address of this host
    #[arg(long)]
    pub(crate) relay_only: bool,
    /// Tell addresses of this host by names that only this network resolves (mDNS), as browsers do
    #[arg(long)]
    pub(crate) hide_addresses: bool,
    /// Local ports to use, as in 50000-50100, for a firewall that lets in these
    #[arg(long, value_name = "FIRST-LAST", value_parser = ports)]
    pub(crate) udp_ports: Option<RangeInclusive<u16>>,
    /// Use this network interface, again for more; all are used without it
    #[arg(long, value_name = "NAME")]
    pub(crate) interface: Vec<String>,
    /// Take in TCP streams of the peer too, for networks without UDP
    #[arg(long)]
    pub(crate) tcp: bool,
    /// Keep files that the peer sends, in this directory; without it they are refused
    #[arg(long, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
    /// The most that the directory of --files may hold
    #[arg(long, value_name = "BYTES", value_parser = size, default_value = "100M", requires = "files")]
    pub(crate) quota: u64,
}

impl LinkOptions {
    /// The settings of a peer as these options want them.
    pub(crate) fn shape(&self, mut peer: PeerConfig) -> PeerConfig {
        if self.relay_only {
            peer.policy = IcePolicy::Relay;
        }
        #[cfg(feature = "openssl")]
        if self.dtls_library == DtlsLibrary::OpenSsl {
            peer.dtls_backend = esp_webrtc::peer::DtlsBackend::OpenSsl;
        }
        peer.ice.ports = self.udp_ports.clone();
        peer.ice.hide_addresses = self.hide_addresses;
        peer.ice.tcp_passive = self.tcp;
        if !self.interface.is_empty() {
            peer.ice.interfaces = InterfaceFilter::Only(self.interface.clone());
        }
        peer
    }
}

/// Versions of DTLS.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dtls {
    #[value(name = "1.2")]
    V12,
    #[value(name = "1.3")]
    V13,
    // 1.3 where the peer has it.
    Auto,
}

impl From<Dtls> for DtlsVersions {
    fn from(dtls: Dtls) -> Self {
        match dtls {
            Dtls::V12 => DtlsVersions::Only12,
            Dtls::V13 => DtlsVersions::Only13,
            Dtls::Auto => DtlsVersions::Auto,
        }
    }
}

/// Libraries of DTLS.
#[cfg(feature = "openssl")]
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtlsLibrary {
    BuiltIn,
    #[value(name = "openssl")]
    OpenSsl,
}

/// How to print.
#[derive(Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// Print events as words, or as one JSON object a line (`esp-webrtc help events` lists them)
    #[arg(long, value_enum, default_value_t = Events::Text)]
    pub(crate) events: Events,
    /// The same as --events json
    #[arg(long, conflicts_with = "events")]
    pub(crate) json: bool,
    /// Log on standard error; more often for more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Output {
    /// How events are printed.
    pub(crate) fn events(&self) -> Events {
        match self.json {
            true => Events::Json,
            false => self.events,
        }
    }
}

/// How events are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Events {
    Text,
    Json,
}

/// What came of the arguments.
pub(crate) enum Parsed {
    Command(Command),
    Help(String),
    Wrong(Failure),
}

/// Reads the arguments; those that name no command are those of `doorbell`.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Parsed {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    let first = arguments.get(1).and_then(|first| first.to_str());
    let own = ["-h", "--help", "-V", "--version"];
    if first.is_none_or(|first| first.starts_with('-') && !own.contains(&first)) {
        arguments.insert(arguments.len().min(1), "doorbell".into());
    }
    if first_two(&arguments) == (Some("help"), Some("events")) {
        return Parsed::Help(format!("{EVENTS}\n"));
    }
    match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command }) => Parsed::Command(command),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                Parsed::Help(error.render().to_string())
            }
            _ => Parsed::Wrong(Failure::Usage(one_line(&error.render().to_string()))),
        },
    }
}

fn first_two(arguments: &[OsString]) -> (Option<&str>, Option<&str>) {
    let word = |at: usize| arguments.get(at).and_then(|word| word.to_str());
    (word(1), word(2))
}

/// What is wrong, without the usage that follows.
fn one_line(rendered: &str) -> String {
    let lines = rendered
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty());
    let line = lines.fold(String::new(), |line, next| match line.as_str() {
        "" => next.to_owned(),
        so_far if so_far.ends_with(':') => format!("{so_far} {next}"),
        so_far => format!("{so_far}; {next}"),
    });
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    format!("{line} (--help lists the options)")
}

/// A number of bytes: 1000, 64K, 100M, 2G.
fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a number of bytes; write 1000, 64K, 100M or 2G");
    let (number, unit) = match text.trim_end_matches(['b', 'B']).to_ascii_uppercase() {
        text if text.ends_with('K') => (text, 1 << 10),
        text if text.ends_with('M') => (text, 1 << 20),
        text if text.ends_with('G') => (text, 1 << 30),
        text => (text, 1_u64),
    };
    let number: u64 = number
        .trim_end_matches(['K', 'M', 'G'])
        .parse()
        .map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

/// A range of ports: 50000-50100.
fn ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let range = text.split_once('-').and_then(|(first, last)| {
        let range = first.trim().parse::<u16>().ok()?..=last.trim().parse().ok()?;
        (*range.start() > 0 && !range.is_empty()).then_some(range)
    });
    range.ok_or_else(|| format!("{text:?} is not a range of ports; write 50000-50100"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .ok()
        .filter(|seconds: &f64| *seconds <= 1e9)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("{text:?} is not a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Parsed {
        let words = std::iter::once("esp-webrtc").chain(line.split_whitespace());
        parse(words.map(OsString::from))
    }

    fn wrong(line: &str) -> String {
        match parsed(line) {
            Parsed::Wrong(failure @ Failure::Usage(_)) => failure.to_string(),
            _ => panic!("{line} was taken"),
        }
    }

    fn doorbell(line: &str) -> Doorbell {
        match parsed(line) {
            Parsed::Command(Command::Doorbell(doorbell)) => *doorbell,
            Parsed::Wrong(failure) => panic!("{failure}"),
            _ => panic!("{line} is no doorbell"),
        }
    }

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn without_a_command_it_is_a_doorbell() {
        assert_eq!(doorbell("").room, "demo");
        assert_eq!(doorbell("doorbell").server.port, 8080);
        let doorbell = doorbell("--port 9 --room porch --files x --quota 2K");
        assert_eq!((doorbell.server.port, doorbell.room.as_str()), (9, "porch"));
        assert_eq!(doorbell.link.quota, 2048);
        assert!(matches!(
            parsed("serve"),
            Parsed::Command(Command::Serve(_))
        ));
        assert!(matches!(parsed("--help"), Parsed::Help(_)));
        assert!(matches!(parsed("help events"), Parsed::Help(_)));
    }

    #[test]
    fn mistakes_get_one_line() {
        for (line, word) in [
            ("--prot 1", "--prot"),
            ("--port x", "invalid value 'x'"),
            ("serv", "serv"),
            ("call", "ROOM-URL"),
            ("--lan --room demo", "--room"),
            ("--quota 1", "--files"),
            ("--dtls 1.1", "1.1"),
            ("call http://a/r/b --send many", "64K"),
        ] {
            let text = wrong(line);
            assert!(text.contains(word) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn turn_needs_a_user() {
        let urls = ["turn:a".to_owned(), "stun:b".to_owned()];
        assert!(ice_servers(&urls, "", "").is_err());
        let servers = ice_servers(&urls, "me", "secret").unwrap();
        assert_eq!(servers[0].credential, "secret");
        assert_eq!(servers[1].credential, "");
        assert!(ice_servers(&["http://a".to_owned()], "", "").is_err());
        assert!(ice_servers(&urls, "me", "@/nowhere/at/all").is_err());
    }

    #[test]
    fn options_of_the_connection_shape_the_peer() {
        let line = "--relay-only --hide-addresses --udp-ports 5000-5010 --interface eth0 --tcp";
        let peer = doorbell(line).link.shape(PeerConfig::default());
        assert_eq!(peer.policy, IcePolicy::Relay);
        assert_eq!(peer.ice.ports, Some(5_000..=5_010));
        assert!(peer.ice.hide_addresses && peer.ice.tcp_passive);
        let only = InterfaceFilter::Only(vec!["eth0".into()]);
        assert_eq!(peer.ice.interfaces, only);
        for text in ["", "5", "0-9", "9-5", "1-70000", "a-b"] {
            assert!(ports(text).is_err(), "{text}");
        }
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn the_library_of_dtls_may_be_chosen() {
        use esp_webrtc::peer::DtlsBackend;
        let chosen = |line| {
            let peer = doorbell(line).link.shape(PeerConfig::default());
            peer.dtls_backend
        };
        assert_eq!(chosen("--relay-only"), DtlsBackend::Own);
        assert_eq!(chosen("--dtls-library built-in"), DtlsBackend::Own);
        assert_eq!(chosen("--dtls-library openssl"), DtlsBackend::OpenSsl);
    }

    #[test]
    fn sizes_and_seconds() {
        assert_eq!(size("0"), Ok(0));
        assert_eq!(size("64k"), Ok(65_536));
        assert_eq!(size("1GB"), Ok(1 << 30));
        for text in ["", "K", "-1", "1T", "99999999999G"] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["", "-1", "NaN", "inf", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
