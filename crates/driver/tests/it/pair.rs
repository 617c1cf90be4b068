//! Two connections that signal to each other in memory.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use esp_driver::{Connection, Driver, DriverConfig};
use esp_peer::{
    Certificate, ChannelConfig, ChannelInfo, Handler, Notice, PeerConfig, PeerConnection, State,
};
use esp_wire::{AudioInfo, Codec, DataFrame, DataKind, Direction, Frame, Role, Signal, VideoInfo};

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a handler was told.
#[derive(Debug, PartialEq)]
pub(crate) enum Told {
    State(State),
    Open(ChannelInfo),
    Closed(u16),
    Data(u16, DataKind, Vec<u8>),
    Audio(Vec<u8>),
    Video(Vec<u8>),
    Part(u16, Vec<u8>, bool),
    Writable(u16),
    ServerFailed(String, String),
    Low(u16),
}

type Hook = Box<dyn FnMut(&Told) + Send>;

/// A handler that passes on what it is told, and signals on to the other side.
struct Teller {
    told: Sender<Told>,
    to: Sender<Signal<'static>>,
    hook: Option<Hook>,
}

impl Teller {
    fn tell(&mut self, told: Told) {
        if let Some(hook) = &mut self.hook {
            hook(&told);
        }
        let _ = self.told.send(told);
    }
}

impl Handler for Teller {
    fn on_state(&mut self, state: State) {
        self.tell(Told::State(state));
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        let _ = self.to.send(msg.into_owned());
    }

    fn on_audio_data(&mut self, frame: Frame<'_>) {
        self.tell(Told::Audio(frame.data.to_vec()));
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        self.tell(Told::Video(frame.data.to_vec()));
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.tell(Told::Open(channel.clone()));
    }

    fn on_channel_close(&mut self, channel: &ChannelInfo) {
        self.tell(Told::Closed(channel.stream_id));
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.tell(Told::Data(frame.stream_id, frame.kind, frame.data.to_vec()));
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        if let Notice::ServerFailed { url, reason } = notice {
            self.tell(Told::ServerFailed(url.to_string(), reason.to_string()));
        }
    }

    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {
        self.tell(Told::Part(part.stream_id, part.data.to_vec(), last));
    }

    fn on_buffered_amount_low(&mut self, stream_id: u16) {
        self.tell(Told::Low(stream_id));
    }

    fn on_writable(&mut self, stream_id: u16) {
        self.tell(Told::Writable(stream_id));
    }
}

/// One end of a pair.
pub(crate) struct End {
    pub(crate) connection: Arc<Connection>,
    told: Receiver<Told>,
    signals: Mutex<Option<Receiver<Signal<'static>>>>,
}

impl End {
    /// Waits for something that fits; what does not is thrown away.
    pub(crate) fn wait<T>(&self, mut fits: impl FnMut(Told) -> Option<T>) -> T {
        loop {
            let Ok(told) = self.told.recv_timeout(PATIENCE) else {
                panic!("it was never told: {:#?}", self.connection.query());
            };
            if let Some(found) = fits(told) {
                return found;
            }
        }
    }

    /// Waits until the handler is gone.
    pub(crate) fn wait_gone(&self) {
        while self
            .told
            .recv_timeout(PATIENCE)
            .map_err(|why| assert_eq!(why, RecvTimeoutError::Disconnected))
            .is_ok()
        {}
    }

    pub(crate) fn wait_state(&self, state: State) {
        self.wait(|told| (told == Told::State(state)).then_some(()));
    }

    pub(crate) fn wait_channel(&self) -> ChannelInfo {
        self.wait(|told| match told {
            Told::Open(channel) => Some(channel),
            _ => None,
        })
    }

    pub(crate) fn wait_data(&self) -> Vec<u8> {
        self.wait(|told| match told {
            Told::Data(_, _, data) => Some(data),
            _ => None,
        })
    }
}

pub(crate) fn config(role: Role) -> PeerConfig {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    let certificate = CERTIFICATE.get_or_init(|| Certificate::generate().unwrap());
    let mut config = PeerConfig::default()
        .with_role(role)
        .with_audio(
            Direction::SendRecv,
            vec![AudioInfo {
                codec: Codec::Opus,
                sample_rate: 48_000,
                channels: 1,
            }],
        )
        .with_video(
            Direction::SendRecv,
            vec![VideoInfo {
                codec: Codec::H264,
                width: 640,
                height: 480,
                fps: 25,
            }],
        )
        .with_data_channels(false)
        .with_certificate(certificate.clone())
        .with_loopback();
    config.automatic_channel = ChannelConfig::new("data");
    // A machine that takes its time is no failure.
    config.connect_timeout = PATIENCE;
    config
}

pub(crate) type Open<'a> = &'a dyn Fn(PeerConfig, Box<dyn Handler>) -> Connection;

/// Two ends with these hooks; signals are carried by threads that end with them.
pub(crate) fn ends(open: Open<'_>, hooks: [Option<Hook>; 2]) -> [End; 2] {
    let (to_a, from_b) = channel();
    let (to_b, from_a) = channel();
    let [hook_a, hook_b] = hooks;
    let end = |role, to, from, hook| {
        let (teller, told) = channel();
        let handler = Teller {
            told: teller,
            to,
            hook,
        };
        End {
            connection: Arc::new(open(config(role), Box::new(handler))),
            told,
            signals: Mutex::new(Some(from)),
        }
    };
    [
        end(Role::Controlling, to_b, from_b, hook_a),
        end(Role::Controlled, to_a, from_a, hook_b),
    ]
}

/// Begins on both ends and carries signals for as long as they live.
pub(crate) fn begin(ends: &[End; 2]) {
    begin_through(ends, |_, signal| signal);
}

/// The same with signals that are changed on their way, by the number of the end that says them.
pub(crate) fn begin_through(
    ends: &[End; 2],
    change: impl Fn(usize, Signal<'static>) -> Signal<'static> + Clone + Send + 'static,
) {
    for (number, end) in ends.iter().enumerate().rev() {
        end.connection.new_connection().unwrap();
        if let Some(signals) = end.signals.lock().unwrap().take() {
            let change = change.clone();
            let connection = Arc::downgrade(&end.connection);
            std::thread::spawn(move || {
                for signal in signals {
                    let Some(connection) = connection.upgrade() else {
                        return;
                    };
                    // After the end, nobody takes it any more.
                    let _ = connection.send_msg(&change(1 - number, signal));
                }
            });
        }
    }
}

pub(crate) fn driver() -> Driver {
    Driver::start(DriverConfig::default()).unwrap()
}

/// Two connected ends on a driver of their own.
pub(crate) fn connected(hooks: [Option<Hook>; 2]) -> (Driver, [End; 2]) {
    let driver = driver();
    let pair = ends(
        &|config, handler| driver.open(config, handler).unwrap(),
        hooks,
    );
    begin(&pair);
    for end in &pair {
        end.wait_state(State::Connected);
    }
    (driver, pair)
}
