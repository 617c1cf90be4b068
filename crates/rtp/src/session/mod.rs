//! All RTP of one BUNDLE transport.
//!
//! 1. Negotiation says which m-sections there are ([`Session::set_media`]).
//! 2. Frames are cut into packets (`send`), which leave in trains (`output`).
//! 3. Packets are routed to streams (`input`), which put frames together (`receive`).
//! 4. Reports and feedback go both ways (`reports` out, `feedback` in).

mod bandwidth;
mod config;
mod event;
pub(crate) mod events;
mod feedback;
mod input;
mod negotiate;
mod output;
pub(crate) mod rate;
mod reports;
mod stats;
mod track;

pub use config::{Config, JitterConfig, LocalSsrcs, MediaConfig, PayloadMap, TrackId};
pub use event::{Class, EndReason, Event, Why};
pub use stats::{Dropped, ReceiveStats, SendStats, Stats, TrackStats};

use std::collections::VecDeque;

use esp_wire::{Deadline, Frame, Instant, Origin, Rng, Room};

use crate::clock::ntp_of;
use crate::congestion::arrivals::Arrivals;
use crate::congestion::sent::SentPackets;
use crate::extension::ExtensionMap;
use crate::format::Plan;
use crate::format::h264::Contents;
use crate::pacing::Pacer;
use crate::receive::Receiver;
use crate::route::Router;
use crate::rtcp::SenderInfo;
use crate::send::Template;
use crate::{Error, FrameInfo, Malformed, Misuse, Side, Transformer, transform};

use bandwidth::Bandwidth;
use events::Events;
use reports::Outgoing;
use track::Track;

/// The largest RTP packet before SRTP.
const MAX_PACKET: usize = 1_500;
/// The longest parameter sets that SDP may give.
const MAX_PARAMETER_SETS: usize = 4_096;
/// The packet size until `set_path` tells: fits every path with IPv6, SRTP and TURN.
const DEFAULT_PACKET: usize = 1_100;

/// The session's parts that take frames of a received stream.
macro_rules! frames_of {
    ($session:ident) => {
        crate::receive::Output {
            events: &mut $session.events,
            transformer: $session.receive_hook.as_deref_mut(),
            scratch: &mut $session.scratch,
            dropped: &mut $session.dropped,
        }
    };
}
use frames_of;

/// All RTP of one BUNDLE transport: every stream sent and received, their reports and repairs.
///
/// Commands: [`Session::set_path`], [`Session::set_media`], [`Session::send_frame`],
/// [`Session::request_keyframe`], [`Session::set_transformer`], [`Session::set_send_bitrate`],
/// [`Session::close`]. Inputs: [`Session::handle_rtp`], [`Session::handle_rtcp`],
/// [`Session::handle_timeout`]. Outputs: [`Session::poll_transmit`], [`Session::poll_event`],
/// [`Session::poll_timeout`], to be drained after every command and input, in any order.
///
/// Nothing that the network sends ends a session: what is malformed or belongs nowhere is counted
/// in [`Stats::dropped`].
pub struct Session {
    config: Config,
    origin: Origin,
    rng: Rng,
    cname: String,
    room: Room,
    rtcp_room: Option<Room>,
    max_packet: usize,
    tracks: Vec<Track>,
    router: Router,
    extensions: ExtensionMap,
    receivers: Vec<Receiver>,
    /// Sender reports that came before their streams.
    early_reports: VecDeque<(u32, SenderInfo, Instant)>,
    /// Streams that said goodbye, whose last packets may still be under way.
    departed: VecDeque<(u32, Instant)>,
    /// Transport-wide feedback was negotiated for what is received.
    wants_arrivals: bool,
    arrivals: Arrivals,
    sent: SentPackets,
    pacer: Pacer,
    bandwidth: Bandwidth,
    pace_at: Option<Instant>,
    /// Where the turn among video tracks stands.
    turn: usize,
    outgoing: Outgoing,
    events: Events,
    plan: Plan,
    scratch: Vec<u8>,
    send_hook: Option<Box<dyn Transformer>>,
    receive_hook: Option<Box<dyn Transformer>>,
    dropped: Dropped,
    rtcp_received: u64,
    rtcp_sent: u64,
    feedback_sent: u64,
    remb: Option<u64>,
    acked_bitrate: Option<u64>,
    /// The latest moment that was told.
    seen: Instant,
}

impl Session {
    /// A session that carries nothing yet.
    pub fn new(config: Config, origin: Origin) -> Result<Self, Error> {
        config.check()?;
        let mut rng = Rng::new(origin.seed).fork("rtp");
        Ok(Session {
            cname: rng.ice_chars(16),
            room: Room::default(),
            rtcp_room: None,
            max_packet: DEFAULT_PACKET,
            tracks: Vec::new(),
            router: Router::new(),
            extensions: ExtensionMap::new(),
            receivers: Vec::new(),
            early_reports: VecDeque::new(),
            departed: VecDeque::new(),
            wants_arrivals: false,
            arrivals: Arrivals::new(),
            sent: SentPackets::new(),
            pacer: Pacer::new(
                origin.now,
                config.pace_floor,
                config.pace_burst,
                config.pace_window,
            ),
            bandwidth: Bandwidth::new(config.bitrate),
            pace_at: None,
            turn: 0,
            outgoing: Outgoing::default(),
            events: Events::new(config.max_event_bytes),
            plan: Plan::default(),
            scratch: Vec::new(),
            send_hook: None,
            receive_hook: None,
            dropped: Dropped::default(),
            rtcp_received: 0,
            rtcp_sent: 0,
            feedback_sent: 0,
            remb: None,
            acked_bitrate: None,
            rng,
            seen: origin.now,
            origin,
            config,
        })
    }

    /// The room that SRTP and the layers below need, and the largest RTP packet before SRTP, in
    /// bytes (taken between 200 and 1,500); 1,100 until told.
    pub fn set_path(&mut self, room: Room, max_packet: usize) {
        self.room = room;
        self.max_packet = max_packet.clamp(200, MAX_PACKET);
        self.rtcp_room = None;
    }

    /// The room of RTCP trains where it differs from that of RTP, as with SRTCP's index of four
    /// bytes; to be called after [`Session::set_path`]. RTCP packets are smaller by the difference.
    pub fn set_rtcp_room(&mut self, room: Room) {
        self.rtcp_room = Some(room);
    }

    /// The SSRCs under which the m-section `mid` sends; the same for all of the session's life,
    /// also before the m-section was negotiated.
    pub fn local_ssrcs(&self, mid: &str) -> LocalSsrcs {
        let mut rng = self.stream_rng(mid);
        let ssrc = rng.u32().max(1);
        let rtx = rng.u32().max(1);
        LocalSsrcs {
            ssrc,
            rtx: if rtx == ssrc { rtx ^ 1 } else { rtx },
        }
    }

    fn stream_rng(&self, mid: &str) -> Rng {
        Rng::new(self.origin.seed).fork(&format!("rtp stream {mid}"))
    }

    /// The canonical name in SDES and `a=ssrc` (RFC 7022: random, 96 bits).
    pub fn cname(&self) -> &str {
        &self.cname
    }

    /// The track of m-section `mid`.
    pub fn track(&self, mid: &str) -> Option<TrackId> {
        let index = self.tracks.iter().position(|track| track.mid == mid)?;
        u16::try_from(index).ok().map(TrackId)
    }

    /// The m-section of `track`.
    pub fn mid(&self, track: TrackId) -> Option<&str> {
        let track = self.tracks.get(usize::from(track.0))?;
        Some(&track.mid)
    }

    /// Sets or takes away the hook that rewrites whole frames.
    pub fn set_transformer(&mut self, side: Side, transformer: Option<Box<dyn Transformer>>) {
        match side {
            Side::Sender => self.send_hook = transformer,
            Side::Receiver => self.receive_hook = transformer,
        }
    }

    /// Gives the parameter sets that SDP carries for received video (RFC 6184 §8.1,
    /// `sprop-parameter-sets`) as Annex B; they go before keyframes that come without any.
    ///
    /// What is no SPS with PPS, or longer than 4,096 bytes, is ignored.
    pub fn set_parameter_sets(&mut self, track: TrackId, annex_b: &[u8]) -> Result<(), Error> {
        let id = track;
        let track = self
            .tracks
            .get_mut(usize::from(track.0))
            .ok_or(Misuse::UnknownTrack)?;
        let contents = Contents::of(annex_b);
        if contents.sps && contents.pps && annex_b.len() <= MAX_PARAMETER_SETS {
            track.parameter_sets = annex_b.to_vec();
            for receiver in &mut self.receivers {
                if receiver.track == id {
                    receiver.set_parameter_sets(annex_b);
                }
            }
        }
        Ok(())
    }

    /// Cuts a frame into packets and queues them.
    ///
    /// [`Error::WouldBlock`] when the send pool has no room for all of it; nothing of it is queued then.
    pub fn send_frame(
        &mut self,
        now: Instant,
        track: TrackId,
        frame: Frame<'_>,
    ) -> Result<(), Error> {
        let track_id = track;
        let track = self
            .tracks
            .get_mut(usize::from(track.0))
            .ok_or(Misuse::UnknownTrack)?;
        let map = track.sender.map.ok_or(Misuse::NotSending)?;
        let data = match self.send_hook.as_deref_mut() {
            None => frame.data,
            Some(hook) => {
                let info = FrameInfo {
                    track: track_id,
                    codec: map.codec,
                    payload_type: map.pt,
                };
                let most = self.config.max_frame_size;
                transform::run(hook, info, frame.data, &mut self.scratch, most)
                    .ok_or(Malformed::Transform)?
            }
        };
        let limit = track.sender.payload_limit(self.max_packet);
        self.plan.make(&map, data, limit)?;
        let frame = Frame {
            pts: frame.pts,
            data,
        };
        track
            .sender
            .enqueue(now, frame, &self.plan, self.max_packet)?;
        let (used, places) = (track.sender.pending(), track.sender.places());
        let queued = self
            .tracks
            .iter()
            .filter(|track| track.kind == esp_wire::Kind::Video)
            .map(|track| track.sender.pending_bytes())
            .sum();
        self.pacer.on_queued(now, queued, used, places);
        self.pace_at = None;
        self.outgoing.on_activity(now, self.config.report_interval);
        Ok(())
    }

    /// Asks the peer for a keyframe on all streams received on `track`, rate limited, until one comes.
    pub fn request_keyframe(&mut self, now: Instant, track: TrackId) -> Result<(), Error> {
        if usize::from(track.0) >= self.tracks.len() {
            return Err(Misuse::UnknownTrack.into());
        }
        for receiver in &mut self.receivers {
            if receiver.track == track {
                receiver.keyframes().want(now);
            }
        }
        Ok(())
    }

    /// Says goodbye: queues an RTCP BYE for all streams sent, and stops sending them until
    /// the next [`Session::set_media`].
    pub fn close(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
        self.outgoing.say_bye();
        for track in &mut self.tracks {
            track.sender.configure(None, Template::default());
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.seen = self.seen.max(now);
        let interval = self.config.report_interval;
        self.outgoing.handle_timeout(now, interval, &mut self.rng);
        if self.pace_at.is_some_and(|at| at <= now) {
            self.pace_at = None;
        }
        self.handle_bandwidth_timeout(now);
        let mut silent = false;
        for receiver in &mut self.receivers {
            silent |= receiver.handle_timeout(now, &mut frames_of!(self));
        }
        if silent {
            self.end_streams(now, EndReason::Timeout, |_, receiver| {
                receiver.is_silent(now)
            });
        }
    }

    /// The next event. To be polled until `None`.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        self.events.poll()
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let pacing = self.pace_at.map(|at| Deadline {
            at,
            why: Why::Pacing,
        });
        self.receivers
            .iter()
            .filter_map(Receiver::poll_timeout)
            .chain(pacing)
            .chain(self.bandwidth.poll_timeout())
            .chain(self.outgoing.poll_timeout())
            .min_by_key(|deadline| deadline.at)
    }

    /// NTP time at `now`.
    fn ntp_at(&self, now: Instant) -> u64 {
        ntp_of(self.origin.unix_at(now))
    }

    /// Figures of everything, up to the latest moment that was told.
    pub fn stats(&self) -> Stats {
        let figures = |(index, track): (usize, &Track)| {
            let id = TrackId(index as u16);
            TrackStats {
                track: id,
                mid: track.mid.clone(),
                sent: track.sender.figures(self.seen),
                received: self
                    .receivers
                    .iter()
                    .filter(|receiver| receiver.track == id)
                    .map(|receiver| receiver.figures(self.seen))
                    .collect(),
            }
        };
        Stats {
            tracks: self.tracks.iter().enumerate().map(figures).collect(),
            dropped: self.dropped,
            rtcp_received: self.rtcp_received,
            rtcp_sent: self.rtcp_sent,
            feedback_sent: self.feedback_sent,
            remb: self.remb,
            acked_bitrate: self.acked_bitrate,
            estimate: self.estimate(),
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("tracks", &self.tracks.len())
            .field("streams", &self.receivers.len())
            .field("dropped", &self.dropped)
            .finish_non_exhaustive()
    }
}
