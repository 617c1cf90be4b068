//! Restarts of ICE over a signaling that loses what it carries, or says it twice.

use std::time::Duration;

use esp_netsim::SiteId;
use esp_peer::{Error, State};
use esp_wire::{Role, Signal};

use crate::station::{Station, World, everything};

const DELAY: Duration = Duration::from_millis(10);

fn connected(seed: u64) -> World {
    let mut world = World::new(seed, DELAY, everything(), everything());
    world.connect();
    world.run_until(|a, b| !a.channels.is_empty() && !b.channels.is_empty());
    world
}

fn descriptions(station: &Station) -> Vec<&str> {
    let sent = station.sent.iter();
    sent.filter_map(|signal| match signal {
        Signal::Sdp(text) => Some(&**text),
        _ => None,
    })
    .collect()
}

fn ufrag(description: &str) -> &str {
    let line = description
        .lines()
        .find_map(|line| line.strip_prefix("a=ice-ufrag:"));
    line.unwrap()
}

fn recovered(station: &Station) -> bool {
    station
        .notices
        .iter()
        .any(|notice| notice.contains("Recovered"))
}

/// The last description of a side, once more.
fn last_words(station: &Station) -> Signal<'static> {
    Signal::Sdp(descriptions(station).last().unwrap().to_string().into())
}

#[test]
fn an_offer_or_an_answer_that_was_lost_is_made_again() {
    for offer_lost in [true, false] {
        let mut world = connected(90);
        let (a, b) = (world.offerer, world.answerer);
        let lossy = if offer_lost { a } else { b };
        let before = [world.a(), world.b()].map(|station| descriptions(station).len());
        world.cut(b, true);
        world.net.endpoint_mut(lossy).mute = true;
        world.net.run_for(Duration::from_secs(32));
        world.cut(b, false);
        world.net.endpoint_mut(lossy).mute = false;
        world.run_until(|a, b| recovered(a) && recovered(b));
        world.say(b"after");
        world.net.run_for(Duration::from_secs(30));
        // It is the same restart all the time, and each offer that arrives has its answer.
        let offers = &descriptions(world.a())[before[0]..];
        assert!(offers.len() > 3, "{}", offers.len());
        assert!(offers.iter().all(|offer| ufrag(offer) == ufrag(offers[0])));
        // What was told one by one, and is lost too, stands in the repetition.
        assert!(offers[1].contains("a=candidate:"), "{}", offers[1]);
        let answers = &descriptions(world.b())[before[1]..];
        assert!(answers.iter().all(|it| ufrag(it) == ufrag(answers[0])));
        let heard = if offer_lost { 1 } else { offers.len() };
        assert_eq!(answers.len(), heard);
    }
}

#[test]
fn a_signaling_that_is_back_has_the_restart_said_again_at_once() {
    for (seed, of_offerer) in [(91, true), (92, false)] {
        let mut world = connected(seed);
        let away = match of_offerer {
            true => world.offerer,
            false => world.answerer,
        };
        world.cut(away, true);
        let station = world.net.endpoint_mut(away);
        (station.mute, station.deaf) = (true, true);
        // Longer than consent lasts, and shortly after a repetition.
        world.net.run_for(Duration::from_secs(33));
        assert!(descriptions(world.a()).len() > 1);
        world.cut(away, false);
        let station = world.net.endpoint_mut(away);
        (station.mute, station.deaf) = (false, false);
        let done = match of_offerer {
            true => world.at_a(|peer, now| peer.signaling_restored(now)),
            false => world.at_b(|peer, now| peer.signaling_restored(now)),
        };
        done.unwrap();
        world.net.run_for(Duration::from_secs(2));
        assert!(recovered(world.a()) && recovered(world.b()));
        world.say(b"after");
    }
}

#[test]
fn a_signaling_that_comes_and_goes_disturbs_no_call_that_lives() {
    let mut world = connected(93);
    let before = [world.a(), world.b()].map(|station| descriptions(station).len());
    for _ in 0..5 {
        world
            .at_a(|peer, now| peer.signaling_restored(now))
            .unwrap();
        world
            .at_b(|peer, now| peer.signaling_restored(now))
            .unwrap();
        world.net.run_for(Duration::from_secs(1));
    }
    let after = [world.a(), world.b()].map(|station| descriptions(station).len());
    assert_eq!(before, after);
}

#[test]
fn nobody_answers_an_answer() {
    let mut world = connected(94);
    world.at_a(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(5));
    let (offer, answer) = (last_words(world.a()), last_words(world.b()));
    let before = [world.a(), world.b()].map(|station| descriptions(station).len());
    for _ in 0..3 {
        let (a, b) = (world.offerer, world.answerer);
        world.post(a, answer.clone());
        world.post(b, offer.clone());
        world.net.run_for(Duration::from_secs(1));
    }
    world.say(b"still here");
    world.net.run_for(Duration::from_secs(10));
    let after = [world.a(), world.b()].map(|station| descriptions(station).len());
    // Each offer is answered, with what was said before; no answer is.
    assert_eq!(after, [before[0], before[1] + 3]);
    assert!(
        !world
            .a()
            .notices
            .iter()
            .any(|it| it.contains("Interrupted"))
    );
}

#[test]
fn an_offer_that_was_lost_gives_way_to_none_but_is_said_again() {
    let mut world = connected(95);
    let a = world.offerer;
    world.net.endpoint_mut(a).mute = true;
    world.at_a(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(6));
    world.net.endpoint_mut(a).mute = false;
    let before = descriptions(world.a()).len();
    world.at_b(|peer, now| peer.restart_ice(now)).unwrap();
    world.net.run_for(Duration::from_secs(2));
    assert_eq!(descriptions(world.a()).len(), before + 1);
    // The other side has rolled its own back, and answered.
    let b = descriptions(world.b());
    assert!(b.last().unwrap().contains("a=setup:"));
    assert!(!b.last().unwrap().contains("a=setup:actpass"));
    world.say(b"agreed");
}

#[test]
fn a_host_without_a_network_waits_as_long_as_its_peer_does() {
    for (seed, of_offerer) in [(96, true), (97, false)] {
        let mut world = connected(seed);
        let away = match of_offerer {
            true => world.offerer,
            false => world.answerer,
        };
        world.net.set_interfaces(away, &[]);
        let station = world.net.endpoint_mut(away);
        (station.mute, station.deaf) = (true, true);
        world.net.run_for(Duration::from_secs(43));
        let address = world.net.fresh_address(SiteId::PUBLIC, false);
        let network = [("eth1", SiteId::PUBLIC, address)];
        world.net.set_interfaces(away, &network);
        let station = world.net.endpoint_mut(away);
        (station.mute, station.deaf) = (false, false);
        let done = match of_offerer {
            true => world.at_a(|peer, now| peer.signaling_restored(now)),
            false => world.at_b(|peer, now| peer.signaling_restored(now)),
        };
        done.unwrap();
        world.run_until(|a, b| recovered(a) && recovered(b));
        world.say(b"after");
        for station in [world.a(), world.b()] {
            assert!(!station.has(State::Disconnected));
        }
    }
}

/// The answerer begins anew, and the offerer hears nothing of that.
fn begun_anew(seed: u64, role: Role) -> World {
    let mut world = connected(seed);
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
    let offer = last_words(world.b());
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
    let words = |notice: &String| notice.contains("the peer has begun anew");
    assert!(world.a().notices.iter().any(words));
}

#[test]
fn the_role_of_the_next_connection_may_be_set_during_this_one() {
    let mut world = connected(100);
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
