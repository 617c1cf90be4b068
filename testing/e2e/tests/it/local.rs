//! A device that serves its page itself, without rooms.

use esp_e2e::{Browser, Outcome, Program};

use crate::browser_call::{chats, echoes, opens_the_door};
use crate::support::{PATIENCE, call};

const READY: &str = "__doorbell.state === 'ready'";

#[test]
fn a_browser_calls_the_device_itself() -> Outcome<()> {
    let program = Program::start(&["doorbell", "--local", "--port", "0", "--levels", "1"])?;
    let serving = program.wait_for("serving", PATIENCE)?;
    let url = serving["url"].as_str().ok_or("no URL is served")?;
    if !url.ends_with("/webrtc/test") {
        return Err(format!("the page is at {url}"));
    }
    program.wait_for("joined", PATIENCE)?;
    let browser = Browser::start()?;
    let page = browser.open(url)?;
    call(&page)?;
    program.wait_for("connected", PATIENCE)?;
    opens_the_door(&page, &program)?;
    chats(&page, &program)?;
    echoes(&page, 70_000)?;

    // One browser at a time, which a second page is told until the first has left.
    let second = browser.open(url)?;
    second.wait_for("__doorbell.state === 'full'", PATIENCE)?;
    page.navigate("about:blank")?;
    program.wait_for("left", PATIENCE)?;
    call(&second)?;

    // A stream that is cut goes on, and so does the call.
    second.evaluate("dispatchEvent(new Event('online'))")?;
    second.wait_for("__doorbell.signaling === 'open'", PATIENCE)?;
    opens_the_door(&second, &program)?;
    second.click("hangup")?;
    second.wait_for(READY, PATIENCE)?;
    program.wait_for("left", PATIENCE)?;
    call(&second)?;
    program.interrupt()?;
    second.wait_for("__doorbell.state !== 'connected'", PATIENCE)?;
    Ok(())
}
