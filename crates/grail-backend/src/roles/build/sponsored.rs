//! What sponsors pay for: a step of a rotation, or that donations become part of the vault. Neither
//! serves anybody, and both go the way of a settlement whose items are their sponsors.

use std::collections::BTreeMap;

use bitcoin::{Amount, Transaction, Txid};
use grail_flow::SettlementId;
use grail_store::{Reader, SettlementItem};
use grail_txbuild::{Deposit, RotationPlan, RotationPlanError, RotationRequest, RotationStep};
use grail_types::Kind;

use super::{Tip, ToPropose, deposits, encode_draft, fee_rate, put_into_lane};
use crate::{backend::Backend, step::Step};

/// Sponsors that are read: more than one transaction takes.
const SPONSORS_READ: u32 = 50;

/// A plan, and the transactions that it spends from.
pub(super) struct Sponsored {
    pub plan: RotationPlan,
    previous: BTreeMap<Txid, Transaction>,
}

/// The deposits of those who pay for one kind of transaction, and the transactions behind them.
pub(super) struct Sponsors {
    deposits: Vec<Deposit>,
    made: BTreeMap<Txid, Transaction>,
}

impl Sponsors {
    /// Those that are ready, none if there are none.
    pub(super) async fn ready(
        backend: &Backend,
        reader: &mut Reader,
        tip: &Tip,
        kind: Kind,
    ) -> anyhow::Result<Option<Self>> {
        let mut ready = reader
            .ready_sponsors(tip.roster.epoch(), kind, SPONSORS_READ)
            .await?;
        ready.retain(|request| request.roster == tip.roster);
        let (mut sponsors, made) = deposits(backend, reader, ready).await?;
        // Operators refuse a coin above what its terms name.
        sponsors.retain(|it| it.coin.output.value <= it.terms.fee_cap);
        // The largest first: the fewest pay.
        sponsors.sort_by_key(|it| std::cmp::Reverse(it.coin.output.value));
        Ok((!sponsors.is_empty()).then_some(Self {
            deposits: sponsors,
            made,
        }))
    }

    /// Plans what they pay for; none where that waits for blocks, or for more sponsors. `previous`
    /// are the transactions that it spends from beside theirs.
    pub(super) async fn plan(
        &self,
        backend: &Backend,
        tip: &Tip,
        step: RotationStep,
        previous: &BTreeMap<Txid, Transaction>,
    ) -> anyhow::Result<Option<Sponsored>> {
        let Some(fee_rate) = fee_rate(backend).await? else {
            return Ok(None);
        };
        let request = RotationRequest {
            bridge: backend.bridge(),
            params: backend.params(),
            roster: &tip.roster,
            governance: &tip.governance,
            state: &tip.state,
            nft: tip.nft.clone(),
            vault: tip.vault.clone(),
            step,
            sponsors: self.deposits.clone(),
            fee_rate,
            proof_bytes: backend.prover.proof_bytes(),
        };
        let plan = match request.plan(&backend.secp) {
            Ok(plan) if plan.weight <= tip.weight_max => plan,
            // Room comes with blocks, and sponsors may come.
            Ok(_) => return Ok(None),
            Err(error @ RotationPlanError::TooLittle { .. }) => {
                tracing::info!(%error, "it waits for sponsors");
                return Ok(None);
            }
            Err(error) => {
                tracing::error!(%error, "what sponsors pay for has no plan");
                return Ok(None);
            }
        };
        let mut previous = previous.clone();
        previous.extend(self.made.clone());
        Ok(Some(Sponsored { plan, previous }))
    }
}

impl Sponsored {
    /// Puts it into the lane; none where what it was planned from is not so any more. The caller
    /// commits.
    pub(super) async fn put(
        &self,
        backend: &Backend,
        step: &mut Step<'_>,
        tip: &Tip,
    ) -> anyhow::Result<Option<SettlementId>> {
        let planned = ToPropose {
            transaction: &self.plan.transaction,
            spell: &self.plan.spell,
            action: self.plan.action.clone(),
        };
        let draft = encode_draft(backend, tip, planned, &self.previous)?;
        let items: Vec<_> = self.plan.sponsors.iter().map(item).collect();
        put_into_lane(backend, step, tip, &draft, &items).await
    }
}

/// A sponsor gives its whole coin and gets nothing.
fn item(sponsor: &Deposit) -> SettlementItem {
    SettlementItem {
        request: sponsor.terms.id(),
        deposit: sponsor.coin.outpoint,
        amount_out: Amount::ZERO,
        fee_share: sponsor.coin.output.value,
    }
}
