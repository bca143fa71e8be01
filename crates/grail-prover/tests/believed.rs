//! What counts as zkBTC is what the contract lets be spent: native code and contract agree on it.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use bitcoin::{ScriptBuf, Transaction};
use common::{BRIDGE, Bridge, at, mock_allowed, output, request, transaction};
use grail_bridge_contract::Violation;
use grail_charms::{PrevTx, transfer_spell};
use grail_prover::{CheckError, check};
use grail_spell::BridgeCharms;

/// The settlement with the script of its spell output changed: no proof commits to that.
fn with_spell_script(bridge: &Bridge, change: impl FnOnce(&mut Vec<u8>)) -> Transaction {
    let mut tx = bridge.settlement.clone();
    let spell = tx.output.last_mut().unwrap();
    let mut script = spell.script_pubkey.to_bytes();
    change(&mut script);
    spell.script_pubkey = ScriptBuf::from_bytes(script);
    tx
}

/// Whether the contract lets the zkBTC of output 2 move.
fn moves(bridge: &Bridge, from: &Transaction) -> bool {
    let tx = transaction(&[at(from, 2)], vec![output(400, 9)]);
    let spell = transfer_spell(&tx, &bridge.app, &[60_000]).unwrap();
    let mut request = request(spell, &[from], Some(BRIDGE));
    request.spell.mock = true;
    match check(&request, Some(mock_allowed())) {
        Ok(_) => true,
        Err(CheckError::Contract { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn zkbtc_is_what_can_be_spent_again() {
    let bridge = Bridge::with_contract(BRIDGE);
    let honest = bridge.settlement.clone();
    // Charms accepts each of these, and sees 60,000 on output 2.
    let other_opcode = with_spell_script(&bridge, |script| script[0] = 0x51);
    let longer_push = with_spell_script(&bridge, |script| {
        script.splice(1..2, [0x4c, 0x05]);
    });
    let version_in_more_bytes = with_spell_script(&bridge, |script| {
        let at = script
            .windows(8)
            .position(|it| it == b"\x67version")
            .unwrap()
            + 8;
        assert_eq!(script[at], 15);
        script.splice(at..=at, [0x19, 0x00, 0x0f]);
        let length = u16::from_le_bytes([script[8], script[9]]) + 2;
        script.splice(8..10, length.to_le_bytes());
    });
    for (tx, believed) in [
        (honest, true),
        (longer_push, true),
        (other_opcode, false),
        (version_in_more_bytes, false),
    ] {
        let prev = PrevTx::read_committed(&tx, Some(mock_allowed()));
        assert!(!prev.charms_at(2).is_empty(), "{:?}", prev.rejected());
        let (carried, why) = if believed {
            (BridgeCharms::Token(60_000), None)
        } else {
            (BridgeCharms::Other, Some(&Violation::PrevSpell))
        };
        assert_eq!(prev.bridge_charms(2, &bridge.app), carried);
        assert_eq!(prev.unspendable(), why);
        assert_eq!(moves(&bridge, &tx), believed);
    }
}

#[test]
fn what_only_charms_would_read_is_no_plain_coin() {
    // Charms ignores bytes after the spell, without limit: it sees 60,000 here, and nobody else
    // reads that far.
    let bridge = Bridge::with_contract(BRIDGE);
    let longer = |by: usize| {
        with_spell_script(&bridge, |script| {
            let payload = script.split_off(10);
            let length = u32::try_from(payload.len() + by).unwrap();
            script.splice(7.., [0x4e]);
            script.extend(length.to_le_bytes());
            script.extend(payload);
            script.resize(script.len() + by, 0);
        })
    };
    let short = PrevTx::read_committed(&longer(1), Some(mock_allowed()));
    assert_eq!(
        short.bridge_charms(2, &bridge.app),
        BridgeCharms::Token(60_000)
    );
    let long = PrevTx::read_committed(&longer(400_000), Some(mock_allowed()));
    assert_eq!(long.bridge_charms(2, &bridge.app), BridgeCharms::Other);
    assert!(!moves(&bridge, &longer(400_000)) && moves(&bridge, &longer(1)));
}
