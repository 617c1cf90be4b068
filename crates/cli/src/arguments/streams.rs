//! The options of `publish` and `play`.

use std::time::Duration;

use clap::{Arg, Args};
use esp_webrtc::Signaling;
use esp_webrtc::signaling::{
    Janus, JanusConfig, JanusRoom, Trust, Whep, Whip, WhipAuth, WhipConfig,
};
use esp_webrtc::wire::Trickle;

use super::commands::MemberOptions;
use super::options::Output;
use super::values::seconds;
use crate::failure::Failure;

pub(super) const PUBLISH_HELP: &str = "The address is that of the server's WHIP endpoint (RFC 9725), as the server's own pages tell it. A token may
stand in a file, which other users of this host do not see: --token @FILE.

With --janus it is the address of a Janus server, and the number of a video room there.

On the terminal /quit leaves.

Examples:
  esp-webrtc publish https://media.example.org/whip/garden --token @token.txt
  esp-webrtc publish https://media.example.org/janus --janus 1234 --room-pin @pin.txt --display garden
  esp-webrtc publish http://192.168.1.9:8889/garden/whip --video garden.mp4 --no-audio";

pub(super) const PLAY_HELP: &str = "The address is that of the server's WHEP endpoint (draft-ietf-wish-whep), as the server's own pages tell it. A token may
stand in a file, which other users of this host do not see: --token @FILE.

With --janus it is the address of a Janus server, and the number of a video room there.

On the terminal /quit leaves.

Examples:
  esp-webrtc play https://media.example.org/whep/garden --basic @user-and-password.txt
  esp-webrtc play http://192.168.1.9:8889/garden/whep --record garden --for 60
  esp-webrtc play http://192.168.1.9:8088/janus --janus 1234 --record garden";

/// What means nothing to who only sends.
pub(super) const NOT_TO_PUBLISH: &[&str] = &["record", "files", "quota"];
/// What means nothing to who only receives.
pub(super) const NOT_TO_PLAY: &[&str] = &["video", "fps", "audio", "files", "quota"];

/// Hides what means nothing.
pub(super) fn without(argument: Arg, nothing: &[&str]) -> Arg {
    let hidden = nothing.contains(&argument.get_id().as_str());
    argument.hide(hidden)
}

/// What both ways of streaming know.
#[derive(Args)]
pub(crate) struct StreamOptions {
    /// Show the server this bearer token, or the one in @FILE
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "basic",
        help_heading = "Media server"
    )]
    token: Option<String>,
    /// Show the server this user with this password, or those in @FILE
    #[arg(long, value_name = "USER:PASSWORD", help_heading = "Media server")]
    basic: Option<String>,
    /// Put all candidates into the offer, for servers that take none later
    #[arg(long, help_heading = "Media server")]
    no_trickle: bool,
    #[command(flatten)]
    janus: JanusOptions,
    #[command(flatten)]
    pub(crate) member: MemberOptions,
    /// End after this many seconds
    #[arg(long = "for", value_name = "SECONDS", value_parser = seconds, help_heading = "Errands")]
    pub(crate) limit: Option<Duration>,
}

/// A video room of a Janus server.
#[derive(Args)]
#[command(next_help_heading = "Janus")]
struct JanusOptions {
    /// The server is Janus, and this the number or name of a video room there
    #[arg(long, value_name = "ROOM", conflicts_with_all = ["basic", "no_trickle"])]
    janus: Option<JanusRoom>,
    /// The PIN of the room, or the one in @FILE
    #[arg(long, value_name = "PIN", requires = "janus")]
    room_pin: Option<String>,
    /// Show this name to others in the room
    #[arg(long, value_name = "NAME", requires = "janus")]
    display: Option<String>,
    /// Play this publisher instead of the first there is
    #[arg(long, value_name = "ID", requires = "janus")]
    feed: Option<JanusRoom>,
    /// The secret that the server asks of all its clients, or the one in @FILE
    #[arg(long, value_name = "SECRET", requires = "janus")]
    api_secret: Option<String>,
}

/// A media server, and the way to it.
pub(crate) struct MediaServer {
    pub(crate) signaling: Box<dyn Signaling>,
    /// As in `https://HOST:PORT`.
    pub(crate) name: String,
    /// Whether a secret would go there unsecured.
    pub(crate) exposed: bool,
}

/// Options of `publish`.
#[derive(Args)]
pub(crate) struct Publish {
    /// The endpoint: https://HOST[:PORT]/PATH
    #[arg(value_name = "WHIP-URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) stream: StreamOptions,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// Options of `play`.
#[derive(Args)]
pub(crate) struct Play {
    /// The endpoint: https://HOST[:PORT]/PATH
    #[arg(value_name = "WHEP-URL")]
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) stream: StreamOptions,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl StreamOptions {
    /// The server at this URL, for sending to it or for playing from it.
    pub(crate) fn server(&self, url: &str, sends: bool) -> Result<MediaServer, Failure> {
        let trust = self.member.trust.trust()?;
        if let Some(room) = &self.janus.janus {
            let config = self.janus_config(url, room, sends)?.with_trust(trust);
            return Ok(MediaServer {
                name: config.server(),
                exposed: config.exposes_secret(),
                signaling: Box::new(Janus::new(config)),
            });
        }
        let config = self.config(url, trust)?;
        Ok(MediaServer {
            name: config.server(),
            exposed: config.exposes_secret(),
            signaling: match sends {
                true => Box::new(Whip::new(config)),
                false => Box::new(Whep::new(config)),
            },
        })
    }

    fn janus_config(
        &self,
        url: &str,
        room: &JanusRoom,
        sends: bool,
    ) -> Result<JanusConfig, Failure> {
        let options = &self.janus;
        let config = match (sends, options.feed.clone()) {
            (true, Some(_)) => {
                return Err(Failure::Usage(
                    "--feed has no meaning here: publish plays nothing".into(),
                ));
            }
            (true, None) => JanusConfig::publish(url, room.clone()),
            (false, feed) => JanusConfig::play(url, room.clone(), feed),
        };
        let mut config = config.map_err(|error| Failure::Usage(error.to_string()))?;
        if let Some(name) = &options.display {
            config = config.with_display(name);
        }
        if let Some(pin) = &options.room_pin {
            config = config.with_pin(secret(pin)?);
        }
        if let Some(known) = &options.api_secret {
            config = config.with_api_secret(secret(known)?);
        }
        if let Some(token) = &self.token {
            config = config.with_token(secret(token)?);
        }
        Ok(config)
    }

    /// The client of this endpoint.
    fn config(&self, url: &str, trust: Trust) -> Result<WhipConfig, Failure> {
        let usage = |error: esp_webrtc::signaling::Error| Failure::Usage(error.to_string());
        let trickle = match self.no_trickle {
            true => Trickle::Half,
            false => Trickle::Full,
        };
        let config = WhipConfig::new(url)
            .map_err(usage)?
            .with_trust(trust)
            .with_trickle(trickle);
        config.with_auth(self.auth()?).map_err(usage)
    }

    fn auth(&self) -> Result<WhipAuth, Failure> {
        if let Some(token) = &self.token {
            return Ok(WhipAuth::Bearer(secret(token)?));
        }
        let Some(basic) = &self.basic else {
            return Ok(WhipAuth::None);
        };
        match secret(basic)?.split_once(':') {
            Some((user, password)) => Ok(WhipAuth::Basic {
                user: user.to_owned(),
                password: password.to_owned(),
            }),
            None => Err(Failure::Usage(
                "--basic wants a user and a password: USER:PASSWORD".into(),
            )),
        }
    }
}

/// A secret, or what is in `@FILE`.
fn secret(text: &str) -> Result<String, Failure> {
    match text.strip_prefix('@') {
        None => Ok(text.to_owned()),
        Some(path) => std::fs::read_to_string(path)
            .map(|text| text.trim_end_matches(['\r', '\n']).to_owned())
            .map_err(|error| Failure::Failed(format!("@{path}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_come_from_the_line_or_from_a_file() {
        let path = std::env::temp_dir().join(format!("esp-cli-secret-{}", std::process::id()));
        std::fs::write(&path, "t0k3n\r\n").unwrap();
        assert_eq!(secret(&format!("@{}", path.display())).unwrap(), "t0k3n");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret("plain").unwrap(), "plain");
        assert!(
            secret("@/nowhere/at/all")
                .unwrap_err()
                .to_string()
                .contains("/nowhere")
        );
    }
}
