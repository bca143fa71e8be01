//! The spell as app contracts see it.

use std::collections::BTreeMap;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash as _;
use charms_data::{Charms, Data, NativeOutput, Transaction, TxId, UtxoId};
use grail_charms::{PrevTx, outpoint_from_utxo_id};
use grail_spell::NormalizedSpell;
use serde::Serialize;

/// How Charms hands a previous transaction to a contract.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum PrevTxView {
    Bitcoin(String),
}

/// The transaction that a spell's contracts judge. `None` when an input or reference is not among
/// `prev_txs`.
pub fn charms_transaction(
    spell: &NormalizedSpell,
    prev_txs: &BTreeMap<TxId, PrevTx>,
) -> Option<Transaction> {
    let ins = spell.tx.ins.as_ref()?;
    let charms_of = |utxo_id: &UtxoId| -> Option<(UtxoId, Charms)> {
        let charms = prev_txs.get(&utxo_id.0)?.charms_at(utxo_id.1);
        Some((utxo_id.clone(), charms))
    };
    let coin_of = |utxo_id: &UtxoId| -> Option<NativeOutput> {
        let output = prev_txs
            .get(&utxo_id.0)?
            .output(outpoint_from_utxo_id(utxo_id).vout)?;
        Some(NativeOutput {
            amount: output.value.to_sat(),
            dest: output.script_pubkey.to_bytes(),
            content: None,
        })
    };
    let out_count = u32::try_from(spell.tx.outs.len()).ok()?;
    Some(Transaction {
        ins: ins.iter().map(charms_of).collect::<Option<_>>()?,
        refs: spell
            .tx
            .refs
            .iter()
            .flatten()
            .map(charms_of)
            .collect::<Option<_>>()?,
        outs: (0..out_count).map(|vout| spell.charms_at(vout)).collect(),
        coin_ins: Some(ins.iter().map(coin_of).collect::<Option<_>>()?),
        coin_outs: spell.tx.coins.clone(),
        prev_txs: prev_txs
            .values()
            .map(|prev| {
                let view = PrevTxView::Bitcoin(serialize_hex(prev.tx()));
                (TxId(prev.txid().to_byte_array()), Data::from(&view))
            })
            .collect(),
        app_public_inputs: spell.app_public_inputs.clone(),
    })
}
