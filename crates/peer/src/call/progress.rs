//! What the engines report to each other: from the first pair to the keys.

use std::borrow::Cow;

use esp_dtls::{DtlsRole, SrtpKeys, Version};
use esp_ice::{CandidateKind, Event as IceEvent, GatheringState, PairReport};
use esp_srtp::ReceiverConfig;
use esp_wire::{Input, Instant, Room};

use super::{Call, Progress, Srtp};
use crate::{Event, Notice, PeerConfig, State};

impl Call {
    /// Draws the conclusions from what the engines did. To be called after every command and input.
    pub(crate) fn advance(&mut self, now: Instant, config: &PeerConfig) {
        self.take_ice_events(now);
        self.start_dtls(now);
        self.take_dtls_events(now, config);
        self.note_pairing();
        if let Err(error) = self.describe(now, config) {
            self.end(error.to_string());
        }
    }

    fn take_ice_events(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceEvent::GatheringState(GatheringState::Complete) => self.on_gathered(),
                IceEvent::GatheringState(_) => {}
                IceEvent::GatheringOverdue => self.on_gathering_overdue(),
                IceEvent::LocalCandidate { line } => self.on_local_candidate(line),
                IceEvent::ServerFailed { url, reason } => self.notice(Notice::ServerFailed {
                    url: Cow::Owned(url),
                    reason: Cow::Owned(reason),
                }),
                IceEvent::PathAvailable(pair) => {
                    self.move_on(Progress::Paired);
                    self.on_path(&pair);
                }
                IceEvent::PathChanged(pair) => {
                    self.on_path(&pair);
                    if let Some(rtp) = &mut self.rtp {
                        rtp.path_changed(now);
                    }
                }
                IceEvent::RoomChanged => self.fit_path(),
                IceEvent::PathTooBig { size } => self.on_too_big(size),
                IceEvent::RemoteRestart => self.on_local_restart(),
                IceEvent::Disconnected(_) => {
                    self.on_interrupted(now);
                    self.notice(Notice::Interrupted);
                }
                IceEvent::Recovered => {
                    self.on_uninterrupted();
                    self.notice(Notice::Recovered);
                }
                IceEvent::Failed(reason) => self.end(reason.to_string()),
                _ => {}
            }
        }
    }

    fn on_path(&mut self, pair: &PairReport) {
        if let Some(sctp) = &mut self.sctp {
            sctp.path_changed();
        }
        self.notice(Notice::Paired {
            local: pair.local.address,
            local_type: kind_name(pair.local.kind),
            remote: pair.remote.address,
            remote_type: kind_name(pair.remote.kind),
        });
        self.fit_path();
    }

    /// Tells the engines the room that the path leaves them.
    pub(super) fn fit_path(&mut self) {
        let Some(path) = self.ice.path() else {
            return;
        };
        let carries_marks = self.ice.carries_marks();
        let fits = |room: Room| path.size.saturating_sub(room.head + room.tail);
        self.dtls.set_below(path.room);
        if let (Some(srtp), Some(rtp)) = (&self.srtp, &mut self.rtp) {
            let room = srtp.sender.rtp_room().plus(path.room);
            let rtcp_room = srtp.sender.rtcp_room().plus(path.room);
            // SRTCP adds more than SRTP: its packets must fit too.
            rtp.set_path(room, fits(rtcp_room));
            rtp.set_rtcp_room(rtcp_room);
        }
        if let Some(sctp) = &mut self.sctp {
            let room = self.dtls.room().plus(path.room);
            sctp.set_path(room, fits(room));
            let largest = self.largest_datagram.max(path.size);
            sctp.set_largest_packet(largest.saturating_sub(room.head + room.tail));
            sctp.set_marks_carried(carries_marks);
        }
    }

    /// The network said that datagrams of more than `size` bytes do not pass.
    fn on_too_big(&mut self, size: usize) {
        let Some(path) = self.ice.path() else {
            return;
        };
        if let Some(sctp) = &mut self.sctp {
            let room = self.dtls.room().plus(path.room);
            sctp.path_too_big(size.saturating_sub(room.head + room.tail));
        }
    }

    fn start_dtls(&mut self, now: Instant) {
        if self.dtls_started {
            return;
        }
        let Some(role) = self.dtls_role() else {
            return;
        };
        // A client's first flight needs a path; a server only listens.
        if role == DtlsRole::Client && self.ice.path().is_none() {
            return;
        }
        self.dtls_started = true;
        if let Err(error) = self.dtls.set_role(now, role) {
            self.end(format!("DTLS failed: {error}"));
        }
    }

    fn note_pairing(&mut self) {
        if self.negotiation.agreed.is_some() {
            self.move_on(Progress::Pairing);
        }
        if self.dtls_started && self.ice.path().is_some() {
            self.move_on(Progress::Connecting);
        }
    }

    fn take_dtls_events(&mut self, now: Instant, config: &PeerConfig) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                esp_dtls::Event::Connected { version, srtp } => {
                    self.on_secured(now, config, version, srtp);
                }
                esp_dtls::Event::Data(packet) => {
                    if let Some(sctp) = &mut self.sctp {
                        // The reason comes as an event of the association.
                        let _ = sctp.handle_input(now, packet);
                    }
                }
                esp_dtls::Event::Closed => self.end("the peer ended the connection".into()),
            }
        }
    }

    fn on_secured(
        &mut self,
        now: Instant,
        config: &PeerConfig,
        version: Version,
        keys: Option<SrtpKeys>,
    ) {
        self.move_on(Progress::Connecting);
        let has_media = self
            .negotiation
            .agreed
            .as_ref()
            .is_some_and(|agreed| !agreed.media.is_empty());
        match keys {
            // Without media of our own none is ever agreed on; ciphers cost memory and time.
            Some(keys) if config.has_media() => self.install_keys(&keys, config),
            None if has_media => {
                return self.end("the peer has no SRTP profile in common with us".into());
            }
            _ => {}
        }
        self.connect_sctp(now);
        self.fit_path();
        self.notice(Notice::Secured {
            version: version_name(version),
            srtp: self.srtp.as_ref().map(|srtp| srtp.profile),
        });
        self.move_on(Progress::Connected);
        self.negotiation.answered_offer = None;
        self.connect_by = None;
        let after = now.since(self.began);
        self.connected_after = Some(after);
        self.notice(Notice::Connected { after });
        while let Some(mut packet) = self.early.release() {
            self.on_srtp(now, &mut packet);
        }
    }

    /// Begins the association: with the INIT chunk that the peer's description carried, or with a handshake.
    fn connect_sctp(&mut self, now: Instant) {
        let Some(sctp) = &mut self.sctp else {
            return;
        };
        let begun = match self.remote_init.take() {
            Some(init) => sctp
                .connect_with_init(now, &init)
                .map_err(|it| it.to_string()),
            None => sctp.connect(now).map_err(|it| it.to_string()),
        };
        if let Err(reason) = begun {
            self.end(reason);
        }
    }

    fn install_keys(&mut self, keys: &SrtpKeys, config: &PeerConfig) {
        let profile = match keys.profile {
            esp_dtls::SrtpProfile::Aes128CmSha1_80 => esp_srtp::Profile::Aes128CmSha1_80,
            esp_dtls::SrtpProfile::AeadAes128Gcm => esp_srtp::Profile::AeadAes128Gcm,
            esp_dtls::SrtpProfile::AeadAes256Gcm => esp_srtp::Profile::AeadAes256Gcm,
        };
        let keying = |key: &[u8], salt: &[u8]| esp_srtp::Keying::new(profile, key, salt);
        let settings = ReceiverConfig::default().with_rtp_window(config.replay_window);
        let made = keying(&keys.local_key, &keys.local_salt)
            .and_then(|local| esp_srtp::Sender::new(&local))
            .and_then(|sender| {
                let remote = keying(&keys.remote_key, &keys.remote_salt)?;
                let receiver = esp_srtp::Receiver::with_config(&remote, settings)?;
                Ok(Srtp {
                    sender,
                    receiver,
                    profile: profile_name(keys.profile),
                })
            });
        match made {
            Ok(srtp) => self.srtp = Some(srtp),
            Err(error) => self.end(format!("SRTP failed: {error}")),
        }
    }

    /// Moves to a later state and tells each one on the way.
    fn move_on(&mut self, to: Progress) {
        const STATES: [(Progress, State); 4] = [
            (Progress::Pairing, State::Pairing),
            (Progress::Paired, State::Paired),
            (Progress::Connecting, State::Connecting),
            (Progress::Connected, State::Connected),
        ];
        for (progress, state) in STATES {
            if self.progress < progress && progress <= to {
                self.progress = progress;
                self.queue.push_back(Event::State(state));
            }
        }
    }

    fn notice(&mut self, notice: Notice<'static>) {
        self.queue.push_back(Event::Notice(notice));
    }

    /// Hands an answer of the driver to ICE.
    pub(crate) fn on_input(&mut self, now: Instant, input: Input<'_>) {
        match self.ice.handle_input(now, input) {
            Ok(Some(received)) => self.on_datagrams(now, received),
            Ok(None) => {}
            Err(error) => self.end(format!("ICE failed: {error}")),
        }
        let mut buffer = std::mem::take(&mut self.received);
        while let Some(received) = self.ice.poll_received(&mut buffer) {
            self.on_datagrams(now, received);
        }
        self.received = buffer;
    }

    /// Hands an answer to a goodbye to ICE; all else comes too late.
    pub(crate) fn on_last_input(&mut self, now: Instant, input: Input<'_>) {
        if let Some(input) = self.sockets.inward(input) {
            // It names nothing but the call that is over.
            let _ = self.ice.handle_input(now, input);
        }
    }
}

fn kind_name(kind: CandidateKind) -> &'static str {
    match kind {
        CandidateKind::Host => "host",
        CandidateKind::ServerReflexive => "srflx",
        CandidateKind::PeerReflexive => "prflx",
        CandidateKind::Relayed => "relay",
    }
}

pub(crate) fn version_name(version: Version) -> &'static str {
    match version {
        Version::Dtls12 => "DTLS 1.2",
        Version::Dtls13 => "DTLS 1.3",
    }
}

fn profile_name(profile: esp_dtls::SrtpProfile) -> &'static str {
    match profile {
        esp_dtls::SrtpProfile::Aes128CmSha1_80 => "AES128_CM_SHA1_80",
        esp_dtls::SrtpProfile::AeadAes128Gcm => "AEAD_AES_128_GCM",
        esp_dtls::SrtpProfile::AeadAes256Gcm => "AEAD_AES_256_GCM",
    }
}
