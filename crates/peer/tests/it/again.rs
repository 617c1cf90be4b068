//! The first offer and answer over a signaling that loses them, or says them twice.

use std::time::Duration;

use esp_peer::PeerConfig;
use esp_wire::{Role, Trickle};

use crate::lossy::{DELAY, ufrag};
use crate::station::{World, everything};

/// Longer than anything takes that is going to happen.
const OUTAGE: Duration = Duration::from_secs(5);

/// Each side describes itself with one name only, and the two are connected once.
fn connects(world: &mut World, text: &[u8]) {
    world.run_until(|a, b| {
        a.is_connected() && b.is_connected() && !a.channels.is_empty() && !b.channels.is_empty()
    });
    world.say(text);
    world.net.run_for(Duration::from_secs(40));
    for station in [world.a(), world.b()] {
        let said = station.descriptions();
        assert!(
            said.iter().all(|it| ufrag(it) == ufrag(said[0])),
            "{said:#?}"
        );
        assert!(!station.was_told("Interrupted"));
        assert_eq!(station.channels.len(), 1);
    }
}

fn offers(description: &str) -> bool {
    description.contains("a=setup:actpass")
}

/// Begins while one side says nothing, or hears nothing, for a while.
fn begun(seed: u64, config: &PeerConfig, of_offerer: bool, mute: bool) -> World {
    let mut world = World::new(seed, DELAY, config.clone(), config.clone());
    let host = world.side(of_offerer);
    let station = world.net.endpoint_mut(host);
    (station.mute, station.deaf) = (mute, !mute);
    world.begin();
    world.net.run_for(OUTAGE);
    world.lose_signaling(host, false);
    world
}

#[test]
fn a_first_offer_that_was_lost_is_made_again_by_who_comes_back() {
    for (seed, trickle) in [
        (200, Trickle::Full),
        (201, Trickle::Half),
        (202, Trickle::None),
    ] {
        let config = everything().with_trickle(trickle);
        let mut world = begun(seed, &config, true, true);
        assert_eq!(world.said(), [1, 0]);
        world.restore_signaling(world.offerer);
        connects(&mut world, b"after a lost offer");
        assert_eq!(world.said(), [2, 1]);
        // What was told one by one, and is lost too, stands in the repetition.
        let offer = world.a().descriptions()[1];
        assert!(offer.contains("a=candidate:"), "{offer}");
    }
}

#[test]
fn a_first_answer_that_was_lost_is_made_again_by_who_comes_back() {
    for (seed, of_offerer) in [(210, true), (211, false)] {
        // The offerer did not hear it, or the answerer was not heard.
        let mut world = begun(seed, &everything(), of_offerer, !of_offerer);
        assert_eq!(world.said(), [1, 1]);
        world.restore_signaling(world.side(of_offerer));
        connects(&mut world, b"after a lost answer");
        // Who has offered offers once more, and is answered once more; who has answered says that again.
        let offered = if of_offerer { 2 } else { 1 };
        assert_eq!(world.said(), [offered, 2]);
        let answers = world.b().descriptions();
        assert!(answers.iter().all(|it| !offers(it)));
        assert!(answers[1].contains("a=candidate:"), "{}", answers[1]);
    }
}

#[test]
fn who_has_heard_no_offer_makes_one() {
    let mut answerers = [0, 0];
    for seed in 220..228 {
        let mut world = begun(seed, &everything(), false, false);
        assert_eq!(world.said(), [1, 0]);
        world.restore_signaling(world.answerer);
        connects(&mut world, b"after an offer that was not heard");
        // Who gives way is up to the dice; the other one is answered either way.
        let gave_way = !offers(world.a().descriptions().last().unwrap());
        answerers[usize::from(gave_way)] += 1;
        let now = world.net.now();
        let roles = [world.a(), world.b()].map(|station| station.peer.report(now).role);
        let wanted = match gave_way {
            true => [Role::Controlled, Role::Controlling],
            false => [Role::Controlling, Role::Controlled],
        };
        assert_eq!(roles, wanted, "seed {seed}");
    }
    assert!(answerers.iter().all(|times| *times > 0), "{answerers:?}");
}

#[test]
fn a_signaling_that_comes_and_goes_while_two_connect_spoils_nothing() {
    for (step, seed) in (230..260).enumerate() {
        // Slow enough for the offer of one to meet that of the other.
        let signaling = Duration::from_millis(100);
        let mut world = World::new(seed, DELAY, everything(), everything()).signaling(signaling);
        world.begin();
        for turn in 0..4 {
            world.net.run_for(Duration::from_millis(step as u64 * 4));
            for (offerer, bit) in [(true, 1), (false, 2)] {
                if (step + turn) & bit != 0 {
                    world.restore_signaling(world.side(offerer));
                }
            }
        }
        connects(&mut world, b"in spite of it");
    }
}

#[test]
fn one_that_was_lost_for_good_is_not_asked_for_without_end() {
    let mut world = World::new(270, DELAY, everything(), everything());
    world.lose_signaling(world.offerer, true);
    world.begin();
    world.net.run_for(Duration::from_secs(120));
    // Nobody has said that the signaling is back: an offer may wait for somebody to come.
    assert_eq!(world.said(), [1, 0]);
}
