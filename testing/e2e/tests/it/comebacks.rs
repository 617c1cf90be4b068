//! Whoever goes away may come back, in any order.

use esp_e2e::{Browser, Outcome, Program, wait};

use crate::support::{PATIENCE, call, pictures_go_on, server};

fn device(url: &str) -> Outcome<Program> {
    let program = Program::start(&["doorbell", "--url", url, "--levels", "1"])?;
    program.wait_for("joined", PATIENCE)?;
    Ok(program)
}

#[test]
fn the_page_first_then_reloads_and_restarts() -> Outcome<()> {
    let (_server, url) = server(wait::free_port()?)?;
    let browser = Browser::start()?;
    let page = browser.open(&url)?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    page.click("start")?;
    page.wait_for("__doorbell.state === 'calling'", PATIENCE)?;
    let program = device(&url)?;
    pictures_go_on(&page).map_err(|why| format!("the page first: {why}{}", program.said()))?;

    page.reload()?;
    // The old page is there until the new one has come.
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    call(&page).map_err(|why| format!("after a reload: {why}{}", program.said()))?;

    program.interrupt()?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    let program = device(&url)?;
    call(&page).map_err(|why| format!("after a restart: {why}{}", program.said()))?;

    // This time without goodbye: its ghost stays in the room for a while.
    program.kill();
    let program = Program::start(&["doorbell", "--url", &url, "--levels", "1"])?;
    page.wait_for("__doorbell.state !== 'connected'", PATIENCE)?;
    program.wait_for("joined", PATIENCE)?;
    page.wait_for(
        "['calling', 'connected', 'ready', 'ringing'].includes(__doorbell.state)",
        PATIENCE,
    )?;
    if page.evaluate("__doorbell.state")? == "ready" {
        page.click("start")?;
    }
    pictures_go_on(&page).map_err(|why| format!("after a kill: {why}{}", program.said()))
}

#[test]
fn the_room_server_restarts() -> Outcome<()> {
    let port = wait::free_port()?;
    let (room_server, url) = server(port)?;
    let program = device(&url)?;
    let browser = Browser::start()?;
    let page = browser.open(&url)?;
    call(&page)?;

    room_server.kill();
    page.wait_for("__doorbell.signaling === 'closed'", PATIENCE)?;
    let _room_server = server(port)?;
    page.wait_for("__doorbell.signaling === 'open'", PATIENCE)?;
    program.wait_for("interrupted", PATIENCE)?;
    program.wait_for("joined", PATIENCE)?;
    // It is the same call still.
    pictures_go_on(&page)?;
    page.wait_for("__doorbell.calls === 1", PATIENCE)?;

    page.click("hangup")?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    page.wait_for("__doorbell.present", PATIENCE)?;
    call(&page).map_err(|why| format!("the next call: {why}{}", program.said()))
}
