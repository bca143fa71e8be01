//! The backend's rows, read beside it: the API does not tell every state apart.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use grail_flow::{SettlementId, SettlementStage};
use grail_store::{Settlement, Store, StoredAlarm};
use tokio::runtime::Runtime;

use super::PATIENCE;

/// Between two looks: states pass within milliseconds.
const LOOK_INTERVAL: Duration = Duration::from_millis(1);
/// Settlements looked at.
const PAGE: u32 = 1_000;

/// An open database of a backend, running or not.
pub struct Rows {
    store: Store,
    runtime: Runtime,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl Rows {
    pub(super) fn open(url: &str) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let store = runtime.block_on(Store::open(url))?;
        Ok(Self { store, runtime })
    }

    /// All settlements, the newest last.
    pub fn settlements(&self) -> Result<Vec<Settlement>> {
        self.runtime.block_on(async {
            let mut reader = self.store.read().await?;
            let mut found = Vec::new();
            for state in SettlementStage::ALL {
                found.extend(reader.settlements_in_state(*state, 0, PAGE).await?);
            }
            found.sort_by_key(|settlement| settlement.id);
            Ok(found)
        })
    }

    /// The newest settlement.
    pub fn newest(&self) -> Result<Option<Settlement>> {
        Ok(self.settlements()?.pop())
    }

    /// Waits until a settlement is in the state of this name, and returns it.
    pub fn until_state(&self, name: &str) -> Result<Settlement> {
        let stage: SettlementStage = name.parse()?;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let found = self.runtime.block_on(async {
                let mut reader = self.store.read().await?;
                reader.settlements_in_state(stage, 0, PAGE).await
            })?;
            if let Some(newest) = found.into_iter().next_back() {
                return Ok(newest);
            }
            std::thread::sleep(LOOK_INTERVAL);
        }
        bail!("no settlement came to be {name}")
    }

    /// What operators were asked about a settlement, as they got it.
    pub fn proposal(&self, id: SettlementId) -> Result<Vec<u8>> {
        self.runtime.block_on(async {
            let mut reader = self.store.read().await?;
            reader.proposal(id).await?.context("no such settlement")
        })
    }

    /// How many requests were ever made; up to a page's.
    pub fn request_count(&self) -> Result<usize> {
        self.runtime.block_on(async {
            let mut reader = self.store.read().await?;
            Ok(reader.requests(0, PAGE).await?.len())
        })
    }

    /// All alarms, acknowledged or not.
    pub fn alarms(&self) -> Result<Vec<StoredAlarm>> {
        self.runtime.block_on(async {
            let mut reader = self.store.read().await?;
            Ok(reader.alarms(0, PAGE).await?)
        })
    }
}
