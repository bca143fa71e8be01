//! Grail's reading of spells beside that of `charms-client` 15.0.0, the reference implementation.
//!
//! Owns the translation between the two, the comparison, and the changes of transactions that it is
//! made on; trusts `charms-client` as judge. Used by this workspace's tests alone: nothing that
//! ships may depend on it.

pub mod mutation;
pub mod vectors;
pub mod verdict;

use std::collections::BTreeMap;

use bitcoin::Transaction;
use charms_client::bitcoin_tx::BitcoinTx;
use charms_client::tx::{EnchantedTx, Tx};
use charms_data::{AppInput, util};
use grail_prover::ProveRequest;
use grail_spell::{NormalizedSpell, SPELL_VK};

/// Charms' own reading of `tx`: its spell, verified and resolved, or why not.
pub fn charms_reading(
    tx: &Transaction,
    mock: bool,
) -> Result<charms_client::NormalizedSpell, String> {
    BitcoinTx::Simple(tx.clone())
        .extract_and_verify_spell(&SPELL_VK, mock)
        .map_err(|error| error.to_string())
}

/// Charms' own check of `request`, as its mock prover asks for it.
pub fn charms_check(request: &ProveRequest) -> Result<bool, String> {
    let app_input = (!request.app_binaries.is_empty()).then(|| AppInput {
        app_binaries: request.app_binaries.clone(),
        app_private_inputs: request.app_private_inputs.clone(),
        app_signatures: BTreeMap::new(),
    });
    charms_client::is_correct(
        &to_charms(&request.spell),
        &prev_txs(request),
        app_input,
        &SPELL_VK,
        &BTreeMap::new(),
        None,
    )
    .map_err(|error| format!("{error:#}"))
}

/// The transaction that Charms shows to contracts.
pub fn charms_view(request: &ProveRequest) -> Result<charms_data::Transaction, String> {
    let spell = to_charms(&request.spell);
    let prev_txs = prev_txs(request);
    let prev_spells = charms_client::prev_spells(&prev_txs, &SPELL_VK, &spell)
        .map_err(|error| error.to_string())?;
    Ok(charms_client::to_tx(
        &spell,
        &prev_spells,
        &BTreeMap::new(),
        &prev_txs,
    ))
}

fn prev_txs(request: &ProveRequest) -> Vec<Tx> {
    request
        .prev_txs
        .iter()
        .map(|tx| Tx::Bitcoin(BitcoinTx::Simple(tx.clone())))
        .collect()
}

/// A spell of Grail's types as one of Charms', by way of the bytes that both must write alike.
///
/// # Panics
/// When the two do not write the same bytes: that is what the tests look for.
pub fn to_charms(spell: &NormalizedSpell) -> charms_client::NormalizedSpell {
    let bytes = util::write(spell).expect("spells always encode");
    let theirs: charms_client::NormalizedSpell =
        util::read(bytes.as_slice()).expect("Charms reads what Grail writes");
    assert_eq!(
        util::write(&theirs).expect("spells always encode"),
        bytes,
        "the two encodings differ"
    );
    theirs
}
