//! Moves much data between a bare device and a real browser and prints how fast it went. Every byte is checked.

use std::process::ExitCode;
use std::time::Duration;

use esp_e2e::data::{Desk, Offerer};
use esp_e2e::{Browser, Kind, Outcome};
use esp_webrtc::PeerConfig;

const PATIENCE: Duration = Duration::from_secs(900);

struct Wanted {
    kinds: Vec<Kind>,
    megabytes: u64,
}

fn main() -> ExitCode {
    let wanted = match arguments() {
        Ok(wanted) => wanted,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    for kind in wanted.kinds {
        if let Err(why) = bulk(kind, wanted.megabytes << 20) {
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
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().unwrap_or_default();
        match name.as_str() {
            "--browser" => {
                let kind = Kind::named(&value).ok_or(format!("no browser `{value}`"))?;
                wanted.kinds = vec![kind];
            }
            "--megabytes" => {
                wanted.megabytes = value
                    .parse()
                    .map_err(|_| format!("--megabytes takes a number, not `{value}`"))?;
            }
            _ => return Err("usage: bulk [--browser chromium|firefox] [--megabytes N]".into()),
        }
    }
    Ok(wanted)
}

fn bulk(kind: Kind, bytes: u64) -> Outcome<()> {
    let browser = Browser::start_a(kind)?;
    println!("{}, {} MiB each way", browser.version(), bytes >> 20);
    let desk = Desk::new(&browser)?;
    let runs = [
        ("to the page alone", [bytes, 0]),
        ("to the device alone", [0, bytes]),
        ("both at once", [bytes, bytes]),
    ];
    for (what, each) in runs {
        let device = desk.meet(Offerer::Device, PeerConfig::default())?;
        let took = desk.bulk(&device, "first", each, PATIENCE)?;
        let pace = |bytes: u64, took: Duration| match bytes {
            0 => "-".to_owned(),
            _ => format!("{:.1} MB/s", bytes as f64 / 1e6 / took.as_secs_f64()),
        };
        let report = device.report()?;
        let sctp = device.sctp()?;
        println!(
            "{what:20} to the page {:>11}, to the device {:>11}; {}, interleaving {}, zero checksum {}, \
             {} chunks again, {} timeouts",
            pace(each[0], took.to_page),
            pace(each[1], took.to_device),
            report.dtls.unwrap_or("no DTLS"),
            sctp.interleaving,
            sctp.zero_checksum,
            sctp.chunks_retransmitted,
            sctp.timeouts,
        );
    }
    Ok(())
}
