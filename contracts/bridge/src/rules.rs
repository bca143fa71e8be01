//! The rules of every spell that lists one of the bridge's two apps.
//!
//! Owns the decision; trusts what the Charms runner shows; never answers with a bare `bool` except in
//! [`app_contract`], the outermost wrapper that the runner calls.
//!
//! What the rules keep true, by induction over the life of the NFT: **the coins at `vault_script` are worth at
//! least `supply`**. It holds at deployment (nothing exists). A settlement changes tokens, counted vault coins
//! and `supply` by one and the same amount; announcing, cancelling and executing a rotation change none of them.
//! A rotation to another script must bring at least `supply` along.
//! Coins that reach the vault in any other way are donations: they count when spent, so they can only go back
//! into the vault.
//!
//! What they cannot see, and a signer's policy must judge: outputs past those of the spell, beamed outputs, a
//! spend of vault coins by a transaction that does not run this contract; time, and with it whether a rotation
//! has waited and how much may leave; who consents. They say nothing of coins and charms of other apps.

use charms_data::{App, B32, Charms, Data, Transaction, UtxoId};
use sha2::{Digest, Sha256};

use crate::{
    RosterState,
    history::check_history,
    sides::{Items, sides},
    violation::{Side, Violation},
};

/// Tag of the roster NFT. Not `n`, which Charms lets move without its contract as long as the state stays: shown with one
/// witness and with another, a transaction without a spell output would leave two of it behind.
pub const ROSTER_TAG: char = 'r';
/// Tag of zkBTC. Not `t`, which Charms lets move without its contract as long as the amounts balance: zkBTC moves
/// only where this contract has judged where it comes from.
pub const TOKEN_TAG: char = 'z';

/// What a spell asks of the roster NFT: its public input, a CBOR text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Create the NFT.
    Deploy,
    /// Move vault coins, mint and burn.
    Settle,
    /// Say which roster is to be the next one.
    Announce,
    /// Take that back.
    Cancel,
    /// Hand over to the roster that was announced.
    Execute,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Deploy,
        Self::Settle,
        Self::Announce,
        Self::Cancel,
        Self::Execute,
    ];

    /// The text that stands for the action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Settle => "settle",
            Self::Announce => "announce",
            Self::Cancel => "cancel",
            Self::Execute => "execute",
        }
    }

    /// The public input that asks for the action.
    pub fn to_data(self) -> Data {
        Data::from(&self.as_str())
    }

    /// Reads a public input; only the exact text of an action counts.
    pub fn from_data(data: &Data) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|action| action.to_data() == *data)
    }
}

/// The contract as the Charms runner calls it: [`check`], with its answer flattened to what the runner takes.
#[must_use]
pub fn app_contract(app: &App, tx: &Transaction, x: &Data, w: &Data) -> bool {
    match check(app, tx, x, w) {
        Ok(()) => true,
        Err(violation) => {
            // The runner passes standard error on: without it a prover sees only that the program trapped. Only
            // the code, since the texts would grow the wasm, which every proof hashes and parses.
            eprintln!("bridge contract refuses: {}", violation.code());
            false
        }
    }
}

/// Checks one app of a spell: `x` is its public input, `w` its private input.
///
/// A spell obeys the contract when this accepts each app of the bridge that the spell lists.
pub fn check(app: &App, tx: &Transaction, x: &Data, w: &Data) -> Result<(), Violation> {
    if !w.is_empty() {
        return Err(Violation::PrivateInput);
    }
    match app.tag {
        ROSTER_TAG => match Action::from_data(x) {
            Some(Action::Deploy) => check_deployment(app, tx),
            Some(action) => check_move(app, tx, action),
            None => Err(Violation::UnknownAction),
        },
        TOKEN_TAG => check_token(app, tx, x),
        tag => Err(Violation::Tag(tag)),
    }
}

/// Identity of the bridge whose deployment spends `first_input` first: no two deployments can spend it.
pub fn identity_of(first_input: &UtxoId) -> B32 {
    B32(Sha256::digest(first_input.to_bytes()).into())
}

/// The roster NFT's app of the same bridge.
pub fn nft_app(app: &App) -> App {
    let tag = ROSTER_TAG;
    App { tag, ..app.clone() }
}

/// The zkBTC app of the same bridge.
pub fn token_app(app: &App) -> App {
    let tag = TOKEN_TAG;
    App { tag, ..app.clone() }
}

fn check_deployment(nft: &App, tx: &Transaction) -> Result<(), Violation> {
    let (ins, outs) = sides(tx)?;
    let (first_input, _) = tx.ins.first().ok_or(Violation::NoInput)?;
    if nft.identity != identity_of(first_input) {
        return Err(Violation::Identity);
    }
    let nfts_in = ins.nft_count(nft);
    if nfts_in != 0 {
        return Err(Violation::NftCount {
            side: Side::In,
            expected: 0,
            got: nfts_in,
        });
    }
    let placed = outs.the_nft(nft)?;
    if placed.index != 0 {
        return Err(Violation::NftIndex(placed.index));
    }
    if placed.state.epoch != 0 {
        return Err(Violation::DeployEpoch(placed.state.epoch));
    }
    if placed.state.serial != 0 {
        return Err(Violation::DeploySerial(placed.state.serial));
    }
    if placed.state.supply != 0 {
        return Err(Violation::DeploySupply(placed.state.supply));
    }
    let state = placed.state;
    // Nothing is announced either: no announcement has serial 0.
    if state.attempt != 0 || state.outflow != 0 {
        return Err(Violation::DeployLimits);
    }
    let token = token_app(nft);
    if ins.carries(&token) || outs.carries(&token) {
        return Err(Violation::DeployTokens);
    }
    Ok(())
}

/// A spell that spends the NFT and makes it anew.
fn check_move(nft: &App, tx: &Transaction, action: Action) -> Result<(), Violation> {
    check_history(nft, tx)?;
    let (ins, outs) = sides(tx)?;
    let old = ins.the_nft(nft)?.state;
    let new = outs.the_nft(nft)?.state;
    check_succession(&old, &new, action)?;

    let token = token_app(nft);
    for side in [&ins, &outs] {
        side.refuse_tokens_at(&token, &old.vault_script)?;
        side.refuse_tokens_at(&token, &new.vault_script)?;
    }
    let tokens_in = sum_tokens(&token, tx.ins.iter().map(|(_, charms)| charms), Side::In)?;
    let tokens_out = sum_tokens(&token, tx.outs.iter(), Side::Out)?;
    let vault_in = ins.sum_vault(nft, &old.vault_script)?;
    let vault_out = outs.sum_vault(nft, &new.vault_script)?;

    let supply = delta(old.supply, new.supply);
    let tokens = delta(tokens_in, tokens_out);
    let vault = delta(vault_in, vault_out);
    if tokens != supply {
        return Err(Violation::TokenDelta { supply, tokens });
    }
    if vault != supply {
        return Err(Violation::VaultDelta { supply, vault });
    }
    if old.vault_script != new.vault_script {
        check_new_vault(&ins, &outs, &old, &new, vault_out)?;
    }
    Ok(())
}

/// From one state to the next: the serial counts, and nothing changes but what the action is for.
///
/// The serial tells one settlement from the next: whoever follows the NFT can name a missing one, and a state never
/// comes back. (Were the tag one that Charms moves by itself, it would also be what makes the contract run.)
fn check_succession(old: &RosterState, new: &RosterState, action: Action) -> Result<(), Violation> {
    let (from, to) = (old.serial, new.serial);
    if from.checked_add(1) != Some(to) {
        return Err(Violation::Serial { from, to });
    }
    let epochs = u64::from(action == Action::Execute);
    let (from, to) = (old.epoch, new.epoch);
    if from.checked_add(epochs) != Some(to) {
        return Err(Violation::Epoch { from, to });
    }
    // What may differ is taken over from the new state. Then nothing may.
    let mut expected = RosterState {
        epoch: new.epoch,
        serial: new.serial,
        ..old.clone()
    };
    match action {
        Action::Deploy | Action::Settle => {
            expected.supply = new.supply;
            expected.outflow = new.outflow;
        }
        Action::Announce => {
            let announced = new.next.as_ref().map(|next| next.serial);
            if old.next.is_some() || announced != Some(new.serial) {
                return Err(Violation::Announcement);
            }
            expected.attempt = old.attempt.checked_add(1).ok_or(Violation::Announcement)?;
            expected.next.clone_from(&new.next);
        }
        Action::Cancel | Action::Execute => {
            let next = expected.next.take().ok_or(Violation::NotAnnounced)?;
            if action == Action::Execute {
                if next.hash != new.next_hash() {
                    return Err(Violation::AnotherRoster);
                }
                // All that the hash covers.
                expected = RosterState {
                    supply: old.supply,
                    attempt: old.attempt,
                    next: None,
                    outflow: old.outflow,
                    ..new.clone()
                };
            }
        }
    }
    (*new == expected).then_some(()).ok_or(Violation::Changed)
}

/// A rotation to another vault script moves the whole backing, one way.
///
/// Afterwards only the new script counts as the vault. Were backing left at the old one, a later settlement
/// could bring it in as if it were a deposit and mint against it a second time; so at least `supply` has to
/// arrive with the rotation, and what may stay behind is donations. A vault of more coins than one transaction
/// can spend is consolidated by settlements first.
///
/// In the same transaction, coins already at the new script are not vault coins yet: spending one would let its
/// value be minted against although nobody pegged it in. And a coin paid to the old script would count for
/// neither vault. Both are refused.
fn check_new_vault(
    ins: &Items<'_>,
    outs: &Items<'_>,
    old: &RosterState,
    new: &RosterState,
    vault_out: u64,
) -> Result<(), Violation> {
    if ins.pays(&new.vault_script) {
        return Err(Violation::RotationSpendsNewVault);
    }
    if outs.pays(&old.vault_script) {
        return Err(Violation::RotationPaysOldVault);
    }
    if vault_out < new.supply {
        return Err(Violation::RotationUnbacked {
            vault: vault_out,
            supply: new.supply,
        });
    }
    Ok(())
}

/// zkBTC is conserved, or else the roster NFT's own rules run and account for the difference.
///
/// They do run, so there is no need to repeat them here, at twice the cost in the proof: Charms evaluates every
/// app that the spell lists, and skips a contract only for a plain transfer, which one with a public input never
/// is. The one NFT on each side is asked for although the NFT's
/// rules ask for it too: this contract should hold without reading the other.
fn check_token(token: &App, tx: &Transaction, x: &Data) -> Result<(), Violation> {
    if !x.is_empty() {
        return Err(Violation::TokenPublicInput);
    }
    check_history(token, tx)?;
    let tokens_in = sum_tokens(token, tx.ins.iter().map(|(_, charms)| charms), Side::In)?;
    let tokens_out = sum_tokens(token, tx.outs.iter(), Side::Out)?;
    if tokens_in == tokens_out {
        return Ok(());
    }
    let nft = nft_app(token);
    let holds = |charms: &&Charms| charms.contains_key(&nft);
    let spent = tx.ins.iter().map(|(_, charms)| charms);
    let (nfts_in, nfts_out) = (
        spent.filter(holds).count(),
        tx.outs.iter().filter(holds).count(),
    );
    for (side, got) in [(Side::In, nfts_in), (Side::Out, nfts_out)] {
        if got != 1 {
            return Err(Violation::NftCount {
                side,
                expected: 1,
                got,
            });
        }
    }
    match tx.app_public_inputs.get(&nft).and_then(Action::from_data) {
        Some(Action::Settle) => Ok(()),
        _ => Err(Violation::UnbalancedWithoutSettlement {
            tokens_in,
            tokens_out,
        }),
    }
}

fn sum_tokens<'a>(
    token: &App,
    charms: impl Iterator<Item = &'a Charms>,
    side: Side,
) -> Result<u64, Violation> {
    charms
        .filter_map(|charms| charms.get(token))
        .try_fold(0_u64, |sum, amount| {
            let amount = amount.value::<u64>().ok().filter(|amount| *amount > 0);
            sum.checked_add(amount.ok_or(Violation::TokenAmount(side))?)
                .ok_or(Violation::TokenOverflow(side))
        })
}

fn delta(from: u64, to: u64) -> i128 {
    // The difference of two 64-bit numbers always fits; `saturating` only says so without a panic path.
    i128::from(to).saturating_sub(i128::from(from))
}
