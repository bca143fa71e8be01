//! The decision, and the two types that show that one took place.

use std::sync::Arc;

use bitcoin::{
    Amount, Transaction, TxOut, Txid, Weight, XOnlyPublicKey,
    secp256k1::{Secp256k1, Verification},
};
use grail_script::Spend;
use grail_types::{Bridge, Roster};
use grail_wire::{Action, Proposal};

#[cfg(feature = "test-action")]
use crate::probe::Probe;
use crate::{
    clearing::Clearing,
    merge::Merge,
    outline::Outline,
    refusal::Refusal,
    rotation::{Rotation, Step},
    settlement::Settlement,
};

/// What passed [`approve`] for one signer: alone what a key signs.
#[must_use]
#[derive(Clone, Debug)]
pub struct Approved<A>(A);

/// What passed [`judge`]: every rule but that of whose signature it is. Nobody signs it; signatures
/// are checked against it.
#[must_use]
#[derive(Clone, Debug)]
pub struct Judged<A>(A);

impl<A> Approved<A> {
    /// What was approved.
    pub const fn get(&self) -> &A {
        &self.0
    }
}

impl<A> Judged<A> {
    /// What was judged.
    pub const fn get(&self) -> &A {
        &self.0
    }

    /// What was judged, taken out.
    pub fn into_inner(self) -> A {
        self.0
    }
}

/// What a transaction was found to do.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Mints and burns for requests.
    Settlement(Box<Settlement>),
    /// A step from one roster to the next.
    Rotation(Box<Rotation>),
    /// Moves donations into the vault's coin.
    Merge(Box<Merge>),
    /// Executes orders of a zk-app.
    Clearing(Box<Clearing>),
    /// Moves probe coins. For tests alone.
    #[cfg(feature = "test-action")]
    Probe(Probe),
}

impl Decision {
    /// The settlement, if it is one.
    pub fn as_settlement(&self) -> Option<&Settlement> {
        match self {
            Self::Settlement(settlement) => Some(settlement),
            Self::Rotation(_) | Self::Merge(_) | Self::Clearing(_) => None,
            #[cfg(feature = "test-action")]
            Self::Probe(_) => None,
        }
    }

    /// What is to be signed, whatever it is for.
    pub fn signing(&self) -> &Signing {
        match self {
            Self::Settlement(settlement) => &settlement.signing,
            Self::Rotation(rotation) => &rotation.signing,
            Self::Merge(merge) => &merge.signing,
            Self::Clearing(clearing) => &clearing.signing,
            #[cfg(feature = "test-action")]
            Self::Probe(probe) => &probe.signing,
        }
    }
}

/// A transaction with everything that its signatures depend on.
#[derive(Clone, Debug)]
pub struct Signing {
    /// The unsigned transaction.
    pub transaction: Transaction,
    /// Outputs spent, in the order of the inputs.
    pub prevouts: Vec<TxOut>,
    /// How each input is spent, in order.
    pub inputs: Vec<SigningInput>,
    /// What the miners get.
    pub fee: Amount,
    /// Weight with all witnesses.
    pub weight: Weight,
}

/// How a roster spends one input.
#[derive(Clone, Debug)]
pub struct SigningInput {
    /// Script or key, and tree.
    pub spend: Spend,
    /// Who signs. Two inputs may have two rosters.
    pub roster: Arc<Roster>,
}

impl Signing {
    /// Id of the transaction; witnesses do not change it.
    pub fn txid(&self) -> Txid {
        self.transaction.compute_txid()
    }

    /// The inputs that `signer` contributes to: those whose roster it is in.
    pub fn inputs_of<'a>(&'a self, signer: &XOnlyPublicKey) -> impl Iterator<Item = usize> + 'a {
        let signer = *signer;
        self.inputs
            .iter()
            .enumerate()
            .filter(move |(_, input)| input.roster.position(&signer).is_some())
            .map(|(index, _)| index)
    }
}

/// Decides whether a proposal obeys the rules of its action: the dry run, which gives nobody
/// anything to sign.
///
/// A pure function of the proposal and of `bridge`, which the caller knows from birth. Cost grows
/// linearly with inputs and with the bytes of the previous transactions; each distinct previous
/// transaction that carries a spell costs one proof verification, each deposit one taproot output.
/// `docs/spec/decision.md` gives the memory that it may take.
pub fn judge<C: Verification>(
    secp: &Secp256k1<C>,
    proposal: &Proposal,
    bridge: &Bridge,
) -> Result<Judged<Decision>, Refusal> {
    let outline = Outline::read(proposal, bridge)?;
    // Signatures cover the transaction and not what somebody calls it, so the transaction itself
    // has to say what it is.
    outline.check_action(proposal.action.kind())?;
    let rotation = |step: Step<'_>, outline| {
        Rotation::judge(secp, proposal, &step, bridge, outline).map(Box::new)
    };
    let decision = match &proposal.action {
        Action::Settlement(request) => {
            let settlement = Settlement::judge(secp, proposal, request, bridge, outline)?;
            Decision::Settlement(Box::new(settlement))
        }
        Action::Announcement(it) => Decision::Rotation(rotation(Step::Announce(it), outline)?),
        Action::Cancellation(it) => Decision::Rotation(rotation(Step::Cancel(it), outline)?),
        Action::Execution(it) => Decision::Rotation(rotation(Step::Execute(it), outline)?),
        Action::Merge(request) => {
            let merge = Merge::judge(secp, proposal, request, bridge, outline)?;
            Decision::Merge(Box::new(merge))
        }
        Action::Clearing(request) => {
            let clearing = Clearing::judge(secp, proposal, request, bridge, outline)?;
            Decision::Clearing(Box::new(clearing))
        }
        #[cfg(feature = "test-action")]
        Action::Probe(request) => Decision::Probe(Probe::judge(secp, proposal, request, outline)?),
    };
    Ok(Judged(decision))
}

/// Decides whether `signer` may sign a proposal: [`judge`], and the signer is in a roster that the
/// transaction spends from.
pub fn approve<C: Verification>(
    secp: &Secp256k1<C>,
    proposal: &Proposal,
    bridge: &Bridge,
    signer: &XOnlyPublicKey,
) -> Result<Approved<Decision>, Refusal> {
    let decision = judge(secp, proposal, bridge)?.into_inner();
    if decision.signing().inputs_of(signer).next().is_none() {
        return Err(Refusal::NotInRoster(proposal.epoch));
    }
    Ok(Approved(decision))
}
