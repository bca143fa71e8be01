//! What a request of this wallet takes from the seed: reclaim key, nonce and destination, by the
//! time it is made and its number within that time.
//!
//! So whoever has the words can make the terms of every request again that has no other choice in
//! them (ADR 20). All three are told to a bridge; none tells of another: keys and nonces lie on
//! hardened paths, a nonce is a hash, and addresses are linked by the account's public key alone,
//! which nobody is told.

use bitcoin::bip32::{ChildNumber, Xpriv, Xpub};
use bitcoin::secp256k1::{All, Keypair, Secp256k1, Verification};
use bitcoin::{ScriptBuf, XOnlyPublicKey};
use grail_types::TaggedHasher;
use serde::{Deserialize, Serialize};

use crate::seed::{Branch, Seed, SeedError, SlotParents, derive, hardened};

/// Blocks of a window: about a day.
pub const WINDOW_BLOCKS: u32 = 144;
/// Slots of a window. More requests than this in a day need their receipts.
pub const WINDOW_SLOTS: u32 = 8;
/// Windows whose keys are tried for a receipt that does not name its slot, where nobody knows how
/// high the chain is: enough until the year 2053.
const WINDOWS_TRIED_MAX: u32 = 1 << 14;

/// The window in which a block of this height lies.
pub const fn window_of(height: u32) -> u32 {
    height / WINDOW_BLOCKS
}

/// The time at which a request is made, in windows, and its number within the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Slot(u32);

/// Beyond the window of the highest block that there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no slot {0}: no block is as high")]
pub struct SlotError(u32);

impl Slot {
    /// One more than the last.
    const END: u32 = (window_of(u32::MAX) + 1) * WINDOW_SLOTS;

    /// Every slot of a window.
    pub fn of_window(window: u32) -> impl Iterator<Item = Self> {
        let first = window.saturating_mul(WINDOW_SLOTS);
        (first..first.saturating_add(WINDOW_SLOTS)).filter_map(|index| Self::try_from(index).ok())
    }

    /// Its window.
    pub const fn window(self) -> u32 {
        self.0 / WINDOW_SLOTS
    }

    /// Its number among all: also that of its address.
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Slot {
    type Error = SlotError;

    fn try_from(index: u32) -> Result<Self, SlotError> {
        if index < Self::END {
            Ok(Self(index))
        } else {
            Err(SlotError(index))
        }
    }
}

impl From<Slot> for u32 {
    fn from(slot: Slot) -> Self {
        slot.0
    }
}

/// What the terms of a slot's request are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotTerms {
    /// The key for the way out.
    pub reclaim_key: XOnlyPublicKey,
    /// Where the request pays to: an address of the wallet.
    pub destination: ScriptBuf,
    /// What makes the request unlike all others.
    pub nonce: [u8; 16],
}

/// Everything that slots take from a seed. Holds secrets, as the seed does.
pub struct SlotKeys {
    parents: SlotParents,
}

impl SlotKeys {
    /// Of a seed.
    pub fn new(secp: &Secp256k1<All>, seed: &Seed) -> Self {
        Self {
            parents: seed.slot_parents(secp),
        }
    }

    /// What the terms of a slot's request are made of.
    pub fn terms(&self, secp: &Secp256k1<All>, slot: Slot) -> SlotTerms {
        let secret = child(secp, &self.parents.nonces, slot).private_key;
        let hash = TaggedHasher::new("grail/request-nonce/v1")
            .bytes(&secret.secret_bytes())
            .finish();
        let nonce = *hash.first_chunk().expect("a hash is longer than a nonce");
        SlotTerms {
            reclaim_key: self.reclaim_key(secp, slot).x_only_public_key().0,
            destination: request_script(secp, &self.parents.account, slot),
            nonce,
        }
    }

    /// The reclaim key of a slot.
    pub fn reclaim_key(&self, secp: &Secp256k1<All>, slot: Slot) -> Keypair {
        child(secp, &self.parents.keys, slot).to_keypair(secp)
    }
}

/// The reclaim key that a receipt names: of its slot, where it is known; else one of those that are
/// counted; else of any slot up to the window in which a block of height `tip` lies.
pub fn find_reclaim_key(
    secp: &Secp256k1<All>,
    seed: &Seed,
    wanted: &XOnlyPublicKey,
    slot: Option<Slot>,
    tip: Option<u32>,
) -> Result<Keypair, SeedError> {
    let is_wanted = |key: &Keypair| key.x_only_public_key().0 == *wanted;
    let keys = SlotKeys::new(secp, seed);
    if let Some(slot) = slot {
        let key = keys.reclaim_key(secp, slot);
        return if is_wanted(&key) {
            Ok(key)
        } else {
            Err(SeedError::NoReclaimKey(*wanted))
        };
    }
    seed.find_reclaim_key(secp, wanted).or_else(|error| {
        let last = tip.map_or(WINDOWS_TRIED_MAX, window_of);
        (0..=last.min(WINDOWS_TRIED_MAX))
            .rev()
            .flat_map(Slot::of_window)
            .map(|slot| keys.reclaim_key(secp, slot))
            .find(is_wanted)
            .ok_or(error)
    })
}

/// Where a slot's request pays to, from the account's public key.
pub fn request_script<C: Verification>(
    secp: &Secp256k1<C>,
    account: &Xpub,
    slot: Slot,
) -> ScriptBuf {
    let path = [Branch::Request.number(), slot.index()].map(|index| ChildNumber::Normal { index });
    let key = account
        .derive_pub(secp, &path)
        .expect("a child of a public key exists, but with negligible probability");
    ScriptBuf::new_p2tr(secp, key.to_x_only_pub(), None)
}

/// The account's public key in a descriptor of one of its branches.
pub fn account_of(descriptor: &str) -> Option<Xpub> {
    let (_, after_origin) = descriptor.split_once(']')?;
    after_origin.split('/').next()?.parse().ok()
}

fn child(secp: &Secp256k1<All>, parent: &Xpriv, slot: Slot) -> Xpriv {
    let within = slot.index() % WINDOW_SLOTS;
    derive(secp, parent, &[hardened(slot.window()), hardened(within)])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::HashSet;

    use bitcoin::key::TweakedPublicKey;
    use grail_types::Network;

    use super::*;

    const WORDS: &str = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

    fn seed() -> Seed {
        Seed::parse(WORDS, Network::Regtest).unwrap()
    }

    fn slot(index: u32) -> Slot {
        Slot::try_from(index).unwrap()
    }

    #[test]
    fn a_window_is_a_day_of_eight_slots_up_to_the_highest_block() {
        assert_eq!((window_of(0), window_of(143), window_of(144)), (0, 0, 1));
        let slots: Vec<u32> = Slot::of_window(3).map(Slot::index).collect();
        assert_eq!(slots, (24..32).collect::<Vec<_>>());
        assert!(Slot::of_window(3).all(|slot| slot.window() == 3));
        let last = window_of(u32::MAX);
        assert_eq!(Slot::of_window(last).count(), 8);
        assert_eq!(Slot::of_window(last + 1).count(), 0);
        assert!(serde_json::from_str::<Slot>(&u32::MAX.to_string()).is_err());
    }

    /// A snapshot: a change of these values leaves every open deposit to its receipt.
    #[test]
    fn what_slots_take_from_a_seed_is_stable() {
        let secp = Secp256k1::new();
        let terms = SlotKeys::new(&secp, &seed()).terms(&secp, slot(8 * 6_000 + 3));
        let shown = format!(
            "{} {} {}",
            terms.reclaim_key,
            terms.destination.to_hex_string(),
            hex::encode(terms.nonce)
        );
        assert_eq!(
            shown,
            "881b0609536ab5c95db33999a5af2823e60f3361ab2dae4e7b1734854947afbf \
             5120f42071fcce4351c8c8a8b2e432d4afb8452e680b926ec56d815541e30fbffdd7 \
             d4e7fdcd120b0a39f97f022b5d415992"
        );
    }

    #[test]
    fn a_slots_address_is_one_that_the_wallet_signs_for() {
        let secp = Secp256k1::new();
        let terms = SlotKeys::new(&secp, &seed()).terms(&secp, slot(17));
        let key = seed().output_key(&secp, Branch::Request, 17);
        let own = ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::from_keypair(key));
        assert_eq!(terms.destination, own);
        let account = account_of(&seed().descriptor(Branch::Change)).unwrap();
        assert_eq!(request_script(&secp, &account, slot(17)), own);
        assert_eq!(account_of("tr(nonsense)"), None);
    }

    #[test]
    fn slots_share_nothing_with_each_other_nor_with_counted_keys() {
        let secp = Secp256k1::new();
        let seed = seed();
        let keys = SlotKeys::new(&secp, &seed);
        let mut seen = HashSet::new();
        for index in 0..40 {
            let terms = keys.terms(&secp, slot(index));
            let counted = seed.reclaim_key(&secp, index).x_only_public_key().0;
            assert!(seen.insert(terms.reclaim_key.to_string()));
            assert!(seen.insert(counted.to_string()));
            assert!(seen.insert(terms.destination.to_hex_string()));
            assert!(seen.insert(hex::encode(terms.nonce)));
        }
    }

    #[test]
    fn a_reclaim_key_is_found_by_its_slot_by_its_number_or_by_trying() {
        let secp = Secp256k1::new();
        let seed = seed();
        let of_slot = SlotKeys::new(&secp, &seed).reclaim_key(&secp, slot(19));
        let wanted = of_slot.x_only_public_key().0;
        let find = |key, slot, tip| find_reclaim_key(&secp, &seed, key, slot, tip);
        assert_eq!(find(&wanted, Some(slot(19)), None).unwrap(), of_slot);
        assert!(find(&wanted, Some(slot(20)), None).is_err());
        assert_eq!(find(&wanted, None, Some(3 * 144)).unwrap(), of_slot);
        assert!(find(&wanted, None, Some(2 * 144 - 1)).is_err());
        let counted = seed.reclaim_key(&secp, 5);
        let wanted = counted.x_only_public_key().0;
        assert_eq!(find(&wanted, None, Some(0)).unwrap(), counted);
    }
}
