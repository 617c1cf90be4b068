//! H.264 in SDP (RFC 6184 §8): profile and level, and what two sides make of them.

use std::fmt;

/// The profiles of RFC 6184 table 5 that are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// Constrained Baseline.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained High.
    ConstrainedHigh,
    /// High.
    High,
    /// Any other: its profile_idc and constraint flags must be equal.
    Other(u8, u8),
}

/// `profile-level-id`: profile_idc, the constraint flags, level_idc.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProfileLevelId(pub [u8; 3]);

impl ProfileLevelId {
    /// Constrained Baseline at level 3.1, what all browsers take (RFC 7742 §6.2).
    pub const CONSTRAINED_BASELINE_3_1: ProfileLevelId = ProfileLevelId([0x42, 0xe0, 0x1f]);

    /// Reads six hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 6 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let value = u32::from_str_radix(text, 16).ok()?;
        let [_, profile, flags, level] = value.to_be_bytes();
        Some(ProfileLevelId([profile, flags, level]))
    }

    /// The profile (RFC 6184 table 5).
    pub const fn profile(self) -> Profile {
        let [idc, flags, _] = self.0;
        match (idc, flags & 0xef) {
            (0x42, flags) if flags & 0x4f == 0x40 => Profile::ConstrainedBaseline,
            (0x4d, flags) if flags & 0x8f == 0x80 => Profile::ConstrainedBaseline,
            (0x58, flags) if flags & 0xcf == 0xc0 => Profile::ConstrainedBaseline,
            (0x42, flags) if flags & 0x4f == 0 => Profile::Baseline,
            (0x58, flags) if flags & 0xcf == 0x80 => Profile::Baseline,
            (0x4d, flags) if flags & 0xaf == 0 => Profile::Main,
            (0x64, 0x0c) => Profile::ConstrainedHigh,
            (0x64, 0) => Profile::High,
            (idc, flags) => Profile::Other(idc, flags),
        }
    }

    /// The level, ten times its number; level 1b lies between 10 and 11 as 10.5 would, so all are
    /// doubled: 1.0 is 20, 1b is 21, 1.1 is 22, 3.1 is 62.
    pub const fn level(self) -> u16 {
        let [idc, flags, level] = self.0;
        let is_1b = match idc {
            0x42 | 0x4d | 0x58 => level == 11 && flags & 0x10 != 0,
            _ => level == 9,
        };
        if is_1b { 21 } else { level as u16 * 2 }
    }

    /// The same profile at the level of `other`.
    pub const fn at_level_of(self, other: ProfileLevelId) -> Self {
        let [idc, flags, _] = self.0;
        let is_1b = other.level() == 21;
        let high = !matches!(idc, 0x42 | 0x4d | 0x58);
        let level = match (is_1b, high) {
            (true, true) => 9,
            (true, false) => 11,
            (false, _) => other.0[2],
        };
        let flags = match (high, is_1b) {
            (true, _) => flags,
            (false, true) => flags | 0x10,
            (false, false) => flags & 0xef,
        };
        ProfileLevelId([idc, flags, level])
    }

    /// This profile at the lower of the two levels.
    pub const fn at_lower_level(self, other: ProfileLevelId) -> Self {
        if other.level() < self.level() {
            self.at_level_of(other)
        } else {
            self
        }
    }
}

impl fmt::Display for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [profile, flags, level] = self.0;
        write!(f, "{profile:02x}{flags:02x}{level:02x}")
    }
}

impl fmt::Debug for ProfileLevelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The `fmtp` parameters of H.264 that matter to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct H264Params {
    /// Profile and highest level that the describing side receives.
    pub profile_level_id: ProfileLevelId,
    /// 0: single NAL units alone. 1: STAP-A and FU-A too. 2 (interleaved) is matched by nobody.
    pub packetization_mode: u8,
    /// Whether each direction may have its own level.
    pub level_asymmetry_allowed: bool,
}

impl Default for H264Params {
    fn default() -> Self {
        H264Params {
            profile_level_id: ProfileLevelId::CONSTRAINED_BASELINE_3_1,
            packetization_mode: 1,
            level_asymmetry_allowed: true,
        }
    }
}

impl H264Params {
    pub(crate) fn parse(fmtp: &str) -> Self {
        let mut params = H264Params {
            // RFC 6184 §8.1 infers Baseline at level 1, which is no picture worth sending; who
            // leaves it out means what RFC 7742 §6.2 makes everybody implement.
            profile_level_id: ProfileLevelId::CONSTRAINED_BASELINE_3_1,
            packetization_mode: 0,
            level_asymmetry_allowed: false,
        };
        for (name, value) in crate::payload::parameters(fmtp) {
            match name.to_ascii_lowercase().as_str() {
                "profile-level-id" => {
                    if let Some(id) = ProfileLevelId::parse(value) {
                        params.profile_level_id = id;
                    }
                }
                // A mode that is none must match nothing.
                "packetization-mode" => {
                    params.packetization_mode = value.parse().unwrap_or(u8::MAX);
                }
                "level-asymmetry-allowed" => params.level_asymmetry_allowed = value == "1",
                _ => {}
            }
        }
        params
    }

    /// Whether both are the same configuration (RFC 6184 §8.2.2: profile and mode are symmetric).
    pub(crate) fn same_configuration(&self, other: &H264Params) -> bool {
        self.packetization_mode == other.packetization_mode
            && self.profile_level_id.profile() == other.profile_level_id.profile()
    }

    /// Whether they differ in nothing but Baseline against Constrained Baseline; streams without
    /// the few tools that only Baseline has, which are all streams in practice, suit both.
    pub(crate) fn same_but_constraints(&self, other: &H264Params) -> bool {
        let pair = (
            self.profile_level_id.profile(),
            other.profile_level_id.profile(),
        );
        self.packetization_mode == other.packetization_mode
            && matches!(
                pair,
                (Profile::ConstrainedBaseline, Profile::Baseline)
                    | (Profile::Baseline, Profile::ConstrainedBaseline)
            )
    }

    /// What this side writes into its answer to `offered`.
    pub(crate) fn answering(&self, offered: &H264Params) -> H264Params {
        let asymmetry = self.level_asymmetry_allowed && offered.level_asymmetry_allowed;
        // The profile is spelled as offered, since some peers compare the digits.
        let ours = offered.profile_level_id.at_level_of(self.profile_level_id);
        H264Params {
            profile_level_id: if asymmetry {
                ours
            } else {
                offered.profile_level_id.at_lower_level(ours)
            },
            packetization_mode: offered.packetization_mode,
            level_asymmetry_allowed: asymmetry,
        }
    }

    /// What may be sent to a side that wrote `remote`, by one that wrote `self`.
    pub(crate) fn sending_to(&self, remote: &H264Params) -> H264Params {
        let asymmetry = self.level_asymmetry_allowed && remote.level_asymmetry_allowed;
        H264Params {
            profile_level_id: if asymmetry {
                remote.profile_level_id
            } else {
                remote
                    .profile_level_id
                    .at_lower_level(self.profile_level_id)
            },
            packetization_mode: remote.packetization_mode,
            level_asymmetry_allowed: asymmetry,
        }
    }
}

impl fmt::Display for H264Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.level_asymmetry_allowed {
            f.write_str("level-asymmetry-allowed=1;")?;
        }
        write!(
            f,
            "packetization-mode={};profile-level-id={}",
            self.packetization_mode, self.profile_level_id
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ProfileLevelId {
        ProfileLevelId::parse(text).unwrap()
    }

    #[test]
    fn profiles_of_rfc_6184_table_5() {
        for (text, profile) in [
            ("42e01f", Profile::ConstrainedBaseline),
            ("42c01e", Profile::ConstrainedBaseline),
            ("42401f", Profile::ConstrainedBaseline),
            ("4d801f", Profile::ConstrainedBaseline),
            ("42001f", Profile::Baseline),
            ("42a01f", Profile::Baseline),
            ("4d001f", Profile::Main),
            ("4d401f", Profile::Main),
            ("640c1f", Profile::ConstrainedHigh),
            ("64001f", Profile::High),
            ("f4001f", Profile::Other(0xf4, 0)),
        ] {
            assert_eq!(id(text).profile(), profile, "{text}");
        }
        assert!(ProfileLevelId::parse("42e01").is_none());
        assert!(ProfileLevelId::parse("+2e01f").is_none());
    }

    #[test]
    fn level_1b_lies_between_1_and_1_1() {
        assert!(id("42e00a").level() < id("42f00b").level());
        assert!(id("42f00b").level() < id("42e00b").level());
        assert_eq!(id("640009").level(), id("42f00b").level());
        assert_eq!(id("42e01f").at_level_of(id("640009")), id("42f00b"));
        assert_eq!(id("42f00b").at_level_of(id("42e01f")), id("42e01f"));
    }

    #[test]
    fn levels_meet_at_the_lower_unless_both_allow_asymmetry() {
        let ours = H264Params::default();
        let mut theirs = H264Params::parse("packetization-mode=1;profile-level-id=42e00d");
        assert_eq!(ours.answering(&theirs).profile_level_id, id("42e00d"));
        assert_eq!(ours.sending_to(&theirs).profile_level_id, id("42e00d"));
        theirs.level_asymmetry_allowed = true;
        assert_eq!(ours.answering(&theirs).profile_level_id, id("42e01f"));
        assert_eq!(ours.sending_to(&theirs).profile_level_id, id("42e00d"));
    }
}
