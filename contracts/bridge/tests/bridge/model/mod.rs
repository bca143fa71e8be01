//! The reference model: a ledger of coins, and the law of the bridge told over that ledger.
//!
//! Owns a second opinion. It shares no code with the contract and reads no bytes: where the
//! contract sums the sides of one transaction, the model compares two whole ledgers, the one before
//! and the one after; where the contract parses a previous transaction, the model is told what was
//! shown. A disagreement of the two is a finding.
//!
//! Three questions are kept apart: may the spell be proven ([`Ledger::lawful`], which the contract
//! must answer alike), would Bitcoin take the transaction ([`Ledger::spendable`]), and would honest
//! signers sign it ([`Ledger::signed`]). Only a yes to all three changes the ledger.

mod law;
mod ledger;

pub use ledger::{Ledger, Published};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// A script, in bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub Vec<u8>);

impl fmt::Debug for Place {
    /// First and last byte of the key, which tell the tests' scripts apart.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [0x51, 0x20, first, .., last] => write!(f, "home {first:02x}/{last}"),
            [0x00, 0x14, first, ..] => write!(f, "user {first}"),
            other => write!(f, "script {other:02x?}"),
        }
    }
}

/// Output `vout` of the `tx`-th transaction of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outpoint {
    pub tx: usize,
    pub vout: u32,
}

impl fmt::Debug for Outpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tx, self.vout)
    }
}

/// Who a charm belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum App {
    /// The roster NFT of the bridge born of this outpoint.
    Nft(Outpoint),
    /// Its zkBTC.
    Zkbtc(Outpoint),
    /// A tag that the bridge does not have, with the bridge's program.
    Stray(char, Outpoint),
    /// Somebody else's token.
    Foreign,
}

impl App {
    /// The bridge whose program judges the app.
    pub fn bridge(self) -> Option<Outpoint> {
        match self {
            Self::Nft(bridge) | Self::Zkbtc(bridge) | Self::Stray(_, bridge) => Some(bridge),
            Self::Foreign => None,
        }
    }
}

/// What the NFT says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub epoch: u64,
    pub serial: u64,
    /// First byte of each signer's key.
    pub signers: Vec<u8>,
    pub threshold: u16,
    pub home: Place,
    pub supply: u64,
    pub params: u8,
    pub governance: u8,
    pub attempt: u64,
    pub next: Option<Announced>,
    pub outflow: u64,
    /// Least and highest.
    pub spells: (u32, u32),
}

/// What a rotation changes: who, where, by which rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    pub signers: Vec<u8>,
    pub threshold: u16,
    pub home: Place,
    pub params: u8,
    pub governance: u8,
    pub spells: (u32, u32),
}

/// A rotation that is announced. The model keeps what was promised where the NFT has a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    pub promise: Promise,
    pub serial: u64,
    pub wait: u64,
}

impl Record {
    /// What an announcement of this record would have promised.
    pub fn promise(&self) -> Promise {
        Promise {
            signers: self.signers.clone(),
            threshold: self.threshold,
            home: self.home.clone(),
            params: self.params,
            governance: self.governance,
            spells: self.spells,
        }
    }
}

/// What a charm holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charm {
    Amount(u64),
    Record(Record),
    /// Something that is neither, by what is wrong with it.
    Garbled(Garble),
}

/// Ways not to be a record or an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garble {
    Text,
    ShortArray,
    OtherFormat,
    TextField,
    Negative,
}

/// An output: satoshis somewhere, with charms on it.
#[derive(Clone, PartialEq, Eq)]
pub struct Coin {
    pub sats: u64,
    pub at: Place,
    pub charms: BTreeMap<App, Charm>,
}

impl fmt::Debug for Coin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?} {:?}", self.sats, self.at, self.charms)
    }
}

/// How the amounts and scripts of one side are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Whole,
    Absent,
    OneShort,
    OneLong,
    /// One coin is of another ledger.
    Foreign,
}

/// What a spell asks of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Nothing,
    Deploy,
    Settle,
    Announce,
    Cancel,
    Execute,
    Else,
}

/// Where a transaction carries its spell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpellPlace {
    Nowhere,
    /// One `OP_RETURN` as provers write it.
    Output {
        version: u8,
    },
    /// Two of them.
    TwoOutputs,
    /// One that some readers take and provers never write.
    Unusual,
}

/// What a previous transaction is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapping {
    /// A Bitcoin transaction without witness.
    Plain,
    /// With one.
    Witness,
    /// With a proof of inclusion.
    BlockProof,
    /// As one of another ledger.
    OtherLedger,
    /// As something that is no transaction.
    Junk,
}

/// A previous transaction as shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    pub wrapping: Wrapping,
    pub spell: SpellPlace,
}

/// A coin that is spent or referred to, as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    pub outpoint: Outpoint,
    pub coin: Coin,
}

/// A spell with its transaction, as shown to the contract.
#[derive(Clone, PartialEq, Eq)]
pub struct Proposal {
    pub asks: BTreeMap<App, Ask>,
    pub private: BTreeSet<App>,
    pub ins: Vec<Spent>,
    pub refs: Vec<Spent>,
    pub outs: Vec<Coin>,
    pub table_in: Table,
    pub table_out: Table,
    pub history: BTreeMap<usize, Shown>,
}

impl fmt::Debug for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "asks {:?}, private inputs {:?}", self.asks, self.private)?;
        for Spent { outpoint, coin } in &self.ins {
            writeln!(f, "  in  {outpoint:?} {coin:?}")?;
        }
        for Spent { outpoint, coin } in &self.refs {
            writeln!(f, "  ref {outpoint:?} {coin:?}")?;
        }
        for coin in &self.outs {
            writeln!(f, "  out {coin:?}")?;
        }
        let (table_in, table_out) = (self.table_in, self.table_out);
        write!(
            f,
            "  tables {table_in:?} {table_out:?}, history {:?}",
            self.history
        )
    }
}

impl Proposal {
    /// Whether each charm's app is listed, as Charms demands of every spell.
    pub fn lists_all(&self) -> bool {
        let spent = self.ins.iter().map(|spent| &spent.coin);
        spent
            .chain(&self.outs)
            .flat_map(|coin| coin.charms.keys())
            .all(|app| self.asks.contains_key(app))
    }

    pub fn settles(&self, bridge: Outpoint) -> bool {
        self.asks.get(&App::Nft(bridge)) == Some(&Ask::Settle)
    }

    /// Whether the NFT's own rules judge what happens to the vault.
    pub fn moves(&self, bridge: Outpoint) -> bool {
        let moves = [Ask::Settle, Ask::Announce, Ask::Cancel, Ask::Execute];
        let asked = self.asks.get(&App::Nft(bridge));
        asked.is_some_and(|ask| moves.contains(ask))
    }
}

/// Why not.
pub type No = &'static str;
