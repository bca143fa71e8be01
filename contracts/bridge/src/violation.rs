//! What can be wrong with a spell: one variant per rule, each with a stable code.

use std::fmt;

use thiserror::Error;

use crate::StateError;

/// Which side of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Inputs.
    In,
    /// Outputs.
    Out,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "input",
            Self::Out => "output",
        })
    }
}

/// The rule that a spell breaks: one variant per rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// The app is neither the roster NFT nor zkBTC.
    #[error("expected tag r or z, got {0:?}")]
    Tag(char),
    /// A private input: no rule takes one.
    #[error("expected no private input")]
    PrivateInput,
    /// zkBTC takes no public input.
    #[error("expected no public input for zkBTC")]
    TokenPublicInput,
    /// The NFT's public input is not the text of an action.
    #[error("expected the text of an action")]
    UnknownAction,
    /// The amounts and scripts of one side were not given.
    #[error("{0} coins are missing")]
    CoinsMissing(Side),
    /// The coins of one side do not pair with its charms.
    #[error("expected {expected} {side} coins, got {got}")]
    CoinCount {
        /// Which side.
        side: Side,
        /// Inputs or outputs of the spell.
        expected: usize,
        /// Coins given.
        got: usize,
    },
    /// A coin with content lives on another ledger, whose addresses could imitate a script.
    #[error("an {0} coin is not of Bitcoin")]
    ForeignCoin(Side),
    /// The coins of one side sum to more than 64 bits.
    #[error("the sum of {0} coins overflows")]
    CoinOverflow(Side),
    /// An amount of zkBTC is not a positive 64-bit integer.
    #[error("an {0} amount of zkBTC is not a positive integer of 64 bits")]
    TokenAmount(Side),
    /// The amounts of zkBTC on one side sum to more than 64 bits.
    #[error("the sum of {0} zkBTC overflows")]
    TokenOverflow(Side),
    /// Not as many roster NFTs as the action needs.
    #[error("expected {expected} roster NFT as {side}, got {got}")]
    NftCount {
        /// Which side.
        side: Side,
        /// NFTs that the action needs.
        expected: usize,
        /// NFTs found.
        got: usize,
    },
    /// The state on one side does not decode or is not valid.
    #[error("{side} {error}")]
    State {
        /// Which side.
        side: Side,
        /// What is wrong with it.
        error: StateError,
    },
    /// The NFT does not sit on the vault script of its own state.
    #[error("the {0} NFT is not at the vault script of its state")]
    NftNotAtVault(Side),
    /// The previous transactions shown are not exactly those behind inputs and references.
    #[error("the previous transactions are not those of inputs and references")]
    PrevTxSet,
    /// A previous transaction is not a plain Bitcoin transaction, as beaming would need.
    #[error("a previous transaction is not a Bitcoin transaction alone")]
    PrevTxForm,
    /// A previous transaction is shown with its witness, which its id does not commit to.
    #[error("a previous transaction is shown with a witness")]
    PrevTxWitness,
    /// A previous transaction that brings a charm of the bridge has not one spell in an output, as provers write it.
    #[error("expected one spell output in a previous transaction, as provers write it")]
    PrevSpell,
    /// That spell is of a protocol version from before the bridge.
    #[error("expected a previous spell of version 15 or later, got {0}")]
    PrevSpellVersion(u32),
    /// Deployment spends nothing, so it has no identity.
    #[error("deployment spends no input")]
    NoInput,
    /// The identity does not follow from the first input.
    #[error("identity is not the hash of the first input")]
    Identity,
    /// Deployment puts the NFT elsewhere than on the first output.
    #[error("expected the deployed NFT on output 0, got {0}")]
    NftIndex(usize),
    /// Deployment at another epoch than zero.
    #[error("expected deployment at epoch 0, got {0}")]
    DeployEpoch(u64),
    /// Deployment that claims settlements before it.
    #[error("expected deployment at serial 0, got {0}")]
    DeploySerial(u64),
    /// Deployment with zkBTC on the books.
    #[error("expected deployment with supply 0, got {0}")]
    DeploySupply(u64),
    /// Deployment with a rotation announced, or with outflow.
    #[error("deployment with an announcement or with outflow")]
    DeployLimits,
    /// Deployment that moves zkBTC.
    #[error("deployment moves zkBTC")]
    DeployTokens,
    /// A serial that is not the next.
    #[error("serial goes from {from} to {to}")]
    Serial {
        /// Serial of the spent state.
        from: u64,
        /// Serial of the new state.
        to: u64,
    },
    /// An epoch that is not the one that the action leads to.
    #[error("epoch goes from {from} to {to}")]
    Epoch {
        /// Epoch of the spent state.
        from: u64,
        /// Epoch of the new state.
        to: u64,
    },
    /// More of the state changes than the action is for, or less.
    #[error("the new state is not what the action makes of the old one")]
    Changed,
    /// An announcement of nothing, over another one, or with another serial than its own.
    #[error("expected a first announcement, by the serial that it is made at")]
    Announcement,
    /// Nothing was announced that could be taken back or executed.
    #[error("no rotation is announced")]
    NotAnnounced,
    /// Executed is another rotation than the one announced.
    #[error("the new state has not the hash that was announced")]
    AnotherRoster,
    /// zkBTC on a vault coin.
    #[error("an {0} at the vault script carries zkBTC")]
    TokensAtVault(Side),
    /// A rotation that spends a coin of the vault it moves to.
    #[error("a rotation spends a coin of the new vault")]
    RotationSpendsNewVault,
    /// A rotation that pays the vault it moves from.
    #[error("a rotation pays the old vault")]
    RotationPaysOldVault,
    /// A rotation that leaves backing behind.
    #[error("a rotation brings {vault} of {supply} to the new vault")]
    RotationUnbacked {
        /// Satoshis at the new vault script.
        vault: u64,
        /// zkBTC in existence afterwards.
        supply: u64,
    },
    /// Minted or burned zkBTC differs from the change of the supply.
    #[error("supply changes by {supply} but zkBTC by {tokens}")]
    TokenDelta {
        /// Change of the supply.
        supply: i128,
        /// zkBTC out minus in.
        tokens: i128,
    },
    /// The vault gains or loses something else than the change of the supply.
    #[error("supply changes by {supply} but the vault by {vault}")]
    VaultDelta {
        /// Change of the supply.
        supply: i128,
        /// Vault coins out minus in.
        vault: i128,
    },
    /// zkBTC minted or burned while the NFT's rules do not run.
    #[error("zkBTC goes from {tokens_in} to {tokens_out} without a settlement")]
    UnbalancedWithoutSettlement {
        /// zkBTC in the inputs.
        tokens_in: u64,
        /// zkBTC in the outputs.
        tokens_out: u64,
    },
}

impl Violation {
    /// Stable name of the rule.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Tag(_) => "app-tag",
            Self::PrivateInput => "private-input",
            Self::TokenPublicInput => "token-public-input",
            Self::UnknownAction => "unknown-action",
            Self::CoinsMissing(_) => "coins-missing",
            Self::CoinCount { .. } => "coin-count",
            Self::ForeignCoin(_) => "foreign-coin",
            Self::CoinOverflow(_) => "coin-overflow",
            Self::TokenAmount(_) => "token-amount",
            Self::TokenOverflow(_) => "token-overflow",
            Self::NftCount { .. } => "nft-count",
            Self::State { error, .. } => error.code(),
            Self::NftNotAtVault(_) => "nft-not-at-vault",
            Self::PrevTxSet => "prev-tx-set",
            Self::PrevTxForm => "prev-tx-form",
            Self::PrevTxWitness => "prev-tx-witness",
            Self::PrevSpell => "prev-spell",
            Self::PrevSpellVersion(_) => "prev-spell-version",
            Self::NoInput => "no-input",
            Self::Identity => "identity",
            Self::NftIndex(_) => "nft-index",
            Self::DeployEpoch(_) => "deploy-epoch",
            Self::DeploySerial(_) => "deploy-serial",
            Self::DeploySupply(_) => "deploy-supply",
            Self::DeployLimits => "deploy-limits",
            Self::DeployTokens => "deploy-tokens",
            Self::Serial { .. } => "serial",
            Self::Epoch { .. } => "epoch",
            Self::Changed => "state-changed",
            Self::Announcement => "announcement",
            Self::NotAnnounced => "not-announced",
            Self::AnotherRoster => "another-roster",
            Self::TokensAtVault(_) => "tokens-at-vault",
            Self::RotationSpendsNewVault => "rotation-spends-new-vault",
            Self::RotationPaysOldVault => "rotation-pays-old-vault",
            Self::RotationUnbacked { .. } => "rotation-unbacked",
            Self::TokenDelta { .. } => "token-delta",
            Self::VaultDelta { .. } => "vault-delta",
            Self::UnbalancedWithoutSettlement { .. } => "unbalanced-without-settlement",
        }
    }
}
