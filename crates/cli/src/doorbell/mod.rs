//! A doorbell: it waits in a room, rings, and connects when somebody accepts.
//!
//! 1. The room is joined; `RING` goes out when the bell is pressed.
//! 2. `ACCEPT_CALL`, or an offer, is the acceptance: only now a connection is built.
//! 3. `DENY_CALL` ends the ringing. `OPEN_DOOR` is answered by `DOOR_OPENED`, in a call or without one.
//! 4. The peer's `bye` ends the connection; the next acceptance builds a new one.
//! 5. When the connection fails: `bye`, leave, join again.

mod bell;

use std::sync::Arc;

use esp_rooms::RoomName;
use esp_webrtc::signaling::AppRtcConfig;
use serde_json::json;

use crate::arguments::Doorbell;
use crate::failure::Failure;
use crate::inputs::{Input, Inputs};
use crate::print::Printer;
use crate::server::{self, Running};
use crate::session::{Plan, Session};
use bell::Bell;

/// Is a doorbell until told to stop.
pub(crate) fn run(arguments: Doorbell, printer: Printer) -> Result<(), Failure> {
    let servers = arguments.member.servers.servers()?;
    let inputs = Inputs::listen()?;
    let (running, url, own_servers) = match &arguments.url {
        Some(url) => (None, url.clone(), servers),
        None => {
            let room = match arguments.server.lan {
                true => RoomName::random().map_err(Failure::of)?,
                false => arguments
                    .room
                    .parse()
                    .map_err(|error| Failure::Usage(format!("{:?}: {error}", arguments.room)))?,
            };
            // The room server tells them to both sides.
            let running = server::start(&arguments.server, servers, |_| {})?;
            let url = running.server.room_url(room.as_str());
            (Some((running, room)), url, Vec::new())
        }
    };
    let config = AppRtcConfig::new(&url)
        .map_err(|error| Failure::Usage(error.to_string()))?
        .with_trust(arguments.member.trust.trust()?);
    let plan = Plan {
        room: config,
        url: &url,
        servers: own_servers,
        media: &arguments.member.media,
        link: &arguments.member.link,
        trial: None,
        eager: arguments.auto_accept,
    };
    let session = Session::open(plan, inputs.inbox(), printer)?;
    match &running {
        Some((running, room)) => greet(running, room, printer)?,
        None => printer.words(&format!("Joining {url}")),
    }
    printer.words("Enter rings, a line is chat, Ctrl-C leaves. Times are UTC.");
    let inbox = inputs.inbox();
    session
        .webrtc
        .set_event_handler(Box::new(move |event| inbox.put(Input::Event(event))));
    let webrtc = Arc::clone(&session.webrtc);
    webrtc.start();
    let session = Bell::new(session, arguments.ring, arguments.auto_accept).run(&inputs);
    session.close();
    if let Some((running, _)) = running {
        running.server.stop();
    }
    Ok(())
}

/// Says where the page is.
fn greet(running: &Running, room: &RoomName, printer: Printer) -> Result<(), Failure> {
    let page = |root: &String| format!("{root}/r/{}", room.as_str());
    let local = running.server.room_url(room.as_str());
    let lan: Vec<String> = running.lan.iter().map(page).collect();
    let url = lan.first().unwrap_or(&local);
    if printer.is_json() {
        let urls: Vec<&String> = lan.iter().chain([&local]).collect();
        printer.event(
            "serving",
            "",
            json!({ "url": url, "urls": urls, "fingerprint": running.fingerprint }),
        );
        return Ok(());
    }
    printer.words(&format!("Open {local} on this host"));
    for url in &lan {
        printer.words(&format!("Open {url} in this network"));
    }
    if let (Some(url), Some(fingerprint)) = (lan.first(), &running.fingerprint) {
        printer.words(&server::qr_code(url)?);
        printer.words(&format!(
            "The browser will not know the certificate. It is the right one if its SHA-256 is\n{fingerprint}\n\
             Whoever knows the address above may join: it is a secret."
        ));
    }
    Ok(())
}
