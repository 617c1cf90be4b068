//! Addresses that come while a connection lives.

use std::process::Command;
use std::time::{Duration, Instant};

use esp_driver::{Driver, DriverConfig};
use esp_peer::{Handler, PeerConnection};
use esp_wire::Role;

use crate::pair::{PATIENCE, config};

/// The name under which the test starts its own binary in a network of its own.
const ALONE: &str = "ESP_DRIVER_TEST_NETWORK";

fn ip(arguments: &str) -> bool {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    status.is_ok_and(|status| status.success())
}

/// Needs `unshare` and `ip`, and the right to a network namespace; without them it tests nothing.
#[test]
fn a_new_address_becomes_a_candidate_without_waiting_for_the_interval() {
    if std::env::var_os(ALONE).is_some() {
        return add_an_address();
    }
    let permitted = Command::new("unshare").args(["-rn", "ip", "link"]).output();
    if !permitted.is_ok_and(|output| output.status.success()) {
        eprintln!("no network namespace here");
        return;
    }
    let name = "addresses::a_new_address_becomes_a_candidate_without_waiting_for_the_interval";
    let status = Command::new("unshare")
        .arg("-rn")
        .arg(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

fn add_an_address() {
    struct Quiet;
    impl Handler for Quiet {}
    assert!(ip("link set lo up"));
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
