//! What a request would pay in a settlement made now, as the builder reckons it.
//!
//! An estimate: who comes along, and what they can pay, is not known before. The cap is what binds.

use bitcoin::{
    Amount, FeeRate, TxOut, Weight,
    secp256k1::{Secp256k1, VerifyOnly},
};
use grail_flow::{
    least_rest,
    surcharge::{Payer, surcharges},
};
use grail_script::{DepositTree, InternalKey, VaultTree, weight};
use grail_store::Request;
use grail_types::{Kind, Params};

use crate::backend::Backend;

/// What a settlement made now meets.
#[derive(Clone, Copy)]
pub(super) struct Now {
    /// The rate that it would pay.
    pub rate: FeeRate,
    /// What those under it pay too little by.
    pub deficit: Amount,
    /// Requests that are ready, and come along.
    pub ready_count: u64,
}

/// What the request would pay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Estimate {
    /// For itself.
    pub own: Amount,
    /// Besides, for those under it (ADR 25).
    pub surcharge: Amount,
}

impl Estimate {
    /// Both.
    pub(super) fn share(self) -> Amount {
        self.own
            .checked_add(self.surcharge)
            .unwrap_or(Amount::MAX_MONEY)
    }
}

/// What `request`, of a deposit of so much if that is known, would pay with all that is ready.
pub(super) fn estimate(
    backend: &Backend,
    vault: &VaultTree,
    request: &Request,
    amount: Option<Amount>,
    now: Now,
) -> Estimate {
    let weight = weight_of(backend, vault, request, now.ready_count);
    let own = now.rate.fee_wu(weight).unwrap_or(Amount::MAX_MONEY);
    let payers = Payers {
        params: backend.params(),
        own,
        room: room(backend.params(), request, amount, own),
        ready_count: now.ready_count,
        weight,
    };
    Estimate {
        own,
        surcharge: payers.surcharge(now.deficit),
    }
}

/// Its own weight, and its part of what all share. The spell is taken to be as long as the
/// deployment's, which is of the same parts.
fn weight_of(backend: &Backend, vault: &VaultTree, request: &Request, ready_count: u64) -> Weight {
    let (terms, roster) = (&request.terms, &request.roster);
    let secp: Secp256k1<VerifyOnly> = Secp256k1::verification_only();
    let tree = DepositTree::new(&secp, InternalKey::Nums, terms, roster);
    let own =
        weight::INPUT + tree.leaf.witness_weight() + weight::output(terms.destination.script());
    let vault = weight::INPUT + vault.leaf.witness_weight() + weight::output(&vault.script_pubkey);
    let spell = backend
        .deployment_tx
        .output
        .iter()
        .filter(|output| output.script_pubkey.is_op_return())
        .map(TxOut::weight)
        .sum::<Weight>();
    let requests = ready_count.saturating_add(1);
    let inputs = usize::try_from(requests.saturating_add(2)).unwrap_or(usize::MAX);
    let frame = weight::frame(inputs, inputs.saturating_add(1));
    // NFT and vault, each an input and an output.
    let shared = (vault + vault + spell + frame).to_wu();
    let part = Weight::from_wu(shared.div_ceil(requests));
    own.checked_add(part).unwrap_or(Weight::MAX)
}

/// What the request can pay beside its own share: within its cap, and so that it still gets the
/// least, where its deposit is known.
fn room(params: &Params, request: &Request, amount: Option<Amount>, own: Amount) -> Amount {
    let terms = &request.terms;
    let within_cap = terms.fee_cap.checked_sub(own).unwrap_or(Amount::ZERO);
    let Some(amount) = amount else {
        return within_cap;
    };
    let under = match terms.kind {
        // The coin under its zkBTC.
        Kind::PegOut => params.carrier,
        Kind::PegIn
        | Kind::SponsorAnnounce
        | Kind::SponsorCancel
        | Kind::SponsorExecute
        | Kind::SponsorMerge => Amount::ZERO,
    };
    let least = least_rest(params, terms).checked_add(own);
    let spare = amount
        .checked_add(under)
        .zip(least)
        .and_then(|(worth, least)| worth.checked_sub(least));
    spare.unwrap_or(Amount::ZERO).min(within_cap)
}

/// Those who would pay for a deficit.
struct Payers<'a> {
    params: &'a Params,
    own: Amount,
    room: Amount,
    ready_count: u64,
    weight: Weight,
}

impl Payers<'_> {
    /// What this one pays of it: all of them wholly, or nobody. The others are taken to be like it,
    /// and to have room.
    fn surcharge(&self, deficit: Amount) -> Amount {
        let most_payers = usize::from(self.params.roster_inputs_max).saturating_sub(2);
        let others = usize::try_from(self.ready_count).unwrap_or(usize::MAX);
        let others = others.min(most_payers.saturating_sub(1));
        let like = |room| Payer {
            share: self.own,
            room,
        };
        let mut payers = vec![like(self.own); others];
        payers.push(like(self.room));
        let own = surcharges(deficit, &payers).and_then(|mut parts| parts.pop());
        // Operators sign no higher fee.
        let most = self.params.fee_rate_max.fee_wu(self.weight);
        let allowed = |surcharge: &Amount| {
            let share = self.own.checked_add(*surcharge);
            share.zip(most).is_some_and(|(share, most)| share <= most)
        };
        own.filter(allowed).unwrap_or(Amount::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use grail_types::{ImagesHash, Network};

    use super::*;

    const OWN: u64 = 1_000;
    const WEIGHT: Weight = Weight::from_wu(4_000);

    /// What one of `ready_count + 1` pays of a deficit, with so much room, where operators sign up
    /// to so many satoshis for its weight.
    fn surcharge(deficit: u64, room: u64, ready_count: u64, most: u64) -> u64 {
        let params = Params::preset(Network::Regtest, ImagesHash([1; 32]));
        let rate = FeeRate::from_sat_per_kwu(most * 1_000 / WEIGHT.to_wu());
        let params = params.with(|values| values.fee_rate_max = rate);
        let payers = Payers {
            params: &params.expect("a rate above the lowest"),
            own: Amount::from_sat(OWN),
            room: Amount::from_sat(room),
            ready_count,
            weight: WEIGHT,
        };
        payers.surcharge(Amount::from_sat(deficit)).to_sat()
    }

    #[test]
    fn a_deficit_is_borne_wholly_up_to_half_or_not_at_all() {
        let alone = |deficit| surcharge(deficit, OWN, 0, 10 * OWN);
        assert_eq!([0, 1, 500, 501].map(alone), [0, 1, 500, 0]);
        // With others, in equal parts.
        let among_ten = |deficit| surcharge(deficit, OWN, 9, 10 * OWN);
        assert_eq!([10, 5_000, 5_001].map(among_ten), [1, 500, 0]);
    }

    #[test]
    fn no_more_than_the_own_cap_and_deposit_leave_room_for() {
        assert_eq!(surcharge(300, 299, 0, 10 * OWN), 0);
        assert_eq!(surcharge(300, 300, 0, 10 * OWN), 300);
        // The others make up for who has none.
        assert_eq!(surcharge(300, 0, 9, 10 * OWN), 0);
        assert_eq!(surcharge(4_600, 100, 9, 10 * OWN), 100);
    }

    #[test]
    fn no_more_than_operators_sign() {
        assert_eq!(surcharge(300, OWN, 0, OWN + 300), 300);
        assert_eq!(surcharge(300, OWN, 0, OWN + 299), 0);
    }

    #[test]
    fn no_more_payers_than_a_settlement_holds() {
        // 198 of them: beside NFT and vault.
        let crowd = |deficit| surcharge(deficit, OWN, 1_000_000, 10 * OWN);
        assert_eq!(crowd(198 * 500), 500);
        assert_eq!(crowd(198 * 500 + 1), 0);
    }
}
