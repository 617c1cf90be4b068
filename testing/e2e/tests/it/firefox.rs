//! Firefox as the counterpart: everything but H.264, which it has as a download alone.

use esp_e2e::directory::Directory;
use esp_e2e::{Browser, Kind, Outcome, Page};

use crate::browser_call::{chats, echoes, hears, opens_the_door, refuses_more};
use crate::support::{PATIENCE, doorbell};

/// The most that both ends take in one message: the device's figure, Firefox's is a gigabyte.
const MOST: usize = 1024 * 1024;

#[test]
fn it_hears_talks_and_opens_the_door() -> Outcome<()> {
    let records = Directory::new("records")?;
    let path = records.path().to_string_lossy();
    let (program, url) = doorbell(&["--record", &path])?;
    let browser = Browser::start_a(Kind::Firefox)?;
    let page = browser.open(&url)?;
    call(&page)?;
    says_what_is_missing(&page)?;
    hears(&page, &program)?;
    opens_the_door(&page, &program)?;
    chats(&page, &program)?;
    for size in [0, 1, 64 * 1024, MOST] {
        echoes(&page, size)?;
    }
    refuses_more(&page, MOST)?;

    page.click("hangup")?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    program.wait_for("left", PATIENCE)?;
    // Once more with the same page and device; this time the device ends it.
    call(&page)?;
    hears(&page, &program)?;
    program.interrupt()?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    records
        .find(".wav")
        .ok_or("no sound was recorded")
        .map(drop)?;
    Ok(())
}

#[test]
fn dtls_1_2_and_1_3() -> Outcome<()> {
    let browser = Browser::start_a(Kind::Firefox)?;
    for version in ["1.2", "1.3"] {
        let (program, url) = doorbell(&["--dtls", version])?;
        let page = browser.open(&url)?;
        call(&page)?;
        hears(&page, &program)?;
        let name = format!("DTLS {version}");
        page.wait_for(&format!("__doorbell.dtls === '{name}'"), PATIENCE)?;
        program.interrupt()?;
    }
    Ok(())
}

/// Presses Start once the page can, and waits for the call.
fn call(page: &Page<'_>) -> Outcome<()> {
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    page.click("start")?;
    page.wait_for("__doorbell.state === 'connected'", PATIENCE)
        .map(drop)
}

/// The page tells why there is no picture.
fn says_what_is_missing(page: &Page<'_>) -> Outcome<()> {
    page.wait_for(
        "document.body.innerText.includes('This browser cannot show H.264')",
        PATIENCE,
    )
    .map(drop)
}
