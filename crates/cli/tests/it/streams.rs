//! The program publishes to a media server and plays from one: peers of ours stand behind a server of the tests'.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use esp_webrtc::media::source::TestPicture;
use esp_webrtc::media::{Generator, GeneratorConfig, Player, PlayerConfig, Render};
use esp_webrtc::signaling::{Error, IceCause, IceInfo, SignalingEvents};
use esp_webrtc::wire::{Direction, Role, Signal, Trickle};
use esp_webrtc::{PeerConfig, Report, Settings, Signaling, WebRtc};

use crate::program::{Dir, Program, output};
use crate::sdp::Fragment;
use crate::studio::{Desk, Odd, Studio};

/// Longer than anything takes on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(120);

type Events = Arc<Mutex<Option<Box<dyn SignalingEvents>>>>;

/// The server's end of one exchange: the offer goes in, the answer comes out.
struct Inside {
    offer: String,
    events: Events,
    answer: Sender<String>,
}

impl Signaling for Inside {
    fn start(&mut self, mut events: Box<dyn SignalingEvents>) -> Result<(), Error> {
        events.on_ice_info(IceInfo {
            servers: Vec::new(),
            role: Role::Controlled,
            cause: IceCause::Joined,
        });
        events.on_connected();
        events.on_msg(Signal::Sdp(self.offer.clone().into()));
        *self.events.lock().unwrap() = Some(events);
        Ok(())
    }

    fn send_msg(&mut self, msg: &Signal<'_>) -> Result<(), Error> {
        if let Signal::Sdp(text) = msg {
            let _ = self.answer.send(text.to_string());
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        Ok(())
    }

    // The answer of such a server has all of its candidates.
    fn trickle(&self) -> Trickle {
        Trickle::None
    }
}

struct Peer {
    webrtc: WebRtc,
    events: Events,
}

/// Peers that receive what is published, or send what is played.
#[derive(Clone, Default)]
struct Peers {
    plays: bool,
    peers: Arc<Mutex<HashMap<String, Peer>>>,
}

impl Peers {
    /// Asks for figures of a peer over and over until they fit.
    fn watch(&self, session: &str, fits: impl Fn(&Report) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let report = self.peers.lock().unwrap()[session].webrtc.query();
            if fits(&report) {
                return;
            }
            assert!(Instant::now() < until, "it never came about: {report:#?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }
}

impl Desk for Peers {
    fn answer(&self, session: &str, offer: &str) -> Option<String> {
        let (answer, answered): (_, Receiver<String>) = channel();
        let events = Events::default();
        let inside = Inside {
            offer: offer.to_owned(),
            events: events.clone(),
            answer,
        };
        let way = Direction::of(self.plays, !self.plays);
        let peer = PeerConfig::default().with_data_channels(false);
        let settings = Settings::default()
            .with_directions(way, way)
            .with_reconnects(false)
            .with_peer(peer.with_loopback());
        let builder = WebRtc::builder(inside).settings(settings);
        let builder = if self.plays {
            let config = GeneratorConfig::test_signal(TestPicture::DEFAULT).unwrap();
            builder.capture_boxed(Generator::new(config).unwrap().capture())
        } else {
            let player: Box<dyn Render> = Box::new(Player::new(PlayerConfig::new()));
            let mut player = Some(player);
            builder.render_factory(move || player.take())
        };
        let webrtc = builder.open().unwrap();
        webrtc.start();
        let peer = Peer { webrtc, events };
        self.peers.lock().unwrap().insert(session.to_owned(), peer);
        answered.recv_timeout(PATIENCE).ok()
    }

    fn candidates(&self, session: &str, fragment: &Fragment) {
        let peers = self.peers.lock().unwrap();
        let mut events = peers[session].events.lock().unwrap();
        for candidate in &fragment.sections[0].candidates {
            events.as_mut().unwrap().on_msg(Signal::Candidate {
                candidate: candidate.clone().into(),
                mid: Some(fragment.sections[0].mid.clone().into()),
                line: Some(0),
            });
        }
    }
}

#[test]
fn a_camera_is_published() {
    let peers = Peers::default();
    let studio = Studio::with(peers.clone());
    studio.state().secret = Some("Bearer t0k3n".into());
    let dir = Dir::new("publish");
    let token = dir.path("token.txt");
    std::fs::write(&token, "t0k3n\n").unwrap();
    let (url, token) = (studio.url(), format!("@{token}"));
    for (session, more) in [("1", &[][..]), ("2", &["--no-trickle", "--no-audio"])] {
        let arguments = [&["publish", &url, "--token", &token], more].concat();
        let mut camera = Program::start(&arguments);
        assert_eq!(
            camera.event("server")["url"],
            format!("http://{}", studio.address)
        );
        camera.event("connected");
        peers.watch(session, |report| {
            let stats = report.render.unwrap_or_default();
            let heard = stats.audio_decoded > 20 || session == "2";
            stats.video_decoded > 20 && heard && (stats.width, stats.height) == (640, 480)
        });
        camera.interrupt();
        camera.event("stopped");
        assert!(camera.wait().success());
        studio.wait_for(&format!("DELETE /s/{session}"));
    }
}

#[test]
fn a_stream_is_played_and_recorded() {
    let peers = Peers {
        plays: true,
        ..Peers::default()
    };
    let studio = Studio::with(peers);
    // Nobody publishes at first.
    let early = Odd::of(409).with("Retry-After", "0");
    studio.state().odd("POST", early);
    let dir = Dir::new("play");
    let record = dir.path("record");
    let url = studio.url();
    let mut player = Program::start(&["play", &url, "--record", &record, "--levels", "0.2"]);
    let reason = player.event("interrupted")["reason"].to_string();
    assert!(reason.contains("nobody publishes"), "{reason}");
    player.event("connected");
    let flows = |level: &serde_json::Value| {
        level["video_decoded"].as_u64().unwrap() > 20
            && level["audio_decoded"].as_u64().unwrap() > 20
            && level["rms_db"].as_f64().unwrap() > -60.0
    };
    while !flows(&player.event("level")) {}
    player.type_line("/quit");
    let recorded = player.event("recorded");
    assert!(recorded["pictures"].as_u64().unwrap() > 20, "{recorded}");
    player.event("stopped");
    assert!(player.wait().success());
    studio.wait_for("DELETE /s/1");
}

#[test]
fn refusals_are_said_with_what_helps() {
    let studio = Studio::start();
    studio.state().secret = Some("Bearer t0k3n".into());
    let url = studio.url();
    for (arguments, word, code) in [
        (&["publish", &url][..], "--token TOKEN", 1),
        (
            &["play", &url, "--basic", "me:x"],
            "does not take this token or password",
            1,
        ),
        (&["play", &url, "--basic", "me"], "USER:PASSWORD", 2),
        (&["play", &url, "--video", "x"], "play sends nothing", 2),
        (
            &["publish", &url, "--record", "x"],
            "publish receives nothing",
            2,
        ),
        (
            &["publish", &url, "--no-video", "--no-audio"],
            "nothing to do",
            2,
        ),
        (&["publish", "ws://a/b"], "https or http", 2),
    ] {
        let output = output(arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            text.contains(word) && text.lines().count() == 1,
            "{arguments:?}: {text}"
        );
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_help_names_what_means_something() {
    for (command, named, not) in [
        ("publish", "--video", "--record"),
        ("play", "--record", "--video"),
    ] {
        let output = output(&[command, "--help"]);
        let text = String::from_utf8(output.stdout).unwrap();
        for word in [named, "--token", "--basic", "--pin", "Examples"] {
            assert!(text.contains(word), "{word}: {text}");
        }
        assert!(!text.contains(&format!("  {not} ")), "{text}");
    }
}
