//! What the tests of scripts share: keys, rosters, terms, and a second opinion on taproot.
//!
//! [`reference`] and [`tapscript`] are written from the texts of BIP-341 and BIP-342, without the
//! library that the crate under test uses; the first is checked against the published vectors
//! before it judges anything.

pub mod reference;
pub mod tapscript;

use bitcoin::{
    Amount, ScriptBuf, WPubkeyHash, XOnlyPublicKey,
    hashes::Hash,
    secp256k1::{Keypair, Secp256k1},
};
use grail_types::{BridgeApp, Epoch, Governance, Kind, Network, Roster, Terms, Threshold};

/// A key pair told apart by `seed`, which is not zero.
pub fn keypair(seed: u16) -> Keypair {
    let mut secret = [0x11; 32];
    secret[..2].copy_from_slice(&seed.to_be_bytes());
    Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
}

pub fn public(keypair: &Keypair) -> XOnlyPublicKey {
    keypair.x_only_public_key().0
}

/// Key pairs in roster order, and their roster.
pub fn roster_with(epoch: u64, signers: u16, threshold: u16) -> (Vec<Keypair>, Roster) {
    let mut keys: Vec<_> = (1..=signers).map(keypair).collect();
    keys.sort_by_key(|key| public(key).serialize());
    let signers = keys.iter().map(public).collect();
    let roster = Roster::new(Epoch(epoch), signers, Threshold(threshold)).unwrap();
    (keys, roster)
}

/// Twelve of sixteen at epoch 0.
pub fn roster() -> (Vec<Keypair>, Roster) {
    roster_with(0, 16, 12)
}

/// Key pairs of administrators in their order, and their governance.
pub fn governance_with(count: u16, threshold: u16) -> (Vec<Keypair>, Governance) {
    let mut keys: Vec<_> = (0x4001..=0x4000 + count).map(keypair).collect();
    keys.sort_by_key(|key| public(key).serialize());
    let administrators = keys.iter().map(public).collect();
    (keys, Governance::new(administrators, threshold).unwrap())
}

/// Twelve of sixteen administrators.
pub fn governance() -> Governance {
    governance_with(16, 12).1
}

/// The user whose key [`terms`] name.
pub fn user() -> Keypair {
    keypair(0x7777)
}

pub fn p2wpkh(byte: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]))
}

pub fn terms() -> Terms {
    Terms {
        kind: Kind::PegIn,
        network: Network::Regtest,
        bridge: BridgeApp {
            identity: [1; 32],
            vk: [2; 32],
        },
        destination: p2wpkh(9).try_into().unwrap(),
        fee_cap: Amount::from_sat(5_000),
        epoch: Epoch(0),
        reclaim_key: public(&user()),
        reclaim_delay: 1_008,
        nonce: [3; 16],
    }
}
