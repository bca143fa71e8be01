//! Random changes to a sound settlement: what the policy still approves is sound by the model's own
//! reckoning.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::world as support;

use std::sync::OnceLock;

use bitcoin::{Amount, ScriptBuf, consensus};
use grail_types::{Network, Terms};
use proptest::{prelude::*, sample::Index};
use support::{
    Draft, Proposal, World, coin, funding, input, keypair, later_world,
    model::{fee, judge, signed_weight},
    output, p2tr, p2wpkh, peg_in, peg_out, public, world,
};

/// Something sound: the usual settlement, and one of deposits of two rosters.
struct Base {
    world: &'static World,
    draft: Draft,
    proposal: Proposal,
}

impl Base {
    fn new(world: &'static World, draft: Draft) -> Self {
        let proposal = draft.propose(world);
        assert_eq!(world.refusal(&proposal), "approved");
        Self {
            world,
            draft,
            proposal,
        }
    }
}

fn bases() -> &'static [Base; 2] {
    static BASES: OnceLock<[Base; 2]> = OnceLock::new();
    BASES.get_or_init(|| {
        let later = later_world();
        let pegs = [
            peg_in(1_000_000),
            peg_out(700_000),
            peg_in(2_000_000),
            peg_out(300_000),
        ];
        // The first and the last are the former roster's.
        let terms = (1..).zip(&pegs).map(|(nonce, peg)| match nonce {
            1 | 4 => later.former_terms(peg, nonce),
            _ => later.terms(peg, nonce),
        });
        let deposits = later.deposits_for(&pegs, terms.collect());
        let of_two = later.case_of(deposits, &|_| {}).draft;
        [
            Base::new(world(), world().usual().draft),
            Base::new(later, of_two),
        ]
    })
}

/// A position in a list of any length.
#[derive(Clone, Copy, Debug)]
struct At(usize);

impl At {
    fn index(self, length: usize) -> usize {
        self.0 % length
    }
}

/// A change before the spell is proven: the proof is sound for whatever it makes.
#[derive(Clone, Debug)]
enum Change {
    Raise(At, u64),
    Lower(At, u64),
    Move(At, At, u64),
    Pay(At, u8),
    SwapOutputs(At, At),
    SwapCharms(At, At),
    RemoveOutput(At),
    RepeatOutput(At),
    Mint(At, u64),
    Burn(At, u64),
    Supply(i64),
    Serial(i64),
    /// Tokens, vault and supply together.
    MintInStep(At, i64),
    SwapInputs(At, At),
    RemoveInput(At),
    DonateToVault(u64),
    StrayInput(u64),
    SwapRequests(At, At),
    RemoveRequest(At),
    RepeatRequest(At),
}

fn sats() -> impl Strategy<Value = u64> {
    prop_oneof![Just(1), 1..1_000_u64, 1..2_000_000_u64]
}

fn delta() -> impl Strategy<Value = i64> {
    prop_oneof![Just(1), Just(-1), -5_000..5_000_i64]
}

fn change() -> impl Strategy<Value = Change> {
    let at = || (0..60_usize).prop_map(At);
    prop_oneof![
        (at(), sats()).prop_map(|(at, sats)| Change::Raise(at, sats)),
        (at(), sats()).prop_map(|(at, sats)| Change::Lower(at, sats)),
        (at(), at(), sats()).prop_map(|(from, to, sats)| Change::Move(from, to, sats)),
        (at(), 0..5_u8).prop_map(|(at, whom)| Change::Pay(at, whom)),
        (at(), at()).prop_map(|(a, b)| Change::SwapOutputs(a, b)),
        (at(), at()).prop_map(|(a, b)| Change::SwapCharms(a, b)),
        at().prop_map(Change::RemoveOutput),
        at().prop_map(Change::RepeatOutput),
        (at(), sats()).prop_map(|(at, sats)| Change::Mint(at, sats)),
        (at(), sats()).prop_map(|(at, sats)| Change::Burn(at, sats)),
        delta().prop_map(Change::Supply),
        delta().prop_map(Change::Serial),
        (at(), delta()).prop_map(|(at, sats)| Change::MintInStep(at, sats)),
        (at(), at()).prop_map(|(a, b)| Change::SwapInputs(a, b)),
        at().prop_map(Change::RemoveInput),
        sats().prop_map(Change::DonateToVault),
        sats().prop_map(Change::StrayInput),
        (at(), at()).prop_map(|(a, b)| Change::SwapRequests(a, b)),
        at().prop_map(Change::RemoveRequest),
        at().prop_map(Change::RepeatRequest),
    ]
}

fn shift(value: &mut u64, by: i64) {
    *value = value.saturating_add_signed(by);
}

impl Change {
    /// Changes the draft, as far as it still has what the change is about.
    fn apply(&self, world: &World, draft: &mut Draft) -> Option<()> {
        let outputs = draft.transaction.output.len();
        let inputs = draft.transaction.input.len();
        let requests = draft.requests.len();
        if outputs == 0 || inputs == 0 || requests == 0 {
            return None;
        }
        match self {
            Self::Raise(at, sats) => draft.raise(at.index(outputs), *sats),
            Self::Lower(at, sats) => {
                let value = &mut draft.transaction.output[at.index(outputs)].value;
                *value = value.checked_sub(Amount::from_sat(*sats))?;
            }
            Self::Move(from, to, sats) => {
                let from = &mut draft.transaction.output[from.index(outputs)].value;
                *from = from.checked_sub(Amount::from_sat(*sats))?;
                draft.raise(to.index(outputs), *sats);
            }
            Self::Pay(at, whom) => {
                let scripts: [ScriptBuf; 5] = [
                    p2wpkh(66),
                    p2tr(1),
                    p2wpkh(2),
                    world.vault.script_pubkey.clone(),
                    world.deposit_script(&draft.requests[0]),
                ];
                draft.transaction.output[at.index(outputs)].script_pubkey =
                    scripts[usize::from(*whom)].clone();
            }
            Self::SwapOutputs(a, b) => {
                let (a, b) = (a.index(outputs), b.index(outputs));
                draft.transaction.output.swap(a, b);
                draft.spell.tx.outs.swap(a, b);
            }
            Self::SwapCharms(a, b) => {
                let (a, b) = (a.index(outputs), b.index(outputs));
                draft.spell.tx.outs.swap(a, b);
            }
            Self::RemoveOutput(at) => {
                draft.transaction.output.remove(at.index(outputs));
                draft.spell.tx.outs.remove(at.index(outputs));
            }
            Self::RepeatOutput(at) => {
                let at = at.index(outputs);
                let (paid, charms) = (
                    draft.transaction.output[at].clone(),
                    draft.spell.tx.outs[at].clone(),
                );
                draft.transaction.output.push(paid);
                draft.spell.tx.outs.push(charms);
            }
            Self::Mint(at, sats) => {
                let at = at.index(outputs);
                let amount = draft.tokens(world, at).unwrap_or(0);
                draft.set_tokens(world, at, amount + sats);
            }
            Self::Burn(at, sats) => {
                let at = at.index(outputs);
                let amount = draft.tokens(world, at)?.checked_sub(*sats)?;
                draft.set_tokens(world, at, amount);
            }
            Self::Supply(by) => {
                let mut state = draft.find_state(world)?;
                shift(&mut state.supply, *by);
                draft.set_state(world, &state);
            }
            Self::Serial(by) => {
                let mut state = draft.find_state(world)?;
                shift(&mut state.serial, *by);
                draft.set_state(world, &state);
            }
            Self::MintInStep(at, by) => {
                let at = at.index(outputs);
                let mut tokens = draft.tokens(world, at)?;
                let mut state = draft.find_state(world)?;
                let mut vault = draft.transaction.output.get(1)?.value.to_sat();
                for value in [&mut tokens, &mut state.supply, &mut vault] {
                    shift(value, *by);
                }
                draft.set_tokens(world, at, tokens);
                draft.set_state(world, &state);
                draft.transaction.output[1].value = Amount::from_sat(vault);
            }
            Self::SwapInputs(a, b) => {
                draft
                    .transaction
                    .input
                    .swap(a.index(inputs), b.index(inputs));
            }
            Self::RemoveInput(at) => {
                draft.transaction.input.remove(at.index(inputs));
                draft.tidy_previous();
            }
            Self::DonateToVault(sats) => {
                let made = funding(
                    *sats,
                    vec![output(*sats, world.vault.script_pubkey.clone())],
                );
                draft
                    .transaction
                    .input
                    .insert(1, input(coin(&made, 0).outpoint));
                draft.previous.push(made);
                if outputs > 1 {
                    draft.raise(1, *sats);
                }
            }
            Self::StrayInput(sats) => {
                let made = funding(*sats, vec![output(*sats, p2wpkh(77))]);
                draft.transaction.input.push(input(coin(&made, 0).outpoint));
                draft.previous.push(made);
            }
            Self::SwapRequests(a, b) => {
                draft.requests.swap(a.index(requests), b.index(requests));
            }
            Self::RemoveRequest(at) => drop(draft.requests.remove(at.index(requests))),
            Self::RepeatRequest(at) => {
                let again = draft.requests[at.index(requests)].clone();
                draft.requests.push(again);
            }
        }
        Some(())
    }
}

fn flip(bytes: &mut [u8], at: Index, bit: u8) {
    bytes[at.index(bytes.len())] ^= 1 << bit;
}

/// One field of the terms, changed.
fn reworded(terms: &mut Terms, field: u8, bit: u8) {
    match field {
        0 => {
            let all = grail_types::Kind::ALL;
            let at = all.iter().position(|kind| *kind == terms.kind).unwrap();
            terms.kind = all[(at + 1 + usize::from(bit) % (all.len() - 1)) % all.len()];
        }
        1 => terms.network = Network::Mainnet,
        2 => terms.bridge.identity[usize::from(bit)] ^= 1 << (bit % 8),
        3 => terms.bridge.vk[usize::from(bit)] ^= 1 << (bit % 8),
        4 => terms.destination = p2wpkh(100 + bit).try_into().unwrap(),
        5 => terms.fee_cap = Amount::from_sat(terms.fee_cap.to_sat() ^ (1 << bit)),
        6 => terms.epoch.0 ^= 1 << bit,
        7 => terms.reclaim_key = public(&keypair(u16::from(bit))),
        8 => terms.reclaim_delay ^= 1 << (bit % 16),
        _ => terms.nonce[usize::from(bit % 16)] ^= 1 << (bit % 8),
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_is_approved_after_changes_keeps_the_books(
        base in 0..2_usize,
        changes in prop::collection::vec(change(), 1..=3),
    ) {
        let Base { world, draft, .. } = &bases()[base];
        let mut draft = draft.clone();
        for change in &changes {
            let _ = change.apply(world, &mut draft);
        }
        // What no prover proves needs no operator to refuse it.
        let Ok(proposal) = draft.try_propose(world) else { return Ok(()) };
        let Ok(approved) = world.approve(&proposal) else { return Ok(()) };

        judge(world, &proposal).map_err(TestCaseError::fail)?;
        let settlement = approved.get().as_settlement().unwrap();
        let signing = &settlement.signing;
        prop_assert_eq!(&signing.transaction, &proposal.transaction);
        prop_assert_eq!(signing.fee, fee(&proposal));
        prop_assert_eq!(signing.weight.to_wu(), signed_weight(world, &proposal));
        let rate = fee(&proposal).to_sat() * 1_000 / signed_weight(world, &proposal);
        prop_assert!((250..=75_000).contains(&rate), "{}", rate);
        for (terms, item) in proposal.requests.iter().zip(&settlement.items) {
            prop_assert_eq!(terms.id(), item.request);
            prop_assert!(item.fee_share <= terms.fee_cap);
        }
    }

    #[test]
    fn no_flipped_bit_of_the_transaction_is_approved(
        base in 0..2_usize,
        at: Index,
        bit in 0..8_u8,
    ) {
        let Base { world, proposal, .. } = &bases()[base];
        let mut proposal = proposal.clone();
        let mut bytes = consensus::serialize(&proposal.transaction);
        flip(&mut bytes, at, bit);
        let Ok(flipped) = consensus::deserialize(&bytes) else { return Ok(()) };
        proposal.transaction = flipped;
        prop_assert!(world.approve(&proposal).is_err());
    }

    #[test]
    fn no_flipped_bit_of_a_previous_transaction_is_approved(
        base in 0..2_usize,
        which: Index,
        at: Index,
        bit in 0..8_u8,
    ) {
        let Base { world, proposal, .. } = &bases()[base];
        let mut proposal = proposal.clone();
        let which = which.index(proposal.previous.len());
        let mut bytes = consensus::serialize(&proposal.previous[which]);
        flip(&mut bytes, at, bit);
        let Ok(flipped) = consensus::deserialize(&bytes) else { return Ok(()) };
        proposal.previous[which] = flipped;
        prop_assert!(world.approve(&proposal).is_err());
    }

    #[test]
    fn no_changed_field_of_the_terms_is_approved(
        base in 0..2_usize,
        which: Index,
        field in 0..10_u8,
        bit in 0..32_u8,
    ) {
        let Base { world, proposal, .. } = &bases()[base];
        let mut proposal = proposal.clone();
        let which = which.index(proposal.requests.len());
        reworded(&mut proposal.requests[which], field, bit);
        prop_assert!(world.approve(&proposal).is_err());
    }
}

#[test]
fn enough_changes_leave_something_to_approve() {
    // Were every change refused, the first property would claim nothing.
    let sound = [
        Change::Lower(At(3), 100),
        Change::Raise(At(3), 100),
        Change::Move(At(3), At(5), 100),
        Change::MintInStep(At(2), -100),
        Change::MintInStep(At(2), 100),
    ];
    for (change, Base { world, draft, .. }) in sound
        .iter()
        .flat_map(|change| bases().iter().map(move |base| (change, base)))
    {
        let mut draft = draft.clone();
        change.apply(world, &mut draft).unwrap();
        let proposal = draft.propose(world);
        assert_eq!(world.refusal(&proposal), "approved", "{change:?}");
        judge(world, &proposal).unwrap();
    }
}
