//! What is given up and what is not, when datagrams are lost.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer, Relay, numbered};
use esp_webrtc::PeerConfig;
use esp_webrtc::peer::{ChannelConfig, Reliability};
use esp_webrtc::wire::DataKind;
use serde_json::json;

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
/// The same on the way to the device. Browsers fill packets of 1,191 bytes up with a part of the next message;
/// of messages of this size there are two at most in each packet, and each is in two at most.
const SIZE_TO_DEVICE: usize = 1_156;
/// Datagrams with a message to the page in them, and no others: probes of the path's MTU are larger.
const WITH_MESSAGE: RangeInclusive<usize> = 1_028..=1_150;
/// Datagrams to the device with more than one chunk of control in them.
const LARGE: RangeInclusive<usize> = 400..=usize::MAX;
const ANY: RangeInclusive<usize> = 0..=usize::MAX;

/// The channels of both tests: label, options of the page, whether in order, and whether all comes.
const CHANNELS: [(&str, &str, bool, bool); 3] = [
    (
        "once",
        "{ ordered: false, maxRetransmits: 0 }",
        false,
        false,
    ),
    ("mixed", "{ ordered: false }", false, true),
    ("strict", "{}", true, true),
];

fn config(label: &str) -> ChannelConfig {
    let config = ChannelConfig::new(label);
    match label {
        "once" => config
            .unordered()
            .with_reliability(Reliability::MaxRetransmits(0)),
        "mixed" => config.unordered(),
        _ => config,
    }
}

/// Each message of the channel `once` that has not come was lost on its way, and each that was lost has not come.
fn once(came: &[u32], lost: usize) -> Outcome<()> {
    match ALL as usize - came.len() == lost && lost > 0 {
        true => Ok(()),
        false => Err(format!("of {ALL} came {}, {lost} were lost", came.len())),
    }
}

/// The same where messages lie across packets.
fn once_across(came: &[u32], large: usize, all: usize) -> Outcome<()> {
    let missing = ALL as usize - came.len();
    match (large.div_ceil(2).max(1)..=2 * all).contains(&missing) {
        true => Ok(()),
        false => Err(format!(
            "of {ALL} came {}, {all} datagrams were lost, {large} of them large",
            came.len()
        )),
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
        let before = (device.sctp()?, relay.lost_to_page(WITH_MESSAGE));
        relay.lose(LOSS);
        for number in 0..LOSSY {
            device.send(stream, DataKind::Binary, &numbered(number, SIZE))?;
        }
        // All of it is either there or given up.
        settled(&device, before.0.messages_sent + u64::from(LOSSY))?;
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
        if label == "once" {
            once(&came, relay.lost_to_page(WITH_MESSAGE) - before.1)?;
        }
        let before = before.0;
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
        let lost = || [LARGE, ANY].map(|sizes| relay.lost_to_device(sizes));
        let before = lost();
        relay.lose(LOSS_TO_DEVICE);
        desk.page.evaluate(&format!(
            "data.sendNumbers('{label}', 0, {LOSSY}, {SIZE_TO_DEVICE})"
        ))?;
        desk.wait_for(&format!(
            "data.entry('{label}').channel.bufferedAmount === 0"
        ))?;
        relay.lose(0);
        // Once this is there, the page does not wait for a timer any more.
        desk.page.evaluate("data.send('first', 'go on')")?;
        device.messages(device.channel("first")?, 1)?;
        desk.page.evaluate(&format!(
            "data.sendNumbers('{label}', {LOSSY}, {ALL}, {SIZE_TO_DEVICE})"
        ))?;
        let mut came = device.numbers(stream, ALL - 1)?;
        if reliable {
            while came.len() < ALL as usize {
                let more = device.messages(stream, 1)?;
                came.extend(more.iter().map(|(_, data)| number(data)));
            }
        }
        judge(label, &came, ordered, reliable)?;
        if label == "once" {
            let [large, all] = lost();
            once_across(&came, large - before[0], all - before[1])?;
        }
    }
    Ok(())
}

/// What is sent while nothing comes through is given up when its time is over, all of it and nothing else.
pub(super) fn expired(desk: &Desk<'_>) -> Outcome<()> {
    let (relay, device) = meet(desk)?;
    expired_to_page(desk, &relay, &device)?;
    expired_to_device(desk, &relay, &device)
}

const LIFETIME: Duration = Duration::from_millis(300);
/// Messages that are sent while nothing comes through, and the number of all.
const DARK: Range<u32> = 3..40;
const END: u32 = 50;

fn bright() -> Vec<u32> {
    (0..DARK.start).chain(DARK.end..END).collect()
}

fn expired_to_page(desk: &Desk<'_>, relay: &Relay, device: &Device) -> Outcome<()> {
    let right = bright();
    let config = ChannelConfig::new("to the page");
    let config = config.with_reliability(Reliability::MaxLifetime(LIFETIME));
    let stream = open(desk, device, config)?;
    let send = |numbers: Range<u32>| {
        let mut numbers = numbers.map(|number| numbered(number, SIZE));
        numbers.try_for_each(|message| device.send(stream, DataKind::Binary, &message))
    };
    send(0..DARK.start)?;
    let came = "data.numbers('to the page').length";
    desk.wait_for(&format!("{came} === {}", DARK.start))?;
    let before = device.sctp()?;
    // What has come may not have been acknowledged yet.
    settled(device, before.messages_sent)?;
    relay.lose(1_000);
    send(DARK)?;
    let given_up = esp_e2e::wait::until("they are not given up", super::PATIENCE, || {
        let given_up = device.sctp().ok()?.messages_abandoned - before.messages_abandoned;
        (given_up >= DARK.len() as u64).then_some(given_up)
    })?;
    relay.lose(0);
    send(DARK.end..END)?;
    desk.wait_for(&format!("{came} >= {}", right.len()))?;
    let heard = desk.page.evaluate("data.numbers('to the page')")?;
    if heard != json!(right) || given_up != DARK.len() as u64 {
        return Err(format!(
            "{given_up} were given up, to the page came {heard}"
        ));
    }
    Ok(())
}

fn expired_to_device(desk: &Desk<'_>, relay: &Relay, device: &Device) -> Outcome<()> {
    desk.page.evaluate(&format!(
        "data.open('to the device', {{ maxPacketLifeTime: {} }})",
        LIFETIME.as_millis()
    ))?;
    let stream = device.channel("to the device")?;
    desk.wait_for("data.isOpen('to the device')")?;
    let send = |numbers: Range<u32>| {
        let (from, to) = (numbers.start, numbers.end);
        desk.page.evaluate(&format!(
            "data.sendNumbers('to the device', {from}, {to}, {SIZE})"
        ))
    };
    send(0..DARK.start)?;
    let mut came = device.numbers(stream, DARK.start - 1)?;
    relay.lose(1_000);
    send(DARK)?;
    desk.page.evaluate(&format!(
        "new Promise((done) => setTimeout(done, {}))",
        2 * LIFETIME.as_millis()
    ))?;
    relay.lose(0);
    send(DARK.end..END)?;
    came.extend(device.numbers(stream, END - 1)?);
    // Firefox 153 says that it has the limit, and sends what has expired all the same.
    let says = desk
        .page
        .evaluate("[navigator.userAgent, data.entry('to the device').channel.maxPacketLifeTime]")?;
    let is_firefox = says[0]
        .as_str()
        .is_some_and(|agent| agent.contains("Firefox"));
    let keeps =
        is_firefox && says[1] == LIFETIME.as_millis() as u64 && came.iter().copied().eq(0..END);
    match came == bright() || keeps {
        true => Ok(()),
        false => Err(format!("to the device came {came:?}, {says}")),
    }
}

fn number(message: &[u8]) -> u32 {
    message
        .first_chunk()
        .map_or(u32::MAX, |number| u32::from_le_bytes(*number))
}
