//! What the strict reading refuses although the form of the spell is right and its proof may hold.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::{Amount, Transaction, TxOut};
use common::{BRIDGE, Bridge, at, false_real_proof, funding, mock_allowed, output, transaction};
use grail_bridge_contract::{Violation, check_previous};
use grail_charms::read_compatible;
use grail_prover::MockProver;
use grail_spell::{
    NormalizedSpell, ProofError, SpellError, StrictError, encode_op_return, read_strict,
    without_witnesses,
};

/// The order of the group, and so the modulus of scalars, of BN254.
const MODULUS: [u8; 32] = [
    0x30, 0x64, 0x4e, 0x72, 0xe1, 0x31, 0xa0, 0x29, 0xb8, 0x50, 0x45, 0xb6, 0x81, 0x81, 0x58, 0x5d,
    0x28, 0x33, 0xe8, 0x48, 0x79, 0xb9, 0x70, 0x91, 0x43, 0xe1, 0xf5, 0x93, 0xf0, 0x00, 0x00, 0x01,
];

/// A transaction whose spell, not a mock, has a well-formed proof with this nonce.
fn with_nonce(nonce: &[u8; 32]) -> Transaction {
    let coin = funding(1, &[1_000]);
    let mut proof = false_real_proof();
    proof[68..100].copy_from_slice(nonce);
    let spell_output = TxOut {
        value: Amount::ZERO,
        script_pubkey: encode_op_return(&NormalizedSpell::default(), &proof).unwrap(),
    };
    transaction(&[at(&coin, 0)], vec![spell_output])
}

#[test]
fn a_proof_to_be_signed_is_written_in_one_way() {
    let is_false = SpellError::Proof(ProofError::False);
    let unreduced = SpellError::Strict(StrictError::Nonce);
    let mut below = MODULUS;
    below[31] -= 1;
    let mut above = MODULUS;
    above[31] += 1;
    for (nonce, expected) in [
        ([0; 32], &is_false),
        (below, &is_false),
        (MODULUS, &unreduced),
        (above, &unreduced),
        ([0xff; 32], &unreduced),
    ] {
        let tx = with_nonce(&nonce);
        assert_eq!(read_strict(&tx, None).as_ref(), Err(expected));
        // Charms reduces it.
        assert_eq!(read_compatible(&tx, None).as_ref(), Err(&is_false));
    }
}

/// Without inputs the form is right and the mock proof holds; nothing could ever come from it.
#[test]
fn what_the_contract_lets_nobody_spend_later_is_not_signed() {
    let mut tx = transaction(&[], vec![output(330, 1)]);
    let spell = NormalizedSpell {
        mock: true,
        ..NormalizedSpell::default()
    };
    let proven = MockProver::new(mock_allowed())
        .prove_unchecked(&spell.committed_to(&tx).unwrap())
        .unwrap();
    tx.output.insert(
        0,
        TxOut {
            value: Amount::ZERO,
            script_pubkey: proven.op_return,
        },
    );
    assert!(read_compatible(&tx, Some(mock_allowed())).is_ok());
    assert_eq!(
        read_strict(&tx, Some(mock_allowed())),
        Err(SpellError::Strict(StrictError::Unspendable(
            Violation::PrevTxWitness
        )))
    );
}

#[test]
fn what_is_signed_can_be_spent_again() {
    let bridge = Bridge::with_contract(BRIDGE);
    for tx in [&bridge.deployment, &bridge.settlement] {
        read_strict(tx, Some(mock_allowed())).unwrap();
        let hex = bitcoin::consensus::encode::serialize_hex(&without_witnesses(tx));
        assert_eq!(check_previous(&hex), Ok(()));
    }
}
