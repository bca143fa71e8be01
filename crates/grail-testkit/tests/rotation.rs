//! A rotation on a real node: only Bitcoin counts the wait, and pegs go on during it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use bitcoin::{Amount, FeeRate, Transaction, TxOut, Txid, secp256k1::Keypair};
use grail_bridge_contract::RosterState;
use grail_chain::{RejectReason, Verdict};
use grail_fixtures::world::{
    BRIDGE, Draft, Former, Peg, Setup, World, coin, p2tr, peg_in, public,
    steps::{signers_to_come, succession},
};
use grail_policy::{Approved, Decision, Signing};
use grail_script::{InternalKey, Sighashes, VaultTree};
use grail_testkit::Node;
use grail_txbuild::{Collector, Deposit, RotationStep, SettlementRequest};
use grail_types::{Kind, SignerIndex};
use grail_wire::{Contribution, Contributions};
use grail_witness::quorum_witness;

/// A bridge on a node, its roster's keys at hand.
struct Bridge {
    node: Node,
    world: World,
    nonce: u64,
}

impl Bridge {
    fn deployed() -> Self {
        let node = Node::start();
        let outpoint = node.fund(&World::deployer(), Amount::from_sat(1_000_000));
        let source = waiting(&node, outpoint.txid);
        node.mine(1);
        let setup = Setup {
            wasm: BRIDGE,
            ..Setup::default()
        };
        let world = World::deployed(setup, &source, outpoint.vout);
        node.send(&world.deployment);
        node.mine(1);
        Self {
            node,
            world,
            nonce: 0,
        }
    }

    /// Pays deposits for these pegs, and waits for a block.
    fn deposits(&mut self, pegs: &[Peg]) -> Vec<(Deposit, Transaction)> {
        let deposits = pegs
            .iter()
            .map(|peg| {
                self.nonce += 1;
                let terms = self.world.terms(peg, self.nonce);
                let script = self.world.deposit_script(&terms);
                let outpoint = self.node.fund(&script, Amount::from_sat(peg.amount));
                let made = waiting(&self.node, outpoint.txid);
                let deposit = Deposit {
                    terms,
                    coin: coin(&made, outpoint.vout),
                    token: 0,
                    previous_bytes: made.total_size(),
                };
                (deposit, made)
            })
            .collect();
        self.node.mine(1);
        deposits
    }

    /// Settles a deposit, in a transaction that waits for a block.
    fn settle(&mut self, deposit: (Deposit, Transaction)) {
        let (deposit, made) = deposit;
        let world = &self.world;
        let request = SettlementRequest {
            vault: (world.state.supply > 0).then(|| world.vault_coin()),
            ..world.request(vec![deposit])
        };
        let plan = request.plan(&world.secp).unwrap();
        assert_eq!(plan.left_out, []);
        let draft = Draft::of_plan(world, &plan, &[made]);
        let approved = world.approve(&draft.propose(world)).unwrap();
        let signed = signed(&world.keys, &approved);
        self.node.send(&signed);
        self.world = world.on(signed, plan.state);
    }

    /// Pays one deposit to the former roster's address and one to today's, and settles both with
    /// the signatures that each needs.
    fn settle_former(&mut self) {
        let world = &self.world;
        let peg = peg_in(3_000_000);
        let terms = [world.former_terms(&peg, 901), world.terms(&peg, 902)];
        let deposits: Vec<_> = terms
            .into_iter()
            .map(|terms| {
                let script = self.world.deposit_script(&terms);
                let outpoint = self.node.fund(&script, Amount::from_sat(peg.amount));
                let made = waiting(&self.node, outpoint.txid);
                let deposit = Deposit {
                    terms,
                    coin: coin(&made, outpoint.vout),
                    token: 0,
                    previous_bytes: made.total_size(),
                };
                (deposit, made)
            })
            .collect();
        self.node.mine(1);
        let world = &self.world;
        let (deposits, made): (Vec<_>, Vec<_>) = deposits.into_iter().unzip();
        let plan = world.request(deposits).plan(&world.secp).unwrap();
        assert_eq!((&plan.left_out[..], plan.items.len()), (&[][..], 2));
        let draft = Draft::of_plan(world, &plan, &made);
        let former = world.former.as_ref().unwrap();
        assert_eq!(draft.former.as_ref(), Some(&former.roster));
        let proposal = draft.propose(world);
        let judged = world.judge(&proposal).unwrap();
        let collector = Collector::new(judged.get().signing().clone()).unwrap();
        // Each by itself, for the inputs that it approves.
        let answer = |key: &Keypair| {
            let approved = world.approve_for(&proposal, &public(key)).unwrap();
            let contributions = contributions(key, approved.get().signing());
            let checked = collector.check(&world.secp, &public(key), &contributions);
            (public(key), checked.unwrap())
        };
        let is_gone = |key: &&Keypair| world.roster.position(&public(key)).is_none();
        let is_new = |key: &&Keypair| former.roster.position(&public(key)).is_none();
        let kept = world.keys.iter().filter(|key| !is_new(key)).take(10);
        // Thirteen of today, ten of whom are of the former roster too: of that it takes twelve.
        let today = world.keys.iter().filter(is_new).chain(kept);
        let mut signatures: BTreeMap<_, _> = today.map(answer).collect();
        assert_eq!(signatures.len(), 13);
        assert_eq!(collector.complete(&signatures).unwrap_err().input_index, 2);
        signatures.extend(former.keys.iter().filter(is_gone).map(answer));
        let signed = collector.complete(&signatures).unwrap();
        assert_eq!(signed.weight(), judged.get().signing().weight);
        self.node.send(&signed);
        self.world = self.world.on(signed, plan.state);
        self.node.mine(1);
    }

    /// A step of a rotation paid by this sponsor, signed by a quorum and not sent.
    fn step(
        &self,
        step: RotationStep,
        sponsor: (Deposit, Transaction),
        made: &[Transaction],
    ) -> Step {
        let world = &self.world;
        let mut step = world.step_paid_by(step, sponsor);
        step.draft.previous.extend_from_slice(made);
        step.draft.tidy_previous();
        let approved = step.approve(world).unwrap();
        Step {
            signed: signed(&world.keys, &approved),
            signing: approved.get().signing().clone(),
            state: step.state,
        }
    }
}

struct Step {
    signed: Transaction,
    signing: Signing,
    state: RosterState,
}

/// A transaction that is in no block yet.
fn waiting(node: &Node, txid: Txid) -> Transaction {
    let hex: String = node
        .rpc()
        .call("getrawtransaction", &[txid.to_string().into()])
        .unwrap();
    bitcoin::consensus::encode::deserialize_hex(&hex).unwrap()
}

/// The witnesses of a quorum of `keys`, which are in roster order.
fn signed(keys: &[Keypair], approved: &Approved<Decision>) -> Transaction {
    let signing = approved.get().signing();
    let secp = bitcoin::secp256k1::Secp256k1::new();
    let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
    let mut transaction = signing.transaction.clone();
    for (index, input) in signing.inputs.iter().enumerate() {
        let digest = sighashes.of(index, &input.spend).unwrap();
        let signatures: BTreeMap<_, _> = (0..)
            .map(SignerIndex)
            .zip(keys)
            .take(usize::from(input.roster.threshold().0))
            .map(|(signer, key)| (signer, secp.sign_schnorr_no_aux_rand(&digest, key)))
            .collect();
        transaction.input[index].witness = quorum_witness(&input.spend, &signatures).unwrap();
    }
    transaction
}

/// What a signer contributes: a signature for each input that is its own.
fn contributions(key: &Keypair, signing: &Signing) -> Contributions {
    let secp = bitcoin::secp256k1::Secp256k1::new();
    let mut sighashes = Sighashes::new(&signing.transaction, &signing.prevouts);
    let own = signing.inputs_of(&public(key));
    let signed = own.map(|index| Contribution::Signature {
        input_index: u16::try_from(index).unwrap(),
        signature: secp.sign_schnorr_no_aux_rand(
            &sighashes.of(index, &signing.inputs[index].spend).unwrap(),
            key,
        ),
    });
    Contributions::new(signed.collect()).unwrap()
}

/// NFT and vault of `transaction`, satoshis.
fn backing(transaction: &Transaction) -> (u64, u64) {
    let sat = |output: &TxOut| output.value.to_sat();
    (sat(&transaction.output[0]), sat(&transaction.output[1]))
}

#[test]
fn a_rotation_waits_for_its_coin_while_twenty_settlements_pass_by() {
    let mut bridge = Bridge::deployed();
    let mut pegs = vec![
        peg_in(5_000_000),
        sponsor(Kind::SponsorAnnounce),
        sponsor(Kind::SponsorExecute),
    ];
    pegs.extend(vec![peg_in(1_000_000); 20]);
    let mut deposits = bridge.deposits(&pegs).into_iter();
    let mut deposit = || deposits.next().unwrap();
    bridge.settle(deposit());
    bridge.node.mine(1);

    // Announced, by consent of the administrators.
    let succession = succession(&bridge.world);
    let announcing = bridge.world.announcement(&succession);
    let announcement = bridge.step(announcing, deposit(), &[]);
    bridge.node.send(&announcement.signed);
    bridge.node.mine(1);
    let (announcement, state) = (announcement.signed, announcement.state);
    let wait = u32::from(state.next.as_ref().unwrap().wait);
    bridge.world = bridge.world.on(announcement.clone(), state);

    // The block after the next is the first that may hold the execution.
    bridge.node.mine(wait - 2);
    let sponsor = deposit();
    for _ in 0..20 {
        bridge.settle(deposit());
    }
    let execution = bridge.step(
        RotationStep::Execute {
            succession: Box::new(succession.clone()),
            notice: coin(&announcement, 2),
        },
        sponsor,
        &[announcement],
    );
    let refused = bridge.node.test_accept(&execution.signed);
    assert!(
        matches!(
            &refused,
            Verdict::Rejected {
                reason: RejectReason::NonFinal,
                ..
            }
        ),
        "{refused:?}"
    );
    bridge.node.mine_empty();
    bridge.node.send(&execution.signed);
    // One block takes all that waited.
    let block = bridge.node.mine(1).remove(0);
    assert_eq!(bridge.node.block(&block).txdata.len(), 1 + 20 + 1);

    // The vault's coin is at the next roster's, and as much as exists.
    let before = execution.signing.prevouts[1].value.to_sat();
    assert_eq!(backing(&execution.signed), (1_000, before));
    assert_eq!(execution.state.supply, before);
    let next = VaultTree::new(
        &bridge.world.secp,
        InternalKey::Nums,
        &succession.roster,
        &succession.governance,
    );
    assert_eq!(execution.signed.output[1].script_pubkey, next.script_pubkey);

    // And the next roster goes on.
    let former = Former {
        roster: bridge.world.roster.clone(),
        keys: bridge.world.keys.clone(),
    };
    let mut world = bridge.world.on(execution.signed, execution.state);
    world.roster = succession.roster.clone();
    world.governance = succession.governance.clone();
    world.params = succession.params.clone();
    world.keys = signers_to_come(&bridge.world);
    world.vault = next;
    world.former = Some(former);
    bridge.world = world;
    let deposit = bridge.deposits(&[peg_in(2_000_000)]).remove(0);
    bridge.settle(deposit);
    bridge.node.mine(1);
    let (_, vault) = backing(&bridge.world.genesis);
    assert_eq!(vault, bridge.world.state.supply);
    assert!(vault > before);
    // What was paid to the former roster's address, before or after, needs signatures of both.
    bridge.settle_former();
    let rate = FeeRate::from_sat_per_kwu(250);
    assert!(execution.signing.fee >= rate.fee_wu(execution.signing.weight).unwrap());
}

fn sponsor(kind: Kind) -> Peg {
    Peg {
        kind,
        amount: 30_000,
        fee_cap: 30_000,
        destination: p2tr(9),
    }
}
