//! Which entry may be next.
#![allow(clippy::unwrap_used)]

use grail_types::{BoundedVec, Epoch, Governance};

use crate::testing::{
    address, anchor, cancelled, genesis, governance, handover, images, moved, order, pair, pairs,
    public, secp, succession, valid,
};
use crate::{
    Address, AddressError, Body, Entry, EntryHash, EntryRefusal, LogId, LogState, NamedEntry,
    Quorum, Succession,
};
use grail_wire::{decode, encode};

fn log() -> LogState {
    LogState::genesis(&genesis(4, 1)).unwrap()
}

fn check(log: &LogState, entry: Entry) -> Result<(), EntryRefusal> {
    let named = NamedEntry::new(entry)?;
    log.check(&secp(), named).map(|_| ())
}

fn refusal(log: &LogState, body: Body) -> EntryRefusal {
    check(log, log.next(body)).unwrap_err()
}

fn grow(log: &mut LogState, body: Body) {
    let entry = valid(log, body);
    log.apply(&entry).unwrap();
}

fn next() -> Succession {
    succession(1, &pairs(b's', 5)[1..], 3)
}

#[test]
fn refuses_an_entry_of_another_log_place_past_or_epoch() {
    let log = log();
    let entry = log.next(images(2, 3));
    assert_eq!(check(&log, entry.clone()), Ok(()));
    let with = |change: fn(&mut Entry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        check(&log, entry).unwrap_err()
    };
    assert_eq!(with(|it| it.log = LogId([1; 32])), EntryRefusal::OtherLog);
    let expected = 1;
    for (got, change) in [
        (0, (|it| it.height = 0) as fn(&mut Entry)),
        (2, |it| it.height = 2),
    ] {
        assert_eq!(with(change), EntryRefusal::Height { expected, got });
    }
    assert_eq!(
        with(|it| it.previous = EntryHash([1; 32])),
        EntryRefusal::Previous
    );
    let (expected, got) = (Epoch(0), Epoch(1));
    assert_eq!(
        with(|it| it.epoch = Epoch(1)),
        EntryRefusal::Epoch { expected, got }
    );
}

#[test]
fn refuses_to_take_an_entry_twice() {
    let mut log = log();
    let entry = valid(&log, images(2, 3));
    log.apply(&entry).unwrap();
    assert_eq!(log.apply(&entry), Err(EntryRefusal::Previous));
}

#[test]
fn a_member_moves_by_its_own_signature_in_turn() {
    let mut log = log();
    let [one, two] = [&pairs(b's', 4)[0], &pairs(b's', 4)[1]];
    let (expected, got) = (1, 2);
    assert_eq!(
        refusal(&log, moved(&log, one, 2, "a:1")),
        EntryRefusal::Sequence { expected, got }
    );
    let Body::Addresses {
        sequence,
        addresses,
        signature,
        ..
    } = moved(&log, one, 1, "a:1")
    else {
        panic!("a move");
    };
    let foreign = Body::Addresses {
        operator: public(two),
        sequence,
        addresses,
        signature,
    };
    assert_eq!(refusal(&log, foreign), EntryRefusal::Signature);
    let stranger = moved(&log, &pair(b'x', 1), 1, "a:1");
    assert_eq!(refusal(&log, stranger), EntryRefusal::NotMember);
    let first = moved(&log, one, 1, "a:1");
    grow(&mut log, first.clone());
    let member = log.member(&public(one)).unwrap();
    assert_eq!(member.addresses.first(), Some(&address("a:1")));
    let (expected, got) = (2, 1);
    assert_eq!(
        refusal(&log, first),
        EntryRefusal::Sequence { expected, got }
    );
}

#[test]
fn images_need_the_administrators_and_the_next_number() {
    let mut log = log();
    let (expected, got) = (3, 2);
    assert_eq!(
        refusal(&log, images(2, 2)),
        EntryRefusal::Consent { expected, got }
    );
    for got in [1, 3] {
        let expected = 2;
        assert_eq!(
            refusal(&log, images(got, 3)),
            EntryRefusal::Sequence { expected, got }
        );
    }
    grow(&mut log, images(2, 3));
    assert_eq!(log.images().counter, 2);
}

#[test]
fn a_handover_needs_the_administrators_of_today_in_order() {
    let log = log();
    let good = handover(1, next(), 9);
    assert_eq!(check(&log, log.next(Body::Executed(good.clone()))), Ok(()));
    let expected = 3;
    let consents = |places: &[usize]| {
        let mut changed = good.clone();
        let signatures = places.iter().map(|place| good.consents[*place]);
        changed.consents = BoundedVec::new(signatures.collect()).unwrap();
        refusal(&log, Body::Executed(changed))
    };
    for (places, got) in [
        (&[0, 1][..], 2),
        (&[0, 1, 1][..], 2),
        (&[1, 0, 2][..], 1),
        (&[][..], 0),
    ] {
        assert_eq!(consents(places), EntryRefusal::Consent { expected, got });
    }
    // Each part that they signed.
    for change in [
        (|it| it.attempt = 2) as fn(&mut crate::Handover),
        |it| it.next = [1; 32],
        |it| it.evidence = [1; 32],
    ] {
        let mut changed = good.clone();
        change(&mut changed);
        let got = 0;
        assert_eq!(
            refusal(&log, Body::Executed(changed)),
            EntryRefusal::Consent { expected, got }
        );
    }
}

#[test]
fn a_roster_to_come_is_the_next_one_and_can_vote() {
    let log = log();
    let refuse = |succession| refusal(&log, Body::Executed(handover(1, succession, 9)));
    let (expected, got) = (Epoch(1), Epoch(2));
    let mut later = next();
    later.epoch = got;
    assert_eq!(refuse(later), EntryRefusal::Epoch { expected, got });
    let mut unsorted = next();
    let mut members = unsorted.members.into_inner();
    members.reverse();
    unsorted.members = BoundedVec::new(members).unwrap();
    assert!(matches!(refuse(unsorted), EntryRefusal::Roster(_)));
    let mut strange = next();
    let mut members = strange.members.into_inner();
    members[0].administrator = public(&pair(b'x', 1));
    strange.members = BoundedVec::new(members).unwrap();
    assert_eq!(refuse(strange), EntryRefusal::Administrator);
    let mut weak = next();
    weak.threshold = grail_types::Threshold(4);
    assert_eq!(refuse(weak), EntryRefusal::Share);
    // Four members bear three that were rolled back, and no more.
    let mut genesis = genesis(4, 4);
    let bears_too_many = LogState::genesis(&genesis).unwrap_err();
    assert!(matches!(bears_too_many, EntryRefusal::Quorum(_)));
    genesis.rolled_back = 3;
    assert!(LogState::genesis(&genesis).is_ok());
}

#[test]
fn an_execution_puts_the_next_roster_in_force() {
    let mut log = log();
    let by_hand = Body::GroupKey {
        transcript: [1; 32],
    };
    grow(&mut log, by_hand.clone());
    assert_eq!(refusal(&log, by_hand), EntryRefusal::GroupKey);
    grow(&mut log, Body::Executed(handover(1, next(), 9)));
    assert_eq!(log.epoch(), Epoch(1));
    assert!(log.matches(&anchor(&next(), 9)));
    assert_eq!(log.quorum(), &Quorum::new(log.roster(), 1).unwrap());
    assert_eq!(log.group_key(), None);
    // The same again is of an epoch that is over.
    let again = refusal(&log, Body::Executed(handover(1, next(), 9)));
    assert!(matches!(again, EntryRefusal::Epoch { .. }));
}

#[test]
fn announcements_count_upwards_and_are_taken_back_by_number() {
    let mut log = log();
    let announced = |attempt| Body::Announced(handover(attempt, next(), 9));
    let (known, got) = (0, 1);
    assert_eq!(
        refusal(&log, cancelled(1, 9, 2)),
        EntryRefusal::Attempt { known, got }
    );
    grow(&mut log, announced(2));
    assert_eq!(log.announced(), Some((2, [9; 32])));
    let (known, got) = (2, 1);
    assert_eq!(
        refusal(&log, announced(1)),
        EntryRefusal::Attempt { known, got }
    );
    // The same again is another transaction of the same announcement.
    assert_eq!(check(&log, log.next(announced(2))), Ok(()));
    let (expected, got) = (2, 1);
    assert_eq!(
        refusal(&log, cancelled(2, 9, 1)),
        EntryRefusal::Consent { expected, got }
    );
    grow(&mut log, cancelled(2, 9, 2));
    assert_eq!(log.announced(), None);
    let (known, got) = (2, 2);
    assert_eq!(
        refusal(&log, announced(2)),
        EntryRefusal::Attempt { known, got }
    );
}

#[test]
fn a_clone_order_is_used_once_and_remembered_until_it_expires() {
    let mut log = log();
    let operator = log.roster().signers()[0];
    let order = order(operator, public(&pair(b'i', 9)), 2);
    let body = Body::Clone {
        order: order.clone(),
        donor: public(&pair(b'i', 1)),
    };
    grow(&mut log, body.clone());
    assert!(log.is_used(&order.id()));
    let used = EntryRefusal::Clone(crate::CloneRefusal::Used);
    assert_eq!(refusal(&log, body.clone()), used);
    grow(&mut log, images(2, 3));
    assert!(!log.is_used(&order.id()));
    let (expires, height) = (2, 3);
    let expired = crate::CloneRefusal::Expired { expires, height };
    assert_eq!(refusal(&log, body), EntryRefusal::Clone(expired));
}

#[test]
fn every_part_of_an_entry_is_in_its_name() {
    let log = log();
    let entry = log.next(images(2, 3));
    let name = |change: fn(&mut Entry)| {
        let mut entry = entry.clone();
        change(&mut entry);
        NamedEntry::new(entry).unwrap().hash()
    };
    let names = [
        name(|_| {}),
        name(|it| it.log = LogId([1; 32])),
        name(|it| it.height = 7),
        name(|it| it.previous = EntryHash([1; 32])),
        name(|it| it.epoch = Epoch(7)),
        name(|it| it.body = images(3, 3)),
        name(|it| it.body = images(2, 4)),
    ];
    let different: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(different.len(), names.len());
}

#[test]
fn the_largest_roster_fits_into_an_entry() {
    let mut largest = succession(1, &pairs(b's', 100), 51);
    let administrators = pairs(b'a', 100).iter().map(public).collect();
    largest.governance = Governance::new(administrators, 51).unwrap();
    let mut members = largest.members.into_inner();
    for member in &mut members {
        let long = "a".repeat(crate::ADDRESS_MAX_BYTES);
        member.addresses = BoundedVec::new(vec![address(&long); crate::ADDRESSES_MAX]).unwrap();
    }
    largest.members = BoundedVec::new(members).unwrap();
    let mut handover = handover(1, largest, 9);
    let consent = handover.consents[0];
    handover.consents = BoundedVec::new(vec![consent; 100]).unwrap();
    let entry = log().next(Body::Executed(handover));
    let bytes = encode(Epoch(0), &entry).unwrap();
    assert_eq!(decode::<Entry>(&bytes).unwrap().message, entry);
    assert_eq!(governance().threshold(), 3);
}

#[test]
fn an_address_is_printable_and_bounded() {
    let address = |bytes: &[u8]| {
        let bytes = grail_types::BoundedBytes::new(bytes.to_vec()).unwrap();
        Address::try_from(bytes)
    };
    assert!(address(b"10.0.0.1:7000").is_ok());
    for bytes in [&b""[..], b"a b", b"a\0", b"\xff"] {
        assert_eq!(address(bytes), Err(AddressError));
    }
}
