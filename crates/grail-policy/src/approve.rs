//! The decision.

use bitcoin::{
    Amount, FeeRate, Transaction, TxOut, Txid, Weight, XOnlyPublicKey,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::{RosterState, StateError};
use grail_script::{RosterSpend, VaultTree};
use grail_spell::{BridgeCharms, bridge_charms};
use grail_types::{Epoch, Params, ParamsHash, RequestId, Roster, Threshold};

use crate::{
    items::{Effect, Item, check_deposit, check_terms},
    outline::{Outline, Spent},
    proposal::Proposal,
    refusal::Refusal,
};

/// Something that passed [`approve`], which alone can make it. The signer takes nothing else.
#[must_use]
#[derive(Clone, Debug)]
pub struct Approved<T>(T);

impl<T> Approved<T> {
    /// What was approved.
    pub const fn get(&self) -> &T {
        &self.0
    }
}

/// An approved settlement: what is signed, and by which scripts.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// The unsigned transaction.
    pub transaction: Transaction,
    /// Outputs spent, in the order of the inputs.
    pub prevouts: Vec<TxOut>,
    /// How the roster spends each input, in order.
    pub spends: Vec<RosterSpend>,
    /// Who signs.
    pub roster: Roster,
    /// The NFT's state before.
    pub before: RosterState,
    /// The NFT's state after.
    pub after: RosterState,
    /// What each request contributes, in order.
    pub items: Vec<ItemOutcome>,
    /// What the miners get: the shares less what the prover gets.
    pub fee: Amount,
    /// What the prover gets, in an output that the proof does not commit to; zero without one.
    pub prover_fee: Amount,
    /// Weight with all witnesses.
    pub weight: Weight,
}

impl Settlement {
    /// Id of the transaction; witnesses do not change it.
    pub fn txid(&self) -> Txid {
        self.transaction.compute_txid()
    }
}

/// A request within an approved settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemOutcome {
    /// The request.
    pub request: RequestId,
    /// zkBTC minted for it, satoshis.
    pub minted: u64,
    /// zkBTC burned for it, satoshis.
    pub burned: u64,
    /// Its share of the fee.
    pub fee_share: Amount,
}

/// Decides whether `signer` may sign the proposed settlement.
///
/// Cost grows linearly with inputs and with the bytes of the previous transactions; each distinct previous
/// transaction that carries a spell costs one proof verification, each deposit one taproot output.
pub fn approve<C: Verification>(
    secp: &Secp256k1<C>,
    proposal: &Proposal,
    params: &Params,
    signer: Option<&XOnlyPublicKey>,
) -> Result<Approved<Settlement>, Refusal> {
    let outline = Outline::read(proposal, params)?;
    let before = roster_state(&outline, params)?;
    let roster = roster_of(&before)?;
    if let Some(signer) = signer {
        roster
            .position(signer)
            .ok_or(Refusal::NotInRoster(roster.epoch()))?;
    }
    let vault = VaultTree::new(secp, &roster);
    check_vault_script(&outline, &before, &vault)?;
    check_terms(&proposal.requests, params, &roster, &vault)?;

    let after = nft_output(proposal, &outline, params, &before, &vault)?;
    let inputs = Inputs::split(&outline, proposal, &vault)?;
    // Each settlement makes at most one vault output: as long as it spends one, the vault does not fall to pieces that
    // cost more to spend than they hold.
    if before.supply > 0 && inputs.vault.is_empty() {
        return Err(Refusal::VaultNotSpent);
    }
    let vault_in = sum(inputs.vault.iter().map(|spent| spent.output.value))?;
    let vault_out = vault_output(proposal, &outline, params, &vault)?;
    let item_outputs = item_outputs(proposal, &outline, vault_out.is_some())?;

    let mut spends = vec![vault.spend.clone(); inputs.vault.len().saturating_add(1)];
    let mut items = Vec::with_capacity(proposal.requests.len());
    let pairs = proposal
        .requests
        .iter()
        .zip(inputs.deposits)
        .zip(item_outputs);
    for ((terms, (input_index, spent)), (output_index, output)) in pairs {
        let tree = check_deposit(secp, terms, &roster, input_index, spent)?;
        let carried = output_charms(&outline, output_index, params)?;
        let item = Item {
            terms,
            tree,
            input_index,
            spent,
            output_index,
            output,
            carried,
        };
        let effect = item.check(params)?;
        items.push(ItemOutcome {
            request: item.tree.request,
            minted: effect.minted,
            burned: effect.burned,
            fee_share: effect.share,
        });
        spends.push(item.tree.spend);
    }
    let total = total(&items)?;
    check_books(&before, &after, vault_in, vault_out, total)?;
    // With the NFT's coin unchanged and the books balanced, inputs less the outputs that the spell commits to come to
    // exactly the shares: the prover is paid out of them, and so within the requests' caps.
    let prover_fee = outline.prover_fee.unwrap_or(Amount::ZERO);
    let uncommitted = proposal.transaction.output.get(outline.committed);
    if uncommitted.is_some_and(|output| output.script_pubkey == vault.script_pubkey) {
        return Err(Refusal::ProverFee {
            got: prover_fee,
            reason: "it pays the vault, where the books do not count it",
        });
    }
    let fee = total
        .share
        .checked_sub(prover_fee)
        .ok_or(Refusal::ProverFee {
            got: prover_fee,
            reason: "the requests pay less in all",
        })?;
    let weight = check_fee(proposal, params, &roster, &spends, fee)?;
    Ok(Approved(Settlement {
        transaction: proposal.transaction.clone(),
        prevouts: outline
            .spent
            .into_iter()
            .map(|spent| spent.output)
            .collect(),
        spends,
        roster,
        before,
        after,
        items,
        fee,
        prover_fee,
        weight,
    }))
}

/// The state on the NFT that input 0 spends, bound to our parameters.
fn roster_state(outline: &Outline, params: &Params) -> Result<RosterState, Refusal> {
    let Some(Spent {
        output,
        carried: BridgeCharms::Nft(state),
    }) = outline.spent.first()
    else {
        return Err(Refusal::NftMissing);
    };
    let state = state.clone().map_err(nft_state_invalid)?.for_signing();
    let expected = params.hash();
    let got = ParamsHash(state.params_hash);
    if got != expected {
        return Err(Refusal::NftParams { expected, got });
    }
    // Its coin neither grows nor shrinks, so it takes no part in the books.
    if output.value != params.nft_carrier {
        return Err(Refusal::NftStateInvalid(format!(
            "its coin is {}, not the carrier",
            output.value
        )));
    }
    Ok(state)
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the shape that `map_err` takes"
)]
fn nft_state_invalid(error: StateError) -> Refusal {
    Refusal::NftStateInvalid(error.to_string())
}

fn roster_of(state: &RosterState) -> Result<Roster, Refusal> {
    let invalid = |reason: String| Refusal::NftStateInvalid(reason);
    let signers = state
        .signers
        .iter()
        .map(|key| XOnlyPublicKey::from_slice(key))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    Roster::new(Epoch(state.epoch), signers, Threshold(state.threshold))
        .map_err(|error| invalid(error.to_string()))
}

/// The contract does no curve arithmetic: that its `vault_script` is the roster's address is checked here.
fn check_vault_script(
    outline: &Outline,
    state: &RosterState,
    vault: &VaultTree,
) -> Result<(), Refusal> {
    if state.vault_script != vault.script_pubkey.as_bytes() {
        return Err(Refusal::NftStateInvalid(
            "the vault script is not the roster's address".to_owned(),
        ));
    }
    match outline.spent.first() {
        Some(nft) if nft.output.script_pubkey == vault.script_pubkey => Ok(()),
        _ => Err(Refusal::UnknownTemplate { input_index: 0 }),
    }
}

fn nft_output(
    proposal: &Proposal,
    outline: &Outline,
    params: &Params,
    before: &RosterState,
    vault: &VaultTree,
) -> Result<RosterState, Refusal> {
    let output = proposal
        .transaction
        .output
        .first()
        .ok_or(Refusal::NftOutput("there is no output"))?;
    if output.script_pubkey != vault.script_pubkey {
        return Err(Refusal::NftOutput("it is not at the Grail address"));
    }
    if output.value != params.nft_carrier {
        return Err(Refusal::NftOutput("its coin changes"));
    }
    let BridgeCharms::Nft(after) = output_charms(outline, 0, params)? else {
        return Err(Refusal::NftOutput("it does not carry the NFT alone"));
    };
    let after = after.map_err(nft_state_invalid)?.for_signing();
    // With the next serial the NFT's state changes, so the proof exists only because the contract ran.
    let expected = before.serial.checked_add(1).ok_or(Refusal::Overflow)?;
    if after.serial != expected {
        return Err(Refusal::SerialMismatch {
            expected,
            got: after.serial,
        });
    }
    if after
        != (RosterState {
            serial: after.serial,
            supply: after.supply,
            ..before.clone()
        })
    {
        return Err(Refusal::RosterChanged);
    }
    Ok(after)
}

/// The inputs by position: NFT, vault, deposits.
struct Inputs<'a> {
    vault: &'a [Spent],
    deposits: Vec<(usize, &'a Spent)>,
}

impl<'a> Inputs<'a> {
    fn split(
        outline: &'a Outline,
        proposal: &Proposal,
        vault: &VaultTree,
    ) -> Result<Self, Refusal> {
        let behind_nft = outline.spent.get(1..).unwrap_or_default();
        let requests = proposal.requests.len();
        let Some(vault_count) = behind_nft.len().checked_sub(requests) else {
            return Err(Refusal::WrongCount {
                what: "deposit inputs",
                expected: requests,
                got: behind_nft.len(),
            });
        };
        if requests == 0 {
            return Err(Refusal::Empty);
        }
        let (vault_inputs, deposits) = behind_nft.split_at(vault_count);
        for (position, spent) in vault_inputs.iter().enumerate() {
            let input_index = position.saturating_add(1);
            if spent.output.script_pubkey != vault.script_pubkey {
                return Err(Refusal::UnknownTemplate { input_index });
            }
            if spent.carried != BridgeCharms::Nothing {
                return Err(Refusal::UnexpectedCharms { input_index });
            }
        }
        let first_deposit = vault_count.saturating_add(1);
        let deposits = deposits
            .iter()
            .enumerate()
            .map(|(position, spent)| (first_deposit.saturating_add(position), spent))
            .collect();
        Ok(Self {
            vault: vault_inputs,
            deposits,
        })
    }
}

/// The vault's output, if the transaction has one: output 1 exactly when the spell commits to one more output than the NFT
/// and the requests need.
fn vault_output(
    proposal: &Proposal,
    outline: &Outline,
    params: &Params,
    vault: &VaultTree,
) -> Result<Option<Amount>, Refusal> {
    let without_vault = proposal.requests.len().saturating_add(1);
    let got = outline.committed;
    if got == without_vault {
        return Ok(None);
    }
    let expected = without_vault.saturating_add(1);
    let output = match proposal.transaction.output.get(1) {
        Some(output) if got == expected => output,
        _ => {
            return Err(Refusal::WrongCount {
                what: "outputs",
                expected,
                got,
            });
        }
    };
    let is_vault = output.script_pubkey == vault.script_pubkey
        && output_charms(outline, 1, params)? == BridgeCharms::Nothing;
    if !is_vault {
        return Err(Refusal::VaultMissing(output.value));
    }
    if output.value < output.script_pubkey.minimal_non_dust() {
        return Err(Refusal::VaultDust(output.value));
    }
    Ok(Some(output.value))
}

/// The requests' outputs with their positions: all behind the vault's that the spell commits to.
fn item_outputs<'a>(
    proposal: &'a Proposal,
    outline: &Outline,
    has_vault: bool,
) -> Result<Vec<(usize, &'a TxOut)>, Refusal> {
    let first = if has_vault { 2 } else { 1 };
    let outputs: Vec<_> = proposal
        .transaction
        .output
        .iter()
        .enumerate()
        .take(outline.committed)
        .skip(first)
        .collect();
    if outputs.len() == proposal.requests.len() {
        return Ok(outputs);
    }
    Err(Refusal::WrongCount {
        what: "request outputs",
        expected: proposal.requests.len(),
        got: outputs.len(),
    })
}

fn output_charms(
    outline: &Outline,
    output_index: usize,
    params: &Params,
) -> Result<BridgeCharms, Refusal> {
    let vout = u32::try_from(output_index).map_err(|_| Refusal::Overflow)?;
    Ok(bridge_charms(
        &outline.spell.charms_at(vout),
        &params.bridge,
    ))
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, Refusal> {
    amounts
        .try_fold(Amount::ZERO, Amount::checked_add)
        .ok_or(Refusal::Overflow)
}

fn total(items: &[ItemOutcome]) -> Result<Effect, Refusal> {
    let add = |sum: u64, value: u64| sum.checked_add(value).ok_or(Refusal::Overflow);
    items.iter().try_fold(
        Effect {
            minted: 0,
            burned: 0,
            share: Amount::ZERO,
        },
        |total, item| {
            Ok(Effect {
                minted: add(total.minted, item.minted)?,
                burned: add(total.burned, item.burned)?,
                share: total
                    .share
                    .checked_add(item.fee_share)
                    .ok_or(Refusal::Overflow)?,
            })
        },
    )
}

/// `vault' - vault == minted - burned == supply' - supply`.
fn check_books(
    before: &RosterState,
    after: &RosterState,
    vault_in: Amount,
    vault_out: Option<Amount>,
    total: Effect,
) -> Result<(), Refusal> {
    let follow = |start: u64| {
        start
            .checked_add(total.minted)
            .and_then(|sum| sum.checked_sub(total.burned))
            .ok_or(Refusal::Overflow)
    };
    let expected = Amount::from_sat(follow(vault_in.to_sat())?);
    let got = vault_out.unwrap_or(Amount::ZERO);
    if got != expected {
        return Err(if vault_out.is_none() {
            Refusal::VaultMissing(expected)
        } else {
            Refusal::VaultMismatch { expected, got }
        });
    }
    let expected = follow(before.supply)?;
    if after.supply != expected {
        return Err(Refusal::SupplyMismatch {
            expected,
            got: after.supply,
        });
    }
    Ok(())
}

/// Weight and fee rate of the transaction as it will be once signed.
fn check_fee(
    proposal: &Proposal,
    params: &Params,
    roster: &Roster,
    spends: &[RosterSpend],
    fee: Amount,
) -> Result<Weight, Refusal> {
    // Marker and flag appear with the first witness; every input then has one.
    let segwit_marker = Weight::from_wu(2);
    // An unsigned transaction without witnesses is serialised without the inputs' item counts, which
    // `witness_weight` includes.
    let weight = spends
        .iter()
        .map(|spend| spend.witness_weight(roster))
        .try_fold(proposal.transaction.weight(), Weight::checked_add)
        .and_then(|weight| weight.checked_add(segwit_marker))
        .ok_or(Refusal::Overflow)?;
    if weight > params.settlement_weight_max {
        return Err(Refusal::TooHeavy {
            allowed: params.settlement_weight_max,
            got: weight,
        });
    }
    let got = fee_rate(fee, weight).ok_or(Refusal::Overflow)?;
    if got < params.fee_rate_min {
        return Err(Refusal::FeeRateTooLow {
            allowed: params.fee_rate_min,
            got,
        });
    }
    if got > params.fee_rate_max {
        return Err(Refusal::FeeRateTooHigh {
            allowed: params.fee_rate_max,
            got,
        });
    }
    Ok(weight)
}

/// Satoshis per 1,000 weight units, rounded down.
fn fee_rate(fee: Amount, weight: Weight) -> Option<FeeRate> {
    let rate = fee
        .to_sat()
        .checked_mul(1_000)?
        .checked_div(weight.to_wu())?;
    Some(FeeRate::from_sat_per_kwu(rate))
}
