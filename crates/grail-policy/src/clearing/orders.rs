//! One order: what it may be, and what its owner must at least get. Looked at whatever the app's
//! contract says, so that an app that lies hurts nobody who only trades with it.

use std::collections::BTreeSet;

use bitcoin::secp256k1::{Secp256k1, Verification};
use charms_data::App;
use grail_spell::{charm_app, charms_app};
use grail_types::{Asset, Network, author_digest};

use super::{Placed, Scene};
use crate::{bridge::deposit::check_rules, refusal::Refusal};

/// Longest delay of an order's way back, blocks.
const DELAY_MAX: u16 = 8_064;

/// Shortest: what is signed shall be mined before its owner can take the deposit away.
const fn delay_min(network: Network) -> u16 {
    match network {
        Network::Regtest => 24,
        Network::Signet | Network::Testnet4 | Network::Mainnet => 144,
    }
}

pub(super) fn check<C: Verification>(
    secp: &Secp256k1<C>,
    scene: &Scene<'_>,
    placed: &[Placed<'_>],
) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for it in placed {
        let request = it.tree.request;
        if !seen.insert(request) {
            return Err(Refusal::RepeatedRequest(request));
        }
        it.check_terms(scene)?;
        it.check_author(secp, scene)?;
        it.check_coin()?;
        it.check_charms(scene)?;
    }
    Ok(())
}

impl Placed<'_> {
    fn check_terms(&self, scene: &Scene<'_>) -> Result<(), Refusal> {
        let request = self.tree.request;
        let delays = delay_min(scene.bridge.network)..=DELAY_MAX;
        let is_served = delays.contains(&self.terms.reclaim_delay);
        check_rules(request, [(is_served, "reclaim delay out of range")])?;
        if self.output.script_pubkey.as_script() != self.terms.destination.script() {
            return Err(Refusal::WrongDestination {
                output_index: self.output_index,
                request,
            });
        }
        if self.order.fee_share > self.terms.fee_cap {
            return Err(Refusal::FeeAboveCap {
                request,
                share: self.order.fee_share,
                cap: self.terms.fee_cap,
            });
        }
        Ok(())
    }

    /// What an app takes for its owner's word is signed by the owner, for this very coin.
    fn check_author<C: Verification>(
        &self,
        secp: &Secp256k1<C>,
        scene: &Scene<'_>,
    ) -> Result<(), Refusal> {
        let (Some(author), Some(input)) = (
            &self.order.author,
            scene.proposal.transaction.input.get(self.input_index),
        ) else {
            return Ok(());
        };
        let digest = author_digest(self.tree.request, input.previous_output);
        secp.verify_schnorr(&author.0, &digest, &self.terms.reclaim_key)
            .map_err(|_| Refusal::OrderAuthor(self.tree.request))
    }

    /// The coin that comes out, with what the order pays, is at least what was to be kept and what
    /// was asked for.
    fn check_coin(&self) -> Result<(), Refusal> {
        let request = self.tree.request;
        let deposit = self.spent.output.value;
        let Some(kept) = self.terms.coin.kept(deposit) else {
            let reason = "more is to be kept than lies there";
            return Err(Refusal::TermsUnfit { request, reason });
        };
        let wanted = bitcoin::Amount::from_sat(self.terms.wants.of(&Asset::Btc));
        let sums = kept
            .checked_add(wanted)
            .zip(self.output.value.checked_add(self.order.fee_share));
        let (due, paid) = sums.ok_or(Refusal::Overflow)?;
        if paid < due {
            return Err(self.unmet("coin"));
        }
        Ok(())
    }

    /// Of each charm at least what was asked for, and none that was neither asked for nor given: a
    /// charm whose contract lets it go nowhere would hold everything beside it.
    fn check_charms(&self, scene: &Scene<'_>) -> Result<(), Refusal> {
        let vout = u32::try_from(self.output_index).map_err(|_| Refusal::Overflow)?;
        let paid = scene.framed.spell.charms_at(vout);
        for want in self.terms.wants.iter() {
            let Asset::Charm(app) = &want.asset else {
                continue;
            };
            let got = paid
                .get(&charms_app(app))
                .map(charms_data::Data::value::<u64>);
            let got = got.map_or(Some(0), Result::ok);
            // What is no amount meets no amount that was asked for.
            if got.unwrap_or(0) < want.amount {
                return Err(self.unmet("charm"));
            }
        }
        let given = scene.outline.charms(self.input_index)?;
        let may_come = |app: &App| {
            given.contains_key(app) || self.terms.wants.names(&Asset::Charm(charm_app(app)))
        };
        if paid.keys().all(may_come) {
            Ok(())
        } else {
            Err(Refusal::OrderCharms(self.tree.request))
        }
    }

    fn unmet(&self, what: &'static str) -> Refusal {
        Refusal::OrderWants {
            request: self.tree.request,
            what,
        }
    }
}
