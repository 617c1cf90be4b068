//! A table of values under small integer keys; freed places are used again.

use crate::surplus::{self, KEPT};

#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
    /// The most values since the table was looked at.
    peak: usize,
}

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    Free { next: u32 },
}

const NONE: u32 = u32::MAX;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            places: Vec::new(),
            free: NONE,
            len: 0,
            peak: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        self.peak = self.peak.max(self.len);
        if let Some(place) = self.places.get_mut(self.free as usize) {
            let key = self.free;
            if let Place::Free { next } = *place {
                self.free = next;
            }
            *place = Place::Taken(value);
            return key;
        }
        if self.places.capacity() == 0 {
            // Most tables of an idle association hold one value; room for more comes with the second.
            self.places.reserve_exact(1);
        }
        self.places.push(Place::Taken(value));
        (self.places.len() - 1) as u32
    }

    pub(crate) fn remove(&mut self, key: u32) -> Option<T> {
        let place = self.places.get_mut(key as usize)?;
        if matches!(place, Place::Free { .. }) {
            return None;
        }
        let old = std::mem::replace(place, Place::Free { next: self.free });
        self.free = key;
        self.len -= 1;
        if self.len == 0 {
            self.places.clear();
            self.free = NONE;
        }
        match old {
            Place::Taken(value) => Some(value),
            Place::Free { .. } => None,
        }
    }

    /// An empty table gives back the memory that only a burst needed; not with each burst, which would have it
    /// asked for again with the next.
    pub(crate) fn release(&mut self) {
        if self.len == 0 && self.places.capacity() > KEPT {
            self.places = Vec::new();
        }
    }

    /// Gives back what was not needed since the last call: of the free places, those behind all that are taken.
    pub(crate) fn give_back(&mut self) {
        let lately = std::mem::replace(&mut self.peak, self.len);
        let Some(needed) = surplus::excess(self.places.capacity(), lately) else {
            return;
        };
        let taken = |place: &Place<T>| matches!(place, Place::Taken(_));
        let end = self
            .places
            .iter()
            .rposition(taken)
            .map_or(0, |last| last + 1);
        self.places.truncate(end);
        self.places.shrink_to(needed);
        // The lowest are used first, so that more can go the next time.
        self.free = NONE;
        for (key, place) in self.places.iter_mut().enumerate().rev() {
            if let Place::Free { next } = place {
                *next = std::mem::replace(&mut self.free, key as u32);
            }
        }
    }

    pub(crate) fn get(&self, key: u32) -> Option<&T> {
        match self.places.get(key as usize) {
            Some(Place::Taken(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        match self.places.get_mut(key as usize) {
            Some(Place::Taken(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// One more than the largest key ever used since the table was empty.
    pub(crate) fn span(&self) -> u32 {
        self.places.len() as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_used_again() {
        let mut slab = Slab::default();
        let (a, b) = (slab.insert('a'), slab.insert('b'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        assert_eq!(slab.insert('c'), a);
        assert_eq!((slab.get(a), slab.get(b)), (Some(&'c'), Some(&'b')));
        assert_eq!(slab.len(), 2);
    }

    #[test]
    fn free_places_behind_the_last_are_given_back() {
        let mut slab = Slab::default();
        let keys: Vec<u32> = (0..10_000).map(|value| slab.insert(value)).collect();
        for key in &keys {
            if ![3, 500].contains(key) {
                slab.remove(*key);
            }
        }
        // Lately they were needed.
        slab.give_back();
        assert!(slab.places.capacity() >= 10_000);
        slab.give_back();
        assert!(slab.places.capacity() <= 501, "{}", slab.places.capacity());
        assert_eq!((slab.get(3), slab.get(500)), (Some(&3), Some(&500)));
        assert_eq!((slab.len(), slab.span()), (2, 501));
        // The free ones are used again, from below.
        let next: Vec<u32> = (0..499).map(|value| slab.insert(value)).collect();
        let free = (0..500).filter(|key| *key != 3);
        assert!(next.iter().copied().eq(free));
        assert_eq!(slab.insert(7), 501);
        assert_eq!(slab.get(3), Some(&3));
    }
}
