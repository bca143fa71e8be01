//! The newest evidence that each signer has shown, as the caller encodes it. Evidence proves where
//! a key was born, not what runs now: whoever reads it verifies it again.

use bitcoin::XOnlyPublicKey;

use crate::{
    Reader, StoreError, StoreTx,
    column::{Columns, at_most, integer},
};

/// Longest record: evidence of 32 KiB in base64, and what is around it.
pub const EVIDENCE_BYTES_MAX: usize = 64 << 10;

impl Reader {
    /// The record of a signer.
    pub async fn evidence(
        &mut self,
        signer: &XOnlyPublicKey,
    ) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT record FROM signer_evidence WHERE public_key = $1")
            .bind(signer.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| row.text("record")).transpose()
    }
}

impl StoreTx {
    /// Keeps a signer's record in place of the one before. At most `most` signers have one: those
    /// who showed theirs last.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`].
    pub async fn put_evidence(
        &mut self,
        signer: &XOnlyPublicKey,
        record: &str,
        most: u32,
        now: u64,
    ) -> Result<(), StoreError> {
        at_most("length of the evidence", record.len(), EVIDENCE_BYTES_MAX)?;
        sqlx::query(
            "INSERT INTO signer_evidence (public_key, record, updated_at) VALUES ($1, $2, $3) \
             ON CONFLICT (public_key) DO UPDATE SET record = excluded.record, \
             updated_at = excluded.updated_at",
        )
        .bind(signer.to_string())
        .bind(record)
        .bind(integer("now", now)?)
        .execute(self.connection())
        .await?;
        sqlx::query(
            "DELETE FROM signer_evidence WHERE public_key NOT IN (SELECT public_key \
             FROM signer_evidence ORDER BY updated_at DESC, public_key LIMIT $1)",
        )
        .bind(i64::from(most))
        .execute(self.connection())
        .await?;
        Ok(())
    }
}
