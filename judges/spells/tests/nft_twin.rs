//! Why the roster NFT is no NFT of tag `n`: Charms moves those without their contract as long as
//! the state stays, so that whoever may spend one once can have it twice.
//! `docs/adr/0005-zkbtc-must-not-rest-on-plain-transfers.md`.

#![allow(missing_docs)]

use grail_fixtures::paper as common;
mod shown;

use bitcoin::Transaction;
use charms_data::{App, B32, Data};
use common::{
    AGREES, BRIDGE, Bridge, VAULT, at, enchanted, funding, mock_allowed, output, prove, transaction,
};
use grail_prover::MockProver;
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, nft_app};
use grail_spell_judge::charms_check;
use shown::{request, with_witness};

/// An NFT of tag `n`, whose contract agrees to everything when it is asked.
fn other_nft() -> App {
    App {
        tag: 'n',
        identity: B32([1; 32]),
        vk: B32(common::vk_of(AGREES)),
    }
}

/// The spell on `tx` that puts `state` of `nft` on output `vout`.
fn spell_of(tx: &Transaction, nft: &App, state: &Data, vout: usize) -> NormalizedSpell {
    let mut outs = vec![NormalizedCharms::new(); vout];
    outs.push([(0, state.clone())].into());
    let spell = NormalizedSpell {
        tx: NormalizedTransaction {
            outs,
            ..NormalizedTransaction::default()
        },
        app_public_inputs: [(nft.clone(), Data::empty())].into(),
        ..NormalizedSpell::default()
    };
    spell.committed_to(tx).unwrap()
}

#[test]
fn one_nft_of_tag_n_becomes_two_with_a_clean_history() {
    let (nft, state) = (other_nft(), Data::from(&"a state"));
    let source = funding(1, &[10_000]);
    let made = transaction(&[at(&source, 0)], vec![output(1_000, 2)]);
    let spell = spell_of(&made, &nft, &state, 0);
    let made = enchanted(
        made,
        &prove(&request(spell, &source, Some(AGREES))).unwrap(),
    );

    // It carries no spell of its own, and its id does not commit to its witness.
    let bare = transaction(&[at(&made, 0)], vec![output(450, 3), output(450, 4)]);
    for vout in [0_u32, 1] {
        let spell = spell_of(&bare, &nft, &state, vout.try_into().unwrap());
        let shown = with_witness(&bare, &prove(&request(spell, &made, None)).unwrap());
        assert_eq!(shown.compute_txid(), bare.compute_txid());
        let hop = transaction(&[at(&bare, vout)], vec![output(440, 5)]);
        let moved = request(spell_of(&hop, &nft, &state, 0), &shown, None);
        assert_eq!(charms_check(&moved), Ok(true), "twin {vout}");

        // One step on, the witness is out of sight: a contract that looks one step back would see
        // nothing.
        let hop = enchanted(hop, &prove(&moved).unwrap());
        let next = transaction(&[at(&hop, 0)], vec![output(430, 6)]);
        let moved = request(spell_of(&next, &nft, &state, 0), &hop, None);
        assert_eq!(charms_check(&moved), Ok(true), "twin {vout}");
    }
}

#[test]
fn the_roster_nft_does_not_move_by_itself() {
    let bridge = Bridge::with_contract(BRIDGE);
    let (nft, state) = (nft_app(&bridge.app), bridge.state.to_data());
    let bare = transaction(&[at(&bridge.settlement, 0)], vec![output(450, VAULT); 2]);
    for vout in [0_u32, 1] {
        let spell = spell_of(&bare, &nft, &state, vout.try_into().unwrap());
        for wasm in [None, Some(BRIDGE)] {
            let moved = request(spell.clone(), &bridge.settlement, wasm);
            assert!(charms_check(&moved).is_err(), "output {vout}");
            assert!(prove(&moved).is_err(), "output {vout}");
        }
        // Nor would a proof that cannot be had help: the next step is to show it.
        let proven = MockProver::new(mock_allowed())
            .prove_unchecked(&spell)
            .unwrap();
        let shown = with_witness(&bare, &proven);
        let hop = transaction(&[at(&bare, vout)], vec![output(440, VAULT)]);
        let spell = spell_of(&hop, &nft, &state, 0);
        for wasm in [None, Some(BRIDGE)] {
            assert!(charms_check(&request(spell.clone(), &shown, wasm)).is_err());
        }
    }
}
