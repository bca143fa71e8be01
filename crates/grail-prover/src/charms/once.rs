//! The same work done once: whoever asks while it is under way waits, whoever asks later gets what
//! is kept.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Remembers the newest results by key. Failures are not remembered.
pub(crate) struct Once<K, V> {
    kept_max: usize,
    state: Mutex<State<K, V>>,
    ended: Condvar,
}

struct State<K, V> {
    running: BTreeSet<K>,
    kept: VecDeque<(K, V)>,
}

impl<K: Ord + Copy, V: Clone> Once<K, V> {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self {
            kept_max,
            state: Mutex::new(State {
                running: BTreeSet::new(),
                kept: VecDeque::new(),
            }),
            ended: Condvar::new(),
        }
    }

    /// The result for `key`: kept, awaited from another thread, or made by `work`. A wait ends with
    /// the other thread's work, which has to be bounded; if that fails, the waiting thread
    /// works itself.
    pub(crate) fn get<E>(&self, key: K, work: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let mut state = self.lock();
        loop {
            if let Some((_, value)) = state.kept.iter().find(|(kept, _)| *kept == key) {
                return Ok(value.clone());
            }
            if state.running.insert(key) {
                break;
            }
            state = self
                .ended
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        let running = Running { once: self, key };
        let value = work()?;
        let mut state = self.lock();
        state.kept.push_back((key, value.clone()));
        while state.kept.len() > self.kept_max {
            state.kept.pop_front();
        }
        drop(state);
        drop(running);
        Ok(value)
    }

    /// Nothing that holds the lock can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the work's turn however it ends, a panic included.
struct Running<'a, K: Ord + Copy, V: Clone> {
    once: &'a Once<K, V>,
    key: K,
}

impl<K: Ord + Copy, V: Clone> Drop for Running<'_, K, V> {
    fn drop(&mut self) {
        self.once.lock().running.remove(&self.key);
        self.once.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn many_askers_of_one_key_cost_one_work() {
        let (once, works, start) = (Once::new(4), AtomicU32::new(0), Barrier::new(8));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    start.wait();
                    let value: Result<_, ()> =
                        once.get(1, || Ok(works.fetch_add(1, Ordering::SeqCst)));
                    assert_eq!(value, Ok(0));
                });
            }
        });
        assert_eq!(works.into_inner(), 1);
    }

    #[test]
    fn a_failure_is_not_kept() {
        let once = Once::new(4);
        assert_eq!(once.get(1, || Err::<u8, _>("no")), Err("no"));
        assert_eq!(once.get(1, || Ok::<_, ()>(7)), Ok(7));
        assert_eq!(once.get(1, || Ok::<_, ()>(8)), Ok(7));
    }

    #[test]
    fn the_oldest_results_are_forgotten() {
        let once = Once::new(2);
        for key in 0..3 {
            once.get(key, || Ok::<_, ()>(key)).unwrap();
        }
        assert_eq!(once.get(1, || Ok::<_, ()>(99)), Ok(1));
        assert_eq!(once.get(2, || Ok::<_, ()>(99)), Ok(2));
        assert_eq!(once.get(0, || Ok::<_, ()>(99)), Ok(99));
    }

    #[test]
    fn a_panic_blocks_nobody() {
        let once = Once::new(2);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            once.get(1, || -> Result<u8, ()> { panic!("on purpose") })
        }));
        assert!(panicked.is_err());
        assert_eq!(once.get(1, || Ok::<_, ()>(3)), Ok(3));
    }
}
