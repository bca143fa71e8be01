//! Orders to clone: each refusal, and the way to the key.
#![allow(clippy::unwrap_used)]

use bitcoin::XOnlyPublicKey;
use grail_attest::ImageClass;
use grail_types::Network;

use crate::testing::{genesis, image, order, pair, public, secp, sign, valid};
use crate::{
    Body, CLONE_ORDER_HEIGHTS_MAX, CloneOrder, CloneRefusal, Donor, LogState, Peer, PermittedClone,
    Recipient, Share,
};

struct Case {
    log: LogState,
    order: CloneOrder,
    donor: Donor,
    recipient: Recipient,
}

fn instance(number: u16) -> XOnlyPublicKey {
    public(&pair(b'i', number))
}

fn case() -> Case {
    let log = LogState::genesis(&genesis(4, 1)).unwrap();
    let operator = log.roster().signers()[0];
    Case {
        order: order(operator, instance(2), 10),
        donor: Donor {
            peer: Peer {
                operator,
                instance: instance(1),
            },
            image: image(ImageClass::Resident),
            share: Share::None,
        },
        recipient: Recipient {
            instance: instance(2),
            image: image(ImageClass::Resident),
        },
        log,
    }
}

impl Case {
    fn check(&self) -> Result<PermittedClone, CloneRefusal> {
        let order = self.order.clone();
        PermittedClone::check(&secp(), &self.log, order, &self.donor, &self.recipient)
    }

    /// With the order changed and signed anew.
    fn signed(mut self, change: impl FnOnce(&mut CloneOrder)) -> Result<(), CloneRefusal> {
        change(&mut self.order);
        self.order.signature = sign(&pair(b'c', 1), &self.order.digest());
        self.check().map(|_| ())
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Result<(), CloneRefusal> {
        change(&mut self);
        self.check().map(|_| ())
    }
}

#[test]
fn refuses_an_order_for_somebody_else() {
    assert_eq!(case().with(|_| {}), Ok(()));
    let operator = case().log.roster().signers()[1];
    assert_eq!(
        case().signed(|it| it.operator = operator),
        Err(CloneRefusal::OtherOperator)
    );
    assert_eq!(
        case().signed(|it| it.recipient = instance(3)),
        Err(CloneRefusal::OtherInstance)
    );
    assert_eq!(
        case().signed(|it| it.bridge.network = Network::Signet),
        Err(CloneRefusal::OtherBridge)
    );
    assert_eq!(case().signed(|it| it.slot = 8), Err(CloneRefusal::Slot(8)));
    let stranger = public(&pair(b'x', 1));
    let of_a_stranger = case().with(|it| {
        it.donor.peer.operator = stranger;
        it.order.operator = stranger;
    });
    assert_eq!(of_a_stranger, Err(CloneRefusal::NotMember));
}

#[test]
fn refuses_another_image() {
    let other = |it: &mut Case| it.recipient.image.measurement.pcr2 = [9; 48];
    assert_eq!(case().with(other), Err(CloneRefusal::OtherImage));
}

#[test]
fn refuses_memory_that_can_be_copied_where_a_share_is_held() {
    let migratable = |it: &mut Case| it.recipient.image.class = ImageClass::Migratable;
    assert_eq!(case().with(migratable), Ok(()));
    let with_share = |it: &mut Case| {
        migratable(it);
        it.donor.share = Share::Held;
    };
    assert_eq!(case().with(with_share), Err(CloneRefusal::Migratable));
    assert_eq!(case().with(|it| it.donor.share = Share::Held), Ok(()));
}

#[test]
fn refuses_an_order_that_is_over_or_good_for_too_long() {
    let height = 1;
    let farthest = height + CLONE_ORDER_HEIGHTS_MAX;
    for good in [height, farthest] {
        assert_eq!(case().signed(|it| it.expires = good), Ok(()));
    }
    for expires in [0, farthest + 1] {
        let refusal = CloneRefusal::Expired { expires, height };
        assert_eq!(case().signed(|it| it.expires = expires), Err(refusal));
    }
}

#[test]
fn refuses_an_order_that_the_cloning_key_did_not_sign() {
    let by_another = case().with(|it| {
        it.order.signature = sign(&pair(b'c', 2), &it.order.digest());
    });
    assert_eq!(by_another, Err(CloneRefusal::Signature));
    let changed = case().with(|it| it.order.expires = 9);
    assert_eq!(changed, Err(CloneRefusal::Signature));
}

#[test]
fn the_key_moves_once_by_the_donor_that_the_log_names() {
    let mut case = case();
    let permitted = case.check().unwrap();
    let entry = valid(&case.log, permitted.wish());
    case.log.apply(&entry).unwrap();
    let body = &entry.named().entry().body;
    assert_eq!(permitted.is_granted_by(body), Some(instance(2)));
    // Another donor that found the same order good does not move it as well.
    let Body::Clone { order, .. } = body.clone() else {
        panic!("a clone");
    };
    let donor = instance(5);
    assert_eq!(permitted.is_granted_by(&Body::Clone { order, donor }), None);
    assert_eq!(case.check(), Err(CloneRefusal::Used));
    // Nor does a second signature of the same order.
    case.order.signature =
        secp().sign_schnorr_with_aux_rand(&case.order.digest(), &pair(b'c', 1), &[7; 32]);
    assert_eq!(case.check(), Err(CloneRefusal::Used));
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let (expires, height) = (0, 1);
    let all = [
        CloneRefusal::OtherBridge,
        CloneRefusal::OtherOperator,
        CloneRefusal::NotMember,
        CloneRefusal::OtherInstance,
        CloneRefusal::OtherImage,
        CloneRefusal::Migratable,
        CloneRefusal::Slot(8),
        CloneRefusal::Expired { expires, height },
        CloneRefusal::Used,
        CloneRefusal::Signature,
    ];
    let codes: std::collections::BTreeSet<_> = all.iter().map(CloneRefusal::code).collect();
    assert_eq!(codes.len(), all.len());
}
