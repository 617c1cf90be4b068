//! A callback that takes its time holds up nobody else.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use esp_e2e::local::{Counter, Switch, keyframe};
use esp_e2e::{Outcome, wait};
use esp_webrtc::peer::{Error, Handler, PeerConfig, PeerConnection, State};
use esp_webrtc::wire::{AudioInfo, Codec, Direction, Frame, Role, Signal, VideoInfo};
use esp_webrtc::{Connection, Driver, DriverConfig};

use crate::support::PATIENCE;

const SLEEP: Duration = Duration::from_secs(2);
/// Time between two pictures that are sent.
const PACE: Duration = Duration::from_millis(40);

/// What one end hears.
#[derive(Clone, Default)]
struct Heard {
    connected: Switch,
    pictures: Counter,
    packets: Counter,
    /// Thrown when a callback has begun its sleep, and when it wakes.
    asleep: Switch,
    awake: Switch,
}

struct End {
    heard: Heard,
    letters: Sender<Signal<'static>>,
    sleepy: bool,
}

impl Handler for End {
    fn on_state(&mut self, state: State) {
        if state == State::Connected {
            self.heard.connected.throw();
        }
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        let _ = self.letters.send(msg.into_owned());
    }

    fn on_audio_data(&mut self, _: Frame<'_>) {
        self.heard.packets.count();
    }

    fn on_video_data(&mut self, _: Frame<'_>) {
        self.heard.pictures.count();
        if std::mem::take(&mut self.sleepy) {
            self.heard.asleep.throw();
            thread::sleep(SLEEP);
            self.heard.awake.throw();
        }
    }
}

/// Two ends of one call on the same driver.
struct Call {
    ends: [(Arc<Connection>, Heard); 2],
    posts: Vec<JoinHandle<()>>,
}

impl Call {
    fn new(driver: &Driver, sleepy: bool) -> Outcome<Self> {
        let (first_letters, for_second) = channel();
        let (second_letters, for_first) = channel();
        let open = |role, letters, sleepy| {
            let heard = Heard::default();
            let end = End {
                heard: heard.clone(),
                letters,
                sleepy,
            };
            let connection = driver
                .open(config(role), Box::new(end))
                .map_err(|error| error.to_string())?;
            Ok::<_, String>((Arc::new(connection), heard))
        };
        let first = open(Role::Controlling, first_letters, false)?;
        let second = open(Role::Controlled, second_letters, sleepy)?;
        let mut posts = Vec::new();
        for (letters, to) in [(for_second, &second.0), (for_first, &first.0)] {
            let to = Arc::clone(to);
            posts.push(thread::spawn(move || {
                for letter in letters {
                    // A connection that is being closed takes no letters.
                    let _ = to.send_msg(&letter);
                }
            }));
        }
        for end in [&second, &first] {
            end.0.new_connection().map_err(|error| error.to_string())?;
        }
        for end in [&first, &second] {
            if !end.1.connected.wait(PATIENCE) {
                return Err(format!("not connected: {:?}", end.0.query()));
            }
        }
        Ok(Call {
            ends: [first, second],
            posts,
        })
    }

    fn close(self) {
        for (end, _) in &self.ends {
            end.close();
        }
        drop(self.ends);
        for post in self.posts {
            let _ = post.join();
        }
    }
}

fn config(role: Role) -> PeerConfig {
    let sound = AudioInfo {
        codec: Codec::Pcmu,
        sample_rate: 8_000,
        channels: 1,
    };
    let pictures = VideoInfo {
        codec: Codec::H264,
        width: 0,
        height: 0,
        fps: 0,
    };
    PeerConfig::default()
        .with_role(role)
        .with_audio(Direction::SendRecv, vec![sound])
        .with_video(Direction::SendRecv, vec![pictures])
        .with_loopback()
}

/// Sends pictures and sound from every end of every call until it is told to end.
fn send(calls: &[Call], picture: Vec<u8>, end: Switch) -> JoinHandle<Vec<Error>> {
    let ends: Vec<Arc<Connection>> = calls
        .iter()
        .flat_map(|call| call.ends.iter().map(|(end, _)| Arc::clone(end)))
        .collect();
    thread::spawn(move || {
        let mut refused = Vec::new();
        let begun = Instant::now();
        let mut number = 0;
        while !end.wait((begun + PACE * number).saturating_duration_since(Instant::now())) {
            let pts = PACE * number;
            for peer in &ends {
                let sent = [
                    peer.send_video(Frame {
                        pts,
                        data: &picture,
                    }),
                    peer.send_audio(Frame {
                        pts,
                        data: &[0xff; 320],
                    }),
                ];
                refused.extend(sent.into_iter().filter_map(Result::err));
            }
            number += 1;
        }
        refused
    })
}

#[test]
fn a_callback_that_sleeps_holds_up_nobody_else() -> Outcome<()> {
    let config = DriverConfig::default().with_shards(1);
    let driver = Driver::start(config).map_err(|error| error.to_string())?;
    let picture = keyframe()?;
    let calls = [Call::new(&driver, true)?, Call::new(&driver, false)?];
    let end = Switch::default();
    let sender = send(&calls, picture, end.clone());

    let [awake, sleeper] = &calls[0].ends;
    let others = &calls[1].ends;
    if !sleeper.1.asleep.wait(PATIENCE) {
        return Err("no picture arrived".into());
    }
    let watched = [&awake.1, &others[0].1, &others[1].1];
    let counts = || watched.map(|heard| (heard.pictures.value(), heard.packets.value()));
    let before = counts();
    // Everybody else goes on: most of what is sent meanwhile arrives while the callback sleeps.
    let wanted = u64::try_from(SLEEP.as_millis() / PACE.as_millis() / 3).unwrap_or(u64::MAX);
    let arrived = wait::until("too little arrived", SLEEP, || {
        let now = counts();
        let enough = before
            .iter()
            .zip(&now)
            .all(|(before, now)| now.0 >= before.0 + wanted && now.1 >= before.1 + wanted);
        (enough && !sleeper.1.awake.wait(Duration::ZERO)).then_some(())
    });
    arrived.map_err(|why| format!("{why}: {before:?} before, {:?} now", counts()))?;

    // And so does the sleeper, once it wakes.
    if !sleeper.1.awake.wait(PATIENCE) {
        return Err("it sleeps on".into());
    }
    let pictures = sleeper.1.pictures.value();
    wait::until("the sleeper sees no more", PATIENCE, || {
        (sleeper.1.pictures.value() > pictures + 10).then_some(())
    })?;
    end.throw();
    let refused = sender.join().map_err(|_| "the sender panicked")?;
    if !refused.is_empty() {
        return Err(format!("sending was refused: {:?}", refused.first()));
    }
    calls.into_iter().for_each(Call::close);
    Ok(())
}
