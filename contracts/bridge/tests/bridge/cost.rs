//! What each action costs in the wasm interpreter, with previous transactions as large as they
//! really are: the table of `docs/performance.md`. `cargo test cost -- --nocapture` prints it.

use charms_data::UtxoId;
use grail_bridge_contract::{Action, RosterState};

use crate::spell::{
    DUST, NEXT_VAULT, Spell, USER, VAULT, nft, rotated, script, shown, spell_output, state, token,
};

/// Inputs and outputs of the settlement that NFT and vault come from.
const LAST_SETTLEMENT: usize = 102;
/// Bytes of a spell output: the state and a proof, as in a settlement.
const SETTLEMENT_SPELL: usize = 1_500;
/// The same of a transfer.
const TRANSFER_SPELL: usize = 650;

/// The hexadecimal form of a transaction, without witnesses, with a spell output of so many bytes
/// after its outputs.
fn transaction(inputs: usize, outputs: usize, spell: Option<usize>) -> String {
    let size = |count: usize| match u16::try_from(count).unwrap() {
        small @ 0..0xfd => vec![u8::try_from(small).unwrap()],
        wide => [&[0xfd], &wide.to_le_bytes()[..]].concat(),
    };
    let mut bytes = vec![2, 0, 0, 0];
    bytes.extend(size(inputs));
    for _ in 0..inputs {
        bytes.extend([0x31; 36]);
        bytes.extend([0, 0xfd, 0xff, 0xff, 0xff]);
    }
    let mut scripts = vec![script(USER); outputs];
    scripts.extend(spell.map(|length| {
        // As provers write it, filled up after the version.
        let short = spell_output(15);
        let payload = [&short[8..], &vec![0; length.saturating_sub(short.len())]].concat();
        let mut script = b"\x6a\x05spell\x4d".to_vec();
        script.extend(u16::try_from(payload.len()).unwrap().to_le_bytes());
        script.extend(payload);
        script
    }));
    bytes.extend(size(scripts.len()));
    for script in scripts {
        bytes.extend(DUST.to_le_bytes());
        bytes.extend(size(script.len()));
        bytes.extend(script);
    }
    bytes.extend([0; 4]);
    hex::encode(bytes)
}

/// A payment that a plain deposit comes from.
fn payment() -> String {
    transaction(1, 2, None)
}

/// A transfer that zkBTC comes from.
fn transfer_before() -> String {
    transaction(2, 2, Some(TRANSFER_SPELL))
}

fn settlement_before() -> String {
    transaction(LAST_SETTLEMENT, LAST_SETTLEMENT, Some(SETTLEMENT_SPELL))
}

/// Gives input `index` its previous transaction.
fn from(spell: Spell, index: usize, hex: &str) -> Spell {
    spell.with(|tx| {
        let txid = tx.ins[index].0.0;
        tx.prev_txs.insert(txid, shown(hex)).unwrap();
    })
}

/// NFT and vault, inputs 0 and 1, come from one settlement.
fn from_last_settlement(spell: Spell) -> Spell {
    let spell = from(spell, 0, &settlement_before());
    spell.with(|tx| {
        let txid = tx.ins[0].0.0;
        let second = std::mem::replace(&mut tx.ins[1].0, UtxoId(txid, 1));
        tx.prev_txs.remove(&second.0).unwrap();
    })
}

/// A settlement of so many peg-ins and peg-outs, each deposit of a transaction of its own.
fn settlement(peg_ins: usize, peg_outs: usize) -> Spell {
    let vault = 1_000_000;
    let (minted, burned) = (peg_ins as u64 * 1_000, peg_outs as u64 * 1_000);
    let (old, new) = (vault, vault + minted - burned);
    let mut spell = Spell::settlement(&state(old), &state(new))
        .input(VAULT, old)
        .output(VAULT, new);
    for _ in 0..peg_ins {
        spell = spell.input(USER, 1_430).tokens_out(1_000);
    }
    for _ in 0..peg_outs {
        spell = spell.tokens_in(1_000).output(USER, 900);
    }
    for index in 2..2 + peg_ins {
        spell = from(spell, index, &payment());
    }
    for index in 2 + peg_ins..2 + peg_ins + peg_outs {
        spell = from(spell, index, &transfer_before());
    }
    from_last_settlement(spell)
}

fn transfer(inputs: u64) -> Spell {
    let mut spell = Spell::new(token());
    for _ in 0..inputs {
        spell = spell.tokens_in(5);
    }
    for index in 0..usize::try_from(inputs).unwrap() {
        spell = from(spell, index, &transfer_before());
    }
    spell.tokens_out(3).tokens_out(inputs * 5 - 3)
}

fn deployment() -> Spell {
    let first = RosterState {
        epoch: 0,
        serial: 0,
        ..state(0)
    };
    let spell = Spell::new(nft())
        .action(Action::Deploy)
        .input(USER, 10_000)
        .output_at(script(VAULT), DUST, [(nft(), first.to_data())]);
    from(spell, 0, &payment())
}

fn rotation() -> Spell {
    let spell = Spell::execution(&state(5_000), &rotated(5_000))
        .input(VAULT, 5_000)
        .output(NEXT_VAULT, 5_000);
    from_last_settlement(spell)
}

/// Fuel of the NFT's rules and of zkBTC's, which Charms runs one after the other.
fn both(spell: Spell) -> (u64, u64) {
    let by_nft = spell.fuel();
    (by_nft, spell.judged_as(token()).fuel())
}

#[test]
fn cost_grows_with_inputs_and_stays_within_bounds() {
    let thousands = |fuel: u64| fuel / 1_000;
    let row = |name: &str, by_nft: u64, by_token: u64, fuel_max: u64| {
        let sum = by_nft + by_token;
        println!(
            "| {name} | {} | {} | {} |",
            thousands(by_nft),
            thousands(by_token),
            thousands(sum)
        );
        assert!(sum <= fuel_max, "{name}: {sum} fuel is above {fuel_max}");
    };
    if std::env::var_os("GRAIL_NATIVE_ALONE").is_some() {
        // Mutation testing changes no wasm.
        return;
    }
    println!("| Action | NFT, k fuel | zkBTC, k fuel | together |");
    row("deployment", deployment().fuel(), 0, 1_300_000);
    for (inputs, fuel_max) in [(1, 1_350_000), (10, 2_700_000)] {
        let name = format!("transfer of {inputs}");
        row(&name, 0, transfer(inputs).fuel(), fuel_max);
    }
    let fresh = from(transfer(1), 0, &settlement_before());
    row(
        "transfer of 1, fresh from a settlement",
        0,
        fresh.fuel(),
        1_900_000,
    );
    let batches = [
        (0, 0, 3_300_000),
        (1, 0, 3_700_000),
        (0, 1, 3_700_000),
        (5, 5, 6_700_000),
        (50, 50, 38_000_000),
        (198, 0, 70_000_000),
        (0, 198, 73_000_000),
        (99, 99, 72_000_000),
    ];
    for (peg_ins, peg_outs, fuel_max) in batches {
        let (by_nft, by_token) = both(settlement(peg_ins, peg_outs));
        let name = format!("settlement of {peg_ins} peg-ins, {peg_outs} peg-outs");
        row(&name, by_nft, by_token, fuel_max);
    }
    // A rotation lists no zkBTC unless it mints or burns.
    row("rotation", rotation().fuel(), 0, 1_800_000);
}

#[test]
fn the_previous_transactions_of_the_cost_table_are_of_these_sizes() {
    let bytes = |hex: &str| hex.len() / 2;
    let sizes = [payment(), transfer_before(), settlement_before()].map(|hex| bytes(&hex));
    println!("bytes of a payment, a transfer, a settlement: {sizes:?}");
    assert_eq!(sizes, [137, 841, 10_091]);
}
