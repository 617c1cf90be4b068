//! Whole calls in which one side shows an RSA certificate, by OpenSSL.

use std::time::Duration;

use esp_peer::{Certificate, DtlsBackend, PeerConnection, State};
use esp_wire::{DataFrame, DataKind, Frame, Role};

use crate::pair::{End, Told, begin, driver, ends};
use crate::turn_dtls::certificate;

fn rsa() -> Certificate {
    let (made, key) = certificate("127.0.0.1", 9, None, false);
    let key = key.private_key_to_pkcs8().unwrap();
    Certificate::from_der(made.to_der().unwrap(), key).unwrap()
}

/// Sound and a message of many packets pass.
fn pass(from: &End, to: &End, stream_id: u16) {
    let large: Vec<u8> = (0..200_000).map(|at: u32| (at % 251) as u8).collect();
    let frame = DataFrame {
        kind: DataKind::Binary,
        stream_id,
        data: &large,
    };
    from.connection.send_data(frame).unwrap();
    assert!(to.wait_data() == large);
    let sound = Frame {
        pts: Duration::ZERO,
        data: b"a packet of sound",
    };
    from.connection.send_audio(sound).unwrap();
    to.wait(|told| matches!(told, Told::Audio(data) if data == sound.data).then_some(()));
}

#[test]
fn a_call_with_an_rsa_certificate_on_either_side_carries_sound_and_data() {
    let certificate = rsa();
    for side in [Role::Controlling, Role::Controlled] {
        let driver = driver();
        let pair = ends(
            &|mut config, handler| {
                config.dtls_backend = DtlsBackend::OpenSsl;
                if config.role == side {
                    config.certificate = Some(certificate.clone());
                }
                driver.open(config, handler).unwrap()
            },
            [None, None],
        );
        begin(&pair);
        for end in &pair {
            end.wait_state(State::Connected);
        }
        let [a, b] = &pair;
        let stream_id = a.wait_channel().stream_id;
        assert_eq!(b.wait_channel().stream_id, stream_id);
        pass(a, b, stream_id);
        pass(b, a, stream_id);
        for end in &pair {
            assert_eq!(
                end.connection.query().unwrap().dtls,
                Some("DTLS 1.2"),
                "{side:?}"
            );
        }
    }
}
