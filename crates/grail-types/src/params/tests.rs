#![allow(clippy::unwrap_used)]
use super::*;
use crate::BridgeApp;

fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [4; 32],
            vk: [5; 32],
        },
    }
}

fn params() -> Params {
    Params::preset(Network::Regtest, ImagesHash([6; 32]))
}

fn with_prover_fee() -> Params {
    params()
        .with(|values| values.prover_fee_max = Amount::from_sat(5_000))
        .unwrap()
}

#[test]
fn every_preset_is_valid() {
    for network in Network::ALL {
        Params::preset(network, ImagesHash([6; 32]));
    }
}

#[test]
fn every_value_changes_the_hash() {
    let base = with_prover_fee();
    let changes: [fn(&mut ParamsValues); 20] = [
        |p| p.reclaim_delay_min += 1,
        |p| p.reclaim_delay_max += 1,
        |p| p.sweep_margin += 1,
        |p| p.deposit_confirmations += 1,
        |p| p.deposit_min += Amount::ONE_SAT,
        |p| p.deposit_max -= Amount::ONE_SAT,
        |p| p.settlement_confirmations += 1,
        |p| p.carrier += Amount::ONE_SAT,
        |p| p.nft_carrier += Amount::ONE_SAT,
        |p| p.fee_rate_min = FeeRate::from_sat_per_kwu(251),
        |p| p.fee_rate_max = FeeRate::from_sat_per_kwu(75_001),
        |p| p.roster_inputs_max -= 1,
        |p| p.settlement_weight_max = Weight::from_wu(399_999),
        |p| p.settlements_unconfirmed_max -= 1,
        |p| p.prover_fee_max += Amount::ONE_SAT,
        |p| p.images.0[0] ^= 1,
        |p| p.outflow_cap += Amount::ONE_SAT,
        |p| p.outflow_rate += Amount::ONE_SAT,
        |p| p.supply_max -= Amount::ONE_SAT,
        |p| p.notice += 1,
    ];
    for (index, change) in changes.iter().enumerate() {
        let other = base.with(change).unwrap();
        assert_ne!(
            base.hash(&bridge()),
            other.hash(&bridge()),
            "change {index}"
        );
        assert_eq!(Params::from_bytes(&other.to_bytes()), Ok(other));
    }
    assert_ne!(base.hash(&bridge()), params().hash(&bridge()));
}

#[test]
fn what_may_leave_at_once_is_the_largest_deposit_or_more() {
    let edges: [fn(&mut ParamsValues); 3] = [
        |p| p.outflow_cap = p.deposit_max,
        |p| p.outflow_cap = Amount::from_sat(SUPPLY_MAX_SAT),
        |p| p.supply_max = Amount::from_sat(p.outflow_rate.to_sat() * 65_535),
    ];
    for change in edges {
        assert!(params().with(change).is_ok());
    }
}

#[test]
fn network_and_bridge_change_the_hash() {
    let changes: [fn(&mut Bridge); 3] = [
        |bridge| bridge.network = Network::Signet,
        |bridge| bridge.app.identity[0] ^= 1,
        |bridge| bridge.app.vk[0] ^= 1,
    ];
    for change in changes {
        let mut other = bridge();
        change(&mut other);
        assert_ne!(params().hash(&bridge()), params().hash(&other));
    }
}

#[test]
fn refuses_values_that_contradict_each_other() {
    let changes: [fn(&mut ParamsValues); 22] = [
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
        |p| p.outflow_cap = p.deposit_max - Amount::ONE_SAT,
        |p| p.outflow_cap = Amount::from_sat(SUPPLY_MAX_SAT + 1),
        |p| p.supply_max = Amount::from_sat(p.outflow_rate.to_sat() * 65_535 + 1),
        |p| p.outflow_rate = Amount::ZERO,
        |p| p.notice = 0,
    ];
    for (index, change) in changes.iter().enumerate() {
        assert!(params().with(change).is_err(), "change {index}");
        // Nor can they be read, in either form.
        let mut json = serde_json::to_value(params()).unwrap();
        let mut values: ParamsValues = serde_json::from_value(json.clone()).unwrap();
        change(&mut values);
        json = serde_json::to_value(values.clone()).unwrap();
        assert!(serde_json::from_value::<Params>(json).is_err(), "{index}");
        let bytes = Params(values).to_bytes();
        assert!(Params::from_bytes(&bytes).is_err(), "{index}");
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

/// One section: number, version, body.
type Raw = (u8, u8, Vec<u8>);

fn raw_sections(params: &Params) -> Vec<Raw> {
    params
        .sections()
        .into_iter()
        .map(|section| (section.id(), section.version(), section.body().to_vec()))
        .collect()
}

fn joined(sections: &[Raw]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, version, body) in sections {
        bytes.extend([*id, *version]);
        bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
        bytes.extend(body);
    }
    bytes
}

#[test]
fn bytes_have_one_form_only() {
    let base = raw_sections(&with_prover_fee());
    assert_eq!(Params::from_bytes(&joined(&base)), Ok(with_prover_fee()));
    let broken = |change: &dyn Fn(&mut Vec<Raw>)| {
        let mut sections = base.clone();
        change(&mut sections);
        Params::from_bytes(&joined(&sections)).unwrap_err()
    };
    assert_eq!(broken(&|s| s.swap(0, 1)), SectionsError::Order(1));
    assert_eq!(
        broken(&|s| s.insert(0, s[0].clone())),
        SectionsError::Order(1)
    );
    let unknown = |id, version| SectionsError::Unknown { id, version };
    assert_eq!(broken(&|s| s[0].1 = 2), unknown(1, 2));
    assert_eq!(broken(&|s| s.push((6, 1, vec![]))), unknown(6, 1));
    for (index, id) in [(0, 1), (1, 2), (3, 4), (4, 5)] {
        let error = broken(&|s| {
            s.remove(index);
        });
        assert_eq!(error, SectionsError::Missing(id));
    }
    for (index, id) in [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)] {
        let longer = broken(&|s| s[index].2.push(0));
        let shorter = broken(&|s| {
            s[index].2.pop();
        });
        assert_eq!(longer, SectionsError::Malformed(id));
        assert_eq!(shorter, SectionsError::Malformed(id));
    }
    // A fee of zero is said by leaving it out; a delay of 65,536 blocks fits in no delay.
    assert_eq!(
        broken(&|s| s[2].2 = vec![0; 8]),
        SectionsError::Malformed(3)
    );
    assert_eq!(broken(&|s| s[0].2[5] = 1), SectionsError::Malformed(1));
    let all = joined(&base);
    for end in 1..all.len() {
        assert!(Params::from_bytes(&all[..end]).is_err(), "{end}");
    }
    assert_eq!(
        Params::from_bytes(&vec![1; PARAMS_MAX_BYTES + 1]),
        Err(SectionsError::TooLarge(PARAMS_MAX_BYTES + 1))
    );
}

#[test]
fn bytes_and_hash_are_stable() {
    // Snapshots: a change of either is another protocol.
    assert_eq!(hex::encode(params().to_bytes()), BYTES);
    assert_eq!(params().hash(&bridge()).to_string(), HASH);
}

const BYTES: &str = "\
    0101003000000000000000180000000000001f800000000000000006000000000000000100000000\
    00004e20000000174876e800020100400000000000000002000000000000014a00000000000003e8\
    00000000000000fa00000000000124f800000000000000c80000000000061a800000000000000014\
    040100200606060606060606060606060606060606060606060606060606060606060606\
    05010020000000174876e8000000000029b92700\
    000028ed6103d0000000000000000006\
";
const HASH: &str = "8509e9f01255d06f86948a79252efa106e7eedb3c9021b47fa13e1ad3b25bebf";
