//! What a user asks of a zk-app, and the commitment that binds a deposit to it.
//!
//! An order is a deposit: the same tree, the same way back. What it gives is not in its terms but
//! lies in the deposit; what its owner must at least get is, and operators hold the transaction to
//! it whatever the app's contract says.

use std::ops::Deref;

use bitcoin::{Amount, OutPoint, XOnlyPublicKey, secp256k1::Message};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    BoundExceeded, BoundedBytes, BoundedVec, Bridge, CharmApp, Destination, Epoch, RequestId,
    TaggedHasher, ZkApp,
};

/// Most kinds of value that an order may ask for.
pub const WANTS_MAX: usize = 4;

/// Most bytes of an order's payload: the app's own words.
pub const PAYLOAD_MAX_BYTES: usize = 256;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asset {
    /// Bitcoin, satoshis.
    Btc,
    /// A charm that is an amount, in its smallest unit.
    Charm(CharmApp),
}

/// The least of something that an order must get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Want {
    /// Of what.
    pub asset: Asset,
    /// How much at least. Zero lets it come without asking for any.
    pub amount: u64,
}

/// What an order must at least get: strictly ascending by asset, so that one wish has one form.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "BoundedVec<Want, WANTS_MAX>")]
pub struct Wants(BoundedVec<Want, WANTS_MAX>);

/// An asset occurs twice, or before one that is less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wants must ascend strictly by asset")]
pub struct WantsError;

impl TryFrom<BoundedVec<Want, WANTS_MAX>> for Wants {
    type Error = WantsError;

    fn try_from(wants: BoundedVec<Want, WANTS_MAX>) -> Result<Self, WantsError> {
        if !wants.is_sorted_by(|one, next| one.asset < next.asset) {
            return Err(WantsError);
        }
        Ok(Self(wants))
    }
}

impl Deref for Wants {
    type Target = [Want];

    fn deref(&self) -> &[Want] {
        &self.0
    }
}

impl Wants {
    /// How much of `asset` at least: zero of what is not asked for.
    pub fn of(&self, asset: &Asset) -> u64 {
        let asked = self.iter().find(|want| want.asset == *asset);
        asked.map_or(0, |want| want.amount)
    }

    /// Whether `asset` may come.
    pub fn names(&self, asset: &Asset) -> bool {
        self.iter().any(|want| want.asset == *asset)
    }
}

/// The app's own words in an order: hex text where people read, a byte string elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Payload(BoundedBytes<PAYLOAD_MAX_BYTES>);

impl TryFrom<Vec<u8>> for Payload {
    type Error = BoundExceeded;

    fn try_from(bytes: Vec<u8>) -> Result<Self, BoundExceeded> {
        BoundedBytes::new(bytes).map(Self)
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(&*self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return BoundedBytes::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        Self::try_from(bytes).map_err(D::Error::custom)
    }
}

/// What becomes of the coin under a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum OrderCoin {
    /// It comes back, less the order's share of the fee.
    Keep,
    /// It is offered to the app, but for what is kept.
    Offer {
        /// What stays the owner's, and pays the order's share of the fee.
        #[serde(with = "bitcoin::amount::serde::as_sat")]
        keep: Amount,
    },
}

impl OrderCoin {
    /// What of a deposit's coin stays the owner's. `None` if more is to be kept than there is.
    pub fn kept(&self, deposit: Amount) -> Option<Amount> {
        match *self {
            Self::Keep => Some(deposit),
            Self::Offer { keep } => (keep <= deposit).then_some(keep),
        }
    }
}

/// An order's terms, fixed by its owner before depositing and committed to by the deposit's script.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderTerms {
    /// Whose operators hold the deposit.
    pub bridge: Bridge,
    /// Which program: all that the owner trusts besides what `wants` says.
    pub app: ZkApp,
    /// Who gets coin and charms, in one output.
    pub destination: Destination,
    /// What becomes of the deposit's coin.
    pub coin: OrderCoin,
    /// What the owner must at least get.
    pub wants: Wants,
    /// Most that the order may contribute to a clearing's fee.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee_cap: Amount,
    /// Roster that holds the deposit.
    pub epoch: Epoch,
    /// The owner's key for the way out, and for an author's signature.
    pub reclaim_key: XOnlyPublicKey,
    /// Blocks after which the owner may take the deposit back.
    pub reclaim_delay: u16,
    /// Whether it counts only with the owner's signature over its deposit, so that the app may take
    /// it for the owner's word.
    pub authored: bool,
    /// The app's own words. Operators do not read them.
    pub payload: Payload,
    /// Makes orders for the same different ones.
    #[serde(with = "crate::bytes::hex_array")]
    pub nonce: [u8; 16],
}

impl OrderTerms {
    /// The commitment: what the deposit script carries, and the order's name. Of another domain
    /// than a peg's, so that no deposit is both.
    pub fn id(&self) -> RequestId {
        let head = TaggedHasher::new("grail/order/v1").bridge(&self.bridge);
        let head = self.app.charm().hashed(head);
        let head = head.bytes(self.destination.script().as_bytes());
        let head = match self.coin {
            OrderCoin::Keep => head.u8(0),
            OrderCoin::Offer { keep } => head.u8(1).u64(keep.to_sat()),
        };
        let counted = head.u64(self.wants.len() as u64);
        let wanted = self.wants.iter().fold(counted, |hasher, want| {
            let named = match &want.asset {
                Asset::Btc => hasher.u8(0),
                Asset::Charm(app) => app.hashed(hasher.u8(1)),
            };
            named.u64(want.amount)
        });
        let all = wanted
            .u64(self.fee_cap.to_sat())
            .u64(self.epoch.0)
            .bytes(&self.reclaim_key.serialize())
            .u64(u64::from(self.reclaim_delay))
            .u8(u8::from(self.authored))
            .bytes(&self.payload)
            .bytes(&self.nonce);
        RequestId(all.finish())
    }
}

/// The digest that an author signs by BIP-340: one coin of one order. Of the order alone, anybody
/// could pay to the address again and have it run a second time.
pub fn author_digest(order: RequestId, deposit: OutPoint) -> Message {
    let hasher = TaggedHasher::new("grail/author/v1")
        .bytes(&order.0)
        .bytes(&bitcoin::consensus::serialize(&deposit));
    Message::from_digest(hasher.finish())
}

#[cfg(test)]
mod tests;
