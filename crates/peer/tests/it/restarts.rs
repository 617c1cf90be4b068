//! Restarts of ICE over a signaling that loses what it carries, or says it twice.

use std::time::Duration;

use esp_netsim::SiteId;
use esp_peer::{Error, State};
use esp_wire::Role;

use crate::lossy::ufrag;
use crate::station::World;

#[test]
fn an_offer_or_an_answer_that_was_lost_is_made_again() {
    for offer_lost in [true, false] {
        let mut world = World::in_a_call(90);
        let b = world.answerer;
        let lossy = world.side(offer_lost);
        let before = world.said();
        world.cut(b, true);
        world.net.endpoint_mut(lossy).mute = true;
        world.net.run_for(Duration::from_secs(32));
        world.cut(b, false);
        world.net.endpoint_mut(lossy).mute = false;
        world.run_until(|a, b| a.recovered() && b.recovered());
        world.say(b"after");
        world.net.run_for(Duration::from_secs(30));
        // It is the same restart all the time, and each offer that arrives has its answer.
        let offers = &world.a().descriptions()[before[0]..];
        assert!(offers.len() > 3, "{}", offers.len());
        assert!(offers.iter().all(|offer| ufrag(offer) == ufrag(offers[0])));
        // What was told one by one, and is lost too, stands in the repetition.
        assert!(offers[1].contains("a=candidate:"), "{}", offers[1]);
        let answers = &world.b().descriptions()[before[1]..];
        assert!(answers.iter().all(|it| ufrag(it) == ufrag(answers[0])));
        let heard = if offer_lost { 1 } else { offers.len() };
        assert_eq!(answers.len(), heard);
    }
}

#[test]
fn a_signaling_that_is_back_has_the_restart_said_again_at_once() {
    for (seed, of_offerer) in [(91, true), (92, false)] {
        let mut world = World::in_a_call(seed);
        let away = world.side(of_offerer);
        world.cut(away, true);
        world.lose_signaling(away, true);
        // Longer than consent lasts, and shortly after a repetition.
        world.net.run_for(Duration::from_secs(33));
        assert!(world.said()[0] > 1);
        world.cut(away, false);
        world.lose_signaling(away, false);
        world.restore_signaling(away);
        world.net.run_for(Duration::from_secs(2));
        assert!(world.a().recovered() && world.b().recovered());
        world.say(b"after");
    }
}

#[test]
fn a_signaling_that_comes_and_goes_disturbs_no_call_that_lives() {
    let mut world = World::in_a_call(93);
    let before = world.said();
    for _ in 0..5 {
        for host in [world.offerer, world.answerer] {
            world.restore_signaling(host);
        }
        world.net.run_for(Duration::from_secs(1));
    }
    let after = world.said();
    assert_eq!(before, after);
}

#[test]
fn nobody_answers_an_answer() {
    let mut world = World::in_a_call(94);
    world.at_a(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(5));
    let (offer, answer) = (world.a().last_words(), world.b().last_words());
    let before = world.said();
    for _ in 0..3 {
        let (a, b) = (world.offerer, world.answerer);
        world.post(a, answer.clone());
        world.post(b, offer.clone());
        world.net.run_for(Duration::from_secs(1));
    }
    world.say(b"still here");
    world.net.run_for(Duration::from_secs(10));
    let after = world.said();
    // Each offer is answered, with what was said before; no answer is.
    assert_eq!(after, [before[0], before[1] + 3]);
    assert!(!world.a().was_told("Interrupted"));
}

#[test]
fn an_offer_that_was_lost_gives_way_to_none_but_is_said_again() {
    let mut world = World::in_a_call(95);
    let a = world.offerer;
    world.net.endpoint_mut(a).mute = true;
    world.at_a(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(6));
    world.net.endpoint_mut(a).mute = false;
    let before = world.said()[0];
    world.at_b(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(2));
    assert_eq!(world.said()[0], before + 1);
    // The other side has rolled its own back, and answered.
    let b = world.b().descriptions();
    assert!(b.last().unwrap().contains("a=setup:"));
    assert!(!b.last().unwrap().contains("a=setup:actpass"));
    world.say(b"agreed");
}

#[test]
fn a_host_without_a_network_waits_as_long_as_its_peer_does() {
    for (seed, of_offerer) in [(96, true), (97, false)] {
        let mut world = World::in_a_call(seed);
        let away = world.side(of_offerer);
        world.net.set_interfaces(away, &[]);
        world.lose_signaling(away, true);
        world.net.run_for(Duration::from_secs(43));
        let address = world.net.fresh_address(SiteId::PUBLIC, false);
        let network = [("eth1", SiteId::PUBLIC, address)];
        world.net.set_interfaces(away, &network);
        world.lose_signaling(away, false);
        world.restore_signaling(away);
        world.run_until(|a, b| a.recovered() && b.recovered());
        world.say(b"after");
        for station in [world.a(), world.b()] {
            assert!(!station.has(State::Disconnected));
        }
    }
}

/// The answerer begins anew, and the offerer hears nothing of that.
fn begun_anew(seed: u64, role: Role) -> World {
    let mut world = World::in_a_call(seed);
    let b = world.answerer;
    world.cut(b, true);
    world.at_b(|peer, now| peer.disconnect(now)).unwrap();
    world.net.run_for(Duration::from_secs(1));
    world.cut(b, false);
    world.net.endpoint_mut(b).mute = true;
    world
        .at_b(|peer, now| {
            peer.update_ice_info(now, role, &[])?;
            peer.new_connection(now)
        })
        .unwrap();
    world.net.run_for(Duration::from_millis(100));
    world.net.endpoint_mut(b).mute = false;
    world
}

#[test]
fn an_offer_of_another_session_is_for_another_connection() {
    let mut world = begun_anew(98, Role::Controlling);
    let offer = world.b().last_words();
    let refused = world.at_a(|peer, now| peer.handle_signal(now, &offer));
    assert_eq!(refused, Err(Error::PeerBeganAnew));
    assert!(!world.a().has(State::Disconnected));
    // As the application is told to do.
    let connects = |peer: &mut esp_peer::Peer, now| {
        peer.disconnect(now)?;
        peer.update_ice_info(now, Role::Controlled, &[])?;
        peer.new_connection(now)?;
        peer.handle_signal(now, &offer)
    };
    world.at_a(connects).unwrap();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world.say(b"again");
}

#[test]
fn an_answer_of_another_session_ends_the_call() {
    let mut world = begun_anew(99, Role::Controlled);
    world.at_a(|peer, now| peer.restart_ice(now)).unwrap();
    world.run_until(|a, _| a.has(State::Disconnected));
    assert!(world.a().was_told("the peer has begun anew"));
}

#[test]
fn the_role_of_the_next_connection_may_be_set_during_this_one() {
    let mut world = World::in_a_call(100);
    let now = world.net.now();
    world
        .at_b(|peer, now| peer.update_ice_info(now, Role::Controlling, &[]))
        .unwrap();
    assert_eq!(world.b().peer.report(now).role, Role::Controlled);
    world.net.run_for(Duration::from_secs(10));
    world.at_b(|peer, now| peer.disconnect(now)).unwrap();
    world.at_b(|peer, now| peer.new_connection(now)).unwrap();
    let now = world.net.now();
    assert_eq!(world.b().peer.report(now).role, Role::Controlling);
}
