//! What a zk-app's clearing brings beside its transaction.

use bitcoin::{Amount, XOnlyPublicKey, secp256k1::schnorr::Signature};
use grail_types::{BoundedVec, Bridge, Destination, OrderCoin, OrderTerms, Payload, Wants, ZkApp};
use serde::{Deserialize, Serialize};

use crate::{proposal::INPUTS_MAX, roster::ShownRoster};

/// Executes orders of one zk-app (ADR 42):
///
/// ```text
/// inputs   main cell · cells · one deposit per order, in order
/// outputs  main cell' · cells' · one per order, in order · prover's fee (may be absent) · spell
/// ```
///
/// The spell commits to all outputs before the prover's fee, and to none after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClearingRequest {
    /// Which app.
    pub app: ZkApp,
    /// Who holds the home and the deposits. A hint: it opens the coins of its own addresses and no
    /// others.
    pub roster: ShownRoster,
    /// The orders, in the order of their deposits.
    pub orders: BoundedVec<PlacedOrder, INPUTS_MAX>,
}

/// An order as a clearing serves it. Of its terms, what every order of the clearing shares is not
/// repeated: bridge, app and epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacedOrder {
    /// As in [`OrderTerms`].
    pub destination: Destination,
    /// As in [`OrderTerms`].
    pub coin: OrderCoin,
    /// As in [`OrderTerms`].
    pub wants: Wants,
    /// As in [`OrderTerms`].
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee_cap: Amount,
    /// As in [`OrderTerms`].
    #[serde(with = "crate::bytes::public_key")]
    pub reclaim_key: XOnlyPublicKey,
    /// As in [`OrderTerms`].
    pub reclaim_delay: u16,
    /// As in [`OrderTerms`].
    pub payload: Payload,
    /// As in [`OrderTerms`].
    #[serde(with = "serde_bytes")]
    pub nonce: [u8; 16],
    /// The owner's signature over order and deposit, of an order that is authored.
    pub author: Option<AuthorSignature>,
    /// Its share of the fee.
    #[serde(with = "bitcoin::amount::serde::as_sat")]
    pub fee_share: Amount,
}

/// BIP-340 signature by an order's reclaim key over `grail_types::author_digest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorSignature(#[serde(with = "crate::bytes::signature")] pub Signature);

impl ClearingRequest {
    /// The terms of one of its orders on `bridge`. An order of another bridge, app or epoch has
    /// another address than these terms, so that nobody has to compare them.
    pub fn terms(&self, order: &PlacedOrder, bridge: &Bridge) -> OrderTerms {
        OrderTerms {
            bridge: *bridge,
            app: self.app,
            destination: order.destination.clone(),
            coin: order.coin,
            wants: order.wants.clone(),
            fee_cap: order.fee_cap,
            epoch: self.roster.0.epoch(),
            reclaim_key: order.reclaim_key,
            reclaim_delay: order.reclaim_delay,
            authored: order.author.is_some(),
            payload: order.payload.clone(),
            nonce: order.nonce,
        }
    }
}

impl PlacedOrder {
    /// Terms as they are shown, with what the clearing adds: the owner's signature, if the order is
    /// authored, and its share of the fee. Bridge, app and epoch are the clearing's.
    pub fn new(terms: OrderTerms, author: Option<Signature>, fee_share: Amount) -> Self {
        Self {
            destination: terms.destination,
            coin: terms.coin,
            wants: terms.wants,
            fee_cap: terms.fee_cap,
            reclaim_key: terms.reclaim_key,
            reclaim_delay: terms.reclaim_delay,
            payload: terms.payload,
            nonce: terms.nonce,
            author: author.map(AuthorSignature),
            fee_share,
        }
    }
}
