//! What the tests share.

use std::time::Duration;

use esp_e2e::{Outcome, Page, Program};

/// How long anything may take on a slow and busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A call in which pictures of the right size are decoded.
pub(crate) const IN_CALL: &str = "__doorbell.state === 'connected' && __doorbell.received.framesDecoded > 5 \
     && __doorbell.received.width === 640 && __doorbell.received.height === 480";

/// A call that the device has ended. A page that took the connection for lost just before it heard of that calls again.
pub(crate) const ENDED: &str = "['ready', 'calling'].includes(__doorbell.state)";

/// A doorbell with its own room server, and the URL of its room.
pub(crate) fn doorbell(options: &[&str]) -> Outcome<(Program, String)> {
    let arguments = [&["doorbell", "--port", "0", "--levels", "1"], options].concat();
    let program = Program::start(&arguments)?;
    let serving = program.wait_for("serving", PATIENCE)?;
    let url = serving["url"].as_str().ok_or("no URL is served")?;
    let url = room_url(url);
    program.wait_for("joined", PATIENCE)?;
    Ok((program, url))
}

/// A room server alone on some port, and the URL of its room `demo`.
pub(crate) fn server() -> Outcome<(Program, String)> {
    server_at(0)
}

/// The same on this port.
pub(crate) fn server_at(port: u16) -> Outcome<(Program, String)> {
    let program = Program::start(&["serve", "--port", &port.to_string()])?;
    let serving = program.wait_for("serving", PATIENCE)?;
    let url = serving["url"].as_str().ok_or("no URL is served")?;
    Ok((program, room_url(url)))
}

pub(crate) fn room_url(url: &str) -> String {
    if url.contains("/r/") {
        url.replace("/r/ROOM", "/r/demo")
    } else {
        format!("{}/r/demo", url.trim_end_matches('/'))
    }
}

/// Waits until the page is in a call, and then until more pictures are decoded.
pub(crate) fn pictures_go_on(page: &Page<'_>) -> Outcome<()> {
    page.wait_for(IN_CALL, PATIENCE)?;
    let decoded = page.number("__doorbell.received.framesDecoded")?;
    let more = format!("__doorbell.received.framesDecoded > {decoded} + 20");
    page.wait_for(&more, PATIENCE).map(drop)
}

/// Presses Start once the page can, and waits for the call.
pub(crate) fn call(page: &Page<'_>) -> Outcome<()> {
    page.wait_for("['ready', 'ringing'].includes(__doorbell.state)", PATIENCE)?;
    page.evaluate(
        "document.getElementById(__doorbell.state === 'ringing' ? 'accept' : 'start').click()",
    )?;
    pictures_go_on(page)
}
