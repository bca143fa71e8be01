//! What a node says of two transactions that it was handed together (`submitpackage`, Bitcoin Core
//! 26 and later).

use std::collections::BTreeMap;

use bitcoin::{Transaction, Txid, Wtxid};
use serde::Deserialize;

use crate::{RejectReason, SendError, rpc::bad_answer};

pub(crate) const METHOD: &str = "submitpackage";
/// `RPC_VERIFY_REJECTED`, which `sendrawtransaction` gives for the same words.
const CODE_REJECTED: i32 = -26;
/// What is said of the whole when both are there.
const TAKEN: &str = "success";
/// Of one that was not looked at, since the other one or the whole failed: no verdict. Versions
/// differ.
const NOT_LOOKED_AT: [&str; 2] = ["unevaluated", "package-not-validated"];

/// Bitcoin Core's answer. Version 26 names no message; what it does not take is an error of the
/// call there.
#[derive(Deserialize)]
pub(crate) struct Answer {
    package_msg: Option<String>,
    #[serde(rename = "tx-results")]
    results: BTreeMap<Wtxid, Outcome>,
}

/// The rest (size, fees, `other-wtxid` of one that is there with other witnesses) is not asked for.
#[derive(Deserialize)]
struct Outcome {
    txid: Txid,
    error: Option<String>,
}

/// The parent's name if the node has both.
pub(crate) fn read(
    answer: &Answer,
    parent: &Transaction,
    child: &Transaction,
) -> Result<Txid, SendError> {
    let mut words = Vec::new();
    for transaction in [parent, child] {
        let txid = transaction.compute_txid();
        let outcome = answer.results.get(&transaction.compute_wtxid());
        let Some(outcome) = outcome.filter(|outcome| outcome.txid == txid) else {
            return Err(bad_answer(METHOD, &format!("nothing is said of {txid}")).into());
        };
        words.extend(outcome.error.as_deref());
    }
    let message = answer.package_msg.as_deref().filter(|it| *it != TAKEN);
    if words.is_empty() && message.is_none() {
        return Ok(parent.compute_txid());
    }
    words.retain(|words| !NOT_LOOKED_AT.contains(words));
    // What nobody here understands is shown; else the parent's comes first.
    let is_unknown = |words: &&&str| RejectReason::of(words) == RejectReason::Other;
    let said = words.iter().find(is_unknown).or(words.first()).copied();
    let said = said.or(message).unwrap_or_default();
    Err(SendError::from_core(CODE_REJECTED, said))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{absolute::LockTime, transaction::Version};
    use serde_json::{Value, json};

    use super::*;

    fn transaction(number: u32) -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(number),
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    /// An answer with such words, if any, for the parent and for the child.
    fn answer(message: Option<&str>, errors: [Option<&str>; 2]) -> Value {
        let results = [1, 2].map(transaction).into_iter().zip(errors);
        let results = results.map(|(made, error)| {
            let mut outcome = json!({
                "txid": made.compute_txid(),
                "vsize": 100,
                "fees": { "base": 0.00001, "effective-feerate": 0.0001 },
            });
            if let Some(error) = error {
                outcome = json!({ "txid": made.compute_txid(), "error": error });
            }
            (made.compute_wtxid().to_string(), outcome)
        });
        let results: serde_json::Map<_, _> = results.collect();
        let mut answer = json!({ "tx-results": results, "replaced-transactions": [] });
        if let Some(message) = message {
            answer["package_msg"] = json!(message);
        }
        answer
    }

    fn code(answer: Value) -> &'static str {
        let answer = serde_json::from_value(answer).unwrap();
        match read(&answer, &transaction(1), &transaction(2)) {
            Ok(txid) => {
                assert_eq!(txid, transaction(1).compute_txid());
                "sent"
            }
            Err(error) => error.code(),
        }
    }

    #[test]
    fn both_are_there_when_nothing_else_is_said_by_any_version() {
        assert_eq!(code(answer(None, [None, None])), "sent");
        assert_eq!(code(answer(Some("success"), [None, None])), "sent");
    }

    #[test]
    fn one_that_fails_fails_both() {
        let failed = Some("transaction failed");
        let low = Some("mempool min fee not met, 100 < 400");
        let unseen = Some("bad-txns-inputs-missingorspent");
        for (errors, expected) in [
            ([low, low], "transaction-fee-too-low"),
            ([None, low], "transaction-fee-too-low"),
            ([low, unseen], "transaction-fee-too-low"),
            ([unseen, low], "transaction-missing-inputs"),
            ([low, Some("unevaluated")], "transaction-fee-too-low"),
            (
                [Some("package-not-validated"), low],
                "transaction-fee-too-low",
            ),
            // A later version's words are shown, whoever they are about.
            ([low, Some("odd")], "transaction-rejected"),
            ([Some("odd"), low], "transaction-rejected"),
        ] {
            assert_eq!(code(answer(failed, errors)), expected, "{errors:?}");
            assert_eq!(code(answer(Some("success"), errors)), expected);
        }
    }

    #[test]
    fn a_package_that_is_refused_as_such_is_in_unknown_words() {
        for message in [
            "package-not-child-with-unconfirmed-parents",
            "transaction failed",
        ] {
            assert_eq!(
                code(answer(Some(message), [None, None])),
                "transaction-rejected"
            );
            let unseen = Some("package-not-validated");
            assert_eq!(
                code(answer(Some(message), [unseen, unseen])),
                "transaction-rejected"
            );
        }
    }

    #[test]
    fn an_answer_about_others_is_none() {
        let mut about_one = answer(Some("success"), [None, None]);
        let child = transaction(2).compute_wtxid().to_string();
        let results = about_one["tx-results"].as_object_mut().unwrap();
        let outcome = results.remove(&child).unwrap();
        assert_eq!(code(about_one.clone()), "node-bad-answer");
        // Under the child's name, of another one.
        let mut other = outcome;
        other["txid"] = json!(transaction(3).compute_txid());
        about_one["tx-results"][child] = other;
        assert_eq!(code(about_one), "node-bad-answer");
        let empty = json!({ "package_msg": "success", "tx-results": {} });
        assert_eq!(code(empty), "node-bad-answer");
    }
}
