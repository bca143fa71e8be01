//! `GET /v1/params`, `GET /v1/roster` and `GET /v1/rosters`.

use bitcoin::{BlockHash, OutPoint, Txid, XOnlyPublicKey};
use grail_attest::Images;
use grail_types::{Bridge, Epoch, Governance, Params, ParamsHash, Roster, RosterError, Threshold};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{BridgeSchema, GovernanceSchema, ImagesSchema, ParamsSchema};

/// What a client pins: the bridge, its protocol parameters, the images that these name, and the
/// hash over all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ParamsAnswer {
    /// The bridge.
    #[schema(value_type = BridgeSchema)]
    pub bridge: Bridge,
    /// Its parameters.
    #[schema(value_type = ParamsSchema)]
    pub params: Params,
    /// The enclave images that may hold a signer's key. Their hash is in the parameters; a client
    /// recomputes it.
    #[schema(value_type = ImagesSchema)]
    pub images: Images,
    /// The administrators of the newest roster. Their hash is in the NFT's state.
    #[schema(value_type = GovernanceSchema)]
    pub governance: Governance,
    /// Hash of bridge and parameters; a client recomputes it.
    #[schema(value_type = String)]
    pub params_hash: ParamsHash,
}

/// The roster of now, with every signer's evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterAnswer {
    /// Number of the roster.
    #[schema(value_type = u64)]
    pub epoch: Epoch,
    /// Signers that must agree.
    #[schema(value_type = u16)]
    pub threshold: Threshold,
    /// The Grail address of the epoch.
    pub address: String,
    /// Where the roster NFT is.
    #[schema(value_type = String)]
    pub nft_outpoint: OutPoint,
    /// In signing order: strictly ascending by public key.
    pub signers: Vec<Signer>,
    /// Former rosters whose operators are still needed, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former: Vec<FormerRoster>,
}

/// A roster that has handed over and is not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FormerRoster {
    /// Its number.
    #[schema(value_type = u64)]
    pub epoch: Epoch,
    /// Its operators keep its keys and answer until this block is the newest: until then a reorg
    /// can bring it back, or a deposit to one of its addresses be settled.
    pub serves_until_height: u32,
}

/// One signer of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Signer {
    /// Position in the roster.
    pub index: u16,
    /// X-only public key.
    #[schema(value_type = String)]
    pub public_key: XOnlyPublicKey,
    /// The operator's name for itself; says nothing.
    pub name: String,
    /// The attestation document that binds the key to an enclave image, base64 with padding.
    pub evidence: String,
    /// The challenge that the evidence answers, hex; absent when it answers none.
    pub nonce: Option<String>,
    /// PCR0 of the image according to the evidence, hex.
    pub pcr0: String,
    /// When the evidence was made.
    pub attested_at: u64,
    /// The brake of its operator's own that keeps it from signing, by its host's word when it was
    /// asked last; absent when it told of none, or has signed since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_safe: Option<FailSafe>,
}

/// A brake of an operator's own: it may only refuse, for itself. Nobody signs for it: it informs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailSafe {
    /// `operator-paused` or `operator-limit`; a newer operator may have others.
    pub code: String,
    /// When it was heard of, unix seconds.
    pub at: u64,
}

/// A roster that the bridge has or had, with what shows that it was one: anybody can follow them
/// from the deployment on and check each signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterRecord {
    /// Number of the roster.
    #[schema(value_type = u64)]
    pub epoch: Epoch,
    /// Signers that must agree.
    #[schema(value_type = u16)]
    pub threshold: Threshold,
    /// The signers' x-only public keys, in signing order.
    #[schema(value_type = Vec<String>)]
    pub public_keys: Vec<XOnlyPublicKey>,
    /// The Grail address of the epoch.
    pub address: String,
    /// Its administrators. Their hash is in the NFT's state, and their keys in its vault's script.
    #[schema(value_type = GovernanceSchema)]
    pub governance: Governance,
    /// Hash of bridge and parameters, as the NFT's state has it.
    #[schema(value_type = String)]
    pub params_hash: ParamsHash,
    /// The parameters by which it goes or went; absent where the server does not have them. What
    /// they are worth says `params_hash`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ParamsSchema>)]
    pub params: Option<Params>,
    /// The enclave images that those name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ImagesSchema>)]
    pub images: Option<Images>,
    /// The transaction that made it: the deployment of the first, the rotation of every other.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// Height of its block; absent while it is in none.
    pub height: Option<u32>,
    /// Of a former roster: until this block is the newest its operators keep its keys and answer.
    /// Absent of the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves_until_height: Option<u32>,
    /// Its block.
    #[schema(value_type = Option<String>)]
    pub block_hash: Option<BlockHash>,
    /// The transaction, hex; of a rotation with no witness but that of its first input.
    pub transaction: String,
    /// What a rotation's inputs spend, in order: the witness of the roster before commits to it.
    /// Empty of the deployment.
    pub spent: Vec<SpentOutput>,
}

/// An output that a rotation spends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpentOutput {
    /// The coin.
    pub amount_sat: u64,
    /// Its script, hex.
    pub script: String,
}

/// A roster in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RosterSummary {
    /// Number of the roster.
    #[schema(value_type = u64)]
    pub epoch: Epoch,
    /// Signers that must agree.
    #[schema(value_type = u16)]
    pub threshold: Threshold,
    /// How many signers there are.
    pub signer_count: u16,
    /// The Grail address of the epoch.
    pub address: String,
    /// The transaction that made it.
    #[schema(value_type = String)]
    pub txid: Txid,
    /// Height of its block; absent while it is in none.
    pub height: Option<u32>,
}

impl RosterRecord {
    /// The roster as a domain type.
    pub fn roster(&self) -> Result<Roster, RosterError> {
        Roster::new(self.epoch, self.public_keys.clone(), self.threshold)
    }
}

impl RosterAnswer {
    /// The roster as a domain type.
    pub fn roster(&self) -> Result<Roster, RosterError> {
        let signers = self
            .signers
            .iter()
            .map(|signer| signer.public_key)
            .collect();
        Roster::new(self.epoch, signers, self.threshold)
    }
}
