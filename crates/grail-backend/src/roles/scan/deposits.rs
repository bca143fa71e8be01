//! What transactions pay to deposit addresses.

use bitcoin::{OutPoint, Transaction};
use grail_charms::PrevTx;
use grail_flow::{Deposit, DepositCharms, DepositOrigin, RequestEvent, RequestState};
use grail_spell::BridgeCharms;
use grail_types::RequestId;

use super::Scanner;
use crate::step::Step;

impl Scanner<'_> {
    /// Outputs of a transaction at deposit addresses, with what they carry.
    pub(super) fn deposits_in(&self, transaction: &Transaction) -> Vec<(Deposit, RequestId)> {
        let hits: Vec<_> = transaction
            .output
            .iter()
            .zip(0_u32..)
            .filter_map(|(output, vout)| {
                Some((output, vout, *self.scripts.get(&output.script_pubkey)?))
            })
            .collect();
        if hits.is_empty() {
            return Vec::new();
        }
        let origin = if transaction.is_coinbase() {
            DepositOrigin::Coinbase
        } else {
            DepositOrigin::Payment
        };
        let read = PrevTx::read_committed(transaction, self.backend.mock());
        hits.into_iter()
            .map(|(output, vout, request)| {
                let deposit = Deposit {
                    outpoint: OutPoint::new(read.txid(), vout),
                    value: output.value,
                    charms: self.charms(&read, vout),
                    origin,
                };
                (deposit, request)
            })
            .collect()
    }

    /// As the operators' policy reads them.
    fn charms(&self, read: &PrevTx, vout: u32) -> DepositCharms {
        match read.bridge_charms(vout, &self.backend.bridge().app) {
            BridgeCharms::Nothing => DepositCharms::None,
            BridgeCharms::Token(sat) => DepositCharms::ZkBtc(bitcoin::Amount::from_sat(sat)),
            BridgeCharms::Nft(_) | BridgeCharms::Other => DepositCharms::Other,
        }
    }
}

/// A deposit that was not acceptable in the mempool, and that a mined `transaction` replaces, is
/// gone: the new one is judged for itself and not as a duplicate.
pub(super) async fn note_replaced(
    step: &mut Step<'_>,
    request: &RequestId,
    transaction: &Transaction,
) -> anyhow::Result<()> {
    let state = step.tx.request(request).await?.map(|request| request.state);
    let Some(RequestState::Reclaimable { deposit, .. }) = state else {
        return Ok(());
    };
    let is_mined = step
        .tx
        .deposit(&deposit)
        .await?
        .is_some_and(|row| row.block.is_some());
    let Some(known) = step.tx.transaction(&deposit.txid).await? else {
        return Ok(());
    };
    let spends_the_same = known.input.iter().any(|input| {
        transaction
            .input
            .iter()
            .any(|other| other.previous_output == input.previous_output)
    });
    if !is_mined && spends_the_same && deposit.txid != transaction.compute_txid() {
        step.tell_request(*request, RequestEvent::DepositVanished { deposit })
            .await?;
    }
    Ok(())
}
