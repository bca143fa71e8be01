//! The accepting direction: whatever the strict reading accepts, Charms accepts as a previous
//! transaction, with the same charms on every output. What is signed and then unreadable to Charms
//! would lock the vault for good.

#![allow(missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, Transaction, TxOut};
use charms_data::{App, B32, Charms, Data};
use common::{AGREES, BRIDGE, Bridge, at, funding, mock_allowed, output, roster, transaction};
use grail_bridge_contract::check_previous;
use grail_prover::{MockProver, ProveRequest};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, Place, read_strict,
    utxo_id_from_outpoint, without_witnesses,
};
use grail_spell_judge::{charms_reading, charms_view, to_charms};
use proptest::prelude::*;

/// The charms that Charms itself sees on every output of `tx` but the spell's, where they are
/// spent.
fn spent_charms(tx: &Transaction, apps: &NormalizedSpell, vouts: &[u32]) -> Vec<Charms> {
    let child = transaction(
        &vouts.iter().map(|vout| at(tx, *vout)).collect::<Vec<_>>(),
        vec![output(330, 9)],
    );
    let spell = NormalizedSpell {
        app_public_inputs: apps.app_public_inputs.clone(),
        mock: true,
        ..NormalizedSpell::default()
    };
    let request = ProveRequest {
        spell: spell.committed_to(&child).expect("no output too many"),
        prev_txs: vec![without_witnesses(tx)],
        app_binaries: [(B32(common::vk_of(AGREES)), AGREES.to_vec())].into(),
        app_private_inputs: std::collections::BTreeMap::new(),
    };
    let view = charms_view(&request).expect("Charms takes it for a previous transaction");
    assert_eq!(view.ins.len(), vouts.len());
    view.ins
        .into_iter()
        .zip(vouts)
        .map(|((utxo, charms), vout)| {
            assert_eq!(utxo, utxo_id_from_outpoint(at(tx, *vout)));
            charms
        })
        .collect()
}

/// Says whether the strict reading accepts `tx`; what follows from that must hold.
fn accepted_by_all_if_by_grail(tx: &Transaction) -> bool {
    let Ok(strict) = read_strict(tx, Some(mock_allowed())) else {
        return false;
    };
    let bare = without_witnesses(tx);
    assert_eq!(check_previous(&serialize_hex(&bare)), Ok(()));
    // As it is, and as it will be shown to the contract.
    for tx in [tx, &bare] {
        let theirs = charms_reading(tx, strict.is_mock()).expect("Charms accepts what Grail signs");
        assert_eq!(theirs, to_charms(strict.spell()));
    }
    let Place::OpReturn { output_index } = strict.place() else {
        panic!("the strict reading takes spells in outputs alone");
    };
    let vouts: Vec<u32> = (0_u32..)
        .zip(&tx.output)
        .map(|(vout, _)| vout)
        .filter(|vout| *vout != output_index)
        .collect();
    if !vouts.is_empty() {
        let ours: Vec<_> = vouts.iter().map(|vout| strict.charms_at(*vout)).collect();
        assert_eq!(spent_charms(tx, strict.spell(), &vouts), ours);
    }
    true
}

#[test]
fn charms_accepts_the_bridges_own_transactions_as_previous_ones() {
    let bridge = Bridge::with_contract(BRIDGE);
    for tx in [&bridge.deployment, &bridge.settlement] {
        assert!(accepted_by_all_if_by_grail(tx));
    }
}

/// Anything that might be a charm's data or an app's public input, as large as it likes.
fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        Just(Data::empty()),
        any::<u64>().prop_map(|number| Data::from(&number)),
        any::<i64>().prop_map(|number| Data::from(&number)),
        ".{0,40}".prop_map(|text| Data::from(&text)),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Data::from(&bytes)),
        prop::collection::btree_map("[a-z]{0,9}", any::<u32>(), 0..4)
            .prop_map(|map| Data::from(&map)),
        any::<u64>().prop_map(|serial| roster(serial, 5).to_data()),
    ]
}

fn app() -> impl Strategy<Value = App> {
    let tag = prop_oneof![Just('n'), Just('t'), Just('r'), Just('z'), any::<char>()];
    (tag, any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(tag, identity, vk)| App {
        tag,
        identity: B32(identity),
        vk: B32(vk),
    })
}

/// A transaction with a mock spell that may or may not be in the one form.
fn tx() -> impl Strategy<Value = Transaction> {
    let charms = prop::collection::vec((any::<prop::sample::Index>(), data()), 0..3);
    (
        prop::collection::btree_map(app(), data(), 0..4),
        prop::collection::vec(charms, 0..4),
        0_usize..4,
        0_usize..3,
        0_usize..3,
        // What makes the form another.
        prop::option::weighted(0.1, 0_usize..4),
    )
        .prop_map(|(apps, outs, inputs, before, after, change)| {
            let count = apps.len();
            let charms = |charms: Vec<(prop::sample::Index, Data)>| -> NormalizedCharms {
                let index = |index: prop::sample::Index| u32::try_from(index.index(count));
                charms
                    .into_iter()
                    .filter(|_| count > 0)
                    .map(|(at, data)| (index(at).expect("few apps"), data))
                    .collect()
            };
            let mut spell = NormalizedSpell {
                tx: NormalizedTransaction {
                    outs: outs.into_iter().map(charms).collect(),
                    ..NormalizedTransaction::default()
                },
                app_public_inputs: apps,
                mock: true,
                ..NormalizedSpell::default()
            };
            match change {
                Some(0) => spell.version = 14,
                Some(1) => spell.tx.beamed_outs = Some([(0, B32([1; 32]))].into()),
                Some(2) => spell.tx.refs = Some(Vec::new()),
                Some(_) => spell.version = 16,
                None => {}
            }
            cast(spell, inputs, before, after)
        })
}

/// The spell proven on a transaction with so many inputs, outputs before the spell's that it does
/// not speak of, and outputs after.
fn cast(spell: NormalizedSpell, inputs: usize, before: usize, after: usize) -> Transaction {
    let coin = funding(1, &[1_000, 1_000, 1_000, 1_000]);
    let inputs: Vec<_> = (0..4).take(inputs).map(|vout| at(&coin, vout)).collect();
    let outputs = spell.tx.outs.len() + before;
    let mut tx = transaction(&inputs, (0..outputs).map(|_| output(330, 2)).collect());
    let proven = MockProver::new(mock_allowed())
        .prove_unchecked(&spell.committed_to(&tx).expect("outputs enough"))
        .expect("short enough");
    tx.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    tx.output.extend((0..after).map(|_| output(500, 3)));
    tx
}

#[test]
fn charms_accepts_as_previous_whatever_grail_would_sign() {
    let mut accepted = 0_u32;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..400 {
        let tree = tx().new_tree(&mut runner).expect("nothing is filtered");
        let tx = proptest::strategy::ValueTree::current(&tree);
        accepted += u32::from(accepted_by_all_if_by_grail(&tx));
    }
    // Otherwise this says nothing.
    assert!(accepted > 60, "only {accepted} were accepted");
}
