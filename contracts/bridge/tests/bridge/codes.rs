//! The stable names of what can be wrong, and the words of which side it is wrong on.

use std::collections::BTreeSet;

use grail_bridge_contract::{Side, StateError, Violation};

fn state_errors() -> [(StateError, &'static str); 12] {
    let field = StateError::Field {
        field: "epoch",
        expected: "a number",
    };
    [
        (StateError::NotAnArray, "state-not-an-array"),
        (StateError::Length(7), "state-length"),
        (StateError::Format(1), "state-format"),
        (field, "state-field"),
        (StateError::SignerCount(3), "state-signer-count"),
        (
            StateError::SignersNotAscending,
            "state-signers-not-ascending",
        ),
        (
            StateError::Threshold {
                threshold: 1,
                signers: 4,
            },
            "state-threshold",
        ),
        (StateError::VaultScript, "state-vault-script"),
        (StateError::Supply(1), "state-supply"),
        (StateError::Next(9, 0), "state-next"),
        (StateError::Outflow(1), "state-outflow"),
        (StateError::SpellVersions(14, 15), "state-spell-versions"),
    ]
}

#[test]
fn names_every_error_of_a_state() {
    for (error, code) in state_errors() {
        assert_eq!(error.code(), code);
        let side = Side::In;
        assert_eq!(Violation::State { side, error }.code(), code);
    }
    let codes: BTreeSet<_> = state_errors().map(|(_, code)| code).into();
    assert_eq!(codes.len(), state_errors().len());
}

#[test]
fn names_violations() {
    for (violation, code) in [
        (Violation::Tag('t'), "app-tag"),
        (Violation::PrivateInput, "private-input"),
        (Violation::PrevTxSet, "prev-tx-set"),
        (Violation::PrevSpellVersion(14), "prev-spell-version"),
        (Violation::Serial { from: 1, to: 1 }, "serial"),
        (Violation::DeployTokens, "deploy-tokens"),
    ] {
        assert_eq!(violation.code(), code);
    }
}

#[test]
fn says_which_side() {
    let said = |side| Violation::CoinsMissing(side).to_string();
    assert_eq!(said(Side::In), "input coins are missing");
    assert_eq!(said(Side::Out), "output coins are missing");
}
