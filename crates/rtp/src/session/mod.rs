//! All RTP of one BUNDLE transport.

mod config;
mod event;
mod stats;

pub use config::{Config, JitterConfig, LocalSsrcs, MediaConfig, PayloadMap, TrackId};
pub use event::{Class, EndReason, Event, Why};
pub use stats::{Dropped, ReceiveStats, SendStats, Stats, TrackStats};

use esp_wire::{Deadline, Frame, Instant, Origin, Room, Train};

use crate::{Error, Side, Transformer};

/// All RTP of one BUNDLE transport: every stream sent and received, their reports and repairs.
///
/// Commands: [`Session::set_path`], [`Session::set_media`], [`Session::send_frame`],
/// [`Session::request_keyframe`], [`Session::set_transformer`], [`Session::set_send_bitrate`],
/// [`Session::close`]. Inputs: [`Session::handle_rtp`], [`Session::handle_rtcp`],
/// [`Session::handle_timeout`]. Outputs: [`Session::poll_transmit`], [`Session::poll_event`],
/// [`Session::poll_timeout`], to be drained after every command and input, in any order.
pub struct Session {
    config: Config,
    origin: Origin,
}

impl Session {
    /// A session that carries nothing yet.
    pub fn new(config: Config, origin: Origin) -> Result<Self, Error> {
        config.check()?;
        Ok(Session { config, origin })
    }

    /// The room that SRTP and the layers below need, and the largest RTP packet before SRTP (cut to 1,500).
    pub fn set_path(&mut self, room: Room, max_packet: usize) {
        let _ = (room, max_packet, &self.config, &self.origin);
    }

    /// The SSRCs under which the m-section `mid` sends; the same for all of the session's life,
    /// also before the m-section was negotiated.
    pub fn local_ssrcs(&self, mid: &str) -> LocalSsrcs {
        let _ = mid;
        LocalSsrcs { ssrc: 0, rtx: 0 }
    }

    /// The canonical name in SDES and `a=ssrc` (RFC 7022: random, 96 bits).
    pub fn cname(&self) -> &str {
        ""
    }

    /// Takes what a negotiation agreed on: all m-sections of the BUNDLE group. m-sections that
    /// are missing end; those that stay keep their streams.
    pub fn set_media(&mut self, now: Instant, media: &[MediaConfig]) -> Result<(), Error> {
        let _ = (now, media);
        Ok(())
    }

    /// The track of m-section `mid`.
    pub fn track(&self, mid: &str) -> Option<TrackId> {
        let _ = mid;
        None
    }

    /// The m-section of `track`.
    pub fn mid(&self, track: TrackId) -> Option<&str> {
        let _ = track;
        None
    }

    /// Sets or takes away the hook that rewrites whole frames.
    pub fn set_transformer(&mut self, side: Side, transformer: Option<Box<dyn Transformer>>) {
        let _ = (side, transformer);
    }

    /// Tells the pacer the sum of all encoders' bitrates, in bits a second.
    pub fn set_send_bitrate(&mut self, bitrate: u64) {
        let _ = bitrate;
    }

    /// Cuts a frame into packets and queues them.
    pub fn send_frame(
        &mut self,
        now: Instant,
        track: TrackId,
        frame: Frame<'_>,
    ) -> Result<(), Error> {
        let _ = (now, track, frame);
        Ok(())
    }

    /// Asks the peer for a keyframe on all streams received on `track`, rate limited.
    pub fn request_keyframe(&mut self, now: Instant, track: TrackId) -> Result<(), Error> {
        let _ = (now, track);
        Ok(())
    }

    /// Says goodbye: queues an RTCP BYE for all streams sent.
    pub fn close(&mut self, now: Instant) {
        let _ = now;
    }

    /// Takes a decrypted RTP packet.
    pub fn handle_rtp(&mut self, now: Instant, packet: &mut [u8]) {
        let _ = (now, packet);
    }

    /// Takes a decrypted RTCP packet, compound or of reduced size.
    pub fn handle_rtcp(&mut self, now: Instant, packet: &mut [u8]) {
        let _ = (now, packet);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// Fills a train with packets of one class; `None` when nothing is to be sent now.
    pub fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> Option<Class> {
        let _ = (now, train);
        None
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        None
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        None
    }

    /// Figures of everything.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }
}
