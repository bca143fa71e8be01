//! Cases at the edges of the rules: the smallest and largest numbers, and spells that mix what
//! rarely meets.

use std::collections::BTreeMap;

use charms_app_runner::AppRunner;
use charms_data::{App, AppSignature, B32, Data, VersionedApp, is_simple_transfer};
use grail_bridge_contract::{
    Action, MAX_SUPPLY_SAT, ROSTER_TAG, RosterState, Side, StateError, TOKEN_TAG, Violation,
    identity_of,
};

use crate::spell::{
    DUST, NEXT_VAULT, Spell, USER, VAULT, foreign_token, nft, peg_in, previous, rotated, runner_vk,
    script, shown, spell_output, state, token, utxo,
};

const WASM: &[u8] = include_bytes!("../../../bridge.wasm");

fn no_nft(side: Side) -> Violation {
    Violation::NftCount {
        side,
        expected: 1,
        got: 0,
    }
}

#[test]
fn zkbtc_at_its_edges() {
    for amount in [1, MAX_SUPPLY_SAT, u64::MAX] {
        let move_all = || Spell::new(token()).tokens_in(amount).tokens_out(amount);
        move_all().accepted();
        Spell::new(token())
            .tokens_in(amount)
            .refused(&no_nft(Side::In));
        Spell::new(token())
            .tokens_out(amount)
            .refused(&no_nft(Side::In));
        let zero = [(token(), Data::from(&0_u64))];
        move_all()
            .output_at(script(USER), DUST, zero)
            .refused(&Violation::TokenAmount(Side::Out));
    }
    // Split and joined at the edge of counting: as much as can be counted, and one more.
    let half = u64::MAX / 2;
    let split = |last| {
        Spell::new(token())
            .tokens_in(u64::MAX)
            .tokens_out(half)
            .tokens_out(half)
            .tokens_out(last)
    };
    split(1).accepted();
    split(2).refused(&Violation::TokenOverflow(Side::Out));
    // Off by one in either direction.
    for (brought, left) in [(u64::MAX, u64::MAX - 1), (1, 2), (2, 1)] {
        Spell::new(token())
            .tokens_in(brought)
            .tokens_out(left)
            .refused(&no_nft(Side::In));
    }
    // An integer too wide for 64 bits is no amount, however it is written.
    let wide = [(token(), Data::from(&(u128::from(u64::MAX) + 1)))];
    Spell::new(token())
        .output_at(script(USER), DUST, wide)
        .refused(&Violation::TokenAmount(Side::Out));
}

#[test]
fn supply_at_its_edges() {
    let all = MAX_SUPPLY_SAT;
    let settle = |from: u64, to: u64| {
        let mut spell = Spell::settlement(&state(from), &state(to));
        if from > 0 {
            spell = spell.input(VAULT, from);
        }
        if to > 0 {
            spell = spell.output(VAULT, to);
        }
        match to.abs_diff(from) {
            0 => spell,
            minted if to > from => spell.tokens_out(minted),
            burned => spell.tokens_in(burned),
        }
    };
    for (from, to) in [
        (0, 0),
        (0, 1),
        (1, 0),
        (0, all),
        (all, 0),
        (all - 1, all),
        (all, all),
    ] {
        settle(from, to).accepted();
        settle(from, to).judged_as(token()).accepted();
    }
    for got in [all + 1, u64::MAX] {
        let error = StateError::Supply(got);
        settle(all, got).refused(&Violation::State {
            side: Side::Out,
            error: error.clone(),
        });
        settle(got, all).refused(&Violation::State {
            side: Side::In,
            error,
        });
    }
}

#[test]
fn vault_at_its_edges() {
    // Donations may make the vault as large as can be counted, and the deltas still come out right.
    let most = u64::MAX;
    Spell::settlement(&state(5), &state(4))
        .input(VAULT, most)
        .tokens_in(1)
        .output(VAULT, most - 1)
        .accepted();
    Spell::settlement(&state(4), &state(5))
        .input(VAULT, most - 1)
        .output(VAULT, most)
        .tokens_out(1)
        .accepted();
    Spell::settlement(&state(5), &state(6))
        .input(VAULT, most)
        .output(VAULT, most)
        .output(VAULT, 1)
        .tokens_out(1)
        .refused(&Violation::CoinOverflow(Side::Out));
    // Coins elsewhere may be worth anything: they are not counted.
    Spell::settlement(&state(0), &state(0))
        .input(USER, most)
        .input(USER, most)
        .output(USER, most)
        .output(USER, most)
        .accepted();
    // Coins of nothing change nothing.
    peg_in(1_000).input(VAULT, 0).output(VAULT, 0).accepted();
    // One satoshi from everything to nothing, and back.
    Spell::settlement(&state(0), &state(0))
        .input(VAULT, most)
        .refused(&Violation::VaultDelta {
            supply: 0,
            vault: -i128::from(most),
        });
    Spell::settlement(&state(0), &state(MAX_SUPPLY_SAT))
        .output(VAULT, most)
        .tokens_out(MAX_SUPPLY_SAT)
        .refused(&Violation::VaultDelta {
            supply: MAX_SUPPLY_SAT.into(),
            vault: most.into(),
        });
    Spell::settlement(&state(MAX_SUPPLY_SAT), &state(0))
        .tokens_in(most)
        .refused(&Violation::TokenDelta {
            supply: -i128::from(MAX_SUPPLY_SAT),
            tokens: -i128::from(most),
        });
}

#[test]
fn rotation_at_its_edges() {
    for supply in [0, 1, MAX_SUPPLY_SAT] {
        let rotate = |arriving: u64| {
            Spell::execution(&state(supply), &rotated(supply))
                .input(VAULT, arriving)
                .output(NEXT_VAULT, arriving)
        };
        rotate(supply).accepted();
        rotate(u64::MAX).accepted();
        if let Some(vault) = supply.checked_sub(1) {
            rotate(vault).refused(&Violation::RotationUnbacked { vault, supply });
        }
    }
    // Mints and burns are for settlements, before it and after it.
    Spell::execution(&state(5_000), &rotated(4_000))
        .input(VAULT, 5_000)
        .tokens_in(1_000)
        .output(NEXT_VAULT, 4_000)
        .refused(&Violation::Changed);
}

#[test]
fn the_coin_under_the_nft_may_hold_anything() {
    for (sats_in, sats_out) in [(0, 0), (1, 0), (0, u64::MAX), (u64::MAX, u64::MAX)] {
        peg_in(1_000)
            .with(|tx| {
                tx.coin_ins.as_mut().unwrap()[0].amount = sats_in;
                tx.coin_outs.as_mut().unwrap()[0].amount = sats_out;
            })
            .accepted();
    }
}

#[test]
fn vault_coins_may_be_split_and_joined() {
    let mut spell = Spell::settlement(&state(100), &state(100));
    for _ in 0..100 {
        spell = spell.input(VAULT, 1);
    }
    spell
        .output(VAULT, 33)
        .output(VAULT, 1)
        .output(VAULT, 66)
        .accepted();
}

#[test]
fn a_settlement_of_nothing_counts_its_serial() {
    let nothing = || Spell::settlement(&state(5_000), &state(5_000));
    nothing().accepted();
    let uncounted = Spell::succession(&state(5_000), &state(5_000));
    uncounted.refused(&Violation::Serial { from: 8, to: 8 });
}

#[test]
fn fee_inputs_prover_fee_and_change_count_for_nothing() {
    // A fee input; after the payouts, the prover's fee and the change.
    peg_in(1_000)
        .input(USER, 20_000)
        .output(0x77, 4_000)
        .output(USER, 15_000)
        .accepted();
    // Change to the vault is a gift that has to be booked, and cannot be.
    peg_in(1_000)
        .input(USER, 20_000)
        .output(VAULT, 15_000)
        .refused(&Violation::VaultDelta {
            supply: 1_000,
            vault: 16_000,
        });
}

#[test]
fn zkbtc_sent_to_the_vault_is_stuck() {
    let stranded = || [(token(), Data::from(&5_u64))];
    Spell::new(token())
        .tokens_in(5)
        .output_at(script(VAULT), DUST, stranded())
        .accepted();
    // Neither burned, nor given to anybody.
    Spell::settlement(&state(5), &state(0))
        .input(VAULT, 5)
        .input_at(script(VAULT), DUST, stranded())
        .output(USER, 5)
        .refused(&Violation::TokensAtVault(Side::In));
    Spell::settlement(&state(5), &state(5))
        .input_at(script(VAULT), DUST, stranded())
        .tokens_out(5)
        .refused(&Violation::TokensAtVault(Side::In));
}

#[test]
fn zkbtc_and_foreign_charms_may_share_a_coin() {
    let both = || {
        [
            (token(), Data::from(&5_u64)),
            (foreign_token(), Data::from(&"anything")),
        ]
    };
    Spell::new(token())
        .input_at(script(USER), DUST, both())
        .output_at(script(USER), DUST, both())
        .accepted();
    // A burn beside a foreign charm is a burn.
    Spell::new(token())
        .input_at(script(USER), DUST, both())
        .output_at(script(USER), DUST, [(foreign_token(), Data::from(&5_u64))])
        .refused(&no_nft(Side::In));
}

#[test]
fn two_bridges_in_one_spell_are_judged_apart() {
    let other = |tag| App {
        tag,
        identity: identity_of(&utxo(200)),
        vk: runner_vk(),
    };
    let moved = || [(other(TOKEN_TAG), Data::from(&9_u64))];
    let beside = || {
        peg_in(1_000)
            .input_at(script(USER), DUST, moved())
            .output_at(script(USER), DUST, moved())
    };
    beside().accepted();
    beside().judged_as(other(TOKEN_TAG)).accepted();
    // The one's settlement mints nothing of the other's.
    let minting = || peg_in(1_000).output_at(script(USER), DUST, moved());
    minting().accepted();
    minting()
        .judged_as(other(TOKEN_TAG))
        .refused(&no_nft(Side::In));
    // Nor does the other's NFT, settled beside it, without a serial of its own.
    let idle = [(other(ROSTER_TAG), state(0).to_data())];
    minting()
        .input_at(script(VAULT), 0, idle.clone())
        .output_at(script(VAULT), 0, idle)
        .with(|tx| {
            _ = tx
                .app_public_inputs
                .insert(other(ROSTER_TAG), Action::Settle.to_data());
        })
        .judged_as(other(ROSTER_TAG))
        .refused(&Violation::Serial { from: 8, to: 8 });
}

#[test]
fn tag_t_of_the_program_mints_nothing() {
    let stray = App {
        tag: 't',
        ..token()
    };
    let minted = || [(stray.clone(), Data::from(&1_u64))];
    let mint = Spell::new(stray.clone()).output_at(script(USER), DUST, minted());
    // Charms would have to run the contract, which refuses; and it moves only what somebody minted.
    assert!(!is_simple_transfer(&stray, &mint.tx));
    mint.refused(&Violation::Tag('t'));
    let settled = peg_in(1_000).output_at(script(USER), DUST, minted());
    settled.judged_as(stray).refused(&Violation::Tag('t'));
}

#[test]
fn charms_that_were_beamed_in_are_refused() {
    // Where they arrive there is no spell; the one that sent them is shown besides.
    let placeholder = previous(&[script(USER)]);
    let transfer = || Spell::new(token()).tokens_in(5).tokens_out(5);
    transfer()
        .with(|tx| {
            _ = tx
                .prev_txs
                .insert(tx.ins[0].0.0, shown(&placeholder))
                .unwrap();
        })
        .refused(&Violation::PrevSpell);
    let source = previous(&[spell_output(15)]);
    transfer()
        .with(|tx| _ = tx.prev_txs.insert(utxo(200).0, shown(&source)))
        .refused(&Violation::PrevTxSet);
    // Its source among the references, it needs a proof of inclusion still.
    transfer()
        .with(|tx| {
            let included = BTreeMap::from([("tx", source.as_str()), ("proof", "00")]);
            let shown = Data::from(&BTreeMap::from([("bitcoin", included)]));
            tx.refs.push((utxo(200), BTreeMap::new()));
            tx.prev_txs.insert(utxo(200).0, shown);
        })
        .refused(&Violation::PrevTxForm);
}

#[test]
fn the_nft_never_moves_without_a_settlement() {
    let stays = || [(nft(), state(5_000).to_data())];
    let moved = |to: u8| {
        Spell::new(nft())
            .input_at(script(VAULT), DUST, stays())
            .output_at(script(to), DUST, stays())
    };
    for to in [USER, VAULT] {
        // Nothing that Charms would prove by itself, and nothing that the contract agrees to.
        assert!(!is_simple_transfer(&nft(), &moved(to).tx));
        moved(to).refused(&Violation::UnknownAction);
    }
    moved(VAULT)
        .action(Action::Settle)
        .refused(&Violation::Serial { from: 8, to: 8 });
}

#[test]
fn tags_that_charms_moves_by_itself_are_not_the_bridges() {
    for tag in [charms_data::TOKEN, charms_data::NFT] {
        assert!(tag != ROSTER_TAG && tag != TOKEN_TAG);
        let app = App { tag, ..token() };
        let mint = Spell::new(app.clone()).output_at(
            script(USER),
            DUST,
            [(app.clone(), Data::from(&1_u64))],
        );
        assert!(!is_simple_transfer(&app, &mint.tx));
        mint.refused(&Violation::Tag(tag));
    }
}

/// Accepts every spell, as version 1 of an app.
const AGREES: &[u8] = b"\0asm\x01\0\0\0\x01\x08\x02\x60\0\0\x60\0\x01\x7f\x03\x03\x02\0\x01\x07\x1a\x02\x06_start\0\0\x0d__app_version\0\x01\x0a\x09\x02\x02\0\x0b\x04\0\x41\x01\x0b";

#[test]
fn a_versioned_app_cannot_stand_in_for_the_contract() {
    let runner = AppRunner::new(true);
    let mint = Spell::new(token()).tokens_out(1);
    let run = |wasm: &[u8],
               versioned: &BTreeMap<B32, VersionedApp>,
               signatures: &BTreeMap<B32, AppSignature>| {
        let app = token();
        let verdict = runner.run(
            wasm, &app, &mint.tx, &mint.x, &mint.w, versioned, signatures,
        );
        verdict.map_err(|error| error.to_string())
    };
    let versioned: BTreeMap<_, _> = [(
        runner_vk(),
        VersionedApp {
            version: 1,
            wasm_hash: runner.vk(AGREES),
        },
    )]
    .into();
    // A signature is asked for, of a key whose hash is the hash of the wasm; nobody has one.
    let missing = run(AGREES, &versioned, &BTreeMap::new()).unwrap_err();
    assert!(missing.contains("missing signature"), "{missing}");
    let signature = AppSignature {
        public_key: B32([2; 32]),
        signature: [1; 64],
    };
    let signatures = [(runner_vk(), signature)].into();
    let forged = run(AGREES, &versioned, &signatures).unwrap_err();
    assert!(
        forged.contains("public key hash does not match"),
        "{forged}"
    );
    // Undeclared, another program is not the app's; and the app's own program refuses the mint.
    let none = BTreeMap::new();
    let other = run(AGREES, &none, &BTreeMap::new()).unwrap_err();
    assert!(other.contains("vk mismatch"), "{other}");
    assert!(run(WASM, &none, &BTreeMap::new()).is_err());
}

#[test]
fn states_at_their_edges_are_judged_in_a_whole_spell() {
    let with = |change: fn(&mut RosterState)| {
        let mut new = rotated(0);
        change(&mut new);
        Spell::execution(&state(0), &new)
    };
    with(|new| {
        new.signers.truncate(4);
        new.threshold = 3;
    })
    .accepted();
    with(|new| {
        new.signers = (0..100).map(|seed| [seed; 32]).collect();
        new.threshold = 100;
    })
    .accepted();
    with(|new| new.params_hash = [0; 32]).accepted();
    with(|new| new.threshold = u16::MAX).refused(&Violation::State {
        side: Side::Out,
        error: StateError::Threshold {
            threshold: u16::MAX,
            signers: 16,
        },
    });
    with(|new| new.threshold = 0).refused(&Violation::State {
        side: Side::Out,
        error: StateError::Threshold {
            threshold: 0,
            signers: 16,
        },
    });
}
