use std::collections::VecDeque;

/// Records of the library that are remembered, each way: it repeats a message 32 times at most.
const KEPT: usize = 64;
/// A number that no record has.
const NONE: u64 = u64::MAX;

/// Which number on the wire belongs to which number of the library, for messages that are acknowledged.
#[derive(Default)]
pub(super) struct Numbers {
    pairs: VecDeque<Pair>,
}

struct Pair {
    epoch: u16,
    wire: u64,
    library: u64,
}

impl Numbers {
    pub(super) fn remember(&mut self, epoch: u16, wire: u64, library: u64) {
        if self.pairs.len() >= KEPT {
            self.pairs.pop_front();
        }
        self.pairs.push_back(Pair {
            epoch,
            wire,
            library,
        });
    }

    pub(super) fn on_wire(&self, epoch: u64, library: u64) -> u64 {
        self.find(|pair| u64::from(pair.epoch) == epoch && pair.library == library)
            .map_or(NONE, |pair| pair.wire)
    }

    pub(super) fn in_library(&self, epoch: u64, wire: u64) -> u64 {
        self.find(|pair| u64::from(pair.epoch) == epoch && pair.wire == wire)
            .map_or(NONE, |pair| pair.library)
    }

    fn find(&self, is_it: impl Fn(&Pair) -> bool) -> Option<&Pair> {
        self.pairs.iter().rev().find(|pair| is_it(pair))
    }
}

/// Replaces the numbers of application records in an ACK (RFC 9147 §7); what is malformed stays as it is.
pub(super) fn translate(ack: &mut [u8], number: impl Fn(u64, u64) -> u64) {
    let Some((_, pairs)) = ack.split_at_mut_checked(2) else {
        return;
    };
    for pair in pairs.chunks_exact_mut(16) {
        let (epoch_bytes, number_bytes) = pair.split_at_mut(8);
        let epoch = be(epoch_bytes);
        // The library numbers the records of the handshake itself.
        if epoch > 2 {
            let translated = number(epoch, be(number_bytes));
            number_bytes.copy_from_slice(&translated.to_be_bytes());
        }
    }
}

fn be(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgments_are_translated() {
        let mut numbers = Numbers::default();
        numbers.remember(3, 1_000, 1);
        let mut ack = vec![0, 48];
        for (epoch, number) in [(2_u64, 1_u64), (3, 1), (3, 2)] {
            ack.extend(epoch.to_be_bytes());
            ack.extend(number.to_be_bytes());
        }
        let before = ack.clone();
        translate(&mut ack, |epoch, number| numbers.on_wire(epoch, number));
        assert_eq!(be(&ack[10..18]), 1);
        assert_eq!(be(&ack[26..34]), 1_000);
        assert_eq!(be(&ack[42..50]), NONE);
        translate(&mut ack, |epoch, number| numbers.in_library(epoch, number));
        assert_eq!(ack[..34], before[..34]);
        translate(&mut [0], |_, _| 0);
        for index in 0..200 {
            numbers.remember(4, index, index);
        }
        assert_eq!(numbers.pairs.len(), KEPT);
    }
}
