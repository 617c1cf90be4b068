//! A datagram's way in, behind ICE: by its first byte to DTLS or SRTP (RFC 7983 §7).

use esp_ice::Received;
use esp_wire::{Ecn, Instant};

use super::Call;

/// Runs up to this length may be what a peer sent one by one, and the kernel merged.
const SHORT_RUN: usize = 8;

impl Call {
    /// Takes datagrams of the peer.
    pub(super) fn on_datagrams(&mut self, now: Instant, received: Received<'_>) {
        let Received { data, size, ecn } = received;
        let short = data.len() <= SHORT_RUN * size;
        for datagram in data.chunks_mut(size.max(1)) {
            if let Some(sctp) = self.sctp.as_mut().filter(|_| short) {
                sctp.acknowledge(now);
            }
            self.traffic.datagrams_in += 1;
            self.traffic.bytes_in += datagram.len() as u64;
            self.traffic.largest_in = self.traffic.largest_in.max(datagram.len());
            match datagram.first() {
                Some(20..=63) => self.on_dtls(now, ecn, datagram),
                Some(128..=191) => self.on_srtp(now, datagram),
                _ => self.traffic.unknown += 1,
            }
        }
    }

    fn on_dtls(&mut self, now: Instant, ecn: Ecn, datagram: &mut [u8]) {
        if self.progress < super::Progress::Connected {
            // DTLS itself holds, within bounds, what comes before the answer and before SCTP has begun.
            if let Err(error) = self.dtls.handle_input(now, datagram) {
                self.end(format!("DTLS failed: {error}"));
            }
            return;
        }
        match self.dtls.open(now, datagram) {
            Ok(Some(packet)) => {
                if let Some(sctp) = &mut self.sctp {
                    // The reason comes as an event of the association.
                    let _ = sctp.handle_marked_input(now, ecn, packet);
                }
            }
            Ok(None) => self.take_data(now, ecn),
            Err(error) => self.end(format!("DTLS failed: {error}")),
        }
    }

    /// What DTLS has to tell beside packets that it opened at once.
    fn take_data(&mut self, now: Instant, ecn: Ecn) {
        while let Some(event) = self.dtls.poll_event() {
            match event {
                esp_dtls::Event::Data(packet) => {
                    if let Some(sctp) = &mut self.sctp {
                        // The reason comes as an event of the association.
                        let _ = sctp.handle_marked_input(now, ecn, packet);
                    }
                }
                esp_dtls::Event::Closed => self.end("the peer ended the connection".into()),
                esp_dtls::Event::Connected { .. } => {}
            }
        }
    }

    pub(super) fn on_srtp(&mut self, now: Instant, packet: &mut [u8]) {
        let Some(srtp) = &mut self.srtp else {
            if !self.early.hold(packet) {
                self.traffic.early_dropped += 1;
            }
            return;
        };
        // RFC 5761 §4: payload types 64 to 95 with the marker bit are RTCP's packet types.
        let is_rtcp = matches!(packet.get(1), Some(192..=223));
        let opened = if is_rtcp {
            srtp.receiver.unprotect_rtcp(packet)
        } else {
            srtp.receiver.unprotect_rtp(packet)
        };
        let Some(rtp) = &mut self.rtp else {
            return;
        };
        match opened {
            Ok(len) if is_rtcp => rtp.handle_rtcp(now, &mut packet[..len]),
            Ok(len) => rtp.handle_rtp(now, &mut packet[..len]),
            Err(_) => self.traffic.srtp_refused += 1,
        }
    }
}
