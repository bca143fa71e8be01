//! Each way a spell can fail the check, and the spell next to it that passes.

#![allow(clippy::unwrap_used, missing_docs)]

use grail_fixtures::paper as common;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::Transaction;
use charms_data::{App, B32, Data, VersionedApp};
use common::{
    AGREES, BRIDGE, Bridge, LOOPS, REFUSES, at, enchanted, funding, mock_allowed, output, prove,
    request, transaction, vk_of,
};
use grail_charms::{SettlementItem, settlement_spell, transfer_spell};
use grail_prover::{CheckError, MockProver, ProveRequest, Prover, ProverError, check};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, SpellShapeError, nft_app, token_app,
    utxo_id_from_outpoint,
};

/// A balanced transfer of the zkBTC of `bridge`, changed and checked.
fn transfer(bridge: &Bridge, change: impl FnOnce(&mut ProveRequest)) -> Result<(), CheckError> {
    let tx = bridge.transfer_tx();
    let spell = transfer_spell(&tx, &bridge.app, &[60_001, 39_999]).unwrap();
    let mut request = request(spell, &[&bridge.settlement], Some(&bridge.wasm));
    request.spell.mock = true;
    change(&mut request);
    check(&request, Some(mock_allowed())).map(|_| ())
}

/// A spell of plain apps on a transaction that spends `prev`.
fn spell_on(tx: &Transaction, apps: &[App], outs: Vec<NormalizedCharms>) -> NormalizedSpell {
    let spell = NormalizedSpell {
        tx: NormalizedTransaction {
            outs,
            ..NormalizedTransaction::default()
        },
        app_public_inputs: apps
            .iter()
            .map(|app| (app.clone(), Data::empty()))
            .collect(),
        mock: true,
        ..NormalizedSpell::default()
    };
    spell.committed_to(tx).unwrap()
}

type Change = fn(&mut NormalizedSpell);

fn app(tag: char, wasm: &[u8]) -> App {
    App {
        tag,
        identity: B32([1; 32]),
        vk: B32(vk_of(wasm)),
    }
}

fn charm(data: Data) -> NormalizedCharms {
    NormalizedCharms::from([(0, data)])
}

#[test]
fn balanced_transfer_passes() {
    let bridge = Bridge::with_contract(BRIDGE);
    assert_eq!(transfer(&bridge, |_| {}), Ok(()));
}

#[test]
fn unbalanced_transfer_is_refused_with_and_without_the_contract() {
    let bridge = Bridge::with_contract(BRIDGE);
    let one_too_many = |request: &mut ProveRequest| {
        request.spell.tx.outs[1].insert(0, Data::from(&40_000_u64));
    };
    let token = token_app(&bridge.app);
    let without_contract = transfer(&bridge, |request| {
        one_too_many(request);
        request.app_binaries.clear();
    });
    assert_eq!(
        without_contract,
        Err(CheckError::NotATransfer { app: token })
    );
    let with_contract = transfer(&bridge, one_too_many);
    assert!(
        matches!(with_contract, Err(CheckError::Contract { .. })),
        "{with_contract:?}"
    );
}

#[test]
fn settlement_that_mints_one_satoshi_too_many_is_refused() {
    let bridge = Bridge::with_contract(BRIDGE);
    let deposit = funding(2, &[5_000]);
    let tx = transaction(
        &[
            at(&bridge.settlement, 0),
            at(&bridge.settlement, 1),
            at(&deposit, 0),
        ],
        vec![
            output(1_000, common::VAULT),
            output(103_000, common::VAULT),
            output(1_000, 9),
        ],
    );
    let settle = |supply, amount| {
        let items = [SettlementItem::Plain, SettlementItem::PegIn { amount }];
        let spell = settlement_spell(&tx, &bridge.app, &common::roster(2, supply), &items).unwrap();
        prove(&request(
            spell,
            &[&bridge.settlement, &deposit],
            Some(BRIDGE),
        ))
    };
    let proven = settle(103_000, 3_000).unwrap();
    assert!(proven.fuel > 100_000, "the contract ran: {}", proven.fuel);
    for (supply, amount) in [(103_000, 3_001), (103_001, 3_001), (103_001, 3_000)] {
        let error = settle(supply, amount).unwrap_err();
        assert!(
            matches!(error, ProverError::Rejected(CheckError::Contract { .. })),
            "{error}"
        );
        assert_eq!(error.code(), "prove-contract");
    }
}

#[test]
fn mock_spell_needs_permission() {
    let bridge = Bridge::with_contract(AGREES);
    let tx = bridge.transfer_tx();
    let spell = transfer_spell(&tx, &bridge.app, &[60_001, 39_999]).unwrap();
    let mut request = request(spell, &[&bridge.settlement], Some(AGREES));
    request.spell.mock = true;
    assert_eq!(check(&request, None), Err(CheckError::MockRefused));
    assert!(check(&request, Some(mock_allowed())).is_ok());
}

/// A real spell must not build on mock ones: to it their charms do not exist.
#[test]
fn real_spell_sees_no_charms_of_mock_spells() {
    let bridge = Bridge::with_contract(BRIDGE);
    let real = transfer(&bridge, |request| request.spell.mock = false);
    assert!(matches!(real, Err(CheckError::Contract { .. })), "{real:?}");
}

#[test]
fn another_version_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    for version in [0, 14, 16] {
        assert_eq!(
            transfer(&bridge, |request| request.spell.version = version),
            Err(CheckError::Version { version })
        );
    }
}

#[test]
fn parts_of_charms_that_grail_does_not_use_are_refused() {
    let bridge = Bridge::with_contract(AGREES);
    let changes: [(&str, Change); 3] = [
        ("beaming", |spell| {
            spell.tx.beamed_outs = Some(BTreeMap::new());
        }),
        ("scrolls", |spell| spell.tx.scrolls = Some(BTreeSet::new())),
        ("versioned apps", |spell| {
            let app = VersionedApp {
                version: 1,
                wasm_hash: B32([2; 32]),
            };
            spell.versioned_apps.insert(B32([1; 32]), app);
        }),
    ];
    for (feature, change) in changes {
        let refused = transfer(&bridge, |request| change(&mut request.spell));
        assert_eq!(refused, Err(CheckError::Unsupported { feature }));
    }
    let prev = funding(3, &[9_000]);
    let tx = transaction(&[at(&prev, 0)], vec![output(1_000, 1)]);
    let spell = spell_on(&tx, &[app('s', AGREES)], vec![charm(Data::empty())]);
    let error = prove(&request(spell, &[&prev], Some(AGREES))).unwrap_err();
    assert!(matches!(
        error,
        ProverError::Rejected(CheckError::Unsupported { feature: "scrolls" })
    ));
}

#[test]
fn charm_of_an_unlisted_app_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    let misfit = transfer(&bridge, |request| {
        request.spell.tx.outs[1].insert(1, Data::empty());
    });
    let expected = SpellShapeError::AppIndex {
        output_index: 1,
        app_index: 1,
        app_count: 1,
    };
    assert_eq!(misfit, Err(CheckError::Shape(expected)));
}

#[test]
fn spell_not_in_its_proving_form_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    assert_eq!(
        transfer(&bridge, |request| request.spell.tx.ins = None),
        Err(CheckError::NoInputs)
    );
    assert_eq!(
        transfer(&bridge, |request| request.spell.tx.coins = None),
        Err(CheckError::Coins {
            outputs: 2,
            coins: None
        })
    );
    let one_coin = transfer(&bridge, |request| {
        request.spell.tx.coins.as_mut().unwrap().pop();
    });
    assert_eq!(
        one_coin,
        Err(CheckError::Coins {
            outputs: 2,
            coins: Some(1)
        })
    );
}

#[test]
fn token_output_without_a_positive_amount_is_refused() {
    for data in [
        Data::from(&0_u64),
        Data::empty(),
        Data::from(&-1),
        Data::from(&"1"),
    ] {
        let refused = mint_of_a_token([Data::from(&1_u64), data]);
        let expected = CheckError::TokenAmount {
            output_index: 1,
            app: app('t', AGREES),
        };
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn amounts_that_overflow_are_refused_not_wrapped() {
    let edge = [u64::MAX - 100, 100].map(|amount| Data::from(&amount));
    assert_eq!(mint_of_a_token(edge), Ok(()));
    let over = [u64::MAX - 99, 100].map(|amount| Data::from(&amount));
    let expected = CheckError::TokenOverflow {
        app: app('t', AGREES),
    };
    assert_eq!(mint_of_a_token(over), Err(expected));
}

/// Mints amounts of a token of tag `t` whose contract agrees to everything.
fn mint_of_a_token(amounts: [Data; 2]) -> Result<(), CheckError> {
    let prev = funding(3, &[9_000]);
    let tx = transaction(&[at(&prev, 0)], vec![output(1_000, 1), output(1_000, 2)]);
    let outs = amounts.map(charm).to_vec();
    let spell = spell_on(&tx, &[app('t', AGREES)], outs);
    check(
        &request(spell, &[&prev], Some(AGREES)),
        Some(mock_allowed()),
    )
    .map(|_| ())
}

#[test]
fn data_that_cannot_be_compared_is_refused() {
    let prev = funding(3, &[9_000]);
    let tx = transaction(&[at(&prev, 0)], vec![output(1_000, 1), output(1_000, 2)]);
    let nft = app('n', AGREES);
    let prove_state = |state: Data| {
        let spell = spell_on(
            &tx,
            std::slice::from_ref(&nft),
            vec![charm(state), charm(Data::from(&1.5))],
        );
        prove(&request(spell, &[&prev], Some(AGREES)))
    };
    assert!(prove_state(Data::from(&2.5)).is_ok());
    for state in [
        Data::from(&f64::NAN),
        Data::from(&(1, [f64::NAN])),
        Data::from(&BTreeMap::from([("k", f32::NAN)])),
    ] {
        let error = prove_state(state).unwrap_err();
        assert!(
            matches!(
                error,
                ProverError::Rejected(CheckError::Incomparable { .. })
            ),
            "{error}"
        );
    }
}

#[test]
fn input_of_an_unknown_transaction_or_output_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    let utxo_id = utxo_id_from_outpoint(at(&bridge.settlement, 2));
    assert_eq!(
        transfer(&bridge, |request| request.prev_txs.clear()),
        Err(CheckError::UnknownInput {
            utxo_id: utxo_id.clone()
        })
    );
    let mut no_such_output = utxo_id;
    no_such_output.1 = 5;
    let refused = transfer(&bridge, |request| {
        request.spell.tx.ins.as_mut().unwrap()[0] = no_such_output.clone();
    });
    assert_eq!(
        refused,
        Err(CheckError::UnknownInput {
            utxo_id: no_such_output.clone()
        })
    );
    let refused = transfer(&bridge, |request| {
        request.spell.tx.refs = Some(vec![no_such_output.clone()]);
    });
    assert_eq!(
        refused,
        Err(CheckError::UnknownInput {
            utxo_id: no_such_output
        })
    );
}

#[test]
fn previous_transaction_that_nothing_spends_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    let refused = transfer(&bridge, |request| {
        request.prev_txs.push(bridge.funding.clone());
    });
    let txid = utxo_id_from_outpoint(at(&bridge.funding, 0)).0;
    assert_eq!(refused, Err(CheckError::NeedlessPrevTx { txid }));
}

#[test]
fn spending_charms_of_an_unlisted_app_is_refused() {
    let bridge = Bridge::with_contract(AGREES);
    let nft_outpoint = at(&bridge.settlement, 0);
    let tx = transaction(
        &[at(&bridge.settlement, 2), nft_outpoint],
        vec![output(1_000, 5)],
    );
    let spell = transfer_spell(&tx, &bridge.app, &[60_000]).unwrap();
    let error = prove(&request(spell, &[&bridge.settlement], None)).unwrap_err();
    let expected = CheckError::UnlistedApp {
        utxo_id: utxo_id_from_outpoint(nft_outpoint),
        app: nft_app(&bridge.app),
    };
    assert!(matches!(error, ProverError::Rejected(error) if error == expected));
}

/// A previous transaction whose spell has parts that [`MockProver`] would not prove: proven all the
/// same.
fn foreign(prev: &Transaction, change: impl FnOnce(&mut NormalizedSpell)) -> Transaction {
    let tx = transaction(&[at(prev, 0)], vec![output(1_000, 1), output(2_000, 2)]);
    let mut spell = spell_on(&tx, &[app('n', AGREES)], vec![charm(Data::from(&"state"))]);
    change(&mut spell);
    let proven = MockProver::new(mock_allowed())
        .prove_unchecked(&spell)
        .unwrap();
    enchanted(tx, &proven)
}

fn pass_nft_on(prevs: &[&Transaction]) -> Result<(), CheckError> {
    let inputs: Vec<_> = prevs.iter().map(|prev| at(prev, 0)).collect();
    let outs = prevs.iter().map(|_| charm(Data::from(&"state"))).collect();
    let outputs = prevs.iter().map(|_| output(1_000, 3)).collect();
    let spell = spell_on(&transaction(&inputs, outputs), &[app('n', AGREES)], outs);
    check(&request(spell, prevs, None), Some(mock_allowed())).map(|_| ())
}

#[test]
fn beamed_charms_are_refused() {
    let prev = funding(3, &[9_000]);
    assert_eq!(pass_nft_on(&[&foreign(&prev, |_| {})]), Ok(()));
    let beamed = foreign(&prev, |spell| {
        spell.tx.beamed_outs = Some([(0, B32([1; 32]))].into());
    });
    let utxo_id = utxo_id_from_outpoint(at(&beamed, 0));
    assert_eq!(
        pass_nft_on(&[&beamed]),
        Err(CheckError::BeamedInput { utxo_id })
    );
}

#[test]
fn charms_of_versioned_apps_are_refused() {
    let versioned = |byte: u8, vk: [u8; 32], wasm: u8| {
        foreign(&funding(byte, &[9_000]), |spell| {
            let app = VersionedApp {
                version: 1,
                wasm_hash: B32([wasm; 32]),
            };
            spell.versioned_apps.insert(B32(vk), app);
        })
    };
    let own = versioned(3, vk_of(AGREES), 1);
    let utxo_id = utxo_id_from_outpoint(at(&own, 0));
    assert_eq!(
        pass_nft_on(&[&own]),
        Err(CheckError::VersionedInput {
            utxo_id,
            app: app('n', AGREES)
        })
    );

    // Of another app: only two that contradict each other are refused.
    let (first, second) = (versioned(4, [5; 32], 1), versioned(5, [5; 32], 2));
    assert_eq!(pass_nft_on(&[&first]), Ok(()));
    assert_eq!(
        pass_nft_on(&[&first, &second]),
        Err(CheckError::VersionConflict {
            vk: B32([5; 32]),
            version: 1
        })
    );
    assert_eq!(pass_nft_on(&[&first, &versioned(6, [5; 32], 1)]), Ok(()));
}

#[test]
fn contract_that_refuses_loops_or_is_missing_is_an_error() {
    let prev = funding(3, &[9_000]);
    let tx = transaction(&[at(&prev, 0)], vec![output(1_000, 1)]);
    let run = |wasm: &[u8], given: Option<&[u8]>| {
        let spell = spell_on(&tx, &[app('n', wasm)], vec![charm(Data::from(&"state"))]);
        prove(&request(spell, &[&prev], given)).map(|_| ())
    };
    assert!(run(AGREES, Some(AGREES)).is_ok());
    for (wasm, given) in [(REFUSES, REFUSES), (LOOPS, LOOPS), (AGREES, REFUSES)] {
        let error = run(wasm, Some(given)).unwrap_err();
        assert!(
            matches!(error, ProverError::Rejected(CheckError::Contract { .. })),
            "{error}"
        );
    }
    let error = run(AGREES, None).unwrap_err();
    assert!(
        matches!(
            error,
            ProverError::Rejected(CheckError::NotATransfer { .. })
        ),
        "{error}"
    );
}

#[test]
fn wasm_that_is_not_the_apps_is_refused() {
    let prev = funding(3, &[9_000]);
    let tx = transaction(&[at(&prev, 0)], vec![output(1_000, 1)]);
    let spell = spell_on(&tx, &[app('n', REFUSES)], vec![charm(Data::from(&"state"))]);
    let mut request = request(spell, &[&prev], None);
    request
        .app_binaries
        .insert(B32(vk_of(REFUSES)), AGREES.to_vec());
    let error = MockProver::new(mock_allowed()).prove(&request).unwrap_err();
    assert!(
        matches!(error, ProverError::Rejected(CheckError::Contract { .. })),
        "{error}"
    );
}
