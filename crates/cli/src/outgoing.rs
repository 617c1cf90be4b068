//! A file on its way to the peer, by the protocol of the `file` channel.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use esp_webrtc::PeerConnection;
use esp_webrtc::peer::Error;
use esp_webrtc::wire::{DataFrame, DataKind};
use serde_json::json;

/// Bytes of one message.
const CHUNK: usize = 32 * 1024;

/// A file that is being sent, or waits for its turn.
pub(crate) struct Outgoing {
    pub(crate) name: String,
    pub(crate) size: u64,
    /// The channel, once it has begun.
    pub(crate) stream_id: Option<u16>,
    file: File,
    read: u64,
    chunk: Vec<u8>,
    most: usize,
    announced: bool,
}

impl Outgoing {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let about = file.metadata().map_err(|error| wrong(error.to_string()))?;
        if !about.is_file() {
            return Err(wrong("not a file".into()));
        }
        let name = path.file_name().unwrap_or_default();
        Ok(Outgoing {
            name: name.to_string_lossy().into_owned(),
            size: about.len(),
            stream_id: None,
            file,
            read: 0,
            chunk: Vec::new(),
            most: CHUNK,
            announced: false,
        })
    }

    /// Sends until the channel is full or all is sent; or says why it cannot go on.
    pub(crate) fn pump(&mut self, peer: &dyn PeerConnection) -> Result<(), String> {
        let Some(stream_id) = self.stream_id else {
            return Ok(());
        };
        if !self.announced {
            let header = json!({ "type": "file", "name": self.name, "size": self.size,
                "mime": "application/octet-stream" })
            .to_string();
            let frame = DataFrame {
                kind: DataKind::Text,
                stream_id,
                data: header.as_bytes(),
            };
            match peer.send_data(frame) {
                Ok(()) => self.announced = true,
                Err(Error::WouldBlock) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
        while !self.chunk.is_empty() || self.read < self.size {
            if self.chunk.is_empty() {
                self.fill()?;
            }
            let part = &self.chunk[..self.chunk.len().min(self.most)];
            let sent = part.len();
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data: part,
            };
            match peer.send_data(frame) {
                Ok(()) => drop(self.chunk.drain(..sent)),
                Err(Error::WouldBlock) => return Ok(()),
                Err(Error::TooLarge { limit, .. }) if limit > 0 && limit < sent => {
                    self.most = limit;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn fill(&mut self) -> Result<(), String> {
        let rest = usize::try_from(self.size - self.read).unwrap_or(usize::MAX);
        self.chunk.resize(rest.min(CHUNK), 0);
        match self.file.read_exact(&mut self.chunk) {
            Ok(()) => {
                self.read += self.chunk.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.chunk.clear();
                Err(match error.kind() {
                    ErrorKind::UnexpectedEof => "the file became shorter".into(),
                    _ => error.to_string(),
                })
            }
        }
    }
}
