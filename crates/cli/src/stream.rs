//! Publishing to a media server, and playing from one.

use std::time::Instant;

use esp_webrtc::Event;

use crate::arguments::{Play, Publish, StreamOptions};
use crate::failure::Failure;
use crate::inputs::{Input, Inputs};
use crate::print::Printer;
use crate::session::{Session, Stream};

/// Publishes until told to stop.
pub(crate) fn publish(arguments: Publish, printer: Printer) -> Result<(), Failure> {
    let options = arguments.stream;
    if options.member.media.record.is_some() {
        return Err(nothing("--record", "publish receives"));
    }
    run(&arguments.url, &options, true, printer)
}

/// Plays until told to stop.
pub(crate) fn play(arguments: Play, printer: Printer) -> Result<(), Failure> {
    let options = arguments.stream;
    let media = &options.member.media;
    for (option, given) in [("--video", &media.video), ("--audio", &media.audio)] {
        if given.is_some() {
            return Err(nothing(option, "play sends"));
        }
    }
    run(&arguments.url, &options, false, printer)
}

fn nothing(option: &str, does: &str) -> Failure {
    Failure::Usage(format!("{option} has no meaning here: {does} nothing"))
}

fn run(url: &str, options: &StreamOptions, sends: bool, printer: Printer) -> Result<(), Failure> {
    let server = options.server(url, sends)?;
    let media = &options.member.media;
    if media.no_audio && media.no_video {
        return Err(Failure::Usage(
            "without sound and pictures there is nothing to do".into(),
        ));
    }
    if options.member.link.files.is_some() {
        return Err(nothing("--files", "a media server carries"));
    }
    let inputs = Inputs::listen()?;
    let stream = Stream {
        signaling: server.signaling,
        url,
        servers: options.member.servers.servers()?,
        media,
        link: &options.member.link,
        sends,
    };
    let mut session = Session::stream(stream, inputs.inbox(), printer)?;
    if server.exposed {
        session.notice("a secret goes to this server unsecured: everybody on the way can read it");
    }
    printer.words("Ctrl-C leaves. Times are UTC.");
    let inbox = inputs.inbox();
    session
        .webrtc
        .set_event_handler(Box::new(move |event| inbox.put(Input::Event(event))));
    session.webrtc.start();
    let until = options.limit.map(|limit| Instant::now() + limit);
    let ended = work(&mut session, &inputs, until, &server.name);
    session.close();
    ended
}

fn work(
    session: &mut Session,
    inputs: &Inputs,
    until: Option<Instant>,
    server: &str,
) -> Result<(), Failure> {
    loop {
        let next = session.wake_at().into_iter().chain(until).min();
        match inputs.next(next) {
            Some(Input::Stop) => return Ok(()),
            Some(Input::Event(event)) => {
                session.on_stream_event(&event, server);
                if let Event::SignalingClosed { reason } = event {
                    return Err(Failure::Failed(crate::session::with_advice(&reason)));
                }
            }
            Some(Input::Line(line)) => match line.trim() {
                "" => {}
                "/quit" => return Ok(()),
                _ => session.notice("a media server carries no chat; the command is /quit"),
            },
            Some(Input::Channel(_)) | None => {}
        }
        session.tick();
        if until.is_some_and(|until| until <= Instant::now()) {
            return Ok(());
        }
    }
}
