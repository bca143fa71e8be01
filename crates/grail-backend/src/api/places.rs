//! Places: so many at a time, and so many of them for one caller.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Arc, Mutex, PoisonError},
};

use super::caller::Caller;

/// Who has how many.
pub(super) struct Places {
    all: usize,
    each: usize,
    /// Callers with at least one: no more than there are places.
    taken: Mutex<BTreeMap<Caller, usize>>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    caller: Caller,
}

impl Places {
    pub(super) fn new(all: usize, each: usize) -> Arc<Self> {
        Arc::new(Self {
            all,
            each,
            taken: Mutex::default(),
        })
    }

    /// A place for a caller; none when all, or all of his, are taken.
    pub(super) fn take(self: &Arc<Self>, caller: Caller) -> Option<Place> {
        // Counts, valid after any panic.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.get(&caller).copied().unwrap_or(0);
        if own >= self.each || taken.values().sum::<usize>() >= self.all {
            return None;
        }
        taken.insert(caller, own.saturating_add(1));
        Some(Place {
            places: Arc::clone(self),
            caller,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let taken = &self.places.taken;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut own) = taken.entry(self.caller) {
            match own.get().saturating_sub(1) {
                0 => {
                    own.remove();
                }
                left => {
                    own.insert(left);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_caller_cannot_take_all_places() {
        let places = Places::new(3, 2);
        let (one, other) = (Caller::V6(1), Caller::V6(2));
        let first = places.take(one).unwrap();
        let _second = places.take(one).unwrap();
        assert!(places.take(one).is_none());
        let _third = places.take(other).unwrap();
        assert!(places.take(other).is_none());
        drop(first);
        assert!(places.take(other).is_some());
        assert!(places.take(one).is_some());
    }

    #[test]
    fn callers_without_a_place_are_forgotten() {
        let places = Places::new(3, 2);
        drop((places.take(Caller::V6(1)), places.take(Caller::V6(1))));
        assert!(places.taken.lock().unwrap().is_empty());
    }
}
