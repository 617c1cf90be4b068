//! Channels of every kind, and messages of every size.

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer, bytes, quoted, wrong};
use esp_webrtc::PeerConfig;
use esp_webrtc::peer::ChannelConfig;
use esp_webrtc::wire::DataKind;
use serde_json::{Value, json};

use super::open;

/// Channels that each side opens.
const EACH: usize = 300;

/// Messages of nothing, of little, and of the most that either side takes; one byte more is refused.
pub(super) fn sizes(desk: &Desk<'_>) -> Outcome<()> {
    let device = desk.meet(Offerer::Page, PeerConfig::default())?;
    let stream = device.channel("first")?;
    let page_sends = desk.page.number("data.end.pc.sctp.maxMessageSize")? as usize;
    let most = page_sends.min(1 << 20);
    for size in [0, 4, 1_196, 65_532, 65_536, 65_540, most] {
        to_page(desk, &device, stream, size)?;
        to_device(desk, &device, stream, size)?;
    }
    let refused = desk.text(&format!(
        "data.send('first', new Uint8Array({})).then((refused) => refused ?? 'taken')",
        page_sends + 1
    ))?;
    if !refused.starts_with("TypeError") {
        return Err(format!(
            "the page may send {page_sends}, and one more: {refused}"
        ));
    }
    refuses(desk, &device, stream)?;
    // The channel goes on.
    to_page(desk, &device, stream, 8)?;
    to_device(desk, &device, stream, 8)
}

/// The device refuses one byte more than the page announces, where that can be held in memory.
fn refuses(desk: &Desk<'_>, device: &Device, stream: u16) -> Outcome<()> {
    let told = desk.page.number(
        "Number(/max-message-size:(\\d+)/.exec(data.end.pc.localDescription.sdp)?.[1] ?? 65536)",
    )? as usize;
    if told > 16 << 20 {
        return Ok(());
    }
    let refused = device.send(stream, DataKind::Binary, &vec![0; told + 1]);
    match refused {
        Err(why) if why.contains(&told.to_string()) => Ok(()),
        other => Err(format!("the page takes {told}, one more: {other:?}")),
    }
}

fn to_page(desk: &Desk<'_>, device: &Device, stream: u16, size: usize) -> Outcome<()> {
    desk.page.evaluate("data.entry('first').got.length = 0")?;
    let mut message = vec![0; size];
    bytes(&mut message, 0);
    device.send(stream, DataKind::Binary, &message)?;
    let text = "é".repeat(size / 2);
    device.send(stream, DataKind::Text, text.as_bytes())?;
    desk.wait_for("data.entry('first').got.length === 2")?;
    let heard = desk.page.evaluate(&format!(
        "[data.heard('first')[0], data.heard('first')[1] === 'é'.repeat({})]",
        size / 2
    ))?;
    if heard == json!([{"bytes": size, "wrong": 0}, true]) {
        Ok(())
    } else {
        Err(format!("{size} bytes to the page became {heard}"))
    }
}

fn to_device(desk: &Desk<'_>, device: &Device, stream: u16, size: usize) -> Outcome<()> {
    let refused = desk.page.evaluate(&format!(
        "data.send('first', fill(new Int32Array({}), 0)) \
           .then((refused) => refused ?? data.send('first', 'é'.repeat({})))",
        size / 4,
        size / 2
    ))?;
    if refused != Value::Null {
        return Err(format!("the page does not send {size} bytes: {refused}"));
    }
    let messages = device.messages(stream, 2)?;
    let [(DataKind::Binary, binary), (DataKind::Text, text)] = &messages[..] else {
        return Err(format!("of {size} bytes came {} messages", messages.len()));
    };
    if binary.len() == size && wrong(binary, 0) == 0 && *text == "é".repeat(size / 2).as_bytes() {
        Ok(())
    } else {
        Err(format!("{size} bytes came to the device differently"))
    }
}

/// Labels and protocols of unusual length, from either side.
pub(super) fn names(desk: &Desk<'_>) -> Outcome<()> {
    let device = desk.meet(Offerer::Device, PeerConfig::default())?;
    let long = "é".repeat(32_767);
    let names = [
        ("", ""),
        ("", "protocol alone"),
        ("門鈴 🚪", "ünïcode"),
        ("x", &long),
        (&long, "x"),
    ];
    for (at, (label, protocol)) in names.into_iter().enumerate() {
        let why = |why| format!("number {at}: {why}");
        let config = ChannelConfig::new(label).with_protocol(protocol);
        let stream = open(desk, &device, config).map_err(why)?;
        let same = format!(
            "data.entry({0}).channel.protocol === {1}",
            quoted(label),
            quoted(protocol)
        );
        desk.wait_for(&same).map_err(why)?;
        device.close_channel(stream)?;
        device.wait_for_end(label).map_err(why)?;
        desk.wait_for(&format!("data.entry({}).closed", quoted(label)))
            .map_err(why)?;

        // The longest that there is, once the number stands before it.
        let label = format!("{at}{label}");
        desk.page.evaluate(&format!(
            "data.open({}, {{ protocol: {} }})",
            quoted(&label),
            quoted(protocol)
        ))?;
        let channel = device.channel_info(&label).map_err(why)?;
        if channel.protocol != protocol {
            return Err(why("another protocol came to the device".to_owned()));
        }
    }
    Ok(())
}

/// A channel that both sides know of needs no word on the wire.
pub(super) fn negotiated(desk: &Desk<'_>) -> Outcome<()> {
    let device = desk.meet(Offerer::Device, PeerConfig::default())?;
    const STREAM: u16 = 777;
    desk.page.evaluate(&format!(
        "data.open('agreed', {{ negotiated: true, id: {STREAM} }})"
    ))?;
    let stream = open(
        desk,
        &device,
        ChannelConfig::new("agreed").negotiated(STREAM),
    )?;
    if stream != STREAM {
        return Err(format!("it is on {stream}"));
    }
    device.send(stream, DataKind::Text, b"from the device")?;
    desk.wait_for("data.heard('agreed')[0] === 'from the device'")?;
    desk.page.evaluate("data.send('agreed', 'from the page')")?;
    let messages = device.messages(stream, 1)?;
    if messages != [(DataKind::Text, b"from the page".to_vec())] {
        return Err(format!("{messages:?} came"));
    }
    device.close_channel(stream)?;
    desk.wait_for("data.entry('agreed').closed")?;
    device.wait_for_end("agreed")
}

/// Hundreds of channels opened by both sides, used, closed by both sides, and more after them.
pub(super) fn many(desk: &Desk<'_>) -> Outcome<()> {
    let device = desk.meet(Offerer::Device, PeerConfig::default())?;
    let mut used = Vec::new();
    for round in 0..2 {
        let (mine, yours) = (format!("d{round}-"), format!("p{round}-"));
        desk.page.evaluate(&format!(
            "for (let at = 0; at < {EACH}; at++) data.open('{yours}' + at)"
        ))?;
        for at in 0..EACH {
            device.create(ChannelConfig::new(format!("{mine}{at}")))?;
        }
        let all = format!(
            "['{mine}', '{yours}'].every((by) => \
               Array.from({{ length: {EACH} }}, (_, at) => by + at).every((label) => data.isOpen(label)))"
        );
        desk.wait_for(&all)?;
        desk.page.evaluate(&format!(
            "for (const [label, entry] of data.end.channels) \
               if (label.startsWith('{mine}')) entry.echo = true; \
               else if (label.startsWith('{yours}')) entry.channel.send(label)"
        ))?;
        let mut streams = Vec::new();
        for at in 0..EACH {
            let label = format!("{mine}{at}");
            let stream = device.channel(&label)?;
            device.send(stream, DataKind::Text, label.as_bytes())?;
            streams.push((stream, label));
        }
        for at in 0..EACH {
            let label = format!("{yours}{at}");
            streams.push((device.channel(&label)?, label));
        }
        for (stream, label) in &streams {
            let messages = device.messages(*stream, 1)?;
            if messages != [(DataKind::Text, label.as_bytes().to_vec())] {
                return Err(format!("on {label} came {messages:?}"));
            }
        }
        // Which stream a channel of the page has is the browser's choice.
        let ours = streams.iter().filter(|(_, label)| label.starts_with(&mine));
        let mut ids: Vec<u16> = ours.map(|(stream, _)| *stream).collect();
        ids.sort_unstable();
        used.push(ids);
        // Every other one is closed by the device, the rest by the page.
        for (stream, _) in streams.iter().step_by(2) {
            device.close_channel(*stream)?;
        }
        desk.page.evaluate(&format!(
            "for (const [label, {{ channel }}] of data.end.channels) \
               if (/^[dp]{round}-\\d*[13579]$/.test(label)) channel.close()"
        ))?;
        device.wait_for_channels(1)?;
        desk.wait_for(
            "[...data.end.channels].every(([label, it]) => label === 'first' || it.closed)",
        )?;
        desk.page
            .evaluate("for (const [label, it] of data.end.channels) if (it.closed) data.end.channels.delete(label)")?;
    }
    match used[0] == used[1] {
        true => Ok(()),
        false => Err(format!("streams are not used again: {used:?}")),
    }
}

/// Who closes a channel loses nothing that was sent before.
pub(super) fn closed(desk: &Desk<'_>) -> Outcome<()> {
    const SIZE: usize = 100_000;
    let device = desk.meet(Offerer::Page, PeerConfig::default())?;
    let stream = open(desk, &device, ChannelConfig::new("by the device"))?;
    let mut message = vec![0; SIZE];
    bytes(&mut message, 0);
    for _ in 0..5 {
        device.send(stream, DataKind::Binary, &message)?;
    }
    device.close_channel(stream)?;
    desk.wait_for("data.entry('by the device').closed")?;
    let heard = desk.page.evaluate("data.heard('by the device')")?;
    if heard != json!(vec![json!({"bytes": SIZE, "wrong": 0}); 5]) {
        return Err(format!("before it closed, the page got {heard}"));
    }
    device.wait_for_end("by the device")?;

    let stream = open(desk, &device, ChannelConfig::new("by the page"))?;
    desk.page.evaluate(&format!(
        "Promise.all(Array.from({{ length: 5 }}, () => data.send('by the page', fill(new Int32Array({}), 0)))) \
           .then(() => data.entry('by the page').channel.close())",
        SIZE / 4
    ))?;
    device.wait_for_end("by the page")?;
    let messages = device.messages(stream, 5)?;
    let right = |(_, data): &(DataKind, Vec<u8>)| data.len() == SIZE && wrong(data, 0) == 0;
    if messages.len() != 5 || !messages.iter().all(right) {
        return Err(format!("before it closed, {} came", messages.len()));
    }
    desk.wait_for("data.entry('by the page').closed").map(drop)
}

/// The same stream again and again, whoever closed the channel before: nothing of that one is left.
pub(super) fn reused(desk: &Desk<'_>) -> Outcome<()> {
    const STREAM: u16 = 900;
    let device = desk.meet(Offerer::Device, PeerConfig::default())?;
    let closers = [(true, false), (false, true), (true, true), (true, false)];
    for (generation, (by_device, by_page)) in closers.into_iter().enumerate() {
        let label = format!("generation {generation}");
        let name = quoted(&label);
        desk.page.evaluate(&format!(
            "data.open({name}, {{ negotiated: true, id: {STREAM} }})"
        ))?;
        let config = ChannelConfig::new(&label).negotiated(STREAM);
        let stream = open(desk, &device, config)?;
        let texts: Vec<String> = (0..5).map(|at| format!("{label}, {at}")).collect();
        for text in &texts {
            device.send(stream, DataKind::Text, text.as_bytes())?;
            desk.page
                .evaluate(&format!("data.send({name}, {})", quoted(text)))?;
        }
        let came = device.messages(stream, texts.len())?;
        desk.wait_for(&format!("data.heard({name}).length === {}", texts.len()))?;
        let heard = desk.page.evaluate(&format!("data.heard({name})"))?;
        let sent = texts
            .iter()
            .map(|text| (DataKind::Text, text.clone().into_bytes()));
        if heard != json!(texts) || !came.into_iter().eq(sent) {
            return Err(format!("{label}: the page got {heard}"));
        }
        if by_device {
            device.close_channel(stream)?;
        }
        if by_page {
            desk.page
                .evaluate(&format!("data.entry({name}).channel.close()"))?;
        }
        device.wait_for_end(&label)?;
        desk.wait_for(&format!("data.entry({name}).closed"))?;
    }
    Ok(())
}
