//! Two ends that are connected over loopback, and what they are told.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use esp_driver::{Connection, Driver};
use esp_peer::ice::InterfaceFilter;
use esp_peer::{
    Certificate, ChannelConfig, ChannelInfo, DtlsVersions, Handler, PeerConfig, PeerConnection,
    State,
};
use esp_wire::{Codec, DataFrame, Direction, Frame, Role, Signal, VideoInfo};

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What one end was told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) opened: VecDeque<u16>,
    pub(crate) connected: bool,
    pub(crate) bytes: u64,
    pub(crate) frames: u64,
    /// A channel that was full takes messages again.
    pub(crate) writable: bool,
}

#[derive(Clone, Default)]
pub(crate) struct Ear(Arc<(Mutex<Told>, Condvar)>);

impl Ear {
    /// Until the answer is dropped nothing can be told: the application is busy.
    pub(crate) fn close(&self) -> MutexGuard<'_, Told> {
        self.0.0.lock().unwrap()
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Told) -> T) -> T {
        look(&mut self.0.0.lock().unwrap())
    }

    fn note(&self, change: impl FnOnce(&mut Told)) {
        self.look(change);
        self.0.1.notify_all();
    }

    /// Waits until something fits that was told.
    pub(crate) fn wait<T>(&self, mut fits: impl FnMut(&mut Told) -> Option<T>) -> T {
        let mut told = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = fits(&mut told) {
                return found;
            }
            let (again, timeout) = self.0.1.wait_timeout(told, PATIENCE).unwrap();
            assert!(!timeout.timed_out(), "it was never told");
            told = again;
        }
    }
}

struct Teller {
    ear: Ear,
    other: Arc<OnceLock<Weak<Connection>>>,
}

impl Handler for Teller {
    fn on_msg(&mut self, msg: Signal<'_>) {
        if let Some(other) = self.other.get().and_then(Weak::upgrade) {
            // After the end nobody takes it any more.
            let _ = other.send_msg(&msg);
        }
    }

    fn on_state(&mut self, state: State) {
        self.ear
            .note(|told| told.connected |= state == State::Connected);
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.ear
            .note(|told| told.opened.push_back(channel.stream_id));
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.ear.note(|told| told.bytes += frame.data.len() as u64);
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        self.ear.note(|told| {
            told.frames += 1;
            told.bytes += frame.data.len() as u64;
        });
    }

    fn on_writable(&mut self, _: u16) {
        self.ear.note(|told| told.writable = true);
    }
}

pub(crate) struct End {
    pub(crate) connection: Arc<Connection>,
    pub(crate) ear: Ear,
}

/// What two ends are to carry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wish {
    /// Data channels; one is open at once.
    Data,
    /// Pictures both ways.
    Pictures,
}

fn config(wish: Wish, role: Role, certificate: &Certificate, dtls: DtlsVersions) -> PeerConfig {
    let mut config = PeerConfig::default()
        .with_role(role)
        .with_certificate(certificate.clone())
        .with_dtls(dtls)
        .with_loopback();
    config.ice.interfaces = InterfaceFilter::Only(vec!["lo".into()]);
    config.ice.ipv6 = false;
    config.automatic_channel = ChannelConfig::new("data");
    if wish == Wish::Data {
        return config.with_data_channels(false);
    }
    // Nothing waits for the clock: the test says when the next picture comes.
    config.rtp = config.rtp.with_pacing(2_000_000_000, 256 * 1024);
    let video = VideoInfo {
        codec: Codec::H264,
        width: 640,
        height: 480,
        fps: 30,
    };
    config.with_video(Direction::SendRecv, vec![video])
}

/// Two ends that are connected, for data with an open channel, which is the second value.
pub(crate) fn pair(
    driver: &Driver,
    certificate: &Certificate,
    dtls: DtlsVersions,
    wish: Wish,
) -> ([End; 2], u16) {
    let others = [Arc::new(OnceLock::new()), Arc::new(OnceLock::new())];
    let end = |at: usize, role| {
        let ear = Ear::default();
        let teller = Teller {
            ear: ear.clone(),
            other: Arc::clone(&others[1 - at]),
        };
        let config = config(wish, role, certificate, dtls);
        let connection = Arc::new(driver.open(config, Box::new(teller)).unwrap());
        others[at].set(Arc::downgrade(&connection)).unwrap();
        End { connection, ear }
    };
    let ends = [end(0, Role::Controlling), end(1, Role::Controlled)];
    for end in ends.iter().rev() {
        end.connection.new_connection().unwrap();
    }
    let stream_ids = ends.each_ref().map(|end| match wish {
        Wish::Data => end.ear.wait(|told| told.opened.pop_front()),
        Wish::Pictures => end.ear.wait(|told| told.connected.then_some(0)),
    });
    (ends, stream_ids[0])
}
