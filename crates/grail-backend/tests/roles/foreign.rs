//! Transactions that claim to move the NFT, or move it against the rules: no settlement of the
//! books, whoever made them.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Transaction, TxOut, Witness,
    taproot::{LeafVersion, TaprootBuilder},
};
use grail_backend::roles::build::Built;
use grail_bridge_contract::RosterState;
use grail_charms::{PrevTx, deployment_spell, roster_state};
use grail_script::{DepositTree, InternalKey, LeafSpend, nums_key};
use grail_spell::nft_app;
use grail_txbuild::{Coin, Deposit, SettlementRequest};
use grail_types::{Kind, Terms};

use super::{
    bridge::{first_house, own_script, payment, prover, transaction},
    users::{DEPOSIT_SAT, USER_KEY},
    world::World,
};

/// What alarms that nobody has looked at say.
pub async fn details(w: &World) -> Vec<String> {
    let mut reader = w.backend.store.read().await.unwrap();
    let alarms = reader.alarms(0, 100).await.unwrap().into_iter();
    let open = alarms.filter(|alarm| alarm.acknowledged_at.is_none());
    open.map(|alarm| format!("{}: {}", alarm.code.name(), alarm.details))
        .collect()
}

pub fn state(w: &World, made: &Transaction) -> RosterState {
    let read = PrevTx::read_committed(made, w.backend.mock());
    let app = nft_app(&w.backend.bridge().app);
    roster_state(&read.charms_at(0), &app).unwrap().unwrap()
}

/// Terms of a peg-in that nobody has asked this backend for.
pub fn terms_of_nobody(w: &World, nonce: u8) -> Terms {
    Terms {
        kind: Kind::PegIn,
        network: w.backend.bridge().network,
        bridge: w.backend.bridge().app,
        destination: own_script(USER_KEY).try_into().unwrap(),
        fee_cap: Amount::from_sat(10_000),
        epoch: first_house().roster.epoch(),
        reclaim_key: super::operators::key(60),
        reclaim_delay: 24,
        nonce: [nonce; 16],
    }
}

/// The deposit output of terms with the first roster.
pub fn tree(w: &World, terms: &Terms) -> DepositTree {
    let roster = &first_house().roster;
    DepositTree::new(&w.backend.secp, InternalKey::Nums, terms, roster)
}

/// The witness of a spend by a leaf, but for good signatures.
pub fn by_leaf(spend: &LeafSpend) -> Witness {
    Witness::from_slice(&[
        vec![0; 64],
        spend.script().to_bytes(),
        spend.control_block().serialize(),
    ])
}

/// A settlement as a quorum with other code might sign it: what its NFT says is up to the caller.
pub struct Foreign<'a> {
    pub w: &'a World,
    /// What made NFT and vault.
    pub made: &'a Transaction,
    /// Terms, what made the deposit as output 0, and the witness that spends it.
    pub deposit: (Terms, &'a Transaction, Witness),
}

impl Foreign<'_> {
    pub fn with_state(&self, change: impl FnOnce(&mut RosterState)) -> Transaction {
        let backend = &self.w.backend;
        let house = first_house();
        let coin = |made: &Transaction, vout: u32| Coin {
            outpoint: OutPoint::new(made.compute_txid(), vout),
            output: made.output[usize::try_from(vout).unwrap()].clone(),
        };
        let vault = Some(coin(self.made, 1));
        let (terms, deposit, witness) = &self.deposit;
        let request = SettlementRequest {
            bridge: backend.bridge(),
            params: backend.params(),
            roster: &house.roster,
            former: None,
            governance: backend.protocol().governance(),
            state: &state(self.w, self.made),
            nft: coin(self.made, 0),
            nft_confirmations: 0,
            vault: vault.filter(|it| it.output.script_pubkey == house.vault.script_pubkey),
            deposits: vec![Deposit {
                terms: terms.clone(),
                coin: coin(deposit, 0),
                token: 0,
                previous_bytes: 100,
            }],
            fee_rate: backend.params().fee_rate_min,
            deficit: Amount::ZERO,
            proof_bytes: backend.prover.proof_bytes(),
            prover_fee: None,
        };
        let plan = request.plan(&backend.secp).unwrap();
        let (mut spell, mut after) = (plan.spell.clone(), plan.state.clone());
        change(&mut after);
        for charm in spell.tx.outs[0].values_mut() {
            *charm = after.to_data();
        }
        let op_return = prover().prove_unchecked(&spell).unwrap().op_return;
        let mut signed = plan.with_spell(None, op_return);
        for input in &mut signed.input {
            input.witness = by_leaf(&house.vault.leaf);
        }
        signed.input.last_mut().unwrap().witness = witness.clone();
        signed
    }

    pub fn settlement(&self) -> Transaction {
        self.with_state(|_| {})
    }
}

#[tokio::test]
async fn an_nft_that_vanishes_is_an_alarm_that_stops_building() {
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
        // Nor is anything built once somebody has looked.
        w.acknowledge_alarms().await;
        assert_eq!(w.build().await, Built::Nothing);
    }
}

#[tokio::test]
async fn without_a_quorum_nobody_moves_the_nft_whatever_a_spell_says() {
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let totals = async || {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.vault_totals().await.unwrap()
    };
    let before = totals().await;
    // Anybody's coin, a valid spell that puts the NFT at the vault with all zkBTC gone.
    let source = payment(w.next_number(), own_script(77), 5_000);
    let at_vault = TxOut {
        value: w.backend.params().nft_carrier,
        script_pubkey: first_house().vault.script_pubkey,
    };
    let mut claim = transaction(&[OutPoint::new(source.compute_txid(), 0)], vec![at_vault]);
    let mut after = state(&w, &made);
    after.serial += 1;
    let spell = deployment_spell(&claim, &w.backend.bridge().app, &after).unwrap();
    let op_return = prover().prove_unchecked(&spell).unwrap().op_return;
    claim.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: op_return,
    });
    w.mine(vec![source, claim]).await;
    let after = totals().await;
    assert_eq!((after.nft, after.supply), (before.nft, before.supply));
    assert_eq!(w.settlements().await.len(), 1);
    assert_eq!(w.alarms().await, [""; 0]);
    w.ready_peg_ins(1).await;
    let (_, next) = w.settle().await;
    assert_eq!(Some(next.input[0].previous_output), before.nft);
}

#[tokio::test]
async fn a_settlement_that_breaks_a_rule_stops_the_bridge_and_is_not_adopted() {
    type Change = fn(&mut RosterState);
    let changes: [(Change, &str); 5] = [
        (|it| it.serial -= 1, "expected serial 2, got 1"),
        (|it| it.serial += 1, "expected serial 2, got 3"),
        (|it| it.supply += 1_000_000, "sat of zkBTC exist"),
        (|it| it.params_hash[0] ^= 1, "more of the NFT's state"),
        (|it| it.threshold -= 1, "leaves no roster NFT"),
    ];
    let w = World::new().await;
    w.ready_peg_ins(1).await;
    let (_, made) = w.settle().await;
    w.mine_mempool().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let terms = {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    };
    let witness = by_leaf(&tree(&w, &terms).leaf);
    let foreign = Foreign {
        w: &w,
        made: &made,
        deposit: (terms, &deposit, witness),
    };
    let height = w.tip_height().await + 1;
    for (change, reason) in changes {
        let old = w.restored(w.backup()).await;
        old.mine(vec![foreign.with_state(change)]).await;
        let details = details(&old).await;
        assert_eq!(details.len(), 1, "{details:?}");
        assert!(details[0].starts_with("foreign-settlement"), "{details:?}");
        assert!(details[0].contains(reason), "{details:?}");
        assert_eq!(old.settlements().await.len(), 1);
        // Operators took the deposit, and not its user.
        assert_eq!(old.standing(&asked).await, ("taken", None));
        assert_eq!(old.build().await, Built::Hold);
        w.chain.fork_at(height);
    }
    // The same with nothing changed is a settlement.
    let old = w.restored(w.backup()).await;
    old.mine(vec![foreign.settlement()]).await;
    old.mine_empty(1).await;
    assert_eq!(old.alarms().await, [""; 0]);
    assert_eq!(old.standing(&asked).await, ("paid", None));
}

#[tokio::test]
async fn a_settlement_of_what_is_no_deposit_of_the_roster_is_not_adopted() {
    let w = World::new().await;
    let terms = terms_of_nobody(&w, 1);
    let tree = tree(&w, &terms);
    let deposit = payment(w.next_number(), tree.script_pubkey.clone(), DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let other = self::tree(&w, &terms_of_nobody(&w, 2));
    let vault = first_house().vault;
    let height = w.tip_height().await + 1;
    let control = tree.leaf.control_block().serialize();
    let with = |script: ScriptBuf, control: &[u8]| {
        Witness::from_slice(&[vec![0; 64], script.into_bytes(), control.to_vec()])
    };
    for (witness, is_deposit) in [
        // By no leaf, by the user's, by the vault's, by another deposit's, by a leaf that is not in
        // this output's tree.
        (Witness::from_slice(&[[0_u8; 64]]), false),
        (with(tree.reclaim.script().clone(), &control), false),
        (by_leaf(&vault.leaf), false),
        (by_leaf(&other.leaf), false),
        (with(other.leaf.script().clone(), &control), false),
        (by_leaf(&tree.leaf), true),
    ] {
        let foreign = Foreign {
            w: &w,
            made: &w.backend.deployment_tx,
            deposit: (terms.clone(), &deposit, witness),
        };
        let old = w.restored(w.backup()).await;
        old.mine(vec![foreign.settlement()]).await;
        let details = details(&old).await;
        assert_eq!(details.is_empty(), is_deposit, "{details:?}");
        assert_eq!(old.settlements().await.len(), usize::from(is_deposit));
        if !is_deposit {
            assert!(details[0].contains("input 1 is no deposit"), "{details:?}");
        }
        w.chain.fork_at(height);
    }
}

/// An output that anybody can make: with the deposit leaf of `terms` in it, and a way of his own
/// beside it.
pub fn lookalike(w: &World, terms: &Terms) -> (ScriptBuf, Witness) {
    let leaf = tree(w, terms).leaf.script().clone();
    let own = ScriptBuf::from_bytes(vec![0x51]);
    let info = TaprootBuilder::new()
        .add_leaf(1, leaf.clone())
        .and_then(|builder| builder.add_leaf(1, own))
        .unwrap()
        .finalize(&w.backend.secp, nums_key())
        .unwrap();
    let control = info.control_block(&(leaf.clone(), LeafVersion::TapScript));
    let items = [vec![0; 64], leaf.into_bytes(), control.unwrap().serialize()];
    let script = ScriptBuf::new_p2tr_tweaked(info.output_key());
    (script, Witness::from_slice(&items))
}

#[tokio::test]
async fn a_commitment_at_another_address_than_the_requests_pays_nobody() {
    let w = World::new().await;
    let asked = w.ready_peg_ins(1).await.remove(0).0;
    let terms = {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    };
    let (script, witness) = lookalike(&w, &terms);
    let deposit = payment(w.next_number(), script, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let foreign = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms, &deposit, witness),
    };
    w.mine(vec![foreign.settlement()]).await;
    let details = details(&w).await;
    assert!(details[0].contains("not at the address"), "{details:?}");
    assert_eq!(w.standing(&asked).await, ("ready", None));
    assert_eq!(w.settlements().await.len(), 0);
}

#[tokio::test]
async fn a_settlement_that_pays_somebody_else_for_a_deposit_pays_nobody() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let deposit = w.deposit(&asked, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let mut terms = {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    };
    let witness = by_leaf(&tree(&w, &terms).leaf);
    terms.destination = own_script(78).try_into().unwrap();
    let foreign = Foreign {
        w: &w,
        made: &w.backend.deployment_tx,
        deposit: (terms, &deposit, witness),
    };
    w.mine(vec![foreign.settlement()]).await;
    let details = details(&w).await;
    assert!(details[0].contains("does not pay request"), "{details:?}");
    assert_eq!(w.standing(&asked).await, ("taken", None));
}

#[tokio::test]
async fn two_settlements_may_pay_one_request_by_two_deposits() {
    let w = World::new().await;
    let asked = w.ask_peg_in().await;
    let deposits = [
        w.deposit(&asked, DEPOSIT_SAT),
        w.deposit(&asked, DEPOSIT_SAT),
    ];
    w.mine(deposits.to_vec()).await;
    let (first, made) = w.settle().await;
    w.mine_mempool().await;
    w.mine_empty(1).await;
    let terms = {
        let mut reader = w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    };
    let witness = by_leaf(&tree(&w, &terms).leaf);
    let foreign = Foreign {
        w: &w,
        made: &made,
        deposit: (terms, &deposits[1], witness),
    };
    let second = OutPoint::new(deposits[1].compute_txid(), 0);
    let standing = async || {
        let mut reader = w.backend.store.read().await.unwrap();
        let row = reader.deposit(&second).await.unwrap().unwrap();
        (row.state.name(), row.code.is_some())
    };
    assert_eq!(standing().await, ("reclaimable", true));
    let height = w.tip_height().await + 1;
    w.mine(vec![foreign.settlement()]).await;
    assert_eq!(standing().await, ("settling", false));
    w.mine_empty(1).await;
    assert_eq!(standing().await, ("settled", false));
    // The request goes by the first, before and after.
    assert_eq!(w.request(&asked).await.settlement(), Some(first));
    assert_eq!(w.standing(&asked).await, ("paid", None));
    w.chain.fork_at(height);
    w.chain.clear_mempool();
    w.mine_empty(3).await;
    assert_eq!(standing().await, ("settling", false));
    // Its user takes it back instead.
    let mut reclaim = transaction(&[second], vec![deposits[1].output[0].clone()]);
    reclaim.output[0].script_pubkey = own_script(USER_KEY);
    w.mine(vec![reclaim]).await;
    assert_eq!(standing().await.0, "reclaimed");
    assert_eq!(w.settlements().await[1].state.name(), "abandoned");
    assert_eq!(w.standing(&asked).await, ("paid", None));
    assert_eq!(w.alarms().await, [""; 0]);
}
