//! A page that loses its connection restarts ICE itself, while signaling works and the device does nothing about it.

use std::process::Command;
use std::time::Duration;

use esp_e2e::{Browser, Kind, Outcome, Page, Program};
use esp_rooms::{Config, Limits, Server};

use crate::support::PATIENCE;

/// A room server that forgets nobody: the room goes on as if only the path of the call had died.
fn patient_rooms() -> Outcome<Server> {
    let limits = Limits {
        ghost_expiry: Duration::from_secs(3_600),
        ..Limits::default()
    };
    Server::start(Config::local(0).with_limits(limits)).map_err(|error| error.to_string())
}

/// Stops or continues the process of a program: whoever is stopped answers nothing, and its links stay open.
fn signal(program: &Program, name: &str) -> Outcome<()> {
    let done = Command::new("kill")
        .args([format!("-{name}"), program.id().to_string()])
        .status()
        .map_err(|error| error.to_string())?;
    done.success()
        .then_some(())
        .ok_or(format!("kill -{name}: {done}"))
}

/// The user name fragment that the page has described itself with, and the device has answered to.
const UFRAG: &str = "/a=ice-ufrag:(\\S+)/.exec(__doorbellTest.pc().currentLocalDescription.sdp)[1]";

fn in_a_call(page: &Page<'_>, patience: Duration) -> Outcome<()> {
    page.wait_for(
        "__doorbell.state === 'connected' && __doorbell.connectionState === 'connected' \
         && __doorbell.openChannels.includes('chat') && !__doorbell.recovers",
        patience,
    )
    .map(drop)
}

/// The device does not answer until the page has offered a restart; that offer is waiting when it is back.
fn restarts(page: &Page<'_>, device: &Program) -> Outcome<()> {
    in_a_call(page, PATIENCE)?;
    let before = page.evaluate(UFRAG)?;
    let before = before.as_str().ok_or("no user name fragment")?;
    signal(device, "STOP")?;
    let offered = page.wait_for(
        "__doorbell.recovers && __doorbellTest.pc().signalingState === 'have-local-offer'",
        PATIENCE,
    );
    signal(device, "CONT")?;
    offered?;
    // The old path may be back before the answer is.
    page.wait_for(&format!("{UFRAG} !== '{before}'"), PATIENCE)
        .map_err(|why| format!("ICE was not restarted: {why}"))?;
    in_a_call(page, PATIENCE)?;
    if page.evaluate("__doorbell.calls")? != 1 {
        return Err("the call was begun anew".into());
    }
    // Sound goes on.
    let heard = page.number("__doorbell.received.totalAudioEnergy")?;
    page.wait_for(
        &format!("__doorbell.received.totalAudioEnergy > {heard} + 0.1"),
        PATIENCE,
    )?;
    let said = device.said();
    match said.contains("\"lost\"") || said.contains("\"left\"") {
        true => Err("the device has ended the call".into()),
        false => Ok(()),
    }
}

#[test]
fn the_page_restarts_ice_whoever_made_the_first_offer() -> Outcome<()> {
    for kind in Kind::ALL {
        let browser = Browser::start_a(kind)?;
        for page_first in [true, false] {
            let server = patient_rooms()?;
            let url = server.room_url("demo");
            let join = || -> Outcome<Program> {
                let device = Program::start(&["doorbell", "--url", &url])?;
                device.wait_for("joined", PATIENCE)?;
                Ok(device)
            };
            let early = match page_first {
                true => None,
                false => Some(join()?),
            };
            let page = browser.open(&url)?;
            page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
            page.click("start")?;
            let device = early.map_or_else(join, Ok)?;
            restarts(&page, &device).map_err(|why| {
                let kind = kind.name();
                format!(
                    "{kind}, the page first: {page_first}: {why}{}",
                    device.said()
                )
            })?;
            drop(page);
            device.interrupt()?;
        }
    }
    Ok(())
}
