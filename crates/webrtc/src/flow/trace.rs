//! The three flows with real peers on the seeded network: what is called, and what comes back, in order.

mod outages;
mod station;

use std::rc::Rc;
use std::time::Duration;

use esp_wire::{Role, Signal};

use self::station::{at, in_a_call, join, take_trace, until_connected};
use super::Input;

#[test]
fn building_a_connection() {
    let (mut net, device, page) = in_a_call(1);
    assert_eq!(
        take_trace(&mut net, device),
        [
            "signaling.start",
            "peer.open",
            "peer.new_connection",
            "on_msg(SDP)",
            "signaling.send_msg(SDP)",
            "signaling.on_msg(SDP)",
            "peer.send_msg(SDP)",
            "on_state(CONNECTED)",
        ]
    );
    assert_eq!(
        take_trace(&mut net, page),
        [
            "signaling.start",
            "peer.open",
            "peer.new_connection",
            "signaling.on_msg(SDP)",
            "peer.send_msg(SDP)",
            "on_msg(SDP)",
            "signaling.send_msg(SDP)",
            "on_state(CONNECTED)",
        ]
    );
}

#[test]
fn stopping_by_the_user() {
    let (mut net, device, page) = in_a_call(2);
    take_trace(&mut net, device);
    take_trace(&mut net, page);
    at(&mut net, device, [Input::Stop]);
    assert_eq!(
        take_trace(&mut net, device)[..3],
        ["peer.disconnect", "peer.close", "signaling.stop"]
    );
    // The goodbye reaches the other side at the speed of the network.
    net.run_until(
        |net| {
            net.endpoint(page)
                .trace
                .contains(&"on_state(DISCONNECTED)".to_owned())
        },
        Duration::from_millis(100),
    );
}

#[test]
fn the_peer_leaves_and_rejoins() {
    let (mut net, device, page) = in_a_call(3);
    take_trace(&mut net, device);
    let now = net.now();
    at(&mut net, page, [Input::Stop]);
    let post = Rc::clone(&net.endpoint(page).outbox);
    // Signaling is faster than the goodbye of the connection itself.
    post.borrow_mut().push_back((now, Signal::Bye));
    net.run_for(Duration::from_millis(600));
    assert_eq!(
        take_trace(&mut net, device)
            .into_iter()
            .filter(|line| line != "on_state(DISCONNECTED)")
            .collect::<Vec<_>>(),
        [
            "signaling.on_msg(BYE)",
            "peer.disconnect",
            "peer.new_connection",
            "on_msg(SDP)",
            "signaling.send_msg(SDP)",
        ]
    );
    join(&mut net, page, Role::Controlled);
    until_connected(&mut net, device);
    assert_eq!(
        take_trace(&mut net, device),
        [
            "signaling.on_msg(SDP)",
            "peer.send_msg(SDP)",
            "on_state(CONNECTED)"
        ]
    );
}
