//! Moves much data between a bare device and a real browser and prints how fast it went. Every byte is checked.

use std::process::ExitCode;
use std::time::Duration;

use esp_e2e::data::{Desk, Device, Held, Offerer, Took};
use esp_e2e::load::{Busy, Load};
use esp_e2e::{Browser, Kind, Outcome};
use esp_webrtc::PeerConfig;

const PATIENCE: Duration = Duration::from_secs(900);
/// Threads that are named for each run: the busiest.
const NAMED: usize = 4;

const USAGE: &str = "usage: bulk [--browser chromium|firefox] [--megabytes N] [--message BYTES]";

struct Wanted {
    kinds: Vec<Kind>,
    megabytes: u64,
    message: usize,
}

fn main() -> ExitCode {
    let wanted = match arguments() {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    for &kind in &wanted.kinds {
        if let Err(why) = bulk(kind, &wanted) {
            eprintln!("{}: {why}", kind.name());
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn arguments() -> Outcome<Wanted> {
    let mut wanted = Wanted {
        kinds: Kind::ALL.into(),
        megabytes: 256,
        message: 64 << 10,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match name.as_str() {
            "--browser" => {
                let kind = Kind::named(&value).ok_or(format!("no browser `{value}`"))?;
                wanted.kinds = vec![kind];
            }
            "--megabytes" => wanted.megabytes = number(&name, &value)?,
            "--message" => wanted.message = number(&name, &value)? as usize,
            _ => return Err(USAGE.into()),
        }
    }
    if wanted.message == 0 || !(1_usize << 20).is_multiple_of(wanted.message) {
        return Err("--message takes a power of two up to 1 MiB".into());
    }
    Ok(wanted)
}

fn number(name: &str, value: &str) -> Outcome<u64> {
    value
        .parse()
        .map_err(|_| format!("{name} takes a number, not `{value}`"))
}

fn bulk(kind: Kind, wanted: &Wanted) -> Outcome<()> {
    let browser = Browser::start_a(kind)?;
    let bytes = wanted.megabytes << 20;
    println!(
        "{}, {} MiB each way in messages of {} bytes",
        browser.version(),
        wanted.megabytes,
        wanted.message
    );
    let desk = Desk::new(&browser)?;
    let runs = [
        ("to the page alone", [bytes, 0]),
        ("to the device alone", [0, bytes]),
        ("both at once", [bytes, bytes]),
    ];
    for (what, each) in runs {
        let device = desk.meet(Offerer::Device, PeerConfig::default())?;
        let before = Load::now();
        let took = desk.bulk(&device, "first", each, wanted.message, PATIENCE)?;
        let busy = before.until(&Load::now());
        let pace = |bytes: u64, took: Duration| match bytes {
            0 => "-".to_owned(),
            _ => format!("{:.1} MB/s", bytes as f64 / 1e6 / took.as_secs_f64()),
        };
        println!(
            "{what:20} to the page {:>11}, to the device {:>11}",
            pace(each[0], took.to_page),
            pace(each[1], took.to_device),
        );
        println!("    {}", figures(&device)?);
        println!("    {}", load(&busy, took, each));
        if each[0] > 0 {
            println!("    {}", held(took.held));
        }
    }
    Ok(())
}

/// What the association says of itself.
fn figures(device: &Device) -> Outcome<String> {
    let report = device.report()?;
    let sctp = device.sctp()?;
    let packets = sctp.packets_received.max(1);
    Ok(format!(
        "{}, interleaving {}, zero checksum {}, {} chunks again, {} reductions, {} timeouts, round trip {:.1} ms, \
         {} duplicates, a SACK for {:.1} packets",
        report.dtls.unwrap_or("no DTLS"),
        sctp.interleaving,
        sctp.zero_checksum,
        sctp.chunks_retransmitted,
        sctp.congestion_events,
        sctp.timeouts,
        sctp.rtt.as_secs_f64() * 1e3,
        sctp.duplicates_received,
        packets as f64 / sctp.sacks_sent.max(1) as f64,
    ))
}

/// What the device waited for.
fn held(held: Held) -> String {
    let part = |looks: u32| f64::from(looks) * 100.0 / f64::from(held.looks.max(1));
    format!(
        "the device waited for its congestion window {:.0} %, for the page's window {:.0} %, for its own application {:.0} %",
        part(held.by_congestion),
        part(held.by_page),
        part(held.by_application),
    )
}

/// What this process needs for a gigabyte, and who was busy.
fn load(busy: &[Busy], took: Took, each: [u64; 2]) -> String {
    let seconds = took.to_page.max(took.to_device).as_secs_f64();
    let ours: f64 = busy.iter().filter(|it| it.ours).map(|it| it.share).sum();
    let gigabytes = (each[0] + each[1]) as f64 / 1e9;
    let names: Vec<String> = busy
        .iter()
        .take(NAMED)
        .map(|it| format!("{} {:.0} %", it.name, it.share * 100.0))
        .collect();
    format!(
        "CPU of the device {:.1} s/GB; busy: {}",
        ours * seconds / gigabytes,
        names.join(", ")
    )
}
