//! Bytes that are sent over an `echo` channel and must come back the same.

use std::time::{Duration, Instant};

use esp_webrtc::PeerConnection;
use esp_webrtc::peer::Error;
use esp_webrtc::wire::{DataFrame, DataKind};

/// What may be on its way at a time, beside one message.
const AHEAD: u64 = 2 << 20;

/// A trial of the channel.
pub(crate) struct Trial {
    total: u64,
    message: u64,
    sent: u64,
    sent_messages: u64,
    echoed: u64,
    echoed_messages: u64,
    began: Option<Instant>,
    buffer: Vec<u8>,
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub(crate) bytes: u64,
    pub(crate) messages: u64,
    pub(crate) took: Duration,
}

impl Trial {
    /// `total` bytes in messages of `message` bytes; no bytes are one empty message.
    pub(crate) fn new(total: u64, message: u64) -> Self {
        Trial {
            total,
            message: message.clamp(1, u64::from(u32::MAX)),
            sent: 0,
            sent_messages: 0,
            echoed: 0,
            echoed_messages: 0,
            began: None,
            buffer: Vec::new(),
        }
    }

    /// Begins anew, on another connection.
    pub(crate) fn rewind(&mut self) {
        *self = Trial::new(self.total, self.message);
    }

    fn messages(&self) -> u64 {
        self.total.div_ceil(self.message).max(1)
    }

    /// Sends what may be sent now; or says why it cannot go on.
    pub(crate) fn pump(&mut self, stream_id: u16, peer: &dyn PeerConnection) -> Result<(), String> {
        self.began.get_or_insert_with(Instant::now);
        while self.sent_messages < self.messages() {
            let size = self.message.min(self.total - self.sent);
            if self.sent > self.echoed && self.sent - self.echoed + size > AHEAD.max(self.message) {
                return Ok(());
            }
            pattern(self.sent, size, &mut self.buffer);
            let frame = DataFrame {
                kind: DataKind::Binary,
                stream_id,
                data: &self.buffer,
            };
            match peer.send_data(frame) {
                Ok(()) => {}
                Err(Error::WouldBlock) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
            self.sent += size;
            self.sent_messages += 1;
        }
        Ok(())
    }

    /// Takes a message that came back; once all are there, what came of it.
    pub(crate) fn echo(&mut self, data: &[u8]) -> Result<Option<Verified>, String> {
        let size = self.message.min(self.total - self.echoed);
        pattern(self.echoed, size, &mut self.buffer);
        if self.echoed_messages == self.sent_messages || data != self.buffer {
            return Err(format!(
                "message {} came back different: {} bytes instead of {size}",
                self.echoed_messages + 1,
                data.len(),
            ));
        }
        self.echoed += size;
        self.echoed_messages += 1;
        Ok((self.echoed_messages == self.messages()).then(|| Verified {
            bytes: self.total,
            messages: self.echoed_messages,
            took: self.began.map(|began| began.elapsed()).unwrap_or_default(),
        }))
    }
}

/// `size` bytes that depend on where they stand: no two places within 4 GiB look alike for long.
fn pattern(from: u64, size: u64, buffer: &mut Vec<u8>) {
    let byte = |at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    buffer.clear();
    buffer.extend((from..from + size).map(byte));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(total: u64, message: u64, sent: u64) -> Trial {
        Trial {
            sent: sent * message,
            sent_messages: sent,
            ..Trial::new(total, message)
        }
    }

    #[test]
    fn what_comes_back_is_checked() {
        let mut bytes = Vec::new();
        let mut trial = sent(10, 4, 3);
        pattern(0, 4, &mut bytes);
        assert_eq!(trial.echo(&bytes), Ok(None));
        assert!(trial.echo(&bytes).is_err());
        pattern(4, 4, &mut bytes);
        assert_eq!(trial.echo(&bytes), Ok(None));
        pattern(8, 2, &mut bytes);
        let verified = trial.echo(&bytes).unwrap().unwrap();
        assert_eq!((verified.bytes, verified.messages), (10, 3));
        assert!(trial.echo(&[]).is_err());
    }

    #[test]
    fn nothing_is_one_empty_message() {
        let mut trial = sent(0, 64, 1);
        assert_eq!(trial.messages(), 1);
        assert!(trial.echo(b"").unwrap().is_some());
        assert!(Trial::new(5, 5).echo(b"").is_err());
    }
}
