//! Whether a roster is what it claims: evidence of every signer, and the roster NFT on chain.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Amount, OutPoint, ScriptBuf, Transaction};
use grail_api::{RosterAnswer, Signer};
use grail_attest::{Protocol, SignerExpectation, UnixTime, verify_signer_evidence};
use grail_charms::{PrevTx, roster_state};
use grail_script::{InternalKey, VaultTree};
use grail_spell::{BridgeCharms, nft_app};
use grail_types::{GovernanceError, MockAllowed, Roster, RosterError};

/// How late this computer's clock may be: clocks of phones and virtual machines are off by minutes.
const CLOCK_LATE_MAX_SECS: u64 = 300;
/// Longest evidence that is decoded, base64.
const EVIDENCE_CHARS_MAX: usize = 32 * 1024;

/// Why a roster is not believed.
#[derive(Debug, thiserror::Error)]
pub enum RosterFailure {
    /// Keys and threshold are no roster.
    #[error("roster: {0}")]
    Invalid(#[from] RosterError),
    /// Fewer administrators could hand the bridge over than signers it takes to spend.
    #[error("administrators: {0}")]
    Share(#[from] GovernanceError),
    /// Roster and address do not belong together.
    #[error("the roster's address is {expected}, the API names {got}")]
    Address {
        /// Recomputed.
        expected: String,
        /// By the API.
        got: String,
    },
    /// A signer's evidence does not verify.
    #[error("signer {index} ({name}): {reason}")]
    Evidence {
        /// Position.
        index: u16,
        /// The operator's name for itself.
        name: String,
        /// What does not verify.
        reason: String,
    },
    /// The evidence verifies, but for the clock that it was held against.
    #[error("signer {index} ({name}): {late}")]
    Clock {
        /// Position.
        index: u16,
        /// The operator's name for itself.
        name: String,
        /// By how much.
        late: ClockLate,
    },
    /// The output that should hold the NFT is spent or unknown.
    #[error(
        "{0}, which should hold the roster NFT, is not an unspent output: a settlement may just have moved it, try again"
    )]
    NftGone(OutPoint),
    /// The output holds no roster NFT of this bridge.
    #[error("{outpoint} does not hold the roster NFT: {reason}")]
    NoNft {
        /// The output.
        outpoint: OutPoint,
        /// What was found.
        reason: String,
    },
    /// The NFT says something else than the API.
    #[error("the roster NFT's {what} is another than the API's")]
    NftDiffers {
        /// Which part.
        what: &'static str,
    },
}

impl RosterFailure {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "roster-invalid",
            Self::Share(_) => "governance-share",
            Self::Address { .. } => "roster-address",
            Self::Evidence { .. } => "evidence-invalid",
            Self::Clock { .. } => ClockLate::CODE,
            Self::NftGone(_) => "nft-spent",
            Self::NoNft { .. } => "nft-missing",
            Self::NftDiffers { .. } => "nft-differs",
        }
    }
}

/// Verdict on a signer's evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerVerdict {
    /// Position in the roster.
    pub index: u16,
    /// The operator's name for itself.
    pub name: String,
    /// The signer's key.
    pub public_key: String,
    /// PCR0 of the image that holds the key, and when the evidence was made; or why it is not
    /// believed.
    pub verdict: Result<Attested, NotAttested>,
}

/// Why a signer's evidence is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAttested {
    /// It does not verify.
    #[error("{0}")]
    Invalid(String),
    /// It verifies as of its own time, which this computer's clock has not reached.
    #[error(transparent)]
    Clock(#[from] ClockLate),
}

impl NotAttested {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "evidence-invalid",
            Self::Clock(_) => ClockLate::CODE,
        }
    }
}

/// Evidence of the future: it verifies in all else, so the clock here is wrong rather than it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the evidence verifies, and was made {} minutes from now by this computer's clock: your clock may be wrong",
    .seconds.div_ceil(60)
)]
pub struct ClockLate {
    /// How far ahead of the clock it was made.
    pub seconds: u64,
}

impl ClockLate {
    const CODE: &'static str = "clock-late";
}

/// What evidence proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attested {
    /// The enclave image, hex.
    pub pcr0: String,
    /// Unix seconds.
    pub at: u64,
}

/// Verifies every signer's evidence. `now` in unix seconds.
pub fn check_evidence(answer: &RosterAnswer, protocol: &Protocol, now: u64) -> Vec<SignerVerdict> {
    let verdict = |(position, signer): (usize, &Signer)| SignerVerdict {
        index: signer.index,
        name: printable(&signer.name),
        public_key: signer.public_key.to_string(),
        verdict: if usize::from(signer.index) == position {
            check_signer(signer, protocol).and_then(|attested| in_time(attested, now))
        } else {
            let wrong = format!("expected index {position}, got {}", signer.index);
            Err(NotAttested::Invalid(wrong))
        },
    };
    answer.signers.iter().enumerate().map(verdict).collect()
}

/// Evidence is verified as of its own time: a certificate lives three hours, a signer's key for an
/// epoch. What it proves is where the key was born, not what runs today.
fn check_signer(signer: &Signer, protocol: &Protocol) -> Result<Attested, NotAttested> {
    attested(signer, protocol).map_err(NotAttested::Invalid)
}

/// A clock that is a little late says nothing.
fn in_time(attested: Attested, now: u64) -> Result<Attested, NotAttested> {
    match attested.at.checked_sub(now) {
        Some(seconds) if seconds > CLOCK_LATE_MAX_SECS => Err(ClockLate { seconds }.into()),
        _ => Ok(attested),
    }
}

fn attested(signer: &Signer, protocol: &Protocol) -> Result<Attested, String> {
    if signer.evidence.len() > EVIDENCE_CHARS_MAX {
        return Err(format!(
            "evidence of {} characters is too long",
            signer.evidence.len()
        ));
    }
    let document = BASE64
        .decode(&signer.evidence)
        .map_err(|error| format!("evidence: {error}"))?;
    // Somebody else's challenge: it shows that the evidence was made for the admission, not that it
    // is fresh now.
    let nonce = signer
        .nonce
        .as_ref()
        .map(hex::decode)
        .transpose()
        .map_err(|error| format!("nonce: {error}"))?;
    // Instants of the API are whole seconds, rounded down.
    let at = UnixTime::from_secs(signer.attested_at.saturating_add(1));
    let expectation = SignerExpectation {
        images: protocol.images(),
        bridge: *protocol.bridge(),
        nonce: nonce.as_deref(),
    };
    let attested =
        verify_signer_evidence(&document, &expectation, at).map_err(|error| error.to_string())?;
    if attested.public_key() != signer.public_key {
        return Err(format!(
            "the evidence is of key {}, expected {}",
            attested.public_key(),
            signer.public_key
        ));
    }
    Ok(Attested {
        pcr0: hex::encode(attested.measurement().pcr0),
        at: attested.at().as_secs(),
    })
}

/// The roster, if all evidence verifies and its address is the one that the API names.
pub fn believe_roster(
    answer: &RosterAnswer,
    protocol: &Protocol,
    now: u64,
) -> Result<Roster, RosterFailure> {
    let roster = checked_roster(answer, protocol)?;
    for signer in check_evidence(answer, protocol, now) {
        let (index, name) = (signer.index, signer.name);
        match signer.verdict {
            Ok(_) => (),
            Err(NotAttested::Invalid(reason)) => {
                return Err(RosterFailure::Evidence {
                    index,
                    name,
                    reason,
                });
            }
            Err(NotAttested::Clock(late)) => {
                return Err(RosterFailure::Clock { index, name, late });
            }
        }
    }
    Ok(roster)
}

/// The roster, if its address is the one that the API names, and its administrators' share is no
/// smaller than its own; says nothing about evidence.
pub fn checked_roster(answer: &RosterAnswer, protocol: &Protocol) -> Result<Roster, RosterFailure> {
    let roster = answer.roster()?;
    let vault = vault_of(&roster, protocol);
    let network = bitcoin::Network::from(protocol.bridge().network);
    let expected = Address::from_script(&vault, network)
        .map_or_else(|error| error.to_string(), |address| address.to_string());
    if answer.address != expected {
        return Err(RosterFailure::Address {
            expected,
            got: printable(&answer.address),
        });
    }
    protocol.governance().check_share(&roster)?;
    Ok(roster)
}

/// The Grail address of a roster under the protocol's administrators.
pub fn vault_of(roster: &Roster, protocol: &Protocol) -> ScriptBuf {
    let secp = Secp256k1::verification_only();
    VaultTree::new(&secp, InternalKey::Nums, roster, protocol.governance()).script_pubkey
}

/// The roster NFT as found on chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NftOnChain {
    /// Where.
    pub outpoint: OutPoint,
    /// Coin under it.
    pub coin: Amount,
    /// zkBTC in existence.
    pub supply: Amount,
    /// 0 while not in a block.
    pub confirmations: u32,
}

/// An output that the chain says is unspent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnspentOutput {
    /// The transaction that makes it, in full.
    pub transaction: Transaction,
    /// 0 while not in a block.
    pub confirmations: u32,
}

/// Holds the state of the roster NFT at `outpoint` against `roster` and `protocol`. `unspent` is
/// what the chain has there, if anything.
pub fn check_nft(
    unspent: Option<&UnspentOutput>,
    outpoint: OutPoint,
    roster: &Roster,
    protocol: &Protocol,
) -> Result<NftOnChain, RosterFailure> {
    let unspent = unspent.ok_or(RosterFailure::NftGone(outpoint))?;
    let supply = nft_supply(&unspent.transaction, outpoint, roster, protocol)?;
    let coin = usize::try_from(outpoint.vout)
        .ok()
        .and_then(|vout| unspent.transaction.output.get(vout))
        .map_or(Amount::ZERO, |output| output.value);
    Ok(NftOnChain {
        outpoint,
        coin,
        supply,
        confirmations: unspent.confirmations,
    })
}

/// The supply that the NFT at an output of `transaction` tells, if it is the NFT and agrees with
/// roster and parameters.
pub fn nft_supply(
    transaction: &Transaction,
    outpoint: OutPoint,
    roster: &Roster,
    protocol: &Protocol,
) -> Result<Amount, RosterFailure> {
    let bridge = protocol.bridge();
    let no_nft = |reason: String| RosterFailure::NoNft { outpoint, reason };
    // Whoever looked it up may have been handed something else.
    if transaction.compute_txid() != outpoint.txid {
        return Err(no_nft("its transaction is another one".to_owned()));
    }
    let previous = PrevTx::read_committed(transaction, MockAllowed::on(bridge.network));
    if let Some(error) = previous.rejected() {
        return Err(no_nft(error.to_string()));
    }
    let other = || no_nft("it carries something else, or nothing".to_owned());
    let BridgeCharms::Nft(_) = previous.bridge_charms(outpoint.vout, &bridge.app) else {
        return Err(other());
    };
    // More than a claim: the node has the output among its unspent ones.
    let charms = previous.charms_at(outpoint.vout);
    let state = roster_state(&charms, &nft_app(&bridge.app))
        .map_err(|error| no_nft(error.to_string()))?
        .ok_or_else(other)?;
    let vault = vault_of(roster, protocol);
    let at_vault = previous
        .output(outpoint.vout)
        .is_some_and(|output| output.script_pubkey == vault);
    let signers = roster
        .signers()
        .iter()
        .map(bitcoin::XOnlyPublicKey::serialize);
    let parts = [
        ("epoch", state.epoch == roster.epoch().0),
        ("list of signers", signers.eq(state.signers.iter().copied())),
        ("threshold", state.threshold == roster.threshold().0),
        ("params hash", state.params_hash == protocol.hash().0),
        (
            "administrators",
            state.governance == protocol.governance().hash(),
        ),
        ("vault script", state.vault_script == vault.as_bytes()),
        ("place", at_vault),
    ];
    match parts.into_iter().find(|(_, agrees)| !agrees) {
        Some((what, _)) => Err(RosterFailure::NftDiffers { what }),
        None => Ok(Amount::from_sat(state.supply)),
    }
}

/// Foreign text for a terminal: no control characters, not long.
pub fn printable(text: &str) -> String {
    text.chars()
        .filter(|character| !character.is_control())
        .take(100)
        .collect()
}
