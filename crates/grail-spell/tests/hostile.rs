//! Foreign bytes end in a verdict, never in a panic.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::consensus::encode::deserialize;

use bitcoin::{ScriptBuf, Transaction, Witness};
use common::{carrier, carrying, op_return, spell};
use grail_charms::read_compatible;
use grail_spell::{find_spell, read_strict};
use grail_types::{MockAllowed, Network};
use proptest::collection::vec;
use proptest::prelude::*;

fn read_every_way(tx: &Transaction) {
    for mock in [None, MockAllowed::on(Network::Regtest)] {
        let _ = find_spell(tx);
        let _ = read_compatible(tx, mock);
        let _ = read_strict(tx, mock);
    }
}

fn payload(version: u32, mock: bool, proof: &[u8]) -> Vec<u8> {
    let mut spell = spell();
    (spell.version, spell.mock) = (version, mock);
    let mut bytes = Vec::new();
    ciborium::into_writer(&(spell, proof), &mut bytes).unwrap();
    bytes
}

proptest! {
    #[test]
    fn any_transaction_bytes(bytes in vec(any::<u8>(), 0..500)) {
        if let Ok(tx) = deserialize::<Transaction>(&bytes) {
            read_every_way(&tx);
        }
    }

    #[test]
    fn any_output_script(bytes in vec(any::<u8>(), 0..300)) {
        read_every_way(&carrier(ScriptBuf::from_bytes(bytes)));
    }

    #[test]
    fn any_payload(bytes in vec(any::<u8>(), 0..300)) {
        read_every_way(&carrier(op_return(bytes)));
    }

    #[test]
    fn any_witness(items in vec(vec(any::<u8>(), 0..80), 0..5)) {
        let mut tx = carrier(ScriptBuf::new());
        tx.input[1].witness = Witness::from_slice(&items);
        read_every_way(&tx);
    }

    #[test]
    fn any_proof_of_any_version(
        version in 0_u32..18,
        mock: bool,
        proof in prop_oneof![vec(any::<u8>(), 0..400), vec(any::<u8>(), 192..=192), vec(any::<u8>(), 260..=260)],
    ) {
        let mut claimed = spell();
        (claimed.version, claimed.mock) = (version, mock);
        let tx = carrying(&claimed, &proof);
        read_every_way(&tx);
        prop_assert!(read_compatible(&tx, MockAllowed::on(Network::Regtest)).is_err());
    }

    #[test]
    fn any_change_of_a_payload(
        version in 0_u32..18,
        mock: bool,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        let mut bytes = payload(version, mock, &[0; 192]);
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_every_way(&carrier(op_return(bytes)));
    }
}

#[test]
fn deep_nesting_is_an_error() {
    for opening in [0x81_u8, 0xa1, 0xc1, 0x9f, 0xbf] {
        read_every_way(&carrier(op_return(vec![opening; 50_000])));
    }
}

#[test]
fn huge_announced_lengths_allocate_nothing() {
    for head in [0x9b_u8, 0xbb, 0x5b, 0x7b] {
        let mut bytes = vec![0x82, head];
        bytes.extend([0xff; 8]);
        assert!(find_spell(&carrier(op_return(bytes))).is_err());
    }
}
