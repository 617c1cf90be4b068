//! What a build without the feature `openssl` says of a server that only that feature can speak to.

use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use esp_webrtc::peer::{Handler, Notice, PeerConfig, PeerConnection};
use esp_webrtc::wire::{IcePolicy, IceServer};
use esp_webrtc::{Driver, DriverConfig};

struct Failures(Sender<(String, String)>);

impl Handler for Failures {
    fn on_notice(&mut self, notice: &Notice<'_>) {
        if let Notice::ServerFailed { url, reason } = notice {
            let _ = self.0.send((url.to_string(), reason.to_string()));
        }
    }
}

#[test]
fn without_the_feature_dtls_to_servers_is_refused_by_its_name() {
    let url = "turns:127.0.0.1?transport=udp";
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let mut config = PeerConfig::default()
        .with_data_channels(false)
        .with_loopback();
    config.policy = IcePolicy::Relay;
    config.servers = vec![IceServer::turn(url, "user", "secret")];
    let (teller, told) = channel();
    let peer = driver.open(config, Box::new(Failures(teller))).unwrap();
    peer.new_connection().unwrap();
    let (failed, reason) = told.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(failed, url);
    assert!(reason.contains("the feature `openssl`"), "{reason}");
}
