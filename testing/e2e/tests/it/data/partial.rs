//! What is given up and what is not, when datagrams are lost.

use std::collections::BTreeSet;
use std::time::Duration;

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer, Relay, numbered};
use esp_webrtc::PeerConfig;
use esp_webrtc::peer::{ChannelConfig, Reliability};
use esp_webrtc::wire::DataKind;

use super::open;

/// Of a thousand datagrams, on the way to the page and on the way to the device: Chromium needs many seconds for
/// each hundred packets at more.
const LOSS: u32 = 200;
const LOSS_TO_DEVICE: u32 = 80;
/// Messages while datagrams are lost, and all of them.
const LOSSY: u32 = 200;
const ALL: u32 = 220;
/// One to a packet.
const SIZE: usize = 1_000;

/// The channels of both tests: label, options of the page, whether in order, and whether all comes.
const CHANNELS: [(&str, &str, bool, bool); 4] = [
    (
        "once",
        "{ ordered: false, maxRetransmits: 0 }",
        false,
        false,
    ),
    ("brief", "{ maxPacketLifeTime: 1000 }", true, false),
    ("mixed", "{ ordered: false }", false, true),
    ("strict", "{}", true, true),
];

fn config(label: &str) -> ChannelConfig {
    let config = ChannelConfig::new(label);
    match label {
        "once" => config
            .unordered()
            .with_reliability(Reliability::MaxRetransmits(0)),
        "brief" => config.with_reliability(Reliability::MaxLifetime(Duration::from_secs(1))),
        "mixed" => config.unordered(),
        _ => config,
    }
}

/// What came keeps the channel's promise.
fn judge(label: &str, came: &[u32], ordered: bool, reliable: bool) -> Outcome<()> {
    let different: BTreeSet<u32> = came.iter().copied().collect();
    let wrong = |what: &str| Err(format!("`{label}` {what}: {came:?}"));
    if different.len() != came.len() {
        return wrong("has something twice");
    }
    if ordered && !came.is_sorted() {
        return wrong("is out of order");
    }
    if reliable && different.len() != ALL as usize {
        return wrong("has lost something");
    }
    if label == "once" && different.len() == ALL as usize {
        return wrong("has lost nothing: it was sent more than once");
    }
    // After the loss, everything arrives again.
    if !(LOSSY..ALL).all(|number| different.contains(&number)) {
        return wrong("goes on losing");
    }
    Ok(())
}

fn meet(desk: &Desk<'_>) -> Outcome<(Relay, Device)> {
    let relay = Relay::new()?;
    let device = desk.meet_through(Some(&relay), Offerer::Device, PeerConfig::default())?;
    Ok((relay, device))
}

pub(super) fn to_page(desk: &Desk<'_>) -> Outcome<()> {
    let (relay, device) = meet(desk)?;
    for (label, _, ordered, reliable) in CHANNELS {
        let stream = open(desk, &device, config(label))?;
        relay.lose(LOSS);
        let before = device.sctp()?;
        for number in 0..LOSSY {
            device.send(stream, DataKind::Binary, &numbered(number, SIZE))?;
        }
        // All of it is either there or given up.
        settled(&device, before.messages_sent + u64::from(LOSSY))?;
        relay.lose(0);
        let after = device.sctp()?;
        for number in LOSSY..ALL {
            device.send(stream, DataKind::Binary, &numbered(number, SIZE))?;
        }
        let last = ALL - 1;
        desk.wait_for(&format!("data.numbers('{label}').includes({last})"))
            .map_err(|why| format!("{label}: {why} {:?}", device.sctp()))?;
        // In order or not, the last may overtake those just before it.
        let least = if reliable { ALL } else { ALL - LOSSY };
        desk.wait_for(&format!("data.numbers('{label}').length >= {least}"))?;
        let came = desk.page.evaluate(&format!("data.numbers('{label}')"))?;
        let came = serde_json::from_value::<Vec<u32>>(came)
            .map_err(|error| format!("{label}: a message came wrong: {error}"))?;
        judge(label, &came, ordered, reliable)?;
        if label == "once" && after.chunks_retransmitted != before.chunks_retransmitted {
            return Err(format!("something was sent again: {before:?}, {after:?}"));
        }
        let abandoned = after.messages_abandoned - before.messages_abandoned;
        if (came.len() as u64) + abandoned < u64::from(ALL) {
            return Err(format!(
                "{} came, only {abandoned} were given up",
                came.len()
            ));
        }
    }
    Ok(())
}

/// Waits until so many messages were sent and nothing waits to be sent or acknowledged.
fn settled(device: &Device, sent: u64) -> Outcome<()> {
    esp_e2e::wait::until("the device does not get rid of it", super::PATIENCE, || {
        let stats = device.sctp().ok()?;
        (stats.messages_sent >= sent && stats.send_buffered == 0 && stats.in_flight == 0)
            .then_some(())
    })
}

pub(super) fn to_device(desk: &Desk<'_>) -> Outcome<()> {
    let (relay, device) = meet(desk)?;
    for (label, options, ordered, reliable) in CHANNELS {
        desk.page
            .evaluate(&format!("data.open('{label}', {options})"))?;
        let stream = device.channel(label)?;
        desk.wait_for(&format!("data.isOpen('{label}')"))?;
        relay.lose(LOSS_TO_DEVICE);
        desk.page
            .evaluate(&format!("data.sendNumbers('{label}', 0, {LOSSY}, {SIZE})"))?;
        desk.wait_for(&format!(
            "data.entry('{label}').channel.bufferedAmount === 0"
        ))?;
        relay.lose(0);
        // Once this is there, the page does not wait for a timer any more.
        desk.page.evaluate("data.send('first', 'go on')")?;
        device.messages(device.channel("first")?, 1)?;
        desk.page.evaluate(&format!(
            "data.sendNumbers('{label}', {LOSSY}, {ALL}, {SIZE})"
        ))?;
        let mut came = device.numbers(stream, ALL - 1)?;
        if reliable {
            while came.len() < ALL as usize {
                let more = device.messages(stream, 1)?;
                came.extend(more.iter().map(|(_, data)| number(data)));
            }
        }
        judge(label, &came, ordered, reliable)?;
    }
    Ok(())
}

fn number(message: &[u8]) -> u32 {
    message
        .first_chunk()
        .map_or(u32::MAX, |number| u32::from_le_bytes(*number))
}
