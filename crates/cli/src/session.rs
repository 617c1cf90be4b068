//! What a doorbell and a plain peer have in common: a solution, its channels, and what is printed of them.

mod figures;
mod servers;
mod streaming;
mod told;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use esp_rooms::RoomName;
use esp_webrtc::wire::IceServer;
use esp_webrtc::{Event, PeerConfig, Settings, Signaling, WebRtc};
use serde_json::json;

use self::servers::WithServers;
pub(crate) use self::streaming::{Stream, with_advice};
use crate::arguments::{LinkOptions, MediaOptions};
use crate::channels::Channels;
use crate::failure::Failure;
use crate::files::Store;
use crate::inputs::{Inbox, Said};
use crate::media::{self, Sources};
use crate::print::{Printer, clean};
use crate::server::is_local;
use crate::trial::Trial;

/// Characters of the peer's text that are printed.
const MOST_TEXT: usize = 2_000;

/// The name of a room as it is shown: those that are secrets are cut.
pub(crate) fn shown(room: &str) -> String {
    let name = room.parse::<RoomName>();
    name.map(|room| room.to_string()).unwrap_or_default()
}

/// Where to join, and with what.
pub(crate) struct Plan<'a> {
    pub(crate) signaling: Box<dyn Signaling>,
    /// The room as it is shown; empty where there is none.
    pub(crate) room: String,
    pub(crate) url: &'a str,
    /// Servers beside those that signaling tells.
    pub(crate) servers: Vec<IceServer>,
    pub(crate) media: &'a MediaOptions,
    pub(crate) link: &'a LinkOptions,
    pub(crate) trial: Option<Trial>,
    /// Whether a connection begins at once, and again when it was lost.
    pub(crate) eager: bool,
}

/// A solution with its channels.
pub(crate) struct Session {
    pub(crate) webrtc: Arc<WebRtc>,
    pub(crate) channels: Channels,
    pub(crate) printer: Printer,
    pub(crate) connected: bool,
    joined: bool,
    /// A call was connected, and what was recorded of it has not been told.
    unreported: bool,
    room: String,
    record: Option<PathBuf>,
    levels: Duration,
    next_levels: Option<Instant>,
}

/// What a line of the terminal asks for.
pub(crate) enum Wish {
    Ring,
    HangUp,
    Quit,
    Done,
}

impl Session {
    /// Puts everything together; nothing has begun.
    pub(crate) fn open(plan: Plan<'_>, inbox: Inbox, printer: Printer) -> Result<Self, Failure> {
        let Sources {
            generator,
            audio,
            video,
            directions,
        } = media::open(plan.media)?;
        let store = match &plan.link.files {
            None => None,
            Some(dir) => Some(Store::open(dir, plan.link.quota).map_err(|error| {
                Failure::of_directory("--files", format_args!("{}: {error}", dir.display()))
            })?),
        };
        let mut peer = PeerConfig::default()
            .with_data_channels(true)
            .with_dtls(plan.link.dtls.into());
        peer = plan.link.shape(peer);
        if is_local(plan.url) {
            peer = peer.with_loopback();
        }
        let settings = Settings::default()
            .with_directions(directions.0, directions.1)
            .with_enabled(plan.eager)
            .with_reconnects(plan.eager)
            .with_peer(peer);
        let signaling = WithServers {
            inner: plan.signaling,
            servers: plan.servers,
        };
        let webrtc = WebRtc::builder(signaling)
            .settings(settings)
            .capture(generator.capture())
            .render_factory(media::players(plan.media)?)
            .open()
            .map_err(Failure::of)?;
        let channels = Channels::new(inbox, store, plan.trial);
        webrtc.set_channel_handler(channels.ear());
        printer.event(
            "sending",
            &format!("sending {video} and {audio}"),
            json!({ "audio": audio, "video": video }),
        );
        Ok(Session {
            webrtc: Arc::new(webrtc),
            channels,
            printer,
            connected: false,
            joined: false,
            unreported: false,
            room: plan.room,
            record: plan.media.record.clone(),
            levels: plan.media.levels,
            next_levels: None,
        })
    }

    /// When figures are due.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.next_levels
    }

    /// Prints figures when they are due.
    pub(crate) fn tick(&mut self) {
        if self.next_levels.is_some_and(|at| at <= Instant::now()) {
            self.next_levels = Some(Instant::now() + self.levels);
            self.print_levels();
        }
    }

    /// Prints why there is no signaling.
    fn print_reason(&self, event: &str, words: &str, reason: &str) {
        let reason = told::advised(reason);
        self.printer.event(
            event,
            &format!("{words}: {}", clean(&reason, MOST_TEXT)),
            json!({ "reason": reason }),
        );
    }

    /// Prints an event, as far as both kinds of peer print it alike.
    pub(crate) fn on_event(&mut self, event: &Event) {
        let printer = self.printer;
        match event {
            Event::SignalingConnected => {
                self.joined = true;
                let words = match self.room.as_str() {
                    "" => "waiting for a page".to_owned(),
                    room => format!("joined room {room}"),
                };
                printer.event("joined", &words, json!({ "room": self.room }));
            }
            Event::SignalingInterrupted { reason } => {
                self.print_reason("interrupted", "the room is out of reach", reason);
            }
            Event::SignalingClosed { reason } => {
                self.print_reason("closed", "signaling has ended", reason);
            }
            Event::Connecting if self.joined => printer.plain("connecting", "connecting"),
            Event::Paired => printer.plain("paired", "a path was found"),
            Event::Connected => self.on_connected(),
            Event::ConnectFailed => {
                self.ended();
                let reason = self.reason();
                printer.event(
                    "failed",
                    &format!("no connection came about: {reason}"),
                    json!({ "reason": reason }),
                );
            }
            Event::Disconnected if self.connected => {
                let reason = self.reason();
                printer.event(
                    "lost",
                    &format!("the connection is over: {reason}"),
                    json!({ "reason": reason }),
                );
                self.ended();
                self.report();
            }
            Event::Disconnected => {
                self.channels.lost();
                self.report();
            }
            Event::PeerLeft => {
                printer.plain("left", "the peer left");
                self.ended();
            }
            Event::Notice(text) => self.notice(text),
            _ => {}
        }
    }

    /// Prints something for a log.
    pub(crate) fn notice(&self, text: &str) {
        // Said better elsewhere.
        let told = ["connected after", "the connection ended"];
        if !told.iter().any(|told| text.starts_with(told)) {
            let text = clean(text, MOST_TEXT);
            self.printer.event("notice", &text, json!({ "text": text }));
        }
    }

    /// The connection is over.
    pub(crate) fn ended(&mut self) {
        self.channels.lost();
        self.next_levels = None;
        self.unreported |= std::mem::take(&mut self.connected);
    }

    /// Prints what a data channel says.
    pub(crate) fn on_channel(&self, said: &Said) {
        if let Some((name, words, fields)) = told::of_channel(said).or_else(|| told::of_file(said))
        {
            self.printer.event(name, &words, fields);
        }
    }

    /// Does what a line of the terminal says; what is left to do is answered.
    pub(crate) fn on_line(&self, line: &str) -> Wish {
        let line = line.trim();
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let done = match command {
            "" | "/ring" => return Wish::Ring,
            "/hangup" => return Wish::HangUp,
            "/quit" => return Wish::Quit,
            "/file" => self.channels.send_file(Path::new(rest.trim())),
            "/say" => self.channels.chat(rest),
            _ if command.starts_with('/') => {
                Err("the commands are /ring, /say, /file, /hangup, /quit".into())
            }
            _ => self.channels.chat(line),
        };
        if let Err(reason) = done {
            self.notice(&reason);
        }
        Wish::Done
    }

    /// Leaves the room.
    pub(crate) fn close(mut self) {
        self.webrtc.close();
        self.ended();
        self.report();
        self.printer.plain("stopped", "left the room");
    }
}
