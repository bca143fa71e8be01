//! An app that lives: its cells, and clearings one after the other.

use std::marker::PhantomData;

use grail_app::{
    App, AppId, CellState, Coin, Destination, Facts, MAIN_CARRIER_SAT, MainState, Order, Plan,
    PlannedCoin, Price, Violation, Want, Wire, born, create_input, identity_of, plan,
};

use crate::{
    Contract,
    spell::{Spell, charms_app, data, outpoint, script},
};

/// Where the app's cells lie.
const HOME: u8 = 0xaa;
/// The first outpoint that stands for no birth.
const FIRST: u16 = 0x100;

type Spendable = ([u8; 36], PlannedCoin);

/// An app as it stands on chain.
#[derive(Clone, Debug)]
pub struct Live<A> {
    /// Which app.
    pub app: AppId,
    /// Its main cell.
    pub main: Spendable,
    /// Its other cells.
    pub cells: Vec<Spendable>,
    next: u16,
    of: PhantomData<A>,
}

/// What operators see besides orders.
#[derive(Clone, Debug, Default)]
pub struct Sky {
    /// Lock height.
    pub height: u32,
    /// Age of the main cell.
    pub age: u16,
    /// Where cells move to.
    pub home: Option<[u8; 34]>,
    /// Prices, each with a ticket.
    pub prices: Vec<Price>,
}

/// An order and its deposit.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Coin of the deposit.
    pub sats: u64,
    /// Its charms.
    pub charms: Vec<(AppId, u64)>,
    /// Whether the coin takes part.
    pub coin: Coin,
    /// What it pays to the fees.
    pub fee_share: u64,
    /// Who signed.
    pub author: Option<[u8; 32]>,
    /// What it wants.
    pub wants: Vec<Want>,
    /// What it says.
    pub payload: Vec<u8>,
}

impl Ask {
    /// An order that keeps a coin of 10,000 satoshis, gives nothing, and pays 700 for fees.
    pub fn new(payload: Vec<u8>) -> Self {
        Self {
            sats: 10_000,
            charms: vec![],
            coin: Coin::Keep,
            fee_share: 700,
            author: None,
            wants: vec![],
            payload,
        }
    }

    /// In the app's words.
    pub fn say(order: &impl Wire) -> Self {
        Self::new(order.to_bytes())
    }

    /// Gives so many satoshis besides what it keeps.
    #[must_use]
    pub fn giving_sats(mut self, sats: u64) -> Self {
        self.coin = Coin::Offer { keep: self.sats };
        self.sats += sats;
        self
    }

    /// Gives units of a charm.
    #[must_use]
    pub fn giving(mut self, app: &AppId, units: u64) -> Self {
        self.charms.push((app.clone(), units));
        self.charms.sort();
        self
    }

    /// Signed.
    #[must_use]
    pub fn by(mut self, author: [u8; 32]) -> Self {
        self.author = Some(author);
        self
    }

    /// Wants, too.
    #[must_use]
    pub fn wanting(mut self, asset: grail_app::Asset, amount: u64) -> Self {
        self.wants.push(Want { asset, amount });
        self.wants.sort_by(|one, two| one.asset.cmp(&two.asset));
        self
    }
}

/// A clearing that was planned.
#[derive(Clone, Debug)]
pub struct Cleared {
    /// What operators vouch for.
    pub facts: Facts,
    /// What is spent.
    pub inputs: Vec<Spendable>,
    /// What is made.
    pub plan: Plan,
    /// What contracts are shown.
    pub spell: Spell,
}

impl<A: App> Live<A> {
    /// Born: the app, and the spell of its birth.
    pub fn born(contract: &Contract, config: A::Config) -> Result<(Self, Spell), Violation> {
        Self::born_by(0, contract, config)
    }

    /// The same, of another first input.
    pub fn born_by(
        seed: u16,
        contract: &Contract,
        config: A::Config,
    ) -> Result<(Self, Spell), Violation> {
        let first = outpoint(seed);
        let app = AppId {
            tag: A::TAGS.main(),
            identity: identity_of(&first),
            vk: contract.vk(),
        };
        let home: [u8; 34] = script(HOME).try_into().unwrap();
        let main = PlannedCoin {
            script: home.to_vec(),
            amount: MAIN_CARRIER_SAT,
            charms: vec![(app.clone(), born::<A>(&app, config, home)?)],
        };
        let plain = |seed, amount| PlannedCoin {
            script: script(seed),
            amount,
            charms: vec![],
        };
        let mut spell = Spell::default()
            .input(first, &plain(1, 50_000))
            .output(&main)
            .output(&plain(2, 40_000));
        spell.list(charms_app(&app), data(&create_input()));
        let live = Self {
            app,
            main: (outpoint(FIRST), main),
            cells: vec![],
            next: FIRST + 1,
            of: PhantomData,
        };
        Ok((live, spell))
    }

    /// What the main cell says.
    pub fn state(&self) -> MainState<A::Config, A::State> {
        MainState::decode(self.charm(&self.main.1)).unwrap()
    }

    /// What a cell says.
    pub fn cell(&self, index: usize) -> A::Cell {
        let charm = self.charm(&self.cells[index].1);
        CellState::decode(charm).unwrap().body
    }

    fn charm<'a>(&self, coin: &'a PlannedCoin) -> &'a [u8] {
        let mut charms = coin.charms.iter();
        &charms.find(|(app, _)| *app == self.app).unwrap().1
    }

    /// The app's shares.
    pub fn share(&self) -> Option<AppId> {
        A::TAGS.share().map(|tag| self.app.with_tag(tag))
    }

    /// Plans a clearing with these cells, by position, and these orders.
    pub fn clear(&self, cells: &[usize], sky: &Sky, asks: &[Ask]) -> Result<Cleared, Violation> {
        let mut inputs = vec![self.main.clone()];
        inputs.extend(cells.iter().map(|index| self.cells[*index].clone()));
        let mut next = self.next;
        let mut outpoint = || {
            next += 1;
            outpoint(next)
        };
        for _ in &sky.prices {
            let ticket = PlannedCoin {
                script: script(0x44),
                amount: 330,
                charms: vec![],
            };
            inputs.push((outpoint(), ticket));
        }
        let mut orders = Vec::new();
        for (index, ask) in asks.iter().enumerate() {
            let seed = u8::try_from(index % 100).unwrap();
            let coin = PlannedCoin {
                script: script(100 + seed),
                amount: ask.sats,
                charms: ask
                    .charms
                    .iter()
                    .map(|(app, units)| (app.clone(), charms_data::Data::from(units).bytes()))
                    .collect(),
            };
            let outpoint = outpoint();
            inputs.push((outpoint, coin));
            let destination = script(seed);
            orders.push(Order {
                outpoint,
                id: [seed; 32],
                destination: Destination::try_from(destination.as_slice()).unwrap(),
                coin: ask.coin,
                fee_share: ask.fee_share,
                author: ask.author,
                wants: ask.wants.clone(),
                payload: ask.payload.clone(),
            });
        }
        let facts = Facts {
            home: sky.home,
            lock_height: sky.height,
            age: sky.age,
            cells_in: u16::try_from(cells.len() + 1).unwrap(),
            prices: sky.prices.clone(),
            orders,
        };
        let plan = plan::<A>(&self.app, &facts, &inputs)?;
        let spell = Spell::of_plan(&self.app, &inputs, &plan);
        Ok(Cleared {
            facts,
            inputs,
            plan,
            spell,
        })
    }

    /// The app after a clearing.
    pub fn apply(&mut self, cleared: &Cleared) {
        self.next += 1_000;
        let made = &cleared.plan.outputs;
        let others = cleared.facts.orders.len() + cleared.facts.prices.len();
        let mut cells: Vec<Spendable> = made[..made.len() - others]
            .iter()
            .zip(self.next..)
            .map(|(coin, seed)| (outpoint(seed), coin.clone()))
            .collect();
        self.main = cells.remove(0);
        let spent: Vec<[u8; 36]> = cleared.inputs.iter().map(|it| it.0).collect();
        self.cells.retain(|(outpoint, _)| !spent.contains(outpoint));
        self.cells.extend(cells);
        self.next += 1_000;
    }

    /// What its contract answers for in a clearing.
    pub fn scope(&self, cleared: &Cleared) -> crate::Scope {
        let mut own = vec![charms_app(&self.app)];
        let share = self.share().map(|share| charms_app(&share));
        own.extend(share.filter(|it| cleared.spell.tx.app_public_inputs.contains_key(it)));
        crate::Scope {
            own,
            is_exact: true,
            is_chosen: |_, _| false,
            cells: 1..usize::from(cleared.facts.cells_in),
            first_order: cleared.inputs.len() - cleared.facts.orders.len(),
        }
    }
}
