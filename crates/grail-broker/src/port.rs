//! The port: what backend and hosts ask of a broker.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;

use crate::{frame::PAYLOAD_MAX_BYTES, queue::Subscription, subject::Subject};

/// Boxed, so that a broker can be a trait object.
pub type BrokerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, BrokerError>> + Send + 'a>>;

/// Carries messages by subject, at most once, to whoever is subscribed at that moment.
pub trait Broker: Send + Sync {
    /// Sends a message on its way; that it arrives is not promised. Waits a bounded time for room
    /// in a full queue of this process, never for a receiver.
    fn publish<'a>(&'a self, subject: &'a Subject, payload: Bytes) -> BrokerFuture<'a, ()>;

    /// Messages under `subject` from now on, through every reconnection, until the subscription is
    /// dropped.
    fn subscribe<'a>(&'a self, subject: &'a Subject) -> BrokerFuture<'a, Subscription>;
}

/// What arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Published under.
    pub subject: Subject,
    /// Anybody's bytes.
    pub payload: Bytes,
}

impl Message {
    pub(crate) fn checked(subject: &Subject, payload: Bytes) -> Result<Self, BrokerError> {
        if payload.len() > PAYLOAD_MAX_BYTES {
            return Err(BrokerError::PayloadTooLarge {
                max: PAYLOAD_MAX_BYTES,
                got: payload.len(),
            });
        }
        Ok(Self {
            subject: subject.clone(),
            payload,
        })
    }
}

/// Why a message was not sent or a subscription not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    /// The payload does not fit in a frame.
    #[error("payload of {got} bytes, at most {max} fit")]
    PayloadTooLarge {
        /// At most.
        max: usize,
        /// Its length.
        got: usize,
    },
    /// There is no connection to the hub now.
    #[error("not connected to the broker")]
    Disconnected,
    /// The queue towards the hub stayed full.
    #[error("no room in the queue towards the broker within {0:?}")]
    Overloaded(Duration),
    /// The process subscribes to too many subjects.
    #[error("at most {max} subjects can be subscribed to")]
    TooManySubjects {
        /// At most.
        max: usize,
    },
    /// The broker has been shut down.
    #[error("the broker has been shut down")]
    Closed,
}

impl BrokerError {
    /// A stable word for logs and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PayloadTooLarge { .. } => "payload-too-large",
            Self::Disconnected => "broker-disconnected",
            Self::Overloaded(_) => "broker-overloaded",
            Self::TooManySubjects { .. } => "broker-too-many-subjects",
            Self::Closed => "broker-closed",
        }
    }
}
