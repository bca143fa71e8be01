//! Requests: their terms, their deposits, what they get.

use bitcoin::{Amount, PubkeyHash, ScriptBuf, ScriptHash, WScriptHash, hashes::Hash};
use charms_data::Data;
use grail_policy::Refusal;
use grail_types::{Network, Terms};

use crate::{
    drafted, proposed, refusals,
    support::{
        Case, Draft, Peg, Proposal, Setup, World, coin, funding, input, output, p2tr, p2wpkh,
        peg_in, peg_out, world,
    },
    usual,
};

/// A peg-in whose terms were changed before the deposit was made.
fn peg_in_for(change: impl Fn(&mut Terms)) -> &'static str {
    world()
        .case_for(&peg_in(100_000), change)
        .draft
        .refusal(world())
}

/// A settlement of one request.
fn one(peg: Peg, change: fn(&World, &mut Draft)) -> &'static str {
    let mut draft = world().case(&[peg]).draft;
    assert_eq!(draft.refusal(world()), "approved");
    change(world(), &mut draft);
    draft.refusal(world())
}

/// A world whose largest deposit is small enough to be tried.
fn capped() -> World {
    World::new(Setup {
        params: &|params| params.deposit_max = Amount::from_sat(400_000_000),
        ..Setup::default()
    })
}

fn alone(world: &World, peg: Peg) -> &'static str {
    world.case(&[peg]).draft.refusal(world)
}

#[test]
fn deposits_of_exactly_the_least_and_the_most_are_approved() {
    let world = capped();
    for peg in [peg_in, peg_out] {
        for amount in [20_000, 400_000_000] {
            assert_eq!(alone(&world, peg(amount)), "approved", "{amount}");
        }
    }
}

#[test]
fn what_the_least_peg_in_minted_can_leave() {
    assert_eq!(alone(world(), peg_out(19_999)), "approved");
    let deposits = world().deposits(1, &[peg_out(5_000)]);
    let case = world().case_of(deposits, &|request| {
        request.fee_rate = request.params.fee_rate_min;
    });
    assert_eq!(case.draft.refusal(world()), "approved");
}

#[test]
fn the_shortest_and_the_longest_reclaim_delay_are_approved() {
    for delay in [24, 8_064] {
        assert_eq!(peg_in_for(|terms| terms.reclaim_delay = delay), "approved");
    }
}

fn p2pkh() -> ScriptBuf {
    ScriptBuf::new_p2pkh(&PubkeyHash::from_byte_array([1; 20]))
}

fn p2sh() -> ScriptBuf {
    ScriptBuf::new_p2sh(&ScriptHash::from_byte_array([1; 20]))
}

fn paid_to(peg: fn(u64) -> Peg, destination: ScriptBuf) -> &'static str {
    alone(
        world(),
        Peg {
            destination,
            ..peg(100_000)
        },
    )
}

#[test]
fn every_address_type_is_approved_whose_dust_limit_its_output_reaches() {
    let p2wsh = ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([1; 32]));
    for destination in [p2tr(1), p2wpkh(1), p2wsh] {
        assert_eq!(paid_to(peg_in, destination.clone()), "approved");
        assert_eq!(paid_to(peg_out, destination), "approved");
    }
    for destination in [p2pkh(), p2sh()] {
        assert_eq!(paid_to(peg_out, destination), "approved");
    }
}

#[test]
fn equal_terms_with_other_nonces_are_two_requests() {
    let case = world().case(&[peg_in(100_000), peg_in(100_000)]);
    assert_eq!(case.draft.refusal(world()), "approved");
}

/// A peg-in of zkBTC: the deposit of the first request lies where the transfer put zkBTC.
fn peg_in_of_zkbtc() -> &'static str {
    let world = world();
    let mut draft = world.case(&[peg_in(100_000), peg_out(700_000)]).draft;
    let transfer = world.transfer(&[
        (world.deposit_script(&draft.requests[1]), 700_000),
        (world.deposit_script(&draft.requests[0]), 50_000),
    ]);
    let (first, second) = (coin(&transfer, 1), coin(&transfer, 0));
    draft.transaction.input[2] = input(first.outpoint);
    draft.transaction.input[3] = input(second.outpoint);
    draft.previous.push(transfer);
    draft.tidy_previous();
    draft.refusal(world)
}

/// A settlement of one peg-out whose deposit carries what `change` puts on it.
fn peg_out_of(change: fn(&World, &mut Draft)) -> &'static str {
    let world = world();
    let mut case = world.case(&[peg_out(700_000)]);
    let index = deposit_transaction(&case);
    // The transfer as a draft of its own: proven again with other charms.
    let transfer = case.draft.previous[index].clone();
    let spell = grail_spell::decode_op_return(&transfer)
        .unwrap()
        .unwrap()
        .spell;
    let mut remade = Draft {
        epoch: case.draft.epoch,
        params: case.draft.params.clone(),
        governance: case.draft.governance.clone(),
        transaction: bitcoin::Transaction {
            output: transfer.output[..transfer.output.len() - 1].to_vec(),
            ..transfer
        },
        spell,
        uncommitted: Vec::new(),
        after_spell: Vec::new(),
        previous: vec![world.genesis.clone()],
        requests: Vec::new(),
        former: None,
    };
    change(world, &mut remade);
    let remade = remade.propose(world).transaction;
    case.draft.transaction.input[2].previous_output.txid = remade.compute_txid();
    case.draft.previous[index] = remade;
    // Apps on inputs must be listed, or the prover itself refuses; the policy then refuses for the
    // list.
    let mut proposal = case.draft.propose(world);
    proposal.requests.clone_from(&case.draft.requests);
    world.refusal(&proposal)
}

fn deposit_transaction(case: &Case) -> usize {
    let deposit = case.draft.transaction.input[2].previous_output.txid;
    case.draft
        .previous
        .iter()
        .position(|made| made.compute_txid() == deposit)
        .unwrap()
}

/// Where the first deposit's amount is known to the user alone: the coin that a proposal spends for
/// it.
fn redeposited(world: &World, draft: &mut Draft, made_for: usize, served: usize) {
    let script = world.deposit_script(&draft.requests[made_for]);
    let value = match served {
        0 => 1_000_000,
        _ => 2_000_000,
    };
    let made = funding(91, vec![output(value, script)]);
    draft.transaction.input[2 + served] = input(coin(&made, 0).outpoint);
    draft.previous.push(made);
    draft.tidy_previous();
}

refusals! {
    refuses_an_input_that_nobody_explained => "vault-not-spent": drafted(|_, draft| {
        let stray = funding(92, vec![output(50_000, p2wpkh(9))]);
        draft.transaction.input.insert(1, input(coin(&stray, 0).outpoint));
        draft.previous.push(stray);
        draft.raise(1, 50_000);
    });
    refuses_a_deposit_whose_request_is_not_named => "wrong-count": drafted(|_, draft| {
        draft.requests.remove(0);
        draft.transaction.output.remove(2);
        draft.spell.tx.outs.remove(2);
    });
    refuses_a_fee_input_of_the_backend => "wrong-count": drafted(|_, draft| {
        let own = funding(93, vec![output(50_000, p2wpkh(9))]);
        draft.transaction.input.push(input(coin(&own, 0).outpoint));
        draft.previous.push(own);
    });

    refuses_a_vault_coin_with_zkbtc => "vault-not-spent": drafted(|world, draft| {
        let script = world.vault.script_pubkey.clone();
        let terms: Vec<_> = draft.requests.iter().map(|terms| world.deposit_script(terms)).collect();
        let transfer = world.transfer(&[
            (terms[1].clone(), 700_000),
            (terms[3].clone(), 300_000),
            (script, 40_000),
        ]);
        for (position, vout) in [(3, 0), (5, 1)] {
            draft.transaction.input[position] = input(coin(&transfer, vout).outpoint);
        }
        draft.transaction.input.insert(1, input(coin(&transfer, 2).outpoint));
        draft.raise(1, 330);
        draft.previous.push(transfer);
        draft.tidy_previous();
    });
    refuses_a_peg_in_of_zkbtc => "unexpected-charms": peg_in_of_zkbtc();
    refuses_a_peg_out_of_plain_bitcoin => "unexpected-charms": drafted(|world, draft| {
        let script = world.deposit_script(&draft.requests[1]);
        let plain = funding(94, vec![output(700_330, script)]);
        draft.transaction.input[3] = input(coin(&plain, 0).outpoint);
        draft.previous.push(plain);
    });
    refuses_a_peg_out_with_a_foreign_charm_beside => "unexpected-charms": {
        // The spell lists no app but the bridge's two: an output of another app cannot be proven to
        // be spent, so the foreign charm is of the bridge's own NFT app.
        peg_out_of(|world, transfer| {
            let nft = grail_spell::nft_app(&world.bridge.app);
            transfer.put_charm(0, &nft, Data::from(&1));
        })
    };
    refuses_a_peg_out_of_the_nft_alone => "unexpected-charms": peg_out_of(|world, transfer| {
        let nft = grail_spell::nft_app(&world.bridge.app);
        transfer.spell.tx.outs[0].clear();
        transfer.put_charm(0, &nft, Data::from(&1));
    });

    refuses_fewer_inputs_than_requests => "wrong-count": drafted(|_, draft| {
        draft.transaction.input.remove(2);
        draft.tidy_previous();
    });
    refuses_an_extra_output => "wrong-count": drafted(|_, draft| {
        draft.transaction.output.push(output(1_000, p2wpkh(7)));
        draft.spell.tx.outs.push([].into());
        draft.lower(3, 1_000);
    });
    refuses_an_extra_output_that_the_spell_does_not_speak_of => "wrong-count": drafted(|_, draft| {
        draft.transaction.output.push(output(1_000, p2wpkh(7)));
        draft.lower(3, 1_000);
    });
    refuses_a_spell_silent_about_the_last_payout => "wrong-count": drafted(|_, draft| {
        // It carries no charms, so nothing but the count tells: its amount and script would not be
        // proven.
        assert!(draft.spell.tx.outs.pop().unwrap().is_empty());
    });
    refuses_an_op_return_behind_the_spell => "wrong-count": drafted(|_, draft| {
        draft.after_spell.push(output(0, ScriptBuf::new_op_return([1])));
    });
    refuses_two_outputs_missing => "wrong-count": drafted(|_, draft| {
        draft.transaction.output.drain(4..=5);
        draft.spell.tx.outs.drain(4..=5);
    });

    refuses_a_settlement_that_serves_nobody => "empty": drafted(|_, draft| {
        draft.requests.clear();
        draft.transaction.input.truncate(2);
        draft.transaction.output.truncate(2);
        draft.spell.tx.outs.truncate(2);
        draft.tidy_previous();
    });

    refuses_a_request_named_twice => "repeated-request": proposed(|_, proposal| {
        proposal.requests[2] = proposal.requests[0].clone();
    });
    refuses_two_deposits_of_one_request => "repeated-request": drafted(|world, draft| {
        redeposited(world, draft, 0, 2);
        draft.requests[2] = draft.requests[0].clone();
        draft.transaction.output[4] = draft.transaction.output[2].clone();
    });

    refuses_terms_of_another_network => "terms-unfit": peg_in_for(|terms| terms.network = Network::Signet);
    refuses_terms_of_another_bridge => "terms-unfit": peg_in_for(|terms| terms.bridge.identity[0] ^= 1);
    refuses_terms_of_another_contract => "terms-unfit": peg_in_for(|terms| terms.bridge.vk[0] ^= 1);
    refuses_terms_of_another_epoch => "terms-unfit": peg_in_for(|terms| terms.epoch.0 += 1);
    refuses_a_reclaim_delay_one_block_too_short => "terms-unfit": peg_in_for(|terms| terms.reclaim_delay = 23);
    refuses_a_reclaim_delay_one_block_too_long => "terms-unfit": peg_in_for(|terms| terms.reclaim_delay = 8_065);
    refuses_the_vault_as_recipient => "terms-unfit": peg_in_for(|terms| {
        terms.destination = world().vault.script_pubkey.clone().try_into().unwrap();
    });
    refuses_the_vault_as_payout => "terms-unfit": {
        let case = world().case_for(&peg_out(100_000), |terms| {
            terms.destination = world().vault.script_pubkey.clone().try_into().unwrap();
        });
        case.draft.refusal(world())
    };

    refuses_a_p2pkh_recipient_whose_carrier_would_be_dust => "terms-unfit": paid_to(peg_in, p2pkh());
    refuses_a_p2sh_recipient_whose_carrier_would_be_dust => "terms-unfit": paid_to(peg_in, p2sh());

    refuses_a_deposit_used_for_another_request => "deposit-mismatch": drafted(|world, draft| {
        redeposited(world, draft, 2, 0);
    });
    refuses_terms_in_another_order => "deposit-mismatch": proposed(|_, proposal| {
        proposal.requests.swap(0, 2);
    });
    refuses_another_destination_in_the_terms => "deposit-mismatch": proposed(|_, proposal| {
        proposal.requests[1].destination = p2wpkh(66).try_into().unwrap();
    });
    refuses_another_fee_cap_in_the_terms => "deposit-mismatch": proposed(|_, proposal| {
        proposal.requests[1].fee_cap = Amount::MAX_MONEY;
    });
    refuses_another_reclaim_key_in_the_terms => "deposit-mismatch": proposed(|world, proposal| {
        proposal.requests[1].reclaim_key = world.roster.signers()[0];
    });
    refuses_another_reclaim_delay_in_the_terms => "deposit-mismatch": proposed(|_, proposal| {
        proposal.requests[1].reclaim_delay = 24;
    });
    refuses_a_vault_coin_as_a_deposit => "deposit-mismatch": drafted(|world, draft| {
        let script = world.vault.script_pubkey.clone();
        let donation = funding(95, vec![output(1_000_000, script)]);
        draft.transaction.input[2] = input(coin(&donation, 0).outpoint);
        draft.previous.push(donation);
        draft.tidy_previous();
    });

    refuses_a_peg_in_one_satoshi_below_the_least => "deposit-amount": alone(world(), peg_in(19_999));
    refuses_a_peg_in_one_satoshi_above_the_most => "deposit-amount": alone(&capped(), peg_in(400_000_001));
    refuses_a_peg_out_one_satoshi_above_the_most => "deposit-amount": alone(&capped(), peg_out(400_000_001));

    refuses_a_payout_to_another_script => "wrong-destination": drafted(|_, draft| {
        draft.transaction.output[3].script_pubkey = p2wpkh(66);
    });
    refuses_zkbtc_to_another_script => "wrong-destination": drafted(|_, draft| {
        draft.transaction.output[2].script_pubkey = p2wpkh(66);
    });
    refuses_outputs_of_two_requests_swapped => "wrong-destination": drafted(|_, draft| {
        draft.transaction.output.swap(2, 4);
        draft.spell.tx.outs.swap(2, 4);
    });

    refuses_a_peg_in_that_mints_nothing => "wrong-output": drafted(|_, draft| {
        draft.spell.tx.outs[2].clear();
    });
    refuses_a_peg_in_paid_in_a_foreign_token => "wrong-output": drafted(|world, draft| {
        let amount = draft.tokens(world, 2).unwrap();
        draft.spell.tx.outs[2].clear();
        let nft = grail_spell::nft_app(&world.bridge.app);
        draft.put_charm(2, &nft, Data::from(&amount));
    });
    refuses_a_foreign_charm_beside_minted_zkbtc => "wrong-output": drafted(|world, draft| {
        draft.put_charm(2, &grail_spell::nft_app(&world.bridge.app), Data::from(&1));
    });
    refuses_a_carrier_one_satoshi_too_small => "wrong-output": drafted(|_, draft| draft.lower(2, 1));
    refuses_a_carrier_one_satoshi_too_large => "wrong-output": drafted(|_, draft| draft.raise(2, 1));
    refuses_charms_on_a_payout => "wrong-output": drafted(|world, draft| draft.set_tokens(world, 3, 1));
    refuses_a_dust_payout => "wrong-output": one(
        Peg { fee_cap: u64::MAX, ..peg_out(20_000) },
        |_, draft| draft.transaction.output[2].value = Amount::from_sat(293),
    );
    refuses_a_fee_share_one_satoshi_above_the_cap => "fee-above-cap": one_above_the_cap(1);

    refuses_a_payout_one_satoshi_above_what_was_put_in => "overpaid": drafted(|_, draft| {
        // 700,000 of zkBTC and the carrier under it, and one more; another pays for it.
        draft.transaction.output[3].value = Amount::from_sat(700_000 + 330 + 1);
        draft.lower(5, 20_000);
    });
    refuses_a_mint_one_satoshi_above_what_was_put_in => "overpaid": drafted(|world, draft| {
        let (before, after) = (draft.tokens(world, 2).unwrap(), 1_000_000 - 330 + 1);
        draft.set_tokens(world, 2, after);
        // Vault and supply follow, so that the books balance.
        draft.raise(1, after - before);
        let mut state = draft.state(world);
        state.supply += after - before;
        draft.set_state(world, &state);
    });
    refuses_a_mint_that_overflows => "overflow": one(peg_in(100_000), |world, draft| {
        draft.set_tokens(world, 2, u64::MAX);
    });
    refuses_a_deposit_coin_that_overflows => "overflow": {
        let world = world();
        let mut case = world.case_for(&peg_out(700_000), |terms| terms.fee_cap = Amount::MAX);
        let index = deposit_transaction(&case);
        let mut made = case.draft.previous[index].clone();
        made.output[0].value = Amount::MAX;
        remake_transfer(world, &mut case.draft, index, made);
        case.draft.refusal(world)
    };
}

/// Puts another transfer, proven anew, in the place of the one that made the deposit.
pub fn remake_transfer(
    world: &World,
    draft: &mut Draft,
    index: usize,
    mut transfer: bitcoin::Transaction,
) {
    let spell = grail_spell::decode_op_return(&draft.previous[index])
        .unwrap()
        .unwrap()
        .spell;
    transfer.output.pop();
    let remade = Draft {
        epoch: draft.epoch,
        params: draft.params.clone(),
        governance: draft.governance.clone(),
        transaction: transfer,
        spell,
        uncommitted: Vec::new(),
        after_spell: Vec::new(),
        previous: vec![world.genesis.clone()],
        requests: Vec::new(),
        former: None,
    }
    .propose(world)
    .transaction;
    draft.transaction.input[2].previous_output.txid = remade.compute_txid();
    draft.previous[index] = remade;
}

/// A peg-out that pays so many satoshis more than its cap of 50,000.
fn one_above_the_cap(above: u64) -> &'static str {
    let mut draft = world().case(&[peg_out(700_000)]).draft;
    draft.transaction.output[2].value = Amount::from_sat(700_000 + 330 - 50_000 - above);
    draft.refusal(world())
}

#[test]
fn a_fee_share_of_exactly_the_cap_is_approved() {
    assert_eq!(one_above_the_cap(0), "approved");
}

#[test]
fn a_payout_of_exactly_dust_is_approved() {
    let peg = Peg {
        fee_cap: u64::MAX,
        ..peg_out(20_000)
    };
    let mut draft = world().case(&[peg]).draft;
    draft.transaction.output[2].value = Amount::from_sat(294);
    assert_eq!(draft.refusal(world()), "approved");
}

#[test]
fn a_refusal_names_the_request_and_the_numbers() {
    let mut draft = usual();
    draft.transaction.output[3].script_pubkey = p2wpkh(66);
    let proposal: Proposal = draft.propose(world());
    let request = proposal.requests[1].id();
    assert_eq!(
        world().approve(&proposal).unwrap_err(),
        Refusal::WrongDestination {
            output_index: 3,
            request
        }
    );
}
