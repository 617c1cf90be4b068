//! Streams that either side resets, and that are used again.

use esp_sctp::ChannelConfig;
use sctp_proto::ReliabilityType;

use super::{Begins, Both, Way, number, numbered};

/// Who closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closer {
    Ours,
    Theirs,
    Both,
}

#[test]
fn a_stream_is_used_again_after_either_side_has_reset_it() {
    let mut seed = 60;
    for closer in [Closer::Ours, Closer::Theirs, Closer::Both] {
        for way in [Way::default(), Way::bad(), Way::lossy(0.2)] {
            seed += 1;
            let begins = [Begins::Ours, Begins::Theirs][seed as usize % 2];
            let mut both = Both::new(seed, way, begins);
            for round in 0..4 {
                both.messages.clear();
                both.closed.clear();
                both.other.finished.clear();
                both.other.complete.clear();
                let channel = both.open(ChannelConfig::new("x"));
                assert_eq!(both.ours.stream_id(channel), Some(0), "{closer:?} {round}");
                for index in 0..8 {
                    both.send(channel, &numbered(index, 2_500));
                }
                // In order from the first on: the numbers of the stream began anew.
                both.until(|both| both.messages.len() == 8);
                let order: Vec<usize> = both.on(0).iter().map(|data| number(data)).collect();
                assert!(order.into_iter().eq(0..8), "{closer:?} {round}");
                if closer != Closer::Theirs {
                    let now = both.now;
                    let closed = both.ours.close_channel(now, channel);
                    closed.expect("a channel that is open");
                }
                if closer != Closer::Ours {
                    let mut stream = both.other.side().stream(0).expect("its stream");
                    stream.close().expect("an open stream");
                }
                both.until(|both| !both.closed.is_empty() && !both.other.finished.is_empty());
                assert_eq!(both.closed, [Some(0)], "{closer:?} {round}");
                // It is done when its own direction is, too.
                both.until(|both| !both.other.complete.is_empty());
            }
        }
    }
}

#[test]
fn some_of_many_streams_are_reset_while_the_others_go_on() {
    for (seed, way) in [(80, Way::default()), (81, Way::bad())] {
        let mut both = Both::new(seed, way, Begins::Ours);
        both.other.echoes = false;
        let channels: Vec<_> = (0..30)
            .map(|_| both.open(ChannelConfig::new("x")))
            .collect();
        both.until(|both| both.opened.len() == 30);
        for index in 0..300 {
            both.send(channels[index % 30], &numbered(index, 1_500));
        }
        for (place, channel) in channels.iter().enumerate().take(20) {
            let now = both.now;
            match place % 2 {
                0 => both
                    .ours
                    .close_channel(now, *channel)
                    .expect("a channel that is open"),
                _ => {
                    both.until(|both| both.other.got.len() == 300);
                    let stream = both.other.side().stream(2 * place as u16);
                    stream.expect("its stream").close().expect("an open stream");
                }
            }
        }
        both.until(|both| both.closed.len() == 20);
        assert_eq!(both.other.got.len(), 300);
        for index in 300..400 {
            both.send(channels[20 + index % 10], &numbered(index, 1_500));
        }
        both.until(|both| both.other.got.len() == 400);
    }
}

#[test]
fn channels_of_the_other_are_closed_by_either_side_and_opened_again() {
    for (seed, ours) in [(90, true), (91, false)] {
        let mut both = Both::new(seed, Way::bad(), Begins::Theirs);
        both.other.echoes = false;
        for round in 1..=4 {
            both.opened.clear();
            both.closed.clear();
            both.other.complete.clear();
            both.other.open(7, false, ReliabilityType::Reliable, 0);
            for index in 0..5 {
                both.other.send(7, &numbered(index, 2_000));
            }
            both.until(|both| both.messages.len() == 5 * round);
            if ours {
                let now = both.now;
                let channel = both.ours.channel_on(7).expect("its channel");
                let closed = both.ours.close_channel(now, channel);
                closed.expect("a channel that is open");
            } else {
                let mut stream = both.other.side().stream(7).expect("its stream");
                stream.close().expect("an open stream");
            }
            both.until(|both| both.closed == [Some(7)] && both.other.complete == [7]);
        }
    }
}
