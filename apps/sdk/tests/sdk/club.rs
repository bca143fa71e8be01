//! An app that does as it is told, wrong things too.

use grail_app::{
    Amounts, App, AppId, CELL_CARRIER_SAT, Clearing, Code, Exit, Held, Outcome, Refuse, Tags,
    Violation, judge, wire_enum, wire_struct,
};
use grail_app_testing::{Ask, Contract, Live, Refusal, Sky, Spell};

pub const CONTRACT: Contract = Contract {
    native: |bytes| judge::<Club>(bytes).map_err(Violation::code),
    // Nothing runs it: only its hash counts.
    wasm: b"club",
};

/// Shares that nobody has.
pub const LOCKED: u64 = 1_000;

#[derive(Debug)]
pub enum Club {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub assets: Vec<AppId>,
    pub is_refused: bool,
}
wire_struct!(Config, 1, { assets, is_refused });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub orders: u64,
    pub notes: Vec<u64>,
}
wire_struct!(State, 1, { orders, notes });

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub note: u64,
}
wire_struct!(Cell, 1, { note });

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A share for each satoshi given; everything else stays, too.
    Join {},
    /// What is given goes into a cell.
    Open { note: u64 },
    /// Everything in cells goes to this order.
    Close {},
    /// Everything goes back.
    Nothing {},
    /// Something wrong.
    Wrong { what: u8 },
}
wire_enum!(Order {
    0 => Join {},
    1 => Open { note },
    2 => Close {},
    3 => Nothing {},
    4 => Wrong { what },
});

pub const PAYOUT_MISSING: u8 = 0;
pub const PAYS_A_SATOSHI_MORE: u8 = 1;
pub const HOLDS_SHARES: u8 = 2;
pub const PAYS_OTHER_ASSETS: u8 = 3;
pub const PAYS_A_TOKEN: u8 = 4;
pub const WRITES_TOO_MUCH: u8 = 5;
pub const MINTS_TOO_MUCH: u8 = 6;
pub const REFUSES: u8 = 7;
pub const BURNS_A_TOKEN: u8 = 8;
pub const HOLDS_OTHER_ASSETS: u8 = 9;
pub const OVERFLOWS: u8 = 10;

impl App for Club {
    const TAGS: Tags = Tags::new('p', Some('q'));
    const EXIT: Exit = Exit::ProRata { locked: LOCKED };
    type Config = Config;
    type State = State;
    type Cell = Cell;
    type Order = Order;

    fn assets(config: &Config) -> Vec<AppId> {
        config.assets.clone()
    }

    fn create(config: &Config) -> Result<State, Code> {
        if config.is_refused {
            return Err("refused");
        }
        Ok(State {
            orders: 0,
            notes: vec![],
        })
    }

    fn settle(clearing: Clearing<'_, Self>) -> Result<Outcome<Self>, Refuse> {
        let Clearing {
            mut main,
            mut cells,
            orders,
            ..
        } = clearing;
        let nothing = Amounts::none(main.holdings.assets.len());
        let mut payouts = vec![];
        for (index, order) in orders.into_iter().enumerate() {
            main.state.orders += 1;
            let mut payout = nothing.clone();
            let mut given = order.given;
            let too_much = Refuse::Order(index, "too-much");
            match order.payload {
                Order::Join {} => {
                    payout.shares = given.btc + given.shares;
                    given.shares = 0;
                    main.holdings = main.holdings.plus(&given).ok_or(too_much)?;
                }
                Order::Open { note } => {
                    let refused = Refuse::Order(index, "no-carrier");
                    given.btc = given.btc.checked_sub(CELL_CARRIER_SAT).ok_or(refused)?;
                    payout.shares = given.shares;
                    given.shares = 0;
                    cells.push(Held {
                        state: Cell { note },
                        holdings: given,
                    });
                }
                Order::Close {} => {
                    payout = given;
                    for cell in cells.drain(..) {
                        payout = payout.plus(&cell.holdings).ok_or(too_much)?;
                        payout.btc += CELL_CARRIER_SAT;
                    }
                }
                Order::Nothing {} => payout = given,
                Order::Wrong { what } => {
                    payout = given;
                    match what {
                        PAYOUT_MISSING => continue,
                        PAYS_A_SATOSHI_MORE => payout.btc += 1,
                        HOLDS_SHARES => main.holdings.shares = 1,
                        PAYS_OTHER_ASSETS => payout.assets.push(0),
                        PAYS_A_TOKEN => {
                            payout.assets[0] += 1;
                            main.holdings.assets[0] -= 1;
                        }
                        WRITES_TOO_MUCH => main.state.notes = vec![0; 2_100],
                        MINTS_TOO_MUCH => payout.shares = u64::MAX,
                        BURNS_A_TOKEN => payout.assets[0] = payout.assets[0].saturating_sub(1),
                        HOLDS_OTHER_ASSETS => {
                            cells.push(Held {
                                state: Cell { note: 0 },
                                holdings: Amounts::none(9),
                            });
                        }
                        OVERFLOWS => main.holdings.btc = u64::MAX,
                        _ => return Err(Refuse::Whole("as-told")),
                    }
                }
            }
            payouts.push(payout);
        }
        Ok(Outcome {
            main,
            cells,
            payouts,
        })
    }
}

pub fn token(seed: u8) -> AppId {
    AppId {
        tag: 'f',
        identity: [seed; 32],
        vk: [0x22; 32],
    }
}

pub fn config() -> Config {
    Config {
        assets: vec![token(1), token(2)],
        is_refused: false,
    }
}

pub fn wrong(what: u8) -> Ask {
    Ask::say(&Order::Wrong { what })
}

/// A club that holds 50,000 satoshis, 500 and 70 units of its tokens, has as many shares as
/// satoshis, and two cells.
pub fn club() -> Live<Club> {
    let (mut club, birth) = Live::born(&CONTRACT, config()).unwrap();
    CONTRACT.judge(&birth).unwrap();
    let join = Ask::say(&Order::Join {})
        .giving_sats(50_000)
        .giving(&token(1), 500)
        .giving(&token(2), 70)
        .wanting(grail_app::Asset::Charm(club.share().unwrap()), 50_000);
    let open = |note, sats| Ask::say(&Order::Open { note }).giving_sats(sats);
    let asks = [join, open(5, 1_000), open(6, 330).giving(&token(2), 9)];
    let cleared = club.clear(&[], &Sky::default(), &asks).unwrap();
    CONTRACT.judge(&cleared.spell).unwrap();
    club.apply(&cleared);
    assert_eq!((club.state().shares, club.cells.len()), (50_000, 2));
    club
}

/// A clearing of many kinds: both cells come in.
pub fn honest(club: &Live<Club>) -> grail_app_testing::Cleared {
    let asks = [
        Ask::say(&Order::Close {}).wanting(grail_app::Asset::Charm(token(2)), 9),
        Ask::say(&Order::Open { note: 8 })
            .giving_sats(700)
            .giving(&token(1), 3),
        Ask::say(&Order::Nothing {}).giving(&club.share().unwrap(), 40),
        Ask::say(&Order::Join {})
            .giving_sats(60)
            .wanting(grail_app::Asset::Charm(club.share().unwrap()), 0),
    ];
    let sky = Sky {
        height: 7,
        prices: vec![grail_app::Price {
            pair: [1; 32],
            feeds: [2; 32],
            price: 3,
            height: 4,
        }],
        ..Sky::default()
    };
    club.clear(&[0, 1], &sky, &asks).unwrap()
}

/// An accepted spell, changed, is refused with the code of one rule.
pub fn refused(honest: &Spell, code: &str, change: impl FnOnce(&mut Spell)) {
    assert_eq!(CONTRACT.judge(honest), Ok(()));
    assert_eq!(code_of(&honest.with(change)), code);
}

pub fn code_of(spell: &Spell) -> String {
    let Err(Refusal { code, .. }) = CONTRACT.judge(spell) else {
        panic!("accepted");
    };
    code
}
