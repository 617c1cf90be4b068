//! Where the peer connections of a solution come from: a driver of ours, or a table of the program's own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use esp_driver::{Driver, DriverConfig};
use esp_peer::{
    ChannelInfo, Error, Handler, NegotiatedMedia, Notice, PeerConfig, PeerConnection, State,
};
use esp_webrtc::wire::{AudioInfo, Codec, DataFrame, Frame, Signal, VideoInfo};

use super::config::{Config, PeerSource};
use super::table_peer::TablePeer;
use crate::border::Outcome;
use crate::peer::default::callbacks::Channels;
use crate::peer::default::settings::Settings;
use crate::peer::default::{self, table};
use crate::peer::types::esp_peer_handle_t;
use crate::peer::{self};

/// The peer connection of a start of a solution, while there is one.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Open>>>);

struct Open {
    connection: Arc<dyn PeerConnection>,
    /// What the program calls it.
    handle: usize,
    /// The handle below it, where the implementation is ours.
    ours: Option<usize>,
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection.
    pub(super) fn connection(&self) -> Option<Arc<dyn PeerConnection>> {
        self.lock()
            .as_ref()
            .map(|open| Arc::clone(&open.connection))
    }

    /// What the program calls it.
    pub(super) fn handle(&self) -> Option<esp_peer_handle_t> {
        let open = self.lock();
        open.as_ref()
            .map(|open| std::ptr::without_provenance_mut(open.handle))
    }

    fn put(&self, open: Open) {
        self.empty();
        *self.lock() = Some(open);
    }

    /// Takes the handles back.
    pub(super) fn empty(&self) {
        let Some(open) = self.lock().take() else {
            return;
        };
        peer::take_back(std::ptr::without_provenance_mut(open.handle));
        if let Some(ours) = open.ours {
            default::take_back(std::ptr::without_provenance_mut(ours));
        }
    }
}

/// Opens the peer connections of one start.
pub(super) struct Opener {
    config: Arc<Config>,
    channels: Channels,
    slot: Slot,
    /// For ours.
    driver: Option<Driver>,
}

impl Opener {
    pub(super) fn new(config: Arc<Config>, channels: Channels, slot: Slot) -> Outcome<Self> {
        let driver = match &config.peer {
            PeerSource::Ours(settings) => {
                // One peer is all that it carries.
                let driver = DriverConfig {
                    delivery_threads: 1,
                    ..settings.driver.clone()
                };
                let started = Driver::start(driver);
                Some(started.map_err(|error| Error::Failed(error.to_string()))?)
            }
            PeerSource::Theirs(_) => None,
        };
        Ok(Opener {
            config,
            channels,
            slot,
            driver,
        })
    }

    pub(super) fn open(
        &mut self,
        config: PeerConfig,
        handler: Box<dyn Handler>,
    ) -> Result<Arc<dyn PeerConnection>, Error> {
        let pictures = self.config.pictures.is_some();
        let handler: Box<dyn Handler> = match pictures {
            true => Box::new(ByChannel(handler)),
            false => handler,
        };
        match (&self.config.peer, &self.driver) {
            (PeerSource::Theirs(theirs), _) => {
                let (peer, inner) =
                    TablePeer::open(theirs, &config, handler, self.channels.clone())?;
                let handle = peer::lend(theirs.ops, inner);
                let connection: Arc<dyn PeerConnection> = peer;
                self.slot.put(Open {
                    connection: Arc::clone(&connection),
                    handle: handle.addr(),
                    ours: None,
                });
                Ok(connection)
            }
            (PeerSource::Ours(settings), Some(driver)) => {
                let opened = driver.open(ours(settings, &config), handler)?;
                let connection: Arc<dyn PeerConnection> = Arc::new(opened);
                let inner = default::lend(Arc::clone(&connection), self.channels.clone());
                let handle = peer::lend(table::this(), inner);
                self.slot.put(Open {
                    connection: Arc::clone(&connection),
                    handle: handle.addr(),
                    ours: Some(inner.addr()),
                });
                Ok(connection)
            }
            (PeerSource::Ours(_), None) => Err(Error::Failed("there is no driver".into())),
        }
    }
}

/// What the program asked for, with what the solution knows better.
fn ours(settings: &Settings, known: &PeerConfig) -> PeerConfig {
    let mut peer = settings.peer.clone();
    peer.role = known.role;
    peer.servers.clone_from(&known.servers);
    peer.trickle = known.trickle;
    peer.h264_profile_level = known.h264_profile_level;
    peer.ice.include_loopback |= default::loopback();
    peer.certificate = default::take_certificate();
    peer
}

/// A handler that hears pictures agreed on where they go by a data channel.
struct ByChannel(Box<dyn Handler>);

impl Handler for ByChannel {
    fn on_negotiated(&mut self, media: NegotiatedMedia) {
        self.0.on_negotiated(NegotiatedMedia {
            video: Some(Codec::Mjpeg),
            ..media
        });
    }

    fn on_state(&mut self, state: State) {
        self.0.on_state(state);
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        self.0.on_msg(msg);
    }

    fn on_audio_info(&mut self, info: AudioInfo) {
        self.0.on_audio_info(info);
    }

    fn on_audio_data(&mut self, frame: Frame<'_>) {
        self.0.on_audio_data(frame);
    }

    fn on_video_info(&mut self, info: VideoInfo) {
        self.0.on_video_info(info);
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        self.0.on_video_data(frame);
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.0.on_channel_open(channel);
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.0.on_data(frame);
    }

    fn on_data_part(&mut self, part: DataFrame<'_>, last: bool) {
        self.0.on_data_part(part, last);
    }

    fn on_channel_close(&mut self, channel: &ChannelInfo) {
        self.0.on_channel_close(channel);
    }

    fn on_writable(&mut self, stream_id: u16) {
        self.0.on_writable(stream_id);
    }

    fn on_buffered_amount_low(&mut self, stream_id: u16) {
        self.0.on_buffered_amount_low(stream_id);
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        self.0.on_notice(notice);
    }
}
