//! A browser sees, hears and talks.

use std::time::Duration;

use esp_e2e::directory::Directory;
use esp_e2e::sound::Bursts;
use esp_e2e::{Browser, Kind, Outcome, Page, Program};

use crate::support::{ENDED, PATIENCE, call, doorbell};

/// The most that Chromium takes in one message.
const MOST: usize = 256 * 1024;

#[test]
fn it_sees_hears_and_talks() -> Outcome<()> {
    let records = visit(Kind::Chromium, MOST, |page, program| {
        call(page)?;
        hears(page, program)
    })?;
    beeps(&records)
}

/// How a page begins a call, and what must come of it.
type Begin = fn(&Page<'_>, &Program) -> Outcome<()>;

/// Two calls of one page to one doorbell, the first ended by the page, the second by the device; gives what
/// the device has recorded.
pub(crate) fn visit(kind: Kind, most: usize, begin: Begin) -> Outcome<Directory> {
    let records = Directory::new("records")?;
    let path = records.path().to_string_lossy();
    let (program, url) = doorbell(&["--record", &path])?;
    let browser = Browser::start_a(kind)?;
    let page = browser.open(&url)?;
    begin(&page, &program)?;
    opens_the_door(&page, &program)?;
    chats(&page, &program)?;
    for size in [0, 1, 64 * 1024, most] {
        echoes(&page, size)?;
    }
    refuses_more(&page, most)?;

    page.click("hangup")?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    program.wait_for("left", PATIENCE)?;
    begin(&page, &program)?;
    program.interrupt()?;
    page.wait_for(ENDED, PATIENCE)?;
    Ok(records)
}

/// Sound arrives at both ends.
pub(crate) fn hears(page: &Page<'_>, program: &Program) -> Outcome<()> {
    page.wait_for("__doorbell.received.totalAudioEnergy > 0", PATIENCE)?;
    let energy = page.number("__doorbell.received.totalAudioEnergy")?;
    let more = format!("__doorbell.received.totalAudioEnergy > {energy}");
    page.wait_for(&more, PATIENCE)?;
    program.wait_until("level with sound", PATIENCE, |event| {
        event["event"] == "level"
            && event["audio_decoded"].as_u64() > Some(200)
            && event["peak_db"].as_f64() > Some(-50.0)
    })?;
    Ok(())
}

pub(crate) fn opens_the_door(page: &Page<'_>, program: &Program) -> Outcome<()> {
    page.click("door")?;
    page.wait_for("__doorbell.door === 1", PATIENCE)?;
    program.wait_for("door_opened", PATIENCE).map(drop)
}

pub(crate) fn chats(page: &Page<'_>, program: &Program) -> Outcome<()> {
    page.wait_for("__doorbell.openChannels.includes('chat')", PATIENCE)?;
    page.evaluate("document.getElementById('chat-text').value = 'Grüße, 你好'")?;
    page.click("chat-send")?;
    let chat = program.wait_for("chat", PATIENCE)?;
    if chat["text"] == "Grüße, 你好" {
        Ok(())
    } else {
        Err(format!("another text arrived: {chat}"))
    }
}

/// A message goes to the device and back and is the same byte by byte, as bytes and as text.
pub(crate) fn echoes(page: &Page<'_>, size: usize) -> Outcome<()> {
    page.evaluate(
        "__doorbell.openChannels.includes('echo') || __doorbellTest.channel('echo') || __doorbellTest.open('echo')",
    )?;
    page.wait_for("__doorbell.openChannels.includes('echo')", PATIENCE)?;
    let bytes = format!("new Uint8Array({size}).map((_, at) => at * 7 + (at >> 8))");
    let text = format!("'x'.repeat({size})");
    for (what, sent, same) in [
        (
            "bytes",
            &bytes,
            "got instanceof ArrayBuffer && new Uint8Array(got).every((byte, at) => byte === sent[at])",
        ),
        ("text", &text, "got === sent"),
    ] {
        let refused = page.evaluate(&format!(
            "__doorbellTest.clear(); __doorbellTest.send('echo', {sent})"
        ))?;
        if !refused.is_null() {
            return Err(format!("{size} of {what} are refused: {refused}"));
        }
        page.wait_for("__doorbellTest.received('echo').length === 1", PATIENCE)
            .map_err(|why| format!("{size} of {what}: {why}"))?;
        let same = page.evaluate(&format!(
            "(() => {{ const got = __doorbellTest.received('echo')[0], sent = {sent}; \
             return (got.byteLength ?? got.length) === {size} && {same}; }})()"
        ))?;
        if same != true {
            return Err(format!("{size} of {what} came back different"));
        }
    }
    Ok(())
}

/// The page cannot send more than both ends take, and says so; the channel goes on.
pub(crate) fn refuses_more(page: &Page<'_>, most: usize) -> Outcome<()> {
    let said = page.number("__doorbellTest.maxMessageSize()")?;
    if said != most as f64 {
        return Err(format!("the page may send {said} bytes"));
    }
    let script = format!("__doorbellTest.send('echo', new Uint8Array({}))", most + 1);
    let refused = page.evaluate(&script)?;
    if refused.is_null() {
        return Err("a message over the limit was taken".into());
    }
    echoes(page, 2)
}

/// Chromium's microphone beeps twice a second.
fn beeps(records: &Directory) -> Outcome<()> {
    let file = records.find(".wav").ok_or("no WAV was recorded")?;
    let bursts = Bursts::of(&file)?;
    let interval = bursts.interval();
    let right = Duration::from_millis(400)..Duration::from_millis(1_100);
    if bursts.begins.len() < 4 || !right.contains(&interval) {
        return Err(format!("no beeps in {}: {bursts:?}", file.display()));
    }
    match records.find(".mp4") {
        // The browser sends no pictures.
        None => Ok(()),
        Some(file) => Err(format!("there is a picture in {}", file.display())),
    }
}

#[test]
fn the_device_cannot_send_more_than_the_browser_takes() -> Outcome<()> {
    let (_server, url) = crate::support::server()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{url}?autostart=always"))?;
    page.wait_for("__doorbell.state === 'calling'", PATIENCE)?;
    let caller = Program::start(&[
        "call",
        &url,
        "--send",
        "300K",
        "--message-size",
        "300K",
        "--for",
        "900",
    ])?;
    // It ends and says why.
    let why = caller.wait_for("nothing", PATIENCE);
    let why = why.err().unwrap_or_default();
    if why.contains("307200") && why.contains("262144") {
        Ok(())
    } else {
        Err(format!("the limit is not named: {why}"))
    }
}

#[test]
fn dtls_1_2_and_1_3() -> Outcome<()> {
    dtls_versions(Kind::Chromium, call)
}

/// A call by each version of DTLS, which both ends name.
pub(crate) fn dtls_versions(kind: Kind, begin: fn(&Page<'_>) -> Outcome<()>) -> Outcome<()> {
    let browser = Browser::start_a(kind)?;
    for version in ["1.2", "1.3"] {
        let (program, url) = doorbell(&["--dtls", version])?;
        let page = browser.open(&url)?;
        begin(&page)?;
        let name = format!("DTLS {version}");
        page.wait_for(&format!("__doorbell.dtls === '{name}'"), PATIENCE)?;
        let connected = program.wait_for("connected", PATIENCE)?;
        if connected["dtls"] != name.as_str() {
            return Err(format!("the device says: {connected}"));
        }
        hears(&page, &program)?;
        program.interrupt()?;
    }
    Ok(())
}

/// The page is told that a channel of the device connects, though it was open: what Chromium says now and then.
#[test]
fn a_channel_that_falls_back_is_closed() -> Outcome<()> {
    let (_server, url) = crate::support::server()?;
    let browser = Browser::start()?;
    let page = browser.open(&format!("{url}?autostart=always"))?;
    page.wait_for("__doorbell.state === 'calling'", PATIENCE)?;
    // Nobody sends back what comes by the channel `echo`.
    let device = Program::start(&["call", &url, "--send", "1K", "--for", "900"])?;
    page.wait_for("__doorbell.openChannels.includes('echo')", PATIENCE)?;
    page.evaluate(
        "void Object.defineProperty(__doorbellTest.channel('echo'), 'readyState', \
           { configurable: true, get: () => 'connecting' })",
    )?;
    device.wait_until("the end of the channel", PATIENCE, |event| {
        event["event"] == "channel" && event["label"] == "echo" && event["open"] == false
    })?;
    // The others are as before.
    page.wait_for(
        "__doorbell.calls === 1 && ['chat', 'file'].every((it) => __doorbell.openChannels.includes(it))",
        PATIENCE,
    )?;
    chats(&page, &device)
}
