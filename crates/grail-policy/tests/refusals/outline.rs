//! The transaction's form, its previous transactions, its spell.

use bitcoin::{
    Amount, OutPoint, ScriptBuf, Sequence, Transaction, Txid, Witness, absolute::LockTime,
    hashes::Hash,
};
use charms_data::{App, B32, Data};
use grail_spell::{
    MOCK_SPELL_VK, decode_op_return, encode_op_return, nft_app, read_strict, token_app,
};
use grail_types::{Epoch, MockAllowed, Network};
use grail_wire::{PREVIOUS_MAX_BYTES, PREVIOUS_TX_MAX_BYTES, PreviousTx};

use crate::{
    drafted, proposed, refusals,
    support::{
        AGREES_TOO, Draft, Setup, World, code, coin, funding, hash_of, input, output, p2wpkh,
        peg_in, world,
    },
    usual,
};

/// A further coin of the vault, spent and paid on to the vault.
fn add_vault_input(world: &World, draft: &mut Draft) {
    let donation = funding(77, vec![output(5_000, world.vault.script_pubkey.clone())]);
    draft
        .transaction
        .input
        .insert(1, input(coin(&donation, 0).outpoint));
    draft.raise(1, 5_000);
    draft.previous.push(donation);
}

/// A world that allows just as many inputs as the usual settlement has.
fn six_inputs_at_most() -> World {
    World::new(Setup {
        params: &|params| params.roster_inputs_max = 6,
        ..Setup::default()
    })
}

#[test]
fn as_many_inputs_as_allowed_are_approved() {
    let world = six_inputs_at_most();
    assert_eq!(world.usual().draft.refusal(&world), "approved");
}

/// A settlement of fourteen peg-ins whose previous transactions have so many bytes together: those
/// behind the deposits also carry a large output that nobody looks at, each as much as a
/// transaction may have, until it is enough.
fn with_previous_bytes(bytes: usize) -> &'static str {
    let world = world();
    let mut draft = world.case(&[1_000_000; 14].map(peg_in)).draft;
    let sizes = |draft: &Draft| {
        draft
            .previous
            .iter()
            .map(Transaction::base_size)
            .sum::<usize>()
    };
    for input_index in 2..16 {
        let missing = bytes - sizes(&draft);
        let txid = draft.transaction.input[input_index].previous_output.txid;
        let index = draft
            .previous
            .iter()
            .position(|made| made.compute_txid() == txid)
            .unwrap();
        let made = &mut draft.previous[index];
        let room = PREVIOUS_TX_MAX_BYTES - made.base_size();
        // Eight bytes of amount, five of the script's length.
        let Some(length) = missing.min(room).checked_sub(13) else {
            break;
        };
        made.output
            .push(output(0, ScriptBuf::from_bytes(vec![0x6a; length])));
        draft.transaction.input[input_index].previous_output.txid = made.compute_txid();
    }
    assert_eq!(sizes(&draft), bytes);
    draft.refusal(world)
}

#[test]
fn previous_transactions_of_just_as_many_bytes_as_allowed_are_approved() {
    assert_eq!(PREVIOUS_MAX_BYTES, 12_582_912, "12 MiB");
    assert_eq!(with_previous_bytes(PREVIOUS_MAX_BYTES), "approved");
}

fn other_app() -> App {
    App {
        tag: 'z',
        identity: B32([9; 32]),
        vk: B32(hash_of(AGREES_TOO)),
    }
}

/// The usual settlement with its spell's output written anew.
fn respelled(change: fn(&mut grail_spell::NormalizedSpell, &mut Vec<u8>)) -> &'static str {
    let mut proposal = usual().propose(world());
    let mut found = decode_op_return(&proposal.transaction).unwrap().unwrap();
    change(&mut found.spell, &mut found.proof);
    let script = encode_op_return(&found.spell, &found.proof).unwrap();
    proposal
        .transaction
        .output
        .last_mut()
        .unwrap()
        .script_pubkey = script;
    world().refusal(&proposal)
}

/// The usual settlement in a world of another network, mock proof and all.
fn on(network: Network) -> &'static str {
    let world = World::new(Setup {
        network,
        ..Setup::default()
    });
    let proposal = world.usual().draft.propose(&world);
    // The proof itself holds: it is refused for what it is.
    let regtest = MockAllowed::on(Network::Regtest);
    let _ = read_strict(&proposal.transaction, regtest).unwrap();
    world.refusal(&proposal)
}

refusals! {
    refuses_another_epoch => "wrong-epoch": proposed(|_, proposal| proposal.epoch = Epoch(1));
    refuses_previous_transactions_in_another_order => "previous-excess": proposed(|_, proposal| {
        proposal.previous.reverse();
    });
    refuses_bytes_that_are_no_transaction => "previous-malformed": {
        let mut proposal = usual().propose(world()).wire();
        let good = proposal.previous[0].as_bytes();
        proposal.previous[0] = PreviousTx::from_bytes(good[..good.len() / 2].to_vec()).unwrap();
        code(&grail_policy::judge(&world().secp, &proposal, &world().bridge))
    };

    refuses_version_1 => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.version = bitcoin::transaction::Version::ONE;
    });
    refuses_version_3 => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.version = bitcoin::transaction::Version(3);
    });
    refuses_a_lock_time => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.lock_time = LockTime::from_consensus(1);
    });
    refuses_a_final_sequence => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.input[2].sequence = Sequence::MAX;
    });
    refuses_a_relative_lock => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.input[5].sequence = Sequence::from_height(1);
    });
    refuses_a_script_sig => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.input[1].script_sig = p2wpkh(1);
    });
    refuses_a_witness => "malformed-transaction": proposed(|_, proposal| {
        proposal.transaction.input[0].witness = Witness::from_slice(&[[1]]);
    });
    refuses_an_output_behind_the_spell => "malformed-transaction": drafted(|_, draft| {
        draft.after_spell.push(output(1_000, p2wpkh(8)));
        draft.lower(3, 1_000);
    });

    refuses_one_input_too_many => "too-many-inputs": {
        let world = six_inputs_at_most();
        let mut draft = world.usual().draft;
        add_vault_input(&world, &mut draft);
        draft.refusal(&world)
    };

    refuses_an_output_spent_twice => "repeated-input": drafted(|world, draft| {
        let vault = draft.transaction.input[1].clone();
        draft.transaction.input.insert(1, vault);
        draft.raise(1, world.vault_coin().output.value.to_sat());
    });

    refuses_an_input_without_its_previous_transaction => "previous-missing": proposed(|_, proposal| {
        proposal.previous.pop();
    });
    refuses_an_input_of_no_output => "previous-missing": proposed(|_, proposal| {
        proposal.transaction.input[2].previous_output.vout = 1;
    });
    refuses_a_previous_transaction_given_twice => "previous-excess": proposed(|_, proposal| {
        let first = proposal.previous[0].clone();
        proposal.previous.push(first);
    });
    refuses_a_previous_transaction_given_in_anothers_place => "previous-excess": proposed(|_, proposal| {
        proposal.previous[1] = proposal.previous[0].clone();
    });
    refuses_a_previous_transaction_that_nothing_spends => "previous-excess": proposed(|_, proposal| {
        proposal.previous.push(funding(79, vec![output(1_000, p2wpkh(1))]));
    });
    refuses_previous_transactions_one_byte_too_large => "previous-excess": with_previous_bytes(PREVIOUS_MAX_BYTES + 1);

    refuses_a_missing_spell => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.output.pop();
    });
    refuses_a_transaction_without_outputs => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.output.clear();
    });
    refuses_two_spells => "spell-invalid": proposed(|_, proposal| {
        let spell = proposal.transaction.output.last().unwrap().clone();
        proposal.transaction.output.push(spell);
    });
    refuses_a_spell_output_with_value => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.output.last_mut().unwrap().value = Amount::ONE_SAT;
    });
    refuses_an_amount_changed_after_proving => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.output[3].value -= Amount::ONE_SAT;
    });
    refuses_a_script_changed_after_proving => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.output[3].script_pubkey = p2wpkh(66);
    });
    refuses_inputs_reordered_after_proving => "spell-invalid": proposed(|_, proposal| {
        proposal.transaction.input.swap(2, 4);
    });
    refuses_tokens_changed_after_proving => "spell-invalid": respelled(|spell, _| {
        let more = spell.tx.outs[2][&1].value::<u64>().unwrap() + 1;
        spell.tx.outs[2].insert(1, Data::from(&more));
    });
    refuses_a_proof_with_a_flipped_bit => "spell-invalid": respelled(|_, proof| proof[100] ^= 1);
    refuses_a_proof_with_a_byte_behind => "spell-invalid": respelled(|_, proof| proof.push(0));
    refuses_an_empty_proof => "spell-invalid": respelled(|_, proof| proof.clear());
    refuses_the_key_in_place_of_a_proof => "spell-invalid": respelled(|_, proof| {
        *proof = MOCK_SPELL_VK.repeat(6);
    });
    refuses_a_mock_proof_that_does_not_say_so => "spell-invalid": respelled(|spell, _| {
        spell.mock = false;
    });
    refuses_a_spell_of_an_earlier_version => "spell-invalid": respelled(|spell, _| {
        spell.version = 14;
    });
    refuses_a_spell_of_a_later_version => "spell-invalid": respelled(|spell, _| {
        spell.version = 16;
    });
    refuses_a_spell_that_beams => "spell-invalid": respelled(|spell, _| {
        spell.tx.beamed_outs = Some([(2, B32([1; 32]))].into());
    });
    refuses_a_spell_that_reads_other_outputs => "spell-invalid": respelled(|spell, _| {
        spell.tx.refs = Some(Vec::new());
    });
    refuses_a_spell_in_another_encoding => "spell-invalid": proposed(|_, proposal| {
        let script = &mut proposal.transaction.output.last_mut().unwrap().script_pubkey;
        // The same push with a longer prefix: PUSHDATA2 with its two length bytes becomes PUSHDATA4
        // with four.
        let mut bytes = script.to_bytes();
        let prefix = bytes.iter().position(|byte| *byte == 0x4d).unwrap();
        bytes[prefix] = 0x4e;
        bytes.splice(prefix + 3..prefix + 3, [0, 0]);
        *script = bytes.into();
    });

    refuses_a_mock_spell_on_signet => "mock-spell": on(Network::Signet);
    refuses_a_mock_spell_on_testnet4 => "mock-spell": on(Network::Testnet4);
    refuses_a_mock_spell_on_mainnet => "mock-spell": on(Network::Mainnet);

    refuses_a_further_app => "wrong-apps": drafted(|_, draft| draft.list_app(&other_app()));
    refuses_another_action => "wrong-apps": drafted(|world, draft| {
        let deploy = grail_bridge_contract::Action::Deploy.to_data();
        let nft = nft_app(&world.bridge.app);
        draft.spell.app_public_inputs.insert(nft, deploy);
    });
    refuses_no_action => "wrong-apps": drafted(|world, draft| {
        let nft = nft_app(&world.bridge.app);
        draft.spell.app_public_inputs.insert(nft, Data::empty());
    });
    refuses_a_public_input_of_zkbtc => "wrong-apps": drafted(|world, draft| {
        let token = token_app(&world.bridge.app);
        draft.spell.app_public_inputs.insert(token, Data::from(&"settle"));
    });
    refuses_a_spell_that_does_not_list_zkbtc => "wrong-apps": {
        // A peg-in that mints nothing, so that the spell can be proven without the token.
        let world = world();
        let mut draft = world.case(&[crate::support::peg_in(100_000)]).draft;
        draft.spell.tx.outs[2].clear();
        draft.spell.app_public_inputs.remove(&token_app(&world.bridge.app));
        draft.refusal(world)
    };
    refuses_the_apps_of_another_bridge => "wrong-apps": {
        let other = World::new(Setup {
            wasm: crate::support::BRIDGE,
            ..Setup::default()
        });
        world().refusal(&other.usual().draft.propose(&other))
    };
}

#[test]
fn an_id_is_computed_not_believed() {
    // The outpoint of one deposit, the transaction of another with the same output.
    let world = world();
    let mut proposal = usual().propose(world);
    let deposit = proposal.transaction.input[2].previous_output;
    let index = proposal
        .previous
        .iter()
        .position(|made| made.compute_txid() == deposit.txid)
        .unwrap();
    let script = world.deposit_script(&proposal.requests[0]);
    proposal.previous[index] = funding(78, vec![output(1_000_000, script)]);
    assert_eq!(world.refusal(&proposal), "previous-excess");
    let unknown = OutPoint {
        txid: Txid::from_byte_array([7; 32]),
        vout: 0,
    };
    proposal.transaction.input[2].previous_output = unknown;
    assert_eq!(world.refusal(&proposal), "previous-excess");
}
