//! What a bridge goes by after its rosters have changed: parameters, images and administrators,
//! followed from those that were pinned.
//!
//! Trusts the pin. What an API says of today counts where the newest roster's state names it by its
//! hashes, and that roster follows from the deployment by the consent of every roster before it.
//! Never takes an API's word for parameters or administrators. Which deployment was mined no
//! signature shows, nor that the newest hand-over was: whoever has a node holds the roster NFT
//! there against the answer ([`crate::roster::check_nft`]); whoever has none must know the
//! deployment.

use bitcoin::{Transaction, Txid, consensus::encode};
use grail_api::RosterRecord;
use grail_attest::Protocol;
use grail_charms::{PrevTx, roster_state};
use grail_policy::adoption::AdoptedRoster;
use grail_spell::nft_app;
use grail_types::{Bridge, Epoch, MockAllowed, ParamsHash};

use crate::history::{HistoryFailure, follow};

/// Why what an API goes by is not believed.
#[derive(Debug, thiserror::Error)]
pub enum FollowFailure {
    /// The rosters do not follow from each other.
    #[error(transparent)]
    History(#[from] HistoryFailure),
    /// The history begins with another transaction than the one that is known to have deployed the
    /// bridge. Its identity pins what that spends, and anybody can spend it in a transaction that
    /// no block will ever hold.
    #[error("expected a history that begins with {expected}, got {got}")]
    NotGenesis {
        /// That deployed the bridge.
        expected: Txid,
        /// Shown.
        got: Txid,
    },
    /// None of the rosters went by what was pinned.
    #[error(
        "no roster of this bridge's history went by what is pinned: params {0} with its administrators"
    )]
    PinMissing(ParamsHash),
    /// The newest roster goes by other parameters than the API.
    #[error("the roster of epoch {epoch} goes by params {expected}, the API serves {served}")]
    Params {
        /// The newest.
        epoch: Epoch,
        /// In its state.
        expected: ParamsHash,
        /// By the API.
        served: ParamsHash,
    },
    /// The newest roster has other administrators than the API says.
    #[error("the roster of epoch {0} has other administrators than the API says")]
    Administrators(Epoch),
}

impl FollowFailure {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::History(error) => error.code(),
            Self::NotGenesis { .. } => "not-genesis",
            Self::PinMissing(_) => "pin-not-in-history",
            Self::Params { .. } => "params-changed",
            Self::Administrators(_) => "administrators-changed",
        }
    }
}

/// What a bridge goes by as of its newest roster that was shown. Made by [`follow_protocol`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Followed {
    protocol: Protocol,
    rosters: Vec<AdoptedRoster>,
    pinned: Epoch,
    attempt: u64,
}

impl Followed {
    /// Parameters, images and administrators of the newest roster.
    pub const fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// Every roster, from the deployment's on.
    pub fn rosters(&self) -> &[AdoptedRoster] {
        &self.rosters
    }

    /// The newest.
    pub fn newest(&self) -> &AdoptedRoster {
        self.rosters
            .last()
            .expect("`follow` gives the deployment's roster at least")
    }

    /// The newest epoch that went by what is pinned.
    pub const fn pinned(&self) -> Epoch {
        self.pinned
    }

    /// How many rosters had ever been announced when the newest took over. More may have been
    /// since.
    pub const fn attempt(&self) -> u64 {
        self.attempt
    }
}

/// What shows that a history is the one that was mined, and not another that begins with a
/// deployment of its author's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinedBy {
    /// The transaction that deployed the bridge, known from elsewhere.
    Genesis(Txid),
    /// The caller looks for the NFT in a chain of its own afterwards, and takes nothing before.
    NodeAfterwards,
}

/// What the newest of `records` goes by, if that is what is `served`, and if the bridge went by
/// what is `pinned` before, or still does. `records` are an API's, from the deployment on.
pub fn follow_protocol(
    pinned: &Protocol,
    mined: MinedBy,
    served: Protocol,
    records: &[RosterRecord],
) -> Result<Followed, FollowFailure> {
    let pinned_to = pinned.bridge();
    let rosters = follow(pinned_to, records)?;
    let newest = rosters.last().ok_or(HistoryFailure::Empty)?;
    if let (MinedBy::Genesis(expected), Some(first)) = (mined, rosters.first())
        && first.txid() != expected
    {
        let got = first.txid();
        return Err(FollowFailure::NotGenesis { expected, got });
    }
    // Or else a history of the same bridge that was never mined, from a deployer who made two,
    // would take a wallet along that has pinned the other.
    let was_pinned = |it: &&AdoptedRoster| {
        it.params_hash() == pinned.hash() && it.governance() == pinned.governance()
    };
    let pin = rosters.iter().rev().find(was_pinned);
    let pinned = pin
        .ok_or_else(|| FollowFailure::PinMissing(pinned.hash()))?
        .epoch();
    let (epoch, expected) = (newest.epoch(), newest.params_hash());
    // The hash is of the bridge too, and of the images by theirs.
    if served.hash() != expected {
        return Err(FollowFailure::Params {
            epoch,
            expected,
            served: served.hash(),
        });
    }
    if served.governance() != newest.governance() {
        return Err(FollowFailure::Administrators(epoch));
    }
    let attempt = records.last().and_then(|it| attempt_of(pinned_to, it));
    Ok(Followed {
        protocol: served,
        rosters,
        pinned,
        attempt: attempt.ok_or(HistoryFailure::Empty)?,
    })
}

/// The number of announcements in the state that a roster begins with. Its transaction was adopted,
/// so that it has one.
fn attempt_of(bridge: &Bridge, record: &RosterRecord) -> Option<u64> {
    let made: Transaction = encode::deserialize_hex(&record.transaction).ok()?;
    let read = PrevTx::read_committed(&made, MockAllowed::on(bridge.network));
    let state = roster_state(&read.charms_at(0), &nft_app(&bridge.app)).ok()??;
    Some(state.attempt)
}
