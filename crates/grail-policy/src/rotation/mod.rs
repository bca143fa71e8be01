//! The steps of a rotation: announce the next roster, take that back, hand over.
//!
//! None of them mints, burns or pays anybody: what the vault holds stays what it is. Who consents
//! are two: the roster, whose enclaves decide here, and the administrators. Between announcement
//! and execution lies time, which Bitcoin counts by the age of a coin that the announcement makes
//! (ADR 27).

use bitcoin::{
    Amount,
    secp256k1::{Secp256k1, Verification},
};
use grail_bridge_contract::{Action, Next, RosterState};
use grail_script::{InternalKey, VaultTree};
use grail_types::{Bridge, Consent, ConsentStep, Epoch, RequestId};
use grail_wire::{ActionKind, Announcement, Cancellation, Execution, Proposal, Sponsors};

use crate::{
    approve::Signing,
    bridge::{Case, Held, nft, sponsors, vault},
    outline::Outline,
    refusal::Refusal,
};

mod consent;
mod notice;
mod succession;

pub use consent::{ConsentError, check_consents};
pub use notice::{NOTICE_COIN, notice_tree, wait_of};
pub use succession::{check_reachable, check_succession, check_to_come, successor};

/// A step of a rotation that obeys the rules.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// What is signed.
    pub signing: Signing,
    /// Which step.
    pub step: ActionKind,
    /// The NFT's state before.
    pub before: RosterState,
    /// The NFT's state after.
    pub after: RosterState,
    /// Who pays the miners, with what, in the order of the inputs.
    pub sponsors: Vec<(RequestId, Amount)>,
}

/// A step, as somebody asks for it.
pub(crate) enum Step<'a> {
    Announce(&'a Announcement),
    Cancel(&'a Cancellation),
    Execute(&'a Execution),
}

/// What a step leaves, as its rules have it.
struct Outcome {
    after: RosterState,
    /// Where NFT and vault are afterwards.
    tree: VaultTree,
}

impl Step<'_> {
    /// What the spell asks the contract for.
    fn action(&self) -> Action {
        match self {
            Self::Announce(_) => Action::Announce,
            Self::Cancel(_) => Action::Cancel,
            Self::Execute(_) => Action::Execute,
        }
    }

    fn kind(&self) -> ActionKind {
        match self {
            Self::Announce(_) => ActionKind::Announcement,
            Self::Cancel(_) => ActionKind::Cancellation,
            Self::Execute(_) => ActionKind::Execution,
        }
    }

    fn sponsors(&self) -> &Sponsors {
        match self {
            Self::Announce(it) => &it.sponsors,
            Self::Cancel(it) => &it.sponsors,
            Self::Execute(it) => &it.sponsors,
        }
    }

    /// What the state must become, with the consent that this takes.
    fn outcome<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        case: &Case<'_>,
        held: &Held,
    ) -> Result<Outcome, Refusal> {
        let before = &held.before;
        let serial = before.serial.checked_add(1).ok_or(Refusal::Overflow)?;
        let (network, today) = (case.bridge.network, &case.proposal.params);
        let check = |succession| check_succession(network, before, today, succession);
        let stays = |state: RosterState| Outcome {
            after: RosterState { serial, ..state },
            tree: held.tree.clone(),
        };
        match self {
            Self::Announce(it) => {
                if before.next.is_some() {
                    return Err(Refusal::RotationState("a roster is announced already"));
                }
                check(&it.succession)?;
                let hash = successor(secp, case.bridge, before, &it.succession)?.next_hash();
                let attempt = before.attempt.checked_add(1).ok_or(Refusal::Overflow)?;
                let step = ConsentStep::Announce {
                    evidence: it.evidence,
                };
                let consent = consent_of(case, before, step, attempt, hash);
                consent::check_announcement(secp, case, &consent, it)?;
                let wait = wait_of(network, today, before.supply)?;
                let next = Some(Next { hash, serial, wait });
                Ok(stays(RosterState {
                    attempt,
                    next,
                    ..before.clone()
                }))
            }
            Self::Cancel(it) => {
                let next = announced(before)?;
                let (step, attempt) = (ConsentStep::Cancel, before.attempt);
                let consent = consent_of(case, before, step, attempt, next.hash);
                let governance = &case.proposal.governance;
                let needed = governance.cancel_threshold();
                check_consents(secp, governance, &consent, &it.consents, needed)?;
                Ok(stays(RosterState {
                    next: None,
                    ..before.clone()
                }))
            }
            Self::Execute(it) => {
                let next = announced(before)?;
                check(&it.succession)?;
                let after = successor(secp, case.bridge, before, &it.succession)?;
                if after.next_hash() != next.hash {
                    return Err(Refusal::NextMismatch);
                }
                let version = case.framed.spell.version();
                if version < after.spell_min {
                    return Err(Refusal::SpellVersion(version));
                }
                let to = &it.succession;
                let tree = VaultTree::new(secp, InternalKey::Nums, &to.roster, &to.governance);
                Ok(Outcome { after, tree })
            }
        }
    }
}

fn announced(before: &RosterState) -> Result<&Next, Refusal> {
    let next = before.next.as_ref();
    next.ok_or(Refusal::RotationState("no roster is announced"))
}

fn consent_of(
    case: &Case<'_>,
    before: &RosterState,
    step: ConsentStep,
    attempt: u64,
    next: [u8; 32],
) -> Consent {
    Consent {
        step,
        bridge: *case.bridge,
        epoch: Epoch(before.epoch),
        attempt,
        next,
    }
}

impl Rotation {
    pub(crate) fn judge<C: Verification>(
        secp: &Secp256k1<C>,
        proposal: &Proposal,
        step: &Step<'_>,
        bridge: &Bridge,
        outline: Outline,
    ) -> Result<Self, Refusal> {
        let case = Case::read(proposal, bridge, outline, step.action())?;
        let held = case.held(secp)?;
        let expected = step.outcome(secp, &case, &held)?;
        let after = nft::output(&case, &held.before, &expected.tree)?;
        if after.next != expected.after.next {
            return Err(Refusal::NextMismatch);
        }
        if after != expected.after {
            return Err(Refusal::RosterChanged);
        }

        let vault_coin = vault::coin(&case.outline, &held.tree);
        vault::check_spent(&case, &held.before, &held.tree)?;
        let vault_in = vault_coin.map(|spent| spent.output.value);
        let notices = usize::from(matches!(step, Step::Announce(_)));
        let vault_out = vault::output(&case, &expected.tree, notices)?;
        if vault_out != vault_in {
            return Err(Refusal::VaultMismatch {
                expected: vault_in.unwrap_or(Amount::ZERO),
                got: vault_out.unwrap_or(Amount::ZERO),
            });
        }
        case.claim_all()?;

        // NFT and vault, at the same positions on both sides.
        let bridge_places = if vault_in.is_some() { 2 } else { 1 };
        let mut inputs = vec![held.vault_input(); bridge_places];
        let (mut put_in, mut put_out) = (Amount::ZERO, Amount::ZERO);
        let mut aged = None;
        match step {
            Step::Announce(_) => {
                notice::check_output(secp, &case, &held, &after, bridge_places)?;
                put_out = NOTICE_COIN;
            }
            Step::Cancel(_) => {}
            Step::Execute(_) => {
                inputs.push(notice::check_input(secp, &case, &held, bridge_places)?);
                put_in = NOTICE_COIN;
                aged = Some(bridge_places);
            }
        }
        case.check_ages(aged)?;
        let first = inputs.len();
        let sponsored = sponsors::check(secp, &case, &held, step.sponsors(), first)?;
        inputs.extend(sponsored.inputs);
        let put_in = put_in.checked_add(sponsored.total);
        let put_in = put_in.ok_or(Refusal::Overflow)?;
        let fee = put_in.checked_sub(put_out).ok_or(Refusal::Overflow)?;
        Ok(Self {
            signing: case.signing(inputs, fee)?,
            step: step.kind(),
            before: held.before,
            after,
            sponsors: sponsored.shares,
        })
    }
}
