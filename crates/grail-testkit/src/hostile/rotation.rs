//! A backend that would hand the bridge over: without the administrators' consent, by consent to
//! something else, and from a state of the NFT that nobody signed.

use anyhow::{Context, Result, bail};
use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Amount, OutPoint, Transaction, TxOut};
use grail_api::{CheckedRotation, RotationDocument};
use grail_bridge_contract::RosterState;
use grail_policy::adoption::{Genesis, Handover, adopt_genesis, adopt_next};
use grail_script::{DepositTree, InternalKey};
use grail_txbuild::{Coin, RotationRequest, RotationStep};
use grail_types::{Kind, Roster, Terms};
use grail_wire::{Action, RefusalCode};

use super::attacks::Attack;
use super::draft::{Draft, FEE_RATE, PROOF_BYTES, deposit};
use super::foreign::coin;
use crate::cluster::Deployment;
use crate::ledger::{Audit, Ledger};
use crate::node::Node;
use crate::user::User;

/// What a step costs the attacker.
const SPONSORED: Amount = Amount::from_sat(20_000);
/// Where an announcement has the notice coin: behind NFT and vault.
const NOTICE_VOUT: u32 = 2;

/// Deposits that pay for steps of a rotation, made without asking anybody.
#[derive(Debug, Clone)]
pub struct OwnSponsors {
    announce: Terms,
    execute: Terms,
}

impl OwnSponsors {
    /// Pays for both steps; unconfirmed.
    pub fn fund(node: &Node, deployment: &Deployment, payer: &User) -> Result<Self> {
        let (bridge, params) = (deployment.protocol.bridge(), deployment.protocol.params());
        let fund = |kind| {
            let terms = Terms {
                kind,
                network: bridge.network,
                bridge: bridge.app,
                destination: payer.script().try_into()?,
                fee_cap: SPONSORED,
                epoch: deployment.roster.epoch(),
                reclaim_key: payer.reclaim_key(),
                reclaim_delay: params.reclaim_delay_min,
                nonce: [0; 16],
            };
            let tree = tree(&terms, &deployment.roster);
            node.fund(&tree.script_pubkey, SPONSORED);
            Ok::<_, anyhow::Error>(terms)
        };
        Ok(Self {
            announce: fund(Kind::SponsorAnnounce)?,
            execute: fund(Kind::SponsorExecute)?,
        })
    }
}

/// What the attacker has in hand. The bridge is held by its first roster, with something locked.
#[derive(Debug)]
pub struct HandOver<'a> {
    /// The chain, with the sponsors' deposits.
    pub ledger: &'a Ledger,
    /// The bridge's books by it.
    pub audit: &'a Audit,
    /// The bridge.
    pub deployment: &'a Deployment,
    /// Who pays.
    pub sponsors: &'a OwnSponsors,
    /// A proposal of the next attempt that too few administrators signed.
    pub short: RotationDocument,
    /// One that enough of them signed, whose attempt is over.
    pub stale: RotationDocument,
}

/// A step as it would be proposed, and the state that it leads to.
struct Step {
    draft: Draft,
    action: Action,
    state: RosterState,
}

impl HandOver<'_> {
    /// What every operator must refuse.
    pub fn attacks(&self) -> Result<Vec<Attack>> {
        let secp = Secp256k1::new();
        let short = self.short.clone().check(&secp)?;
        let stale = self.stale.clone().check(&secp)?;
        let unsigned = self.unsigned_announcement(&secp)?;
        // The true vault, behind an NFT that never was.
        let vault = self.vault()?;
        Ok(vec![
            self.announce(&secp, &short)?.attack(
                "an announcement that too few administrators signed",
                RefusalCode::Consent,
            )?,
            self.announce(&secp, &stale)?.attack(
                "the announcement that was taken back, by the same signatures",
                RefusalCode::Consent,
            )?,
            self.execute(&secp, &short, &unsigned, vault)?.attack(
                "the vault handed over from an announced state that nobody signed",
                RefusalCode::VaultNotSpent,
            )?,
        ])
    }

    /// The rule by which nobody who follows rosters believes a hand-over that rests on that state
    /// alone. Its spells are in order: a proof shows that the contract ran, and no consent.
    pub fn adoption_refuses(&self) -> Result<&'static str> {
        let secp = Secp256k1::new();
        let short = self.short.clone().check(&secp)?;
        let unsigned = self.unsigned_announcement(&secp)?;
        let vault = coin(&unsigned.transaction, 1)?;
        let step = self.execute(&secp, &short, &unsigned, vault)?;
        let proposal = step.draft.propose_as(step.action)?;
        let spent = spent(&proposal.transaction, &step.draft.previous)?;
        let proposed = short.proposed().context("a roster to come")?;
        let shown = Handover {
            transaction: proposal.transaction,
            spent,
            governance: proposed.governance.clone(),
        };
        let bridge = self.deployment.protocol.bridge();
        let first = Handover {
            transaction: self.deployment.transaction().clone(),
            spent: Vec::new(),
            governance: self.deployment.protocol.governance().clone(),
        };
        let pin = Genesis(self.deployment.transaction().compute_txid());
        let today = adopt_genesis(&secp, bridge, &pin, &first)?;
        match adopt_next(&secp, bridge, &today, &shown) {
            Ok(_) => bail!("a hand-over that nobody signed is adopted"),
            Err(error) => Ok(error.code()),
        }
    }

    fn announce(&self, secp: &Secp256k1<All>, rotation: &CheckedRotation) -> Result<Step> {
        let proposed = rotation.proposed().context("a roster to come")?;
        let step = RotationStep::Announce {
            succession: Box::new(proposed.succession()),
            evidence: proposed.evidence_hash(),
            consents: rotation.consents(),
            newcomers: rotation.newcomers(),
        };
        let nft = self.coin(self.audit.nft)?;
        let (state, vault) = (&self.audit.state, self.vault()?);
        let mut step = self.plan(secp, step, (nft, state), vault, &self.sponsors.announce)?;
        step.draft.gather_previous(self.ledger);
        Ok(step)
    }

    /// The announcement without consent, as the contract agrees to it and nobody signed it.
    fn unsigned_announcement(&self, secp: &Secp256k1<All>) -> Result<Announced> {
        let step = self.announce(secp, &self.short.clone().check(secp)?)?;
        Ok(Announced {
            transaction: step.draft.propose_as(step.action)?.transaction,
            state: step.state,
        })
    }

    fn execute(
        &self,
        secp: &Secp256k1<All>,
        rotation: &CheckedRotation,
        announced: &Announced,
        vault: Coin,
    ) -> Result<Step> {
        let proposed = rotation.proposed().context("a roster to come")?;
        let step = RotationStep::Execute {
            succession: Box::new(proposed.succession()),
            notice: coin(&announced.transaction, NOTICE_VOUT)?,
        };
        let nft = coin(&announced.transaction, 0)?;
        let nft = (nft, &announced.state);
        let mut step = self.plan(secp, step, nft, vault, &self.sponsors.execute)?;
        step.draft.gather_previous(self.ledger);
        step.draft.previous.push(announced.transaction.clone());
        Ok(step)
    }

    fn plan(
        &self,
        secp: &Secp256k1<All>,
        step: RotationStep,
        (nft, state): (Coin, &RosterState),
        vault: Coin,
        sponsor: &Terms,
    ) -> Result<Step> {
        let protocol = &self.deployment.protocol;
        let (bridge, roster) = (protocol.bridge(), &self.deployment.roster);
        let script = tree(sponsor, roster).script_pubkey;
        let request = RotationRequest {
            bridge,
            params: protocol.params(),
            roster,
            governance: protocol.governance(),
            state,
            nft,
            vault: Some(vault),
            step,
            sponsors: vec![deposit(self.ledger, bridge, sponsor, &script)?],
            fee_rate: FEE_RATE,
            proof_bytes: PROOF_BYTES,
        };
        let plan = request.plan(secp)?;
        Ok(Step {
            draft: Draft {
                bridge: *bridge,
                params: protocol.params().clone(),
                governance: protocol.governance().clone(),
                roster: roster.clone(),
                transaction: plan.transaction,
                spell: plan.spell.to_wire(),
                previous: Vec::new(),
                requests: Vec::new(),
            },
            action: plan.action,
            state: plan.state,
        })
    }

    fn vault(&self) -> Result<Coin> {
        let at = self.audit.vault.keys().next();
        self.coin(*at.context("something in the vault")?)
    }

    fn coin(&self, outpoint: OutPoint) -> Result<Coin> {
        let output = self.ledger.output(&outpoint).cloned();
        let output = output.context("an output of the chain")?;
        Ok(Coin { outpoint, output })
    }
}

/// An announcement's transaction, and the state on its NFT.
struct Announced {
    transaction: Transaction,
    state: RosterState,
}

impl Step {
    fn attack(self, what: &'static str, code: RefusalCode) -> Result<Attack> {
        Ok(Attack {
            what,
            code,
            contract_code: self.draft.contract_refuses()?,
            proposal: self.draft.propose_as(self.action)?,
        })
    }
}

fn tree(terms: &Terms, roster: &Roster) -> DepositTree {
    DepositTree::new(&Secp256k1::new(), InternalKey::Nums, terms, roster)
}

fn spent(transaction: &Transaction, previous: &[Transaction]) -> Result<Vec<TxOut>> {
    let inputs = transaction.input.iter();
    inputs
        .map(|input| {
            let OutPoint { txid, vout } = input.previous_output;
            let made = previous.iter().find(|made| made.compute_txid() == txid);
            Ok(coin(made.context("a previous transaction")?, vout)?.output)
        })
        .collect()
}
