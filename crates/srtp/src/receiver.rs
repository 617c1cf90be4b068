use std::fmt;

use crate::cipher::Cipher;
use crate::header::{RTCP_HEADER, RtpHeader, estimate_index, rtcp_ssrc};
use crate::window::{Verdict, Window};
use crate::{Error, Keying};

/// The bounds of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiverConfig {
    rtp_window: usize,
    rtcp_window: usize,
    max_sources: usize,
}

impl Default for ReceiverConfig {
    fn default() -> Self {
        ReceiverConfig {
            rtp_window: 1_024,
            rtcp_window: 128,
            max_sources: 64,
        }
    }
}

impl ReceiverConfig {
    /// Packets of each SSRC that the replay window of SRTP reaches back, at least 64; 1,024 by default.
    pub fn with_rtp_window(mut self, packets: usize) -> Self {
        self.rtp_window = packets;
        self
    }

    /// Packets of each SSRC that the replay window of SRTCP reaches back, at least 64; 128 by default.
    pub fn with_rtcp_window(mut self, packets: usize) -> Self {
        self.rtcp_window = packets;
        self
    }

    /// SSRCs remembered at once, at least one; 64 by default. The one that was silent for longest gives way, so an
    /// authenticated peer that uses more loses the replay protection of old ones, and nobody else can cause that.
    pub fn with_max_sources(mut self, sources: usize) -> Self {
        self.max_sources = sources;
        self
    }
}

/// What a receiver counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiverStats {
    /// RTP packets accepted.
    pub rtp_packets: u64,
    /// RTCP packets accepted.
    pub rtcp_packets: u64,
    /// Packets that were none.
    pub malformed: u64,
    /// Packets that came before.
    pub replayed: u64,
    /// Packets from before the replay window.
    pub too_old: u64,
    /// Packets that failed authentication.
    pub unauthentic: u64,
    /// SSRCs that gave way to newer ones.
    pub evicted: u64,
}

/// Checks and decrypts what the peer sends.
///
/// State for an SSRC is made only by a packet that passed authentication.
pub struct Receiver {
    rtp: Cipher,
    rtcp: Cipher,
    config: ReceiverConfig,
    sources: Vec<Source>,
    /// Counts accepted packets, to find the source that was silent for longest.
    turn: u64,
    stats: ReceiverStats,
}

struct Source {
    ssrc: u32,
    rtp: Option<Window>,
    rtcp: Option<Window>,
    last_used: u64,
}

impl Receiver {
    /// A receiver under these keys with the default bounds.
    pub fn new(keying: &Keying) -> Result<Self, Error> {
        Self::with_config(keying, ReceiverConfig::default())
    }

    /// A receiver under these keys; [`Error::Misuse`] when a bound is too small.
    pub fn with_config(keying: &Keying, config: ReceiverConfig) -> Result<Self, Error> {
        // RFC 3711 §3.3.2: the window is at least 64 packets.
        if config.rtp_window < 64 || config.rtcp_window < 64 || config.max_sources == 0 {
            return Err(Error::Misuse("a replay window is at least 64 packets"));
        }
        Ok(Receiver {
            rtp: Cipher::for_rtp(keying)?,
            rtcp: Cipher::for_rtcp(keying)?,
            config,
            sources: Vec::new(),
            turn: 0,
            stats: ReceiverStats::default(),
        })
    }

    /// Checks the SRTP packet `packet`, decrypts it in place and returns the length of the RTP packet at its start.
    ///
    /// After an error its bytes are void.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let opened = self.open_rtp(packet);
        match opened {
            Ok(_) => self.stats.rtp_packets += 1,
            Err(error) => self.count(error),
        }
        opened
    }

    /// Checks the SRTCP packet `packet`, decrypts it in place and returns the length of the compound RTCP packet at
    /// its start.
    ///
    /// After an error its bytes are void.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let opened = self.open_rtcp(packet);
        match opened {
            Ok(_) => self.stats.rtcp_packets += 1,
            Err(error) => self.count(error),
        }
        opened
    }

    /// What was counted.
    pub fn stats(&self) -> ReceiverStats {
        self.stats
    }

    fn count(&mut self, error: Error) {
        let counter = match error {
            Error::Malformed | Error::Misuse(_) => &mut self.stats.malformed,
            Error::Replayed => &mut self.stats.replayed,
            Error::TooOld => &mut self.stats.too_old,
            Error::Unauthentic => &mut self.stats.unauthentic,
        };
        *counter += 1;
    }

    fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let tag = self.rtp.tag_len();
        let len = packet.len().checked_sub(tag).ok_or(Error::Malformed)?;
        let header = RtpHeader::parse(&packet[..len])?;
        let source = self.position(header.ssrc);
        let window = source.and_then(|at| self.sources[at].rtp.as_ref());
        let index = match window {
            // RFC 3711 §3.3.1: the rollover counter starts at zero.
            None => u64::from(header.sequence),
            Some(window) => {
                let index = estimate_index(window.highest(), header.sequence);
                let index = index.ok_or(Error::TooOld)?;
                accept(window.check(index))?;
                index
            }
        };
        self.rtp.open_rtp(packet, header.len, header.ssrc, index)?;
        let size = self.config.rtp_window;
        let source = self.touch(source, header.ssrc);
        note(&mut source.rtp, index, size);
        Ok(len)
    }

    fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Error> {
        let len = packet
            .len()
            .checked_sub(self.rtcp.rtcp_overhead())
            .filter(|len| *len >= RTCP_HEADER)
            .ok_or(Error::Malformed)?;
        let ssrc = rtcp_ssrc(packet)?;
        let word = self.rtcp.rtcp_index(packet)?;
        let index = u64::from(word & 0x7fff_ffff);
        let source = self.position(ssrc);
        if let Some(window) = source.and_then(|at| self.sources[at].rtcp.as_ref()) {
            accept(window.check(index))?;
        }
        self.rtcp.open_rtcp(packet, ssrc, word)?;
        let size = self.config.rtcp_window;
        let source = self.touch(source, ssrc);
        note(&mut source.rtcp, index, size);
        Ok(len)
    }

    fn position(&self, ssrc: u32) -> Option<usize> {
        self.sources.iter().position(|source| source.ssrc == ssrc)
    }

    /// The source of an authentic packet, made when it is not known yet.
    fn touch(&mut self, known: Option<usize>, ssrc: u32) -> &mut Source {
        self.turn += 1;
        let at = known.unwrap_or_else(|| self.add(ssrc));
        let source = &mut self.sources[at];
        source.last_used = self.turn;
        source
    }

    fn add(&mut self, ssrc: u32) -> usize {
        let fresh = Source {
            ssrc,
            rtp: None,
            rtcp: None,
            last_used: self.turn,
        };
        if self.sources.len() < self.config.max_sources {
            self.sources.push(fresh);
            return self.sources.len() - 1;
        }
        let oldest = (0..self.sources.len())
            .min_by_key(|at| self.sources[*at].last_used)
            .unwrap_or(0);
        self.stats.evicted += 1;
        self.sources[oldest] = fresh;
        oldest
    }
}

fn accept(verdict: Verdict) -> Result<(), Error> {
    match verdict {
        Verdict::New => Ok(()),
        Verdict::Seen => Err(Error::Replayed),
        Verdict::TooOld => Err(Error::TooOld),
    }
}

fn note(window: &mut Option<Window>, index: u64, size: usize) {
    match window {
        Some(window) => window.mark(index),
        None => *window = Some(Window::starting(index, size)),
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("sources", &self.sources.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Receiver {
    pub(crate) fn with_session(rtp: Cipher, rtcp: Cipher) -> Self {
        Receiver {
            rtp,
            rtcp,
            config: ReceiverConfig::default(),
            sources: Vec::new(),
            turn: 0,
            stats: ReceiverStats::default(),
        }
    }

    pub(crate) fn start_at(&mut self, ssrc: u32, index: u64) {
        let source = self.touch(None, ssrc);
        note(&mut source.rtp, index, 1_024);
    }
}
