//! One call: everything that a peer holds from `new_connection` to `disconnect`.
//!
//! 1. ICE gathers; the local description is made (`describe.rs`) and goes out, candidates follow.
//! 2. The remote description arrives and is agreed upon (`negotiate.rs`); what is lost is said again (`again.rs`).
//! 3. The first pair works: DTLS begins (`progress.rs`).
//! 4. DTLS is done: SRTP gets its keys, SCTP begins, the call is connected.
//! 5. A path that is lost is looked for again (`restart.rs`).
//! 6. Datagrams go in (`inbound.rs`) and out (`outbound.rs`) until one side ends it.

mod again;
mod describe;
mod early;
mod glare;
mod inbound;
mod local;
mod negotiate;
mod outbound;
mod progress;
mod restart;
mod snap;

pub(crate) use self::progress::version_name;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use esp_dtls::Dtls;
use esp_ice::Agent;
use esp_rtp::{Session, TrackId};
use esp_sctp::{Association, ChannelHandle};
use esp_sdp::{Description, Negotiated};
use esp_wire::{Deadline, Instant, Kind, Origin, Role};

use self::early::Early;
use crate::sockets::Sockets;
use crate::{ChannelInfo, Error, Event, PeerConfig, Traffic, Why};

/// Remote candidates kept until the remote description arrives.
const MAX_EARLY_CANDIDATES: usize = 64;

/// The two ends of SRTP, once there are keys.
pub(crate) struct Srtp {
    pub(crate) sender: esp_srtp::Sender,
    pub(crate) receiver: esp_srtp::Receiver,
    pub(crate) profile: &'static str,
}

/// How far offer and answer have come.
#[derive(Default)]
struct Negotiation {
    session_id: u64,
    /// Our offer, until its answer arrives.
    offered: Option<Box<Description>>,
    /// The peer's offer, until we answer.
    to_answer: Option<Box<Description>>,
    /// The peer's offer that we have answered, until we are connected.
    answered_offer: Option<Box<Description>>,
    agreed: Option<Negotiated>,
    /// Our description is out: candidates may follow it.
    described: bool,
    /// The place that our candidates belong to: mid and index of the m-section.
    place: (String, u16),
    /// Candidates found before the description was made.
    candidates: Vec<String>,
    /// Candidates of the peer that came before its description.
    early_candidates: Vec<String>,
    gathered: bool,
    /// An offer is to be made: ICE restarts, or the one before may be lost.
    offer_again: bool,
    /// What is gathered now was told already.
    told: bool,
    /// The peer's session, out of its last description.
    remote_session: Option<u64>,
    /// What the answer to our offer said; none where the peer offered last.
    answered: Option<u64>,
    /// Whether both sides described their INIT chunks, once it is agreed on.
    snap: Option<bool>,
    /// Gathering took too long: describe with what there is.
    overdue: bool,
}

/// The tracks of one peer: at most one of each kind.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tracks {
    pub(crate) audio: Option<TrackId>,
    pub(crate) video: Option<TrackId>,
    /// Width and height of the peer's pictures, once a key frame told.
    pub(crate) video_size: (u32, u32),
}

impl Tracks {
    pub(crate) fn of(&self, kind: Kind) -> Option<TrackId> {
        match kind {
            Kind::Audio => self.audio,
            Kind::Video => self.video,
        }
    }
}

/// The open channels, under the names of SCTP and of the application.
pub(crate) type Channels = BTreeMap<ChannelHandle, Box<ChannelInfo>>;

/// What a call has come to; states only move on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Progress {
    Gathering,
    Pairing,
    Paired,
    Connecting,
    Connected,
}

pub(crate) struct Call {
    pub(crate) sockets: Sockets,
    pub(crate) ice: Agent,
    pub(crate) dtls: Dtls,
    pub(crate) srtp: Option<Srtp>,
    /// Where media may be agreed on.
    pub(crate) rtp: Option<Box<Session>>,
    pub(crate) sctp: Option<Association>,
    pub(crate) channels: Channels,
    /// It was told that what carries channels has ended.
    pub(crate) channels_ended: bool,
    /// The longest message that the peer takes.
    pub(crate) max_send_message: u64,
    /// The peer's INIT chunk out of its description, until the association begins.
    remote_init: Option<Vec<u8>>,
    /// Where the search for the path's MTU ends.
    largest_datagram: usize,
    pub(crate) queue: VecDeque<Event<'static>>,
    pub(crate) tracks: Tracks,
    pub(crate) progress: Progress,
    pub(crate) began: Instant,
    pub(crate) connected_after: Option<Duration>,
    pub(crate) traffic: Traffic,
    /// Why the call has to end, once it has.
    pub(crate) ended: Option<String>,
    /// The role in ICE when it was looked at last; conflicts change it.
    pub(crate) role: Role,
    origin: Origin,
    negotiation: Negotiation,
    early: Early,
    /// Datagrams that came over a stream, while they are taken in.
    received: Vec<u8>,
    /// When the call fails if it is not connected.
    connect_by: Option<Instant>,
    /// The path is in doubt or gone.
    interrupted: bool,
    /// When ICE is restarted unless the path comes back.
    restart_at: Option<Instant>,
    /// When an offer that was not answered is made again.
    repeat_at: Option<Instant>,
    /// How often a signaling that came back has restarted ICE since the path was lost.
    resumptions: u32,
    dtls_started: bool,
}

/// What there is of a call from the beginning: ICE, DTLS, and RTP where media may be agreed on.
fn engines(
    config: &PeerConfig,
    origin: &Origin,
    now: Instant,
    role: Role,
) -> Result<(Agent, Dtls, Option<Session>), Error> {
    let misuse = |what: &dyn std::fmt::Display| Error::InvalidArgument(what.to_string());
    let ice = config
        .ice
        .clone()
        .with_role(role)
        .with_policy(config.policy)
        .with_gather_timeout(config.gather_timeout);
    let mut ice = Agent::new(ice, origin.fork("ice")).map_err(|error| misuse(&error))?;
    ice.set_servers(now, &config.servers);
    let certificate = config
        .certificate
        .clone()
        .ok_or(Error::WrongState("the peer has no certificate"))?;
    let dtls = esp_dtls::Config::new(certificate)
        .with_versions(config.dtls)
        .with_backend(config.dtls_backend);
    let dtls = Dtls::new(&dtls, origin).map_err(|error| misuse(&error))?;
    let rtp = match config.has_media() {
        true => Some(
            Session::new(config.rtp.clone(), origin.fork("rtp")).map_err(|error| misuse(&error))?,
        ),
        false => None,
    };
    Ok((ice, dtls, rtp))
}

impl Call {
    /// A call that begins now; `number` tells its sockets from those of other calls.
    pub(crate) fn new(
        config: &PeerConfig,
        origin: &Origin,
        now: Instant,
        number: u32,
        role: Role,
    ) -> Result<Self, Error> {
        let origin = Origin {
            now,
            unix: origin.unix_at(now),
            ..origin.fork(&format!("call {number}"))
        };
        let (ice, dtls, rtp) = engines(config, &origin, now, role)?;
        // RFC 8829 §5.2.1: a random number below 2^63; low enough for those who read it as signed.
        let session_id = esp_wire::Rng::new(origin.seed).fork("session id").u64() >> 2;
        Ok(Call {
            sockets: Sockets::of_call(number),
            ice,
            dtls,
            srtp: None,
            rtp: rtp.map(Box::new),
            sctp: None,
            channels: Channels::default(),
            channels_ended: false,
            max_send_message: 0,
            remote_init: None,
            largest_datagram: config.largest_datagram,
            queue: VecDeque::new(),
            tracks: Tracks::default(),
            progress: Progress::Gathering,
            began: now,
            connected_after: None,
            traffic: Traffic::default(),
            ended: None,
            role,
            origin,
            negotiation: Negotiation {
                session_id,
                ..Negotiation::default()
            },
            early: Early::new(config.early_bytes),
            received: Vec::new(),
            connect_by: None,
            interrupted: false,
            restart_at: None,
            repeat_at: None,
            resumptions: 0,
            dtls_started: false,
        })
    }

    /// Lets every engine do what is due.
    pub(crate) fn handle_timeout(&mut self, now: Instant, config: &PeerConfig) {
        self.ice.handle_timeout(now);
        if let Err(error) = self.dtls.handle_timeout(now) {
            self.end(format!("DTLS failed: {error}"));
        }
        if let Some(rtp) = &mut self.rtp {
            rtp.handle_timeout(now);
        }
        if let Some(sctp) = &mut self.sctp {
            sctp.handle_timeout(now);
        }
        if self.connect_by.is_some_and(|by| now >= by) && self.progress < Progress::Connected {
            self.connect_by = None;
            self.end(format!(
                "not connected within {} s: {}",
                config.connect_timeout.as_secs(),
                match self.progress {
                    Progress::Gathering | Progress::Pairing => "no candidate pair was answered",
                    _ => "the DTLS handshake was not completed",
                }
            ));
        }
        self.run_restart(now, config);
        self.advance(now, config);
    }

    pub(crate) fn poll_timeout(&self) -> Option<Deadline<Why>> {
        let deadline = |at: Option<Instant>, why| at.map(|at| Deadline { at, why });
        let restart = Deadline::earlier(
            deadline(self.restart_at, Why::Restart),
            deadline(self.repeat_at, Why::Restart),
        );
        let connect = Deadline::earlier(deadline(self.connect_by, Why::Connect), restart);
        [
            self.ice.poll_timeout().map(|due| due.map(Why::Ice)),
            self.dtls.poll_timeout().map(|due| due.map(Why::Dtls)),
            self.rtp
                .as_ref()
                .and_then(|rtp| rtp.poll_timeout())
                .map(|due| due.map(Why::Rtp)),
            self.sctp
                .as_ref()
                .and_then(Association::poll_timeout)
                .map(|due| due.map(Why::Sctp)),
        ]
        .into_iter()
        .fold(connect, Deadline::earlier)
    }

    /// Says goodbye; what that takes comes out of `poll_transmit`.
    pub(crate) fn say_goodbye(&mut self, now: Instant) {
        if let Some(rtp) = &mut self.rtp {
            rtp.close(now);
        }
        if let Some(sctp) = &mut self.sctp {
            sctp.abort(now, "the application disconnected");
        }
    }

    /// Notes why the call is over; the first reason stays.
    pub(super) fn end(&mut self, reason: String) {
        self.ended.get_or_insert(reason);
    }
}
