//! Transfers of zkBTC around a prover whose proofs have any size.
#![allow(clippy::unwrap_used)]

mod common;

use std::cell::{Cell, RefCell};

use bitcoin::script::PushBytesBuf;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid};
use common::{Charm, bridge, coin, conjure, conjurer, funding, output, plain, sat};
use grail_types::BridgeApp;
use grail_wallet::fund::FundError;
use grail_wallet::holdings::{Coin, PlainCoin};
use grail_wallet::transfer::{
    ProveFailure, SpellFailure, SpellProver, TokenOutput, TokenPayment, Unproven,
};

const CONTRACT: &[u8] = b"the bridge's contract";

/// Gives scripts of these lengths, one after the other, then of the last one's.
struct Lengths {
    sizes: Vec<usize>,
    asked: Cell<usize>,
    previous: RefCell<Vec<Txid>>,
}

impl Lengths {
    fn new(lengths: &[usize]) -> Self {
        Self {
            sizes: lengths.to_vec(),
            asked: Cell::new(0),
            previous: RefCell::default(),
        }
    }
}

impl SpellProver for Lengths {
    fn prove(&self, unproven: Unproven<'_>) -> Result<ScriptBuf, ProveFailure> {
        assert_eq!(unproven.contract, CONTRACT);
        let seen = unproven.previous.iter().map(Transaction::compute_txid);
        *self.previous.borrow_mut() = seen.collect();
        let asked = self.asked.replace(self.asked.get() + 1);
        let length = self.sizes[asked.min(self.sizes.len() - 1)];
        let payload = PushBytesBuf::try_from(vec![1; length]).unwrap();
        Ok(ScriptBuf::new_op_return(payload))
    }
}

struct World {
    bridge: BridgeApp,
    source: Transaction,
    plain: Vec<PlainCoin>,
}

impl World {
    /// Two coins of 50 zkBTC in one transaction, and plain coins of these values.
    fn new(values: &[u64]) -> Self {
        let token = || (output(330), Charm::Token(50));
        Self {
            bridge: bridge().app,
            source: conjure(&funding(100_000), 0, &[token(), token()]),
            plain: plain(values),
        }
    }

    fn pay(&self, prover: &impl SpellProver) -> Result<Transaction, SpellFailure> {
        let coins: Vec<Coin> = [0, 1]
            .map(|vout| coin(&self.source, vout, 1))
            .into_iter()
            .collect();
        let known: Vec<Transaction> = self
            .plain
            .iter()
            .map(|plain| funding(plain.coin().output.value.to_sat()))
            .chain([self.source.clone()])
            .collect();
        let previous = |txid: &Txid| {
            let mut known = known.iter();
            known.find(|known| known.compute_txid() == *txid).cloned()
        };
        let funded = TokenPayment {
            bridge: &self.bridge,
            carrier: sat(330),
            outputs: vec![TokenOutput {
                script: conjurer(),
                amount: sat(100),
            }],
            inputs: coins,
            foreign: None,
            plain: &self.plain,
            fee_rate: FeeRate::BROADCAST_MIN,
            change_script: conjurer(),
            contract: CONTRACT,
            previous: &previous,
        }
        .prove(prover)?;
        Ok(funded.transaction)
    }
}

#[test]
fn a_transfer_is_zkbtc_then_spell_then_change() {
    let world = World::new(&[20_000]);
    let prover = Lengths::new(&[500]);
    let transaction = world.pay(&prover).unwrap();
    let [token, spell, change] = &transaction.output[..] else {
        panic!("{transaction:?}")
    };
    assert_eq!(token.value, sat(330));
    assert!(spell.script_pubkey.is_op_return());
    assert!(change.value > sat(19_000));
    assert_eq!(prover.asked.get(), 1);
    // Two inputs of one transaction and one of another: each transaction is shown once.
    assert_eq!(transaction.input.len(), 3);
    assert_eq!(prover.previous.borrow().len(), 2);
}

#[test]
fn fee_and_change_are_settled_with_the_proofs_true_size() {
    let world = World::new(&[20_000]);
    let change = |length| {
        let transaction = world.pay(&Lengths::new(&[length])).unwrap();
        transaction.output[2].value.to_sat()
    };
    assert_eq!(change(400) - change(500), 100);
    assert_eq!(change(400) - change(2_000), 1_600);
}

#[test]
fn a_proof_larger_than_guessed_brings_more_coins_in() {
    // Enough for the guess, and not for a proof of 3,000 bytes.
    let world = World::new(&[1_400, 2_900, 1_300]);
    let prover = Lengths::new(&[3_000]);
    let transaction = world.pay(&prover).unwrap();
    assert_eq!(prover.asked.get(), 2, "inputs changed: proven again");
    assert_eq!(transaction.input.len(), 4);
}

#[test]
fn a_size_that_never_settles_ends() {
    let values: Vec<u64> = (0..40).map(|more| 1_500 + more).collect();
    let world = World::new(&values);
    let prover = Lengths::new(&[3_000, 6_000, 9_000, 12_000, 15_000]);
    assert!(matches!(world.pay(&prover), Err(SpellFailure::Unsettled)));
    assert_eq!(prover.asked.get(), 4);
}

#[test]
fn a_previous_transaction_that_is_not_at_hand_is_named() {
    let mut world = World::new(&[20_000]);
    world.plain = plain(&[20_000]);
    let stranger = funding(20_000).compute_txid();
    let payment = |known: &dyn Fn(&Txid) -> Option<Transaction>| {
        TokenPayment {
            bridge: &world.bridge,
            carrier: sat(330),
            outputs: vec![TokenOutput {
                script: conjurer(),
                amount: sat(50),
            }],
            inputs: vec![coin(&world.source, 0, 1)],
            foreign: None,
            plain: &world.plain,
            fee_rate: FeeRate::BROADCAST_MIN,
            change_script: conjurer(),
            contract: CONTRACT,
            previous: known,
        }
        .prove(&Lengths::new(&[500]))
    };
    let source = world.source.clone();
    let only_source = |txid: &Txid| (*txid == source.compute_txid()).then(|| source.clone());
    match payment(&only_source) {
        Err(SpellFailure::MissingPrevious(txid)) => assert_eq!(txid, stranger),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_provers_refusal_keeps_its_code_and_words() {
    struct Refuses;
    impl SpellProver for Refuses {
        fn prove(&self, _: Unproven<'_>) -> Result<ScriptBuf, ProveFailure> {
            Err(ProveFailure {
                code: "prove-unavailable",
                reason: "later".into(),
            })
        }
    }
    let failure = World::new(&[20_000]).pay(&Refuses).unwrap_err();
    assert_eq!(
        (failure.code(), failure.to_string().as_str()),
        ("prove-unavailable", "later")
    );
    let broke = World::new(&[400]).pay(&Refuses).unwrap_err();
    assert!(matches!(
        broke,
        SpellFailure::Fund(FundError::NotEnoughBtc { .. })
    ));
}
