//! Protocol parameters: equal for everybody, hashed, and shown with whatever they decide about
//! (invariant I8).

use std::ops::Deref;

use bitcoin::{Amount, FeeRate, Weight};
use serde::{Deserialize, Serialize};

use crate::{Bridge, Network, OutflowLimit, SUPPLY_MAX_SAT, TaggedHasher, bytes::hex32_newtype};

mod sections;

pub use sections::{PARAMS_MAX_BYTES, SectionsError};

hex32_newtype! {
    /// Hash of the document that lists the enclave images which may hold a signer's key.
    ImagesHash
}

hex32_newtype! {
    /// Hash of a bridge and all its protocol parameters. The roster NFT's state carries it.
    ParamsHash
}

/// Weight that relay accepts for one transaction (Bitcoin Core `MAX_STANDARD_TX_WEIGHT`).
const STANDARD_WEIGHT_MAX: Weight = Weight::from_wu(400_000);
/// Relay's dust limit for a P2TR output at the default dust rate; above Charms' own 300 sat.
const DUST_P2TR: Amount = Amount::from_sat(330);
/// Longest age that an input can be held to (BIP 68).
const BLOCKS_MAX: u64 = 65_535;
/// No proof is worth more; above it a typing error is likelier.
const PROVER_FEE_MAX: Amount = Amount::from_sat(10_000_000);

/// Protocol values that make sense together: made only by [`Params::new`], so that nobody can
/// forget to ask.
///
/// Neither network nor bridge is among them. Whoever checks parameters has both from elsewhere,
/// from birth or from the user, and they enter [`Params::hash`]; a value that travels with a
/// proposal could not tell a real bridge from a thief's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ParamsValues", into = "ParamsValues")]
pub struct Params(ParamsValues);

/// Protocol values, not checked. What can differ between two honest machines is configuration and
/// lives elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParamsValues {
    /// Shortest reclaim delay served, blocks.
    pub reclaim_delay_min: u16,
    /// Longest reclaim delay served, blocks.
    pub reclaim_delay_max: u16,
    /// A deposit this close to its reclaim, in blocks, is no longer swept.
    pub sweep_margin: u16,
    /// Confirmations before a deposit is settled: liveness, not safety.
    pub deposit_confirmations: u32,
    /// Smallest deposit served.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub deposit_min: Amount,
    /// Largest deposit served.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub deposit_max: Amount,
    /// Confirmations after which a settlement counts as final.
    pub settlement_confirmations: u32,
    /// Coin that every zkBTC output of a settlement carries.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub carrier: Amount,
    /// Coin that the roster NFT's output carries, always.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub nft_carrier: Amount,
    /// Lowest fee rate of a settlement, sat per 1,000 weight units.
    pub fee_rate_min: FeeRate,
    /// Highest fee rate of a settlement, sat per 1,000 weight units.
    pub fee_rate_max: FeeRate,
    /// Most roster inputs in one settlement.
    pub roster_inputs_max: u16,
    /// Most weight of a signed settlement.
    pub settlement_weight_max: Weight,
    /// Most settlements that may be unconfirmed in a row.
    pub settlements_unconfirmed_max: u16,
    /// Most that a settlement's output to its prover may hold (ADR 6). Zero: there may be none.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub prover_fee_max: Amount,
    /// Names the document that lists the enclave images which may hold a signer's key.
    pub images: ImagesHash,
    /// Most zkBTC that may leave at once, on balance (ADR 24).
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub outflow_cap: Amount,
    /// What may leave besides with every block.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub outflow_rate: Amount,
    /// Most zkBTC that may exist: what nets in stops there.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub supply_max: Amount,
    /// Fewest blocks between the announcement of a rotation and its execution.
    pub notice: u16,
}

/// Why values are no protocol parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("params: {0}")]
pub struct ParamsError(&'static str);

impl Deref for Params {
    type Target = ParamsValues;

    fn deref(&self) -> &ParamsValues {
        &self.0
    }
}

impl TryFrom<ParamsValues> for Params {
    type Error = ParamsError;

    fn try_from(values: ParamsValues) -> Result<Self, ParamsError> {
        Self::new(values)
    }
}

impl From<Params> for ParamsValues {
    fn from(params: Params) -> Self {
        params.0
    }
}

impl Params {
    /// The values, if they make sense together.
    pub fn new(values: ParamsValues) -> Result<Self, ParamsError> {
        values.check()?;
        Ok(Self(values))
    }

    /// The preset of a network, for the enclave images that may sign.
    pub fn preset(network: Network, images: ImagesHash) -> Self {
        Self::new(ParamsValues::preset(network, images)).expect("each preset is tested")
    }

    /// These parameters with some values changed.
    pub fn with(&self, change: impl FnOnce(&mut ParamsValues)) -> Result<Self, ParamsError> {
        let mut values = self.0.clone();
        change(&mut values);
        Self::new(values)
    }

    /// Hash of the bridge that the parameters are for and of every section, by number and version.
    /// A section that is not there is a capability that is off, so that a later one leaves the
    /// hashes of today as they are.
    pub fn hash(&self, bridge: &Bridge) -> ParamsHash {
        let sections = self.sections();
        let head = TaggedHasher::new("grail/params/v2")
            .bridge(bridge)
            .u64(sections.len() as u64);
        let all = sections.iter().fold(head, |hasher, section| {
            let body = TaggedHasher::new("grail/params-section/v1")
                .bytes(section.body())
                .finish();
            hasher.u8(section.id()).u8(section.version()).bytes(&body)
        });
        ParamsHash(all.finish())
    }
}

/// The first rule that does not hold.
macro_rules! rules {
    ($($holds:expr => $rule:literal;)*) => {{
        $(if !($holds) {
            return Err(ParamsError($rule));
        })*
        Ok(())
    }};
}

impl ParamsValues {
    /// The preset of a network, for the enclave images that may sign.
    pub fn preset(network: Network, images: ImagesHash) -> Self {
        let is_regtest = network == Network::Regtest;
        Self {
            // On regtest blocks cost nothing and a person wants to see a reclaim.
            reclaim_delay_min: if is_regtest { 24 } else { 1_008 },
            reclaim_delay_max: 8_064,
            sweep_margin: if is_regtest { 6 } else { 144 },
            deposit_confirmations: match network {
                Network::Regtest => 1,
                Network::Signet | Network::Testnet4 => 2,
                Network::Mainnet => 3,
            },
            deposit_min: Amount::from_sat(20_000),
            deposit_max: Amount::from_sat(100_000_000_000),
            settlement_confirmations: match network {
                Network::Regtest => 2,
                Network::Signet | Network::Testnet4 | Network::Mainnet => 6,
            },
            carrier: DUST_P2TR,
            nft_carrier: Amount::from_sat(1_000),
            fee_rate_min: FeeRate::from_sat_per_kwu(250),
            fee_rate_max: FeeRate::from_sat_per_kwu(75_000),
            roster_inputs_max: 200,
            settlement_weight_max: STANDARD_WEIGHT_MAX,
            settlements_unconfirmed_max: 20,
            prover_fee_max: Amount::ZERO,
            images,
            // A thousand bitcoin at once, and as many again in a day.
            outflow_cap: Amount::from_sat(100_000_000_000),
            outflow_rate: Amount::from_sat(700_000_000),
            supply_max: Amount::from_sat(45_000_000_000_000),
            notice: if is_regtest { 6 } else { 1_008 },
        }
    }

    /// How much may leave.
    pub fn outflow_limit(&self) -> OutflowLimit {
        let (cap, rate) = (self.outflow_cap, self.outflow_rate);
        OutflowLimit { cap, rate }
    }

    /// Whether the values make sense together.
    fn check(&self) -> Result<(), ParamsError> {
        let all_bitcoin = Amount::from_sat(SUPPLY_MAX_SAT);
        let most_that_can_leave = self.outflow_rate.to_sat().saturating_mul(BLOCKS_MAX);
        rules! {
            self.carrier >= DUST_P2TR => "carrier is below the dust limit";
            self.nft_carrier >= DUST_P2TR => "NFT carrier is below the dust limit";
            self.deposit_min > self.carrier => "smallest deposit must exceed the carrier";
            self.deposit_min <= self.deposit_max => "smallest deposit exceeds the largest";
            self.deposit_max <= all_bitcoin => "largest deposit exceeds all bitcoin";
            self.fee_rate_min <= self.fee_rate_max => "lowest fee rate exceeds the highest";
            self.fee_rate_max.to_sat_per_kwu() <= 2_500_000 => "highest fee rate is absurd";
            self.reclaim_delay_min > self.sweep_margin => "reclaim delay must exceed the sweep margin";
            self.reclaim_delay_min <= self.reclaim_delay_max =>
                "shortest reclaim delay exceeds the longest";
            self.roster_inputs_max >= 2 => "a settlement needs at least two roster inputs";
            self.roster_inputs_max <= 200 =>
                "a settlement with over 200 roster inputs may not relay";
            self.settlement_weight_max <= STANDARD_WEIGHT_MAX =>
                "settlement weight exceeds what relay accepts";
            (1..=20).contains(&self.settlements_unconfirmed_max) =>
                "unconfirmed settlements must be 1 to 20";
            self.deposit_confirmations >= 1 => "deposits need a confirmation";
            self.prover_fee_max == Amount::ZERO || self.prover_fee_max >= DUST_P2TR =>
                "a prover's fee below the dust limit can never be paid";
            self.prover_fee_max <= PROVER_FEE_MAX => "a prover's fee is absurd";
            self.deposit_max <= self.outflow_cap => "the largest deposit could never leave";
            self.outflow_cap <= all_bitcoin => "more than all bitcoin could leave at once";
            self.supply_max.to_sat() <= most_that_can_leave =>
                "the largest supply could not leave within the longest wait";
            self.notice > 0 => "a rotation needs notice";
        }
    }
}

#[cfg(test)]
mod tests;
