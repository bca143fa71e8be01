//! Deposits that cannot be served are shown as the user's to take back, and never swept.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::Amount;
use grail_api::{Kind, ReclaimCode, RequestState, RequestStatus};
use grail_testkit::{Asked, Cluster, ClusterConfig, User};

fn reclaimable(cluster: &Cluster, asked: &Asked) -> RequestStatus {
    cluster
        .until_request(asked.kind, &asked.id, RequestState::Reclaimable)
        .unwrap()
}

#[test]
fn unacceptable_deposits_are_reclaimable_with_their_code_and_reclaimed() {
    let cluster = Cluster::start(&ClusterConfig {
        params: |params| params.deposit_max = Amount::from_sat(2_000_000),
        ..ClusterConfig::default()
    });
    let user = User::new("alice");
    let min = cluster.params().deposit_min.to_sat();
    let (below, small) = common::deposit(&cluster, &user, min - 1);
    let (above, _) = common::deposit(&cluster, &user, 2_000_001);
    let (least, _) = common::deposit(&cluster, &user, min);
    let (most, _) = common::deposit(&cluster, &user, 2_000_000);
    let late = user.ask_peg_in(&cluster.api()).unwrap();
    cluster.node.mine(1);
    assert_eq!(
        reclaimable(&cluster, &below).code,
        Some(ReclaimCode::BelowMinimum)
    );
    assert_eq!(
        reclaimable(&cluster, &above).code,
        Some(ReclaimCode::AboveMaximum)
    );
    cluster.settle(Kind::PegIn, &[least.id, most.id]).unwrap();

    // A second deposit to a request that has been served.
    let twice = cluster
        .node
        .fund(&most.deposit_script, Amount::from_sat(70_000));
    cluster.node.mine(1);
    let status = cluster
        .until("the second deposit", || {
            let status = cluster.request(Kind::PegIn, &most.id)?;
            Ok((!status.other_deposits.is_empty()).then_some(status))
        })
        .unwrap();
    assert_eq!(status.state, RequestState::Paid);
    assert_eq!(status.other_deposits[0].outpoint, twice);
    assert_eq!(status.other_deposits[0].code, ReclaimCode::DuplicateDeposit);

    // One that comes after its deadline.
    let deadline = cluster
        .request(Kind::PegIn, &late.id)
        .unwrap()
        .deadline_height;
    cluster.node.mine(deadline - cluster.node.height());
    cluster
        .until_request(Kind::PegIn, &late.id, RequestState::Expired)
        .unwrap();
    cluster
        .node
        .fund(&late.deposit_script, Amount::from_sat(60_000));
    cluster.node.mine(1);
    assert_eq!(reclaimable(&cluster, &late).code, Some(ReclaimCode::Late));

    // All of them can be taken back; the small one by now.
    let reclaim = user
        .reclaim(&below, small, Amount::from_sat(min - 1))
        .unwrap();
    cluster.node.send(&reclaim);
    cluster.node.mine(1);
    cluster
        .until_request(Kind::PegIn, &below.id, RequestState::Reclaimed)
        .unwrap();
    let audit = common::books(&cluster);
    assert_eq!(audit.state.serial, 1);
    common::no_alarm(&cluster);
}

#[test]
fn a_deposit_of_the_other_kind_is_reclaimable() {
    let cluster = Cluster::start(&ClusterConfig::default());
    let user = User::new("alice");
    let (first, _) = common::deposit(&cluster, &user, 1_000_000);
    cluster.node.fund(&user.script(), Amount::from_sat(100_000));
    cluster.node.mine(1);
    cluster.settle(Kind::PegIn, &[first.id]).unwrap();

    let peg_out = user.ask_peg_out(&cluster.api()).unwrap();
    cluster
        .node
        .fund(&peg_out.deposit_script, Amount::from_sat(50_000));
    let peg_in = user.ask_peg_in(&cluster.api()).unwrap();
    let to = [(peg_in.deposit_script.clone(), 400_000)];
    let transfer = user
        .transfer(&cluster.ledger().unwrap(), cluster.protocol(), &to)
        .unwrap();
    cluster.node.send(&transfer);
    cluster.node.mine(1);
    for asked in [&peg_out, &peg_in] {
        assert_eq!(
            reclaimable(&cluster, asked).code,
            Some(ReclaimCode::WrongCharms)
        );
    }
    assert_eq!(common::books(&cluster).state.serial, 1);
    common::no_alarm(&cluster);
}
