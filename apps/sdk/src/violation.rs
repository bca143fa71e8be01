//! What can be wrong with a spell: one variant for each rule of `docs/spec/apps.md`, each with a
//! stable code.

use std::fmt;

use grail_app_facts::FactsError;

use crate::{app::Code, read::Unreadable, state::StateError};

/// The rule that a spell breaks. Numbers are positions of inputs, outputs or orders, from zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// S1: the bytes are not as the runner writes them.
    Unreadable,
    /// S1: a tag that is not the app's.
    Tag(char),
    /// S1: an output is referred to.
    References,
    /// S1: coins of a side were not given.
    CoinsMissing,
    /// S1: not one coin for each input and output.
    CoinCount,
    /// S1: a coin of another ledger.
    ForeignCoin,
    /// S2: previous transactions are missing or surplus.
    PrevTxSet,
    /// S2: a previous transaction is not of Bitcoin alone.
    PrevTxForm,
    /// S2: it has a witness.
    PrevTxWitness,
    /// S2: it brings charms of the app, and not by exactly one spell as provers write it.
    PrevSpell,
    /// S2: its spell's version is not believed.
    PrevSpellVersion(u32),
    /// S3: a private input at birth.
    BirthPrivateInput,
    /// S3: the identity is not that of the first input.
    Identity,
    /// S3: the app's charm or share comes in.
    BirthSpends,
    /// S3: not exactly one charm of the app, on output 0.
    BirthCount,
    /// S3: shares are born.
    BirthShares,
    /// S3: the state is not that which the app creates at that script.
    BirthState,
    /// S3: the coin is not [`MAIN_CARRIER_SAT`](crate::MAIN_CARRIER_SAT).
    BirthCoin(u64),
    /// S3: the main cell is born with holdings.
    BirthHoldings,
    /// S3: an asset of a tag that Charms moves by itself, of the app itself, out of order, or too
    /// many.
    BirthAssets,
    /// S3: the app creates no state for this configuration.
    BirthRefused(Code),
    /// S4: the public input names no facts.
    FactsUnnamed,
    /// S4: the private input is not what the public input names.
    FactsHash,
    /// S4: the facts do not decode.
    Facts(FactsError),
    /// S5: inputs are not as many as facts say.
    InputCount,
    /// S5: an input of the app's carries no charm of it, or another one does.
    CellInput(usize),
    /// S5: the state of the main cell or of a cell.
    State(usize, StateError),
    /// S5: the app's coin does not lie at its home.
    NotAtHome(usize),
    /// S5: a main cell's or cell's coin is less than it carries, or it holds what the app does not.
    Holdings(usize),
    /// S5: the serial cannot grow.
    Serial,
    /// S5: a ticket carries a charm.
    TicketCharms,
    /// S6: the order's deposit is another coin than the facts say.
    OrderOutpoint(usize),
    /// S6: a deposit carries a charm that the app does not take.
    OrderCharms(usize),
    /// S6: a deposit has less coin than it keeps.
    OrderCoin(usize),
    /// S6: the payload does not decode, or is reserved.
    OrderPayload(usize),
    /// S6: the app refuses an order.
    AppRefusesOrder(usize, Code),
    /// S6: the app refuses.
    AppRefuses(Code),
    /// S6: not one payout for each order, or of other assets.
    OutcomeShape,
    /// S6: a fee share above what the output has, or dust left.
    OrderDust(usize),
    /// S6: outputs are not as many as the outcome says.
    OutputCount,
    /// S6: charms of an output.
    OutputCharms(usize),
    /// S6: coin of an output.
    OutputCoin(usize),
    /// S6: script of an output.
    OutputScript(usize),
    /// S7: bitcoin or an asset is not conserved.
    Conservation,
    /// S7: amounts beyond 64 bits.
    Overflow,
    /// S7: shares where there can be none.
    Shares,
    /// S8: an order gets less than it wants.
    Wants(usize),
    /// S8: an order gets what it neither wants nor gave.
    Unwanted(usize),
    /// S9: the share has a public or private input.
    ShareInput,
    /// S9: an amount of shares is not a positive integer of 64 bits.
    ShareAmount,
    /// S9: sums of shares beyond 64 bits.
    ShareOverflow,
    /// S9: shares are not conserved, and no main cell answers for it.
    ShareBalance,
    /// S10: exits beside other orders or cells.
    ExitMixed,
    /// S10: an exit that gives something else than shares.
    ExitGives(usize),
    /// S10: a move to another home with an order that asks for something.
    MigrateOrder(usize),
}

impl Violation {
    /// Stable word for it. An app's own refusal ends with the app's own code.
    pub fn code(self) -> String {
        match self {
            Self::AppRefusesOrder(_, code) => format!("app-refuses-order:{code}"),
            Self::AppRefuses(code) => format!("app-refuses:{code}"),
            Self::BirthRefused(code) => format!("birth-refused:{code}"),
            other => other.word().into(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Tag(_) => "app-tag",
            Self::References => "references",
            Self::CoinsMissing => "coins-missing",
            Self::CoinCount => "coin-count",
            Self::ForeignCoin => "foreign-coin",
            Self::PrevTxSet => "prev-tx-set",
            Self::PrevTxForm => "prev-tx-form",
            Self::PrevTxWitness => "prev-tx-witness",
            Self::PrevSpell => "prev-spell",
            Self::PrevSpellVersion(_) => "prev-spell-version",
            Self::BirthPrivateInput => "birth-private-input",
            Self::Identity => "identity",
            Self::BirthSpends => "birth-spends",
            Self::BirthCount => "birth-count",
            Self::BirthShares => "birth-shares",
            Self::BirthState => "birth-state",
            Self::BirthCoin(_) => "birth-coin",
            Self::BirthHoldings => "birth-holdings",
            Self::BirthAssets => "birth-assets",
            Self::BirthRefused(_) => "birth-refused",
            Self::FactsUnnamed => "facts-unnamed",
            Self::FactsHash => "facts-hash",
            Self::Facts(_) => "facts-form",
            Self::InputCount => "input-count",
            Self::CellInput(_) => "cell-input",
            Self::State(..) => "state",
            Self::NotAtHome(_) => "not-at-home",
            Self::Holdings(_) => "holdings",
            Self::Serial => "serial",
            Self::TicketCharms => "ticket-charms",
            Self::OrderOutpoint(_) => "order-outpoint",
            Self::OrderCharms(_) => "order-charms",
            Self::OrderCoin(_) => "order-coin",
            Self::OrderPayload(_) => "order-payload",
            Self::AppRefusesOrder(..) => "app-refuses-order",
            Self::AppRefuses(_) => "app-refuses",
            Self::OutcomeShape => "outcome-shape",
            Self::OrderDust(_) => "order-dust",
            Self::OutputCount => "output-count",
            Self::OutputCharms(_) => "output-charms",
            Self::OutputCoin(_) => "output-coin",
            Self::OutputScript(_) => "output-script",
            Self::Conservation => "conservation",
            Self::Overflow => "overflow",
            Self::Shares => "shares",
            Self::Wants(_) => "order-wants",
            Self::Unwanted(_) => "order-unwanted",
            Self::ShareInput => "share-input",
            Self::ShareAmount => "share-amount",
            Self::ShareOverflow => "share-overflow",
            Self::ShareBalance => "share-balance",
            Self::ExitMixed => "exit-mixed",
            Self::ExitGives(_) => "exit-gives",
            Self::MigrateOrder(_) => "migrate-order",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Violation {}

impl From<Unreadable> for Violation {
    fn from(_: Unreadable) -> Self {
        Self::Unreadable
    }
}
