//! Each rule broken once.

use bitcoin::{
    Amount, ScriptBuf, Transaction, Witness, absolute::LockTime, secp256k1::Keypair,
    taproot::TAPROOT_ANNEX_PREFIX,
};
use charms_data::Data;
use grail_bridge_contract::RosterState;
use grail_policy::adoption::{Genesis, Handover, adopt_genesis, adopt_next};
use grail_script::{Sighashes, Spend};
use grail_spell::nft_app;
use grail_txbuild::Deployment;
use grail_types::{Bridge, BridgeApp, Governance};

use crate::{
    steps::{
        House, adopt, code, deployed, first_house, first_step, genesis_of, house_of_epoch, pin,
        rotation, shown, signature, signed, state_of, step,
    },
    support::{
        Draft, FEE_RATE, World, coin, funding, input, keypair, output, p2tr, prove, public, world,
    },
};

/// The outcome of the first rotation, changed before the quorum signs.
fn drafted(change: impl FnOnce(&mut Draft)) -> &'static str {
    code(&adopt(world(), &first_step(world(), change)))
}

/// The outcome of the first rotation, changed after the quorum has signed.
fn tampered(change: impl FnOnce(&mut Handover)) -> &'static str {
    let mut step = step();
    change(&mut step);
    code(&adopt(world(), &step))
}

/// The same, its witness alone changed. The places of the signers come in reverse order.
fn witnessed(change: impl FnOnce(&mut Vec<Vec<u8>>)) -> &'static str {
    tampered(|step| {
        let witness = &mut step.transaction.input[0].witness;
        let mut items = witness.to_vec();
        change(&mut items);
        *witness = Witness::from_slice(&items);
    })
}

/// The first signer's signature of the true rotation by `key`.
fn signature_by(key: &Keypair, lock_time: u32) -> Vec<u8> {
    let mut step = step();
    step.transaction.lock_time = LockTime::from_consensus(lock_time);
    let spend = Spend::Leaf(world().vault.leaf.clone());
    let digest = Sighashes::new(&step.transaction, &step.spent).of(0, &spend);
    signature(key, &digest.unwrap())
}

/// The outcome of the first rotation to another state than it should be.
fn with_state(change: impl FnOnce(&mut RosterState)) -> &'static str {
    drafted(|draft| {
        let mut state = draft.state(world());
        change(&mut state);
        draft.set_state(world(), &state);
    })
}

/// Position of the first signer's place in a witness of sixteen.
const FIRST: usize = 15;
/// Of one who does not sign.
const SILENT: usize = 0;

/// A transaction that spends what the bridge's identity comes from, and makes another roster's NFT.
fn second_deployment(world: &World) -> Transaction {
    let deployer = keypair(500);
    let own = ScriptBuf::new_p2tr(&world.secp, public(&deployer), None);
    let source = funding(0, vec![output(1_000_000, own)]);
    let deployment = Deployment {
        bridge: &world.bridge,
        params: &world.params,
        roster: &House::new(&world.secp, 0, (700..704).map(keypair).collect(), 3).roster,
        governance: &world.governance,
        funding: coin(&source, 0),
        fee_rate: FEE_RATE,
    };
    let plan = deployment.plan(&world.secp).unwrap();
    let proven = prove(world.wasm, plan.spell.clone(), &[&source]);
    deployment
        .finish(&world.secp, plan, proven.op_return, &deployer)
        .unwrap()
}

/// The same administrators but for the last, all of whom must agree.
fn others(governance: &Governance) -> Governance {
    let mut fewer = governance.administrators().to_vec();
    fewer.pop();
    let threshold = u16::try_from(fewer.len()).unwrap();
    Governance::new(fewer, threshold).unwrap()
}

macro_rules! refusals {
    ($($name:ident => $code:literal: $produce:expr;)*) => {
        $(
            #[test]
            fn $name() {
                let code: &str = $produce;
                assert_eq!(code, $code);
            }
        )*

        pub const CODES: &[&str] = &[$($code),*];
    };
}

refusals! {
    adopts_the_rotation_that_the_others_here_are_made_from => "adopted": tampered(|_| {});

    refuses_a_second_deployment_of_the_same_identity => "not-genesis": {
        let other = second_deployment(world());
        let (world, pin) = (world(), pin(&world().deployment));
        // It is sound but for the pin.
        let pinned = Genesis(other.compute_txid());
        assert!(adopt_genesis(&world.secp, &world.bridge, &pinned, &shown(world, &other)).is_ok());
        code(&adopt_genesis(&world.secp, &world.bridge, &pin, &shown(world, &other)))
    };
    refuses_a_settlement_as_genesis => "wrong-identity": {
        let world = world();
        let pin = pin(&world.genesis);
        code(&adopt_genesis(&world.secp, &world.bridge, &pin, &shown(world, &world.genesis)))
    };
    refuses_a_genesis_of_another_bridge => "wrong-identity": {
        let (world, mut bridge) = (world(), world().bridge);
        bridge.app.identity = [7; 32];
        let pin = pin(&world.deployment);
        code(&adopt_genesis(&world.secp, &bridge, &pin, &deployed(world)))
    };
    refuses_a_genesis_without_a_spell => "nft-missing": {
        let (world, mut bare) = (world(), world().deployment.clone());
        bare.output.retain(|output| !output.script_pubkey.is_op_return());
        code(&adopt_genesis(&world.secp, &world.bridge, &pin(&bare), &shown(world, &bare)))
    };
    refuses_a_genesis_of_another_contract => "nft-missing": {
        let (world, bridge) = (world(), Bridge {
            app: BridgeApp { vk: [7; 32], ..world().bridge.app },
            ..world().bridge
        });
        let pin = pin(&world.deployment);
        code(&adopt_genesis(&world.secp, &bridge, &pin, &deployed(world)))
    };

    refuses_a_genesis_shown_with_other_administrators => "wrong-governance": {
        let (world, pin) = (world(), pin(&world().deployment));
        let other = Handover { governance: others(&world.governance), ..deployed(world) };
        code(&adopt_genesis(&world.secp, &world.bridge, &pin, &other))
    };
    refuses_a_rotation_shown_with_other_administrators => "wrong-governance": {
        tampered(|step| step.governance = others(&world().governance))
    };
    refuses_a_rotation_to_administrators_whose_leaf_the_vault_lacks => "wrong-vault-script": {
        let other = others(&world().governance);
        let mut step = first_step(world(), |draft| {
            let mut state = draft.state(world());
            state.governance = other.hash();
            draft.set_state(world(), &state);
        });
        step.governance = other;
        code(&adopt(world(), &step))
    };

    refuses_a_step_from_the_roster_of_another_bridge => "wrong-bridge": {
        let (world, mut bridge) = (world(), world().bridge);
        bridge.app.identity = [7; 32];
        code(&adopt_next(&world.secp, &bridge, &genesis_of(world), &step()))
    };
    refuses_the_nft_of_another_bridge => "nft-missing": drafted(|draft| {
        let app = BridgeApp { identity: [7; 32], ..world().bridge.app };
        let state = draft.state(world()).to_data();
        draft.spell.tx.outs[0].clear();
        draft.put_charm(0, &nft_app(&app), state);
    });
    refuses_the_nft_on_output_one => "nft-missing": drafted(|draft| {
        draft.spell.tx.outs.swap(0, 1);
    });
    refuses_zkbtc_beside_the_nft => "nft-missing": drafted(|draft| {
        draft.set_tokens(world(), 0, 1);
    });
    refuses_a_spell_that_a_signed_change_made_false => "nft-missing": {
        let (world, mut step) = (world(), step());
        // The quorum signs it, and the proof is of another transaction.
        step.transaction.output[1].value -= Amount::from_sat(1);
        code(&adopt(world, &signed(step, &first_house(world), 12)))
    };

    refuses_a_script_beside_the_witness => "script-sig": tampered(|step| {
        step.transaction.input[1].script_sig = ScriptBuf::from_bytes(vec![0x51]);
    });

    refuses_too_few_outputs_spent => "spent-count": tampered(|step| {
        step.spent.pop();
    });
    refuses_too_many_outputs_spent => "spent-count": tampered(|step| {
        step.spent.push(output(0, p2tr(5)));
    });
    refuses_another_value_spent_than_was_signed => "signature-invalid": tampered(|step| {
        step.spent[1].value += Amount::from_sat(1);
    });
    refuses_another_script_spent_than_was_signed => "signature-invalid": tampered(|step| {
        step.spent[1].script_pubkey = p2tr(5);
    });
    refuses_another_outpoint_spent_than_was_signed => "signature-invalid": tampered(|step| {
        step.transaction.input[1].previous_output.vout = 9;
    });
    refuses_signatures_over_another_value_spent => "signature-invalid": tampered(|step| {
        let mut spent = step.spent.clone();
        spent[1].value += Amount::from_sat(1);
        let first = first_house(world());
        step.transaction.input[0].witness = first.sign_input(&step.transaction, &spent, 0, 12);
    });

    refuses_a_transaction_without_inputs => "not-vault": tampered(|step| {
        step.transaction.input.clear();
        step.spent.clear();
    });
    refuses_a_plain_coin_on_input_zero => "not-vault": drafted(|draft| {
        let plain = funding(77, vec![output(1_000, p2tr(5))]);
        draft.transaction.input.insert(0, input(coin(&plain, 0).outpoint));
        draft.previous.push(plain);
    });
    refuses_the_second_rotation_without_the_first => "not-vault": {
        let (world, first) = (world(), step());
        let [from, to] = [1, 2].map(|epoch| house_of_epoch(world, epoch));
        let state = state_of(&from, &world.state);
        let second = rotation(world, &first.transaction, &state, &to, |_| {});
        code(&adopt(world, &signed(second, &from, 12)))
    };

    refuses_an_annex => "annex": witnessed(|items| items.push(vec![TAPROOT_ANNEX_PREFIX, 1]));
    refuses_a_place_too_few => "witness-length": witnessed(|items| {
        items.remove(SILENT);
    });
    refuses_a_place_too_many => "witness-length": witnessed(|items| items.insert(0, Vec::new()));
    refuses_an_empty_witness => "witness-length": witnessed(Vec::clear);
    refuses_another_leaf => "wrong-leaf": witnessed(|items| {
        let lower = House::new(&world().secp, 0, world().keys.clone(), 11);
        items[16] = lower.vault.leaf.script().to_bytes();
    });
    refuses_another_control_block => "wrong-leaf": witnessed(|items| items[17][0] ^= 1);

    refuses_another_sighash_type => "signature-form": witnessed(|items| items[FIRST].push(1));
    refuses_the_default_sighash_type_spelt_out => "signature-form": witnessed(|items| {
        items[FIRST].push(0);
    });
    refuses_eleven_signatures => "signature-count": witnessed(|items| items[FIRST].clear());
    refuses_thirteen_signatures => "signature-count": witnessed(|items| {
        items[SILENT] = signature_by(&world().keys[15], 0);
    });
    refuses_a_signature_of_another_transaction => "signature-invalid": witnessed(|items| {
        items[FIRST] = signature_by(&world().keys[0], 1);
    });
    refuses_a_signature_of_an_outsider => "signature-invalid": witnessed(|items| {
        items[FIRST] = signature_by(&keypair(999), 0);
    });
    refuses_a_signature_in_the_place_of_another => "signature-invalid": witnessed(|items| {
        items.swap(SILENT, FIRST);
    });
    refuses_an_output_changed_after_signing => "signature-invalid": tampered(|step| {
        step.transaction.output[0].script_pubkey = p2tr(6);
    });

    refuses_the_same_epoch => "wrong-epoch": with_state(|state| state.epoch -= 1);
    refuses_a_skipped_epoch => "wrong-epoch": with_state(|state| state.epoch += 1);
    refuses_a_state_that_cannot_be_read => "state-invalid": drafted(|draft| {
        draft.put_charm(0, &nft_app(&world().bridge.app), Data::from(&"roster"));
    });
    refuses_half_as_threshold => "state-invalid": with_state(|state| state.threshold = 8);
    refuses_a_key_that_is_no_point => "roster-invalid": with_state(|state| {
        // Above the field's size, so no coordinate at all; still the last in order.
        state.signers[15] = [0xff; 32];
    });
    refuses_a_vault_script_of_another_roster => "wrong-vault-script": with_state(|state| {
        state.threshold = 11;
    });
    refuses_the_nft_at_another_address => "nft-elsewhere": drafted(|draft| {
        draft.transaction.output[0].script_pubkey = world().vault.script_pubkey.clone();
    });
}
