//! What the API shows of its bridge, and how much of it is believed.
//!
//! Trusts the pin, and where there is none the first answer, which is pinned then. From the pin on
//! parameters, administrators and roster must follow by the consent of every roster before
//! (ADR 13), and each signer's evidence must verify under the root that is built in.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Transaction, Txid};
use grail_api::{ParamsAnswer, RosterAnswer, RosterRecord};
use grail_attest::{Protocol, TrustAnchor};
use grail_types::{Epoch, Roster};
use grail_wallet::followed::{Followed, MinedBy, follow_protocol};
use grail_wallet::peg::checked_protocol;
use grail_wallet::roster::{
    NotAttested, SignerVerdict, believe_roster, check_evidence, checked_roster, nft_supply,
};
use serde::{Deserialize, Serialize};

use crate::failure::Failure;

/// What is remembered of the bridge that a browser has seen first.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// What the bridge went by.
    params: ParamsAnswer,
    /// The transaction that deployed it.
    genesis: Txid,
}

/// Answers of the API, as they came.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// `/v1/params`.
    params: ParamsAnswer,
    /// `/v1/roster`.
    roster: RosterAnswer,
    /// `/v1/rosters/{epoch}`, from the deployment's on.
    rosters: Vec<RosterRecord>,
    /// What was pinned; nothing on the first visit.
    #[serde(default)]
    pin: Option<Pin>,
    /// Unix seconds by the browser's clock.
    now: u64,
}

/// A bridge whose parts follow from the pin. Says nothing about evidence.
struct OfThePin {
    followed: Followed,
    genesis: Txid,
}

/// A bridge that is believed, evidence and all.
pub struct Believed {
    /// What it goes by.
    pub protocol: Protocol,
    /// Its roster.
    pub roster: Roster,
}

/// A signer, and whether its evidence verifies.
#[derive(Serialize)]
struct Signer {
    index: u16,
    name: String,
    public_key: String,
    is_attested: bool,
    /// Of an attested one: PCR0 of its image, hex.
    pcr0: Option<String>,
    /// Unix seconds.
    attested_at: Option<u64>,
    /// Of another: why not.
    code: Option<&'static str>,
    reason: Option<String>,
}

/// What is believed of a bridge.
#[derive(Serialize)]
pub struct Verdict {
    network: String,
    params_hash: String,
    /// The transaction that deployed it; to be pinned.
    genesis: String,
    /// Whose root evidence is verified under.
    trust_anchor: String,
    epoch: Epoch,
    threshold: u16,
    /// Recomputed from roster and administrators.
    vault_address: String,
    signers: Vec<Signer>,
    attested: usize,
    /// Whether every signer is attested: otherwise no address is shown.
    is_believed: bool,
    /// zkBTC in existence by the NFT's state, where the transaction that holds it was shown.
    supply_sat: Option<u64>,
}

impl Shown {
    /// What is believed of the bridge. A signer that is not attested is part of the answer, so
    /// that the page can show it; all else is an error.
    pub fn verdict(&self) -> Result<Verdict, Failure> {
        let OfThePin { followed, genesis } = self.of_the_pin()?;
        let protocol = followed.protocol();
        let roster = checked_roster(&self.roster, protocol)?;
        is_newest(&roster, &followed)?;
        let signers: Vec<Signer> = check_evidence(&self.roster, protocol, self.now)
            .into_iter()
            .map(Signer::from)
            .collect();
        let attested = signers.iter().filter(|signer| signer.is_attested).count();
        Ok(Verdict {
            network: protocol.bridge().network.to_string(),
            params_hash: protocol.hash().to_string(),
            genesis: genesis.to_string(),
            trust_anchor: TrustAnchor::of(protocol.bridge().network).name().to_owned(),
            epoch: roster.epoch(),
            threshold: roster.threshold().0,
            vault_address: self.roster.address.clone(),
            attested,
            is_believed: attested == signers.len(),
            supply_sat: self.supply(&roster, protocol)?.map(Amount::to_sat),
            signers,
        })
    }

    /// The bridge, if everything about it is believed.
    pub fn believe(&self) -> Result<Believed, Failure> {
        let followed = self.of_the_pin()?.followed;
        let roster = believe_roster(&self.roster, followed.protocol(), self.now)?;
        is_newest(&roster, &followed)?;
        self.supply(&roster, followed.protocol())?;
        Ok(Believed {
            protocol: followed.protocol().clone(),
            roster,
        })
    }

    /// Unix seconds by the browser's clock.
    pub const fn now(&self) -> u64 {
        self.now
    }

    fn of_the_pin(&self) -> Result<OfThePin, Failure> {
        let served = checked_protocol(self.params.clone())?;
        let first = self.rosters.first().map(|record| record.txid);
        let (pinned, genesis) = match &self.pin {
            Some(pin) => (checked_protocol(pin.params.clone())?, pin.genesis),
            None => (
                served.clone(),
                first.ok_or_else(|| {
                    Failure::new(
                        "history-gap",
                        "expected the roster of epoch 0 first, got none",
                    )
                })?,
            ),
        };
        if served.bridge() != pinned.bridge() {
            let detail = "the API serves another bridge than the one that this browser has pinned";
            return Err(Failure::new("bridge-changed", detail));
        }
        let followed = follow_protocol(&pinned, MinedBy::Genesis(genesis), served, &self.rosters)?;
        Ok(OfThePin { followed, genesis })
    }

    /// What the NFT's state says, if it still lies where the newest roster was made: settlements
    /// move it, and their transactions the API does not show.
    fn supply(&self, roster: &Roster, protocol: &Protocol) -> Result<Option<Amount>, Failure> {
        let outpoint = self.roster.nft_outpoint;
        let Some(record) = self.rosters.last().filter(|it| it.txid == outpoint.txid) else {
            return Ok(None);
        };
        let transaction: Transaction = deserialize_hex(&record.transaction)
            .map_err(|error| Failure::new("history-malformed", error.to_string()))?;
        Ok(Some(nft_supply(&transaction, outpoint, roster, protocol)?))
    }
}

/// The API names the roster that follows last, and no other.
fn is_newest(roster: &Roster, followed: &Followed) -> Result<(), Failure> {
    if followed.newest().roster() == roster {
        return Ok(());
    }
    let detail = format!(
        "the newest roster that follows from the pin is that of epoch {}, the API names another",
        followed.newest().epoch()
    );
    Err(Failure::new("roster-differs", detail))
}

impl From<SignerVerdict> for Signer {
    fn from(signer: SignerVerdict) -> Self {
        let (attested, refused) = match signer.verdict {
            Ok(attested) => (Some(attested), None),
            Err(refused) => (None, Some(refused)),
        };
        Self {
            index: signer.index,
            name: signer.name,
            public_key: signer.public_key,
            is_attested: attested.is_some(),
            attested_at: attested.as_ref().map(|it| it.at),
            pcr0: attested.map(|it| it.pcr0),
            code: refused.as_ref().map(NotAttested::code),
            reason: refused.map(|it| it.to_string()),
        }
    }
}
