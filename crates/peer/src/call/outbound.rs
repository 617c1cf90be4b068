//! A train's way out: laid out by RTP or SCTP, protected by SRTP or DTLS, addressed by ICE.

use esp_rtp::Class;
use esp_wire::{Instant, Train};

use super::Call;

impl Call {
    /// Fills a train; `false` when nothing is to be sent now.
    pub(crate) fn poll_transmit(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.ice.poll_transmit(now, train) {
            self.sockets.address(train);
            return true;
        }
        if self.ice.path().is_none() {
            return false;
        }
        while self.dtls.poll_transmit(now, train)
            || self.poll_media(now, train)
            || self.poll_data(now, train)
        {
            // Without a path any more, what was laid out is lost as on the network.
            if self.ice.send(train) {
                self.traffic.datagrams_out += train.len() as u64;
                self.traffic.bytes_out += train.segments().map(|it| it.len() as u64).sum::<u64>();
                self.sockets.address(train);
                return true;
            }
        }
        false
    }

    /// As `poll_transmit` for a call that is over: at last DTLS says goodbye, and relays are given
    /// back.
    pub(crate) fn poll_goodbye(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.poll_transmit(now, train) {
            return true;
        }
        self.dtls.close(now);
        if self.poll_transmit(now, train) {
            return true;
        }
        self.ice.leave(now);
        self.poll_transmit(now, train)
    }

    fn poll_media(&mut self, now: Instant, train: &mut Train) -> bool {
        let (Some(srtp), Some(rtp)) = (&mut self.srtp, &mut self.rtp) else {
            return false;
        };
        while let Some(class) = rtp.poll_transmit(now, train) {
            let protected = match class {
                Class::Rtp => srtp.sender.protect_rtp(train),
                Class::Rtcp => srtp.sender.protect_rtcp(train),
            };
            // A train that cannot be protected is never sent: what follows may be.
            if protected.is_ok() {
                return true;
            }
        }
        false
    }

    fn poll_data(&mut self, now: Instant, train: &mut Train) -> bool {
        if self.dtls.state() != esp_dtls::State::Connected {
            return false;
        }
        let Some(sctp) = &mut self.sctp else {
            return false;
        };
        if !sctp.poll_transmit(now, train) {
            return false;
        }
        if let Err(error) = self.dtls.protect(now, train) {
            self.end(format!("DTLS failed: {error}"));
            return false;
        }
        true
    }
}
