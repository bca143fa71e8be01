//! The reader beside Charms' own decoding: what it accepts, that accepts, and reads the same.

use charms_data::{App, Data, Transaction, util};
use grail_app::Shown;
use grail_app_testing::{charms_app, encoded};

use crate::club::{CONTRACT, club, honest};

/// Of each honest input, how many changed ones are compared.
const CHANGED: u64 = 20_000;

struct Random(u64);

impl Random {
    /// Splitmix64 (Steele, Lea and Flood, 2014): seeded, so that a failure comes back.
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = (mixed ^ (mixed >> 31)) % u64::try_from(bound.max(1)).unwrap();
        usize::try_from(below).unwrap()
    }
}

type Decoded = (App, Transaction, Data, Data);

fn inputs() -> Vec<Vec<u8>> {
    let club = club();
    let spell = honest(&club).spell;
    let own = [club.app.clone(), club.share().unwrap()];
    own.iter()
        .map(|app| {
            let app = charms_app(app);
            let x = &spell.tx.app_public_inputs[&app];
            let w = spell.private.get(&app).cloned().unwrap_or_default();
            encoded(&app, &spell.tx, x, &w)
        })
        .collect()
}

/// One to three changes: a bit, an insertion, a cut, a piece repeated.
fn change(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            3 => {
                bytes.remove(at);
            }
            _ => {
                let end = bytes.len().min(at + 1 + random.below(40));
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len());
                bytes.splice(to..to, piece);
            }
        }
    }
}

#[test]
fn what_it_reads_charms_decodes_to_the_same_values() {
    let mut random = Random(7);
    let mut read = 0;
    for honest in inputs() {
        assert_same(&honest);
        for _ in 0..CHANGED {
            let mut bytes = honest.clone();
            change(&mut bytes, &mut random);
            if Shown::read(&bytes).is_ok() {
                read += 1;
                assert_same(&bytes);
            }
            if (CONTRACT.native)(&bytes).is_ok() {
                let (app, tx, x, w): Decoded = util::read(bytes.as_slice()).unwrap();
                assert_eq!((CONTRACT.native)(&encoded(&app, &tx, &x, &w)), Ok(()));
            }
        }
    }
    println!("{read} of the changed inputs were read");
    assert!(read > 100, "{read}");
}

fn assert_same(bytes: &[u8]) {
    let shown = Shown::read(bytes).unwrap();
    let decoded: Result<Decoded, _> = util::read(bytes);
    let (app, tx, x, w) = decoded.unwrap();
    assert_eq!(charms_app(&shown.judged().unwrap()), app);
    let ins: Vec<_> = shown
        .ins
        .iter()
        .map(|input| (*input.outpoint, charms(&input.charms)))
        .collect();
    let expected = tx
        .ins
        .iter()
        .map(|(utxo, charms)| (utxo.to_bytes(), charms.clone()));
    assert_eq!(ins, expected.collect::<Vec<_>>());
    let outs: Vec<_> = shown.outs.iter().map(|it| charms(it)).collect();
    assert_eq!(outs, tx.outs);
    assert_eq!(shown.refs, tx.refs.len());
    assert_eq!(charms(&shown.public_inputs), tx.app_public_inputs);
    assert_eq!((datum(shown.x), datum(shown.w)), (x, w));
    for (ours, theirs) in [
        (&shown.coin_ins, &tx.coin_ins),
        (&shown.coin_outs, &tx.coin_outs),
    ] {
        assert_eq!(ours.is_some(), theirs.is_some());
        let pairs = ours.iter().flatten().zip(theirs.iter().flatten());
        for (ours, theirs) in pairs {
            assert_eq!(ours.amount, theirs.amount);
            assert_eq!(ours.script, grail_app::raw_script(&theirs.dest));
            let foreign = theirs
                .content
                .as_ref()
                .is_some_and(|content| !content.is_empty());
            assert_eq!(ours.is_foreign, foreign);
        }
    }
    let previous: Vec<_> = shown
        .prev_txs
        .iter()
        .map(|(txid, data)| (txid.to_vec(), datum(data)))
        .collect();
    let expected = tx
        .prev_txs
        .iter()
        .map(|(txid, data)| (txid.0.to_vec(), data.clone()));
    assert_eq!(previous, expected.collect::<Vec<_>>());
}

fn datum(bytes: &[u8]) -> Data {
    Data::try_from_bytes(bytes).unwrap()
}

fn charms(charms: &grail_app::Charms<'_>) -> charms_data::Charms {
    let app = |raw: &[u8]| -> App { util::read(raw).unwrap() };
    charms
        .iter()
        .map(|(key, data)| (app(key), datum(data)))
        .collect()
}
