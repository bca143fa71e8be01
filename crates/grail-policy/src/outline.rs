//! The transaction's outline: form, previous outputs, spell. Knows nothing of requests.

use std::collections::BTreeSet;

use bitcoin::{Amount, OutPoint, Transaction, TxOut, absolute::LockTime, transaction::Version};
use charms_data::{App, Data};
use grail_spell::{
    BridgeCharms, CharmAmounts, ProofError, SpellError, SpentOutput, VerifiedSpell, read_strict,
};
use grail_types::{Age, Bridge, Destination, MockAllowed, Params};
use grail_wire::{ActionKind, Proposal};

use crate::{previous::Previous, refusal::Refusal};

/// One input: what it spends and what that carries.
pub(crate) type Spent = SpentOutput;

/// A transaction of the right form, with all that it spends.
pub(crate) struct Outline {
    /// What each input spends, in order.
    pub spent: Vec<Spent>,
    /// The output after the one that input 0 spends: where a settlement leaves the vault.
    pub after_first: Option<(OutPoint, Spent)>,
    /// By input, what it carries of any app, for an action that asks; `None` where that is not
    /// known.
    charms: Vec<Option<CharmAmounts>>,
    /// By input, output 0 of the transaction that it spends from, for those that are looked at.
    first_outputs: Vec<Option<Spent>>,
    mock: Option<MockAllowed>,
}

/// The spell of a transaction, with what it says of the outputs.
pub(crate) struct Framed {
    pub spell: VerifiedSpell,
    /// Outputs that the spell commits to: all before the prover's fee.
    pub committed: usize,
    /// What the prover gets.
    pub prover_fee: Option<Amount>,
}

impl Outline {
    pub(crate) fn read(proposal: &Proposal, bridge: &Bridge) -> Result<Self, Refusal> {
        let kind = proposal.action.kind();
        let is_execution = kind == ActionKind::Execution;
        check_form(&proposal.transaction, &proposal.params, kind)?;
        // From birth, never from a proposal: a proposal that could say "regtest" could bring mock
        // proofs anywhere.
        let mock = MockAllowed::on(bridge.network);
        let previous = Previous::read(proposal, bridge, mock)?;
        let spent = proposal
            .transaction
            .input
            .iter()
            .enumerate()
            .map(|(input_index, input)| {
                previous
                    .look(input.previous_output)
                    .ok_or(Refusal::PreviousMissing {
                        input_index,
                        outpoint: input.previous_output,
                    })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let after_first = proposal.transaction.input.first().and_then(|first| {
            let outpoint = Previous::vault_of(first.previous_output)?;
            Some((outpoint, previous.look(outpoint)?))
        });
        let inputs = proposal.transaction.input.iter();
        let charms = inputs.map(|input| previous.charms(input.previous_output));
        let charms = charms.collect();
        let looked_at = if is_execution { 3 } else { 0 };
        let inputs = proposal.transaction.input.iter().take(looked_at);
        let first_outputs = inputs
            .map(|input| previous.look(OutPoint::new(input.previous_output.txid, 0)))
            .collect();
        Ok(Self {
            spent,
            after_first,
            charms,
            first_outputs,
            mock,
        })
    }

    /// Holds the declared action against the transaction itself: whoever spends the roster NFT
    /// moves the bridge, whatever the proposal calls it. Which of the bridge's actions it is, the
    /// spell says.
    pub(crate) fn check_action(&self, declared: ActionKind) -> Result<(), Refusal> {
        let is_nft = |spent: &Spent| matches!(spent.carried, BridgeCharms::Nft(_));
        if !declared.is_of_bridge() && self.spent.iter().any(is_nft) {
            let shown = ActionKind::Settlement;
            return Err(Refusal::WrongAction { declared, shown });
        }
        Ok(())
    }

    /// Output 0 of the transaction that made what input `index` spends, where a decision needs it.
    pub(crate) fn first_of(&self, index: usize) -> Option<&Spent> {
        self.first_outputs.get(index)?.as_ref()
    }

    /// What input `index` carries of any app. That it is not known is a reason to refuse, never
    /// nothing.
    pub(crate) fn charms(&self, index: usize) -> Result<&CharmAmounts, Refusal> {
        let known = self.charms.get(index).and_then(Option::as_ref);
        known.ok_or(Refusal::UnexpectedCharms { input_index: index })
    }

    /// The spell, which must name exactly `apps`.
    pub(crate) fn framed(
        &self,
        transaction: &Transaction,
        params: &Params,
        apps: &[(App, Data)],
    ) -> Result<Framed, Refusal> {
        let spell = self.spell(transaction)?;
        let named = &spell.spell().app_public_inputs;
        if !named
            .iter()
            .eq(apps.iter().map(|(app, input)| (app, input)))
        {
            return Err(Refusal::WrongApps);
        }
        Framed::new(spell, transaction, params)
    }

    /// The spell, whatever it names.
    pub(crate) fn spell(&self, transaction: &Transaction) -> Result<VerifiedSpell, Refusal> {
        read_strict(transaction, self.mock).map_err(|error| match error {
            SpellError::Proof(ProofError::MockRefused) => Refusal::MockSpell,
            other => Refusal::SpellInvalid(other.to_string()),
        })
    }
}

impl Framed {
    pub(crate) fn new(
        spell: VerifiedSpell,
        transaction: &Transaction,
        params: &Params,
    ) -> Result<Self, Refusal> {
        let (committed, prover_fee) = check_places(transaction, &spell, params)?;
        Ok(Self {
            spell,
            committed,
            prover_fee,
        })
    }
}

/// The unsigned transaction's own fields, before anything costly.
fn check_form(transaction: &Transaction, params: &Params, kind: ActionKind) -> Result<(), Refusal> {
    // These parameters are not yet the bridge's: nobody has compared their hash. Valid ones only
    // tighten constants.
    let allowed = usize::from(params.roster_inputs_max);
    if transaction.input.len() > allowed {
        return Err(Refusal::TooManyInputs {
            allowed,
            got: transaction.input.len(),
        });
    }
    // Signatures come on top, see the fee's rule; what is too heavy without them is not worth
    // decoding.
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
    // An app may be told a height: the chain is at least so high once its clearing is mined.
    let is_height = kind == ActionKind::Clearing && transaction.lock_time.is_block_height();
    if transaction.lock_time != LockTime::ZERO && !is_height {
        return Err(Refusal::MalformedTransaction("lock time must be 0"));
    }
    let mut seen = BTreeSet::new();
    for (index, input) in transaction.input.iter().enumerate() {
        // Input 0 may claim the age of its coin, which consensus holds it to. Which input of an
        // execution claims one is for its rules to say.
        let age = Age::from_sequence(input.sequence);
        let may_claim = index == 0 || kind == ActionKind::Execution;
        if age.is_none_or(|age| !may_claim && age > Age(0)) {
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

/// The spell's `OP_RETURN` is the last output, and the spell speaks of every other one but the
/// prover's fee, if any. Returns how many it speaks of, and that fee.
fn check_places(
    transaction: &Transaction,
    spell: &VerifiedSpell,
    params: &Params,
) -> Result<(usize, Option<Amount>), Refusal> {
    let outputs = &transaction.output;
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

/// The one output that no proof commits to can only pay an address, and no more than the parameters
/// allow (ADR 6).
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
