//! The steps of a rotation in pieces, to be broken one at a time and proven again.

use bitcoin::{
    Transaction,
    secp256k1::{Keypair, Secp256k1},
};
use grail_bridge_contract::RosterState;
use grail_policy::{Approved, Decision, Refusal, successor};
use grail_spell::nft_app;
use grail_txbuild::{Deposit, RotationRequest, RotationStep};
use grail_types::{BoundedVec, Consent, ConsentStep, Epoch, Governance, Kind, Roster, Threshold};
use grail_wire::{Action, ConsentSignature, Consents, Succession};

use super::{
    Draft, FEE_RATE, PROOF_BYTES, Peg, World, code, coin, funding, keypair, output, p2tr, public,
};

/// What a sponsor of the tests pays.
pub const SPONSORED: u64 = 60_000;
/// Hash of the evidence that the administrators of the tests went by.
pub const EVIDENCE: [u8; 32] = [7; 32];

/// The keys of [`governance`](super::governance), in its order.
pub fn administrators() -> Vec<Keypair> {
    sorted((901..905).map(keypair).collect())
}

/// The keys of the administrators to come, in order: those of today and one more.
pub fn administrators_to_come() -> Vec<Keypair> {
    sorted((901..906).map(keypair).collect())
}

fn sorted(mut keys: Vec<Keypair>) -> Vec<Keypair> {
    keys.sort_by_key(|key| public(key).serialize());
    keys
}

pub fn governance_of(keys: &[Keypair], threshold: u16) -> Governance {
    Governance::new(keys.iter().map(public).collect(), threshold).unwrap()
}

/// The keys of the roster to come, in order: two are replaced and one is added.
pub fn signers_to_come(world: &World) -> Vec<Keypair> {
    let kept = world.keys.iter().skip(2).copied();
    sorted(kept.chain((700..703).map(keypair)).collect())
}

/// 13 of 17 after 12 of 16, with 4 of 5 administrators and another parameter.
pub fn succession(world: &World) -> Succession {
    let keys = signers_to_come(world).iter().map(public).collect();
    let epoch = Epoch(world.state.epoch + 1);
    let params = world
        .params
        .with(|values| values.settlement_confirmations += 1);
    Succession {
        roster: Roster::new(epoch, keys, Threshold(13)).unwrap(),
        governance: governance_of(&administrators_to_come(), 4),
        params: params.unwrap(),
        spell_min: world.state.spell_min,
        spell_max: world.state.spell_max + 1,
    }
}

/// Signatures of `consent` by the administrators at these positions of `keys`.
pub fn consents(keys: &[Keypair], positions: &[u16], consent: &Consent) -> Consents {
    let secp = Secp256k1::new();
    let sign = |position: &u16| ConsentSignature {
        administrator: *position,
        signature: secp.sign_schnorr_no_aux_rand(&consent.digest(), &keys[usize::from(*position)]),
    };
    BoundedVec::new(positions.iter().map(sign).collect()).unwrap()
}

/// A step, proven anew whenever it is proposed.
#[derive(Clone, Debug)]
pub struct StepDraft {
    pub draft: Draft,
    pub action: Action,
    /// The NFT's state after, as it was planned.
    pub state: RosterState,
}

impl StepDraft {
    /// The proposal, its spell proven for the transaction as it is now.
    pub fn propose(&self, world: &World) -> grail_wire::Proposal {
        self.try_propose(world).unwrap()
    }

    /// The same, unless no prover would prove it.
    pub fn try_propose(&self, world: &World) -> Result<grail_wire::Proposal, String> {
        let proposal = self.draft.try_propose(world)?.wire();
        let action = self.action.clone();
        Ok(grail_wire::Proposal { action, ..proposal })
    }

    pub fn approve(&self, world: &World) -> Result<Approved<Decision>, Refusal> {
        let proposal = self.propose(world);
        let signer = public(&world.keys[0]);
        grail_policy::approve(&world.secp, &proposal, &world.bridge, &signer)
    }

    /// The code of the refusal that the step meets as it is now.
    pub fn refusal(&self, world: &World) -> &'static str {
        code(&self.approve(world))
    }

    pub fn set_state(&mut self, world: &World, change: impl FnOnce(&mut RosterState)) {
        let mut state = self.state.clone();
        change(&mut state);
        self.draft
            .put_charm(0, &nft_app(&world.bridge.app), state.to_data());
    }
}

impl World {
    #[must_use]
    /// This world after `step`: another transaction holds NFT and vault.
    pub fn after(&self, step: &StepDraft) -> Self {
        self.on(step.propose(self).transaction, step.state.clone())
    }

    #[must_use]
    /// This world with NFT and vault of another transaction.
    pub fn on(&self, genesis: Transaction, state: RosterState) -> Self {
        Self {
            secp: self.secp.clone(),
            wasm: self.wasm,
            bridge: self.bridge,
            images: self.images.clone(),
            params: self.params.clone(),
            governance: self.governance.clone(),
            keys: self.keys.clone(),
            roster: self.roster.clone(),
            former: self.former.clone(),
            vault: self.vault.clone(),
            deployment: self.deployment.clone(),
            genesis,
            state,
        }
    }

    /// A sponsor's deposit and the transaction behind it.
    pub fn sponsor(&self, kind: Kind, nonce: u64, amount: u64) -> (Deposit, Transaction) {
        let peg = Peg {
            kind,
            amount,
            fee_cap: amount,
            destination: p2tr(9),
        };
        self.deposits(nonce, &[peg]).remove(0)
    }

    /// What the administrators consent to when `succession` is announced.
    pub fn announcement_consent(&self, succession: &Succession) -> Consent {
        let after = successor(&self.secp, &self.bridge, &self.state, succession).unwrap();
        Consent {
            step: ConsentStep::Announce { evidence: EVIDENCE },
            bridge: self.bridge,
            epoch: Epoch(self.state.epoch),
            attempt: self.state.attempt + 1,
            next: after.next_hash(),
        }
    }

    /// The announcement of `succession`, whose administrators to come have the keys
    /// [`administrators_to_come`].
    pub fn announcing(&self, succession: &Succession) -> StepDraft {
        let sponsor = self.sponsor(Kind::SponsorAnnounce, 1, SPONSORED);
        self.step_paid_by(self.announcement(succession), sponsor)
    }

    /// The same, to be planned.
    pub fn announcement(&self, succession: &Succession) -> RotationStep {
        let consent = self.announcement_consent(succession);
        let new: Vec<_> = succession
            .governance
            .newcomers_after(&self.governance)
            .collect();
        RotationStep::Announce {
            succession: Box::new(succession.clone()),
            evidence: EVIDENCE,
            consents: consents(&administrators(), &[0, 1, 3], &consent),
            newcomers: consents(&administrators_to_come(), &new, &consent),
        }
    }

    /// Takes back what the world's state announces.
    pub fn cancelling(&self) -> StepDraft {
        let consent = Consent {
            step: ConsentStep::Cancel,
            bridge: self.bridge,
            epoch: Epoch(self.state.epoch),
            attempt: self.state.attempt,
            next: self.state.next.as_ref().unwrap().hash,
        };
        let consents = consents(&administrators(), &[1, 2], &consent);
        self.step(RotationStep::Cancel { consents }, Kind::SponsorCancel)
    }

    /// Hands over to `succession`, which the world's genesis announced.
    pub fn executing(&self, succession: &Succession) -> StepDraft {
        self.executing_by(succession, &self.genesis)
    }

    /// The same after others have moved the NFT since.
    pub fn executing_by(&self, succession: &Succession, announcement: &Transaction) -> StepDraft {
        let step = RotationStep::Execute {
            succession: Box::new(succession.clone()),
            // Behind NFT and vault.
            notice: coin(announcement, if self.state.supply > 0 { 2 } else { 1 }),
        };
        let mut step = self.step(step, Kind::SponsorExecute);
        step.draft.previous.push(announcement.clone());
        step.draft.tidy_previous();
        step
    }

    /// Donations of these amounts moved into the vault's coin.
    pub fn merging(&self, amounts: &[u64]) -> StepDraft {
        let script = &self.vault.script_pubkey;
        let outputs = amounts.iter().map(|amount| output(*amount, script.clone()));
        let given = funding(77, outputs.collect());
        let donations = (0..).zip(amounts).map(|(vout, _)| coin(&given, vout));
        let donations = donations.collect();
        let mut step = self.step(RotationStep::Merge { donations }, Kind::SponsorMerge);
        step.draft.previous.push(given);
        step.draft.tidy_previous();
        step
    }

    /// A step with one sponsor.
    pub fn step(&self, step: RotationStep, sponsor: Kind) -> StepDraft {
        self.step_paid_by(step, self.sponsor(sponsor, 1, SPONSORED))
    }

    /// A step paid by this deposit.
    pub fn step_paid_by(&self, step: RotationStep, sponsor: (Deposit, Transaction)) -> StepDraft {
        let (deposit, made) = sponsor;
        let request = RotationRequest {
            bridge: &self.bridge,
            params: &self.params,
            roster: &self.roster,
            governance: &self.governance,
            state: &self.state,
            nft: self.nft(),
            vault: (self.state.supply > 0).then(|| self.vault_coin()),
            step,
            sponsors: vec![deposit],
            fee_rate: FEE_RATE,
            proof_bytes: PROOF_BYTES,
        };
        let plan = request.plan(&self.secp).unwrap();
        let draft = Draft {
            epoch: self.roster.epoch(),
            params: self.params.clone(),
            governance: self.governance.clone(),
            transaction: plan.transaction,
            spell: plan.spell.to_wire(),
            uncommitted: Vec::new(),
            after_spell: Vec::new(),
            previous: vec![self.genesis.clone(), made],
            requests: Vec::new(),
            former: None,
        };
        StepDraft {
            draft,
            action: plan.action,
            state: plan.state,
        }
    }
}
