//! The document that administrators sign: what of it is refused, before anybody signs or sends it.
#![allow(clippy::unwrap_used)]

mod common;

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::{All, Keypair, Secp256k1};
use common::{bridge, images, key, params, roster};
use grail_api::{
    AdministratorSignature, CheckedRotation, EvidenceHash, Hash32, ProposedRoster,
    ROTATION_BYTES_MAX, RotationDocument, RotationError, RotationPaper,
};
use grail_bridge_contract::{Next, RosterState};
use grail_types::{BoundedVec, Epoch, Governance, Roster, Threshold};

type Change<T> = fn(&mut T);

fn secp() -> Secp256k1<All> {
    Secp256k1::new()
}

fn keypair(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&secp(), &[byte; 32]).unwrap()
}

fn governance(bytes: std::ops::RangeInclusive<u8>, threshold: u16) -> Governance {
    let mut keys: Vec<_> = bytes.map(key).collect();
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Governance::new(keys, threshold).unwrap()
}

/// Administrators 101 to 104, of whom three must agree.
fn today() -> Governance {
    governance(101..=104, 3)
}

/// Two signers of today leave, two come.
fn to_come() -> Roster {
    let mut signers: Vec<_> = (3..=18).map(key).collect();
    signers.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(4), signers, Threshold(12)).unwrap()
}

fn proposed() -> ProposedRoster {
    let mut evidence: Vec<_> = [17, 18]
        .map(|byte| EvidenceHash {
            public_key: key(byte),
            sha256: Hash32([byte; 32]),
        })
        .into();
    evidence.sort_by_key(|it| it.public_key.serialize());
    ProposedRoster {
        roster: to_come(),
        governance: today(),
        params: params(),
        images: images(),
        spell_min: 15,
        spell_max: 15,
        evidence: BoundedVec::new(evidence).unwrap(),
        newcomers: BoundedVec::default(),
    }
}

fn announcement(change: impl FnOnce(&mut ProposedRoster)) -> RotationDocument {
    let mut proposed = proposed();
    change(&mut proposed);
    RotationDocument {
        version: 1,
        bridge: bridge(),
        roster: roster(),
        governance: today(),
        attempt: 7,
        paper: RotationPaper::Announce(Box::new(proposed)),
        consents: BoundedVec::default(),
    }
}

fn check(document: RotationDocument) -> Result<CheckedRotation, RotationError> {
    document.check(&secp())
}

fn sign(rotation: CheckedRotation, byte: u8) -> Result<CheckedRotation, RotationError> {
    let keypair = keypair(byte);
    let signature = secp().sign_schnorr_no_aux_rand(&rotation.consent().digest(), &keypair);
    rotation.signed(&secp(), &keypair.x_only_public_key().0, signature)
}

fn signed(document: RotationDocument, by: &[u8]) -> CheckedRotation {
    by.iter().fold(check(document).unwrap(), |it, byte| {
        sign(it, *byte).unwrap()
    })
}

fn code<T>(outcome: Result<T, RotationError>) -> &'static str {
    match outcome {
        Ok(_) => "ok",
        Err(error) => error.code(),
    }
}

#[test]
fn three_of_four_make_it_complete_and_two_do_not() {
    let rotation = check(announcement(|_| ())).unwrap();
    assert_eq!((rotation.needed(), rotation.missing()), (3, 3));
    assert_eq!(rotation.new_keys().len(), 2);
    let two = signed(announcement(|_| ()), &[103, 101]);
    assert_eq!(code(two.check_complete()), "consent-too-few");
    let three = sign(two, 102).unwrap();
    three.check_complete().unwrap();
    assert_eq!(three.missing(), 0);
    let positions: Vec<_> = three.consents().iter().map(|it| it.administrator).collect();
    assert!(positions.is_sorted_by(|one, next| one < next));
}

#[test]
fn a_cancellation_needs_so_many_that_the_rest_cannot_announce() {
    let cancel = RotationDocument {
        paper: RotationPaper::Cancel {
            next: Hash32([9; 32]),
        },
        ..announcement(|_| ())
    };
    let one = signed(cancel, &[101]);
    assert_eq!((one.needed(), one.missing()), (2, 1));
    assert_eq!(code(one.check_complete()), "consent-too-few");
    sign(one, 104).unwrap().check_complete().unwrap();
}

#[test]
fn each_new_administrator_signs_its_own_admission() {
    let document = announcement(|it| it.governance = governance(102..=105, 3));
    let rotation = signed(document, &[101, 102, 103]);
    assert_eq!(rotation.newcomers_missing().len(), 1);
    assert_eq!(code(rotation.check_complete()), "newcomer-silent");
    let rotation = sign(rotation, 105).unwrap();
    rotation.check_complete().unwrap();
    assert_eq!(rotation.newcomers().len(), 1);
    // Who is an administrator already is no newcomer.
    let mut document = rotation.document().clone();
    let RotationPaper::Announce(proposed) = &mut document.paper else {
        panic!("an announcement");
    };
    let keypair = keypair(102);
    let known = keypair.x_only_public_key().0;
    let mut keys = proposed.governance.administrators().iter();
    let administrator = keys.position(|key| *key == known).unwrap();
    let signature = secp().sign_schnorr_no_aux_rand(&rotation.consent().digest(), &keypair);
    let own = AdministratorSignature {
        administrator: u16::try_from(administrator).unwrap(),
        signature,
    };
    proposed.newcomers = BoundedVec::new(vec![own]).unwrap();
    assert_eq!(code(check(document)), "newcomer-known");
}

#[test]
fn foreign_and_repeated_signatures_are_refused() {
    let rotation = signed(announcement(|_| ()), &[101]);
    assert_eq!(code(sign(rotation.clone(), 101)), "already-signed");
    assert_eq!(code(sign(rotation.clone(), 99)), "not-administrator");
    let first = rotation.document().consents[0];
    for (consents, expected) in [
        (vec![first, first], "consent-unsorted"),
        (
            vec![AdministratorSignature {
                administrator: (first.administrator + 1) % 4,
                ..first
            }],
            "consent-invalid",
        ),
        (
            vec![AdministratorSignature {
                administrator: 4,
                ..first
            }],
            "consent-invalid",
        ),
    ] {
        let mut document = rotation.document().clone();
        document.consents = BoundedVec::new(consents).unwrap();
        assert_eq!(code(check(document)), expected);
    }
}

#[test]
fn whatever_is_altered_after_a_signature_voids_it() {
    let rotation = signed(announcement(|_| ()), &[101, 102, 103]);
    let changes: [Change<RotationDocument>; 5] = [
        |it| it.attempt += 1,
        |it| it.bridge.app.identity[0] ^= 1,
        |it| of(it).spell_max += 1,
        |it| of(it).params = params().with(|values| values.notice += 1).unwrap(),
        |it| {
            let mut evidence = of(it).evidence.to_vec();
            evidence[0].sha256 = Hash32([0; 32]);
            of(it).evidence = BoundedVec::new(evidence).unwrap();
        },
    ];
    for change in changes {
        let mut document = rotation.document().clone();
        change(&mut document);
        assert_eq!(code(check(document)), "consent-invalid");
    }
    // Nor does what is signed for an announcement take one back.
    let cancel = RotationDocument {
        paper: RotationPaper::Cancel {
            next: rotation.next(),
        },
        ..rotation.document().clone()
    };
    assert_eq!(code(check(cancel)), "consent-invalid");
}

fn of(document: &mut RotationDocument) -> &mut ProposedRoster {
    match &mut document.paper {
        RotationPaper::Announce(proposed) => proposed,
        RotationPaper::Cancel { .. } => panic!("an announcement"),
    }
}

#[test]
fn what_could_not_take_over_is_refused_before_anybody_signs() {
    let far = |epoch| {
        let to_come = to_come();
        Roster::new(Epoch(epoch), to_come.signers().to_vec(), Threshold(12)).unwrap()
    };
    let other_images = || {
        let mut image = images().images()[0];
        image.measurement.pcr0[0] ^= 1;
        grail_attest::Images::new(1, vec![image]).unwrap()
    };
    let changes: [(Change<ProposedRoster>, &str); 4] = [
        (|it| it.spell_min = 16, "rotation-unfit"),
        (
            |it| it.governance = governance(101..=105, 3),
            "rotation-unfit",
        ),
        (
            |it| {
                let mut evidence = it.evidence.to_vec();
                evidence.swap(0, 1);
                it.evidence = BoundedVec::new(evidence).unwrap();
            },
            "rotation-evidence",
        ),
        (
            |it| {
                let mut evidence = it.evidence.to_vec();
                evidence[0].public_key = key(99);
                evidence.truncate(1);
                it.evidence = BoundedVec::new(evidence).unwrap();
            },
            "rotation-evidence",
        ),
    ];
    for (change, expected) in changes {
        assert_eq!(code(check(announcement(change))), expected);
    }
    for epoch in [3, 5] {
        let document = announcement(|it| it.roster = far(epoch));
        assert_eq!(code(check(document)), "rotation-unfit");
    }
    let document = announcement(|it| it.images = other_images());
    assert_eq!(code(check(document)), "images-not-pinned");
    let mut document = announcement(|_| ());
    document.version = 2;
    assert_eq!(code(check(document)), "rotation-version");
}

#[test]
fn only_the_bridge_and_the_state_that_it_begins_at_take_it() {
    let rotation = signed(announcement(|_| ()), &[101, 102, 103]);
    rotation.check_bridge(&bridge()).unwrap();
    let mut other = bridge();
    other.app.vk[0] ^= 1;
    assert_eq!(code(rotation.check_bridge(&other)), "rotation-bridge");
    let state = RosterState {
        epoch: 3,
        serial: 20,
        signers: roster()
            .signers()
            .iter()
            .map(XOnlyPublicKey::serialize)
            .collect(),
        threshold: 12,
        vault_script: Vec::new(),
        supply: 5,
        params_hash: [0; 32],
        governance: today().hash(),
        attempt: 6,
        next: None,
        outflow: 0,
        spell_min: 15,
        spell_max: 15,
    };
    rotation.check_begins_at(&state).unwrap();
    let announced = Next {
        hash: rotation.next().0,
        serial: 21,
        wait: 6,
    };
    let changes: [(Change<RosterState>, &str); 6] = [
        (|it| it.epoch = 4, "rotation-epoch"),
        (|it| it.attempt = 7, "rotation-attempt"),
        (|it| it.attempt = 5, "rotation-attempt"),
        (|it| it.governance[0] ^= 1, "rotation-differs"),
        (|it| it.threshold = 13, "rotation-differs"),
        (|it| it.signers[0][0] ^= 1, "rotation-differs"),
    ];
    for (change, expected) in changes {
        let mut other = state.clone();
        change(&mut other);
        assert_eq!(code(rotation.check_begins_at(&other)), expected);
    }
    let busy = RosterState {
        next: Some(announced.clone()),
        ..state.clone()
    };
    assert_eq!(code(rotation.check_begins_at(&busy)), "rotation-step");

    let cancel = RotationDocument {
        paper: RotationPaper::Cancel {
            next: rotation.next(),
        },
        ..announcement(|_| ())
    };
    let cancel = signed(cancel, &[101, 102]);
    let standing = RosterState { attempt: 7, ..busy };
    cancel.check_begins_at(&standing).unwrap();
    let nothing = RosterState {
        next: None,
        ..standing.clone()
    };
    assert_eq!(code(cancel.check_begins_at(&nothing)), "rotation-step");
    let another = RosterState {
        next: Some(Next {
            hash: [1; 32],
            ..announced
        }),
        ..standing
    };
    assert_eq!(code(cancel.check_begins_at(&another)), "rotation-step");
}

#[test]
fn it_reads_back_and_nothing_else_is_read() {
    let rotation = signed(announcement(|_| ()), &[101, 102, 103]);
    let json = serde_json::to_vec(rotation.document()).unwrap();
    assert!(json.len() < ROTATION_BYTES_MAX / 8, "{}", json.len());
    let read = RotationDocument::from_json(&json).unwrap();
    assert_eq!(check(read).unwrap(), rotation);
    let mut value = serde_json::to_value(rotation.document()).unwrap();
    for path in ["", "/paper/announce", "/consents/0"] {
        let mut other = value.clone();
        other.pointer_mut(path).unwrap()["extra"] = 1.into();
        let bytes = serde_json::to_vec(&other).unwrap();
        assert_eq!(
            code(RotationDocument::from_json(&bytes)),
            "rotation-malformed"
        );
    }
    value["consents"] = serde_json::json!([[1, 2]]);
    let bytes = serde_json::to_vec(&value).unwrap();
    assert_eq!(
        code(RotationDocument::from_json(&bytes)),
        "rotation-malformed"
    );
    assert_eq!(
        code(RotationDocument::from_json(b"[]")),
        "rotation-malformed"
    );
    let long = vec![b' '; ROTATION_BYTES_MAX + 1];
    assert_eq!(
        code(RotationDocument::from_json(&long)),
        "rotation-too-long"
    );
}
