//! Donations move into the vault's coin under the bridge's own contract.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::OnceLock;

use bitcoin::Amount;
use grail_fixtures::world::{World, public, real_world, steps::SPONSORED, world};
use grail_policy::{Decision, Merge};
use grail_wire::{decode_proposal, encode_proposal};
use proptest::{prelude::*, sample::Index};

fn merged(world: &World, amounts: &[u64]) -> Merge {
    match world.merging(amounts).approve(world).unwrap().get() {
        Decision::Merge(merge) => (**merge).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn donations_go_to_the_vault_whole_and_sponsors_to_the_miners() {
    let world = real_world();
    let merge = merged(world, &[330, 70_000, 1]);
    assert_eq!(merge.merged, Amount::from_sat(70_331));
    let vault = world.vault_coin().output.value + merge.merged;
    assert_eq!(merge.signing.transaction.output[1].value, vault);
    assert_eq!(merge.signing.fee, Amount::from_sat(SPONSORED));
    assert_eq!(merge.after.supply, world.state.supply);
    assert_eq!(merge.after.serial, world.state.serial + 1);
    let [(_, paid)] = merge.sponsors[..] else {
        panic!("{:?}", merge.sponsors)
    };
    assert_eq!(paid, Amount::from_sat(SPONSORED));
    // NFT, vault, three donations, one sponsor: each is signed by the roster.
    assert_eq!(merge.signing.inputs.len(), 6);
}

#[test]
fn the_first_coin_of_a_vault_may_be_a_donation() {
    let world = real_world();
    let mut before = world.on(world.deployment.clone(), world.state.clone());
    (before.state.serial, before.state.supply) = (0, 0);
    let merge = merged(&before, &[10_000]);
    let vault = &merge.signing.transaction.output[1];
    assert_eq!(vault.value, Amount::from_sat(10_000));
    assert_eq!(vault.script_pubkey, world.vault.script_pubkey);
}

/// A sound merge, as it travels.
fn encoded() -> &'static [u8] {
    static ENCODED: OnceLock<Vec<u8>> = OnceLock::new();
    ENCODED.get_or_init(|| {
        let step = world().merging(&[330, 70_000]);
        assert_eq!(step.refusal(world()), "approved");
        encode_proposal(&step.propose(world())).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_flipped_bit_of_a_merge_is_approved(at: Index, bit in 0..8_u8) {
        let mut bytes = encoded().to_vec();
        let length = bytes.len();
        bytes[at.index(length)] ^= 1 << bit;
        let Ok(flipped) = decode_proposal(&bytes) else { return Ok(()) };
        let world = world();
        let signer = public(&world.keys[0]);
        let decided = grail_policy::approve(&world.secp, &flipped, &world.bridge, &signer);
        prop_assert!(decided.is_err());
    }
}
