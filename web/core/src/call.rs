//! The calls, by name.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{ask, believe, failure::Failure, keys, receipts, reclaim};

/// Everything that a page can ask.
#[derive(Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    /// Which core this is.
    About,
    /// What the API shows of its bridge, with a verdict on each part.
    Bridge(believe::Shown),
    /// Whether a wish can be served, and what it offers for the fee.
    Wish(ask::Wish),
    /// The answer to a wish: the one call that gives an address to pay to.
    CheckAnswer(Box<ask::CheckAnswer>),
    /// A receipt as it lies in a file.
    CheckReceipt(receipts::CheckReceipt),
    /// What the API says of a request.
    CheckStatus(Box<receipts::CheckStatus>),
    /// New words.
    NewWords(keys::NewWords),
    /// Whether these are words of a wallet.
    CheckWords(keys::CheckWords),
    /// What a request takes from the words.
    Slot(keys::SlotOf),
    /// The slots of a time.
    Slots(keys::SlotsAt),
    /// A deposit taken back: a signed transaction.
    Reclaim(Box<reclaim::Reclaim>),
}

impl Call {
    /// Its answer.
    pub fn answer(self) -> Result<Value, Failure> {
        match self {
            Self::About => json(keys::about()),
            Self::Bridge(shown) => json(shown.verdict()?),
            Self::Wish(wish) => json(wish.check()?),
            Self::CheckAnswer(call) => json(call.check()?),
            Self::CheckReceipt(call) => json(call.check()?),
            Self::CheckStatus(call) => json(call.check()?),
            Self::NewWords(call) => json(call.make()?),
            Self::CheckWords(call) => json(call.check()?),
            Self::Slot(call) => json(call.terms()?),
            Self::Slots(call) => json(call.list()),
            Self::Reclaim(call) => json(call.make()?),
        }
    }
}

fn json(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value)
        .map_err(|error| Failure::new("answer-unwritten", error.to_string()))
}
