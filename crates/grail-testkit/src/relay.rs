//! A bad network between operators and the backend's broker: loses, repeats, delays and reorders
//! messages.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Result;

/// Bytes of the greeting that either side begins with.
const GREETING_BYTES: usize = 8;
/// Kind byte of a frame that carries a message; the others belong to the connection itself.
const KIND_MESSAGE: u8 = 1;
/// Larger than any frame of the protocol.
const FRAME_BYTES_MAX: usize = 32 << 20;
/// Messages remembered for [`Relay::repeat_all`].
const REMEMBERED_MAX: usize = 4_096;

/// What the network does to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Of a hundred messages, how many are lost.
    pub lost_percent: u8,
    /// Of a hundred messages, how many come twice.
    pub twice_percent: u8,
    /// Messages are gathered for so long, and passed on in another order.
    pub gathering: Option<Duration>,
}

/// A listening relay. Dropping it ends the connections that pass through it.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    hub: SocketAddr,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    weather: Weather,
    /// Whole message frames that went by, with the directions that they took.
    remembered: Vec<(Direction, Vec<u8>)>,
    lanes: Vec<Lane>,
    is_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToHub,
    FromHub,
}

/// One direction of one connection.
#[derive(Debug)]
struct Lane {
    direction: Direction,
    sender: Sender<Vec<u8>>,
    stream: TcpStream,
}

impl Relay {
    /// A relay to the hub at `hub`, in fine weather.
    pub fn to(hub: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let inner = Arc::new(Inner {
            hub,
            state: Mutex::default(),
        });
        let accepting = Arc::clone(&inner);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.lock().is_closed {
                    return;
                }
                // A hub that is not there: the caller sees its connection end, and tries again.
                if let Ok(stream) = stream {
                    let _ = accepting.connect(stream);
                }
            }
        });
        Ok(Self { address, inner })
    }

    /// Where operators connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes the weather for every message from now on.
    pub fn set_weather(&self, weather: Weather) {
        self.inner.lock().weather = weather;
    }

    /// Sends every message again that went by so far, on every connection of today.
    pub fn repeat_all(&self) {
        let state = self.inner.lock();
        for (direction, frame) in &state.remembered {
            for lane in &state.lanes {
                if lane.direction == *direction {
                    let _ = lane.sender.send(frame.clone());
                }
            }
        }
    }

    /// Ends all connections; operators come back by themselves.
    pub fn cut(&self) {
        for lane in self.inner.lock().lanes.drain(..) {
            let _ = lane.stream.shutdown(Shutdown::Both);
        }
    }

    /// Messages that went by so far.
    pub fn message_count(&self) -> usize {
        self.inner.lock().remembered.len()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.inner.lock().is_closed = true;
        self.cut();
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A list of frames is whole whatever a panicking thread was doing.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: &Arc<Self>, operator: TcpStream) -> io::Result<()> {
        let hub = TcpStream::connect(self.hub)?;
        hub.set_nodelay(true)?;
        operator.set_nodelay(true)?;
        let ways = [
            (Direction::ToHub, operator.try_clone()?, hub.try_clone()?),
            (Direction::FromHub, hub, operator),
        ];
        for (direction, from, to) in ways {
            let (sender, frames) = channel();
            self.lock().lanes.push(Lane {
                direction,
                sender: sender.clone(),
                stream: to.try_clone()?,
            });
            let (reader, writer) = (Arc::clone(self), Arc::clone(self));
            let other = to.try_clone()?;
            thread::spawn(move || {
                let _ = reader.read(direction, &from, &sender);
                let _ = from.shutdown(Shutdown::Both);
                let _ = other.shutdown(Shutdown::Both);
            });
            thread::spawn(move || drop(writer.write(&to, &frames)));
        }
        Ok(())
    }

    /// Reads frames and remembers those that carry messages.
    fn read(
        &self,
        direction: Direction,
        mut from: &TcpStream,
        to: &Sender<Vec<u8>>,
    ) -> io::Result<()> {
        let mut greeting = vec![0; GREETING_BYTES];
        from.read_exact(&mut greeting)?;
        let _ = to.send(greeting);
        loop {
            let mut length = [0; 4];
            from.read_exact(&mut length)?;
            let size = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
            if size == 0 || size > FRAME_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut frame = length.to_vec();
            frame.resize(size + length.len(), 0);
            from.read_exact(&mut frame[length.len()..])?;
            if is_message(&frame) {
                let mut state = self.lock();
                if state.remembered.len() < REMEMBERED_MAX {
                    state.remembered.push((direction, frame.clone()));
                }
            }
            if to.send(frame).is_err() {
                return Ok(());
            }
        }
    }

    /// Writes frames as the weather has it. Greeting, subscriptions and pings pass as they come.
    fn write(&self, mut to: &TcpStream, frames: &Receiver<Vec<u8>>) -> io::Result<()> {
        let mut gathered: Vec<Vec<u8>> = Vec::new();
        loop {
            let weather = self.lock().weather;
            let next = match weather.gathering {
                Some(time) => frames.recv_timeout(time),
                None => frames.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            let frame = match next {
                Ok(frame) if is_message(&frame) => frame,
                Ok(frame) => {
                    to.write_all(&frame)?;
                    continue;
                }
                Err(RecvTimeoutError::Timeout) => {
                    fastrand::shuffle(&mut gathered);
                    for frame in gathered.drain(..) {
                        to.write_all(&frame)?;
                    }
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            // As of now: it may have changed while we waited.
            let weather = self.lock().weather;
            if fastrand::u8(0..100) < weather.lost_percent {
                continue;
            }
            let copies = 1 + usize::from(fastrand::u8(0..100) < weather.twice_percent);
            gathered.extend(std::iter::repeat_n(frame, copies));
            if weather.gathering.is_none() {
                for frame in gathered.drain(..) {
                    to.write_all(&frame)?;
                }
            }
        }
    }
}

/// Whether a frame, its length included, carries a message. The greeting does not look like one.
fn is_message(frame: &[u8]) -> bool {
    frame.get(4) == Some(&KIND_MESSAGE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use grail_ask::{Challenge, Hello};
    use grail_broker::messages::BrokerMessage as _;
    use grail_broker::{Broker as _, EmbeddedBroker, Link, RemoteBroker, Subscription};
    use tokio::time::timeout;

    use super::*;

    /// What is expected comes by then.
    const PATIENCE: Duration = Duration::from_secs(30);
    /// What is not expected would have come by then.
    const SILENCE: Duration = Duration::from_millis(300);

    struct Scene {
        hub: EmbeddedBroker,
        relay: Relay,
        operator: RemoteBroker,
        at_operator: Subscription,
        at_hub: Subscription,
    }

    impl Scene {
        async fn new() -> Self {
            let hub = EmbeddedBroker::listen((Ipv4Addr::LOCALHOST, 0).into())
                .await
                .unwrap();
            let relay = Relay::to(hub.address()).unwrap();
            let operator = RemoteBroker::connect(relay.address().to_string());
            let at_operator = operator.subscribe(Challenge::subject()).await.unwrap();
            let at_hub = hub.subscribe(Hello::subject()).await.unwrap();
            let mut link = operator.link();
            link.wait_for(|link| *link != Link::Down).await.unwrap();
            let mut scene = Self {
                hub,
                relay,
                operator,
                at_operator,
                at_hub,
            };
            // Connected is not yet subscribed.
            while scene.challenge(1, 0).await.is_empty() {}
            scene
        }

        /// What comes of the challenges 1 to `last`: `expected` of them, and more.
        async fn challenge(&mut self, last: u8, expected: usize) -> Vec<u8> {
            for number in 1..=last {
                let payload = vec![number].into();
                self.hub
                    .publish(Challenge::subject(), payload)
                    .await
                    .unwrap();
            }
            heard(&mut self.at_operator, expected).await
        }

        async fn hello(&mut self, expected: usize) -> Vec<u8> {
            let payload = vec![9].into();
            self.operator
                .publish(Hello::subject(), payload)
                .await
                .unwrap();
            heard(&mut self.at_hub, expected).await
        }
    }

    async fn heard(subscription: &mut Subscription, expected: usize) -> Vec<u8> {
        let mut heard = Vec::new();
        loop {
            let patience = if heard.len() < expected {
                PATIENCE
            } else {
                SILENCE
            };
            let Ok(Some(message)) = timeout(patience, subscription.next()).await else {
                return heard;
            };
            heard.extend_from_slice(&message.payload);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_weather_does_what_it_says_in_both_directions() {
        let mut scene = Scene::new().await;
        assert_eq!(scene.challenge(3, 3).await, [1, 2, 3]);
        assert_eq!(scene.hello(1).await, [9]);
        scene.relay.set_weather(Weather {
            twice_percent: 100,
            ..Weather::default()
        });
        assert_eq!(scene.challenge(2, 4).await, [1, 1, 2, 2]);
        assert_eq!(scene.hello(2).await, [9, 9]);
        scene.relay.set_weather(Weather {
            lost_percent: 100,
            ..Weather::default()
        });
        assert!(scene.challenge(2, 0).await.is_empty() && scene.hello(0).await.is_empty());
        scene.relay.set_weather(Weather {
            gathering: Some(Duration::from_millis(50)),
            ..Weather::default()
        });
        let mut shuffled = scene.challenge(40, 40).await;
        assert!(!shuffled.is_sorted(), "{shuffled:?}");
        shuffled.sort_unstable();
        assert_eq!(shuffled, (1..=40).collect::<Vec<u8>>());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn everything_comes_again_on_a_connection_of_its_own() {
        let mut scene = Scene::new().await;
        let before = scene.relay.message_count();
        scene.challenge(2, 2).await;
        scene.hello(1).await;
        assert_eq!(scene.relay.message_count(), before + 3);
        scene.relay.repeat_all();
        let again = heard(&mut scene.at_operator, before + 2).await;
        assert!(again.ends_with(&[1, 2]), "{again:?}");
        assert_eq!(heard(&mut scene.at_hub, 1).await, [9]);
    }
}
