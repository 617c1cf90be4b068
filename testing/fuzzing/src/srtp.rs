//! SRTP and SRTCP: packets of a sender, changed on their way, and noise.

use esp_srtp::{Keying, Profile, Receiver, Sender};

use crate::Bytes;

const PROFILES: [Profile; 4] = [
    Profile::Aes128CmSha1_80,
    Profile::Aes128CmSha1_32,
    Profile::AeadAes128Gcm,
    Profile::AeadAes256Gcm,
];

/// What the sender protects is opened once and comes out as it went in; all else is refused.
pub(crate) fn packets(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let profile = PROFILES[usize::from(bytes.u8() % 4)];
    let key: Vec<u8> = (1..=profile.key_len() as u8).collect();
    let salt: Vec<u8> = (101..=100 + profile.salt_len() as u8).collect();
    let keying = Keying::new(profile, &key, &salt).expect("keys of the right length");
    let mut sender = Sender::new(&keying).expect("a sender");
    let mut receiver = Receiver::new(&keying).expect("a receiver");
    for _ in 0..60 {
        if bytes.is_empty() {
            return;
        }
        let step = bytes.u8();
        let rtcp = step & 1 == 1;
        let mut packet = bytes.short().to_vec();
        let plain = packet.clone();
        if step & 2 == 0 {
            packet.resize(plain.len() + 32, 0);
            let len = if rtcp {
                sender.protect_rtcp_slice(&mut packet, plain.len())
            } else {
                sender.protect_rtp_slice(&mut packet, plain.len())
            };
            let Ok(len) = len else { continue };
            packet.truncate(len);
        }
        let meant = packet.clone();
        if step & 4 != 0 {
            bytes.change(&mut packet);
        }
        if step & 8 != 0 {
            packet.truncate(usize::from(bytes.u8()));
        }
        let whole = step & 2 == 0 && packet == meant;
        let opened = if rtcp {
            receiver.unprotect_rtcp(&mut packet)
        } else {
            receiver.unprotect_rtp(&mut packet)
        };
        match opened {
            Ok(len) => {
                assert!(whole, "a packet that nobody sent");
                assert_eq!(packet[..len], plain);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
