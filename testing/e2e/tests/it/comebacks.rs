//! Whoever goes away may come back, in any order.

use esp_e2e::{Browser, Outcome, Page, Program, wait};

use crate::support::{ENDED, IN_CALL, PATIENCE, call, pictures_go_on, server, server_at};

fn device(url: &str) -> Outcome<Program> {
    let program = Program::start(&["doorbell", "--url", url, "--levels", "1"])?;
    program.wait_for("joined", PATIENCE)?;
    Ok(program)
}

#[test]
fn the_page_first_then_reloads_and_restarts() -> Outcome<()> {
    let (_server, url) = server()?;
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

    let calls = page.number("__doorbell.calls")?;
    program.interrupt()?;
    page.wait_for(ENDED, PATIENCE)?;
    let program = device(&url)?;
    called_again(&page, calls)
        .and_then(|()| pictures_go_on(&page))
        .map_err(|why| format!("after a restart: {why}{}", program.said()))?;

    // This time without goodbye: its ghost stays in the room for a while.
    let calls = page.number("__doorbell.calls")?;
    program.kill();
    let program = Program::start(&["doorbell", "--url", &url, "--levels", "1"])?;
    called_again(&page, calls)
        .and_then(|()| program.wait_for("joined", PATIENCE).map(drop))
        .and_then(|()| pictures_go_on(&page))
        .map_err(|why| format!("after a kill: {why}{}", program.said()))
}

/// Waits for a call after the first so many of them. The page makes it by itself, but where it was told of a goodbye
/// meanwhile: then Start is pressed.
fn called_again(page: &Page<'_>, calls: f64) -> Outcome<()> {
    let another = format!("__doorbell.calls > {calls} && {IN_CALL}");
    let press = "__doorbell.state === 'ready' && document.getElementById('start').click()";
    page.wait_for(&format!("({another}) || (({press}), false)"), PATIENCE)
        .map(drop)
}

#[test]
fn the_room_server_restarts() -> Outcome<()> {
    let (room_server, url) = server()?;
    let port = url
        .rsplit(':')
        .next()
        .and_then(|rest| rest.split('/').next());
    let port = port.and_then(|port| port.parse().ok());
    let port = port.ok_or_else(|| format!("no port in {url}"))?;
    let program = device(&url)?;
    let browser = Browser::start()?;
    let page = browser.open(&url)?;
    call(&page)?;

    room_server.kill();
    page.wait_for("__doorbell.signaling === 'closed'", PATIENCE)?;
    // Who looks for it on this host may have got the port by chance for a moment.
    let _room_server = wait::until("it does not come back", PATIENCE, || server_at(port).ok())?;
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
