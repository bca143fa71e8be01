//! The ceremony that an enclave is in: each step once, in the instance that dealt.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Operators, ceremony, draw};
use grail_frost::{
    Ceremonies, CeremonyRefusal, Draw, DrawRefused, Entropy,
    dkg::{Coordinator, CoordinatorFault, ReceiveError, deal},
};

const T: usize = 3;
const N: usize = 5;

struct Enclave {
    ceremonies: Ceremonies,
    entropy: Entropy,
}

fn enclave(random: &mut fastrand::Rng) -> Enclave {
    Enclave {
        ceremonies: Ceremonies::default(),
        entropy: Entropy::start(&draw(random)),
    }
}

#[test]
fn enclaves_generate_a_key_step_by_step() {
    let mut random = fastrand::Rng::with_seed(49);
    let operators = Operators::new(N, &mut random);
    let params = operators.params(T, 1);
    let mut enclaves: Vec<Enclave> = (0..N).map(|_| enclave(&mut random)).collect();
    let deals: Vec<Vec<u8>> = enclaves
        .iter_mut()
        .zip(&operators.hosts)
        .map(|(own, host)| {
            own.ceremonies
                .deal(host, &params, draw(&mut random), &mut own.entropy)
                .unwrap()
        })
        .collect();
    let (coordinator, broadcast) = Coordinator::collect(&params, &deals).unwrap();
    let signatures: Vec<Vec<u8>> = enclaves
        .iter_mut()
        .zip(&operators.hosts)
        .map(|(own, host)| {
            let randomness = draw(&mut random);
            own.ceremonies
                .receive(host, &ceremony(1), &broadcast, randomness, &mut own.entropy)
                .unwrap()
                .to_vec()
        })
        .collect();
    let (certificate, group, _) = coordinator.certify(&signatures).unwrap();
    for (own, host) in enclaves.iter_mut().zip(&operators.hosts) {
        // A second receipt would be a second signature.
        let again = own.ceremonies.receive(
            host,
            &ceremony(1),
            &broadcast,
            draw(&mut random),
            &mut own.entropy,
        );
        assert!(matches!(again, Err(CeremonyRefusal::UnknownSession)));
        let (own_group, ..) = own.ceremonies.certify(&ceremony(1), &certificate).unwrap();
        assert_eq!(own_group, group);
        assert!(matches!(
            own.ceremonies.certify(&ceremony(1), &certificate),
            Err(CeremonyRefusal::UnknownSession)
        ));
    }
}

/// Step 1 on one clone and step 2 on another, or on the same after a restart.
#[test]
fn a_clone_or_a_restart_does_not_continue_a_ceremony() {
    let mut random = fastrand::Rng::with_seed(50);
    let operators = Operators::new(N, &mut random);
    let params = operators.params(T, 1);
    let mut deals: Vec<Vec<u8>> = operators
        .hosts
        .iter()
        .map(|host| deal(host, &params, draw(&mut random)).unwrap().1)
        .collect();
    let mut one = enclave(&mut random);
    let host = &operators.hosts[0];
    deals[0] = one
        .ceremonies
        .deal(host, &params, draw(&mut random), &mut one.entropy)
        .unwrap();
    let (_, broadcast) = Coordinator::collect(&params, &deals).unwrap();
    let mut other = enclave(&mut random);
    let refused = other.ceremonies.receive(
        host,
        &ceremony(1),
        &broadcast,
        draw(&mut random),
        &mut other.entropy,
    );
    assert!(matches!(refused, Err(CeremonyRefusal::UnknownSession)));
    // One that dealt too finds its deal missing.
    other
        .ceremonies
        .deal(host, &params, draw(&mut random), &mut other.entropy)
        .unwrap();
    let refused = other.ceremonies.receive(
        host,
        &ceremony(1),
        &broadcast,
        draw(&mut random),
        &mut other.entropy,
    );
    assert!(matches!(
        refused,
        Err(CeremonyRefusal::Receive(ReceiveError::Coordinator(
            CoordinatorFault::OtherEphemeral
        )))
    ));
    // The broadcast of another session is no reason to give the own up.
    let refused = one.ceremonies.receive(
        host,
        &ceremony(2),
        &broadcast,
        draw(&mut random),
        &mut one.entropy,
    );
    assert!(matches!(refused, Err(CeremonyRefusal::UnknownSession)));
    one.ceremonies
        .receive(
            host,
            &ceremony(1),
            &broadcast,
            draw(&mut random),
            &mut one.entropy,
        )
        .unwrap();
}

#[test]
fn an_instance_deals_once_in_a_ceremony_and_never_backwards() {
    let mut random = fastrand::Rng::with_seed(52);
    let operators = Operators::new(N, &mut random);
    let mut own = enclave(&mut random);
    let host = &operators.hosts[0];
    let mut deal = |session, random: &mut fastrand::Rng| {
        own.ceremonies.deal(
            host,
            &operators.params(T, session),
            draw(random),
            &mut own.entropy,
        )
    };
    deal(2, &mut random).unwrap();
    for session in [2, 1] {
        assert!(matches!(
            deal(session, &mut random),
            Err(CeremonyRefusal::NotAfterTheLast)
        ));
    }
    deal(3, &mut random).unwrap();
}

#[test]
fn a_ceremony_refuses_a_generator_that_stands_still() {
    let mut random = fastrand::Rng::with_seed(53);
    let operators = Operators::new(N, &mut random);
    let constant = || Draw::new([6; 32]).unwrap();
    let mut ceremonies = Ceremonies::default();
    let mut entropy = Entropy::start(&constant());
    let params = operators.params(T, 1);
    let host = &operators.hosts[0];
    let refused = ceremonies.deal(host, &params, constant(), &mut entropy);
    assert!(matches!(
        refused,
        Err(CeremonyRefusal::Draw(DrawRefused::Repeated))
    ));
    let once = || Draw::new([7; 32]).unwrap();
    ceremonies
        .deal(host, &params, once(), &mut entropy)
        .unwrap();
    let refused = ceremonies.receive(host, &ceremony(1), &[], once(), &mut entropy);
    assert!(matches!(
        refused,
        Err(CeremonyRefusal::Draw(DrawRefused::Repeated))
    ));
}
