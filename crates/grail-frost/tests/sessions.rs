//! A signer's sessions against coordinators, hosts and generators that misbehave.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{ASKER, Holders, approved, asker, draw, order_signed, pair, verify};
use grail_frost::{
    Attempt, CommitRefusal, Draw, DrawRefused, Entropy, HolderId, Instance, Order, Proposal,
    SESSION_LIFETIME_SECONDS, SESSIONS_MAX, SessionId, Sessions, SignRefusal, SignersError,
};

const PROPOSAL: Proposal = Proposal([5; 32]);

fn ready() -> (Holders, Vec<HolderId>, Attempt) {
    let mut holders = Holders::new(3, 5, 20);
    let ids = holders.some(3);
    let inputs = holders.inputs(2);
    let attempt = holders.attempt(&ids, PROPOSAL, &inputs);
    (holders, ids, attempt)
}

#[test]
fn an_order_is_answered_once() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    holders.sign(ids[0], &order, 0).unwrap();
    assert_eq!(
        holders.sign(ids[0], &order, 0),
        Err(SignRefusal::UnknownSession)
    );
}

#[test]
fn neither_other_signers_nor_other_sums_get_a_second_answer() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    holders.sign(ids[0], &order, 0).unwrap();
    let mut other_sums = order.clone();
    other_sums.aggregates.swap(0, 1);
    assert_eq!(
        holders.sign(ids[0], &other_sums, 0),
        Err(SignRefusal::UnknownSession)
    );
    let absent = (0..5).map(HolderId).find(|id| !ids.contains(id)).unwrap();
    let mut other_signers = order;
    other_signers.signers[2] = absent;
    assert_eq!(
        holders.sign(ids[0], &other_signers, 0),
        Err(SignRefusal::UnknownSession)
    );
}

#[test]
fn other_instances_and_sessions_are_unknown() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    let foreign = Order {
        instance: Instance([1; 32]),
        ..order.clone()
    };
    let never = Order {
        session: SessionId(7),
        ..order.clone()
    };
    for order in [&foreign, &never] {
        assert_eq!(
            holders.sign(ids[0], order, 0),
            Err(SignRefusal::UnknownSession)
        );
    }
    holders.sign(ids[0], &order, 0).unwrap();
}

#[test]
fn a_restart_forgets_every_session() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    let index = ids[0].0 as usize;
    let entropy = Entropy::start(&draw(&mut holders.random));
    holders.sessions[index] = Sessions::new(&entropy);
    assert_eq!(
        holders.sign(ids[0], &order, 0),
        Err(SignRefusal::UnknownSession)
    );
}

/// A clone has the same key and share. It answers for none of the sessions of the other, and its
/// own commitments are others.
#[test]
fn clones_answer_for_themselves_alone() {
    let (mut holders, ids, attempt) = ready();
    let index = ids[0].0 as usize;
    let mut entropy = Entropy::start(&draw(&mut holders.random));
    let mut clone = Sessions::new(&entropy);
    let inputs = holders.inputs(2);
    let committed = clone
        .commit(
            &holders.shares[index],
            approved(PROPOSAL, &inputs, &asker()),
            draw(&mut holders.random),
            &mut entropy,
            0,
        )
        .unwrap();
    let order = attempt.order(ids[0]).unwrap();
    assert_ne!(committed.instance, order.instance);
    assert_eq!(committed.session, order.session);
    assert_eq!(
        clone.sign(
            &holders.shares[index],
            &holders.group,
            &order,
            &order_signed(&asker(), &order),
            0
        ),
        Err(SignRefusal::UnknownSession)
    );
}

#[test]
fn an_order_that_anybody_could_send_leaves_the_session() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    let index = ids[0].0 as usize;
    let stranger = pair(&mut holders.random);
    let refused = holders.sessions[index].sign(
        &holders.shares[index],
        &holders.group,
        &order,
        &order_signed(&stranger, &order),
        0,
    );
    assert_eq!(refused, Err(SignRefusal::OtherAsker));
    // A signature of another order.
    let mut changed = order.clone();
    changed.aggregates.swap(0, 1);
    let refused = holders.sessions[index].sign(
        &holders.shares[index],
        &holders.group,
        &changed,
        &order_signed(&asker(), &order),
        0,
    );
    assert_eq!(refused, Err(SignRefusal::OtherAsker));
    holders.sign(ids[0], &order, 0).unwrap();
}

#[test]
fn a_malformed_order_leaves_the_session() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    let absent: Vec<HolderId> = (0..5)
        .map(HolderId)
        .filter(|id| !ids.contains(id))
        .collect();
    let with = |signers: Vec<HolderId>| Order {
        signers,
        ..order.clone()
    };
    let cases = [
        (
            Order {
                proposal: Proposal([6; 32]),
                ..order.clone()
            },
            SignRefusal::OtherProposal,
        ),
        (
            Order {
                aggregates: order.aggregates[..1].to_vec(),
                ..order.clone()
            },
            SignRefusal::Aggregates {
                got: 1,
                expected: 2,
            },
        ),
        (
            with(ids[..2].to_vec()),
            SignRefusal::Signers(SignersError::Count {
                got: 2,
                least: 3,
                most: 3,
            }),
        ),
        (
            with([&ids[..], &absent[..1]].concat()),
            SignRefusal::Signers(SignersError::Count {
                got: 4,
                least: 3,
                most: 3,
            }),
        ),
        (
            with(vec![ids[0], ids[1], ids[1]]),
            SignRefusal::Signers(SignersError::Twice(ids[1])),
        ),
        (
            with(vec![ids[0], HolderId(5), ids[1]]),
            SignRefusal::Signers(SignersError::OutOfRange { position: 1 }),
        ),
        (
            with(vec![ids[1], ids[2], absent[0]]),
            SignRefusal::NotAmongThem(ids[0]),
        ),
    ];
    for (order, refusal) in cases {
        assert_eq!(holders.sign(ids[0], &order, 0), Err(refusal));
    }
    holders.sign(ids[0], &order, 0).unwrap();
}

#[test]
fn a_session_expires() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    assert_eq!(
        holders.sign(ids[0], &order, SESSION_LIFETIME_SECONDS),
        Err(SignRefusal::UnknownSession)
    );
    let order = attempt.order(ids[1]).unwrap();
    holders
        .sign(ids[1], &order, SESSION_LIFETIME_SECONDS - 1)
        .unwrap();
}

#[test]
fn another_adopted_state_clears_the_table() {
    let (mut holders, ids, attempt) = ready();
    let order = attempt.order(ids[0]).unwrap();
    holders.sessions[ids[0].0 as usize].clear();
    assert_eq!(
        holders.sign(ids[0], &order, 0),
        Err(SignRefusal::UnknownSession)
    );
}

#[test]
fn a_full_table_is_busy_and_keeps_what_it_has() {
    let (mut holders, ids, attempt) = ready();
    let index = ids[0].0 as usize;
    let inputs = holders.inputs(1);
    let ask = |holders: &mut Holders, proposal: Proposal, now: u64| {
        let stranger = pair(&mut holders.random);
        holders.sessions[index].commit(
            &holders.shares[index],
            approved(proposal, &inputs, &stranger),
            draw(&mut holders.random),
            &mut holders.entropies[index],
            now,
        )
    };
    for _ in 1..SESSIONS_MAX {
        ask(&mut holders, PROPOSAL, 0).unwrap();
    }
    assert_eq!(ask(&mut holders, PROPOSAL, 0), Err(CommitRefusal::Busy));
    let order = attempt.order(ids[0]).unwrap();
    holders.sign(ids[0], &order, 0).unwrap();
    // One left by answering, all left by time.
    ask(&mut holders, PROPOSAL, 0).unwrap();
    ask(&mut holders, PROPOSAL, SESSION_LIFETIME_SECONDS).unwrap();
    assert_eq!(holders.sessions[index].len(), 1);
}

#[test]
fn asking_again_replaces_the_own_session_alone() {
    let (mut holders, ids, attempt) = ready();
    let inputs = holders.inputs(2);
    let other = Proposal([6; 32]);
    let kept = holders.commit(ids[0], other, &inputs, 0);
    let again = holders.commit(ids[0], PROPOSAL, &inputs, 0);
    assert_ne!(again.session, kept.session);
    let order = attempt.order(ids[0]).unwrap();
    assert_eq!(
        holders.sign(ids[0], &order, 0),
        Err(SignRefusal::UnknownSession)
    );
    assert_eq!(holders.sessions[ids[0].0 as usize].len(), 2);
    let commitments = vec![
        kept,
        holders.commit(ids[1], other, &inputs, 0),
        holders.commit(ids[2], other, &inputs, 0),
    ];
    let attempt = Attempt::new(&holders.group, other, inputs.clone(), commitments).unwrap();
    let answers = holders.answers(&ids, &attempt);
    verify(&inputs, &attempt.finish(&answers).unwrap());
}

/// The same transaction in two proposals, or asked for twice: nonces are never shared.
#[test]
fn no_two_sessions_share_a_nonce() {
    let (mut holders, ids, _) = ready();
    let inputs = holders.inputs(2);
    let mut nonces = Vec::new();
    for proposal in [PROPOSAL, Proposal([6; 32]), PROPOSAL] {
        let committed = holders.commit(ids[0], proposal, &inputs, 0);
        for nonce in committed.nonces {
            nonces.push(nonce.to_bytes()[..33].to_vec());
            nonces.push(nonce.to_bytes()[33..].to_vec());
        }
    }
    let count = nonces.len();
    nonces.sort();
    nonces.dedup();
    assert_eq!((count, nonces.len()), (12, 12));
}

#[test]
fn a_generator_that_stands_still_is_noticed() {
    assert_eq!(Draw::new([0; 32]).err(), Some(DrawRefused::Zero));
    let constant = || Draw::new([4; 32]).unwrap();
    let mut holders = Holders::new(2, 3, 21);
    let inputs = holders.inputs(1);
    // From the first session on: its draw is the one that started the instance.
    let mut entropy = Entropy::start(&constant());
    let mut sessions = Sessions::new(&entropy);
    let refused = sessions.commit(
        &holders.shares[0],
        approved(PROPOSAL, &inputs, &asker()),
        constant(),
        &mut entropy,
        0,
    );
    assert_eq!(refused, Err(CommitRefusal::Draw(DrawRefused::Repeated)));
    assert!(sessions.is_empty());
    // And later: each draw is compared with the one before it.
    entropy.pass(Draw::new([5; 32]).unwrap()).unwrap();
    assert_eq!(
        entropy.pass(Draw::new([5; 32]).unwrap()).err(),
        Some(DrawRefused::Repeated)
    );
}

#[test]
fn a_session_has_inputs_and_not_too_many() {
    let mut holders = Holders::new(2, 3, 22);
    let input = holders.inputs(1);
    for count in [0, 1_001] {
        let inputs: Vec<_> = input.iter().cycle().take(count).cloned().collect();
        let refused = holders.sessions[0].commit(
            &holders.shares[0],
            approved(PROPOSAL, &inputs, &asker()),
            draw(&mut holders.random),
            &mut holders.entropies[0],
            0,
        );
        assert_eq!(refused, Err(CommitRefusal::Inputs { got: count }));
    }
    assert_eq!(asker().secret_bytes(), ASKER);
}
