//! Requests that wait for lower fees.

use grail_types::RequestId;

use crate::{Reader, StoreError, StoreTx, column::Columns};

impl Reader {
    /// Height since which a request's part of the fee has been above its cap; none when it is not,
    /// or was not looked at.
    pub async fn fee_wait(&mut self, request: &RequestId) -> Result<Option<u32>, StoreError> {
        let row = sqlx::query("SELECT since_height FROM fee_waits WHERE request = $1")
            .bind(request.to_string())
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| row.u32("since_height")).transpose()
    }
}

impl StoreTx {
    /// A request's part of the fee was found above its cap at `height`; since when it has been.
    pub async fn begin_fee_wait(
        &mut self,
        request: &RequestId,
        height: u32,
    ) -> Result<u32, StoreError> {
        sqlx::query(
            "INSERT INTO fee_waits (request, since_height) VALUES ($1, $2) ON CONFLICT DO NOTHING",
        )
        .bind(request.to_string())
        .bind(i64::from(height))
        .execute(self.connection())
        .await?;
        Ok(self.fee_wait(request).await?.unwrap_or(height))
    }

    /// A request's part of the fee is within its cap, or does not matter any more.
    pub async fn end_fee_wait(&mut self, request: &RequestId) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM fee_waits WHERE request = $1")
            .bind(request.to_string())
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
