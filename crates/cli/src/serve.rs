//! The room server alone.

use std::sync::mpsc::channel;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use esp_rooms::{Event, Left};
use serde_json::json;

use crate::arguments::Serve;
use crate::failure::Failure;
use crate::inputs::on_interrupt;
use crate::print::Printer;
use crate::server;

/// Between two lines about refused requests, of which there may be many.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves until told to stop.
pub(crate) fn run(arguments: Serve, printer: Printer) -> Result<(), Failure> {
    let (stop, stopped) = channel();
    on_interrupt(move || {
        let _ = stop.send(());
    })?;
    let servers = arguments.servers.servers()?;
    let last_refusal = Mutex::new(None);
    let running = server::start(&arguments.server, servers, move |event| {
        tell(printer, event, &last_refusal);
    })?;
    let reach = &running.reach;
    let urls: Vec<&String> = reach.lan.iter().chain([&reach.own]).collect();
    if printer.is_json() {
        printer.event(
            "serving",
            "",
            json!({ "url": urls[0], "urls": urls, "fingerprint": reach.fingerprint }),
        );
    } else {
        for url in &urls {
            printer.words(&format!("Rooms are at {url}/r/ROOM"));
        }
        if let Some(fingerprint) = &reach.fingerprint {
            printer.words(&format!("SHA-256 of the certificate: {fingerprint}"));
        }
        printer.words("Ctrl-C ends it. Times are UTC.");
    }
    // An error means that nobody can tell any more.
    let _ = stopped.recv();
    running.server.stop();
    printer.plain("stopped", "the room server has ended");
    Ok(())
}

fn tell(printer: Printer, event: &Event, last_refusal: &Mutex<Option<Instant>>) {
    match event {
        Event::Joined {
            room,
            client,
            initiator,
        } => printer.event(
            "joined",
            &format!(
                "{client} joined {room}{}",
                if *initiator { " first" } else { "" }
            ),
            json!({ "room": room.to_string(), "client": client, "initiator": initiator }),
        ),
        Event::Left { room, client, how } => {
            let how = match how {
                Left::Leave => "left",
                Left::Silent => "fell silent in",
                _ => "was replaced in",
            };
            printer.event(
                "left",
                &format!("{client} {how} {room}"),
                json!({ "room": room.to_string(), "client": client, "how": how }),
            );
        }
        Event::Refused { remote, why } => {
            let mut last = last_refusal.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.elapsed() >= PAUSE) {
                *last = Some(Instant::now());
                let why = format!("{why:?}").to_lowercase();
                printer.event(
                    "refused",
                    &format!("refused a request of {remote}: {why}"),
                    json!({ "remote": remote.to_string(), "why": why }),
                );
            }
        }
        _ => {}
    }
}
