//! The solution runs on a signaling and a peer connection of one's own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use esp_webrtc::media::{
    Error as MediaError, Generator, GeneratorConfig, Level, Player, PlayerConfig, Render,
    RenderStats, VideoFormat,
};
use esp_webrtc::peer::{Error, Handler, PeerConfig, PeerConnection};
use esp_webrtc::signaling::pair;
use esp_webrtc::wire::{AudioInfo, DataFrame, Frame, VideoInfo};
use esp_webrtc::{ChannelHandler, Driver, DriverConfig, Event, Settings, Signaling, Via, WebRtc};
use outside::{Cable, letters};

const PATIENCE: Duration = Duration::from_secs(30);

/// A solution and what it says.
struct Side {
    webrtc: WebRtc,
    events: Receiver<Event>,
    messages: Receiver<Vec<u8>>,
    frames: Receiver<Seen>,
}

/// What a [`Watched`] render got.
enum Seen {
    Sound,
    Picture,
}

/// A player that says what comes.
struct Watched {
    player: Player,
    seen: Sender<Seen>,
}

impl Render for Watched {
    fn on_audio_info(&mut self, info: AudioInfo) -> Result<(), MediaError> {
        self.player.on_audio_info(info)
    }

    fn on_audio(&mut self, frame: Frame<'_>) {
        self.player.on_audio(frame);
        let _ = self.seen.send(Seen::Sound);
    }

    fn on_video_info(&mut self, info: VideoInfo) -> Result<(), MediaError> {
        self.player.on_video_info(info)
    }

    fn on_video(&mut self, frame: Frame<'_>) {
        self.player.on_video(frame);
        let _ = self.seen.send(Seen::Picture);
    }

    fn stop(&mut self) {
        self.player.stop();
    }

    fn level(&self) -> Level {
        self.player.level()
    }

    fn stats(&self) -> RenderStats {
        self.player.stats()
    }

    fn take_keyframe_request(&mut self) -> bool {
        self.player.take_keyframe_request()
    }
}

struct Messages(Sender<Vec<u8>>);

impl ChannelHandler for Messages {
    fn on_data(&mut self, frame: DataFrame<'_>, _: &Arc<dyn PeerConnection>) {
        let _ = self.0.send(frame.data.to_vec());
    }
}

type Opened = Result<Arc<dyn PeerConnection>, Error>;

impl Side {
    fn new(
        signaling: impl Signaling + 'static,
        open: impl FnMut(PeerConfig, Box<dyn Handler>) -> Opened + Send + 'static,
    ) -> Self {
        let format = VideoFormat {
            width: 160,
            height: 128,
            fps: 15,
        };
        let generator = Generator::new(GeneratorConfig::test_signal(format).unwrap()).unwrap();
        let (seen, frames) = channel();
        let webrtc = WebRtc::builder(signaling)
            .settings(Settings::default())
            .connector(open)
            .capture(generator.capture())
            .render_factory(move || {
                let render: Box<dyn Render> = Box::new(Watched {
                    player: Player::new(PlayerConfig::new()),
                    seen: seen.clone(),
                });
                Some(render)
            })
            .open()
            .unwrap();
        let (to_events, events) = channel();
        webrtc.set_event_handler(Box::new(move |event| {
            let _ = to_events.send(event);
        }));
        let (to_messages, messages) = channel();
        webrtc.set_channel_handler(Box::new(Messages(to_messages)));
        Side {
            webrtc,
            events,
            messages,
            frames,
        }
    }

    fn wait_for(&self, wanted: &Event) {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match self.events.recv_timeout(left) {
                Ok(event) if event == *wanted => return,
                Ok(_) => {}
                Err(_) => panic!("no {wanted:?} came"),
            }
        }
    }

    /// Waits until more sound and pictures have come than before.
    fn wait_for_media(&self) {
        while self.frames.try_recv().is_ok() {}
        let (mut sound, mut pictures) = (0, 0);
        while sound < 4 || pictures < 4 {
            match self.frames.recv_timeout(PATIENCE) {
                Ok(Seen::Sound) => sound += 1,
                Ok(Seen::Picture) => pictures += 1,
                Err(_) => panic!("no media: {sound} frames of sound, {pictures} pictures"),
            }
        }
        let decoded = self.webrtc.query().render.unwrap_or_default();
        assert!(decoded.audio_decoded > 0 && decoded.video_decoded > 0);
    }
}

/// Build, media, messages both ways, stop.
fn all_flows(first: &Side, second: &Side) {
    first.webrtc.start();
    second.webrtc.start();
    for side in [first, second] {
        side.wait_for(&Event::Connected);
        side.wait_for(&Event::DataChannelOpened);
    }
    first.wait_for_media();
    second.wait_for_media();

    let said = |text: &str| Event::Custom(text.into());
    first.webrtc.post_custom_data("by letter");
    second.wait_for(&said("by letter"));
    second
        .webrtc
        .send_custom_data(Via::DataChannel, "by channel")
        .unwrap();
    assert_eq!(
        first.messages.recv_timeout(PATIENCE).unwrap(),
        b"by channel"
    );

    second.webrtc.stop();
    first.wait_for(&Event::PeerLeft);
    second.wait_for(&Event::Stopped);
    assert!(second.webrtc.peer_connection().is_none());
    first.webrtc.close();
    second.webrtc.close();
}

fn plugged(
    cable: &Cable,
    end: usize,
) -> impl FnMut(PeerConfig, Box<dyn Handler>) -> Opened + Send + 'static {
    let cable = cable.clone();
    move |config, handler| Ok(cable.plug(end, config, handler))
}

fn driven(driver: &Driver) -> impl FnMut(PeerConfig, Box<dyn Handler>) -> Opened + Send + 'static {
    let driver = driver.clone();
    move |config, handler| {
        let peer: Arc<dyn PeerConnection> = Arc::new(driver.open(config.with_loopback(), handler)?);
        Ok(peer)
    }
}

#[test]
fn a_signaling_of_ones_own() {
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let (first, second) = letters();
    all_flows(
        &Side::new(first, driven(&driver)),
        &Side::new(second, driven(&driver)),
    );
}

#[test]
fn a_peer_connection_of_ones_own() {
    let cable = Cable::new();
    let (first, second) = pair();
    all_flows(
        &Side::new(first, plugged(&cable, 0)),
        &Side::new(second, plugged(&cable, 1)),
    );
}

#[test]
fn both_of_ones_own() {
    let cable = Cable::new();
    let (first, second) = letters();
    all_flows(
        &Side::new(first, plugged(&cable, 0)),
        &Side::new(second, plugged(&cable, 1)),
    );
}
