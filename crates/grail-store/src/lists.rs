//! What people look at: lists newest first, joined rows without large columns, counts. Reads only.

use std::collections::{BTreeSet, HashMap};

use bitcoin::{Amount, OutPoint, ScriptBuf, Txid};
use grail_flow::{RequestStage, RequestState, SettlementId, SettlementStage};
use grail_types::{Kind, RequestId, SignerIndex};

use crate::{
    Reader, Settlement, SettlementItem, StoreError, VerdictKind,
    column::{Columns, after, page},
    db::{DbRow, list, sql},
    handovers::NEWEST_EPOCH,
    requests, settlements,
};

/// A request served by a settlement, with what its deposit was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedRequest {
    /// Request, deposit, amount and fee share.
    pub item: SettlementItem,
    /// Direction; none of a request that is not in rows.
    pub kind: Option<Kind>,
    /// The deposit's coin; none of a request that is not in rows.
    pub deposit_amount: Option<Amount>,
    /// zkBTC that the deposit carries.
    pub deposit_token: Option<Amount>,
}

/// A request in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRequest {
    /// Its name.
    pub id: RequestId,
    /// Its place in the order of creation: where a list goes on.
    pub number: u64,
    /// Direction.
    pub kind: Kind,
    /// Where it stands.
    pub state: RequestState,
    /// Its deposit address.
    pub deposit_script: ScriptBuf,
    /// Coin of the deposit that it goes by.
    pub deposit_amount: Option<Amount>,
    /// zkBTC of that.
    pub deposit_token: Option<Amount>,
    /// The settlement that serves it, once it has a transaction.
    pub settlement_txid: Option<Txid>,
    /// When it was made, unix seconds.
    pub created_at: u64,
}

/// A signer's answer without its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerSummary {
    /// Who.
    pub signer: SignerIndex,
    /// What kind of answer.
    pub verdict: VerdictKind,
    /// Of a refusal or fault.
    pub code: Option<String>,
    /// Of a refusal or fault.
    pub details: Option<String>,
}

impl Reader {
    /// Requests of a state, newest first, below number `before` (none: from the newest), with their
    /// deposits and settlements: three statements, however many there are.
    pub async fn requests_newest_first(
        &mut self,
        stage: RequestStage,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ListedRequest>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, number, kind, state, deposit_script, created_at FROM requests \
             WHERE state_name = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
        )
        .bind(stage.name())
        .bind(before.map_or(i64::MAX, after))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        let mut listed = rows
            .iter()
            .map(|row| {
                Ok(ListedRequest {
                    id: row.parsed("id")?,
                    number: row.u64("number")?,
                    kind: kind(row)?,
                    state: row.versioned("state")?,
                    deposit_script: requests::script(row)?,
                    deposit_amount: None,
                    deposit_token: None,
                    settlement_txid: None,
                    created_at: row.u64("created_at")?,
                })
            })
            .collect::<Result<Vec<ListedRequest>, StoreError>>()?;
        let deposits = listed.iter().filter_map(|request| request.state.deposit());
        let deposits = self.deposit_amounts(deposits.collect()).await?;
        let settlements = listed.iter().filter_map(|it| it.state.settlement());
        let txids = self.settlement_txids(settlements.collect()).await?;
        for request in &mut listed {
            let deposit = request.state.deposit().and_then(|it| deposits.get(&it));
            (request.deposit_amount, request.deposit_token) = match deposit {
                Some((amount, token)) => (Some(*amount), *token),
                None => (None, None),
            };
            let settlement = request.state.settlement();
            request.settlement_txid = settlement.and_then(|id| txids.get(&id).copied());
        }
        Ok(listed)
    }

    /// Coins and zkBTC of deposits.
    async fn deposit_amounts(
        &mut self,
        outpoints: Vec<OutPoint>,
    ) -> Result<HashMap<OutPoint, (Amount, Option<Amount>)>, StoreError> {
        let is_listed = self.engine().is_listed_text();
        let rows = sqlx::query(sql(format!(
            "SELECT outpoint, amount_sat, token_sat FROM deposits WHERE outpoint {is_listed}"
        )))
        .bind(list(outpoints.iter().map(OutPoint::to_string)))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                let amounts = (row.amount("amount_sat")?, row.maybe_amount("token_sat")?);
                Ok((row.outpoint("outpoint")?, amounts))
            })
            .collect()
    }

    /// Transactions of settlements that have one.
    async fn settlement_txids(
        &mut self,
        ids: BTreeSet<SettlementId>,
    ) -> Result<HashMap<SettlementId, Txid>, StoreError> {
        let is_listed = self.engine().is_listed_number();
        let rows = sqlx::query(sql(format!(
            "SELECT id, txid FROM settlements WHERE id {is_listed} AND txid IS NOT NULL"
        )))
        .bind(list(ids.iter().map(|id| id.0)))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.settlement_id("id")?, row.parsed("txid")?)))
            .collect()
    }

    /// Settlements that have a transaction, newest first, below number `before` (none: from the
    /// newest).
    pub async fn settlements_newest_first(
        &mut self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(settlements::select!(
            "WHERE txid IS NOT NULL AND id < $1 ORDER BY id DESC LIMIT $2"
        ))
        .bind(before.map_or(i64::MAX, after))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(settlements::read).collect()
    }

    /// Where the roster NFT is according to settlements that were handed to the network and to
    /// rotations in blocks; none before the first of either.
    ///
    /// Asked by everybody who reads the roster, so it looks at a row of each state and no further:
    /// what spends the NFT is made after what it spends, so the newest of the newest epoch holds
    /// it.
    pub async fn published_nft(&mut self) -> Result<Option<OutPoint>, StoreError> {
        let newest: Vec<_> = SettlementStage::those(SettlementStage::is_published)
            .map(|stage| {
                let name = stage.name();
                format!(
                    "(SELECT id FROM settlements WHERE state_name = '{name}' \
                     AND epoch <= {NEWEST_EPOCH} ORDER BY id DESC LIMIT 1)"
                )
            })
            .collect();
        let row = sqlx::query(sql(format!(
            "SELECT nft_output FROM settlements WHERE id = \
             (SELECT MAX(id) FROM settlements WHERE id IN ({})) AND epoch = {NEWEST_EPOCH}",
            newest.join(", ")
        )))
        .fetch_optional(self.connection())
        .await?;
        match row {
            Some(row) => row.outpoint("nft_output").map(Some),
            None => Ok(self
                .newest_rotation()
                .await?
                .map(|newest| newest.nft_output())),
        }
    }

    /// What a settlement serves, in output order, with deposits.
    pub async fn served_requests(
        &mut self,
        id: SettlementId,
    ) -> Result<Vec<ServedRequest>, StoreError> {
        let rows = sqlx::query(
            "SELECT i.request, i.deposit, i.amount_out_sat, i.fee_share_sat, r.kind, d.amount_sat, d.token_sat \
             FROM settlement_items i LEFT JOIN requests r ON r.id = i.request_row \
             LEFT JOIN deposits d ON d.outpoint = i.deposit_row WHERE i.settlement = $1 ORDER BY i.position",
        )
        .bind(after(id.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| {
                Ok(ServedRequest {
                    item: settlements::item(row)?,
                    kind: row
                        .maybe_text("kind")?
                        .map(|name| named(&name))
                        .transpose()?,
                    deposit_amount: row.maybe_amount("amount_sat")?,
                    deposit_token: row.maybe_amount("token_sat")?,
                })
            })
            .collect()
    }

    /// All answers about a settlement, by signer, without signatures.
    pub async fn answer_summaries(
        &mut self,
        id: SettlementId,
    ) -> Result<Vec<AnswerSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT signer_index, verdict, code, details FROM answers WHERE settlement = $1 ORDER BY signer_index",
        )
        .bind(after(id.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(summary).collect()
    }

    /// What operators refused of settlements that held a request, latest first.
    pub async fn refusals_of(
        &mut self,
        request: &RequestId,
        limit: u32,
    ) -> Result<Vec<AnswerSummary>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.signer_index, a.verdict, a.code, a.details FROM settlement_items i \
             JOIN answers a ON a.settlement = i.settlement WHERE i.request = $1 AND a.verdict = $3 \
             ORDER BY a.received_at DESC, a.settlement DESC, a.signer_index LIMIT $2",
        )
        .bind(request.to_string())
        .bind(page(limit))
        .bind(VerdictKind::Refused.name())
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(summary).collect()
    }

    /// Direction of a request.
    pub async fn request_kind(&mut self, id: &RequestId) -> Result<Option<Kind>, StoreError> {
        let row = sqlx::query("SELECT kind FROM requests WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(kind).transpose()
    }

    /// How many settlements are in each state, by name.
    pub async fn settlement_counts(&mut self) -> Result<Vec<(String, u64)>, StoreError> {
        let rows = sqlx::query(
            "SELECT state_name, total FROM settlement_totals WHERE total > 0 ORDER BY state_name",
        )
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.text("state_name")?, row.u64("total")?)))
            .collect()
    }

    /// How many requests of the newest epoch are ready, and since when the one that has been so for
    /// longest is, unix seconds.
    pub async fn ready_backlog(&mut self) -> Result<(u64, Option<u64>), StoreError> {
        // The state is spelled out, so that the database finds the index that has only those.
        let ready = RequestStage::Ready.name();
        let row = sqlx::query(sql(format!(
            "SELECT COALESCE((SELECT total FROM request_totals WHERE epoch = {NEWEST_EPOCH} \
             AND state_name = '{ready}'), 0) AS total, (SELECT MIN(updated_at) FROM requests \
             WHERE epoch = {NEWEST_EPOCH} AND state_name = '{ready}') AS since"
        )))
        .fetch_one(self.connection())
        .await?;
        Ok((row.u64("total")?, row.maybe_u64("since")?))
    }
}

fn kind(row: &DbRow) -> Result<Kind, StoreError> {
    named(&row.text("kind")?)
}

fn named(name: &str) -> Result<Kind, StoreError> {
    Kind::ALL
        .into_iter()
        .find(|kind| requests::kind_name(*kind) == name)
        .ok_or_else(|| StoreError::corrupt("requests.kind", name))
}

fn summary(row: &DbRow) -> Result<AnswerSummary, StoreError> {
    Ok(AnswerSummary {
        signer: SignerIndex(
            row.u64("signer_index")?
                .try_into()
                .map_err(|error| StoreError::corrupt("signer_index", error))?,
        ),
        verdict: row.parsed("verdict")?,
        code: row.maybe_text("code")?,
        details: row.maybe_text("details")?,
    })
}
