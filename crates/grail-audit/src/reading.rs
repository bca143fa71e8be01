//! What a transaction's spell says of the bridge, as operators read it.

use bitcoin::Transaction;
use charms_data::App;
use grail_bridge_contract::{ROSTER_TAG, RosterState, StateError};
use grail_charms::PrevTx;
use grail_spell::{
    SpellError, VerifiedSpell, decode_op_return, deployment_identity, nft_app, read_strict,
    token_app,
};
use grail_types::{BridgeApp, MockAllowed};

/// Reads spells of one bridge.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    nft: App,
    token: App,
    mock: Option<MockAllowed>,
}

/// The bridge's charms on a transaction's outputs, from a proven spell that the transaction's id
/// commits to.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// zkBTC by output.
    pub tokens: Vec<(u32, u64)>,
    /// Roster NFTs by output.
    pub nfts: Vec<(u32, Result<RosterState, StateError>)>,
    /// How many outputs the spell speaks of: the contract sees no others.
    pub charm_outputs: usize,
}

impl Reading {
    /// All zkBTC made.
    pub(crate) fn tokens_out(&self) -> u64 {
        self.tokens
            .iter()
            .fold(0, |sum, (_, amount)| sum.saturating_add(*amount))
    }
}

impl Reader {
    pub(crate) fn new(bridge: &BridgeApp, mock: Option<MockAllowed>) -> Self {
        Self {
            nft: nft_app(bridge),
            token: token_app(bridge),
            mock,
        }
    }

    /// Reads a transaction. Proofs are checked only of spells that list an app of the bridge.
    pub(crate) fn read(&self, transaction: &Transaction) -> Reading {
        if !self.is_listed(transaction) {
            return Reading::default();
        }
        let previous = PrevTx::read_committed(transaction, self.mock);
        // From what the contract does not believe, nothing of the bridge ever moves on.
        let (Some(spell), None) = (previous.spell(), previous.unspendable()) else {
            return Reading::default();
        };
        let mut reading = Reading {
            charm_outputs: spell.spell().tx.outs.len(),
            ..Reading::default()
        };
        for (vout, _) in (0_u32..).zip(&spell.spell().tx.outs) {
            self.note(spell, vout, &mut reading);
        }
        reading
    }

    /// An amount that cannot be read counts as zero: nobody will take it for zkBTC.
    fn note(&self, spell: &VerifiedSpell, vout: u32, reading: &mut Reading) {
        if spell.is_beamed_at(vout) {
            return;
        }
        let charms = spell.charms_at(vout);
        let amount = charms
            .get(&self.token)
            .and_then(|data| data.value().ok())
            .unwrap_or(0);
        if amount > 0 {
            reading.tokens.push((vout, amount));
        }
        if let Some(data) = charms.get(&self.nft) {
            reading.nfts.push((vout, RosterState::from_data(data)));
        }
    }

    /// Whether the spell is in the one form that operators sign, and proven.
    pub(crate) fn strict(&self, transaction: &Transaction) -> Result<(), SpellError> {
        read_strict(transaction, self.mock).map(|_| ())
    }

    fn is_listed(&self, transaction: &Transaction) -> bool {
        let Ok(Some(found)) = decode_op_return(transaction) else {
            return false;
        };
        found
            .spell
            .app_public_inputs
            .keys()
            .any(|app| *app == self.token || *app == self.nft)
    }
}

/// The bridge that a deployment claims to create: identity from its first input, `vk` from its
/// spell.
pub(crate) fn claimed_bridge(transaction: &Transaction) -> Option<BridgeApp> {
    let identity = deployment_identity(transaction.input.first()?.previous_output);
    let found = decode_op_return(transaction).ok().flatten()?;
    found
        .spell
        .app_public_inputs
        .keys()
        .find(|app| app.tag == ROSTER_TAG && app.identity.0 == identity)
        .map(|app| BridgeApp {
            identity,
            vk: app.vk.0,
        })
}
