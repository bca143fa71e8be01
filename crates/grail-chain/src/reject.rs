//! What a node's words mean when it does not take a transaction.

use grail_flow::named_enum;

/// Longest text of a node that is kept.
const WORDS_CHARS_MAX: usize = 300;

named_enum! {
    /// Why the mempool does not take a transaction. Only [`RejectReason::ScriptVerify`] says
    /// something about the transaction alone; the rest depend on what the node has seen so far.
    pub enum RejectReason {
        /// The mempool or the chain has it already, perhaps with other witnesses.
        AlreadyKnown = "already-known",
        /// An input is spent, or the node has not seen the transaction that makes it.
        MissingInputs = "missing-inputs",
        /// Another mempool transaction spends an input and cannot be, or was not, replaced.
        Conflict = "conflict",
        /// Below what the node relays or keeps at present.
        FeeTooLow = "fee-too-low",
        /// The chain is not far enough for its lock time or a relative lock.
        NonFinal = "non-final",
        /// It spends a coinbase that has fewer than 100 confirmations.
        PrematureCoinbase = "premature-coinbase",
        /// A script fails: a signature is missing or wrong.
        ScriptVerify = "script-verify",
        /// Words that this program does not know: no verdict, so transient.
        Other = "other",
    }
}

impl RejectReason {
    /// Reads Bitcoin Core's words: `"<reason>"`, `"<reason>, <debug text>"` or `"<reason> (…)"`, as
    /// in its `validation.cpp` and `policy/rbf.cpp`.
    pub fn of(words: &str) -> Self {
        const TABLE: &[(RejectReason, &[&str])] = &[
            (
                RejectReason::AlreadyKnown,
                &[
                    "txn-already-in-mempool",
                    "txn-same-nonwitness-data-in-mempool",
                    "txn-already-known",
                ],
            ),
            (
                RejectReason::MissingInputs,
                &["bad-txns-inputs-missingorspent", "missing-inputs"],
            ),
            (
                RejectReason::Conflict,
                &[
                    "txn-mempool-conflict",
                    "insufficient fee",
                    "insufficient feerate",
                    "too many potential replacements",
                    "replacement-adds-unconfirmed",
                    "replacement-failed",
                    "bad-txns-spends-conflicting-tx",
                ],
            ),
            (
                RejectReason::FeeTooLow,
                &[
                    "min relay fee not met",
                    "mempool min fee not met",
                    "mempool full",
                ],
            ),
            (RejectReason::NonFinal, &["non-BIP68-final", "non-final"]),
            (
                RejectReason::PrematureCoinbase,
                &["bad-txns-premature-spend-of-coinbase"],
            ),
            (
                RejectReason::ScriptVerify,
                &[
                    "mempool-script-verify-flag-failed",
                    "mandatory-script-verify-flag-failed",
                    "non-mandatory-script-verify-flag",
                    "block-script-verify-flag-failed",
                ],
            ),
        ];
        TABLE
            .iter()
            .find(|(_, texts)| texts.iter().any(|text| words.starts_with(text)))
            .map_or(Self::Other, |(reason, _)| *reason)
    }
}

/// A node's text as it may be kept and shown: cut, and without control characters.
pub(crate) fn bounded(words: &str) -> String {
    words
        .chars()
        .take(WORDS_CHARS_MAX)
        .map(|char| if char.is_control() { '\u{fffd}' } else { char })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_node_have_one_meaning_each() {
        for (words, reason) in [
            ("txn-already-in-mempool", RejectReason::AlreadyKnown),
            ("txn-already-known", RejectReason::AlreadyKnown),
            (
                "bad-txns-inputs-missingorspent",
                RejectReason::MissingInputs,
            ),
            ("missing-inputs", RejectReason::MissingInputs),
            (
                "insufficient fee, rejecting replacement 00ff; new feerate 1 <= old 2",
                RejectReason::Conflict,
            ),
            ("min relay fee not met, 0 < 11", RejectReason::FeeTooLow),
            ("non-BIP68-final", RejectReason::NonFinal),
            (
                "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 3",
                RejectReason::PrematureCoinbase,
            ),
            (
                "mempool-script-verify-flag-failed (Invalid Schnorr signature)",
                RejectReason::ScriptVerify,
            ),
            (
                "mandatory-script-verify-flag-failed (Witness program hash mismatch)",
                RejectReason::ScriptVerify,
            ),
        ] {
            assert_eq!(RejectReason::of(words), reason, "{words}");
        }
    }

    #[test]
    fn unknown_words_and_known_ones_inside_others_are_no_verdict() {
        for words in [
            "",
            "odd: txn-mempool-conflict",
            "too-large-cluster",
            "datacarrier",
        ] {
            assert_eq!(RejectReason::of(words), RejectReason::Other, "{words}");
        }
    }

    #[test]
    fn the_words_of_a_node_are_cut_and_printable() {
        let words = bounded(&format!("a\0b\n{}", "é".repeat(1_000)));
        assert_eq!(words.chars().count(), WORDS_CHARS_MAX);
        assert!(!words.chars().any(char::is_control));
    }
}
