//! Every roster that the bridge had, verified from the history of its NFT.
//!
//! Owns which roster is of which epoch, which one a script belongs to, and which one new deposit
//! addresses are made with. Trusts the deployment that the operator of this backend pinned. Rows
//! hold evidence and no rosters: each is adopted anew from the one before it, as an operator would
//! (`grail_policy::adoption`), so a damaged or forged row is an error and never a roster. That a
//! rotation is in a block is the scanner's to say: it records those of blocks alone.

use std::sync::Arc;

use anyhow::{Context, ensure};
use bitcoin::{
    Script, Transaction,
    secp256k1::{Secp256k1, Verification},
};
use grail_flow::{BlockRef, confirmations};
use grail_policy::adoption::{
    AdoptedRoster, AdoptionError, Genesis, Handover, adopt_genesis, adopt_next,
};
use grail_script::VaultTree;
use grail_store::{Reader, Rotation};
use grail_types::{Bridge, Epoch, Roster};

use crate::backend::Backend;

/// Rows read at a time.
const PAGE: u32 = 500;

/// The rosters of all epochs so far: the first, and those that rotations in blocks made.
#[derive(Clone, Debug)]
pub struct Rosters {
    first: AdoptedRoster,
    later: Vec<Later>,
}

#[derive(Clone, Debug)]
struct Later {
    rotation: Rotation,
    adopted: AdoptedRoster,
}

/// Why no deposit address can be made now: the newest roster is not settled yet, and the one before
/// it holds no NFT any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the roster is changing to epoch {epoch}: expected {needed} confirmations, got {confirmations}"
)]
pub struct Changing {
    /// The new epoch.
    pub epoch: Epoch,
    /// Of its rotation.
    pub confirmations: u32,
    /// That it needs.
    pub needed: u32,
}

impl Rosters {
    /// The first roster alone: the one that the deployment made.
    pub fn first<C: Verification>(
        secp: &Secp256k1<C>,
        bridge: &Bridge,
        deployment: &Transaction,
    ) -> Result<Self, AdoptionError> {
        let pin = Genesis(deployment.compute_txid());
        let first = adopt_genesis(secp, bridge, &pin, deployment)?;
        let later = Vec::new();
        Ok(Self { first, later })
    }

    /// The newest one.
    pub fn newest(&self) -> &AdoptedRoster {
        self.later.last().map_or(&self.first, |it| &it.adopted)
    }

    /// The one of an epoch.
    pub fn of(&self, epoch: Epoch) -> Option<&AdoptedRoster> {
        match epoch.0.checked_sub(1) {
            None => Some(&self.first),
            Some(index) => {
                let index = usize::try_from(index).ok()?;
                self.later.get(index).map(|it| &it.adopted)
            }
        }
    }

    /// The one whose vault has this script. Should two have the same one, the later.
    pub fn at(&self, script: &Script) -> Option<&AdoptedRoster> {
        let rosters = self.later.iter().map(|it| &it.adopted).rev();
        rosters
            .chain([&self.first])
            .find(|adopted| *adopted.vault().script_pubkey == *script)
    }

    /// The rotation that made the roster of an epoch; none for the first.
    pub fn rotation(&self, epoch: Epoch) -> Option<&Rotation> {
        let mut later = self.later.iter().map(|it| &it.rotation);
        later.find(|rotation| rotation.epoch == epoch)
    }

    /// The roster for new deposit addresses: the newest. One whose rotation a reorg can still undo
    /// gets none, for a deposit to a roster that never was is lost to the bridge until its user
    /// takes it back.
    pub fn issuing(&self, tip_height: u32, needed: u32) -> Result<&AdoptedRoster, Changing> {
        let Some(Later { rotation, adopted }) = self.later.last() else {
            return Ok(&self.first);
        };
        let confirmations = confirmations(tip_height, rotation.block.height);
        if confirmations < needed {
            return Err(Changing {
                epoch: rotation.epoch,
                confirmations,
                needed,
            });
        }
        Ok(adopted)
    }

    /// How many epochs there were.
    pub fn count(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    /// Adopts the roster that a rotation in `block` makes.
    pub fn adopt<C: Verification>(
        &mut self,
        secp: &Secp256k1<C>,
        bridge: &Bridge,
        handover: &Handover,
        block: BlockRef,
    ) -> Result<Rotation, AdoptionError> {
        let adopted = adopt_next(secp, bridge, self.newest(), handover)?;
        let spent = handover.transaction.input.first();
        let rotation = Rotation {
            epoch: adopted.epoch(),
            txid: adopted.txid(),
            nft_input: spent
                .expect("what was adopted has an input 0")
                .previous_output,
            block,
        };
        self.later.push(Later { rotation, adopted });
        Ok(rotation)
    }

    /// How many of the later ones are those of `rows`, from the first on.
    fn shared(&self, rows: &[Rotation]) -> usize {
        let pairs = self.later.iter().zip(rows);
        pairs.take_while(|(it, row)| it.rotation == **row).count()
    }
}

impl Backend {
    /// The rosters according to rows. Those that were adopted before are not adopted again.
    pub async fn rosters(&self, reader: &mut Reader) -> anyhow::Result<Arc<Rosters>> {
        let rows = rotations(reader).await?;
        let known = self.adopted.get();
        let shared = known.shared(&rows);
        if shared == known.later.len() && shared == rows.len() {
            return Ok(known);
        }
        let mut rosters = (*known).clone();
        rosters.later.truncate(shared);
        for row in rows.iter().skip(shared) {
            let bytes = reader.handover(row.epoch).await?;
            let bytes = bytes.context("a rotation without its handover")?;
            let handover = Handover::from_bytes(&bytes)?;
            let rotation = rosters
                .adopt(&self.secp, self.bridge(), &handover, row.block)
                .with_context(|| format!("the roster of epoch {} in the rows", row.epoch))?;
            ensure!(
                rotation == *row,
                "the row of epoch {} is of another rotation than its handover",
                row.epoch
            );
        }
        let rosters = Arc::new(rosters);
        self.adopted.keep(Arc::clone(&rosters));
        Ok(rosters)
    }

    /// The roster of an epoch according to rows.
    pub async fn roster_of(&self, reader: &mut Reader, epoch: Epoch) -> anyhow::Result<Roster> {
        let rosters = self.rosters(reader).await?;
        let adopted = rosters
            .of(epoch)
            .with_context(|| format!("no roster of epoch {epoch} is known"))?;
        Ok(adopted.roster().clone())
    }

    /// The vault of the newest roster according to rows.
    pub async fn newest_vault(&self, reader: &mut Reader) -> anyhow::Result<VaultTree> {
        Ok(self.rosters(reader).await?.newest().vault().clone())
    }
}

async fn rotations(reader: &mut Reader) -> anyhow::Result<Vec<Rotation>> {
    let mut rows: Vec<Rotation> = Vec::new();
    loop {
        let after = rows.last().map_or(Epoch(0), |row| row.epoch);
        let page = reader.rotations(after, PAGE).await?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

/// What was adopted last in this process: saves adopting it again, and decides nothing.
#[derive(Debug)]
pub(crate) struct LastAdopted(std::sync::Mutex<Arc<Rosters>>);

impl LastAdopted {
    pub(crate) fn new(rosters: Rosters) -> Self {
        Self(std::sync::Mutex::new(Arc::new(rosters)))
    }

    fn get(&self) -> Arc<Rosters> {
        Arc::clone(&self.lock())
    }

    fn keep(&self, rosters: Arc<Rosters>) {
        *self.lock() = rosters;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Arc<Rosters>> {
        // Whole after each write, so a panic elsewhere does not spoil it.
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
