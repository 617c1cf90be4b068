//! Which channel sends next (RFC 8260 §3).

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{Scheduling, surplus};

/// Channels that have something to send, in the order of their turns.
///
/// A channel is in the heap at most once; its owner keeps the flag. Ranks only grow for one
/// priority, so that ties are broken by turn.
#[derive(Debug)]
pub(crate) struct Scheduler {
    kind: Scheduling,
    heap: BinaryHeap<Reverse<Turn>>,
    turns: u64,
    /// Virtual time of the weighted order: the start of the turn served last.
    virtual_time: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    rank: u64,
    turn: u64,
    channel: u32,
}

/// What a channel's place in the order depends on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    pub(crate) channel: u32,
    pub(crate) priority: u16,
    /// When its first message was queued, as a counter.
    pub(crate) arrival: u64,
    /// The rank that [`Scheduler::add`] gave for its last turn.
    pub(crate) rank: u64,
    /// Bytes that it has sent since.
    pub(crate) served: usize,
}

impl Scheduler {
    pub(crate) fn new(kind: Scheduling) -> Self {
        Scheduler {
            kind,
            heap: BinaryHeap::new(),
            turns: 0,
            virtual_time: 0,
        }
    }

    /// Puts a channel in; gives its rank.
    pub(crate) fn add(&mut self, claim: Claim) -> u64 {
        self.turns += 1;
        let rank = match self.kind {
            Scheduling::FirstComeFirstServed => claim.arrival,
            Scheduling::RoundRobin => 0,
            Scheduling::Priority => u64::from(u16::MAX - claim.priority),
            // Start-time fair queueing: a turn starts where the one before has ended, by the bytes that it
            // turned out to take, and never in the past.
            Scheduling::WeightedFair => {
                let cost = (claim.served as u64) << 16;
                let ended = claim.rank + cost / u64::from(claim.priority.max(1));
                ended.max(self.virtual_time)
            }
        };
        self.heap.push(Reverse(Turn {
            rank,
            turn: self.turns,
            channel: claim.channel,
        }));
        rank
    }

    /// The channel whose turn it is.
    pub(crate) fn first(&self) -> Option<u32> {
        self.heap.peek().map(|Reverse(turn)| turn.channel)
    }

    /// Takes the first channel out, because it was served or has nothing left.
    pub(crate) fn take_first(&mut self) {
        if let Some(Reverse(turn)) = self.heap.pop()
            && self.kind == Scheduling::WeightedFair
        {
            self.virtual_time = self.virtual_time.max(turn.rank);
        }
    }

    /// Gives memory back, when there were `lately` channels at most.
    pub(crate) fn give_back(&mut self, lately: usize) {
        if let Some(needed) = surplus::excess(self.heap.capacity(), lately) {
            self.heap.shrink_to(needed);
        }
    }

    /// Forgets all channels.
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serve(kind: Scheduling, priorities: &[u16], turns: usize) -> Vec<u32> {
        let mut scheduler = Scheduler::new(kind);
        let claim = |channel: u32, rank, served| Claim {
            channel,
            priority: priorities[channel as usize],
            arrival: u64::from(channel),
            rank,
            served,
        };
        let mut ranks: Vec<u64> = (0..priorities.len() as u32)
            .map(|channel| scheduler.add(claim(channel, 0, 0)))
            .collect();
        (0..turns)
            .map(|_| {
                let first = scheduler.first().unwrap();
                scheduler.take_first();
                let rank = &mut ranks[first as usize];
                *rank = scheduler.add(claim(first, *rank, 1_000));
                first
            })
            .collect()
    }

    #[test]
    fn each_order_is_kept() {
        assert_eq!(
            serve(Scheduling::RoundRobin, &[1, 1, 1], 6),
            [0, 1, 2, 0, 1, 2]
        );
        assert_eq!(serve(Scheduling::Priority, &[1, 9, 9], 4), [1, 2, 1, 2]);
        assert_eq!(
            serve(Scheduling::FirstComeFirstServed, &[1, 9], 3),
            [0, 0, 0]
        );
    }

    #[test]
    fn weights_share_in_proportion() {
        let served = serve(Scheduling::WeightedFair, &[128, 256, 512], 700);
        let count = |channel| served.iter().filter(|served| **served == channel).count();
        assert!((95..=105).contains(&count(0)), "{}", count(0));
        assert!((195..=205).contains(&count(1)), "{}", count(1));
    }
}
