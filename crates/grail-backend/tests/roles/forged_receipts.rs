//! Receipts that anybody can write, and that the chain does not bear out.

use axum::http::StatusCode;
use bitcoin::{Amount, OutPoint, hashes::Hash};
use grail_api::{ProblemCode, ProblemCode as Code, Receipt};
use grail_fixtures::house::House;
use grail_script::{GroupKey, InternalKey};
use grail_types::{Epoch, Network, Terms};

use super::{
    bridge::{first_house, own_script, payment, transaction},
    foreign::{terms_of_nobody, tree},
    operators::{key, keypair},
    receipts::{hand_in, refused, written},
    users::DEPOSIT_SAT,
    world::World,
};

#[tokio::test]
async fn a_receipt_with_another_roster_than_history_has_is_refused() {
    let w = World::new().await;
    let house = |epoch, seeds: [u8; 4]| {
        let keys = seeds.map(keypair).to_vec();
        House::new(&w.backend.secp, epoch, keys, 3)
    };
    let terms = |epoch| Terms {
        epoch: Epoch(epoch),
        ..terms_of_nobody(&w, 1)
    };
    // An attacker's own, at the epoch of the true one and after it; the true one with another
    // threshold.
    let attackers = house(0, [91, 92, 93, 94]).roster;
    let later = house(1, [91, 92, 93, 94]).roster;
    let keys = [1, 2, 3, 4].map(keypair).to_vec();
    let loose = House::new(&w.backend.secp, 0, keys, 4).roster;
    for (epoch, roster) in [(0, attackers), (1, later), (0, loose)] {
        let receipt = Receipt::new(InternalKey::Nums, terms(epoch), roster);
        let checked = receipt.check().unwrap();
        let script = checked.script_pubkey().clone();
        let deposit = payment(w.next_number(), script, DEPOSIT_SAT);
        w.mine(vec![deposit.clone()]).await;
        let outpoint = OutPoint::new(deposit.compute_txid(), 0);
        let code = refused(&w, &receipt, Some(outpoint)).await;
        assert_eq!(code, ProblemCode::ForeignReceipt);
    }
}

#[tokio::test]
async fn a_receipt_that_is_wrong_in_itself_or_for_this_bridge_is_refused() {
    let w = World::new().await;
    let good = written(terms_of_nobody(&w, 1));
    let deposit = payment(
        w.next_number(),
        tree(&w, &good.terms).script_pubkey,
        DEPOSIT_SAT,
    );
    w.mine(vec![deposit.clone()]).await;
    let outpoint = Some(OutPoint::new(deposit.compute_txid(), 0));
    let changed = |change: &dyn Fn(&mut Terms)| {
        let mut terms = good.terms.clone();
        change(&mut terms);
        written(terms)
    };
    let group_key = GroupKey::try_from(key(61)).unwrap();
    let grouped = Receipt::new(
        InternalKey::Group(group_key),
        good.terms.clone(),
        good.roster.clone(),
    );
    let vault = first_house().vault.script_pubkey;
    for (receipt, code) in [
        (
            Receipt {
                version: 2,
                ..good.clone()
            },
            Code::BadReceipt,
        ),
        (
            Receipt {
                deposit_address: super::users::address(61),
                ..good.clone()
            },
            Code::BadReceipt,
        ),
        (
            changed(&|it| it.network = Network::Signet),
            Code::ForeignReceipt,
        ),
        (changed(&|it| it.bridge.vk[0] ^= 1), Code::ForeignReceipt),
        (grouped, Code::ForeignReceipt),
        (
            changed(&|it| it.reclaim_delay = 23),
            Code::ReclaimDelayOutOfRange,
        ),
        (changed(&|it| it.fee_cap = Amount::ZERO), Code::FeeCapTooLow),
        (
            changed(&|it| it.fee_cap = Amount::MAX_MONEY),
            Code::FeeCapTooHigh,
        ),
        (
            changed(&|it| it.destination = vault.clone().try_into().unwrap()),
            Code::UnsupportedAddress,
        ),
    ] {
        assert_eq!(refused(&w, &receipt, outpoint).await, code, "{receipt:?}");
    }
    let (status, _) = hand_in(&w, &good, outpoint).await;
    assert_eq!(status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_receipt_without_a_deposit_that_the_chain_shows_is_refused() {
    let w = World::new().await;
    let receipt = written(terms_of_nobody(&w, 1));
    let script = tree(&w, &receipt.terms).script_pubkey;
    let pay = |script| payment(w.next_number(), script, DEPOSIT_SAT);
    let at = |made: &bitcoin::Transaction| OutPoint::new(made.compute_txid(), 0);
    let (_, others) = w.ready_peg_ins(1).await.remove(0);
    let (spent, waiting) = (pay(script.clone()), pay(script));
    let mut spend = transaction(&[at(&spent)], vec![spent.output[0].clone()]);
    spend.output[0].script_pubkey = own_script(77);
    w.mine(vec![spent.clone(), spend]).await;
    w.chain.relay(waiting.clone());
    let nowhere = OutPoint::new(bitcoin::Txid::from_byte_array([7; 32]), 0);
    let no_output = OutPoint::new(at(&waiting).txid, 9);
    for deposit in [
        None,
        // Somebody else's, one taken back, one in the mempool, none at all.
        Some(others),
        Some(at(&spent)),
        Some(at(&waiting)),
        Some(nowhere),
        Some(no_output),
        Some(w.backend.deployment_nft()),
    ] {
        let code = refused(&w, &receipt, deposit).await;
        assert_eq!(code, ProblemCode::DepositNotFound, "{deposit:?}");
    }
    w.mine_mempool().await;
    let (status, _) = hand_in(&w, &receipt, Some(at(&waiting))).await;
    assert_eq!(status, StatusCode::CREATED);
}
