//! A doorbell: it waits in a room, rings, and connects when somebody accepts.
//!
//! 1. The room is joined, or with `--local` a page waited for; `RING` goes out when the bell is pressed.
//! 2. `ACCEPT_CALL`, or an offer, is the acceptance: only now a connection is built.
//! 3. `DENY_CALL` ends the ringing. `OPEN_DOOR` is answered by `DOOR_OPENED`, in a call or without one.
//! 4. The peer's `bye` ends the connection; the next acceptance builds a new one.
//! 5. When the connection fails: `bye`, leave, join again.

mod bell;
mod place;

use std::sync::Arc;

use crate::arguments::Doorbell;
use crate::failure::Failure;
use crate::inputs::{Input, Inputs};
use crate::print::Printer;
use crate::session::{Plan, Session};
use bell::Bell;
use place::Place;

/// Is a doorbell until told to stop.
pub(crate) fn run(arguments: Doorbell, printer: Printer) -> Result<(), Failure> {
    let inputs = Inputs::listen()?;
    let Place {
        signaling,
        room,
        url,
        servers,
        shown,
        server,
    } = Place::find(&arguments)?;
    let plan = Plan {
        signaling,
        room,
        url: &url,
        servers,
        media: &arguments.member.media,
        link: &arguments.member.link,
        trial: None,
        eager: arguments.auto_accept,
    };
    let session = Session::open(plan, inputs.inbox(), printer)?;
    match &shown {
        Some(shown) => shown.greet(printer)?,
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
    if let Some(server) = server {
        server.stop();
    }
    Ok(())
}
