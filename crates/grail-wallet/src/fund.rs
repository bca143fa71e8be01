//! Inputs, fee and change: turns wanted outputs into an unsigned transaction.
//!
//! Spends what it is told to and, for the rest, [`PlainCoin`]s only. All inputs are the wallet's
//! taproot outputs, spent by key.

use bitcoin::absolute::LockTime;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Denomination, FeeRate, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
};

use grail_script::weight;

use crate::holdings::{Coin, PlainCoin};

/// Most inputs of a transaction: far below what relay accepts (400,000 WU are 1,700 of them).
pub const INPUTS_MAX: usize = 500;
/// Lowest fee rate paid: older nodes relay nothing below.
pub const FEE_RATE_MIN: FeeRate = FeeRate::BROADCAST_MIN;
/// Highest fee rate that the node is believed; a higher one must be asked for.
const FEE_RATE_ESTIMATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(300);
/// Highest fee rate paid: whatever asks for more is a mistake.
pub const FEE_RATE_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(1_000);

/// Why no transaction can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FundError {
    /// Not enough plain BTC.
    #[error("expected {needed} in plain coins to be spendable, got {got}")]
    NotEnoughBtc {
        /// Outputs and fee, less what the other inputs bring.
        needed: Amount,
        /// Spendable.
        got: Amount,
    },
    /// Not enough zkBTC.
    #[error(
        "expected {} zkBTC to be spendable, got {} zkBTC",
        needed.to_string_in(Denomination::Bitcoin),
        got.to_string_in(Denomination::Bitcoin)
    )]
    NotEnoughZkBtc {
        /// To be sent.
        needed: Amount,
        /// Spendable.
        got: Amount,
    },
    /// An output that relay would not take.
    #[error("an output of {amount} is below the dust limit of {dust}")]
    Dust {
        /// Its value.
        amount: Amount,
        /// The limit for its script.
        dust: Amount,
    },
    /// Too many small coins.
    #[error("more than {INPUTS_MAX} coins would be needed: send less at once")]
    TooManyInputs,
    /// The rate is out of all reason.
    #[error("expected a fee rate of at most 1000 sat/vB, got {} sat/vB", .0.to_sat_per_vb_ceil())]
    FeeRate(FeeRate),
    /// Amounts beyond all bitcoin.
    #[error("amounts overflow")]
    Overflow,
}

impl FundError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotEnoughBtc { .. } => "not-enough-btc",
            Self::NotEnoughZkBtc { .. } => "not-enough-zkbtc",
            Self::Dust { .. } => "amount-dust",
            Self::TooManyInputs => "too-many-inputs",
            Self::FeeRate(_) => "fee-rate-too-high",
            Self::Overflow => "amounts-overflow",
        }
    }
}

/// What a transaction should do, and with which coins.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// Outputs in their order; change comes after them.
    pub outputs: Vec<TxOut>,
    /// Inputs that must be spent, in their order, before any other.
    pub inputs: Vec<Coin>,
    /// An input in front of the wallet's, which is spent otherwise.
    pub foreign: Option<Foreign>,
    /// Coins to pay with.
    pub plain: &'a [PlainCoin],
    /// Fee rate.
    pub fee_rate: FeeRate,
    /// Where change goes.
    pub change_script: ScriptBuf,
}

/// An input that is not spent by a key of the wallet's: a deposit that is taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The input.
    pub input: TxIn,
    /// What it brings.
    pub value: Amount,
    /// Weight of its witness.
    pub witness_weight: Weight,
}

/// An unsigned transaction whose fee is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funded {
    /// The transaction.
    pub transaction: Transaction,
    /// The wallet's coins that it spends, in the order of its inputs (after a foreign one).
    pub inputs: Vec<Coin>,
    /// Its fee.
    pub fee: Amount,
}

impl Wanted<'_> {
    /// Adds the largest plain coins until outputs and fee are paid, and change where it is worth
    /// its place.
    pub fn fund(&self) -> Result<Funded, FundError> {
        self.check()?;
        let mut plain: Vec<&PlainCoin> = self.plain.iter().collect();
        plain.sort_by_key(|plain| std::cmp::Reverse(plain.coin().output.value));
        let mut inputs = self.inputs.clone();
        let mut rest = plain.iter();
        loop {
            if inputs.len() > INPUTS_MAX {
                return Err(FundError::TooManyInputs);
            }
            // Nothing to spend is no transaction, even where nothing is to be paid.
            let is_empty = inputs.is_empty() && self.foreign.is_none();
            match self.balance(&inputs) {
                Ok(funded) if !is_empty => return Ok(funded),
                Ok(_) | Err(FundError::NotEnoughBtc { .. }) => (),
                Err(error) => return Err(error),
            }
            match rest.next() {
                Some(plain) => inputs.push(plain.coin().clone()),
                None => return Err(self.shortfall(&inputs)),
            }
        }
    }

    /// The transaction with exactly these inputs; fails when they do not suffice.
    pub fn balance(&self, inputs: &[Coin]) -> Result<Funded, FundError> {
        let got = self.input_value(inputs)?;
        let out = sum(self.outputs.iter().map(|output| output.value))?;
        let mut transaction = self.skeleton(inputs);
        let fee = self.fee(&transaction, inputs)?;
        let needed = out.checked_add(fee).ok_or(FundError::Overflow)?;
        let Some(surplus) = got.checked_sub(needed) else {
            return Err(FundError::NotEnoughBtc { needed, got });
        };
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: self.change_script.clone(),
        });
        let fee_with_change = self.fee(&transaction, inputs)?;
        let change = fee_with_change
            .checked_sub(fee)
            .and_then(|more| surplus.checked_sub(more))
            .filter(|change| *change >= self.change_script.minimal_non_dust());
        let paid = if let (Some(change), Some(output)) = (change, transaction.output.last_mut()) {
            output.value = change;
            fee_with_change
        } else {
            transaction.output.pop();
            fee.checked_add(surplus).ok_or(FundError::Overflow)?
        };
        Ok(Funded {
            transaction,
            inputs: inputs.to_vec(),
            fee: paid,
        })
    }

    fn check(&self) -> Result<(), FundError> {
        if self.fee_rate > FEE_RATE_MAX {
            return Err(FundError::FeeRate(self.fee_rate));
        }
        for output in &self.outputs {
            let dust = output.script_pubkey.minimal_non_dust();
            if output.value < dust {
                return Err(FundError::Dust {
                    amount: output.value,
                    dust,
                });
            }
        }
        Ok(())
    }

    fn skeleton(&self, inputs: &[Coin]) -> Transaction {
        let foreign = self.foreign.iter().map(|foreign| foreign.input.clone());
        let own = inputs.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: foreign.chain(own).collect(),
            output: self.outputs.clone(),
        }
    }

    /// The fee of the signed transaction, from its exact weight.
    fn fee(&self, transaction: &Transaction, inputs: &[Coin]) -> Result<Amount, FundError> {
        let foreign = self.foreign.iter().map(|foreign| foreign.witness_weight);
        let own = std::iter::repeat_n(weight::KEY_PATH_WITNESS, inputs.len());
        weight::signed(transaction, foreign.chain(own))
            .ok()
            .and_then(|weight| self.fee_rate.fee_wu(weight))
            .ok_or(FundError::Overflow)
    }

    fn input_value(&self, inputs: &[Coin]) -> Result<Amount, FundError> {
        let own = inputs.iter().map(|coin| coin.output.value);
        sum(own.chain(self.foreign.iter().map(|foreign| foreign.value)))
    }

    fn shortfall(&self, inputs: &[Coin]) -> FundError {
        let fixed = self.input_value(&self.inputs).unwrap_or(Amount::ZERO);
        match self.balance(inputs) {
            Err(FundError::NotEnoughBtc { needed, got }) => FundError::NotEnoughBtc {
                needed: needed.checked_sub(fixed).unwrap_or(Amount::ZERO),
                got: got.checked_sub(fixed).unwrap_or(Amount::ZERO),
            },
            Err(error) => error,
            Ok(_) => FundError::NotEnoughBtc {
                needed: Amount::ONE_SAT,
                got: Amount::ZERO,
            },
        }
    }
}

/// The rate to pay by a node's word: its estimate within reason, and what its mempool takes at
/// least.
pub fn believed_fee_rate(estimate: Option<FeeRate>, mempool_min: FeeRate) -> FeeRate {
    let floor = mempool_min.max(FEE_RATE_MIN);
    estimate
        .unwrap_or(floor)
        .min(FEE_RATE_ESTIMATE_MAX)
        .max(floor)
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, FundError> {
    amounts
        .try_fold(Amount::ZERO, Amount::checked_add)
        .ok_or(FundError::Overflow)
}
