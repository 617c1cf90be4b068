//! Codecs with their parameters, as this side offers them.

use std::fmt;

use esp_wire::Codec;

use crate::payload::parameters;
use crate::{H264Params, ProfileLevelId};

/// The parameters of a codec in `a=fmtp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Params {
    /// It has none.
    None,
    /// H.264 (RFC 6184).
    H264(H264Params),
    /// Opus (RFC 7587).
    Opus(OpusParams),
}

impl Params {
    /// Reads the `fmtp` of `codec`; what is unknown is left out.
    pub fn parse(codec: Codec, fmtp: &str) -> Self {
        match codec {
            Codec::H264 => Params::H264(H264Params::parse(fmtp)),
            Codec::Opus => Params::Opus(OpusParams::parse(fmtp)),
            _ => Params::None,
        }
    }

    /// What this side writes in its answer to `offered`.
    pub(crate) fn answering(&self, offered: &Params) -> Params {
        match (self, offered) {
            (Params::H264(ours), Params::H264(offered)) => Params::H264(ours.answering(offered)),
            // RFC 7587 §7.1: the parameters of Opus are declarative.
            _ => *self,
        }
    }

    /// What this side may send to one that wrote `remote`.
    pub(crate) fn sending_to(&self, remote: &Params) -> Params {
        match (self, remote) {
            (Params::H264(ours), Params::H264(remote)) => Params::H264(ours.sending_to(remote)),
            _ => *remote,
        }
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Params::None => Ok(()),
            Params::H264(params) => params.fmt(f),
            Params::Opus(params) => params.fmt(f),
        }
    }
}

/// What a side that receives Opus wishes (RFC 7587 §6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct OpusParams {
    /// `minptime`, ms: the shortest packets it wants.
    pub min_ptime: Option<u8>,
    /// `useinbandfec`: it makes use of in-band FEC.
    pub in_band_fec: bool,
    /// `usedtx`: silence may be left out.
    pub dtx: bool,
    /// `stereo`: it prefers stereo.
    pub stereo: bool,
    /// `sprop-stereo`: it is likely to send stereo.
    pub sends_stereo: bool,
    /// `cbr`: it wants a constant bitrate.
    pub constant_bitrate: bool,
    /// `maxaveragebitrate`, bits a second.
    pub max_average_bitrate: Option<u32>,
    /// `maxplaybackrate`, Hz.
    pub max_playback_rate: Option<u32>,
}

impl OpusParams {
    pub(crate) fn parse(fmtp: &str) -> Self {
        let mut params = OpusParams::default();
        for (name, value) in parameters(fmtp) {
            let on = value == "1";
            match name.to_ascii_lowercase().as_str() {
                "minptime" => params.min_ptime = value.parse().ok(),
                "useinbandfec" => params.in_band_fec = on,
                "usedtx" => params.dtx = on,
                "stereo" => params.stereo = on,
                "sprop-stereo" => params.sends_stereo = on,
                "cbr" => params.constant_bitrate = on,
                "maxaveragebitrate" => params.max_average_bitrate = value.parse().ok(),
                "maxplaybackrate" => params.max_playback_rate = value.parse().ok(),
                _ => {}
            }
        }
        params
    }
}

impl fmt::Display for OpusParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("minptime", self.min_ptime.map(u32::from)),
            ("maxaveragebitrate", self.max_average_bitrate),
            ("maxplaybackrate", self.max_playback_rate),
            ("stereo", self.stereo.then_some(1)),
            ("sprop-stereo", self.sends_stereo.then_some(1)),
            ("usedtx", self.dtx.then_some(1)),
            ("cbr", self.constant_bitrate.then_some(1)),
            ("useinbandfec", self.in_band_fec.then_some(1)),
        ];
        let told = numbers
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (index, (name, value)) in told.enumerate() {
            let mark = if index == 0 { "" } else { ";" };
            write!(f, "{mark}{name}={value}")?;
        }
        Ok(())
    }
}

/// One codec that this side takes, with the payload type that it proposes in offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecSpec {
    /// The codec.
    pub codec: Codec,
    /// The payload type in our offers; in answers the offerer's is used.
    pub payload_type: u8,
    /// Channels in the `rtpmap`: 2 for Opus whatever is sent, 1 for G.711, 0 for video.
    pub channels: u8,
    /// Its parameters as we receive it.
    pub params: Params,
    /// The payload type of its retransmissions; none when we do not retransmit.
    pub rtx_payload_type: Option<u8>,
}

impl CodecSpec {
    /// Opus with in-band FEC and packets of 10 ms or more.
    pub fn opus(payload_type: u8) -> Self {
        CodecSpec {
            codec: Codec::Opus,
            payload_type,
            channels: 2,
            params: Params::Opus(OpusParams {
                min_ptime: Some(10),
                in_band_fec: true,
                ..OpusParams::default()
            }),
            rtx_payload_type: None,
        }
    }

    /// G.711 µ-law under its static type 0.
    pub fn pcmu() -> Self {
        Self::plain(Codec::Pcmu, 0)
    }

    /// G.711 A-law under its static type 8.
    pub fn pcma() -> Self {
        Self::plain(Codec::Pcma, 8)
    }

    fn plain(codec: Codec, payload_type: u8) -> Self {
        CodecSpec {
            codec,
            payload_type,
            channels: 1,
            params: Params::None,
            rtx_payload_type: None,
        }
    }

    /// H.264 with the given profile, level and packetization mode (0 or 1).
    pub fn h264(payload_type: u8, profile_level_id: ProfileLevelId, mode: u8) -> Self {
        CodecSpec {
            codec: Codec::H264,
            payload_type,
            channels: 0,
            params: Params::H264(H264Params {
                profile_level_id,
                packetization_mode: mode,
                level_asymmetry_allowed: true,
            }),
            rtx_payload_type: None,
        }
    }

    /// With retransmissions under this payload type (RFC 4588).
    pub fn with_rtx(mut self, payload_type: u8) -> Self {
        self.rtx_payload_type = Some(payload_type);
        self
    }

    /// With these parameters.
    pub fn with_params(mut self, params: Params) -> Self {
        self.params = params;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opus_parameters_read_back() {
        let text = "minptime=10;maxaveragebitrate=24000;stereo=1;useinbandfec=1";
        let params = OpusParams::parse(text);
        assert_eq!(params.max_average_bitrate, Some(24_000));
        assert!(params.stereo && params.in_band_fec && !params.dtx);
        assert_eq!(params.to_string(), text);
        assert_eq!(OpusParams::parse(" ;; stereo = x;").to_string(), "");
    }

    #[test]
    fn h264_without_parameters_is_mode_0() {
        let Params::H264(params) = Params::parse(Codec::H264, "") else {
            panic!("not H.264");
        };
        assert_eq!(params.packetization_mode, 0);
    }
}
