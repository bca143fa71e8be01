//! A swap pool on a real node, under its real contract: born, filled and traded with, each clearing
//! decided and signed by twelve of sixteen enclaves, and mined.

#![allow(clippy::unwrap_used, missing_docs)]

mod chain;
mod operators;

use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, Transaction, absolute::LockTime};
use chain::{Chain, Charmed};
use charms_data::{App, Data};
use grail_amm::{Amm, Config, Kind};
use grail_app::{
    AppId, Coin, Destination, Facts, MAIN_CARRIER_SAT, Order, PlannedCoin, Want, Wire as _, born,
    create_input, identity_of, plan,
};
use grail_fixtures::world::p2tr;
use grail_spell::utxo_id_from_outpoint;
use grail_types::{Asset, BoundedVec, CharmApp, OrderCoin, OrderTerms, Payload, Wants, ZkApp};
use grail_wire::{Action, ClearingRequest, PlacedOrder, ShownRoster};
use operators::{Operators, bridge};
use sha2::{Digest as _, Sha256};

const TOKEN_WASM: &[u8] = include_bytes!("../../../../apps/token.wasm");
const AMM_WASM: &[u8] = include_bytes!("../../../../apps/amm.wasm");
/// What each order pays of a clearing's fee.
const SHARE: u64 = 4_000;
/// What the pool is filled with, satoshis and units.
const FILLED: u64 = 1_000_000;

/// A pool as it stands on the chain, and who serves it.
struct Market {
    chain: Chain,
    operators: Operators,
    token: AppId,
    pool: AppId,
    main: Charmed,
}

fn vk(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

fn outpoint_bytes(outpoint: OutPoint) -> [u8; 36] {
    utxo_id_from_outpoint(outpoint).to_bytes()
}

fn app_of(outpoint: OutPoint, tag: char, wasm: &[u8]) -> AppId {
    AppId {
        tag,
        identity: identity_of(&outpoint_bytes(outpoint)),
        vk: vk(wasm),
    }
}

fn charms_app(app: &AppId) -> App {
    grail_spell::charms_app(&charm_app(app))
}

fn charm_app(app: &AppId) -> CharmApp {
    CharmApp {
        tag: app.tag,
        identity: app.identity,
        vk: app.vk,
    }
}

fn zk_app(app: &AppId) -> ZkApp {
    charm_app(app).try_into().unwrap()
}

fn cbor(bytes: &[u8]) -> Data {
    Data::try_from_bytes(bytes).unwrap()
}

fn wants(asset: &AppId, amount: u64) -> Wants {
    let asset = Asset::Charm(charm_app(asset));
    let want = grail_types::Want { asset, amount };
    Wants::try_from(BoundedVec::new(vec![want]).unwrap()).unwrap()
}

impl Market {
    fn open() -> Self {
        let mut chain = Chain::start();
        let operators = Operators::start();
        let (token, supply) = mint(&mut chain);
        let (pool, main) = give_birth(&mut chain, &operators, &token);
        let mut market = Self {
            chain,
            operators,
            token,
            pool,
            main,
        };
        market.fill(&supply);
        market
    }

    fn terms(&self, kind: Kind, keep: u64, wants: Wants, to: ScriptBuf) -> OrderTerms {
        OrderTerms {
            bridge: bridge(),
            app: zk_app(&self.pool),
            destination: to.try_into().unwrap(),
            coin: OrderCoin::Offer {
                keep: Amount::from_sat(keep),
            },
            wants,
            fee_cap: Amount::from_sat(SHARE),
            epoch: self.operators.roster.epoch(),
            reclaim_key: self.chain.user_key(),
            reclaim_delay: 144,
            authored: false,
            payload: Payload::try_from(kind.to_bytes()).unwrap(),
            nonce: [7; 16],
        }
    }

    /// The first liquidity: both assets in one deposit, shares out of it.
    fn fill(&mut self, supply: &Charmed) {
        let shares = self.pool.with_tag('q');
        let terms = self.terms(
            Kind::Add,
            10_000,
            wants(&shares, 900_000),
            self.chain.user(),
        );
        let order = self.operators.order_script(&terms);
        let funding = self.chain.fund(FILLED + 30_000);
        let unit = charms_app(&self.token);
        let transfer = self.chain.spell(
            &[supply.outpoint, funding],
            &[
                (
                    FILLED + 10_000,
                    order,
                    vec![(unit.clone(), Data::from(&FILLED))],
                ),
                (
                    1_000,
                    self.chain.user(),
                    vec![(unit.clone(), Data::from(&9_000_000_u64))],
                ),
            ],
            &[(unit.clone(), Data::empty())],
            &[],
        );
        let transfer = self.chain.sign_and_mine(transfer);
        let deposit = Charmed {
            outpoint: OutPoint::new(transfer.compute_txid(), 0),
            coin: PlannedCoin {
                script: transfer.output[0].script_pubkey.to_bytes(),
                amount: FILLED + 10_000,
                charms: vec![(self.token.clone(), Data::from(&FILLED).bytes())],
            },
        };
        self.clear(&[(terms, deposit)]);
        assert_eq!(self.units_of(&self.token.clone()), FILLED);
        assert_eq!(self.main.coin.amount, MAIN_CARRIER_SAT + FILLED);
    }

    /// A deposit of plain bitcoin: any wallet can make it.
    fn pay(&mut self, terms: &OrderTerms, sats: u64) -> Charmed {
        let script = self.operators.order_script(terms);
        let outpoint = self.chain.pay(&script, sats);
        Charmed {
            outpoint,
            coin: PlannedCoin {
                script: script.to_bytes(),
                amount: sats,
                charms: Vec::new(),
            },
        }
    }

    /// Clears these orders: planned by the app's own function, proven under its contract, signed by
    /// a quorum, mined.
    fn clear(&mut self, orders: &[(OrderTerms, Charmed)]) -> Transaction {
        let (unsigned, request) = self.plan(orders);
        let action = Action::Clearing(Box::new(request));
        let previous = self.chain.behind(&unsigned);
        let signed = self.operators.sign(unsigned, &previous, action).unwrap();
        self.chain.mine_transaction(&signed);
        signed
    }

    fn plan(&mut self, orders: &[(OrderTerms, Charmed)]) -> (Transaction, ClearingRequest) {
        let facts = self.facts(orders);
        let mut inputs = vec![self.main.clone()];
        inputs.extend(orders.iter().map(|(_, deposit)| deposit.clone()));
        let coins: Vec<_> = inputs
            .iter()
            .map(|it| (outpoint_bytes(it.outpoint), it.coin.clone()))
            .collect();
        let planned = plan::<Amm>(&self.pool, &facts, &coins).unwrap();
        let outputs: Vec<_> = planned
            .outputs
            .iter()
            .map(|coin| {
                let charms = coin.charms.iter();
                let charms = charms.map(|(app, data)| (charms_app(app), cbor(data)));
                let script = ScriptBuf::from_bytes(coin.script.clone());
                (coin.amount, script, charms.collect::<Vec<_>>())
            })
            .collect();
        let own = charms_app(&self.pool);
        let moved = coins.iter().map(|(_, coin)| coin).chain(&planned.outputs);
        let mut apps: Vec<_> = moved
            .flat_map(|coin| coin.charms.iter())
            .map(|(app, _)| (charms_app(app), Data::empty()))
            .filter(|(app, _)| *app != own)
            .collect();
        apps.push((own.clone(), cbor(&planned.public_input)));
        let spent: Vec<_> = inputs.iter().map(|it| it.outpoint).collect();
        let mut unsigned = Chain::unsigned(&spent);
        unsigned.lock_time = LockTime::from_height(facts.lock_height).unwrap();
        unsigned.input[0].sequence = Sequence::from_height(facts.age);
        let private = [(own, cbor(&planned.private_input))];
        let unsigned = self.chain.enchant(unsigned, &outputs, &apps, &private);
        self.main = Charmed {
            outpoint: OutPoint::new(unsigned.compute_txid(), 0),
            coin: planned.outputs[0].clone(),
        };
        let placed = orders
            .iter()
            .map(|(terms, _)| PlacedOrder::new(terms.clone(), None, Amount::from_sat(SHARE)));
        let request = ClearingRequest {
            app: zk_app(&self.pool),
            roster: ShownRoster(self.operators.roster.clone()),
            orders: BoundedVec::new(placed.collect()).unwrap(),
        };
        (unsigned, request)
    }

    fn facts(&self, orders: &[(OrderTerms, Charmed)]) -> Facts {
        let orders = orders.iter().map(|(terms, deposit)| Order {
            outpoint: outpoint_bytes(deposit.outpoint),
            id: terms.id().0,
            destination: Destination::try_from(terms.destination.script().as_bytes()).unwrap(),
            coin: match terms.coin {
                OrderCoin::Keep => Coin::Keep,
                OrderCoin::Offer { keep } => Coin::Offer {
                    keep: keep.to_sat(),
                },
            },
            fee_share: SHARE,
            author: None,
            wants: terms.wants.iter().map(want).collect(),
            payload: terms.payload.to_vec(),
        });
        Facts {
            home: None,
            lock_height: self.chain.height(),
            age: 1,
            cells_in: 1,
            prices: Vec::new(),
            orders: orders.collect(),
        }
    }

    /// What the main cell holds of a charm.
    fn units_of(&self, app: &AppId) -> u64 {
        let mut charms = self.main.coin.charms.iter();
        let (_, data) = charms.find(|(it, _)| it == app).unwrap();
        cbor(data).value().unwrap()
    }
}

fn want(want: &grail_types::Want) -> Want {
    let asset = match &want.asset {
        Asset::Btc => grail_app::Asset::Btc,
        Asset::Charm(app) => grail_app::Asset::Charm(AppId {
            tag: app.tag,
            identity: app.identity,
            vk: app.vk,
        }),
    };
    let amount = want.amount;
    Want { asset, amount }
}

/// A token with all its units in the user's hand.
fn mint(chain: &mut Chain) -> (AppId, Charmed) {
    let first = chain.fund(50_000);
    let (described, units) = (
        app_of(first, 'm', TOKEN_WASM),
        app_of(first, 'f', TOKEN_WASM),
    );
    let metadata = grail_token::Metadata {
        name: "Grail Test Token".into(),
        ticker: "GTT".into(),
        decimals: 0,
        supply: 10_000_000,
    };
    let create = cbor(&create_input());
    let supply = Data::from(&metadata.supply);
    let birth = chain.spell(
        &[first],
        &[
            (
                1_000,
                chain.user(),
                vec![(charms_app(&described), cbor(&metadata.encode()))],
            ),
            (
                1_000,
                chain.user(),
                vec![(charms_app(&units), supply.clone())],
            ),
        ],
        &[
            (charms_app(&described), create.clone()),
            (charms_app(&units), create),
        ],
        &[],
    );
    let birth = chain.sign_and_mine(birth);
    let owned = Charmed {
        outpoint: OutPoint::new(birth.compute_txid(), 1),
        coin: PlannedCoin {
            script: chain.user().to_bytes(),
            amount: 1_000,
            charms: vec![(units.clone(), supply.bytes())],
        },
    };
    (units, owned)
}

/// A pool of bitcoin and the token at its home under the operators.
fn give_birth(chain: &mut Chain, operators: &Operators, token: &AppId) -> (AppId, Charmed) {
    let first = chain.fund(50_000);
    let pool = app_of(first, 'p', AMM_WASM);
    let home = operators.home(&zk_app(&pool));
    let script: [u8; 34] = home.as_bytes().try_into().unwrap();
    let state = born::<Amm>(&pool, Config::btc_and(token.clone()), script).unwrap();
    let birth = chain.spell(
        &[first],
        &[(
            MAIN_CARRIER_SAT,
            home.clone(),
            vec![(charms_app(&pool), cbor(&state))],
        )],
        &[(charms_app(&pool), cbor(&create_input()))],
        &[],
    );
    let birth = chain.sign_and_mine(birth);
    let main = Charmed {
        outpoint: OutPoint::new(birth.compute_txid(), 0),
        coin: PlannedCoin {
            script: home.to_bytes(),
            amount: MAIN_CARRIER_SAT,
            charms: vec![(pool.clone(), state)],
        },
    };
    (pool, main)
}

#[test]
fn plain_bitcoin_becomes_a_token_through_twelve_of_sixteen() {
    let mut market = Market::open();
    let to = p2tr(1);
    // 99,700 of 100,000 after the pool's fee, at the price that the pool has after it.
    let expected = 99_700 * FILLED / (FILLED + 2 * 99_700);
    let limit = wants(&market.token, expected);
    let terms = market.terms(Kind::Swap, 6_000, limit, to.clone());
    let deposit = market.pay(&terms, 106_000);
    market.chain.mine(1);
    let cleared = market.clear(&[(terms, deposit)]);
    assert_eq!(cleared.output[1].script_pubkey, to);
    assert_eq!(cleared.output[1].value, Amount::from_sat(6_000 - SHARE));
    let token = market.token.clone();
    assert_eq!(chain::units_at(&cleared, 1, &charms_app(&token)), expected);
    assert_eq!(market.units_of(&token), FILLED - expected);
    assert_eq!(market.main.coin.amount, MAIN_CARRIER_SAT + FILLED + 100_000);
}

#[test]
fn operators_hold_the_pool_to_what_an_order_asks_for() {
    let mut market = Market::open();
    let limit = wants(&market.token, 80_000);
    let to = p2tr(2);
    let terms = market.terms(Kind::Swap, 6_000, limit, to);
    let deposit = market.pay(&terms, 106_000);
    market.chain.mine(1);
    let (unsigned, request) = market.plan(&[(terms.clone(), deposit)]);
    let previous = market.chain.behind(&unsigned);
    let asked = |request: &ClearingRequest, transaction: &Transaction| {
        let action = Action::Clearing(Box::new(request.clone()));
        let signed = market
            .operators
            .sign(transaction.clone(), &previous, action);
        signed.map_or_else(|code| code, |_| "signed".to_owned())
    };
    assert_eq!(asked(&request, &unsigned), "signed");
    // The proof binds what the contract saw: no output, order, height or age can be another's.
    let mut paid_elsewhere = unsigned.clone();
    paid_elsewhere.output[1].script_pubkey = p2tr(3);
    assert_eq!(asked(&request, &paid_elsewhere), "spell-invalid");
    let mut another_height = unsigned.clone();
    another_height.lock_time = LockTime::from_height(1).unwrap();
    assert_eq!(asked(&request, &another_height), "app-facts");
    let mut younger = unsigned.clone();
    younger.input[0].sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;
    assert_eq!(asked(&request, &younger), "app-facts");
    let mut other = request.clone();
    let share = Amount::from_sat(SHARE - 1);
    other.orders = BoundedVec::new(vec![PlacedOrder::new(terms, None, share)]).unwrap();
    assert_eq!(asked(&other, &unsigned), "order-wants");
}
