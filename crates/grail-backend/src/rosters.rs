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
    OutPoint, Script,
    secp256k1::{Secp256k1, Verification},
};
use grail_flow::{BlockRef, confirmations};
use grail_policy::adoption::{
    AdoptedRoster, AdoptionError, Genesis, Handover, adopt_genesis, adopt_next,
};
use grail_store::{PAGE_ROWS_MAX, Reader, Rotation};
use grail_types::{Bridge, Epoch, ParamsHash, Roster};

use crate::backend::Backend;

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

/// Why no deposit address can be made now: what is paid to it could not be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotIssuing {
    /// A reorg can still undo the newest roster, and the one before it holds no NFT any more.
    #[error(
        "the roster is changing to epoch {epoch}: expected {needed} confirmations, got {confirmations}"
    )]
    Confirming {
        /// The new epoch.
        epoch: Epoch,
        /// Of its rotation.
        confirmations: u32,
        /// That it needs.
        needed: u32,
    },
    /// The NFT is in an epoch whose roster was not adopted.
    #[error("the roster NFT is in epoch {0}, whose roster is not known")]
    NotAdopted(Epoch),
    /// The NFT is bound to parameters that this backend does not have.
    #[error("the roster NFT is bound to other parameters than this backend's")]
    OtherParams,
}

impl Rosters {
    /// The first roster alone: the one that the deployment made.
    pub fn first<C: Verification>(
        secp: &Secp256k1<C>,
        bridge: &Bridge,
        deployment: &Handover,
    ) -> Result<Self, AdoptionError> {
        let pin = Genesis(deployment.transaction.compute_txid());
        let first = adopt_genesis(secp, bridge, &pin, deployment)?;
        let later = Vec::new();
        Ok(Self { first, later })
    }

    /// The newest one.
    pub fn newest(&self) -> &AdoptedRoster {
        self.later.last().map_or(&self.first, |it| &it.adopted)
    }

    /// All of them, the newest first.
    pub fn all(&self) -> impl Iterator<Item = &AdoptedRoster> {
        let later = self.later.iter().rev().map(|it| &it.adopted);
        later.chain(std::iter::once(&self.first))
    }

    /// The one of an epoch.
    pub fn of(&self, epoch: Epoch) -> Option<&AdoptedRoster> {
        if epoch == self.first.epoch() {
            return Some(&self.first);
        }
        self.later_of(epoch).map(|it| &it.adopted)
    }

    /// What a rotation made in an epoch: they follow each other from 1 on.
    fn later_of(&self, epoch: Epoch) -> Option<&Later> {
        let index = usize::try_from(epoch.0.checked_sub(1)?).ok()?;
        self.later.get(index)
    }

    /// The epoch under which coins at the vault with this script are kept: the first whose vault it
    /// is. (The vault's address has neither epoch nor parameters in it, so a rotation may keep it.)
    pub fn vault_epoch(&self, script: &Script) -> Option<Epoch> {
        let later = self.later.iter().map(|it| &it.adopted);
        [&self.first]
            .into_iter()
            .chain(later)
            .find(|adopted| *adopted.vault().script_pubkey == *script)
            .map(AdoptedRoster::epoch)
    }

    /// The rotation that made the roster of an epoch; none for the first.
    pub fn rotation(&self, epoch: Epoch) -> Option<&Rotation> {
        self.later_of(epoch).map(|it| &it.rotation)
    }

    /// The roster for new deposit addresses: the newest. One whose rotation a reorg can still undo
    /// gets none, for a deposit to a roster that never was is lost to the bridge until its user
    /// takes it back. `nft_epoch` is that of the NFT's output in the chain, where it is in a block;
    /// `params` those of this backend.
    pub fn issuing(
        &self,
        nft_epoch: Option<Epoch>,
        params: ParamsHash,
        tip_height: u32,
        needed: u32,
    ) -> Result<&AdoptedRoster, NotIssuing> {
        let newest = self.newest();
        if let Some(epoch) = nft_epoch.filter(|epoch| *epoch != newest.epoch()) {
            return Err(NotIssuing::NotAdopted(epoch));
        }
        if newest.params_hash() != params {
            return Err(NotIssuing::OtherParams);
        }
        if let Some(Later { rotation, .. }) = self.later.last() {
            let confirmations = confirmations(tip_height, rotation.block.height);
            if confirmations < needed {
                return Err(NotIssuing::Confirming {
                    epoch: rotation.epoch,
                    confirmations,
                    needed,
                });
            }
        }
        Ok(newest)
    }

    /// How many epochs there were.
    pub fn count(&self) -> usize {
        self.later.len().saturating_add(1)
    }

    /// Adopts the roster that a rotation in `block` makes, which spends the NFT at `nft`.
    pub fn adopt<C: Verification>(
        &mut self,
        secp: &Secp256k1<C>,
        bridge: &Bridge,
        handover: &Handover,
        nft: OutPoint,
        block: BlockRef,
    ) -> Result<Rotation, AdoptionError> {
        let adopted = adopt_next(secp, bridge, self.newest(), handover)?;
        let epoch = adopted.epoch();
        let rotation = Rotation {
            epoch,
            vault_epoch: self
                .vault_epoch(&adopted.vault().script_pubkey)
                .unwrap_or(epoch),
            txid: adopted.txid(),
            nft_input: nft,
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
            let mut inputs = handover.transaction.input.iter();
            let spends = inputs.any(|input| input.previous_output == row.nft_input);
            let rotation = rosters
                .adopt(
                    &self.secp,
                    self.bridge(),
                    &handover,
                    row.nft_input,
                    row.block,
                )
                .with_context(|| format!("the roster of epoch {} in the rows", row.epoch))?;
            ensure!(
                spends && rotation == *row,
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
}

async fn rotations(reader: &mut Reader) -> anyhow::Result<Vec<Rotation>> {
    let mut rows: Vec<Rotation> = Vec::new();
    loop {
        let after = rows.last().map_or(Epoch(0), |row| row.epoch);
        let page = reader.rotations(after, PAGE_ROWS_MAX).await?;
        let is_last = page.len() < PAGE_ROWS_MAX as usize;
        rows.extend(page);
        if is_last {
            return Ok(rows);
        }
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
