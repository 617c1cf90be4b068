//! Makes many calls in one process, one after the other, and counts what stays behind.
//!
//! Each call: two solutions meet over loopback, see and hear each other, exchange a message, and close. Every
//! other call has a driver of its own; the rest share one.

use std::alloc::System;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cap::Cap;
use esp_e2e::local::{Channels, settings, small_capture};
use esp_e2e::process::Holdings;
use esp_e2e::{Outcome, wait};
use esp_webrtc::media::{Player, PlayerConfig};
use esp_webrtc::signaling::{Pair, pair};
use esp_webrtc::wire::{DataFrame, DataKind};
use esp_webrtc::{Driver, DriverConfig, WebRtc};

#[global_allocator]
static HEAP: Cap<System> = Cap::new(System, usize::MAX);

/// Calls before the first count: pools and caches have filled by then.
const WARM_UP: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(30);
/// What may stay behind of all calls together: no thread, no socket, less than a packet buffer a call.
const MORE_HEAP: usize = 256 << 10;
/// The encoders' own memory is seen here alone; what the system's allocator keeps for later goes up and down.
const MORE_RESIDENT: usize = 48 << 20;

fn main() -> ExitCode {
    let calls = match arguments() {
        Ok(calls) => calls,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match soak(calls) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\n{why}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<u32> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => Ok(200),
        [name, calls] if name == "--calls" => calls
            .parse()
            .map_err(|_| format!("--calls takes a number, not {calls}")),
        _ => Err("usage: soak [--calls N]".into()),
    }
}

/// What is held between two calls.
#[derive(Clone, Copy)]
struct Count {
    holdings: Holdings,
    heap: usize,
}

impl Count {
    fn now() -> Outcome<Self> {
        Ok(Count {
            holdings: Holdings::now()?,
            heap: HEAP.allocated(),
        })
    }

    fn line(&self) -> String {
        let Holdings {
            threads,
            descriptors,
            resident,
        } = self.holdings;
        format!(
            "{threads} threads, {descriptors} descriptors, {} KiB heap, {} MiB resident",
            self.heap >> 10,
            resident >> 20
        )
    }
}

fn soak(calls: u32) -> Outcome<()> {
    let shared = driver()?;
    let begun = Instant::now();
    let mut before = Count::now()?;
    for call in 1..=calls + WARM_UP {
        let driver = if call % 2 == 0 {
            shared.clone()
        } else {
            driver()?
        };
        one_call(&driver, call).map_err(|why| format!("call {call}: {why}"))?;
        drop(driver);
        if call == WARM_UP {
            before = settled(None)?;
            println!("after {WARM_UP} calls to warm up: {}", before.line());
        } else if call % 10 == 0 {
            println!("call {}: {}", call - WARM_UP, Count::now()?.line());
        }
    }
    let after = settled(Some(before))?;
    println!(
        "{calls} calls in {:.0} s; before: {}; after: {}",
        begun.elapsed().as_secs_f32(),
        before.line(),
        after.line()
    );
    compare(before, after)
}

/// Counts once threads that are ending have ended.
fn settled(before: Option<Count>) -> Outcome<Count> {
    let most = before.map_or(usize::MAX, |count| count.holdings.threads);
    let mut last = Count::now()?;
    let settled = wait::until("threads have not ended", Duration::from_secs(10), || {
        let now = Count::now().ok()?;
        let same = now.holdings.threads == last.holdings.threads;
        last = now;
        (same && now.holdings.threads <= most).then_some(now)
    });
    Ok(settled.unwrap_or(last))
}

fn compare(before: Count, after: Count) -> Outcome<()> {
    let mut leaks = Vec::new();
    let mut check = |what: &str, before: usize, after: usize, more: usize| {
        if after > before + more {
            leaks.push(format!("{what}: {before} before, {after} after"));
        }
    };
    check(
        "threads",
        before.holdings.threads,
        after.holdings.threads,
        0,
    );
    check(
        "descriptors",
        before.holdings.descriptors,
        after.holdings.descriptors,
        0,
    );
    check("bytes on the heap", before.heap, after.heap, MORE_HEAP);
    check(
        "bytes resident",
        before.holdings.resident,
        after.holdings.resident,
        MORE_RESIDENT,
    );
    if leaks.is_empty() {
        println!("nothing stays behind");
        Ok(())
    } else {
        Err(format!("something stays behind:\n  {}", leaks.join("\n  ")))
    }
}

fn driver() -> Outcome<Driver> {
    Driver::start(DriverConfig::default()).map_err(|error| error.to_string())
}

fn one_call(driver: &Driver, number: u32) -> Outcome<()> {
    let (first, second) = pair();
    let (first, from_first) = solution(driver, first)?;
    let (second, from_second) = solution(driver, second)?;
    first.start();
    second.start();
    let (stream_id, peer) = from_first.opened(PATIENCE)?;
    from_second.opened(PATIENCE)?;
    let message = number.to_be_bytes();
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data: &message,
    };
    from_first.send(&*peer, frame, PATIENCE)?;
    drop(peer);
    if from_second.message(PATIENCE)? != message {
        return Err("another message arrived than was sent".into());
    }
    for (name, side) in [("first", &first), ("second", &second)] {
        let what = format!(
            "the {name} side got no sound or pictures: {:?}",
            side.query()
        );
        wait::until(&what, PATIENCE, || {
            let render = side.query().render?;
            (render.video_decoded > 1 && render.audio_decoded > 5).then_some(())
        })?;
    }
    // Who closes first takes turns.
    if number % 4 < 2 {
        first.close();
        second.close();
    } else {
        second.close();
        first.close();
    }
    Ok(())
}

fn solution(driver: &Driver, signaling: Pair) -> Outcome<(WebRtc, Channels)> {
    let webrtc = WebRtc::builder(signaling)
        .settings(settings().with_reconnects(false))
        .connector(driver.clone())
        .capture(small_capture()?)
        .render(Player::new(PlayerConfig::new()))
        .open()
        .map_err(|error| error.to_string())?;
    let (handler, channels) = Channels::new();
    webrtc.set_channel_handler(handler);
    Ok((webrtc, channels))
}
