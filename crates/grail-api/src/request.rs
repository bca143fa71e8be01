//! Requests as the API answers them.

use bitcoin::{OutPoint, Txid};
use grail_types::{RequestId, Terms};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{OutflowWait, Proving, Receipt, SettlementState, StatusReason, schema::TermsSchema};

/// The text names nothing of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// A closed list of names, the same in JSON, SQL and text.
macro_rules! text_enum {
    ($(#[doc = $doc:literal])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            serde::Serialize, serde::Deserialize,
        )]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All values.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Stable name, as in JSON.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }

        // By hand: the derived schema would not see the names through this macro.
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::Type::String)
                    .description(Some(concat!($($doc),*).trim()))
                    .enum_values(Some(Self::ALL.iter().map(|value| value.name())))
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::UnknownName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL
                    .iter()
                    .copied()
                    .find(|value| value.name() == text)
                    .ok_or($crate::UnknownName)
            }
        }
    };
}
pub(crate) use text_enum;

text_enum! {
    /// What a request is for.
    Kind {
        /// BTC to zkBTC.
        PegIn => "peg-in",
        /// zkBTC to BTC.
        PegOut => "peg-out",
        /// Pays for the announcement of the next roster.
        SponsorAnnounce => "sponsor-announce",
        /// Pays for taking an announcement back.
        SponsorCancel => "sponsor-cancel",
        /// Pays for handing over to the next roster.
        SponsorExecute => "sponsor-execute",
        /// Pays for moving donations into the vault's coin.
        SponsorMerge => "sponsor-merge",
    }
}

text_enum! {
    /// Where a request stands.
    RequestState {
        /// No deposit yet.
        AwaitingDeposit => "awaiting-deposit",
        /// A deposit with fewer confirmations than it needs.
        Unconfirmed => "unconfirmed",
        /// Will go into the next settlement.
        Ready => "ready",
        /// Part of a settlement that is not final.
        Settling => "settling",
        /// Done: the settlement is final.
        Paid => "paid",
        /// Not served, the code says why; the deposit is the user's to take back.
        Reclaimable => "reclaimable",
        /// The user took the deposit back.
        Reclaimed => "reclaimed",
        /// Operators spent the deposit in a transaction that breaks the bridge's rules: it is
        /// neither to be served nor to be taken back.
        Taken => "taken",
        /// No deposit came by the deadline.
        Expired => "expired",
    }
}

impl RequestState {
    /// Whether nothing more is going to happen by itself.
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::AwaitingDeposit | Self::Unconfirmed | Self::Ready | Self::Settling => false,
            Self::Paid | Self::Reclaimable | Self::Reclaimed | Self::Taken | Self::Expired => true,
        }
    }
}

text_enum! {
    /// Why a deposit is not served.
    ReclaimCode {
        /// Less than the smallest deposit.
        BelowMinimum => "below-minimum",
        /// More than the largest deposit.
        AboveMaximum => "above-maximum",
        /// Charms in a peg-in; none, or others than zkBTC, in a peg-out.
        WrongCharms => "wrong-charms",
        /// Not in a block up to the request's deadline.
        Late => "late",
        /// The request has another deposit already.
        DuplicateDeposit => "duplicate-deposit",
        /// Its share of the fee stayed above the cap.
        FeeAboveCap => "fee-above-cap",
        /// Not settled before the margin ahead of its reclaim.
        TooCloseToReclaim => "too-close-to-reclaim",
        /// The operators' policy refuses it.
        Refused => "refused",
    }
}

text_enum! {
    /// What the roster that holds a request's deposit can still do.
    HoldingRoster {
        /// It is the roster of now.
        Holds => "holds",
        /// It is the roster of now, and another one is announced. What is not settled when that
        /// takes over needs its signers' help, or is the user's to take back.
        Leaving => "leaving",
        /// It has handed over, and a quorum of it answers still: what it holds is settled with its
        /// help.
        Former => "former",
        /// It has handed over and is not asked: no quorum of it answers or signs, or the deposit
        /// pays for a step that is over. It is the user's to take back, unless that changes before.
        Gone => "gone",
    }
}

impl From<grail_types::Kind> for Kind {
    fn from(kind: grail_types::Kind) -> Self {
        match kind {
            grail_types::Kind::PegIn => Self::PegIn,
            grail_types::Kind::PegOut => Self::PegOut,
            grail_types::Kind::SponsorAnnounce => Self::SponsorAnnounce,
            grail_types::Kind::SponsorCancel => Self::SponsorCancel,
            grail_types::Kind::SponsorExecute => Self::SponsorExecute,
            grail_types::Kind::SponsorMerge => Self::SponsorMerge,
        }
    }
}

impl From<Kind> for grail_types::Kind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::PegIn => Self::PegIn,
            Kind::PegOut => Self::PegOut,
            Kind::SponsorAnnounce => Self::SponsorAnnounce,
            Kind::SponsorCancel => Self::SponsorCancel,
            Kind::SponsorExecute => Self::SponsorExecute,
            Kind::SponsorMerge => Self::SponsorMerge,
        }
    }
}

/// The answer to a new request (201), and to the same one asked again with its key (200).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Request {
    /// Name of the request: the commitment in its deposit address.
    #[schema(value_type = String)]
    pub id: RequestId,
    /// Direction.
    pub kind: Kind,
    /// Where it stands.
    pub state: RequestState,
    /// Why it is not served, if it is not.
    pub code: Option<ReclaimCode>,
    /// Where the deposit goes: zkBTC for a peg-out, BTC for all others.
    pub deposit_address: String,
    /// Payment URI of a peg-in or sponsor (BIP-21), with the amount if one was named.
    pub bip21: Option<String>,
    /// The terms that the address commits to.
    #[schema(value_type = TermsSchema)]
    pub terms: Terms,
    /// All that is needed, with the user's key, to take the deposit back. Keep it before paying.
    pub receipt: Receipt,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
    /// Smallest deposit served.
    pub deposit_min_sat: u64,
    /// Largest deposit served.
    pub deposit_max_sat: u64,
    /// The coin under zkBTC that a peg-in's deposit pays besides the fee.
    pub carrier_sat: u64,
    /// What the fee share would be now. The cap is what binds.
    pub estimated_fee_share_sat: u64,
    /// The part of it that pays for settlements under the own one that wait for a block: at most
    /// half as much as the rest.
    #[serde(default)]
    pub estimated_surcharge_sat: u64,
    /// Why the request may take longer than usual: read them before you pay. Empty while the
    /// bridge serves as it should.
    #[serde(default)]
    pub warnings: Vec<StatusReason>,
    /// When it was made.
    pub created_at: u64,
}

/// Everything known of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestStatus {
    /// Name of the request.
    #[schema(value_type = String)]
    pub id: RequestId,
    /// Direction.
    pub kind: Kind,
    /// Where it stands.
    pub state: RequestState,
    /// Why it is not served, if it is not.
    pub code: Option<ReclaimCode>,
    /// Where the deposit goes.
    pub deposit_address: String,
    /// Last height whose block may hold the deposit.
    pub deadline_height: u32,
    /// The deposit that the request goes by.
    pub deposit: Option<Deposit>,
    /// Further outputs at the deposit address: reclaimable, never served.
    pub other_deposits: Vec<OtherDeposit>,
    /// The settlement that serves it.
    pub settlement: Option<RequestSettlement>,
    /// How that settlement is proven; before it has a transaction, all there is to see of it.
    pub proving: Option<Proving>,
    /// Present while its part of a settlement's fee is above its cap, so that it waits for lower
    /// fees.
    pub fee_wait: Option<FeeWait>,
    /// Present while a peg-out's zkBTC is more than may leave by now, so that it waits for blocks.
    #[serde(default)]
    pub outflow_wait: Option<OutflowWait>,
    /// What operators refused of it, latest first.
    pub refusals: Vec<Refused>,
    /// How to take the deposit back; present while there is one that is not paid for.
    pub reclaim: Option<ReclaimInfo>,
    /// What the roster that holds the deposit can still do; absent from older servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holding_roster: Option<HoldingRoster>,
    /// All that is needed, with the user's key, to take the deposit back.
    pub receipt: Receipt,
    /// When it was made.
    pub created_at: u64,
    /// When it last changed.
    pub updated_at: u64,
}

/// A request in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestSummary {
    /// Name of the request.
    #[schema(value_type = String)]
    pub id: RequestId,
    /// Direction.
    pub kind: Kind,
    /// Where it stands.
    pub state: RequestState,
    /// Why it is not served, if it is not.
    pub code: Option<ReclaimCode>,
    /// Where the deposit goes.
    pub deposit_address: String,
    /// The deposit's amount: BTC of a peg-in, zkBTC of a peg-out.
    pub amount_sat: Option<u64>,
    /// The settlement that serves it.
    #[schema(value_type = Option<String>)]
    pub settlement_txid: Option<Txid>,
    /// When it was made.
    pub created_at: u64,
}

/// The deposit that a request goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deposit {
    /// Where.
    #[schema(value_type = String)]
    pub outpoint: OutPoint,
    /// The coin.
    pub amount_sat: u64,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// How many it needs.
    pub confirmations_needed: u32,
    /// Height of its block.
    pub height: Option<u32>,
}

/// An output at a deposit address that does not serve its request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OtherDeposit {
    /// Where.
    #[schema(value_type = String)]
    pub outpoint: OutPoint,
    /// The coin.
    pub amount_sat: u64,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// Why it is not served.
    pub code: ReclaimCode,
    /// First height whose block may hold its reclaim; known once it is in a block.
    pub reclaim_possible_at_height: Option<u32>,
}

/// The settlement from the request's side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestSettlement {
    /// The settlement's transaction.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// Where it stands.
    pub state: SettlementState,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// How many count as final.
    pub confirmations_needed: u32,
    /// What the user gets: zkBTC of a peg-in, BTC of a peg-out.
    pub amount_out_sat: u64,
    /// What the user pays of the fee.
    pub fee_share_sat: u64,
    /// Output that pays the user; absent for a sponsor, which pays the miners and gets nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_index: Option<u32>,
}

/// A wait for lower fees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeeWait {
    /// Since when the request's part of the fee has been above its cap whenever it was looked at.
    pub since_height: u32,
    /// From when on it is given up with `fee-above-cap` if it still is.
    pub until_height: u32,
}

/// An operator's no to a settlement that held the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Refused {
    /// Position of the signer in the roster.
    pub signer: u16,
    /// Stable code of the policy.
    pub code: String,
    /// What was expected and what was found.
    pub details: String,
}

/// How the deposit can be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReclaimInfo {
    /// The deposit.
    #[schema(value_type = String)]
    pub outpoint: OutPoint,
    /// Confirmations that the deposit needs.
    pub delay: u16,
    /// First height whose block may hold the reclaim; known once the deposit is in a block.
    pub possible_at_height: Option<u32>,
    /// The transaction that took it back.
    #[schema(value_type = Option<String>)]
    pub reclaimed_by: Option<Txid>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_the_same_in_json_and_text() {
        for state in RequestState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.name());
            assert_eq!(state.name().parse(), Ok(*state));
        }
        for code in ReclaimCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert_eq!(code.name().parse(), Ok(*code));
        }
        assert_eq!("".parse::<Kind>(), Err(UnknownName));
    }
}
