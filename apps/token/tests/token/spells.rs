//! Spells of the token.

use grail_app::{AppId, PlannedCoin, create_input, identity_of};
use grail_app_testing::{Contract, Spell, charms_app, data, outpoint, script, token_coin};
use grail_token::{METADATA_TAG, Metadata, TOKEN_TAG, Violation, judge};

pub const CONTRACT: Contract = Contract {
    native: |bytes| judge(bytes).map_err(|violation: Violation| violation.code().into()),
    wasm: include_bytes!("../../../token.wasm"),
};

pub fn metadata() -> Metadata {
    Metadata {
        name: "Grail Test Token".into(),
        ticker: "GTT".into(),
        decimals: 8,
        supply: 1_000_000,
    }
}

pub fn m() -> AppId {
    AppId {
        tag: METADATA_TAG,
        identity: identity_of(&outpoint(0)),
        vk: CONTRACT.vk(),
    }
}

pub fn f() -> AppId {
    m().with_tag(TOKEN_TAG)
}

pub fn plain(seed: u8, amount: u64) -> PlannedCoin {
    PlannedCoin {
        script: script(seed),
        amount,
        charms: vec![],
    }
}

pub fn described(metadata: &Metadata) -> PlannedCoin {
    PlannedCoin {
        charms: vec![(m(), metadata.encode())],
        ..plain(1, 330)
    }
}

pub fn units(seed: u8, units: u64) -> PlannedCoin {
    token_coin(seed, 330, &f(), units)
}

/// The token is born to two people.
pub fn birth() -> Spell {
    let mut spell = Spell::default()
        .input(outpoint(0), &plain(1, 20_000))
        .output(&described(&metadata()))
        .output(&units(2, 400_000))
        .output(&units(3, 600_000));
    for app in [m(), f()] {
        spell.list(charms_app(&app), data(&create_input()));
    }
    spell
}

/// Two coins of it become three.
pub fn transfer() -> Spell {
    Spell::default()
        .input(outpoint(1), &units(2, 400_000))
        .input(outpoint(2), &units(3, 30))
        .input(outpoint(3), &plain(4, 9_000))
        .output(&units(5, 70))
        .output(&units(6, 399_900))
        .output(&units(7, 60))
}

/// The metadata goes elsewhere, beside a transfer.
pub fn moved() -> Spell {
    let spell = transfer().input(outpoint(4), &described(&metadata()));
    spell.output(&described(&metadata()))
}
