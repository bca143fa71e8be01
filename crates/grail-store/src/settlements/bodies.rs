//! The large parts, in a table of their own: what is to be proven, what operators are asked, the
//! transaction. They go once nobody can need them ([`StoreTx::trim_settlements`]).

use bitcoin::{OutPoint, Transaction, Txid, consensus::encode};
use grail_flow::{SettlementId, named_enum};

use super::{BuiltTransaction, PROPOSAL_BYTES_MAX, without_witnesses};
use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, sat},
    form::{read_bytes, write_bytes},
    transactions::decode,
};

named_enum! {
    /// A large part of a settlement.
    pub(super) enum Body {
        /// What is to be proven.
        Draft = "draft",
        /// What operators are asked.
        Proposal = "proposal",
        /// The transaction without witnesses.
        Unsigned = "unsigned",
        /// The transaction with them.
        Signed = "signed",
    }
}

impl Reader {
    async fn body(&mut self, id: SettlementId, body: Body) -> Result<Option<Vec<u8>>, StoreError> {
        let row =
            sqlx::query("SELECT body FROM settlement_bodies WHERE settlement = $1 AND kind = $2")
                .bind(after(id.0))
                .bind(body.name())
                .fetch_optional(self.connection())
                .await?;
        row.map(|row| row.bytes("body")).transpose()
    }

    /// What is to be proven, as given by [`StoreTx::create_settlement`]; none once it is.
    pub async fn draft(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let draft = self.body(id, Body::Draft).await?;
        draft
            .map(|draft| read_bytes("settlement_bodies.draft", draft))
            .transpose()
    }

    /// What operators are asked, as given by [`StoreTx::set_proposal`]; none before that, nor long
    /// after.
    pub async fn proposal(&mut self, id: SettlementId) -> Result<Option<Vec<u8>>, StoreError> {
        let proposal = self.body(id, Body::Proposal).await?;
        proposal
            .map(|proposal| read_bytes("settlement_bodies.proposal", proposal))
            .transpose()
    }

    /// The transaction without signatures, once built. Of one that is settled for long, as it is
    /// kept among all transactions.
    pub async fn unsigned_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        if let Some(body) = self.body(id, Body::Unsigned).await? {
            return decode("settlement_bodies.unsigned", &body).map(Some);
        }
        let txid = self.settlement(id).await?.and_then(|row| row.txid);
        let Some(txid) = txid else { return Ok(None) };
        let kept = self.transaction(&txid).await?;
        Ok(kept.as_ref().map(without_witnesses))
    }

    /// The transaction with signatures, once a quorum signed, and for as long as it may have to be
    /// published again.
    pub async fn signed_transaction(
        &mut self,
        id: SettlementId,
    ) -> Result<Option<Transaction>, StoreError> {
        let body = self.body(id, Body::Signed).await?;
        body.map(|body| decode("settlement_bodies.signed", &body))
            .transpose()
    }
}

impl StoreTx {
    pub(super) async fn put_body(
        &mut self,
        id: SettlementId,
        body: Body,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO settlement_bodies (settlement, kind, body) VALUES ($1, $2, $3) \
             ON CONFLICT (settlement, kind) DO UPDATE SET body = excluded.body",
        )
        .bind(after(id.0))
        .bind(body.name())
        .bind(bytes)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    async fn drop_body(&mut self, id: SettlementId, body: Body) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM settlement_bodies WHERE settlement = $1 AND kind = $2")
            .bind(after(id.0))
            .bind(body.name())
            .execute(self.connection())
            .await?;
        Ok(())
    }

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
        sqlx::query("UPDATE settlements SET proposal_id = $2, updated_at = $3 WHERE id = $1")
            .bind(after(id.0))
            .bind(name)
            .bind(integer("now", now)?)
            .execute(self.connection())
            .await?;
        self.put_body(id, Body::Proposal, write_bytes(proposal))
            .await?;
        self.drop_body(id, Body::Draft).await
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
            "UPDATE settlements SET txid = $2, nft_output = $3, fee_sat = $4, weight = $5, vsize = $6, \
             updated_at = $7 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(txid.to_string())
        .bind(OutPoint::new(txid, built.nft_vout).to_string())
        .bind(sat("fee", built.fee)?)
        .bind(integer("weight", built.weight.to_wu())?)
        .bind(integer("vsize", built.weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        let unsigned = encode::serialize(built.unsigned);
        self.put_body(id, Body::Unsigned, unsigned).await?;
        self.drop_body(id, Body::Signed).await?;
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
            "UPDATE settlements SET weight = $2, vsize = $3, updated_at = $4 WHERE id = $1",
        )
        .bind(after(id.0))
        .bind(integer("weight", weight.to_wu())?)
        .bind(integer("vsize", weight.to_vbytes_ceil())?)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        self.put_body(id, Body::Signed, encode::serialize(signed))
            .await
    }
}
