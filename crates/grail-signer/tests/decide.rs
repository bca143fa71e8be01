//! Decisions: what gets signed, what is refused, and that nobody else can answer.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
#[path = "../../grail-script/tests/support/reference.rs"]
#[allow(dead_code, reason = "a part is used here")]
mod reference;
#[path = "../../grail-policy/tests/support/mod.rs"]
mod support;

use bitcoin::{
    TxOut,
    secp256k1::{Message, Secp256k1, schnorr::Signature},
};
use common::{Script, answer, decide, fault, signer_with};
use grail_policy::{Proposal, RefusalRecord};
use grail_script::{DepositTree, InternalKey};
use grail_signer::{
    Answer, AnswerError, SettlementSignatures, Signer, Verdict, encode_proposal, proposal_id,
};
use reference::{Spend, leaf_hash};
use support::{World, keypair, p2wpkh, public, real_world, world};

fn signer(world: &World, position: usize) -> Signer {
    signer_with(&world.bridge, &world.params, &world.keys[position]).0
}

fn usual(world: &World) -> Proposal {
    world.usual().draft.propose(world)
}

/// A settlement that is refused: a payout goes elsewhere.
fn theft(world: &World) -> Proposal {
    let mut draft = world.usual().draft;
    draft.transaction.output[3].script_pubkey = p2wpkh(66);
    draft.propose(world)
}

fn ask(signer: &mut Signer, proposal: &Proposal) -> Answer {
    let encoded = encode_proposal(proposal).unwrap();
    answer(decide(signer, &encoded, &mut Script::counting(100)))
}

fn signatures(answer: &Answer) -> &[Signature] {
    match &answer.verdict {
        Verdict::Signed(SettlementSignatures(signatures)) => signatures,
        Verdict::Refused(record) => panic!("refused: {record:?}"),
    }
}

fn refusal(answer: &Answer) -> &RefusalRecord {
    match &answer.verdict {
        Verdict::Signed(_) => panic!("signed"),
        Verdict::Refused(record) => record,
    }
}

/// What each input spends, looked up by outpoint alone.
fn prevouts(proposal: &Proposal) -> Vec<TxOut> {
    let inputs = proposal.transaction.input.iter();
    inputs
        .map(|input| {
            let made = proposal
                .previous
                .iter()
                .find(|made| made.compute_txid() == input.previous_output.txid);
            made.unwrap().output[input.previous_output.vout as usize].clone()
        })
        .collect()
}

/// The digest of each input by BIP-341, from the leaves that the templates have.
fn digests(world: &World, proposal: &Proposal) -> Vec<[u8; 32]> {
    let prevouts = prevouts(proposal);
    let vault = leaf_hash(0xc0, world.vault.leaf.script());
    let deposits = proposal.requests.iter().map(|terms| {
        let tree = DepositTree::new(&world.secp, InternalKey::Nums, terms, &world.roster);
        leaf_hash(0xc0, tree.leaf.script())
    });
    let of_vault = prevouts.len() - proposal.requests.len();
    std::iter::repeat_n(vault, of_vault)
        .chain(deposits)
        .enumerate()
        .map(|(input_index, leaf)| {
            Spend {
                transaction: &proposal.transaction,
                prevouts: &prevouts,
                input_index,
                hash_type: 0,
                leaf: Some(leaf),
            }
            .sighash()
        })
        .collect()
}

#[test]
fn an_approved_settlement_is_signed_input_by_input() {
    for world in [world(), real_world()] {
        let proposal = usual(world);
        let answer = ask(&mut signer(world, 3), &proposal);
        let key = public(&world.keys[3]);
        assert_eq!(answer.signer, key);
        assert_eq!(
            answer.proposal,
            proposal_id(&encode_proposal(&proposal).unwrap())
        );
        let signatures = signatures(&answer);
        let digests = digests(world, &proposal);
        assert_eq!(signatures.len(), proposal.transaction.input.len());
        let secp = Secp256k1::verification_only();
        for (signed, signature) in signatures.iter().enumerate() {
            for (input, digest) in digests.iter().enumerate() {
                let message = Message::from_digest(*digest);
                let holds = secp.verify_schnorr(signature, &message, &key).is_ok();
                assert_eq!(holds, signed == input, "{signed} for {input}");
            }
        }
        assert!(answer.verify(&secp).is_ok());
    }
}

#[test]
fn every_signature_gets_fresh_randomness() {
    let world = world();
    let proposal = usual(world);
    let encoded = encode_proposal(&proposal).unwrap();
    let mut signer = signer(world, 0);
    let mut entropy = Script::counting(0);
    let first = answer(decide(&mut signer, &encoded, &mut entropy));
    // One draw per input, one for the answer.
    assert_eq!(entropy.draws, 7);
    let second = answer(decide(&mut signer, &encoded, &mut entropy));
    assert_eq!(entropy.draws, 14);
    for (one, two) in signatures(&first).iter().zip(signatures(&second)) {
        assert_ne!(one, two);
    }
}

#[test]
fn a_refusal_is_an_answer_with_code_and_details() {
    let world = world();
    let proposal = theft(world);
    let answer = ask(&mut signer(world, 0), &proposal);
    let record = refusal(&answer);
    assert_eq!(record.code, "wrong-destination");
    let request = proposal.requests[1].id().to_string();
    assert!(record.details.contains(&request), "{}", record.details);
    assert!(answer.verify(&Secp256k1::verification_only()).is_ok());
}

#[test]
fn a_signer_outside_the_roster_signs_nothing() {
    let world = world();
    let (mut stranger, _) = signer_with(&world.bridge, &world.params, &keypair(99));
    let answer = ask(&mut stranger, &usual(world));
    assert_eq!(refusal(&answer).code, "not-in-roster");
}

#[test]
fn a_proposal_for_other_params_is_refused() {
    let world = world();
    let mut proposal = usual(world);
    proposal.params_hash.0[0] ^= 1;
    let answer = ask(&mut signer(world, 0), &proposal);
    assert_eq!(refusal(&answer).code, "wrong-params");
}

#[test]
fn a_signer_of_other_params_refuses_what_others_sign() {
    let world = world();
    let params = world
        .params
        .with(|values| values.deposit_confirmations += 1)
        .unwrap();
    let (mut other, _) = signer_with(&world.bridge, &params, &world.keys[0]);
    let mut proposal = usual(world);
    assert_eq!(refusal(&ask(&mut other, &proposal)).code, "wrong-params");
    // Nor does it help to name the signer's params: the NFT is bound to the others.
    proposal.params_hash = params.hash(&world.bridge);
    assert_eq!(refusal(&ask(&mut other, &proposal)).code, "nft-params");
}

type Change = fn(&mut Answer, &Answer);

#[test]
fn no_tampered_answer_is_its_signers() {
    let world = world();
    let mut signer = signer(world, 0);
    let (signed, refused) = (
        ask(&mut signer, &usual(world)),
        ask(&mut signer, &theft(world)),
    );
    let changes: [Change; 12] = [
        |answer, _| answer.proposal.0[0] ^= 1,
        |answer, _| answer.proposal.0[31] ^= 0x80,
        |answer, _| answer.signer = public(&keypair(98)),
        |answer, other| answer.verdict = other.verdict.clone(),
        |answer, other| answer.authentication = other.authentication,
        |answer, other| answer.proposal = other.proposal,
        |answer, _| answer.verdict = Verdict::Signed(SettlementSignatures(Vec::new())),
        |answer, _| {
            answer.verdict = Verdict::Refused(RefusalRecord {
                code: String::new(),
                details: String::new(),
            });
        },
        |answer, _| match &mut answer.verdict {
            Verdict::Signed(SettlementSignatures(signatures)) => signatures.swap(0, 1),
            Verdict::Refused(record) => record.code.push('x'),
        },
        |answer, _| match &mut answer.verdict {
            Verdict::Signed(SettlementSignatures(signatures)) => drop(signatures.pop()),
            Verdict::Refused(record) => record.details.push(' '),
        },
        |answer, _| match &mut answer.verdict {
            Verdict::Signed(SettlementSignatures(signatures)) => signatures.push(signatures[0]),
            // A letter moves from one field to the other.
            Verdict::Refused(record) => {
                let last = record.code.pop().unwrap();
                record.details.insert(0, last);
            }
        },
        |answer, _| {
            let mut bytes = answer.authentication.serialize();
            bytes[40] ^= 1;
            answer.authentication = Signature::from_slice(&bytes).unwrap();
        },
    ];
    let secp = Secp256k1::verification_only();
    for (answer, other) in [(&signed, &refused), (&refused, &signed)] {
        assert!(answer.clone().verify(&secp).is_ok());
        for (index, change) in changes.iter().enumerate() {
            let mut tampered = answer.clone();
            change(&mut tampered, other);
            assert_eq!(tampered.verify(&secp), Err(AnswerError), "change {index}");
        }
    }
}

#[test]
fn bytes_that_are_no_proposal_are_a_fault_not_an_answer() {
    let world = world();
    let mut signer = signer(world, 0);
    let sound = encode_proposal(&usual(world)).unwrap();
    let trailing = [sound.as_slice(), &[0]].concat();
    let cut = sound[..sound.len() - 1].to_vec();
    for bytes in [vec![], vec![0xff; 100], trailing, cut] {
        let response = decide(&mut signer, &bytes, &mut Script::counting(0));
        assert_eq!(fault(response), "proposal-malformed");
    }
    // And nothing changed.
    let response = decide(&mut signer, &sound, &mut Script::counting(0));
    assert_eq!(signatures(&answer(response)).len(), 6);
}

#[test]
fn broken_randomness_signs_nothing() {
    let world = world();
    let mut signer = signer(world, 0);
    let encoded = encode_proposal(&usual(world)).unwrap();
    for draws in 0..7 {
        let mut entropy = Script::breaking_after(draws);
        assert_eq!(
            fault(decide(&mut signer, &encoded, &mut entropy)),
            "entropy"
        );
    }
    let mut entropy = Script::breaking_after(7);
    let response = decide(&mut signer, &encoded, &mut entropy);
    assert_eq!(signatures(&answer(response)).len(), 6);
}

#[test]
fn a_decision_depends_on_nothing_that_was_asked_before() {
    let world = world();
    let proposals = [usual(world), theft(world), {
        let mut wrong = usual(world);
        wrong.params_hash.0[5] ^= 1;
        wrong
    }]
    .map(|proposal| encode_proposal(&proposal).unwrap());
    let alone: Vec<_> = proposals
        .iter()
        .map(|proposal| {
            let mut fresh = signer(world, 2);
            answer(decide(&mut fresh, proposal, &mut Script::counting(50)))
        })
        .collect();
    let orders = [[0, 1, 2, 0], [2, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 2]];
    for order in orders {
        let mut signer = signer(world, 2);
        for asked in order {
            let response = decide(&mut signer, &proposals[asked], &mut Script::counting(50));
            assert_eq!(answer(response), alone[asked], "{order:?}");
        }
    }
}
