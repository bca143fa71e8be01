//! How far a running signer has followed its bridge's rosters.
//!
//! Owns the newest roster adopted, in memory alone: after a restart its host shows the evidence
//! again. Trusts nothing that is shown, but for one thing: which of two deployments of the bridge's
//! identity was mined no evidence says. So the first pin stays, and every answer names it.
//!
//! Nothing that is signed depends on it. What will (parameters where no NFT is spent, a vote on the
//! next roster) needs besides that the newest rotation is in a block.

use bitcoin::secp256k1::{All, Secp256k1};
use grail_policy::adoption::{AdoptedRoster, Genesis, Handover, adopt_genesis, adopt_next};
use grail_types::Bridge;
use grail_wire::{Adopt, Adopted, Fault, FaultCode};

/// The rosters followed so far.
#[derive(Clone)]
pub(crate) struct Rosters {
    genesis: Genesis,
    newest: AdoptedRoster,
}

impl Rosters {
    /// The roster of the deployment that is shown.
    pub(crate) fn first(
        secp: &Secp256k1<All>,
        bridge: &Bridge,
        shown: &Adopt,
    ) -> Result<Self, Fault> {
        let bytes = shown
            .deployment
            .as_ref()
            .ok_or_else(|| refused("no-deployment", &"expected the deployment first"))?;
        let deployment =
            Handover::from_bytes(bytes).map_err(|error| refused("malformed", &error))?;
        let genesis = Genesis(shown.genesis);
        let newest = adopt_genesis(secp, bridge, &genesis, &deployment)
            .map_err(|error| refused(error.code(), &error))?;
        Ok(Self { genesis, newest })
    }

    /// These, and the rosters that each rotation shown hands over to.
    pub(crate) fn follow(
        mut self,
        secp: &Secp256k1<All>,
        bridge: &Bridge,
        shown: &Adopt,
    ) -> Result<Self, Fault> {
        if shown.genesis != self.genesis.0 {
            let (expected, got) = (self.genesis.0, shown.genesis);
            let details = format!("expected the deployment {expected}, got {got}");
            return Err(Fault::new(FaultCode::AdoptionGenesis, &details));
        }
        for bytes in &*shown.handovers {
            let step = Handover::from_bytes(bytes).map_err(|error| refused("malformed", &error))?;
            self.newest = adopt_next(secp, bridge, &self.newest, &step)
                .map_err(|error| refused(error.code(), &error))?;
        }
        Ok(self)
    }

    /// What whoever asks is told.
    pub(crate) fn adopted(&self) -> Adopted {
        Adopted {
            genesis: self.genesis.0,
            epoch: self.newest.epoch(),
            txid: self.newest.txid(),
            params_hash: self.newest.params_hash(),
        }
    }
}

fn refused(rule: &str, details: &impl std::fmt::Display) -> Fault {
    Fault::new(FaultCode::AdoptionRefused, &format!("{rule}: {details}"))
}
