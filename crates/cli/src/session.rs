//! What a doorbell and a plain peer have in common: a solution, its channels, and what is printed of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use esp_rooms::RoomName;
use esp_webrtc::signaling::{
    AppRtc, AppRtcConfig, Error, IceInfo, OTHER_NAME, SignalingEvents, UNTRUSTED,
};
use esp_webrtc::wire::{IceServer, Signal, Trickle};
use esp_webrtc::{Event, PeerConfig, Settings, Signaling, WebRtc};
use serde_json::{Value, json};

use crate::arguments::{LinkOptions, MediaOptions};
use crate::channels::Channels;
use crate::failure::Failure;
use crate::files::Store;
use crate::inputs::{Inbox, Said};
use crate::media::{self, Sources};
use crate::print::{Printer, bytes, clean};
use crate::server::is_local;
use crate::trial::Trial;

/// Characters of the peer's text that are printed.
const MOST_TEXT: usize = 2_000;

/// The event for what channels, messages and checks say.
fn of_channel(said: &Said) -> Option<(&'static str, String, Value)> {
    let text = |text: &str| clean(text, MOST_TEXT);
    Some(match said {
        Said::Opened { label, id } => (
            "channel",
            format!("data channel {:?} is open", text(label)),
            json!({ "label": text(label), "id": id, "open": true }),
        ),
        Said::Closed { label, id } => (
            "channel",
            format!("data channel {:?} is closed", text(label)),
            json!({ "label": text(label), "id": id, "open": false }),
        ),
        Said::Text { label, text: line } => (
            "chat",
            format!("{}: {}", text(label), text(line)),
            json!({ "label": text(label), "text": text(line) }),
        ),
        Said::Binary { label, bytes: size } => (
            "message",
            format!("{}: {}", text(label), bytes(*size as u64)),
            json!({ "label": text(label), "bytes": size }),
        ),
        Said::Verified(verified) => (
            "verified",
            format!(
                "{} in {} messages came back the same after {} ms",
                bytes(verified.bytes),
                verified.messages,
                verified.took.as_millis()
            ),
            json!({ "bytes": verified.bytes, "messages": verified.messages,
                "ms": verified.took.as_millis() as u64 }),
        ),
        _ => return None,
    })
}

/// The event for what became of a file; what is different is said when the program ends.
fn of_file(said: &Said) -> Option<(&'static str, String, Value)> {
    let text = |text: &str| clean(text, MOST_TEXT);
    Some(match said {
        Said::FileKept {
            name,
            bytes: size,
            path,
        } => (
            "file",
            format!("received {} as {}", bytes(*size), path.display()),
            json!({ "name": name, "bytes": size, "path": path.display().to_string() }),
        ),
        Said::FileRefused { name, reason } => (
            "file_refused",
            format!("refused the file {:?}: {}", text(name), text(reason)),
            json!({ "name": text(name), "reason": text(reason) }),
        ),
        Said::FileSent { name, bytes: size } => (
            "file_sent",
            format!("the peer has the file {:?}, {}", text(name), bytes(*size)),
            json!({ "name": name, "bytes": size }),
        ),
        Said::FileFailed { name, reason } => (
            "file_failed",
            format!("the file {:?} was not sent: {}", text(name), text(reason)),
            json!({ "name": name, "reason": text(reason) }),
        ),
        _ => return None,
    })
}

/// A reason of signaling, with the options that help.
fn advised(reason: &str) -> String {
    let advice = if reason.contains(UNTRUSTED) {
        "; if the server is your own, give --pin FINGERPRINT (it prints it), or --ca FILE"
    } else if reason.contains(OTHER_NAME) {
        "; give the name that it is for, or --pin FINGERPRINT if the server is your own"
    } else {
        ""
    };
    format!("{reason}{advice}")
}

/// Where to join, and with what.
pub(crate) struct Plan<'a> {
    pub(crate) room: AppRtcConfig,
    pub(crate) url: &'a str,
    /// Servers beside those that the room server tells.
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
            Some(dir) => Some(
                Store::open(dir, plan.link.quota)
                    .map_err(|error| Failure::Failed(format!("{}: {error}", dir.display())))?,
            ),
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
        let room = plan.room.room_name().parse::<RoomName>();
        let signaling = WithServers {
            inner: AppRtc::new(plan.room),
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
            room: room.map(|room| room.to_string()).unwrap_or_default(),
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
        let reason = advised(reason);
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
                printer.event(
                    "joined",
                    &format!("joined room {}", self.room),
                    json!({ "room": self.room }),
                );
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

    fn on_connected(&mut self) {
        self.connected = true;
        self.next_levels = (!self.levels.is_zero()).then(|| Instant::now() + self.levels);
        let peer = self.webrtc.query().peer;
        let ms = peer
            .as_ref()
            .and_then(|peer| peer.setup)
            .map(|setup| setup.as_millis() as u64);
        let remote = peer
            .as_ref()
            .and_then(|peer| peer.paired)
            .map(|remote| remote.to_string());
        let (dtls, srtp) = peer.map_or((None, None), |peer| (peer.dtls, peer.srtp));
        let words = format!(
            "connected after {} ms to {}, {}",
            ms.unwrap_or_default(),
            remote.as_deref().unwrap_or("the peer"),
            dtls.unwrap_or("DTLS")
        );
        let fields = json!({ "ms": ms, "remote": remote, "dtls": dtls, "srtp": srtp });
        self.printer.event("connected", &words, fields);
    }

    /// The connection is over.
    pub(crate) fn ended(&mut self) {
        self.channels.lost();
        self.next_levels = None;
        self.unreported |= std::mem::take(&mut self.connected);
    }

    /// Says what was recorded, once it is written.
    fn report(&mut self) {
        if !std::mem::take(&mut self.unreported) {
            return;
        }
        let Some(dir) = &self.record else { return };
        if let Some(stats) = self.webrtc.query().render {
            let words = format!(
                "recorded {} pictures and {:.1} s of sound in {}",
                stats.video_recorded,
                stats.samples_recorded as f64 / 48_000.0,
                dir.display()
            );
            let fields = json!({ "pictures": stats.video_recorded, "samples": stats.samples_recorded,
                "errors": stats.record_errors, "dir": dir.display().to_string() });
            self.printer.event("recorded", &words, fields);
        }
    }

    fn reason(&self) -> String {
        let reason = self.webrtc.query().peer.and_then(|peer| peer.reason);
        clean(
            &reason.unwrap_or_else(|| "the peer is gone".into()),
            MOST_TEXT,
        )
    }

    fn print_levels(&self) {
        let report = self.webrtc.query();
        let level = report.level.unwrap_or_default();
        let stats = report.render.unwrap_or_default();
        let rtt = report
            .peer
            .and_then(|peer| peer.rtt)
            .map(|rtt| rtt.as_secs_f64() * 1e3);
        let sound = match stats.audio_received {
            0 => "no sound".to_owned(),
            _ => format!(
                "sound at {:.0} dB (peak {:.0} dB)",
                level.rms_db, level.peak_db
            ),
        };
        let pictures = match (stats.video_decoded, stats.width, stats.height) {
            (0, ..) => "no pictures".to_owned(),
            (pictures, width, height) => format!("{pictures} pictures of {width}x{height}"),
        };
        let words = format!(
            "receiving {sound}, {pictures}; sent {} pictures{}",
            report.video_sent,
            rtt.map(|rtt| format!("; round trip {rtt:.1} ms"))
                .unwrap_or_default()
        );
        let fields = json!({
            "rms_db": level.rms_db, "peak_db": level.peak_db,
            "audio_received": stats.audio_received, "audio_decoded": stats.audio_decoded,
            "video_received": stats.video_received, "video_decoded": stats.video_decoded,
            "width": stats.width, "height": stats.height,
            "audio_sent": report.audio_sent, "video_sent": report.video_sent,
            "frames_dropped": report.frames_dropped, "rtt_ms": rtt,
        });
        self.printer.event("level", &words, fields);
    }

    /// Prints what a data channel says.
    pub(crate) fn on_channel(&self, said: &Said) {
        if let Some((name, words, fields)) = of_channel(said).or_else(|| of_file(said)) {
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

/// A signaling that also tells servers of its user.
struct WithServers {
    inner: AppRtc,
    servers: Vec<IceServer>,
}

impl Signaling for WithServers {
    fn start(&mut self, events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        self.inner.start(Box::new(Adding {
            inner: events,
            servers: self.servers.clone(),
        }))
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        self.inner.send_msg(msg)
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.inner.stop()
    }

    fn trickle(&self) -> Trickle {
        self.inner.trickle()
    }
}

struct Adding {
    inner: Box<dyn SignalingEvents>,
    servers: Vec<IceServer>,
}

impl SignalingEvents for Adding {
    fn on_ice_info(&mut self, mut info: IceInfo) {
        info.servers.extend(self.servers.iter().cloned());
        self.inner.on_ice_info(info);
    }

    fn on_connected(&mut self) {
        self.inner.on_connected();
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.inner.on_msg(msg);
    }

    fn on_close(&mut self, reason: &str) {
        self.inner.on_close(reason);
    }

    fn on_reconnecting(&mut self, reason: &str) {
        self.inner.on_reconnecting(reason);
    }

    fn on_peer_lost(&mut self) {
        self.inner.on_peer_lost();
    }
}
