//! What a decision needs of memory, whatever it is shown: an enclave that runs out of it signs
//! nothing until it restarts.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeMap;

use bitcoin::{OutPoint, ScriptBuf, Transaction, opcodes::all::OP_RETURN, script::PushBytesBuf};
use charms_data::{App, B32, Data};
use common::{Script, answer, decide, signer_with};
use grail_fixtures::world::{PROOF_BYTES, Proposal, output, peg_in, world};
use grail_signer::DECISION_MAX_BYTES;
use grail_spell::{NormalizedSpell, NormalizedTransaction};
use grail_wire::{PREVIOUS_MAX_BYTES, Verdict, encode_proposal};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Nearly what a transaction of standard weight can carry of a spell.
const PAYLOAD_BYTES: usize = 398_000;

/// Outputs that fit into a transaction beside such a payload.
const OUTPUTS: usize = 66_000;

/// A settlement of peg-ins, each made by a transaction that also carries a payload: charms for so
/// many outputs, which are there, and `input` as an app's public input.
fn proposal(deposits: usize, outputs: usize, input: Data) -> Proposal {
    let world = world();
    let mut draft = world.case(&vec![peg_in(1_000_000); deposits]).draft;
    let app = App {
        tag: 'x',
        identity: B32([1; 32]),
        vk: B32([2; 32]),
    };
    let spell = NormalizedSpell {
        app_public_inputs: [(app, input)].into(),
        mock: true,
        tx: NormalizedTransaction {
            outs: vec![[(0, Data::from(&0))].into(); outputs],
            ..NormalizedTransaction::default()
        },
        ..NormalizedSpell::default()
    };
    let mut payload = Vec::new();
    ciborium::into_writer(&(spell, vec![0_u8; PROOF_BYTES]), &mut payload).unwrap();
    let payload = ScriptBuf::builder()
        .push_opcode(OP_RETURN)
        .push_slice(b"spell")
        .push_slice(PushBytesBuf::try_from(payload).unwrap())
        .into_script();
    for index in 2..2 + deposits {
        let spent: OutPoint = draft.transaction.input[index].previous_output;
        let made = draft
            .previous
            .iter_mut()
            .find(|made| made.compute_txid() == spent.txid)
            .unwrap();
        made.output.push(output(0, payload.clone()));
        let outputs = made.output.len().max(outputs);
        made.output.resize(outputs, output(0, ScriptBuf::new()));
        draft.transaction.input[index].previous_output.txid = made.compute_txid();
    }
    let bytes: usize = draft.previous.iter().map(Transaction::base_size).sum();
    assert!(bytes <= PREVIOUS_MAX_BYTES && bytes + bytes / deposits > PREVIOUS_MAX_BYTES);
    draft.propose(world)
}

/// The most memory that a decision needs, the request itself among it.
fn peak(what: &str, proposal: &Proposal) -> usize {
    let world = world();
    let encoded = encode_proposal(&proposal.wire()).unwrap();
    let (mut signer, _) = signer_with(&world.bridge, &world.keys[0]);
    // Keys are prepared once in a process.
    let usual = encode_proposal(&world.usual().draft.propose(world).wire()).unwrap();
    answer(decide(&mut signer, &usual, &mut Script::counting(1)));

    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let decided = decide(&mut signer, &encoded, &mut Script::counting(2));
    let peak = MEMORY.peak_usage().checked_sub(before).unwrap();
    // What it is refused for is what the payloads leave of the deposits, so they were read.
    let Verdict::Refused(record) = answer(decided).verdict else {
        panic!("{what}: signed");
    };
    assert_eq!(
        record.code.as_str(),
        "unexpected-charms",
        "{what}: {record:?}"
    );
    println!(
        "{what}: {} transactions, {} KiB shown, {} KiB at the most",
        proposal.previous.len(),
        encoded.len() >> 10,
        peak >> 10
    );
    peak
}

/// One after the other: what is counted is the process's.
#[test]
fn no_decision_needs_more_than_the_documented_maximum() {
    let lists = |bytes: usize| Data::from(&vec![[0_u8]; bytes / 2]);
    let maps = |bytes: usize| Data::from(&vec![BTreeMap::from([(0_u8, 0_u8)]); bytes / 3]);
    let text = Data::from(&"x".repeat(PAYLOAD_BYTES));
    for (what, proposal) in [
        ("text", proposal(31, 0, text)),
        ("lists", proposal(31, 0, lists(PAYLOAD_BYTES))),
        ("maps", proposal(31, 0, maps(PAYLOAD_BYTES))),
        (
            "outputs",
            proposal(12, OUTPUTS, maps(PAYLOAD_BYTES - 3 * OUTPUTS)),
        ),
    ] {
        let peak = peak(what, &proposal);
        assert!(peak <= DECISION_MAX_BYTES, "{what}: {peak} bytes");
    }
}
