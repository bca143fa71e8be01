//! A clearing, laid out: from inputs and facts to the outputs that must be.
//!
//! The contract compares these outputs with those of the spell, and whoever plans a clearing takes
//! them for his transaction. Inputs: main cell, cells, ticket, orders. Outputs: the same, in the
//! same order.

use grail_app_facts::{Asset, Coin, Facts, Order, Want};

use crate::{
    app::{Amounts, App, Clearing, Env, Held, Outcome, Placed, Refuse},
    keys::{Key, Keys, raw_script},
    math::mul_div_floor,
    mode::Mode,
    read::amount_of,
    rules::amount_data,
    state::{CellState, MainState},
    violation::Violation,
    wire::Wire,
};

/// Satoshis under a main cell besides what it holds.
pub const MAIN_CARRIER_SAT: u64 = 1_000;
/// Satoshis under a cell besides what it holds: they come out of what the orders give and return
/// with the cell.
pub const CELL_CARRIER_SAT: u64 = 330;

/// An input as the layout needs it.
pub struct Spent<'a> {
    pub outpoint: &'a [u8; 36],
    /// As the runner writes it.
    pub script: &'a [u8],
    pub coin: u64,
    /// Apps as the runner writes them, ascending, and CBOR data.
    pub charms: &'a [(&'a [u8], &'a [u8])],
}

/// An output that must be.
pub struct Made {
    /// As the runner writes it.
    pub script: Vec<u8>,
    pub coin: u64,
    /// By ascending app, and CBOR data.
    pub charms: Vec<(Key, Vec<u8>)>,
}

/// What a deposit gives and what it keeps.
struct Deposit {
    base: u64,
    given: Amounts,
}

/// What comes in.
struct Before<A: App> {
    keys: Keys,
    main: MainState<A::Config, A::State>,
    holdings: Amounts,
    cells: Vec<Held<A::Cell>>,
    deposits: Vec<Deposit>,
}

/// The outputs of the clearing of `facts` that spends `spent`.
pub fn lay_out<A: App>(
    main: Key,
    facts: &Facts,
    spent: &[Spent<'_>],
) -> Result<Vec<Made>, Violation> {
    let parts = Parts::of(facts, spent)?;
    let mode = Mode::of::<A>(facts)?;
    let before = read_inputs::<A>(main, facts, &parts)?;
    let Before {
        keys,
        main: mut header,
        holdings,
        cells,
        deposits,
    } = before;
    let total_in = total(&holdings, &cells, deposits.iter().map(|it| &it.given))?;
    let shares = header.shares;

    let outcome = match mode {
        Mode::Migrate(home) => {
            header.home = home;
            Outcome {
                main: Held {
                    state: header.state,
                    holdings,
                },
                cells,
                payouts: deposits.iter().map(|it| it.given.clone()).collect(),
            }
        }
        Mode::Exit { locked } => Outcome {
            payouts: pro_rata(&holdings, shares, locked, &deposits)?,
            main: Held {
                state: header.state,
                holdings,
            },
            cells,
        }
        .less_payouts()?,
        Mode::Settle => {
            let orders = placed::<A>(facts, &deposits)?;
            A::settle(Clearing {
                config: &header.config,
                env: Env {
                    height: facts.lock_height,
                    age: facts.age,
                    prices: facts.prices.clone(),
                },
                shares,
                main: Held {
                    state: header.state,
                    holdings,
                },
                cells,
                orders,
            })
            .map_err(|refuse| match refuse {
                Refuse::Order(index, code) => Violation::AppRefusesOrder(index, code),
                Refuse::Whole(code) => Violation::AppRefuses(code),
            })?
        }
    };

    let Outcome {
        main,
        cells,
        payouts,
    } = outcome;
    if payouts.len() != facts.orders.len() {
        return Err(Violation::OutcomeShape);
    }
    let holds = cells.iter().map(|cell| &cell.holdings);
    if holds.chain([&main.holdings]).any(|held| held.shares != 0) {
        return Err(Violation::Shares);
    }
    let total_out = total(&main.holdings, &cells, payouts.iter())?;
    header.shares = conserved(&total_in, &total_out, shares)?;
    header.serial = header.serial.checked_add(1).ok_or(Violation::Serial)?;

    let home = raw_script(&header.home);
    let header = MainState {
        home: header.home,
        birth: header.birth,
        serial: header.serial,
        shares: header.shares,
        config: header.config,
        state: main.state,
    };
    let state = header
        .encode()
        .map_err(|error| Violation::State(0, error))?;
    let mut made = Vec::with_capacity(spent.len());
    made.push(cell_output(
        &keys,
        &home,
        state,
        &main.holdings,
        MAIN_CARRIER_SAT,
    )?);
    for (cell, index) in cells.into_iter().zip(1..) {
        let state = CellState { body: cell.state };
        let state = state
            .encode()
            .map_err(|error| Violation::State(index, error))?;
        made.push(cell_output(
            &keys,
            &home,
            state,
            &cell.holdings,
            CELL_CARRIER_SAT,
        )?);
    }
    made.extend(parts.tickets.iter().map(|ticket| Made {
        script: ticket.script.to_vec(),
        coin: ticket.coin,
        charms: Vec::new(),
    }));
    let orders = facts.orders.iter().zip(&deposits).zip(&payouts);
    for (index, ((order, deposit), payout)) in orders.enumerate() {
        made.push(order_output(&keys, index, order, deposit, payout)?);
    }
    Ok(made)
}

/// The inputs, by what they are.
struct Parts<'s, 'a> {
    main: &'s Spent<'a>,
    cells: &'s [Spent<'a>],
    tickets: &'s [Spent<'a>],
    orders: &'s [Spent<'a>],
}

impl<'s, 'a> Parts<'s, 'a> {
    fn of(facts: &Facts, spent: &'s [Spent<'a>]) -> Result<Self, Violation> {
        let count = Violation::InputCount;
        let (app, rest) = spent
            .split_at_checked(usize::from(facts.cells_in))
            .ok_or(count)?;
        let (main, cells) = app.split_first().ok_or(count)?;
        let (tickets, orders) = rest.split_at_checked(facts.prices.len()).ok_or(count)?;
        if orders.len() != facts.orders.len() {
            return Err(count);
        }
        Ok(Self {
            main,
            cells,
            tickets,
            orders,
        })
    }
}

fn read_inputs<A: App>(
    main_key: Key,
    facts: &Facts,
    parts: &Parts<'_, '_>,
) -> Result<Before<A>, Violation> {
    let others = parts.tickets.iter().chain(parts.orders);
    for (index, other) in others.enumerate() {
        if other.charms.iter().any(|(key, _)| *key == &*main_key.raw) {
            let cells = usize::from(facts.cells_in);
            return Err(Violation::CellInput(cells.saturating_add(index)));
        }
    }
    if parts.tickets.iter().any(|ticket| !ticket.charms.is_empty()) {
        return Err(Violation::TicketCharms);
    }
    let state = charm(&main_key, 0, parts.main)?;
    let main = MainState::<A::Config, A::State>::decode(state)
        .map_err(|error| Violation::State(0, error))?;
    let home = raw_script(&main.home);
    if parts.main.script != home {
        return Err(Violation::NotAtHome(0));
    }
    let keys = Keys {
        share: A::TAGS
            .share
            .map(|tag| Key::new(main_key.app.with_tag(tag))),
        assets: A::assets(&main.config).into_iter().map(Key::new).collect(),
        main: main_key,
    };
    let holdings = held(&keys, 0, parts.main, MAIN_CARRIER_SAT)?;
    let mut cells = Vec::with_capacity(parts.cells.len());
    for (index, cell) in (1..).zip(parts.cells) {
        let data = charm(&keys.main, index, cell)?;
        let state = CellState::decode(data).map_err(|error| Violation::State(index, error))?;
        // While cells move they lie at two homes, and which those are is the operators' to judge.
        if facts.home.is_none() && cell.script != home {
            return Err(Violation::NotAtHome(index));
        }
        cells.push(Held {
            state: state.body,
            holdings: held(&keys, index, cell, CELL_CARRIER_SAT)?,
        });
    }
    let deposits = facts.orders.iter().zip(parts.orders).enumerate();
    let deposits = deposits
        .map(|(index, (order, spent))| deposit(&keys, index, order, spent))
        .collect::<Result<_, _>>()?;
    Ok(Before {
        keys,
        main,
        holdings,
        cells,
        deposits,
    })
}

/// The app's charm on an input that has to have one.
fn charm<'a>(main: &Key, index: usize, spent: &Spent<'a>) -> Result<&'a [u8], Violation> {
    let found = spent.charms.iter().find(|(key, _)| *key == &*main.raw);
    found
        .map(|(_, data)| *data)
        .ok_or(Violation::CellInput(index))
}

/// What a cell holds beyond its carrier.
fn held(keys: &Keys, index: usize, spent: &Spent<'_>, carrier: u64) -> Result<Amounts, Violation> {
    let refused = Violation::Holdings(index);
    let mut amounts = Amounts::none(keys.assets.len());
    for (key, data) in spent.charms {
        if *key != &*keys.main.raw {
            *asset(keys, &mut amounts, key).ok_or(refused)? = amount_of(data).ok_or(refused)?;
        }
    }
    amounts.btc = spent.coin.checked_sub(carrier).ok_or(refused)?;
    Ok(amounts)
}

/// What an order's deposit gives.
fn deposit(
    keys: &Keys,
    index: usize,
    order: &Order,
    spent: &Spent<'_>,
) -> Result<Deposit, Violation> {
    if order.outpoint != *spent.outpoint {
        return Err(Violation::OrderOutpoint(index));
    }
    let refused = Violation::OrderCharms(index);
    let mut given = Amounts::none(keys.assets.len());
    for (key, data) in spent.charms {
        let amount = amount_of(data).ok_or(refused)?;
        let is_share = keys.share.as_ref().is_some_and(|share| *key == &*share.raw);
        if is_share {
            given.shares = amount;
        } else {
            *asset(keys, &mut given, key).ok_or(refused)? = amount;
        }
    }
    let base = match order.coin {
        Coin::Keep => spent.coin,
        Coin::Offer { keep } => keep,
    };
    given.btc = spent
        .coin
        .checked_sub(base)
        .ok_or(Violation::OrderCoin(index))?;
    Ok(Deposit { base, given })
}

/// Where amounts of the asset with this key stand.
fn asset<'m>(keys: &Keys, amounts: &'m mut Amounts, key: &[u8]) -> Option<&'m mut u64> {
    let position = keys.assets.iter().position(|asset| &*asset.raw == key)?;
    amounts.assets.get_mut(position)
}

fn placed<A: App>(facts: &Facts, deposits: &[Deposit]) -> Result<Vec<Placed<A::Order>>, Violation> {
    let orders = facts.orders.iter().zip(deposits).enumerate();
    orders
        .map(|(index, (order, deposit))| {
            Ok(Placed {
                id: order.id,
                payload: A::Order::from_bytes(&order.payload)
                    .map_err(|_| Violation::OrderPayload(index))?,
                given: deposit.given.clone(),
                author: order.author,
                wants: order.wants.clone(),
            })
        })
        .collect()
}

/// Everything on one side, with the carriers of cells.
fn total<'a, T>(
    main: &Amounts,
    cells: &[Held<T>],
    orders: impl Iterator<Item = &'a Amounts>,
) -> Result<Amounts, Violation> {
    // Of other assets than the main cell on input: the app's outcome is misshapen.
    let mut sum = main.clone();
    let mut add = |amounts: &Amounts| {
        if amounts.assets.len() != main.assets.len() {
            return Err(Violation::OutcomeShape);
        }
        sum = sum.plus(amounts).ok_or(Violation::Overflow)?;
        Ok(())
    };
    for order in orders {
        add(order)?;
    }
    for cell in cells {
        add(&cell.holdings)?;
    }
    let carriers = (cells.len() as u64).checked_mul(CELL_CARRIER_SAT);
    sum.btc = carriers
        .and_then(|carriers| sum.btc.checked_add(carriers))
        .ok_or(Violation::Overflow)?;
    Ok(sum)
}

/// S7: bitcoin and assets go out as they came in. Answers with the shares in existence afterwards.
fn conserved(came: &Amounts, went: &Amounts, shares: u64) -> Result<u64, Violation> {
    if came.btc != went.btc || came.assets != went.assets {
        return Err(Violation::Conservation);
    }
    shares
        .checked_add(went.shares)
        .and_then(|shares| shares.checked_sub(came.shares))
        .ok_or(Violation::Overflow)
}

/// S10: the part of each exit in what the main cell holds, all by what it held before.
fn pro_rata(
    holdings: &Amounts,
    shares: u64,
    locked: u64,
    deposits: &[Deposit],
) -> Result<Vec<Amounts>, Violation> {
    let all = shares.checked_add(locked).ok_or(Violation::Overflow)?;
    let exits = deposits.iter().enumerate();
    exits
        .map(|(index, Deposit { given, .. })| {
            let gives_more = given.btc != 0 || given.assets.iter().any(|amount| *amount != 0);
            if given.shares == 0 || gives_more {
                return Err(Violation::ExitGives(index));
            }
            let part =
                |amount: u64| mul_div_floor(amount, given.shares, all).ok_or(Violation::Overflow);
            Ok(Amounts {
                btc: part(holdings.btc)?,
                shares: 0,
                assets: holdings
                    .assets
                    .iter()
                    .map(|amount| part(*amount))
                    .collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

impl<A: App> Outcome<A> {
    /// What the payouts take is no longer held.
    fn less_payouts(mut self) -> Result<Self, Violation> {
        for payout in &self.payouts {
            let left = self.main.holdings.less(payout);
            self.main.holdings = left.ok_or(Violation::Conservation)?;
        }
        Ok(self)
    }
}

fn cell_output(
    keys: &Keys,
    home: &[u8],
    state: Vec<u8>,
    holdings: &Amounts,
    carrier: u64,
) -> Result<Made, Violation> {
    Ok(Made {
        script: home.to_vec(),
        coin: holdings
            .btc
            .checked_add(carrier)
            .ok_or(Violation::Overflow)?,
        charms: charms(keys, Some(state), holdings)?,
    })
}

/// S6 and S8: what an order's output must be.
fn order_output(
    keys: &Keys,
    index: usize,
    order: &Order,
    deposit: &Deposit,
    payout: &Amounts,
) -> Result<Made, Violation> {
    check_wants(keys, index, order, &deposit.given, payout)?;
    let script = order.destination.script();
    let gross = deposit.base.checked_add(payout.btc);
    let coin = gross
        .ok_or(Violation::Overflow)?
        .checked_sub(order.fee_share)
        .filter(|coin| *coin >= dust_sat(script))
        .ok_or(Violation::OrderDust(index))?;
    Ok(Made {
        script: raw_script(script),
        coin,
        charms: charms(keys, None, payout)?,
    })
}

/// S8: what is wanted is paid, and no charm is that is neither wanted nor was given. The operators'
/// guard asks for the same, whatever the app.
fn check_wants(
    keys: &Keys,
    index: usize,
    order: &Order,
    given: &Amounts,
    payout: &Amounts,
) -> Result<(), Violation> {
    let is_met = |want: &Want| {
        let paid = match &want.asset {
            Asset::Btc => payout.btc,
            Asset::Charm(app) => paid_of(keys, payout, |key| *key.app == *app),
        };
        paid >= want.amount
    };
    if !order.wants.iter().all(is_met) {
        return Err(Violation::Wants(index));
    }
    let share = keys
        .share
        .iter()
        .map(|key| (key, given.shares, payout.shares));
    let assets = keys.assets.iter().zip(&given.assets).zip(&payout.assets);
    let assets = assets.map(|((key, given), paid)| (key, *given, *paid));
    for (key, given, paid) in share.chain(assets) {
        let is_wanted = |want: &Want| matches!(&want.asset, Asset::Charm(app) if *app == *key.app);
        if paid > 0 && given == 0 && !order.wants.iter().any(is_wanted) {
            return Err(Violation::Unwanted(index));
        }
    }
    Ok(())
}

fn paid_of(keys: &Keys, payout: &Amounts, is_it: impl Fn(&Key) -> bool) -> u64 {
    if keys.share.as_ref().is_some_and(&is_it) {
        return payout.shares;
    }
    let mut assets = keys.assets.iter().zip(&payout.assets);
    assets
        .find(|(key, _)| is_it(key))
        .map_or(0, |(_, paid)| *paid)
}

/// The charms that stand for a state and amounts: none for zero.
fn charms(
    keys: &Keys,
    state: Option<Vec<u8>>,
    amounts: &Amounts,
) -> Result<Vec<(Key, Vec<u8>)>, Violation> {
    let mut charms = Vec::new();
    charms.extend(state.map(|state| (keys.main.clone(), state)));
    if amounts.shares > 0 {
        let share = keys.share.clone().ok_or(Violation::Shares)?;
        charms.push((share, amount_data(amounts.shares)));
    }
    for (key, amount) in keys.assets.iter().zip(&amounts.assets) {
        if *amount > 0 {
            charms.push((key.clone(), amount_data(*amount)));
        }
    }
    charms.sort_by(|one, two| one.0.raw.cmp(&two.0.raw));
    Ok(charms)
}

/// Least coin that nodes relay at a standard script, at their default rate of 3,000 satoshis per
/// 1,000 virtual bytes (Bitcoin Core, `GetDustThreshold`): what spending it would cost, and the
/// output itself.
pub fn dust_sat(script: &[u8]) -> u64 {
    let is_witness = matches!(script, [0x00 | 0x51, 0x14 | 0x20, ..]);
    let input_bytes = if is_witness { 67 } else { 148 };
    // Amount, length and script.
    let output_bytes = (script.len() as u64).saturating_add(9);
    output_bytes.saturating_add(input_bytes).saturating_mul(3)
}
