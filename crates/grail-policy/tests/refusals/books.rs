//! Vault, supply, fee and weight.

use bitcoin::{Amount, Weight};
use grail_types::ParamsValues;

use crate::{
    drafted, proposed, refusals,
    support::{
        Draft, Peg, Setup, World, coin, funding, input, model::signed_weight, output, p2wpkh,
        peg_in, peg_out, world,
    },
    usual,
};

/// Everything in circulation but `left` satoshis is pegged out.
fn leaving_in_vault(left: u64) -> Draft {
    let world = world();
    let deposits = world.deposits(1, &[peg_out(world.circulating() - left)]);
    // The builder would not leave dust: it plans with a vault that is larger, and the draft is put
    // right.
    let mut case = world.case_of(deposits, &|request| {
        let vault = request.vault.as_mut().unwrap();
        vault.output.value += Amount::from_sat(10_000);
    });
    case.draft.lower(1, 10_000);
    case.draft
}

#[test]
fn a_vault_output_of_exactly_dust_is_approved() {
    assert_eq!(leaving_in_vault(330).refusal(world()), "approved");
}

#[test]
fn a_vault_emptied_completely_has_no_output() {
    let world = world();
    let case = world.case(&[peg_out(world.circulating())]);
    assert_eq!(case.plan.state.supply, 0);
    let proposal = case.draft.propose(world);
    assert_eq!(proposal.transaction.output.len(), 3);
    assert_eq!(world.refusal(&proposal), "approved");
    crate::support::model::judge(world, &proposal).unwrap();
}

#[test]
fn the_first_settlement_has_no_vault_to_spend() {
    let tried = std::cell::Cell::new("");
    let _ = World::new(Setup {
        genesis: &|world, draft| {
            assert_eq!(world.state.supply, 0);
            assert_eq!(draft.transaction.input.len(), 2);
            tried.set(draft.refusal(world));
        },
        ..Setup::default()
    });
    assert_eq!(tried.get(), "approved");
}

/// The usual settlement with a stray coin at the vault's address at input `at`, paid on to the
/// vault.
fn with_a_stray_coin(at: usize) -> Draft {
    let mut draft = usual();
    let stray = funding(77, vec![output(5_000, world().vault.script_pubkey.clone())]);
    draft
        .transaction
        .input
        .insert(at, input(coin(&stray, 0).outpoint));
    draft.previous.push(stray);
    draft.raise(1, 5_000);
    draft
}

/// The vault's own coin stays behind, and a stray coin at its address stands in for it: the books
/// fit.
fn stray_for_vault() -> &'static str {
    let mut draft = with_a_stray_coin(1);
    let vault = world().vault_coin();
    draft
        .transaction
        .input
        .retain(|input| input.previous_output != vault.outpoint);
    draft.lower(1, vault.output.value.to_sat());
    draft.tidy_previous();
    draft.refusal(world())
}

/// A single peg-out, of any cap, that pays `fee`.
fn peg_out_paying(fee: u64, nonce: u64) -> Draft {
    let peg = Peg {
        fee_cap: u64::MAX,
        ..peg_out(100_000_000)
    };
    let deposits = world().deposits(nonce, &[peg]);
    let mut draft = world().case_of(deposits, &|_| {}).draft;
    draft.transaction.output[2].value = Amount::from_sat(100_000_000 + 330 - fee);
    draft
}

/// What a peg-out meets whose fee is exactly `fee_of` its own weight. A proof's bytes weigh
/// differently by their values, and the fee changes the proof: so peg-outs are tried until one has
/// the weight that its fee was reckoned from.
fn paying(fee_of: fn(u64) -> u64) -> &'static str {
    let mut fee = 2_600;
    for nonce in 1..500 {
        let proposal = peg_out_paying(fee, nonce).propose(world());
        let wanted = fee_of(signed_weight(world(), &proposal));
        if fee == wanted {
            return world().refusal(&proposal);
        }
        fee = wanted;
    }
    panic!("no fee fits its own weight");
}

/// Least fee at 250 sat per 1,000 weight units.
fn least(weight: u64) -> u64 {
    (250 * weight).div_ceil(1_000)
}

/// Most at 75,000; the rate is rounded down, so that all below 75,001 passes.
fn most(weight: u64) -> u64 {
    (75_001 * weight - 1) / 1_000
}

#[test]
fn fees_of_exactly_the_lowest_and_the_highest_rate_are_approved() {
    assert_eq!(paying(least), "approved");
    assert_eq!(paying(most), "approved");
}

/// About what the settlement below weighs once signed.
const WEIGHT: u64 = 12_458;

/// What two peg-ins of exactly `WEIGHT` meet where `allowed` is the most: deposits are tried until
/// one has a proof of just that weight.
fn as_heavy_as(allowed: u64) -> &'static str {
    let allow = |params: &mut ParamsValues| params.settlement_weight_max = Weight::from_wu(allowed);
    let world = World::new(Setup {
        params: &allow,
        ..Setup::default()
    });
    // Planned as if more were allowed: the builder reckons with the heaviest proof.
    let generous = world
        .params
        .with(|params| params.settlement_weight_max = Weight::from_wu(400_000))
        .unwrap();
    for nonce in 1..500 {
        let (deposits, made): (Vec<_>, Vec<_>) = world
            .deposits(nonce, &[peg_in(1_000_000), peg_in(2_000_000)])
            .into_iter()
            .unzip();
        let mut request = world.request(deposits);
        request.params = &generous;
        let plan = request.plan(&world.secp).unwrap();
        let proposal = Draft::of_plan(&world, &plan, &made).propose(&world);
        let weight = signed_weight(&world, &proposal);
        if weight == WEIGHT {
            return world.refusal(&proposal);
        }
    }
    panic!("no settlement weighs {WEIGHT}");
}

#[test]
fn a_settlement_of_exactly_the_allowed_weight_is_approved() {
    assert_eq!(as_heavy_as(WEIGHT), "approved");
}

refusals! {
    refuses_a_missing_vault_output => "vault-missing": drafted(|_, draft| {
        draft.transaction.output.remove(1);
        draft.spell.tx.outs.remove(1);
    });
    refuses_the_vault_paid_to_another_script => "vault-missing": drafted(|_, draft| {
        draft.transaction.output[1].script_pubkey = p2wpkh(66);
    });
    refuses_charms_on_the_vaults_output => "vault-missing": drafted(|world, draft| {
        draft.set_tokens(world, 1, 5);
    });
    refuses_the_vaults_output_in_another_place => "vault-missing": drafted(|_, draft| {
        draft.transaction.output.swap(1, 3);
        draft.spell.tx.outs.swap(1, 3);
    });

    // Minted more than burned, so the books fit without the vault that is there already.
    refuses_a_settlement_that_leaves_the_vault_alone => "vault-not-spent": drafted(|world, draft| {
        let vault = world.vault_coin();
        draft.transaction.input.retain(|input| input.previous_output != vault.outpoint);
        draft.lower(1, vault.output.value.to_sat());
        draft.tidy_previous();
    });

    refuses_a_stray_coin_in_place_of_the_vault => "vault-not-spent": stray_for_vault();
    refuses_a_stray_coin_before_the_vault => "vault-not-spent": with_a_stray_coin(1).refusal(world());
    refuses_a_stray_coin_beside_the_vault => "wrong-count": with_a_stray_coin(2).refusal(world());
    refuses_a_vault_output_one_satoshi_below_dust => "vault-dust": leaving_in_vault(329).refusal(world());
    refuses_an_empty_vault_output => "vault-dust": {
        let mut draft = leaving_in_vault(330);
        draft.transaction.output[1].value = Amount::ZERO;
        draft.refusal(world())
    };

    refuses_one_satoshi_too_many_minted => "vault-mismatch": drafted(|world, draft| {
        let minted = draft.tokens(world, 2).unwrap();
        draft.set_tokens(world, 2, minted + 1);
        let mut state = draft.state(world);
        state.supply += 1;
        draft.set_state(world, &state);
    });
    refuses_one_satoshi_taken_from_the_vault => "vault-mismatch": drafted(|_, draft| draft.shift(1, 3, 1));
    refuses_one_satoshi_given_to_the_vault => "vault-mismatch": drafted(|_, draft| draft.shift(3, 1, 1));

    refuses_a_supply_one_satoshi_too_high => "supply-mismatch": drafted(|world, draft| {
        let mut state = draft.state(world);
        state.supply += 1;
        draft.set_state(world, &state);
    });
    refuses_a_supply_one_satoshi_too_low => "supply-mismatch": drafted(|world, draft| {
        let mut state = draft.state(world);
        state.supply -= 1;
        draft.set_state(world, &state);
    });
    refuses_a_supply_that_stays => "supply-mismatch": drafted(|world, draft| {
        let mut state = draft.state(world);
        state.supply = world.state.supply;
        draft.set_state(world, &state);
    });

    refuses_a_fee_one_satoshi_below_the_lowest_rate => "fee-rate-too-low": paying(|weight| least(weight) - 1);
    refuses_no_fee => "fee-rate-too-low": peg_out_paying(0, 1).refusal(world());
    refuses_a_fee_one_satoshi_above_the_highest_rate => "fee-rate-too-high": paying(|weight| most(weight) + 1);

    refuses_a_settlement_one_weight_unit_too_heavy => "too-heavy": as_heavy_as(WEIGHT - 1);

    refuses_a_transaction_too_heavy_even_without_signatures => "too-heavy": proposed(|_, proposal| {
        let large = bitcoin::ScriptBuf::from_bytes(vec![0x6a; 100_000]);
        proposal.transaction.output.push(output(0, large));
    });

    refuses_to_burn_more_than_the_supply => "overflow": {
        // A first settlement that minted more than its state says.
        let world = World::new(Setup {
            genesis: &|world, draft| {
                let mut state = draft.state(world);
                state.supply = 600_000;
                draft.set_state(world, &state);
            },
            ..Setup::default()
        });
        let mut draft = world.case(&[peg_out(700_000)]).draft;
        let mut state = draft.state(&world);
        state.supply = 0;
        draft.set_state(&world, &state);
        draft.refusal(&world)
    };
    refuses_a_fee_that_overflows => "overflow": {
        let world = world();
        let mut draft = peg_out_paying(10_000, 1);
        let made = draft.transaction.input[2].previous_output.txid;
        let index = draft.previous.iter().position(|tx| tx.compute_txid() == made).unwrap();
        let mut transfer = draft.previous[index].clone();
        transfer.output[0].value = Amount::from_sat(u64::MAX / 4);
        crate::requests::remake_transfer(world, &mut draft, index, transfer);
        draft.refusal(world)
    };
}

#[test]
fn a_peg_in_alone_and_a_peg_out_alone_are_approved() {
    for peg in [peg_in(1_000_000), peg_out(1_000_000)] {
        let draft = world().case(&[peg]).draft;
        assert_eq!(draft.refusal(world()), "approved");
    }
}
