//! Two of our devices call each other.

use esp_e2e::directory::Directory;
use esp_e2e::{Outcome, Program};

use crate::support::{PATIENCE, server};

#[test]
fn sound_pictures_and_large_messages() -> Outcome<()> {
    let records = Directory::new("devices")?;
    let path = records.path().to_string_lossy();
    let (_server, url) = server()?;
    let callee = Program::start(&["call", &url, "--levels", "1", "--record", &path])?;
    callee.wait_for("joined", PATIENCE)?;
    let caller = Program::start(&[
        "call",
        &url,
        "--levels",
        "1",
        "--send",
        "8M",
        "--message-size",
        "1M",
        "--stay",
    ])?;
    let verified = caller
        .wait_for("verified", PATIENCE)
        .map_err(|why| format!("{why}{}", callee.said()))?;
    if verified["bytes"] != 8 << 20 || verified["messages"] != 8 {
        return Err(format!("not everything came back: {verified}"));
    }
    for side in [&caller, &callee] {
        side.wait_until("level with sound and pictures", PATIENCE, |event| {
            event["event"] == "level"
                && event["audio_decoded"].as_u64() > Some(100)
                && event["video_decoded"].as_u64() > Some(25)
                && event["peak_db"].as_f64() > Some(-40.0)
                && event["width"] == 640
        })?;
    }
    caller.interrupt()?;
    callee.wait_for("left", PATIENCE)?;
    callee.interrupt()?;
    for ending in [".wav", ".mp4"] {
        let file = records
            .find(ending)
            .ok_or(format!("no {ending} was recorded"))?;
        let length = file.metadata().map_or(0, |file| file.len());
        if length < 10_000 {
            return Err(format!("{} has {length} bytes", file.display()));
        }
    }
    Ok(())
}
