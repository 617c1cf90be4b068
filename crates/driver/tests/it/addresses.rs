//! Addresses that come while a connection lives.

use std::time::{Duration, Instant};

use esp_driver::{Driver, DriverConfig};
use esp_peer::{Handler, PeerConnection};
use esp_wire::Role;

use crate::alone::{alone, ip};
use crate::pair::{PATIENCE, config};

#[test]
fn a_new_address_becomes_a_candidate_without_waiting_for_the_interval() {
    let name = "addresses::a_new_address_becomes_a_candidate_without_waiting_for_the_interval";
    alone(name, add_an_address);
}

fn add_an_address() {
    struct Quiet;
    impl Handler for Quiet {}
    let driver = Driver::start(DriverConfig {
        interface_interval: Duration::from_secs(3_600),
        ..DriverConfig::default()
    })
    .unwrap();
    let connection = driver
        .open(config(Role::Controlling), Box::new(Quiet))
        .unwrap();
    connection.new_connection().unwrap();
    let has = |address: &str| {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let found = connection.query().unwrap().local_candidates;
            if found.iter().any(|line| line.contains(address)) {
                return true;
            }
            std::thread::yield_now();
        }
        false
    };
    assert!(has(" 127.0.0.1 "));
    assert!(ip("addr add 127.0.0.77/8 dev lo"));
    assert!(has(" 127.0.0.77 "), "nobody noticed the address");
}
