//! Reading spells, beside `charms-client` in the same run; and reading many at once.
//!
//! `cargo bench --manifest-path judges/spells/Cargo.toml --target-dir target/judges/spells --bench
//! spells`. Real transactions come from the spell vectors (`GRAIL_VECTORS`); without those only
//! mock spells are measured.
//!
//! Measured is the time that the one thread spends on a core, not the time that passes: other work
//! on the machine does not count, and throughput is per core.

#![allow(missing_docs)]

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::hashes::Hash as _;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness};
use charms_client::bitcoin_tx::BitcoinTx;
use charms_client::tx::EnchantedTx;
use charms_data::{App, B32, Data};
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use grail_charms::{read_compatible, read_compatible_batch};
use grail_prover::MockProver;
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, SPELL_VK};
use grail_types::{MockAllowed, Network};
use nix::time::{ClockId, clock_gettime};

/// The thread's time on a core.
struct CoreTime;

impl CoreTime {
    fn now() -> Duration {
        let now = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("Linux has this clock");
        Duration::from(now)
    }
}

impl Measurement for CoreTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Self::now()
    }

    fn end(&self, start: Duration) -> Duration {
        Self::now().saturating_sub(start)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WallTime.formatter()
    }
}

/// Protocol versions that share one verification key, of which there are the most vectors.
const SHARED_KEY: [u32; 8] = [4, 5, 6, 7, 8, 9, 10, 11];

fn mock_allowed() -> Option<MockAllowed> {
    MockAllowed::on(Network::Regtest)
}

/// The real transactions whose spell both accept, with its version.
fn real() -> Vec<(u32, Transaction)> {
    let root = env::var_os("GRAIL_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let Ok(folder) = fs::read_dir(root.join("spells")) else {
        println!("without real spells: set GRAIL_VECTORS");
        return Vec::new();
    };
    let mut files: Vec<_> = folder.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .into_iter()
        .filter(|file| file.extension().is_some_and(|extension| extension == "hex"))
        .filter_map(|file| {
            let hex = fs::read_to_string(file).ok()?;
            let tx: Transaction = deserialize_hex(hex.trim()).ok()?;
            let version = read_compatible(&tx, None).ok()??.version();
            Some((version, tx))
        })
        .collect()
}

/// The mock spell of a transaction of its own: two inputs, two outputs with a token.
fn mocked(number: u64) -> Transaction {
    let input = |byte| TxIn {
        previous_output: OutPoint {
            txid: Txid::from_byte_array([byte; 32]),
            vout: u32::try_from(number).unwrap_or_default(),
        },
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    };
    let output = TxOut {
        value: Amount::from_sat(1_000),
        script_pubkey: ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[7; 32]].concat()),
    };
    let mut tx = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![input(1), input(2)],
        output: vec![output; 2],
    };
    let app = App {
        tag: 't',
        identity: B32([1; 32]),
        vk: B32([2; 32]),
    };
    let amount = |sats: u64| NormalizedCharms::from([(0, Data::from(&sats))]);
    let spell = NormalizedSpell {
        tx: NormalizedTransaction {
            outs: vec![amount(number + 1), amount(5)],
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [(app, Data::empty())].into(),
        mock: true,
        ..NormalizedSpell::default()
    };
    let committed = spell.committed_to(&tx).expect("as many outputs");
    let proven = MockProver::new(mock_allowed().expect("regtest"))
        .prove_unchecked(&committed)
        .expect("mock proofs can be made");
    tx.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    tx
}

fn singly(criterion: &mut Criterion<CoreTime>) {
    let real = real();
    let of = |version| real.iter().find(|(found, _)| *found == version);
    let mut cases: Vec<(&str, Transaction)> = Vec::new();
    for (name, version) in [("v10", 10), ("v12", 12)] {
        cases.extend(of(version).map(|(_, tx)| (name, tx.clone())));
    }
    cases.push(("mock", mocked(0)));
    let mut group = criterion.benchmark_group("one");
    for (name, tx) in &cases {
        let theirs = BitcoinTx::Simple(tx.clone());
        let mock = *name == "mock";
        assert!(theirs.extract_and_verify_spell(&SPELL_VK, mock).is_ok());
        group.bench_function(BenchmarkId::new("charms-client", name), |bencher| {
            bencher.iter(|| black_box(&theirs).extract_and_verify_spell(&SPELL_VK, mock));
        });
        let allowed = mock_allowed().filter(|_| mock);
        assert!(matches!(read_compatible(tx, allowed), Ok(Some(_))));
        group.bench_function(BenchmarkId::new("grail-spell", name), |bencher| {
            bencher.iter(|| read_compatible(black_box(tx), allowed));
        });
    }
    group.finish();
}

fn batch_of(group: &mut BenchmarkGroup<'_, CoreTime>, name: &str, txs: &[Transaction]) {
    let mock = mock_allowed();
    let all_hold = read_compatible_batch(txs, mock, &[1; 32])
        .iter()
        .all(|read| matches!(read, Ok(Some(_))));
    assert!(all_hold, "{name}");
    group.throughput(Throughput::Elements(txs.len() as u64));
    group.bench_function(BenchmarkId::new(name, txs.len()), |bencher| {
        bencher.iter(|| read_compatible_batch(black_box(txs), mock, &[1; 32]));
    });
}

fn many(criterion: &mut Criterion<CoreTime>) {
    let real = real();
    let older: Vec<_> = real
        .iter()
        .filter(|(version, _)| SHARED_KEY.contains(version))
        .map(|(_, tx)| tx.clone())
        .collect();
    let newer: Vec<_> = real
        .iter()
        .filter(|(version, _)| *version == 12)
        .map(|(_, tx)| tx.clone())
        .collect();
    let mocks: Vec<_> = (0..1_000).map(mocked).collect();
    println!(
        "distinct spells: {} of versions 4 to 11, {} of version 12, repeated in turn; {} mocks",
        older.len(),
        newer.len(),
        mocks.len()
    );
    let mut group = criterion.benchmark_group("many");
    for count in [1, 10, 100, 1_000] {
        for (name, distinct) in [("v4-v11", &older), ("v12", &newer), ("mock", &mocks)] {
            if !distinct.is_empty() {
                let txs: Vec<_> = distinct.iter().cycle().take(count).cloned().collect();
                batch_of(&mut group, name, &txs);
            }
        }
    }
    group.finish();
}

/// What false proofs cost whoever looks for them: one, and all of them.
fn hostile(criterion: &mut Criterion<CoreTime>) {
    let mocks: Vec<_> = (0..100).map(mocked).collect();
    let spoil = |tx: &Transaction| {
        let mut tx = tx.clone();
        tx.input[0].sequence = Sequence::ZERO;
        tx.input[0].previous_output.vout ^= 1 << 20;
        tx
    };
    let mut one = mocks.clone();
    one[37] = spoil(&one[37]);
    let all: Vec<_> = mocks.iter().map(spoil).collect();
    let mut group = criterion.benchmark_group("hostile");
    for (name, txs, false_count) in [("one-of-100", &one, 1), ("all-of-100", &all, 100)] {
        let refused = read_compatible_batch(txs, mock_allowed(), &[1; 32])
            .iter()
            .filter(|read| read.is_err())
            .count();
        assert_eq!(refused, false_count);
        group.throughput(Throughput::Elements(100));
        group.bench_function(name, |bencher| {
            bencher.iter(|| read_compatible_batch(black_box(txs), mock_allowed(), &[1; 32]));
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .with_measurement(CoreTime)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = singly, many, hostile
}
criterion_main!(benches);
