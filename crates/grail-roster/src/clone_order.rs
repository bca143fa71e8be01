//! Orders to clone an enclave: each lets one key move once, to one instance.
//!
//! An order is made with the operator's cloning secret, which opens nothing by itself; nor does an
//! attested image by itself. It is used up in the log, by a quorum, before the key moves.

use bitcoin::{
    XOnlyPublicKey,
    secp256k1::{Message as Digest, Secp256k1, Verification, schnorr::Signature},
};
use grail_attest::{Image, ImageClass};
use grail_types::{Bridge, TaggedHasher};
use grail_wire::bytes::{public_key, signature};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Body, LogState, Peer};

/// Most heights that an order may be good for: bounds what the log remembers of used ones.
pub const CLONE_ORDER_HEIGHTS_MAX: u64 = 1_000;
/// Most slots of an operator.
pub const SLOTS_MAX: u8 = 8;

/// Lets one instance of an operator give its key to another, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloneOrder {
    /// Of which bridge.
    pub bridge: Bridge,
    /// Whose.
    #[serde(with = "public_key")]
    pub operator: XOnlyPublicKey,
    /// Which of the operator's slots the recipient fills.
    pub slot: u8,
    /// The recipient: a key made when it started and never stored, so that no later instance is it.
    #[serde(with = "public_key")]
    pub recipient: XOnlyPublicKey,
    /// The last height at which the log may say that it is used.
    pub expires: u64,
    /// The cloning key's signature of [`CloneOrder::digest`].
    #[serde(with = "signature")]
    pub signature: Signature,
}

/// Names an order, whichever signature it has: a second signature is no second order.
pub type OrderId = [u8; 32];

impl CloneOrder {
    /// What the cloning secret signs.
    pub fn digest(&self) -> Digest {
        Digest::from_digest(self.id())
    }

    /// Its name.
    pub fn id(&self) -> OrderId {
        TaggedHasher::new("grail/clone-order/v1")
            .bridge(&self.bridge)
            .bytes(&self.operator.serialize())
            .u8(self.slot)
            .bytes(&self.recipient.serialize())
            .u64(self.expires)
            .finish()
    }

    /// Whether the log may say, at `height`, that this order is used.
    pub(crate) fn check<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        log: &LogState,
        height: u64,
    ) -> Result<(), CloneRefusal> {
        if self.bridge != *log.bridge() {
            return Err(CloneRefusal::OtherBridge);
        }
        if self.slot >= SLOTS_MAX {
            return Err(CloneRefusal::Slot(self.slot));
        }
        let member = log.member(&self.operator).ok_or(CloneRefusal::NotMember)?;
        let farthest = height.saturating_add(CLONE_ORDER_HEIGHTS_MAX);
        if !(height..=farthest).contains(&self.expires) {
            let expires = self.expires;
            return Err(CloneRefusal::Expired { expires, height });
        }
        if log.is_used(&self.id()) {
            return Err(CloneRefusal::Used);
        }
        secp.verify_schnorr(&self.signature, &self.digest(), &member.cloning)
            .map_err(|_| CloneRefusal::Signature)
    }
}

/// The instance that asks for the key, as its evidence over the channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Its key.
    pub instance: XOnlyPublicKey,
    /// What it runs.
    pub image: Image,
}

/// The instance that has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Donor {
    /// Who it is.
    pub peer: Peer,
    /// What it runs.
    pub image: Image,
    /// Whether its operator holds a share of a group key, which no migratable image may hold.
    pub share: Share,
}

/// Whether an operator holds a share of a group key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// It does.
    Held,
    /// It does not.
    None,
}

/// Why a donor keeps its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CloneRefusal {
    /// For another bridge.
    #[error("the order is for another bridge")]
    OtherBridge,
    /// For another operator than the donor's.
    #[error("the order is of another operator")]
    OtherOperator,
    /// The operator is no member.
    #[error("the operator is no member")]
    NotMember,
    /// For another instance than the one that asks.
    #[error("the order is for another instance")]
    OtherInstance,
    /// The recipient runs something else than the donor.
    #[error("the recipient runs another image")]
    OtherImage,
    /// The operator holds a share, and the recipient's memory can be copied.
    #[error("an image of a migratable class may not hold a share")]
    Migratable,
    /// There is no such slot.
    #[error("expected a slot below {SLOTS_MAX}, got {0}")]
    Slot(u8),
    /// Its time is over, or so far away that nobody remembers it for so long.
    #[error("expected an expiry from height {height} on and not too far, got {expires}")]
    Expired {
        /// The order's.
        expires: u64,
        /// The next height.
        height: u64,
    },
    /// The log says that it is used.
    #[error("the order is used")]
    Used,
    /// Not by the cloning key that the member's entry names.
    #[error("the order's signature is invalid")]
    Signature,
}

impl CloneRefusal {
    /// A stable word.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherBridge => "clone-bridge",
            Self::OtherOperator => "clone-operator",
            Self::NotMember => "clone-not-member",
            Self::OtherInstance => "clone-instance",
            Self::OtherImage => "clone-image",
            Self::Migratable => "clone-migratable",
            Self::Slot(_) => "clone-slot",
            Self::Expired { .. } => "clone-expired",
            Self::Used => "clone-used",
            Self::Signature => "clone-signature",
        }
    }
}

/// An order that a donor found good. The key does not move yet: first a quorum says that the order
/// is used, by this donor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct PermittedClone {
    order: CloneOrder,
    donor: XOnlyPublicKey,
}

impl PermittedClone {
    /// Looks at `order` as the donor that is asked for its key.
    pub fn check<C: Verification>(
        secp: &Secp256k1<C>,
        log: &LogState,
        order: CloneOrder,
        donor: &Donor,
        recipient: &Recipient,
    ) -> Result<Self, CloneRefusal> {
        if order.operator != donor.peer.operator {
            return Err(CloneRefusal::OtherOperator);
        }
        if order.recipient != recipient.instance {
            return Err(CloneRefusal::OtherInstance);
        }
        if recipient.image.measurement != donor.image.measurement
            || recipient.image.tee != donor.image.tee
        {
            return Err(CloneRefusal::OtherImage);
        }
        // The recipient's class as its evidence has it: the same bytes may run where memory moves.
        if donor.share == Share::Held && recipient.image.class == ImageClass::Migratable {
            return Err(CloneRefusal::Migratable);
        }
        order.check(secp, log, log.next_height())?;
        let donor = donor.peer.instance;
        Ok(Self { order, donor })
    }

    /// What the log has to say before the key moves.
    pub fn wish(&self) -> Body {
        Body::Clone {
            order: self.order.clone(),
            donor: self.donor,
        }
    }

    /// Whether `body`, which a quorum counted, uses this order for this donor.
    pub fn is_granted_by(&self, body: &Body) -> Option<XOnlyPublicKey> {
        (*body == self.wish()).then_some(self.order.recipient)
    }
}
