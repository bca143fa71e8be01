//! Settlements, what they pay, and the rules that no two live ones share an NFT, a deposit or a
//! request.

mod adopted;
mod bodies;
mod replacing;
mod write;

pub use adopted::AdoptedSettlement;
pub use replacing::{Replaces, Tried};

use bitcoin::{Amount, OutPoint, Transaction, Txid, Weight, Witness};
use grail_flow::{BlockRef, Hold, SettlementId, SettlementStage, SettlementState};
use grail_types::{Epoch, RequestId};

use crate::{
    Reader, StoreError,
    column::{Columns, after, is_none_of, listed, page},
    db::{DbRow, sql},
    handovers::NEWEST_EPOCH,
};

/// Most items of one settlement: as many as could have inputs in a standard transaction, and to
/// spare.
pub const SETTLEMENT_ITEMS_MAX: usize = 1_000;
/// Largest proposal: 200 previous transactions at a fair size each; a database is no place for
/// more.
pub const PROPOSAL_BYTES_MAX: usize = 32 << 20;
/// Largest draft: a proposal, and a spell that is far smaller.
pub const DRAFT_BYTES_MAX: usize = 40 << 20;

/// A settlement as stored, without its large parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Its number.
    pub id: SettlementId,
    /// Where it stands.
    pub state: SettlementState,
    /// The epoch of the roster that holds the NFT, and so decides on it.
    pub epoch: Epoch,
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// The NFT's output that it makes.
    pub nft_output: Option<OutPoint>,
    /// Its transaction, once built.
    pub txid: Option<Txid>,
    /// Its fee, once built.
    pub fee: Option<Amount>,
    /// Its signed weight, once built.
    pub weight: Option<Weight>,
    /// Its signed size in vbytes, once built.
    pub vsize: Option<u64>,
    /// The block that holds it.
    pub block: Option<BlockRef>,
    /// Since when it stands where it stands, unix seconds; rounds of asking are one stage.
    pub stage_since: u64,
    /// Whether it was read from a block instead of made here.
    pub adopted: bool,
    /// The oldest of those in whose place it is to come, if it is a replacement.
    pub replaces: Option<SettlementId>,
    /// When it was made, unix seconds.
    pub created_at: u64,
    /// When it last changed, unix seconds.
    pub updated_at: u64,
}

impl Settlement {
    /// From when on it holds what it spends.
    pub const fn hold(&self) -> Hold {
        match self.replaces {
            None => Hold::FromStart,
            Some(_) => Hold::OncePublished,
        }
    }

    /// Whether it is to take the place of others and has not yet.
    pub const fn stands_by(&self) -> bool {
        self.hold().stands_by(self.state.stage())
    }
}

/// A request served by a settlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementItem {
    /// The request.
    pub request: RequestId,
    /// Its deposit, an input of the settlement.
    pub deposit: OutPoint,
    /// What it gets: zkBTC of a peg-in, BTC of a peg-out.
    pub amount_out: Amount,
    /// What it contributes to the fee.
    pub fee_share: Amount,
}

/// A settlement to create.
#[derive(Clone, Copy, Debug)]
pub struct NewSettlement<'a> {
    /// The epoch of the roster that decides on it.
    pub epoch: Epoch,
    /// The NFT's output that it spends.
    pub nft_input: OutPoint,
    /// What is to be proven, as the caller encodes it.
    pub draft: &'a [u8],
    /// Requests served.
    pub items: &'a [SettlementItem],
    /// The time, unix seconds.
    pub now: u64,
}

/// A settlement's transaction, complete but for signatures.
#[derive(Clone, Copy, Debug)]
pub struct BuiltTransaction<'a> {
    /// The transaction.
    pub unsigned: &'a Transaction,
    /// Which of its outputs is the NFT.
    pub nft_vout: u32,
    /// Its fee.
    pub fee: Amount,
    /// Its weight once signed.
    pub weight: Weight,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, state, epoch, nft_input, nft_output, txid, fee_sat, weight, vsize, height, hash, stage_since, \
             adopted, replaces, created_at, updated_at FROM settlements ",
            $rest
        )
    };
}
pub(crate) use select;

/// The condition that a settlement is live.
fn live(table: &str) -> String {
    is_none_of(
        &format!("{table}.state_name"),
        SettlementStage::those(SettlementStage::is_given_up).map(SettlementStage::name),
    )
}

/// The condition that a settlement holds what no other may hold: it is live, and does not stand by.
fn holds(table: &str) -> String {
    let published = SettlementStage::those(SettlementStage::is_published);
    let published = listed(published.map(SettlementStage::name));
    let live = live(table);
    format!("({live} AND ({table}.replaces IS NULL OR {table}.state_name IN ({published})))")
}

impl Reader {
    /// A settlement.
    pub async fn settlement(&mut self, id: SettlementId) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(select!("WHERE id = $1"))
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The settlements that rows of another table name, in their order. `column` is where they do.
    pub(crate) async fn settlements_of(
        &mut self,
        rows: &[DbRow],
        column: &'static str,
    ) -> Result<Vec<Settlement>, StoreError> {
        let mut settlements = Vec::with_capacity(rows.len());
        for row in rows {
            let settlement = self.settlement(row.settlement_id("settlement")?).await?;
            let missing = || StoreError::corrupt(column, "there is no such row");
            settlements.push(settlement.ok_or_else(missing)?);
        }
        Ok(settlements)
    }

    /// The settlement with this transaction: the live one, else the newest abandoned one.
    pub async fn settlement_by_txid(
        &mut self,
        txid: &Txid,
    ) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!("WHERE txid = $1 ORDER BY CASE WHEN {} THEN 0 ELSE 1 END, id DESC LIMIT 1"),
            live("settlements")
        )))
        .bind(txid.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The live settlement that spends this output of the NFT, and holds it: not one that stands
    /// by.
    pub async fn settlement_spending_nft(
        &mut self,
        nft: &OutPoint,
    ) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!("WHERE nft_input = $1 AND {}"),
            holds("settlements")
        )))
        .bind(nft.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The live settlement of the newest epoch on which the next one builds: the one whose NFT
    /// output no live settlement spends. `None` when there is none: the next one builds on the
    /// newest rotation, or on the deployment. A draft counts, and has no NFT output yet; nothing
    /// can build on it.
    pub async fn settlement_tip(&mut self) -> Result<Option<Settlement>, StoreError> {
        let row = sqlx::query(sql(format!(
            select!(
                "WHERE {} AND NOT EXISTS (SELECT 1 FROM settlements later \
                 WHERE later.nft_input = settlements.nft_output AND {}) \
                 AND epoch = {} ORDER BY id DESC LIMIT 1"
            ),
            holds("settlements"),
            holds("later"),
            NEWEST_EPOCH
        )))
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// How many settlements wait for one another and are in no block; not one that stands by.
    pub async fn unconfirmed_settlement_count(&mut self) -> Result<u64, StoreError> {
        let unconfirmed = SettlementStage::those(SettlementStage::is_unconfirmed);
        let row = sqlx::query(sql(format!(
            "SELECT COUNT(*) AS total FROM settlements WHERE state_name IN ({}) AND {}",
            listed(unconfirmed.map(SettlementStage::name)),
            holds("settlements")
        )))
        .fetch_one(self.connection())
        .await?;
        row.u64("total")
    }

    /// Settlements in order of creation, after `after_id` (0: from the start).
    pub async fn settlements(
        &mut self,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(select!("WHERE id > $1 ORDER BY id LIMIT $2"))
            .bind(after(after_id))
            .bind(page(limit))
            .fetch_all(self.connection())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Settlements in a state, in order of creation.
    pub async fn settlements_in_state(
        &mut self,
        stage: SettlementStage,
        after_id: u64,
        limit: u32,
    ) -> Result<Vec<Settlement>, StoreError> {
        let rows = sqlx::query(select!(
            "WHERE state_name = $1 AND id > $2 ORDER BY id LIMIT $3"
        ))
        .bind(stage.name())
        .bind(after(after_id))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// What a settlement pays, in order.
    pub async fn settlement_items(
        &mut self,
        id: SettlementId,
    ) -> Result<Vec<SettlementItem>, StoreError> {
        let rows = sqlx::query(
            "SELECT request, deposit, amount_out_sat, fee_share_sat FROM settlement_items WHERE settlement = $1 \
             ORDER BY position",
        )
        .bind(after(id.0))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(item).collect()
    }

    /// The newest settlement whose proposal has this name. Two have one only when the first was
    /// given up and the second was built alike.
    pub async fn settlement_by_proposal(
        &mut self,
        name: &str,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT id FROM settlements WHERE proposal_id = $1 ORDER BY id DESC LIMIT 1",
        )
        .bind(name)
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("id")).transpose()
    }

    /// The live settlement that uses a deposit.
    pub async fn settlement_using(
        &mut self,
        deposit: &OutPoint,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT settlement FROM settlement_items WHERE deposit = $1 AND active = 1",
        )
        .bind(deposit.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("settlement")).transpose()
    }

    /// The live settlement that serves a request. One that only names it, in an output that is not
    /// known to be its deposit, does not.
    async fn settlement_serving(
        &mut self,
        request: &RequestId,
    ) -> Result<Option<SettlementId>, StoreError> {
        let row = sqlx::query(
            "SELECT settlement FROM settlement_items \
             WHERE request = $1 AND request_row IS NOT NULL AND active = 1",
        )
        .bind(request.to_string())
        .fetch_optional(self.connection())
        .await?;
        row.map(|row| row.settlement_id("settlement")).transpose()
    }
}

/// What a txid commits to.
pub(crate) fn without_witnesses(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for input in &mut transaction.input {
        input.witness = Witness::new();
    }
    transaction
}

pub(crate) fn item(row: &DbRow) -> Result<SettlementItem, StoreError> {
    Ok(SettlementItem {
        request: row.parsed("request")?,
        deposit: row.outpoint("deposit")?,
        amount_out: row.amount("amount_out_sat")?,
        fee_share: row.amount("fee_share_sat")?,
    })
}

pub(crate) fn read(row: &DbRow) -> Result<Settlement, StoreError> {
    Ok(Settlement {
        id: row.settlement_id("id")?,
        state: row.versioned("state")?,
        epoch: Epoch(row.u64("epoch")?),
        nft_input: row.outpoint("nft_input")?,
        nft_output: row.maybe_parsed("nft_output")?,
        txid: row.maybe_parsed("txid")?,
        fee: row.maybe_amount("fee_sat")?,
        weight: row.maybe_u64("weight")?.map(Weight::from_wu),
        vsize: row.maybe_u64("vsize")?,
        block: row.maybe_block("height", "hash")?,
        stage_since: row.u64("stage_since")?,
        adopted: row.u64("adopted")? == 1,
        replaces: row.maybe_u64("replaces")?.map(SettlementId),
        created_at: row.u64("created_at")?,
        updated_at: row.u64("updated_at")?,
    })
}
