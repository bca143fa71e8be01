//! A wish, and what the API answers to it.

use bitcoin::{Amount, FeeRate};
use grail_api::{CreatePegIn, CreatePegOut, Kind, ParamsAnswer, ParsedRequest, Request, bip21};
use grail_attest::Protocol;
use grail_types::Roster;
use grail_wallet::fee_cap::{FEE_CAP_RUNGS, default_fee_cap};
use grail_wallet::peg::{check_answer, checked_protocol};
use grail_wallet::receipt::StoredReceipt;
use grail_wallet::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::believe::{Believed, Shown};
use crate::failure::Failure;

/// A body of `POST /v1/peg-ins` or `/v1/peg-outs`.
#[derive(Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Create {
    /// BTC to zkBTC.
    PegIn(CreatePegIn),
    /// zkBTC to BTC.
    PegOut(CreatePegOut),
}

impl Create {
    fn parse(&self, protocol: &Protocol, roster: &Roster) -> Result<ParsedRequest, Failure> {
        let (bridge, params) = (protocol.bridge(), protocol.params());
        let governance = protocol.governance();
        Ok(match self {
            Self::PegIn(body) => body.parse(bridge, params, roster, governance)?,
            Self::PegOut(body) => body.parse(bridge, params, roster, governance)?,
        })
    }

    const fn kind(&self) -> Kind {
        match self {
            Self::PegIn(_) => Kind::PegIn,
            Self::PegOut(_) => Kind::PegOut,
        }
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
    #[serde(flatten)]
    create: Create,
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
        Ok(WishVerdict {
            default_fee_cap_sat: cap.to_sat(),
            refused: self.create.parse(&protocol, &roster).err(),
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
    #[serde(flatten)]
    create: Create,
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
        let parsed = self.create.parse(&protocol, &roster)?;
        let checked = check_answer(&parsed, &roster, &self.answer)?;
        if self.answer.kind != self.create.kind() {
            return Err(Failure::new("answer-contradicts", "the answer is of another kind"));
        }
        let delay_min = protocol.params().reclaim_delay_min;
        let own = self.own.as_ref();
        Ok(Payable {
            id: checked.request().to_string(),
            deposit_address: checked.receipt().deposit_address.clone(),
            bip21: (self.create.kind() == Kind::PegIn)
                .then(|| bip21(&checked.receipt().deposit_address, parsed.amount())),
            is_found_by_words: own.is_some_and(|own| self.create.is_of(own, delay_min)),
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
