//! One request: its deposit in, its output out, its share of the fee.

use std::collections::BTreeSet;

use bitcoin::{Amount, TxOut};
use grail_script::{DepositTree, VaultTree};
use grail_spell::BridgeCharms;
use grail_types::{Bridge, Kind, Params, RequestId, Terms};

use super::books::Effect;
use crate::{
    bridge::deposit::{self, Holders},
    outline::Spent,
    refusal::Refusal,
};

/// One request as the transaction serves it.
pub(super) struct Item<'a> {
    pub terms: &'a Terms,
    pub tree: DepositTree,
    pub input_index: usize,
    pub spent: &'a Spent,
    pub output_index: usize,
    pub output: &'a TxOut,
    pub carried: BridgeCharms,
}

/// Terms that this bridge serves in a settlement, each once.
pub(super) fn check_terms(
    requests: &[Terms],
    bridge: &Bridge,
    params: &Params,
    holders: &Holders,
    vault: &VaultTree,
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::<RequestId>::new();
    for terms in requests {
        let request = terms.id();
        if !seen.insert(request) {
            return Err(Refusal::RepeatedRequest(request));
        }
        let (roster, is_peg) = (holders.of(terms)?, !terms.kind.is_sponsor());
        deposit::check_terms(terms, request, bridge, params, roster, is_peg)?;
        let to = terms.destination.script();
        let is_user = to != vault.script_pubkey.as_script();
        let holds_carrier = to.minimal_non_dust() <= params.carrier;
        let can_carry = terms.kind == Kind::PegOut || holds_carrier;
        deposit::check_rules(
            request,
            [
                (is_user, "the destination is the vault"),
                (can_carry, "the carrier is dust at the destination"),
            ],
        )?;
    }
    Ok(())
}

impl Item<'_> {
    pub(super) fn check(&self, params: &Params) -> Result<Effect, Refusal> {
        let request = self.tree.request;
        if self.output.script_pubkey.as_script() != self.terms.destination.script() {
            return Err(Refusal::WrongDestination {
                output_index: self.output_index,
                request,
            });
        }
        let effect = match self.terms.kind {
            Kind::PegIn => self.peg_in(params),
            Kind::PegOut => self.peg_out(params),
            Kind::SponsorAnnounce
            | Kind::SponsorCancel
            | Kind::SponsorExecute
            | Kind::SponsorMerge => {
                let reason = "a sponsor gets nothing";
                Err(Refusal::TermsUnfit { request, reason })
            }
        }?;
        if effect.share > self.terms.fee_cap {
            return Err(Refusal::FeeAboveCap {
                request,
                share: effect.share,
                cap: self.terms.fee_cap,
            });
        }
        Ok(effect)
    }

    /// `deposit = minted + carrier + share`.
    fn peg_in(&self, params: &Params) -> Result<Effect, Refusal> {
        if self.spent.carried != BridgeCharms::Nothing {
            return Err(Refusal::UnexpectedCharms {
                input_index: self.input_index,
            });
        }
        let deposit = self.spent.output.value;
        self.check_amount(deposit, params.deposit_min, params)?;
        let BridgeCharms::Token(minted) = self.carried else {
            return Err(self.wrong_output("a peg-in's output must carry zkBTC alone"));
        };
        if minted == 0 {
            return Err(self.wrong_output("nothing is minted"));
        }
        if self.output.value != params.carrier {
            return Err(self.wrong_output("the coin under zkBTC must be the carrier"));
        }
        let out = Amount::from_sat(minted)
            .checked_add(self.output.value)
            .ok_or(Refusal::Overflow)?;
        Ok(Effect {
            minted,
            burned: 0,
            share: self.share(deposit, out)?,
        })
    }

    /// `burned + coin under the deposit = payout + share`.
    fn peg_out(&self, params: &Params) -> Result<Effect, Refusal> {
        let BridgeCharms::Token(burned) = self.spent.carried else {
            return Err(Refusal::UnexpectedCharms {
                input_index: self.input_index,
            });
        };
        // No minimum: what was minted can always leave, as long as the payout is above dust.
        self.check_amount(Amount::from_sat(burned), Amount::ZERO, params)?;
        if self.carried != BridgeCharms::Nothing {
            return Err(self.wrong_output("a payout must carry no charms"));
        }
        if self.output.value < self.output.script_pubkey.minimal_non_dust() {
            return Err(self.wrong_output("the payout is dust"));
        }
        let put_in = Amount::from_sat(burned)
            .checked_add(self.spent.output.value)
            .ok_or(Refusal::Overflow)?;
        Ok(Effect {
            minted: 0,
            burned,
            share: self.share(put_in, self.output.value)?,
        })
    }

    fn check_amount(
        &self,
        got: Amount,
        allowed_min: Amount,
        params: &Params,
    ) -> Result<(), Refusal> {
        if (allowed_min..=params.deposit_max).contains(&got) {
            return Ok(());
        }
        Err(Refusal::DepositAmount {
            request: self.tree.request,
            allowed_min,
            allowed_max: params.deposit_max,
            got,
        })
    }

    fn share(&self, put_in: Amount, out: Amount) -> Result<Amount, Refusal> {
        put_in.checked_sub(out).ok_or(Refusal::Overpaid {
            request: self.tree.request,
            put_in,
            out,
        })
    }

    fn wrong_output(&self, reason: &'static str) -> Refusal {
        Refusal::WrongOutput {
            output_index: self.output_index,
            request: self.tree.request,
            reason,
        }
    }
}
