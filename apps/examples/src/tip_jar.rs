//! A jar that anybody can put bitcoin and one token into, and that its owner empties.

use grail_app::{
    Amounts, App, AppId, Clearing, Code, Held, Outcome, Refuse, Tags, wire_enum, wire_struct,
};

/// The app.
#[derive(Debug)]
pub enum TipJar {}

/// Fixed at birth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Who empties the jar: an x-only key.
    pub owner: [u8; 32],
    /// What the jar takes besides bitcoin.
    pub token: Option<AppId>,
}
wire_struct!(Config, 1, { owner, token });

/// What the jar remembers. What it holds is no part of it: that is what lies in its cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Tips since birth.
    pub tips: u64,
}
wire_struct!(State, 1, { tips });

/// What somebody can ask of the jar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Takes what the deposit gives.
    Tip {},
    /// Pays everything out: for the owner alone.
    Empty {},
}
wire_enum!(Order { 0 => Tip {}, 1 => Empty {} });

impl App for TipJar {
    const TAGS: Tags = Tags::new('j', None);
    type Config = Config;
    type State = State;
    type Cell = ();
    type Order = Order;

    fn assets(config: &Config) -> Vec<AppId> {
        config.token.iter().cloned().collect()
    }

    fn create(_: &Config) -> Result<State, Code> {
        Ok(State { tips: 0 })
    }

    fn settle(clearing: Clearing<'_, Self>) -> Result<Outcome<Self>, Refuse> {
        if !clearing.cells.is_empty() {
            return Err(Refuse::Whole("no-cells"));
        }
        let Held {
            mut state,
            mut holdings,
        } = clearing.main;
        let nothing = Amounts::none(holdings.assets.len());
        let mut payouts = Vec::new();
        for (index, order) in clearing.orders.into_iter().enumerate() {
            let refuse = |code| Refuse::Order(index, code);
            let filled = holdings.plus(&order.given).ok_or(refuse("too-much"))?;
            match order.payload {
                Order::Tip {} if order.given == nothing => return Err(refuse("nothing-given")),
                Order::Tip {} => {
                    state.tips = state.tips.checked_add(1).ok_or(refuse("too-many"))?;
                    holdings = filled;
                    payouts.push(nothing.clone());
                }
                Order::Empty {} if order.author != Some(clearing.config.owner) => {
                    return Err(refuse("not-the-owner"));
                }
                Order::Empty {} => {
                    holdings = nothing.clone();
                    payouts.push(filled);
                }
            }
        }
        Ok(Outcome {
            main: Held { state, holdings },
            cells: Vec::new(),
            payouts,
        })
    }
}
