//! An escrow: one cell for each deal, which its payer fills, and releases to its payee or takes
//! back after a height.

use grail_app::{
    Amounts, App, AppId, CELL_CARRIER_SAT, Clearing, Code, Held, Outcome, Placed, Refuse, Tags,
    wire_enum, wire_struct,
};

/// The app.
#[derive(Debug)]
pub enum Escrow {}

/// Fixed at birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What deals can be about besides bitcoin.
    pub token: Option<AppId>,
}
wire_struct!(Config, 1, { token });

/// What the escrow remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Number of the next deal.
    pub next: u64,
}
wire_struct!(State, 1, { next });

/// One deal. What it is about is what its cell holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// Which one.
    pub number: u64,
    /// Who filled it.
    pub payer: [u8; 32],
    /// Who gets it.
    pub payee: [u8; 32],
    /// From this height on the payer can take it back, unless it is released.
    pub until: u32,
    /// Whether the payee can take it.
    pub is_released: bool,
}
wire_struct!(Deal, 1, { number, payer, payee, until, is_released });

/// What somebody can ask. Each counts only with the signature of the one who may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Opens a deal with what the deposit gives: 330 satoshis of it carry the cell.
    Open {
        /// Who gets it.
        payee: [u8; 32],
        /// From when on it can be taken back.
        until: u32,
    },
    /// The payer lets the payee have it.
    Release {
        /// Which one.
        deal: u64,
    },
    /// The payee takes what is released.
    Claim {
        /// Which one.
        deal: u64,
    },
    /// The payer takes back what is late.
    Refund {
        /// Which one.
        deal: u64,
    },
}
wire_enum!(Order {
    0 => Open { payee, until },
    1 => Release { deal },
    2 => Claim { deal },
    3 => Refund { deal },
});

impl App for Escrow {
    const TAGS: Tags = Tags::new('e', None);
    type Config = Config;
    type State = State;
    type Cell = Deal;
    type Order = Order;

    fn assets(config: &Config) -> Vec<AppId> {
        config.token.iter().cloned().collect()
    }

    fn create(_: &Config) -> Result<State, Code> {
        Ok(State { next: 0 })
    }

    fn settle(clearing: Clearing<'_, Self>) -> Result<Outcome<Self>, Refuse> {
        let height = clearing.env.height;
        let (mut main, mut cells) = (clearing.main, clearing.cells);
        let mut payouts = Vec::new();
        for (index, order) in clearing.orders.into_iter().enumerate() {
            let payout = serve(order, &mut main, &mut cells, height);
            payouts.push(payout.map_err(|code| Refuse::Order(index, code))?);
        }
        Ok(Outcome {
            main,
            cells,
            payouts,
        })
    }
}

/// One order. Answers with what it gets.
fn serve(
    order: Placed<Order>,
    main: &mut Held<State>,
    cells: &mut Vec<Held<Deal>>,
    height: u32,
) -> Result<Amounts, Code> {
    let Placed { given, author, .. } = order;
    let author = author.ok_or("not-signed")?;
    match order.payload {
        Order::Open { payee, until } => {
            let mut holdings = given;
            holdings.btc = holdings
                .btc
                .checked_sub(CELL_CARRIER_SAT)
                .ok_or("no-carrier")?;
            let nothing = Amounts::none(holdings.assets.len());
            if holdings == nothing {
                return Err("nothing-given");
            }
            let number = main.state.next;
            main.state.next = number.checked_add(1).ok_or("too-many")?;
            let state = Deal {
                number,
                payer: author,
                payee,
                until,
                is_released: false,
            };
            cells.push(Held { state, holdings });
            Ok(nothing)
        }
        Order::Release { deal } => {
            let index = find(cells, deal)?;
            let deal = &mut cells.get_mut(index).ok_or("no-such-deal")?.state;
            if deal.payer != author {
                return Err("not-the-payer");
            }
            deal.is_released = true;
            Ok(given)
        }
        Order::Claim { deal } => close(cells, deal, &given, |deal| {
            (deal.payee == author && deal.is_released)
                .then_some(())
                .ok_or("not-released")
        }),
        Order::Refund { deal } => close(cells, deal, &given, |deal| {
            let is_late = height >= deal.until && !deal.is_released;
            (deal.payer == author && is_late)
                .then_some(())
                .ok_or("not-late")
        }),
    }
}

fn find(cells: &[Held<Deal>], number: u64) -> Result<usize, Code> {
    let mut cells = cells.iter();
    let found = cells.position(|cell| cell.state.number == number);
    found.ok_or("no-such-deal")
}

/// The cell goes, and its carrier with it.
fn close(
    cells: &mut Vec<Held<Deal>>,
    deal: u64,
    given: &Amounts,
    check: impl FnOnce(&Deal) -> Result<(), Code>,
) -> Result<Amounts, Code> {
    let index = find(cells, deal)?;
    check(&cells.get(index).ok_or("no-such-deal")?.state)?;
    let mut payout = cells.remove(index).holdings.plus(given).ok_or("too-much")?;
    payout.btc = payout.btc.checked_add(CELL_CARRIER_SAT).ok_or("too-much")?;
    Ok(payout)
}
