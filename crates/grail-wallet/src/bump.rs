//! A payment that waits for a block, again with a higher fee.
//!
//! The new transaction spends the very inputs of the old one, so that a block takes one of them and
//! never both, and pays the difference from the wallet's change. All that comes before the change
//! stays as it is: whom it pays, and a spell, which binds inputs and the outputs in front of it.

use bitcoin::{Amount, FeeRate, Transaction, Weight};
use grail_script::weight;

use crate::fund::{FEE_RATE_MAX, FundError, Funded};
use crate::holdings::Coin;

/// What a replacement pays more for each vbyte of its own, at least: nodes before Bitcoin Core 30
/// take no less.
const INCREMENTAL_FEE_RATE: FeeRate = FeeRate::BROADCAST_MIN;

/// Why a payment cannot be bumped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BumpError {
    /// Nothing comes back to the wallet that could pay.
    #[error("the payment has no change to pay a higher fee from")]
    NoChange,
    /// The change does not suffice.
    #[error("the higher fee takes {needed}, and the payment's change is {got}")]
    ChangeTooSmall {
        /// More than is paid already.
        needed: Amount,
        /// What comes back now.
        got: Amount,
    },
    /// An input is not among the coins.
    #[error("an input of the payment is not a coin of this wallet's")]
    ForeignInput,
    /// Rate or amounts.
    #[error(transparent)]
    Fund(#[from] FundError),
}

impl BumpError {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoChange => "bump-no-change",
            Self::ChangeTooSmall { .. } => "bump-change-too-small",
            Self::ForeignInput => "bump-foreign-input",
            Self::Fund(error) => error.code(),
        }
    }
}

/// A payment that no block has.
#[derive(Clone, Debug)]
pub struct Waiting<'a> {
    /// The transaction as it was sent.
    pub transaction: &'a Transaction,
    /// The wallet's coins that it spends, in the order of its inputs.
    pub coins: Vec<Coin>,
    /// Whether the last output is the wallet's change and carries nothing.
    pub has_change: bool,
}

impl Waiting<'_> {
    /// The fee that it pays.
    pub fn fee(&self) -> Result<Amount, BumpError> {
        let is_whole = self.coins.len() == self.transaction.input.len();
        let mut pairs = self.coins.iter().zip(&self.transaction.input);
        if !is_whole || pairs.any(|(coin, input)| coin.outpoint != input.previous_output) {
            return Err(BumpError::ForeignInput);
        }
        let spent = sum(self.coins.iter().map(|coin| coin.output.value))?;
        let paid = sum(self.transaction.output.iter().map(|output| output.value))?;
        let fee = spent.checked_sub(paid).ok_or(FundError::Overflow)?;
        Ok(fee)
    }

    /// The same payment at `fee_rate`, or at the least that nodes take in place of the old one if
    /// that is more. Unsigned.
    pub fn bump(&self, fee_rate: FeeRate) -> Result<Funded, BumpError> {
        if fee_rate > FEE_RATE_MAX {
            return Err(FundError::FeeRate(fee_rate).into());
        }
        let old_fee = self.fee()?;
        let change = match self.transaction.output.last() {
            Some(last) if self.has_change => last,
            _ => return Err(BumpError::NoChange),
        };
        let mut transaction = self.transaction.clone();
        for input in &mut transaction.input {
            input.witness.clear();
        }
        let fee = self.fee_at(&transaction, old_fee, fee_rate)?;
        let more = fee.checked_sub(old_fee).ok_or(FundError::Overflow)?;
        let rest = change.value.checked_sub(more);
        let dust = change.script_pubkey.minimal_non_dust();
        if let (Some(rest), Some(last)) = (
            rest.filter(|rest| *rest >= dust),
            transaction.output.last_mut(),
        ) {
            last.value = rest;
            return Ok(self.funded(transaction, fee));
        }
        // Less than an output is worth: all of it is fee, if something else is paid.
        transaction.output.pop();
        let fee_alone = self.fee_at(&transaction, old_fee, fee_rate)?;
        let all = old_fee
            .checked_add(change.value)
            .ok_or(FundError::Overflow)?;
        if transaction.output.is_empty() || fee_alone > all {
            return Err(BumpError::ChangeTooSmall {
                needed: more,
                got: change.value,
            });
        }
        Ok(self.funded(transaction, all))
    }

    fn funded(&self, transaction: Transaction, fee: Amount) -> Funded {
        Funded {
            transaction,
            inputs: self.coins.clone(),
            fee,
        }
    }

    /// BIP-125: at least the old fee, and the new size on top at the incremental rate.
    fn fee_at(
        &self,
        transaction: &Transaction,
        old_fee: Amount,
        fee_rate: FeeRate,
    ) -> Result<Amount, FundError> {
        let witnesses = std::iter::repeat_n(weight::KEY_PATH_WITNESS, self.coins.len());
        let weight: Weight =
            weight::signed(transaction, witnesses).map_err(|_| FundError::Overflow)?;
        let wanted = fee_rate.fee_wu(weight).ok_or(FundError::Overflow)?;
        let least = INCREMENTAL_FEE_RATE
            .fee_wu(weight)
            .and_then(|more| old_fee.checked_add(more))
            .ok_or(FundError::Overflow)?;
        Ok(wanted.max(least))
    }
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Result<Amount, FundError> {
    amounts
        .try_fold(Amount::ZERO, Amount::checked_add)
        .ok_or(FundError::Overflow)
}
