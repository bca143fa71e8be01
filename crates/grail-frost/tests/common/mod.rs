//! Holders of one key, each with an enclave of his own, and a coordinator that does what it should.

#![allow(clippy::unwrap_used, missing_docs)]
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;

use bitcoin::{
    TapNodeHash, XOnlyPublicKey,
    hashes::Hash as _,
    key::Keypair,
    secp256k1::{Message, Secp256k1, schnorr::Signature},
};
use grail_frost::{
    Answer, Approved, Attempt, Commitments, Draw, Entropy, Group, HolderId, Order, OutputKey,
    Proposal, Sessions, SignRefusal, SigningShare, ToSign,
    dkg::{Ceremony, Coordinator, HostKey, Params, Received, deal},
};
use grail_types::{Bridge, BridgeApp, Epoch, Network};

pub const ASKER: [u8; 32] = [0x77; 32];

pub fn draw(random: &mut fastrand::Rng) -> Draw {
    Draw::new(bytes(random)).unwrap()
}

pub fn bytes<const N: usize>(random: &mut fastrand::Rng) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

pub fn pair(random: &mut fastrand::Rng) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &bytes::<32>(random)).unwrap()
}

pub fn asker() -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &ASKER).unwrap()
}

pub fn order_signed(pair: &Keypair, order: &Order) -> Signature {
    Secp256k1::new().sign_schnorr_with_aux_rand(
        &Message::from_digest(order.digest().0),
        pair,
        &[9; 32],
    )
}

pub fn ceremony(session: u64) -> Ceremony {
    Ceremony {
        bridge: Bridge {
            network: Network::Regtest,
            app: BridgeApp {
                identity: [1; 32],
                vk: [2; 32],
            },
        },
        epoch: Epoch(3),
        attempt: 1,
        session,
    }
}

/// Operators before a ceremony.
pub struct Operators {
    pub hosts: Vec<HostKey>,
    pub keys: Vec<XOnlyPublicKey>,
}

impl Operators {
    pub fn new(count: usize, random: &mut fastrand::Rng) -> Self {
        let pairs: Vec<Keypair> = (0..count).map(|_| pair(random)).collect();
        Self {
            hosts: pairs.iter().map(HostKey::of_operator).collect(),
            keys: pairs
                .iter()
                .map(|pair| pair.x_only_public_key().0)
                .collect(),
        }
    }

    pub fn params(&self, threshold: usize, session: u64) -> Params {
        Params::new(&ceremony(session), &self.keys, threshold).unwrap()
    }
}

/// Holders after a ceremony, each with a running enclave.
pub struct Holders {
    pub operators: Operators,
    pub params: Params,
    pub group: Group,
    pub transcript: Vec<u8>,
    pub shares: Vec<SigningShare>,
    pub sessions: Vec<Sessions>,
    pub entropies: Vec<Entropy>,
    pub random: fastrand::Rng,
}

impl Holders {
    pub fn new(threshold: usize, count: usize, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let operators = Operators::new(count, &mut random);
        let params = operators.params(threshold, 1);
        let (group, transcript, shares) = generate(&operators, &params, &mut random);
        let entropies: Vec<Entropy> = (0..count)
            .map(|_| Entropy::start(&draw(&mut random)))
            .collect();
        Self {
            sessions: entropies.iter().map(Sessions::new).collect(),
            operators,
            params,
            group,
            transcript,
            shares,
            entropies,
            random,
        }
    }

    pub fn commit(
        &mut self,
        id: HolderId,
        proposal: Proposal,
        inputs: &[ToSign],
        now: u64,
    ) -> Commitments {
        let index = id.0 as usize;
        let committed = self.sessions[index]
            .commit(
                &self.shares[index],
                approved(proposal, inputs, &asker()),
                draw(&mut self.random),
                &mut self.entropies[index],
                now,
            )
            .unwrap();
        Commitments {
            id,
            instance: committed.instance,
            session: committed.session,
            nonces: committed.nonces,
        }
    }

    pub fn sign(&mut self, id: HolderId, order: &Order, now: u64) -> Result<Answer, SignRefusal> {
        let index = id.0 as usize;
        let signature = order_signed(&asker(), order);
        self.sessions[index].sign(&self.shares[index], &self.group, order, &signature, now)
    }

    /// An attempt to which these have committed.
    pub fn attempt(&mut self, ids: &[HolderId], proposal: Proposal, inputs: &[ToSign]) -> Attempt {
        let commitments = ids
            .iter()
            .map(|id| self.commit(*id, proposal, inputs, 0))
            .collect();
        Attempt::new(&self.group, proposal, inputs.to_vec(), commitments).unwrap()
    }

    pub fn answers(&mut self, ids: &[HolderId], attempt: &Attempt) -> BTreeMap<HolderId, Answer> {
        ids.iter()
            .map(|id| {
                let order = attempt.order(*id).unwrap();
                (*id, self.sign(*id, &order, 0).unwrap())
            })
            .collect()
    }

    /// Distinct holders in random order.
    pub fn some(&mut self, count: usize) -> Vec<HolderId> {
        let mut ids: Vec<HolderId> = self.shares.iter().map(SigningShare::id).collect();
        self.random.shuffle(&mut ids);
        ids.truncate(count);
        ids
    }

    /// Random messages under the group key as it is, as a taproot output's, and tweaked otherwise.
    pub fn inputs(&mut self, count: usize) -> Vec<ToSign> {
        (0..count)
            .map(|place| {
                let key = self.group.key();
                let tweak: [u8; 32] = bytes(&mut self.random);
                let key = match place % 3 {
                    0 => OutputKey::untweaked(key),
                    1 => OutputKey::taproot(key, TapNodeHash::from_byte_array(tweak)).unwrap(),
                    _ => OutputKey::untweaked(key)
                        .plain(&tweak)
                        .unwrap()
                        .x_only(&tweak)
                        .unwrap(),
                };
                ToSign::new(bytes(&mut self.random), key)
            })
            .collect()
    }
}

pub fn approved(proposal: Proposal, inputs: &[ToSign], asker: &Keypair) -> Approved {
    Approved {
        proposal,
        inputs: inputs.to_vec(),
        asker: asker.x_only_public_key().0,
    }
}

/// A ceremony in which nobody cheats.
pub fn generate(
    operators: &Operators,
    params: &Params,
    random: &mut fastrand::Rng,
) -> (Group, Vec<u8>, Vec<SigningShare>) {
    let (dealt, deals): (Vec<_>, Vec<_>) = operators
        .hosts
        .iter()
        .map(|host| deal(host, params, draw(random)).unwrap())
        .unzip();
    let (coordinator, broadcast) = Coordinator::collect(params, &deals).unwrap();
    let (received, signatures): (Vec<Received>, Vec<Vec<u8>>) = dealt
        .into_iter()
        .zip(&operators.hosts)
        .map(|(dealt, host)| {
            let (received, signature) = dealt.receive(host, &broadcast, &bytes(random)).unwrap();
            (received, signature.to_vec())
        })
        .unzip();
    let (certificate, group, transcript) = coordinator.certify(&signatures).unwrap();
    let shares = received
        .into_iter()
        .map(|received| {
            let (own_group, share, own_transcript) = received.certify(&certificate).unwrap();
            assert_eq!(own_group, group);
            assert_eq!(own_transcript, transcript);
            share
        })
        .collect();
    (group, transcript, shares)
}

/// By libsecp256k1's word, not ours.
pub fn verify(inputs: &[ToSign], signatures: &[Signature]) {
    assert_eq!(inputs.len(), signatures.len());
    let secp = Secp256k1::verification_only();
    for (input, signature) in inputs.iter().zip(signatures) {
        secp.verify_schnorr(
            signature,
            &Message::from_digest(input.message),
            &input.key.x_only_key().0,
        )
        .unwrap();
    }
}
