//! Plans what sponsors pay for: the steps of a rotation (ADR 27), and the merging of donations (ADR
//! 30).

use bitcoin::{
    Amount, FeeRate, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Secp256k1, Verification},
    transaction::Version,
};
use grail_bridge_contract::{Action as ContractAction, Next, RosterState};
use grail_charms::{BuildError, SettlementItem, step_spell};
use grail_policy::{NOTICE_COIN, Refusal, notice_tree, successor, wait_of};
use grail_script::{DepositTree, InternalKey, VaultTree, weight};
use grail_spell::{NormalizedSpell, encode_op_return};
use grail_types::{BoundExceeded, BoundedVec, Bridge, Governance, MockAllowed, Params, Roster};
use grail_wire::{Action, Announcement, Cancellation, Consents, Execution, Merge, Succession};

use crate::settlement::{Coin, Deposit};

/// A step, with what its consent consists of.
#[derive(Clone, Debug)]
pub enum RotationStep {
    /// Says which roster comes next.
    Announce {
        /// The roster to come.
        succession: Box<Succession>,
        /// Hash of the evidence that the administrators went by.
        evidence: [u8; 32],
        /// The administrators' signatures.
        consents: Consents,
        /// Those of the administrators to come who are new.
        newcomers: Consents,
    },
    /// Takes that back.
    Cancel {
        /// The administrators' signatures.
        consents: Consents,
    },
    /// Hands over.
    Execute {
        /// The roster to come, as announced.
        succession: Box<Succession>,
        /// The coin that the announcement made.
        notice: Coin,
    },
    /// Moves donations into the vault's coin: no step of a rotation, and paid for as one.
    Merge {
        /// The coins, at the vault's address.
        donations: Vec<Coin>,
    },
}

/// All that a step is planned from.
#[derive(Clone, Debug)]
pub struct RotationRequest<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// Protocol parameters of today.
    pub params: &'a Params,
    /// The roster that signs.
    pub roster: &'a Roster,
    /// Its administrators: those whose hash is in the state.
    pub governance: &'a Governance,
    /// State on the NFT.
    pub state: &'a RosterState,
    /// The NFT's output.
    pub nft: Coin,
    /// The vault's coin, as for a settlement.
    pub vault: Option<Coin>,
    /// Which step.
    pub step: RotationStep,
    /// Deposits of sponsors of this step; as few are taken as pay for it.
    pub sponsors: Vec<Deposit>,
    /// Fee rate to aim at: at least the lowest of the parameters, at most three quarters of the
    /// highest.
    pub fee_rate: FeeRate,
    /// Bytes of the proof that the prover will make.
    pub proof_bytes: usize,
}

/// A planned step, ready to be proven.
#[derive(Clone, Debug)]
pub struct RotationPlan {
    /// The transaction without the spell's output, which comes last.
    pub transaction: Transaction,
    /// The spell, in proving form.
    pub spell: NormalizedSpell,
    /// The NFT's state after.
    pub state: RosterState,
    /// What operators are asked with beside the transaction.
    pub action: Action,
    /// The sponsors that pay, in order.
    pub sponsors: Vec<Deposit>,
    /// What the miners get.
    pub fee: Amount,
    /// What it weighs at most, once signed.
    pub weight: Weight,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RotationPlanError {
    /// The sponsors do not pay what the fee rate needs.
    #[error("sponsors of {got} pay less than the {needed} that the miners need")]
    TooLittle {
        /// Fee at the rate, with what the notice coin takes.
        needed: Amount,
        /// What all that may take part have.
        got: Amount,
    },
    /// Each sponsor has more than the highest fee rate gives to the miners.
    #[error("every sponsor pays more than {most}, the most that the miners may have")]
    TooMuch {
        /// The largest coin that could pay for the step by itself.
        most: Amount,
    },
    /// Another state than the step begins at, or a roster that cannot be announced.
    #[error(transparent)]
    Step(#[from] Refusal),
    /// Sums leave the range of amounts.
    #[error("amounts overflow")]
    Overflow,
    /// More sponsors or signatures than a message holds.
    #[error(transparent)]
    Bound(#[from] BoundExceeded),
    /// The spell cannot be built.
    #[error(transparent)]
    Spell(#[from] BuildError),
    /// The spell cannot be encoded.
    #[error("spell: {0}")]
    Envelope(String),
}

impl RotationRequest<'_> {
    /// Plans the step with the fewest sponsors that pay for it. Their coins go to the miners
    /// whole, and operators refuse a fee above the highest rate: whoever gives too much is passed
    /// over, and stands in nobody's way. Tries one transaction per number of sponsors.
    pub fn plan<C: Verification>(
        mut self,
        secp: &Secp256k1<C>,
    ) -> Result<RotationPlan, RotationPlanError> {
        let (least, most) = (self.params.fee_rate_min, self.params.fee_rate_max);
        // Coins go whole: at the highest rate itself hardly any would be enough and not too much.
        let aim = most.to_sat_per_kwu().saturating_mul(3) / 4;
        let fee_rate = self.fee_rate.min(FeeRate::from_sat_per_kwu(aim)).max(least);
        let state = self.state_after(secp)?;
        let value = |deposit: &Deposit| deposit.coin.output.value;
        self.sponsors.sort_by_key(|it| std::cmp::Reverse(value(it)));
        let mut too_much = None;
        let mut too_little = (NOTICE_COIN, Amount::ZERO);
        for count in 1..=self.sponsors.len().min(grail_wire::SPONSORS_MAX) {
            let first = self.sponsors.get(..count).unwrap_or_default();
            // What it weighs goes by how many pay, not by who.
            let (plan, needed) = self.attempt(secp, &state, first, fee_rate)?;
            let most = fee_most(self.params.fee_rate_max, self.least_weight(&plan));
            let most = most.ok_or(RotationPlanError::Overflow)?;
            let mut runs = self.sponsors.windows(count).enumerate();
            // The first that is not too rich: those after it only have less.
            let run = runs.find_map(|(start, run)| {
                let fee = self.fee_of(run)?;
                (fee <= most).then_some((start, run, fee))
            });
            match run {
                Some((0, _, fee)) if fee >= needed => return Ok(plan),
                Some((_, run, fee)) if fee >= needed => {
                    let (plan, _) = self.attempt(secp, &state, run, fee_rate)?;
                    return Ok(plan);
                }
                Some((_, _, fee)) => too_little = (needed, fee),
                None if count == 1 => too_much = self.coin_of(most),
                None => {}
            }
        }
        let (needed, got) = too_little;
        Err(match too_much {
            Some(most) => RotationPlanError::TooMuch { most },
            None => RotationPlanError::TooLittle { needed, got },
        })
    }

    /// What a plan weighs at least: a proof may be smaller than foreseen, and the rate then higher.
    fn least_weight(&self, plan: &RotationPlan) -> Weight {
        let proof = Weight::from_non_witness_data_size(self.proof_bytes as u64);
        plan.weight.checked_sub(proof).unwrap_or(Weight::ZERO)
    }

    /// What the miners get of these sponsors.
    fn fee_of(&self, sponsors: &[Deposit]) -> Option<Amount> {
        let (put_in, put_out) = self.beside_sponsors();
        let values = sponsors.iter().map(|it| it.coin.output.value);
        let put_in = values.into_iter().try_fold(put_in, Amount::checked_add)?;
        Some(put_in.checked_sub(put_out).unwrap_or(Amount::ZERO))
    }

    /// The coin of a lone sponsor of which the miners get this.
    fn coin_of(&self, fee: Amount) -> Option<Amount> {
        let (put_in, put_out) = self.beside_sponsors();
        fee.checked_add(put_out)?.checked_sub(put_in)
    }

    /// What comes in and goes out beside NFT, vault and sponsors: the notice coin.
    fn beside_sponsors(&self) -> (Amount, Amount) {
        match &self.step {
            RotationStep::Announce { .. } => (Amount::ZERO, NOTICE_COIN),
            RotationStep::Execute { notice, .. } => (notice.output.value, Amount::ZERO),
            RotationStep::Cancel { .. } | RotationStep::Merge { .. } => {
                (Amount::ZERO, Amount::ZERO)
            }
        }
    }

    /// The state that the step leads to, as operators will have it.
    fn state_after<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
    ) -> Result<RosterState, RotationPlanError> {
        let before = self.state;
        let serial = before.serial.checked_add(1);
        let serial = serial.ok_or(RotationPlanError::Overflow)?;
        Ok(match &self.step {
            RotationStep::Announce { succession, .. } => {
                let hash = successor(secp, self.bridge, before, succession)?.next_hash();
                let wait = wait_of(self.bridge.network, self.params, before.supply)?;
                let attempt = before.attempt.checked_add(1);
                RosterState {
                    serial,
                    attempt: attempt.ok_or(RotationPlanError::Overflow)?,
                    next: Some(Next { hash, serial, wait }),
                    ..before.clone()
                }
            }
            RotationStep::Cancel { .. } => RosterState {
                serial,
                next: None,
                ..before.clone()
            },
            RotationStep::Execute { succession, .. } => {
                successor(secp, self.bridge, before, succession)?
            }
            RotationStep::Merge { .. } => RosterState {
                serial,
                ..before.clone()
            },
        })
    }

    /// The step paid by exactly these, and the fee that it needs at this rate.
    fn attempt<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        state: &RosterState,
        sponsors: &[Deposit],
        fee_rate: FeeRate,
    ) -> Result<(RotationPlan, Amount), RotationPlanError> {
        let Sides {
            transaction,
            witnesses,
            items,
            put_in,
            put_out,
        } = self.sides(secp, state, sponsors)?;
        let spell = step_spell(
            self.contract_action(),
            &transaction,
            &self.bridge.app,
            state,
            &items,
        )?;
        let mut wire = spell.to_wire();
        // A mock spell says so, in a few bytes more; regtest has no others.
        wire.mock = MockAllowed::on(self.bridge.network).is_some();
        let op_return = encode_op_return(&wire, &vec![0xff; self.proof_bytes])
            .map_err(|error| RotationPlanError::Envelope(error.to_string()))?;
        let mut whole = transaction.clone();
        whole.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: op_return,
        });
        let weight = weight::signed(&whole, witnesses).map_err(|_| RotationPlanError::Overflow)?;
        let fee = put_in.checked_sub(put_out).unwrap_or(Amount::ZERO);
        let needed = fee_rate.fee_wu(weight).ok_or(RotationPlanError::Overflow)?;
        let plan = RotationPlan {
            transaction,
            spell,
            state: state.clone(),
            action: self.action(sponsors)?,
            sponsors: sponsors.to_vec(),
            fee,
            weight,
        };
        Ok((plan, needed))
    }

    /// What goes into the vault's coin beside it.
    fn donations(&self) -> &[Coin] {
        match &self.step {
            RotationStep::Merge { donations } => donations,
            RotationStep::Announce { .. }
            | RotationStep::Cancel { .. }
            | RotationStep::Execute { .. } => &[],
        }
    }

    fn contract_action(&self) -> ContractAction {
        match self.step {
            RotationStep::Announce { .. } => ContractAction::Announce,
            RotationStep::Cancel { .. } => ContractAction::Cancel,
            RotationStep::Execute { .. } => ContractAction::Execute,
            RotationStep::Merge { .. } => ContractAction::Settle,
        }
    }

    fn action(&self, sponsors: &[Deposit]) -> Result<Action, BoundExceeded> {
        let sponsors = sponsors.iter().map(|deposit| deposit.terms.clone());
        let sponsors = BoundedVec::new(sponsors.collect())?;
        Ok(match self.step.clone() {
            RotationStep::Announce {
                succession,
                evidence,
                consents,
                newcomers,
            } => Action::Announcement(Box::new(Announcement {
                succession: *succession,
                evidence,
                consents,
                newcomers,
                sponsors,
            })),
            RotationStep::Cancel { consents } => {
                Action::Cancellation(Cancellation { consents, sponsors })
            }
            RotationStep::Execute { succession, .. } => Action::Execution(Box::new(Execution {
                succession: *succession,
                sponsors,
            })),
            RotationStep::Merge { .. } => Action::Merge(Merge { sponsors }),
        })
    }

    fn sides<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        state: &RosterState,
        sponsors: &[Deposit],
    ) -> Result<Sides, RotationPlanError> {
        let here = VaultTree::new(secp, InternalKey::Nums, self.roster, self.governance);
        let there = ScriptBuf::from_bytes(state.vault_script.clone());
        let mut sides = Sides::default();
        (sides.put_in, sides.put_out) = self.beside_sponsors();
        sides.spend(&self.nft, 0, here.leaf.witness_weight());
        sides.pay(self.nft.output.value, there.clone());
        let mut vault = None;
        for coin in self.vault.iter().chain(self.donations()) {
            sides.spend(coin, 0, here.leaf.witness_weight());
            let sum = vault.unwrap_or(Amount::ZERO);
            let sum = sum.checked_add(coin.output.value);
            vault = Some(sum.ok_or(RotationPlanError::Overflow)?);
        }
        if let Some(vault) = vault {
            sides.pay(vault, there);
        }
        match &self.step {
            RotationStep::Announce { .. } => {
                let next = state.next.as_ref();
                let next = next.ok_or(Refusal::RotationState("no roster is announced"))?;
                let tree = notice_tree(secp, self.bridge, self.roster, next);
                sides.pay(NOTICE_COIN, tree.script_pubkey);
            }
            RotationStep::Cancel { .. } | RotationStep::Merge { .. } => {}
            RotationStep::Execute { notice, .. } => {
                let next = self.state.next.as_ref();
                let next = next.ok_or(Refusal::RotationState("no roster is announced"))?;
                let tree = notice_tree(secp, self.bridge, self.roster, next);
                sides.spend(notice, next.wait, tree.leaf.witness_weight());
            }
        }
        for deposit in sponsors {
            let tree = DepositTree::new(secp, InternalKey::Nums, &deposit.terms, self.roster);
            sides.spend(&deposit.coin, 0, tree.leaf.witness_weight());
            let put_in = sides.put_in.checked_add(deposit.coin.output.value);
            sides.put_in = put_in.ok_or(RotationPlanError::Overflow)?;
        }
        Ok(sides)
    }
}

/// The largest fee whose rate, rounded down as operators do, is not above `rate`.
fn fee_most(rate: FeeRate, weight: Weight) -> Option<Amount> {
    let above = rate.to_sat_per_kwu().checked_add(1)?;
    let product = above.checked_mul(weight.to_wu())?;
    // The smallest fee that is refused, less one.
    let refused = product.div_ceil(1_000);
    refused.checked_sub(1).map(Amount::from_sat)
}

/// A transaction as it grows.
struct Sides {
    transaction: Transaction,
    witnesses: Vec<Weight>,
    /// What the outputs after the NFT's carry.
    items: Vec<SettlementItem>,
    /// What comes in beside NFT and vault.
    put_in: Amount,
    /// What goes out beside them.
    put_out: Amount,
}

impl Default for Sides {
    fn default() -> Self {
        Self {
            transaction: Transaction {
                version: Version::TWO,
                lock_time: LockTime::ZERO,
                input: Vec::new(),
                output: Vec::new(),
            },
            witnesses: Vec::new(),
            items: Vec::new(),
            put_in: Amount::ZERO,
            put_out: Amount::ZERO,
        }
    }
}

impl Sides {
    fn spend(&mut self, coin: &Coin, age: u16, witness: Weight) {
        self.transaction.input.push(TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: if age == 0 {
                Sequence::ENABLE_RBF_NO_LOCKTIME
            } else {
                Sequence::from_height(age)
            },
            witness: Witness::new(),
        });
        self.witnesses.push(witness);
    }

    fn pay(&mut self, value: Amount, script_pubkey: ScriptBuf) {
        if !self.transaction.output.is_empty() {
            self.items.push(SettlementItem::Plain);
        }
        self.transaction.output.push(TxOut {
            value,
            script_pubkey,
        });
    }
}
