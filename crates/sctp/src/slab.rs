//! A table of values under small integer keys; freed places are used again.

#[derive(Debug)]
pub(crate) struct Slab<T> {
    places: Vec<Place<T>>,
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    Free { next: u32 },
}

const NONE: u32 = u32::MAX;
/// Room for so many values is kept always.
const KEPT: usize = 64;

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab {
            places: Vec::new(),
            free: NONE,
            len: 0,
        }
    }
}

impl<T> Slab<T> {
    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
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
}
