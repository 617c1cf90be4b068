//! Firefox as the counterpart: everything but H.264, which it has as a download alone.

use esp_e2e::{Kind, Outcome, Page};

use crate::browser_call::{dtls_versions, hears, visit};
use crate::support::PATIENCE;

/// The most that both ends take in one message: the device's figure, Firefox's is a gigabyte.
const MOST: usize = 1024 * 1024;

#[test]
fn it_hears_talks_and_opens_the_door() -> Outcome<()> {
    let records = visit(Kind::Firefox, MOST, |page, program| {
        call(page)?;
        says_what_is_missing(page)?;
        hears(page, program)
    })?;
    let record = records.find(".wav").ok_or("no sound was recorded")?;
    match record.metadata() {
        Ok(known) if known.len() > 0 => Ok(()),
        other => Err(format!("{}: {other:?}", record.display())),
    }
}

#[test]
fn dtls_1_2_and_1_3() -> Outcome<()> {
    dtls_versions(Kind::Firefox, call)
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
