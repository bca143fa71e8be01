//! Shared by the tests of whole clusters.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "each test binary uses a part"
)]

pub mod rotating;

use bitcoin::{Amount, OutPoint};
use grail_api::{HealthStatus, RequestStatus};
use grail_testkit::{Asked, Audit, Cluster, User};

/// A user asks for zkBTC and the deposit is sent; not mined.
pub fn deposit(cluster: &Cluster, user: &User, sat: u64) -> (Asked, OutPoint) {
    let asked = user.ask_peg_in(&cluster.api()).unwrap();
    let outpoint = cluster
        .node
        .fund(&asked.deposit_script, Amount::from_sat(sat));
    (asked, outpoint)
}

/// The books by the chain, in order, and the API says the same.
pub fn books(cluster: &Cluster) -> Audit {
    let audit = cluster
        .ledger()
        .unwrap()
        .audit(&cluster.deployment)
        .unwrap();
    audit.check().unwrap();
    cluster
        .until("the API's reserves to be the chain's", || {
            let reserves = cluster.api().reserves()?;
            let expected = (audit.state.supply, audit.locked().to_sat(), audit.nft);
            let got = (
                reserves.supply_sat,
                reserves.vault_sat,
                reserves.nft_outpoint,
            );
            Ok((got == expected).then_some(()))
        })
        .unwrap();
    audit
}

/// Nothing has raised an alarm.
pub fn no_alarm(cluster: &Cluster) {
    assert_eq!(cluster.rows().unwrap().alarms().unwrap(), []);
    // Operators that have just come back show evidence within seconds.
    cluster
        .until("fair health", || {
            let health = cluster.api().health()?;
            Ok((health.status != HealthStatus::Failing).then_some(()))
        })
        .unwrap();
}

/// What a paid request got.
pub fn amount_out(paid: &RequestStatus) -> u64 {
    paid.settlement.as_ref().unwrap().amount_out_sat
}
