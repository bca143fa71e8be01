//! `GET /v1/settlements`.

use bitcoin::{OutPoint, Txid};
use grail_types::{Epoch, RequestId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Proving, request::text_enum};

text_enum! {
    /// Where a settlement stands.
    SettlementState {
        /// Being proven; named once the proof is there, since the proof is part of its transaction.
        Proving => "proving",
        /// With the operators.
        Signing => "signing",
        /// Signed and handed to the network; see its confirmations.
        Published => "published",
        /// Has all the confirmations that count as final.
        Final => "final",
        /// Will not be made; its requests went into another, or are reclaimable.
        Abandoned => "abandoned",
    }
}

text_enum! {
    /// What a signer answered.
    SignerOutcome {
        /// Not heard of yet.
        Waiting => "waiting",
        /// Signed, and the signatures verify.
        Signed => "signed",
        /// Refused; the code says why.
        Refused => "refused",
        /// Answered with something that does not verify.
        Faulty => "faulty",
    }
}

/// One settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settlement {
    /// Its transaction.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// Where it stands.
    pub state: SettlementState,
    /// The epoch of the roster that decides on it: positions of signers are in that roster.
    #[schema(value_type = u64)]
    pub epoch: Epoch,
    /// The epoch of the former roster that holds its deposits, if one does. Signers whom that one
    /// alone has come behind all others, in its order.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub former_epoch: Option<Epoch>,
    /// 0 while not in a block.
    pub confirmations: u32,
    /// Height of its block.
    pub height: Option<u32>,
    /// Whether the backend read it from a block instead of making it: then it knows of no signers
    /// and no proof.
    #[serde(default)]
    pub adopted: bool,
    /// How many requests it serves.
    #[serde(default)]
    pub request_count: u64,
    /// Every request that it serves and that is known here, in output order. Before it is published
    /// they are their users' to know, as are inputs and outputs, so these three are empty.
    #[schema(value_type = Vec<String>)]
    pub requests: Vec<RequestId>,
    /// What it spends.
    pub inputs: Vec<SettlementInput>,
    /// What it makes.
    pub outputs: Vec<SettlementOutput>,
    /// Its fee.
    pub fee_sat: u64,
    /// Virtual size, signed.
    pub vsize: u64,
    /// Every signer's answer.
    pub signers: Vec<SignerAnswer>,
    /// How it was proven; absent of one from before that was recorded.
    pub proving: Option<Proving>,
    /// When it was begun.
    pub created_at: u64,
}

/// An input of a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlementInput {
    /// What it spends.
    #[schema(value_type = String)]
    pub outpoint: OutPoint,
    /// The coin.
    pub amount_sat: u64,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// The request whose deposit it is; none for NFT and vault.
    #[schema(value_type = Option<String>)]
    pub request: Option<RequestId>,
}

/// An output of a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettlementOutput {
    /// Its script, hex.
    pub script: String,
    /// The coin.
    pub amount_sat: u64,
    /// zkBTC that it carries.
    pub token_sat: Option<u64>,
    /// The request that it serves; none for NFT, vault and spell.
    #[schema(value_type = Option<String>)]
    pub request: Option<RequestId>,
}

/// What a signer answered to a settlement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignerAnswer {
    /// Position in the roster, or behind it.
    pub index: u16,
    /// The answer.
    pub outcome: SignerOutcome,
    /// Of a refusal or fault.
    pub code: Option<String>,
    /// Of a refusal or fault: what was expected and what was found.
    pub details: Option<String>,
}
