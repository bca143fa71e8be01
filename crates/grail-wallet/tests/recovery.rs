//! The terms that are made by default, and the terms that the words find: the same, for every
//! window, rung, direction and roster.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::HashSet;

use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Address, Amount, FeeRate, Transaction, TxOut};
use common::{
    Charm, bridge, conjure, conjurer, funding, params, protocol, roster, roster_of, roster_state,
    sat, vault,
};
use grail_api::{CreatePegIn, CreatePegOut, Receipt};
use grail_script::InternalKey;
use grail_types::{Network, Roster};
use grail_wallet::fee_cap::{FEE_CAP_RUNGS, default_fee_cap};
use grail_wallet::recovery::{Era, Search, Sighting, eras, roster_shown};
use grail_wallet::seed::Seed;
use grail_wallet::slot::{Slot, SlotKeys};

const WORDS: &str =
    "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about";

struct World {
    secp: Secp256k1<All>,
    keys: SlotKeys,
}

impl World {
    fn new(words: &str) -> Self {
        let secp = Secp256k1::new();
        let seed = Seed::parse(words, Network::Regtest).unwrap();
        let keys = SlotKeys::new(&secp, &seed);
        Self { secp, keys }
    }

    /// A peg-in and a peg-out of a slot, as they are asked for: what the server has no choice in.
    fn made(&self, slot: Slot, fee_cap: Amount, roster: &Roster) -> [Receipt; 2] {
        let own = self.keys.terms(&self.secp, slot);
        let address = Address::from_script(&own.destination, bitcoin::Network::Regtest).unwrap();
        let (reclaim_public_key, nonce) = (own.reclaim_key.to_string(), hex::encode(own.nonce));
        let peg_in = CreatePegIn {
            recipient_address: address.to_string(),
            reclaim_public_key: reclaim_public_key.clone(),
            fee_cap_sat: fee_cap.to_sat(),
            reclaim_delay: None,
            amount_sat: None,
            nonce: Some(nonce.clone()),
        };
        let peg_out = CreatePegOut {
            payout_address: address.to_string(),
            reclaim_public_key,
            fee_cap_sat: fee_cap.to_sat(),
            reclaim_delay: None,
            amount_sat: None,
            nonce: Some(nonce),
        };
        [
            peg_in
                .parse(&bridge(), &params(), roster, protocol().governance())
                .unwrap(),
            peg_out
                .parse(&bridge(), &params(), roster, protocol().governance())
                .unwrap(),
        ]
        .map(|parsed| {
            // The server's nonce, which counts for nothing.
            let terms = parsed.into_terms([9; 16]);
            Receipt::new(InternalKey::Nums, terms, roster.clone())
        })
    }

    fn found(&self, search: &Search) -> HashSet<String> {
        let candidates: Vec<_> = search.candidates(&self.secp, &self.keys).collect();
        assert_eq!(candidates.len() as u64, search.count());
        let found: HashSet<String> = candidates
            .iter()
            .map(|candidate| {
                let receipt = search.receipt(candidate).unwrap();
                let checked = receipt.check().unwrap();
                assert_eq!(
                    search.script(&self.secp, candidate).as_ref(),
                    Some(checked.script_pubkey())
                );
                serde_json::to_string(&receipt).unwrap()
            })
            .collect();
        assert_eq!(found.len(), candidates.len(), "each is there once");
        found
    }
}

fn search(windows: std::ops::RangeInclusive<u32>, eras: Vec<Era>) -> Search {
    Search {
        bridge: bridge(),
        windows,
        fee_caps: FEE_CAP_RUNGS.to_vec(),
        delays: vec![params().reclaim_delay_min],
        destination: None,
        eras,
    }
}

fn era(roster: Roster, windows: std::ops::RangeInclusive<u32>) -> Era {
    Era { roster, windows }
}

#[test]
fn whatever_is_made_with_default_terms_is_what_the_words_find() {
    let w = World::new(WORDS);
    let rosters = [roster(0), roster_of(1, 3..=7)];
    let [first, second] = rosters.clone();
    let search = search(
        6_248..=6_250,
        vec![era(first, 0..=6_249), era(second, 6_249..=6_250)],
    );
    let found = w.found(&search);
    let mut made = HashSet::new();
    for slot in (6_248..=6_250).flat_map(Slot::of_window) {
        for roster in &rosters {
            let is_its_time = match roster.epoch().0 {
                0 => slot.window() <= 6_249,
                _ => slot.window() >= 6_249,
            };
            for fee_cap in FEE_CAP_RUNGS {
                for receipt in w.made(slot, fee_cap, roster) {
                    let receipt = serde_json::to_string(&receipt).unwrap();
                    assert_eq!(found.contains(&receipt), is_its_time, "{slot:?} {fee_cap}");
                    if is_its_time {
                        made.insert(receipt);
                    }
                }
            }
        }
    }
    assert_eq!(made, found, "and nothing else is looked for");
}

#[test]
fn every_default_cap_is_tried_whatever_amount_and_rate() {
    for amount in (0..40).map(|doubled| sat(2_000) * (1 << (doubled / 2)) + sat(doubled * 331)) {
        for rate in 1..=400 {
            let cap = default_fee_cap(amount, FeeRate::from_sat_per_vb_u32(rate));
            assert!(FEE_CAP_RUNGS.contains(&cap), "{amount} at {rate}: {cap}");
            assert!(cap <= amount / 2);
        }
    }
}

#[test]
fn other_words_another_bridge_and_other_choices_find_nothing() {
    let w = World::new(WORDS);
    let slot = Slot::of_window(5).next().unwrap();
    let made = w.made(slot, FEE_CAP_RUNGS[2], &roster(0));
    let looked = |world: &World, change: fn(&mut Search)| {
        let mut search = search(5..=5, vec![era(roster(0), 0..=9)]);
        change(&mut search);
        let found = world.found(&search);
        let mut receipts = made.iter().map(|it| serde_json::to_string(it).unwrap());
        receipts.any(|receipt| found.contains(&receipt))
    };
    assert!(looked(&w, |_| ()));
    let other =
        World::new("legal winner thank year wave sausage worth useful legal winner thank yellow");
    assert!(!looked(&other, |_| ()));
    let changes: [fn(&mut Search); 5] = [
        |search| search.windows = 6..=9,
        |search| search.bridge.app.identity[0] ^= 1,
        |search| search.delays = vec![25],
        |search| search.fee_caps = vec![sat(10_001)],
        |search| search.destination = Some(conjurer().try_into().unwrap()),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(!looked(&w, change), "change {index}");
    }
    assert!(!looked(&w, |search| search.eras = vec![era(roster(1), 0..=9)]));
    assert!(!looked(&w, |search| search.eras = vec![era(roster(0), 0..=4)]));
}

#[test]
fn two_years_take_a_bounded_number_of_scripts() {
    let search = search(6_000..=6_729, vec![era(roster(0), 0..=9_000)]);
    assert_eq!(search.count(), 730 * 8 * 8 * 2);
}

fn seen(height: u32, roster: Roster) -> Sighting {
    Sighting { height, roster }
}

#[test]
fn a_roster_gives_addresses_until_after_the_next_is_seen() {
    let (first, second) = (roster(3), roster_of(4, 3..=7));
    let sightings = [
        seen(144 * 10, first.clone()),
        seen(144 * 20, second.clone()),
        // A reorg, or somebody's claim on regtest, takes nothing away.
        seen(144 * 21, first.clone()),
    ];
    assert_eq!(
        eras(&sightings, 30),
        [era(first.clone(), 0..=22), era(second, 19..=30)]
    );
    assert_eq!(eras(&sightings[..1], 30), [era(first, 0..=30)]);
    assert_eq!(eras(&[], 30), []);
}

fn shows(charm: Charm, change: impl FnOnce(&mut Transaction)) -> Option<Roster> {
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    let mut transaction = conjure(&funding(10_000), 0, &[(output, charm)]);
    change(&mut transaction);
    roster_shown(&transaction, &protocol())
}

#[test]
fn a_roster_is_read_from_the_nft_of_a_spell_that_verifies() {
    let state = |roster: &Roster| roster_state(roster, &protocol(), 7);
    let nft = |state| Charm::Nft(Box::new(state));
    assert_eq!(shows(nft(state(&roster(0))), |_| ()), Some(roster(0)));
    assert_eq!(shows(Charm::Token(7), |_| ()), None);
    assert_eq!(shows(Charm::OtherToken(7), |_| ()), None);
    assert_eq!(shows(Charm::Nothing, |_| ()), None);
    // Without its spell, or with another transaction under it.
    assert_eq!(
        shows(nft(state(&roster(0))), |transaction| {
            transaction.output.truncate(1);
        }),
        None
    );
    assert_eq!(
        shows(nft(state(&roster(0))), |transaction| {
            transaction.input[0].previous_output.vout ^= 1;
        }),
        None
    );
    let mut off_the_curve = state(&roster(0));
    off_the_curve.signers[0] = [0; 32];
    assert_eq!(shows(nft(off_the_curve), |_| ()), None);
}
