//! What a developer writes.

use grail_app_facts::{AppId, Price, WANTS_MAX, Want};

use crate::wire::Wire;

/// Why an app refuses, in a word for people and machines: `limit-not-met`.
pub type Code = &'static str;

/// The tags of an app's charms: letters other than `t n s`, which Charms moves or binds by itself,
/// and `r z`, which are the bridge's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tags {
    pub(crate) main: char,
    pub(crate) share: Option<char>,
}

impl Tags {
    /// The tag of the main cell and cells, and that of the shares, if the app has them: the
    /// compiler refuses what no app can have.
    ///
    /// ```compile_fail
    /// const TAGS: grail_app::Tags = grail_app::Tags::new('t', None);
    /// ```
    ///
    /// # Panics
    ///
    /// At compile time, where it is a constant's value.
    #[must_use]
    pub const fn new(main: char, share: Option<char>) -> Self {
        assert!(is_allowed(main), "this tag is Charms' or the bridge's");
        if let Some(share) = share {
            assert!(is_allowed(share), "this tag is Charms' or the bridge's");
            assert!(share != main, "shares have a tag of their own");
        }
        Self { main, share }
    }

    /// Of the main cell and of cells.
    #[must_use]
    pub const fn main(self) -> char {
        self.main
    }

    /// Of the shares, if the app has them.
    #[must_use]
    pub const fn share(self) -> Option<char> {
        self.share
    }
}

const fn is_allowed(tag: char) -> bool {
    tag.is_ascii_lowercase() && !matches!(tag, 't' | 'n' | 's' | 'r' | 'z')
}

/// How those who pool leave without [`App::settle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// They cannot: what the main cell holds is not the whole of their claim.
    None,
    /// An order with the payload `exit` that gives shares takes its part of everything that the
    /// main cell holds.
    ProRata {
        /// Shares that nobody has and that count with those in existence.
        locked: u64,
    },
}

/// An app. Everything here is pure: the same code plans clearings natively and judges them in
/// proofs.
pub trait App: Sized {
    /// Its charms.
    const TAGS: Tags;
    /// Whether shares can be given back without it.
    const EXIT: Exit = Exit::None;
    /// What is fixed at birth.
    type Config: Wire;
    /// What changes.
    type State: Wire;
    /// What a cell beside the main cell says.
    type Cell: Wire;
    /// What an order says.
    type Order: Wire;

    /// Charms that it holds, pays out and takes, besides bitcoin and its own shares: at most
    /// [`ASSETS_MAX`], in strictly ascending order. The positions here are those in
    /// [`Amounts::assets`].
    fn assets(config: &Self::Config) -> Vec<AppId> {
        let _ = config;
        Vec::new()
    }

    /// The first state, or why there can be no app with this configuration.
    fn create(config: &Self::Config) -> Result<Self::State, Code>;

    /// What a clearing makes of what it finds.
    ///
    /// May assume nothing about orders but what their fields say: anybody can send one. Everything
    /// that comes in must be in what goes out: bitcoin (with
    /// [`CELL_CARRIER_SAT`](crate::CELL_CARRIER_SAT) for each cell before, and for each cell after)
    /// and each asset. Shares may be made and destroyed.
    fn settle(clearing: Clearing<'_, Self>) -> Result<Outcome<Self>, Refuse>;
}

/// Most assets of an app: an order can name all of them.
pub const ASSETS_MAX: usize = WANTS_MAX;

/// Amounts of bitcoin, shares and each of the app's assets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Satoshis, without what a charm's coin carries in any case.
    pub btc: u64,
    /// Units of the app's own share.
    pub shares: u64,
    /// Units of the assets, in the order of [`App::assets`].
    pub assets: Vec<u64>,
}

impl Amounts {
    /// Nothing, of so many assets.
    pub fn none(assets: usize) -> Self {
        Self {
            btc: 0,
            shares: 0,
            assets: vec![0; assets],
        }
    }

    /// Both together; none if a sum overflows or they count different assets.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_add)
    }

    /// These less the others; none if something is missing.
    #[must_use]
    pub fn less(&self, other: &Self) -> Option<Self> {
        self.zip(other, u64::checked_sub)
    }

    fn zip(&self, other: &Self, combine: fn(u64, u64) -> Option<u64>) -> Option<Self> {
        if self.assets.len() != other.assets.len() {
            return None;
        }
        let pairs = self.assets.iter().zip(&other.assets);
        Some(Self {
            btc: combine(self.btc, other.btc)?,
            shares: combine(self.shares, other.shares)?,
            assets: pairs
                .map(|(one, two)| combine(*one, *two))
                .collect::<Option<_>>()?,
        })
    }
}

/// A cell: what it says and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held<T> {
    /// What it says.
    pub state: T,
    /// What it holds; no shares.
    pub holdings: Amounts,
}

/// An order in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<O> {
    /// Hash of its terms.
    pub id: [u8; 32],
    /// What it says.
    pub payload: O,
    /// The charms of its deposit, and of its coin what the terms offer.
    pub given: Amounts,
    /// The key that signed for this coin, as operators checked.
    pub author: Option<[u8; 32]>,
    /// What it must at least get. Checked by this crate and by operators: here for those who plan
    /// with limits.
    pub wants: Vec<Want>,
}

/// What operators saw that has nothing to do with one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Env {
    /// The chain is at least this high.
    pub height: u32,
    /// The main cell's coin has at least so many confirmations.
    pub age: u16,
    /// What feeds said.
    pub prices: Vec<Price>,
}

/// What a clearing finds.
#[derive(Debug)]
pub struct Clearing<'a, A: App> {
    /// Fixed at birth.
    pub config: &'a A::Config,
    /// What operators saw.
    pub env: Env,
    /// Shares in existence.
    pub shares: u64,
    /// The main cell.
    pub main: Held<A::State>,
    /// Cells that come in, in the order of inputs.
    pub cells: Vec<Held<A::Cell>>,
    /// In the order of inputs.
    pub orders: Vec<Placed<A::Order>>,
}

/// What a clearing leaves.
#[derive(Debug)]
pub struct Outcome<A: App> {
    /// The main cell.
    pub main: Held<A::State>,
    /// Cells that go out, in this order.
    pub cells: Vec<Held<A::Cell>>,
    /// One for each order: what its output gets, besides what its coin keeps.
    pub payouts: Vec<Amounts>,
}

/// Why a clearing cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// Not with this order.
    Order(usize, Code),
    /// Not at all.
    Whole(Code),
}
