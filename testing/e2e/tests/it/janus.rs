//! A device publishes into a video room of a real Janus, and another plays from it.

use esp_e2e::janus::{API_SECRET, Janus, PIN, ROOM};
use esp_e2e::{Outcome, Program};

use crate::support::PATIENCE;

fn member(janus: &Janus, command: &str, more: &[&str]) -> Outcome<Program> {
    let url = janus.url();
    let room = [
        "--janus",
        ROOM,
        "--room-pin",
        PIN,
        "--api-secret",
        API_SECRET,
    ];
    let arguments = [&[command, &url, "--levels", "1"], &room[..], more].concat();
    Program::start(&arguments)
}

#[test]
fn what_is_published_is_played() -> Outcome<()> {
    let janus = Janus::start()?;
    // Who comes first waits for the other.
    let player = member(&janus, "play", &[])?;
    player.wait_for("interrupted", PATIENCE)?;
    let publisher = member(&janus, "publish", &["--display", "garden"])?;
    let told = |why: String| format!("{why}\n Janus:{}", janus.said());
    publisher.wait_for("connected", PATIENCE).map_err(told)?;
    player
        .wait_until("level with sound and pictures", PATIENCE, |event| {
            event["event"] == "level"
                && event["audio_decoded"].as_u64() > Some(50)
                && event["video_decoded"].as_u64() > Some(20)
                && event["peak_db"].as_f64() > Some(-40.0)
                && event["width"] == 640
        })
        .map_err(|why| told(format!("{why}\n publisher:{}", publisher.said())))?;
    player.interrupt()?;
    publisher.interrupt()
}

#[test]
fn who_may_not_publish_is_told() -> Outcome<()> {
    let janus = Janus::start()?;
    let url = janus.url();
    let unknown = Program::start(&["publish", &url, "--janus", ROOM])?;
    let closed = unknown.wait_for("closed", PATIENCE)?;
    let reason = closed["reason"].as_str().unwrap_or_default();
    if !reason.contains("(code 403)") {
        return Err(format!("the server's secret is not asked for: {reason}"));
    }
    let secret = ["publish", &url, "--janus", ROOM, "--api-secret", API_SECRET];
    let stranger = Program::start(&secret)?;
    let closed = stranger.wait_for("closed", PATIENCE)?;
    let reason = closed["reason"].as_str().unwrap_or_default();
    if !reason.contains("(code 433)") && !reason.contains("(code 429)") {
        return Err(format!("the PIN is not asked for: {reason}"));
    }
    Ok(())
}
