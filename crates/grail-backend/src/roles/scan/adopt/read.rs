//! Reading a settlement from its transaction, by position (ADR 3).

use anyhow::Context;
use bitcoin::{
    Amount, OutPoint, Script, Transaction, TxIn, TxOut, Witness,
    secp256k1::{Secp256k1, Verification},
    taproot::{ControlBlock, LeafVersion},
};
use grail_bridge_contract::RosterState;
use grail_charms::PrevTx;
use grail_flow::{BlockRef, DepositCharms};
use grail_policy::adoption::AdoptedRoster;
use grail_script::deposit_request;
use grail_spell::BridgeCharms;
use grail_store::{Reader, SETTLEMENT_ITEMS_MAX, SettlementItem};
use grail_types::{Kind, RequestId};
use grail_witness::output_key;

use super::{Made, Paid, Settled, Strange, previous::previous};
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
    fn roster(&self) -> &AdoptedRoster {
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
    let mut paid = Vec::with_capacity(made.len());
    for (position, made) in made.into_iter().enumerate() {
        match frame
            .paid(backend, &mut reader, moved, position, made)
            .await?
        {
            Ok(item) => paid.push(item),
            Err(strange) => return Ok(Err(strange)),
        }
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
        })
    }

    /// The item at `position`, its deposit made by `made`.
    async fn paid(
        &self,
        backend: &Backend,
        reader: &mut Reader,
        moved: &Move<'_>,
        position: usize,
        made: Made,
    ) -> anyhow::Result<Result<Paid, Strange>> {
        let input_index = self.first_input.saturating_add(position);
        let output_index = self.first_output.saturating_add(position);
        let input = moved.transaction.input.get(input_index);
        let input = input.context("an input that was counted")?;
        let previous = PrevTx::read_committed(&made.transaction, backend.mock());
        let deposit = deposit_at(backend, &previous, input.previous_output.vout);
        let deposit = deposit.context("a mined transaction that spends no output")?;
        let spent = previous.output(input.previous_output.vout);
        let script = &spent.context("an output that was read")?.script_pubkey;

        let known = reader.deposit(&deposit.outpoint).await?;
        let committed = || committed(&backend.secp, input, script, moved.rosters);
        let Some(request) = known.map(|row| row.request).or_else(committed) else {
            return Ok(Err(Strange::NoDeposit(input_index)));
        };
        let not_paid = Strange::NotPaid {
            output_index,
            request,
        };
        let vout = u32::try_from(output_index)?;
        let Some(output) = self.read.output(vout) else {
            return Ok(Err(not_paid));
        };
        let app = &backend.bridge().app;
        let (kind, amount_out, worth) = match self.read.bridge_charms(vout, app) {
            BridgeCharms::Token(sat) => {
                let minted = Amount::from_sat(sat);
                (Kind::PegIn, minted, minted.checked_add(output.value))
            }
            BridgeCharms::Nothing => (Kind::PegOut, output.value, Some(output.value)),
            BridgeCharms::Nft(_) | BridgeCharms::Other => return Ok(Err(not_paid)),
        };
        let put_in = match (kind, deposit.charms) {
            (Kind::PegIn, DepositCharms::None) => Some(deposit.value),
            (Kind::PegOut, DepositCharms::ZkBtc(burned)) => burned.checked_add(deposit.value),
            _ => None,
        };
        let share = put_in
            .zip(worth)
            .and_then(|(put_in, out)| put_in.checked_sub(out));
        let Some(fee_share) = share.filter(|share| *share <= Amount::MAX_MONEY) else {
            return Ok(Err(not_paid));
        };
        if let Some(row) = reader.request(&request).await? {
            if row.deposit_script != *script {
                let strange = Strange::OtherAddress {
                    input_index,
                    request,
                };
                return Ok(Err(strange));
            }
            if row.terms.kind != kind || !pays(output, row.terms.destination.script()) {
                return Ok(Err(not_paid));
            }
        }
        let item = SettlementItem {
            request,
            deposit: deposit.outpoint,
            amount_out,
            fee_share,
        };
        Ok(Ok(Paid {
            item,
            deposit,
            made,
        }))
    }
}

fn pays(output: &TxOut, destination: &Script) -> bool {
    output.script_pubkey.as_script() == destination
}

/// The request that a spent deposit commits to: in the leaf that the witness shows, if it is a
/// roster's that the bridge has or had, and the output's key commits to it. Consensus has run it,
/// so a leaf that is there is the one that was spent by.
fn committed<C: Verification>(
    secp: &Secp256k1<C>,
    input: &TxIn,
    script: &Script,
    rosters: &Rosters,
) -> Option<RequestId> {
    let (leaf, control_block) = leaf(&input.witness)?;
    let output_key = output_key(script).ok()??;
    if !control_block.verify_taproot_commitment(secp, output_key, leaf) {
        return None;
    }
    let mut all = rosters.all();
    all.find_map(|adopted| deposit_request(leaf, adopted.roster()))
}

fn leaf(witness: &Witness) -> Option<(&Script, ControlBlock)> {
    let leaf = witness.taproot_leaf_script()?;
    let control_block = ControlBlock::decode(witness.taproot_control_block()?).ok()?;
    (leaf.version == LeafVersion::TapScript).then_some((leaf.script, control_block))
}
