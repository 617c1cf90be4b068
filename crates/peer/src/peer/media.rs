//! What an application does with sound and pictures.

use esp_rtp::TrackId;
use esp_wire::{Frame, Instant, Kind};

use super::Peer;
use crate::transformer::Shared;
use crate::{Error, RtpTransformer, TransformerSide};

impl Peer {
    /// Sends one packet of sound; errors as [`PeerConnection::send_audio`](crate::PeerConnection::send_audio).
    pub fn send_audio(&mut self, now: Instant, frame: Frame<'_>) -> Result<(), Error> {
        self.send_frame(now, Kind::Audio, frame)
    }

    /// Sends one picture; errors as [`PeerConnection::send_video`](crate::PeerConnection::send_video).
    pub fn send_video(&mut self, now: Instant, frame: Frame<'_>) -> Result<(), Error> {
        self.send_frame(now, Kind::Video, frame)
    }

    fn send_frame(&mut self, now: Instant, kind: Kind, frame: Frame<'_>) -> Result<(), Error> {
        let call = self.connected()?;
        let track = call
            .tracks
            .of(kind)
            .ok_or(Error::NotSupported("the peer takes no such track"))?;
        call.rtp
            .as_mut()
            .ok_or(Error::NotSupported("no sound or pictures were agreed on"))?
            .send_frame(now, track, frame)
            .map_err(|error| match error {
                esp_rtp::Error::WouldBlock => Error::WouldBlock,
                other => Error::InvalidArgument(other.to_string()),
            })
    }

    /// Asks the peer's encoder for a key frame.
    pub fn request_keyframe(&mut self, now: Instant) -> Result<(), Error> {
        let call = self.connected()?;
        let track: TrackId = call
            .tracks
            .video
            .ok_or(Error::NotSupported("no pictures were agreed on"))?;
        call.rtp
            .as_mut()
            .ok_or(Error::NotSupported("no pictures were agreed on"))?
            .request_keyframe(now, track)
            .map_err(|error| Error::Failed(error.to_string()))
    }

    /// Installs a hook on frames; it stays for later connections.
    pub fn set_rtp_transformer(
        &mut self,
        side: TransformerSide,
        transformer: Option<Box<dyn RtpTransformer>>,
    ) -> Result<(), Error> {
        let shared = transformer.map(Shared::new);
        if let Some(rtp) = self.call.as_mut().and_then(|call| call.rtp.as_mut()) {
            let handle = shared
                .clone()
                .map(|shared| Box::new(shared) as Box<dyn RtpTransformer>);
            rtp.set_transformer(side, handle);
        }
        match side {
            TransformerSide::Sender => self.sender = shared,
            TransformerSide::Receiver => self.receiver = shared,
        }
        Ok(())
    }
}
