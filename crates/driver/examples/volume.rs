//! Moves a lot through two peers of this process over real sockets and checks every byte.
//!
//! `cargo run --release -p esp-driver --example volume -- bytes 10000`: so many MB in messages of 64 KiB;
//! `-- parts 1024`: one message of so many MiB, in parts; `-- channels 65000`: so many channels, opened by both
//! sides in turn, used and closed.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use esp_driver::{Connection, Driver, DriverConfig};
use esp_peer::sctp::Delivery;
use esp_peer::{ChannelConfig, ChannelInfo, Error, Handler, PeerConfig, PeerConnection};
use esp_wire::{DataFrame, DataKind, Role, Signal};

const PATIENCE: Duration = Duration::from_secs(60);
const PART: usize = 64 << 10;

/// What one end was told.
#[derive(Default)]
struct Heard {
    signals: VecDeque<Signal<'static>>,
    opened: VecDeque<u16>,
    closed: u64,
    messages: u64,
    bytes: u64,
    parts: u64,
    wrong: u64,
    writable: bool,
    /// After so many bytes the pattern begins anew; 0 for never.
    period: u64,
}

#[derive(Clone, Default)]
struct Ear(Arc<(Mutex<Heard>, Condvar)>);

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Heard)) {
        change(&mut self.heard());
        self.0.1.notify_all();
    }

    fn wait<T>(&self, mut fits: impl FnMut(&mut Heard) -> Option<T>) -> Result<T, String> {
        let mut heard = self.heard();
        loop {
            if let Some(found) = fits(&mut heard) {
                return Ok(found);
            }
            let waited = self.0.1.wait_timeout(heard, PATIENCE);
            let (again, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                return Err("nothing happens any more".into());
            }
            heard = again;
        }
    }

    fn take(&self, frame: DataFrame<'_>, last: bool) {
        self.note(|heard| {
            let place = match heard.period {
                0 => heard.bytes,
                period => heard.bytes % period,
            };
            let right = (frame.data.iter().enumerate())
                .all(|(at, byte)| *byte == pattern(place + at as u64));
            heard.wrong += u64::from(!right);
            heard.bytes += frame.data.len() as u64;
            heard.parts += 1;
            heard.messages += u64::from(last);
        });
    }
}

/// The byte at this place of all that is sent.
fn pattern(at: u64) -> u8 {
    (at ^ at >> 8 ^ at >> 16 ^ at >> 24) as u8
}

impl Handler for Ear {
    fn on_msg(&mut self, msg: Signal<'_>) {
        self.note(|heard| heard.signals.push_back(msg.into_owned()));
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.note(|heard| heard.opened.push_back(channel.stream_id));
    }

    fn on_channel_close(&mut self, _: &ChannelInfo) {
        self.note(|heard| heard.closed += 1);
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.take(frame, true);
    }

    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {
        self.take(part, last);
    }

    fn on_writable(&mut self, _: u16) {
        self.note(|heard| heard.writable = true);
    }
}

struct End {
    connection: Arc<Connection>,
    ear: Ear,
}

fn words(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn connect(driver: &Driver) -> Result<([End; 2], u16), String> {
    let end = |role| {
        let mut config = PeerConfig::default()
            .with_role(role)
            .with_data_channels(false)
            .with_delivery(Delivery::Parts)
            .with_loopback();
        config.automatic_channel = ChannelConfig::new("volume");
        let ear = Ear::default();
        let connection = driver.open(config, Box::new(ear.clone())).map_err(words)?;
        let connection = Arc::new(connection);
        Ok::<_, String>(End { connection, ear })
    };
    let ends = [end(Role::Controlling)?, end(Role::Controlled)?];
    for end in ends.iter().rev() {
        end.connection.new_connection().map_err(words)?;
    }
    for (from, to) in [(0, 1), (1, 0)] {
        let (ear, to) = (ends[from].ear.clone(), Arc::downgrade(&ends[to].connection));
        std::thread::spawn(move || {
            while let Some(to) = to.upgrade() {
                let signal = ear.heard().signals.pop_front();
                match signal {
                    // After the end, nobody takes it any more.
                    Some(signal) => drop(to.send_msg(&signal)),
                    None => std::thread::sleep(Duration::from_millis(2)),
                }
            }
        });
    }
    let open = |end: &End| end.ear.wait(|heard| heard.opened.pop_front());
    let stream_id = open(&ends[0])?;
    open(&ends[1])?;
    Ok((ends, stream_id))
}

/// Sends until it is taken.
fn insist(end: &End, mut send: impl FnMut() -> Result<(), Error>) -> Result<(), String> {
    loop {
        match send() {
            Ok(()) => return Ok(()),
            Err(Error::WouldBlock) => end
                .ear
                .wait(|heard| std::mem::take(&mut heard.writable).then_some(()))?,
            Err(error) => return Err(words(error)),
        }
    }
}

/// Sends `total` bytes, in messages or as one message in parts.
fn pour(ends: &[End; 2], stream_id: u16, total: u64, in_parts: bool) -> Result<(), String> {
    let mut buffer = Vec::new();
    let (mut sent, mut messages) = (0, 0);
    while sent < total {
        let size = (total - sent).min(PART as u64);
        buffer.clear();
        buffer.extend((sent..sent + size).map(pattern));
        sent += size;
        let last = sent == total;
        messages += u64::from(last || !in_parts);
        let connection = &ends[0].connection;
        insist(&ends[0], || match in_parts {
            true => {
                let part = DataFrame {
                    kind: DataKind::Binary,
                    stream_id,
                    data: &buffer,
                };
                connection.send_data_part(part, last)
            }
            false => connection.send_data_owned(stream_id, DataKind::Binary, &mut buffer),
        })?;
    }
    let heard = &ends[1].ear;
    heard.wait(|heard| (heard.messages == messages).then_some(()))?;
    let heard = heard.heard();
    println!(
        "{} bytes, {} messages, {} parts",
        heard.bytes, heard.messages, heard.parts
    );
    match (heard.wrong, heard.bytes == total) {
        (0, true) => Ok(()),
        (wrong, _) => Err(format!("{wrong} of them wrong")),
    }
}

/// Opens channels from both sides in turn, sends a message on each, and closes it, a thousand at a time.
fn channels(ends: &[End; 2], count: u64) -> Result<(), String> {
    let data: Vec<u8> = (0..100).map(pattern).collect();
    for end in ends {
        end.ear.heard().period = data.len() as u64;
    }
    let mut done = 0;
    while done < count {
        let round = (count - done).min(1_000);
        for number in done..done + round {
            let label = ChannelConfig::new(format!("channel {number}"));
            let end = &ends[(number % 2) as usize];
            end.connection.create_data_channel(label).map_err(words)?;
        }
        let mut streams = VecDeque::new();
        for end in ends {
            streams = end.ear.wait(|heard| {
                let all = heard.opened.len() as u64 == round;
                all.then(|| std::mem::take(&mut heard.opened))
            })?;
        }
        for stream_id in &streams {
            // The streams of one side are even, those of the other odd: both send and close.
            let near = &ends[usize::from(stream_id % 2)];
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id: *stream_id,
                data: &data,
            };
            insist(near, || near.connection.send_data(frame))?;
        }
        done += round;
        let arrived = |heard: &Heard| heard.messages;
        let began = Instant::now();
        while ends
            .iter()
            .map(|end| arrived(&end.ear.heard()))
            .sum::<u64>()
            < done
        {
            if began.elapsed() > PATIENCE {
                return Err("messages do not arrive".into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        for stream_id in &streams {
            let far = &ends[usize::from(stream_id % 2 == 0)];
            far.connection
                .close_data_channel(*stream_id)
                .map_err(words)?;
        }
        for end in ends {
            end.ear.wait(|heard| (heard.closed == done).then_some(()))?;
        }
    }
    let wrong: u64 = ends.iter().map(|end| end.ear.heard().wrong).sum();
    println!("{count} channels, {wrong} messages wrong");
    match wrong {
        0 => Ok(()),
        _ => Err("bytes differ".into()),
    }
}

fn main() -> Result<(), String> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (what, number) = match &arguments[..] {
        [what, number] => (what.as_str(), number.parse::<u64>().map_err(words)?),
        _ => return Err("bytes MB, parts MIB or channels NUMBER".into()),
    };
    let driver = Driver::start(DriverConfig::default().with_shards(2)).map_err(words)?;
    let (ends, stream_id) = connect(&driver)?;
    let began = Instant::now();
    match what {
        "bytes" => pour(&ends, stream_id, number * 1_000_000, false)?,
        "parts" => pour(&ends, stream_id, number << 20, true)?,
        "channels" => channels(&ends, number)?,
        _ => return Err("bytes, parts or channels".into()),
    }
    println!("{:.1} s", began.elapsed().as_secs_f64());
    Ok(())
}
