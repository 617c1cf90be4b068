//! What the program is asked for.

mod commands;
mod options;
mod streams;
mod values;

pub(crate) use self::commands::{Call, Doorbell, Probe, Serve};
pub(crate) use self::options::{Events, LinkOptions, MediaOptions, Output, ServerOptions};

pub(crate) use self::streams::{Play, Publish, StreamOptions};

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use self::commands::{CALL_HELP, DOORBELL_HELP, PROBE_HELP, SERVE_HELP};
use self::streams::{NOT_TO_PLAY, NOT_TO_PUBLISH, PLAY_HELP, PUBLISH_HELP};
use crate::failure::Failure;

const ABOUT: &str = "WebRTC for devices: a doorbell, a room server, a plain peer, a camera for media servers, and a look at the network.

Without a command it is a doorbell: it serves a page on http://localhost:8080 and waits there for a call. \
The options of `doorbell` also work without the word.";

const EXAMPLES: &str = "Examples:
  esp-webrtc                            a doorbell; open the page that it prints
  esp-webrtc --lan                      the same for phones in this network, over HTTPS
  esp-webrtc doorbell --video door.mp4 --record calls
  esp-webrtc serve --port 9000          the room server alone
  esp-webrtc call http://localhost:8080/r/demo
  esp-webrtc publish https://media.example.org/whip/garden --token @token.txt
  esp-webrtc play https://media.example.org/whep/garden --record garden
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
    hung_up, stopped                                       server        url (of publish and play)
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
    /// Publish picture and sound to a media server (WHIP)
    #[command(after_help = PUBLISH_HELP, mut_args(|it| streams::without(it, NOT_TO_PUBLISH)))]
    Publish(Box<Publish>),
    /// Play picture and sound from a media server (WHEP)
    #[command(after_help = PLAY_HELP, mut_args(|it| streams::without(it, NOT_TO_PLAY)))]
    Play(Box<Play>),
    /// Say how this network treats calls: its NAT, the servers that answer, and why a call would fail
    #[command(after_help = PROBE_HELP)]
    Probe(Probe),
}

impl Command {
    /// How to print.
    pub(crate) fn output(&self) -> &Output {
        match self {
            Command::Doorbell(arguments) => &arguments.output,
            Command::Serve(arguments) => &arguments.output,
            Command::Call(arguments) => &arguments.output,
            Command::Publish(arguments) => &arguments.output,
            Command::Play(arguments) => &arguments.output,
            Command::Probe(arguments) => &arguments.output,
        }
    }
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

#[cfg(test)]
mod tests {
    use esp_webrtc::PeerConfig;
    use esp_webrtc::peer::ice::InterfaceFilter;
    use esp_webrtc::wire::IcePolicy;

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
        assert_eq!(doorbell.member.link.quota, 2048);
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
            ("--local --room demo", "--room"),
            ("--local --url http://a/r/b", "--url"),
            ("--quota 1", "--files"),
            ("--dtls 1.1", "1.1"),
            ("call http://a/r/b --send many", "64K"),
            ("publish", "WHIP-URL"),
            ("publish http://a/b --token x --basic y:z", "--token"),
            ("play", "WHEP-URL"),
            ("publish http://a/b --room-pin 1", "--janus"),
            ("publish http://a/b --janus 1 --basic y:z", "--basic"),
        ] {
            let text = wrong(line);
            assert!(text.contains(word) && !text.contains('\n'), "{text}");
        }
    }

    #[test]
    fn options_of_the_connection_shape_the_peer() {
        let line = "--relay-only --hide-addresses --udp-ports 5000-5010 --interface eth0 --tcp";
        let peer = doorbell(line).member.link.shape(PeerConfig::default());
        assert_eq!(peer.policy, IcePolicy::Relay);
        assert_eq!(peer.ice.ports, Some(5_000..=5_010));
        assert!(peer.ice.hide_addresses && peer.ice.tcp_passive);
        let only = InterfaceFilter::Only(vec!["eth0".into()]);
        assert_eq!(peer.ice.interfaces, only);
    }

    #[cfg(feature = "openssl")]
    #[test]
    fn the_library_of_dtls_may_be_chosen() {
        use esp_webrtc::peer::DtlsBackend;
        let chosen = |line| {
            let peer = doorbell(line).member.link.shape(PeerConfig::default());
            peer.dtls_backend
        };
        assert_eq!(chosen("--relay-only"), DtlsBackend::Own);
        assert_eq!(chosen("--dtls-library built-in"), DtlsBackend::Own);
        assert_eq!(chosen("--dtls-library openssl"), DtlsBackend::OpenSsl);
    }
}
