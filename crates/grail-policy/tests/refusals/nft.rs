//! The roster NFT: that it is there, what it says, that it stays what and where it is.

use bitcoin::Amount;
use charms_data::{App, B32, Data};
use grail_bridge_contract::RosterState;
use grail_spell::nft_app;

use crate::{
    drafted, refusals,
    support::{
        AGREES_TOO, Draft, Setup, World, code, coin, funding, hash_of, input, keypair, output,
        p2wpkh, public, world,
    },
    usual,
};

/// An app of somebody else.
fn foreign() -> App {
    App {
        tag: 'n',
        identity: B32([9; 32]),
        vk: B32(hash_of(AGREES_TOO)),
    }
}

/// The usual settlement after one that put the charms of another app on the NFT's output. Nobody
/// can prove that it spends them without listing their app.
fn after_listing(app: &App, genesis: &dyn Fn(&World, &mut Draft)) -> &'static str {
    let world = World::new(Setup {
        genesis,
        ..Setup::default()
    });
    let mut draft = world.usual().draft;
    draft.list_app(app);
    draft.refusal(&world)
}

/// The usual settlement after one whose NFT was of another bridge.
fn after_another(change: fn(&mut App)) -> &'static str {
    let app = |world: &World| {
        let mut app = nft_app(&world.bridge.app);
        change(&mut app);
        app
    };
    after_listing(&app(world()), &|world, draft| {
        let state = draft.state(world).to_data();
        draft.spell.tx.outs[0].clear();
        draft.put_charm(0, &app(world), state);
    })
}

/// The usual settlement in a world whose first settlement was another.
fn after(genesis: &dyn Fn(&World, &mut Draft)) -> &'static str {
    let world = World::new(Setup {
        genesis,
        ..Setup::default()
    });
    world.usual().draft.refusal(&world)
}

/// The usual settlement after one that left another state on the NFT.
fn after_state(change: fn(&mut RosterState)) -> &'static str {
    after(&|world, draft| {
        let mut state = draft.state(world);
        change(&mut state);
        draft.set_state(world, &state);
    })
}

/// The usual settlement, leaving another state on the NFT.
fn leaving(change: fn(&mut RosterState)) -> &'static str {
    let mut draft = usual();
    let mut state = draft.state(world());
    change(&mut state);
    draft.set_state(world(), &state);
    draft.refusal(world())
}

/// An x-coordinate with no point on the curve (BIP-340, row 5 of its vectors).
const NO_POINT: [u8; 32] = [
    0xee, 0xfd, 0xea, 0x4c, 0xdb, 0x67, 0x77, 0x50, 0xa4, 0x20, 0xfe, 0xe8, 0x07, 0xea, 0xcf, 0x21,
    0xeb, 0x98, 0x98, 0xae, 0x79, 0xb9, 0x76, 0x87, 0x66, 0xe4, 0xfa, 0xa0, 0x4a, 0x2d, 0x4a, 0x34,
];

fn put_no_point(state: &mut RosterState) {
    state.signers[0] = NO_POINT;
    state.signers.sort_unstable();
}

fn grow_roster(state: &mut RosterState) {
    state.signers.push(public(&keypair(99)).serialize());
    state.signers.sort_unstable();
}

fn asked_by(signer: u16) -> &'static str {
    let proposal = usual().propose(world());
    code(&world().approve_for(&proposal, &public(&keypair(signer))))
}

#[test]
fn every_signer_of_the_roster_and_a_dry_run_get_a_yes() {
    for seed in 1..=16 {
        assert_eq!(asked_by(seed), "approved");
    }
    assert_eq!(code(&world().judge(&usual().propose(world()))), "approved");
}

refusals! {
    refuses_a_spell_without_the_nft => "nft-missing": drafted(|world, draft| {
        // A plain coin of the vault in its place, of the same value.
        let script = world.vault.script_pubkey.clone();
        let plain = funding(77, vec![output(1_000, script)]);
        draft.transaction.input[0] = input(coin(&plain, 0).outpoint);
        draft.previous.push(plain);
    });
    refuses_the_nft_in_second_place => "nft-missing": drafted(|_, draft| {
        draft.transaction.input.swap(0, 1);
    });
    refuses_a_transaction_without_inputs => "spell-invalid": drafted(|_, draft| {
        draft.transaction.input.clear();
        draft.previous.clear();
    });
    refuses_an_nft_that_came_with_zkbtc => "nft-missing": after(&|world, draft| {
        draft.set_tokens(world, 0, 1);
    });
    refuses_an_nft_that_came_with_a_foreign_charm => "wrong-apps": after_listing(&foreign(), &|_, draft| {
        draft.put_charm(0, &foreign(), Data::from(&1));
    });
    refuses_the_nft_of_another_identity => "wrong-apps": after_another(|app| app.identity = B32([7; 32]));
    refuses_the_nft_of_another_contract => "wrong-apps": after_another(|app| {
        app.vk = B32(hash_of(AGREES_TOO));
    });

    refuses_a_state_that_cannot_be_read => "nft-state-invalid": after(&|world, draft| {
        draft.put_charm(0, &nft_app(&world.bridge.app), Data::from(&"roster"));
    });
    refuses_a_state_with_a_key_that_is_no_point => "nft-state-invalid": after_state(put_no_point);
    refuses_a_state_with_two_equal_keys => "nft-state-invalid": after_state(|state| {
        state.signers[0] = state.signers[1];
    });
    refuses_a_state_with_half_as_threshold => "nft-state-invalid": after_state(|state| {
        state.threshold = 8;
    });
    refuses_a_state_whose_vault_is_not_the_rosters => "nft-state-invalid": after_state(grow_roster);
    refuses_a_state_whose_vault_is_of_another_threshold => "nft-state-invalid": after_state(|state| {
        state.threshold = 11;
    });
    refuses_an_nft_whose_coin_is_one_satoshi_below_the_carrier => "nft-state-invalid": after(&|_, draft| {
        draft.lower(0, 1);
    });
    refuses_an_nft_whose_coin_is_one_satoshi_above_the_carrier => "nft-state-invalid": after(&|_, draft| {
        draft.raise(0, 1);
    });
    refuses_to_leave_a_state_that_cannot_be_read => "nft-state-invalid": drafted(|world, draft| {
        draft.put_charm(0, &nft_app(&world.bridge.app), Data::from(&7));
    });
    refuses_to_leave_more_supply_than_bitcoin_exists => "nft-state-invalid": leaving(|state| {
        state.supply = 2_100_000_000_000_001;
    });

    refuses_an_nft_bound_to_other_params => "nft-params": after_state(|state| {
        state.params_hash[0] ^= 1;
    });

    refuses_the_nft_moved_to_another_script => "nft-output": drafted(|_, draft| {
        draft.transaction.output[0].script_pubkey = p2wpkh(5);
    });
    refuses_the_nfts_coin_one_satoshi_lower => "nft-output": drafted(|_, draft| draft.shift(0, 3, 1));
    refuses_the_nfts_coin_one_satoshi_higher => "nft-output": drafted(|_, draft| draft.shift(3, 0, 1));
    refuses_zkbtc_beside_the_nft => "nft-output": drafted(|world, draft| draft.set_tokens(world, 0, 1));
    refuses_the_nft_left_out => "nft-output": drafted(|_, draft| draft.spell.tx.outs[0].clear());
    refuses_the_nft_on_the_vaults_output => "nft-output": drafted(|_, draft| {
        draft.spell.tx.outs.swap(0, 1);
    });
    refuses_a_second_nft => "vault-missing": drafted(|_, draft| {
        draft.spell.tx.outs[1] = draft.spell.tx.outs[0].clone();
    });
    refuses_outputs_that_are_the_spell_alone => "nft-output": drafted(|_, draft| {
        draft.transaction.output.clear();
        draft.spell.tx.outs.clear();
    });

    refuses_the_same_serial => "serial-mismatch": leaving(|state| state.serial -= 1);
    refuses_a_skipped_serial => "serial-mismatch": leaving(|state| state.serial += 1);

    refuses_the_next_epoch => "roster-changed": leaving(|state| state.epoch += 1);
    refuses_another_threshold => "roster-changed": leaving(|state| state.threshold = 11);
    refuses_a_further_signer => "roster-changed": leaving(grow_roster);
    refuses_a_signer_less => "roster-changed": leaving(|state| {
        state.signers.pop();
    });
    refuses_another_vault_script => "roster-changed": leaving(|state| state.vault_script[33] ^= 1);
    refuses_to_leave_other_params => "roster-changed": leaving(|state| state.params_hash[31] ^= 1);

    refuses_a_signer_outside_the_roster => "not-in-roster": asked_by(17);

    refuses_an_nft_that_is_not_at_the_vault => "unknown-template": after(&|world, draft| {
        // The coin under the NFT is somebody's own; its state still names the roster's vault.
        draft.transaction.output[0].script_pubkey = p2wpkh(5);
        assert_eq!(world.params.nft_carrier, Amount::from_sat(1_000));
    });
    refuses_the_last_serial => "overflow": after_state(|state| state.serial = u64::MAX);
}
