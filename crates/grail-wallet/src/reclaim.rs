//! The way out: takes a deposit back with the user's key, without server or operators.
//!
//! A plain deposit pays its own fee. A deposit with zkBTC cannot (its coin is a few hundred
//! satoshis): the wallet's plain BTC pays, and a transfer spell in the same transaction keeps the
//! zkBTC.

use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Weight};
use grail_api::CheckedReceipt;
use grail_witness::{Reclaim, ReclaimError};

use crate::charms::{Carried, NoCharms};
use crate::fund::Foreign;
use crate::seed::{Seed, SeedError};
use crate::sign::{SignError, sign};
use crate::transfer::{SpellFailure, SpellProver, TokenOutput, TokenPayment};

/// Why a deposit cannot be taken back so.
#[derive(Debug, thiserror::Error)]
pub enum ReclaimFailure {
    /// No deposit is known.
    #[error(
        "no deposit of request {0} is known here: give --outpoint and --amount, or --deposit-tx"
    )]
    NoDeposit(grail_types::RequestId),
    /// Several are.
    #[error("the request has {0} deposits: choose one with --outpoint")]
    SeveralDeposits(usize),
    /// The output named is not at the deposit address.
    #[error("{0} is not at the receipt's deposit address")]
    NotTheDeposit(OutPoint),
    /// Without its transaction nobody knows what a deposit carries.
    #[error(
        "what the deposit carries is not known without its transaction, and zkBTC would be lost: give it with \
         --deposit-tx"
    )]
    NeedsTransaction,
    /// The deposit carries charms that this program cannot move.
    #[error("the deposit carries charms that would be lost: {0}")]
    OtherCharms(String),
    /// Zero or absurd amounts.
    #[error(transparent)]
    Script(#[from] ReclaimError),
    /// The spell.
    #[error(transparent)]
    Spell(#[from] SpellFailure),
    /// The mnemonic has not the receipt's key.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The coins that pay the fee.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl ReclaimFailure {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoDeposit(_) => "no-deposit",
            Self::SeveralDeposits(_) => "several-deposits",
            Self::NotTheDeposit(_) | Self::Script(ReclaimError::WrongOutput) => "not-the-deposit",
            Self::NeedsTransaction => "needs-deposit-tx",
            Self::OtherCharms(_) => "other-charms",
            Self::Script(ReclaimError::WrongKey) => "no-reclaim-key",
            Self::Script(ReclaimError::TooSmall { .. }) => "deposit-too-small",
            Self::Script(ReclaimError::NotSpent(_)) => "deposit-not-spent",
            Self::Script(ReclaimError::Sighash(_)) => "sighash",
            Self::Spell(error) => error.code(),
            Self::Seed(error) => error.code(),
            Self::Sign(error) => error.code(),
        }
    }
}

/// Confirmations that a block's reward must have to be spent in the next block (consensus).
const COINBASE_MATURITY: u16 = 100;

/// A deposit to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// Where.
    pub outpoint: OutPoint,
    /// The output.
    pub output: TxOut,
    /// What it carries.
    pub carried: Carried,
    /// Confirmations before anybody can spend it: a block's reward must have so many.
    pub maturity: u16,
}

impl Deposit {
    /// A deposit whose transaction is at hand.
    pub fn from_transaction(
        receipt: &CheckedReceipt,
        transaction: &Transaction,
        vout: u32,
        carried: Carried,
    ) -> Result<Self, ReclaimFailure> {
        let outpoint = OutPoint::new(transaction.compute_txid(), vout);
        let output = usize::try_from(vout)
            .ok()
            .and_then(|vout| transaction.output.get(vout))
            .filter(|output| output.script_pubkey == *receipt.script_pubkey())
            .ok_or(ReclaimFailure::NotTheDeposit(outpoint))?;
        Ok(Self {
            outpoint,
            output: output.clone(),
            carried,
            maturity: if transaction.is_coinbase() {
                COINBASE_MATURITY
            } else {
                0
            },
        })
    }

    /// Confirmations that it must have before its reclaim can be mined.
    pub fn confirmations_needed(&self, receipt: &CheckedReceipt) -> u16 {
        receipt.terms().reclaim_delay.max(self.maturity)
    }

    /// Which output of `transaction` it is, where `wanted` does not name another transaction.
    pub fn vout_in(
        receipt: &CheckedReceipt,
        transaction: &Transaction,
        wanted: Option<OutPoint>,
    ) -> Result<u32, ReclaimFailure> {
        if let Some(wanted) = wanted {
            return if wanted.txid == transaction.compute_txid() {
                Ok(wanted.vout)
            } else {
                Err(ReclaimFailure::NotTheDeposit(wanted))
            };
        }
        let places: Vec<u32> = (0_u32..)
            .zip(&transaction.output)
            .filter(|(_, output)| output.script_pubkey == *receipt.script_pubkey())
            .map(|(vout, _)| vout)
            .collect();
        match places.as_slice() {
            [vout] => Ok(*vout),
            [] => Err(ReclaimFailure::NoDeposit(receipt.request())),
            several => Err(ReclaimFailure::SeveralDeposits(several.len())),
        }
    }

    /// A peg-in's deposit of which only place and amount are known: taken for plain BTC.
    pub fn plain(
        receipt: &CheckedReceipt,
        outpoint: OutPoint,
        amount: Amount,
    ) -> Result<Self, ReclaimFailure> {
        match receipt.receipt().kind {
            grail_api::Kind::PegIn
            | grail_api::Kind::SponsorAnnounce
            | grail_api::Kind::SponsorCancel
            | grail_api::Kind::SponsorExecute
            | grail_api::Kind::SponsorMerge => Ok(Self {
                outpoint,
                output: TxOut {
                    value: amount,
                    script_pubkey: receipt.script_pubkey().clone(),
                },
                carried: Carried::Nothing(NoCharms::NotRead),
                // Not told by place and amount; the node refuses one that comes too early.
                maturity: 0,
            }),
            grail_api::Kind::PegOut => Err(ReclaimFailure::NeedsTransaction),
        }
    }
}

/// Takes back a deposit that carries nothing: one input, one output.
pub fn reclaim_plain(
    secp: &Secp256k1<All>,
    receipt: &CheckedReceipt,
    deposit: &Deposit,
    to: ScriptBuf,
    fee_rate: FeeRate,
    key: &Keypair,
) -> Result<Transaction, ReclaimFailure> {
    match &deposit.carried {
        Carried::Nothing(_) => (),
        other => return Err(ReclaimFailure::OtherCharms(other.to_string())),
    }
    let reclaim = reclaim_of(receipt, deposit);
    let unsigned = reclaim.unsigned(secp, to, fee_rate, Weight::ZERO)?;
    Ok(reclaim.sign(secp, unsigned, key)?)
}

/// What signs for a deposit with zkBTC.
#[derive(Clone, Copy)]
pub struct Keys<'a> {
    /// For the coins that pay the fee.
    pub seed: &'a Seed,
    /// For the deposit.
    pub reclaim: &'a Keypair,
}

/// Takes back a deposit that carries zkBTC. `payment` brings the coins for the fee; its outputs,
/// inputs and foreign input are set here.
pub fn reclaim_tokens(
    secp: &Secp256k1<All>,
    receipt: &CheckedReceipt,
    deposit: &Deposit,
    to: ScriptBuf,
    keys: Keys<'_>,
    mut payment: TokenPayment<'_>,
    prover: &impl SpellProver,
) -> Result<Transaction, ReclaimFailure> {
    let Carried::ZkBtc(token) = &deposit.carried else {
        return Err(ReclaimFailure::OtherCharms("no zkBTC".to_owned()));
    };
    let reclaim = reclaim_of(receipt, deposit);
    payment.outputs = vec![TokenOutput {
        script: to,
        amount: token.amount,
    }];
    payment.inputs = Vec::new();
    payment.foreign = Some(Foreign {
        input: reclaim.input(),
        value: deposit.output.value,
        witness_weight: reclaim.witness_weight(secp)?,
    });
    let funded = payment.prove(prover)?;
    let foreign = [deposit.output.clone()];
    let mut signed = sign(
        secp,
        keys.seed,
        funded.transaction,
        &foreign,
        &funded.inputs,
    )?;

    let own = funded.inputs.iter().map(|coin| coin.output.clone());
    let prevouts: Vec<TxOut> = foreign.iter().cloned().chain(own).collect();
    reclaim.sign_input(secp, &mut signed, &prevouts, keys.reclaim)?;
    Ok(signed)
}

fn reclaim_of<'a>(receipt: &'a CheckedReceipt, deposit: &Deposit) -> Reclaim<'a> {
    Reclaim {
        internal_key: receipt.internal_key(),
        terms: receipt.terms(),
        roster: receipt.roster(),
        outpoint: deposit.outpoint,
        output: deposit.output.clone(),
    }
}
