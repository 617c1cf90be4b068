//! One round of one suite on one contender, in a process of its own.

use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::contender::{self, Arrived, Contender, Pair, Wish};
use crate::figure::Sample;
use crate::ice;
use crate::observe::Observer;
use crate::usage;
use crate::{Arguments, Suite};

/// Message sizes and numbers of channels.
const FLOWS: [(usize, usize); 8] = [
    (65_536, 1),
    (16_384, 1),
    (1_024, 1),
    (64, 1),
    (65_536, 100),
    (16_384, 100),
    (1_024, 100),
    (64, 100),
];
/// Connections made one after the other; fewer where they take longer than this.
const SETUPS: usize = 40;
const SETUPS_TAKE: Duration = Duration::from_secs(5);
/// Waited for what was just connected to come to rest.
const REST: Duration = Duration::from_millis(50);
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
    if name == "ours-ice" {
        return print(ice::samples()?, None);
    }
    let mut contender = contender::named(name).ok_or(format!("no contender {name}"))?;
    match arguments.suite {
        Suite::Data => data(contender.as_mut(), arguments),
        Suite::Setup => setup(contender.as_mut()),
        Suite::Memory => memory(contender.as_mut()),
        Suite::Media => media(contender.as_mut(), arguments),
        Suite::All => Err("a round is of one suite".into()),
    }
}

fn print(samples: Vec<Sample>, security: Option<&String>) -> Result<(), String> {
    for mut sample in samples {
        sample.security = security.cloned();
        let line = serde_json::to_string(&sample).map_err(|error| error.to_string())?;
        println!("{line}");
    }
    Ok(())
}

/// Connects, and sees on the wire what protects it.
fn connect(
    contender: &mut dyn Contender,
    wish: Wish,
    arrived: &Arc<Arrived>,
) -> Result<(Box<dyn Pair>, Option<String>), String> {
    let observer = Observer::start();
    let pair = contender.connect(wish, Arc::clone(arrived))?;
    sleep(REST);
    let seen = observer.and_then(|it| it.finish().version);
    let security = pair.security().or(seen.map(str::to_owned));
    Ok((pair, security))
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

fn data(contender: &mut dyn Contender, arguments: &Arguments) -> Result<(), String> {
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
        if left_out || !(contender.has_messages() || (message, channels) == FLOWS[0]) {
            continue;
        }
        let case = match contender.apart() {
            Some(apart) => format!("{case}, {apart}"),
            None => case,
        };
        // What one case cannot do, another may.
        match flow(contender, message, channels, arguments.seconds, &case) {
            Ok((samples, security)) => print(samples, security.as_ref())?,
            Err(why) => println!("{case}: {why}"),
        }
        // What was on its way is not to run into the next case.
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn flow(
    contender: &mut dyn Contender,
    message: usize,
    channels: usize,
    seconds: f64,
    case: &str,
) -> Result<(Vec<Sample>, Option<String>), String> {
    let arrived = Arc::new(Arrived::default());
    let (mut pair, security) = connect(contender, Wish::Channels(channels), &arrived)?;
    pair.pour(message);
    sleep(Duration::from_millis(500));
    let span = watch(&arrived, seconds);
    let megabytes = span.bytes / 1e6;
    let goodput = megabytes / span.seconds;
    let mut samples = vec![Sample::new("goodput", case, "MB/s", goodput)];
    if megabytes > 0.0 {
        let cpu = span.cpu / megabytes * 1e3;
        samples.push(Sample::new("CPU", case, "s/GB", cpu));
    }
    usage::count_heap(true);
    let before = usage::allocations();
    let counted = watch(&arrived, 0.2);
    usage::count_heap(false);
    if counted.bytes > 0.0 && contender.allocates_in_rust() {
        let each = (usage::allocations() - before) as f64 / (counted.bytes / 1e3);
        samples.push(Sample::new("allocations", case, "per kB", each));
    }
    if let Some(observer) = Observer::start() {
        sleep(Duration::from_millis(100));
        let largest = observer.finish().largest;
        if largest > 0 {
            samples.push(Sample::new(
                "largest datagram",
                case,
                "bytes",
                largest as f64,
            ));
        }
    }
    Ok((samples, security))
}

fn setup(contender: &mut dyn Contender) -> Result<(), String> {
    // The first one pays for threads and tables.
    let (first, security) = connect(contender, Wish::Channels(1), &Arc::default())?;
    drop(first);
    let mut times = Vec::new();
    let mut spent = Duration::ZERO;
    let all = Instant::now();
    while times.len() < SETUPS && all.elapsed() < SETUPS_TAKE {
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
    let rate = times.len() as f64 / total;
    let samples = vec![
        Sample::new("setup", case, "ms", median),
        Sample::new("CPU of both ends", case, "ms", cpu),
        Sample::new("connections", case, "per second", rate),
    ];
    print(samples, security.as_ref())
}

fn memory(contender: &mut dyn Contender) -> Result<(), String> {
    // The first ones pay for threads, tables and buffers of the process.
    let (first, security) = connect(contender, Wish::Channels(1), &Arc::default())?;
    let mut kept = vec![first];
    for _ in 0..2 {
        kept.push(contender.connect(Wish::Channels(1), Arc::default())?);
    }
    sleep(Duration::from_millis(500));
    let (heap, malloced, resident) = (usage::heap(), usage::malloced(), usage::resident());
    for _ in 0..PAIRS {
        kept.push(contender.connect(Wish::Channels(1), Arc::default())?);
    }
    sleep(Duration::from_secs(2));
    let case = format!("{} idle peers", 2 * PAIRS);
    let peers = 2.0 * PAIRS as f64 * 1_024.0;
    let resident = usage::resident().saturating_sub(resident) as f64 / peers;
    let malloced = usage::malloced().saturating_sub(malloced) as f64 / peers;
    let heap = (usage::heap() - heap) as f64 / peers;
    let mut samples = vec![
        Sample::new("RSS of a peer", &case, "KiB", resident),
        Sample::new("heap of a peer with C libraries", &case, "KiB", malloced),
    ];
    if contender.allocates_in_rust() {
        samples.push(Sample::new("heap of a peer", &case, "KiB", heap));
    }
    print(samples, security.as_ref())
}

fn media(contender: &mut dyn Contender, arguments: &Arguments) -> Result<(), String> {
    for rate in RATES {
        let case = format!("{rate} a second of 1100 bytes");
        if arguments.case.as_ref().is_some_and(|it| !case.contains(it)) {
            continue;
        }
        match packets(contender, rate, arguments.seconds, &case) {
            Ok((samples, security)) => print(samples, security.as_ref())?,
            Err(why) => println!("{case}: {why}"),
        }
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn packets(
    contender: &mut dyn Contender,
    rate: u32,
    seconds: f64,
    case: &str,
) -> Result<(Vec<Sample>, Option<String>), String> {
    let arrived = Arc::new(Arrived::default());
    let (mut pair, security) = connect(contender, Wish::Media, &arrived)?;
    pair.stream(rate);
    sleep(Duration::from_millis(500));
    let span = watch(&arrived, seconds);
    let packets = span.bytes / RTP_PAYLOAD as f64;
    let each = packets / span.seconds;
    let mut samples = vec![Sample::new("RTP packets", case, "per second", each)];
    if packets > 0.0 {
        let each = span.cpu / packets * 1e6;
        samples.push(Sample::new("CPU of a packet", case, "us", each));
    }
    usage::count_heap(true);
    let before = usage::allocations();
    let counted = watch(&arrived, 0.2);
    usage::count_heap(false);
    let packets = counted.bytes / RTP_PAYLOAD as f64;
    if packets > 0.0 && contender.allocates_in_rust() {
        let each = (usage::allocations() - before) as f64 / packets;
        samples.push(Sample::new("allocations", case, "per packet", each));
    }
    Ok((samples, security))
}
