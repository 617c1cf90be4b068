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

/// Time between two pictures that are sent.
const PACE: Duration = Duration::from_millis(40);
/// Pictures that the queue of what is to be sent holds, and those that everybody gets while one sleeps: more.
const QUEUE: usize = 10;
const WANTED: u64 = 25;

/// What one end hears.
#[derive(Clone, Default)]
struct Heard {
    connected: Switch,
    pictures: Counter,
    packets: Counter,
    /// Thrown when a callback has begun its sleep, to wake it, and when it has woken.
    asleep: Switch,
    alarm: Switch,
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
            self.heard.alarm.wait(PATIENCE * 2);
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

/// What every end of every call sends: pictures and sound, until it is told to end.
struct Sending {
    /// Pictures that were taken of each end.
    taken: Vec<Counter>,
    end: Switch,
    thread: JoinHandle<Outcome<()>>,
}

impl Sending {
    fn begin(calls: &[Call], picture: Vec<u8>) -> Self {
        let connections = calls.iter().flat_map(|call| call.ends.iter());
        let ends: Vec<(Arc<Connection>, Counter)> = connections
            .map(|(end, _)| (Arc::clone(end), Counter::default()))
            .collect();
        let taken = ends.iter().map(|(_, taken)| taken.clone()).collect();
        let end = Switch::default();
        let ended = end.clone();
        let thread = thread::spawn(move || {
            let begun = Instant::now();
            while !ended.wait(PACE) {
                for (peer, taken) in &ends {
                    send(peer, begun.elapsed(), &picture, taken)?;
                }
            }
            Ok(())
        });
        Sending { taken, end, thread }
    }

    fn taken(&self) -> Vec<u64> {
        self.taken.iter().map(Counter::value).collect()
    }

    fn end(self) -> Outcome<()> {
        self.end.throw();
        self.thread.join().map_err(|_| "the sender panicked")?
    }
}

/// Sends a picture and some sound, as far as there is room for them.
fn send(peer: &Connection, pts: Duration, picture: &[u8], taken: &Counter) -> Outcome<()> {
    let sound = [0xff; 320];
    let picture = peer.send_video(Frame { pts, data: picture });
    if picture.is_ok() {
        taken.count();
    }
    let sound = peer.send_audio(Frame { pts, data: &sound });
    for sent in [picture, sound] {
        match sent {
            Ok(()) | Err(Error::WouldBlock) => {}
            Err(error) => return Err(format!("sending was refused: {error}")),
        }
    }
    Ok(())
}

#[test]
fn a_callback_that_sleeps_holds_up_nobody_else() -> Outcome<()> {
    let picture = keyframe()?;
    let mut config = DriverConfig::default().with_shards(1);
    config.media_outbox_bytes = QUEUE * picture.len();
    let driver = Driver::start(config).map_err(|error| error.to_string())?;
    let calls = [Call::new(&driver, true)?, Call::new(&driver, false)?];
    let sending = Sending::begin(&calls, picture);

    let [awake, sleeper] = &calls[0].ends;
    let others = &calls[1].ends;
    if !sleeper.1.asleep.wait(PATIENCE) {
        return Err("no picture arrived".into());
    }
    let watched = [&awake.1, &others[0].1, &others[1].1];
    let counts = || {
        let heard = watched.map(|heard| [heard.pictures.value(), heard.packets.value()]);
        [sending.taken(), heard.concat()].concat()
    };
    // Everybody sends on, to the sleeper too, and everybody else hears.
    let before = counts();
    let went_on = wait::until("not everybody goes on", PATIENCE, || {
        let now = counts();
        let mut both = before.iter().zip(&now);
        both.all(|(before, now)| *now >= before + WANTED)
            .then_some(())
    });
    if sleeper.1.awake.wait(Duration::ZERO) {
        return Err(format!("it woke too early: {went_on:?}"));
    }
    sleeper.1.alarm.throw();
    went_on.map_err(|why| format!("{why}: {before:?} before, {:?} now", counts()))?;

    // And so does the sleeper, once it wakes.
    if !sleeper.1.awake.wait(PATIENCE) {
        return Err("it sleeps on".into());
    }
    let pictures = sleeper.1.pictures.value();
    wait::until("the sleeper sees no more", PATIENCE, || {
        (sleeper.1.pictures.value() > pictures + 10).then_some(())
    })?;
    sending.end()?;
    calls.into_iter().for_each(Call::close);
    Ok(())
}
