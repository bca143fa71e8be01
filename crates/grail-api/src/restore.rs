//! A request made again from its receipt: the wire form, and what must hold of it before anybody
//! looks at the chain.

use bitcoin::{OutPoint, secp256k1::Secp256k1};
use grail_script::{DepositTree, InternalKey, VaultTree};
use grail_types::{Bridge, Governance, Params, Roster};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    CheckedReceipt, Problem, ProblemCode, RECEIPT_BYTES_MAX, Receipt,
    create::{check_terms, read},
};

/// Largest body read: the longest receipt, and a deposit.
pub const RESTORE_BYTES_MAX: usize = RECEIPT_BYTES_MAX + 1_024;

/// `POST /v1/receipts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestoreRequest {
    /// The receipt.
    pub receipt: Receipt,
    /// The deposit, `txid:vout`. Not needed once a settlement has spent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub deposit: Option<OutPoint>,
}

impl RestoreRequest {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        read(body, RESTORE_BYTES_MAX)
    }
}

impl Receipt {
    /// Checks a receipt that somebody hands in, for a bridge: it must fit itself, be of the bridge,
    /// name the verified `roster` of its epoch (with its administrators; none when there is none),
    /// and have terms that a new request could have. Anybody can make one for which all of this
    /// holds.
    pub fn check_for(
        &self,
        bridge: &Bridge,
        params: &Params,
        roster: Option<(&Roster, &Governance)>,
    ) -> Result<CheckedReceipt, Problem> {
        let checked = self.check().map_err(|error| {
            Problem::new(
                ProblemCode::BadReceipt,
                format!("{}: {error}", error.code()),
            )
        })?;
        let foreign = |what: &str| Problem::new(ProblemCode::ForeignReceipt, what);
        let terms = checked.terms();
        if terms.network != bridge.network || terms.bridge != bridge.app {
            return Err(foreign("expected a receipt of this bridge"));
        }
        if checked.internal_key() != InternalKey::Nums {
            return Err(foreign("expected a receipt without a group key"));
        }
        let roster = roster.filter(|(roster, _)| *roster == checked.roster());
        let (roster, governance) = roster.ok_or_else(|| {
            foreign("expected the roster that held the NFT in the epoch of the terms")
        })?;
        let secp = Secp256k1::verification_only();
        let deposit = DepositTree::new(&secp, InternalKey::Nums, terms, roster);
        let vault = VaultTree::new(&secp, InternalKey::Nums, roster, governance);
        check_terms(terms, &deposit, params, &vault)?;
        Ok(checked)
    }
}
