//! Queues bounded by count and by bytes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use crate::{
    frame::PAYLOAD_MAX_BYTES,
    port::{BrokerError, Message},
};

/// Most messages that wait in one queue.
pub(crate) const QUEUE_MESSAGES_MAX: usize = 1024;

/// Most payload bytes that wait in one queue: four of the largest messages.
pub(crate) const QUEUE_BYTES_MAX: usize = 4 * PAYLOAD_MAX_BYTES;

/// Bounds of a queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueLimits {
    pub(crate) messages_max: usize,
    pub(crate) bytes_max: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self {
            messages_max: QUEUE_MESSAGES_MAX,
            bytes_max: QUEUE_BYTES_MAX,
        }
    }
}

/// What waits, with the room that it takes up until it is taken out.
struct Queued {
    message: Message,
    _room: OwnedSemaphorePermit,
}

/// The end that messages go into.
#[derive(Clone)]
pub(crate) struct QueueSender {
    items: mpsc::Sender<Queued>,
    bytes: Arc<Semaphore>,
    lost_count: Arc<AtomicU64>,
}

/// Outcome of offering a message to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Offered {
    Queued,
    /// The queue is full: lost, and counted.
    Lost,
    /// Nobody takes messages out any more.
    Closed,
}

/// The end that messages come out of: a subscription, or a connection's outgoing queue.
pub struct Subscription {
    items: mpsc::Receiver<Queued>,
    lost_count: Arc<AtomicU64>,
}

/// An empty queue.
pub(crate) fn queue(limits: QueueLimits) -> (QueueSender, Subscription) {
    let (sender, receiver) = mpsc::channel(limits.messages_max);
    let lost_count = Arc::new(AtomicU64::new(0));
    let sender = QueueSender {
        items: sender,
        bytes: Arc::new(Semaphore::new(limits.bytes_max)),
        lost_count: Arc::clone(&lost_count),
    };
    let subscription = Subscription {
        items: receiver,
        lost_count,
    };
    (sender, subscription)
}

impl QueueSender {
    /// Puts a message in if there is room now.
    pub(crate) fn offer(&self, message: Message) -> Offered {
        if self.items.is_closed() {
            return Offered::Closed;
        }
        let room = Arc::clone(&self.bytes).try_acquire_many_owned(room_of(&message));
        let outcome = room.ok().map(|room| {
            self.items.try_send(Queued {
                message,
                _room: room,
            })
        });
        match outcome {
            Some(Ok(())) => Offered::Queued,
            Some(Err(mpsc::error::TrySendError::Closed(_))) => Offered::Closed,
            Some(Err(mpsc::error::TrySendError::Full(_))) | None => {
                self.lost_count.fetch_add(1, Ordering::Relaxed);
                Offered::Lost
            }
        }
    }

    /// Puts a message in, waiting for room.
    pub(crate) async fn send(
        &self,
        message: Message,
        patience: Duration,
    ) -> Result<(), BrokerError> {
        let enter = async {
            let room = Arc::clone(&self.bytes)
                .acquire_many_owned(room_of(&message))
                .await
                .map_err(|_| BrokerError::Closed)?;
            let queued = Queued {
                message,
                _room: room,
            };
            self.items
                .send(queued)
                .await
                .map_err(|_| BrokerError::Closed)
        };
        timeout(patience, enter)
            .await
            .unwrap_or(Err(BrokerError::Overloaded(patience)))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }
}

/// An empty payload takes room too, and a payload is at most 17 MiB.
fn room_of(message: &Message) -> u32 {
    u32::try_from(message.payload.len().max(1)).unwrap_or(u32::MAX)
}

impl Subscription {
    /// The next message; `None` once the broker is gone. Cancelling loses nothing.
    pub async fn next(&mut self) -> Option<Message> {
        self.items.recv().await.map(|queued| queued.message)
    }

    /// Messages lost because this end did not keep up.
    pub fn lost_count(&self) -> u64 {
        self.lost_count.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::subject::Subject;
    use bytes::Bytes;

    const LIMITS: QueueLimits = QueueLimits {
        messages_max: 3,
        bytes_max: 10,
    };

    fn message(length: usize) -> Message {
        Message {
            subject: Subject::from_static("test"),
            payload: Bytes::from(vec![7; length]),
        }
    }

    #[tokio::test]
    async fn a_queue_is_bounded_by_count() {
        let (sender, mut receiver) = queue(LIMITS);
        for _ in 0..3 {
            assert_eq!(sender.offer(message(0)), Offered::Queued);
        }
        assert_eq!(sender.offer(message(0)), Offered::Lost);
        assert_eq!(receiver.lost_count(), 1);
        receiver.next().await.unwrap();
        assert_eq!(sender.offer(message(0)), Offered::Queued);
    }

    #[tokio::test]
    async fn a_queue_is_bounded_by_bytes() {
        let (sender, mut receiver) = queue(LIMITS);
        assert_eq!(sender.offer(message(10)), Offered::Queued);
        assert_eq!(sender.offer(message(1)), Offered::Lost);
        receiver.next().await.unwrap();
        assert_eq!(sender.offer(message(10)), Offered::Queued);
    }

    #[tokio::test]
    async fn sending_gives_up_when_room_does_not_come() {
        let (sender, _receiver) = queue(LIMITS);
        assert_eq!(sender.offer(message(10)), Offered::Queued);
        let patience = Duration::from_millis(10);
        assert_eq!(
            sender.send(message(1), patience).await,
            Err(BrokerError::Overloaded(patience))
        );
    }

    #[tokio::test]
    async fn a_queue_without_a_receiver_says_so() {
        let (sender, receiver) = queue(LIMITS);
        drop(receiver);
        assert_eq!(sender.offer(message(1)), Offered::Closed);
        assert!(sender.is_closed());
    }
}
