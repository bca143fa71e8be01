//! Transactions that move zkBTC: a transfer spell, its proof, and the fee.
//!
//! The spell binds every input and the outputs in front of it, so the inputs are chosen first, for
//! a spell of guessed size; then it is proven; then fee and change are settled with its true size.

use bitcoin::script::PushBytesBuf;
use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxOut, Txid};
use grail_charms::{BuildError, transfer_spell};
use grail_spell::NormalizedSpell;
use grail_types::BridgeApp;

use crate::fund::{Foreign, FundError, Funded, Wanted};
use crate::holdings::{Coin, PlainCoin, TokenCoin};

/// Guess at the size of a transfer's spell output: a mock takes about 450 bytes, a real proof 610.
const SPELL_BYTES_GUESS: usize = 640;
/// Guesses before giving up; each is the last one's true size, so that two suffice.
const GUESSES_MAX: usize = 4;

/// Why zkBTC cannot be moved so.
#[derive(Debug, thiserror::Error)]
pub enum SpellFailure {
    /// Coins.
    #[error(transparent)]
    Fund(#[from] FundError),
    /// The spell cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The spell cannot be proven.
    #[error(transparent)]
    Prove(#[from] ProveFailure),
    /// The prover wants every previous transaction in full.
    #[error("the transaction {0} is not at hand in full: sync with a node first")]
    MissingPrevious(Txid),
    /// The size never settles: a bug.
    #[error("the size of the spell does not settle")]
    Unsettled,
}

impl SpellFailure {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Fund(error) => error.code(),
            Self::Build(_) => "spell-unbuildable",
            Self::Prove(failure) => failure.code,
            Self::MissingPrevious(_) => "previous-missing",
            Self::Unsettled => "spell-unsettled",
        }
    }
}

/// A transfer's spell, and all that its prover looks at.
#[derive(Clone, Debug)]
pub struct Unproven<'a> {
    /// The spell in its proving form.
    pub spell: NormalizedSpell,
    /// The transactions behind the inputs, each once.
    pub previous: Vec<Transaction>,
    /// The bridge's contract.
    pub contract: &'a [u8],
}

/// Why a prover gives no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ProveFailure {
    /// Stable code, the prover's own.
    pub code: &'static str,
    /// The prover's words.
    pub reason: String,
}

/// Whoever proves spells. Not this crate: a proof takes minutes and a machine of its own.
pub trait SpellProver {
    /// The script of the output that carries the spell and its proof.
    fn prove(&self, unproven: Unproven<'_>) -> Result<ScriptBuf, ProveFailure>;
}

/// An output with zkBTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOutput {
    /// Who gets it.
    pub script: ScriptBuf,
    /// The zkBTC.
    pub amount: Amount,
}

/// zkBTC to be moved. Inputs and outputs carry the same sum of it: the caller adds the change.
pub struct TokenPayment<'a> {
    /// Whose token it is.
    pub bridge: &'a BridgeApp,
    /// Coin under each output.
    pub carrier: Amount,
    /// Outputs with zkBTC, in order.
    pub outputs: Vec<TokenOutput>,
    /// The wallet's coins with zkBTC.
    pub inputs: Vec<Coin>,
    /// A deposit that is taken back.
    pub foreign: Option<Foreign>,
    /// Coins to pay fee and carriers with.
    pub plain: &'a [PlainCoin],
    /// Fee rate.
    pub fee_rate: FeeRate,
    /// Where BTC change goes.
    pub change_script: ScriptBuf,
    /// The bridge's contract: it runs whenever zkBTC moves.
    pub contract: &'a [u8],
    /// Finds a previous transaction in full.
    pub previous: &'a dyn Fn(&Txid) -> Option<Transaction>,
}

impl TokenPayment<'_> {
    /// Whether the coins suffice, as far as can be told without a proof.
    pub fn rehearse(&self) -> Result<(), SpellFailure> {
        self.wanted(guessed_spell_output()).fund()?;
        Ok(())
    }

    /// The unsigned transaction with its proven spell: zkBTC outputs, spell, change.
    pub fn prove(&self, prover: &impl SpellProver) -> Result<Funded, SpellFailure> {
        let amounts: Vec<u64> = self
            .outputs
            .iter()
            .map(|output| output.amount.to_sat())
            .collect();
        let mut spell_output = guessed_spell_output();
        for _ in 0..GUESSES_MAX {
            let chosen = self.wanted(spell_output).fund()?;
            let spell = transfer_spell(&chosen.transaction, self.bridge, &amounts)?;
            let previous = self.previous_transactions(&chosen.transaction)?;
            let proven = prover.prove(Unproven {
                spell,
                previous,
                contract: self.contract,
            })?;
            match self.wanted(proven.clone()).balance(&chosen.inputs) {
                Err(FundError::NotEnoughBtc { .. }) => spell_output = proven,
                settled => return Ok(settled?),
            }
        }
        Err(SpellFailure::Unsettled)
    }

    fn wanted(&self, spell_output: ScriptBuf) -> Wanted<'_> {
        let carriers = self.outputs.iter().map(|output| TxOut {
            value: self.carrier,
            script_pubkey: output.script.clone(),
        });
        let spell = TxOut {
            value: Amount::ZERO,
            script_pubkey: spell_output,
        };
        Wanted {
            outputs: carriers.chain([spell]).collect(),
            inputs: self.inputs.clone(),
            foreign: self.foreign.clone(),
            plain: self.plain,
            fee_rate: self.fee_rate,
            change_script: self.change_script.clone(),
        }
    }

    /// Each once, whatever number of its outputs is spent.
    fn previous_transactions(
        &self,
        transaction: &Transaction,
    ) -> Result<Vec<Transaction>, SpellFailure> {
        let txids: std::collections::BTreeSet<Txid> = transaction
            .input
            .iter()
            .map(|input| input.previous_output.txid)
            .collect();
        txids
            .iter()
            .map(|txid| (self.previous)(txid).ok_or(SpellFailure::MissingPrevious(*txid)))
            .collect()
    }
}

/// The fewest, largest coins that hold `amount` of zkBTC, and what they hold in excess.
pub fn choose_tokens(
    mut coins: Vec<TokenCoin>,
    amount: Amount,
) -> Result<(Vec<Coin>, Amount), FundError> {
    coins.sort_by_key(|coin| std::cmp::Reverse(coin.amount()));
    let (mut chosen, mut total) = (Vec::new(), Amount::ZERO);
    for token in coins {
        if total >= amount {
            break;
        }
        total = total
            .checked_add(token.amount())
            .ok_or(FundError::Overflow)?;
        chosen.push(token.coin().clone());
    }
    let excess = total.checked_sub(amount).ok_or(FundError::NotEnoughZkBtc {
        needed: amount,
        got: total,
    })?;
    Ok((chosen, excess))
}

/// An output as large as that of a transfer's spell.
pub fn guessed_spell_output() -> ScriptBuf {
    let payload =
        PushBytesBuf::try_from(vec![0; SPELL_BYTES_GUESS]).expect("far below the limit of a push");
    ScriptBuf::new_op_return(payload)
}
