//! S10: exits and moves.

use grail_app::{Amounts, Asset};
use grail_app_testing::{Ask, Live, Sky, charms_app, for_each_fault, script};

use crate::club::{CONTRACT, Club, LOCKED, Order, club, config, token};

fn exit(club: &Live<Club>, shares: u64) -> Ask {
    Ask::new(b"exit".to_vec())
        .giving(&club.share().unwrap(), shares)
        .wanting(Asset::Charm(token(1)), 0)
        .wanting(Asset::Charm(token(2)), 0)
}

fn refuses(club: &Live<Club>, cells: &[usize], sky: &Sky, asks: &[Ask]) -> String {
    club.clear(cells, sky, asks).unwrap_err().code()
}

#[test]
fn s10_who_pools_takes_a_part_of_everything_without_the_app() {
    let club = club();
    let asks = [exit(&club, 10_000), exit(&club, 1)];
    let cleared = club.clear(&[], &Sky::default(), &asks).unwrap();
    CONTRACT.judge(&cleared.spell).unwrap();
    let part = |held: u64, shares: u64| held * shares / (50_000 + LOCKED);
    for (index, shares) in [(1, 10_000), (2, 1)] {
        let paid = &cleared.plan.outputs[index];
        assert_eq!(paid.amount, 10_000 - 700 + part(50_000, shares));
    }
    let paid = &cleared.plan.outputs[1].charms;
    let units = |units: u8| vec![0x18, units];
    assert_eq!(*paid, [(token(1), units(98)), (token(2), vec![13])]);
    let (before, mut club) = (club.state(), club);
    club.apply(&cleared);
    assert_eq!(club.state().shares, 50_000 - 10_001);
    assert_eq!(club.state().state, before.state);
    assert_eq!(club.state().serial, before.serial + 1);
}

#[test]
fn s10_who_leaves_last_takes_no_more_than_there_is() {
    let club = club();
    let cleared = club.clear(&[], &Sky::default(), &[exit(&club, 50_000)]);
    let left = cleared.unwrap().plan.outputs[0].amount - 1_000;
    assert_eq!(left, 50_000 - 50_000 * 50_000 / 51_000);
    let more = [exit(&club, u64::MAX)];
    assert_eq!(refuses(&club, &[], &Sky::default(), &more), "conservation");
}

#[test]
fn s10_exits_stand_alone_and_give_shares_alone() {
    let club = club();
    let sky = Sky::default();
    let other = Ask::say(&Order::Nothing {});
    let mixed = [exit(&club, 5), other];
    assert_eq!(refuses(&club, &[], &sky, &mixed), "exit-mixed");
    assert_eq!(refuses(&club, &[0], &sky, &mixed[..1]), "exit-mixed");
    let gives = |ask: Ask| refuses(&club, &[], &sky, &[ask]);
    assert_eq!(gives(exit(&club, 5).giving_sats(1)), "exit-gives");
    assert_eq!(gives(exit(&club, 5).giving(&token(1), 1)), "exit-gives");
    assert_eq!(gives(Ask::new(b"exit".to_vec())), "exit-gives");
}

fn away() -> Sky {
    Sky {
        home: Some(script(0xbb).try_into().unwrap()),
        ..Sky::default()
    }
}

#[test]
fn s10_cells_move_to_another_home_and_nothing_else_changes() {
    let mut club = club();
    let before = club.state();
    let pays = [Ask::new(b"migrate".to_vec()).giving(&token(1), 2)];
    let cleared = club.clear(&[0], &away(), &pays).unwrap();
    CONTRACT.judge(&cleared.spell).unwrap();
    let holdings = |coin: &grail_app::PlannedCoin| {
        let charms = coin.charms.iter().filter(|(app, _)| *app != club.app);
        (coin.amount, charms.cloned().collect::<Vec<_>>())
    };
    for index in [0, 1] {
        let (input, output) = (&cleared.inputs[index].1, &cleared.plan.outputs[index]);
        assert_eq!(holdings(input), holdings(output));
        assert_eq!(output.script, script(0xbb));
    }
    club.apply(&cleared);
    let after = club.state();
    assert_eq!(after.birth, before.birth);
    assert_eq!(after.home.to_vec(), script(0xbb));
    assert_eq!((after.state, after.shares), (before.state, before.shares));
    // The other cell, still at the former home, follows; at home it does not stay behind.
    assert_eq!(refuses(&club, &[0], &Sky::default(), &[]), "not-at-home");
    let followed = club.clear(&[0], &away(), &pays).unwrap();
    CONTRACT.judge(&followed.spell).unwrap();
    club.apply(&followed);
    let settled = [Ask::say(&Order::Nothing {})];
    let cleared = club.clear(&[0, 1], &Sky::default(), &settled).unwrap();
    CONTRACT.judge(&cleared.spell).unwrap();
}

#[test]
fn s10_a_move_does_not_settle_and_a_clearing_does_not_move() {
    let club = club();
    let other = [Ask::new(b"migrate".to_vec()), Ask::say(&Order::Nothing {})];
    assert_eq!(refuses(&club, &[], &away(), &other), "migrate-order");
    assert_eq!(
        refuses(&club, &[], &Sky::default(), &other),
        "order-payload"
    );
    let exits = [exit(&club, 5)];
    assert_eq!(refuses(&club, &[], &away(), &exits), "migrate-order");
}

#[test]
fn no_fault_of_exits_and_moves_is_accepted() {
    let club = club();
    let pays = [Ask::new(b"migrate".to_vec()).giving(&token(1), 2)];
    let exits = [exit(&club, 10_000), exit(&club, 1)];
    let cases = [
        club.clear(&[0, 1], &away(), &pays).unwrap(),
        club.clear(&[], &Sky::default(), &exits).unwrap(),
    ];
    for cleared in cases {
        let mut accepted = vec![];
        let scope = club.scope(&cleared);
        let count = for_each_fault(&cleared.spell, &scope, &mut |name, fault| {
            if CONTRACT.judge(fault).is_ok() {
                accepted.push(name.to_owned());
            }
        });
        assert!(accepted.is_empty(), "{accepted:#?}");
        assert!(count > 1_000, "{count}");
    }
}

#[test]
fn a_lineage_that_was_born_elsewhere_says_so_for_ever() {
    let (mut club, _) = Live::<Club>::born(&CONTRACT, config()).unwrap();
    let born = club.state().birth;
    let cleared = club.clear(&[], &away(), &[]).unwrap();
    let forged = cleared.spell.with(|it| {
        let app = charms_app(&club.app);
        let mut state = club.state();
        state.home = script(0xbb).try_into().unwrap();
        state.birth = state.home;
        state.serial += 1;
        it.tx.outs[0].insert(app, grail_app_testing::data(&state.encode().unwrap()));
    });
    assert_eq!(CONTRACT.judge(&forged).unwrap_err().code, "output-charms");
    CONTRACT.judge(&cleared.spell).unwrap();
    club.apply(&cleared);
    assert_eq!(club.state().birth, born);
    assert_ne!(club.state().home, born);
}

#[test]
fn amounts_are_added_and_taken_only_where_they_fit() {
    let none = Amounts::none(2);
    let one = Amounts {
        btc: 1,
        ..none.clone()
    };
    let most = Amounts {
        btc: u64::MAX,
        ..none.clone()
    };
    assert_eq!(none.plus(&one), Some(one.clone()));
    assert_eq!(one.less(&one), Some(none.clone()));
    assert_eq!(most.plus(&one), None);
    assert_eq!(none.less(&one), None);
    assert_eq!(none.plus(&Amounts::none(1)), None);
}
