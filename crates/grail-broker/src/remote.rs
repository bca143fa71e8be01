//! A client of the hub in another process: reconnects by itself and subscribes again.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{Notify, watch},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::{
    embedded::SUBJECTS_MAX,
    frame::{self, Frame, FrameError, GREETING},
    port::{Broker, BrokerError, BrokerFuture, Message},
    queue::{Offered, QueueLimits, QueueSender, Subscription, queue},
    subject::Subject,
};

/// First pause before connecting again; doubles up to [`RemoteConfig::backoff_max`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// A connection that lasted this long was a good one: the next pause is the first again.
const GOOD_AFTER: Duration = Duration::from_secs(5);

/// Local settings of a client.
#[derive(Clone, Copy, Debug)]
pub struct RemoteConfig {
    /// Longest pause before connecting again.
    pub backoff_max: Duration,
    /// A side that has nothing to send pings this often.
    pub ping_interval: Duration,
    /// A hub that is silent for longer, or takes longer for one frame, is left and connected to
    /// again.
    pub silence_max: Duration,
    /// How long a message waits for room in the queue towards the hub.
    pub publish_patience: Duration,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            backoff_max: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            silence_max: Duration::from_secs(30),
            publish_patience: Duration::from_secs(10),
        }
    }
}

/// Whether there is a connection to the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// There is none; the client is trying.
    Down,
    /// Connected, and everything subscribed to again.
    Up {
        /// Which connection, from 1.
        connection: u64,
    },
}

/// A client of an [`crate::EmbeddedBroker`] elsewhere. Dropping it ends the connection and all
/// subscriptions.
pub struct RemoteBroker {
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

struct Shared {
    config: RemoteConfig,
    subscriptions: Mutex<HashMap<Subject, Vec<QueueSender>>>,
    /// A subject has been subscribed to.
    subscribed: Notify,
    outgoing: QueueSender,
    link: watch::Sender<Link>,
}

impl RemoteBroker {
    /// A client of the hub at `address` (`host:port`), resolved anew at each attempt. Returns at
    /// once, not yet connected. Must be called inside a tokio runtime.
    pub fn connect(address: impl Into<String>) -> Self {
        Self::connect_with(address, RemoteConfig::default())
    }

    /// A client with its own settings.
    pub fn connect_with(address: impl Into<String>, config: RemoteConfig) -> Self {
        let (sender, outgoing) = queue(QueueLimits::default());
        let shared = Arc::new(Shared {
            config,
            subscriptions: Mutex::default(),
            subscribed: Notify::new(),
            outgoing: sender,
            link: watch::Sender::new(Link::Down),
        });
        let running = tokio::spawn(run(address.into(), Arc::clone(&shared), outgoing));
        Self { shared, running }
    }

    /// The connection, as it comes and goes.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }
}

impl Drop for RemoteBroker {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Broker for RemoteBroker {
    fn publish<'a>(&'a self, subject: &'a Subject, payload: Bytes) -> BrokerFuture<'a, ()> {
        Box::pin(async move {
            let message = Message::checked(subject, payload)?;
            if *self.shared.link.borrow() == Link::Down {
                return Err(BrokerError::Disconnected);
            }
            self.shared
                .outgoing
                .send(message, self.shared.config.publish_patience)
                .await
        })
    }

    fn subscribe<'a>(&'a self, subject: &'a Subject) -> BrokerFuture<'a, Subscription> {
        Box::pin(async move {
            let (sender, subscription) = queue(QueueLimits::default());
            self.shared.subscribe(subject, sender)?;
            self.shared.subscribed.notify_one();
            Ok(subscription)
        })
    }
}

impl Shared {
    /// Nothing in here can panic while the lock is held, so that a poisoned one is whole.
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Subject, Vec<QueueSender>>) -> T) -> T {
        act(&mut self
            .subscriptions
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn subscribe(&self, subject: &Subject, sender: QueueSender) -> Result<(), BrokerError> {
        self.with(|all| {
            all.retain(|_, senders| {
                senders.retain(|sender| !sender.is_closed());
                !senders.is_empty()
            });
            if !all.contains_key(subject) && all.len() >= SUBJECTS_MAX {
                return Err(BrokerError::TooManySubjects { max: SUBJECTS_MAX });
            }
            all.entry(subject.clone()).or_default().push(sender);
            Ok(())
        })
    }

    fn subjects(&self) -> Vec<Subject> {
        self.with(|all| all.keys().cloned().collect())
    }

    fn deliver(&self, message: &Message) {
        self.with(|all| {
            if let Some(senders) = all.get_mut(&message.subject) {
                senders.retain(|sender| sender.offer(message.clone()) != Offered::Closed);
            }
        });
    }
}

async fn run(address: String, shared: Arc<Shared>, mut outgoing: Subscription) {
    let mut backoff = BACKOFF_MIN;
    let mut connection = 0_u64;
    loop {
        let started = Instant::now();
        connection = connection.wrapping_add(1);
        let error = match converse(&address, connection, &shared, &mut outgoing).await {
            Ok(()) => return,
            Err(error) => error,
        };
        shared.link.send_replace(Link::Down);
        if started.elapsed() >= GOOD_AFTER {
            backoff = BACKOFF_MIN;
        }
        // Half fixed, half by chance, so that sixteen hosts do not come back in step.
        let pause = backoff.mul_f64(0.5 + 0.5 * fastrand::f64());
        tracing::info!(%address, %error, ?pause, "no connection to the broker");
        sleep(pause).await;
        backoff = (backoff * 2).min(shared.config.backoff_max);
    }
}

/// One connection, until it fails; `Ok` once the client is dropped.
async fn converse(
    address: &str,
    connection: u64,
    shared: &Shared,
    outgoing: &mut Subscription,
) -> Result<(), FrameError> {
    let patience = shared.config.silence_max;
    let connect = async { Ok(TcpStream::connect(address).await?) };
    let stream = frame::patiently(patience, connect).await?;
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    frame::patiently(patience, async {
        writer.write_all(&GREETING).await?;
        frame::read_greeting(&mut reader).await
    })
    .await?;
    tokio::select! {
        outcome = hear(reader, shared) => outcome,
        outcome = tell(writer, connection, shared, outgoing) => outcome,
    }
}

async fn hear(mut reader: BufReader<OwnedReadHalf>, shared: &Shared) -> Result<(), FrameError> {
    loop {
        match frame::read_frame(&mut reader, shared.config.silence_max).await? {
            Frame::Message(message) => shared.deliver(&message),
            // A hub subscribes to nothing; harmless.
            Frame::Ping | Frame::Subscribe(_) => {}
        }
    }
}

async fn tell(
    mut writer: OwnedWriteHalf,
    connection: u64,
    shared: &Shared,
    outgoing: &mut Subscription,
) -> Result<(), FrameError> {
    let patience = shared.config.silence_max;
    let mut told = HashSet::new();
    loop {
        for subject in shared.subjects() {
            if told.insert(subject.clone()) {
                let frame = Frame::Subscribe(subject);
                frame::patiently(patience, frame::write_frame(&mut writer, &frame)).await?;
            }
        }
        if *shared.link.borrow() == Link::Down {
            tracing::info!(connection, "connected to the broker");
            shared.link.send_replace(Link::Up { connection });
        }
        let frame = tokio::select! {
            () = shared.subscribed.notified() => continue,
            next = timeout(shared.config.ping_interval, outgoing.next()) => match next {
                Ok(Some(message)) => Frame::Message(message),
                Ok(None) => return Ok(()),
                Err(_) => Frame::Ping,
            },
        };
        frame::patiently(patience, frame::write_frame(&mut writer, &frame)).await?;
    }
}
