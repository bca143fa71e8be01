//! An answer that many ask for: looked up at most once in a while, and by one caller at a time,
//! however many want it.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

/// The newest answer. Whoever comes while it is looked up waits for that, and looks up none of its
/// own.
pub(super) struct Fresh<T> {
    known: Mutex<Option<(Instant, T)>>,
    /// How old it may be.
    age_max: Duration,
    /// The place of the one who looks up.
    place: Semaphore,
}

impl<T: Clone> Fresh<T> {
    pub(super) fn new(age_max: Duration) -> Self {
        Self {
            known: Mutex::new(None),
            age_max,
            place: Semaphore::new(1),
        }
    }

    /// The answer, fresh enough. A caller that is dropped while it looks up leaves the place to the
    /// next one.
    pub(super) async fn get(&self, look_up: impl Future<Output = T>) -> T {
        self.not_older(look_up, self.age_max).await
    }

    /// The answer as it is now.
    pub(super) async fn look_again(&self, look_up: impl Future<Output = T>) -> T {
        self.not_older(look_up, Duration::ZERO).await
    }

    async fn not_older(&self, look_up: impl Future<Output = T>, age_max: Duration) -> T {
        let asked_at = Instant::now();
        if let Some(answer) = self.known(asked_at, age_max) {
            return answer;
        }
        // It is never closed: without a place everybody looks up for himself.
        let _place = self.place.acquire().await.ok();
        // What was looked up since the question is as new as what we would look up.
        if let Some(answer) = self.known(asked_at, age_max) {
            return answer;
        }
        let began = Instant::now();
        let answer = look_up.await;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some((began, answer.clone()));
        answer
    }

    fn known(&self, asked_at: Instant, age_max: Duration) -> Option<T> {
        // Whole after each write, so a panic elsewhere does not spoil it.
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, answer) = known.as_ref()?;
        let is_fresh = *began >= asked_at || began.elapsed() < age_max;
        is_fresh.then(|| answer.clone())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use tokio::sync::Barrier;

    use super::*;

    #[tokio::test]
    async fn callers_at_the_same_moment_look_up_once() {
        let fresh = Arc::new(Fresh::new(Duration::from_mins(1)));
        let (count, all) = (Arc::new(AtomicU32::new(0)), Arc::new(Barrier::new(20)));
        let callers: Vec<_> = (0..20)
            .map(|_| {
                let (fresh, count, all) = (fresh.clone(), count.clone(), all.clone());
                tokio::spawn(async move {
                    all.wait().await;
                    let look_up = async {
                        tokio::task::yield_now().await;
                        count.fetch_add(1, Ordering::SeqCst)
                    };
                    fresh.get(look_up).await
                })
            })
            .collect();
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 0);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn an_answer_of_before_the_question_is_not_given_when_it_may_have_no_age() {
        let fresh = Fresh::new(Duration::ZERO);
        assert_eq!(fresh.get(async { 1 }).await, 1);
        assert_eq!(fresh.get(async { 2 }).await, 2);
        let fresh = Fresh::new(Duration::from_mins(1));
        assert_eq!(fresh.get(async { 1 }).await, 1);
        assert_eq!(fresh.get(async { 2 }).await, 1);
        assert_eq!(fresh.look_again(async { 3 }).await, 3);
        assert_eq!(fresh.get(async { 4 }).await, 3);
    }

    #[tokio::test]
    async fn who_gives_up_while_looking_up_keeps_nobody_waiting() {
        let fresh = Fresh::new(Duration::from_mins(1));
        let given_up = fresh.get(std::future::pending::<u32>());
        assert!(
            tokio::time::timeout(Duration::from_millis(1), given_up)
                .await
                .is_err()
        );
        assert_eq!(fresh.get(async { 7 }).await, 7);
    }
}
