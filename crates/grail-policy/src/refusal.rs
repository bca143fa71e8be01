//! Why the operator says no.

use bitcoin::{Amount, FeeRate, OutPoint, Weight};
use grail_types::{Epoch, GovernanceError, OutflowAboveCap, ParamsHash, RequestId};
use grail_wire::{ActionKind, RefusalCode, RefusalRecord, Text};

use crate::rotation::ConsentError;

/// A policy's no. Closed: backend, operators, API and UI use the same codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The proposal is for another epoch than the roster NFT that it spends is of.
    #[error("expected epoch {expected}, got {got}")]
    WrongEpoch {
        /// The NFT's.
        expected: Epoch,
        /// The proposal's.
        got: Epoch,
    },
    /// The proposal declares another action than the transaction is of.
    #[error("the transaction is a {shown}, the proposal calls it a {declared}")]
    WrongAction {
        /// By the proposal.
        declared: ActionKind,
        /// By what the transaction spends.
        shown: ActionKind,
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
    /// More was handed in than the inputs need, or in another order than by id.
    #[error("previous transactions are repeated, not needed, out of order or too large")]
    PreviousExcess,
    /// A previous transaction is not one, or is shown with a witness.
    #[error("{0}")]
    PreviousMalformed(String),
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
    /// The roster NFT was made for other parameters, or another bridge's, than the proposal shows.
    #[error("the roster NFT is bound to params {got}, expected {expected}")]
    NftParams {
        /// The proposal's, for the operator's bridge.
        expected: ParamsHash,
        /// The NFT's.
        got: ParamsHash,
    },
    /// The roster NFT names other administrators than the proposal shows.
    #[error("the roster NFT is bound to governance {}, expected {}", ParamsHash(*.got), ParamsHash(*.expected))]
    NftGovernance {
        /// Hash of the proposal's.
        expected: [u8; 32],
        /// The NFT's.
        got: [u8; 32],
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
    /// More of the NFT's state changes than the action may change.
    #[error("the action may not change so much of the NFT's state")]
    RosterChanged,
    /// A step of a rotation that does not follow from the state.
    #[error("{0}")]
    RotationState(&'static str),
    /// The roster that is announced cannot take over.
    #[error("the roster to come is unfit: {0}")]
    SuccessionUnfit(&'static str),
    /// Fewer of its administrators than of its signers would have to agree.
    #[error(transparent)]
    SuccessionShare(#[from] GovernanceError),
    /// The announced roster is not the one that the proposal shows.
    #[error("another roster is announced than the proposal shows")]
    NextMismatch,
    /// So much zkBTC exists that it could not leave within the longest wait.
    #[error("zkBTC in circulation takes {0} blocks to leave, more than any coin can wait")]
    WaitTooLong(u64),
    /// The administrators did not consent.
    #[error(transparent)]
    Consent(#[from] ConsentError),
    /// Not exactly the new administrators signed that they hold their keys.
    #[error("expected the signatures of exactly those administrators who are new")]
    NewcomerSilent,
    /// The coin that counts the notice is not as it must be.
    #[error("notice coin: {0}")]
    NoticeCoin(&'static str),
    /// The execution claims another age of the notice coin than was announced.
    #[error("the notice coin must claim exactly {wait} blocks")]
    NoticeAge {
        /// The age.
        wait: u16,
    },
    /// The spell is of a version that the NFT's state does not allow.
    #[error("spells of version {0} are not the bridge's")]
    SpellVersion(u32),
    /// The operator's key is in no roster that the transaction spends from.
    #[error("this signer is in no roster that the transaction, of epoch {0}, spends from")]
    NotInRoster(Epoch),
    /// A former roster is shown that no deposit needs.
    #[error("former roster: {0}")]
    FormerRoster(&'static str),
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
    /// No section of the action's rules answers for an input or output, or two do.
    #[error("{what} {index} is not claimed exactly once")]
    Unclaimed {
        /// Input or output.
        what: &'static str,
        /// Its position.
        index: usize,
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
    /// There is a vault, and input 1 is not its coin; or there is zkBTC and no vault.
    #[error("input 1 is not the vault's coin")]
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
    /// More zkBTC would exist than the parameters allow.
    #[error("a supply of {0} sat is above what may exist")]
    SupplyAboveMax(u64),
    /// The NFT's outflow does not follow from mints, burns and the age that input 0 claims.
    #[error("expected an outflow of {expected} sat, got {got} sat")]
    OutflowMismatch {
        /// By what leaves and by the age.
        expected: u64,
        /// By the new state.
        got: u64,
    },
    /// More would leave than may. It passes with time.
    #[error(transparent)]
    OutflowAboveCap(#[from] OutflowAboveCap),
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
    /// No operator signs for zk-apps on this network.
    #[error("zk-apps are not served on this network")]
    AppsDisabled,
    /// The spell names an app that it should not, or not as it should.
    #[error("apps of the spell: {0}")]
    AppList(&'static str),
    /// An input before the orders is not one of the app's cells, or one of the orders is.
    #[error(
        "input {input_index}: expected the app's charm at the app's home, before the orders alone"
    )]
    AppInput {
        /// The input.
        input_index: usize,
    },
    /// The app's charm, or a coin at its home, is where it should not be.
    #[error("output {output_index}: {reason}")]
    AppOutput {
        /// The output.
        output_index: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// An order's owner would get less than asked for.
    #[error("order {request} gets less {what} than it asks for")]
    OrderWants {
        /// The order.
        request: RequestId,
        /// Of what.
        what: &'static str,
    },
    /// An order's owner would get a charm that was neither asked for nor given.
    #[error("order {0} gets a charm that it neither asked for nor gave")]
    OrderCharms(RequestId),
    /// An authored order without its owner's signature over this coin.
    #[error("order {0} is not signed by its owner for this coin")]
    OrderAuthor(RequestId),
    /// The contract was shown other facts than the operator sees.
    #[error("the app's contract was shown other facts")]
    AppFacts,
    /// What the orders pay is not what the transaction leaves.
    #[error("{spent} come in and {made} go out, but the orders pay {expected}")]
    FeeMismatch {
        /// All shares.
        expected: Amount,
        /// All inputs.
        spent: Amount,
        /// All outputs that the spell commits to.
        made: Amount,
    },
    /// An output is too small to be relayed.
    #[error("output {output_index} is dust")]
    Dust {
        /// The output.
        output_index: usize,
    },
    /// Sums leave the range of amounts.
    #[error("amounts overflow")]
    Overflow,
}

/// The code of each refusal has its name.
macro_rules! codes_by_name {
    ($refusal:ident: $($name:ident)*) => {
        match $refusal {
            $(Self::$name { .. } => RefusalCode::$name,)*
        }
    };
}

impl Refusal {
    /// The stable code: what machines compare and people search for.
    pub const fn code(&self) -> RefusalCode {
        codes_by_name! { self:
            WrongEpoch WrongAction MalformedTransaction TooManyInputs RepeatedInput
            PreviousMissing PreviousExcess PreviousMalformed SpellInvalid MockSpell WrongApps
            NftMissing NftStateInvalid NftParams NftGovernance NftOutput SerialMismatch
            RosterChanged RotationState SuccessionUnfit SuccessionShare NextMismatch WaitTooLong
            Consent NewcomerSilent NoticeCoin NoticeAge
            SpellVersion NotInRoster FormerRoster UnknownTemplate UnexpectedCharms WrongCount
            Unclaimed Empty RepeatedRequest TermsUnfit DepositMismatch DepositAmount WrongDestination WrongOutput
            FeeAboveCap Overpaid VaultMissing VaultNotSpent VaultDust VaultMismatch SupplyMismatch
            SupplyAboveMax OutflowMismatch OutflowAboveCap ProverFee FeeRateTooLow FeeRateTooHigh
            AppsDisabled AppList AppInput AppOutput OrderWants OrderCharms OrderAuthor AppFacts
            FeeMismatch Dust TooHeavy Overflow
        }
    }

    /// The refusal as it travels and is kept.
    pub fn record(&self) -> RefusalRecord {
        RefusalRecord {
            code: self.code(),
            details: Text::cut(&self.to_string()),
        }
    }
}
