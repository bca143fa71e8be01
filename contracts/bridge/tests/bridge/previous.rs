//! Where the bridge's charms come from: one believed form of previous transaction.

use std::collections::BTreeMap;

use charms_data::{Data, UtxoId};
use grail_bridge_contract::{
    SPELL_PAYLOAD_MAX_BYTES, SPELL_VERSION_MIN, Violation, check_previous,
};

use crate::spell::{
    DUST, Spell, USER, VAULT, op_return, previous, script, shown, spell_output, state, token, utxo,
};

/// A transfer of zkBTC that the first input brings; the second input is plain.
fn transfer() -> Spell {
    Spell::new(token())
        .tokens_in(5)
        .input(USER, 1_000)
        .tokens_out(5)
}

/// A settlement of nothing, judged by the NFT's rules.
fn settlement() -> Spell {
    Spell::settlement(&state(0), &state(0))
}

/// The spell with the transaction behind input `index` replaced.
fn with_previous(spell: Spell, index: usize, shown: Data) -> Spell {
    spell.with(|tx| {
        let txid = tx.ins[index].0.0;
        tx.prev_txs.insert(txid, shown).unwrap();
    })
}

/// Both apps, with the transaction that brings their charm replaced.
fn each_with(hex: &str) -> [Spell; 2] {
    [transfer(), settlement()].map(|spell| with_previous(spell, 0, shown(hex)))
}

fn with_witness() -> String {
    let plain = previous(&[script(USER), spell_output(15)]);
    let (version, rest) = plain.split_at(8);
    let (body, locktime) = rest.split_at(rest.len() - 8);
    format!("{version}0001{body}0101ff{locktime}")
}

#[test]
fn accepts_spells_of_the_version_of_the_deployment_and_later() {
    for version in [SPELL_VERSION_MIN, 16, 23, 24, 255] {
        for spell in each_with(&previous(&[script(USER), spell_output(version)])) {
            spell.accepted();
        }
    }
}

#[test]
fn refuses_a_spell_of_an_earlier_version() {
    for version in [0, 1, 8, 9, SPELL_VERSION_MIN - 1] {
        for spell in each_with(&previous(&[script(USER), spell_output(version)])) {
            spell.refused(&Violation::PrevSpellVersion(version));
        }
    }
    // A version in more bytes than it needs is the same version.
    let wide = op_return(b"\x82\xa1\x67version\x18\x0e\x40");
    for spell in each_with(&previous(&[wide])) {
        spell.refused(&Violation::PrevSpellVersion(14));
    }
}

#[test]
fn refuses_a_witness_on_any_previous_transaction() {
    for index in [0, 1] {
        with_previous(transfer(), index, shown(&with_witness())).refused(&Violation::PrevTxWitness);
    }
    with_previous(settlement(), 0, shown(&with_witness())).refused(&Violation::PrevTxWitness);
}

#[test]
fn refuses_charms_from_a_transaction_without_a_spell_output() {
    for spell in each_with(&previous(&[script(USER)])) {
        spell.refused(&Violation::PrevSpell);
    }
}

#[test]
fn refuses_charms_from_a_transaction_with_two_spell_outputs() {
    for second in [spell_output(15), b"\x51\x05spell\x01\x00".to_vec()] {
        for spell in each_with(&previous(&[spell_output(15), second])) {
            spell.refused(&Violation::PrevSpell);
        }
    }
}

#[test]
fn asks_for_no_spell_where_no_charm_comes_from() {
    for hex in [
        previous(&[script(USER)]),
        previous(&[spell_output(1)]),
        previous(&[spell_output(15), spell_output(15)]),
    ] {
        with_previous(transfer(), 1, shown(&hex)).accepted();
    }
}

#[test]
fn is_not_confused_by_outputs_that_only_resemble_a_spell() {
    // A hash that contains the marker, an OP_RETURN of someone else, an empty and a broken script.
    let hash = [&b"\x51\x20spell"[..], &[0x05; 27]].concat();
    let others = [
        hash,
        b"\x6a\x04spel".to_vec(),
        b"\x6a\x06spells".to_vec(),
        vec![],
        b"\x6a".to_vec(),
        b"\x6a\x4c".to_vec(),
        b"\x6a\x05spe".to_vec(),
        b"\x05spell\x6a".to_vec(),
    ];
    for other in others {
        for spell in each_with(&previous(&[other, spell_output(15)])) {
            spell.accepted();
        }
    }
}

#[test]
fn takes_what_charms_takes_for_a_second_spell_for_one() {
    // Charms finds the marker after any instruction and in any push; so does the contract, to
    // count.
    for second in [
        b"\x00\x05spell".to_vec(),
        b"\x01\x6a\x05spell".to_vec(),
        b"\x6a\x4c\x05spell".to_vec(),
        b"\x6a\x4d\x05\x00spell".to_vec(),
        b"\x6a\x4e\x05\x00\x00\x00spell".to_vec(),
        b"\x4c\x01\x6a\x05spell\xac".to_vec(),
    ] {
        for spell in each_with(&previous(&[second.clone(), spell_output(15)])) {
            spell.refused(&Violation::PrevSpell);
        }
    }
}

#[test]
fn refuses_a_spell_output_in_another_form_than_provers_write() {
    let good = b"\x82\xa1\x67version\x0f\x40";
    with_previous(transfer(), 0, shown(&previous(&[op_return(good)]))).accepted();
    let payloads: [&[u8]; 9] = [
        b"",
        b"\x83\xa1\x67version\x0f\x40\x00",
        b"\x9f\xa1\x67version\x0f\x40\xff",
        b"\x82\xa0\x67version\x0f\x40",
        b"\x82\xbf\x67version\x0f\xff\x40",
        b"\x82\x87\x67version\x0f\x40",
        b"\x82\xa1\x78\x07version\x0f\x40",
        b"\x82\xa1\x67version\x19\x00\x0f\x40",
        b"\x82\xa1\x67version",
    ];
    for payload in payloads {
        for spell in each_with(&previous(&[op_return(payload)])) {
            spell.refused(&Violation::PrevSpell);
        }
    }
    // Charms writes lower case: what is not, it did not write.
    let upper = previous(&[spell_output(15)]).to_uppercase();
    with_previous(transfer(), 0, shown(&upper)).refused(&Violation::PrevSpell);

    let canonical = spell_output(15);
    let other_opcode = [&[0x51], &canonical[1..]].concat();
    let more_behind = [&canonical[..], &[0x51]].concat();
    let no_payload = b"\x6a\x05spell".to_vec();
    let no_push = b"\x6a\x05spell\x51".to_vec();
    for output in [other_opcode, more_behind, no_payload, no_push] {
        for spell in each_with(&previous(&[output])) {
            spell.refused(&Violation::PrevSpell);
        }
    }
}

#[test]
fn refuses_what_is_not_a_bitcoin_transaction_alone() {
    let hex = previous(&[script(USER), spell_output(15)]);
    let text = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
    let included = BTreeMap::from([("tx", hex.clone()), ("proof", "00".into())]);
    let mut two = text("bitcoin", &hex);
    two.insert("cardano".into(), hex.clone());
    for shown in [
        Data::empty(),
        Data::from(&hex),
        Data::from(&text("cardano", &hex)),
        Data::from(&BTreeMap::from([("bitcoin", included)])),
        Data::from(&two),
        Data::from(&BTreeMap::<String, String>::new()),
        Data::from(&BTreeMap::from([("bitcoin", 7)])),
        Data::from(&text("bitcoin", "")),
        Data::from(&text("bitcoin", "02000000")),
        Data::from(&text("bitcoin", "020000000")),
    ] {
        for index in [0, 1] {
            with_previous(transfer(), index, shown.clone()).refused(&Violation::PrevTxForm);
        }
        with_previous(settlement(), 0, shown).refused(&Violation::PrevTxForm);
    }
}

#[test]
fn refuses_a_transaction_that_ends_before_its_outputs_do() {
    let hex = previous(&[script(USER), spell_output(15)]);
    for end in 10..hex.len() - 8 {
        for spell in each_with(&hex[..end]) {
            spell.refused(&Violation::PrevTxForm);
        }
    }
    for hex in [
        hex.replacen("01", "0x", 1),
        // A number of inputs, then of outputs, that no transaction has.
        format!("02000000ff{}", "ff".repeat(8)),
        hex.replacen("0000000002", "00000000fe", 1),
    ] {
        for spell in each_with(&hex) {
            spell.refused(&Violation::PrevTxForm);
        }
    }
}

#[test]
fn refuses_a_missing_and_a_surplus_previous_transaction() {
    for index in [0, 1] {
        transfer()
            .with(|tx| {
                let txid = tx.ins[index].0.0;
                tx.prev_txs.remove(&txid).unwrap();
            })
            .refused(&Violation::PrevTxSet);
    }
    for spell in [transfer(), settlement()] {
        spell
            .with(|tx| {
                let hex = previous(&[script(USER), spell_output(15)]);
                tx.prev_txs.insert(utxo(9).0, shown(&hex));
            })
            .refused(&Violation::PrevTxSet);
    }
}

#[test]
fn accepts_references_and_several_outputs_of_one_transaction() {
    transfer()
        .with(|tx| {
            let hex = previous(&[script(USER)]);
            tx.refs.push((utxo(9), BTreeMap::new()));
            tx.prev_txs.insert(utxo(9).0, shown(&hex));
        })
        .accepted();
    transfer()
        .with(|tx| {
            let first = tx.ins[0].0.0;
            let second = std::mem::replace(&mut tx.ins[1].0, UtxoId(first, 7));
            tx.prev_txs.remove(&second.0).unwrap();
        })
        .accepted();
}

#[test]
fn looks_at_the_nfts_transaction_in_a_settlement_and_at_the_tokens_in_a_transfer() {
    let old = shown(&previous(&[spell_output(14)]));
    let burn = || {
        Spell::settlement(&state(5), &state(0))
            .input(VAULT, 5)
            .tokens_in(5)
            .output(USER, 5)
    };
    with_previous(burn(), 2, old.clone()).accepted();
    with_previous(burn(), 2, old.clone())
        .judged_as(token())
        .refused(&Violation::PrevSpellVersion(14));
    with_previous(burn(), 0, old.clone()).refused(&Violation::PrevSpellVersion(14));
    with_previous(burn(), 0, old).judged_as(token()).accepted();
}

#[test]
fn reads_a_previous_transaction_of_many_inputs_and_long_scripts() {
    let mut bytes = vec![2, 0, 0, 0, 0xfd, 0, 1];
    for _ in 0..256 {
        bytes.extend([0x31; 36]);
        bytes.extend([2, 0x51, 0x51, 0xff, 0xff, 0xff, 0xff]);
    }
    bytes.push(2);
    bytes.extend(DUST.to_le_bytes());
    bytes.extend([0xfe, 0, 1, 0, 0]);
    bytes.extend([0x6a; 256]);
    bytes.extend([0; 8]);
    let long = [&b"\x82\xa2\x67version\x0f"[..], &[0; 300]].concat();
    let mut script = b"\x6a\x05spell\x4d".to_vec();
    script.extend(u16::try_from(long.len()).unwrap().to_le_bytes());
    script.extend(&long);
    bytes.push(0xfd);
    bytes.extend(u16::try_from(script.len()).unwrap().to_le_bytes());
    bytes.extend(&script);
    bytes.extend([0; 4]);
    for spell in each_with(&hex::encode(bytes)) {
        spell.accepted();
    }
}

#[test]
fn tells_beforehand_what_a_spend_will_be_told() {
    let good = previous(&[script(USER), spell_output(15)]);
    let old = previous(&[spell_output(14)]);
    let none = previous(&[script(USER)]);
    let cases = [
        (good.as_str(), Ok(())),
        (&old, Err(Violation::PrevSpellVersion(14))),
        (&none, Err(Violation::PrevSpell)),
        (&with_witness(), Err(Violation::PrevTxWitness)),
        ("", Err(Violation::PrevTxForm)),
    ];
    for (hex, expected) in cases {
        assert_eq!(check_previous(hex), expected);
        for spell in each_with(hex) {
            assert_eq!(spell.judge(), expected);
        }
    }
}

#[test]
fn refuses_a_payload_longer_than_anybody_reads() {
    // Charms reads the spell and ignores what follows it; no proof commits to that.
    for (length, expected) in [
        (SPELL_PAYLOAD_MAX_BYTES, Ok(())),
        (SPELL_PAYLOAD_MAX_BYTES + 1, Err(Violation::PrevSpell)),
    ] {
        let mut script = b"\x6a\x05spell\x4e".to_vec();
        script.extend(u32::try_from(length).unwrap().to_le_bytes());
        let spell = b"\x82\xa1\x67version\x0f\x40";
        script.extend(spell);
        script.resize(script.len() + length - spell.len(), 0);
        for spell in each_with(&previous(&[script])) {
            assert_eq!(spell.judge(), expected);
        }
    }
}
