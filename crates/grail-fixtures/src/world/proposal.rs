//! A proposal in pieces that tests can change one by one, also into what no honest asker could say.

use bitcoin::{Transaction, XOnlyPublicKey};
use grail_policy::{Approved, Decision, Judged, Refusal};
use grail_types::{BoundedVec, Bridge, Epoch, Governance, Params, Roster, Terms};
use grail_wire::{Action, PreviousTx, RefusalCode, SettlementRequest, ShownRoster};

use super::World;

/// A settlement's proposal, its previous transactions in the order that they are shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    pub epoch: Epoch,
    pub params: Params,
    pub governance: Governance,
    pub transaction: Transaction,
    pub previous: Vec<Transaction>,
    pub requests: Vec<Terms>,
    pub former: Option<Roster>,
}

impl Proposal {
    /// As it travels.
    pub fn wire(&self) -> grail_wire::Proposal {
        let requests = BoundedVec::new(self.requests.clone()).unwrap();
        let former = self.former.clone().map(ShownRoster);
        grail_wire::Proposal {
            epoch: self.epoch,
            params: self.params.clone(),
            governance: self.governance.clone(),
            transaction: self.transaction.clone(),
            previous: self
                .previous
                .iter()
                .map(|made| PreviousTx::new(made).unwrap())
                .collect(),
            action: Action::Settlement(SettlementRequest { requests, former }),
        }
    }
}

impl World {
    pub fn judge(&self, proposal: &Proposal) -> Result<Judged<Decision>, Refusal> {
        grail_policy::judge(&self.secp, &proposal.wire(), &self.bridge)
    }

    pub fn approve(&self, proposal: &Proposal) -> Result<Approved<Decision>, Refusal> {
        self.approve_for(proposal, &super::public(&self.keys[0]))
    }

    pub fn approve_for(
        &self,
        proposal: &Proposal,
        signer: &XOnlyPublicKey,
    ) -> Result<Approved<Decision>, Refusal> {
        grail_policy::approve(&self.secp, &proposal.wire(), &self.bridge, signer)
    }

    /// The code of the refusal that `proposal` meets.
    pub fn refusal(&self, proposal: &Proposal) -> &'static str {
        self.refusal_on(proposal, &self.bridge)
    }

    /// The same from an operator of another bridge.
    pub fn refusal_on(&self, proposal: &Proposal, bridge: &Bridge) -> &'static str {
        let signer = super::public(&self.keys[0]);
        code(&grail_policy::approve(
            &self.secp,
            &proposal.wire(),
            bridge,
            &signer,
        ))
    }
}

/// The code of an outcome.
pub fn code<T>(outcome: &Result<T, Refusal>) -> &'static str {
    let Err(refusal) = outcome else {
        return "approved";
    };
    let known = RefusalCode::ALL
        .iter()
        .find(|code| **code == refusal.code());
    known.unwrap().as_str()
}
