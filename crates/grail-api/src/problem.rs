//! Problem details (RFC 9457): every error answer of the API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of an error answer.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Why a call failed. Closed and stable: machines compare codes, people search for them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemCode {
    /// The body is no JSON, or of another shape than asked for.
    MalformedBody,
    /// The body has a field that the API does not know.
    UnknownField,
    /// The body is larger than the API reads.
    BodyTooLarge,
    /// The body is not declared as `application/json`.
    UnsupportedMediaType,
    /// A query parameter cannot be read or is out of range.
    BadQuery,
    /// An id or txid in the path is not 64 hex characters.
    BadId,
    /// Not an address of Bitcoin at all.
    BadAddress,
    /// An address of another network.
    WrongNetworkAddress,
    /// An address of a type that this cannot be paid to.
    UnsupportedAddress,
    /// An address that no key and no script opens.
    UnspendableAddress,
    /// Not a 32-byte x-only public key on the curve.
    BadPublicKey,
    /// An amount of zero.
    AmountZero,
    /// Below the smallest deposit served.
    AmountBelowMinimum,
    /// Above the largest deposit served.
    AmountAboveMaximum,
    /// No settlement could serve the request at such a fee cap.
    FeeCapTooLow,
    /// The fee cap could take the whole deposit.
    FeeCapTooHigh,
    /// Reclaim delay outside what the parameters allow.
    ReclaimDelayOutOfRange,
    /// The receipt does not fit itself: version, direction, epoch or address.
    BadReceipt,
    /// The receipt is of another bridge, or of a roster that this one never had.
    ForeignReceipt,
    /// No deposit of the receipt's request is known here: neither spent by a settlement nor, where
    /// the body says, unspent in a block.
    DepositNotFound,
    /// No `Idempotency-Key` header.
    IdempotencyKeyMissing,
    /// The `Idempotency-Key` is empty, too long or has other characters than letters, digits, `-`
    /// and `_`.
    BadIdempotencyKey,
    /// The same `Idempotency-Key` was used with another body.
    IdempotencyConflict,
    /// Nothing here, or nothing of this name.
    NotFound,
    /// The path knows other methods.
    MethodNotAllowed,
    /// Too many calls; try again later.
    RateLimited,
    /// A part that this call needs is not ready; try again later.
    Unavailable,
    /// The bridge takes no requests now; `/v1/status` says why.
    Paused,
    /// The rotation does not fit itself: its detail begins with a code of its own.
    BadRotation,
    /// The rotation is of another bridge, epoch or attempt than is to come next.
    ForeignRotation,
    /// Too few administrators consent to the rotation.
    NotConsented,
    /// A step of this rotation is on its way: it is not replaced by another one.
    RotationConflict,
    /// A bug on the server's side.
    Internal,
}

impl ProblemCode {
    /// All codes.
    pub const ALL: [Self; 33] = [
        Self::MalformedBody,
        Self::UnknownField,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::BadQuery,
        Self::BadId,
        Self::BadAddress,
        Self::WrongNetworkAddress,
        Self::UnsupportedAddress,
        Self::UnspendableAddress,
        Self::BadPublicKey,
        Self::AmountZero,
        Self::AmountBelowMinimum,
        Self::AmountAboveMaximum,
        Self::FeeCapTooLow,
        Self::FeeCapTooHigh,
        Self::ReclaimDelayOutOfRange,
        Self::BadReceipt,
        Self::ForeignReceipt,
        Self::DepositNotFound,
        Self::IdempotencyKeyMissing,
        Self::BadIdempotencyKey,
        Self::IdempotencyConflict,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RateLimited,
        Self::Unavailable,
        Self::Paused,
        Self::BadRotation,
        Self::ForeignRotation,
        Self::NotConsented,
        Self::RotationConflict,
        Self::Internal,
    ];

    /// Stable name, as in JSON.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MalformedBody => "malformed-body",
            Self::UnknownField => "unknown-field",
            Self::BodyTooLarge => "body-too-large",
            Self::UnsupportedMediaType => "unsupported-media-type",
            Self::BadQuery => "bad-query",
            Self::BadId => "bad-id",
            Self::BadAddress => "bad-address",
            Self::WrongNetworkAddress => "wrong-network-address",
            Self::UnsupportedAddress => "unsupported-address",
            Self::UnspendableAddress => "unspendable-address",
            Self::BadPublicKey => "bad-public-key",
            Self::AmountZero => "amount-zero",
            Self::AmountBelowMinimum => "amount-below-minimum",
            Self::AmountAboveMaximum => "amount-above-maximum",
            Self::FeeCapTooLow => "fee-cap-too-low",
            Self::FeeCapTooHigh => "fee-cap-too-high",
            Self::ReclaimDelayOutOfRange => "reclaim-delay-out-of-range",
            Self::BadReceipt => "bad-receipt",
            Self::ForeignReceipt => "foreign-receipt",
            Self::DepositNotFound => "deposit-not-found",
            Self::IdempotencyKeyMissing => "idempotency-key-missing",
            Self::BadIdempotencyKey => "bad-idempotency-key",
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RateLimited => "rate-limited",
            Self::Unavailable => "unavailable",
            Self::Paused => "paused",
            Self::BadRotation => "bad-rotation",
            Self::ForeignRotation => "foreign-rotation",
            Self::NotConsented => "not-consented",
            Self::RotationConflict => "rotation-conflict",
            Self::Internal => "internal",
        }
    }

    /// The HTTP status that it is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::MalformedBody
            | Self::BadQuery
            | Self::BadId
            | Self::IdempotencyKeyMissing
            | Self::BadIdempotencyKey => 400,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::IdempotencyConflict | Self::RotationConflict => 409,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::UnknownField
            | Self::BadAddress
            | Self::WrongNetworkAddress
            | Self::UnsupportedAddress
            | Self::UnspendableAddress
            | Self::BadPublicKey
            | Self::AmountZero
            | Self::AmountBelowMinimum
            | Self::AmountAboveMaximum
            | Self::FeeCapTooLow
            | Self::FeeCapTooHigh
            | Self::ReclaimDelayOutOfRange
            | Self::BadReceipt
            | Self::ForeignReceipt
            | Self::DepositNotFound
            | Self::BadRotation
            | Self::ForeignRotation
            | Self::NotConsented => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Unavailable | Self::Paused => 503,
        }
    }

    /// When to try again, seconds, where nothing more is known; none where trying again changes
    /// nothing.
    const fn retry_after(self) -> Option<u64> {
        if matches!(self, Self::Paused) {
            return Some(60);
        }
        let passes = matches!(self, Self::RateLimited | Self::Unavailable);
        if passes { Some(1) } else { None }
    }

    /// The same for every occurrence, in words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::MalformedBody => "the body cannot be read",
            Self::UnknownField => "the body has an unknown field",
            Self::BodyTooLarge => "the body is too large",
            Self::UnsupportedMediaType => "the body must be application/json",
            Self::BadQuery => "a query parameter is not valid",
            Self::BadId => "the id is not valid",
            Self::BadAddress => "the address cannot be read",
            Self::WrongNetworkAddress => "the address is of another network",
            Self::UnsupportedAddress => "the address is of a type that cannot be paid to",
            Self::UnspendableAddress => "nobody could spend what is paid to the address",
            Self::BadPublicKey => "the public key is not valid",
            Self::AmountZero => "the amount is zero",
            Self::AmountBelowMinimum => "the amount is below the minimum",
            Self::AmountAboveMaximum => "the amount is above the maximum",
            Self::FeeCapTooLow => "the fee cap is too low",
            Self::FeeCapTooHigh => "the fee cap is too high",
            Self::ReclaimDelayOutOfRange => "the reclaim delay is out of range",
            Self::BadReceipt => "the receipt is not valid",
            Self::ForeignReceipt => "the receipt is of another bridge or roster",
            Self::DepositNotFound => "the deposit is not known",
            Self::IdempotencyKeyMissing => "the Idempotency-Key header is missing",
            Self::BadIdempotencyKey => "the Idempotency-Key is not valid",
            Self::IdempotencyConflict => "the Idempotency-Key was used for another body",
            Self::NotFound => "not found",
            Self::MethodNotAllowed => "the method is not allowed here",
            Self::RateLimited => "too many calls",
            Self::Unavailable => "not available now",
            Self::Paused => "the bridge takes no requests now",
            Self::BadRotation => "the rotation is not valid",
            Self::ForeignRotation => "the rotation is not the bridge's next",
            Self::NotConsented => "too few administrators consent",
            Self::RotationConflict => "another rotation is on its way",
            Self::Internal => "internal error",
        }
    }
}

impl std::fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

/// An error answer, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{title} ({code}): {detail}")]
pub struct Problem {
    /// `urn:grail:problem:<code>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for every occurrence, in words.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code.
    pub code: ProblemCode,
    /// What was expected and what was found, this time.
    pub detail: String,
    /// When to try again, seconds; the same as the header `Retry-After`. Only of problems that
    /// pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    /// A problem of `code`; `detail` says what was expected and what was found.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:grail:problem:{code}"),
            title: code.title().to_owned(),
            status: code.status(),
            code,
            detail: detail.into(),
            retry_after: code.retry_after(),
        }
    }

    /// The same, with when to try again.
    #[must_use]
    pub fn with_retry_after(self, seconds: u64) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_distinct_and_the_same_in_json() {
        let codes: BTreeSet<_> = ProblemCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes.len(), ProblemCode::ALL.len());
        for code in ProblemCode::ALL {
            assert_eq!(serde_json::to_value(code).unwrap(), code.code());
            assert!((400..=599).contains(&code.status()), "{code}");
        }
    }

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let json =
            serde_json::to_value(Problem::new(ProblemCode::NotFound, "no request ab")).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "type": "urn:grail:problem:not-found",
                "title": "not found",
                "status": 404,
                "code": "not-found",
                "detail": "no request ab",
            })
        );
    }
}
