//! Keys, rosters and signed things for the tests.
#![allow(clippy::unwrap_used)]

use bitcoin::{
    Txid, XOnlyPublicKey,
    hashes::Hash as _,
    secp256k1::{All, Keypair, Message, Secp256k1, schnorr::Signature},
};
use grail_attest::{Image, ImageClass, TeeKind};
use grail_types::{
    BoundedBytes, BoundedVec, Bridge, BridgeApp, Consent, ConsentStep, Epoch, Governance,
    ImagesHash, Measurement, Network, ParamsHash, Threshold,
};
use grail_wire::{ConsentSignature, Consents};

use crate::{
    Address, Anchor, Ballot, Body, CloneOrder, Genesis, Handover, ImagesPin, LogId, LogState,
    Member, NamedEntry, Peer, Phase, SignedVote, Succession, ValidEntry, Vote, VoteSignatures,
    VoteSigner, addresses_digest, images_digest, state::roster_of, vote_digest,
};

/// What is to be signed and verified with.
pub fn secp() -> Secp256k1<All> {
    Secp256k1::new()
}

/// A key of a use (`s`igner, `a`dministrator, `c`loning, `i`nstance) by its number.
pub fn pair(purpose: u8, number: u16) -> Keypair {
    let mut secret = [purpose; 32];
    secret[30..].copy_from_slice(&number.to_be_bytes());
    Keypair::from_seckey_slice(&secp(), &secret).unwrap()
}

pub fn public(pair: &Keypair) -> XOnlyPublicKey {
    pair.x_only_public_key().0
}

pub fn sign(pair: &Keypair, digest: &Message) -> Signature {
    secp().sign_schnorr_no_aux_rand(digest, pair)
}

/// The first `count` pairs of a use, in the order of their public keys.
pub fn pairs(purpose: u8, count: u16) -> Vec<Keypair> {
    let mut pairs: Vec<_> = (1..=count).map(|number| pair(purpose, number)).collect();
    pairs.sort_by_key(|pair| public(pair).serialize());
    pairs
}

/// The first `count` signers, in order.
pub fn signers(count: u16) -> Vec<XOnlyPublicKey> {
    pairs(b's', count).iter().map(public).collect()
}

pub fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [1; 32],
            vk: [2; 32],
        },
    }
}

pub fn txid(number: u8) -> Txid {
    Txid::from_byte_array([number; 32])
}

pub fn address(text: &str) -> Address {
    let bytes = BoundedBytes::new(text.as_bytes().to_vec()).unwrap();
    Address::try_from(bytes).unwrap()
}

pub fn image(class: ImageClass) -> Image {
    Image {
        tee: TeeKind::Development,
        class,
        measurement: Measurement {
            pcr0: [1; 48],
            pcr1: [2; 48],
            pcr2: [3; 48],
        },
    }
}

/// Three of four administrators.
pub fn governance() -> Governance {
    Governance::new(pairs(b'a', 4).iter().map(public).collect(), 3).unwrap()
}

/// A roster of these signers, of whom `threshold` must agree.
pub fn succession(epoch: u64, signers: &[Keypair], threshold: u16) -> Succession {
    let administrator = public(&pair(b'a', 1));
    let member = |pair: &Keypair| Member {
        operator: public(pair),
        administrator,
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        evidence: [4; 32],
        cloning: public(&self::pair(b'c', 1)),
        addresses: BoundedVec::new(vec![address("10.0.0.1:7000")]).unwrap(),
    };
    Succession {
        epoch: Epoch(epoch),
        members: BoundedVec::new(signers.iter().map(member).collect()).unwrap(),
        threshold: Threshold(threshold),
        governance: governance(),
        params: ParamsHash([5; 32]),
    }
}

pub fn anchor(succession: &Succession, number: u8) -> Anchor {
    Anchor {
        roster: roster_of(succession).unwrap(),
        governance: succession.governance.hash(),
        params: succession.params,
        txid: txid(number),
    }
}

/// A log of `members` signers with the least threshold.
pub fn genesis(members: u16, rolled_back: u16) -> Genesis {
    Genesis {
        bridge: bridge(),
        rolled_back,
        succession: succession(0, &pairs(b's', members), members / 2 + 1),
        txid: txid(0),
        images: ImagesPin {
            counter: 1,
            hash: ImagesHash([6; 32]),
        },
    }
}

/// Signatures of the first `count` administrators.
pub fn consents(count: u16, digest: &Message) -> Consents {
    let pairs = pairs(b'a', 4);
    let signature = |administrator: u16| ConsentSignature {
        administrator,
        signature: sign(&pairs[usize::from(administrator)], digest),
    };
    Consents::new((0..count).map(signature).collect()).unwrap()
}

/// A rotation to `succession`, consented to.
pub fn handover(attempt: u64, succession: Succession, number: u8) -> Handover {
    let consent = Consent {
        step: ConsentStep::Announce { evidence: [7; 32] },
        bridge: bridge(),
        epoch: Epoch(succession.epoch.0 - 1),
        attempt,
        next: [number; 32],
    };
    Handover {
        attempt,
        next: [number; 32],
        evidence: [7; 32],
        succession,
        consents: consents(3, &consent.digest()),
        txid: txid(number),
    }
}

pub fn cancelled(attempt: u64, number: u8, count: u16) -> Body {
    let consent = Consent {
        step: ConsentStep::Cancel,
        bridge: bridge(),
        epoch: Epoch(0),
        attempt,
        next: [number; 32],
    };
    Body::Cancelled {
        attempt,
        next: [number; 32],
        consents: consents(count, &consent.digest()),
        txid: txid(number),
    }
}

pub fn images(counter: u64, count: u16) -> Body {
    let images = ImagesPin {
        counter,
        hash: ImagesHash([8; 32]),
    };
    let consents = consents(count, &images_digest(&bridge(), &images));
    Body::Images { images, consents }
}

/// A change of addresses, signed.
pub fn moved(log: &LogState, signer: &Keypair, sequence: u64, text: &str) -> Body {
    let addresses = BoundedVec::new(vec![address(text)]).unwrap();
    let digest = addresses_digest(log.log(), log.epoch(), sequence, &addresses);
    Body::Addresses {
        operator: public(signer),
        sequence,
        addresses,
        signature: sign(signer, &digest),
    }
}

pub fn order(operator: XOnlyPublicKey, recipient: XOnlyPublicKey, expires: u64) -> CloneOrder {
    let mut order = CloneOrder {
        bridge: bridge(),
        operator,
        slot: 0,
        recipient,
        expires,
        signature: sign(&pair(b'c', 1), &Message::from_digest([1; 32])),
    };
    order.signature = sign(&pair(b'c', 1), &order.digest());
    order
}

pub fn valid(log: &LogState, body: Body) -> ValidEntry {
    let named = NamedEntry::new(log.next(body)).unwrap();
    log.check(&secp(), named).unwrap()
}

/// Both keys of an instance.
#[derive(Clone)]
pub struct Keys {
    pub signer: Keypair,
    pub instance: Keypair,
}

impl Keys {
    pub fn peer(&self) -> Peer {
        Peer {
            operator: public(&self.signer),
            instance: public(&self.instance),
        }
    }

    pub fn vote(&self, log: &LogId, ballot: Ballot) -> SignedVote {
        SignedVote {
            voter: self.peer(),
            ballot,
            signatures: self.sign(log, &ballot),
        }
    }
}

impl VoteSigner for Keys {
    fn sign(&self, log: &LogId, ballot: &Ballot) -> VoteSignatures {
        let digest = vote_digest(log, &self.peer(), ballot);
        VoteSignatures {
            signer: sign(&self.signer, &digest),
            instance: sign(&self.instance, &digest),
        }
    }
}

/// A vote for the models, whose signatures are of nothing.
pub fn unsigned(member: usize, voter: Peer, ballot: Ballot) -> Vote {
    let nothing = Signature::from_slice(&[0; 64]).unwrap();
    let signatures = VoteSignatures {
        signer: nothing,
        instance: nothing,
    };
    let signed = SignedVote {
        voter,
        ballot,
        signatures,
    };
    Vote::unsigned(member, &signed)
}

pub fn ballot(log: &LogState, round: u32, phase: Phase, entry: &ValidEntry) -> Ballot {
    Ballot {
        epoch: log.epoch(),
        height: log.next_height(),
        round,
        phase,
        entry: entry.named().hash(),
        lock: None,
    }
}
