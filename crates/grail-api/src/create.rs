//! New requests: their wire form, and its parsing at the edge.

use bitcoin::{
    Amount, Script, ScriptBuf, XOnlyPublicKey, key::TweakedPublicKey, secp256k1::Secp256k1,
};
use grail_flow::{least_fee, least_rest, least_weight, least_worth};
use grail_script::{DepositTree, InternalKey, VaultTree};
use grail_types::{Bridge, Destination, Governance, Params, Roster, Terms};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

use crate::{
    Kind, Problem, ProblemCode,
    address::{check_carries_zkbtc, check_still_spendable, parse_address},
};

/// Largest body read: several times the longest valid one.
pub const BODY_BYTES_MAX: usize = 4 * 1024;
/// Name of the header that makes asking twice the same as asking once.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";
/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 64;

/// `POST /v1/peg-ins`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePegIn {
    /// Who gets the zkBTC: a segwit address of the network.
    pub recipient_address: String,
    /// The user's x-only public key for the way out, hex.
    pub reclaim_public_key: String,
    /// Most that the request may contribute to a settlement's fee.
    pub fee_cap_sat: u64,
    /// Blocks after which the user may take the deposit back; the shortest served when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_delay: Option<u16>,
    /// What the user is going to deposit, if known: checked against the limits, and put into the
    /// payment URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_sat: Option<u64>,
    /// The client's own nonce, 16 bytes in hex: who knows it can make the terms again without the
    /// receipt. The server's choice when absent. Terms that were asked for once are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// `POST /v1/peg-outs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreatePegOut {
    /// Who gets the BTC: an address of the network.
    pub payout_address: String,
    /// The user's x-only public key for the way out, hex.
    pub reclaim_public_key: String,
    /// Most that the request may contribute to a settlement's fee.
    pub fee_cap_sat: u64,
    /// Blocks after which the user may take the deposit back; the shortest served when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_delay: Option<u16>,
    /// The zkBTC that the user is going to deposit, if known: checked against the limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_sat: Option<u64>,
    /// The client's own nonce, 16 bytes in hex: who knows it can make the terms again without the
    /// receipt. The server's choice when absent. Terms that were asked for once are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// `POST /v1/sponsors`: pays the miners of a step of a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSponsor {
    /// Which step: one of the kinds that begin with `sponsor-`.
    pub kind: Kind,
    /// The sponsor's x-only public key for the way out, hex.
    pub reclaim_public_key: String,
    /// Most that may be paid: a coin above it is not taken.
    pub fee_cap_sat: u64,
    /// Blocks after which what no step took may be taken back; the shortest served when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reclaim_delay: Option<u16>,
    /// What the sponsor is going to deposit, if known: checked against the limits, and put into the
    /// payment URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount_sat: Option<u64>,
    /// The client's own nonce, 16 bytes in hex, as for a peg.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
}

/// A request that this bridge can serve; may lack the nonce to become terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedRequest {
    terms: Terms,
    nonce: Option<[u8; 16]>,
    amount: Option<Amount>,
}

impl ParsedRequest {
    /// The terms, made unlike all others by the nonce asked for, or where none was by this one.
    pub fn into_terms(self, otherwise: [u8; 16]) -> Terms {
        Terms {
            nonce: self.nonce.unwrap_or(otherwise),
            ..self.terms
        }
    }

    /// Whether `terms` are this request, with the nonce asked for or where none was with any: what
    /// a client asks about the terms that it is given.
    pub fn matches(&self, terms: &Terms) -> bool {
        self.clone().into_terms(terms.nonce) == *terms
    }

    /// Where the request pays to.
    pub fn destination(&self) -> &Script {
        self.terms.destination.script()
    }

    /// What the user is going to deposit, if known.
    pub fn amount(&self) -> Option<Amount> {
        self.amount
    }
}

impl CreatePegIn {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        read(body, BODY_BYTES_MAX)
    }

    /// Checks the body against what the bridge serves.
    pub fn parse(
        &self,
        bridge: &Bridge,
        params: &Params,
        roster: &Roster,
        governance: &Governance,
    ) -> Result<ParsedRequest, Problem> {
        Fields {
            kind: Kind::PegIn,
            address: &self.recipient_address,
            reclaim_public_key: &self.reclaim_public_key,
            fee_cap_sat: self.fee_cap_sat,
            reclaim_delay: self.reclaim_delay,
            amount_sat: self.amount_sat,
            nonce: self.nonce.as_deref(),
        }
        .parse(bridge, params, roster, governance)
    }
}

impl CreatePegOut {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        read(body, BODY_BYTES_MAX)
    }

    /// Checks the body against what the bridge serves.
    pub fn parse(
        &self,
        bridge: &Bridge,
        params: &Params,
        roster: &Roster,
        governance: &Governance,
    ) -> Result<ParsedRequest, Problem> {
        Fields {
            kind: Kind::PegOut,
            address: &self.payout_address,
            reclaim_public_key: &self.reclaim_public_key,
            fee_cap_sat: self.fee_cap_sat,
            reclaim_delay: self.reclaim_delay,
            amount_sat: self.amount_sat,
            nonce: self.nonce.as_deref(),
        }
        .parse(bridge, params, roster, governance)
    }
}

impl CreateSponsor {
    /// Reads a body.
    pub fn from_json(body: &[u8]) -> Result<Self, Problem> {
        read(body, BODY_BYTES_MAX)
    }

    /// Checks the body against what the bridge serves.
    pub fn parse(
        &self,
        bridge: &Bridge,
        params: &Params,
        roster: &Roster,
    ) -> Result<ParsedRequest, Problem> {
        if !grail_types::Kind::from(self.kind).is_sponsor() {
            return Err(Problem::new(
                ProblemCode::MalformedBody,
                format!(
                    "expected a kind that begins with sponsor-, got {}",
                    self.kind
                ),
            ));
        }
        let secp = Secp256k1::verification_only();
        let reclaim_key = parse_public_key(&self.reclaim_public_key)?;
        let terms = Terms {
            kind: self.kind.into(),
            network: bridge.network,
            bridge: bridge.app,
            destination: sponsor_destination(&reclaim_key),
            fee_cap: Amount::from_sat(self.fee_cap_sat),
            epoch: roster.epoch(),
            reclaim_key,
            reclaim_delay: parse_delay(self.reclaim_delay, params)?,
            nonce: [0; 16],
        };
        let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms, roster);
        let min = deposit_min(params, &deposit, &terms);
        let amount = self
            .amount_sat
            .map(|amount| parse_amount(amount, min, params))
            .transpose()?;
        check_sponsor_cap(&terms, amount, min, params)?;
        Ok(ParsedRequest {
            terms,
            nonce: self.nonce.as_deref().map(parse_nonce).transpose()?,
            amount,
        })
    }
}

/// A sponsor gets nothing, and terms name a destination: the key that takes the deposit back.
fn sponsor_destination(reclaim_key: &XOnlyPublicKey) -> Destination {
    let key = TweakedPublicKey::dangerous_assume_tweaked(*reclaim_key);
    let script = ScriptBuf::new_p2tr_tweaked(key);
    script
        .try_into()
        .expect("a taproot output is a destination")
}

/// The cap of a sponsor is the largest coin that is taken, so it is no less than the smallest and
/// than what is meant to be paid, and no more than the heaviest transaction may give to the miners.
fn check_sponsor_cap(
    terms: &Terms,
    amount: Option<Amount>,
    min: Amount,
    params: &Params,
) -> Result<(), Problem> {
    let (rate, weight) = (params.fee_rate_max, params.settlement_weight_max);
    let most = rate.fee_wu(weight).unwrap_or(Amount::MAX_MONEY);
    let (least, most) = (amount.unwrap_or(min).max(min), params.deposit_max.min(most));
    let (code, expected) = if terms.fee_cap < least {
        (
            ProblemCode::FeeCapTooLow,
            format!("at least {}", least.to_sat()),
        )
    } else if terms.fee_cap > most {
        (
            ProblemCode::FeeCapTooHigh,
            format!("at most {}", most.to_sat()),
        )
    } else {
        return Ok(());
    };
    Err(Problem::new(
        code,
        format!(
            "expected {expected} sat, got {} sat",
            terms.fee_cap.to_sat()
        ),
    ))
}

/// A client's own name for one request: the same key and body give the same request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the header's value; `None` when it is absent.
    pub fn parse(header: Option<&[u8]>) -> Result<Self, Problem> {
        let bytes = header.ok_or_else(|| {
            Problem::new(
                ProblemCode::IdempotencyKeyMissing,
                "expected an Idempotency-Key header, got none",
            )
        })?;
        let is_plain = bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match std::str::from_utf8(bytes) {
            Ok(text) if is_plain && (1..=IDEMPOTENCY_KEY_LENGTH_MAX).contains(&text.len()) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Problem::new(
                ProblemCode::BadIdempotencyKey,
                format!(
                    "expected 1 to {IDEMPOTENCY_KEY_LENGTH_MAX} letters, digits, - or _, got {} bytes",
                    bytes.len()
                ),
            )),
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Lowest fee cap that makes sense: the least that a request ever pays, in a full batch at the
/// lowest fee rate.
pub fn fee_cap_min(params: &Params, deposit: &DepositTree, terms: &Terms) -> Amount {
    least_fee(params, least_weight(params, deposit, terms))
}

/// The payment URI of a deposit address (BIP-21).
pub fn bip21(deposit_address: &str, amount: Option<Amount>) -> String {
    amount.map_or_else(
        || format!("bitcoin:{deposit_address}"),
        |amount| {
            format!(
                "bitcoin:{deposit_address}?amount={}",
                amount.to_string_in(bitcoin::Denomination::Bitcoin)
            )
        },
    )
}

/// Checks terms that were made before against what the bridge serves with the roster of `vault`, as
/// new ones are.
pub(crate) fn check_terms(
    terms: &Terms,
    deposit: &DepositTree,
    params: &Params,
    vault: &VaultTree,
) -> Result<(), Problem> {
    if terms.kind.is_sponsor() {
        parse_delay(Some(terms.reclaim_delay), params)?;
        let min = deposit_min(params, deposit, terms);
        return check_sponsor_cap(terms, None, min, params);
    }
    check_destination(&terms.destination, vault)?;
    check_still_spendable(&terms.destination)?;
    if Kind::from(terms.kind) == Kind::PegIn {
        check_carries_zkbtc(&terms.destination, params)?;
    }
    parse_delay(Some(terms.reclaim_delay), params)?;
    let min = fee_cap_min(params, deposit, terms);
    check_fee_cap(terms, None, min, params)
}

fn check_destination(destination: &Destination, vault: &VaultTree) -> Result<(), Problem> {
    if destination.script() == vault.script_pubkey.as_script() {
        return Err(Problem::new(
            ProblemCode::UnsupportedAddress,
            "the destination is the vault",
        ));
    }
    Ok(())
}

/// A cap within which no settlement fits is refused, and one that could leave the user nothing.
fn check_fee_cap(
    terms: &Terms,
    amount: Option<Amount>,
    min: Amount,
    params: &Params,
) -> Result<(), Problem> {
    let got = terms.fee_cap.to_sat();
    if terms.fee_cap < min {
        return Err(Problem::new(
            ProblemCode::FeeCapTooLow,
            format!("expected at least {} sat, got {got} sat", min.to_sat()),
        ));
    }
    // What must be left: a carrier with zkBTC on it, or a payout above dust.
    let rest = least_rest(params, terms);
    let max = amount
        .unwrap_or(params.deposit_max)
        .checked_sub(rest)
        .unwrap_or(Amount::ZERO);
    if terms.fee_cap > max {
        return Err(Problem::new(
            ProblemCode::FeeCapTooHigh,
            format!("expected at most {} sat, got {got} sat", max.to_sat()),
        ));
    }
    Ok(())
}

/// Both bodies, with their differences named.
struct Fields<'a> {
    kind: Kind,
    address: &'a str,
    reclaim_public_key: &'a str,
    fee_cap_sat: u64,
    reclaim_delay: Option<u16>,
    amount_sat: Option<u64>,
    nonce: Option<&'a str>,
}

impl Fields<'_> {
    fn parse(
        &self,
        bridge: &Bridge,
        params: &Params,
        roster: &Roster,
        governance: &Governance,
    ) -> Result<ParsedRequest, Problem> {
        let secp = Secp256k1::verification_only();
        let destination = parse_address(self.address, bridge.network)?;
        check_destination(
            &destination,
            &VaultTree::new(&secp, InternalKey::Nums, roster, governance),
        )?;
        if self.kind == Kind::PegIn {
            check_carries_zkbtc(&destination, params)?;
        }
        let terms = Terms {
            kind: self.kind.into(),
            network: bridge.network,
            bridge: bridge.app,
            destination,
            fee_cap: Amount::from_sat(self.fee_cap_sat),
            epoch: roster.epoch(),
            reclaim_key: parse_public_key(self.reclaim_public_key)?,
            reclaim_delay: parse_delay(self.reclaim_delay, params)?,
            nonce: [0; 16],
        };
        let deposit = DepositTree::new(&secp, InternalKey::Nums, &terms, roster);
        let min = deposit_min(params, &deposit, &terms);
        let amount = self
            .amount_sat
            .map(|amount| parse_amount(amount, min, params))
            .transpose()?;
        let min = fee_cap_min(params, &deposit, &terms);
        check_fee_cap(&terms, amount, min, params)?;
        Ok(ParsedRequest {
            terms,
            nonce: self.nonce.map(parse_nonce).transpose()?,
            amount,
        })
    }
}

/// A body of at most so many bytes.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8], bytes_max: usize) -> Result<T, Problem> {
    if body.len() > bytes_max {
        return Err(Problem::new(
            ProblemCode::BodyTooLarge,
            format!("expected at most {bytes_max} bytes, got {}", body.len()),
        ));
    }
    // A struct would be read from an array too, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::new(
            ProblemCode::MalformedBody,
            "expected a JSON object",
        ));
    }
    serde_json::from_slice(body).map_err(|error| {
        let text = error.to_string();
        // serde has no kind for it; its wording is pinned by a test.
        let code = if text.starts_with("unknown field") {
            ProblemCode::UnknownField
        } else {
            ProblemCode::MalformedBody
        };
        Problem::new(code, text)
    })
}

/// Smallest deposit that can be served, in BTC or zkBTC: less would not even pay for its part of a
/// full batch at the lowest fee rate. A peg-out's zkBTC lies on a coin of at least the carrier.
pub fn deposit_min(params: &Params, deposit: &DepositTree, terms: &Terms) -> Amount {
    let least = least_worth(params, terms, least_weight(params, deposit, terms));
    match Kind::from(terms.kind) {
        Kind::PegIn => least.max(params.deposit_min),
        Kind::PegOut => least
            .checked_sub(params.carrier)
            .unwrap_or(Amount::ZERO)
            .max(Amount::ONE_SAT),
        Kind::SponsorAnnounce | Kind::SponsorCancel | Kind::SponsorExecute | Kind::SponsorMerge => {
            least
        }
    }
}

fn parse_amount(amount_sat: u64, min: Amount, params: &Params) -> Result<Amount, Problem> {
    let (min, max) = (min.to_sat(), params.deposit_max.to_sat());
    let code = if amount_sat == 0 {
        ProblemCode::AmountZero
    } else if amount_sat < min {
        ProblemCode::AmountBelowMinimum
    } else if amount_sat > max {
        ProblemCode::AmountAboveMaximum
    } else {
        return Ok(Amount::from_sat(amount_sat));
    };
    Err(Problem::new(
        code,
        format!("expected {min} to {max} sat, got {amount_sat} sat"),
    ))
}

fn parse_public_key(text: &str) -> Result<XOnlyPublicKey, Problem> {
    text.parse().map_err(|_| {
        Problem::new(
            ProblemCode::BadPublicKey,
            format!(
                "expected an x-only public key of 64 hex characters, got {} characters",
                text.len()
            ),
        )
    })
}

fn parse_nonce(text: &str) -> Result<[u8; 16], Problem> {
    let mut nonce = [0; 16];
    match hex::decode_to_slice(text, &mut nonce) {
        Ok(()) => Ok(nonce),
        Err(_) => Err(Problem::new(
            ProblemCode::MalformedBody,
            format!(
                "expected a nonce of 32 hex characters, got {} characters",
                text.len()
            ),
        )),
    }
}

fn parse_delay(delay: Option<u16>, params: &Params) -> Result<u16, Problem> {
    let allowed = params.reclaim_delay_min..=params.reclaim_delay_max;
    let delay = delay.unwrap_or(params.reclaim_delay_min);
    if allowed.contains(&delay) {
        Ok(delay)
    } else {
        Err(Problem::new(
            ProblemCode::ReclaimDelayOutOfRange,
            format!(
                "expected {} to {} blocks, got {delay}",
                params.reclaim_delay_min, params.reclaim_delay_max
            ),
        ))
    }
}
