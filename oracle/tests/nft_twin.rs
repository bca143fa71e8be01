//! A roster NFT of tag `n` can be doubled by whoever may spend it once, because Charms moves it without its contract:
//! one witness says it went to one output, another that it went to the other. A further plain move gives each twin the
//! history that the contract asks for, and from then on each of them mints the bridge's own zkBTC.

#![allow(missing_docs)]

#[path = "../../crates/grail-prover/tests/common/mod.rs"]
mod common;

use bitcoin::opcodes::OP_0;
use bitcoin::opcodes::all::{OP_ENDIF, OP_IF};
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::{Transaction, Witness};
use charms_data::Data;
use common::{
    BRIDGE, Bridge, VAULT, at, enchanted, funding, output, prove, roster, transaction,
};
use grail_oracle::charms_check;
use grail_prover::{ProveRequest, Proven};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, SettlementItem, nft_app,
    settlement_spell,
};

/// A plain move of the NFT to output `vout`.
fn plain_move(bridge: &Bridge, tx: &Transaction, vout: usize) -> NormalizedSpell {
    let mut outs = vec![NormalizedCharms::new(); vout];
    outs.push([(0, bridge.state.to_data())].into());
    let spell = NormalizedSpell {
        tx: NormalizedTransaction {
            outs,
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [(nft_app(&bridge.app), Data::empty())].into(),
        ..NormalizedSpell::default()
    };
    spell.committed_to(tx).unwrap()
}

fn request(spell: NormalizedSpell, prev_txs: &[&Transaction], wasm: Option<&[u8]>) -> ProveRequest {
    let mut request = common::request(spell, &[], wasm);
    request.prev_txs = prev_txs.iter().map(|tx| (*tx).clone()).collect();
    request.spell.mock = true;
    request
}

fn with_witness(tx: &Transaction, proven: &Proven) -> Transaction {
    let payload = proven.op_return.instructions().nth(2).unwrap().unwrap();
    let payload = payload.push_bytes().unwrap().as_bytes();
    let start = Builder::new()
        .push_opcode(OP_0)
        .push_opcode(OP_IF)
        .push_slice(b"spell");
    let script = payload
        .chunks(520)
        .fold(start, |script, chunk| {
            script.push_slice(PushBytesBuf::try_from(chunk.to_vec()).unwrap())
        })
        .push_opcode(OP_ENDIF)
        .into_script();
    let control_block = [[0xc0].as_slice(), &[2; 32]].concat();
    let mut tx = tx.clone();
    tx.input.last_mut().unwrap().witness =
        Witness::from_slice(&[script.as_bytes(), &control_block]);
    tx
}

#[test]
fn two_twins_of_one_nft_both_mint() {
    let bridge = Bridge::with_contract(BRIDGE);
    let bare = transaction(
        &[at(&bridge.settlement, 0)],
        vec![output(450, VAULT), output(450, VAULT)],
    );
    for vout in [0_u32, 1] {
        let spell = plain_move(&bridge, &bare, vout.try_into().unwrap());
        let proven = prove(&request(spell, &[&bridge.settlement], None)).unwrap();
        let shown = with_witness(&bare, &proven);
        assert_eq!(shown.compute_txid(), bare.compute_txid());

        let hop = transaction(&[at(&bare, vout)], vec![output(440, VAULT)]);
        let moved = request(plain_move(&bridge, &hop, 0), &[&shown], None);
        assert_eq!(charms_check(&moved), Ok(true), "twin {vout}");
        let hop = enchanted(hop, &prove(&moved).unwrap());

        let deposit = funding(9, &[1_000_500]);
        let tx = transaction(
            &[at(&hop, 0), at(&deposit, 0)],
            vec![output(430, VAULT), output(1_000_000, VAULT), output(400, 3)],
        );
        let items = [
            SettlementItem::Plain,
            SettlementItem::PegIn { amount: 1_000_000 },
        ];
        let spell = settlement_spell(&tx, &bridge.app, &roster(2, 1_100_000), &items).unwrap();
        let mint = request(spell, &[&hop, &deposit], Some(BRIDGE));
        assert_eq!(charms_check(&mint), Ok(true), "twin {vout}");
    }
}
