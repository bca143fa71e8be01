//! How backend and operators reach each other: messages by subject, at most once.
//!
//! Owns the [`Broker`] port, which message travels under which subject ([`messages`]), and two
//! implementations: [`EmbeddedBroker`], a hub inside the backend's process, and [`RemoteBroker`],
//! its client over TCP. A NATS adapter slots in at the same port.
//!
//! A message is a wake-up (invariant I5): it may be lost, repeated or reordered, and whoever cares
//! asks again. The hub trusts no peer: every frame, queue, rate and wait is bounded, and a peer
//! that breaks a rule loses its own connection, nobody else's. It does not authenticate: what must
//! be somebody's word is signed inside the message, and the port that the hub listens on belongs on
//! a private network.

mod embedded;
mod frame;
pub mod messages;
mod port;
mod queue;
mod remote;
mod subject;
mod throttle;

pub use bytes::Bytes;
pub use embedded::{EmbeddedBroker, HubConfig, HubCounters};
pub use frame::PAYLOAD_MAX_BYTES;
pub use port::{Broker, BrokerError, BrokerFuture, Message};
pub use queue::Subscription;
pub use remote::{Link, RemoteBroker, RemoteConfig};
pub use subject::{SUBJECT_MAX_BYTES, Subject, SubjectError};
