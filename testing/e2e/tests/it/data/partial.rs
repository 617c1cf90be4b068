//! What is given up and what is not, when datagrams are lost.

use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer, Relay, numbered};
use esp_e2e::wait::until;
use esp_webrtc::PeerConfig;
use esp_webrtc::peer::{ChannelConfig, Reliability};
use esp_webrtc::wire::DataKind;

use super::{PATIENCE, open};

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

/// Each message of the channel `once` that has not come was lost on its way, and each that was lost has not come. What
/// the system drops on a busy machine may have been a message or not.
fn once(came: &[u32], lost: usize, dropped: usize) -> Outcome<()> {
    let missing = ALL as usize - came.len();
    match (lost..=lost + dropped).contains(&missing) && lost > 0 {
        true => Ok(()),
        false => Err(format!(
            "of {ALL} came {}, {lost} were lost, {dropped} dropped",
            came.len()
        )),
    }
}

/// The same where messages lie across packets, of those that were sent while datagrams were lost. When its timer runs out
/// the page gives up all that is on its way, and with it the rest of a message of which a part is.
fn once_across(came: &[u32], large: usize, [to_device, to_page]: [usize; 2]) -> Outcome<()> {
    let missing = LOSSY as usize - came.iter().filter(|number| **number < LOSSY).count();
    let most = (3 * to_device + to_page).min(LOSSY as usize / 2);
    match (large.div_ceil(2).max(1)..=most).contains(&missing) {
        true => Ok(()),
        false => Err(format!(
            "of {LOSSY} {missing} are missing, {to_device} datagrams were lost, {large} of them large; \
             {to_page} the other way"
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
        let lost = || Ok::<_, String>((relay.lost_to_page(WITH_MESSAGE), relay.dropped_to_page()?));
        let before = (device.sctp()?, lost()?);
        relay.lose(LOSS)?;
        for number in 0..LOSSY {
            device.send(stream, DataKind::Binary, &numbered(number, SIZE))?;
        }
        // All of it is either there or given up.
        settled(&device, before.0.messages_sent + u64::from(LOSSY))?;
        relay.lose(0)?;
        let after = device.sctp()?;
        for number in LOSSY..ALL {
            device.send(stream, DataKind::Binary, &numbered(number, SIZE))?;
        }
        // In order or not, the last may overtake those just before it.
        let least = if reliable { 0 } else { LOSSY };
        desk.wait_for(&format!(
            "((came) => {{ for (let at = {least}; at < {ALL}; at++) if (!came.includes(at)) return false; \
             return true; }})(data.numbers('{label}'))"
        ))
        .map_err(|why| format!("{label}: {why} {:?}", device.sctp()))?;
        let came = desk.page.evaluate(&format!("data.numbers('{label}')"))?;
        let came = serde_json::from_value::<Vec<u32>>(came)
            .map_err(|error| format!("{label}: a message came wrong: {error}"))?;
        judge(label, &came, ordered, reliable)?;
        if label == "once" {
            let (after, before) = (lost()?, before.1);
            once(&came, after.0 - before.0, after.1 - before.1)?;
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
    until("the device does not get rid of it", PATIENCE, || {
        let stats = device.sctp().ok()?;
        (stats.messages_sent >= sent && stats.send_buffered == 0 && stats.in_flight == 0)
            .then_some(())
    })
}

pub(super) fn to_device(desk: &Desk<'_>) -> Outcome<()> {
    let (relay, device) = meet(desk)?;
    for (label, options, ordered, reliable) in CHANNELS {
        let mut channel = FromPage::open(desk, &device, label, options, SIZE_TO_DEVICE)?;
        let lost = || {
            let [large, all] = [LARGE, ANY].map(|sizes| relay.lost_to_device(sizes));
            let to_page = relay.lost_to_page(ANY) + relay.dropped_to_page()?;
            Ok::<_, String>([large, all + relay.dropped_to_device()?, to_page])
        };
        let before = lost()?;
        relay.lose(LOSS_TO_DEVICE)?;
        channel.send(0..LOSSY)?;
        desk.wait_for(&format!(
            "data.entry('{label}').channel.bufferedAmount === 0"
        ))?;
        relay.lose(0)?;
        if reliable {
            channel.send(LOSSY..ALL)?;
            while channel.came.len() < ALL as usize {
                channel.hear(1)?;
            }
        } else {
            in_the_light(LOSSY, |number| channel.send_and_look(number))?;
        }
        judge(label, &channel.came, ordered, reliable)?;
        if label == "once" {
            let [large, to_device, to_page] = lost()?;
            let lost = [to_device - before[1], to_page - before[2]];
            once_across(&channel.came, large - before[0], lost)?;
        }
    }
    Ok(())
}

/// A channel of the page, whose messages to the device have numbers.
struct FromPage<'a> {
    desk: &'a Desk<'a>,
    device: &'a Device,
    label: &'a str,
    size: usize,
    stream: u16,
    came: Vec<u32>,
}

impl<'a> FromPage<'a> {
    fn open(
        desk: &'a Desk<'a>,
        device: &'a Device,
        label: &'a str,
        options: &str,
        size: usize,
    ) -> Outcome<Self> {
        desk.page
            .evaluate(&format!("data.open('{label}', {options})"))?;
        let stream = device.channel(label)?;
        desk.wait_for(&format!("data.isOpen('{label}')"))?;
        Ok(FromPage {
            desk,
            device,
            label,
            size,
            stream,
            came: Vec::new(),
        })
    }

    fn send(&self, numbers: Range<u32>) -> Outcome<()> {
        let (label, size) = (self.label, self.size);
        let Range { start, end } = numbers;
        let script = format!("data.sendNumbers('{label}', {start}, {end}, {size})");
        self.desk.page.evaluate(&script).map(drop)
    }

    /// Waits until so many more have come.
    fn hear(&mut self, least: usize) -> Outcome<()> {
        self.came.extend(self.device.numbers(self.stream, least)?);
        Ok(())
    }

    /// Sends one and says whether it comes; the page does not tell what it gives up.
    fn send_and_look(&mut self, number: u32) -> Outcome<bool> {
        self.send(number..number + 1)?;
        let is_there = until("it does not come", LIFETIME * 10, || {
            if let Err(why) = self.hear(0) {
                return Some(Err(why));
            }
            self.came.contains(&number).then_some(Ok(()))
        });
        is_there.map_or(Ok(false), |heard| heard.map(|()| true))
    }
}

/// What is sent while nothing comes through is given up when its time is over, and nothing else: by the device all of
/// it, by a browser what it has not sent once.
pub(super) fn expired(desk: &Desk<'_>) -> Outcome<()> {
    let (relay, device) = meet(desk)?;
    expired_to_page(desk, &relay, &device)?;
    expired_to_device(desk, &relay, &device)
}

const LIFETIME: Duration = Duration::from_millis(400);
/// Messages that are sent before and after, and those while nothing comes through.
const BRIGHT: usize = 5;
const DARK: u32 = 37;

/// Sends numbered messages from `first` on, one after the other, until some have come, and gives the numbers of those.
///
/// `send` sends one and says whether it comes. A machine that is busy elsewhere for longer than a message lives lets it
/// expire: then there is another one.
fn in_the_light(first: u32, mut send: impl FnMut(u32) -> Outcome<bool>) -> Outcome<Vec<u32>> {
    const MOST: u32 = 30;
    let mut came = Vec::new();
    for number in first..first + MOST {
        if send(number)? {
            came.push(number);
        }
        if came.len() == BRIGHT {
            return Ok(came);
        }
    }
    Err(format!("of {MOST} messages came {came:?}"))
}

/// Nothing came of these that were sent in the dark; what came in the light is there, in order. With it there may be
/// what came although it was taken for expired.
fn heard_in_the_light(heard: &[u32], right: &[u32], dark: Range<u32>) -> bool {
    heard.is_sorted_by(|one, next| one < next)
        && right.iter().all(|number| heard.contains(number))
        && !heard.iter().any(|number| dark.contains(number))
}

fn expired_to_page(desk: &Desk<'_>, relay: &Relay, device: &Device) -> Outcome<()> {
    let config = ChannelConfig::new("to the page");
    let config = config.with_reliability(Reliability::MaxLifetime(LIFETIME));
    let stream = open(desk, device, config)?;
    let given_up = || Ok::<_, String>(device.sctp()?.messages_abandoned);
    let send = |number| device.send(stream, DataKind::Binary, &numbered(number, SIZE));
    let send_and_look = |number| {
        let before = given_up()?;
        send(number)?;
        let came = format!("data.numbers('to the page').includes({number})");
        until("a message neither comes nor is given up", PATIENCE, || {
            let came = desk.page.evaluate(&came).ok()? == true;
            (came || given_up().ok()? > before).then_some(came)
        })
    };
    let mut right = in_the_light(0, send_and_look)?;
    // What has come may not have been acknowledged yet.
    settled(device, device.sctp()?.messages_sent)?;
    let before = given_up()?;
    relay.lose(1_000)?;
    let first = right.last().map_or(0, |last| last + 1);
    (first..first + DARK).try_for_each(send)?;
    let gone = until("they are not given up", PATIENCE, || {
        let gone = given_up().ok()? - before;
        (gone >= u64::from(DARK)).then_some(gone)
    })?;
    relay.lose(0)?;
    right.extend(in_the_light(first + DARK, send_and_look)?);
    let heard = desk.page.evaluate("data.numbers('to the page')")?;
    let heard: Vec<u32> = serde_json::from_value(heard).map_err(|error| error.to_string())?;
    match heard_in_the_light(&heard, &right, first..first + DARK) && gone == u64::from(DARK) {
        true => Ok(()),
        false => Err(format!("{gone} were given up, came {heard:?}, {right:?}")),
    }
}

fn expired_to_device(desk: &Desk<'_>, relay: &Relay, device: &Device) -> Outcome<()> {
    let label = "to the device";
    let options = format!("{{ maxPacketLifeTime: {} }}", LIFETIME.as_millis());
    let mut channel = FromPage::open(desk, device, label, &options, SIZE)?;
    let before = in_the_light(0, |number| channel.send_and_look(number))?;
    let first = before.last().map_or(0, |last| last + 1);
    let end = first + DARK;
    let lost = relay.lost_bytes_to_device();
    relay.lose(1_000)?;
    channel.send(first..end)?;
    desk.page.evaluate(&format!(
        "new Promise((done) => setTimeout(done, {}))",
        2 * LIFETIME.as_millis()
    ))?;
    relay.lose(0)?;
    // Chromium 156 looks how old something is only while all before it is too old as well and taken for lost. Where its
    // timer ran out just before the lifetime, the first is on its way once more, and all the flight behind it follows;
    // the last of that may have been sent in part.
    let flight = (relay.lost_bytes_to_device() - lost).div_ceil(SIZE);
    let unsent = (first + flight as u32).min(end - 1)..end;
    let after = in_the_light(end, |number| channel.send_and_look(number))?;
    // Firefox 153 says that it has the limit, and sends what has expired all the same.
    let says = desk
        .page
        .evaluate("[navigator.userAgent, data.entry('to the device').channel.maxPacketLifeTime]")?;
    let is_firefox = says[0]
        .as_str()
        .is_some_and(|agent| agent.contains("Firefox"));
    let limited = says[1] == LIFETIME.as_millis() as u64;
    let last = after.last().map_or(end, |last| last + 1);
    let came = &channel.came;
    let keeps = is_firefox && limited && came.iter().copied().eq(0..last);
    match heard_in_the_light(came, &[before, after].concat(), unsent) || keeps {
        true => Ok(()),
        false => Err(format!("to the device came {came:?}, {says}")),
    }
}
