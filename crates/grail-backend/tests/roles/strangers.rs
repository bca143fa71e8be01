//! Deposits of rosters that never were, in settlements that a quorum signed beside its users'
//! (ADR 28): counted, told to nobody, and no cover for a theft.

use bitcoin::{Amount, OutPoint, Transaction, Witness, XOnlyPublicKey};
use grail_backend::roles::build::Built;
use grail_fixtures::{house::House, world::coin};
use grail_script::{DepositTree, InternalKey};
use grail_txbuild::{Deposit, SettlementRequest};
use grail_types::{Epoch, Roster, Terms, Threshold};

use super::{
    bridge::{first_house, own_script, payment, prover},
    foreign::{by_leaf, details, lookalike, state, terms_of_nobody},
    operators::key,
    rotation::{SECOND, get, house, mine_settled, rotation, settled},
    users::{Asked, DEPOSIT_SAT},
    world::World,
};

/// A bridge in its second epoch.
struct Rotated {
    w: World,
    /// Who holds it.
    house: House,
    /// What made NFT and vault.
    made: Transaction,
    minted: u64,
    /// A request of the first epoch whose deposit nobody settles.
    victim: (Asked, OutPoint),
    /// Another one of now, with its deposit.
    user: Asked,
    deposit: Transaction,
}

async fn rotated() -> Rotated {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let victim = w.ready_peg_ins(1).await.remove(0);
    let house = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &house);
    mine_settled(&w, &step).await;
    let user = w.ask_peg_in().await;
    let deposit = w.deposit(&user, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    Rotated {
        w,
        house,
        made: step.transaction.clone(),
        minted,
        victim,
        user,
        deposit,
    }
}

/// A deposit within a settlement: its terms, what made it as output 0, how it is spent.
#[derive(Clone)]
struct Part {
    terms: Terms,
    made: Transaction,
    witness: Witness,
}

/// Four keys of one person, who says that they were the first epoch's.
fn invented() -> Roster {
    let mut keys = [41, 42, 43, 44].map(key).to_vec();
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(0), keys, Threshold(3)).unwrap()
}

/// The keys of today, said to have been the first epoch's.
fn antedated(house: &House) -> Roster {
    let keys = house.roster.signers().to_vec();
    Roster::new(Epoch(0), keys, house.roster.threshold()).unwrap()
}

impl Rotated {
    async fn terms(&self, asked: &Asked) -> Terms {
        let mut reader = self.w.backend.store.read().await.unwrap();
        reader.request(&asked.id).await.unwrap().unwrap().terms
    }

    /// A coin at the address of these terms with this roster.
    fn part(&self, terms: &Terms, roster: &Roster) -> Part {
        let tree = DepositTree::new(&self.w.backend.secp, InternalKey::Nums, terms, roster);
        Part {
            terms: terms.clone(),
            made: payment(self.w.next_number(), tree.script_pubkey, DEPOSIT_SAT),
            witness: by_leaf(&tree.leaf),
        }
    }

    /// The same in a block.
    async fn mined_part(&self, terms: &Terms, roster: &Roster) -> Part {
        let part = self.part(terms, roster);
        self.w.mine(vec![part.made.clone()]).await;
        part
    }

    async fn users_part(&self) -> Part {
        let part = self.part(&self.terms(&self.user).await, &self.house.roster);
        let made = self.deposit.clone();
        Part { made, ..part }
    }

    /// What spends them as a quorum would sign it that is shown `former`.
    fn settlement(&self, former: Option<&Roster>, parts: &[Part]) -> Transaction {
        self.altered(former, parts, [0, 0])
    }

    /// The same with so much more in the vault and so much less supply than follows.
    fn altered(
        &self,
        former: Option<&Roster>,
        parts: &[Part],
        [vault, supply]: [u64; 2],
    ) -> Transaction {
        let backend = &self.w.backend;
        let deposit = |part: &Part| Deposit {
            terms: part.terms.clone(),
            coin: coin(&part.made, 0),
            token: 0,
            previous_bytes: 100,
        };
        let request = SettlementRequest {
            bridge: backend.bridge(),
            params: backend.params(),
            roster: &self.house.roster,
            former,
            governance: backend.protocol().governance(),
            state: &state(&self.w, &self.made),
            nft: coin(&self.made, 0),
            nft_confirmations: 0,
            vault: Some(coin(&self.made, 1)),
            deposits: parts.iter().map(deposit).collect(),
            fee_rate: backend.params().fee_rate_min,
            deficit: Amount::ZERO,
            proof_bytes: backend.prover.proof_bytes(),
            prover_fee: None,
        };
        let mut plan = request.plan(&backend.secp).unwrap();
        let (mut spell, mut after) = (plan.spell.clone(), plan.state.clone());
        after.supply -= supply;
        plan.transaction.output[1].value += Amount::from_sat(vault);
        spell.tx.coins.as_mut().unwrap()[1].amount += vault;
        for charm in spell.tx.outs[0].values_mut() {
            *charm = after.to_data();
        }
        let op_return = prover().prove_unchecked(&spell).unwrap().op_return;
        let mut signed = plan.with_spell(None, op_return);
        for input in &mut signed.input {
            let made_it = |part: &&Part| part.made.compute_txid() == input.previous_output.txid;
            let part = parts.iter().find(made_it);
            input.witness = part.map_or_else(
                || by_leaf(&self.house.vault.leaf),
                |part| part.witness.clone(),
            );
        }
        signed
    }

    /// Mines it for a copy of the database, and goes back. What alarms say, and the user's state.
    async fn mined(&self, settlement: Transaction) -> (Vec<String>, &'static str) {
        let height = self.w.tip_height().await + 1;
        let old = self.w.restored(self.w.backup()).await;
        old.mine(vec![settlement]).await;
        old.mine_empty(1).await;
        self.w.chain.fork_at(height);
        (details(&old).await, old.standing(&self.user).await.0)
    }
}

/// The settlement is adopted with all that is in it, and the bridge goes on.
async fn check_adopted(it: &Rotated, w: &World, signed: &Transaction) {
    let minted: u64 = w.tokens(signed).values().sum();
    w.check_reserves(it.minted + minted).await;
    assert_eq!(w.alarms().await, [""; 0]);
    let newest = w.settlements().await.pop().unwrap();
    assert_eq!(newest.txid, Some(signed.compute_txid()));
    assert_eq!(newest.state.name(), "final");
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.settlement_items(newest.id).await.unwrap().len(), 2);
    drop(reader);
    let path = format!("/v1/settlements/{}", signed.compute_txid());
    let (status, told) = get(w, &path).await;
    assert_eq!((status, &told["request_count"]), (200, &2.into()));
    w.ready_peg_ins(1).await;
    assert_eq!(w.build().await, Built::Draft);
}

#[tokio::test]
async fn a_deposit_of_an_invented_roster_beside_a_users_raises_nothing() {
    let it = rotated().await;
    let w = &it.w;
    let invented = invented();
    let stranger = it.mined_part(&terms_of_nobody(w, 1), &invented).await;
    let parts = [it.users_part().await, stranger];
    let signed = it.settlement(Some(&invented), &parts);
    let height = w.tip_height().await + 1;
    for is_relayed in [true, false] {
        let old = w.restored(w.backup()).await;
        if is_relayed {
            w.chain.relay(signed.clone());
            old.look().await;
            assert_eq!(old.standing(&it.user).await, ("settling", None));
        }
        old.mine(vec![signed.clone()]).await;
        old.mine_empty(1).await;
        assert_eq!(old.standing(&it.user).await, ("paid", None));
        let (_, told) = get(&old, &format!("/v1/settlements/{}", signed.compute_txid())).await;
        assert_eq!(told["requests"], serde_json::json!([it.user.id]));
        check_adopted(&it, &old, &signed).await;
        check_adopted(&it, &old.rebuilt().await, &signed).await;
        w.chain.clear_mempool();
        w.chain.fork_at(height);
    }
}

#[tokio::test]
async fn known_terms_under_another_roster_are_nobodys_deposit() {
    let it = rotated().await;
    let w = &it.w;
    let (victim, own) = &it.victim;
    let antedated = antedated(&it.house);
    let stranger = it.mined_part(&it.terms(victim).await, &antedated).await;
    let theirs = OutPoint::new(stranger.made.compute_txid(), 0);
    let parts = [it.users_part().await, stranger];
    let signed = it.settlement(Some(&antedated), &parts);
    let before = w.standing(victim).await;
    w.mine(vec![signed.clone()]).await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&it.user).await, ("paid", None));
    // The request of these terms goes by its own deposit, as before.
    assert_eq!(w.standing(victim).await, before);
    assert_eq!(w.request(victim).await.deposit(), Some(*own));
    let mut reader = w.backend.store.read().await.unwrap();
    assert_eq!(reader.deposit(&theirs).await.unwrap(), None);
    drop(reader);
    let (_, told) = get(w, &format!("/v1/settlements/{}", signed.compute_txid())).await;
    assert_eq!(told["requests"], serde_json::json!([it.user.id]));
    check_adopted(&it, w, &signed).await;
}

/// Its address was made with a roster that a reorg took back, and the coin is at the address with
/// the one that came instead.
#[tokio::test]
async fn terms_whose_address_the_rows_have_from_another_roster_are_nobodys() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let height = w.tip_height().await + 1;
    let other = house(&w, 1, &[5, 6, 7, 8]);
    mine_settled(&w, &rotation(&w, &made, &first_house(), &other)).await;
    let victim = w.ready_peg_ins(1).await.remove(0);
    w.chain.fork_at(height);
    w.mine_empty(3).await;
    let house = house(&w, 1, &SECOND);
    let step = rotation(&w, &made, &first_house(), &house);
    mine_settled(&w, &step).await;
    let user = w.ask_peg_in().await;
    let deposit = w.deposit(&user, DEPOSIT_SAT);
    let it = Rotated {
        w,
        house,
        made: step.transaction.clone(),
        minted,
        victim,
        user,
        deposit,
    };
    let w = &it.w;
    let stranger = it.part(&it.terms(&it.victim.0).await, &it.house.roster);
    w.mine(vec![it.deposit.clone(), stranger.made.clone()])
        .await;
    let before = w.standing(&it.victim.0).await;
    let signed = it.settlement(None, &[it.users_part().await, stranger]);
    w.mine(vec![signed.clone()]).await;
    w.mine_empty(1).await;
    assert_eq!(w.standing(&it.user).await, ("paid", None));
    assert_eq!(w.standing(&it.victim.0).await, before);
    check_adopted(&it, w, &signed).await;
}

#[tokio::test]
async fn a_strangers_deposit_hides_no_theft_beside_it() {
    let it = rotated().await;
    let w = &it.w;
    let invented = invented();
    let stranger = it.mined_part(&terms_of_nobody(w, 1), &invented).await;
    let users = it.users_part().await;
    // What is paid for the user's goes to the stranger.
    let mut terms = users.terms.clone();
    terms.destination = own_script(78).try_into().unwrap();
    let redirected = Part {
        terms,
        ..users.clone()
    };
    let parts = [redirected, stranger.clone()];
    let stolen = it.settlement(Some(&invented), &parts);
    let (details, standing) = it.mined(stolen).await;
    assert!(details[0].contains("does not pay request"), "{details:?}");
    assert_eq!(standing, "taken");
    // The user's deposit is shown as the stranger's would be: whose it is say the rows.
    let terms = Terms {
        destination: own_script(78).try_into().unwrap(),
        ..terms_of_nobody(w, 2)
    };
    let shown = it.part(&terms, &invented);
    let renamed = Part {
        made: users.made.clone(),
        ..shown
    };
    let parts = [renamed, stranger.clone()];
    let stolen = it.settlement(Some(&invented), &parts);
    let (details, standing) = it.mined(stolen).await;
    assert!(details[0].contains("does not pay request"), "{details:?}");
    assert_eq!(standing, "taken");
    // More in the vault than what was minted, or less of that in existence.
    let parts = [users, stranger];
    let more = it.altered(Some(&invented), &parts, [1, 0]);
    let (details, standing) = it.mined(more).await;
    assert!(
        details[0].contains("the vault's coin does not follow"),
        "{details:?}"
    );
    assert_eq!(standing, "taken");
    let less = it.altered(Some(&invented), &parts, [0, 1]);
    let (details, standing) = it.mined(less).await;
    assert!(
        details[0].contains("the supply does not follow"),
        "{details:?}"
    );
    assert_eq!(standing, "taken");
    // With none of it the same is a settlement.
    let sound = it.settlement(Some(&invented), &parts);
    assert_eq!(it.mined(sound).await, (Vec::new(), "paid"));
}

#[tokio::test]
async fn known_terms_under_another_roster_bind_as_ever() {
    let it = rotated().await;
    let w = &it.w;
    let (antedated, invented) = (antedated(&it.house), invented());
    let victims = it.terms(&it.victim.0).await;
    let users = it.terms(&it.user).await;
    // Paid to somebody else.
    let mut elsewhere = it.part(&victims, &antedated);
    elsewhere.terms.destination = own_script(78).try_into().unwrap();
    // Of the epoch of now, which has one roster.
    let of_now = it.part(&users, &invented);
    // A tree that has the leaf, and another one than the user's beside it.
    let (script, witness) = lookalike(w, &victims);
    let terms = victims.clone();
    let made = payment(w.next_number(), script, DEPOSIT_SAT);
    let lookalike = Part {
        terms,
        made,
        witness,
    };
    // The vault's leaf, and the user's: no deposit's.
    let mut by_vault = it.part(&terms_of_nobody(w, 1), &invented);
    by_vault.made = payment(
        w.next_number(),
        it.house.vault.script_pubkey.clone(),
        DEPOSIT_SAT,
    );
    by_vault.witness = by_leaf(&it.house.vault.leaf);
    let cases = [
        (elsewhere, "does not pay request"),
        (of_now, "is not at the address of request"),
        (lookalike, "is not at the address of request"),
        (by_vault, "is no deposit"),
    ];
    let made = cases.iter().map(|(part, _)| part.made.clone()).collect();
    w.mine(made).await;
    for (stranger, reason) in cases {
        let epoch = stranger.terms.epoch;
        let former = [&antedated, &invented]
            .into_iter()
            .find(|former| former.epoch() == epoch);
        let signed = it.settlement(former, &[it.users_part().await, stranger]);
        let (details, standing) = it.mined(signed).await;
        assert!(details[0].contains(reason), "{details:?}");
        assert_eq!(standing, "taken");
    }
}

#[tokio::test]
async fn before_an_epoch_is_over_no_roster_but_the_first_has_deposits() {
    let w = World::new().await;
    let (made, minted) = settled(&w).await;
    let victim = w.ready_peg_ins(1).await.remove(0);
    let user = w.ask_peg_in().await;
    let deposit = w.deposit(&user, DEPOSIT_SAT);
    w.mine(vec![deposit.clone()]).await;
    let it = Rotated {
        w,
        house: first_house(),
        made,
        minted,
        victim,
        user,
        deposit,
    };
    let invented = invented();
    let stranger = it.part(&terms_of_nobody(&it.w, 1), &invented);
    it.w.mine(vec![stranger.made.clone()]).await;
    let parts = [it.users_part().await, stranger];
    let signed = it.settlement(Some(&invented), &parts);
    let (details, standing) = it.mined(signed).await;
    assert!(details[0].contains("is no deposit"), "{details:?}");
    assert_eq!(standing, "taken");
}
