//! Makes one call between the program and a real browser and prints its figures.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use esp_e2e::{Browser, Kind, Outcome, Page, Program, process};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long figures are taken.
const MEASURED: Duration = Duration::from_secs(10);

/// Presses Start and gives the time until the first picture is shown, in milliseconds.
const FIRST_PICTURE: &str = "(async () => {
    const begun = performance.now();
    document.getElementById('start').click();
    const video = document.getElementById('video');
    while (video.getVideoPlaybackQuality().totalVideoFrames === 0) {
        if (performance.now() - begun > 50000) throw new Error('no picture came');
        await new Promise(done => setTimeout(done, 5));
    }
    return performance.now() - begun;
})()";

/// The same for the first packet of sound, where no picture can be shown.
const FIRST_SOUND: &str = "(async () => {
    const begun = performance.now();
    document.getElementById('start').click();
    const heard = (entry) => entry.type === 'inbound-rtp' && entry.kind === 'audio' && entry.packetsReceived > 0;
    while (![...((await __doorbellTest.pc()?.getStats())?.values() ?? [])].some(heard)) {
        if (performance.now() - begun > 50000) throw new Error('no sound came');
        await new Promise(done => setTimeout(done, 5));
    }
    return performance.now() - begun;
})()";

const CHAT: &str = "document.getElementById('chat-text').value = 'Hello, who is there?';
    document.getElementById('chat-send').click()";

fn main() -> ExitCode {
    let (kind, screenshot) = match arguments() {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    match show(kind, screenshot) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn arguments() -> Outcome<(Kind, Option<PathBuf>)> {
    let (mut kind, mut screenshot) = (Kind::Chromium, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        match (name.as_str(), arguments.next()) {
            ("--browser", Some(name)) => {
                kind = Kind::named(&name).ok_or(format!("no browser `{name}`"))?;
            }
            ("--screenshot", Some(path)) => screenshot = Some(PathBuf::from(path)),
            _ => {
                return Err(
                    "usage: show [--browser chromium|firefox] [--screenshot FILE.png]".into(),
                );
            }
        }
    }
    Ok((kind, screenshot))
}

fn show(kind: Kind, screenshot: Option<PathBuf>) -> Outcome<()> {
    let program = Program::start(&["doorbell", "--port", "0", "--levels", "1"])?;
    let serving = program.wait_for("serving", PATIENCE)?;
    let url = serving["url"].as_str().ok_or("no URL is served")?;
    program.wait_for("joined", PATIENCE)?;
    let browser = Browser::start_a(kind)?;
    let page = browser.open(url)?;
    page.resize(1_360, 1_000, false)?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    println!("{} and {}", program_name()?, browser.version());

    let pictures = page.evaluate("__doorbell.h264")? == true;
    let first = page.number(if pictures { FIRST_PICTURE } else { FIRST_SOUND })?;
    let connected = program.wait_for("connected", PATIENCE)?;
    println!(
        "connected         {} ms after the device began, {} with {}, to {}",
        connected["ms"],
        text(&connected["dtls"]),
        text(&connected["srtp"]),
        text(&connected["remote"])
    );
    if pictures {
        println!("first picture     {first:.0} ms after Start was pressed");
    } else {
        println!(
            "first sound       {first:.0} ms after Start was pressed; no picture: no H.264 here"
        );
    }
    figures(&page, &program, pictures)?;
    if let Some(path) = screenshot {
        page.evaluate(CHAT)?;
        page.click("door")?;
        page.wait_for("__doorbell.door > 0", PATIENCE)?;
        page.wait_for("performance.now() > 20000", PATIENCE)?;
        page.screenshot(&path)?;
        println!("screenshot        {}", path.display());
    }
    program.interrupt()
}

/// What one moment looks like, from both ends.
struct Moment {
    at: Instant,
    cpu: Duration,
    frames: f64,
    bytes_in: f64,
    bytes_out: f64,
}

impl Moment {
    fn now(page: &Page<'_>, program: &Program) -> Outcome<Self> {
        const STATS: &str = "(async () => {
            const moment = { frames: 0, bytesIn: 0, bytesOut: 0 };
            for (const entry of (await __doorbellTest.pc().getStats()).values()) {
                if (entry.type === 'inbound-rtp') moment.bytesIn += entry.bytesReceived;
                if (entry.type === 'outbound-rtp') moment.bytesOut += entry.bytesSent;
                if (entry.type === 'inbound-rtp' && entry.kind === 'video') moment.frames = entry.framesDecoded;
            }
            return moment;
        })()";
        let stats = page.evaluate(STATS)?;
        let number = |name: &str| stats[name].as_f64().unwrap_or_default();
        Ok(Moment {
            at: Instant::now(),
            cpu: process::cpu_time(program.id())?,
            frames: number("frames"),
            bytes_in: number("bytesIn"),
            bytes_out: number("bytesOut"),
        })
    }
}

fn figures(page: &Page<'_>, program: &Program, pictures: bool) -> Outcome<()> {
    let before = Moment::now(page, program)?;
    let end = format!(
        "new Promise(done => setTimeout(done, {}, true))",
        MEASURED.as_millis()
    );
    page.evaluate(&end)?;
    let after = Moment::now(page, program)?;
    let seconds = (after.at - before.at).as_secs_f64();
    let kilobits = |bytes: f64| bytes * 8.0 / seconds / 1e3;
    let view = page.evaluate("__doorbell")?;
    let received = &view["received"];
    if pictures {
        println!(
            "pictures          {}x{}, {:.1} decoded a second",
            received["width"],
            received["height"],
            (after.frames - before.frames) / seconds
        );
    }
    println!(
        "to the browser    {:.0} kbit/s, {} packets lost",
        kilobits(after.bytes_in - before.bytes_in),
        received["packetsLost"]
    );
    println!(
        "to the device     {:.0} kbit/s",
        kilobits(after.bytes_out - before.bytes_out)
    );
    println!(
        "path              {}, round trip {:.1} ms",
        text(&view["pair"]),
        view["rtt"].as_f64().unwrap_or_default() * 1e3
    );
    println!(
        "device's CPU      {:.1} % of one core, room server included",
        (after.cpu - before.cpu).as_secs_f64() / seconds * 100.0
    );
    Ok(())
}

fn program_name() -> Outcome<String> {
    let path = Program::path()?;
    Ok(path
        .file_stem()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned()))
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
