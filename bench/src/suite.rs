//! One round of one suite on one contender, in a process of its own.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::contender::{self, Arrived, Contender, Wish};
use crate::figure::Sample;
use crate::observe::Observer;
use crate::usage;
use crate::{Arguments, Suite};

/// Message sizes and numbers of channels.
const FLOWS: [(usize, usize); 6] = [
    (65_536, 1),
    (16_384, 1),
    (1_024, 1),
    (64, 1),
    (65_536, 100),
    (1_024, 100),
];
/// Connections made one after the other.
const SETUPS: usize = 40;
/// Pairs of idle peers.
const PAIRS: usize = 50;
/// RTP packets a second, and the bytes of each without the header of 12.
const RATES: [u32; 2] = [20_000, 80_000];
pub(crate) const RTP_PAYLOAD: usize = 1_088;

/// Measures and prints samples.
pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    let name = arguments
        .contender
        .first()
        .ok_or("a round is of one contender")?;
    if arguments.suite == Suite::Memory {
        usage::count_heap(true);
    }
    let mut contender = contender::named(name).ok_or(format!("no contender {name}"))?;
    match arguments.suite {
        Suite::Data => data(contender.as_mut(), name, arguments),
        Suite::Setup => setup(contender.as_mut()),
        Suite::Memory => memory(contender.as_mut()),
        Suite::Media => media(contender.as_mut(), arguments),
    }
}

fn print(sample: &Sample) -> Result<(), String> {
    let line = serde_json::to_string(sample).map_err(|error| error.to_string())?;
    println!("{line}");
    Ok(())
}

/// What arrived and what it cost, over a span of time.
struct Span {
    seconds: f64,
    cpu: f64,
    bytes: f64,
}

fn watch(arrived: &Arrived, seconds: f64) -> Span {
    let (begun, cpu) = (Instant::now(), usage::cpu());
    let bytes = arrived.so_far();
    sleep(Duration::from_secs_f64(seconds));
    let bytes_after = arrived.so_far();
    Span {
        seconds: begun.elapsed().as_secs_f64(),
        cpu: (usage::cpu() - cpu).as_secs_f64(),
        bytes: (bytes_after - bytes) as f64,
    }
}

fn size_name(bytes: usize) -> String {
    if bytes >= 1_024 {
        format!("{} KiB", bytes / 1_024)
    } else {
        format!("{bytes} bytes")
    }
}

fn data(contender: &mut dyn Contender, name: &str, arguments: &Arguments) -> Result<(), String> {
    for (message, channels) in FLOWS {
        let case = format!(
            "{}, {channels} channel{}",
            size_name(message),
            if channels == 1 { "" } else { "s" }
        );
        let left_out = arguments
            .case
            .as_ref()
            .is_some_and(|part| !case.contains(part));
        if left_out || !contender.has_flow(message, channels) {
            continue;
        }
        let arrived = Arc::new(Arrived::default());
        let wish = Wish::Channels(channels);
        let mut pair = contender.connect(wish, Arc::clone(&arrived))?;
        pair.pour(message);
        sleep(Duration::from_millis(500));
        let span = watch(&arrived, arguments.seconds);
        let megabytes = span.bytes / 1e6;
        print(&Sample::new(
            "goodput",
            &case,
            "MB/s",
            megabytes / span.seconds,
        ))?;
        if megabytes > 0.0 {
            let cpu = span.cpu / megabytes * 1e3;
            print(&Sample::new("CPU", &case, "s/GB", cpu))?;
        }
        usage::count_heap(true);
        let before = usage::allocations();
        let counted = watch(&arrived, 0.2);
        usage::count_heap(false);
        if counted.bytes > 0.0 {
            let each = (usage::allocations() - before) as f64 / (counted.bytes / 1e3);
            print(&Sample::new("allocations", &case, "per kB", each))?;
        }
        if let Some(version) = pair.security() {
            eprintln!("{name}: {case}: {version}");
        }
        if let Some(observer) = Observer::start() {
            sleep(Duration::from_millis(100));
            let largest = observer.finish() as f64;
            print(&Sample::new("largest datagram", &case, "bytes", largest))?;
        }
        drop(pair);
        // What was on its way is not to run into the next case.
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn setup(contender: &mut dyn Contender) -> Result<(), String> {
    // The first one pays for threads and tables.
    drop(contender.connect(Wish::Channels(1), Arc::default())?);
    let mut times = Vec::new();
    let mut spent = Duration::ZERO;
    for _ in 0..SETUPS {
        let (begun, cpu) = (Instant::now(), usage::cpu());
        let pair = contender.connect(Wish::Channels(1), Arc::default())?;
        times.push(begun.elapsed().as_secs_f64());
        spent += usage::cpu() - cpu;
        drop(pair);
        sleep(Duration::from_millis(5));
    }
    times.sort_by(f64::total_cmp);
    let case = "one after the other";
    let total: f64 = times.iter().sum();
    let median = times[times.len() / 2] * 1e3;
    let cpu = spent.as_secs_f64() / times.len() as f64 * 1e3;
    print(&Sample::new("setup", case, "ms", median))?;
    print(&Sample::new("CPU of both ends", case, "ms", cpu))?;
    let rate = times.len() as f64 / total;
    print(&Sample::new("connections", case, "per second", rate))
}

fn memory(contender: &mut dyn Contender) -> Result<(), String> {
    // The first ones pay for threads, tables and buffers of the process.
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(contender.connect(Wish::Channels(1), Arc::default())?);
    }
    sleep(Duration::from_millis(500));
    let (heap, resident) = (usage::heap(), usage::resident());
    for _ in 0..PAIRS {
        kept.push(contender.connect(Wish::Channels(1), Arc::default())?);
    }
    sleep(Duration::from_secs(2));
    let case = format!("{} idle peers", 2 * PAIRS);
    let peers = 2.0 * PAIRS as f64 * 1_024.0;
    let heap = (usage::heap() - heap) as f64 / peers;
    let resident = usage::resident().saturating_sub(resident) as f64 / peers;
    print(&Sample::new("heap of a peer", &case, "KiB", heap))?;
    print(&Sample::new("RSS of a peer", &case, "KiB", resident))
}

fn media(contender: &mut dyn Contender, arguments: &Arguments) -> Result<(), String> {
    for rate in RATES {
        let case = format!("{rate} a second of 1100 bytes");
        let arrived = Arc::new(Arrived::default());
        let mut pair = contender.connect(Wish::Media, Arc::clone(&arrived))?;
        pair.stream(rate);
        sleep(Duration::from_millis(500));
        let span = watch(&arrived, arguments.seconds);
        let packets = span.bytes / RTP_PAYLOAD as f64;
        print(&Sample::new(
            "RTP packets",
            &case,
            "per second",
            packets / span.seconds,
        ))?;
        if packets > 0.0 {
            let each = span.cpu / packets * 1e6;
            print(&Sample::new("CPU of a packet", &case, "us", each))?;
        }
        usage::count_heap(true);
        let before = usage::allocations();
        let counted = watch(&arrived, 0.2);
        usage::count_heap(false);
        let packets = counted.bytes / RTP_PAYLOAD as f64;
        if packets > 0.0 {
            let each = (usage::allocations() - before) as f64 / packets;
            print(&Sample::new("allocations", &case, "per packet", each))?;
        }
        drop(pair);
        sleep(Duration::from_millis(100));
    }
    Ok(())
}
