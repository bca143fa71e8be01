//! `GET /v1/rotations`.

use bitcoin::{Txid, XOnlyPublicKey};
use grail_attest::Images;
use grail_types::{Bridge, Governance, Params, Roster};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::document::Hash32;
use crate::request::text_enum;
use crate::schema::{BridgeSchema, GovernanceSchema, ImagesSchema, ParamsSchema, RosterSchema};

/// What a proposal begins with: the bridge as its newest state in the rows has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationBasis {
    /// The bridge.
    #[schema(value_type = BridgeSchema)]
    pub bridge: Bridge,
    /// The roster of now.
    #[schema(value_type = RosterSchema)]
    pub roster: Roster,
    /// Its administrators.
    #[schema(value_type = GovernanceSchema)]
    pub governance: Governance,
    /// Its parameters.
    #[schema(value_type = ParamsSchema)]
    pub params: Params,
    /// The enclave images that those name.
    #[schema(value_type = ImagesSchema)]
    pub images: Images,
    /// How many rosters were ever announced.
    pub attempt: u64,
    /// The roster that is announced, if one is.
    pub next: Option<AnnouncedRoster>,
    /// zkBTC in existence.
    pub supply_sat: u64,
    /// Lowest protocol version of the bridge's own spells.
    pub spell_min: u32,
    /// Highest protocol version of the bridge's own spells.
    pub spell_max: u32,
}

/// A roster that is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AnnouncedRoster {
    /// Hash of everything that the administrators consented to.
    #[schema(value_type = String)]
    pub hash: Hash32,
    /// Serial of the announcement.
    pub serial: u64,
    /// Blocks between announcement and execution.
    pub wait: u16,
}

text_enum! {
    /// Where a rotation stands.
    RotationStage {
        /// Enough administrators consent; it is announced once sponsors pay for that.
        Consented => "consented",
        /// Its announcement is on its way.
        Announcing => "announcing",
        /// It is announced, and its time of notice runs.
        Announced => "announced",
        /// Its taking back is on its way.
        Cancelling => "cancelling",
        /// The hand-over is on its way.
        Executing => "executing",
        /// The roster has taken over.
        Executed => "executed",
        /// It was taken back.
        Cancelled => "cancelled",
        /// Another attempt took its number.
        Superseded => "superseded",
    }
}

impl RotationStage {
    /// Whether nothing comes of the rotation any more, but by a reorg.
    pub const fn is_over(self) -> bool {
        match self {
            Self::Executed | Self::Cancelled | Self::Superseded => true,
            Self::Consented
            | Self::Announcing
            | Self::Announced
            | Self::Cancelling
            | Self::Executing => false,
        }
    }
}

/// A rotation as the API answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RotationStatus {
    /// Number of the announcement.
    pub attempt: u64,
    /// Epoch of the roster that hands over.
    pub epoch: u64,
    /// Where it stands.
    pub stage: RotationStage,
    /// Hash of everything that the administrators consented to.
    #[schema(value_type = String)]
    pub next: Hash32,
    /// Administrators that consent to the announcement.
    pub approvals: u16,
    /// How many must.
    pub approvals_needed: u16,
    /// Administrators that consent to taking it back; absent while nobody asked for that.
    pub cancel_approvals: Option<u16>,
    /// Signers of the roster to come whose keys are new.
    pub new_keys: u16,
    /// Blocks until it may be executed; absent before it is announced, and after its end.
    pub blocks_left: Option<u32>,
    /// The announcement.
    #[schema(value_type = Option<String>)]
    pub announce_txid: Option<Txid>,
    /// What took it back.
    #[schema(value_type = Option<String>)]
    pub cancel_txid: Option<Txid>,
    /// What handed over.
    #[schema(value_type = Option<String>)]
    pub execute_txid: Option<Txid>,
    /// After the hand-over: until this block is the newest, the operators of the roster that handed
    /// over keep its keys and answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_serves_until_height: Option<u32>,
}

/// An enclave that shows evidence and is in no roster of today: it can be proposed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// Its key.
    #[schema(value_type = String)]
    pub public_key: XOnlyPublicKey,
    /// The operator's name for itself; says nothing.
    #[serde(default)]
    pub name: String,
    /// Its evidence; whoever proposes it verifies that.
    #[serde(default)]
    pub attestation: Option<Attestation>,
}

/// Evidence of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// The attestation document, base64 with padding.
    pub evidence: String,
    /// The challenge that it answers, hex; absent when it answers none.
    #[serde(default)]
    pub nonce: Option<String>,
    /// When it was made, unix seconds.
    pub attested_at: u64,
}

/// `GET /v1/rotations`: what a proposal begins with, and the rotations so far, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rotations {
    /// The bridge as of now.
    pub basis: RotationBasis,
    /// Newest first, as many as are kept.
    pub rotations: Vec<RotationStatus>,
    /// Enclaves that the backend has heard of lately and that today's roster does not have, at most
    /// as many as a roster holds.
    pub candidates: Vec<Candidate>,
}
