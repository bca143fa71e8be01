//! Signatures of random quorums, and what becomes of them when somebody lies or is absent.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::collections::BTreeSet;

use bitcoin::{TapNodeHash, hashes::Hash as _, secp256k1::Parity};
use common::{Holders, verify};
use grail_frost::{
    AggregateNonce, Attempt, AttemptError, Commitments, HolderId, OutputKey, Proposal, PublicNonce,
    SignatureShare, SignersError, ToSign, Unfinished,
};

const PROPOSAL: Proposal = Proposal([5; 32]);

#[test]
fn random_quorums_of_twelve_sign_every_kind_of_key() {
    let mut holders = Holders::new(12, 16, 1);
    for _ in 0..25 {
        let ids = holders.some(12);
        let inputs = holders.inputs(3);
        let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
        let answers = holders.answers(&ids, &attempt);
        verify(&inputs, &attempt.finish(&answers).unwrap());
    }
}

#[test]
fn each_of_the_1820_quorums_interpolates_to_the_key() {
    let holders = Holders::new(12, 16, 2);
    let mut count = 0;
    for chosen in 0_u32..1 << 16 {
        if chosen.count_ones() == 12 {
            let ids: Vec<HolderId> = (0..16)
                .filter(|id| chosen >> id & 1 == 1)
                .map(HolderId)
                .collect();
            // Making the set checks that its public shares interpolate to the group key.
            holders.group.signers(&ids).unwrap();
            count += 1;
        }
    }
    assert_eq!(count, 1_820);
}

#[test]
fn small_and_large_groups_sign() {
    for (threshold, count) in [(1, 2), (2, 3), (12, 13), (17, 24)] {
        let mut holders = Holders::new(threshold, count, 3);
        let ids = holders.some(threshold);
        let inputs = holders.inputs(2);
        let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
        let answers = holders.answers(&ids, &attempt);
        verify(&inputs, &attempt.finish(&answers).unwrap());
    }
}

#[test]
fn eleven_of_sixteen_never_sign() {
    let mut holders = Holders::new(12, 16, 4);
    let inputs = holders.inputs(1);
    for _ in 0..10 {
        let ids = holders.some(12);
        let commitments: Vec<Commitments> = ids[..11]
            .iter()
            .map(|id| holders.commit(*id, PROPOSAL, &inputs, 0))
            .collect();
        assert_eq!(
            Attempt::new(&holders.group, PROPOSAL, inputs.clone(), commitments).unwrap_err(),
            AttemptError::Signers(SignersError::Count {
                got: 11,
                least: 12,
                most: 12
            })
        );
        let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
        let answers = holders.answers(&ids[..11], &attempt);
        assert_eq!(
            attempt.finish(&answers),
            Err(Unfinished::Absent(vec![ids[11]]))
        );
    }
}

#[test]
fn a_share_changed_in_one_bit_is_blamed_on_its_owner() {
    let mut holders = Holders::new(12, 16, 5);
    for round in 0..32 {
        let ids = holders.some(12);
        let inputs = holders.inputs(2);
        let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
        let mut answers = holders.answers(&ids, &attempt);
        let liar = ids[holders.random.usize(..12)];
        let share = &mut answers.get_mut(&liar).unwrap().shares[round % 2];
        let mut bytes = share.to_bytes();
        // Of the lower bytes: above the order it would not be a share at all.
        let bit = holders.random.usize(128..256);
        bytes[bit / 8] ^= 1 << (bit % 8);
        *share = SignatureShare::from_bytes(&bytes).unwrap();
        assert_eq!(
            attempt.finish(&answers),
            Err(Unfinished::Culprits(vec![liar]))
        );
    }
}

#[test]
fn all_liars_of_an_input_are_named_and_nobody_else() {
    let mut holders = Holders::new(12, 16, 6);
    let ids = holders.some(12);
    let inputs = holders.inputs(1);
    let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
    let mut answers = holders.answers(&ids, &attempt);
    let zero = SignatureShare::from_bytes(&[0; 32]).unwrap();
    let mut liars = vec![ids[0], ids[3], ids[7], ids[11]];
    for liar in &liars {
        answers.get_mut(liar).unwrap().shares[0] = zero;
    }
    liars.sort_unstable();
    assert_eq!(attempt.finish(&answers), Err(Unfinished::Culprits(liars)));
}

#[test]
fn an_answer_to_other_sums_names_nobody() {
    let mut holders = Holders::new(12, 16, 7);
    let ids = holders.some(12);
    let inputs = holders.inputs(2);
    let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
    let mut answers = holders.answers(&ids[1..], &attempt);
    // The relay swaps the sums of the two inputs on their way to one signer, and hides it.
    let mut order = attempt.order(ids[0]).unwrap();
    order.aggregates.swap(0, 1);
    let answer = holders.sign(ids[0], &order, 0).unwrap();
    answers.insert(ids[0], answer);
    assert_eq!(
        attempt.finish(&answers),
        Err(Unfinished::Absent(vec![ids[0]]))
    );
}

#[test]
fn an_answer_that_lacks_an_input_counts_as_absent() {
    let mut holders = Holders::new(2, 3, 8);
    let ids = holders.some(2);
    let inputs = holders.inputs(2);
    let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
    let mut answers = holders.answers(&ids, &attempt);
    answers.get_mut(&ids[1]).unwrap().shares.pop();
    assert_eq!(
        attempt.finish(&answers),
        Err(Unfinished::Absent(vec![ids[1]]))
    );
}

/// The last to commit sends minus the sum of the others, in either half or both. The sums vanish,
/// the session stays defined, and he, who cannot know the logarithm, is the one who is named.
#[test]
fn whoever_cancels_the_nonces_is_named() {
    for (first, second) in [(true, false), (false, true), (true, true)] {
        let mut holders = Holders::new(12, 16, 9);
        let ids = holders.some(12);
        let inputs = holders.inputs(1);
        let mut commitments: Vec<Commitments> = ids
            .iter()
            .map(|id| holders.commit(*id, PROPOSAL, &inputs, 0))
            .collect();
        let others = AggregateNonce::sum(commitments[..11].iter().map(|from| &from.nonces[0]));
        let mut minus = commitments[11].nonces[0].to_bytes();
        for (cancel, half) in [(first, 0..33), (second, 33..66)] {
            if cancel {
                minus[half.clone()].copy_from_slice(&others.to_bytes()[half.clone()]);
                minus[half.start] ^= 1;
            }
        }
        commitments[11].nonces[0] = PublicNonce::from_bytes(&minus).unwrap();
        let attempt = Attempt::new(&holders.group, PROPOSAL, inputs.clone(), commitments).unwrap();
        let sums = attempt.order(ids[0]).unwrap().aggregates[0].to_bytes();
        assert_eq!(sums[..33] == [0; 33], first);
        assert_eq!(sums[33..] == [0; 33], second);
        let answers = holders.answers(&ids, &attempt);
        assert_eq!(
            attempt.finish(&answers),
            Err(Unfinished::Culprits(vec![ids[11]]))
        );
    }
}

/// Shares count with a sign that depends on both parities; so does blame.
#[test]
fn all_parities_of_group_and_output_key_sign_and_blame() {
    let mut seen = BTreeSet::new();
    for seed in 100.. {
        let mut holders = Holders::new(2, 3, seed);
        for root in 0..4 {
            let group = holders.group.key();
            let root = TapNodeHash::from_byte_array([root; 32]);
            let key = OutputKey::taproot(group, root).unwrap();
            let parities = (
                group.x_only_public_key().1 == Parity::Odd,
                key.x_only_key().1 == Parity::Odd,
            );
            let inputs = [ToSign::new([3; 32], key)];
            let ids = holders.some(2);
            let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
            let mut answers = holders.answers(&ids, &attempt);
            verify(&inputs, &attempt.finish(&answers).unwrap());
            answers.get_mut(&ids[1]).unwrap().shares[0] =
                SignatureShare::from_bytes(&[1; 32]).unwrap();
            assert_eq!(
                attempt.finish(&answers),
                Err(Unfinished::Culprits(vec![ids[1]]))
            );
            seen.insert(parities);
        }
        if seen.len() == 4 {
            return;
        }
        assert!(seed < 150, "parities seen: {seen:?}");
    }
}

#[test]
fn an_attempt_needs_commitments_for_all_inputs() {
    let mut holders = Holders::new(2, 3, 10);
    let ids = holders.some(2);
    let inputs = holders.inputs(2);
    let mut commitments: Vec<Commitments> = ids
        .iter()
        .map(|id| holders.commit(*id, PROPOSAL, &inputs, 0))
        .collect();
    commitments[1].nonces.pop();
    assert_eq!(
        Attempt::new(&holders.group, PROPOSAL, inputs, commitments).unwrap_err(),
        AttemptError::Inputs {
            id: ids[1],
            got: 1,
            expected: 2
        }
    );
}
