//! The hub inside the backend's process.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    frame::{self, Frame, FrameError, GREETING},
    messages,
    port::{Broker, BrokerFuture, Message},
    queue::{Offered, QueueLimits, QueueSender, Subscription, queue},
    subject::Subject,
    throttle::{Rate, Throttle},
};

/// Subjects that one connection, or one client, may subscribe to; the protocol has six.
pub(crate) const SUBJECTS_MAX: usize = 16;

/// Pause after the system refuses to accept a connection, for lack of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What one peer may send: an operator's busiest second has dozens of answers of some 15 kB.
const PEER_RATE: Rate = Rate {
    messages_per_second: 1_000,
    bytes_per_second: 32 * 1024 * 1024,
};

/// Local settings of a hub.
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// Most peers at a time; further ones are turned away.
    pub connections_max: usize,
    /// What peers may publish. A peer that publishes anything else is disconnected: an operator
    /// cannot ask the others in the backend's place.
    pub remote_subjects: Vec<Subject>,
    /// A side that has nothing to send pings this often.
    pub ping_interval: Duration,
    /// A peer that is silent for longer, or takes longer for one frame, is disconnected.
    pub silence_max: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            connections_max: 64,
            remote_subjects: messages::operator_subjects().to_vec(),
            ping_interval: Duration::from_secs(10),
            silence_max: Duration::from_secs(30),
        }
    }
}

/// What a hub has counted since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HubCounters {
    /// Messages published, by anybody.
    pub published_count: u64,
    /// Messages lost because a subscriber did not keep up.
    pub lost_count: u64,
    /// Connections accepted.
    pub accepted_count: u64,
    /// Connections turned away because there were too many.
    pub turned_away_count: u64,
    /// Connections ended because the peer broke a rule of the protocol.
    pub broken_count: u64,
    /// Connections now.
    pub connection_count: u64,
}

#[derive(Default)]
struct Counters {
    published: AtomicU64,
    lost: AtomicU64,
    accepted: AtomicU64,
    turned_away: AtomicU64,
    broken: AtomicU64,
    connected: AtomicU64,
}

/// A hub, and the handle of the process that it lives in. Dropping it ends all connections.
pub struct EmbeddedBroker {
    hub: Arc<Hub>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl EmbeddedBroker {
    /// A hub that operators connect to at `address`; port 0 picks a free one.
    pub async fn listen(address: SocketAddr) -> std::io::Result<Self> {
        Self::listen_with(address, HubConfig::default()).await
    }

    /// A hub with its own settings.
    pub async fn listen_with(address: SocketAddr, config: HubConfig) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let hub = Arc::new(Hub {
            config,
            subscribers: Mutex::default(),
            counters: Counters::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&hub)));
        Ok(Self {
            hub,
            address,
            accepting,
        })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has counted.
    pub fn counters(&self) -> HubCounters {
        let Counters {
            published,
            lost,
            accepted,
            turned_away,
            broken,
            connected,
        } = &self.hub.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        HubCounters {
            published_count: count(published),
            lost_count: count(lost),
            accepted_count: count(accepted),
            turned_away_count: count(turned_away),
            broken_count: count(broken),
            connection_count: count(connected),
        }
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Broker for EmbeddedBroker {
    fn publish<'a>(&'a self, subject: &'a Subject, payload: Bytes) -> BrokerFuture<'a, ()> {
        Box::pin(async move {
            self.hub.publish(&Message::checked(subject, payload)?);
            Ok(())
        })
    }

    fn subscribe<'a>(&'a self, subject: &'a Subject) -> BrokerFuture<'a, Subscription> {
        Box::pin(async move {
            let (sender, subscription) = queue(QueueLimits::default());
            self.hub.subscribe(None, subject, sender);
            Ok(subscription)
        })
    }
}

/// Who gets what.
struct Hub {
    config: HubConfig,
    subscribers: Mutex<HashMap<Subject, Vec<Subscriber>>>,
    counters: Counters,
}

struct Subscriber {
    /// The number of its connection; none within this process.
    connection: Option<u64>,
    sender: QueueSender,
}

type Subscribers = HashMap<Subject, Vec<Subscriber>>;

impl Hub {
    /// Nothing in here can panic while the lock is held, so that a poisoned one is whole.
    fn with<T>(&self, act: impl FnOnce(&mut Subscribers) -> T) -> T {
        act(&mut self
            .subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn publish(&self, message: &Message) {
        self.counters.published.fetch_add(1, Ordering::Relaxed);
        self.with(|all| {
            let Some(subscribers) = all.get_mut(&message.subject) else {
                return;
            };
            subscribers.retain(
                |subscriber| match subscriber.sender.offer(message.clone()) {
                    Offered::Queued => true,
                    Offered::Lost => {
                        self.counters.lost.fetch_add(1, Ordering::Relaxed);
                        true
                    }
                    Offered::Closed => false,
                },
            );
        });
    }

    fn subscribe(&self, connection: Option<u64>, subject: &Subject, sender: QueueSender) {
        self.with(|all| {
            all.retain(|_, subscribers| {
                subscribers.retain(|subscriber| !subscriber.sender.is_closed());
                !subscribers.is_empty()
            });
            all.entry(subject.clone())
                .or_default()
                .push(Subscriber { connection, sender });
        });
    }

    fn forget(&self, connection: u64) {
        self.with(|all| {
            all.retain(|_, subscribers| {
                subscribers.retain(|subscriber| subscriber.connection != Some(connection));
                !subscribers.is_empty()
            });
        });
    }
}

/// Why a peer was disconnected.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a peer may not publish under {0}")]
    Forbidden(Subject),
    #[error("more than {SUBJECTS_MAX} subjects subscribed to")]
    TooManySubjects,
}

impl Broken {
    /// Whether the network, and not the peer, may be at fault.
    const fn is_network(&self) -> bool {
        matches!(self, Self::Frame(FrameError::Io(_) | FrameError::Silent(_)))
    }
}

async fn accept(listener: TcpListener, hub: Arc<Hub>) {
    let places = Arc::new(Semaphore::new(hub.config.connections_max));
    // Ends every connection when the accepting task is dropped.
    let mut connections = JoinSet::new();
    let mut number = 0_u64;
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a broker connection failed");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            hub.counters.turned_away.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%peer, "too many broker connections, peer turned away");
            continue;
        };
        hub.counters.accepted.fetch_add(1, Ordering::Relaxed);
        number = number.wrapping_add(1);
        let hub = Arc::clone(&hub);
        connections.spawn(async move {
            let _place = place;
            serve(stream, peer, number, &hub).await;
        });
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, number: u64, hub: &Hub) {
    hub.counters.connected.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(%peer, "broker peer connected");
    let outcome = converse(stream, number, hub).await;
    hub.forget(number);
    hub.counters.connected.fetch_sub(1, Ordering::Relaxed);
    match outcome {
        Ok(()) => tracing::debug!(%peer, "broker peer left"),
        Err(broken) if broken.is_network() => {
            tracing::info!(%peer, reason = %broken, "broker peer lost");
        }
        Err(broken) => {
            hub.counters.broken.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%peer, reason = %broken, "broker peer disconnected");
        }
    }
}

async fn converse(stream: TcpStream, number: u64, hub: &Hub) -> Result<(), Broken> {
    stream.set_nodelay(true).map_err(FrameError::from)?;
    let (reader, writer) = stream.into_split();
    let (sender, outgoing) = queue(QueueLimits::default());
    // Either side's end is the connection's end; the other half is dropped with it.
    tokio::select! {
        outcome = hear(reader, number, sender, hub) => outcome,
        outcome = tell(writer, outgoing, &hub.config) => outcome.map_err(Broken::from),
    }
}

async fn hear(
    reader: OwnedReadHalf,
    number: u64,
    sender: QueueSender,
    hub: &Hub,
) -> Result<(), Broken> {
    let patience = hub.config.silence_max;
    let mut reader = BufReader::new(reader);
    let mut throttle = Throttle::new(PEER_RATE);
    let mut subjects = Vec::new();
    frame::patiently(patience, frame::read_greeting(&mut reader)).await?;
    loop {
        match frame::read_frame(&mut reader, patience).await? {
            Frame::Ping => {}
            Frame::Subscribe(subject) if subjects.contains(&subject) => {}
            Frame::Subscribe(_) if subjects.len() >= SUBJECTS_MAX => {
                return Err(Broken::TooManySubjects);
            }
            Frame::Subscribe(subject) => {
                hub.subscribe(Some(number), &subject, sender.clone());
                subjects.push(subject);
            }
            Frame::Message(message) if hub.config.remote_subjects.contains(&message.subject) => {
                throttle.admit(message.payload.len()).await;
                hub.publish(&message);
            }
            Frame::Message(message) => return Err(Broken::Forbidden(message.subject)),
        }
    }
}

async fn tell(
    mut writer: OwnedWriteHalf,
    mut outgoing: Subscription,
    config: &HubConfig,
) -> Result<(), FrameError> {
    let patience = config.silence_max;
    let greet = async { Ok(writer.write_all(&GREETING).await?) };
    frame::patiently(patience, greet).await?;
    loop {
        let frame = match timeout(config.ping_interval, outgoing.next()).await {
            Ok(Some(message)) => Frame::Message(message),
            Ok(None) => return Ok(()),
            Err(_) => Frame::Ping,
        };
        frame::patiently(patience, frame::write_frame(&mut writer, &frame)).await?;
    }
}
