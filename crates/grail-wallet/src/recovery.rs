//! Deposits that the words alone find: the terms that a wallet makes by default, made again for
//! every slot, rung and roster, and looked for among the unspent outputs.
//!
//! Rosters are hints. A wrong one gives addresses that nobody has paid to; a deposit at one of
//! those found is the wallet's own to take back, whoever named the roster.

use std::ops::RangeInclusive;

use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Amount, ScriptBuf, Transaction, XOnlyPublicKey};
use grail_api::Receipt;
use grail_attest::Protocol;
use grail_charms::{PrevTx, roster_state};
use grail_script::{DepositTree, InternalKey};
use grail_spell::nft_app;
use grail_types::{Bridge, Destination, Epoch, Kind, MockAllowed, Roster, Terms, Threshold};

use crate::slot::{Slot, SlotKeys, SlotTerms, window_of};

/// Windows that are looked through unless more are asked for: two years.
pub const WINDOWS_USUAL: u32 = 730;
/// Most scripts that are looked for in one go: some hours, of the wallet and of its node.
pub const SCRIPTS_MAX: u64 = 4_000_000;
/// Requests of both directions share the slots.
const KINDS: [Kind; 2] = [Kind::PegIn, Kind::PegOut];
/// A roster goes on giving addresses until the next one is settled, and a node may be behind.
const WINDOWS_LATE: u32 = 2;

/// A roster, and the windows in which it may have given addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Era {
    /// The roster.
    pub roster: Roster,
    /// When.
    pub windows: RangeInclusive<u32>,
}

/// A roster that a block shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Height of the block.
    pub height: u32,
    /// The roster.
    pub roster: Roster,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// The bridge.
    pub bridge: Bridge,
    /// When the request may have been made.
    pub windows: RangeInclusive<u32>,
    /// Fee caps that it may have.
    pub fee_caps: Vec<Amount>,
    /// Reclaim delays that it may have.
    pub delays: Vec<u16>,
    /// Where it pays to, if not to its slot's address.
    pub destination: Option<Destination>,
    /// Rosters that may hold its deposit.
    pub eras: Vec<Era>,
}

/// A request that this wallet may have made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its slot.
    pub slot: Slot,
    /// Its terms.
    pub terms: Terms,
    /// Its roster's place among the eras.
    pub era: usize,
}

impl Search {
    /// How many candidates there are.
    pub fn count(&self) -> u64 {
        let windows: u64 = self
            .eras
            .iter()
            .map(|era| {
                let (first, last) = self.shared(era).into_inner();
                u64::from(last.saturating_add(1).saturating_sub(first))
            })
            .sum();
        let choices = [KINDS.len(), self.fee_caps.len(), self.delays.len()];
        choices.into_iter().map(|count| count as u64).fold(
            windows.saturating_mul(u64::from(crate::slot::WINDOW_SLOTS)),
            u64::saturating_mul,
        )
    }

    /// Every request that this wallet may have made, the newest first.
    pub fn candidates<'a>(
        &'a self,
        secp: &'a Secp256k1<All>,
        keys: &'a SlotKeys,
    ) -> impl Iterator<Item = Candidate> + 'a {
        self.windows
            .clone()
            .rev()
            .flat_map(Slot::of_window)
            .flat_map(move |slot| self.of_slot(slot, &keys.terms(secp, slot)))
    }

    fn of_slot(&self, slot: Slot, own: &SlotTerms) -> Vec<Candidate> {
        let destination = self
            .destination
            .clone()
            .or_else(|| own.destination.clone().try_into().ok());
        let Some(destination) = destination else {
            return Vec::new();
        };
        let mut candidates = Vec::new();
        for (place, era) in self.eras.iter().enumerate() {
            if !self.shared(era).contains(&slot.window()) {
                continue;
            }
            for kind in KINDS {
                for fee_cap in &self.fee_caps {
                    candidates.extend(self.delays.iter().map(|delay| Candidate {
                        slot,
                        terms: Terms {
                            kind,
                            network: self.bridge.network,
                            bridge: self.bridge.app,
                            destination: destination.clone(),
                            fee_cap: *fee_cap,
                            epoch: era.roster.epoch(),
                            reclaim_key: own.reclaim_key,
                            reclaim_delay: *delay,
                            nonce: own.nonce,
                        },
                        era: place,
                    }));
                }
            }
        }
        candidates
    }

    fn shared(&self, era: &Era) -> RangeInclusive<u32> {
        let first = *self.windows.start().max(era.windows.start());
        first..=*self.windows.end().min(era.windows.end())
    }

    /// The deposit address of a candidate.
    pub fn script(&self, secp: &Secp256k1<All>, candidate: &Candidate) -> Option<ScriptBuf> {
        let era = self.eras.get(candidate.era)?;
        let tree = DepositTree::new(secp, InternalKey::Nums, &candidate.terms, &era.roster);
        Some(tree.script_pubkey)
    }

    /// The receipt of a candidate.
    pub fn receipt(&self, candidate: &Candidate) -> Option<Receipt> {
        let era = self.eras.get(candidate.era)?;
        let terms = candidate.terms.clone();
        Some(Receipt::new(InternalKey::Nums, terms, era.roster.clone()))
    }
}

/// When each of the rosters that blocks show, from a height on, may have given addresses. The first
/// may be older than what was read; each ends a little after the next was seen.
pub fn eras(sightings: &[Sighting], last_window: u32) -> Vec<Era> {
    let mut firsts: Vec<&Sighting> = Vec::new();
    for sighting in sightings {
        if firsts.iter().all(|seen| seen.roster != sighting.roster) {
            firsts.push(sighting);
        }
    }
    (0..)
        .zip(&firsts)
        .map(|(place, seen): (usize, _)| {
            let next = firsts
                .iter()
                .skip(place.saturating_add(1))
                .find(|later| later.roster.epoch() > seen.roster.epoch());
            let first = match place {
                0 => 0,
                _ => window_of(seen.height).saturating_sub(1),
            };
            let last = next.map_or(last_window, |next| {
                window_of(next.height).saturating_add(WINDOWS_LATE)
            });
            Era {
                roster: seen.roster.clone(),
                windows: first..=last.min(last_window),
            }
        })
        .collect()
}

/// The roster that a transaction shows on the bridge's NFT, if its spell verifies. One that a block
/// holds has spent the NFT before it, or is the deployment.
pub fn roster_shown(transaction: &Transaction, protocol: &Protocol) -> Option<Roster> {
    let bridge = protocol.bridge();
    // What no spell can be in is not read.
    if !transaction
        .output
        .iter()
        .any(|output| output.script_pubkey.is_op_return())
    {
        return None;
    }
    let previous = PrevTx::read_committed(transaction, MockAllowed::on(bridge.network));
    let state = roster_state(&previous.charms_at(0), &nft_app(&bridge.app)).ok()??;
    let signers = state
        .signers
        .iter()
        .map(|key| XOnlyPublicKey::from_slice(key))
        .collect::<Result<Vec<_>, _>>()
        .ok()?;
    Roster::new(Epoch(state.epoch), signers, Threshold(state.threshold)).ok()
}
