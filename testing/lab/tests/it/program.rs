//! The real program: two of them in a room of a third one, behind NATs, when a cable moves.

use std::time::{Duration, Instant};

use esp_e2e::Program;
use esp_e2e::directory::Directory;
use esp_lab::{Coturn, CoturnConfig, Host, Internet, Nat, Outcome, Site};
use serde_json::Value;

use crate::support::{PATIENCE, program};

/// Waits until `count` more packets of sound and pictures were decoded than now.
fn plays_on(program: &Program, count: u64) -> Outcome<()> {
    let decoded = |event: &Value, kind: &str| event[kind].as_u64().unwrap_or(0);
    let level = |event: &Value| event["event"] == "level";
    // What it has said before is of another time.
    program.forget();
    let now = program.wait_until("level", PATIENCE, level)?;
    let more = |event: &Value, kind: &str| decoded(event, kind) > decoded(&now, kind) + count;
    program
        .wait_until("more sound and pictures", PATIENCE, |event| {
            level(event) && more(event, "audio_decoded") && more(event, "video_decoded")
        })
        .map(drop)
}

/// Two in a call, behind NATs, with the rooms that they are in and a place to go.
struct Room {
    rooms: Program,
    callee: Program,
    caller: Program,
    hosts: [Host; 2],
    elsewhere: Site,
    _sites: [Site; 2],
    _state: Directory,
    _coturn: Coturn,
    _internet: Internet,
}

/// Longer than consent lasts after the last answer, which is nothing that either side tells of.
const OUTAGE: Duration = Duration::from_secs(32);

fn in_a_call() -> Outcome<Room> {
    let internet = Internet::new()?;
    let coturn = Coturn::start(&internet, &CoturnConfig::default())?;
    let sites = [
        Site::v4(&internet, Nat::Cone)?,
        Site::v4(&internet, Nat::Cone)?,
    ];
    let elsewhere = Site::v4(&internet, Nat::Cone)?;
    let hosts = [
        Host::at(&sites[0], "caller")?,
        Host::at(&sites[1], "callee")?,
    ];
    let state = Directory::new("rooms")?;
    let stun = coturn.stun().urls[0].clone();
    let rooms = program(
        internet.namespace(),
        &[
            "serve",
            "--lan",
            "--port",
            "0",
            "--state",
            &state.path().to_string_lossy(),
            "--ice-server",
            &stun,
        ],
    )?;
    let serving = rooms.wait_for("serving", PATIENCE)?;
    let pin = serving["fingerprint"].as_str().ok_or("no fingerprint")?;
    let url = format!("https://{}:8443/r/lab", Internet::V4);
    let arguments = ["call", &url, "--pin", pin, "--levels", "2"];
    let callee = program(hosts[1].namespace(), &arguments)?;
    callee.wait_for("joined", PATIENCE)?;
    let caller = program(hosts[0].namespace(), &arguments)?;
    for program in [&caller, &callee] {
        plays_on(program, 60).map_err(|why| format!("at first: {why}"))?;
    }
    Ok(Room {
        rooms,
        callee,
        caller,
        hosts,
        elsewhere,
        _sites: sites,
        _state: state,
        _coturn: coturn,
        _internet: internet,
    })
}

#[test]
fn a_call_in_a_room_survives_a_cable_that_moves() -> Outcome<()> {
    let room = in_a_call()?;
    let (caller, callee) = (&room.caller, &room.callee);
    room.hosts[0].unplug("eth0")?;
    room.hosts[0].plug("eth1", &room.elsewhere)?;
    for program in [caller, callee] {
        plays_on(program, 40)
            .map_err(|why| format!("after the move: {why}\ncallee: {}", callee.said()))?;
    }
    // Its link to the room has moved too: the other one hears that it leaves.
    room.caller.interrupt()?;
    room.callee
        .wait_for("left", PATIENCE)
        .map_err(|why| format!("{why}{}", room.rooms.said()))?;
    room.callee.interrupt()?;
    room.rooms.interrupt()
}

/// Consent ends after 30 s, and the room forgets who it does not hear: only a restart of ICE saves the call, and the
/// offers of one are said to somebody who is not there.
#[test]
fn a_call_in_a_room_survives_half_a_minute_without_a_network() -> Outcome<()> {
    let room = in_a_call()?;
    let (caller, callee) = (&room.caller, &room.callee);
    room.hosts[0].unplug("eth0")?;
    let begun = Instant::now();
    callee.wait_until("silence", PATIENCE, |event| {
        event["event"] == "notice" && event["text"] == "the path has gone silent"
    })?;
    room.rooms.wait_until("silence", PATIENCE, |event| {
        event["event"] == "left" && event["how"] == "fell silent in"
    })?;
    std::thread::sleep(OUTAGE.saturating_sub(begun.elapsed()));
    room.hosts[0].plug("eth1", &room.elsewhere)?;
    for program in [caller, callee] {
        plays_on(program, 40)
            .map_err(|why| format!("after the outage: {why}\ncallee: {}", callee.said()))?;
        let said = program.said();
        if said.contains("\"lost\"") || said.contains("\"failed\"") {
            return Err(format!("the call was begun anew: {said}"));
        }
    }
    room.caller.interrupt()?;
    room.callee.interrupt()?;
    room.rooms.interrupt()
}
