//! The calls, by name.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::ask::{CheckAnswer, Wish};
use crate::believe::Shown;
use crate::failure::Failure;
use crate::keys::{self, CheckWords, NewWords, SlotOf, SlotsAt};
use crate::receipts::{CheckReceipt, CheckStatus};
use crate::reclaim::Reclaim;

/// Answers the call `name` with these arguments.
pub fn answer(name: &str, arguments: Map<String, Value>) -> Result<Value, Failure> {
    match name {
        // Which core this is.
        "about" => json(keys::about()),
        // What the API shows of its bridge, with a verdict on each part.
        "bridge" => json(read::<Shown>(arguments)?.verdict()?),
        // Whether a wish can be served, and what it offers for the fee.
        "wish" => json(read::<Wish>(arguments)?.check()?),
        // The answer to a wish: the one call that gives an address to pay to.
        "check-answer" => json(read::<CheckAnswer>(arguments)?.check()?),
        // A receipt as it lies in a file.
        "check-receipt" => json(read::<CheckReceipt>(arguments)?.check()?),
        // What the API says of a request.
        "check-status" => json(read::<CheckStatus>(arguments)?.check()?),
        "new-words" => json(read::<NewWords>(arguments)?.make()?),
        "check-words" => json(read::<CheckWords>(arguments)?.check()?),
        // What a request takes from the words.
        "slot" => json(read::<SlotOf>(arguments)?.terms()?),
        // The slots of a time.
        "slots" => json(read::<SlotsAt>(arguments)?.list()),
        // A deposit taken back: a signed transaction.
        "reclaim" => json(read::<Reclaim>(arguments)?.make()?),
        other => Err(Failure::new(
            "call-unknown",
            format!("this core does not know the call {other:?}"),
        )),
    }
}

/// One way of reading for all calls: each more would be another copy of every type's reader.
fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, Failure> {
    read_value(Value::Object(arguments))
}

/// The same of a part.
pub fn read_value<T: DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::new("call-malformed", error.to_string()))
}

fn json(value: impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new("answer-unwritten", error.to_string()))
}
