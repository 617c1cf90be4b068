//! As many channels as there can be: in turn, and all at once.

use std::collections::VecDeque;
use std::time::Duration;

use esp_peer::{ChannelConfig, PeerConnection};
use esp_wire::{DataFrame, DataKind};

use crate::end::{End, pattern, words};
use crate::progress::{Progress, memory};

/// Channels that are open at a time when they are used in turn.
const ROUND: u64 = 1_000;
/// Bytes of a message.
const SIZE: u64 = 100;

/// What was not needed for 5 to 10 s is given back: after this time what stays has been seen.
const REST: Duration = Duration::from_secs(12);

/// Opens channels from both sides in turn, sends a message on each, and closes it, a thousand at a time.
pub(crate) fn in_turn(ends: &[End; 2], count: u64) -> Result<(), String> {
    let mut progress = Progress::new("channels in turn", count);
    let mut volume = Volume::new(ends);
    let mut done = 0;
    while done < count {
        let round = (count - done).min(ROUND);
        let near = round.div_ceil(2);
        let streams = volume.open(done, [near, round - near])?;
        // The streams of one side are even, those of the other odd: both send and close.
        volume.say(&streams, |stream_id| vec![usize::from(stream_id % 2)])?;
        volume.close(&streams)?;
        done += round;
        progress.at(done);
    }
    progress.end();
    volume.judge()
}

/// Opens them all, sends a message on each from both sides, closes them all.
pub(crate) fn at_once(ends: &[End; 2], stream_id: u16, count: u64) -> Result<(), String> {
    let mut volume = Volume::new(ends);
    // Each side has 32,767; the channel that opened by itself would be one of them.
    volume.close(&VecDeque::from([stream_id]))?;
    let before = memory();
    let near = count.div_ceil(2);
    let progress = Progress::new("channels opened at once", count);
    let streams = volume.open(0, [near, count - near])?;
    progress.end();
    let open = memory();
    let progress = Progress::new("channels used from both sides", count);
    volume.say(&streams, |_| vec![0, 1])?;
    progress.end();
    let progress = Progress::new("channels closed", count);
    volume.close(&streams)?;
    progress.end();
    let closed = memory();
    std::thread::sleep(REST);
    let [open, closed, rested] = [open, closed, memory()].map(|now| now.saturating_sub(before));
    println!(
        "{} channels open at once take {open} KiB of resident memory at both ends together; {closed} KiB when they have \
         been closed, {rested} KiB {} s later",
        streams.len(),
        REST.as_secs()
    );
    volume.judge()
}

/// Two ends, and what they are to have been told by now.
struct Volume<'a> {
    ends: &'a [End; 2],
    data: Vec<u8>,
    messages: [u64; 2],
    closed: u64,
}

impl<'a> Volume<'a> {
    fn new(ends: &'a [End; 2]) -> Self {
        let mut messages = [0; 2];
        for (end, messages) in ends.iter().zip(&mut messages) {
            let mut heard = end.ear.heard();
            // What came before had another pattern.
            (heard.bytes, heard.period) = (0, SIZE);
            *messages = heard.messages;
        }
        let closed = ends[0].ear.heard().closed;
        Volume {
            ends,
            data: (0..SIZE).map(pattern).collect(),
            messages,
            closed,
        }
    }

    /// Opens so many from either side, both at the same time; their streams.
    fn open(&self, first: u64, counts: [u64; 2]) -> Result<VecDeque<u16>, String> {
        let open = |end: &End, count: u64| {
            (first..first + count).try_for_each(|number| {
                let label = ChannelConfig::new(format!("channel {number}"));
                end.connection.create_data_channel(label).map_err(words)
            })
        };
        let [near, far] = self.ends;
        std::thread::scope(|scope| {
            let near = scope.spawn(|| open(near, counts[0]));
            open(far, counts[1])?;
            near.join().map_err(|_| "a thread panicked")?
        })?;
        let all = counts[0] + counts[1];
        let mut streams = VecDeque::new();
        for end in self.ends {
            streams = end.ear.wait(|heard| {
                let all = heard.opened.len() as u64 == all;
                all.then(|| std::mem::take(&mut heard.opened))
            })?;
        }
        Ok(streams)
    }

    /// Sends a message on each, from the ends that `from` names, and waits for all.
    fn say(&mut self, streams: &VecDeque<u16>, from: fn(u16) -> Vec<usize>) -> Result<(), String> {
        for &stream_id in streams {
            for near in from(stream_id) {
                let frame = DataFrame {
                    kind: DataKind::Binary,
                    stream_id,
                    data: &self.data,
                };
                let end = &self.ends[near];
                end.insist(|| end.connection.send_data(frame))?;
                self.messages[1 - near] += 1;
            }
        }
        for (end, due) in self.ends.iter().zip(self.messages) {
            end.ear
                .wait(|heard| (heard.messages == due).then_some(()))?;
        }
        Ok(())
    }

    /// Closes each from the end that did not open it.
    fn close(&mut self, streams: &VecDeque<u16>) -> Result<(), String> {
        for &stream_id in streams {
            let far = &self.ends[usize::from(stream_id % 2 == 0)];
            far.connection
                .close_data_channel(stream_id)
                .map_err(words)?;
        }
        self.closed += streams.len() as u64;
        for end in self.ends {
            end.ear
                .wait(|heard| (heard.closed == self.closed).then_some(()))?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), String> {
        let sum = |of: fn(&crate::end::Heard) -> u64| {
            let of = self.ends.iter().map(|end| of(&end.ear.heard()));
            of.sum::<u64>()
        };
        let (messages, wrong) = (sum(|heard| heard.messages), sum(|heard| heard.wrong));
        println!("{messages} messages so far, {wrong} wrong");
        match wrong {
            0 => Ok(()),
            _ => Err("bytes differ".into()),
        }
    }
}
