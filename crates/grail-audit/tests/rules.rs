//! Each rule of the auditor, broken by exactly one lie.

#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Witness};
use common::{
    Charm, Draft, World, bridge, codes, coin, funding, input, outpoint, roster, signed, signed_by,
    state, user_script, vault, watch,
};
use grail_audit::{Anchor, Role, Severity, StepKind, Watch};
use grail_bridge_contract::{Next, RosterState};
use grail_script::quorum_leaf;
use grail_types::{Governance, Network, ParamsValues, Roster};

/// What a spoiled peg-in of 100,000 sat adds, on top of an honest one.
fn spoiled(change: impl FnOnce(&mut Draft, &mut RosterState)) -> Vec<&'static str> {
    let mut world = World::new();
    world.mint(50_000);
    codes(&world.mint_with(100_000, change).0)
}

#[test]
fn an_honest_history_has_no_finding_and_tells_every_step() {
    let mut world = World::new();
    let token = world.mint(100_000);
    let (step, transfer) = world.move_tokens(&[token], &[60_000, 40_000]);
    assert_eq!(step.unwrap().kind, StepKind::Transfer);
    let txid = transfer.compute_txid();
    let (draft, _) = world.draft(0, &[OutPoint::new(txid, 1)], 40_000);
    let (step, _) = world.settle_with(draft);
    let settlement = step.settlement().unwrap();
    assert_eq!((settlement.epoch, settlement.serial), (0, 2));
    assert_eq!(settlement.supply, (100_000, 60_000));
    assert_eq!(settlement.vault, (100_000, 60_000));
    assert_eq!(
        (settlement.peg_outs.count, settlement.peg_outs.sat),
        (1, 40_000)
    );
    assert_eq!(settlement.peg_ins.count, 0);
    let signers: Vec<u16> = settlement.signed[0].signers.iter().map(|s| s.0).collect();
    assert_eq!(signers, [0, 1, 3]);
    assert_eq!(settlement.signed.len(), 2);
    world.is_clean();
    let books = world.auditor.books().unwrap();
    assert_eq!(
        (books.circulating(), books.locked().to_sat()),
        (60_000, 60_000)
    );
    assert_eq!(books.tokens.len(), 1);
    assert!(
        step.to_string()
            .contains("supply 100000 -> 60000, vault 100000 -> 60000")
    );
}

#[test]
fn transactions_of_others_are_no_steps() {
    let mut world = World::new();
    let (step, _) = world.plain(
        vec![input(outpoint(1), Witness::new())],
        vec![coin(&user_script(), 5_000)],
    );
    assert_eq!(step, None);
}

#[test]
fn refuses_supply_off_by_one() {
    assert_eq!(
        spoiled(|_, state| state.supply += 1),
        ["audit-token-delta", "audit-vault-delta"]
    );
}

#[test]
fn refuses_zkbtc_off_by_one() {
    for amount in [100_001, 99_999] {
        assert_eq!(
            spoiled(|draft, _| draft.outputs[2].1 = Charm::Token(amount)),
            ["audit-token-delta"]
        );
    }
}

#[test]
fn refuses_a_vault_off_by_one() {
    for value in [150_001, 149_999] {
        assert_eq!(
            spoiled(|draft, _| draft.outputs[1].0.value = Amount::from_sat(value)),
            ["audit-vault-delta"]
        );
    }
}

#[test]
fn a_vault_output_that_the_spell_does_not_speak_of_is_a_gift() {
    let mut world = World::new();
    let script = vault(&world.roster);
    let (step, _) = world.mint_with(100_000, |draft, _| draft.uncounted.push(coin(&script, 777)));
    assert_eq!(codes(&step), [""; 0]);
    assert_eq!(step.donated.to_sat(), 777);
    world.is_clean();
    assert_eq!(world.auditor.books().unwrap().donated().to_sat(), 777);
}

#[test]
fn refuses_a_serial_that_is_skipped_repeated_or_falls() {
    for serial in [0, 1, 3, u64::MAX] {
        assert_eq!(spoiled(|_, state| state.serial = serial), ["audit-serial"]);
    }
}

#[test]
fn refuses_an_epoch_that_falls_or_is_skipped() {
    for epoch in [0, 3, u64::MAX] {
        let mut world = World::new();
        assert_eq!(codes(&world.rotate_with(11, |_, _| {})), [""; 0]);
        let step = world.rotate_with(21, |_, state| state.epoch = epoch);
        assert_eq!(codes(&step), ["audit-epoch"], "{epoch}");
    }
}

#[test]
fn refuses_a_roster_that_changes_within_its_epoch() {
    let mut world = World::new();
    world.mint(50_000);
    let step = world.rotate_with(11, |_, state| state.epoch = 0);
    assert_eq!(codes(&step), ["audit-changed-in-epoch"]);
    assert_eq!(
        spoiled(|_, state| state.params_hash = common::params_hash().map(|byte| byte ^ 1)),
        ["audit-changed-in-epoch", "audit-params-hash"]
    );
}

#[test]
fn refuses_a_rotation_that_was_not_announced_or_changes_more() {
    let spoil: [fn(&mut RosterState); 4] = [
        |state| state.attempt -= 1,
        |state| state.outflow += 1,
        |state| state.next = Some(next(state.serial)),
        |state| state.supply += 1,
    ];
    for change in spoil {
        let mut world = World::new();
        world.mint(50_000);
        let codes = codes(&world.rotate_with(11, |_, state| change(state)));
        assert!(codes.contains(&"audit-rotation-not-announced"), "{codes:?}");
    }
    // Nothing was announced at all.
    let codes = spoiled(|_, state| state.epoch += 1);
    assert!(codes.contains(&"audit-rotation-not-announced"), "{codes:?}");
}

fn next(serial: u64) -> Next {
    Next {
        hash: [7; 32],
        serial,
        wait: 1,
    }
}

#[test]
fn refuses_steps_of_a_rotation_that_are_none() {
    let spoil: [fn(&mut RosterState); 7] = [
        |state| state.attempt += 1,
        |state| state.next = Some(next(state.serial)),
        |state| {
            state.attempt += 1;
            state.next = Some(next(state.serial - 1));
        },
        |state| state.governance = [1; 32],
        |state| (state.spell_min, state.spell_max) = (16, 16),
        |state| state.spell_max = 16,
        |state| {
            // A mint beside an announcement.
            state.attempt += 1;
            state.next = Some(next(state.serial));
        },
    ];
    for change in spoil {
        let codes = spoiled(|_, state| change(state));
        assert!(codes.contains(&"audit-changed-in-epoch"), "{codes:?}");
    }
}

#[test]
fn a_rotation_brings_the_vault_along_and_names_who_comes_and_goes() {
    let mut world = World::new();
    world.mint(50_000);
    // Keys 3 and 4 stay.
    let step = world.rotate_with(3, |_, _| {});
    assert_eq!(codes(&step), [""; 0]);
    assert!(matches!(step.kind, StepKind::Rotation(_)));
    let change = step.settlement().unwrap().roster_change.clone().unwrap();
    assert_eq!((change.added.len(), change.removed.len()), (2, 2));
    assert_eq!(change.threshold, (3, 3));
    world.mint(10_000);
    world.is_clean();
}

/// The notice coin is nobody's payout.
#[test]
fn steps_of_a_rotation_are_told_as_what_they_are() {
    let mut world = World::new();
    world.mint(50_000);
    let (mut draft, state) = world.draft(0, &[], 0);
    let next = next(state.serial);
    let announced = RosterState {
        attempt: state.attempt + 1,
        next: Some(next.clone()),
        ..state
    };
    draft.outputs[0].1 = Charm::State(announced);
    draft
        .outputs
        .push((coin(&user_script(), 330), Charm::Nothing));
    let (step, _) = world.settle_with(draft);
    assert_eq!(codes(&step), [""; 0]);
    assert_eq!(step.kind.name(), "announcement");
    let told = step.settlement().unwrap();
    assert_eq!((told.peg_outs.count, told.next.clone()), (0, Some(next)));
    assert!(
        step.to_string()
            .contains("serial 2: a roster after 1 blocks, ")
    );

    // A settlement under a notice is one still.
    world.mint(1_000);
    let (mut draft, state) = world.draft(0, &[], 0);
    draft.outputs[0].1 = Charm::State(RosterState {
        next: None,
        ..state
    });
    let (step, _) = world.settle_with(draft);
    assert_eq!((codes(&step), step.kind.name()), (vec![], "cancellation"));
    world.is_clean();
}

#[test]
fn refuses_a_rotation_that_leaves_the_backing_behind() {
    let mut world = World::new();
    world.mint(50_000);
    let step = world.rotate_with(11, |draft, _| {
        draft.inputs.remove(1);
        draft.outputs.remove(1);
    });
    assert_eq!(codes(&step), ["audit-rotation-unbacked"]);
}

#[test]
fn a_rotation_may_bring_donations_instead_of_backing() {
    let mut world = World::new();
    world.mint(50_000);
    let script = vault(&world.roster);
    let (_, gift) = world.plain(Vec::new(), vec![coin(&script, 50_000)]);
    let old_roster = world.roster.clone();
    let step = world.rotate_with(11, |draft, _| {
        let at = OutPoint::new(gift.compute_txid(), 0);
        draft.inputs[1] = input(at, signed(&old_roster));
    });
    assert_eq!(codes(&step), [""; 0]);
    world.is_clean();
    assert_eq!(world.auditor.books().unwrap().merged, 0);
}

#[test]
fn refuses_an_nft_at_another_script_or_output() {
    assert_eq!(
        spoiled(|draft, _| draft.outputs[0].0.script_pubkey = user_script()),
        ["audit-nft-misplaced"]
    );
    let mut world = World::new();
    let (mut draft, _) = world.draft(100_000, &[], 0);
    draft.outputs.swap(0, 2);
    assert_eq!(codes(&world.settle_with(draft).0), ["audit-nft-misplaced"]);
}

#[test]
fn refuses_a_vault_that_is_not_its_signers_address() {
    let mut world = World::new();
    let step = world.rotate_with(11, |draft, state| {
        let stolen = vault(&roster(1, 91));
        state.vault_script = stolen.to_bytes();
        for (output, _) in draft.outputs.iter_mut().take(2) {
            output.script_pubkey = stolen.clone();
        }
    });
    assert_eq!(codes(&step), ["audit-vault-script"]);
    // The threshold is in the address as well.
    let mut world = World::new();
    let step = world.rotate_with(11, |_, state| state.threshold = 4);
    assert_eq!(codes(&step), ["audit-vault-script"]);
}

#[test]
fn refuses_a_settlement_that_loses_the_nft() {
    let mut world = World::new();
    let (mut draft, _) = world.draft(100_000, &[], 0);
    draft.outputs[0].1 = Charm::Nothing;
    let (step, _) = world.settle_with(draft);
    assert_eq!(codes(&step), ["audit-nft-count"]);
    assert_eq!(world.final_codes(), ["audit-nft-lost"]);
}

#[test]
fn refuses_two_nfts_and_an_unreadable_one() {
    let mut world = World::new();
    let (mut draft, next) = world.draft(100_000, &[], 0);
    draft
        .outputs
        .push((coin(&user_script(), 1_000), Charm::State(next)));
    assert_eq!(codes(&world.settle_with(draft).0), ["audit-nft-count"]);

    let mut world = World::new();
    let (mut draft, _) = world.draft(0, &[], 0);
    draft.outputs[0].1 = Charm::Garbage;
    assert_eq!(
        codes(&world.settle_with(draft).0),
        ["audit-state-unreadable"]
    );
    assert_eq!(world.final_codes(), ["audit-nft-lost"]);
}

#[test]
fn refuses_a_second_nft_made_elsewhere() {
    let mut world = World::new();
    let draft = Draft::new(
        vec![input(outpoint(1), Witness::new())],
        vec![(
            coin(&user_script(), 1_000),
            Charm::State(world.state.clone()),
        )],
    );
    let step = world.mine(&draft.seal()).unwrap();
    assert_eq!(codes(&step), ["audit-second-nft"]);
    assert_eq!(step.kind, StepKind::Forgery);
}

#[test]
fn refuses_a_spell_that_is_not_strict_or_not_proven() {
    assert_eq!(spoiled(|draft, _| draft.spell_value = 1), ["audit-spell"]);
    let mut world = World::new();
    let (draft, _) = world.draft(100_000, &[], 0);
    let mut transaction = draft.seal();
    // The proof binds the outputs' values.
    transaction.output[0].value += Amount::ONE_SAT;
    let step = world.mine(&transaction).unwrap();
    assert_eq!(codes(&step), ["audit-spell", "audit-nft-count"]);
}

#[test]
fn refuses_a_mock_spell_on_another_network() {
    for network in [Network::Signet, Network::Testnet4, Network::Mainnet] {
        let mut world = World::empty(Watch { network, ..watch() });
        let step = world.deploy(|_| {});
        assert_eq!(
            codes(&step),
            ["audit-spell", "audit-nft-count"],
            "{network}"
        );
        assert!(step.to_string().contains("spell-mock-refused"), "{step}");
        assert_eq!(world.final_codes(), ["audit-not-deployed"]);
    }
}

#[test]
fn refuses_a_roster_input_without_a_quorum() {
    assert_eq!(
        spoiled(|draft, _| {
            draft.inputs[1].witness = signed_by(&roster(0, 1), &[true, true, false, false]);
        }),
        ["audit-quorum"]
    );
    assert_eq!(
        spoiled(|draft, _| draft.inputs[0].witness = Witness::new()),
        ["audit-quorum"]
    );
}

/// The witness of a deposit at a roster's address, by so many of its four signers.
fn deposit_of(roster: &Roster, places: &[bool]) -> Witness {
    let quorum = quorum_leaf(roster);
    let leaf = [&[0x20], [9; 32].as_slice(), &[0x75], quorum.as_bytes()].concat();
    let mut items = signed_by(roster, places).to_vec();
    let script = items.len() - 2;
    items[script] = leaf;
    Witness::from_slice(&items)
}

#[test]
fn a_deposit_of_a_former_roster_is_counted_by_that_ones_quorum() {
    let mut world = World::new();
    world.mint(50_000);
    let former = world.roster.clone();
    world.rotate_with(11, |_, _| {});
    let witness = deposit_of(&former, &[false, true, true, true]);
    let (step, _) = world.mint_with(10_000, |draft, _| draft.inputs[2].witness = witness);
    assert_eq!(codes(&step), [""; 0]);
    let signed = &step.settlement().unwrap().signed;
    let last = signed.last().unwrap();
    assert_eq!((last.input_index, last.role), (2, Role::Deposit));
    let positions: Vec<_> = last.signers.iter().map(|signer| signer.0).collect();
    assert_eq!((positions, last.threshold), (vec![1, 2, 3], 3));
    world.is_clean();
    // Two of them are none, whoever signed for the NFT.
    let witness = deposit_of(&former, &[false, true, true, false]);
    let (step, _) = world.mint_with(10_000, |draft, _| draft.inputs[2].witness = witness);
    assert_eq!(codes(&step), ["audit-quorum"]);
}

#[test]
fn refuses_a_spend_of_the_vault_without_the_nft() {
    let mut world = World::new();
    world.mint(50_000);
    let (at, _) = world.vault.unwrap();
    let witness = signed(&world.roster);
    let (step, _) = world.plain(vec![input(at, witness)], vec![coin(&user_script(), 50_000)]);
    let step = step.unwrap();
    assert_eq!(codes(&step), ["audit-vault-spent"]);
    assert_eq!(step.kind, StepKind::VaultSpend);
    assert_eq!(world.final_codes(), ["audit-supply-not-vault"]);
    assert_eq!(world.auditor.verdict().alarm_count, 2);
}

#[test]
fn refuses_a_spend_of_a_donation_without_the_nft() {
    let mut world = World::new();
    let script = vault(&world.roster);
    let (step, gift) = world.plain(Vec::new(), vec![coin(&script, 50_000)]);
    let step = step.unwrap();
    assert_eq!(
        (step.kind, step.donated.to_sat()),
        (StepKind::Donation, 50_000)
    );
    world.is_clean();
    let at = OutPoint::new(gift.compute_txid(), 0);
    let witness = signed(&world.roster);
    let (step, _) = world.plain(vec![input(at, witness)], vec![coin(&user_script(), 50_000)]);
    assert_eq!(codes(&step.unwrap()), ["audit-vault-spent"]);
}

#[test]
fn a_donation_may_be_merged_and_is_told_apart() {
    let mut world = World::new();
    let script = vault(&world.roster);
    let (_, gift) = world.plain(Vec::new(), vec![coin(&script, 9_000)]);
    let at = OutPoint::new(gift.compute_txid(), 0);
    let witness = signed(&world.roster);
    let (step, _) = world.mint_with(100_000, |draft, _| {
        draft.inputs.push(input(at, witness));
        draft.outputs[1].0.value += Amount::from_sat(9_000);
    });
    assert_eq!(codes(&step), [""; 0]);
    world.is_clean();
    let books = world.auditor.books().unwrap();
    assert_eq!((books.merged, books.locked().to_sat()), (9_000, 109_000));
    // By a settlement that serves nobody, or by one that serves somebody.
    let (_, gift) = world.plain(Vec::new(), vec![coin(&script, 700)]);
    let at = OutPoint::new(gift.compute_txid(), 0);
    let (mut draft, _) = world.draft(0, &[], 0);
    draft.inputs.push(input(at, signed(&world.roster)));
    draft.outputs[1].0.value += Amount::from_sat(700);
    let (merge, _) = world.settle_with(draft);
    assert_eq!((codes(&merge), merge.kind.name()), (vec![], "merge"));
    assert_eq!(
        (step.kind.name(), merge.settlement().unwrap().merged.sat),
        ("settlement", 700)
    );
    world.is_clean();
    // Minted against the gift: what the rule is there for.
    let mut world = World::new();
    let (_, gift) = world.plain(Vec::new(), vec![coin(&script, 9_000)]);
    let at = OutPoint::new(gift.compute_txid(), 0);
    let (step, _) = world.mint_with(9_000, |draft, _| {
        draft.inputs.push(input(at, Witness::new()));
    });
    assert_eq!(codes(&step), ["audit-vault-delta"]);
}

#[test]
fn a_vault_coin_from_before_the_first_block_read_is_found_out() {
    let mut world = World::new();
    let witness = signed(&world.roster);
    let (step, _) = world.plain(
        vec![input(outpoint(3), witness)],
        vec![coin(&user_script(), 1_000)],
    );
    let step = step.unwrap();
    assert_eq!(codes(&step), ["audit-vault-coin-unknown"]);
    assert_eq!(step.kind, StepKind::VaultSpend);
}

#[test]
fn a_second_look_sees_coins_that_came_before_their_vault() {
    let mut world = World::empty(watch());
    let script = vault(&world.roster);
    let (step, _) = world.plain(Vec::new(), vec![coin(&script, 4_000)]);
    assert_eq!(step, None);
    world.deploy(|_| {});
    assert_eq!(world.auditor.books().unwrap().donated().to_sat(), 0);
    let again = world.auditor.second_look().unwrap();
    let mut second = World::empty(again);
    for (height, block) in (1..).zip(&world.blocks) {
        second.auditor.connect_block(height, block).unwrap();
    }
    assert_eq!(second.auditor.books().unwrap().donated().to_sat(), 4_000);
    assert_eq!(second.auditor.second_look(), None);
    second.is_clean();
}

#[test]
fn coins_of_another_epoch_are_noted_when_they_move() {
    let mut world = World::new();
    let old_script = vault(&world.roster);
    let (_, gift) = world.plain(Vec::new(), vec![coin(&old_script, 4_000)]);
    world.mint(50_000);
    world.rotate_with(11, |_, _| {});
    world.is_clean();
    let at = OutPoint::new(gift.compute_txid(), 0);
    let (step, _) = world.plain(
        vec![input(at, Witness::new())],
        vec![coin(&user_script(), 4_000)],
    );
    let step = step.unwrap();
    assert_eq!(codes(&step), ["audit-stray-spent"]);
    assert_eq!(step.kind, StepKind::StraySpend);
    assert_eq!(step.findings[0].severity(), Severity::Note);
    world.is_clean();
}

#[test]
fn refuses_zkbtc_out_of_nothing_and_keeps_telling() {
    let mut world = World::new();
    let token = world.mint(50_000);
    let (step, _) = world.move_tokens(&[token], &[50_001]);
    let step = step.unwrap();
    assert_eq!(codes(&step), ["audit-tokens-forged"]);
    assert_eq!(step.kind, StepKind::Forgery);
    assert_eq!(world.final_codes(), ["audit-supply-not-circulating"]);
    let (step, _) = world.move_tokens(&[outpoint(9)], &[u64::MAX, u64::MAX]);
    assert_eq!(codes(&step.unwrap()), ["audit-tokens-forged"]);
}

#[test]
fn zkbtc_that_its_owner_destroys_is_a_note_and_stays_backed() {
    let mut world = World::new();
    let token = world.mint(50_000);
    let (step, transfer) = world.move_tokens(&[token], &[20_000]);
    let step = step.unwrap();
    assert_eq!(codes(&step), ["audit-tokens-burnt"]);
    assert_eq!(step.kind, StepKind::Transfer);
    // The rest goes as plain bitcoin.
    let at = OutPoint::new(transfer.compute_txid(), 0);
    let (step, _) = world.plain(
        vec![input(at, Witness::new())],
        vec![coin(&user_script(), 300)],
    );
    assert_eq!(step.unwrap().kind, StepKind::Burn);
    world.is_clean();
    let books = world.auditor.books().unwrap();
    assert_eq!(
        (books.burnt, books.circulating(), books.state.supply),
        (50_000, 0, 50_000)
    );
}

#[test]
fn refuses_a_deployment_that_does_not_start_at_zero() {
    let changes: [fn(&mut RosterState); 5] = [
        |state| state.attempt = 1,
        |state| state.outflow = 1,
        |state| state.epoch = 1,
        |state| state.serial = 1,
        |state| state.supply = 1,
    ];
    for change in changes {
        let mut world = World::empty(watch());
        change(&mut world.state);
        let step = world.deploy(|_| {});
        assert_eq!(codes(&step), ["audit-deployment-state"]);
    }
}

#[test]
fn refuses_a_deployment_with_zkbtc() {
    let mut world = World::empty(watch());
    let step = world.deploy(|draft| {
        draft
            .outputs
            .push((coin(&user_script(), 330), Charm::Token(5)));
    });
    assert_eq!(codes(&step), ["audit-tokens-forged"]);
}

#[test]
fn refuses_other_parameters_than_the_pinned() {
    let other = |values: &mut ParamsValues| values.notice += 1;
    let other = common::params().with(other).unwrap();
    let mut world = World::empty(Watch {
        params: vec![other],
        ..watch()
    });
    assert_eq!(codes(&world.deploy(|_| {})), ["audit-params-hash"]);
    let mut world = World::empty(Watch {
        params: Vec::new(),
        ..watch()
    });
    assert_eq!(codes(&world.deploy(|_| {})), [""; 0]);
}

/// Keys of administrators are in the address, and the chain tells their hash alone.
#[test]
fn an_address_is_checked_by_administrators_that_were_told() {
    let mut world = World::empty(Watch {
        governances: Vec::new(),
        ..watch()
    });
    let step = world.deploy(|_| {});
    assert_eq!(codes(&step), ["audit-address-unchecked"]);
    assert_eq!(step.alarms().count(), 0);
    // The roster's leaf does not depend on them: who signed is told.
    let (draft, _) = world.draft(100_000, &[], 0);
    assert_eq!(codes(&world.settle_with(draft).0), [""; 0]);

    let other = Governance::new(roster(0, 50).signers().to_vec(), 4).unwrap();
    let mut world = World::empty(Watch {
        governances: vec![other],
        ..watch()
    });
    let step = world.deploy(|_| {});
    assert_eq!(codes(&step), ["audit-administrators"]);
    assert_eq!(step.alarms().count(), 1);
}

#[test]
fn a_bridge_is_found_by_its_deployment_too() {
    let mut known = World::empty(watch());
    known.deploy(|_| {});
    let deployment = known.nft.txid;
    let mut world = World::empty(Watch {
        anchor: Anchor::Deployment(deployment),
        ..watch()
    });
    assert_eq!(codes(&world.deploy(|_| {})), [""; 0]);
    assert_eq!(world.auditor.books().unwrap().bridge, bridge());
    assert_eq!(world.auditor.books().unwrap().deployment, deployment);
}

#[test]
fn a_spent_identity_without_an_nft_is_no_deployment() {
    let mut world = World::empty(watch());
    let (step, _) = world.plain(
        vec![input(funding(), Witness::new())],
        vec![coin(&user_script(), 1)],
    );
    assert_eq!(codes(&step.unwrap()), ["audit-spell", "audit-nft-count"]);
    assert_eq!(world.final_codes(), ["audit-not-deployed"]);
}

#[test]
fn a_reclaim_of_zkbtc_is_told_by_its_shape() {
    use bitcoin::opcodes::all::{OP_CHECKSIG, OP_CSV, OP_DROP};
    let mut world = World::new();
    let token = world.mint(50_000);
    let key = world.roster.signers()[0];
    let leaf = bitcoin::script::Builder::new()
        .push_int(24)
        .push_opcode(OP_CSV)
        .push_opcode(OP_DROP)
        .push_x_only_key(&key)
        .push_opcode(OP_CHECKSIG)
        .into_script();
    let control = [
        [0xc0].as_slice(),
        &grail_script::nums_key().serialize(),
        &[5; 32],
    ]
    .concat();
    let mut spend = input(
        token,
        Witness::from_slice(&[[7; 64].as_slice(), leaf.as_bytes(), &control]),
    );
    spend.sequence = Sequence::from_height(24);
    let draft = Draft::new(
        vec![spend],
        vec![(coin(&user_script(), 330), Charm::Token(50_000))],
    );
    let step = world.mine(&draft.seal()).unwrap();
    assert_eq!(step.kind, StepKind::Reclaim);
    assert_eq!((step.tokens_in, step.tokens_out), (50_000, 50_000));
    world.is_clean();
}

#[test]
fn refuses_a_block_that_does_not_follow() {
    let mut world = World::new();
    world.mint(50_000);
    let last = world.blocks[1].clone();
    for height in [1, 2, 3, 4] {
        assert!(world.auditor.connect_block(height, &last).is_err());
    }
    assert_eq!(world.auditor.tip().unwrap().0, 2);
}

#[test]
fn memory_holds_outputs_of_interest_alone() {
    let mut world = World::new();
    for _ in 0..50 {
        world.plain(Vec::new(), vec![coin(&ScriptBuf::new(), 1); 10]);
    }
    world.mint(50_000);
    let books = world.auditor.books().unwrap();
    assert_eq!(
        (books.vault.len(), books.donations.len(), books.tokens.len()),
        (1, 0, 1)
    );
    let _ = state(&world.roster);
}
