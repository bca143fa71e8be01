//! Reserves: what is backed, and whether the API says what the chain says.
#![allow(clippy::unwrap_used)]

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, BlockHash, OutPoint, Txid};
use grail_api::{Reserves, VaultOutput};
use grail_wallet::reserves::{Agreement, ChainReserves};

fn place(vout: u32) -> OutPoint {
    OutPoint::new(Txid::all_zeros(), vout)
}

fn found() -> ChainReserves {
    ChainReserves {
        supply: Amount::from_sat(50_000),
        at_vault: Amount::from_sat(50_300),
        nft_outpoint: place(9),
        outputs: vec![
            (place(1), Amount::from_sat(50_000)),
            (place(2), Amount::from_sat(300)),
        ],
        block_hash: BlockHash::all_zeros(),
        height: 7,
    }
}

/// The same in another order.
fn said() -> Reserves {
    Reserves {
        vault_sat: 50_000,
        supply_sat: 50_000,
        donations_sat: 300,
        former_sat: 0,
        since_height: 0,
        nft_outpoint: place(9),
        outpoints: [(place(2), 300), (place(1), 50_000)]
            .map(|(outpoint, amount_sat)| VaultOutput {
                outpoint,
                amount_sat,
            })
            .to_vec(),
        block_hash: BlockHash::all_zeros(),
        height: 7,
    }
}

#[test]
fn supply_nft_and_every_output_must_be_the_same() {
    type Lie = fn(&mut Reserves);
    assert_eq!(found().compare(&said()), Some(Agreement::Same));
    let lies: [Lie; 6] = [
        |said| said.supply_sat = 49_999,
        |said| said.nft_outpoint = place(8),
        |said| said.outpoints[0].amount_sat = 301,
        |said| said.outpoints[0].outpoint = place(3),
        |said| {
            said.outpoints.pop();
        },
        |said| said.outpoints.push(said.outpoints[0].clone()),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut said = said();
        lie(&mut said);
        assert_eq!(
            found().compare(&said),
            Some(Agreement::Differs),
            "lie {number}"
        );
    }
}

#[test]
fn another_block_confirms_and_contradicts_nothing() {
    let mut later = said();
    later.block_hash = BlockHash::from_byte_array([1; 32]);
    assert_eq!(found().compare(&later), None);
}

#[test]
fn what_is_not_backed_has_no_donations() {
    assert_eq!(found().donations(), Some(Amount::from_sat(300)));
    let mut short = found();
    short.at_vault = Amount::from_sat(50_000);
    assert_eq!(short.donations(), Some(Amount::ZERO));
    short.at_vault = Amount::from_sat(49_999);
    assert_eq!(short.donations(), None);
}

#[test]
fn amounts_past_all_money_have_no_sum() {
    let sum = |amounts: [u64; 2]| {
        ChainReserves::sum(&amounts.map(|amount| (place(0), Amount::from_sat(amount))))
    };
    assert_eq!(sum([1, 2]), Some(Amount::from_sat(3)));
    assert_eq!(sum([u64::MAX, 1]), None);
}
