//! Draws of the hardware's generator, and noticing when it stands still.

use grail_types::TaggedHasher;
use thiserror::Error;
use zeroize::Zeroizing;

/// A running enclave: 32 random bytes drawn when it started, never kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(pub [u8; 32]);

/// 32 bytes of fresh randomness from hardware, for one session. By value, so it serves one:
///
/// ```compile_fail,E0382
/// use grail_frost::{Draw, dkg::{HostKey, Params, deal}};
///
/// fn deal_twice(host: &HostKey, one: &Params, other: &Params, draw: Draw) {
///     let _ = deal(host, one, draw);
///     let _ = deal(host, other, draw);
/// }
/// ```
pub struct Draw(Zeroizing<[u8; 32]>);

/// Why a draw is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DrawRefused {
    /// A generator that gives zeros.
    #[error("the generator gave zeros")]
    Zero,
    /// A generator that stands still, or was rewound.
    #[error("the generator gave the same bytes twice")]
    Repeated,
}

/// Watches draws: one that repeats the one before it is refused, so a constant generator fails
/// closed from its second draw on.
pub struct Entropy {
    instance: Instance,
    last: [u8; 32],
}

impl Draw {
    /// From the generator.
    ///
    /// # Errors
    /// [`DrawRefused::Zero`].
    pub fn new(bytes: [u8; 32]) -> Result<Self, DrawRefused> {
        if bytes == [0; 32] {
            return Err(DrawRefused::Zero);
        }
        Ok(Self(Zeroizing::new(bytes)))
    }

    pub(crate) fn bytes(&self) -> &Zeroizing<[u8; 32]> {
        &self.0
    }

    fn fingerprint(&self) -> [u8; 32] {
        TaggedHasher::new("grail/frost/draw/v1")
            .bytes(self.0.as_slice())
            .finish()
    }
}

impl Entropy {
    /// Starts an instance with its first draw, which names it.
    pub fn start(draw: &Draw) -> Self {
        Self {
            instance: Instance(
                TaggedHasher::new("grail/frost/instance/v1")
                    .bytes(draw.0.as_slice())
                    .finish(),
            ),
            last: draw.fingerprint(),
        }
    }

    /// The instance.
    pub fn instance(&self) -> Instance {
        self.instance
    }

    /// Passes a draw on.
    ///
    /// # Errors
    /// [`DrawRefused::Repeated`].
    pub fn pass(&mut self, draw: Draw) -> Result<Draw, DrawRefused> {
        let fingerprint = draw.fingerprint();
        if fingerprint == self.last {
            return Err(DrawRefused::Repeated);
        }
        self.last = fingerprint;
        Ok(draw)
    }
}
