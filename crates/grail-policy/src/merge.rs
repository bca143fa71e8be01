//! Donations moved into the vault's coin (ADR 30). Nobody is served and no zkBTC is made or burned:
//! whoever wants the coins together pays for it, and nobody's request does.

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::{Action, RosterState};
use grail_spell::BridgeCharms;
use grail_types::{Bridge, RequestId};
use grail_wire::{Merge as MergeRequest, Proposal};

use crate::{
    approve::Signing,
    bridge::{Case, nft, sponsors, vault},
    outline::Outline,
    refusal::Refusal,
};

/// A merge that obeys the rules.
#[derive(Clone, Debug)]
pub struct Merge {
    /// What is signed.
    pub signing: Signing,
    /// The NFT's state before.
    pub before: RosterState,
    /// The NFT's state after: one serial on.
    pub after: RosterState,
    /// How much the vault's coin grows by.
    pub merged: Amount,
    /// Who pays the miners, with what, in the order of the inputs.
    pub sponsors: Vec<(RequestId, Amount)>,
}

impl Merge {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        request: &MergeRequest,
        bridge: &Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let case = Case::read(proposal, bridge, outline, Action::Settle)?;
        let held = case.held(secp)?;
        let after = nft::output(&case, &held.before, &held.tree)?;
        // The outflow too: nothing leaves, and time is claimed by settlements alone.
        let expected = RosterState {
            serial: after.serial,
            ..held.before.clone()
        };
        if after != expected {
            return Err(Refusal::RosterChanged);
        }
        vault::check_spent(&case, &held.before, &held.tree)?;
        let vault_coin = vault::coin(&case.outline, &held.tree);
        let vault_in = vault_coin.map_or(Amount::ZERO, |spent| spent.output.value);
        let first = if vault_coin.is_some() { 2 } else { 1 };
        let spent = &case.outline.spent;
        let end = spent.len().saturating_sub(request.sponsors.len());
        let donations = spent.get(first..end).unwrap_or_default();
        if donations.is_empty() {
            return Err(Refusal::Empty);
        }
        let mut merged = Amount::ZERO;
        for (input_index, donation) in (first..).zip(donations) {
            if donation.output.script_pubkey != held.tree.script_pubkey {
                return Err(Refusal::UnknownTemplate { input_index });
            }
            // zkBTC there would be burned, and its backing never leave.
            if donation.carried != BridgeCharms::Nothing {
                return Err(Refusal::UnexpectedCharms { input_index });
            }
            let sum = merged.checked_add(donation.output.value);
            merged = sum.ok_or(Refusal::Overflow)?;
        }
        // What the vault has above the supply is left when the last zkBTC leaves: less than an
        // output may have would keep that from leaving.
        if merged < held.tree.script_pubkey.minimal_non_dust() {
            return Err(Refusal::VaultDust(merged));
        }
        // Every satoshi of theirs arrives: the miners get what the sponsors bring, and no more.
        let expected = vault_in.checked_add(merged).ok_or(Refusal::Overflow)?;
        let got = vault::output(&case, &held.tree, 0)?;
        if got != Some(expected) {
            let got = got.unwrap_or(Amount::ZERO);
            return Err(Refusal::VaultMismatch { expected, got });
        }
        case.claim_all()?;
        case.check_ages(None)?;
        let sponsored = sponsors::check(secp, &case, &held, &request.sponsors, end)?;
        let mut inputs = vec![held.vault_input(); end];
        inputs.extend(sponsored.inputs);
        Ok(Self {
            signing: case.signing(inputs, sponsored.total)?,
            before: held.before,
            after,
            merged,
            sponsors: sponsored.shares,
        })
    }
}
