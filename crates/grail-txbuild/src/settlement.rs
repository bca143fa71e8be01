//! Plans a settlement: which requests, which coins, what each pays, and the spell to prove.

use std::collections::BTreeSet;

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxIn, TxOut, Weight, Witness,
    absolute::LockTime,
    secp256k1::{Secp256k1, Verification},
    transaction::Version,
};
use grail_bridge_contract::RosterState;
use grail_charms::{BuildError, SettlementItem, settlement_spell};
use grail_flow::{
    least_rest,
    surcharge::{Payer, surcharges},
};
use grail_script::{DepositTree, InternalKey, VaultTree, weight};
use grail_spell::{NormalizedSpell, encode_op_return};
use grail_types::{Age, Bridge, Governance, Kind, MockAllowed, Params, RequestId, Roster, Terms};
use grail_wire::PREVIOUS_MAX_BYTES;

use crate::fees::{rate_within, shares};
use crate::limits::{age_to_claim, claim};

/// An unspent output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Amount and script.
    pub output: TxOut,
}

/// A deposit to be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// What it was made for.
    pub terms: Terms,
    /// The deposit.
    pub coin: Coin,
    /// zkBTC on it, satoshis; zero for a peg-in.
    pub token: u64,
    /// Size of the transaction that made it: operators need it in full.
    pub previous_bytes: usize,
}

/// All that a settlement is planned from.
#[derive(Clone, Debug)]
pub struct SettlementRequest<'a> {
    /// The bridge.
    pub bridge: &'a Bridge,
    /// Protocol parameters.
    pub params: &'a Params,
    /// The roster that holds NFT and vault, and deposits of its epoch.
    pub roster: &'a Roster,
    /// The roster of a former epoch that holds the deposits of that one.
    pub former: Option<&'a Roster>,
    /// The administrators of `roster`: those whose hash is in the state.
    pub governance: &'a Governance,
    /// State on the NFT.
    pub state: &'a RosterState,
    /// The NFT's output.
    pub nft: Coin,
    /// Blocks that it has, the one that holds it included: its age, by which the outflow decays.
    /// None as long as it is in no block.
    pub nft_confirmations: u32,
    /// The vault's coin: output 1 of the transaction that made the NFT's, where it is the vault's.
    /// Operators take that coin and no other at its address.
    pub vault: Option<Coin>,
    /// Deposits that are ready, most urgent first.
    pub deposits: Vec<Deposit>,
    /// Fee rate to aim at; clamped to the parameters.
    pub fee_rate: FeeRate,
    /// What those that wait for a block under it pay too little to be mined at that rate; zero
    /// where there are none. Borne as far as [`surcharges`] says, and left where it is otherwise:
    /// nobody is left out for it.
    pub deficit: Amount,
    /// Bytes of the proof that the prover will make.
    pub proof_bytes: usize,
    /// The output that the prover may add, at its most; the requests pay for it.
    pub prover_fee: Option<TxOut>,
}

/// A planned settlement, ready to be proven.
#[derive(Clone, Debug)]
pub struct SettlementPlan {
    /// The transaction without the spell's output, which comes last.
    pub transaction: Transaction,
    /// The spell, in proving form.
    pub spell: NormalizedSpell,
    /// The NFT's state after.
    pub state: RosterState,
    /// The requests served, in order.
    pub items: Vec<PlannedItem>,
    /// Their terms, in order.
    pub requests: Vec<Terms>,
    /// The former roster that holds some of their deposits.
    pub former: Option<Roster>,
    /// Requests that were not taken, and why.
    pub left_out: Vec<LeftOut>,
    /// Sum of the shares, with what is set aside for the prover.
    pub fee: Amount,
    /// The part of it that pays for those under it.
    pub surcharge: Amount,
    /// What it weighs at most, once signed.
    pub weight: Weight,
}

impl SettlementPlan {
    /// The unsigned transaction with the proven spell, after the prover's fee output if it takes
    /// one.
    pub fn with_spell(&self, fee_output: Option<TxOut>, op_return: ScriptBuf) -> Transaction {
        let mut transaction = self.transaction.clone();
        transaction.output.extend(fee_output);
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: op_return,
        });
        transaction
    }
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedItem {
    /// The request.
    pub request: RequestId,
    /// Its deposit.
    pub deposit: OutPoint,
    /// Peg-in: zkBTC minted. Peg-out: BTC paid.
    pub amount_out: Amount,
    /// Its part of the fee, with what it pays for those under it.
    pub fee_share: Amount,
}

/// A request that is not in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The request.
    pub request: RequestId,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a request is not in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOutReason {
    /// The batch is full; it comes next.
    BatchFull,
    /// Its part of the fee is above its cap at this fee rate.
    FeeAboveCap,
    /// After the fee less than dust would remain.
    TooSmall,
    /// Paying it would leave the vault with an amount too small to relay; it comes with others.
    VaultDust,
    /// More zkBTC than the vault holds: the books do not fit, somebody must look.
    VaultShort,
    /// More would leave than may by now; it comes with time.
    OutflowLimit,
    /// More zkBTC would exist than may; it comes when some has left.
    SupplyLimit,
}

impl LeftOutReason {
    /// Stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BatchFull => "batch-full",
            Self::FeeAboveCap => "fee-above-cap",
            Self::TooSmall => "too-small",
            Self::VaultDust => "vault-dust",
            Self::VaultShort => "vault-short",
            Self::OutflowLimit => "outflow-limit",
            Self::SupplyLimit => "supply-limit",
        }
    }
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// No request can be served now.
    #[error("no request can be served now: {left_out:?}")]
    Nothing {
        /// All of them, with reasons.
        left_out: Vec<LeftOut>,
    },
    /// Sums leave the range of amounts.
    #[error("amounts overflow")]
    Overflow,
    /// The spell cannot be built.
    #[error(transparent)]
    Spell(#[from] BuildError),
    /// The spell cannot be encoded.
    #[error("spell: {0}")]
    Envelope(String),
}

struct Candidate {
    deposit: Deposit,
    tree: DepositTree,
}

/// Candidates that a batch cannot be made with.
struct Unfit {
    indexes: BTreeSet<usize>,
    reason: LeftOutReason,
}

impl Unfit {
    fn one(index: usize, reason: LeftOutReason) -> Self {
        Self {
            indexes: BTreeSet::from([index]),
            reason,
        }
    }
}

/// One way to serve a list of candidates.
struct Draft {
    transaction: Transaction,
    state: RosterState,
    spell_items: Vec<SettlementItem>,
    vault_out: Option<u64>,
}

fn is_peg_in(item: &SettlementItem) -> bool {
    matches!(item, SettlementItem::PegIn { .. })
}

/// The peg-outs for which so much room is not enough, when it is given in order: one that does not
/// fit leaves it to those behind.
fn above_room(chosen: &[Candidate], mut room: u64) -> BTreeSet<usize> {
    let burned = chosen.iter().map(|candidate| candidate.deposit.token);
    let above = burned.enumerate().filter(|(_, burned)| {
        let left = room.checked_sub(*burned);
        room = left.unwrap_or(room);
        left.is_none()
    });
    above.map(|(index, _)| index).collect()
}

/// A way to serve them that keeps every rule.
struct Fit {
    draft: Draft,
    shares: Vec<Amount>,
    surcharge: Amount,
    weight: Weight,
}

impl SettlementRequest<'_> {
    /// Plans a settlement of as many deposits as fit, in the order given.
    ///
    /// Drops what cannot be served at this rate and starts over until everything left fits. All who
    /// would pay above their cap go at once: the fewer are left, the more each pays, so that none
    /// of them could stay. What remains is at most quadratic in the batch, which the parameters
    /// bound.
    pub fn plan<C: Verification>(self, secp: &Secp256k1<C>) -> Result<SettlementPlan, PlanError> {
        let weight_max = self.params.settlement_weight_max;
        self.plan_within(secp, weight_max)
    }

    /// Plans a settlement that weighs `weight_max` at most, signed, and what the parameters allow.
    pub fn plan_within<C: Verification>(
        mut self,
        secp: &Secp256k1<C>,
        weight_max: Weight,
    ) -> Result<SettlementPlan, PlanError> {
        let weight_max = weight_max.min(self.params.settlement_weight_max);
        let vault = VaultTree::new(secp, InternalKey::Nums, self.roster, self.governance);
        let fee_rate = self
            .fee_rate
            .clamp(self.params.fee_rate_min, self.params.fee_rate_max);

        let mut left_out = Vec::new();
        let mut chosen = self.choose(secp, &mut left_out);
        loop {
            if chosen.is_empty() {
                return Err(PlanError::Nothing { left_out });
            }
            let outcome = self.attempt(&vault, &chosen, fee_rate, weight_max)?;
            let Unfit { indexes, reason } = match outcome {
                Ok(fit) => return self.finish(fit, &chosen, left_out),
                Err(unfit) => unfit,
            };
            let mut index = 0_usize;
            chosen.retain(|candidate| {
                let is_unfit = indexes.contains(&index);
                index = index.saturating_add(1);
                if is_unfit {
                    left_out.push(LeftOut {
                        request: candidate.tree.request,
                        reason,
                    });
                }
                !is_unfit
            });
        }
    }

    /// The first deposits that fit the limits on number and on bytes of previous transactions.
    fn choose<C: Verification>(
        &mut self,
        secp: &Secp256k1<C>,
        left_out: &mut Vec<LeftOut>,
    ) -> Vec<Candidate> {
        let room = usize::from(self.params.roster_inputs_max).saturating_sub(self.of_grail());
        // Half of what operators take, since the NFT's and the vault's previous transactions count
        // too.
        let mut bytes_left = PREVIOUS_MAX_BYTES / 2;
        let mut chosen = Vec::new();
        for deposit in std::mem::take(&mut self.deposits) {
            let holder = self.former_of(&deposit.terms).unwrap_or(self.roster);
            let tree = DepositTree::new(secp, InternalKey::Nums, &deposit.terms, holder);
            if chosen.len() < room && deposit.previous_bytes <= bytes_left {
                bytes_left = bytes_left.saturating_sub(deposit.previous_bytes);
                chosen.push(Candidate { deposit, tree });
            } else {
                left_out.push(LeftOut {
                    request: tree.request,
                    reason: LeftOutReason::BatchFull,
                });
            }
        }
        chosen
    }

    /// The former roster, if these terms are of its epoch.
    fn former_of(&self, terms: &Terms) -> Option<&Roster> {
        self.former.filter(|former| former.epoch() == terms.epoch)
    }

    /// Tries to serve exactly `chosen`. `Ok(Err(unfit))`: not without leaving out those.
    fn attempt(
        &self,
        vault: &VaultTree,
        chosen: &[Candidate],
        fee_rate: FeeRate,
        weight_max: Weight,
    ) -> Result<Result<Fit, Unfit>, PlanError> {
        let last = chosen.len().saturating_sub(1);
        // With no fee every amount is at its largest, and so is the spell that carries it.
        let free = vec![Amount::ZERO; chosen.len()];
        let largest = match self.draft(vault, chosen, &free)? {
            Ok(draft) => draft,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let own: Vec<Weight> = chosen.iter().map(Self::own_weight).collect();
        let total = self.signed_weight(vault, chosen, &largest)?;
        if total > weight_max {
            return Ok(Err(Unfit::one(last, LeftOutReason::BatchFull)));
        }
        let own_sum: Weight = own.iter().copied().sum();
        let shared = Weight::from_wu(total.to_wu().saturating_sub(own_sum.to_wu()));
        let prover_fee = self
            .prover_fee
            .as_ref()
            .map_or(Amount::ZERO, |output| output.value);
        let lightest = self.lightest(total, chosen.len());
        let fee_rate = rate_within(
            fee_rate,
            self.params.fee_rate_max,
            total,
            lightest,
            chosen.len(),
            prover_fee,
        )
        .ok_or(PlanError::Overflow)?;
        let to_miners = shares(fee_rate, shared, &own, Amount::ZERO).ok_or(PlanError::Overflow)?;
        let shares = shares(fee_rate, shared, &own, prover_fee).ok_or(PlanError::Overflow)?;
        let above_cap: BTreeSet<usize> = (0..)
            .zip(chosen.iter().zip(&shares))
            .filter(|(_, (candidate, share))| **share > candidate.deposit.terms.fee_cap)
            .map(|(index, _)| index)
            .collect();
        if !above_cap.is_empty() {
            return Ok(Err(Unfit {
                indexes: above_cap,
                reason: LeftOutReason::FeeAboveCap,
            }));
        }
        let draft = match self.draft(vault, chosen, &shares)? {
            Ok(draft) => draft,
            Err(unfit) => return Ok(Err(unfit)),
        };
        // All of them are served. Only now, and only if nothing changes about that:
        if let Some((shares, surcharge)) = self.raised(chosen, &to_miners, &shares, lightest)
            && let Ok(draft) = self.draft(vault, chosen, &shares)?
        {
            return Ok(Ok(Fit {
                draft,
                shares,
                surcharge,
                weight: total,
            }));
        }
        Ok(Ok(Fit {
            draft,
            shares,
            surcharge: Amount::ZERO,
            weight: total,
        }))
    }

    /// The shares with what pays for those under it, and the sum of that; none where there is
    /// nothing to pay for, or they cannot, or operators would not sign so high a fee. `to_miners`:
    /// the shares without the prover's part.
    fn raised(
        &self,
        chosen: &[Candidate],
        to_miners: &[Amount],
        shares: &[Amount],
        lightest: Weight,
    ) -> Option<(Vec<Amount>, Amount)> {
        let payers: Vec<Payer> = chosen
            .iter()
            .zip(to_miners.iter().zip(shares))
            .map(|(candidate, (to_miners, share))| Payer {
                share: *to_miners,
                room: self.room(&candidate.deposit, *share),
            })
            .collect();
        let surcharges = surcharges(self.deficit, &payers)?;
        let sum = |amounts: &[Amount]| {
            let mut amounts = amounts.iter().copied();
            amounts.try_fold(Amount::ZERO, Amount::checked_add)
        };
        let raised: Option<Vec<Amount>> = shares
            .iter()
            .zip(&surcharges)
            .map(|(share, surcharge)| share.checked_add(*surcharge))
            .collect();
        let raised = raised?;
        let most = self
            .params
            .fee_rate_max
            .to_sat_per_kwu()
            .checked_mul(lightest.to_wu())?
            .checked_div(1_000)?;
        let surcharge = sum(&surcharges)?;
        (sum(&raised)?.to_sat() <= most).then_some((raised, surcharge))
    }

    /// What a request can pay beside its share: within its cap, and so that it still gets the
    /// least.
    fn room(&self, deposit: &Deposit, share: Amount) -> Amount {
        let Deposit {
            terms, coin, token, ..
        } = deposit;
        let least = least_rest(self.params, terms);
        let spare = Amount::from_sat(*token)
            .checked_add(coin.output.value)
            .and_then(|worth| worth.checked_sub(least)?.checked_sub(share));
        let within_cap = terms.fee_cap.checked_sub(share);
        let room = spare.zip(within_cap);
        room.map_or(Amount::ZERO, |(spare, within_cap)| spare.min(within_cap))
    }

    fn draft(
        &self,
        vault: &VaultTree,
        chosen: &[Candidate],
        shares: &[Amount],
    ) -> Result<Result<Draft, Unfit>, PlanError> {
        let mut outputs = Vec::with_capacity(chosen.len());
        let mut too_small = BTreeSet::new();
        let mut items = Vec::with_capacity(chosen.len());
        let (mut minted, mut burned) = (0_u64, 0_u64);
        for (index, (candidate, share)) in chosen.iter().zip(shares).enumerate() {
            let Some((output, item)) = self.output(candidate, *share) else {
                too_small.insert(index);
                continue;
            };
            match item {
                SettlementItem::PegIn { amount } => {
                    minted = minted.checked_add(amount).ok_or(PlanError::Overflow)?;
                }
                SettlementItem::Plain => {
                    burned = burned
                        .checked_add(candidate.deposit.token)
                        .ok_or(PlanError::Overflow)?;
                }
            }
            outputs.push(output);
            items.push(item);
        }
        // What all share only grows with fewer payers, so these would be too small in any batch
        // that is left of this one.
        if !too_small.is_empty() {
            return Ok(Err(Unfit {
                indexes: too_small,
                reason: LeftOutReason::TooSmall,
            }));
        }
        let vault_in = self
            .vault
            .as_ref()
            .map_or(0, |coin| coin.output.value.to_sat());
        let last_peg_out = items
            .iter()
            .rposition(|item| *item == SettlementItem::Plain)
            .unwrap_or(chosen.len().saturating_sub(1));
        let after = |start: u64| {
            start
                .checked_add(minted)
                .and_then(|sum| sum.checked_sub(burned))
        };
        let (Some(vault_out), Some(supply)) = (after(vault_in), after(self.state.supply)) else {
            return Ok(Err(Unfit::one(last_peg_out, LeftOutReason::VaultShort)));
        };
        if vault_out > 0 && vault_out < vault.script_pubkey.minimal_non_dust().to_sat() {
            return Ok(Err(Unfit::one(last_peg_out, LeftOutReason::VaultDust)));
        }
        if minted > burned && supply > self.params.supply_max.to_sat() {
            let last_peg_in = items.iter().rposition(is_peg_in).unwrap_or_default();
            return Ok(Err(Unfit::one(last_peg_in, LeftOutReason::SupplyLimit)));
        }
        let limit = self.params.outflow_limit();
        let age = age_to_claim(&limit, self.state.outflow, self.nft_confirmations);
        let outflow = limit.after(self.state.outflow, age, minted, burned);
        if limit.check(outflow, minted, burned).is_err() {
            let level = limit.after(self.state.outflow, age, 0, 0);
            let room = limit.cap.to_sat().saturating_add(minted);
            let room = room.saturating_sub(level).max(minted);
            let indexes = above_room(chosen, room);
            let reason = LeftOutReason::OutflowLimit;
            return Ok(Err(Unfit { indexes, reason }));
        }
        let vault_out = (vault_out > 0).then_some(vault_out);
        let vault_output = vault_out.map(|value| TxOut {
            value: Amount::from_sat(value),
            script_pubkey: vault.script_pubkey.clone(),
        });
        let vault_item = vault_out.map(|_| SettlementItem::Plain);
        let serial = self
            .state
            .serial
            .checked_add(1)
            .ok_or(PlanError::Overflow)?;
        let spend = |coin: &Coin, age| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: claim(age),
            witness: Witness::new(),
        };
        let deposits = chosen.iter().map(|candidate| &candidate.deposit.coin);
        let others = self.vault.iter().chain(deposits);
        let input = std::iter::once(spend(&self.nft, age))
            .chain(others.map(|coin| spend(coin, Age::default())))
            .collect();
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input,
            output: std::iter::once(self.nft.output.clone())
                .chain(vault_output)
                .chain(outputs)
                .collect(),
        };
        Ok(Ok(Draft {
            transaction,
            state: RosterState {
                serial,
                supply,
                outflow,
                ..self.state.clone()
            },
            spell_items: vault_item.into_iter().chain(items).collect(),
            vault_out,
        }))
    }

    /// What a request gets when it pays `share`; none when less than dust remains.
    fn output(&self, candidate: &Candidate, share: Amount) -> Option<(TxOut, SettlementItem)> {
        let Deposit {
            terms, coin, token, ..
        } = &candidate.deposit;
        let script_pubkey = terms.destination.script().to_owned();
        match terms.kind {
            Kind::PegIn => {
                let minted = coin
                    .output
                    .value
                    .checked_sub(self.params.carrier)?
                    .checked_sub(share)?
                    .to_sat();
                let item = SettlementItem::PegIn { amount: minted };
                let value = self.params.carrier;
                let output = TxOut {
                    value,
                    script_pubkey,
                };
                (minted > 0).then_some((output, item))
            }
            Kind::PegOut => {
                let value = Amount::from_sat(*token)
                    .checked_add(coin.output.value)?
                    .checked_sub(share)?;
                let dust = script_pubkey.minimal_non_dust();
                let output = TxOut {
                    value,
                    script_pubkey,
                };
                (value >= dust).then_some((output, SettlementItem::Plain))
            }
            // They pay the miners of what serves nobody, and get nothing in a settlement.
            Kind::SponsorAnnounce
            | Kind::SponsorCancel
            | Kind::SponsorExecute
            | Kind::SponsorMerge => None,
        }
    }

    /// Weight that a request adds by itself: its signed input and its output.
    fn own_weight(candidate: &Candidate) -> Weight {
        weight::INPUT
            + candidate.tree.leaf.witness_weight()
            + weight::output(candidate.deposit.terms.destination.script())
    }

    fn signed_weight(
        &self,
        vault: &VaultTree,
        chosen: &[Candidate],
        draft: &Draft,
    ) -> Result<Weight, PlanError> {
        let mut transaction = draft.transaction.clone();
        let spell = settlement_spell(
            &transaction,
            &self.bridge.app,
            &draft.state,
            &draft.spell_items,
        )?;
        let mut wire = spell.to_wire();
        // A mock spell says so, in a few bytes more; regtest has no others.
        wire.mock = MockAllowed::on(self.bridge.network).is_some();
        let op_return = encode_op_return(&wire, &vec![0xff; self.proof_bytes])
            .map_err(|error| PlanError::Envelope(error.to_string()))?;
        transaction.output.extend(self.prover_fee.clone());
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: op_return,
        });
        let of_grail = std::iter::repeat_n(vault.leaf.witness_weight(), self.of_grail());
        let of_deposits = chosen
            .iter()
            .map(|candidate| candidate.tree.leaf.witness_weight());
        weight::signed(&transaction, of_grail.chain(of_deposits)).map_err(|_| PlanError::Overflow)
    }

    /// Inputs that are the bridge's own: the NFT, and the vault's coin where there is one.
    fn of_grail(&self) -> usize {
        if self.vault.is_some() { 2 } else { 1 }
    }

    /// What a transaction reckoned to weigh `total` may weigh in the end: a small byte of the proof
    /// takes one byte of CBOR instead of two, a small number in the spell up to eight less, and
    /// the prover may take nothing.
    fn lightest(&self, total: Weight, requests: usize) -> Weight {
        let numbers = requests.saturating_add(2).saturating_mul(8);
        let bytes = self.proof_bytes.saturating_add(numbers) as u64;
        let less = Weight::from_non_witness_data_size(bytes).to_wu();
        let prover = self
            .prover_fee
            .as_ref()
            .map_or(0, |output| output.weight().to_wu());
        Weight::from_wu(total.to_wu().saturating_sub(less).saturating_sub(prover))
    }

    fn finish(
        &self,
        fit: Fit,
        chosen: &[Candidate],
        left_out: Vec<LeftOut>,
    ) -> Result<SettlementPlan, PlanError> {
        let Fit {
            draft,
            shares,
            surcharge,
            weight,
        } = fit;
        let spell = settlement_spell(
            &draft.transaction,
            &self.bridge.app,
            &draft.state,
            &draft.spell_items,
        )?;
        let behind_vault = if draft.vault_out.is_some() { 2 } else { 1 };
        let outputs = draft.transaction.output.iter().skip(behind_vault);
        let spell_items = draft
            .spell_items
            .iter()
            .skip(behind_vault.saturating_sub(1));
        let items = chosen
            .iter()
            .zip(&shares)
            .zip(outputs.zip(spell_items))
            .map(|((candidate, share), (output, item))| PlannedItem {
                request: candidate.tree.request,
                deposit: candidate.deposit.coin.outpoint,
                amount_out: match item {
                    SettlementItem::PegIn { amount } => Amount::from_sat(*amount),
                    SettlementItem::Plain => output.value,
                },
                fee_share: *share,
            })
            .collect();
        let fee = shares
            .iter()
            .copied()
            .try_fold(Amount::ZERO, Amount::checked_add)
            .ok_or(PlanError::Overflow)?;
        let mut all = chosen.iter().map(|candidate| &candidate.deposit.terms);
        let former = all.find_map(|terms| self.former_of(terms)).cloned();
        Ok(SettlementPlan {
            former,
            transaction: draft.transaction,
            spell,
            state: draft.state,
            items,
            requests: chosen
                .iter()
                .map(|candidate| candidate.deposit.terms.clone())
                .collect(),
            left_out,
            fee,
            surcharge,
            weight,
        })
    }
}
