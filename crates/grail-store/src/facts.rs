//! Facts about the database itself, written once: which network, bridge and parameters it serves,
//! where the NFT began.

use crate::{Conflict, Reader, StoreError, StoreTx, column::Columns};

impl Reader {
    /// A fact's value.
    pub async fn fact(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT value FROM facts WHERE name = $1")
            .bind(name)
            .fetch_optional(self.connection())
            .await?;
        row.map(|row| row.text("value")).transpose()
    }
}

impl StoreTx {
    /// Records a fact; doing so again with the same value changes nothing.
    ///
    /// # Errors
    /// [`Conflict::FactDiffers`] when it is recorded with another value.
    pub async fn put_fact(&mut self, name: &str, value: &str) -> Result<(), StoreError> {
        if let Some(stored) = self.fact(name).await? {
            if stored == value {
                return Ok(());
            }
            return Err(Conflict::FactDiffers {
                name: name.to_owned(),
                stored,
                given: value.to_owned(),
            }
            .into());
        }
        sqlx::query("INSERT INTO facts (name, value) VALUES ($1, $2)")
            .bind(name)
            .bind(value)
            .execute(self.connection())
            .await?;
        Ok(())
    }
}
