//! How an association ends, by either side.

use esp_sctp::{ChannelConfig, CloseReason};
use sctp_proto::ReliabilityType;

use super::{Begins, Both, Way, numbered};

#[test]
fn our_shutdown_delivers_everything_first() {
    for begins in [Begins::Ours, Begins::Theirs] {
        for (seed, way) in [(100, Way::default()), (101, Way::bad())] {
            let mut both = Both::new(seed, way, begins);
            both.other.echoes = false;
            let channel = both.open(ChannelConfig::new("x"));
            for index in 0..30 {
                both.send(channel, &numbered(index, 10_000));
            }
            both.ours.shutdown(both.now);
            both.until(|both| both.ended.is_some() && both.other.got.len() == 30);
            assert_eq!(both.ended, Some(CloseReason::Shutdown));
            both.until(|both| both.other.lost.is_some());
        }
    }
}

#[test]
fn the_others_shutdown_ends_ours_after_its_messages() {
    for (seed, way) in [(110, Way::default()), (111, Way::bad())] {
        let mut both = Both::new(seed, way, Begins::Ours);
        both.other.echoes = false;
        both.other.open(1, false, ReliabilityType::Reliable, 0);
        for index in 0..20 {
            both.other.send(1, &numbered(index, 5_000));
        }
        // It does not wait for what it has not sent, so it is let send all of it.
        both.until(|both| both.messages.len() == 20);
        both.run(1_000);
        both.other.side().shutdown().expect("it is established");
        both.until(|both| both.ended.is_some());
        assert_eq!(both.ended, Some(CloseReason::Shutdown));
    }
}

#[test]
fn our_abort_reaches_the_other_with_its_reason() {
    let mut both = Both::new(120, Way::default(), Begins::Ours);
    both.ours.abort(both.now, "enough of this");
    both.until(|both| both.other.lost.is_some());
    assert_eq!(both.ended, Some(CloseReason::Aborted));
}

#[test]
fn an_abort_of_the_other_is_named() {
    // It aborts when a message does not fit into its memory: out of resource (RFC 9260 §3.3.10.4).
    let mut both = Both::idle(130, Way::default(), false, None, 200_000);
    let now = both.now;
    both.ours.connect(now).expect("it can connect");
    both.until(|both| both.ours.is_connected());
    let channel = both.open(ChannelConfig::new("x"));
    both.send(channel, &numbered(0, 1 << 20));
    both.until(|both| both.ended.is_some());
    match &both.ended {
        Some(CloseReason::AbortedByPeer { cause, .. }) => assert_eq!(*cause, 4),
        other => panic!("{other:?}"),
    }
}
