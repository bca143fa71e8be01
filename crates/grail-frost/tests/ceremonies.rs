//! Key generations against dealers, coordinators and hosts that cheat, and the share's recovery.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Holders, Operators, bytes, ceremony, draw, generate};
use grail_frost::{
    Draw, HolderId,
    dkg::{
        Ceremony, CertifyError, Coordinator, CoordinatorError, CoordinatorFault, Culprit,
        DealError, Dealt, HolderFault, HostKey, InvestigateError, Params, ParamsError,
        ReceiveError, Received, RecoverError, deal, investigation, recover, verify,
    },
};
use grail_types::{Epoch, Network};

const T: usize = 3;
const N: usize = 5;

/// Bytes before the fields of a deal.
const POSSESSION: usize = 33 * T;
const EPHEMERAL: usize = POSSESSION + 64;
const SHARES: usize = EPHEMERAL + 33;

struct Ring {
    operators: Operators,
    params: Params,
    dealt: Vec<Dealt>,
    deals: Vec<Vec<u8>>,
    random: fastrand::Rng,
}

fn ring(seed: u64) -> Ring {
    let mut random = fastrand::Rng::with_seed(seed);
    let operators = Operators::new(N, &mut random);
    let params = operators.params(T, 1);
    let (dealt, deals) = dealt(&operators, &params, &mut random);
    Ring {
        operators,
        params,
        dealt,
        deals,
        random,
    }
}

fn dealt(
    operators: &Operators,
    params: &Params,
    random: &mut fastrand::Rng,
) -> (Vec<Dealt>, Vec<Vec<u8>>) {
    operators
        .hosts
        .iter()
        .map(|host| deal(host, params, draw(random)).unwrap())
        .unzip()
}

impl Ring {
    /// Takes the first holder's deal state.
    fn receive(&mut self, holder: usize, broadcast: &[u8]) -> Result<Received, ReceiveError> {
        let dealt = self.dealt.remove(holder);
        dealt
            .receive(&self.operators.hosts[holder], broadcast, &[1; 32])
            .map(|(received, _)| received)
    }

    fn broadcast(&self) -> Vec<u8> {
        Coordinator::collect(&self.params, &self.deals).unwrap().1
    }

    fn collected(&self) -> CoordinatorError {
        Coordinator::collect(&self.params, &self.deals).unwrap_err()
    }
}

fn fault(result: Result<Received, ReceiveError>) -> Culprit {
    match result {
        Err(ReceiveError::Coordinator(fault)) => Culprit::Coordinator(fault),
        Err(ReceiveError::HolderOrCoordinator(id, fault)) => {
            Culprit::HolderOrCoordinator(id, fault)
        }
        other => panic!("nobody named: {other:?}"),
    }
}

#[test]
fn twelve_of_sixteen_generate_and_recover() {
    let holders = Holders::new(12, 16, 30);
    assert_eq!(holders.group.threshold(), 12);
    assert_eq!(holders.group.public_shares().len(), 16);
    for (host, share) in holders.operators.hosts.iter().zip(&holders.shares) {
        let (group, recovered) = recover(host, &holders.params, &holders.transcript).unwrap();
        assert_eq!(group, holders.group);
        assert_eq!(recovered.id(), share.id());
        assert_eq!(recovered.public(), share.public());
    }
    assert_eq!(
        verify(&holders.params, &holders.transcript).unwrap(),
        holders.group
    );
}

#[test]
fn recovered_shares_sign() {
    let mut holders = Holders::new(3, 5, 31);
    holders.shares = holders
        .operators
        .hosts
        .iter()
        .map(|host| {
            recover(host, &holders.params, &holders.transcript)
                .unwrap()
                .1
        })
        .collect();
    let ids = holders.some(3);
    let inputs = holders.inputs(3);
    let proposal = grail_frost::Proposal([1; 32]);
    let attempt = holders.attempt(&ids, proposal, &inputs);
    let answers = holders.answers(&ids, &attempt);
    common::verify(&inputs, &attempt.finish(&answers).unwrap());
}

#[test]
fn every_ceremony_gives_another_key() {
    let mut random = fastrand::Rng::with_seed(32);
    let operators = Operators::new(N, &mut random);
    let params = operators.params(T, 1);
    let (one, ..) = generate(&operators, &params, &mut random);
    let (two, ..) = generate(&operators, &params, &mut random);
    assert_ne!(one.key(), two.key());
}

/// Raising the threshold in secret is what dealers with more coefficients do.
#[test]
fn a_wrong_number_of_coefficients_is_refused() {
    for count in [0, T - 1, T + 1] {
        let mut ring = ring(33);
        let mut deal = ring.deals[2].clone();
        let commitment: Vec<u8> = deal[..33]
            .iter()
            .copied()
            .cycle()
            .take(33 * count)
            .collect();
        deal.splice(..POSSESSION, commitment);
        let length = deal.len();
        ring.deals[2] = deal;
        let CoordinatorError::Length(id, refused) = ring.collected() else {
            panic!("not the length");
        };
        assert_eq!((id, refused.got), (HolderId(2), length));
    }
    // A coordinator that sums to another degree is refused by its receivers.
    for longer in [false, true] {
        let mut ring = ring(33);
        let mut broadcast = ring.broadcast();
        let length = if longer {
            broadcast.len() + 33
        } else {
            broadcast.len() - 33
        };
        broadcast.resize(length, 0);
        assert!(matches!(
            ring.receive(0, &broadcast),
            Err(ReceiveError::Length(_))
        ));
    }
}

#[test]
fn a_deal_at_anothers_place_is_refused() {
    let mut ring = ring(34);
    ring.deals.swap(1, 2);
    assert_eq!(
        ring.collected(),
        CoordinatorError::Deal(HolderId(1), HolderFault::Possession)
    );
}

#[test]
fn faults_of_a_deal_are_found_by_the_coordinator() {
    let cases: [(usize, Vec<u8>, HolderFault); 4] = [
        (0, vec![0; 33], HolderFault::Commitment),
        (POSSESSION, vec![7; 64], HolderFault::Possession),
        (EPHEMERAL, vec![4; 33], HolderFault::Ephemeral),
        (EPHEMERAL, vec![0; 33], HolderFault::Ephemeral),
    ];
    for (at, bytes, fault) in cases {
        let mut ring = ring(35);
        ring.deals[3].splice(at..at + bytes.len(), bytes);
        assert_eq!(ring.collected(), CoordinatorError::Deal(HolderId(3), fault));
    }
    for (at, bytes) in [(33, vec![4; 33]), (SHARES, vec![0xff; 32])] {
        let mut ring = ring(35);
        ring.deals[3].splice(at..at + bytes.len(), bytes);
        assert_eq!(ring.collected(), CoordinatorError::Malformed(HolderId(3)));
    }
}

#[test]
fn a_copied_proof_of_possession_is_refused() {
    let mut ring = ring(36);
    // Constant term and proof of another: the copier knows no logarithm, and the place differs.
    let copied = ring.deals[1].clone();
    ring.deals[4][..33].copy_from_slice(&copied[..33]);
    ring.deals[4][POSSESSION..EPHEMERAL].copy_from_slice(&copied[POSSESSION..EPHEMERAL]);
    assert_eq!(
        ring.collected(),
        CoordinatorError::Deal(HolderId(4), HolderFault::Possession)
    );
}

/// The receivers find the same faults, when the coordinator looks away.
#[test]
fn faults_of_a_broadcast_are_found_by_its_receivers() {
    let rest = 33 * N;
    let possessions = rest + 33 * (T - 1);
    let ephemerals = possessions + 64 * N;
    let shares = ephemerals + 33 * N;
    let named = |id, fault| Culprit::HolderOrCoordinator(HolderId(id), fault);
    let cases = [
        (33, vec![0; 33], named(1, HolderFault::Commitment)),
        (
            possessions + 128,
            vec![9; 64],
            named(2, HolderFault::Possession),
        ),
        (
            ephemerals + 99,
            vec![4; 33],
            named(3, HolderFault::Ephemeral),
        ),
        (
            0,
            vec![0; 33],
            Culprit::Coordinator(CoordinatorFault::OtherCommitment),
        ),
        (
            ephemerals,
            vec![0; 33],
            Culprit::Coordinator(CoordinatorFault::OtherEphemeral),
        ),
        (
            rest,
            vec![4; 33],
            Culprit::Coordinator(CoordinatorFault::Malformed),
        ),
        (
            shares,
            vec![0xff; 32],
            Culprit::Coordinator(CoordinatorFault::Malformed),
        ),
    ];
    for (at, bytes, expected) in cases {
        let mut ring = ring(37);
        let mut broadcast = ring.broadcast();
        broadcast.splice(at..at + bytes.len(), bytes);
        assert_eq!(fault(ring.receive(0, &broadcast)), expected);
    }
}

/// One dealer sends one holder a share that is off by a bit.
fn with_bad_share(seed: u64, dealer: usize, victim: usize) -> (Ring, Vec<u8>) {
    let mut ring = ring(seed);
    ring.deals[dealer][SHARES + 32 * victim + 31] ^= 1;
    let broadcast = ring.broadcast();
    (ring, broadcast)
}

#[test]
fn whoever_dealt_a_bad_share_is_named_by_its_victim() {
    for (dealer, victim) in [(3, 1), (0, 4), (4, 0)] {
        let (mut ring, broadcast) = with_bad_share(38, dealer, victim);
        let messages = investigation(&ring.params, &ring.deals).unwrap();
        let Err(ReceiveError::Share(suspicion)) = ring.receive(victim, &broadcast) else {
            panic!("a bad share was taken");
        };
        let id = HolderId(u32::try_from(dealer).unwrap());
        assert_eq!(
            suspicion.investigate(&messages[victim]),
            Ok(Culprit::HolderOrCoordinator(id, HolderFault::Share))
        );
        // Nobody else noticed anything.
        ring.receive(if victim == 0 { 0 } else { victim - 1 }, &broadcast)
            .map(drop)
            .or_else(|error| match error {
                ReceiveError::OtherHostKey => Ok(()),
                other => Err(other),
            })
            .unwrap();
    }
}

#[test]
fn an_investigation_that_does_not_add_up_names_the_coordinator() {
    let changes: [(usize, Culprit); 2] = [
        (31, Culprit::Coordinator(CoordinatorFault::ShareSum)),
        (
            32 * N + 33,
            Culprit::Coordinator(CoordinatorFault::PublicShareSum),
        ),
    ];
    for (at, culprit) in changes {
        let (mut ring, broadcast) = with_bad_share(39, 3, 1);
        let mut message = investigation(&ring.params, &ring.deals).unwrap()[1].clone();
        message[at] ^= 1;
        let Err(ReceiveError::Share(suspicion)) = ring.receive(1, &broadcast) else {
            panic!("a bad share was taken");
        };
        assert_eq!(suspicion.investigate(&message), Ok(culprit));
    }
    // Of another length, or of a ceremony in which all was well.
    let (mut ring, broadcast) = with_bad_share(39, 3, 1);
    let Err(ReceiveError::Share(suspicion)) = ring.receive(1, &broadcast) else {
        panic!("a bad share was taken");
    };
    assert!(matches!(
        suspicion.investigate(&[0; 65 * N - 1]),
        Err(InvestigateError::Length(_))
    ));
}

/// A dealer who shifts his commitments so that all sums beyond the constant vanish gains nothing:
/// infinity is a value there, and every share is then found wrong.
#[test]
fn vanishing_sums_of_commitments_break_nothing_but_the_ceremony() {
    let mut ring = ring(40);
    let mut broadcast = ring.broadcast();
    let rest = 33 * N;
    broadcast[rest..rest + 33 * (T - 1)].fill(0);
    for holder in (0..N).rev() {
        assert!(matches!(
            ring.receive(holder, &broadcast),
            Err(ReceiveError::Share(_))
        ));
    }
}

#[test]
fn two_broadcasts_make_no_certificate() {
    let mut ring = ring(41);
    let (coordinator, one) = Coordinator::collect(&ring.params, &ring.deals).unwrap();
    // The same ceremony with another deal of the last holder, who cheats.
    let (_, other_deal) = deal(
        &ring.operators.hosts[4],
        &ring.params,
        draw(&mut ring.random),
    )
    .unwrap();
    ring.deals[4] = other_deal;
    let (_, two) = Coordinator::collect(&ring.params, &ring.deals).unwrap();
    let mut received = Vec::new();
    let mut signatures = Vec::new();
    for (holder, dealt) in ring.dealt.into_iter().enumerate() {
        let broadcast = if holder == 2 { &two } else { &one };
        let host = &ring.operators.hosts[holder];
        let (state, signature) = dealt.receive(host, broadcast, &[1; 32]).unwrap();
        received.push(state);
        signatures.push(signature.to_vec());
    }
    assert_eq!(
        coordinator.certify(&signatures).unwrap_err(),
        CoordinatorError::Signature(HolderId(2))
    );
    for state in received {
        assert_eq!(
            state.certify(&signatures.concat()).err(),
            Some(CertifyError::Coordinator(CoordinatorFault::Certificate))
        );
    }
}

#[test]
fn a_certificate_needs_every_signature() {
    let mut ring = ring(42);
    let (coordinator, broadcast) = Coordinator::collect(&ring.params, &ring.deals).unwrap();
    let (states, signatures): (Vec<_>, Vec<_>) = ring
        .dealt
        .drain(..)
        .zip(&ring.operators.hosts)
        .map(|(dealt, host)| dealt.receive(host, &broadcast, &[1; 32]).unwrap())
        .unzip();
    let signatures: Vec<Vec<u8>> = signatures.iter().map(|one| one.to_vec()).collect();
    assert!(matches!(
        coordinator.certify(&signatures[..N - 1]),
        Err(CoordinatorError::Count {
            got: 4,
            expected: N
        })
    ));
    let certificate = signatures.concat();
    let mut wrong = certificate.clone();
    wrong[64 * 3 + 5] ^= 1;
    let repeated = [&certificate[..64 * 4], &certificate[..64]].concat();
    let mut states = states.into_iter();
    for bad in [wrong, repeated] {
        assert_eq!(
            states.next().unwrap().certify(&bad).err(),
            Some(CertifyError::Coordinator(CoordinatorFault::Certificate))
        );
    }
    assert!(matches!(
        states.next().unwrap().certify(&certificate[..64 * 4]),
        Err(CertifyError::Length(_))
    ));
    states.next().unwrap().certify(&certificate).unwrap();
}

fn variations() -> Vec<Ceremony> {
    let base = ceremony(1);
    let mut other_network = base;
    other_network.bridge.network = Network::Signet;
    let mut other_bridge = base;
    other_bridge.bridge.app.identity = [9; 32];
    let mut other_contract = base;
    other_contract.bridge.app.vk = [9; 32];
    vec![
        ceremony(2),
        Ceremony { attempt: 2, ..base },
        Ceremony {
            epoch: Epoch(4),
            ..base
        },
        other_network,
        other_bridge,
        other_contract,
    ]
}

#[test]
fn deals_of_another_ceremony_are_refused() {
    for other in variations() {
        let mut ring = ring(43);
        let params = Params::new(&other, &ring.operators.keys, T).unwrap();
        let foreign = deal(&ring.operators.hosts[1], &params, draw(&mut ring.random)).unwrap();
        ring.deals[1] = foreign.1;
        assert_eq!(
            ring.collected(),
            CoordinatorError::Deal(HolderId(1), HolderFault::Possession)
        );
    }
}

#[test]
fn a_transcript_of_another_ceremony_is_refused() {
    let holders = Holders::new(T, N, 44);
    let host = &holders.operators.hosts[2];
    for other in variations() {
        let params = Params::new(&other, &holders.operators.keys, T).unwrap();
        assert_eq!(
            recover(host, &params, &holders.transcript).err(),
            Some(RecoverError::Certificate(HolderId(0)))
        );
    }
    let mut keys = holders.operators.keys.clone();
    keys.swap(0, 1);
    let swapped = Params::new(&ceremony(1), &keys, T).unwrap();
    let lower = Params::new(&ceremony(1), &holders.operators.keys, T - 1).unwrap();
    for params in [swapped, lower] {
        assert_eq!(
            recover(host, &params, &holders.transcript).err(),
            Some(RecoverError::OtherParams)
        );
    }
}

#[test]
fn every_changed_byte_of_a_transcript_is_refused() {
    let holders = Holders::new(2, 3, 45);
    let host = &holders.operators.hosts[0];
    for at in 0..holders.transcript.len() {
        let mut changed = holders.transcript.clone();
        changed[at] ^= 1;
        assert!(
            recover(host, &holders.params, &changed).is_err(),
            "byte {at}"
        );
    }
    for length in 0..holders.transcript.len() {
        assert!(verify(&holders.params, &holders.transcript[..length]).is_err());
    }
    let longer = [&holders.transcript[..], &[0]].concat();
    assert!(verify(&holders.params, &longer).is_err());
}

#[test]
fn a_stranger_neither_deals_nor_recovers() {
    let mut holders = Holders::new(2, 3, 46);
    let stranger = HostKey::of_operator(&common::pair(&mut holders.random));
    assert_eq!(
        deal(&stranger, &holders.params, draw(&mut holders.random)).err(),
        Some(DealError::NotAHolder)
    );
    assert_eq!(
        recover(&stranger, &holders.params, &holders.transcript).err(),
        Some(RecoverError::NotAHolder)
    );
    let mut ring = ring(46);
    let broadcast = ring.broadcast();
    let refused = ring
        .dealt
        .remove(0)
        .receive(&stranger, &broadcast, &[0; 32]);
    assert!(matches!(refused, Err(ReceiveError::OtherHostKey)));
}

/// What is dealt is public but for the shares, and those are under pads: the same polynomial never
/// meets two sets of receivers, since everything follows from one seed over the parameters.
#[test]
fn the_same_draw_for_other_parameters_deals_another_polynomial() {
    let mut random = fastrand::Rng::with_seed(47);
    let operators = Operators::new(N, &mut random);
    let with = |params: &Params| {
        deal(&operators.hosts[0], params, Draw::new([8; 32]).unwrap())
            .unwrap()
            .1
    };
    let mut deals: Vec<Vec<u8>> = variations()
        .iter()
        .map(|other| with(&Params::new(other, &operators.keys, T).unwrap()))
        .collect();
    deals.push(with(&operators.params(T, 1)));
    let mut keys = operators.keys.clone();
    keys.swap(3, 4);
    deals.push(with(&Params::new(&ceremony(1), &keys, T).unwrap()));
    let mut constants: Vec<&[u8]> = deals.iter().map(|deal| &deal[..33]).collect();
    let mut ephemerals: Vec<&[u8]> = deals
        .iter()
        .map(|deal| &deal[EPHEMERAL..EPHEMERAL + 33])
        .collect();
    for list in [&mut constants, &mut ephemerals] {
        list.sort_unstable();
        list.dedup();
        assert_eq!(list.len(), 8);
    }
}

#[test]
fn parameters_that_nobody_may_have_are_refused() {
    let mut random = fastrand::Rng::with_seed(48);
    let operators = Operators::new(100, &mut random);
    let params = |count: usize, threshold| {
        Params::new(&ceremony(1), &operators.keys[..count], threshold).map(drop)
    };
    assert_eq!(params(16, 12), Ok(()));
    assert_eq!(params(13, 12), Ok(()));
    assert_eq!(params(12, 12), Err(ParamsError::NoSpare { holders: 12 }));
    assert_eq!(
        params(12, 13),
        Err(ParamsError::Threshold {
            threshold: 13,
            holders: 12
        })
    );
    assert_eq!(
        params(12, 0),
        Err(ParamsError::Threshold {
            threshold: 0,
            holders: 12
        })
    );
    assert_eq!(params(32, 17), Ok(()));
    assert_eq!(params(100, 95), Ok(()));
    assert_eq!(
        params(100, 67),
        Err(ParamsError::ReductionLoss { bits: 32 })
    );
    let mut twice = operators.keys[..4].to_vec();
    twice[3] = twice[1];
    assert_eq!(
        Params::new(&ceremony(1), &twice, 2).err(),
        Some(ParamsError::SameHostKey {
            first: HolderId(1),
            second: HolderId(3)
        })
    );
}

#[test]
fn the_reductions_loss_is_what_it_is() {
    use grail_frost::dkg::reduction_loss_bits as bits;
    // C(16, 11) = 4,368; C(32, 16) = 601,080,390; C(100, 94) = 1,192,052,400.
    assert_eq!(bits(16, 12), 12);
    assert_eq!(bits(32, 17), 29);
    assert_eq!(bits(100, 95), 30);
    assert_eq!(bits(100, 67), 32);
    assert_eq!(bits(3, 1), 0);
}

/// The coordinator deals in everybody's name: the victim finds its own deal replaced, or signs a
/// key of which the victim's polynomial is part, and no honest holder signs with it.
#[test]
fn replaced_deals_end_in_no_certificate() {
    let mut ring = ring(51);
    let (_, forged) = dealt(&ring.operators, &ring.params, &mut ring.random);
    let all = Coordinator::collect(&ring.params, &forged).unwrap().1;
    let mut others = forged;
    others[0] = ring.deals[0].clone();
    let but_mine = Coordinator::collect(&ring.params, &others).unwrap().1;
    assert_eq!(
        fault(ring.receive(1, &all)),
        Culprit::Coordinator(CoordinatorFault::OtherEphemeral)
    );
    ring.receive(0, &but_mine).unwrap();
    // dealt[0] is now holder 2's: 0 and 1 are taken.
    let refused = ring.dealt.remove(0).receive(
        &ring.operators.hosts[2],
        &but_mine,
        &bytes(&mut ring.random),
    );
    assert_eq!(
        fault(refused.map(|(received, _)| received)),
        Culprit::Coordinator(CoordinatorFault::OtherEphemeral)
    );
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let ring = ring(54);
    let mut random = ring.random.clone();
    let broadcast = ring.broadcast();
    let transcript = Holders::new(2, 3, 54);
    for _ in 0..2_000 {
        let mut noise: Vec<u8> = vec![0; random.usize(..700)];
        random.fill(&mut noise);
        let _ = Coordinator::collect(&ring.params, &vec![noise.clone(); N]);
        let _ = investigation(&ring.params, &vec![noise.clone(); N]);
        let _ = verify(&ring.params, &noise);
        // And valid ones with some bytes changed.
        let mut deals = ring.deals.clone();
        let place = random.usize(..deals[1].len());
        deals[1][place] = random.u8(..);
        let _ = Coordinator::collect(&ring.params, &deals);
        let mut changed = transcript.transcript.clone();
        let place = random.usize(..changed.len());
        changed[place] = random.u8(..);
        let _ = recover(&transcript.operators.hosts[0], &transcript.params, &changed);
    }
    for _ in 0..200 {
        let (own, _) = deal(&ring.operators.hosts[0], &ring.params, draw(&mut random)).unwrap();
        let mut changed = broadcast.clone();
        let place = random.usize(..changed.len());
        changed[place] ^= 1 << random.u8(..8);
        assert!(
            own.receive(&ring.operators.hosts[0], &changed, &[0; 32])
                .is_err()
        );
    }
}
