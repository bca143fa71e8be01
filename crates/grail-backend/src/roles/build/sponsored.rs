//! What sponsors pay for: a step of a rotation, or that donations become part of the vault. Neither
//! serves anybody, and both go the way of a settlement whose items are their sponsors.

use std::collections::BTreeMap;

use bitcoin::{Amount, FeeRate, Transaction, Txid};
use grail_flow::SettlementId;
use grail_store::SettlementItem;
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

/// Plans what sponsors of a kind pay for; none where that waits for blocks, or for more sponsors.
/// `previous` are the transactions that it spends from beside theirs.
pub(super) async fn plan(
    backend: &Backend,
    tip: &Tip,
    kind: Kind,
    step: RotationStep,
    previous: &BTreeMap<Txid, Transaction>,
) -> anyhow::Result<Option<Sponsored>> {
    let Some(fee_rate) = fee_rate(backend).await? else {
        return Ok(None);
    };
    // Those who offer too much for this are not read again.
    let mut most = Amount::MAX_MONEY;
    for _ in 0..2 {
        let (deposits, made) = sponsors(backend, tip, kind, most).await?;
        if deposits.is_empty() {
            return Ok(None);
        }
        let planned = plan_with(backend, tip, step.clone(), (deposits, fee_rate)).await?;
        let weight_max = backend.params().settlement_weight_max.min(tip.weight_max);
        return Ok(match planned {
            Ok(plan) if plan.weight <= weight_max => {
                let mut previous = previous.clone();
                previous.extend(made);
                Some(Sponsored { plan, previous })
            }
            // Room comes with blocks, and sponsors may come.
            Ok(_) => None,
            Err(RotationPlanError::TooMuch { most: lower }) => {
                most = lower;
                continue;
            }
            Err(error @ RotationPlanError::TooLittle { .. }) => {
                tracing::info!(%error, "it waits for sponsors");
                None
            }
            Err(error) => {
                tracing::error!(%error, "what sponsors pay for has no plan");
                None
            }
        });
    }
    tracing::info!(%most, "every sponsor offers too much");
    Ok(None)
}

/// The deposits of those who offer no more than `most`, the largest first, and the transactions
/// that made them.
async fn sponsors(
    backend: &Backend,
    tip: &Tip,
    kind: Kind,
    most: Amount,
) -> anyhow::Result<(Vec<Deposit>, BTreeMap<Txid, Transaction>)> {
    let mut reader = backend.store.read().await?;
    let epoch = tip.roster.epoch();
    let mut ready = reader
        .ready_sponsors(epoch, kind, most, SPONSORS_READ)
        .await?;
    ready.retain(|request| request.roster == tip.roster);
    deposits(backend, &mut reader, ready).await
}

/// Plans away from the threads that serve everybody: addresses are derived and weights counted.
async fn plan_with(
    backend: &Backend,
    tip: &Tip,
    step: RotationStep,
    (sponsors, fee_rate): (Vec<Deposit>, FeeRate),
) -> anyhow::Result<Result<RotationPlan, RotationPlanError>> {
    let (bridge, params) = (*backend.bridge(), backend.params().clone());
    let (roster, governance) = (tip.roster.clone(), tip.governance.clone());
    let (state, nft, vault) = (tip.state.clone(), tip.nft.clone(), tip.vault.clone());
    let (proof_bytes, secp) = (backend.prover.proof_bytes(), backend.secp.clone());
    let plan = move || {
        let request = RotationRequest {
            bridge: &bridge,
            params: &params,
            roster: &roster,
            governance: &governance,
            state: &state,
            nft,
            vault,
            step,
            sponsors,
            fee_rate,
            proof_bytes,
        };
        request.plan(&secp)
    };
    Ok(tokio::task::spawn_blocking(plan).await?)
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
