//! What the transactions that sponsors pay for bring beside themselves: a rotation's steps, and the
//! merging of donations.

use bitcoin::secp256k1::schnorr::Signature;
use grail_types::{
    ADMINISTRATORS_MAX, BoundedBytes, BoundedVec, GOVERNANCE_MAX_BYTES, Governance,
    PARAMS_MAX_BYTES, Params, Roster, Terms,
};
use serde::{Deserialize, Serialize};

use crate::roster::ShownRoster;

/// Most sponsors of one transaction.
pub const SPONSORS_MAX: usize = 8;

/// The roster to come, with everything that the NFT's state will say with it. Its vault is not
/// among it: whoever reads this derives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireSuccession", into = "WireSuccession")]
pub struct Succession {
    /// Who will sign, of the epoch to come.
    pub roster: Roster,
    /// Who will administer.
    pub governance: Governance,
    /// By which parameters.
    pub params: Params,
    /// Lowest protocol version of the bridge's own spells.
    pub spell_min: u32,
    /// Highest protocol version of the bridge's own spells.
    pub spell_max: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSuccession {
    roster: ShownRoster,
    governance: BoundedBytes<GOVERNANCE_MAX_BYTES>,
    params: BoundedBytes<PARAMS_MAX_BYTES>,
    spell_min: u32,
    spell_max: u32,
}

/// Why bytes are no roster to come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("succession: {0}")]
pub struct SuccessionError(String);

impl TryFrom<WireSuccession> for Succession {
    type Error = SuccessionError;

    fn try_from(wire: WireSuccession) -> Result<Self, SuccessionError> {
        let wrong = |error: &dyn std::fmt::Display| SuccessionError(error.to_string());
        Ok(Self {
            roster: wire.roster.0,
            governance: Governance::from_bytes(&wire.governance).map_err(|error| wrong(&error))?,
            params: Params::from_bytes(&wire.params).map_err(|error| wrong(&error))?,
            spell_min: wire.spell_min,
            spell_max: wire.spell_max,
        })
    }
}

impl From<Succession> for WireSuccession {
    fn from(it: Succession) -> Self {
        let bounded = "no more than was checked";
        Self {
            roster: ShownRoster(it.roster),
            governance: BoundedBytes::new(it.governance.to_bytes()).expect(bounded),
            params: BoundedBytes::new(it.params.to_bytes()).expect(bounded),
            spell_min: it.spell_min,
            spell_max: it.spell_max,
        }
    }
}

/// One administrator's signature of a consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsentSignature {
    /// The administrator's position in the governance that the list is for.
    pub administrator: u16,
    /// BIP-340 signature of the consent's digest.
    #[serde(with = "crate::bytes::signature")]
    pub signature: Signature,
}

/// Signatures of administrators, strictly ascending by position.
pub type Consents = BoundedVec<ConsentSignature, ADMINISTRATORS_MAX>;

/// The terms behind the deposits that pay the miners, in the order of the deposits.
pub type Sponsors = BoundedVec<Terms, SPONSORS_MAX>;

/// Says which roster is to be the next one:
///
/// ```text
/// inputs   roster NFT · vault (absent when empty) · sponsors
/// outputs  roster NFT' · vault (absent when empty) · notice coin · spell
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// The roster to come.
    pub succession: Succession,
    /// Hash of the list of evidence that the administrators went by.
    #[serde(with = "serde_bytes")]
    pub evidence: [u8; 32],
    /// Signatures of the administrators of today.
    pub consents: Consents,
    /// Signatures of the administrators to come who are not among those of today, by their
    /// positions in the governance to come: nobody is made one who does not hold his key.
    pub newcomers: Consents,
    /// Who pays.
    pub sponsors: Sponsors,
}

/// Takes an announcement back; its notice coin is left behind:
///
/// ```text
/// inputs   roster NFT · vault (absent when empty) · sponsors
/// outputs  roster NFT' · vault (absent when empty) · spell
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cancellation {
    /// Signatures of the administrators of today.
    pub consents: Consents,
    /// Who pays.
    pub sponsors: Sponsors,
}

/// Hands over to the roster that was announced:
///
/// ```text
/// inputs   roster NFT · vault (absent when empty) · notice coin · sponsors
/// outputs  roster NFT' · vault (absent when empty), both of the roster to come · spell
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Execution {
    /// The roster to come, as it was announced.
    pub succession: Succession,
    /// Who pays.
    pub sponsors: Sponsors,
}

/// Moves donations into the vault's coin:
///
/// ```text
/// inputs   roster NFT · vault (absent when empty) · donations · sponsors
/// outputs  roster NFT' · vault · spell
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Merge {
    /// Who pays.
    pub sponsors: Sponsors,
}
