use std::fmt;

use esp_wire::{Room, Train};

use crate::cipher::Cipher;
use crate::header::{RTCP_HEADER, RtpHeader, estimate_index, rtcp_ssrc};
use crate::window::{Verdict, Window};
use crate::{Error, Keying};

/// SSRCs that a sender protects for, unless set otherwise.
const MAX_SOURCES: usize = 64;
/// Packets of each SSRC that a sender remembers.
const REMEMBERED: usize = 1_024;
/// RFC 3711 §9.2: SRTCP packets that one master key is good for.
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// What a sender counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderStats {
    /// RTP packets protected.
    pub rtp_packets: u64,
    /// RTCP packets protected.
    pub rtcp_packets: u64,
    /// Packets refused.
    pub refused: u64,
}

/// Protects what one side sends.
///
/// It follows the sequence numbers of each SSRC over their wraps (RFC 3711 §3.3.1). With AES-GCM a number that comes
/// again must carry the very same packet, as in a plain retransmission; anything else under it would give away the
/// authentication key (RFC 7714 §8.4), is refused, and its bytes are cleared.
pub struct Sender {
    rtp: Cipher,
    rtcp: Cipher,
    sources: Vec<Source>,
    max_sources: usize,
    rtcp_index: u32,
    stats: SenderStats,
}

struct Source {
    ssrc: u32,
    window: Window,
    /// The start of each tag by index, for ciphers that break when a nonce is used twice.
    tags: Box<[u64]>,
}

impl Sender {
    /// A sender under these keys.
    pub fn new(keying: &Keying) -> Result<Self, Error> {
        Ok(Sender {
            rtp: Cipher::for_rtp(keying)?,
            rtcp: Cipher::for_rtcp(keying)?,
            sources: Vec::new(),
            max_sources: MAX_SOURCES,
            rtcp_index: 0,
            stats: SenderStats::default(),
        })
    }

    /// The number of SSRCs that it protects for, 64 by default; a further one is refused, since forgetting one
    /// could use a nonce twice.
    pub fn with_max_sources(mut self, max_sources: usize) -> Self {
        self.max_sources = max_sources;
        self
    }

    /// Bytes that protection adds to an RTP packet.
    pub fn rtp_room(&self) -> Room {
        Room {
            head: 0,
            tail: self.rtp.tag_len(),
        }
    }

    /// Bytes that protection adds to an RTCP packet.
    pub fn rtcp_room(&self) -> Room {
        Room {
            head: 0,
            tail: self.rtcp.rtcp_overhead(),
        }
    }

    /// Protects every packet of `train`, in place; takes [`Sender::rtp_room`] of its room.
    ///
    /// After an error the train must not be sent. [`Error::Misuse`] for a train without room, too many SSRCs, a
    /// number used twice or all numbers used up; [`Error::Malformed`] when a segment is no RTP packet.
    pub fn protect_rtp(&mut self, train: &mut Train) -> Result<(), Error> {
        self.grow(train, self.rtp.tag_len())?;
        for packet in train.segments_mut() {
            self.rtp_packet(packet)?;
        }
        Ok(())
    }

    /// Protects the RTP packet in `buffer[..len]` in place and returns its new length.
    pub fn protect_rtp_slice(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Error> {
        let end = len + self.rtp.tag_len();
        let packet = self.cut(buffer, end)?;
        self.rtp_packet(packet)?;
        Ok(end)
    }

    /// Protects and encrypts every compound RTCP packet of `train`, in place; takes [`Sender::rtcp_room`].
    ///
    /// After an error the train must not be sent.
    pub fn protect_rtcp(&mut self, train: &mut Train) -> Result<(), Error> {
        self.grow(train, self.rtcp.rtcp_overhead())?;
        for packet in train.segments_mut() {
            self.rtcp_packet(packet)?;
        }
        Ok(())
    }

    /// Protects and encrypts the compound RTCP packet in `buffer[..len]` in place and returns its new length.
    pub fn protect_rtcp_slice(&mut self, buffer: &mut [u8], len: usize) -> Result<usize, Error> {
        let end = len + self.rtcp.rtcp_overhead();
        let packet = self.cut(buffer, end)?;
        self.rtcp_packet(packet)?;
        Ok(end)
    }

    /// What was counted.
    pub fn stats(&self) -> SenderStats {
        self.stats
    }

    fn grow(&mut self, train: &mut Train, tail: usize) -> Result<(), Error> {
        train.grow(0, tail).map_err(|_| {
            self.stats.refused += 1;
            Error::Misuse("the train has no room for SRTP")
        })
    }

    fn cut<'a>(&mut self, buffer: &'a mut [u8], end: usize) -> Result<&'a mut [u8], Error> {
        buffer.get_mut(..end).ok_or_else(|| {
            self.stats.refused += 1;
            Error::Misuse("the buffer has no room for SRTP")
        })
    }

    fn rtp_packet(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        let sealed = self.seal_rtp(packet);
        match sealed {
            Ok(()) => self.stats.rtp_packets += 1,
            Err(_) => {
                self.stats.refused += 1;
                packet.fill(0);
            }
        }
        sealed
    }

    fn seal_rtp(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        let tag = self.rtp.tag_len();
        let plain = packet.len().checked_sub(tag).ok_or(Error::Malformed)?;
        let header = RtpHeader::parse(&packet[..plain])?;
        let known = self.source(header.ssrc, header.sequence)?;
        let source = &mut self.sources[known.at];
        let index = if known.fresh {
            source.window.highest()
        } else {
            estimate_index(source.window.highest(), header.sequence)
                .ok_or(Error::Misuse("the sequence numbers are used up"))?
        };
        let fragile = self.rtp.is_fragile();
        let verdict = if known.fresh {
            Verdict::New
        } else {
            source.window.check(index)
        };
        if verdict == Verdict::TooOld && fragile {
            return Err(Error::Misuse("a sequence number from too long ago"));
        }
        self.rtp.seal_rtp(packet, header.len, header.ssrc, index)?;
        if fragile {
            let slot = &mut source.tags[index as usize % REMEMBERED];
            let tag = packet.last_chunk().copied().map_or(0, u64::from_be_bytes);
            if verdict == Verdict::Seen && *slot != tag {
                return Err(Error::Misuse("a sequence number with two contents"));
            }
            *slot = tag;
        }
        if verdict == Verdict::New {
            source.window.mark(index);
        }
        Ok(())
    }

    fn source(&mut self, ssrc: u32, sequence: u16) -> Result<Known, Error> {
        if let Some(at) = self.sources.iter().position(|it| it.ssrc == ssrc) {
            return Ok(Known { at, fresh: false });
        }
        if self.sources.len() >= self.max_sources {
            return Err(Error::Misuse("too many SSRCs"));
        }
        let remembered = if self.rtp.is_fragile() { REMEMBERED } else { 0 };
        self.sources.push(Source {
            ssrc,
            window: Window::starting(u64::from(sequence), REMEMBERED),
            tags: vec![0; remembered].into_boxed_slice(),
        });
        Ok(Known {
            at: self.sources.len() - 1,
            fresh: true,
        })
    }

    fn rtcp_packet(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        let sealed = self.seal_rtcp(packet);
        match sealed {
            Ok(()) => self.stats.rtcp_packets += 1,
            Err(_) => {
                self.stats.refused += 1;
                packet.fill(0);
            }
        }
        sealed
    }

    fn seal_rtcp(&mut self, packet: &mut [u8]) -> Result<(), Error> {
        if packet.len() < RTCP_HEADER + self.rtcp.rtcp_overhead() {
            return Err(Error::Malformed);
        }
        let ssrc = rtcp_ssrc(packet)?;
        if self.rtcp_index > MAX_RTCP_INDEX {
            return Err(Error::Misuse("the SRTCP indices are used up"));
        }
        // One counter for all SSRCs: unique for each of them, and nothing to remember.
        self.rtcp.seal_rtcp(packet, ssrc, self.rtcp_index)?;
        self.rtcp_index += 1;
        Ok(())
    }
}

struct Known {
    at: usize,
    fresh: bool,
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("sources", &self.sources.len())
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Sender {
    pub(crate) fn with_session(rtp: Cipher, rtcp: Cipher, rtcp_index: u32) -> Self {
        Sender {
            rtp,
            rtcp,
            sources: Vec::new(),
            max_sources: MAX_SOURCES,
            rtcp_index,
            stats: SenderStats::default(),
        }
    }

    pub(crate) fn start_at(&mut self, ssrc: u32, index: u64) {
        let at = self.source(ssrc, 0).expect("room").at;
        self.sources[at].window = Window::starting(index, REMEMBERED);
    }
}
