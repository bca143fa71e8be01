//! What a transaction does to a bridge's roster, in words.
//!
//! Decides nothing. Everything that is said follows from the transaction, from what it spends and
//! from the transaction that made the NFT before it: the spell is verified, the coins are at the
//! scripts that the states give. Trusts its caller for the block and for what the inputs spend: a
//! node says both. A step in no block is a claim, and is called one.

mod merge;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Amount, Script, ScriptBuf, Transaction, TxOut, XOnlyPublicKey};
use grail_bridge_contract::{Action, Next, RosterState};
use grail_charms::{PrevTx, roster_state};
use grail_policy::notice_tree;
use grail_spell::nft_app;
use grail_types::{Bridge, Epoch, MockAllowed, Roster, Threshold};

use crate::explain::Reason;

/// A transaction with what a node says of it.
#[derive(Clone, Copy, Debug)]
pub struct SeenStep<'a> {
    /// The transaction.
    pub transaction: &'a Transaction,
    /// What its inputs spend, in order; unknown where the node does not tell.
    pub spent: Option<&'a [TxOut]>,
    /// The transaction whose output the first input spends, where it was found.
    pub before: Option<&'a Transaction>,
    /// Height of its block; none while it is in none.
    pub height: Option<u32>,
}

/// What a transaction did to the bridge's NFT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedStep {
    /// `deploy`, `settle`, `announce`, `cancel` or `execute`; none where it does not move the NFT.
    pub action: Option<&'static str>,
    /// Epoch of the roster that holds the NFT after it.
    pub epoch: Option<u64>,
    /// The height of the first block that may hold the hand-over, where an announcement is in one.
    pub earliest_height: Option<u32>,
    /// What is known of it, in order.
    pub reasons: Vec<Reason>,
}

/// Explains a transaction by the rules of `bridge`.
pub fn explain_step(bridge: &Bridge, seen: &SeenStep<'_>) -> ExplainedStep {
    let mut explained = ExplainedStep {
        action: None,
        epoch: None,
        earliest_height: None,
        reasons: Vec::new(),
    };
    let read = PrevTx::read_committed(seen.transaction, MockAllowed::on(bridge.network));
    let spell = match (read.spell(), read.rejected()) {
        (Some(spell), _) => spell,
        (None, Some(error)) => {
            explained.because("spell-rejected", error.to_string());
            return explained;
        }
        (None, None) => {
            explained.because("no-spell", "it has no spell: it moves no charm");
            return explained;
        }
    };
    explained.because(
        "spell-verified",
        format!(
            "a spell of version {}, {} that verifies",
            spell.version(),
            if spell.is_mock() { "a mock" } else { "a proof" }
        ),
    );
    let app = nft_app(&bridge.app);
    let action = spell.spell().app_public_inputs.get(&app);
    let state = roster_state(&read.charms_at(0), &app);
    let (Some(action), Ok(Some(state))) = (action.and_then(Action::from_data), state) else {
        explained.because(
            "no-step",
            "it does not move this bridge's roster NFT: an ordinary transfer, or another app's",
        );
        return explained;
    };
    explained.action = Some(action.as_str());
    explained.epoch = Some(state.epoch);
    let before = seen
        .before
        .and_then(|made| state_before(bridge, seen, made));
    let mut step = Step {
        bridge,
        seen,
        state: &state,
        before: before.as_ref(),
        explained,
        purposes: vec![None; seen.transaction.input.len()],
    };
    step.tell(action);
    step.explained
}

/// The state of the NFT that the first input spends.
fn state_before(bridge: &Bridge, seen: &SeenStep<'_>, made: &Transaction) -> Option<RosterState> {
    let spent = seen.transaction.input.first()?.previous_output;
    if made.compute_txid() != spent.txid {
        return None;
    }
    let read = PrevTx::read_committed(made, MockAllowed::on(bridge.network));
    roster_state(&read.charms_at(spent.vout), &nft_app(&bridge.app)).ok()?
}

impl ExplainedStep {
    fn because(&mut self, code: &'static str, text: impl Into<String>) {
        self.reasons.push(Reason {
            code,
            text: text.into(),
        });
    }
}

struct Step<'a> {
    bridge: &'a Bridge,
    seen: &'a SeenStep<'a>,
    state: &'a RosterState,
    before: Option<&'a RosterState>,
    explained: ExplainedStep,
    /// What each input is for, where that is known.
    purposes: Vec<Option<&'static str>>,
}

impl Step<'_> {
    fn tell(&mut self, action: Action) {
        match action {
            Action::Deploy => self.because("deployment", "creates the roster NFT"),
            Action::Settle if self.merged().is_some() => self.merge(),
            Action::Settle => self.because(
                "settlement",
                format!(
                    "a settlement, serial {} of epoch {}: {} sat of zkBTC exist after it",
                    self.state.serial, self.state.epoch, self.state.supply
                ),
            ),
            Action::Announce => self.announcement(),
            Action::Cancel => self.cancellation(),
            Action::Execute => self.execution(),
        }
        let is_step = matches!(action, Action::Announce | Action::Cancel | Action::Execute);
        if is_step || self.merged().is_some() {
            self.coins();
        }
        match self.seen.height {
            Some(height) => self.because("in-block", format!("in block {height}")),
            None => self.because(
                "in-no-block",
                "in no block: a claim until one holds it, whoever signed it",
            ),
        }
    }

    fn announcement(&mut self) {
        let Some(next) = self.state.next.clone() else {
            return self.because("state-unfit", "its state announces nothing");
        };
        self.because(
            "announcement",
            format!(
                "announces roster {} to come after epoch {}: attempt {}, serial {}",
                hex::encode(next.hash),
                self.state.epoch,
                self.state.attempt,
                next.serial
            ),
        );
        self.because(
            "pegs-go-on",
            "nothing has changed hands: settlements go on, and whoever does not like it can leave",
        );
        let notice = self.notice_script(self.state, &next);
        let outputs = self.seen.transaction.output.iter().zip(0_u32..);
        let coin = outputs
            .filter(|(output, _)| Some(&output.script_pubkey) == notice.as_ref())
            .map(|(output, vout)| (output.value, vout))
            .next();
        match coin {
            Some((value, vout)) => self.because(
                "notice-coin",
                format!("output {vout} of {value} is the notice coin, whose age is the wait"),
            ),
            None => self.because(
                "notice-coin-missing",
                "none of its outputs is a notice coin",
            ),
        }
        let wait = u32::from(next.wait);
        match self.seen.height.map(|height| height.saturating_add(wait)) {
            Some(earliest) => {
                self.explained.earliest_height = Some(earliest);
                self.because(
                    "wait",
                    format!("waits {wait} blocks: block {earliest} is the first that may hold the hand-over"),
                );
            }
            None => self.because(
                "wait",
                format!("waits {wait} blocks from the block that will hold it"),
            ),
        }
    }

    fn cancellation(&mut self) {
        let taken_back = self.before.and_then(|before| before.next.as_ref());
        let which = taken_back.map_or_else(
            || "what was announced".to_owned(),
            |next| format!("the announcement of roster {}", hex::encode(next.hash)),
        );
        self.because(
            "cancellation",
            format!(
                "takes back {which}: attempt {} of epoch {}, whose signatures are worth nothing any more",
                self.state.attempt, self.state.epoch
            ),
        );
        self.because(
            "notice-coin-left",
            "the notice coin of the announcement stays where it is, and opens nothing",
        );
    }

    fn execution(&mut self) {
        let (epoch, attempt) = (self.state.epoch, self.state.attempt);
        self.because(
            "execution",
            format!(
                "hands over to epoch {epoch}: {} of {} signers must agree; it was attempt {attempt}",
                self.state.threshold,
                self.state.signers.len()
            ),
        );
        let Some(before) = self.before.cloned() else {
            return self.because(
                "before-unknown",
                "who handed over is not known: the transaction before it was not found",
            );
        };
        let fresh = self.state.signers.iter();
        let fresh = fresh.filter(|key| !before.signers.contains(key)).count();
        let leaving = before.signers.iter();
        let leaving = leaving.filter(|key| !self.state.signers.contains(key));
        let leaving = leaving.count();
        self.because(
            "roster-changed",
            format!("{fresh} signers are new, {leaving} of those before are not in it"),
        );
        let changed = [
            ("administrators", before.governance != self.state.governance),
            ("parameters", before.params_hash != self.state.params_hash),
            (
                "spell versions",
                (before.spell_min, before.spell_max)
                    != (self.state.spell_min, self.state.spell_max),
            ),
        ];
        for (what, is_other) in changed {
            self.because(
                "goes-by",
                format!(
                    "{what}: {}",
                    if is_other {
                        "others than before"
                    } else {
                        "as before"
                    }
                ),
            );
        }
        let announced = before.next.as_ref().map(|next| next.hash);
        if announced == Some(self.state.next_hash()) {
            self.because("as-announced", "it is the roster that was announced");
        } else {
            self.because("not-announced", "it is not the roster that was announced");
        }
        if let Some(next) = &before.next {
            self.spends_notice(&before, next);
        }
        self.because(
            "vault-moved",
            format!(
                "the NFT, and with it the vault, moves from {} to {}",
                self.address(&before.vault_script),
                self.address(&self.state.vault_script)
            ),
        );
    }

    /// Which input spends the notice coin, and how old it says that it is.
    fn spends_notice(&mut self, before: &RosterState, next: &Next) {
        let notice = self.notice_script(before, next);
        let spent = self.seen.spent.unwrap_or_default().iter();
        let inputs = spent.zip(&self.seen.transaction.input).enumerate();
        let found = inputs
            .filter(|(_, (output, _))| Some(&output.script_pubkey) == notice.as_ref())
            .map(|(index, (_, input))| (index, input.sequence.0))
            .next();
        match found {
            Some((index, sequence)) => {
                if let Some(purpose) = self.purposes.get_mut(index) {
                    *purpose = Some("notice coin");
                }
                self.because(
                    "notice-spent",
                    format!(
                        "input {index} spends the notice coin at an age of {sequence} blocks, as {} were announced",
                        next.wait
                    ),
                );
            }
            None if self.seen.spent.is_some() => {
                self.because("notice-unspent", "none of its inputs is the notice coin");
            }
            None => {}
        }
    }

    /// What the inputs are, and who pays the miners.
    fn coins(&mut self) {
        let Some(spent) = self.seen.spent else {
            return self.because(
                "spent-unknown",
                "what it spends is not known, and so neither who paid for it",
            );
        };
        let at_vault = |script: &Script| {
            let before = self.before.unwrap_or(self.state);
            script.as_bytes() == before.vault_script
        };
        let mut sponsors = Vec::new();
        for (index, output) in spent.iter().enumerate() {
            let is_noted = self.purposes.get(index).is_some_and(Option::is_some);
            if !is_noted && !at_vault(&output.script_pubkey) {
                sponsors.push((index, output.value));
            }
        }
        for (index, value) in sponsors {
            self.because(
                "sponsor",
                format!("input {index}: a sponsor's {value}, all of it for the miners"),
            );
        }
        let sum = |outputs: &[TxOut]| {
            let values = outputs.iter().map(|output| output.value);
            values.fold(Amount::ZERO, |sum, value| {
                sum.checked_add(value).unwrap_or(Amount::MAX)
            })
        };
        let fee = sum(spent).checked_sub(sum(&self.seen.transaction.output));
        if let Some(fee) = fee {
            let size = self.seen.transaction.vsize();
            self.because("fee", format!("the miners get {fee} for {size} vB"));
        }
    }

    /// The script of the notice coin that an announcement in `state` makes.
    fn notice_script(&self, state: &RosterState, next: &Next) -> Option<ScriptBuf> {
        let roster = roster_of(state)?;
        let secp = Secp256k1::verification_only();
        Some(notice_tree(&secp, self.bridge, &roster, next).script_pubkey)
    }

    fn address(&self, script: &[u8]) -> String {
        let network = bitcoin::Network::from(self.bridge.network);
        let script = Script::from_bytes(script);
        Address::from_script(script, network)
            .map_or_else(|_| script.to_hex_string(), |address| address.to_string())
    }

    fn because(&mut self, code: &'static str, text: impl Into<String>) {
        self.explained.because(code, text);
    }
}

fn roster_of(state: &RosterState) -> Option<Roster> {
    let keys = state.signers.iter();
    let keys = keys.map(|key| XOnlyPublicKey::from_slice(key).ok());
    let keys = keys.collect::<Option<Vec<_>>>()?;
    Roster::new(Epoch(state.epoch), keys, Threshold(state.threshold)).ok()
}
