//! The closed sets of codes that cross a process boundary.

use crate::text::Text;

/// Longest code.
const CODE_MAX_BYTES: usize = 64;

/// A closed set of codes: the code of today, and room for one of tomorrow. A newer peer's code is
/// carried and shown as [`Other`](RefusalCode::Other); it never makes a message unreadable, and it
/// never counts for more than "no".
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A code that this build does not know.
            Other(Text<CODE_MAX_BYTES>),
        }

        impl $name {
            /// All codes that this build knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The stable text: what machines compare and people search for.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text.as_str(),
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(Text::cut(other)),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Text::<CODE_MAX_BYTES>::deserialize(deserializer)?;
                Ok(Self::from(text.as_str()))
            }
        }
    };
}

codes! {
    /// Why an operator will not sign. `grail-policy` says what each means and what was found.
    RefusalCode {
        /// The proposal's epoch is not that of the roster that it spends from.
        WrongEpoch = "wrong-epoch",
        /// The transaction is of another action than the proposal declares.
        WrongAction = "wrong-action",
        /// The unsigned transaction's own fields are not as they must be.
        MalformedTransaction = "malformed-transaction",
        /// More roster inputs than allowed.
        TooManyInputs = "too-many-inputs",
        /// Two inputs spend one output.
        RepeatedInput = "repeated-input",
        /// An input's previous transaction is absent or has no such output.
        PreviousMissing = "previous-missing",
        /// Previous transactions are not needed, repeated, out of order or too large.
        PreviousExcess = "previous-excess",
        /// A previous transaction is not one.
        PreviousMalformed = "previous-malformed",
        /// No spell, an unreadable one, or one whose proof does not verify.
        SpellInvalid = "spell-invalid",
        /// A mock spell where none is allowed.
        MockSpell = "mock-spell",
        /// The spell names other apps or public inputs than the action's.
        WrongApps = "wrong-apps",
        /// The transaction does not spend the roster NFT.
        NftMissing = "nft-missing",
        /// The roster NFT's state cannot be read or does not fit together.
        NftStateInvalid = "nft-state-invalid",
        /// The roster NFT is bound to other parameters than the proposal shows.
        NftParams = "nft-params",
        /// The roster NFT names other administrators than the proposal shows.
        NftGovernance = "nft-governance",
        /// Output 0 is not the roster NFT at the vault with its coin.
        NftOutput = "nft-output",
        /// The NFT's serial is not the next.
        SerialMismatch = "serial-mismatch",
        /// More of the NFT's state changes than the action may change.
        RosterChanged = "roster-changed",
        /// A step of a rotation that does not follow from the NFT's state.
        RotationState = "rotation-state",
        /// The roster that is announced cannot take over.
        SuccessionUnfit = "succession-unfit",
        /// A smaller share of its administrators than of its signers would have to agree.
        SuccessionShare = "succession-share",
        /// The announced roster is not the one that the proposal shows.
        NextMismatch = "next-mismatch",
        /// More zkBTC exists than could leave within the longest wait.
        WaitTooLong = "wait-too-long",
        /// Too few administrators consent, or a signature is not theirs.
        Consent = "consent",
        /// Not exactly the new administrators signed that they hold their keys.
        NewcomerSilent = "newcomer-silent",
        /// The coin that counts the notice is not as it must be.
        NoticeCoin = "notice-coin",
        /// The execution claims another age of the notice coin than was announced.
        NoticeAge = "notice-age",
        /// The spell is of a version that the NFT's state does not allow.
        SpellVersion = "spell-version",
        /// The signer is in no roster that the transaction spends from.
        NotInRoster = "not-in-roster",
        /// A former roster is shown that no deposit needs.
        FormerRoster = "former-roster",
        /// An input is of no template that the action knows.
        UnknownTemplate = "unknown-template",
        /// An input carries charms that it should not, or lacks those that it should.
        UnexpectedCharms = "unexpected-charms",
        /// Fewer inputs or outputs than needed, or more.
        WrongCount = "wrong-count",
        /// No section of the rules answers for an input or output, or two do.
        Unclaimed = "unclaimed",
        /// The transaction serves nobody.
        Empty = "empty",
        /// A request occurs twice.
        RepeatedRequest = "repeated-request",
        /// A request's terms do not fit this bridge.
        TermsUnfit = "terms-unfit",
        /// A deposit is not at the address of its request.
        DepositMismatch = "deposit-mismatch",
        /// A deposit below the minimum or above the maximum.
        DepositAmount = "deposit-amount",
        /// An output pays to another script than the request says.
        WrongDestination = "wrong-destination",
        /// An output's charms or coin are not of the shape that the request needs.
        WrongOutput = "wrong-output",
        /// A request pays more of the fee than its terms allow.
        FeeAboveCap = "fee-above-cap",
        /// A request would get more than it put in.
        Overpaid = "overpaid",
        /// The vault's output is missing or is not the vault's.
        VaultMissing = "vault-missing",
        /// The vault's coin is not what is spent as the vault.
        VaultNotSpent = "vault-not-spent",
        /// The vault's output is too small to be relayed.
        VaultDust = "vault-dust",
        /// Locked bitcoin and supply do not change alike.
        VaultMismatch = "vault-mismatch",
        /// The NFT's supply does not follow mints and burns.
        SupplyMismatch = "supply-mismatch",
        /// More zkBTC would exist than the parameters allow.
        SupplyAboveMax = "supply-above-max",
        /// The NFT's outflow does not follow from what leaves and from the age of its coin.
        OutflowMismatch = "outflow-mismatch",
        /// More would leave than may by now: it passes with time.
        OutflowAboveCap = "outflow-above-cap",
        /// The output that no proof commits to is not what a prover may be paid.
        ProverFee = "prover-fee",
        /// The fee rate is below the clamp.
        FeeRateTooLow = "fee-rate-too-low",
        /// The fee rate is above the clamp.
        FeeRateTooHigh = "fee-rate-too-high",
        /// The signed transaction would be too heavy.
        TooHeavy = "too-heavy",
        /// No operator signs for zk-apps on this network.
        AppsDisabled = "apps-disabled",
        /// The spell of a clearing names an app that it should not, or not as it should.
        AppList = "app-list",
        /// An input of a clearing that should be the app's is not, or one that should not is.
        AppInput = "app-input",
        /// The app's charm, or a coin at its home, is where it should not be.
        AppOutput = "app-output",
        /// An order's owner would get less than asked for.
        OrderWants = "order-wants",
        /// An order's owner would get a charm that was neither asked for nor given.
        OrderCharms = "order-charms",
        /// An authored order lacks its owner's signature over this coin.
        OrderAuthor = "order-author",
        /// The app's contract was shown other facts than the operator sees.
        AppFacts = "app-facts",
        /// What the orders pay is not what the transaction leaves.
        FeeMismatch = "fee-mismatch",
        /// An output is too small to be relayed.
        Dust = "dust",
        /// Sums leave the range of amounts.
        Overflow = "overflow",
    }
}

codes! {
    /// Why a request could not be served. Nothing was decided and nothing changed.
    FaultCode {
        /// The enclave has no key yet.
        NotBooted = "not-booted",
        /// The enclave has its key already, for good.
        AlreadyBooted = "already-booted",
        /// The enclave was started for another network than the bridge's.
        NetworkMismatch = "network-mismatch",
        /// The opened bytes are no key.
        SealedKeyInvalid = "sealed-key-invalid",
        /// More than is ever sealed.
        SealTooLarge = "seal-too-large",
        /// Not a sealed secret of a known version.
        SealMalformed = "seal-malformed",
        /// Sealed by another image, on other hardware, or for another bridge or purpose.
        SealForeign = "seal-foreign",
        /// The platform does not seal now.
        SealUnavailable = "seal-unavailable",
        /// A field is longer than the platform attests.
        AttestFieldLength = "attest-field-length",
        /// The platform does not attest now.
        AttestUnavailable = "attest-unavailable",
        /// The source of randomness gives no keys.
        EntropyBroken = "entropy-broken",
        /// The source of randomness gives nothing.
        EntropyUnavailable = "entropy-unavailable",
        /// The bytes are no proposal.
        ProposalMalformed = "proposal-malformed",
        /// The rosters shown begin at another deployment than those followed before.
        AdoptionGenesis = "adoption-genesis",
        /// A roster shown does not follow from the one before it; the details begin with the rule.
        AdoptionRefused = "adoption-refused",
        /// What was approved cannot be hashed: a bug.
        Sighash = "sighash",
        /// More bytes than a message has.
        FrameTooLarge = "frame-too-large",
        /// The bytes are no request.
        RequestMalformed = "request-malformed",
        /// The response does not fit in a message: a bug.
        ResponseUnencodable = "response-unencodable",
        /// The answer does not fit in a message: a bug.
        AnswerUnencodable = "answer-unencodable",
        /// The proposal does not fit in a request.
        ProposalTooLarge = "proposal-too-large",
        /// The enclave answered something else than it was asked.
        EnclaveProtocol = "enclave-protocol",
        /// The enclave is gone.
        EnclaveLost = "enclave-lost",
        /// A person paused the operator.
        OperatorPaused = "operator-paused",
        /// More would leave the vault than the operator lets.
        OperatorLimit = "operator-limit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_reads_back_and_none_occurs_twice() {
        for code in RefusalCode::ALL {
            assert_eq!(RefusalCode::from(code.as_str()), *code);
        }
        for code in FaultCode::ALL {
            assert_eq!(FaultCode::from(code.as_str()), *code);
        }
        let mut texts: Vec<_> = RefusalCode::ALL.iter().map(RefusalCode::as_str).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), RefusalCode::ALL.len());
    }

    #[test]
    fn a_code_of_a_newer_peer_is_carried() {
        let newer = RefusalCode::from("outflow-exceeded");
        assert!(matches!(newer, RefusalCode::Other(_)));
        assert_eq!(newer.as_str(), "outflow-exceeded");
        assert_eq!(FaultCode::from("c".repeat(100).as_str()).as_str().len(), 64);
    }
}
