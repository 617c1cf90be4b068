//! Data channels between a bare device and real browsers.

mod channels;
mod partial;
mod restarts;
mod snap;

use esp_e2e::data::{Desk, Device, Offerer, quoted};
use esp_e2e::{Browser, Kind, Launch, Outcome};
use esp_webrtc::PeerConfig;
use esp_webrtc::peer::ChannelConfig;

use crate::support::PATIENCE;

/// What is moved each way here; the `bulk` chore moves more.
const MUCH: u64 = 24 << 20;
const MESSAGE: usize = 64 << 10;

#[test]
fn with_chromium() -> Outcome<()> {
    everything(Kind::Chromium)
}

#[test]
fn with_firefox() -> Outcome<()> {
    everything(Kind::Firefox)
}

type Case = fn(&Desk<'_>) -> Outcome<()>;

const CASES: &[(&str, Case)] = &[
    ("bulk both ways", bulk),
    ("sizes", channels::sizes),
    ("labels and protocols", channels::names),
    ("negotiated channels", channels::negotiated),
    ("many channels", channels::many),
    ("closed by either side", channels::closed),
    ("a stream used again", channels::reused),
    ("partial reliability, device to page", partial::to_page),
    ("partial reliability, page to device", partial::to_device),
    ("messages that expire", partial::expired),
    ("a handshake without SNAP", snap::declined),
    ("a restart that is offered twice", restarts::repeated),
    ("two restarts that cross", restarts::crossed),
];

/// One browser, and each case with a connection of its own.
fn everything(kind: Kind) -> Outcome<()> {
    let browser = Browser::start_a(kind)?;
    let desk = Desk::new(&browser)?;
    for (name, case) in CASES {
        unless_it_falls_back(&desk, || case(&desk))
            .map_err(|why| format!("{name}, {}: {why}", browser.version()))?;
    }
    unless_it_falls_back(&desk, || {
        let device = desk.meet(Offerer::Page, PeerConfig::default())?;
        let stats = device.sctp()?;
        // Firefox laces messages together without being told to.
        match kind == Kind::Firefox && !stats.interleaving {
            true => Err(format!("no interleaving: {stats:?}")),
            false => Ok(()),
        }
    })
    .map_err(|why| format!("{}: {why}", browser.version()))
}

/// Does it once more when it failed with a channel of the page that fell back, which is the browser's fault; twice more
/// at most.
fn unless_it_falls_back(desk: &Desk<'_>, mut case: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    for _ in 0..2 {
        match case() {
            Err(why) if desk.fell_back()? => eprintln!("once more: {why}"),
            done => return done,
        }
    }
    case()
}

/// Both sides send at once, and each checks every byte.
fn bulk(desk: &Desk<'_>) -> Outcome<()> {
    let device = desk.meet(Offerer::Device, PeerConfig::default())?;
    both_ways(desk, &device)
}

fn both_ways(desk: &Desk<'_>, device: &Device) -> Outcome<()> {
    desk.bulk(device, "first", [MUCH, MUCH], MESSAGE, PATIENCE * 3)
        .map(drop)
}

/// What Chromium 156 has only when it is told to: messages laced together, and no handshake of SCTP. Its INIT chunk,
/// which SNAP puts into the description, does not accept packets without checksum, and there is no switch for that.
#[test]
fn what_chromium_has_behind_flags() -> Outcome<()> {
    let browser = Launch::new(Kind::Chromium)
        .with_option("--enable-features=WebRtcSctpSnap")
        .with_option("--force-fieldtrials=WebRTC-DataChannelMessageInterleaving/Enabled/")
        .start()?;
    let desk = Desk::new(&browser)?;
    for offerer in [Offerer::Device, Offerer::Page] {
        unless_it_falls_back(&desk, || {
            let device = desk.meet(offerer, PeerConfig::default())?;
            snap::accepted(&desk, &device)?;
            let stats = device.sctp()?;
            if !stats.interleaving {
                return Err(format!("no interleaving: {stats:?}"));
            }
            both_ways(&desk, &device)
        })
        .map_err(|why| format!("{offerer:?} offers: {why}"))?;
    }
    Ok(())
}

/// Opens a channel from the device and waits for both sides.
fn open(desk: &Desk<'_>, device: &Device, config: ChannelConfig) -> Outcome<u16> {
    let label = config.label.clone();
    device.create(config)?;
    let stream = device.channel(&label)?;
    desk.wait_for(&format!("data.isOpen({})", quoted(&label)))?;
    Ok(stream)
}
