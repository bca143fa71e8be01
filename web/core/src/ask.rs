//! A wish, and what the API answers to it.

use bitcoin::key::TweakedPublicKey;
use bitcoin::{Address, Amount, FeeRate, XOnlyPublicKey};
use grail_api::{CreatePegIn, CreatePegOut, Kind, ParamsAnswer, ParsedRequest, Request, bip21};
use grail_attest::Protocol;
use grail_types::Roster;
use grail_wallet::fee_cap::{FEE_CAP_RUNGS, default_fee_cap};
use grail_wallet::peg::{check_answer, checked_protocol};
use grail_wallet::receipt::StoredReceipt;
use grail_wallet::slot::Slot;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::believe::{Believed, Shown};
use crate::call::read_value;
use crate::failure::Failure;

/// A body of `POST /v1/peg-ins` or `/v1/peg-outs`.
enum Create {
    /// BTC to zkBTC.
    PegIn(CreatePegIn),
    /// zkBTC to BTC.
    PegOut(CreatePegOut),
}

impl Create {
    fn read(kind: Kind, body: &Value) -> Result<Self, Failure> {
        match kind {
            Kind::PegIn => Ok(Self::PegIn(read_value(body.clone())?)),
            Kind::PegOut => Ok(Self::PegOut(read_value(body.clone())?)),
            Kind::SponsorAnnounce
            | Kind::SponsorCancel
            | Kind::SponsorExecute
            | Kind::SponsorMerge => Err(Failure::new("no-peg", format!("a {kind} is not a peg"))),
        }
    }

    fn parse(&self, protocol: &Protocol, roster: &Roster) -> Result<ParsedRequest, Failure> {
        let (bridge, params) = (protocol.bridge(), protocol.params());
        let governance = protocol.governance();
        Ok(match self {
            Self::PegIn(body) => body.parse(bridge, params, roster, governance)?,
            Self::PegOut(body) => body.parse(bridge, params, roster, governance)?,
        })
    }

    /// What the words would have chosen, so far as it stands in the body.
    fn is_of(&self, slot: &OwnTerms, delay_min: u16) -> bool {
        let (to, key, nonce, cap, delay) = match self {
            Self::PegIn(body) => (
                &body.recipient_address,
                &body.reclaim_public_key,
                &body.nonce,
                body.fee_cap_sat,
                body.reclaim_delay,
            ),
            Self::PegOut(body) => (
                &body.payout_address,
                &body.reclaim_public_key,
                &body.nonce,
                body.fee_cap_sat,
                body.reclaim_delay,
            ),
        };
        *to == slot.address
            && *key == slot.reclaim_public_key
            && nonce.as_ref() == Some(&slot.nonce)
            && FEE_CAP_RUNGS.contains(&Amount::from_sat(cap))
            && delay.is_none_or(|delay| delay == delay_min)
    }
}

/// Whether a wish can be served, before anybody is asked.
#[derive(Deserialize)]
pub struct Wish {
    /// Direction: a peg.
    kind: Kind,
    /// The body as it is sent.
    body: Value,
    /// `/v1/params`.
    params: ParamsAnswer,
    /// `/v1/roster`.
    roster: grail_api::RosterAnswer,
    /// What settlements pay now, satoshis per 1,000 vbytes.
    #[serde(default)]
    fee_rate_sat_per_kvb: Option<u64>,
    /// What is meant to be deposited, satoshis: for a default of the cap.
    #[serde(default)]
    amount_sat: u64,
}

/// Stands in for a key that is not there yet: the generator, a point like any other.
const KEY_TO_COME: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

impl Create {
    /// The same, with what is still empty filled in: somebody who types an amount first is told
    /// whether it will do.
    fn filled(&self, network: grail_types::Network) -> Result<Self, Failure> {
        let no = |error: String| Failure::new("bad-address", error);
        let key: XOnlyPublicKey = KEY_TO_COME.parse().map_err(|_| no("no key".to_owned()))?;
        let key = TweakedPublicKey::dangerous_assume_tweaked(key);
        let address = Address::p2tr_tweaked(key, bitcoin::Network::from(network)).to_string();
        let fill = |text: &mut String, with: &str| {
            if text.is_empty() {
                with.clone_into(text);
            }
        };
        Ok(match self {
            Self::PegIn(body) => {
                let mut body = body.clone();
                fill(&mut body.recipient_address, &address);
                fill(&mut body.reclaim_public_key, KEY_TO_COME);
                Self::PegIn(body)
            }
            Self::PegOut(body) => {
                let mut body = body.clone();
                fill(&mut body.payout_address, &address);
                fill(&mut body.reclaim_public_key, KEY_TO_COME);
                Self::PegOut(body)
            }
        })
    }

    /// The same with a cap of the core's choice, where none is named.
    fn capped(self, cap: Amount) -> Self {
        match self {
            Self::PegIn(mut body) if body.fee_cap_sat == 0 => {
                body.fee_cap_sat = cap.to_sat();
                Self::PegIn(body)
            }
            Self::PegOut(mut body) if body.fee_cap_sat == 0 => {
                body.fee_cap_sat = cap.to_sat();
                Self::PegOut(body)
            }
            other => other,
        }
    }
}

/// What a wish can be.
#[derive(Serialize)]
pub struct WishVerdict {
    /// A cap that the words find again, and that is enough today.
    default_fee_cap_sat: u64,
    /// Why it cannot be served so; absent when it can.
    refused: Option<Failure>,
}

impl Wish {
    /// The verdict. Says nothing about the bridge.
    pub fn check(&self) -> Result<WishVerdict, Failure> {
        let protocol = checked_protocol(self.params.clone())?;
        let roster = self.roster.roster();
        let roster = roster.map_err(|error| Failure::new("roster-invalid", error.to_string()))?;
        let rate = FeeRate::from_sat_per_kwu(self.fee_rate_sat_per_kvb.unwrap_or(0).div_ceil(4));
        let cap = default_fee_cap(Amount::from_sat(self.amount_sat), rate);
        let create = Create::read(self.kind, &self.body)?
            .filled(protocol.bridge().network)?
            .capped(cap);
        Ok(WishVerdict {
            default_fee_cap_sat: cap.to_sat(),
            refused: create.parse(&protocol, &roster).err(),
        })
    }
}

/// What a slot's request is made of, as the call `slot` answered.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnTerms {
    slot: Slot,
    reclaim_public_key: String,
    nonce: String,
    address: String,
}

/// An answer of the API, with all that it is held against.
#[derive(Deserialize)]
pub struct CheckAnswer {
    /// Direction: a peg.
    kind: Kind,
    /// The body as it is sent.
    body: Value,
    /// The bridge.
    shown: Shown,
    /// What the API answered.
    answer: Request,
    /// The slot, if the reclaim key comes from one.
    #[serde(default)]
    own: Option<OwnTerms>,
}

/// An answer that can be paid.
#[derive(Serialize)]
pub struct Payable {
    id: String,
    deposit_address: String,
    /// Payment URI (BIP-21); of a peg-in.
    bip21: Option<String>,
    /// The receipt as it is to be kept: what `grail reclaim` reads too.
    file: StoredReceipt,
    /// Whether the words alone find the deposit again (ADR 20).
    is_found_by_words: bool,
    deadline_height: u32,
    reclaim_delay: u16,
    fee_cap_sat: u64,
    attested: usize,
}

impl CheckAnswer {
    /// Checks everything; only then is there an address.
    pub fn check(&self) -> Result<Payable, Failure> {
        let Believed { protocol, roster } = self.shown.believe()?;
        let create = Create::read(self.kind, &self.body)?;
        let parsed = create.parse(&protocol, &roster)?;
        let checked = check_answer(&parsed, &roster, &self.answer)?;
        if self.answer.kind != self.kind {
            return Err(Failure::new(
                "answer-contradicts",
                "the answer is of another kind",
            ));
        }
        let delay_min = protocol.params().reclaim_delay_min;
        let own = self.own.as_ref();
        Ok(Payable {
            id: checked.request().to_string(),
            deposit_address: checked.receipt().deposit_address.clone(),
            bip21: (self.kind == Kind::PegIn)
                .then(|| bip21(&checked.receipt().deposit_address, parsed.amount())),
            is_found_by_words: own.is_some_and(|own| create.is_of(own, delay_min)),
            file: StoredReceipt {
                receipt: checked.receipt().clone(),
                slot: own.map(|own| own.slot),
                reclaim_key_index: None,
                stored_at: self.shown.now(),
            },
            deadline_height: self.answer.deadline_height,
            reclaim_delay: checked.terms().reclaim_delay,
            fee_cap_sat: checked.terms().fee_cap.to_sat(),
            attested: roster.signers().len(),
        })
    }
}
