//! SHUTDOWN and its rules (RFC 9260 §9.2), and messages that are open when something ends.

use std::{cell::Cell, rc::Rc, time::Duration};

use esp_sctp::{Association, ChannelConfig, CloseReason, Config, Delivery, Error, Misuse};
use esp_wire::DataKind;

use crate::{
    forge::{
        ABORT, Forge, HEARTBEAT, HEARTBEAT_ACK, I_DATA, SACK, SHUTDOWN, SHUTDOWN_COMPLETE, chunk,
        kinds, parameter, word,
    },
    link::{Link, Net, Seen, pattern},
};

const SECOND: Duration = Duration::from_secs(1);

fn has_shut_down(net: &Net, side: usize) -> bool {
    net.seen[side].last() == Some(&Seen::Ended(CloseReason::Shutdown))
}

#[test]
fn a_slow_link_does_not_cut_a_shutdown_short() {
    // Two minutes of data, more than the guard of 50 s allows for the exchange itself.
    let link = Link {
        rate: 64_000,
        queue: Duration::from_secs(2),
        ..Link::default()
    };
    for by_peer in [false, true] {
        let mut net = Net::connected(5, Default::default(), link);
        let channel = net.open(0, ChannelConfig::new("x"));
        net.run(SECOND);
        for index in 0..10 {
            net.send(0, channel, &pattern(index, 90_000));
        }
        let now = net.now;
        net.sides[usize::from(by_peer)].shutdown(now);
        net.run_until(600 * SECOND, |net| {
            net.sides.iter().all(Association::has_ended)
        });
        assert!(net.now - now > 100 * SECOND);
        assert_eq!(net.messages(1).len(), 10);
        assert!(has_shut_down(&net, 0) && has_shut_down(&net, 1));
    }
}

#[test]
fn a_peer_that_never_ends_the_shutdown_is_cut_off() {
    let mut forge = Forge::connected(Config::default());
    let now = forge.net.now;
    forge.net.sides[0].shutdown(now);
    forge.net.flush();
    assert_eq!(kinds(&forge.heard()), [SHUTDOWN]);
    // Its heartbeats show that it is there.
    let mut heard = Vec::new();
    while !forge.net.sides[0].has_ended() {
        assert!(forge.net.now < now + 60 * SECOND);
        heard.extend(forge.tell(&[chunk(HEARTBEAT, 0, &parameter(1, b"here"))]));
        forge.net.run(Duration::from_millis(300));
        heard.extend(forge.heard());
    }
    // RFC 9260 §9.2: five times RTO.Max.
    assert!(forge.net.now > now + 49 * SECOND);
    let abort = heard.last().unwrap();
    assert_eq!(abort.kind, ABORT);
    assert_eq!(abort.cause().unwrap().0, 12);
    assert!(kinds(&heard).contains(&HEARTBEAT_ACK));
}

#[test]
fn data_after_our_shutdown_is_answered_by_another() {
    let mut forge = Forge::connected(Config::default());
    let now = forge.net.now;
    forge.net.sides[0].shutdown(now);
    forge.net.flush();
    forge.packets();
    let message = |ahead: u32| {
        let mut value = forge_tsn(&forge, ahead).to_vec();
        value.extend([0; 12]);
        value[15] = 53;
        value.extend(b"late");
        chunk(I_DATA, 3, &value)
    };
    let (second, first) = (message(1), message(0));
    // The SHUTDOWN alone cannot acknowledge what is behind a gap.
    let heard = forge.tell(&[second]);
    assert_eq!(kinds(&heard), [SHUTDOWN, SACK]);
    let heard = forge.tell(&[first]);
    assert_eq!(kinds(&heard), [SHUTDOWN, SACK]);
    assert_eq!(heard[0].value, forge_tsn(&forge, 1));
    assert_eq!(word(&heard[1].value, 0).to_be_bytes(), forge_tsn(&forge, 1));
}

fn forge_tsn(forge: &Forge, ahead: u32) -> [u8; 4] {
    forge.first[1].wrapping_add(ahead).to_be_bytes()
}

#[test]
fn any_packet_of_a_shutdown_may_be_lost() {
    for lost in 0..6 {
        let mut net = Net::connected(5, Default::default(), Link::default());
        net.run(SECOND);
        let mut count = 0;
        net.filter = Some(Box::new(move |_, _| {
            count += 1;
            count - 1 == lost
        }));
        let now = net.now;
        net.sides[lost % 2].shutdown(now);
        net.run_until(30 * SECOND, |net| {
            net.sides.iter().all(Association::has_ended)
        });
        assert!(has_shut_down(&net, 0) && has_shut_down(&net, 1), "{lost}");
    }
    let mut net = Net::connected(5, Default::default(), Link::default());
    let dropped = Rc::new(Cell::new(0));
    let count = Rc::clone(&dropped);
    net.filter = Some(Box::new(move |_, packet| {
        let drops = packet[12] == SHUTDOWN_COMPLETE && count.get() < 3;
        count.set(count.get() + u32::from(drops));
        drops
    }));
    let now = net.now;
    net.sides[0].shutdown(now);
    net.run_until(60 * SECOND, |net| {
        net.sides.iter().all(Association::has_ended)
    });
    assert_eq!(dropped.get(), 3);
    assert!(has_shut_down(&net, 1));
}

#[test]
fn both_sides_deliver_all_when_both_shut_down_with_much_to_send() {
    for loss in [0.0, 0.15] {
        let mut net = Net::connected(5, Default::default(), Link::lossy(loss));
        let channels = [0, 1].map(|side| net.open(side, ChannelConfig::new("x")));
        for index in 0..40 {
            for (side, channel) in channels.iter().enumerate() {
                net.send(side, *channel, &pattern(index, 20_000));
            }
        }
        let now = net.now;
        net.sides[0].shutdown(now);
        net.run(Duration::from_millis(3));
        let now = net.now;
        net.sides[1].shutdown(now);
        net.run_until(120 * SECOND, |net| {
            net.sides.iter().all(Association::has_ended)
        });
        for side in 0..2 {
            let got = net.messages(side);
            assert_eq!(got.len(), 40, "{loss}");
            for (index, data) in got.into_iter().enumerate() {
                assert!(data == pattern(index, 20_000));
            }
        }
    }
}

fn parts(interleaving: bool) -> Config {
    Config::default()
        .with_interleaving(interleaving)
        .with_delivery(Delivery::Parts)
}

#[test]
fn a_message_that_is_open_when_its_channel_closes_is_given_up() {
    for interleaving in [true, false] {
        for sent in [0, 100, 200_000] {
            let config = parts(interleaving);
            let mut net = Net::connected(5, [config.clone(), config], Link::default());
            let channel = net.open(0, ChannelConfig::new("x"));
            let other = net.open(0, ChannelConfig::new("y"));
            net.run(SECOND);
            net.send(0, channel, b"before");
            let now = net.now;
            if sent > 0 {
                net.sides[0]
                    .send_part(now, channel, DataKind::Binary, &pattern(0, sent), false)
                    .unwrap();
                net.run(SECOND / 2);
            }
            let now = net.now;
            net.sides[0]
                .send_part(now, channel, DataKind::Binary, b"more", false)
                .unwrap();
            net.sides[0].close_channel(now, channel).unwrap();
            let late = net.sides[0].send_part(now, channel, DataKind::Binary, b"", true);
            assert_eq!(late, Err(Error::Misuse(Misuse::ChannelClosed)));
            net.send(0, other, b"beside");
            net.run(2 * SECOND);
            let case = format!("{interleaving} {sent}");
            assert_eq!(net.messages(1), [&b"before"[..], b"beside"], "{case}");
            for side in 0..2 {
                let closed = net.count(side, |seen| matches!(seen, Seen::Closed(_)));
                assert_eq!(closed, 1, "{case}");
                let stats = net.sides[side].stats();
                assert_eq!((stats.send_buffered, stats.receive_buffered), (0, 0));
            }
            let begun = net.count(1, |seen| matches!(seen, Seen::Part { first: true, .. }));
            let aborted = net.count(1, |seen| *seen == Seen::Aborted);
            assert_eq!(begun, aborted, "{case}");
            assert_eq!(begun > 0, sent > 100_000, "{case}");
            // Its stream begins anew.
            let again = net.open(0, ChannelConfig::new("z"));
            net.send(0, again, b"again");
            net.run(SECOND);
            assert_eq!(net.messages(1).last(), Some(&&b"again"[..]), "{case}");
        }
    }
}

#[test]
fn a_message_that_is_open_does_not_hold_a_shutdown_up() {
    for interleaving in [true, false] {
        let config = parts(interleaving);
        let mut net = Net::connected(5, [config.clone(), config], Link::default());
        let channel = net.open(0, ChannelConfig::new("x"));
        let other = net.open(0, ChannelConfig::new("y"));
        net.run(SECOND);
        let now = net.now;
        net.sides[0]
            .send_part(now, channel, DataKind::Binary, &pattern(0, 150_000), false)
            .unwrap();
        net.run(SECOND / 2);
        net.send(0, other, b"beside");
        let now = net.now;
        net.sides[0].shutdown(now);
        net.run_until(10 * SECOND, |net| {
            net.sides.iter().all(Association::has_ended)
        });
        assert_eq!(net.messages(1), [b"beside"]);
        assert!(has_shut_down(&net, 0) && has_shut_down(&net, 1));
    }
}

#[test]
fn a_peer_that_closes_a_channel_ends_the_message_that_is_open_on_it() {
    let config = parts(false);
    let mut net = Net::connected(5, [config.clone(), config], Link::default());
    let channel = net.open(0, ChannelConfig::new("x"));
    net.run(SECOND);
    let now = net.now;
    net.sides[0]
        .send_part(now, channel, DataKind::Binary, &pattern(0, 150_000), false)
        .unwrap();
    net.run(SECOND);
    let far = net.far(0, channel).unwrap();
    let now = net.now;
    net.sides[1].close_channel(now, far).unwrap();
    net.run(2 * SECOND);
    for side in 0..2 {
        assert_eq!(net.count(side, |seen| matches!(seen, Seen::Closed(_))), 1);
    }
}
