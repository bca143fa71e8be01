//! Clearings of a zk-app, each broken in one place.

use bitcoin::{Amount, ScriptBuf, Sequence, absolute::LockTime};
use charms_data::{App, Data};
use grail_app_facts::{self as facts, Facts};
use grail_bridge_contract::Action as ContractAction;
use grail_spell::{charms_app, nft_app, token_app};
use grail_types::{Asset, BoundedVec, CharmApp, Epoch, Network, OrderCoin, OrderTerms, Payload};
use grail_wire::{Action, PlacedOrder, ShownRoster};

use crate::{
    refusals,
    support::{
        ClearingDraft, Former, Setup, World,
        clearing::{HELD, SHARE, app, authored, token, wants},
        code, coin, funding, input, keypair, output, p2tr, public, world,
    },
};

refusals! {
    // Who is asked, and about what.
    no_operator_signs_for_apps_where_money_is_real => "apps-disabled": {
        let draft = world().clearing();
        let bridge = grail_types::Bridge { network: Network::Mainnet, ..world().bridge };
        let signer = public(&world().keys[0]);
        let proposal = draft.propose(world());
        code(&grail_policy::approve(&world().secp, &proposal, &bridge, &signer))
    };
    refuses_a_clearing_of_another_epoch_than_its_rosters => "wrong-epoch": clearing(|_, draft| {
        draft.draft.epoch = Epoch(1);
    });
    refuses_a_signer_that_the_shown_roster_has_not => "not-in-roster": {
        let stranger = public(&keypair(4_444));
        let proposal = world().clearing().propose(world());
        code(&grail_policy::approve(&world().secp, &proposal, &world().bridge, &stranger))
    };
    refuses_coins_of_another_roster_than_the_shown_one => "app-input": clearing(|world, draft| {
        let keys = world.keys.iter().copied().skip(1).chain([keypair(700)]);
        draft.request.roster = ShownRoster(Former::new(0, keys, 12).roster);
    });
    refuses_coins_under_a_lower_threshold => "app-input": clearing(|world, draft| {
        let keys = world.keys.iter().copied();
        draft.request.roster = ShownRoster(Former::new(0, keys, 11).roster);
    });
    refuses_to_clear_for_nobody => "empty": clearing(|_, draft| {
        draft.request.orders = BoundedVec::default();
    });
    refuses_a_clearing_that_calls_itself_a_settlement => "wrong-apps": {
        let mut proposal = world().clearing().propose(world());
        let peg = world().usual().draft.propose(world()).wire();
        proposal.action = peg.action;
        code(&judge(&proposal))
    };
    refuses_a_settlement_that_calls_itself_a_clearing => "wrong-action": {
        let mut proposal = world().usual().draft.propose(world()).wire();
        proposal.action = Action::Clearing(Box::new(world().clearing().request));
        code(&judge(&proposal))
    };

    // The transaction's own form.
    refuses_a_lock_time_in_seconds => "malformed-transaction": clearing(|_, draft| {
        draft.draft.transaction.lock_time = LockTime::from_time(500_000_000).unwrap();
    });
    refuses_a_lock_height_in_a_settlement => "malformed-transaction": {
        let mut draft = world().usual().draft;
        draft.transaction.lock_time = LockTime::from_height(1).unwrap();
        draft.refusal(world())
    };
    refuses_an_order_that_claims_an_age => "malformed-transaction": clearing(|_, draft| {
        draft.draft.transaction.input[1].sequence = Sequence::from_height(1);
    });
    refuses_an_order_without_an_output => "wrong-count": clearing(|_, draft| {
        draft.draft.transaction.output.truncate(2);
        draft.draft.spell.tx.outs.truncate(2);
    });
    refuses_orders_without_a_main_cell => "wrong-count": clearing(|_, draft| {
        draft.draft.transaction.input.remove(0);
        draft.draft.tidy_previous();
    });

    // The apps that the spell names.
    refuses_a_spell_that_does_not_name_the_app => "app-list": clearing(|_, draft| {
        draft.request.app = with_tag('q');
        draft.told = Some(told_anything());
    });
    refuses_the_roster_nft_beside_an_app => "app-list": clearing(|world, draft| {
        let nft = nft_app(&world.bridge.app);
        draft.draft.list_app(&nft);
        let input = ContractAction::Settle.to_data();
        draft.draft.spell.app_public_inputs.insert(nft, input);
    });
    refuses_another_app_that_is_told_something => "app-list": clearing(|_, draft| {
        let told = Data::from(&"create");
        draft.draft.spell.app_public_inputs.insert(charms_app(&token()), told);
    });
    refuses_an_app_of_which_nothing_moves => "app-list": clearing(|world, draft| {
        draft.draft.list_app(&token_app(&world.bridge.app));
    });

    // The app's cells.
    refuses_a_coin_at_home_without_the_apps_charm => "app-input": clearing(|world, draft| {
        put_cell(draft, funding(310, vec![output(1_000, world.home())]));
    });
    refuses_the_apps_charm_that_is_not_at_home => "app-input": clearing(|world, draft| {
        let stray = world.conjured(311, &[(1_000, p2tr(9), &[state()])]);
        put_cell(draft, stray);
    });
    refuses_a_cell_at_home_of_another_app_of_the_program => "app-input": clearing(|world, draft| {
        let shares = charms_app(with_tag('q').charm());
        let other = [(shares.clone(), Data::from(&1_u64))];
        put_cell(draft, world.conjured(312, &[(1_000, world.home(), &other)]));
        draft.draft.list_app(&shares);
    });
    refuses_an_order_that_brings_the_apps_charm => "app-input": clearing(|world, draft| {
        let script = world.order_script(&world.buying());
        put_deposit(draft, world.conjured(313, &[(100_000, script, &[state()])]));
    });
    refuses_a_deposit_of_which_it_is_not_known_what_it_carries => "unexpected-charms":
        clearing(|world, draft| {
            let script = world.order_script(&world.buying());
            let unread = output(0, super::merge::unreadable_spell());
            put_deposit(draft, funding(314, vec![output(100_000, script), unread]));
        });
    refuses_a_cell_that_loses_its_charm => "app-output": clearing(|_, draft| {
        let index = draft.draft.spell.app_index(&main_app()).unwrap();
        draft.draft.spell.tx.outs[0].remove(&index);
    });
    refuses_a_cell_that_leaves_home => "app-output": clearing(|_, draft| {
        draft.draft.transaction.output[0].script_pubkey = p2tr(9);
    });
    refuses_the_apps_charm_in_somebodys_hand => "app-output": clearing(|_, draft| {
        let (app, data) = state();
        draft.draft.put_charm(1, &app, data);
    });
    refuses_an_order_that_pays_the_apps_home => "app-output": {
        let terms = OrderTerms {
            destination: world().home().try_into().unwrap(),
            ..world().buying()
        };
        world().clearing_of(terms, world().selling()).refusal(world())
    };
    refuses_a_prover_at_the_apps_home => "prover-fee": paying_a_prover(World::home, 2_000);
    refuses_a_prover_that_gets_more_than_the_orders_pay => "prover-fee":
        paying_a_prover(|_| p2tr(3), 2 * SHARE + 1);
    refuses_dust => "dust": {
        let terms = OrderTerms {
            coin: OrderCoin::Offer { keep: Amount::from_sat(SHARE + 329) },
            ..world().buying()
        };
        let mut draft = world().clearing_of(terms, world().selling());
        let moved = 5_000 - (SHARE + 329);
        draft.draft.shift(1, 0, moved);
        draft.refusal(world())
    };

    // The orders.
    refuses_a_deposit_of_other_terms => "deposit-mismatch": clearing(|_, draft| {
        draft.order(0, |order| order.nonce[0] ^= 1);
    });
    refuses_an_order_for_another_app => "deposit-mismatch": with_terms(|terms| {
        terms.app = with_tag('q');
    });
    refuses_an_order_of_another_epoch => "deposit-mismatch": with_terms(|terms| {
        terms.epoch = Epoch(1);
    });
    refuses_an_order_of_another_bridge => "deposit-mismatch": with_terms(|terms| {
        terms.bridge.app.identity[0] ^= 1;
    });
    refuses_orders_in_another_order_than_their_deposits => "deposit-mismatch":
        clearing(|_, draft| {
            let mut orders = draft.request.orders.clone().into_inner();
            orders.reverse();
            draft.request.orders = BoundedVec::new(orders).unwrap();
        });
    refuses_an_order_that_is_a_peg => "deposit-mismatch": clearing(|world, draft| {
        let (deposit, made) = world.deposits(9, &[crate::support::peg_in(100_000)]).remove(0);
        assert_eq!(deposit.coin.outpoint.vout, 0);
        put_deposit(draft, made);
    });
    refuses_an_order_twice => "repeated-request": {
        let terms = world().buying();
        let mut draft = world().clearing_of(terms.clone(), terms);
        let moved = 30_000 + 45_000 - 5_000;
        draft.draft.shift(2, 0, moved);
        draft.draft.put_charm(2, &charms_app(&token()), Data::from(&5_000_u64));
        draft.refusal(world())
    };
    refuses_a_delay_too_short_for_a_clearing_to_be_mined => "terms-unfit": with_terms(|terms| {
        terms.reclaim_delay = 23;
    });
    refuses_a_delay_of_longer_than_two_months => "terms-unfit": with_terms(|terms| {
        terms.reclaim_delay = 8_065;
    });
    refuses_to_keep_more_than_lies_there => "terms-unfit": with_terms(|terms| {
        terms.coin = OrderCoin::Offer { keep: Amount::from_sat(100_001) };
    });
    refuses_to_pay_another_than_the_order_says => "wrong-destination": clearing(|_, draft| {
        draft.draft.transaction.output[1].script_pubkey = p2tr(9);
    });
    refuses_a_share_above_the_orders_cap => "fee-above-cap": clearing(|_, draft| {
        draft.order(0, |order| order.fee_share += Amount::ONE_SAT);
        draft.draft.lower(1, 1);
    });
    refuses_an_author_who_signed_for_another_coin => "order-author": authored_by(|terms, _| {
        let other = coin(&funding(315, vec![output(100_000, p2tr(1))]), 0);
        authored(terms, other.outpoint)
    });
    refuses_an_author_who_signed_another_order => "order-author": authored_by(|terms, deposit| {
        authored(&OrderTerms { nonce: [9; 16], ..terms.clone() }, deposit)
    });
    refuses_an_authored_order_without_a_word => "deposit-mismatch": {
        let terms = OrderTerms { authored: true, ..world().buying() };
        world().clearing_of(terms, world().selling()).refusal(world())
    };

    // What an order's owner gets, whatever the contract says.
    refuses_a_satoshi_less_than_wanted => "order-wants": clearing(|_, draft| {
        draft.draft.shift(2, 0, 1);
    });
    refuses_a_satoshi_less_than_was_to_be_kept => "order-wants": clearing(|_, draft| {
        draft.draft.shift(1, 0, 1);
    });
    refuses_the_owners_own_coin_as_what_was_wanted => "order-wants": with_terms(|terms| {
        terms.wants = wants(&[(Asset::Btc, 1), (Asset::Charm(token()), 100)]);
    });
    refuses_a_token_less_than_wanted => "order-wants": clearing(|_, draft| {
        draft.draft.put_charm(1, &charms_app(&token()), Data::from(&99_u64));
    });
    refuses_no_token_where_one_was_wanted => "order-wants": clearing(|_, draft| {
        let index = draft.draft.spell.app_index(&charms_app(&token())).unwrap();
        draft.draft.spell.tx.outs[1].remove(&index);
    });
    refuses_a_charm_that_is_no_amount_for_one => "order-wants": clearing(|_, draft| {
        draft.draft.put_charm(1, &charms_app(&token()), Data::from(&"a hundred"));
    });
    refuses_a_charm_that_was_neither_asked_for_nor_given => "order-charms": clearing(|_, draft| {
        let alien = CharmApp { identity: [0x52; 32], ..token() };
        draft.draft.put_charm(1, &charms_app(&alien), Data::from(&1_u64));
    });
    refuses_a_charm_that_another_order_gave => "order-charms": {
        let buying = OrderTerms { wants: wants(&[]), ..world().buying() };
        world().clearing_of(buying, world().selling()).refusal(world())
    };

    // What the contract was shown.
    refuses_a_contract_that_saw_another_height => "app-facts": told(|facts| {
        facts.lock_height += 1;
    });
    refuses_a_contract_that_saw_another_age => "app-facts": told(|facts| facts.age += 1);
    refuses_a_contract_that_saw_another_number_of_cells => "app-facts": told(|facts| {
        facts.cells_in += 1;
    });
    refuses_a_contract_that_saw_the_home_move => "app-facts": told(|facts| {
        let script = world().home();
        facts.home = Some(script.as_bytes().try_into().unwrap());
    });
    refuses_a_contract_that_saw_a_price => "app-facts": told(|facts| {
        let (pair, feeds) = ([1; 32], [2; 32]);
        facts.prices.push(facts::Price { pair, feeds, price: 1, height: 1 });
    });
    refuses_a_contract_that_saw_an_order_less => "app-facts": told(|facts| {
        facts.orders.pop();
    });
    refuses_a_contract_that_saw_the_orders_swapped => "app-facts": told(|facts| {
        facts.orders.reverse();
    });
    refuses_a_contract_that_saw_another_coin => "app-facts": told_order(|order| {
        order.outpoint[35] ^= 1;
    });
    refuses_a_contract_that_saw_another_order => "app-facts": told_order(|order| {
        order.id[0] ^= 1;
    });
    refuses_a_contract_that_saw_another_destination => "app-facts": told_order(|order| {
        order.destination = p2tr(9).as_bytes().try_into().unwrap();
    });
    refuses_a_contract_that_saw_more_kept => "app-facts": told_order(|order| {
        order.coin = facts::Coin::Offer { keep: 5_001 };
    });
    refuses_a_contract_that_saw_all_kept => "app-facts": told_order(|order| {
        order.coin = facts::Coin::Keep;
    });
    refuses_a_contract_that_saw_another_share => "app-facts": told_order(|order| {
        order.fee_share += 1;
    });
    refuses_a_contract_that_saw_an_author => "app-facts": told_order(|order| {
        order.author = Some(world().buying().reclaim_key.serialize());
    });
    refuses_a_contract_that_saw_less_wanted => "app-facts": told_order(|order| {
        order.wants[0].amount -= 1;
    });
    refuses_a_contract_that_saw_another_payload => "app-facts": told_order(|order| {
        order.payload.push(0);
    });
    refuses_a_birth_beside_orders => "app-facts": {
        let mut proposal = world().clearing();
        proposal.told = Some(told_anything());
        proposal.refusal(world())
    };

    // The books.
    refuses_a_satoshi_of_the_apps_for_the_miners => "fee-mismatch": clearing(|_, draft| {
        draft.draft.lower(0, 1);
    });
    refuses_shares_that_stay_with_the_app => "fee-mismatch": clearing(|_, draft| {
        draft.draft.raise(0, 1);
    });
    refuses_a_share_that_no_order_pays => "fee-mismatch": {
        let coin = OrderCoin::Offer { keep: Amount::from_sat(4_000) };
        let terms = OrderTerms { coin, ..world().buying() };
        let mut draft = world().clearing_of(terms, world().selling());
        draft.order(0, |order| order.fee_share -= Amount::ONE_SAT);
        draft.refusal(world())
    };
    refuses_a_clearing_for_next_to_nothing => "fee-rate-too-low": clearing(|_, draft| {
        for index in [0, 1] {
            draft.order(index, |order| order.fee_share = Amount::from_sat(100));
            draft.draft.raise(index + 1, SHARE - 100);
        }
    });
}

/// The usual clearing, changed before its spell is proven.
fn clearing(change: impl FnOnce(&World, &mut ClearingDraft)) -> &'static str {
    let mut draft = world().clearing();
    assert_eq!(draft.refusal(world()), "approved");
    change(world(), &mut draft);
    draft.draft.tidy_previous();
    draft.refusal(world())
}

/// The usual clearing with other terms of the order that buys, which its deposit commits to.
fn with_terms(change: impl FnOnce(&mut OrderTerms)) -> &'static str {
    let mut terms = world().buying();
    change(&mut terms);
    world()
        .clearing_of(terms, world().selling())
        .refusal(world())
}

fn told(change: impl FnOnce(&mut Facts)) -> &'static str {
    clearing(|world, draft| draft.told(world, change))
}

fn told_order(change: impl FnOnce(&mut facts::Order)) -> &'static str {
    told(|facts| change(&mut facts.orders[0]))
}

/// Facts that are nobody's.
fn told_anything() -> Facts {
    Facts {
        home: None,
        lock_height: 0,
        age: 0,
        cells_in: 1,
        prices: Vec::new(),
        orders: Vec::new(),
    }
}

/// An order that its owner signed as `sign` does.
fn authored_by(
    sign: impl FnOnce(&OrderTerms, bitcoin::OutPoint) -> bitcoin::secp256k1::schnorr::Signature,
) -> &'static str {
    let terms = OrderTerms {
        authored: true,
        payload: Payload::try_from(b"borrow".to_vec()).unwrap(),
        ..world().buying()
    };
    let mut draft = world().clearing_of(terms.clone(), world().selling());
    let deposit = draft.draft.transaction.input[1].previous_output;
    let place = |word| PlacedOrder::new(terms.clone(), Some(word), Amount::from_sat(SHARE));
    draft.order(0, |order| *order = place(authored(&terms, deposit)));
    assert_eq!(draft.refusal(world()), "approved");
    draft.order(0, |order| *order = place(sign(&terms, deposit)));
    draft.refusal(world())
}

/// A clearing that pays its prover so much at such a script.
fn paying_a_prover(to: impl FnOnce(&World) -> ScriptBuf, sats: u64) -> &'static str {
    let world = World::new(Setup {
        params: &|values| values.prover_fee_max = Amount::from_sat(10_000),
        ..Setup::default()
    });
    let mut draft = world.clearing();
    assert_eq!(draft.refusal(&world), "approved");
    draft.draft.uncommitted.push(output(sats, to(&world)));
    draft.refusal(&world)
}

fn with_tag(tag: char) -> grail_types::ZkApp {
    CharmApp {
        tag,
        ..*app().charm()
    }
    .try_into()
    .unwrap()
}

fn main_app() -> App {
    charms_app(app().charm())
}

fn state() -> (App, Data) {
    (main_app(), Data::from(&"another"))
}

/// A further input before the orders, and its coin in the main cell.
fn put_cell(draft: &mut ClearingDraft, made: bitcoin::Transaction) {
    let cell = coin(&made, 0);
    draft
        .draft
        .transaction
        .input
        .insert(1, input(cell.outpoint));
    draft.draft.raise(0, cell.output.value.to_sat());
    draft.draft.previous.push(made);
}

/// Another deposit under the order that buys.
fn put_deposit(draft: &mut ClearingDraft, made: bitcoin::Transaction) {
    let deposit = coin(&made, 0);
    assert_eq!(deposit.output.value, Amount::from_sat(100_000));
    draft.draft.transaction.input[1].previous_output = deposit.outpoint;
    draft.draft.previous.push(made);
}

fn judge(
    proposal: &grail_wire::Proposal,
) -> Result<grail_policy::Approved<grail_policy::Decision>, grail_policy::Refusal> {
    let signer = public(&world().keys[0]);
    grail_policy::approve(&world().secp, proposal, &world().bridge, &signer)
}

#[test]
fn what_an_app_holds_is_no_operators_business() {
    // The contract of these tests agrees to everything: whoever pools in it can lose it all, and no
    // order is hurt by that.
    let mut draft = world().clearing();
    draft
        .draft
        .put_charm(0, &charms_app(&token()), Data::from(&1_u64));
    draft.draft.shift(0, 2, HELD);
    assert_eq!(draft.refusal(world()), "approved");
}
