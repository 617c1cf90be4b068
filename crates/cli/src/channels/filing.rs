//! Files on the `file` channel, both ways.
//!
//! 1. A header gives name and size; the bytes follow.
//! 2. Now and then the receiver tells how much it has, and in the end that it has all, or why it does not want it.
//! 3. Then the sender's next file has its turn.

use esp_webrtc::wire::DataKind;
use serde_json::{Value, json};

use super::Desk;
use crate::inputs::Said;

/// A word about progress after this many bytes.
const PROGRESS: u64 = 1 << 20;

impl Desk {
    pub(super) fn on_file_text(&mut self, id: u16, text: &[u8]) {
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

    pub(super) fn on_file_bytes(&mut self, id: u16, bytes: &[u8]) {
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

    fn is_sending(&self, id: u16) -> bool {
        self.files
            .front()
            .is_some_and(|file| file.stream_id == Some(id))
    }

    pub(super) fn pump_files(&mut self) {
        let id = self.find("file");
        while let (Some(file), Some(peer)) = (self.files.front_mut(), &self.peer) {
            file.stream_id = file.stream_id.or(id);
            match file.pump(&**peer) {
                Ok(()) => return,
                Err(reason) => self.file_failed(&reason),
            }
        }
    }

    pub(super) fn file_failed(&mut self, reason: &str) {
        if let Some(file) = self.files.pop_front() {
            self.inbox.say(Said::FileFailed {
                name: file.name,
                reason: reason.to_owned(),
            });
        }
    }
}
