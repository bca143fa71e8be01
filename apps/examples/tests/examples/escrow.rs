//! The escrow: deals are cells.

use grail_app::{Asset, CELL_CARRIER_SAT, Violation, judge};
use grail_app_examples::escrow::{Config, Escrow, Order};
use grail_app_testing::{Ask, Contract, Live, Sky};

use crate::tip_jar::token;

pub const CONTRACT: Contract = Contract {
    native: |bytes| judge::<Escrow>(bytes).map_err(Violation::code),
    wasm: include_bytes!("../../../escrow.wasm"),
};

pub const PAYER: [u8; 32] = [1; 32];
pub const PAYEE: [u8; 32] = [2; 32];
pub const UNTIL: u32 = 900;

pub fn at(height: u32) -> Sky {
    Sky {
        height,
        ..Sky::default()
    }
}

pub fn open(sats: u64, units: u64) -> Ask {
    let open = Order::Open {
        payee: PAYEE,
        until: UNTIL,
    };
    let ask = Ask::say(&open)
        .by(PAYER)
        .giving_sats(CELL_CARRIER_SAT + sats);
    if units == 0 {
        ask
    } else {
        ask.giving(&token(), units)
    }
}

/// An escrow with two deals.
pub fn escrow() -> Live<Escrow> {
    let config = Config {
        token: Some(token()),
    };
    let (mut escrow, birth) = Live::born(&CONTRACT, config).unwrap();
    CONTRACT.judge_both(&birth).unwrap();
    let asks = [open(20_000, 5), open(1, 0)];
    let cleared = escrow.clear(&[], &at(800), &asks).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    escrow.apply(&cleared);
    assert_eq!(escrow.cells.len(), 2);
    escrow
}

#[test]
fn a_released_deal_is_its_payees() {
    let mut escrow = escrow();
    let claim = Ask::say(&Order::Claim { deal: 0 })
        .by(PAYEE)
        .wanting(Asset::Btc, 20_330)
        .wanting(Asset::Charm(token()), 5);
    let early = escrow.clear(&[0], &at(850), std::slice::from_ref(&claim));
    let not_released = Violation::AppRefusesOrder(0, "not-released");
    assert_eq!(early.unwrap_err(), not_released);

    let release = Ask::say(&Order::Release { deal: 0 }).by(PAYER);
    let cleared = escrow.clear(&[0, 1], &at(850), &[release]).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    escrow.apply(&cleared);
    assert!(escrow.cell(0).is_released);
    assert!(!escrow.cell(1).is_released);

    let cleared = escrow.clear(&[0], &at(851), &[claim]).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    assert_eq!(cleared.plan.outputs[1].amount, 10_000 - 700 + 20_330);
    escrow.apply(&cleared);
    assert_eq!(escrow.cells.len(), 1);
    assert_eq!(escrow.cell(0).number, 1);
}

#[test]
fn a_late_deal_goes_back_to_its_payer_and_to_nobody_else() {
    let escrow = escrow();
    let refund = |author: [u8; 32], height| {
        let ask = Ask::say(&Order::Refund { deal: 1 }).by(author);
        escrow.clear(&[1], &at(height), &[ask])
    };
    let not_late = Violation::AppRefusesOrder(0, "not-late");
    assert_eq!(refund(PAYER, UNTIL - 1).unwrap_err(), not_late);
    assert_eq!(refund(PAYEE, UNTIL).unwrap_err(), not_late);
    let cleared = refund(PAYER, UNTIL).unwrap();
    CONTRACT.judge_both(&cleared.spell).unwrap();
    assert_eq!(cleared.plan.outputs[1].amount, 10_000 - 700 + 331);
}

#[test]
fn orders_without_their_author_or_their_deal_are_refused() {
    let escrow = escrow();
    let refused =
        |cells: &[usize], ask: Ask| match escrow.clear(cells, &at(UNTIL), &[ask]).unwrap_err() {
            Violation::AppRefusesOrder(0, code) => code,
            other => panic!("{other}"),
        };
    let release = Order::Release { deal: 0 };
    assert_eq!(refused(&[0], Ask::say(&release)), "not-signed");
    assert_eq!(refused(&[0], Ask::say(&release).by(PAYEE)), "not-the-payer");
    assert_eq!(refused(&[1], Ask::say(&release).by(PAYER)), "no-such-deal");
    assert_eq!(refused(&[], open(0, 0)), "nothing-given");
    let mut poor = open(0, 3);
    poor.sats -= 1;
    assert_eq!(refused(&[], poor), "no-carrier");
}
