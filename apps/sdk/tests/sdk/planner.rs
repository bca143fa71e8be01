//! What the planner makes is what the contract accepts, and what the planner refuses it refuses
//! alike.

use grail_app::{Asset, Facts, cbor, facts};
use grail_app_testing::{Ask, Live, Sky, Spell, charms_app, data};
use proptest::prelude::*;

use crate::club::{CONTRACT, Club, Order, club, token};

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![
        Just(Order::Join {}),
        (0..9_u64).prop_map(|note| Order::Open { note }),
        Just(Order::Close {}),
        Just(Order::Nothing {}),
        (0..12_u8).prop_map(|what| Order::Wrong { what }),
    ]
}

fn ask() -> impl Strategy<Value = Ask> {
    let given = (0..3_u64, 0..3_u64, 0..2_u64, 300..400_u64, any::<bool>());
    (
        order(),
        given,
        900..1_200_u64,
        0..800_u64,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(order, (one, two, shares, sats, is_offer), keep, fee_share, wants)| {
                let mut ask = Ask::say(&order);
                ask.sats = keep;
                ask.fee_share = fee_share;
                if is_offer {
                    ask = ask.giving_sats(sats);
                }
                let share = club().share().unwrap();
                let apps = [token(1), token(2), share];
                for ((app, units), wanted) in apps.iter().zip([one, two, shares]).zip(wants) {
                    if units > 0 {
                        ask = ask.giving(app, units);
                    }
                    if wanted {
                        ask = ask.wanting(Asset::Charm(app.clone()), 0);
                    }
                }
                ask
            },
        )
}

/// The spell of facts and inputs, with no outputs: it is refused before those are looked at, or for
/// them.
fn bare(club: &Live<Club>, asks: &[Ask], cells: &[usize]) -> Spell {
    // Inputs and facts are those of a plan that the app does not spoil.
    let quiet: Vec<Ask> = asks
        .iter()
        .map(|ask| Ask {
            payload: b"migrate".to_vec(),
            fee_share: 0,
            wants: vec![],
            ..ask.clone()
        })
        .collect();
    let sky = Sky {
        home: Some(club.state().home),
        ..Sky::default()
    };
    let moved = club.clear(cells, &sky, &quiet).unwrap();
    let mut facts: Facts = moved.facts.clone();
    facts.home = None;
    for (order, ask) in facts.orders.iter_mut().zip(asks) {
        order.payload.clone_from(&ask.payload);
        order.fee_share = ask.fee_share;
        order.wants.clone_from(&ask.wants);
    }
    let encoded = facts.encode();
    let mut spell = moved.spell;
    let app = charms_app(&club.app);
    let mut w = cbor::Writer::default();
    w.bytes(&encoded);
    spell.private.insert(app.clone(), data(&w.finish()));
    spell.list(app, data(&facts::public_input(&facts::hash(&encoded))));
    spell.tx.outs.clear();
    spell.tx.coin_outs.as_mut().unwrap().clear();
    spell
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn planner_and_contract_agree(
        asks in prop::collection::vec(ask(), 0..6),
        cells in prop::sample::subsequence(vec![0, 1], 0..=2),
    ) {
        let club = club();
        match club.clear(&cells, &Sky::default(), &asks) {
            Ok(cleared) => {
                prop_assert_eq!(CONTRACT.judge(&cleared.spell), Ok(()));
                // The satoshis that no output has are the orders' fee shares, and nothing else.
                let sum = |coins: &mut dyn Iterator<Item = u64>| coins.sum::<u64>();
                let came = sum(&mut cleared.inputs.iter().map(|it| it.1.amount));
                let went = sum(&mut cleared.plan.outputs.iter().map(|it| it.amount));
                let shares = sum(&mut asks.iter().map(|it| it.fee_share));
                prop_assert_eq!(came - went, shares);
            }
            Err(violation) => {
                // The main charm's own run: the share's would see that nothing goes out.
                let spell = bare(&club, &asks, &cells);
                let app = charms_app(&club.app);
                let x = &spell.tx.app_public_inputs[&app];
                let bytes = grail_app_testing::encoded(&app, &spell.tx, x, &spell.private[&app]);
                prop_assert_eq!((CONTRACT.native)(&bytes), Err(violation.code()));
            }
        }
    }
}
