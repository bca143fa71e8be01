//! The transaction that the server makes around a spell: predicted, and compared with what comes
//! back.
//!
//! Version 2, lock time 0, unsigned inputs of the spell with final sequences; outputs: the spell's
//! coins, the fee output if the server charges, the `OP_RETURN`, and change when at least
//! [`CHARMS_DUST`] is left over (`make_transactions` and `add_spell` of `charms` 15.0.0). Pure.

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    Address, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxOut, Txid, absolute::LockTime,
    transaction::Version,
};
use charms_data::UtxoId;
use grail_charms::outpoint_from_utxo_id;
use grail_types::Network;
use thiserror::Error;

use super::ProverFee;
use crate::port::ProveRequest;

/// Below it the server makes no change output; it adds as much to every fee output.
const CHARMS_DUST: Amount = Amount::from_sat(300);

/// Why the server cannot be asked. No other server of its kind could be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A coin's script is no address, which the server demands.
    #[error("output {output_index} of the spell does not pay to an address")]
    NoAddress {
        /// The output.
        output_index: usize,
    },
    /// The spell has no output, so no address for the server's change.
    #[error("the spell has no outputs")]
    NoOutputs,
    /// An input is not among the previous transactions, or sums leave the range of amounts.
    #[error("amounts of inputs or outputs are unknown or overflow")]
    Amounts,
    /// Two inputs spend one output.
    #[error("output {0} is spent twice")]
    RepeatedInput(OutPoint),
    /// Inputs do not exceed outputs by what the server charges.
    #[error("expected inputs to exceed outputs by {needed} or more for the prover, got {got}")]
    Underfunded {
        /// What it takes.
        needed: Amount,
        /// What there is.
        got: Amount,
    },
    /// The server charges more than may be paid.
    #[error("the prover charges an output of {output}, at most {output_max} is paid")]
    FeeAboveMax {
        /// The output that it would make.
        output: Amount,
        /// What may be paid.
        output_max: Amount,
    },
    /// The request is longer than the server reads.
    #[error("expected a request of at most {allowed} bytes, got {got}")]
    TooLarge {
        /// The limit.
        allowed: usize,
        /// Its length.
        got: usize,
    },
}

impl RequestError {
    /// Stable code for logs, APIs and the UI.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoAddress { .. } => "prove-request-no-address",
            Self::NoOutputs => "prove-request-no-outputs",
            Self::Amounts => "prove-request-amounts",
            Self::RepeatedInput(_) => "prove-request-repeated-input",
            Self::Underfunded { .. } => "prove-request-underfunded",
            Self::FeeAboveMax { .. } => "prove-request-fee-above-max",
            Self::TooLarge { .. } => "prove-request-too-large",
        }
    }
}

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AnswerError {
    /// A status that is neither success nor a refusal.
    #[error("unexpected status {status}")]
    Status {
        /// The status.
        status: u16,
    },
    /// Longer than any answer can be.
    #[error("expected at most {allowed} bytes")]
    TooLarge {
        /// The limit.
        allowed: u64,
    },
    /// Not a list of Bitcoin transactions in CBOR.
    #[error("unreadable: {reason}")]
    Unreadable {
        /// What the decoder said.
        reason: String,
    },
    /// Not one transaction.
    #[error("expected one transaction, got {got}")]
    Count {
        /// How many.
        got: usize,
    },
    /// Version, lock time, sequence, script or witness.
    #[error("the transaction's {field} is not as predicted")]
    Form {
        /// Which field.
        field: &'static str,
    },
    /// Other inputs than the spell's, or in another order.
    #[error("the transaction's inputs are not the spell's")]
    Inputs,
    /// An output that the spell speaks of.
    #[error("output {output_index} is not the spell's coin")]
    Coin {
        /// The output.
        output_index: usize,
    },
    /// The fee output: absent, not expected, or of another amount or script.
    #[error("expected {expected}, got {got}")]
    Fee {
        /// In words.
        expected: String,
        /// In words.
        got: String,
    },
    /// No `OP_RETURN` without value where the spell must be.
    #[error("the spell's output is missing or has a value")]
    SpellOutput,
    /// The output after the spell.
    #[error("expected change of {expected}, got {got}")]
    Change {
        /// Zero: none.
        expected: Amount,
        /// Zero: none.
        got: Amount,
    },
    /// Change of the right amount to somebody else.
    #[error("the change goes to another script")]
    ChangeScript,
    /// Outputs after the change.
    #[error("expected at most {expected} outputs, got {got}")]
    Outputs {
        /// All that there can be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// The spell cannot be read strictly, or its proof does not hold for this transaction: why.
    #[error("spell: {0}")]
    Spell(String),
    /// A valid spell, but not the one asked for.
    #[error("the spell is not the one that was asked for")]
    OtherSpell,
}

impl AnswerError {
    /// Stable code for logs, APIs and the UI.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Status { .. } => "prove-answer-status",
            Self::TooLarge { .. } => "prove-answer-too-large",
            Self::Unreadable { .. } => "prove-answer-unreadable",
            Self::Count { .. } => "prove-answer-count",
            Self::Form { .. } => "prove-answer-form",
            Self::Inputs => "prove-answer-inputs",
            Self::Coin { .. } => "prove-answer-coin",
            Self::Fee { .. } => "prove-answer-fee",
            Self::SpellOutput => "prove-answer-spell-output",
            Self::Change { .. } => "prove-answer-change",
            Self::ChangeScript => "prove-answer-change-script",
            Self::Outputs { .. } => "prove-answer-outputs",
            Self::Spell(_) => "prove-answer-spell",
            Self::OtherSpell => "prove-answer-other-spell",
        }
    }
}

/// The output that the server makes for a charge.
pub(super) fn fee_output_value(charge: Amount) -> Amount {
    if charge == Amount::ZERO {
        return Amount::ZERO;
    }
    charge.checked_add(CHARMS_DUST).unwrap_or(Amount::MAX)
}

/// The fee output as predicted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FeeOutput {
    script_pubkey: ScriptBuf,
    /// Equal for a real prover; a mock prover that charges for cycles has a range.
    least: Amount,
    most: Amount,
}

/// All of the server's transaction but the spell's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    inputs: Vec<OutPoint>,
    coins: Vec<TxOut>,
    fee: Option<FeeOutput>,
    /// What inputs exceed coins by.
    surplus: Amount,
    change_address: String,
    change_script: ScriptBuf,
}

impl Layout {
    /// Predicts it for a request that passed the native check with `fuel`.
    pub(super) fn predict(
        request: &ProveRequest,
        network: Network,
        fee: Option<&ProverFee>,
        fuel: u64,
    ) -> Result<Self, RequestError> {
        let tx = &request.spell.tx;
        let coins: Vec<TxOut> = tx
            .coins
            .iter()
            .flatten()
            .map(|coin| TxOut {
                value: Amount::from_sat(coin.amount),
                script_pubkey: ScriptBuf::from_bytes(coin.dest.clone()),
            })
            .collect();
        let addresses = coins
            .iter()
            .enumerate()
            .map(|(output_index, coin)| {
                Address::from_script(&coin.script_pubkey, bitcoin::Network::from(network))
                    .map_err(|_| RequestError::NoAddress { output_index })
            })
            .collect::<Result<Vec<_>, _>>()?;
        // The server wants an address for its change. Its transaction is never sent, so any of ours
        // does.
        let change_address = addresses.first().ok_or(RequestError::NoOutputs)?;
        let inputs = inputs(tx.ins.iter().flatten())?;
        let surplus = surplus(&inputs, &coins, &request.prev_txs)?;
        let fee = predict_fee(fee, fuel, request.spell.mock, &coins)?;
        let (charge, output) = fee
            .as_ref()
            .map_or((Amount::ZERO, Amount::ZERO), |fee| (fee.charge, fee.most));
        // The server's own test, `>` of the charge; and an output that it makes without looking
        // whether there is enough.
        let needed = output.max(charge.checked_add(Amount::ONE_SAT).unwrap_or(Amount::MAX));
        if surplus < needed {
            return Err(RequestError::Underfunded {
                needed,
                got: surplus,
            });
        }
        Ok(Self {
            change_address: change_address.to_string(),
            change_script: change_address.script_pubkey(),
            inputs,
            surplus,
            fee: fee
                .filter(|fee| fee.most > Amount::ZERO)
                .map(|fee| FeeOutput {
                    script_pubkey: fee.script_pubkey,
                    least: fee.least,
                    most: fee.most,
                }),
            coins,
        })
    }

    /// Where the server is told to send change.
    pub(super) fn change_address(&self) -> &str {
        &self.change_address
    }

    /// Compares the server's transaction with the prediction. Returns the script of the spell's
    /// output, not yet looked into, and the fee output.
    pub(super) fn compare<'a>(
        &self,
        transaction: &'a Transaction,
    ) -> Result<(&'a ScriptBuf, Option<&'a TxOut>), AnswerError> {
        check_form(transaction)?;
        let inputs = transaction.input.iter().map(|input| &input.previous_output);
        if !inputs.eq(&self.inputs) {
            return Err(AnswerError::Inputs);
        }
        let mut outputs = transaction.output.iter();
        for (output_index, coin) in self.coins.iter().enumerate() {
            if outputs.next() != Some(coin) {
                return Err(AnswerError::Coin { output_index });
            }
        }
        let fee_output = match &self.fee {
            Some(fee) => Some(fee.check(outputs.next())?),
            None => None,
        };
        let spell = outputs.next().ok_or(AnswerError::SpellOutput)?;
        if !spell.script_pubkey.is_op_return() {
            return Err(self.no_spell_at(spell, outputs.next()));
        }
        if spell.value != Amount::ZERO {
            return Err(AnswerError::SpellOutput);
        }
        let paid = fee_output.map_or(Amount::ZERO, |output| output.value);
        self.check_change(outputs.next(), paid)?;
        let got = transaction.output.len();
        match outputs.count() {
            0 => Ok((&spell.script_pubkey, fee_output)),
            extra => Err(AnswerError::Outputs {
                expected: got.saturating_sub(extra),
                got,
            }),
        }
    }

    /// Something else is where the spell must be. With the spell right after it, it is a charge
    /// that was not agreed on.
    fn no_spell_at(&self, output: &TxOut, next: Option<&TxOut>) -> AnswerError {
        match next {
            Some(next) if self.fee.is_none() && next.script_pubkey.is_op_return() => {
                AnswerError::Fee {
                    expected: "no fee output".to_owned(),
                    got: format!("one of {}", output.value),
                }
            }
            _ => AnswerError::SpellOutput,
        }
    }

    /// At the rate of zero that the server is asked for, all that is left over is change.
    fn check_change(&self, change: Option<&TxOut>, paid: Amount) -> Result<(), AnswerError> {
        let expected = self
            .surplus
            .checked_sub(paid)
            .filter(|change| *change >= CHARMS_DUST)
            .unwrap_or(Amount::ZERO);
        let got = change.map_or(Amount::ZERO, |output| output.value);
        // An output of nothing is an output all the same.
        if got != expected || change.is_some() != (expected > Amount::ZERO) {
            return Err(AnswerError::Change { expected, got });
        }
        match change {
            Some(change) if change.script_pubkey != self.change_script => {
                Err(AnswerError::ChangeScript)
            }
            _ => Ok(()),
        }
    }
}

impl FeeOutput {
    fn check<'a>(&self, output: Option<&'a TxOut>) -> Result<&'a TxOut, AnswerError> {
        let wrong = |got: String| AnswerError::Fee {
            expected: format!("a fee output of {} to {}", self.least, self.most),
            got,
        };
        match output {
            Some(output) if output.script_pubkey.is_op_return() => Err(wrong("none".to_owned())),
            None => Err(wrong("none".to_owned())),
            Some(output) if output.script_pubkey != self.script_pubkey => {
                Err(wrong("one to another script".to_owned()))
            }
            Some(output) if output.value < self.least || output.value > self.most => {
                Err(wrong(format!("one of {}", output.value)))
            }
            Some(output) => Ok(output),
        }
    }
}

fn check_form(transaction: &Transaction) -> Result<(), AnswerError> {
    let signed = |input: &bitcoin::TxIn| !input.script_sig.is_empty() || !input.witness.is_empty();
    let rules = [
        (transaction.version == Version::TWO, "version"),
        (transaction.lock_time == LockTime::ZERO, "lock time"),
        (
            transaction
                .input
                .iter()
                .all(|input| input.sequence == Sequence::MAX),
            "sequence",
        ),
        (!transaction.input.iter().any(signed), "signature"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, field)) => Err(AnswerError::Form { field }),
        None => Ok(()),
    }
}

fn inputs<'a>(ins: impl Iterator<Item = &'a UtxoId>) -> Result<Vec<OutPoint>, RequestError> {
    let mut seen = BTreeSet::new();
    ins.map(outpoint_from_utxo_id)
        .map(|input| {
            if seen.insert(input) {
                Ok(input)
            } else {
                Err(RequestError::RepeatedInput(input))
            }
        })
        .collect()
}

fn surplus(
    inputs: &[OutPoint],
    coins: &[TxOut],
    prev_txs: &[Transaction],
) -> Result<Amount, RequestError> {
    let by_id: BTreeMap<Txid, &Transaction> =
        prev_txs.iter().map(|tx| (tx.compute_txid(), tx)).collect();
    let value = |input: &OutPoint| {
        let vout = usize::try_from(input.vout).ok()?;
        Some(by_id.get(&input.txid)?.output.get(vout)?.value)
    };
    let into = inputs
        .iter()
        .try_fold(Amount::ZERO, |sum, input| sum.checked_add(value(input)?));
    let out = coins
        .iter()
        .try_fold(Amount::ZERO, |sum, coin| sum.checked_add(coin.value));
    match (into, out) {
        (Some(into), Some(out)) => Ok(into.checked_sub(out).unwrap_or(Amount::ZERO)),
        _ => Err(RequestError::Amounts),
    }
}

struct PredictedFee {
    script_pubkey: ScriptBuf,
    /// What the server reckons with before it proves: by the contracts' fuel.
    charge: Amount,
    least: Amount,
    most: Amount,
}

/// The server tops up what the coins already pay to its script, by the difference and
/// [`CHARMS_DUST`].
fn predict_fee(
    fee: Option<&ProverFee>,
    fuel: u64,
    mock: bool,
    coins: &[TxOut],
) -> Result<Option<PredictedFee>, RequestError> {
    let Some(fee) = fee else {
        return Ok(None);
    };
    let script_pubkey = ScriptBuf::from(fee.destination.clone());
    let for_fuel = fuel
        .checked_mul(fee.sat_per_megacycle)
        .map(|product| Amount::from_sat(product / 1_000_000));
    let charge = for_fuel
        .and_then(|for_fuel| fee.base.checked_add(for_fuel))
        .ok_or(RequestError::Amounts)?;
    let paid = coins
        .iter()
        .filter(|coin| coin.script_pubkey == script_pubkey)
        .try_fold(Amount::ZERO, |sum, coin| sum.checked_add(coin.value))
        .ok_or(RequestError::Amounts)?;
    let missing = charge.checked_sub(paid).unwrap_or(Amount::ZERO);
    let least = fee_output_value(missing);
    if least > fee.output_max {
        return Err(RequestError::FeeAboveMax {
            output: least,
            output_max: fee.output_max,
        });
    }
    // A mock prover counts more cycles than the contracts burn fuel.
    let most = if mock && fee.sat_per_megacycle > 0 {
        fee.output_max
    } else {
        least
    };
    Ok(Some(PredictedFee {
        script_pubkey,
        charge,
        least,
        most,
    }))
}
