//! A session with a media server instead of a room: one way, without data channels.

use std::sync::Arc;

use esp_webrtc::signaling::{NEEDS_TOKEN, OTHER_NAME, UNTRUSTED};
use esp_webrtc::wire::{Direction, IceServer};
use esp_webrtc::{Event, PeerConfig, Settings, Signaling, WebRtc};
use serde_json::json;

use super::servers::WithServers;
use super::{MOST_TEXT, Session, told};
use crate::arguments::{LinkOptions, MediaOptions};
use crate::channels::Channels;
use crate::failure::Failure;
use crate::inputs::Inbox;
use crate::media;
use crate::print::{Printer, clean};
use crate::server::is_local;

/// Which server, and which way.
pub(crate) struct Stream<'a> {
    pub(crate) signaling: Box<dyn Signaling>,
    pub(crate) url: &'a str,
    /// Servers beside those that the server tells.
    pub(crate) servers: Vec<IceServer>,
    pub(crate) media: &'a MediaOptions,
    pub(crate) link: &'a LinkOptions,
    /// Whether this side sends; otherwise it receives.
    pub(crate) sends: bool,
}

impl Session {
    /// Puts everything together; nothing has begun.
    pub(crate) fn stream(
        stream: Stream<'_>,
        inbox: Inbox,
        printer: Printer,
    ) -> Result<Self, Failure> {
        let mut peer = PeerConfig::default()
            .with_data_channels(false)
            .with_dtls(stream.link.dtls.into());
        peer = stream.link.shape(peer);
        if is_local(stream.url) {
            peer = peer.with_loopback();
        }
        let way = |none: bool| match none {
            true => Direction::None,
            false => Direction::of(stream.sends, !stream.sends),
        };
        let settings = Settings::default()
            .with_directions(way(stream.media.no_audio), way(stream.media.no_video))
            .with_peer(peer);
        let builder = WebRtc::builder(WithServers {
            inner: stream.signaling,
            servers: stream.servers,
        })
        .settings(settings);
        let builder = if stream.sends {
            let sources = media::open(stream.media)?;
            let (audio, video) = (sources.audio, sources.video);
            let words = format!("sending {video} and {audio}");
            printer.event("sending", &words, json!({ "audio": audio, "video": video }));
            builder.capture(sources.generator.capture())
        } else {
            builder.render_factory(media::players(stream.media)?)
        };
        Ok(Session {
            webrtc: Arc::new(builder.open().map_err(Failure::of)?),
            channels: Channels::new(inbox, None, None),
            printer,
            connected: false,
            joined: false,
            unreported: false,
            room: String::new(),
            record: stream.media.record.clone(),
            levels: stream.media.levels,
            next_levels: None,
        })
    }

    /// Prints an event; `server` is where the media go to or come from.
    pub(crate) fn on_stream_event(&mut self, event: &Event, server: &str) {
        let reason = |words: &str, reason: &str| {
            let reason = with_advice(reason);
            let words = format!("{words}: {}", clean(&reason, MOST_TEXT));
            (words, json!({ "reason": reason }))
        };
        let (name, (words, fields)) = match event {
            Event::SignalingConnected => {
                self.joined = true;
                let words = format!("the server {server} takes our offer");
                ("server", (words, json!({ "url": server })))
            }
            Event::SignalingInterrupted { reason: why } => (
                "interrupted",
                reason("the server does not take our offer", why),
            ),
            Event::SignalingClosed { reason: why } => {
                ("closed", reason("there is no session", why))
            }
            Event::PeerLeft => {
                self.ended();
                let words = "the server has ended the session".to_owned();
                ("left", (words, serde_json::Value::Null))
            }
            other => return self.on_event(other),
        };
        self.printer.event(name, &words, fields);
    }
}

/// A reason of signaling, with the options that help.
pub(crate) fn with_advice(reason: &str) -> String {
    if reason.contains(NEEDS_TOKEN) {
        return format!(
            "{reason}; give --token TOKEN or --basic USER:PASSWORD, as the server's owner tells"
        );
    }
    match [UNTRUSTED, OTHER_NAME]
        .iter()
        .any(|known| reason.contains(known))
    {
        true => told::advised(reason),
        false => reason.to_owned(),
    }
}
