//! What an output carries besides its coin, and why it is taken for that.
//!
//! Owns the verdict, which errs on the side of leaving an output alone; the balance, `grail list`
//! and `grail wallet explain` all go by it. zkBTC is what operators take for zkBTC: read from what
//! the transaction's id commits to, without witnesses. Plain is only what carries nothing in that
//! reading nor in the one of Charms, which looks into witnesses too: old spells are there. And a
//! transaction that claims to carry a spell which does not verify (unknown version, false
//! proof, mock outside regtest) spoils all its outputs, because a newer program may see charms
//! there that this one would destroy.

use std::collections::HashMap;
use std::fmt::{Display, Formatter};
use std::rc::Rc;

use bitcoin::{Amount, Transaction, Txid};
use charms_data::App;
use grail_charms::{BRIDGE_SPELL_VERSION_MIN, PrevTx};
use grail_spell::{
    BridgeCharms, PROTOCOL_VERSION, Place, SpellError, VerifiedSpell, nft_app, token_app,
};
use grail_types::{BridgeApp, MockAllowed, Network};

/// What an output carries besides its coin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// Nothing: plain BTC.
    Nothing(NoCharms),
    /// zkBTC of the wallet's bridge, and nothing else.
    ZkBtc(Token),
    /// Charms that this wallet cannot move.
    Other(OtherCharms),
    /// A claim that does not verify.
    Unverified(SpellError),
}

/// Why an output carries nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCharms {
    /// Its transaction has no spell.
    NoSpell,
    /// The spell puts nothing on it.
    Silent(SpellFacts),
    /// Nobody has read its transaction: somebody's word.
    NotRead,
}

/// zkBTC, and the spell that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// How much.
    pub amount: Amount,
    /// Which token it is.
    pub app: App,
    /// By which spell.
    pub spell: SpellFacts,
}

/// Charms that are not zkBTC for this wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherCharms {
    /// Why they are not.
    pub why: NotZkBtc,
    /// Whose they are.
    pub apps: Vec<App>,
    /// By which spell.
    pub spell: SpellFacts,
}

/// Why charms are not zkBTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotZkBtc {
    /// They are of other apps.
    OtherApps,
    /// zkBTC and more on one output.
    Mixed,
    /// The roster NFT.
    RosterNft,
    /// No parameters are pinned, so that no token is zkBTC.
    BridgeUnknown,
    /// They are in a witness, which the transaction's id does not commit to.
    WitnessOnly,
    /// The spell is of a protocol version that the bridge does not believe.
    TooOld,
    /// The contract lets nothing of the bridge come from this transaction, for this reason.
    Unspendable(String),
    /// The spell is of a protocol version that this program does not know.
    TooNew,
    /// The output was beamed to another chain, with charms or without.
    BeamedAway,
    /// The charm is no amount above zero.
    NotAnAmount,
}

/// A verified spell, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpellFacts {
    /// Version of the protocol.
    pub version: u32,
    /// Where it is.
    pub place: Place,
    /// Whether its proof is a mock.
    pub is_mock: bool,
}

impl SpellFacts {
    fn of(spell: &VerifiedSpell) -> Self {
        Self {
            version: spell.version(),
            place: spell.place(),
            is_mock: spell.is_mock(),
        }
    }
}

impl NotZkBtc {
    /// Stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::OtherApps => "other-charms",
            Self::Mixed => "mixed-charms",
            Self::RosterNft => "roster-nft",
            Self::BridgeUnknown => "bridge-unknown",
            Self::WitnessOnly => "spell-in-witness",
            Self::TooOld => "spell-too-old",
            Self::TooNew => "spell-too-new",
            Self::Unspendable(_) => "spell-unspendable",
            Self::BeamedAway => "beamed-away",
            Self::NotAnAmount => "amount-unreadable",
        }
    }
}

impl Carried {
    /// Stable code of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nothing(NoCharms::NoSpell) => "no-spell",
            Self::Nothing(NoCharms::Silent(_)) => "spell-silent",
            Self::Nothing(NoCharms::NotRead) => "transaction-not-read",
            Self::ZkBtc(_) => "zkbtc",
            Self::Other(other) => other.why.code(),
            Self::Unverified(error) => error.code(),
        }
    }

    /// The zkBTC, where it is that.
    pub fn zkbtc(&self) -> Option<Amount> {
        match self {
            Self::ZkBtc(token) => Some(token.amount),
            _ => None,
        }
    }

    /// The spell that the verdict comes from, if one was accepted.
    pub fn spell(&self) -> Option<&SpellFacts> {
        match self {
            Self::Nothing(NoCharms::Silent(spell)) => Some(spell),
            Self::ZkBtc(token) => Some(&token.spell),
            Self::Other(other) => Some(&other.spell),
            Self::Nothing(NoCharms::NoSpell | NoCharms::NotRead) | Self::Unverified(_) => None,
        }
    }

    /// The apps whose charms the output carries.
    pub fn apps(&self) -> &[App] {
        match self {
            Self::ZkBtc(token) => std::slice::from_ref(&token.app),
            Self::Other(other) => &other.apps,
            Self::Nothing(_) | Self::Unverified(_) => &[],
        }
    }
}

/// The reason in words.
impl Display for Carried {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing(NoCharms::NoSpell) => {
                f.write_str("plain BTC: nothing in its transaction claims to be a spell")
            }
            Self::Nothing(NoCharms::Silent(spell)) => {
                write!(f, "plain BTC: {spell} puts nothing on this output")
            }
            Self::Nothing(NoCharms::NotRead) => {
                f.write_str("taken for plain BTC: its transaction is not at hand")
            }
            Self::ZkBtc(token) => write!(
                f,
                "{} sat of zkBTC (app {}), made by {}",
                token.amount.to_sat(),
                token.app,
                token.spell
            ),
            Self::Other(other) => other.fmt(f),
            Self::Unverified(error) => write!(
                f,
                "its transaction claims to carry a spell that is not accepted, so that all its outputs are left alone: {error}"
            ),
        }
    }
}

impl Display for OtherCharms {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let spell = &self.spell;
        match &self.why {
            NotZkBtc::OtherApps => write!(f, "charms of other apps, by {spell}: ")?,
            NotZkBtc::Mixed => write!(f, "zkBTC together with other charms, by {spell}: ")?,
            NotZkBtc::RosterNft => write!(f, "the bridge's roster NFT, by {spell}: ")?,
            NotZkBtc::BridgeUnknown => write!(
                f,
                "charms, by {spell}, but no parameters are pinned that say which token is zkBTC: "
            )?,
            NotZkBtc::WitnessOnly => write!(
                f,
                "charms by {spell}, which the transaction's id does not commit to, so that operators do not take them: "
            )?,
            NotZkBtc::TooOld => write!(
                f,
                "charms of the bridge by {spell}, but operators believe version {BRIDGE_SPELL_VERSION_MIN} and later only: "
            )?,
            NotZkBtc::Unspendable(reason) => write!(
                f,
                "charms of the bridge by {spell}, which its contract lets nobody spend ({reason}): "
            )?,
            NotZkBtc::TooNew if self.apps.is_empty() => {
                return write!(f, "what {spell} means is not known here");
            }
            NotZkBtc::TooNew => write!(f, "charms by {spell}, which is not known here: ")?,
            NotZkBtc::BeamedAway if self.apps.is_empty() => {
                return write!(
                    f,
                    "{spell} has beamed this output to another chain, so that no spell can spend it"
                );
            }
            NotZkBtc::BeamedAway => {
                write!(f, "charms that {spell} has moved to another chain: ")?;
            }
            NotZkBtc::NotAnAmount => {
                write!(f, "a charm of zkBTC's app that is no amount, by {spell}: ")?;
            }
        }
        let apps: Vec<String> = self.apps.iter().map(App::to_string).collect();
        f.write_str(&apps.join(", "))
    }
}

impl Display for SpellFacts {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "a spell of version {} in ", self.version)?;
        match self.place {
            Place::OpReturn { output_index } => write!(f, "OP_RETURN output {output_index}")?,
            Place::Witness => f.write_str("the last input's witness")?,
        }
        f.write_str(if self.is_mock {
            ", a mock that verifies"
        } else {
            ", whose proof verifies"
        })
    }
}

/// Reads charms; remembers what it has verified.
#[derive(Debug)]
pub struct CharmReader {
    bridge: Option<BridgeApp>,
    mock: Option<MockAllowed>,
    read: HashMap<Txid, Rc<Readings>>,
}

/// A transaction as operators read it, and as Charms does.
#[derive(Debug)]
struct Readings {
    committed: PrevTx,
    compatible: PrevTx,
}

impl CharmReader {
    /// For a network; without a bridge no charm is zkBTC.
    pub fn new(network: Network, bridge: Option<&BridgeApp>) -> Self {
        Self {
            bridge: bridge.copied(),
            mock: MockAllowed::on(network),
            read: HashMap::new(),
        }
    }

    /// What output `vout` of `transaction` carries.
    pub fn carried(&mut self, transaction: &Transaction, vout: u32) -> Carried {
        let readings = self.readings(transaction);
        match self.verdict(&readings.committed, vout) {
            Carried::Nothing(_) => self.in_witness(&readings, vout),
            verdict => verdict,
        }
    }

    /// What Charms sees beyond what the transaction's id commits to. The bridge's charms are none
    /// there that operators would take.
    fn in_witness(&self, readings: &Readings, vout: u32) -> Carried {
        match self.verdict(&readings.compatible, vout) {
            Carried::ZkBtc(Token { app, spell, .. }) => Carried::Other(OtherCharms {
                why: NotZkBtc::WitnessOnly,
                apps: vec![app],
                spell,
            }),
            Carried::Other(other) if self.is_bridges(&other.apps) => Carried::Other(OtherCharms {
                why: NotZkBtc::WitnessOnly,
                ..other
            }),
            verdict => verdict,
        }
    }

    fn verdict(&self, previous: &PrevTx, vout: u32) -> Carried {
        if let Some(error) = previous.rejected() {
            return Carried::Unverified(error.clone());
        }
        let Some(verified) = previous.spell() else {
            return Carried::Nothing(NoCharms::NoSpell);
        };
        let spell = SpellFacts::of(verified);
        let apps: Vec<App> = previous.charms_at(vout).into_keys().collect();
        let other = |why| {
            Carried::Other(OtherCharms {
                why,
                apps: apps.clone(),
                spell: spell.clone(),
            })
        };
        // These two also where the output seems to carry nothing.
        if verified.is_beamed_at(vout) {
            return other(NotZkBtc::BeamedAway);
        }
        if spell.version > PROTOCOL_VERSION {
            return other(NotZkBtc::TooNew);
        }
        if apps.is_empty() {
            return Carried::Nothing(NoCharms::Silent(spell));
        }
        let Some(bridge) = self.bridge else {
            return other(NotZkBtc::BridgeUnknown);
        };
        match previous.bridge_charms(vout, &bridge) {
            BridgeCharms::Token(amount @ 1..) => Carried::ZkBtc(Token {
                amount: Amount::from_sat(amount),
                app: token_app(&bridge),
                spell,
            }),
            BridgeCharms::Nft(_) => other(NotZkBtc::RosterNft),
            _ if !self.is_bridges(&apps) => other(NotZkBtc::OtherApps),
            _ if spell.version < BRIDGE_SPELL_VERSION_MIN => other(NotZkBtc::TooOld),
            _ => match previous.unspendable() {
                Some(reason) => other(NotZkBtc::Unspendable(reason.to_string())),
                None if apps.len() > 1 => other(NotZkBtc::Mixed),
                None => other(NotZkBtc::NotAnAmount),
            },
        }
    }

    /// Whether the bridge has a part in it.
    fn is_bridges(&self, apps: &[App]) -> bool {
        self.bridge.is_some_and(|bridge| {
            let own = [token_app(&bridge), nft_app(&bridge)];
            apps.iter().any(|app| own.contains(app))
        })
    }

    fn readings(&mut self, transaction: &Transaction) -> Rc<Readings> {
        let mock = self.mock;
        let readings = self
            .read
            .entry(transaction.compute_txid())
            .or_insert_with(|| {
                Rc::new(Readings {
                    committed: PrevTx::read_committed(transaction, mock),
                    compatible: PrevTx::read(transaction.clone(), mock),
                })
            });
        Rc::clone(readings)
    }
}
