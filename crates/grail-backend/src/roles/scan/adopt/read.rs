//! Reading a settlement from its transaction, by position (ADR 3).

use anyhow::Context;
use bitcoin::{Amount, OutPoint, Script, Transaction};
use grail_bridge_contract::RosterState;
use grail_charms::PrevTx;
use grail_flow::{BlockRef, Deposit, DepositCharms};
use grail_policy::adoption::AdoptedRoster;
use grail_spell::BridgeCharms;
use grail_store::{Reader, SETTLEMENT_ITEMS_MAX, SettlementItem};
use grail_types::{Kind, Terms};

use super::{
    Made, Paid, Settled, Strange,
    books::{Books, Effect},
    previous::previous,
    whose::Whose,
};
use crate::{backend::Backend, roles::scan::deposits::deposit_at, rosters::Rosters};

/// A move of the NFT within its epoch.
pub(in crate::roles::scan) struct Move<'a> {
    /// The transaction that made the NFT's output that is spent.
    pub made: &'a Transaction,
    pub nft: OutPoint,
    pub before: &'a RosterState,
    pub after: Option<&'a (u32, RosterState)>,
    pub transaction: &'a Transaction,
    pub rosters: &'a Rosters,
    pub place: Place,
}

impl Move<'_> {
    /// The roster that holds the NFT.
    pub(super) fn roster(&self) -> &AdoptedRoster {
        self.rosters.newest()
    }
}

/// Where a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::roles::scan) enum Place {
    /// In a block: consensus has seen its witnesses.
    Block(BlockRef),
    /// In the node's mempool: the node has.
    Mempool,
}

/// Reads a settlement that is not in the rows.
///
/// # Errors
/// When node or database do not tell what must be known: it is to be tried again.
pub(in crate::roles::scan) async fn read(
    backend: &Backend,
    moved: &Move<'_>,
) -> anyhow::Result<Result<Settled, Strange>> {
    let frame = match Frame::of(backend, moved) {
        Ok(frame) => frame,
        Err(strange) => return Ok(Err(strange)),
    };
    let Some((spent, made)) = previous(backend, moved, frame.first_input).await? else {
        return Ok(Err(Strange::Unconfirmed));
    };
    let mut reader = backend.store.read().await?;
    let mut books = frame.books;
    let mut paid = Vec::with_capacity(made.len());
    for (position, made) in made.into_iter().enumerate() {
        match frame
            .paid(backend, &mut reader, moved, position, made)
            .await?
        {
            Ok((item, effect)) => {
                books.add(effect);
                paid.push(item);
            }
            Err(strange) => return Ok(Err(strange)),
        }
    }
    if let Err(strange) = books.check() {
        return Ok(Err(strange));
    }
    let put_in = sum(spent.iter().map(|spent| spent.value));
    let outputs = moved.transaction.output.iter();
    let out = sum(outputs.map(|output| output.value));
    let fee = put_in
        .zip(out)
        .and_then(|(put_in, out)| put_in.checked_sub(out));
    Ok(Ok(Settled {
        epoch: moved.roster().epoch(),
        nft_input: moved.nft,
        fee: fee.context("a mined transaction that pays out more than it spends")?,
        paid,
    }))
}

fn sum(mut amounts: impl Iterator<Item = Amount>) -> Option<Amount> {
    amounts.try_fold(Amount::ZERO, Amount::checked_add)
}

/// What holds of a settlement as a whole, and where its parts are (ADR 3).
struct Frame {
    read: PrevTx,
    first_input: usize,
    first_output: usize,
    /// With nothing done yet.
    books: Books,
}

impl Frame {
    fn of(backend: &Backend, moved: &Move<'_>) -> Result<Self, Strange> {
        let read = PrevTx::read_committed(moved.transaction, backend.mock());
        let Some((vout, after)) = moved.after else {
            return Err(Strange::NoNft);
        };
        let first = moved.transaction.input.first();
        if *vout != 0 || first.is_none_or(|input| input.previous_output != moved.nft) {
            return Err(Strange::NftElsewhere);
        }
        let app = &backend.bridge().app;
        if !matches!(read.bridge_charms(0, app), BridgeCharms::Nft(Ok(_))) {
            return Err(Strange::Unspendable);
        }
        let expected = moved.before.serial.saturating_add(1);
        if after.serial != expected {
            let got = after.serial;
            return Err(Strange::Serial { expected, got });
        }
        let carried_on = RosterState {
            serial: after.serial,
            supply: after.supply,
            outflow: after.outflow,
            ..moved.before.clone()
        };
        let vault_script = &moved.roster().vault().script_pubkey;
        if *after != carried_on || after.vault_script != vault_script.as_bytes() {
            return Err(Strange::State);
        }
        let vault = |read: &PrevTx| {
            let output = read.output(1)?;
            let is_vault = output.script_pubkey == *vault_script
                && read.bridge_charms(1, app) == BridgeCharms::Nothing;
            is_vault.then_some(output.value)
        };
        let before_vault = vault(&PrevTx::read_committed(moved.made, backend.mock()));
        let coin = OutPoint::new(moved.nft.txid, 1);
        let second = moved.transaction.input.get(1);
        if before_vault.is_some() && second.is_none_or(|input| input.previous_output != coin) {
            return Err(Strange::VaultNotSpent);
        }
        let first_input = if before_vault.is_some() { 2 } else { 1 };
        let after_vault = vault(&read);
        let held = after_vault.unwrap_or(Amount::ZERO);
        if held.to_sat() < after.supply {
            return Err(Strange::VaultShort {
                vault: held,
                supply: after.supply,
            });
        }
        let first_output = if after_vault.is_some() { 2 } else { 1 };
        let deposits = moved.transaction.input.len().saturating_sub(first_input);
        if deposits > SETTLEMENT_ITEMS_MAX {
            return Err(Strange::TooMany(deposits));
        }
        let expected = deposits.saturating_add(first_output);
        let got = read.spell().map_or(0, |spell| spell.spell().tx.outs.len());
        if got != expected {
            return Err(Strange::Outputs { expected, got });
        }
        Ok(Self {
            read,
            first_input,
            first_output,
            books: Books {
                vault: [before_vault.unwrap_or(Amount::ZERO), held],
                supply: [moved.before.supply, after.supply],
                done: Effect::default(),
            },
        })
    }

    /// The item at `position`, its deposit made by `made`, and what it does to the books.
    async fn paid(
        &self,
        backend: &Backend,
        reader: &mut Reader,
        moved: &Move<'_>,
        position: usize,
        made: Made,
    ) -> anyhow::Result<Result<(Paid, Effect), Strange>> {
        let input_index = self.first_input.saturating_add(position);
        let output_index = self.first_output.saturating_add(position);
        let input = moved.transaction.input.get(input_index);
        let input = input.context("an input that was counted")?;
        let previous = PrevTx::read_committed(&made.transaction, backend.mock());
        let deposit = deposit_at(backend, &previous, input.previous_output.vout);
        let deposit = deposit.context("a mined transaction that spends no output")?;
        let spent = previous.output(input.previous_output.vout);
        let script = &spent.context("an output that was read")?.script_pubkey;

        let (shows, coin) = ((input_index, input), (&deposit, script.as_script()));
        let Whose { request, terms } = match Whose::of(backend, reader, moved, shows, coin).await? {
            Ok(whose) => whose,
            Err(strange) => return Ok(Err(strange)),
        };
        let vout = u32::try_from(output_index)?;
        let outcome = self.outcome(backend, vout, &deposit);
        let Some(outcome) = outcome.filter(|it| it.serves(terms.as_ref())) else {
            return Ok(Err(Strange::NotPaid {
                output_index,
                request,
            }));
        };
        let item = SettlementItem {
            request,
            deposit: deposit.outpoint,
            amount_out: outcome.amount,
            fee_share: outcome.fee_share,
        };
        let script = script.clone();
        let paid = Paid {
            item,
            deposit,
            script,
            made,
        };
        Ok(Ok((paid, outcome.effect)))
    }

    /// What an output gives for a deposit; none if that is nothing, or more than was put in.
    fn outcome(&self, backend: &Backend, vout: u32, deposit: &Deposit) -> Option<Outcome<'_>> {
        let output = self.read.output(vout)?;
        let (kind, amount, worth) = match self.read.bridge_charms(vout, &backend.bridge().app) {
            BridgeCharms::Token(sat) => {
                let minted = Amount::from_sat(sat);
                (Kind::PegIn, minted, minted.checked_add(output.value)?)
            }
            BridgeCharms::Nothing => (Kind::PegOut, output.value, output.value),
            BridgeCharms::Nft(_) | BridgeCharms::Other => return None,
        };
        let (minted, burned) = match (kind, deposit.charms) {
            (Kind::PegIn, DepositCharms::None) => (amount, Amount::ZERO),
            (Kind::PegOut, DepositCharms::ZkBtc(burned)) => (Amount::ZERO, burned),
            _ => return None,
        };
        let put_in = burned.checked_add(deposit.value)?;
        let fee_share = put_in.checked_sub(worth)?;
        (fee_share <= Amount::MAX_MONEY).then_some(Outcome {
            kind,
            destination: output.script_pubkey.as_script(),
            amount,
            fee_share,
            effect: Effect {
                minted: minted.to_sat(),
                burned: burned.to_sat(),
            },
        })
    }
}

/// What an output gives for a deposit.
struct Outcome<'a> {
    kind: Kind,
    destination: &'a Script,
    amount: Amount,
    fee_share: Amount,
    effect: Effect,
}

impl Outcome<'_> {
    /// Whether it is what terms ask for, where they are known.
    fn serves(&self, terms: Option<&Terms>) -> bool {
        terms.is_none_or(|terms| {
            terms.kind == self.kind && terms.destination.script() == self.destination
        })
    }
}
