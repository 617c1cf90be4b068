//! Data channels: `chat` carries lines, `file` carries files, `echo` gives back what it gets.

mod filing;
mod waiting;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use esp_webrtc::peer::{ChannelConfig, ChannelInfo};
use esp_webrtc::wire::{DataFrame, DataKind};
use esp_webrtc::{ChannelHandler, PeerConnection};

use crate::files::{Incoming, Store};
use crate::inputs::{Inbox, Said};
use crate::outgoing::Outgoing;
use crate::trial::Trial;

/// Files that wait for their turn.
const MOST_FILES: usize = 64;

/// The channels of a session, in every connection it has.
#[derive(Clone)]
pub(crate) struct Channels {
    desk: Arc<Mutex<Desk>>,
}

/// Hears of channels on a delivery thread.
pub(crate) struct Ear {
    desk: Arc<Mutex<Desk>>,
}

struct Desk {
    inbox: Inbox,
    store: Option<Store>,
    channels: HashMap<u16, Channel>,
    peer: Option<Arc<dyn PeerConnection>>,
    files: VecDeque<Outgoing>,
    trial: Option<Trial>,
    /// The subprotocol of the trial's channel: the peer may have a trial of its own.
    trial_protocol: String,
    trial_id: Option<u16>,
}

struct Channel {
    label: String,
    waiting: VecDeque<(DataKind, Vec<u8>)>,
    waiting_bytes: usize,
    incoming: Option<Incoming>,
    told: u64,
}

impl Channels {
    /// No channels yet; files go to `store`, `trial` runs on a channel of its own.
    pub(crate) fn new(inbox: Inbox, store: Option<Store>, trial: Option<Trial>) -> Self {
        let desk = Desk {
            inbox,
            store,
            channels: HashMap::new(),
            peer: None,
            files: VecDeque::new(),
            trial,
            // The standard library's only random source: every RandomState has other keys.
            trial_protocol: format!("trial-{:x}", RandomState::new().build_hasher().finish()),
            trial_id: None,
        };
        Channels {
            desk: Arc::new(Mutex::new(desk)),
        }
    }

    /// What the solution tells of channels.
    pub(crate) fn ear(&self) -> Box<Ear> {
        Box::new(Ear {
            desk: Arc::clone(&self.desk),
        })
    }

    /// Opens these channels of ours.
    pub(crate) fn open(&self, peer: &dyn PeerConnection, labels: &[&str]) -> Result<(), String> {
        let protocol = locked(&self.desk).trial_protocol.clone();
        for label in labels {
            let mut config = ChannelConfig::new(*label);
            if *label == "echo" {
                config = config.with_protocol(&protocol);
            }
            peer.create_data_channel(config)
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// Sends a line of chat.
    pub(crate) fn chat(&self, text: &str) -> Result<(), String> {
        let desk = locked(&self.desk);
        let (Some(id), Some(peer)) = (desk.find("chat"), &desk.peer) else {
            return Err("there is nobody to chat with".into());
        };
        let frame = DataFrame {
            kind: DataKind::Text,
            stream_id: id,
            data: text.as_bytes(),
        };
        peer.send_data(frame).map_err(|error| error.to_string())
    }

    /// Sends a file, now or when there is a channel for it.
    pub(crate) fn send_file(&self, path: &Path) -> Result<(), String> {
        let file = Outgoing::open(path)?;
        let mut desk = locked(&self.desk);
        if desk.files.len() >= MOST_FILES {
            return Err("too many files are waiting".into());
        }
        desk.files.push_back(file);
        desk.pump_files();
        Ok(())
    }

    /// Whether files wait for a channel or an answer.
    pub(crate) fn has_files(&self) -> bool {
        !locked(&self.desk).files.is_empty()
    }

    /// The connection has ended, and all channels with it.
    pub(crate) fn lost(&self) {
        locked(&self.desk).lost();
    }
}

fn locked(desk: &Mutex<Desk>) -> MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChannelHandler for Ear {
    fn on_open(&mut self, channel: &ChannelInfo, peer: &Arc<dyn PeerConnection>) {
        let mut desk = locked(&self.desk);
        desk.peer = Some(Arc::clone(peer));
        let id = channel.stream_id;
        desk.channels.insert(
            id,
            Channel {
                label: channel.label.clone(),
                waiting: VecDeque::new(),
                waiting_bytes: 0,
                incoming: None,
                told: 0,
            },
        );
        desk.inbox.say(Said::Opened {
            label: channel.label.clone(),
            id,
        });
        if channel.label == "echo" && channel.protocol == desk.trial_protocol {
            desk.trial_id = Some(id);
            desk.pump_trial();
        }
        desk.pump_files();
    }

    fn on_data(&mut self, frame: DataFrame<'_>, _: &Arc<dyn PeerConnection>) {
        locked(&self.desk).on_data(frame);
    }

    fn on_writable(&mut self, id: u16, _: &Arc<dyn PeerConnection>) {
        let mut desk = locked(&self.desk);
        desk.flush(id);
        desk.pump_trial();
        desk.pump_files();
    }

    fn on_close(&mut self, channel: &ChannelInfo) {
        let mut desk = locked(&self.desk);
        let id = channel.stream_id;
        let Some(closed) = desk.channels.remove(&id) else {
            return;
        };
        desk.inbox.say(Said::Closed {
            label: closed.label,
            id,
        });
        let sending = |file: &Outgoing| file.stream_id == Some(id);
        if desk.files.front().is_some_and(sending) {
            desk.file_failed("the channel was closed");
        }
    }
}

impl Desk {
    /// The channel with this label; of two, the one that was opened first.
    fn find(&self, label: &str) -> Option<u16> {
        let labelled = self
            .channels
            .iter()
            .filter(|(_, channel)| channel.label == label);
        labelled.map(|(id, _)| *id).min()
    }

    fn lost(&mut self) {
        self.channels.clear();
        self.peer = None;
        self.trial_id = None;
        if self
            .files
            .front()
            .is_some_and(|file| file.stream_id.is_some())
        {
            self.file_failed("the connection was lost");
        }
        if let Some(trial) = &mut self.trial {
            trial.rewind();
        }
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        let id = frame.stream_id;
        let Some(channel) = self.channels.get(&id) else {
            return;
        };
        match (channel.label.as_str(), frame.kind) {
            ("echo", _) if self.trial_id == Some(id) => self.on_echo(frame.data),
            ("echo", kind) => self.send(id, kind, frame.data),
            ("file", DataKind::Text) => self.on_file_text(id, frame.data),
            ("file", DataKind::Binary) => self.on_file_bytes(id, frame.data),
            (label, DataKind::Text) => self.inbox.say(Said::Text {
                label: label.to_owned(),
                text: String::from_utf8_lossy(&frame.data[..frame.data.len().min(16_384)])
                    .into_owned(),
            }),
            (label, DataKind::Binary) => self.inbox.say(Said::Binary {
                label: label.to_owned(),
                bytes: frame.data.len(),
            }),
        }
    }

    fn on_echo(&mut self, data: &[u8]) {
        let Some(trial) = &mut self.trial else { return };
        match trial.echo(data) {
            Ok(None) => self.pump_trial(),
            Ok(Some(verified)) => {
                self.trial = None;
                self.inbox.say(Said::Verified(verified));
            }
            Err(reason) => {
                self.trial = None;
                self.inbox.say(Said::Different { reason });
            }
        }
    }

    fn pump_trial(&mut self) {
        if let (Some(trial), Some(peer), Some(id)) = (&mut self.trial, &self.peer, self.trial_id)
            && let Err(reason) = trial.pump(id, &**peer)
        {
            self.trial = None;
            self.inbox.say(Said::Different { reason });
        }
    }
}
