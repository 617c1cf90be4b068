//! Data channels: `chat` carries lines, `file` carries files, `echo` gives back what it gets.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use esp_webrtc::peer::{ChannelConfig, ChannelInfo, Error};
use esp_webrtc::wire::{DataFrame, DataKind};
use esp_webrtc::{ChannelHandler, PeerConnection};
use serde_json::{Value, json};

use crate::files::{Incoming, Store};
use crate::inputs::{Inbox, Said};
use crate::outgoing::Outgoing;
use crate::trial::Trial;

/// What waits to be sent on a channel at most; a peer that does not read loses the channel.
const MOST_BYTES: usize = 8 << 20;
const MOST_MESSAGES: usize = 1_024;
/// A word about progress after this many bytes.
const PROGRESS: u64 = 1 << 20;
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

    fn on_file_text(&mut self, id: u16, text: &[u8]) {
        let Ok(message) = serde_json::from_slice::<Value>(text) else {
            return;
        };
        let word = |name: &str| message.get(name).and_then(Value::as_str);
        match word("type") {
            Some("file") => {
                let name = word("name").unwrap_or_default();
                match message.get("size").and_then(Value::as_u64) {
                    Some(size) => self.on_header(id, name, size),
                    None => self.refuse(id, name, "the header gives no size"),
                }
            }
            Some("cancel") => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.incoming = None;
                }
            }
            Some("done") if self.is_sending(id) => {
                if let Some(file) = self.files.pop_front() {
                    self.inbox.say(Said::FileSent {
                        name: file.name,
                        bytes: file.size,
                    });
                }
                self.pump_files();
            }
            Some("refused") if self.is_sending(id) => {
                let reason = word("reason").unwrap_or("refused").to_owned();
                self.file_failed(&reason);
                self.pump_files();
            }
            _ => {}
        }
    }

    fn on_header(&mut self, id: u16, name: &str, size: u64) {
        if let Some(channel) = self.channels.get_mut(&id) {
            // The one before was not finished: it leaves nothing.
            channel.incoming = None;
            channel.told = 0;
        }
        let Some(store) = &self.store else {
            return self.refuse(id, name, "files are not kept here (--files DIR keeps them)");
        };
        match store.begin(name, size) {
            Ok(incoming) => {
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.incoming = Some(incoming);
                }
                self.on_file_bytes(id, &[]);
            }
            Err(reason) => self.refuse(id, name, &reason),
        }
    }

    fn on_file_bytes(&mut self, id: u16, bytes: &[u8]) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        // What follows a refusal is dropped up to the next header.
        let Some(mut incoming) = channel.incoming.take() else {
            return;
        };
        if let Err(reason) = incoming.write(bytes) {
            let name = incoming.name().to_owned();
            return self.refuse(id, &name, &reason);
        }
        let received = incoming.received();
        if !incoming.is_whole() {
            channel.incoming = Some(incoming);
            if received - channel.told >= PROGRESS {
                channel.told = received;
                self.answer(id, &json!({ "type": "progress", "received": received }));
            }
            return;
        }
        let name = incoming.name().to_owned();
        match incoming.keep() {
            Ok(path) => {
                self.answer(id, &json!({ "type": "done", "received": received }));
                self.inbox.say(Said::FileKept {
                    name,
                    bytes: received,
                    path,
                });
            }
            Err(reason) => self.refuse(id, &name, &reason),
        }
    }

    fn refuse(&mut self, id: u16, name: &str, reason: &str) {
        self.answer(id, &json!({ "type": "refused", "reason": reason }));
        self.inbox.say(Said::FileRefused {
            name: name.chars().take(200).collect(),
            reason: reason.to_owned(),
        });
    }

    fn answer(&mut self, id: u16, message: &Value) {
        self.send(id, DataKind::Text, message.to_string().as_bytes());
    }

    /// Sends a message, behind those that wait.
    fn send(&mut self, id: u16, kind: DataKind, data: &[u8]) {
        let (Some(channel), Some(peer)) = (self.channels.get_mut(&id), &self.peer) else {
            return;
        };
        if channel.waiting.is_empty() {
            let frame = DataFrame {
                kind,
                stream_id: id,
                data,
            };
            if peer.send_data(frame) != Err(Error::WouldBlock) {
                return;
            }
        }
        channel.waiting_bytes += data.len();
        channel.waiting.push_back((kind, data.to_vec()));
        if channel.waiting_bytes > MOST_BYTES || channel.waiting.len() > MOST_MESSAGES {
            let _ = peer.close_data_channel(id);
            channel.waiting.clear();
            channel.waiting_bytes = 0;
        }
    }

    fn flush(&mut self, id: u16) {
        let (Some(channel), Some(peer)) = (self.channels.get_mut(&id), &self.peer) else {
            return;
        };
        while let Some((kind, data)) = channel.waiting.front() {
            let frame = DataFrame {
                kind: *kind,
                stream_id: id,
                data,
            };
            if peer.send_data(frame) == Err(Error::WouldBlock) {
                return;
            }
            channel.waiting_bytes -= data.len();
            channel.waiting.pop_front();
        }
    }

    fn is_sending(&self, id: u16) -> bool {
        self.files
            .front()
            .is_some_and(|file| file.stream_id == Some(id))
    }

    fn pump_files(&mut self) {
        let id = self.find("file");
        while let (Some(file), Some(peer)) = (self.files.front_mut(), &self.peer) {
            file.stream_id = file.stream_id.or(id);
            match file.pump(&**peer) {
                Ok(()) => return,
                Err(reason) => self.file_failed(&reason),
            }
        }
    }

    fn file_failed(&mut self, reason: &str) {
        if let Some(file) = self.files.pop_front() {
            self.inbox.say(Said::FileFailed {
                name: file.name,
                reason: reason.to_owned(),
            });
        }
    }
}
