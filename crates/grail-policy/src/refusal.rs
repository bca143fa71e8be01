//! Why the operator says no.

use bitcoin::{Amount, FeeRate, OutPoint, Weight};
use grail_types::{Epoch, ParamsHash, RequestId};
use serde::{Deserialize, Serialize};

/// A policy's no. Closed: backend, operators, API and UI use the same codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Asker and operator go by different parameters.
    #[error("expected params {expected}, got {got}")]
    WrongParams {
        /// The operator's.
        expected: ParamsHash,
        /// The asker's.
        got: ParamsHash,
    },
    /// Version, lock time, sequence or script of the unsigned transaction are not as they must be.
    #[error("malformed transaction: {0}")]
    MalformedTransaction(&'static str),
    /// More roster inputs than allowed.
    #[error("expected at most {allowed} inputs, got {got}")]
    TooManyInputs {
        /// The limit.
        allowed: usize,
        /// Inputs found.
        got: usize,
    },
    /// Two inputs spend one output.
    #[error("output {0} is spent twice")]
    RepeatedInput(OutPoint),
    /// An input's previous transaction is absent or has no such output.
    #[error("input {input_index}: previous output {outpoint} is not at hand")]
    PreviousMissing {
        /// The input.
        input_index: usize,
        /// What it spends.
        outpoint: OutPoint,
    },
    /// More was handed in than the inputs need.
    #[error("previous transactions are repeated, not needed or too large")]
    PreviousExcess,
    /// No spell, an unreadable one, or one whose proof does not verify.
    #[error("spell: {0}")]
    SpellInvalid(String),
    /// A mock spell where none is allowed.
    #[error("mock spells are refused on this network")]
    MockSpell,
    /// The spell names other apps or public inputs than a settlement's.
    #[error("the spell must name the roster NFT with action \"settle\" and zkBTC, nothing else")]
    WrongApps,
    /// The transaction does not spend the roster NFT.
    #[error("input 0 does not carry the roster NFT alone")]
    NftMissing,
    /// The roster NFT's state cannot be read or does not fit together.
    #[error("roster NFT state: {0}")]
    NftStateInvalid(String),
    /// The roster NFT was made for other parameters.
    #[error("the roster NFT is bound to params {got}, expected {expected}")]
    NftParams {
        /// The operator's.
        expected: ParamsHash,
        /// The NFT's.
        got: ParamsHash,
    },
    /// Output 0 is not the roster NFT at the vault with its coin.
    #[error("output 0 is not the roster NFT: {0}")]
    NftOutput(&'static str),
    /// The NFT's serial is not the next, so the spell may be proven without the contract.
    #[error("expected serial {expected} on the roster NFT, got {got}")]
    SerialMismatch {
        /// One more than before.
        expected: u64,
        /// The serial found.
        got: u64,
    },
    /// The settlement changes more of the NFT's state than serial and supply.
    #[error("a settlement may not change the roster")]
    RosterChanged,
    /// The operator's key is not in the roster.
    #[error("this signer is not in the roster of epoch {0}")]
    NotInRoster(Epoch),
    /// An input is neither the NFT, nor the vault's, nor a deposit that was explained.
    #[error("input {input_index} is of an unknown template")]
    UnknownTemplate {
        /// The input.
        input_index: usize,
    },
    /// An input carries charms that it should not, or lacks those that it should.
    #[error("input {input_index} carries unexpected charms")]
    UnexpectedCharms {
        /// The input.
        input_index: usize,
    },
    /// Fewer inputs or outputs than the requests need, or more.
    #[error("expected {expected} {what}, got {got}")]
    WrongCount {
        /// What is counted.
        what: &'static str,
        /// How many there must be.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// The transaction serves no request and moves nothing that needs it.
    #[error("the settlement serves no request")]
    Empty,
    /// A request occurs twice.
    #[error("request {0} occurs twice")]
    RepeatedRequest(RequestId),
    /// A request's terms do not fit this bridge.
    #[error("request {request}: {reason}")]
    TermsUnfit {
        /// The request.
        request: RequestId,
        /// What does not fit.
        reason: &'static str,
    },
    /// A deposit is not at the address of the request that it is said to serve.
    #[error("input {input_index} is no deposit of request {request}")]
    DepositMismatch {
        /// The input.
        input_index: usize,
        /// The request that the asker named.
        request: RequestId,
    },
    /// A deposit below the minimum or above the maximum.
    #[error("request {request}: deposit of {got} is outside {allowed_min} to {allowed_max}")]
    DepositAmount {
        /// The request.
        request: RequestId,
        /// Smallest deposit.
        allowed_min: Amount,
        /// Largest deposit.
        allowed_max: Amount,
        /// The deposit.
        got: Amount,
    },
    /// An output pays to another script than the request says.
    #[error("output {output_index} does not pay to the destination of request {request}")]
    WrongDestination {
        /// The output.
        output_index: usize,
        /// The request.
        request: RequestId,
    },
    /// An output's charms or coin are not of the shape that the request needs.
    #[error("output {output_index} of request {request}: {reason}")]
    WrongOutput {
        /// The output.
        output_index: usize,
        /// The request.
        request: RequestId,
        /// What is wrong.
        reason: &'static str,
    },
    /// A request pays more of the fee than its terms allow.
    #[error("request {request}: fee share of {share} exceeds the cap of {cap}")]
    FeeAboveCap {
        /// The request.
        request: RequestId,
        /// What it would pay.
        share: Amount,
        /// What its terms allow.
        cap: Amount,
    },
    /// A request would get more than it put in.
    #[error("request {request} gets {out}, more than the {put_in} that it put in")]
    Overpaid {
        /// The request.
        request: RequestId,
        /// What it put in.
        put_in: Amount,
        /// What it would get.
        out: Amount,
    },
    /// The vault's output is missing or is not the vault's.
    #[error("the vault output of {0} is missing")]
    VaultMissing(Amount),
    /// There is zkBTC, so there is a vault, and none of it is spent.
    #[error("the settlement spends no vault output though there is supply")]
    VaultNotSpent,
    /// The vault's output is too small to be relayed.
    #[error("a vault output of {0} is dust")]
    VaultDust(Amount),
    /// Locked bitcoin and supply do not change alike.
    #[error("the vault must hold {expected}, got {got}")]
    VaultMismatch {
        /// By the mints and burns.
        expected: Amount,
        /// By the transaction.
        got: Amount,
    },
    /// The NFT's supply does not follow mints and burns.
    #[error("expected a supply of {expected} sat, got {got} sat")]
    SupplyMismatch {
        /// By the mints and burns.
        expected: u64,
        /// By the new state.
        got: u64,
    },
    /// The output that no proof commits to is not what a prover may be paid.
    #[error("an output of {got} to the prover: {reason}")]
    ProverFee {
        /// What it holds.
        got: Amount,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The fee rate is below the clamp.
    #[error("fee rate {got} sat/kwu is below {allowed} sat/kwu")]
    FeeRateTooLow {
        /// The lower end.
        allowed: FeeRate,
        /// The settlement's.
        got: FeeRate,
    },
    /// The fee rate is above the clamp.
    #[error("fee rate {got} sat/kwu is above {allowed} sat/kwu")]
    FeeRateTooHigh {
        /// The upper end.
        allowed: FeeRate,
        /// The settlement's.
        got: FeeRate,
    },
    /// The signed transaction would be too heavy.
    #[error("expected at most {allowed} signed, got {got}")]
    TooHeavy {
        /// The limit.
        allowed: Weight,
        /// Weight with all witnesses.
        got: Weight,
    },
    /// Sums leave the range of amounts.
    #[error("amounts overflow")]
    Overflow,
}

impl Refusal {
    /// All codes, in the order of the variants.
    pub const ALL_CODES: [&str; 38] = [
        "wrong-params",
        "malformed-transaction",
        "too-many-inputs",
        "repeated-input",
        "previous-missing",
        "previous-excess",
        "spell-invalid",
        "mock-spell",
        "wrong-apps",
        "nft-missing",
        "nft-state-invalid",
        "nft-params",
        "nft-output",
        "serial-mismatch",
        "roster-changed",
        "not-in-roster",
        "unknown-template",
        "unexpected-charms",
        "wrong-count",
        "empty",
        "repeated-request",
        "terms-unfit",
        "deposit-mismatch",
        "deposit-amount",
        "wrong-destination",
        "wrong-output",
        "fee-above-cap",
        "overpaid",
        "vault-missing",
        "vault-not-spent",
        "vault-dust",
        "vault-mismatch",
        "supply-mismatch",
        "prover-fee",
        "fee-rate-too-low",
        "fee-rate-too-high",
        "too-heavy",
        "overflow",
    ];

    /// The stable code: what machines compare and people search for.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongParams { .. } => "wrong-params",
            Self::MalformedTransaction(_) => "malformed-transaction",
            Self::TooManyInputs { .. } => "too-many-inputs",
            Self::RepeatedInput(_) => "repeated-input",
            Self::PreviousMissing { .. } => "previous-missing",
            Self::PreviousExcess => "previous-excess",
            Self::SpellInvalid(_) => "spell-invalid",
            Self::MockSpell => "mock-spell",
            Self::WrongApps => "wrong-apps",
            Self::NftMissing => "nft-missing",
            Self::NftStateInvalid(_) => "nft-state-invalid",
            Self::NftParams { .. } => "nft-params",
            Self::NftOutput(_) => "nft-output",
            Self::SerialMismatch { .. } => "serial-mismatch",
            Self::RosterChanged => "roster-changed",
            Self::NotInRoster(_) => "not-in-roster",
            Self::UnknownTemplate { .. } => "unknown-template",
            Self::UnexpectedCharms { .. } => "unexpected-charms",
            Self::WrongCount { .. } => "wrong-count",
            Self::Empty => "empty",
            Self::RepeatedRequest(_) => "repeated-request",
            Self::TermsUnfit { .. } => "terms-unfit",
            Self::DepositMismatch { .. } => "deposit-mismatch",
            Self::DepositAmount { .. } => "deposit-amount",
            Self::WrongDestination { .. } => "wrong-destination",
            Self::WrongOutput { .. } => "wrong-output",
            Self::FeeAboveCap { .. } => "fee-above-cap",
            Self::Overpaid { .. } => "overpaid",
            Self::VaultMissing(_) => "vault-missing",
            Self::VaultNotSpent => "vault-not-spent",
            Self::VaultDust(_) => "vault-dust",
            Self::VaultMismatch { .. } => "vault-mismatch",
            Self::SupplyMismatch { .. } => "supply-mismatch",
            Self::ProverFee { .. } => "prover-fee",
            Self::FeeRateTooLow { .. } => "fee-rate-too-low",
            Self::FeeRateTooHigh { .. } => "fee-rate-too-high",
            Self::TooHeavy { .. } => "too-heavy",
            Self::Overflow => "overflow",
        }
    }

    /// The refusal as it travels and is kept.
    pub fn record(&self) -> RefusalRecord {
        RefusalRecord {
            code: self.code().to_owned(),
            details: self.to_string(),
        }
    }
}

/// A refusal in transit: code and details.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefusalRecord {
    /// One of the codes of [`Refusal::code`].
    pub code: String,
    /// What was expected and what was found.
    pub details: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_codes_are_those_that_code_gives() {
        // The compiler forces every variant into `code`; this forces every code into the list.
        let source = include_str!("refusal.rs");
        let given: Vec<_> = source
            .lines()
            .skip_while(|line| !line.contains("pub const fn code"))
            .take_while(|line| !line.contains("pub fn record"))
            .filter_map(|line| line.split_once("=> \"")?.1.split_once('"'))
            .map(|(code, _)| code)
            .collect();
        assert_eq!(given, Refusal::ALL_CODES);
    }

    #[test]
    fn no_code_occurs_twice() {
        let mut codes = Refusal::ALL_CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::ALL_CODES.len());
    }
}
