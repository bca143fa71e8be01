//! The app as the SDK calls it: configuration, state and orders as they are written, and back.

use grail_app::{
    App, AppId, Asset, Clearing, Code, Exit, Held, Outcome, Placed, Refuse, Tags, Want,
};

use crate::clearing::{check_age, settle};
use crate::order::{Amounts, Kind, Order};
use crate::plan::{Verdict, plan};
use crate::pool::{LOCKED_SHARES, Pool};
use crate::refusal::{OrderRefusal, Refusal, WholeRefusal};
use crate::terms::{Terms, TermsError, Weight};

/// Tags of charms that are no asset of a pool: Charms moves `t` and `n` without their contract (ADR
/// 5), binds `s` to Scrolls' addresses, and `r` is the bridge's roster.
const REFUSED_TAGS: [char; 4] = ['t', 'n', 's', 'r'];

/// Tag of the shares.
const SHARE_TAG: char = 'q';

/// The swap app: one main cell, no cells beside it.
#[derive(Clone, Copy, Debug)]
pub struct Amm;

/// What a pool is born with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The first asset: bitcoin, or a charm that comes before `b`.
    pub a: Option<AppId>,
    /// The second.
    pub b: AppId,
    /// What stays with the pool of every swap, in basis points: 0 to 1,000.
    pub fee_bps: u16,
    /// 1 or 2: see [`Weight`].
    pub weight: u8,
    /// Blocks that the pool's coin must have lain before the next clearing: 0 to 36.
    pub spacing: u8,
}

/// What changes of a pool besides its holdings and shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Whether the first add has been. Never again false.
    pub opened: bool,
}

grail_app::wire_struct!(Config, 1, { a, b, fee_bps, weight, spacing });
grail_app::wire_struct!(State, 1, { opened });
grail_app::wire_enum!(Kind { 0 => Swap {}, 1 => Add {}, 2 => Remove {} });

impl Config {
    /// A pool of bitcoin and a charm, on the default terms.
    pub fn btc_and(b: AppId) -> Self {
        let terms = Terms::default();
        Self {
            a: None,
            b,
            fee_bps: terms.fee_bps(),
            weight: terms.weight().number(),
            spacing: terms.spacing(),
        }
    }

    /// The terms, within bounds.
    pub fn terms(&self) -> Result<Terms, TermsError> {
        Terms::new(self.fee_bps, Weight::try_from(self.weight)?, self.spacing)
    }

    fn check(&self) -> Result<(), Code> {
        self.terms().map_err(TermsError::code)?;
        if self.a.as_ref().is_some_and(|a| *a >= self.b) {
            return Err("amm-pair");
        }
        if self.charms().any(|charm| REFUSED_TAGS.contains(&charm.tag)) {
            return Err("amm-asset-tag");
        }
        Ok(())
    }

    fn charms(&self) -> impl Iterator<Item = &AppId> {
        self.a.iter().chain([&self.b])
    }

    /// What of these amounts is the pair's; none where bitcoin is given to a pool that has none.
    fn read(&self, amounts: &grail_app::Amounts) -> Option<Amounts> {
        let shares = amounts.shares;
        match (&self.a, amounts.assets.as_slice(), amounts.btc) {
            (None, &[b], a) | (Some(_), &[a, b], 0) => Some(Amounts { a, b, shares }),
            _ => None,
        }
    }

    fn write(&self, amounts: Amounts) -> grail_app::Amounts {
        let Amounts { a, b, shares } = amounts;
        let (btc, assets) = match self.a {
            None => (a, vec![b]),
            Some(_) => (0, vec![a, b]),
        };
        grail_app::Amounts {
            btc,
            shares,
            assets,
        }
    }

    /// An order as this pool understands it.
    fn order(&self, placed: &Placed<Kind>) -> Result<Order, OrderRefusal> {
        let given = self.read(&placed.given).ok_or(OrderRefusal::Given)?;
        let wants = Wanted::of(self, &placed.wants)?;
        let pays_unnamed = match placed.payload {
            Kind::Swap if given.a > 0 => !wants.names_b,
            Kind::Swap => !wants.names_a,
            Kind::Add => !wants.names_share,
            Kind::Remove => !(wants.names_a && wants.names_b),
        };
        if pays_unnamed {
            return Err(OrderRefusal::NotNamed);
        }
        Ok(Order {
            kind: placed.payload,
            given,
            wants: wants.amounts,
        })
    }
}

/// What an order wants, and which of what it may be paid it names: charms that it does not name,
/// operators let nobody put on its output. Bitcoin needs no name.
struct Wanted {
    amounts: Amounts,
    names_a: bool,
    names_b: bool,
    names_share: bool,
}

impl Wanted {
    fn of(config: &Config, wants: &[Want]) -> Result<Self, OrderRefusal> {
        let mut wanted = Self {
            amounts: Amounts::NONE,
            names_a: config.a.is_none(),
            names_b: false,
            names_share: false,
        };
        for Want { asset, amount } in wants {
            let is_a = match asset {
                Asset::Btc => config.a.is_none(),
                Asset::Charm(app) => config.a.as_ref() == Some(app),
            };
            let (place, name) = match asset {
                _ if is_a => (&mut wanted.amounts.a, &mut wanted.names_a),
                Asset::Charm(app) if *app == config.b => {
                    (&mut wanted.amounts.b, &mut wanted.names_b)
                }
                // The pool does not know its own identity: the SDK holds another pool's share apart
                // (S8).
                Asset::Charm(app) if app.tag == SHARE_TAG => {
                    (&mut wanted.amounts.shares, &mut wanted.names_share)
                }
                _ if *amount == 0 => continue,
                _ => return Err(OrderRefusal::WantsUnreachable),
            };
            *place = (*place).max(*amount);
            *name = true;
        }
        Ok(wanted)
    }
}

impl App for Amm {
    const TAGS: Tags = Tags::new('p', Some(SHARE_TAG));
    const EXIT: Exit = Exit::ProRata {
        locked: LOCKED_SHARES,
    };
    type Config = Config;
    type State = State;
    type Cell = ();
    type Order = Kind;

    fn assets(config: &Config) -> Vec<AppId> {
        config.charms().cloned().collect()
    }

    fn create(config: &Config) -> Result<State, Code> {
        config.check()?;
        Ok(State { opened: false })
    }

    fn settle(clearing: Clearing<'_, Self>) -> Result<Outcome<Self>, Refuse> {
        let Clearing {
            config,
            env,
            shares,
            main,
            cells,
            orders,
        } = clearing;
        if !cells.is_empty() {
            return Err(Refuse::Whole("amm-cells"));
        }
        let terms = config
            .terms()
            .map_err(|why| Refuse::Whole(TermsError::code(why)))?;
        check_age(terms, env.age).map_err(refuse)?;
        let pool = read_pool(config, &main, shares).map_err(refuse)?;
        let mut read = Vec::with_capacity(orders.len());
        for (index, placed) in orders.iter().enumerate() {
            let order = config.order(placed);
            read.push(order.map_err(|why| Refuse::Order(index, why.code()))?);
        }
        let outcome = settle(terms, &pool, &read).map_err(refuse)?;
        let holdings = Amounts {
            shares: 0,
            ..outcome.pool.holdings()
        };
        Ok(Outcome {
            main: Held {
                state: State {
                    opened: outcome.pool.is_opened(),
                },
                holdings: config.write(holdings),
            },
            cells,
            payouts: outcome
                .payouts
                .into_iter()
                .map(|payout| config.write(payout))
                .collect(),
        })
    }
}

/// The orders of the pool's next clearing: the AMM's own faster way to what the plain loop over
/// [`App::settle`] gives.
///
/// `orders` by age; answers with the places of those that are executed, ascending, and what happens
/// to each.
///
/// # Errors
/// [`WholeRefusal`], where no choice of orders makes a clearing of this pool.
pub fn choose(
    config: &Config,
    main: &Held<State>,
    shares: u64,
    orders: &[Placed<Kind>],
    places: usize,
) -> Result<Vec<Verdict>, WholeRefusal> {
    let terms = config.terms().map_err(WholeRefusal::Terms)?;
    let pool = read_pool(config, main, shares)?;
    let read: Vec<_> = orders.iter().map(|placed| config.order(placed)).collect();
    let fit: Vec<Order> = read.iter().flatten().copied().collect();
    let mut verdicts = plan(terms, &pool, &fit, places)?.verdicts.into_iter();
    Ok(read
        .into_iter()
        .map(|order| match order {
            Err(why) => Verdict::Refused(why),
            // None for those beyond what a plan looks at.
            Ok(_) => verdicts.next().unwrap_or(Verdict::Full),
        })
        .collect())
}

fn read_pool(config: &Config, main: &Held<State>, shares: u64) -> Result<Pool, WholeRefusal> {
    let held = config.read(&main.holdings).ok_or(WholeRefusal::Holdings)?;
    Pool::read(Amounts { shares, ..held }, main.state.opened)
}

fn refuse(refusal: impl Into<Refusal>) -> Refuse {
    match refusal.into() {
        Refusal::Order { index, why } => Refuse::Order(index, why.code()),
        Refusal::Whole(why) => Refuse::Whole(why.code()),
    }
}

#[cfg(test)]
mod tests {
    use grail_app::Wire as _;

    use super::*;

    #[test]
    fn every_value_has_the_bytes_that_the_page_says() {
        let app = AppId {
            tag: 'f',
            identity: [7; 32],
            vk: [9; 32],
        };
        let mut bytes = vec![0x86, 1, 0xf6, 0x83, 0x18, 102, 0x58, 32];
        bytes.extend([7; 32]);
        bytes.extend([0x58, 32]);
        bytes.extend([9; 32]);
        bytes.extend([0x18, 30, 2, 1]);
        let config = Config::btc_and(app);
        assert_eq!(config.to_bytes(), bytes);
        assert_eq!(Config::from_bytes(&bytes), Ok(config));
        assert_eq!(State { opened: true }.to_bytes(), [0x82, 1, 1]);
        for (number, kind) in [(0, Kind::Swap), (1, Kind::Add), (2, Kind::Remove)] {
            assert_eq!(kind.to_bytes(), [0x81, number]);
            assert_eq!(Kind::from_bytes(&[0x81, number]), Ok(kind));
        }
        let foreign: [&[u8]; 6] = [
            &[],
            &[0x81, 3],
            &[0x81, 0x18, 0],
            &[0x82, 0, 0],
            &[0x81, 0, 0],
            &[0x9f, 0, 0xff],
        ];
        for bytes in foreign {
            assert!(Kind::from_bytes(bytes).is_err(), "{bytes:?}");
        }
        for bytes in [[0x82, 2, 0], [0x82, 1, 2], [0x83, 1, 0]] {
            assert!(State::from_bytes(&bytes).is_err(), "{bytes:?}");
        }
    }
}
