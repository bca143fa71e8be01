//! Reading blocks again because a person asks for it: they are undone as a reorg undoes them, and
//! taken again from the node.

use grail_flow::BlockRef;

use super::Scanner;
use crate::step::Step;

/// Blocks that may be read again: half of those that the rows remember, so that a real reorg in the
/// middle of it is still followed. Further back a new database is the way.
const RESCAN_BLOCKS_MAX: u32 = 144;

/// Why blocks cannot be read again from a height.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RescanError {
    #[error("expected a height from {start} on, where the bridge begins, got {got}")]
    BeforeBridge { start: u32, got: u32 },
    #[error("expected a height up to {newest}, the newest block read, got {got}")]
    AboveTip { newest: u32, got: u32 },
    #[error(
        "expected a height from {least} on, got {got}: further back make a new database (grail-backend rebuild)"
    )]
    TooDeep { least: u32, got: u32 },
}

/// The block to go back to, so that the next one read is at `from`; none where that is the bridge's
/// first. `recent` are the newest blocks taken, oldest first.
pub(crate) fn rescan_base(
    recent: &[BlockRef],
    start: u32,
    from: u32,
) -> Result<Option<BlockRef>, RescanError> {
    if from < start {
        return Err(RescanError::BeforeBridge { start, got: from });
    }
    let newest = recent.last().map_or(start, |block| block.height);
    if from > newest {
        return Err(RescanError::AboveTip { newest, got: from });
    }
    let oldest = recent.first().map_or(start, |block| block.height);
    // The block before the first one read again must be remembered, unless there is none.
    let remembered = if oldest == start {
        start
    } else {
        oldest.saturating_add(1)
    };
    let bound = newest.saturating_sub(RESCAN_BLOCKS_MAX - 1);
    let least = remembered.max(bound);
    if from < least {
        return Err(RescanError::TooDeep { least, got: from });
    }
    let before = |block: &&BlockRef| block.height.checked_add(1) == Some(from);
    Ok(recent.iter().find(before).copied())
}

impl Scanner<'_> {
    /// Undoes the blocks that somebody asks to be read again; the next look takes them.
    pub async fn rescan(&mut self) -> anyhow::Result<()> {
        let asked = self.backend.store.read().await?.rescan_from().await?;
        if asked.is_none() {
            return Ok(());
        }
        let mut step = Step::begin(self.backend).await?;
        // In the step's own view: another process may have done it.
        let Some(from) = step.tx.rescan_from().await? else {
            return Ok(());
        };
        step.tx.begin_rescan().await?;
        let recent = step.tx.recent_blocks().await?;
        match rescan_base(&recent, self.backend.deployment.start_height, from) {
            Ok(to) => {
                tracing::warn!(from, "blocks undone to be read again");
                self.undo(&mut step, to).await?;
            }
            // Blocks came or went since it was asked for.
            Err(error) => tracing::warn!(%error, "blocks are not read again"),
        }
        step.commit().await?;
        self.mempool_seen.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bitcoin::{BlockHash, hashes::Hash as _};

    use super::*;

    fn blocks(heights: std::ops::RangeInclusive<u32>) -> Vec<BlockRef> {
        let hash = BlockHash::all_zeros();
        heights.map(|height| BlockRef { height, hash }).collect()
    }

    fn base(recent: &[BlockRef], from: u32) -> Result<Option<u32>, RescanError> {
        rescan_base(recent, 100, from).map(|to| to.map(|block| block.height))
    }

    #[test]
    fn blocks_are_read_again_from_where_the_bridge_begins_to_the_newest() {
        let recent = blocks(100..=110);
        assert_eq!(base(&recent, 110), Ok(Some(109)));
        assert_eq!(base(&recent, 101), Ok(Some(100)));
        assert_eq!(base(&recent, 100), Ok(None));
        let before = RescanError::BeforeBridge {
            start: 100,
            got: 99,
        };
        assert_eq!(base(&recent, 99), Err(before));
        let above = RescanError::AboveTip {
            newest: 110,
            got: 111,
        };
        assert_eq!(base(&recent, 111), Err(above));
    }

    #[test]
    fn blocks_that_are_not_remembered_or_too_many_are_not_undone() {
        let few = blocks(500..=510);
        assert_eq!(base(&few, 501), Ok(Some(500)));
        let deep = RescanError::TooDeep {
            least: 501,
            got: 500,
        };
        assert_eq!(base(&few, 500), Err(deep));
        let many = blocks(500..=787);
        assert_eq!(base(&many, 644), Ok(Some(643)));
        let deep = RescanError::TooDeep {
            least: 644,
            got: 643,
        };
        assert_eq!(base(&many, 643), Err(deep));
    }
}
