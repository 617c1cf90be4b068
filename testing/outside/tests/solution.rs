//! The solution runs on a signaling and a peer connection of one's own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use esp_webrtc::media::{Generator, GeneratorConfig, Player, PlayerConfig, Render, VideoFormat};
use esp_webrtc::peer::{Error, Handler, PeerConfig, PeerConnection};
use esp_webrtc::signaling::pair;
use esp_webrtc::wire::DataFrame;
use esp_webrtc::{ChannelHandler, Driver, DriverConfig, Event, Settings, Signaling, Via, WebRtc};
use outside::{Cable, letters};

const PATIENCE: Duration = Duration::from_secs(30);

/// A solution and what it says.
struct Side {
    webrtc: WebRtc,
    events: Receiver<Event>,
    messages: Receiver<Vec<u8>>,
}

struct Messages(std::sync::mpsc::Sender<Vec<u8>>);

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
        let webrtc = WebRtc::builder(signaling)
            .settings(Settings::default())
            .connector(open)
            .capture(generator.capture())
            .render_factory(|| {
                let player: Box<dyn Render> = Box::new(Player::new(PlayerConfig::new()));
                Some(player)
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

    /// Waits until more sound and pictures are decoded than before.
    fn wait_for_media(&self) {
        let decoded = || {
            let render = self.webrtc.query().render.unwrap_or_default();
            (render.audio_decoded, render.video_decoded)
        };
        let before = decoded();
        until("no media", || {
            let now = decoded();
            now.0 > before.0 + 3 && now.1 > before.1 + 3
        });
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Build, media, messages both ways, stop.
fn all_flows(first: &Side, second: &Side) {
    first.webrtc.start();
    second.webrtc.start();
    for side in [first, second] {
        side.wait_for(&Event::Connected);
        side.wait_for(&Event::DataChannelConnected);
    }
    first.wait_for_media();
    second.wait_for_media();

    let said = |text: &str| Event::Custom(text.into());
    first.webrtc.post_custom_data("by letter");
    second.wait_for(&said("by letter"));
    until("no data channel opened", || {
        second
            .webrtc
            .send_custom_data(Via::DataChannel, "by channel")
            .is_ok()
    });
    assert_eq!(
        first.messages.recv_timeout(PATIENCE).unwrap(),
        b"by channel"
    );

    second.webrtc.stop();
    first.wait_for(&Event::PeerLeft);
    until("the connection is still there", || {
        second.webrtc.peer_connection().is_none()
    });
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
