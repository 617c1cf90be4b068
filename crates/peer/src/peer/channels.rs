//! What an application does with data channels.

use esp_wire::{DataFrame, DataKind, Instant};

use super::Peer;
use crate::{ChannelConfig, Error};

impl Peer {
    /// Sends one message; errors as [`PeerConnection::send_data`](crate::PeerConnection::send_data).
    pub fn send_data(&mut self, now: Instant, frame: DataFrame<'_>) -> Result<(), Error> {
        let (sctp, channel) = self.channel(frame.stream_id)?;
        sctp.send(now, channel, frame.kind, frame.data)
            .map_err(sctp_error)
    }

    /// As [`send_data`](Self::send_data), but takes the bytes over; as
    /// [`PeerConnection::send_data_owned`](crate::PeerConnection::send_data_owned).
    pub fn send_data_owned(
        &mut self,
        now: Instant,
        stream_id: u16,
        kind: DataKind,
        data: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let (sctp, channel) = self.channel(stream_id)?;
        sctp.send_owned(now, channel, kind, data)
            .map_err(sctp_error)
    }

    /// Sends one part of a message; as
    /// [`PeerConnection::send_data_part`](crate::PeerConnection::send_data_part).
    pub fn send_data_part(
        &mut self,
        now: Instant,
        part: DataFrame<'_>,
        last: bool,
    ) -> Result<(), Error> {
        let (sctp, channel) = self.channel(part.stream_id)?;
        sctp.send_part(now, channel, part.kind, part.data, last)
            .map_err(sctp_error)
    }

    /// As [`send_data_part`](Self::send_data_part), but takes the bytes over.
    pub fn send_data_part_owned(
        &mut self,
        now: Instant,
        stream_id: u16,
        kind: DataKind,
        data: &mut Vec<u8>,
        last: bool,
    ) -> Result<(), Error> {
        let (sctp, channel) = self.channel(stream_id)?;
        sctp.send_part_owned(now, channel, kind, data, last)
            .map_err(sctp_error)
    }

    /// Takes the bytes that the last [`Event::Data`](crate::Event::Data) or [`Event::DataPart`](crate::Event::DataPart) lent, without a copy; `buffer` is given
    /// for them, to be used again.
    pub fn take_data(&mut self, buffer: &mut Vec<u8>) -> bool {
        let call = self.call.as_mut();
        let sctp = call.and_then(|call| call.sctp.as_mut());
        sctp.is_some_and(|sctp| sctp.take_message(buffer))
    }

    /// Bytes of a channel's messages that have not been sent yet.
    pub fn buffered_amount(&mut self, stream_id: u16) -> Result<usize, Error> {
        let (sctp, channel) = self.channel(stream_id)?;
        Ok(sctp.buffered_amount(channel))
    }

    /// Sets where [`buffered_amount`](Self::buffered_amount) must fall for an
    /// [`Event::BufferedAmountLow`](crate::Event::BufferedAmountLow); 0 until then.
    pub fn set_buffered_amount_low_threshold(
        &mut self,
        stream_id: u16,
        bytes: usize,
    ) -> Result<(), Error> {
        let (sctp, channel) = self.channel(stream_id)?;
        sctp.set_buffered_amount_low_threshold(channel, bytes);
        Ok(())
    }

    /// The largest message that `send_data` takes, in bytes; 0 before the association is agreed on.
    pub fn max_send_message(&self) -> usize {
        self.max_send_message_in_parts().min(self.max_send_part())
    }

    /// The largest message that `send_data_part` takes, in bytes; 0 before the association is agreed on.
    pub fn max_send_message_in_parts(&self) -> usize {
        let limit = self.call.as_ref().map_or(0, |call| call.max_send_message);
        usize::try_from(limit).unwrap_or(usize::MAX)
    }

    /// The largest part that `send_data_part` takes, in bytes.
    pub fn max_send_part(&self) -> usize {
        self.config.sctp.send_buffer
    }

    /// Opens a channel; [`Event::ChannelOpen`](crate::Event::ChannelOpen) follows.
    pub fn create_data_channel(
        &mut self,
        now: Instant,
        config: ChannelConfig,
    ) -> Result<(), Error> {
        let call = self.call.as_mut();
        let sctp = call
            .and_then(|call| call.sctp.as_mut())
            .ok_or(Error::WrongState("wait until data channels are agreed on"))?;
        sctp.open_channel(now, config).map_err(sctp_error)?;
        Ok(())
    }

    /// Closes a channel; [`Event::ChannelClose`](crate::Event::ChannelClose) follows.
    pub fn close_data_channel(&mut self, now: Instant, stream_id: u16) -> Result<(), Error> {
        let (sctp, channel) = self.channel(stream_id)?;
        sctp.close_channel(now, channel)
            .map_err(|misuse| Error::InvalidArgument(misuse.to_string()))
    }

    /// Whether [`poll_event`](Self::poll_event) yields messages of data channels; while it does not, their window
    /// closes.
    pub fn set_delivery(&mut self, on: bool) {
        self.delivery = on;
        if let Some(sctp) = self.call.as_mut().and_then(|call| call.sctp.as_mut()) {
            sctp.set_delivery(on);
        }
    }

    fn channel(
        &mut self,
        stream_id: u16,
    ) -> Result<(&mut esp_sctp::Association, esp_sctp::ChannelHandle), Error> {
        let sctp = self
            .connected()?
            .sctp
            .as_mut()
            .ok_or(Error::NotSupported("no data channels were agreed on"))?;
        let channel = sctp
            .channel_on(stream_id)
            .ok_or(Error::NotExists("no data channel is open on this stream"))?;
        Ok((sctp, channel))
    }
}

fn sctp_error(error: esp_sctp::Error) -> Error {
    match error {
        esp_sctp::Error::WouldBlock => Error::WouldBlock,
        esp_sctp::Error::TooLarge { size, limit } => Error::TooLarge {
            size,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        },
        other => Error::InvalidArgument(other.to_string()),
    }
}
