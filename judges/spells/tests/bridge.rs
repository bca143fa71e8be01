//! The bridge's spells, proven by Grail's mock prover: Charms accepts them, sees the same in them,
//! and agrees with every refusal of the native check.

#![allow(missing_docs)]

use grail_fixtures::paper as common;

use charms_data::{App, B32, Data};
use common::{
    BRIDGE, Bridge, at, enchanted, funding, mock_allowed, output, prove, request, transaction,
};
use grail_charms::{PrevTx, SettlementItem, read_compatible, settlement_spell, transfer_spell};
use grail_prover::{CheckError, ProveRequest, charms_transaction, check};
use grail_spell::{read_strict, utxo_id_from_outpoint};
use grail_spell_judge::{charms_check, charms_reading, charms_view, to_charms};

type Change = fn(&mut ProveRequest);

fn settlement(bridge: &Bridge) -> ProveRequest {
    let deposit = funding(2, &[5_000]);
    let tx = transaction(
        &[
            at(&bridge.settlement, 0),
            at(&bridge.settlement, 1),
            at(&bridge.settlement, 2),
            at(&deposit, 0),
        ],
        vec![
            output(1_000, common::VAULT),
            output(53_000, common::VAULT),
            output(1_000, 9),
            output(49_000, 10),
            output(800, 11),
        ],
    );
    let items = [
        SettlementItem::Plain,
        SettlementItem::PegIn { amount: 3_000 },
        SettlementItem::Plain,
        SettlementItem::PegIn { amount: 10_000 },
    ];
    let spell = settlement_spell(&tx, &bridge.app, &common::roster(2, 53_000), &items).unwrap();
    mocked(request(
        spell,
        &[&bridge.settlement, &deposit],
        Some(BRIDGE),
    ))
}

fn transfer(bridge: &Bridge) -> ProveRequest {
    let spell = transfer_spell(&bridge.transfer_tx(), &bridge.app, &[60_001, 39_999]).unwrap();
    mocked(request(spell, &[&bridge.settlement], Some(BRIDGE)))
}

fn mocked(mut request: ProveRequest) -> ProveRequest {
    request.spell.mock = true;
    request
}

fn assert_same_verdict(name: &str, request: &ProveRequest) {
    let ours = check(request, Some(mock_allowed()));
    let theirs = charms_check(request);
    assert_eq!(
        ours.is_ok(),
        theirs == Ok(true),
        "{name}: ours {ours:?}, theirs {theirs:?}"
    );
}

#[test]
fn charms_accepts_and_resolves_what_grail_proves() {
    let bridge = Bridge::with_contract(BRIDGE);
    let transfer = transfer(&bridge);
    let transferred = enchanted(bridge.transfer_tx(), &prove(&transfer).unwrap());
    for tx in [&bridge.deployment, &bridge.settlement, &transferred] {
        let ours = read_strict(tx, Some(mock_allowed())).unwrap();
        assert_eq!(charms_reading(tx, true).unwrap(), to_charms(ours.spell()));
        assert!(charms_reading(tx, false).is_err());
    }
}

#[test]
fn contracts_see_the_same_transaction() {
    let bridge = Bridge::with_contract(BRIDGE);
    for request in [settlement(&bridge), transfer(&bridge)] {
        let prev_txs = request
            .prev_txs
            .iter()
            .map(|tx| {
                let prev = PrevTx::read(tx.clone(), Some(mock_allowed()));
                (utxo_id_from_outpoint(at(tx, 0)).0, prev)
            })
            .collect();
        let ours = charms_transaction(&request.spell, &prev_txs).unwrap();
        assert_eq!(ours, charms_view(&request).unwrap());
    }
}

#[test]
fn right_spells_are_right_to_both() {
    let bridge = Bridge::with_contract(BRIDGE);
    for request in [settlement(&bridge), transfer(&bridge)] {
        assert_eq!(charms_check(&request), Ok(true));
        assert!(check(&request, Some(mock_allowed())).is_ok());
    }
}

#[test]
fn wrong_spells_are_wrong_to_both() {
    let bridge = Bridge::with_contract(BRIDGE);
    let changes: [(&str, Change); 17] = [
        ("amount out", |r| set(r, 2, 1, Data::from(&3_001_u64))),
        ("amount less", |r| set(r, 2, 1, Data::from(&2_999_u64))),
        ("amount zero", |r| set(r, 2, 1, Data::from(&0_u64))),
        ("amount text", |r| set(r, 2, 1, Data::from(&"3000"))),
        ("tokens on a payout", |r| set(r, 3, 1, Data::from(&1_u64))),
        ("supply", |r| {
            set(r, 0, 0, common::roster(2, 53_001).to_data());
        }),
        ("second nft", |r| {
            set(r, 1, 0, common::roster(2, 53_000).to_data());
        }),
        ("no nft", |r| r.spell.tx.outs[0].clear()),
        ("app index", |r| set(r, 0, 2, Data::empty())),
        ("version", |r| r.spell.version = 14),
        ("vault amount", |r| {
            r.spell.tx.coins.as_mut().unwrap()[1].amount += 1;
        }),
        ("vault script", |r| {
            r.spell.tx.coins.as_mut().unwrap()[1].dest[5] ^= 1;
        }),
        ("action", |r| {
            *r.spell.app_public_inputs.values_mut().next().unwrap() = Data::from(&"deploy");
        }),
        ("no binaries", |r| r.app_binaries.clear()),
        ("prev tx missing", |r| r.prev_txs.truncate(1)),
        ("prev tx needless", |r| r.prev_txs.push(funding(77, &[1]))),
        ("input dropped", |r| {
            r.spell.tx.ins.as_mut().unwrap().pop();
        }),
    ];
    for (name, change) in changes {
        let mut request = settlement(&bridge);
        change(&mut request);
        assert_same_verdict(name, &request);
        assert!(check(&request, Some(mock_allowed())).is_err(), "{name}");
    }
}

fn set(request: &mut ProveRequest, output: usize, app: u32, data: Data) {
    request.spell.tx.outs[output].insert(app, data);
}

#[test]
fn verdicts_agree_on_what_is_odd_but_harmless() {
    let bridge = Bridge::with_contract(BRIDGE);
    let changes: [(&str, Change); 10] = [
        ("as built", |_| {}),
        ("balanced otherwise", |r| {
            set(r, 0, 0, Data::from(&1_u64));
            set(r, 1, 0, Data::from(&99_999_u64));
        }),
        ("public input on a transfer", |r| {
            *r.spell.app_public_inputs.values_mut().next().unwrap() = Data::from(&"x");
        }),
        ("public input, without the contract", |r| {
            *r.spell.app_public_inputs.values_mut().next().unwrap() = Data::from(&"x");
            r.app_binaries.clear();
        }),
        ("without the contract", |r| r.app_binaries.clear()),
        ("binary that is not needed", |r| {
            r.app_binaries.insert(B32([1; 32]), vec![]);
        }),
        ("reference to an input's transaction", |r| {
            r.spell.tx.refs = Some(vec![r.spell.tx.ins.as_ref().unwrap()[0].clone()]);
        }),
        ("app without charms", |r| {
            let app = App {
                tag: 'n',
                identity: B32([1; 32]),
                vk: B32([1; 32]),
            };
            // Sorts first, so that the token's index moves.
            r.spell.app_public_inputs.insert(app, Data::empty());
            for charms in &mut r.spell.tx.outs {
                *charms = std::mem::take(charms)
                    .into_iter()
                    .map(|(index, data)| (index + 1, data))
                    .collect();
            }
        }),
        ("previous transaction twice", |r| {
            r.prev_txs.push(r.prev_txs[0].clone());
        }),
        ("not a mock", |r| r.spell.mock = false),
    ];
    for (name, change) in changes {
        let mut request = transfer(&bridge);
        change(&mut request);
        assert_same_verdict(name, &request);
    }
}

/// Where the native check is stricter on purpose: spells that no transaction can carry, or that
/// crash Charms.
#[test]
fn grail_is_stricter_about_coins_alone() {
    let bridge = Bridge::with_contract(BRIDGE);
    let mut request = transfer(&bridge);
    request.spell.tx.coins.as_mut().unwrap().pop();
    assert_eq!(charms_check(&request), Ok(true));
    assert_eq!(
        check(&request, Some(mock_allowed())),
        Err(CheckError::Coins {
            outputs: 2,
            coins: Some(1)
        })
    );
}

#[test]
fn charms_takes_any_mock_proof_and_grail_does_not() {
    let bridge = Bridge::with_contract(BRIDGE);
    let mut tx = bridge.settlement.clone();
    tx.output[1].value = bitcoin::Amount::from_sat(1);
    assert!(
        charms_reading(&tx, true).is_ok(),
        "charms-client now checks mock proofs: grail-spell's docs can say so"
    );
    assert!(read_compatible(&tx, Some(mock_allowed())).is_err());
}
