//! What a hostile backend tries.

use anyhow::{Context, Result};
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, Witness};
use grail_types::{Kind, Terms};
use grail_wire::{Proposal, RefusalCode};

use super::{Draft, foreign};
use crate::ledger::Ledger;

/// One attempt.
#[derive(Debug, Clone)]
pub struct Attack {
    /// What is wrong, for people.
    pub what: &'static str,
    /// The code with which every operator must refuse it.
    pub code: RefusalCode,
    /// The code with which the contract refuses it, so that no honest prover proves it; some of it
    /// is the operators' to see alone.
    pub contract_code: Option<&'static str>,
    /// What operators are asked to sign.
    pub proposal: Proposal,
}

impl Attack {
    pub(super) fn of(what: &'static str, code: RefusalCode, draft: &Draft) -> Result<Self> {
        Ok(Self {
            what,
            code,
            contract_code: draft.contract_refuses()?,
            proposal: draft.propose()?,
        })
    }
}

type Change<'a> = Box<dyn Fn(&mut Draft) -> Result<()> + 'a>;

/// Attacks on an honest settlement of at least one peg-in and one peg-out. `own` is an output of
/// the attacker, `to` its address.
pub fn attacks(
    honest: &Draft,
    ledger: &Ledger,
    own: OutPoint,
    to: &ScriptBuf,
) -> Result<Vec<Attack>> {
    let first = honest.first_item();
    let peg_in = honest.position(Kind::PegIn)?;
    let peg_out = honest.position(Kind::PegOut)?;
    let changes: [(&str, RefusalCode, Change<'_>); 11] = [
        (
            "one satoshi too many minted",
            RefusalCode::VaultMismatch,
            Box::new(|draft| mint_more(draft, first + peg_in, 1)),
        ),
        (
            "a payout to another script",
            RefusalCode::WrongDestination,
            Box::new(|draft| {
                draft.script(first + peg_out)?.clone_from(to);
                Ok(())
            }),
        ),
        (
            "a deposit used for another request",
            RefusalCode::DepositMismatch,
            Box::new(|draft| {
                let terms = draft.requests.get_mut(peg_in).context("a peg-in")?;
                *terms = Terms {
                    destination: to.clone().try_into()?,
                    ..terms.clone()
                };
                draft.script(first + peg_in)?.clone_from(to);
                Ok(())
            }),
        ),
        (
            "a fee above a user's cap",
            RefusalCode::FeeAboveCap,
            Box::new(|draft| {
                let cap = draft.requests.get(peg_in).context("a peg-in")?.fee_cap;
                // The share before is at least one satoshi, so this is above the cap.
                mint_less(draft, first + peg_in, cap.to_sat())
            }),
        ),
        (
            "the vault's output missing",
            RefusalCode::VaultMissing,
            Box::new(|draft| {
                draft.transaction.output.remove(1);
                draft.spell.tx.outs.remove(1);
                Ok(())
            }),
        ),
        (
            "a spell without the NFT",
            RefusalCode::WrongApps,
            Box::new(|draft| {
                draft.drop_app(&draft.nft());
                Ok(())
            }),
        ),
        (
            "a transaction without the NFT",
            RefusalCode::NftMissing,
            Box::new(|draft| {
                draft.transaction.input.remove(0);
                draft.gather_previous(ledger);
                Ok(())
            }),
        ),
        (
            "an input that nobody asked to spend",
            RefusalCode::WrongCount,
            Box::new(|draft| {
                draft.transaction.input.insert(2, input(own));
                draft.gather_previous(ledger);
                Ok(())
            }),
        ),
        (
            "another coin in the vault's place",
            RefusalCode::VaultNotSpent,
            Box::new(|draft| {
                draft.spend(1, own)?;
                draft.gather_previous(ledger);
                Ok(())
            }),
        ),
        (
            "the contract not run: the NFT's serial stands still",
            RefusalCode::SerialMismatch,
            Box::new(|draft| {
                let mut state = draft.state()?;
                state.serial -= 1;
                draft.set_state(&state)
            }),
        ),
        (
            "a roster of one's own",
            RefusalCode::RosterChanged,
            Box::new(|draft| {
                let mut state = draft.state()?;
                state.threshold += 1;
                draft.set_state(&state)
            }),
        ),
    ];
    let mut all = changes
        .into_iter()
        .map(|(what, code, change)| {
            let mut draft = honest.clone();
            change(&mut draft).with_context(|| format!("attack: {what}"))?;
            Attack::of(what, code, &draft)
        })
        .collect::<Result<Vec<_>>>()?;
    all.extend(foreign::attacks(honest, ledger, own, to)?);
    Ok(all)
}

/// Mints more on output `index`; the NFT says so, the vault does not follow.
fn mint_more(draft: &mut Draft, index: usize, sat: u64) -> Result<()> {
    draft.set_tokens(index, draft.tokens(index)? + sat)?;
    let mut state = draft.state()?;
    state.supply += sat;
    draft.set_state(&state)
}

/// Mints less on output `index`, with vault and NFT following: the difference goes to the miner.
fn mint_less(draft: &mut Draft, index: usize, sat: u64) -> Result<()> {
    draft.set_tokens(
        index,
        draft.tokens(index)?.checked_sub(sat).context("minted")?,
    )?;
    let mut state = draft.state()?;
    state.supply = state.supply.checked_sub(sat).context("a supply")?;
    draft.set_state(&state)?;
    let vault = draft.value(1)?;
    *vault = vault
        .checked_sub(Amount::from_sat(sat))
        .context("a vault")?;
    Ok(())
}

pub(super) fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}
