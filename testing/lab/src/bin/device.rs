//! A device of the lab: one peer that is told by lines of JSON what to do, and tells by lines of JSON what happens.
//!
//! It sends a message and a packet of sound every 20 ms, and checks every byte of what arrives. It ends when
//! its standard input does.

use std::io::{self, BufRead};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use esp_lab::{Outcome, traffic};
use esp_webrtc::driver::ServerTrust;
use esp_webrtc::peer::{ChannelConfig, ChannelInfo, Handler, Notice, State};
use esp_webrtc::wire::{
    AudioInfo, Codec, DataFrame, DataKind, Direction, Frame, IcePolicy, IceServer, Role, Signal,
};
use esp_webrtc::{Connection, Driver, DriverConfig, PeerConfig, PeerConnection};
use serde_json::{Value, json};

const TICK: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let mut lines = io::stdin().lock().lines();
    let first = lines
        .next()
        .ok_or("no settings")?
        .map_err(|error| error.to_string())?;
    let settings: Value = serde_json::from_str(&first).map_err(|error| error.to_string())?;
    let seen = Arc::new(Seen {
        expected: settings["expect"].as_u64().unwrap_or(0),
        ..Seen::default()
    });
    let driver = Driver::start(driver_config(&settings)?).map_err(|error| error.to_string())?;
    let handler = Box::new(Ear(Arc::clone(&seen)));
    let peer = driver
        .open(peer_config(&settings)?, handler)
        .map_err(|error| error.to_string())?;
    let peer = Arc::new(peer);
    let talker = (Arc::clone(&peer), Arc::clone(&seen));
    let seed = settings["send"].as_u64().unwrap_or(0);
    let (end, ended) = channel::<()>();
    let talker = thread::spawn(move || talk(&talker.0, &talker.1, seed, &ended));
    for line in lines {
        let line = line.map_err(|error| error.to_string())?;
        let order: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        obey(&peer, &seen, &order).map_err(|why| format!("{line}: {why}"))?;
    }
    drop(end);
    talker.join().map_err(|_| "the talker panicked")?;
    peer.close();
    Ok(())
}

fn obey(peer: &Connection, seen: &Seen, order: &Value) -> Outcome<()> {
    let done = match order["do"].as_str().unwrap_or_default() {
        "start" => peer.new_connection(),
        "signal" => peer.send_msg(&signal(order)),
        "servers" => peer.update_ice_info(role(order), &servers(order)),
        "report" => {
            say(&report(peer, seen)?);
            Ok(())
        }
        "disconnect" => peer.disconnect(),
        other => return Err(format!("{other:?} cannot be done")),
    };
    done.map_err(|error| error.to_string())
}

fn driver_config(settings: &Value) -> Outcome<DriverConfig> {
    let config = DriverConfig::default();
    match settings["roots"].as_str() {
        None => Ok(config),
        Some(pem) => Ok(config.with_server_trust(ServerTrust::of_pem(pem.as_bytes())?)),
    }
}

fn peer_config(settings: &Value) -> Outcome<PeerConfig> {
    let mut config = PeerConfig::default()
        .with_role(role(settings))
        .with_servers(servers(settings))
        .with_data_channels(settings["waits"] == true);
    config.automatic_channel = ChannelConfig::new("lab");
    if settings["relay"] == true {
        config.policy = IcePolicy::Relay;
    }
    if settings["sound"] == true {
        let opus = AudioInfo {
            codec: Codec::Opus,
            sample_rate: 48_000,
            channels: 2,
        };
        config = config.with_audio(Direction::SendRecv, vec![opus]);
    }
    if let Some(seconds) = settings["lifetime"].as_u64() {
        config.ice.relay_lifetime = Some(Duration::from_secs(seconds));
    }
    if let Some(seconds) = settings["renewal"].as_u64() {
        config.ice.relay_renewal = Duration::from_secs(seconds);
    }
    if let Some(seconds) = settings["warning"].as_u64() {
        config.ice.disconnected_after = Duration::from_secs(seconds);
    }
    config.ice.roaming = settings["settled"] != true;
    config.ice.tcp_relays = settings["tcp_relays"] == true;
    Ok(config)
}

fn role(settings: &Value) -> Role {
    match settings["role"].as_str() {
        Some("controlled") => Role::Controlled,
        _ => Role::Controlling,
    }
}

fn servers(settings: &Value) -> Vec<IceServer> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = settings["servers"].as_array().into_iter().flatten();
    all.map(|server| IceServer {
        urls: vec![text(&server["url"])],
        username: text(&server["username"]),
        credential: text(&server["credential"]),
    })
    .collect()
}

fn signal(order: &Value) -> Signal<'_> {
    match order["sdp"].as_str() {
        Some(sdp) => Signal::Sdp(sdp.into()),
        None => Signal::Candidate {
            candidate: order["candidate"].as_str().unwrap_or_default().into(),
            mid: order["mid"].as_str().map(Into::into),
            line: order["line"].as_u64().and_then(|line| line.try_into().ok()),
        },
    }
}

/// Sends at every tick until the other end of `ended` is gone.
fn talk(peer: &Connection, seen: &Seen, seed: u64, ended: &Receiver<()>) {
    let begun = Instant::now();
    let (mut data, mut sound) = (0, 0);
    while ended.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
        if let Some(stream_id) = *seen.channel() {
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data: &traffic::message(seed, data),
            };
            // What finds no room, or no connection, is sent at the next tick.
            if peer.send_data(frame).is_ok() {
                data += 1;
            }
        }
        let frame = Frame {
            pts: begun.elapsed(),
            data: &traffic::packet(seed, sound),
        };
        if peer.send_audio(frame).is_ok() {
            sound += 1;
        }
        seen.sent.store(data, Ordering::Relaxed);
    }
}

/// What has arrived.
#[derive(Default)]
struct Seen {
    expected: u64,
    channel: Mutex<Option<u16>>,
    sent: AtomicU64,
    messages: AtomicU64,
    wrong: AtomicU64,
    sound: AtomicU64,
    wrong_sound: AtomicU64,
}

impl Seen {
    fn channel(&self) -> MutexGuard<'_, Option<u16>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Ear(Arc<Seen>);

impl Handler for Ear {
    fn on_state(&mut self, state: State) {
        say(&json!({"event": "state", "state": state.to_string()}));
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        match msg {
            Signal::Sdp(sdp) => say(&json!({"event": "signal", "sdp": sdp})),
            Signal::Candidate {
                candidate,
                mid,
                line,
            } => say(&json!({"event": "signal", "candidate": candidate, "mid": mid, "line": line})),
            _ => {}
        }
    }

    fn on_audio_data(&mut self, frame: Frame<'_>) {
        let right = traffic::packet_number(self.0.expected, frame.data).is_some();
        let counter = if right {
            &self.0.sound
        } else {
            &self.0.wrong_sound
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        *self.0.channel() = Some(channel.stream_id);
    }

    fn on_channel_close(&mut self, _: &ChannelInfo) {
        *self.0.channel() = None;
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        let next = self.0.messages.load(Ordering::Relaxed);
        if traffic::message(self.0.expected, next) == frame.data {
            self.0.messages.store(next + 1, Ordering::Relaxed);
        } else {
            self.0.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = at.unwrap_or_default().as_millis();
        say(&json!({"event": "notice", "at": at, "text": format!("{notice:?}")}));
    }
}

fn report(peer: &Connection, seen: &Seen) -> Outcome<Value> {
    let report = peer.query().map_err(|error| error.to_string())?;
    let path = report.pairs.iter().find(|pair| pair.in_use).map(|pair| {
        json!({
            "local": pair.local.address.to_string(),
            "local_kind": pair.local.kind.name(),
            "base": pair.base.to_string(),
            "remote": pair.remote.address.to_string(),
            "remote_kind": pair.remote.kind.name(),
        })
    });
    let marks = report.sctp.map(|sctp| {
        json!({
            "sent": sctp.marking,
            "received": sctp.marks_received,
            "reductions": sctp.congestion_events,
        })
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(json!({
        "event": "report",
        "state": report.state.to_string(),
        "reason": report.reason,
        "path": path,
        "marks": marks,
        "sent": count(&seen.sent),
        "messages": count(&seen.messages),
        "sound": count(&seen.sound),
        "wrong": count(&seen.wrong) + count(&seen.wrong_sound),
    }))
}

fn say(event: &Value) {
    println!("{event}");
}
