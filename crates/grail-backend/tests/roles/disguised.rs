//! Users' deposits spent in what has the shape of a step that sponsors pay for: a theft, whatever
//! the NFT says.

use bitcoin::{Amount, OutPoint, Transaction, TxOut, Witness};
use grail_backend::roles::build::Built;
use grail_bridge_contract::{Action, RosterState};
use grail_charms::{SettlementItem, step_spell};
use grail_fixtures::house::{House, Rotated, announced, state_of};
use grail_fixtures::world::output;
use grail_types::Epoch;

use super::{
    bridge::{first_house, own_script, payment, prover, transaction},
    foreign::{by_leaf, details, state, tree},
    rotation::{SECOND, house, rotation, settled},
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// What moves NFT and vault on and pays nobody, with these coins to pay for it.
struct Shape<'a> {
    w: &'a World,
    made: &'a Transaction,
    action: Action,
    after: RosterState,
    /// Where NFT and vault go.
    to: &'a House,
    /// Coins at the vault's address that become the vault's.
    donations: &'a [Transaction],
    payers: &'a [Transaction],
}

impl Shape<'_> {
    fn transaction(&self) -> Transaction {
        let outpoint = |made: &Transaction, vout| OutPoint::new(made.compute_txid(), vout);
        let first = |made: &Transaction| outpoint(made, 0);
        let mut inputs = vec![outpoint(self.made, 0), outpoint(self.made, 1)];
        inputs.extend(self.donations.iter().chain(self.payers).map(first));
        let mut outputs: Vec<TxOut> = self.made.output[..2].to_vec();
        for output in &mut outputs {
            output.script_pubkey = self.to.vault.script_pubkey.clone();
        }
        for donation in self.donations {
            outputs[1].value += donation.output[0].value;
        }
        let mut unsigned = transaction(&inputs, outputs);
        let (app, after) = (&self.w.backend.bridge().app, &self.after);
        let items = [SettlementItem::Plain];
        let spell = step_spell(self.action, &unsigned, app, after, &items).unwrap();
        unsigned.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: prover().prove_unchecked(&spell).unwrap().op_return,
        });
        self.signed(unsigned)
    }

    /// A hand-over is adopted with the signatures of who gives the NFT away.
    fn signed(&self, mut transaction: Transaction) -> Transaction {
        let mut spent: Vec<TxOut> = self.made.output[..2].to_vec();
        let coins = self.donations.iter().chain(self.payers);
        spent.extend(coins.map(|made| made.output[0].clone()));
        let house = first_house();
        for index in 0..2 {
            let witness = house.sign_input(&transaction, &spent, index, 3);
            transaction.input[index].witness = witness;
        }
        transaction
    }
}

fn merge(w: &World, made: &Transaction, payers: &[Transaction]) -> Vec<Transaction> {
    let house = first_house();
    let donation = payment(w.next_number(), house.vault.script_pubkey.clone(), 1_000);
    let mut after = state(w, made);
    after.serial += 1;
    let merge = Shape {
        w,
        made,
        action: Action::Settle,
        after,
        to: &house,
        donations: std::slice::from_ref(&donation),
        payers,
    };
    let merge = merge.transaction();
    vec![donation, merge]
}

fn announcement(w: &World, made: &Transaction, payers: &[Transaction]) -> Vec<Transaction> {
    let (from, to) = (first_house(), house(w, 1, &SECOND));
    let before = state(w, made);
    let announcement = Shape {
        w,
        made,
        action: Action::Announce,
        after: announced(&before, &state_of(&to, &before)),
        to: &from,
        donations: &[],
        payers,
    };
    vec![announcement.transaction()]
}

/// Announced by nobody's coin, and executed by these.
fn handover(w: &World, made: &Transaction, payers: &[Transaction]) -> Vec<Transaction> {
    let (from, to) = (first_house(), house(w, 1, &SECOND));
    let Rotated { announcement, .. } = rotation(w, made, &from, &to);
    let handover = Shape {
        w,
        made: &announcement,
        action: Action::Execute,
        after: state_of(&to, &state(w, made)),
        to: &to,
        donations: &[],
        payers,
    };
    let handover = handover.transaction();
    vec![announcement, handover]
}

type Step = fn(&World, &Transaction, &[Transaction]) -> Vec<Transaction>;
const STEPS: [(&str, Step); 3] = [
    ("merge", merge),
    ("announce", announcement),
    ("execute", handover),
];

async fn sponsored(w: &World, step: &str) -> (Asked, Transaction) {
    let sponsor = w.ask_sponsor(&format!("sponsor-{step}")).await;
    let deposit = w.deposit(&sponsor, DEPOSIT_SAT);
    (sponsor, deposit)
}

async fn epoch(w: &World) -> Epoch {
    let mut reader = w.backend.store.read().await.unwrap();
    let rosters = w.backend.rosters(&mut reader).await.unwrap();
    rosters.newest().epoch()
}

#[tokio::test]
async fn a_users_deposit_in_the_shape_of_a_step_is_a_theft() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let user = w.ask_peg_in().await;
    let deposit = w.deposit(&user, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let height = w.tip_height().await + 1;
    for (name, step) in STEPS {
        let old = w.restored(w.backup()).await;
        let (_, sponsors) = sponsored(&old, name).await;
        old.mine(vec![sponsors.clone()]).await;
        let stolen = step(&old, &made, &[sponsors, deposit.clone()]);
        let nft = OutPoint::new(stolen.last().unwrap().compute_txid(), 0);
        old.mine(stolen).await;
        let details = details(&old).await;
        assert_eq!(details.len(), 1, "{name}: {details:?}");
        assert!(details[0].starts_with("foreign-settlement"), "{details:?}");
        assert!(details[0].contains("and serves nobody"), "{details:?}");
        assert_eq!(old.standing(&user).await, ("taken", None), "{name}");
        assert_eq!(old.build().await, Built::Hold);
        // The NFT is where it is: the roster too.
        let mut reader = old.backend.store.read().await.unwrap();
        assert_eq!(reader.vault_totals().await.unwrap().nft, Some(nft));
        drop(reader);
        assert_eq!(epoch(&old).await, Epoch(u64::from(name == "execute")));
        // A reorg gives it back.
        w.chain.fork_at(height);
        old.mine_empty(3).await;
        assert_eq!(old.standing(&user).await, ("ready", None), "{name}");
        w.chain.fork_at(height);
    }
}

#[tokio::test]
async fn a_deposit_of_the_same_block_is_no_less_stolen() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let user = w.ask_peg_in().await;
    let deposit = w.deposit(&user, DEPOSIT_SAT);
    let mut block = merge(&w, &made, std::slice::from_ref(&deposit));
    block.insert(0, deposit);
    w.mine(block).await;
    assert_eq!(w.alarms().await, ["foreign-settlement"]);
    assert_eq!(w.standing(&user).await, ("taken", None));
}

#[tokio::test]
async fn a_settlement_under_way_ends_with_a_theft_of_its_deposit() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let ready = w.ready_peg_ins(2).await;
    let (id, _) = w.settle().await;
    w.chain.clear_mempool();
    let mut reader = w.backend.store.read().await.unwrap();
    let deposit = reader.transaction(&ready[0].1.txid).await.unwrap().unwrap();
    drop(reader);
    w.mine(merge(&w, &made, &[deposit])).await;
    assert_eq!(w.settlement(id).await.state.name(), "abandoned");
    assert_eq!(w.standing(&ready[0].0).await, ("taken", None));
    assert_eq!(w.standing(&ready[1].0).await, ("ready", None));
}

#[tokio::test]
async fn a_step_that_its_sponsors_pay_for_raises_nothing() {
    let w = World::new().await;
    let (made, _) = settled(&w).await;
    let user = w.ready_peg_ins(1).await.remove(0).0;
    let height = w.tip_height().await + 1;
    for (name, step) in STEPS {
        let old = w.restored(w.backup()).await;
        let (_, sponsors) = sponsored(&old, name).await;
        let block = [vec![sponsors.clone()], step(&old, &made, &[sponsors])].concat();
        old.mine(block).await;
        assert_eq!(old.alarms().await, [""; 0], "{name}");
        assert_eq!(old.standing(&user).await, ("ready", None), "{name}");
        w.chain.fork_at(height);
    }
}

#[tokio::test]
async fn a_deposit_that_operators_spend_without_the_nft_is_a_theft() {
    let w = World::new().await;
    settled(&w).await;
    let (user, deposit) = w.ready_peg_ins(1).await.remove(0);
    let (other, theirs) = w.ready_peg_ins(1).await.remove(0);
    let mut reader = w.backend.store.read().await.unwrap();
    let request = reader.request(&user.id).await.unwrap().unwrap();
    drop(reader);
    let mut theft = transaction(&[deposit], vec![output(1_000, own_script(7))]);
    theft.input[0].witness = by_leaf(&tree(&w, &request.terms).leaf);
    // Its user's own way out is none.
    let mut reclaim = transaction(&[theirs], vec![output(1_000, own_script(7))]);
    reclaim.input[0].witness = Witness::from_slice(&[[0; 64].as_slice(), &[0x51], &[0xc0; 65]]);
    w.mine(vec![reclaim, theft]).await;
    let details = details(&w).await;
    assert_eq!(details.len(), 1, "{details:?}");
    assert!(details[0].starts_with("foreign-settlement"), "{details:?}");
    assert!(details[0].contains("by its operators' leaf"), "{details:?}");
    assert_eq!(w.standing(&user).await, ("taken", None));
    assert_eq!(w.standing(&other).await.0, "reclaimed");
    assert_eq!(w.build().await, Built::Hold);
}
