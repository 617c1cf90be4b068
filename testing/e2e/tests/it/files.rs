//! Files dropped on the page.

use std::fs;

use esp_e2e::directory::Directory;
use esp_e2e::{Browser, Outcome};

use crate::support::{PATIENCE, call, doorbell};

#[test]
fn files_arrive_whole_or_are_refused() -> Outcome<()> {
    let (inbox, mine) = (Directory::new("inbox")?, Directory::new("mine")?);
    let content: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 8 * 31) as u8).collect();
    let (large, empty) = (
        mine.path().join("garden.jpg"),
        mine.path().join("empty.txt"),
    );
    fs::write(&large, &content).map_err(|error| error.to_string())?;
    fs::write(&empty, b"").map_err(|error| error.to_string())?;

    let path = inbox.path().to_string_lossy();
    let (program, url) = doorbell(&["--files", &path])?;
    let browser = Browser::start()?;
    let page = browser.open(&url)?;
    call(&page)?;
    page.wait_for("__doorbell.openChannels.includes('file')", PATIENCE)?;
    page.choose_files("file-input", &[&large, &empty])?;
    let done = "__doorbell.files.length === 2 && __doorbell.files.every(file => file.done)";
    page.wait_for(done, PATIENCE)?;
    for (name, content) in [("garden.jpg", &content[..]), ("empty.txt", &[])] {
        let event = program.wait_for("file", PATIENCE)?;
        let path = event["path"].as_str().unwrap_or_default();
        let stored = fs::read(path).map_err(|error| format!("{event}: {error}"))?;
        if event["name"] != name || stored != content {
            return Err(format!("it was stored differently: {event}"));
        }
    }
    drop(page);
    program.interrupt()?;

    // Without a place for them they are refused, in words.
    let (_program, url) = doorbell(&[])?;
    let page = browser.open(&url)?;
    call(&page)?;
    page.wait_for("__doorbell.openChannels.includes('file')", PATIENCE)?;
    page.choose_files("file-input", &[&large])?;
    page.wait_for("__doorbell.files[0]?.error", PATIENCE)
        .map(drop)
}
