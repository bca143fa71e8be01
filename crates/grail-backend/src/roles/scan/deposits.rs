//! What transactions pay to deposit addresses.

use bitcoin::{Amount, OutPoint, Transaction};
use grail_charms::PrevTx;
use grail_flow::{Deposit, DepositCharms, DepositOrigin, RequestEvent, RequestState};
use grail_spell::BridgeCharms;
use grail_types::RequestId;

use super::{Scanner, known::Addresses};
use crate::{backend::Backend, step::Step};

impl Scanner<'_> {
    /// Outputs of a transaction at deposit addresses, with what they carry.
    pub(super) fn deposits_in(
        &self,
        transaction: &Transaction,
        addresses: &Addresses,
    ) -> Vec<(Deposit, RequestId)> {
        let hits: Vec<_> = transaction
            .output
            .iter()
            .zip(0_u32..)
            .filter_map(|(output, vout)| Some((vout, addresses.request(&output.script_pubkey)?)))
            .collect();
        if hits.is_empty() {
            return Vec::new();
        }
        let read = PrevTx::read_committed(transaction, self.backend.mock());
        hits.into_iter()
            .filter_map(|(vout, request)| Some((deposit_at(self.backend, &read, vout)?, request)))
            .collect()
    }
}

/// Output `vout` of a transaction as a deposit, with what it carries as the operators' policy reads
/// it; none without such an output.
pub(crate) fn deposit_at(backend: &Backend, read: &PrevTx, vout: u32) -> Option<Deposit> {
    let output = read.output(vout)?;
    let charms = match read.bridge_charms(vout, &backend.bridge().app) {
        BridgeCharms::Nothing => DepositCharms::None,
        // More than there can ever be is no zkBTC, whatever a mock proof says.
        BridgeCharms::Token(sat) if sat <= Amount::MAX_MONEY.to_sat() => {
            DepositCharms::ZkBtc(Amount::from_sat(sat))
        }
        BridgeCharms::Token(_) | BridgeCharms::Nft(_) | BridgeCharms::Other => DepositCharms::Other,
    };
    let origin = if read.tx().is_coinbase() {
        DepositOrigin::Coinbase
    } else {
        DepositOrigin::Payment
    };
    Some(Deposit {
        outpoint: OutPoint::new(read.txid(), vout),
        value: output.value,
        charms,
        origin,
    })
}

/// A deposit of the mempool that a mined `transaction` replaces is gone: the new one is judged for
/// itself and not beside it.
pub(super) async fn note_replaced(
    step: &mut Step<'_>,
    request: &RequestId,
    transaction: &Transaction,
) -> anyhow::Result<()> {
    let state = step.tx.request(request).await?.map(|request| request.state);
    let Some(
        RequestState::Reclaimable { deposit, .. }
        | RequestState::Unconfirmed {
            deposit,
            height: None,
        },
    ) = state
    else {
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
