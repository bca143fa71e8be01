//! Outputs at deposit addresses. Each has a row of its own, also the second one to an address,
//! which is not served.

use bitcoin::{Amount, OutPoint, Txid};
use grail_flow::{
    BlockRef, Deposit, DepositCharms, DepositOrigin, DepositStanding, ReclaimCode, SettlementId,
};
use grail_types::RequestId;

use crate::{
    Conflict, Reader, Recorded, StoreError, StoreTx,
    column::{Columns, integer, page, sat},
    db::DbRow,
};

/// A deposit as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositRow {
    /// The request whose address it pays.
    pub request: RequestId,
    /// Outpoint, coin and charms.
    pub deposit: Deposit,
    /// The block that holds it.
    pub block: Option<BlockRef>,
    /// Where it stands.
    pub state: DepositState,
    /// The live settlement that spends it.
    pub settlement: Option<SettlementId>,
    /// Why it is not served.
    pub code: Option<ReclaimCode>,
    /// The mined transaction that spent it and is no settlement: the user's, that took it back, or
    /// operators', if it is [`DepositState::Taken`].
    pub reclaim: Option<Reclaim>,
    /// When it was first seen, unix seconds.
    pub created_at: u64,
    /// When it last changed, unix seconds.
    pub updated_at: u64,
}

impl DepositRow {
    /// What is known of it, if nothing in a block spends it.
    pub fn standing(&self) -> DepositStanding {
        match self.block {
            Some(block) => DepositStanding::Confirmed {
                height: block.height,
                origin: self.deposit.origin,
            },
            None => DepositStanding::Unconfirmed,
        }
    }
}

/// A mined reclaim, or a taking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reclaim {
    /// The transaction.
    pub txid: Txid,
    /// The block that holds it.
    pub block: BlockRef,
}

/// Where a deposit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DepositState {
    /// Seen, not confirmed enough.
    Unconfirmed,
    /// Can be settled.
    Ready,
    /// Input of a settlement.
    Settling,
    /// Spent by a settlement, finally.
    Settled,
    /// The user's to take back.
    Reclaimable,
    /// Taken back.
    Reclaimed,
    /// Spent by operators in a transaction that breaks the bridge's rules.
    Taken,
    /// Neither in the chain nor in the mempool any more.
    Vanished,
}

impl DepositState {
    /// All states.
    pub const ALL: [Self; 8] = [
        Self::Unconfirmed,
        Self::Ready,
        Self::Settling,
        Self::Settled,
        Self::Reclaimable,
        Self::Reclaimed,
        Self::Taken,
        Self::Vanished,
    ];

    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unconfirmed => "unconfirmed",
            Self::Ready => "ready",
            Self::Settling => "settling",
            Self::Settled => "settled",
            Self::Reclaimable => "reclaimable",
            Self::Reclaimed => "reclaimed",
            Self::Taken => "taken",
            Self::Vanished => "vanished",
        }
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.outpoint, d.request, d.amount_sat, d.charms, d.token_sat, d.coinbase, d.height, d.hash, d.state_name, \
             d.code, d.reclaim_txid, d.reclaim_height, d.reclaim_hash, d.created_at, d.updated_at, i.settlement \
             FROM deposits d LEFT JOIN settlement_items i ON i.deposit = d.outpoint AND i.active = 1 ",
            $rest
        )
    };
}

impl Reader {
    /// A deposit.
    pub async fn deposit(&mut self, outpoint: &OutPoint) -> Result<Option<DepositRow>, StoreError> {
        let row = sqlx::query(select!("WHERE d.outpoint = $1"))
            .bind(outpoint.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Deposits to a request's address, by outpoint after `after`.
    pub async fn deposits_of(
        &mut self,
        request: &RequestId,
        after: Option<&OutPoint>,
        limit: u32,
    ) -> Result<Vec<DepositRow>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE d.request = $1 AND d.outpoint > $2 ORDER BY d.outpoint LIMIT $3"
        ))
        .bind(request.to_string())
        .bind(after_outpoint(after))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// Deposits in a state, by outpoint after `after`.
    pub async fn deposits_in_state(
        &mut self,
        state: DepositState,
        after: Option<&OutPoint>,
        limit: u32,
    ) -> Result<Vec<DepositRow>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE d.state_name = $1 AND d.outpoint > $2 ORDER BY d.outpoint LIMIT $3"
        ))
        .bind(state.name())
        .bind(after_outpoint(after))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }
}

impl Reader {
    /// Deposits that are in no block, with their requests, by outpoint after `after`.
    pub async fn deposits_in_no_block(
        &mut self,
        after: Option<&OutPoint>,
        limit: u32,
    ) -> Result<Vec<(OutPoint, RequestId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT outpoint, request FROM deposits WHERE state_name = $1 AND outpoint > $2 \
             AND height IS NULL ORDER BY outpoint LIMIT $3",
        )
        .bind(DepositState::Unconfirmed.name())
        .bind(after_outpoint(after))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter()
            .map(|row| Ok((row.outpoint("outpoint")?, row.parsed("request")?)))
            .collect()
    }
}

impl StoreTx {
    /// Records a deposit, unconfirmed. Doing so again changes nothing.
    ///
    /// # Errors
    /// [`Conflict::DepositDiffers`] when it is recorded with another request, amount or charms;
    /// [`StoreError::OutOfRange`]; [`StoreError::NotFound`] without its request.
    pub async fn record_deposit(
        &mut self,
        request: &RequestId,
        deposit: &Deposit,
        now: u64,
    ) -> Result<Recorded, StoreError> {
        let amount = sat("deposit amount", deposit.value)?;
        let (charms, token) = match deposit.charms {
            DepositCharms::None => ("none", None),
            DepositCharms::ZkBtc(amount) => ("zkbtc", Some(sat("token amount", amount)?)),
            DepositCharms::Other => ("other", None),
        };
        let now = integer("now", now)?;
        if let Some(known) = self.deposit(&deposit.outpoint).await? {
            if known.request == *request && known.deposit == *deposit {
                return Ok(Recorded::Known);
            }
            return Err(Conflict::DepositDiffers.into());
        }
        if self.request(request).await?.is_none() {
            return Err(StoreError::NotFound { what: "request" });
        }
        sqlx::query(
            "INSERT INTO deposits (outpoint, request, amount_sat, charms, token_sat, coinbase, state_name, \
             created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        )
        .bind(deposit.outpoint.to_string())
        .bind(request.to_string())
        .bind(amount)
        .bind(charms)
        .bind(token)
        .bind(i64::from(deposit.origin == DepositOrigin::Coinbase))
        .bind(DepositState::Unconfirmed.name())
        .bind(now)
        .execute(self.connection())
        .await?;
        Ok(Recorded::New)
    }

    /// Notes the block that holds a deposit, or that none does.
    pub async fn set_deposit_block(
        &mut self,
        outpoint: &OutPoint,
        block: Option<BlockRef>,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE deposits SET height = $2, hash = $3, updated_at = $4 WHERE outpoint = $1",
        )
        .bind(outpoint.to_string())
        .bind(block.map(|block| i64::from(block.height)))
        .bind(block.map(|block| block.hash.to_string()))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        found(changed)
    }

    /// Notes what made a deposit, as the node says.
    pub async fn set_deposit_origin(
        &mut self,
        outpoint: &OutPoint,
        origin: DepositOrigin,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed =
            sqlx::query("UPDATE deposits SET coinbase = $2, updated_at = $3 WHERE outpoint = $1")
                .bind(outpoint.to_string())
                .bind(i64::from(origin == DepositOrigin::Coinbase))
                .bind(integer("now", now)?)
                .execute(self.connection())
                .await?
                .rows_affected();
        found(changed)
    }

    /// Notes where a deposit stands, and why it is not served.
    pub async fn set_deposit_state(
        &mut self,
        outpoint: &OutPoint,
        state: DepositState,
        code: Option<ReclaimCode>,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE deposits SET state_name = $2, code = $3, updated_at = $4 WHERE outpoint = $1",
        )
        .bind(outpoint.to_string())
        .bind(state.name())
        .bind(code.map(ReclaimCode::code))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        found(changed)
    }

    /// Notes the mined transaction that spent a deposit and is no settlement, or that none did.
    pub async fn set_deposit_reclaim(
        &mut self,
        outpoint: &OutPoint,
        reclaim: Option<Reclaim>,
        now: u64,
    ) -> Result<(), StoreError> {
        let changed = sqlx::query(
            "UPDATE deposits SET reclaim_txid = $2, reclaim_height = $3, reclaim_hash = $4, updated_at = $5 \
             WHERE outpoint = $1",
        )
        .bind(outpoint.to_string())
        .bind(reclaim.map(|reclaim| reclaim.txid.to_string()))
        .bind(reclaim.map(|reclaim| i64::from(reclaim.block.height)))
        .bind(reclaim.map(|reclaim| reclaim.block.hash.to_string()))
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?
        .rows_affected();
        found(changed)
    }
}

fn found(changed: u64) -> Result<(), StoreError> {
    if changed == 1 {
        Ok(())
    } else {
        Err(StoreError::NotFound { what: "deposit" })
    }
}

/// The text of a page's start; the empty text sorts before every outpoint.
fn after_outpoint(after: Option<&OutPoint>) -> String {
    after.map(OutPoint::to_string).unwrap_or_default()
}

fn read(row: &DbRow) -> Result<DepositRow, StoreError> {
    let token = row.maybe_amount("token_sat")?;
    let charms = match (row.text("charms")?.as_str(), token) {
        ("none", None) => DepositCharms::None,
        ("zkbtc", Some(amount)) => DepositCharms::ZkBtc(amount),
        ("other", None) => DepositCharms::Other,
        (other, _) => return Err(StoreError::corrupt("deposits.charms", other)),
    };
    let name = row.text("state_name")?;
    let state = DepositState::ALL
        .into_iter()
        .find(|state| state.name() == name)
        .ok_or_else(|| StoreError::corrupt("deposits.state_name", &name))?;
    let reclaim_block = row.maybe_block("reclaim_height", "reclaim_hash")?;
    let reclaim = match (row.maybe_parsed("reclaim_txid")?, reclaim_block) {
        (Some(txid), Some(block)) => Some(Reclaim { txid, block }),
        (None, None) => None,
        _ => {
            return Err(StoreError::corrupt(
                "deposits.reclaim_txid",
                "txid without block",
            ));
        }
    };
    let value: Amount = row.amount("amount_sat")?;
    Ok(DepositRow {
        request: row.parsed("request")?,
        deposit: Deposit {
            outpoint: row.outpoint("outpoint")?,
            value,
            charms,
            origin: match row.u64("coinbase")? {
                0 => DepositOrigin::Payment,
                1 => DepositOrigin::Coinbase,
                other => return Err(StoreError::corrupt("deposits.coinbase", other)),
            },
        },
        block: row.maybe_block("height", "hash")?,
        state,
        settlement: row.maybe_u64("settlement")?.map(SettlementId),
        code: row.maybe_parsed("code")?,
        reclaim,
        created_at: row.u64("created_at")?,
        updated_at: row.u64("updated_at")?,
    })
}
