//! The large columns: what is to be proven, what operators are asked, the transaction.

use bitcoin::{OutPoint, Transaction, Txid, consensus::encode};
use grail_flow::{SettlementId, SettlementStage};

use super::{BuiltTransaction, PROPOSAL_BYTES_MAX};
use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, sat},
    db::DbRow,
    form::{is_unversioned, read_bytes, write_bytes},
    transactions::decode,
};

impl Reader {
    /// What is to be proven, as given by [`StoreTx::create_settlement`]; none once it is.
    pub async fn draft(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT draft, proposal, proposal_id, state_name FROM settlements WHERE id = $1",
        )
        .bind(after(id.0))
        .fetch_optional(self.connection())
        .await?;
        let Some(row) = row else { return Ok(None) };
        match row.maybe_bytes("draft")? {
            Some(draft) => read_bytes("settlements.draft", draft).map(Some),
            None => old_draft(&row),
        }
    }

    /// What operators are asked, as given by [`StoreTx::set_proposal`]; none before that.
    pub async fn proposal(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let row =
            sqlx::query("SELECT proposal, proposal_id, state_name FROM settlements WHERE id = $1")
                .bind(after(id.0))
                .fetch_optional(self.connection())
                .await?;
        let Some(row) = row else { return Ok(None) };
        let stored = row.bytes("proposal")?;
        if stored.is_empty() || old_draft(&row)?.is_some() {
            return Ok(None);
        }
        read_bytes("settlements.proposal", stored).map(Some)
    }

    /// The transaction without signatures, once built.
    pub async fn unsigned_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        let row = sqlx::query("SELECT unsigned_tx FROM settlements WHERE id = $1")
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        row.maybe_bytes("unsigned_tx")?
            .map(|bytes| decode("settlements.unsigned_tx", &bytes))
            .transpose()
    }

    /// The transaction with signatures, once a quorum signed.
    pub async fn signed_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        let row = sqlx::query("SELECT signed_tx FROM settlements WHERE id = $1")
            .bind(after(id.0))
            .fetch_optional(self.connection())
            .await?;
        let Some(row) = row else { return Ok(None) };
        row.maybe_bytes("signed_tx")?
            .map(|bytes| decode("settlements.signed_tx", &bytes))
            .transpose()
    }
}

impl StoreTx {
    /// Says what operators are asked, once the proof is there, and the name by which they answer.
    /// The draft is in it, and goes.
    pub async fn set_proposal(
        &mut self,
        id: SettlementId,
        name: &str,
        proposal: &[u8],
        now: u64,
    ) -> Result<(), StoreError> {
        at_most("length of the proposal", proposal.len(), PROPOSAL_BYTES_MAX)?;
        self.live(id).await?;
        sqlx::query(
            "UPDATE settlements SET proposal = $2, proposal_id = $3, draft = NULL, updated_at = $4 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(write_bytes(proposal))
        .bind(name)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Attaches the transaction without signatures.
    ///
    /// # Errors
    /// [`Conflict::TransactionTaken`] when it is another live settlement's;
    /// [`Conflict::TransactionDiffers`] when it does not spend the settlement's NFT or lacks the
    /// NFT's output.
    pub async fn set_built(
        &mut self,
        id: SettlementId,
        built: &BuiltTransaction<'_>,
        now: u64,
    ) -> Result<Txid, StoreError> {
        let settlement = self.live(id).await?;
        let txid = built.unsigned.compute_txid();
        let spends_nft = built
            .unsigned
            .input
            .iter()
            .any(|input| input.previous_output == settlement.nft_input);
        let makes_nft =
            usize::try_from(built.nft_vout).is_ok_and(|vout| vout < built.unsigned.output.len());
        if !spends_nft || !makes_nft {
            return Err(Conflict::TransactionDiffers.into());
        }
        self.refuse_taken(id, &txid).await?;
        sqlx::query(
            "UPDATE settlements SET unsigned_tx = $2, signed_tx = NULL, txid = $3, nft_output = $4, fee_sat = $5, \
             weight = $6, vsize = $7, updated_at = $8 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(encode::serialize(built.unsigned))
        .bind(txid.to_string())
        .bind(OutPoint::new(txid, built.nft_vout).to_string())
        .bind(sat("fee", built.fee)?)
        .bind(integer("weight", built.weight.to_wu())?)
        .bind(integer("vsize", built.weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(txid)
    }

    /// Attaches the transaction with signatures, and its true weight.
    ///
    /// # Errors
    /// [`Conflict::TransactionDiffers`] when it is not the one built.
    pub async fn set_signed(
        &mut self,
        id: SettlementId,
        signed: &Transaction,
        now: u64,
    ) -> Result<(), StoreError> {
        let settlement = self.live(id).await?;
        if settlement.txid != Some(signed.compute_txid()) {
            return Err(Conflict::TransactionDiffers.into());
        }
        let weight = signed.weight();
        sqlx::query(
            "UPDATE settlements SET signed_tx = $2, weight = $3, vsize = $4, updated_at = $5 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(encode::serialize(signed))
        .bind(integer("weight", weight.to_wu())?)
        .bind(integer("vsize", weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }
}

/// The draft in a row of before drafts had a column of their own: it stands where the proposal
/// does, without a version, and has no proposal's name.
fn old_draft(row: &DbRow) -> Result<Option<Vec<u8>>, StoreError> {
    let stored = row.bytes("proposal")?;
    let is_draft = row.text("state_name")? == SettlementStage::Draft.name()
        && row.maybe_text("proposal_id")?.is_none();
    Ok((is_draft && is_unversioned(&stored)).then_some(stored))
}
