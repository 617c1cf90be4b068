//! Handles: numbers that stand for what is open.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, PoisonError, RwLock};

/// Bits of a handle that say what it stands for.
const KIND_BITS: u32 = 4;

/// What is open, by number. No number is given twice, as long as numbers last.
pub(crate) struct Handles<T> {
    kind: usize,
    table: RwLock<Table<T>>,
}

struct Table<T> {
    last: usize,
    entries: BTreeMap<usize, Arc<T>>,
}

impl<T> Handles<T> {
    /// A table whose numbers no table of another kind gives.
    pub(crate) const fn new(kind: usize) -> Self {
        Handles {
            kind,
            table: RwLock::new(Table {
                last: 0,
                entries: BTreeMap::new(),
            }),
        }
    }

    /// Takes something in.
    pub(crate) fn insert(&self, what: T) -> *mut c_void {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        loop {
            table.last = table.last.wrapping_add(1);
            let number = table.last << KIND_BITS | self.kind;
            if number >> KIND_BITS != 0 && !table.entries.contains_key(&number) {
                table.entries.insert(number, Arc::new(what));
                return ptr::without_provenance_mut(number);
            }
        }
    }

    /// What the handle stands for, if it is open.
    pub(crate) fn get(&self, handle: *mut c_void) -> Option<Arc<T>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.entries.get(&handle.addr()).map(Arc::clone)
    }

    /// Takes it out: the handle is good for nothing any more.
    pub(crate) fn remove(&self, handle: *mut c_void) -> Option<Arc<T>> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.entries.remove(&handle.addr())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_good_until_it_is_removed_and_never_again() {
        let handles = Handles::new(1);
        let others = Handles::new(2);
        let (one, two, other) = (handles.insert('a'), handles.insert('b'), others.insert('c'));
        assert_eq!(handles.get(one).as_deref(), Some(&'a'));
        assert_eq!(handles.get(two).as_deref(), Some(&'b'));
        assert_eq!(handles.get(other), None);
        assert_eq!(handles.get(ptr::null_mut()), None);
        assert_eq!(handles.remove(one).as_deref(), Some(&'a'));
        assert_eq!((handles.get(one), handles.remove(one)), (None, None));
        assert_ne!(handles.insert('d'), one);
    }
}
