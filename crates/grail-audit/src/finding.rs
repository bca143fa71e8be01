//! What an auditor can find wrong, each with a stable code.

use bitcoin::{Amount, OutPoint};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// A rule is broken: the bridge's promises do not hold, or cannot be shown to hold.
    Alarm,
    /// Worth knowing, and nobody's fault but its owner's.
    Note,
}

impl Severity {
    /// Stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alarm => "alarm",
            Self::Note => "note",
        }
    }
}

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A deployment's or settlement's spell is not in the strict form, or not proven.
    #[error("the spell is not accepted: {reason} ({code})")]
    Spell {
        /// The spell reader's code.
        code: &'static str,
        /// Its words.
        reason: String,
    },
    /// A deployment's state does not begin at zero.
    #[error("a deployment starts with {field} 0, got {got}")]
    DeploymentState {
        /// Part of the state.
        field: &'static str,
        /// What it is.
        got: u64,
    },
    /// Not exactly one roster NFT leaves the transaction.
    #[error("expected one roster NFT among the outputs, got {got}")]
    NftCount {
        /// How many do.
        got: usize,
    },
    /// The NFT is not where operators hold it.
    #[error("expected the roster NFT on output 0 at its own state's vault script, got output {vout}{}", if *at_vault { "" } else { " elsewhere" })]
    NftMisplaced {
        /// Its output.
        vout: u32,
        /// Whether that is at the vault script.
        at_vault: bool,
    },
    /// The NFT's charm is no roster state.
    #[error("the roster NFT's state cannot be read: {reason}")]
    StateUnreadable {
        /// Why.
        reason: String,
    },
    /// Settlements are not counted one by one.
    #[error("expected serial {expected}, got {got}")]
    Serial {
        /// The last plus one.
        expected: u64,
        /// What the state says.
        got: u64,
    },
    /// The epoch falls or skips.
    #[error("epoch goes from {from} to {to}, expected the same or one more")]
    Epoch {
        /// Before.
        from: u64,
        /// After.
        to: u64,
    },
    /// Roster, vault or parameters change without a new epoch.
    #[error("{field} changes within epoch {epoch}")]
    ChangedInEpoch {
        /// Part of the state.
        field: &'static str,
        /// The epoch.
        epoch: u64,
    },
    /// A rotation to another state than was announced, or that changes more than a rotation does.
    #[error("the rotation to epoch {epoch} is not the one that was announced")]
    RotationNotAnnounced {
        /// The epoch.
        epoch: u64,
    },
    /// The vault is not the address of the state's roster and administrators.
    #[error("the state's vault script is not the address of its roster and administrators")]
    VaultScript,
    /// The address of a vault depends on the administrators' keys, and none were told.
    #[error("the vault's address was not checked: the administrators are not known")]
    AddressUnchecked,
    /// Not the administrators that the auditor was told.
    #[error("the state names other administrators than those that the auditor knows")]
    Administrators,
    /// Not the parameters that the auditor was told.
    #[error("the state names params {got}, expected {expected}")]
    ParamsHash {
        /// Those that it was told, by their hashes.
        expected: String,
        /// The state's.
        got: String,
    },
    /// zkBTC made or destroyed is not what the supply tells.
    #[error("supply changes by {supply} sat, zkBTC by {tokens} sat")]
    TokenDelta {
        /// By the states.
        supply: i128,
        /// By inputs and outputs.
        tokens: i128,
    },
    /// Coins locked or released are not what the supply tells.
    #[error("supply changes by {supply} sat, the vault's coins by {vault} sat")]
    VaultDelta {
        /// By the states.
        supply: i128,
        /// By inputs and outputs.
        vault: i128,
    },
    /// A rotation leaves backing behind at the old vault.
    #[error("after the rotation the vault lacks {missing} sat of the supply")]
    RotationUnbacked {
        /// What is missing.
        missing: u64,
    },
    /// A settlement's NFT input claims an age in another form than operators sign, or in a
    /// transaction in which consensus does not look at it.
    #[error("the roster NFT's input claims an age that nothing holds it to")]
    OutflowAge,
    /// The level of what left is not what zkBTC, the claimed age and the level before make it.
    #[error("expected an outflow of {}, got {got} sat", range(*at_least, *at_most))]
    OutflowLevel {
        /// The level by the parameters' rate, or by the highest that there could be.
        at_least: u64,
        /// The same, or by the lowest.
        at_most: u64,
        /// The state's.
        got: u64,
    },
    /// More left than the parameters let.
    #[error("an outflow of {got} sat is above the cap of {cap} sat")]
    OutflowAboveCap {
        /// The parameters' cap, satoshis.
        cap: u64,
        /// The level, reckoned anew, satoshis.
        got: u64,
    },
    /// More zkBTC was made than the parameters let exist.
    #[error("expected a supply of at most {expected} sat, got {got} sat")]
    SupplyAboveMax {
        /// The parameters' largest supply, satoshis.
        expected: u64,
        /// The state's.
        got: u64,
    },
    /// Settlements of which the limits could not be checked, since nobody told the parameters.
    #[error(
        "cap, rate and largest supply of {settlements} settlement(s) are not checked: their parameters are not known"
    )]
    LimitsUnknown {
        /// How many.
        settlements: u64,
    },
    /// A roster input is not spent by a quorum.
    #[error("input {input_index} is signed by {got} of the roster, expected {expected}")]
    Quorum {
        /// The input.
        input_index: usize,
        /// The threshold.
        expected: usize,
        /// Signatures found.
        got: usize,
    },
    /// A transaction that does not move the NFT spends the vault.
    #[error("spends {0} of the vault without the roster NFT")]
    VaultSpent(Amount),
    /// A coin of the vault's address that no block read so far paid.
    #[error("spends {0} of the vault, which no block read paid: audit from an earlier block")]
    VaultCoinUnknown(OutPoint),
    /// A further roster NFT of the same bridge.
    #[error("makes {count} more roster NFT(s) of the bridge")]
    SecondNft {
        /// How many.
        count: usize,
    },
    /// zkBTC out of nothing.
    #[error("{tokens_in} sat of zkBTC in, {tokens_out} sat out, and no settlement")]
    TokensForged {
        /// Spent.
        tokens_in: u64,
        /// Made.
        tokens_out: u64,
    },
    /// zkBTC lost by its owner: its coins stay in the vault.
    #[error("{amount} sat of zkBTC destroyed outside a settlement")]
    TokensBurnt {
        /// How much.
        amount: u64,
    },
    /// A coin at the address of another roster than the current one moves.
    #[error("spends {0} at the address of another epoch")]
    StraySpent(Amount),
    /// The books do not balance: coins.
    #[error(
        "supply of {supply} sat, vault of {vault} sat (of which {merged} sat merged donations)"
    )]
    SupplyNotVault {
        /// By the NFT.
        supply: u64,
        /// Coins that settlements left at the vault.
        vault: u64,
        /// Donations among them, less backing that rotations left behind.
        merged: i128,
    },
    /// The books do not balance: zkBTC.
    #[error(
        "supply of {supply} sat, {circulating} sat of zkBTC in unspent outputs, {burnt} sat destroyed by owners"
    )]
    SupplyNotCirculating {
        /// By the NFT.
        supply: u64,
        /// In unspent outputs.
        circulating: u64,
        /// Destroyed outside settlements.
        burnt: u64,
    },
    /// The bridge does not exist in the blocks read.
    #[error("no deployment of this bridge in the blocks read")]
    NotDeployed,
    /// The NFT is gone: nobody can settle any more.
    #[error("the roster NFT is gone")]
    NftLost,
}

impl Finding {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Spell { .. } => "audit-spell",
            Self::DeploymentState { .. } => "audit-deployment-state",
            Self::NftCount { .. } => "audit-nft-count",
            Self::NftMisplaced { .. } => "audit-nft-misplaced",
            Self::StateUnreadable { .. } => "audit-state-unreadable",
            Self::Serial { .. } => "audit-serial",
            Self::Epoch { .. } => "audit-epoch",
            Self::ChangedInEpoch { .. } => "audit-changed-in-epoch",
            Self::RotationNotAnnounced { .. } => "audit-rotation-not-announced",
            Self::VaultScript => "audit-vault-script",
            Self::AddressUnchecked => "audit-address-unchecked",
            Self::Administrators => "audit-administrators",
            Self::ParamsHash { .. } => "audit-params-hash",
            Self::TokenDelta { .. } => "audit-token-delta",
            Self::VaultDelta { .. } => "audit-vault-delta",
            Self::RotationUnbacked { .. } => "audit-rotation-unbacked",
            Self::OutflowAge => "audit-outflow-age",
            Self::OutflowLevel { .. } => "audit-outflow-level",
            Self::OutflowAboveCap { .. } => "audit-outflow-above-cap",
            Self::SupplyAboveMax { .. } => "audit-supply-above-max",
            Self::LimitsUnknown { .. } => "audit-limits-unknown",
            Self::Quorum { .. } => "audit-quorum",
            Self::VaultSpent(_) => "audit-vault-spent",
            Self::VaultCoinUnknown(_) => "audit-vault-coin-unknown",
            Self::SecondNft { .. } => "audit-second-nft",
            Self::TokensForged { .. } => "audit-tokens-forged",
            Self::TokensBurnt { .. } => "audit-tokens-burnt",
            Self::StraySpent(_) => "audit-stray-spent",
            Self::SupplyNotVault { .. } => "audit-supply-not-vault",
            Self::SupplyNotCirculating { .. } => "audit-supply-not-circulating",
            Self::NotDeployed => "audit-not-deployed",
            Self::NftLost => "audit-nft-lost",
        }
    }

    /// How bad it is.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::TokensBurnt { .. }
            | Self::StraySpent(_)
            | Self::AddressUnchecked
            | Self::LimitsUnknown { .. } => Severity::Note,
            _ => Severity::Alarm,
        }
    }
}

fn range(at_least: u64, at_most: u64) -> String {
    if at_least == at_most {
        format!("{at_most} sat")
    } else {
        format!("{at_least} to {at_most} sat")
    }
}
