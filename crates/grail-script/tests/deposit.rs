//! Deposit addresses.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::script as support;

use bitcoin::{Amount, ScriptBuf, secp256k1::Secp256k1};
use grail_script::{DepositTree, InternalKey, VaultTree};
use grail_types::{Kind, Network, Roster, Terms};
use support::{governance, keypair, p2wpkh, public, roster, roster_with, terms};

fn address(terms: &Terms, roster: &Roster) -> ScriptBuf {
    DepositTree::new(&Secp256k1::new(), InternalKey::Nums, terms, roster).script_pubkey
}

#[test]
fn every_field_of_the_terms_changes_the_address() {
    let (_, roster) = roster();
    let changes: [fn(&mut Terms); 10] = [
        |t| t.kind = Kind::PegOut,
        |t| t.network = Network::Signet,
        |t| t.bridge.identity[31] ^= 1,
        |t| t.bridge.vk[31] ^= 1,
        |t| t.destination = p2wpkh(10).try_into().unwrap(),
        |t| t.fee_cap += Amount::ONE_SAT,
        |t| t.epoch.0 += 1,
        |t| t.reclaim_key = public(&keypair(0x7778)),
        |t| t.reclaim_delay += 1,
        |t| t.nonce[15] ^= 1,
    ];
    let mut seen = vec![address(&terms(), &roster)];
    for (index, change) in changes.iter().enumerate() {
        let mut changed = terms();
        change(&mut changed);
        let address = address(&changed, &roster);
        assert!(!seen.contains(&address), "change {index}");
        seen.push(address);
    }
}

#[test]
fn the_roster_changes_the_address() {
    let mut seen = Vec::new();
    for (signers, threshold) in [(16, 12), (16, 11), (17, 12)] {
        let (_, roster) = roster_with(0, signers, threshold);
        let address = address(&terms(), &roster);
        assert!(!seen.contains(&address), "{threshold} of {signers}");
        seen.push(address);
    }
}

#[test]
fn a_deposit_address_is_never_the_vault() {
    let (_, roster) = roster();
    let vault = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, &roster, &governance());
    assert_ne!(address(&terms(), &roster), vault.script_pubkey);
}

#[test]
fn the_address_is_stable() {
    // A snapshot: a change of this value strands every open deposit.
    let (_, roster) = roster();
    assert_eq!(
        address(&terms(), &roster).to_hex_string(),
        "51200abdf5410b2508783c4864cccd9dad226b0ec8285f027161b5bbb217c97c8e55"
    );
}
