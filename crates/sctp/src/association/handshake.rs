//! The handshake (RFC 9260 §5).
//!
//! 1. INIT, with our tag, window, streams and extensions; verification tag zero
//! 2. INIT ACK, with the peer's and a cookie; the answering side keeps nothing
//! 3. COOKIE ECHO
//! 4. COOKIE ACK
//!
//! In WebRTC both sides begin: each answers the other's INIT with the tag of its own (§5.2.1), and
//! whichever cookie arrives first makes the association (§5.2.4, case D or B).

use esp_wire::{Instant, Rng};

use super::{Association, Phase, delivery::Notice};
use crate::{
    CloseReason, Error, Malformed, Misuse, PeerMisbehaved, Why,
    chunk::{
        self, Chunks,
        control::{self, REFLECTED, cause},
        init::{Extensions, Init},
        kind,
    },
    cookie::{Cookie, PeerInit},
    outgoing::Agreed,
    serial,
};

/// Our side of the handshake.
#[derive(Debug)]
pub(super) struct Handshake {
    /// Our tag and first TSN, the same in INIT and in answers to a simultaneous one.
    pub(super) tag: u32,
    pub(super) tsn: u32,
    /// The peer's cookie, to be echoed.
    pub(super) cookie: Vec<u8>,
    pub(super) init_due: bool,
    pub(super) echo_due: bool,
    pub(super) sends: u32,
    /// Cookies of this attempt that the peer called stale.
    stale: u32,
}

impl Handshake {
    pub(super) fn new(rng: &mut Rng) -> Self {
        Handshake {
            tag: nonzero(rng),
            tsn: rng.u32(),
            cookie: Vec::new(),
            init_due: false,
            echo_due: false,
            sends: 0,
            stale: 0,
        }
    }
}

/// RFC 9260 §3.3.2: a tag is never zero.
fn nonzero(rng: &mut Rng) -> u32 {
    loop {
        let tag = rng.u32();
        if tag != 0 {
            return tag;
        }
    }
}

/// RFC 9260 §3.3.2: a window is never below this.
const LEAST_WINDOW: u32 = 1_500;

impl Association {
    /// Begins the handshake; a peer that begins at the same time is fine, and so is a call after
    /// the peer's handshake is done.
    pub fn connect(&mut self, now: Instant) -> Result<(), Misuse> {
        match self.phase {
            Phase::Ended => Err(Misuse::Ended),
            Phase::Closed => {
                self.phase = Phase::CookieWait;
                self.local_tag = self.handshake.tag;
                self.handshake.init_due = true;
                self.handshake.sends = 0;
                self.handshake.stale = 0;
                self.start_handshake_timer(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Our INIT chunk, for a description that carries it to the peer (`a=sctp-init` in base64,
    /// draft-hancke-tsvwg-snap); the association must then begin by
    /// [`Association::connect_with_init`] or, when the peer does not answer in kind, by
    /// [`Association::connect`].
    pub fn local_init(&self) -> Vec<u8> {
        let init = self.own_init(self.handshake.tag, self.handshake.tsn);
        init.emit(kind::INIT)
    }

    /// Begins with the INIT chunk that the peer's description carried, without a handshake; both
    /// sides must do so.
    pub fn connect_with_init(&mut self, now: Instant, remote_init: &[u8]) -> Result<(), Error> {
        match self.phase {
            Phase::Closed => {}
            Phase::Ended => return Err(Misuse::Ended.into()),
            _ => return Err(Misuse::TooLate.into()),
        }
        let chunk = Chunks::new(remote_init).next().ok_or(Malformed::Short)??;
        if chunk.kind != kind::INIT {
            return Err(Malformed::Field.into());
        }
        let init = Init::parse(chunk.value)?;
        if init.tag == 0 || objection(&init).is_some() {
            return Err(Malformed::Field.into());
        }
        self.local_tag = self.handshake.tag;
        self.begin(now, self.handshake.tsn, PeerInit::from(&init));
        Ok(())
    }

    fn start_handshake_timer(&mut self, now: Instant) {
        self.timers
            .set(Why::Handshake, now + self.out.rto.timeout());
    }

    fn extensions(&self) -> Extensions {
        Extensions {
            forward_tsn: true,
            i_forward_tsn: self.config.interleaving,
            reconfig: true,
            interleaving: self.config.interleaving,
            zero_checksum: self.config.zero_checksum,
            ecn: self.config.ecn,
        }
    }

    pub(super) fn own_init(&self, tag: u32, tsn: u32) -> Init {
        Init {
            tag,
            tsn,
            window: self.inc.full_window(),
            // RFC 8831 §6.2: all streams that there can be.
            outbound: 65_535,
            inbound: 65_535,
            extensions: self.extensions(),
            ..Init::default()
        }
    }

    /// T1 expired (RFC 9260 §5.1.6, §5.1 B and C).
    pub(super) fn repeat_handshake(&mut self, now: Instant) {
        self.handshake.sends += 1;
        if self.handshake.sends > self.config.max_init_retransmits {
            self.end(CloseReason::Unreachable);
            return;
        }
        self.out.rto.back_off();
        match self.phase {
            Phase::CookieWait => self.handshake.init_due = true,
            Phase::CookieEchoed => self.handshake.echo_due = true,
            _ => return,
        }
        self.start_handshake_timer(now);
    }

    /// Answers an INIT, in any state (RFC 9260 §5.1, §5.2.1, §5.2.2).
    pub(super) fn on_init(&mut self, now: Instant, value: &[u8]) {
        let Ok(init) = Init::parse(value) else {
            self.stats.packets_dropped += 1;
            return;
        };
        if init.tag == 0 {
            // RFC 9260 §3.3.2: there is not even a tag to abort with.
            self.stats.packets_dropped += 1;
            return;
        }
        if let Some(cause) = objection(&init) {
            self.reply(init.tag, &control::abort(0, Some((cause, &[]))));
            return;
        }
        if self.phase == Phase::ShutdownAckSent {
            // RFC 9260 §9.2: the peer missed our SHUTDOWN ACK.
            self.control.shutdown_ack_due = true;
            return;
        }
        let (tag, tsn, tie) = match self.phase {
            Phase::Closed | Phase::Ended => {
                if self.phase == Phase::Ended {
                    self.reply(init.tag, &control::abort(0, None));
                    return;
                }
                (self.handshake.tag, self.handshake.tsn, (0, 0))
            }
            Phase::CookieWait => (self.handshake.tag, self.handshake.tsn, (0, 0)),
            Phase::CookieEchoed => {
                let tie = (self.local_tag, self.peer.tag);
                (self.handshake.tag, self.handshake.tsn, tie)
            }
            _ => {
                let tie = (self.local_tag, self.peer.tag);
                (nonzero(&mut self.rng), self.rng.u32(), tie)
            }
        };
        let cookie = Cookie {
            created: now,
            local_tag: tag,
            local_tsn: tsn,
            peer: PeerInit::from(&init),
            tie,
        };
        let answer = Init {
            cookie: Some(self.jar.seal(&cookie)),
            unrecognized: init.unrecognized,
            ..self.own_init(tag, tsn)
        };
        self.stats.handshake_sent += 1;
        self.reply(init.tag, &answer.emit(kind::INIT_ACK));
    }

    /// RFC 9260 §5.1 C; meaningless in other states (§5.2.3).
    pub(super) fn on_init_ack(&mut self, now: Instant, value: &[u8]) {
        if self.phase != Phase::CookieWait {
            return;
        }
        let Ok(init) = Init::parse(value) else {
            self.stats.packets_dropped += 1;
            return;
        };
        if init.window < LEAST_WINDOW {
            // RFC 9260 §3.3.3: answered, and forgotten.
            let abort = control::abort(0, Some((cause::INVALID_PARAMETER, &[])));
            self.reply(init.tag, &abort);
            return;
        }
        if init.tag == 0 {
            // RFC 9260 §3.3.3: the attempt ends, by an ABORT with our own tag.
            self.reply(self.local_tag, &control::abort(REFLECTED, None));
            self.end(CloseReason::PeerMisbehaved(PeerMisbehaved::Handshake));
            return;
        }
        let problem = match &init.cookie {
            // RFC 9260 §3.3.10.2: one parameter is missing, the cookie.
            None => Some((cause::MISSING_PARAMETER, &[0, 0, 0, 1, 0, 7][..])),
            Some(_) => objection(&init).map(|cause| (cause, &[][..])),
        };
        if let Some((cause, value)) = problem {
            self.peer.tag = init.tag;
            self.fail_with(PeerMisbehaved::Handshake, cause, value);
            return;
        }
        self.peer = PeerInit::from(&init);
        if !init.unrecognized.is_empty() {
            // RFC 9260 §3.2.2: reported in an ERROR that goes with the COOKIE ECHO.
            let report = chunk::encode(kind::ERROR, 0, &init.unrecognized);
            self.control.push(report);
        }
        self.handshake.cookie = init.cookie.unwrap_or_default();
        self.phase = Phase::CookieEchoed;
        self.handshake.echo_due = true;
        self.handshake.init_due = false;
        self.handshake.sends = 0;
        self.start_handshake_timer(now);
    }

    /// RFC 9260 §5.1 D, §5.2.4; true when the rest of the packet may be read.
    pub(super) fn on_cookie_echo(&mut self, now: Instant, tag: u32, value: &[u8]) -> bool {
        let Ok((cookie, stale)) = self.jar.open(now, value) else {
            self.stats.packets_dropped += 1;
            return false;
        };
        if cookie.local_tag != tag || self.phase == Phase::Ended {
            self.stats.packets_dropped += 1;
            return false;
        }
        let exists = self.phase != Phase::Closed;
        let local_matches = exists && cookie.local_tag == self.local_tag;
        let peer_matches = exists && cookie.peer.tag == self.peer.tag;
        if stale && !(local_matches && peer_matches) {
            let micros = self.jar.staleness(now, &cookie).as_micros();
            let value = u32::try_from(micros).unwrap_or(u32::MAX).to_be_bytes();
            let error = control::error(cause::STALE_COOKIE, &value);
            self.reply(cookie.peer.tag, &error);
            return false;
        }
        match (exists, local_matches, peer_matches) {
            (false, ..) => self.establish(now, &cookie),
            // Case D: both sides sent an INIT, or the COOKIE ACK was lost.
            (true, true, true) => {
                if self.phase == Phase::CookieEchoed {
                    self.establish(now, &cookie);
                }
            }
            // Case B: both sides began at the same time.
            (true, true, false) => {
                if matches!(self.phase, Phase::CookieWait | Phase::CookieEchoed) {
                    self.establish(now, &cookie);
                } else {
                    // The peer began again in between, and knows nothing of what was sent.
                    self.restart(now, &cookie);
                }
            }
            // Case A: the peer began anew.
            (true, false, false) if cookie.tie == (self.local_tag, self.peer.tag) => {
                if self.phase == Phase::ShutdownAckSent {
                    self.control.shutdown_ack_due = true;
                    self.control
                        .push(control::error(cause::COOKIE_WHILE_SHUTTING_DOWN, &[]));
                    return false;
                }
                self.restart(now, &cookie);
            }
            // Case C: the cookie of an attempt that has been overtaken.
            _ => return false,
        }
        self.stats.handshake_sent += 1;
        // RFC 9260 §5.1 D: the first chunk of its packet.
        let answer = chunk::encode(kind::COOKIE_ACK, 0, &[]);
        self.control.push_first(answer);
        true
    }

    /// RFC 9260 §5.1 E.
    pub(super) fn on_cookie_ack(&mut self, now: Instant) {
        if self.phase == Phase::CookieEchoed {
            let (tsn, peer) = (self.handshake.tsn, self.peer);
            self.begin(now, tsn, peer);
        }
    }

    fn establish(&mut self, now: Instant, cookie: &Cookie) {
        self.local_tag = cookie.local_tag;
        self.begin(now, cookie.local_tsn, cookie.peer);
    }

    /// Both sides know each other: takes up what was agreed.
    pub(super) fn begin(&mut self, now: Instant, local_tsn: u32, peer: PeerInit) {
        self.peer = peer;
        self.phase = Phase::Established;
        self.timers.stop(Why::Handshake);
        self.handshake.init_due = false;
        self.handshake.echo_due = false;
        self.handshake.cookie = Vec::new();
        let agreed = self.extensions().common(peer.extensions);
        // RFC 9653 §5.2: each direction alone; we may leave it out when the peer announced so.
        self.zero_checksum = agreed.zero_checksum;
        self.marks.begin(agreed.ecn);
        self.out.rto.progress();
        self.out.start(Agreed {
            first_tsn: serial::start(local_tsn),
            peer_window: peer.window,
            interleaved: agreed.interleaving,
            partial: agreed.partial(),
        });
        self.follow_remote_max();
        self.inc.start(serial::start(peer.tsn), agreed.interleaving);
        self.reconfig
            .start(local_tsn, peer.tsn, agreed.reconfig, peer.inbound);
        self.liveness.begin();
        self.pmtu.begin();
        self.follow_size();
        self.schedule_heartbeat(now);
        self.delivering.notify(Notice::Connected);
        self.activate_channels(now);
    }

    /// RFC 9260 §5.2.6: the peer calls its cookie stale; the handshake begins anew, a few times.
    pub(super) fn begin_again(&mut self) {
        self.handshake.stale += 1;
        if self.handshake.stale > self.config.max_init_retransmits {
            self.end(CloseReason::Unreachable);
            return;
        }
        self.phase = Phase::CookieWait;
        self.handshake.echo_due = false;
        self.handshake.init_due = true;
    }

    /// RFC 9260 §5.2.4.1: the peer lost its state; ours goes with it.
    fn restart(&mut self, now: Instant, cookie: &Cookie) {
        // Who wanted the old association shut down does not want a new one.
        let shuts_down = matches!(self.phase, Phase::ShutdownPending | Phase::ShutdownSent);
        self.timers.stop_all();
        self.control.clear();
        self.early.release();
        self.delivering.deliver(Notice::Restarted);
        self.close_all_channels();
        self.out.reset(&self.config, now);
        self.out.set_packet_size(self.packet_size);
        self.inc.clear_incomplete();
        self.channels.release_streams();
        self.establish(now, cookie);
        if shuts_down {
            self.shutdown(now);
        }
    }

    /// Queues a packet for a peer that may have no association with us.
    pub(super) fn reply(&mut self, tag: u32, chunk: &[u8]) {
        let mut packet = vec![0; crate::packet::HEADER + chunk.len()];
        let mut builder = crate::packet::Builder::new(&mut packet, self.address(tag));
        builder.encoded(chunk);
        builder.finish(crate::packet::Seal::Crc32c);
        super::push_bounded(&mut self.control.replies, packet);
    }
}

/// Why an INIT or INIT ACK cannot be accepted.
fn objection(init: &Init) -> Option<u16> {
    if init.host_name {
        return Some(cause::UNRESOLVABLE_ADDRESS);
    }
    // RFC 9260 §3.3.2: no stream, or a window below 1,500 bytes.
    let bad = init.outbound == 0 || init.inbound == 0 || init.window < LEAST_WINDOW;
    bad.then_some(cause::INVALID_PARAMETER)
}
