//! Faults in facts, under a hash that fits them: lies that operators did not see and the contract
//! must.

use grail_app::{Asset, Coin, Destination, Facts, Price, Want};

use crate::spell::script;

/// Facts with one change each. Heights, ages, ids, authors and payloads are the operators' to see,
/// or the app's: the contract has nothing to compare them with.
pub fn changed(facts: &Facts) -> Vec<(String, Facts)> {
    let mut all = Vec::new();
    let mut add = |name: String, change: &dyn Fn(&mut Facts)| {
        let mut changed = facts.clone();
        change(&mut changed);
        if changed != *facts {
            all.push((name, changed));
        }
    };
    add("a cell more".into(), &|it| it.cells_in += 1);
    add("a cell less".into(), &|it| it.cells_in -= 1);
    add("another home".into(), &|it| {
        it.home = Some(script(0x77).try_into().unwrap());
    });
    add("no home".into(), &|it| it.home = None);
    add("a price".into(), &|it| {
        it.prices.push(Price {
            pair: [1; 32],
            feeds: [2; 32],
            price: 3,
            height: 4,
        });
    });
    add("no price".into(), &|it| it.prices.clear());
    for index in 0..facts.orders.len() {
        let name = |what: &str| format!("order {index}: {what}");
        add(name("gone"), &|it| {
            it.orders.remove(index);
        });
        add(name("twice"), &|it| {
            it.orders.insert(index, it.orders[index].clone());
        });
        add(name("swapped"), &|it| {
            if index + 1 < it.orders.len() {
                it.orders.swap(index, index + 1);
            }
        });
        for byte in [0, 31, 32, 35] {
            add(name("outpoint"), &|it| it.orders[index].outpoint[byte] ^= 1);
        }
        add(name("destination"), &|it| {
            let other = script(0x78);
            it.orders[index].destination = Destination::try_from(other.as_slice()).unwrap();
        });
        add(name("fee share up"), &|it| it.orders[index].fee_share += 1);
        add(name("fee share down"), &|it| {
            it.orders[index].fee_share = it.orders[index].fee_share.saturating_sub(1);
        });
        add(name("keeps one more"), &|it| {
            if let Coin::Offer { keep } = &mut it.orders[index].coin {
                *keep += 1;
            }
        });
        add(name("keeps one less"), &|it| {
            if let Coin::Offer { keep } = &mut it.orders[index].coin {
                *keep -= 1;
            }
        });
        add(name("wants more than there is"), &|it| {
            it.orders[index].wants = vec![Want {
                asset: Asset::Btc,
                amount: u64::MAX,
            }];
        });
        add(name("reserved payload"), &|it| {
            it.orders[index].payload = b"migrate".to_vec();
        });
    }
    all
}
