//! Who talks, and about which bridge.

use bitcoin::XOnlyPublicKey;
use grail_types::{Bridge, Epoch, ParamsHash};

use crate::reason::Reason;

/// What both ends must agree on before they talk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Premises {
    /// The bridge, with its network.
    pub bridge: Bridge,
    /// The roster's number: a channel belongs to one epoch.
    pub epoch: Epoch,
    /// The protocol parameters that the epoch's state carries (hazard 26).
    pub params: ParamsHash,
}

impl Premises {
    /// Holds a peer's premises against one's own.
    pub(crate) fn check(&self, theirs: &Self) -> Result<(), Reason> {
        if self.bridge != theirs.bridge {
            return Err(Reason::BridgeDiffers);
        }
        if self.epoch != theirs.epoch {
            return Err(Reason::EpochDiffers);
        }
        if self.params != theirs.params {
            return Err(Reason::ParamsDiffer);
        }
        Ok(())
    }
}

/// One run of an enclave of one operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId {
    /// The operator's signer key, which its clones share.
    pub signer: XOnlyPublicKey,
    /// The key that this run made when it started, and that is sealed nowhere.
    pub instance: XOnlyPublicKey,
}

/// This end of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it goes by.
    pub premises: Premises,
    /// Who it is.
    pub id: PeerId,
    /// Counter of the document of images that it goes by.
    pub images_counter: u64,
}
