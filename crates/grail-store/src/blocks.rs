//! The cursor over blocks, and undoing what a reorg takes away.

use bitcoin::OutPoint;
use grail_flow::{BlockRef, SettlementId};

use crate::{
    Conflict, Reader, StoreError, StoreTx,
    column::{Columns, page},
};

/// Blocks that the cursor remembers: two days, as deep as a reorg may go.
pub const BLOCKS_KEPT: u32 = 288;

/// What lost its block in a rewind. The caller tells the machines, in the same step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewound {
    /// Deposits that are unconfirmed now.
    pub deposits: Vec<OutPoint>,
    /// Deposits whose reclaim is unconfirmed now.
    pub reclaims: Vec<OutPoint>,
    /// Settlements that are in no block now; their state still says so.
    pub settlements: Vec<SettlementId>,
    /// The NFT's outputs that rotations made which are in no block now.
    pub rotations: Vec<OutPoint>,
}

impl Reader {
    /// The newest block taken.
    pub async fn last_block(&mut self) -> Result<Option<BlockRef>, StoreError> {
        let row = sqlx::query("SELECT height, hash FROM blocks ORDER BY height DESC LIMIT 1")
            .fetch_optional(self.connection())
            .await?;
        match row {
            None => Ok(None),
            Some(row) => row.maybe_block("height", "hash"),
        }
    }

    /// The newest blocks taken, oldest first, at most [`BLOCKS_KEPT`].
    pub async fn recent_blocks(&mut self) -> Result<Vec<BlockRef>, StoreError> {
        let rows = sqlx::query("SELECT height, hash FROM blocks ORDER BY height DESC LIMIT $1")
            .bind(page(BLOCKS_KEPT))
            .fetch_all(self.connection())
            .await?;
        rows.iter()
            .rev()
            .filter_map(|row| row.maybe_block("height", "hash").transpose())
            .collect()
    }
}

impl StoreTx {
    /// Notes that `block` was taken: the first of all, or the one above the newest.
    ///
    /// # Errors
    /// [`Conflict::BlockDoesNotFollow`] at any other height.
    pub async fn connect_block(&mut self, block: BlockRef) -> Result<(), StoreError> {
        if let Some(last) = self.last_block().await? {
            let expected = last.height.saturating_add(1);
            if block.height != expected {
                return Err(Conflict::BlockDoesNotFollow {
                    expected,
                    got: block.height,
                }
                .into());
            }
        }
        sqlx::query("INSERT INTO blocks (height, hash) VALUES ($1, $2)")
            .bind(i64::from(block.height))
            .bind(block.hash.to_string())
            .execute(self.connection())
            .await?;
        sqlx::query("DELETE FROM blocks WHERE height <= $1")
            .bind(i64::from(block.height) - i64::from(BLOCKS_KEPT))
            .execute(self.connection())
            .await?;
        Ok(())
    }

    /// Forgets all blocks above `to` (`None`: all), and the height of everything that was in one of
    /// them.
    ///
    /// # Errors
    /// [`Conflict::BlockUnknown`] when `to` is not among the remembered blocks.
    pub async fn rewind_blocks(
        &mut self,
        to: Option<BlockRef>,
        now: u64,
    ) -> Result<Rewound, StoreError> {
        if let Some(to) = to {
            let known = sqlx::query("SELECT height FROM blocks WHERE height = $1 AND hash = $2")
                .bind(i64::from(to.height))
                .bind(to.hash.to_string())
                .fetch_optional(self.connection())
                .await?;
            if known.is_none() {
                return Err(Conflict::BlockUnknown { height: to.height }.into());
            }
        }
        let above = to.map_or(-1, |to| i64::from(to.height));
        let now = crate::column::integer("now", now)?;
        let deposits = sqlx::query(
            "UPDATE deposits SET height = NULL, hash = NULL, updated_at = $2 WHERE height > $1 \
             RETURNING outpoint",
        )
        .bind(above)
        .bind(now)
        .fetch_all(self.connection())
        .await?;
        let reclaims = sqlx::query(
            "UPDATE deposits SET reclaim_txid = NULL, reclaim_height = NULL, reclaim_hash = NULL, \
             updated_at = $2 WHERE reclaim_height > $1 RETURNING outpoint",
        )
        .bind(above)
        .bind(now)
        .fetch_all(self.connection())
        .await?;
        let settlements = sqlx::query(
            "UPDATE settlements SET height = NULL, hash = NULL, updated_at = $2 WHERE height > $1 \
             RETURNING id",
        )
        .bind(above)
        .bind(now)
        .fetch_all(self.connection())
        .await?;
        self.rewind_vault_outputs(above).await?;
        let rotations = self.rewind_rotations(above).await?;
        sqlx::query("DELETE FROM blocks WHERE height > $1")
            .bind(above)
            .execute(self.connection())
            .await?;
        let mut rewound = Rewound {
            deposits: deposits
                .iter()
                .map(|row| row.outpoint("outpoint"))
                .collect::<Result<_, _>>()?,
            reclaims: reclaims
                .iter()
                .map(|row| row.outpoint("outpoint"))
                .collect::<Result<_, _>>()?,
            settlements: settlements
                .iter()
                .map(|row| row.settlement_id("id"))
                .collect::<Result<_, _>>()?,
            rotations: Vec::new(),
        };
        rewound.rotations = rotations;
        // `RETURNING` promises no order; callers and tests deserve one.
        rewound.deposits.sort_unstable();
        rewound.reclaims.sort_unstable();
        rewound.settlements.sort_unstable();
        rewound.rotations.sort_unstable();
        Ok(rewound)
    }
}
