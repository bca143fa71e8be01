//! Many spells read at once: the verdicts are those of reading each alone. Here, where mock proofs
//! can be made; real ones come from the vectors.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use ark_bls12_381::{Bls12_381, G1Affine};
use ark_groth16::Proof;
use ark_serialize::{CanonicalDeserialize as _, CanonicalSerialize as _};
use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use charms_data::Data;
use grail_charms::{PrevTx, read_compatible, read_compatible_batch};
use grail_prover::MockProver;
use grail_spell::{
    BridgeCharms, NormalizedCharms, NormalizedSpell, NormalizedTransaction, Place, PreviousBatch,
    ProofError, SpellError, VerifiedSpell, decode_op_return, encode_op_return, read_strict,
    token_app,
};
use grail_types::{BridgeApp, MockAllowed, Network};
use proptest::prelude::*;

const SEED: [u8; 32] = [3; 32];

fn mock_allowed() -> Option<MockAllowed> {
    MockAllowed::on(Network::Regtest)
}

fn output(sats: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[7; 32]].concat()),
    }
}

/// A transaction of one input and one output, told apart by `number`, without a spell.
fn plain(number: u8) -> Transaction {
    let input = TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array([number; 32]),
            vout: 0,
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input],
        output: vec![output(1_000)],
    }
}

/// Its zkBTC is what the spells here carry.
const BRIDGE: BridgeApp = BridgeApp {
    identity: [1; 32],
    vk: [2; 32],
};

/// A mock spell of `version` on `plain(number)`: `number` of zkBTC on output 0.
fn mocked(version: u32, number: u8) -> Transaction {
    let mut tx = plain(number);
    let app = token_app(&BRIDGE);
    let spell = NormalizedSpell {
        version,
        tx: NormalizedTransaction {
            outs: vec![NormalizedCharms::from([(
                0,
                Data::from(&u64::from(number)),
            )])],
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [(app, Data::empty())].into(),
        mock: true,
        ..NormalizedSpell::default()
    };
    let proven = MockProver::new(mock_allowed().unwrap())
        .prove_unchecked(&spell.committed_to(&tx).unwrap())
        .unwrap();
    tx.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    tx
}

/// The proof's bytes changed.
fn with_proof(mut tx: Transaction, change: impl FnOnce(&mut Vec<u8>)) -> Transaction {
    let mut found = decode_op_return(&tx).unwrap().unwrap();
    change(&mut found.proof);
    tx.output[1].script_pubkey = encode_op_return(&found.spell, &found.proof).unwrap();
    tx
}

/// A point of G1 that is not at infinity.
fn some_point() -> G1Affine {
    let found = decode_op_return(&mocked(15, 99)).unwrap().unwrap();
    Proof::<Bls12_381>::deserialize_compressed(found.proof.as_slice())
        .unwrap()
        .a
}

/// The proof's point C moved by `by`: a well-formed proof that is false.
fn with_c_moved(tx: Transaction, by: G1Affine) -> Transaction {
    with_proof(tx, |bytes| {
        let mut proof = Proof::<Bls12_381>::deserialize_compressed(bytes.as_slice()).unwrap();
        proof.c = (proof.c + by).into();
        bytes.clear();
        proof.serialize_compressed(bytes).unwrap();
    })
}

/// The real transactions of the spell vectors, where those are.
fn vectors() -> Vec<Transaction> {
    let root = std::env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let Ok(folder) = fs::read_dir(root.join("spells")) else {
        println!("without the spell vectors (set GRAIL_VECTORS)");
        return Vec::new();
    };
    let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "hex"))
        .map(|file| deserialize_hex(fs::read_to_string(file).unwrap().trim()).unwrap())
        .collect()
}

/// Spells of many versions and both kinds of proof, good and bad in every way, and transactions
/// without one.
fn pool() -> &'static [Transaction] {
    static POOL: OnceLock<Vec<Transaction>> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = vectors();
        // Real proofs bind their inputs: false, though well-formed, of every key.
        let moved = pool.clone().into_iter().map(|mut tx| {
            tx.input[0].previous_output.vout ^= 1;
            tx
        });
        pool.extend(moved.collect::<Vec<_>>());
        pool.extend((1..6).map(|number| mocked(15, number)));
        pool.extend([(9, 6), (12, 7), (1, 8), (16, 10), (0, 20)].map(|(v, n)| mocked(v, n)));
        pool.extend([11, 12].map(plain));
        let generator = some_point();
        pool.push(with_c_moved(mocked(15, 13), generator));
        pool.push(with_c_moved(mocked(15, 14), -generator));
        pool.push(with_proof(mocked(15, 15), |proof| proof.push(0)));
        pool.push(with_proof(mocked(15, 16), |proof| proof[5] ^= 1));
        pool.push(with_proof(mocked(15, 17), |proof| proof.fill(0)));
        // Another version than was proven: false. And one that no real proof can be of.
        for (version, mock) in [(0, true), (16, false)] {
            let mut respelled = mocked(15, 9);
            let mut found = decode_op_return(&respelled).unwrap().unwrap();
            (found.spell.version, found.spell.mock) = (version, mock);
            respelled.output[1].script_pubkey =
                encode_op_return(&found.spell, &found.proof).unwrap();
            pool.push(respelled);
        }
        let mut unreadable = mocked(15, 18);
        unreadable.output[1].script_pubkey.push_slice(b"more");
        pool.push(unreadable);
        let mut two = mocked(15, 19);
        two.output.push(two.output[1].clone());
        pool.push(two);
        pool
    })
}

fn assert_as_singly(txs: &[Transaction], seed: &[u8; 32]) {
    for mock in [None, mock_allowed()] {
        let singly: Vec<_> = txs.iter().map(|tx| read_compatible(tx, mock)).collect();
        assert_eq!(read_compatible_batch(txs, mock, seed), singly);
        assert_keeps_what_it_reads(txs, mock, seed);
    }
}

/// Reading one at a time and keeping only what is spent gives what reading and keeping all gives.
fn assert_keeps_what_it_reads(txs: &[Transaction], mock: Option<MockAllowed>, seed: &[u8; 32]) {
    // Asked for out of order and twice, and one that is not there.
    let vouts = [1, 0, 1, 7];
    let mut batch = PreviousBatch::new(&BRIDGE, mock);
    for tx in txs {
        batch.read(tx, &vouts);
    }
    let kept = batch.finish(seed);
    let whole = PrevTx::read_committed_batch(txs, mock, seed);
    assert_eq!(kept.len(), whole.len());
    for (kept, whole) in kept.iter().zip(&whole) {
        assert_eq!(kept.txid(), whole.txid());
        assert_eq!(kept.rejected(), whole.rejected());
        for vout in vouts {
            assert_eq!(kept.spent(vout).map(|it| &it.output), whole.output(vout));
            if let Some(spent) = kept.spent(vout) {
                assert_eq!(spent.carried, whole.bridge_charms(vout, &BRIDGE));
            }
        }
        assert_eq!(kept.spent(2), None, "not asked for");
    }
}

type Wanted = fn(&Result<Option<VerifiedSpell>, SpellError>) -> bool;

#[test]
fn reads_all_at_once_as_each_alone() {
    let pool = pool();
    assert_as_singly(pool, &SEED);
    let verdicts = read_compatible_batch(pool, mock_allowed(), &SEED);
    let wanted: [Wanted; 6] = [
        |verdict| matches!(verdict, Ok(Some(_))),
        |verdict| matches!(verdict, Ok(None)),
        |verdict| matches!(verdict, Err(SpellError::Proof(ProofError::MockFalse))),
        |verdict| matches!(verdict, Err(SpellError::Proof(ProofError::MockPoint))),
        |verdict| matches!(verdict, Err(SpellError::Proof(ProofError::Version { .. }))),
        |verdict| matches!(verdict, Err(SpellError::Envelope(_))),
    ];
    for wanted in wanted {
        assert!(
            verdicts.iter().any(wanted),
            "the pool is poor: {verdicts:?}"
        );
    }
}

#[test]
fn what_is_kept_of_the_pool_is_of_every_kind() {
    let mut batch = PreviousBatch::new(&BRIDGE, mock_allowed());
    for tx in pool() {
        batch.read(tx, &[0]);
    }
    let kept = batch.finish(&SEED);
    let carried = |wanted: &BridgeCharms| {
        kept.iter()
            .filter_map(|previous| previous.spent(0))
            .any(|spent| spent.carried == *wanted)
    };
    for wanted in [
        BridgeCharms::Nothing,
        BridgeCharms::Token(3),
        BridgeCharms::Other,
    ] {
        assert!(carried(&wanted), "{wanted:?}");
    }
}

#[test]
fn reads_nothing_of_nothing() {
    assert_eq!(read_compatible_batch(&[], None, &SEED), []);
}

#[test]
fn refuses_two_forged_proofs_whose_errors_cancel() {
    let by = some_point();
    let (good, other) = (mocked(15, 1), mocked(15, 2));
    // The two errors cancel in a plain product of the equations.
    let forged = [
        with_c_moved(good.clone(), by),
        with_c_moved(other.clone(), -by),
    ];
    let is_false = Err(SpellError::Proof(ProofError::MockFalse));
    for seed in [[0; 32], SEED, [255; 32]] {
        let txs = [
            good.clone(),
            forged[0].clone(),
            forged[1].clone(),
            other.clone(),
        ];
        let verdicts = read_compatible_batch(&txs, mock_allowed(), &seed);
        assert!(verdicts[0].is_ok() && verdicts[3].is_ok());
        assert_eq!((&verdicts[1], &verdicts[2]), (&is_false, &is_false));
        assert_as_singly(&forged, &seed);
    }
}

#[test]
fn one_false_proof_among_many_is_found_wherever_it_is() {
    let good: Vec<_> = (1..10).map(|number| mocked(15, number)).collect();
    for place in 0..good.len() {
        let mut txs = good.clone();
        txs[place] = with_c_moved(txs[place].clone(), some_point());
        let verdicts = read_compatible_batch(&txs, mock_allowed(), &SEED);
        let refused: Vec<_> = (0..txs.len()).filter(|&at| verdicts[at].is_err()).collect();
        assert_eq!(refused, [place]);
    }
}

#[test]
fn the_same_transaction_many_times_is_read_each_time() {
    let txs = vec![mocked(15, 1); 5];
    assert!(
        read_compatible_batch(&txs, mock_allowed(), &SEED)
            .iter()
            .all(|verdict| matches!(verdict, Ok(Some(_))))
    );
}

#[test]
fn previous_transactions_are_read_at_once_as_each_alone() {
    let txs = pool();
    let batch = PrevTx::read_committed_batch(txs, mock_allowed(), &SEED);
    assert_eq!(batch.len(), txs.len());
    for (tx, read) in txs.iter().zip(batch) {
        let alone = PrevTx::read_committed(tx, mock_allowed());
        assert_eq!(read.txid(), tx.compute_txid());
        assert_eq!((read.tx(), read.spell()), (alone.tx(), alone.spell()));
        assert_eq!(read.rejected(), alone.rejected());
    }
}

/// What a prover adds: its fee before the spell, change after it. No proof binds either.
#[test]
fn strict_reading_takes_one_output_before_the_spell_and_one_after() {
    let mut tx = mocked(15, 1);
    read_strict(&tx, mock_allowed()).unwrap();
    tx.output.push(output(500));
    read_strict(&tx, mock_allowed()).unwrap();
    tx.output.insert(1, output(600));
    let place = read_strict(&tx, mock_allowed()).unwrap().place();
    assert_eq!(place, Place::OpReturn { output_index: 2 });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_mixture_reads_as_each_alone(
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..14),
        seed: [u8; 32],
    ) {
        let txs: Vec<_> = places.iter().map(|place| place.get(pool()).clone()).collect();
        assert_as_singly(&txs, &seed);
    }
}
