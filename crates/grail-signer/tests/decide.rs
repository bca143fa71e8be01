//! Decisions: what gets signed, what is refused, and that nobody else can answer.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;
use grail_fixtures::script::reference;
use grail_fixtures::world as support;

use bitcoin::{
    TxOut,
    secp256k1::{Message, Secp256k1, schnorr::Signature},
};
use common::{Script, Signer, answer, attempt, decide, decide_again, fault, signer_with};
use grail_ask::{AnswerError, VerifiedAnswer};
use grail_script::{DepositTree, InternalKey};
use grail_wire::{
    Answer, AskerId, Attempt, Contribution, Contributions, ProposalId, RefusalCode, RefusalRecord,
    Text, Verdict, encode_proposal,
};
use reference::{Spend, leaf_hash};
use support::{Proposal, World, keypair, p2wpkh, public, real_world, world};

fn signer(world: &World, position: usize) -> Signer {
    signer_with(&world.bridge, &world.keys[position]).0
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
    let encoded = encode_proposal(&proposal.wire()).unwrap();
    answer(decide(signer, &encoded, &mut Script::counting(100)))
}

/// One signature per input, in order.
fn signatures(answer: &Answer) -> Vec<Signature> {
    let contributions = match &answer.verdict {
        Verdict::Contributed(contributions) => contributions,
        Verdict::Refused(record) => panic!("refused: {record:?}"),
    };
    let inputs = contributions.iter().enumerate();
    inputs
        .map(|(index, contribution)| {
            let Contribution::Signature {
                input_index,
                signature,
            } = contribution;
            assert_eq!(usize::from(*input_index), index);
            *signature
        })
        .collect()
}

fn refusal(answer: &Answer) -> &RefusalRecord {
    match &answer.verdict {
        Verdict::Contributed(_) => panic!("signed"),
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
            ProposalId::of(&encode_proposal(&proposal.wire()).unwrap())
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
        assert!(VerifiedAnswer::new(&secp, answer).is_ok());
    }
}

#[test]
fn every_signature_gets_fresh_randomness() {
    let world = world();
    let proposal = usual(world);
    let encoded = encode_proposal(&proposal.wire()).unwrap();
    let mut signer = signer(world, 0);
    let mut entropy = Script::counting(0);
    let first = answer(decide(&mut signer, &encoded, &mut entropy));
    // One draw per input, one for the answer.
    assert_eq!(entropy.draws, 7);
    let second = answer(decide(&mut signer, &encoded, &mut entropy));
    assert_eq!(entropy.draws, 14);
    for (one, two) in signatures(&first).into_iter().zip(signatures(&second)) {
        assert_ne!(one, two);
    }
}

#[test]
fn a_refusal_is_an_answer_with_code_and_details() {
    let world = world();
    let proposal = theft(world);
    let answer = ask(&mut signer(world, 0), &proposal);
    let record = refusal(&answer);
    assert_eq!(record.code, RefusalCode::WrongDestination);
    let request = proposal.requests[1].id().to_string();
    assert!(
        record.details.as_str().contains(&request),
        "{}",
        record.details
    );
    assert!(VerifiedAnswer::new(&Secp256k1::verification_only(), answer).is_ok());
}

#[test]
fn a_signer_outside_the_roster_signs_nothing() {
    let world = world();
    let (mut stranger, _) = signer_with(&world.bridge, &keypair(99));
    let answer = ask(&mut stranger, &usual(world));
    assert_eq!(refusal(&answer).code, RefusalCode::NotInRoster);
}

#[test]
fn a_proposal_that_shows_other_params_is_refused() {
    let world = world();
    let mut proposal = usual(world);
    proposal.params = world
        .params
        .with(|values| values.fee_rate_max = bitcoin::FeeRate::from_sat_per_kwu(2_000_000))
        .unwrap();
    let answer = ask(&mut signer(world, 0), &proposal);
    assert_eq!(refusal(&answer).code, RefusalCode::NftParams);
}

/// A thief deploys a bridge of his own, names the real roster in it and shows it to the real
/// signers: his "NFT" with the real vault's address, under whatever parameters he likes.
#[test]
fn a_foreign_bridge_under_the_real_rosters_vault_is_refused() {
    let world = world();
    let mut elsewhere = world.bridge;
    elsewhere.app.identity[0] ^= 1;
    let mut mainnet = world.bridge;
    mainnet.network = grail_types::Network::Mainnet;
    for (bridge, code) in [
        (elsewhere, RefusalCode::WrongApps),
        (mainnet, RefusalCode::MockSpell),
    ] {
        let (mut other, _) = signer_with(&bridge, &world.keys[0]);
        assert_eq!(refusal(&ask(&mut other, &usual(world))).code, code);
    }
}

type Change = fn(&mut Answer, &Answer);

/// Changes what is contributed, or adds to the words of a refusal.
fn tamper(answer: &mut Answer, change: fn(&mut Vec<Contribution>), more: &str) {
    match &mut answer.verdict {
        Verdict::Contributed(contributions) => {
            let mut list = contributions.to_vec();
            change(&mut list);
            *contributions = Contributions::new(list).unwrap();
        }
        Verdict::Refused(record) => {
            record.details = Text::cut(&format!("{}{more}", record.details));
        }
    }
}

#[test]
fn no_tampered_answer_is_its_signers() {
    let world = world();
    let mut signer = signer(world, 0);
    let (signed, refused) = (
        ask(&mut signer, &usual(world)),
        ask(&mut signer, &theft(world)),
    );
    let changes: [Change; 13] = [
        |answer, _| answer.proposal.0[0] ^= 1,
        |answer, _| answer.proposal.0[31] ^= 0x80,
        |answer, _| answer.attempt.number += 1,
        |answer, _| answer.attempt.asker = AskerId([8; 16]),
        |answer, _| answer.signer = public(&keypair(98)),
        |answer, other| answer.verdict = other.verdict.clone(),
        |answer, other| answer.authentication = other.authentication,
        |answer, other| answer.proposal = other.proposal,
        |answer, _| {
            answer.verdict = Verdict::Contributed(Contributions::new(Vec::new()).unwrap());
        },
        |answer, _| {
            answer.verdict = Verdict::Refused(RefusalRecord {
                code: RefusalCode::from(""),
                details: Text::cut(""),
            });
        },
        |answer, _| tamper(answer, |contributions| contributions.truncate(5), "x"),
        |answer, _| {
            tamper(
                answer,
                |contributions| {
                    let Contribution::Signature { input_index, .. } =
                        contributions.last_mut().unwrap();
                    *input_index += 1;
                },
                " ",
            );
        },
        |answer, _| {
            let mut bytes = answer.authentication.serialize();
            bytes[40] ^= 1;
            answer.authentication = Signature::from_slice(&bytes).unwrap();
        },
    ];
    let secp = Secp256k1::verification_only();
    for (answer, other) in [(&signed, &refused), (&refused, &signed)] {
        assert!(VerifiedAnswer::new(&secp, answer.clone()).is_ok());
        for (index, change) in changes.iter().enumerate() {
            let mut tampered = answer.clone();
            change(&mut tampered, other);
            assert_eq!(
                VerifiedAnswer::new(&secp, tampered),
                Err(AnswerError),
                "change {index}"
            );
        }
    }
}

#[test]
fn bytes_that_are_no_proposal_are_a_fault_not_an_answer() {
    let world = world();
    let mut signer = signer(world, 0);
    let sound = encode_proposal(&usual(world).wire()).unwrap();
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
    let encoded = encode_proposal(&usual(world).wire()).unwrap();
    for draws in 0..7 {
        let mut entropy = Script::breaking_after(draws);
        assert_eq!(
            fault(decide(&mut signer, &encoded, &mut entropy)),
            "entropy-unavailable"
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
        wrong.epoch.0 += 1;
        wrong
    }]
    .map(|proposal| encode_proposal(&proposal.wire()).unwrap());
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

/// A "no" names its attempt and its asker; a "yes" does as well, but its signatures are the same
/// facts.
#[test]
fn an_answer_names_the_attempt_that_it_was_given_to() {
    let world = world();
    let mut signer = signer(world, 0);
    let stranger = Attempt {
        asker: AskerId([9; 16]),
        number: 1,
    };
    for proposal in [usual(world), theft(world)] {
        let encoded = encode_proposal(&proposal.wire()).unwrap();
        for asked in [attempt(0), attempt(1), stranger] {
            let entropy = &mut Script::counting(5);
            let answer = answer(decide_again(&mut signer, &encoded, asked, entropy));
            assert_eq!(answer.attempt, asked);
            assert!(VerifiedAnswer::new(&world.secp, answer).is_ok());
        }
    }
}

/// Asked by more askers than are remembered, about more transactions than are remembered: the
/// signer goes on.
#[test]
fn no_number_of_askers_keeps_a_signer_from_answering() {
    let world = world();
    let mut signer = signer(world, 0);
    let encoded = encode_proposal(&usual(world).wire()).unwrap();
    for number in 0..=u8::try_from(grail_signer::SESSIONS_PER_TRANSACTION_MAX).unwrap() + 2 {
        let asked = Attempt {
            asker: AskerId([number; 16]),
            number: 0,
        };
        let entropy = &mut Script::counting(5);
        let answer = answer(decide_again(&mut signer, &encoded, asked, entropy));
        assert_eq!(signatures(&answer).len(), 6);
    }
}
