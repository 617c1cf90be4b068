//! Two solutions that call each other in one process, with generated sound and pictures.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use esp_webrtc::media::source::TestPicture;
use esp_webrtc::media::{Generator, GeneratorConfig, Player, PlayerConfig, Render};
use esp_webrtc::signaling::{Pair, pair};
use esp_webrtc::{Event, PeerConfig, Report, Settings, Via, WebRtc};

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

struct Station {
    webrtc: WebRtc,
    events: Receiver<Event>,
}

impl Station {
    fn new(signaling: Pair, settings: Settings) -> Self {
        let config = GeneratorConfig::test_signal(TestPicture::DEFAULT).unwrap();
        let webrtc = WebRtc::builder(signaling)
            .settings(settings)
            .capture_boxed(Generator::new(config).unwrap().capture())
            .render_factory(|| {
                let player: Box<dyn Render> = Box::new(Player::new(PlayerConfig::new()));
                Some(player)
            })
            .open()
            .unwrap();
        let (sender, events) = channel();
        webrtc.set_event_handler(Box::new(move |event| {
            let _ = sender.send(event);
        }));
        Station { webrtc, events }
    }

    fn wait(&self, fits: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self
                .events
                .recv_timeout(PATIENCE)
                .expect("it was never told");
            if fits(&event) {
                return event;
            }
        }
    }

    /// Asks for figures over and over until they fit.
    fn watch(&self, fits: impl Fn(&Report) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let report = self.webrtc.query();
            if fits(&report) {
                return;
            }
            assert!(Instant::now() < until, "it never came about: {report:#?}");
            // Encoders and decoders have the processor meanwhile.
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn watch_media(&self) {
        self.watch(|report| {
            report.render.is_some_and(|render| {
                render.video_decoded > 5 && render.audio_decoded > 20 && render.width == 640
            }) && report.level.is_some_and(|level| level.rms_db > -60.0)
        });
    }
}

fn settings() -> Settings {
    let peer = PeerConfig::default()
        .with_data_channels(false)
        .with_loopback();
    Settings::default().with_peer(peer)
}

fn stations(a: Settings, b: Settings) -> [Station; 2] {
    let (first, second) = pair();
    [Station::new(first, a), Station::new(second, b)]
}

#[test]
fn two_solutions_see_and_hear_each_other() {
    let [a, b] = stations(settings(), settings());
    a.webrtc.start();
    b.webrtc.start();
    for station in [&a, &b] {
        station.wait(|event| *event == Event::Connected);
        station.watch_media();
    }
    a.webrtc
        .send_custom_data(Via::Signaling, "by signaling")
        .unwrap();
    b.wait(|event| *event == Event::Custom("by signaling".into()));
    a.wait(|event| *event == Event::DataChannelOpened);
    a.webrtc
        .send_custom_data(Via::DataChannel, "by channel")
        .unwrap();
    a.webrtc.set_video_bitrate(200_000);
    a.webrtc.set_audio_bitrate(16_000);
    b.webrtc.restart();
    for station in [&a, &b] {
        station.wait(|event| matches!(event, Event::Disconnected | Event::Connecting));
    }
}

#[test]
fn the_peer_leaves_and_the_stayer_waits_for_the_next() {
    let [a, b] = stations(settings(), settings());
    a.webrtc.start();
    b.webrtc.start();
    a.wait(|event| *event == Event::Connected);
    b.webrtc.stop();
    a.wait(|event| matches!(event, Event::PeerLeft | Event::Disconnected));
}

#[test]
fn without_being_enabled_it_waits() {
    let [a, b] = stations(settings().with_enabled(false), settings());
    a.webrtc.start();
    b.webrtc.start();
    a.wait(|event| *event == Event::SignalingConnected);
    assert!(
        a.webrtc
            .query()
            .peer
            .is_none_or(|peer| peer.setup.is_none())
    );
    a.webrtc.enable_peer_connection(true);
    for station in [&a, &b] {
        station.wait(|event| *event == Event::Connected);
    }
    a.webrtc.enable_peer_connection(false);
    b.wait(|event| *event == Event::Disconnected);
}
