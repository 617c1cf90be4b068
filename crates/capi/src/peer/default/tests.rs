use std::ptr;

use esp_peer::{Report, RtpTransformer};
use esp_wire::Signal;

use super::callbacks::deaf;
use super::*;

/// A connection that is broken, or asks to be begun anew once.
#[derive(Default)]
struct Fake {
    calls: Arc<Mutex<Vec<String>>>,
    broken: bool,
    begun_anew: AtomicBool,
}

impl Fake {
    fn note(&self, call: String) -> Outcome {
        assert!(!self.broken, "broken on purpose");
        locked(&self.calls).push(call);
        Ok(())
    }
}

impl PeerConnection for Fake {
    fn new_connection(&self) -> Outcome {
        self.note("new_connection".into())
    }

    fn update_ice_info(&self, role: Role, servers: &[IceServer]) -> Outcome {
        self.note(format!("{role:?} {}", servers.len()))
    }

    fn send_msg(&self, msg: &Signal<'_>) -> Outcome {
        self.note(format!("{msg:?}"))?;
        match self.begun_anew.swap(false, Ordering::Relaxed) {
            true => Err(Error::PeerBeganAnew),
            false => Ok(()),
        }
    }

    fn send_audio(&self, frame: Frame<'_>) -> Outcome {
        self.note(format!("{} ms", frame.pts.as_millis()))
    }

    fn send_video(&self, _: Frame<'_>) -> Outcome {
        Err(Error::WouldBlock)
    }

    fn send_data(&self, _: DataFrame<'_>) -> Outcome {
        Err(Error::TooLarge { size: 2, limit: 1 })
    }

    fn create_data_channel(&self, config: ChannelConfig) -> Outcome {
        self.note(format!(
            "{} {:?} {}",
            config.label, config.reliability, config.ordered
        ))
    }

    fn close_data_channel(&self, _: u16) -> Outcome {
        Ok(())
    }

    fn request_keyframe(&self) -> Outcome {
        Ok(())
    }

    fn main_loop(&self) -> Outcome {
        self.note("main_loop".into())
    }

    fn disconnect(&self) -> Outcome {
        self.note("disconnect".into())
    }

    fn query(&self) -> Result<Report, Error> {
        Err(Error::BadData(String::new()))
    }

    fn set_rtp_transformer(
        &self,
        _: TransformerSide,
        _: Option<Box<dyn RtpTransformer>>,
    ) -> Outcome {
        Ok(())
    }

    fn paired_addr(&self) -> Option<SocketAddr> {
        Some("[2001:db8::1]:77".parse().unwrap())
    }

    fn close(&self) {}
}

fn over(fake: Fake) -> Peer {
    let callbacks = Callbacks::of(&deaf());
    Peer::over(Arc::new(fake), callbacks, Channels::default())
}

#[test]
fn after_a_defect_a_handle_can_only_be_closed() {
    let broken = Fake {
        broken: true,
        ..Fake::default()
    };
    let handle = PEERS.insert(over(broken));
    let query = |peer: &Peer| peer.query();
    assert_eq!(work("query", handle, query), -8);
    assert_eq!(work("main_loop", handle, Peer::main_loop), -6);
    // What worked before does not any more.
    assert_eq!(work("query", handle, query), -6);
    let peer = PEERS.remove(handle).unwrap();
    assert!(!peer.looping.load(Ordering::Relaxed));
    peer.close();
    assert_eq!(work("query", handle, query), -1);
}

#[test]
fn codes_of_the_connection_are_those_of_c() {
    let peer = over(Fake::default());
    let frame = esp_peer_frame_t {
        pts: 0,
        data: ptr::null_mut(),
        size: 0,
    };
    let sent = peer.send_media(&frame, b"a", &peer.video_clock, |it, frame| {
        it.send_video(frame)
    });
    assert_eq!(sent.unwrap_err().code(), -9);
    let data = |kind| esp_peer_data_frame_t {
        kind,
        stream_id: 0,
        data: ptr::null_mut(),
        size: 0,
    };
    assert_eq!(peer.send_data(&data(1), b"a").unwrap_err().code(), -7);
    assert_eq!(peer.send_data(&data(0), b"a").unwrap_err().code(), -1);
}

#[test]
fn times_that_wrap_around_go_on() {
    let calls = Arc::default();
    let peer = over(Fake {
        calls: Arc::clone(&calls),
        ..Fake::default()
    });
    for pts in [u32::MAX - 9, u32::MAX, 10, 5] {
        let frame = esp_peer_frame_t {
            pts,
            data: ptr::null_mut(),
            size: 0,
        };
        peer.send_media(&frame, b"a", &peer.audio_clock, |it, frame| {
            it.send_audio(frame)
        })
        .unwrap();
    }
    // The first one has nothing before it.
    let expected = [
        "4294967286 ms",
        "4294967295 ms",
        "4294967306 ms",
        "4294967301 ms",
    ];
    assert_eq!(*locked(&calls), expected);
}

#[test]
fn a_peer_that_began_anew_is_followed_and_the_role_kept() {
    let calls = Arc::default();
    let fake = Fake {
        calls: Arc::clone(&calls),
        begun_anew: AtomicBool::new(true),
        ..Fake::default()
    };
    let peer = Peer {
        follows: true,
        kept: Some(Mutex::new((Role::Controlled, Vec::new()))),
        ..over(fake)
    };
    peer.send_msg(1, b"offer\0").unwrap();
    let offer = format!("{:?}", Signal::Sdp("offer".into()));
    let expected = [
        &offer,
        "disconnect",
        "Controlled 0",
        "new_connection",
        &offer,
    ];
    assert_eq!(*locked(&calls), expected);
}

#[test]
fn messages_and_channels_are_translated() {
    let calls = Arc::default();
    let peer = over(Fake {
        calls: Arc::clone(&calls),
        ..Fake::default()
    });
    peer.send_msg(2, b"a=candidate:1 1 UDP\r\n").unwrap();
    assert!(locked(&calls)[0].contains("\"candidate:1 1 UDP\""));
    for (kind, data) in [(0, &b"text"[..]), (3, b"text"), (1, b""), (1, b"\xff")] {
        assert_eq!(peer.send_msg(kind, data).unwrap_err().code(), -1);
    }
    let channel = |kind| esp_peer_data_channel_cfg_t {
        kind,
        ordered: 7,
        label: ptr::null_mut(),
        limit: 3,
    };
    peer.create_data_channel(&channel(1), "a").unwrap();
    peer.create_data_channel(&channel(2), "b").unwrap();
    assert_eq!(
        peer.create_data_channel(&channel(3), "c")
            .unwrap_err()
            .code(),
        -1
    );
    let expected = ["a MaxLifetime(3ms) true", "b MaxRetransmits(3) true"];
    assert_eq!(locked(&calls)[1..], expected);
}

#[test]
fn addresses_are_told_as_c_has_them() {
    let v4 = address("192.0.2.1:5000".parse().unwrap());
    assert_eq!(
        (v4.family, v4.port, &v4.bytes[..4]),
        (2, 5_000, &[192, 0, 2, 1][..])
    );
    let handle = PEERS.insert(over(Fake::default()));
    let v6 = paired_addr(handle).unwrap();
    assert_eq!((v6.port, v6.bytes[0], v6.bytes[15]), (77, 0x20, 1));
    PEERS.remove(handle);
    assert_eq!(paired_addr(handle).unwrap_err().code(), -4);
}
