//! Operators that answer, in their own name, with something else than what they were asked for.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use grail_api::{Kind, RequestState, Settlement, SettlementState, SignerOutcome};
use grail_testkit::cluster::BackendConfig;
use grail_testkit::{Cluster, ClusterConfig, Lie, User};

/// Outcome and code of each liar's answer, in the order of the lies.
fn named(cluster: &Cluster, settlement: &Settlement) -> Vec<(SignerOutcome, Option<String>)> {
    let by_index: BTreeMap<u16, _> = settlement
        .signers
        .iter()
        .map(|signer| (signer.index, (signer.outcome, signer.code.clone())))
        .collect();
    cluster
        .liars
        .iter()
        .map(|liar| {
            let index = cluster
                .deployment
                .roster
                .position(&liar.public_key())
                .unwrap();
            by_index[&index.0].clone()
        })
        .collect()
}

#[test]
fn liars_are_named_and_do_not_stop_the_rest() {
    let lies = vec![
        Lie::WrongSignature,
        Lie::OtherInput,
        Lie::TooFew,
        Lie::ExtraInput,
        Lie::Refuses,
    ];
    let cluster = Cluster::start(&ClusterConfig {
        signers: 11,
        threshold: 6,
        lies,
        ..ClusterConfig::default()
    });
    let user = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    // Those that answered after the quorum are heard as well.
    let settlement = cluster
        .until("every answer", || {
            let settlement = cluster.settlements()?.remove(0);
            let is_waiting = settlement
                .signers
                .iter()
                .any(|signer| signer.outcome == SignerOutcome::Waiting);
            Ok((!is_waiting).then_some(settlement))
        })
        .unwrap();
    let expected = [
        (SignerOutcome::Faulty, "signature-invalid"),
        (SignerOutcome::Faulty, "signature-invalid"),
        (SignerOutcome::Faulty, "signature-count"),
        (SignerOutcome::Faulty, "signature-count"),
        (SignerOutcome::Refused, "bad-mood"),
    ]
    .map(|(outcome, code)| (outcome, Some(code.to_owned())));
    assert_eq!(named(&cluster, &settlement), expected);
    let signed = settlement
        .signers
        .iter()
        .filter(|signer| signer.outcome == SignerOutcome::Signed);
    assert_eq!(signed.count(), 6);
    common::books(&cluster);
    common::no_alarm(&cluster);
}

/// Two honest ones of the three that must agree. The fourth refuses the first attempt and says so
/// again and again; the third refuses the second and signs the third. Counted together, the two
/// refusals would end the settlement.
#[test]
fn a_refusal_shown_again_does_not_count_for_a_later_attempt() {
    let cluster = Cluster::start(&ClusterConfig {
        signers: 4,
        threshold: 3,
        lies: vec![Lie::Replays, Lie::Hesitates],
        backend: BackendConfig {
            ask_seconds: 1,
            ..BackendConfig::default()
        },
        ..ClusterConfig::default()
    });
    let user = User::new("alice");
    let (asked, _) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[asked.id]).unwrap();
    let settlements = cluster.settlements().unwrap();
    assert_eq!(settlements.len(), 1);
    let expected = [
        (SignerOutcome::Refused, Some("bad-mood".to_owned())),
        (SignerOutcome::Signed, None),
    ];
    assert_eq!(named(&cluster, &settlements[0]), expected);
    common::books(&cluster);
    common::no_alarm(&cluster);
}

#[test]
fn too_many_liars_stop_the_bridge_and_take_nothing() {
    let cluster = Cluster::start(&ClusterConfig {
        signers: 4,
        threshold: 3,
        lies: vec![Lie::WrongSignature, Lie::OtherInput],
        ..ClusterConfig::default()
    });
    let user = User::new("alice");
    let (asked, outpoint) = common::deposit(&cluster, &user, 100_000);
    cluster.node.mine(1);
    let given_up = cluster
        .until("the settlement to be given up", || {
            let newest = cluster.settlements()?.into_iter().next();
            Ok(newest.filter(|settlement| settlement.state == SettlementState::Abandoned))
        })
        .unwrap();
    assert!(
        named(&cluster, &given_up)
            .iter()
            .all(|(outcome, _)| *outcome == SignerOutcome::Faulty)
    );
    cluster
        .until_request(Kind::PegIn, &asked.id, RequestState::Ready)
        .unwrap();
    let alarms = cluster.rows().unwrap().alarms().unwrap();
    assert_eq!(alarms[0].code.name(), "quorum-refused");

    // The user leaves alone.
    let reclaim = user
        .reclaim(&asked, outpoint, bitcoin::Amount::from_sat(100_000))
        .unwrap();
    cluster
        .node
        .mine(u32::from(asked.terms().reclaim_delay) - 1);
    cluster.node.send(&reclaim);
    cluster.node.mine(1);
    let status = cluster
        .until("the reclaim to be seen", || {
            let status = cluster.request(Kind::PegIn, &asked.id)?;
            Ok((status.state == RequestState::Reclaimed).then_some(status))
        })
        .unwrap();
    assert_eq!(
        status.reclaim.unwrap().reclaimed_by,
        Some(reclaim.compute_txid())
    );
    assert_eq!(common::books(&cluster).state.supply, 0);
}
