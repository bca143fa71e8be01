//! Rotations that enough administrators have signed, and the settlements that are their steps.
//!
//! Owns that a document is not replaced while a step of it lives. What a document says is its
//! callers' to verify.

use grail_flow::{SettlementId, SettlementStage, named_enum};
use grail_types::Epoch;

use crate::{
    PAGE_ROWS_MAX, Reader, Settlement, StoreError, StoreTx,
    column::{Columns, after, at_most, integer, page},
    db::{DbRow, sql},
};

/// Longest document: as long as the API reads one.
pub const ROTATION_DOCUMENT_BYTES_MAX: usize = 256 << 10;

named_enum! {
    /// A step of a rotation.
    pub enum RotationStep {
        /// Says which roster comes next.
        Announce = "announce",
        /// Takes that back.
        Cancel = "cancel",
        /// Hands over.
        Execute = "execute",
    }
}

/// A rotation by its documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRow {
    /// Number of the announcement.
    pub attempt: u64,
    /// The roster that hands over.
    pub epoch: Epoch,
    /// Hash of the roster to come, hex.
    pub next: String,
    /// The announcement, JSON; absent where somebody else announced it.
    pub announcement: Option<String>,
    /// The cancellation, JSON.
    pub cancellation: Option<String>,
}

/// A document that enough administrators have signed.
#[derive(Clone, Copy, Debug)]
pub struct SignedRotation<'a> {
    /// Number of the announcement.
    pub attempt: u64,
    /// The roster that hands over.
    pub epoch: Epoch,
    /// Hash of the roster to come, hex.
    pub next: &'a str,
    /// Whether it takes the announcement back.
    pub cancels: bool,
    /// JSON.
    pub document: &'a str,
    /// The time, unix seconds.
    pub now: u64,
}

impl SignedRotation<'_> {
    /// The document as announcement and as cancellation: it is one of them.
    const fn columns(&self) -> (Option<&str>, Option<&str>) {
        if self.cancels {
            (None, Some(self.document))
        } else {
            (Some(self.document), None)
        }
    }
}

/// A settlement that is a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationStepRow {
    /// Of which announcement.
    pub attempt: u64,
    /// Which one.
    pub step: RotationStep,
    /// Its row.
    pub settlement: Settlement,
}

const COLUMNS: &str = "attempt, epoch, next, announcement, cancellation";

impl Reader {
    /// Rotations, newest first.
    pub async fn signed_rotations(&mut self, limit: u32) -> Result<Vec<RotationRow>, StoreError> {
        let rows = sqlx::query(sql(format!(
            "SELECT {COLUMNS} FROM rotations ORDER BY attempt DESC LIMIT $1"
        )))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        rows.iter().map(read).collect()
    }

    /// The rotation of an announcement.
    pub async fn signed_rotation(
        &mut self,
        attempt: u64,
    ) -> Result<Option<RotationRow>, StoreError> {
        let row = sqlx::query(sql(format!(
            "SELECT {COLUMNS} FROM rotations WHERE attempt = $1"
        )))
        .bind(after(attempt))
        .fetch_optional(self.connection())
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The steps of a rotation that were ever planned here, newest first.
    pub async fn rotation_steps(
        &mut self,
        attempt: u64,
        limit: u32,
    ) -> Result<Vec<RotationStepRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT settlement, step FROM rotation_steps WHERE attempt = $1 \
             ORDER BY settlement DESC LIMIT $2",
        )
        .bind(after(attempt))
        .bind(page(limit))
        .fetch_all(self.connection())
        .await?;
        let settlements = self.settlements_of(&rows, "rotation_steps.settlement");
        let steps = settlements.await?.into_iter().zip(&rows);
        let step = |(settlement, row): (_, &DbRow)| {
            Ok(RotationStepRow {
                attempt,
                step: row.parsed("step")?,
                settlement,
            })
        };
        steps.map(step).collect()
    }
}

impl StoreTx {
    /// Keeps a document, in place of another one's of the same number that nothing came of. Whether
    /// it was new.
    ///
    /// # Errors
    /// [`StoreError::Stale`] when a step lives that another document of the number led to;
    /// [`StoreError::OutOfRange`].
    pub async fn keep_rotation(&mut self, signed: &SignedRotation<'_>) -> Result<bool, StoreError> {
        at_most(
            "length of the rotation",
            signed.document.len(),
            ROTATION_DOCUMENT_BYTES_MAX,
        )?;
        let known = self.signed_rotation(signed.attempt).await?;
        if let Some(known) = &known {
            let same = if signed.cancels {
                &known.cancellation
            } else {
                &known.announcement
            };
            if same.as_deref() == Some(signed.document) {
                return Ok(false);
            }
            if known.next != signed.next || known.epoch != signed.epoch {
                return self.replace_rotation(signed).await.map(|()| true);
            }
        }
        let (announcement, cancellation) = signed.columns();
        sqlx::query(
            "INSERT INTO rotations \
             (attempt, epoch, next, announcement, cancellation, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $6) ON CONFLICT (attempt) DO UPDATE SET \
             announcement = COALESCE(excluded.announcement, rotations.announcement), \
             cancellation = COALESCE(excluded.cancellation, rotations.cancellation), \
             updated_at = excluded.updated_at",
        )
        .bind(integer("attempt", signed.attempt)?)
        .bind(integer("epoch", signed.epoch.0)?)
        .bind(signed.next)
        .bind(announcement)
        .bind(cancellation)
        .bind(integer("now", signed.now)?)
        .execute(self.connection())
        .await?;
        Ok(true)
    }

    /// Puts a document in place of another one's with its number, unless a step of that lives.
    async fn replace_rotation(&mut self, signed: &SignedRotation<'_>) -> Result<(), StoreError> {
        let steps = self.rotation_steps(signed.attempt, PAGE_ROWS_MAX).await?;
        let mut stages = steps.iter().map(|it| it.settlement.state.stage());
        if stages.any(SettlementStage::is_live) {
            return Err(StoreError::Stale { what: "rotation" });
        }
        let (announcement, cancellation) = signed.columns();
        sqlx::query(
            "UPDATE rotations SET epoch = $2, next = $3, announcement = $4, cancellation = $5, \
             updated_at = $6 WHERE attempt = $1",
        )
        .bind(after(signed.attempt))
        .bind(integer("epoch", signed.epoch.0)?)
        .bind(signed.next)
        .bind(announcement)
        .bind(cancellation)
        .bind(integer("now", signed.now)?)
        .execute(self.connection())
        .await?;
        Ok(())
    }

    /// Takes note, in the step that makes it, that a settlement is a step of a rotation.
    pub async fn note_rotation_step(
        &mut self,
        settlement: SettlementId,
        attempt: u64,
        step: RotationStep,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO rotation_steps (settlement, attempt, step) VALUES ($1, $2, $3)")
            .bind(after(settlement.0))
            .bind(integer("attempt", attempt)?)
            .bind(step.name())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}

fn read(row: &DbRow) -> Result<RotationRow, StoreError> {
    Ok(RotationRow {
        attempt: row.u64("attempt")?,
        epoch: Epoch(row.u64("epoch")?),
        next: row.text("next")?,
        announcement: row.maybe_text("announcement")?,
        cancellation: row.maybe_text("cancellation")?,
    })
}
