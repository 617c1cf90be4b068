//! Moves a lot through two peers of this process over real sockets and checks every byte: `cargo xtask volume`.
//!
//! `--megabytes` in messages of 64 KiB, one message of so many MiB in parts (`--message`), so many channels used
//! in turn (`--channels`) and so many open at the same time (`--at-once`); 0 leaves one out. `--receive-memory` and
//! `--send-memory` are bytes of each shard (see `DriverConfig`).

mod channels;
mod end;
mod progress;

use std::process::ExitCode;

use esp_driver::{Driver, DriverConfig};
use esp_peer::PeerConnection;
use esp_wire::{DataFrame, DataKind};

use crate::end::{End, connect, pattern, words};
use crate::progress::{Progress, memory};

/// Bytes of a message or a part.
const PART: usize = 64 << 10;
/// What both sides together can open in band (RFC 8832 §6).
const MOST_CHANNELS: u64 = 65_534;

/// How much of each.
struct Amounts {
    megabytes: u64,
    message: u64,
    channels: u64,
    at_once: u64,
    receive_memory: u64,
    send_memory: u64,
}

impl Amounts {
    fn driver(&self) -> DriverConfig {
        let bytes = |amount: u64| usize::try_from(amount).unwrap_or(usize::MAX);
        DriverConfig::default()
            .with_shards(2)
            .with_receive_memory(bytes(self.receive_memory))
            .with_send_memory(bytes(self.send_memory))
    }
}

fn arguments() -> Result<Amounts, String> {
    let mut amounts = Amounts {
        megabytes: 10_000,
        message: 1_024,
        channels: 65_000,
        at_once: MOST_CHANNELS,
        receive_memory: DriverConfig::default().receive_memory as u64,
        send_memory: DriverConfig::default().send_memory as u64,
    };
    let mut words = std::env::args().skip(1);
    while let Some(name) = words.next() {
        let amount = match name.as_str() {
            "--megabytes" => &mut amounts.megabytes,
            "--message" => &mut amounts.message,
            "--channels" => &mut amounts.channels,
            "--at-once" => &mut amounts.at_once,
            "--receive-memory" => &mut amounts.receive_memory,
            "--send-memory" => &mut amounts.send_memory,
            _ => {
                return Err(
                    "usage: volume [--megabytes MB] [--message MIB] [--channels NUMBER] [--at-once NUMBER] \
                     [--receive-memory BYTES] [--send-memory BYTES]"
                        .into(),
                );
            }
        };
        let number = words.next().and_then(|number| number.parse().ok());
        *amount = number.ok_or(format!("{name} takes a number"))?;
    }
    match amounts.at_once {
        0..=MOST_CHANNELS => Ok(amounts),
        _ => Err(format!(
            "at once, there are at most {MOST_CHANNELS} channels"
        )),
    }
}

/// Sends `total` bytes, in messages or as one message in parts.
fn pour(ends: &[End; 2], stream_id: u16, total: u64, in_parts: bool) -> Result<(), String> {
    let what = match in_parts {
        true => "bytes in one message",
        false => "bytes in messages of 64 KiB",
    };
    let mut progress = Progress::new(what, total);
    let (messages, bytes) = {
        let mut heard = ends[1].ear.heard();
        (heard.parts, heard.bytes) = (0, 0);
        (heard.messages, total)
    };
    let mut buffer = Vec::new();
    let (mut sent, mut due) = (0, messages);
    while sent < total {
        let size = (total - sent).min(PART as u64);
        buffer.clear();
        buffer.extend((sent..sent + size).map(pattern));
        sent += size;
        let last = sent == total;
        due += u64::from(last || !in_parts);
        let connection = &ends[0].connection;
        ends[0].insist(|| match in_parts {
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
        progress.at(sent);
    }
    let ear = &ends[1].ear;
    ear.wait(|heard| (heard.messages == due).then_some(()))?;
    let seconds = progress.end();
    let heard = ear.heard();
    println!(
        "every byte checked: {} messages, {} parts, {} wrong; {:.0} MB/s",
        heard.messages - messages,
        heard.parts,
        heard.wrong,
        total as f64 / 1e6 / seconds
    );
    match (heard.wrong, heard.bytes == bytes) {
        (0, true) => Ok(()),
        _ => Err("bytes differ".into()),
    }
}

fn run() -> Result<(), String> {
    let amounts = arguments()?;
    let driver = Driver::start(amounts.driver()).map_err(words)?;
    let (ends, stream_id) = connect(&driver)?;
    if amounts.megabytes > 0 {
        pour(&ends, stream_id, amounts.megabytes * 1_000_000, false)?;
    }
    if amounts.message > 0 {
        pour(&ends, stream_id, amounts.message << 20, true)?;
    }
    if amounts.channels > 0 {
        channels::in_turn(&ends, amounts.channels)?;
    }
    if amounts.at_once > 0 {
        channels::at_once(&ends, stream_id, amounts.at_once)?;
    }
    println!("{} KiB resident at the end", memory());
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\n{why}");
            ExitCode::FAILURE
        }
    }
}
