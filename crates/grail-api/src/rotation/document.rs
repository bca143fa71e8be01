//! The document that administrators sign. Nothing in it is secret, and nothing in it is believed
//! before [`RotationDocument::check`].

use std::fmt;
use std::str::FromStr;

use bitcoin::XOnlyPublicKey;
use bitcoin::secp256k1::schnorr::Signature;
use grail_attest::Images;
use grail_types::{
    ADMINISTRATORS_MAX, BoundedVec, Bridge, Governance, Params, Roster, SIGNERS_MAX,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check::RotationError;
use crate::schema::{BridgeSchema, GovernanceSchema, ImagesSchema, ParamsSchema, RosterSchema};

/// The one version of the document.
pub const ROTATION_VERSION: u32 = 1;
/// Longest document that is read: one of a hundred signers, a hundred administrators and all images
/// takes under half.
pub const ROTATION_BYTES_MAX: usize = 256 * 1024;

/// A step of a rotation that administrators consent to, with those signatures that it has so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationDocument {
    /// 1.
    pub version: u32,
    /// Of which bridge.
    #[schema(value_type = BridgeSchema)]
    pub bridge: Bridge,
    /// The roster that hands over.
    #[schema(value_type = RosterSchema)]
    pub roster: Roster,
    /// Its administrators.
    #[schema(value_type = GovernanceSchema)]
    pub governance: Governance,
    /// Number of the announcement, counted over all epochs.
    pub attempt: u64,
    /// To what they consent.
    pub paper: RotationPaper,
    /// Their signatures, strictly ascending by position.
    #[schema(value_type = Vec<AdministratorSignature>)]
    pub consents: BoundedVec<AdministratorSignature, ADMINISTRATORS_MAX>,
}

/// What administrators consent to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RotationPaper {
    /// That a roster is announced.
    Announce(Box<ProposedRoster>),
    /// That the announcement of this roster is taken back.
    Cancel {
        /// Hash of the roster that is announced.
        #[schema(value_type = String)]
        next: Hash32,
    },
}

/// The roster to come, with all that is signed of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedRoster {
    /// Who will sign, of the epoch to come.
    #[schema(value_type = RosterSchema)]
    pub roster: Roster,
    /// Who will administer.
    #[schema(value_type = GovernanceSchema)]
    pub governance: Governance,
    /// By which parameters.
    #[schema(value_type = ParamsSchema)]
    pub params: Params,
    /// The enclave images that those name.
    #[schema(value_type = ImagesSchema)]
    pub images: Images,
    /// Lowest protocol version of the bridge's own spells.
    pub spell_min: u32,
    /// Highest protocol version of the bridge's own spells.
    pub spell_max: u32,
    /// The evidence that administrators went by, strictly ascending by key.
    #[schema(value_type = Vec<EvidenceHash>)]
    pub evidence: BoundedVec<EvidenceHash, SIGNERS_MAX>,
    /// Signatures of administrators to come who are not administrators today, by their positions
    /// in the governance to come.
    #[schema(value_type = Vec<AdministratorSignature>)]
    pub newcomers: BoundedVec<AdministratorSignature, ADMINISTRATORS_MAX>,
}

/// Evidence of one signer's key, by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EvidenceHash {
    /// The signer's key.
    #[schema(value_type = String)]
    pub public_key: XOnlyPublicKey,
    /// SHA-256 of the attestation document.
    #[schema(value_type = String)]
    pub sha256: Hash32,
}

/// One administrator's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdministratorSignature {
    /// The administrator's position in the governance that the list is for.
    pub administrator: u16,
    /// BIP-340 signature of the consent's digest, hex.
    #[schema(value_type = String)]
    pub signature: Signature,
}

/// A hash as 64 hex characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash32(pub [u8; 32]);

/// The text is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hex characters")]
pub struct Hash32Error;

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Hash32 {
    type Err = Hash32Error;

    fn from_str(text: &str) -> Result<Self, Hash32Error> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| Hash32Error)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash32 {
    type Error = Hash32Error;

    fn try_from(text: String) -> Result<Self, Hash32Error> {
        text.parse()
    }
}

impl From<Hash32> for String {
    fn from(hash: Hash32) -> Self {
        hash.to_string()
    }
}

impl RotationDocument {
    /// Reads a document; what it says is not checked yet.
    pub fn from_json(bytes: &[u8]) -> Result<Self, RotationError> {
        if bytes.len() > ROTATION_BYTES_MAX {
            return Err(RotationError::TooLong(bytes.len()));
        }
        // A struct would be read from an array too, field by field.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err(RotationError::Malformed(
                "expected a JSON object".to_owned(),
            ));
        }
        serde_json::from_slice(bytes).map_err(|error| RotationError::Malformed(error.to_string()))
    }
}
