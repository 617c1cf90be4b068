//! Addresses that are told by names which only the local link resolves.

use esp_peer::{PeerConnection, State};
use esp_wire::Role;

use crate::alone::{ADDRESS, alone};
use crate::pair::{begin, driver, ends};

#[test]
fn peers_that_hide_their_addresses_find_each_other_by_multicast_dns() {
    let name = "names::peers_that_hide_their_addresses_find_each_other_by_multicast_dns";
    alone(name, hide_and_seek);
}

fn hide_and_seek() {
    let drivers = [driver(), driver()];
    let pair = ends(
        &|mut config, handler| {
            config.ice.include_loopback = false;
            config.ice.ipv6 = false;
            config.ice.hide_addresses = true;
            let driver = match config.role {
                Role::Controlling => &drivers[0],
                Role::Controlled => &drivers[1],
            };
            driver.open(config, handler).unwrap()
        },
        [None, None],
    );
    begin(&pair);
    for end in &pair {
        end.wait_state(State::Connected);
        let told = end.connection.query().unwrap().local_candidates;
        assert!(!told.is_empty());
        for line in told {
            assert!(line.contains(".local "), "{line}");
            assert!(!line.contains(ADDRESS), "{line}");
        }
    }
}
