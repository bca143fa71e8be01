//! A settlement's whole life, from requests to final.

use bitcoin::OutPoint;
use grail_backend::roles::build::Built;
use grail_flow::SettlementState;

use super::{
    bridge::{own_script, transaction},
    users::{DEPOSIT_SAT, USER_KEY},
    wait::eventually,
    world::{World, settlement_id},
};

#[tokio::test]
async fn peg_ins_and_peg_outs_are_netted_and_paid_exactly_once() {
    let w = World::new().await;
    let carrier = w.backend.params().carrier.to_sat();
    // Three peg-ins in one settlement: zkBTC to work with.
    let first = w.ready_peg_ins(3).await;
    let (first_id, minted_in) = w.settle().await;
    w.mine_mempool().await;
    let tokens = w.tokens(&minted_in);
    let minted: u64 = tokens.values().sum();
    assert_eq!(tokens.len(), 3);
    w.check_reserves(minted).await;
    for (asked, _) in &first {
        assert_eq!(w.standing(asked).await.0, "settling");
    }

    // A real transfer pays two peg-outs and leaves the rest with the user; two more peg-ins come
    // along.
    let outs = [w.ask_peg_out().await, w.ask_peg_out().await];
    let amounts = [minted / 2, minted / 4];
    let rest = minted - amounts[0] - amounts[1];
    let inputs: Vec<OutPoint> = tokens.keys().copied().collect();
    let to = [
        (outs[0].script.clone(), amounts[0]),
        (outs[1].script.clone(), amounts[1]),
        (own_script(USER_KEY), rest),
    ];
    let transfer = w.transfer(&[minted_in], &inputs, &to);
    let ins = [w.ask_peg_in().await, w.ask_peg_in().await];
    let mut block = vec![transfer];
    block.extend(ins.iter().map(|asked| w.deposit(asked, DEPOSIT_SAT)));
    w.mine(block).await;
    assert_eq!(w.settlement(first_id).await.state.name(), "final");
    for (asked, _) in &first {
        assert_eq!(w.standing(asked).await, ("paid", None));
    }

    let ask = w.ask_operators().await;
    assert_eq!(
        w.settlement(settlement_id(&ask)).await.state,
        SettlementState::Asked { round: 1 }
    );
    let (id, netted) = w.sign_and_publish(&ask).await;
    // NFT and vault, two deposits of BTC and two of zkBTC.
    assert_eq!(netted.input.len(), 6);
    let fee = w.settlement(id).await.fee.unwrap().to_sat();
    w.mine_mempool().await;
    w.mine_empty(1).await;
    assert_eq!(w.settlement(id).await.state.name(), "final");
    for asked in ins.iter().chain(&outs) {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    let mut reader = w.backend.store.read().await.unwrap();
    let items = reader.settlement_items(id).await.unwrap();
    let of = |asked: &super::users::Asked| {
        let item = items.iter().find(|item| item.request == asked.id).unwrap();
        (item.amount_out.to_sat(), item.fee_share.to_sat())
    };
    let shares: u64 = items.iter().map(|item| item.fee_share.to_sat()).sum();
    assert_eq!(shares, fee);
    let mut fresh = 0;
    for asked in &ins {
        let (amount, share) = of(asked);
        assert_eq!(amount + share + carrier, DEPOSIT_SAT);
        fresh += amount;
    }
    for (asked, burned) in outs.iter().zip(amounts) {
        let (amount, share) = of(asked);
        // The coin under the zkBTC comes back.
        assert_eq!(amount + share, burned + carrier);
    }
    drop(reader);
    w.check_reserves(rest + fresh).await;
    assert_eq!(w.tokens(&netted).values().sum::<u64>(), fresh);
    assert_eq!(w.alarms().await, [""; 0]);
    // Nothing is left to do.
    assert_eq!(w.build().await, Built::Nothing);
    w.jobs().await;
    assert_eq!(w.settlements().await.len(), 2);
}

#[tokio::test]
async fn settlements_chain_in_the_mempool_and_confirm_together() {
    let w = World::new().await;
    let first = w.ready_peg_ins(1).await;
    let (_, parent) = w.settle().await;
    let second = w.ready_peg_ins(1).await;
    let (_, child) = w.settle().await;
    assert!(
        child
            .input
            .iter()
            .any(|input| input.previous_output == OutPoint::new(parent.compute_txid(), 0))
    );
    w.mine_mempool().await;
    w.mine_empty(1).await;
    for (asked, _) in first.iter().chain(&second) {
        assert_eq!(w.standing(asked).await, ("paid", None));
        assert_eq!(w.paid_count(asked).await, 1);
    }
    let minted: u64 = [&parent, &child]
        .into_iter()
        .flat_map(|made| w.tokens(made).into_values())
        .sum();
    w.check_reserves(minted).await;
}

#[tokio::test]
async fn nothing_is_built_on_a_settlement_that_is_not_published() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let ask = w.ask_operators().await;
    let waiting = w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Nothing);
    w.sign(&ask, &super::world::QUORUM).await;
    eventually(async || w.settlement(settlement_id(&ask)).await.state.name() == "signed").await;
    assert_eq!(w.build().await, Built::Nothing);
    w.jobs().await;
    assert_eq!(w.build().await, Built::Draft);
    assert_eq!(w.standing(&waiting[0].0).await.0, "settling");
}

#[tokio::test]
async fn an_nft_moved_by_somebody_else_is_an_alarm_that_stops_building() {
    for settled_before in [false, true] {
        let w = World::new().await;
        let mut nft = w.backend.deployment_nft();
        if settled_before {
            w.ready_peg_ins(1).await;
            let (id, _) = w.settle().await;
            w.mine_mempool().await;
            nft = w.settlement(id).await.nft_output.unwrap();
        }
        assert_eq!(w.alarms().await, [""; 0]);
        let asked = w.ask_peg_in().await;
        let foreign = transaction(&[nft], Vec::new());
        w.mine(vec![foreign]).await;
        assert_eq!(w.alarms().await, ["foreign-settlement"]);
        w.mine(vec![w.deposit(&asked, DEPOSIT_SAT)]).await;
        assert_eq!(w.build().await, Built::Hold);
    }
}
