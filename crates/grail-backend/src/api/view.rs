//! What several answers show of rows.

use bitcoin::Transaction;
use grail_spell::decode_op_return;
use grail_store::{Reader, StoreError};
use grail_types::Epoch;

use super::answer::{Answer, Failure};
use crate::backend::Backend;

/// Height of the newest block taken.
pub(super) async fn tip_height(backend: &Backend, reader: &mut Reader) -> Answer<u32> {
    let block = reader.last_block().await?;
    Ok(block.map_or(backend.deployment.start_height, |block| block.height))
}

/// Where the output of an item is: items are the last outputs that the spell speaks of, in their
/// order (ADR 3). Behind those come a prover's fee, if it took one, and the spell.
pub(super) fn output_index_of_item(
    transaction: &Transaction,
    item_count: usize,
    position: usize,
) -> Option<u32> {
    let spell = decode_op_return(transaction).ok()??.spell;
    let first = spell.tx.outs.len().checked_sub(item_count)?;
    u32::try_from(first.checked_add(position)?).ok()
}

/// Requests of former rosters that still wait for what only those could do.
pub(super) async fn former_requests(reader: &mut Reader, newest: Epoch) -> Result<u64, StoreError> {
    let open = reader.open_request_epochs().await?;
    let former = open.iter().filter(|(epoch, _)| *epoch < newest);
    Ok(former.fold(0, |sum, (_, count)| sum.saturating_add(*count)))
}

/// Something that the store's rules say is there.
pub(super) fn required<T>(value: Option<T>, what: &str) -> Answer<T> {
    value.ok_or_else(|| Failure::internal(&format!("{what} is missing")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{Amount, ScriptBuf, TxOut, absolute::LockTime, transaction::Version};
    use grail_spell::{NormalizedCharms, NormalizedSpell, encode_op_return};

    use super::*;

    /// Of a settlement of two requests, with vault or without, with a prover's fee or without.
    #[test]
    fn an_items_output_is_found_beside_a_provers_fee_and_without_a_vault() {
        for (own, fee) in [(1, 0), (1, 1), (2, 0), (2, 1)] {
            let mut spell = NormalizedSpell::default();
            spell.tx.outs = vec![NormalizedCharms::default(); own + 2];
            let op_return = encode_op_return(&spell, &vec![0; 192]).unwrap();
            let paid = |script_pubkey| TxOut {
                value: Amount::from_sat(330),
                script_pubkey,
            };
            let mut output = vec![paid(ScriptBuf::new()); own + 2 + fee];
            output.push(paid(op_return));
            let transaction = Transaction {
                version: Version::TWO,
                lock_time: LockTime::ZERO,
                input: Vec::new(),
                output,
            };
            let index = |position| output_index_of_item(&transaction, 2, position);
            let own = u32::try_from(own).unwrap();
            assert_eq!((index(0), index(1)), (Some(own), Some(own + 1)));
        }
    }
}
