//! Protocol parameters: equal for everybody, hashed, compared on connect (invariant I8).

use bitcoin::{Amount, FeeRate, Weight};
use serde::{Deserialize, Serialize};

use crate::{BridgeApp, Measurement, Network, SUPPLY_MAX_SAT, TaggedHasher, bytes::hex32_newtype};

hex32_newtype! {
    /// Hash of all protocol parameters.
    ParamsHash
}

/// Weight that relay accepts for one transaction (Bitcoin Core `MAX_STANDARD_TX_WEIGHT`).
const STANDARD_WEIGHT_MAX: Weight = Weight::from_wu(400_000);
/// Relay's dust limit for a P2TR output at the default dust rate; above Charms' own 300 sat.
const DUST_P2TR: Amount = Amount::from_sat(330);
/// No proof is worth more; above it a typing error is likelier.
const PROVER_FEE_MAX: Amount = Amount::from_sat(10_000_000);

/// Protocol values. What can differ between two honest machines is configuration and lives elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Network.
    pub network: Network,
    /// The bridge app.
    pub bridge: BridgeApp,
    /// Shortest reclaim delay served, blocks.
    pub reclaim_delay_min: u16,
    /// Longest reclaim delay served, blocks.
    pub reclaim_delay_max: u16,
    /// A deposit this close to its reclaim, in blocks, is no longer swept.
    pub sweep_margin: u16,
    /// Confirmations before a deposit is settled: liveness, not safety.
    pub deposit_confirmations: u32,
    /// Confirmations after which a settlement counts as final.
    pub settlement_confirmations: u32,
    /// Smallest deposit served.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub deposit_min: Amount,
    /// Largest deposit served.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub deposit_max: Amount,
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
    /// Enclave images that may hold a signer's key.
    pub measurements: Vec<Measurement>,
}

/// Why values are no protocol parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("params: {0}")]
pub struct ParamsError(&'static str);

impl Params {
    /// The preset of a network, for a bridge and the enclave images that may sign.
    pub fn preset(network: Network, bridge: BridgeApp, measurements: Vec<Measurement>) -> Self {
        let is_regtest = network == Network::Regtest;
        Self {
            network,
            bridge,
            // On regtest blocks cost nothing and a person wants to see a reclaim.
            reclaim_delay_min: if is_regtest { 24 } else { 1_008 },
            reclaim_delay_max: 8_064,
            sweep_margin: if is_regtest { 6 } else { 144 },
            deposit_confirmations: match network {
                Network::Regtest => 1,
                Network::Signet | Network::Testnet4 => 2,
                Network::Mainnet => 3,
            },
            settlement_confirmations: match network {
                Network::Regtest => 2,
                Network::Signet | Network::Testnet4 | Network::Mainnet => 6,
            },
            deposit_min: Amount::from_sat(20_000),
            deposit_max: Amount::from_sat(100_000_000_000),
            carrier: DUST_P2TR,
            nft_carrier: Amount::from_sat(1_000),
            fee_rate_min: FeeRate::from_sat_per_kwu(250),
            fee_rate_max: FeeRate::from_sat_per_kwu(75_000),
            roster_inputs_max: 200,
            settlement_weight_max: STANDARD_WEIGHT_MAX,
            settlements_unconfirmed_max: 20,
            prover_fee_max: Amount::ZERO,
            measurements,
        }
    }

    /// Checks that the values make sense together; called wherever parameters enter a program.
    pub fn validate(&self) -> Result<(), ParamsError> {
        let rules = [
            (self.carrier >= DUST_P2TR, "carrier is below the dust limit"),
            (
                self.nft_carrier >= DUST_P2TR,
                "NFT carrier is below the dust limit",
            ),
            (
                self.deposit_min > self.carrier,
                "smallest deposit must exceed the carrier",
            ),
            (
                self.deposit_min <= self.deposit_max,
                "smallest deposit exceeds the largest",
            ),
            (
                self.deposit_max.to_sat() <= SUPPLY_MAX_SAT,
                "largest deposit exceeds all bitcoin",
            ),
            (
                self.fee_rate_min <= self.fee_rate_max,
                "lowest fee rate exceeds the highest",
            ),
            (
                self.fee_rate_max.to_sat_per_kwu() <= 2_500_000,
                "highest fee rate is absurd",
            ),
            (
                self.reclaim_delay_min > self.sweep_margin,
                "reclaim delay must exceed the sweep margin",
            ),
            (
                self.reclaim_delay_min <= self.reclaim_delay_max,
                "shortest reclaim delay exceeds the longest",
            ),
            (
                self.roster_inputs_max >= 2,
                "a settlement needs at least two roster inputs",
            ),
            (
                self.roster_inputs_max <= 200,
                "a settlement with over 200 roster inputs may not relay",
            ),
            (
                self.settlement_weight_max <= STANDARD_WEIGHT_MAX,
                "settlement weight exceeds what relay accepts",
            ),
            (
                self.settlements_unconfirmed_max >= 1 && self.settlements_unconfirmed_max <= 20,
                "unconfirmed settlements must be 1 to 20",
            ),
            (
                self.deposit_confirmations >= 1,
                "deposits need a confirmation",
            ),
            (
                self.prover_fee_max == Amount::ZERO || self.prover_fee_max >= DUST_P2TR,
                "a prover's fee below the dust limit can never be paid",
            ),
            (
                self.prover_fee_max <= PROVER_FEE_MAX,
                "a prover's fee is absurd",
            ),
            (!self.measurements.is_empty(), "no enclave image is allowed"),
        ];
        rules
            .into_iter()
            .try_for_each(|(holds, rule)| holds.then_some(()).ok_or(ParamsError(rule)))
    }

    /// Hash of every value, in declaration order.
    pub fn hash(&self) -> ParamsHash {
        // Destructured, so that a new field cannot be forgotten here.
        let Self {
            network,
            bridge,
            reclaim_delay_min,
            reclaim_delay_max,
            sweep_margin,
            deposit_confirmations,
            settlement_confirmations,
            deposit_min,
            deposit_max,
            carrier,
            nft_carrier,
            fee_rate_min,
            fee_rate_max,
            roster_inputs_max,
            settlement_weight_max,
            settlements_unconfirmed_max,
            prover_fee_max,
            measurements,
        } = self;
        let values = TaggedHasher::new("grail/params/v1")
            .u8(network.tag())
            .bytes(&bridge.identity)
            .bytes(&bridge.vk)
            .u64(u64::from(*reclaim_delay_min))
            .u64(u64::from(*reclaim_delay_max))
            .u64(u64::from(*sweep_margin))
            .u64(u64::from(*deposit_confirmations))
            .u64(u64::from(*settlement_confirmations))
            .u64(deposit_min.to_sat())
            .u64(deposit_max.to_sat())
            .u64(carrier.to_sat())
            .u64(nft_carrier.to_sat())
            .u64(fee_rate_min.to_sat_per_kwu())
            .u64(fee_rate_max.to_sat_per_kwu())
            .u64(u64::from(*roster_inputs_max))
            .u64(settlement_weight_max.to_wu())
            .u64(u64::from(*settlements_unconfirmed_max))
            .u64(prover_fee_max.to_sat())
            .u64(measurements.len() as u64);
        let all = measurements.iter().fold(values, |hasher, image| {
            hasher
                .bytes(&image.pcr0)
                .bytes(&image.pcr1)
                .bytes(&image.pcr2)
        });
        ParamsHash(all.finish())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn params() -> Params {
        let image = Measurement {
            pcr0: [1; 48],
            pcr1: [2; 48],
            pcr2: [3; 48],
        };
        Params::preset(
            Network::Regtest,
            BridgeApp {
                identity: [4; 32],
                vk: [5; 32],
            },
            vec![image],
        )
    }

    #[test]
    fn every_preset_is_valid() {
        for network in Network::ALL {
            let preset = Params {
                network,
                ..params()
            };
            let preset = Params::preset(network, preset.bridge, preset.measurements);
            preset.validate().unwrap();
        }
    }

    #[test]
    fn every_field_changes_the_hash() {
        let changes: [fn(&mut Params); 18] = [
            |p| p.network = Network::Signet,
            |p| p.bridge.identity[0] ^= 1,
            |p| p.reclaim_delay_min += 1,
            |p| p.reclaim_delay_max += 1,
            |p| p.sweep_margin += 1,
            |p| p.deposit_confirmations += 1,
            |p| p.settlement_confirmations += 1,
            |p| p.deposit_min += Amount::ONE_SAT,
            |p| p.deposit_max += Amount::ONE_SAT,
            |p| p.carrier += Amount::ONE_SAT,
            |p| p.nft_carrier += Amount::ONE_SAT,
            |p| p.fee_rate_min = FeeRate::from_sat_per_kwu(251),
            |p| p.fee_rate_max = FeeRate::from_sat_per_kwu(75_001),
            |p| p.roster_inputs_max += 1,
            |p| p.settlement_weight_max = Weight::from_wu(1),
            |p| p.settlements_unconfirmed_max += 1,
            |p| p.prover_fee_max += Amount::ONE_SAT,
            |p| p.measurements[0].pcr2[0] ^= 1,
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = params();
            change(&mut other);
            assert_ne!(params().hash(), other.hash(), "change {index}");
        }
    }

    #[test]
    fn refuses_values_that_contradict_each_other() {
        let changes: [fn(&mut Params); 18] = [
            |p| p.carrier = Amount::from_sat(329),
            |p| p.nft_carrier = Amount::from_sat(329),
            |p| p.deposit_min = p.carrier,
            |p| p.deposit_min = p.deposit_max + Amount::ONE_SAT,
            |p| p.deposit_max = Amount::from_sat(SUPPLY_MAX_SAT + 1),
            |p| p.fee_rate_min = FeeRate::from_sat_per_kwu(75_001),
            |p| p.fee_rate_max = FeeRate::from_sat_per_kwu(2_500_001),
            |p| p.sweep_margin = p.reclaim_delay_min,
            |p| p.reclaim_delay_max = p.reclaim_delay_min - 1,
            |p| p.roster_inputs_max = 1,
            |p| p.roster_inputs_max = 201,
            |p| p.settlement_weight_max = Weight::from_wu(400_001),
            |p| p.settlements_unconfirmed_max = 21,
            |p| p.deposit_confirmations = 0,
            |p| p.prover_fee_max = Amount::ONE_SAT,
            |p| p.prover_fee_max = Amount::from_sat(329),
            |p| p.prover_fee_max = PROVER_FEE_MAX + Amount::ONE_SAT,
            |p| p.measurements.clear(),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut other = params();
            change(&mut other);
            assert!(other.validate().is_err(), "change {index}");
        }
    }

    #[test]
    fn json_round_trips_and_refuses_unknown_fields() {
        let mut json = serde_json::to_value(params()).unwrap();
        assert_eq!(
            serde_json::from_value::<Params>(json.clone()).unwrap(),
            params()
        );
        json["extra"] = 1.into();
        assert!(serde_json::from_value::<Params>(json).is_err());
    }
}
