//! Two ends in one process.

use esp_signaling::{Error, IceCause, Signaling, pair};
use esp_wire::{IceServer, Role, Signal, Trickle};

use crate::{Told, custom, recorder};

#[test]
fn what_one_says_the_other_hears() {
    let (first, second) = pair();
    let mut first = first.with_servers(vec![IceServer::stun("stun:a")]);
    let mut second = second.with_trickle(Trickle::None);
    assert_eq!(
        (first.trickle(), second.trickle()),
        (Trickle::Full, Trickle::None)
    );
    assert!(matches!(
        first.send_msg(&custom("x")),
        Err(Error::Misuse(_))
    ));
    let (events, here) = recorder();
    first.start(events).unwrap();
    first.send_msg(&custom("early")).unwrap();
    let (events, there) = recorder();
    second.start(events).unwrap();
    second.send_msg(&Signal::Sdp("v=0".into())).unwrap();
    here.expect(&[
        Told::Ice(Role::Controlling, IceCause::Joined, 1),
        Told::Connected,
        Told::Msg(Signal::Sdp("v=0".into())),
    ]);
    there.expect(&[
        Told::Ice(Role::Controlled, IceCause::Joined, 0),
        Told::Connected,
        Told::Msg(custom("early")),
    ]);
    first.stop().unwrap();
    here.expect(&[Told::Close("stopped".into())]);
    there.expect(&[
        Told::Msg(Signal::Bye),
        Told::Ice(Role::Controlling, IceCause::PeerLeft, 0),
    ]);
    assert_eq!(first.send_msg(&custom("x")), Err(Error::Closed));
    assert_eq!(second.send_msg(&custom("x")), Err(Error::Closed));
}

#[test]
fn a_bye_turns_the_roles() {
    let (mut first, mut second) = pair();
    let (events, here) = recorder();
    first.start(events).unwrap();
    let (events, there) = recorder();
    second.start(events).unwrap();
    first.send_msg(&Signal::Bye).unwrap();
    here.expect(&[
        Told::Ice(Role::Controlling, IceCause::Joined, 0),
        Told::Connected,
        Told::Ice(Role::Controlled, IceCause::Joined, 0),
    ]);
    there.expect(&[
        Told::Ice(Role::Controlled, IceCause::Joined, 0),
        Told::Connected,
        Told::Msg(Signal::Bye),
        Told::Ice(Role::Controlling, IceCause::PeerLeft, 0),
    ]);
}

#[test]
fn a_queue_that_is_full_says_so() {
    let (mut first, _second) = pair();
    let (events, _here) = recorder();
    first.start(events).unwrap();
    let refused = (0..1_000).find_map(|_| first.send_msg(&custom("x")).err());
    assert_eq!(refused, Some(Error::WouldBlock));
}
