//! The transaction's outline: form, previous outputs, spell. Knows nothing of requests.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{Amount, Sequence, TxOut, Txid, absolute::LockTime, transaction::Version};
use charms_data::Data;
use grail_bridge_contract::Action;
use grail_spell::{
    BridgeCharms, PrevTx, ProofError, SpellError, VerifiedSpell, nft_app, read_strict, token_app,
};
use grail_types::{Bridge, BridgeApp, Destination, MockAllowed, Params};

use crate::{
    proposal::{PREVIOUS_MAX_BYTES, Proposal},
    refusal::Refusal,
};

/// One input: what it spends and what that carries.
pub(crate) struct Spent {
    pub output: TxOut,
    pub carried: BridgeCharms,
}

/// A transaction of the right form, with all that it spends and the spell that it carries.
pub(crate) struct Outline {
    pub spent: Vec<Spent>,
    pub spell: VerifiedSpell,
    /// Outputs that the spell commits to: all before the prover's fee.
    pub committed: usize,
    /// What the prover gets.
    pub prover_fee: Option<Amount>,
}

impl Outline {
    pub(crate) fn read(
        proposal: &Proposal,
        params: &Params,
        bridge: &Bridge,
    ) -> Result<Self, Refusal> {
        let expected = params.hash(bridge);
        if proposal.params_hash != expected {
            return Err(Refusal::WrongParams {
                expected,
                got: proposal.params_hash,
            });
        }
        check_form(proposal, params)?;
        let mock = MockAllowed::on(bridge.network);
        let previous = read_previous(proposal, mock)?;
        let spent = resolve_inputs(proposal, &previous, &bridge.app)?;
        let spell = read_strict(&proposal.transaction, mock).map_err(|error| match error {
            SpellError::Proof(ProofError::MockRefused) => Refusal::MockSpell,
            other => Refusal::SpellInvalid(other.to_string()),
        })?;
        check_apps(&spell, &bridge.app)?;
        let (committed, prover_fee) = check_places(proposal, &spell, params)?;
        Ok(Self {
            spent,
            spell,
            committed,
            prover_fee,
        })
    }
}

/// The unsigned transaction's own fields, before anything costly.
fn check_form(proposal: &Proposal, params: &Params) -> Result<(), Refusal> {
    let transaction = &proposal.transaction;
    let allowed = usize::from(params.roster_inputs_max);
    if transaction.input.len() > allowed {
        return Err(Refusal::TooManyInputs {
            allowed,
            got: transaction.input.len(),
        });
    }
    // Signatures come on top, see the fee's rule; what is too heavy without them is not worth decoding.
    let allowed = params.settlement_weight_max;
    if transaction.weight() > allowed {
        return Err(Refusal::TooHeavy {
            allowed,
            got: transaction.weight(),
        });
    }
    if transaction.version != Version::TWO {
        return Err(Refusal::MalformedTransaction("version must be 2"));
    }
    if transaction.lock_time != LockTime::ZERO {
        return Err(Refusal::MalformedTransaction("lock time must be 0"));
    }
    let mut seen = BTreeSet::new();
    for input in &transaction.input {
        if input.sequence != Sequence::ENABLE_RBF_NO_LOCKTIME {
            return Err(Refusal::MalformedTransaction("sequence must be 0xfffffffd"));
        }
        if !input.script_sig.is_empty() || !input.witness.is_empty() {
            return Err(Refusal::MalformedTransaction("inputs must be unsigned"));
        }
        if !seen.insert(input.previous_output) {
            return Err(Refusal::RepeatedInput(input.previous_output));
        }
    }
    Ok(())
}

/// An enclave decides without randomness (I3, I7). The batch hashes its powers from all proofs as well, which alone leaves a
/// forger 2^128 attempts, more than the proofs' own curve does.
const BATCH_SEED: [u8; 32] = *b"grail/previous-proofs-of-a-spend";

/// Every previous transaction once, each needed, all together of bounded size. Their ids are computed here, so
/// that nobody's word is taken for what an outpoint stands for.
fn read_previous(
    proposal: &Proposal,
    mock: Option<MockAllowed>,
) -> Result<BTreeMap<Txid, PrevTx>, Refusal> {
    let needed: BTreeSet<Txid> = proposal
        .transaction
        .input
        .iter()
        .map(|input| input.previous_output.txid)
        .collect();
    let size: usize = proposal
        .previous
        .iter()
        .map(bitcoin::Transaction::total_size)
        .sum();
    if proposal.previous.len() > needed.len() || size > PREVIOUS_MAX_BYTES {
        return Err(Refusal::PreviousExcess);
    }
    let given: BTreeSet<Txid> = proposal
        .previous
        .iter()
        .map(bitcoin::Transaction::compute_txid)
        .collect();
    if given.len() != proposal.previous.len() || !given.is_subset(&needed) {
        return Err(Refusal::PreviousExcess);
    }
    let read = PrevTx::read_committed_batch(&proposal.previous, mock, &BATCH_SEED);
    Ok(read.into_iter().map(|it| (it.txid(), it)).collect())
}

fn resolve_inputs(
    proposal: &Proposal,
    previous: &BTreeMap<Txid, PrevTx>,
    app: &BridgeApp,
) -> Result<Vec<Spent>, Refusal> {
    proposal
        .transaction
        .input
        .iter()
        .enumerate()
        .map(|(input_index, input)| {
            let outpoint = input.previous_output;
            let missing = Refusal::PreviousMissing {
                input_index,
                outpoint,
            };
            let Some(transaction) = previous.get(&outpoint.txid) else {
                return Err(missing);
            };
            let output = transaction.output(outpoint.vout).ok_or(missing)?.clone();
            let carried = transaction.bridge_charms(outpoint.vout, app);
            Ok(Spent { output, carried })
        })
        .collect()
}

/// Exactly the apps and public inputs of a settlement. That the contract ran is not shown by the action but by the NFT's
/// serial (ADR 2).
fn check_apps(spell: &VerifiedSpell, app: &BridgeApp) -> Result<(), Refusal> {
    let expected = [
        (nft_app(app), Action::Settle.to_data()),
        (token_app(app), Data::empty()),
    ];
    let apps = &spell.spell().app_public_inputs;
    if apps
        .iter()
        .eq(expected.iter().map(|(app, input)| (app, input)))
    {
        Ok(())
    } else {
        Err(Refusal::WrongApps)
    }
}

/// The spell's `OP_RETURN` is the last output, and the spell speaks of every other one but the prover's fee, if any.
/// Returns how many it speaks of, and that fee.
fn check_places(
    proposal: &Proposal,
    spell: &VerifiedSpell,
    params: &Params,
) -> Result<(usize, Option<Amount>), Refusal> {
    let outputs = &proposal.transaction.output;
    let Some((last, paying)) = outputs.split_last() else {
        return Err(Refusal::MalformedTransaction("no outputs"));
    };
    if !last.script_pubkey.is_op_return() {
        return Err(Refusal::MalformedTransaction(
            "the spell must be the last output",
        ));
    }
    let spoken_of = spell.spell().tx.outs.len();
    match paying.get(spoken_of..) {
        Some([]) => Ok((spoken_of, None)),
        Some([fee]) if params.prover_fee_max > Amount::ZERO => {
            Ok((spoken_of, Some(check_prover_fee(fee, params)?)))
        }
        _ => Err(Refusal::WrongCount {
            what: "outputs in the spell",
            expected: paying.len(),
            got: spoken_of,
        }),
    }
}

/// The one output that no proof commits to can only pay an address, and no more than the parameters allow (ADR 6).
fn check_prover_fee(output: &TxOut, params: &Params) -> Result<Amount, Refusal> {
    let got = output.value;
    let wrong = |reason| Err(Refusal::ProverFee { got, reason });
    if got > params.prover_fee_max {
        return wrong("it is above what the parameters allow");
    }
    if Destination::try_from(output.script_pubkey.clone()).is_err() {
        return wrong("it does not pay to an address");
    }
    if got < output.script_pubkey.minimal_non_dust() {
        return wrong("it is dust");
    }
    Ok(got)
}
