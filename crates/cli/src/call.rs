//! A plain peer: it calls whoever is in the room, and calls again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use esp_webrtc::Event;
use esp_webrtc::signaling::{AppRtc, AppRtcConfig};

use crate::arguments::Call;
use crate::failure::Failure;
use crate::inputs::{Input, Inputs, Said};
use crate::print::Printer;
use crate::session::{Plan, Session, Wish, shown};
use crate::trial::Trial;

/// Calls until told to stop, or until all is sent.
pub(crate) fn run(arguments: Call, printer: Printer) -> Result<(), Failure> {
    let config = AppRtcConfig::new(&arguments.url)
        .map_err(|error| Failure::Usage(error.to_string()))?
        .with_trust(arguments.member.trust.trust()?);
    let plan = Plan {
        room: shown(config.room_name()),
        signaling: Box::new(AppRtc::new(config)),
        url: &arguments.url,
        servers: arguments.member.servers.servers()?,
        media: &arguments.member.media,
        link: &arguments.member.link,
        trial: arguments
            .send
            .map(|total| Trial::new(total, arguments.message_size)),
        eager: true,
    };
    let inputs = Inputs::listen()?;
    let session = Session::open(plan, inputs.inbox(), printer)?;
    if let Some(path) = &arguments.send_file {
        let queued = session.channels.send_file(path);
        queued.map_err(|why| Failure::of_option("--send-file", why))?;
    }
    printer.words("A line is chat, Ctrl-C leaves. Times are UTC.");
    announce(&session, &inputs);
    session.webrtc.start();
    let mut caller = Caller {
        labels: labels(&arguments),
        unverified: arguments.send.is_some(),
        unsent: arguments.send_file.is_some(),
        errand: !arguments.stay && (arguments.send.is_some() || arguments.send_file.is_some()),
        failure: None,
        session,
    };
    let until = arguments.limit.map(|limit| Instant::now() + limit);
    caller.work(&inputs, until);
    caller.session.close();
    match caller.failure {
        Some(failure) => Err(failure),
        None if caller.errand && (caller.unverified || caller.unsent) => Err(Failure::Failed(
            "not everything was sent and confirmed".into(),
        )),
        None => Ok(()),
    }
}

/// The channels that this side opens.
fn labels(arguments: &Call) -> Vec<&'static str> {
    let mut labels = vec!["chat", "file"];
    if arguments.send.is_some() {
        labels.push("echo");
    }
    labels
}

/// Puts `ACCEPT_CALL` before every offer: what the handler asks for is done before what follows.
fn announce(session: &Session, inputs: &Inputs) {
    let inbox = inputs.inbox();
    let joined = AtomicBool::new(false);
    let webrtc = Arc::downgrade(&session.webrtc);
    session.webrtc.set_event_handler(Box::new(move |event| {
        match &event {
            Event::SignalingConnected => joined.store(true, Ordering::Relaxed),
            Event::Connecting if joined.load(Ordering::Relaxed) => {
                if let Some(webrtc) = webrtc.upgrade() {
                    webrtc.post_custom_data("ACCEPT_CALL");
                }
            }
            _ => {}
        }
        inbox.put(Input::Event(event));
    }));
}

struct Caller {
    session: Session,
    labels: Vec<&'static str>,
    /// What was asked for and is not done.
    unverified: bool,
    unsent: bool,
    /// Whether it ends once that is done.
    errand: bool,
    failure: Option<Failure>,
}

impl Caller {
    fn work(&mut self, inputs: &Inputs, until: Option<Instant>) {
        loop {
            let next = self.session.wake_at().into_iter().chain(until).min();
            match inputs.next(next) {
                Some(Input::Stop) => return,
                Some(Input::Event(event)) => self.on_event(&event),
                Some(Input::Channel(said)) => self.on_channel(said),
                Some(Input::Line(line)) => match self.session.on_line(&line) {
                    Wish::Quit => return,
                    Wish::HangUp => {
                        self.session.webrtc.hang_up();
                        self.session.printer.plain("hung_up", "hung up");
                        self.session.ended();
                    }
                    Wish::Ring | Wish::Done => {}
                },
                None => {}
            }
            self.session.tick();
            let late = until.is_some_and(|until| until <= Instant::now());
            let done = self.errand && !self.unverified && !self.unsent;
            if late || done || self.failure.is_some() {
                return;
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        self.session.on_event(event);
        match event {
            Event::DataChannelConnected => {
                let Some(peer) = self.session.webrtc.peer_connection() else {
                    return;
                };
                if let Err(reason) = self.session.channels.open(&*peer, &self.labels) {
                    self.session.notice(&format!("no channel: {reason}"));
                }
            }
            Event::SignalingClosed { reason } => {
                self.failure = Some(Failure::Failed(reason.clone()));
            }
            _ => {}
        }
    }

    fn on_channel(&mut self, said: Said) {
        self.session.on_channel(&said);
        match said {
            Said::Verified(_) => {
                self.unverified = false;
                self.labels.retain(|label| *label != "echo");
            }
            Said::Different { reason } => self.failure = Some(Failure::Failed(reason)),
            Said::FileSent { .. } => self.unsent = self.session.channels.has_files(),
            Said::FileFailed { name, reason } if self.errand => {
                self.failure = Some(Failure::Failed(format!("{name} was not sent: {reason}")));
            }
            _ => {}
        }
    }
}
