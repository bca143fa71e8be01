//! The roster NFT's way through a block, found before the step that takes the block: reading
//! spells, checking signatures and asking the node have no place in a step.

use std::collections::HashMap;

use anyhow::Context;
use bitcoin::{Amount, Block, BlockHash, OutPoint, Transaction, TxOut, Txid, Witness};
use grail_bridge_contract::RosterState;
use grail_charms::{PrevTx, roster_state};
use grail_flow::BlockRef;
use grail_policy::adoption::{HANDOVER_MAX_BYTES, Handover};
use grail_spell::nft_app;
use grail_store::Rotation;
use grail_types::Epoch;

use super::adopt::{self, Move, Place, Settled, Strange};
use crate::{backend::Backend, rosters::Rosters, rotations};

/// What a block does to the NFT.
pub(super) struct NftWalk {
    /// The rosters after the block.
    pub rosters: Rosters,
    moves: HashMap<Txid, NftMove>,
}

/// What one transaction does to it: the deployment, or one that spends it.
pub(super) struct NftMove {
    /// Where it leaves the NFT, and with which state; none when it leaves none that can be read.
    pub output: Option<(u32, RosterState)>,
    /// What it does to the roster.
    pub effect: Effect,
}

/// What a move does to the roster.
pub(super) enum Effect {
    /// Makes the first one.
    Deploys,
    /// Nothing: the NFT stays in its epoch, or vanishes, in a settlement of the rows.
    Settles,
    /// Announces a rotation, takes that back, or merges donations: the NFT, from there, and the
    /// vault's coin move on, and nobody is served.
    ServesNobody(OutPoint),
    /// The same as settling, in a transaction that is not in the rows.
    Adopts(Box<Settled>),
    /// The same, and it breaks a rule of settlements.
    Breaks(Strange),
    /// Hands over to the next one, which is adopted. With its evidence as rows keep it.
    Rotates(Box<Rotation>, Vec<u8>),
    /// Hands over to one that does not follow from the one before it.
    NotAdopted {
        /// Which rule does not hold.
        code: &'static str,
        /// What does not hold.
        reason: String,
    },
}

impl Effect {
    /// The NFT's output that is spent by what serves nobody.
    pub(super) fn nft_input(&self) -> Option<&OutPoint> {
        match self {
            Self::Rotates(rotation, _) => Some(&rotation.nft_input),
            Self::ServesNobody(nft_input) => Some(nft_input),
            Self::Deploys
            | Self::Settles
            | Self::Adopts(_)
            | Self::Breaks(_)
            | Self::NotAdopted { .. } => None,
        }
    }
}

impl NftWalk {
    /// Follows the NFT through `block`, from where rows say that it is.
    pub(super) async fn through(
        backend: &Backend,
        block: &Block,
        at: BlockRef,
    ) -> anyhow::Result<Self> {
        let mut reader = backend.store.read().await?;
        let mut nft = reader.vault_totals().await?.nft;
        let mut made: Option<Transaction> = None;
        let rosters = (*backend.rosters(&mut reader).await?).clone();
        drop(reader);
        let mut walk = Self {
            rosters,
            moves: HashMap::new(),
        };
        let deployment = backend.deployment_tx.compute_txid();
        for transaction in &block.txdata {
            let mut inputs = transaction.input.iter();
            let spends = nft.filter(|nft| inputs.any(|input| input.previous_output == *nft));
            let txid = transaction.compute_txid();
            if spends.is_none() && txid != deployment {
                continue;
            }
            let output = nft_output(backend, transaction);
            let moved_on = output.as_ref().map(|(vout, _)| OutPoint::new(txid, *vout));
            let newest = walk.rosters.newest().epoch();
            let effect = match (spends, &output) {
                (None, _) => Effect::Deploys,
                (Some(nft), Some((_, state))) if Epoch(state.epoch) != newest => {
                    let hash = &state.governance;
                    walk.rotate(backend, transaction, (nft, hash), at).await?
                }
                (Some(nft), _) => {
                    let before = match made.take() {
                        Some(made) => made,
                        None => made_nft(backend, nft).await?,
                    };
                    let output = output.as_ref();
                    walk.settle(backend, transaction, (nft, &before), output, at)
                        .await?
                }
            };
            nft = moved_on;
            made = Some(transaction.clone());
            walk.moves.insert(txid, NftMove { output, effect });
        }
        Ok(walk)
    }

    /// What a transaction of the block does to the NFT, if anything.
    pub(super) fn of(&self, txid: &Txid) -> Option<&NftMove> {
        self.moves.get(txid)
    }

    /// Whether a transaction that keeps the NFT in its epoch is in the rows; if not, what it is.
    async fn settle(
        &self,
        backend: &Backend,
        transaction: &Transaction,
        (nft, made): (OutPoint, &Transaction),
        after: Option<&(u32, RosterState)>,
        block: BlockRef,
    ) -> anyhow::Result<Effect> {
        let txid = transaction.compute_txid();
        let mut reader = backend.store.read().await?;
        if reader.settlement_by_txid(&txid).await?.is_some() {
            return Ok(Effect::Settles);
        }
        drop(reader);
        let before = nft_output(backend, made).filter(|(vout, _)| *vout == nft.vout);
        let (_, before) = before.context("the NFT's output does not carry the NFT")?;
        if let Some((0, after)) = after
            && (is_announcement(&before, after) && carries_vault(transaction, made)
                || is_merge(&before, after, transaction, made))
        {
            let (serial, attempt) = (after.serial, after.attempt);
            tracing::warn!(%txid, serial, attempt, "the NFT moved on and served nobody");
            return Ok(Effect::ServesNobody(nft));
        }
        let moved = Move {
            made,
            nft,
            before: &before,
            after,
            transaction,
            rosters: &self.rosters,
            place: Place::Block(block),
        };
        Ok(match adopt::read(backend, &moved).await? {
            Ok(settled) => Effect::Adopts(Box::new(settled)),
            Err(strange) => Effect::Breaks(strange),
        })
    }

    /// Adopts the roster that a transaction hands over to. A block holds it, so consensus has seen
    /// the quorum's witness; what no consensus sees (keys on the curve, the address, the epoch) is
    /// checked here as everywhere else.
    async fn rotate(
        &mut self,
        backend: &Backend,
        transaction: &Transaction,
        (nft, hash): (OutPoint, &[u8; 32]),
        block: BlockRef,
    ) -> anyhow::Result<Effect> {
        let spent = spent(backend, transaction.compute_txid(), block.hash).await?;
        // The chain tells their hash alone. Where neither today's have it nor those of a rotation
        // that was handed in, the rotation is not adopted, and an alarm.
        let today = self.rosters.newest().governance();
        let mut reader = backend.store.read().await?;
        let governance = rotations::governance(backend, &mut reader, today, hash).await?;
        drop(reader);
        let governance = governance.unwrap_or_else(|| today.clone());
        let handover = Handover {
            transaction: without_other_witnesses(transaction),
            spent,
            governance,
        };
        let bytes = handover.to_bytes();
        if bytes.len() > HANDOVER_MAX_BYTES {
            return Ok(Effect::NotAdopted {
                code: "too-large",
                reason: format!(
                    "expected a handover of at most {HANDOVER_MAX_BYTES} bytes, got {}",
                    bytes.len()
                ),
            });
        }
        let adopted = self
            .rosters
            .adopt(&backend.secp, backend.bridge(), &handover, nft, block);
        Ok(match adopted {
            Ok(rotation) => Effect::Rotates(Box::new(rotation), bytes),
            Err(error) => Effect::NotAdopted {
                code: error.code(),
                reason: error.to_string(),
            },
        })
    }
}

/// Whether all that changes is what is announced. The contract lets nothing else of it change with
/// that, and a block holds the quorum's signatures.
fn is_announcement(before: &RosterState, after: &RosterState) -> bool {
    let moved_on = RosterState {
        serial: before.serial.saturating_add(1),
        attempt: after.attempt,
        next: after.next.clone(),
        ..before.clone()
    };
    *after == moved_on && before.next != after.next
}

/// Whether the state only goes one serial on and the vault's coin grows, with no output for anybody
/// else: NFT, vault, spell.
fn is_merge(
    before: &RosterState,
    after: &RosterState,
    transaction: &Transaction,
    made: &Transaction,
) -> bool {
    let moved_on = RosterState {
        serial: before.serial.saturating_add(1),
        ..before.clone()
    };
    let amount = |of| vault_coin(of, made).map_or(Amount::ZERO, |coin| coin.value);
    *after == moved_on && transaction.output.len() == 3 && amount(transaction) > amount(made)
}

/// Whether output 1 is the vault's coin again, where the NFT's transaction left one: the next
/// settlement finds it there or nowhere.
fn carries_vault(transaction: &Transaction, made: &Transaction) -> bool {
    vault_coin(made, made).is_none_or(|left| vault_coin(transaction, made) == Some(left))
}

/// Output 1 of a transaction, if it lies where `made` has the NFT.
fn vault_coin<'a>(transaction: &'a Transaction, made: &Transaction) -> Option<&'a TxOut> {
    let vault = &made.output.first()?.script_pubkey;
    let output = transaction.output.get(1);
    output.filter(|output| output.script_pubkey == *vault)
}

/// The transaction that made the NFT's output. Rows of before they kept every such transaction may
/// lack it: then the node has it in its block.
async fn made_nft(backend: &Backend, nft: OutPoint) -> anyhow::Result<Transaction> {
    let mut reader = backend.store.read().await?;
    if let Some(made) = reader.transaction(&nft.txid).await? {
        return Ok(made);
    }
    let block = reader.vault_output_block(&nft).await?;
    drop(reader);
    let block = block.context("the NFT's output is in no block")?.hash;
    let made = backend
        .node
        .call(move |chain| chain.tx_in_block(&nft.txid, &block))
        .await?;
    made.context("the node does not have the transaction that made the NFT's output")
}

/// What a rotation's inputs spend: its signatures commit to it, and its block does not hold it.
async fn spent(backend: &Backend, txid: Txid, block: BlockHash) -> anyhow::Result<Vec<TxOut>> {
    let spent = backend
        .node
        .call(move |chain| chain.spent_in_block(&txid, &block))
        .await?;
    let spent = spent.with_context(|| {
        format!("the node does not tell what rotation {txid} in block {block} spends")
    })?;
    Ok(spent.into_iter().map(|spent| spent.output).collect())
}

/// The transaction with no witness but that of its first input, the roster's. The others' owners
/// choose them as they like, and as long as blocks let them.
fn without_other_witnesses(transaction: &Transaction) -> Transaction {
    let mut transaction = transaction.clone();
    for input in transaction.input.iter_mut().skip(1) {
        input.witness = Witness::new();
    }
    transaction
}

/// Where a transaction leaves the NFT, and its state.
pub(super) fn nft_output(
    backend: &Backend,
    transaction: &Transaction,
) -> Option<(u32, RosterState)> {
    let nft = nft_app(&backend.bridge().app);
    let read = PrevTx::read(transaction.clone(), backend.mock());
    let outputs = transaction.output.iter().zip(0_u32..);
    outputs.map(|(_, vout)| vout).find_map(|vout| {
        // A state that cannot be read counts as absent: the contract lets no such NFT come to be.
        // Nor one that no row can hold: a block with it must not stop the scanner.
        let state = roster_state(&read.charms_at(vout), &nft).ok().flatten()?;
        let is_storable =
            state.supply <= Amount::MAX_MONEY.to_sat() && i64::try_from(state.epoch).is_ok();
        is_storable.then_some((vout, state))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bitcoin::{ScriptBuf, absolute::LockTime, transaction::Version};
    use grail_bridge_contract::Next;
    use grail_fixtures::paper::roster;

    use super::*;

    fn announced() -> RosterState {
        RosterState {
            attempt: 1,
            next: Some(Next {
                hash: [1; 32],
                serial: 9,
                wait: 3,
            }),
            ..roster(9, 50)
        }
    }

    #[test]
    fn an_announcement_changes_what_is_announced_and_nothing_else() {
        assert!(is_announcement(&roster(8, 50), &announced()));
        let cancelled = RosterState {
            attempt: 1,
            ..roster(10, 50)
        };
        assert!(is_announcement(&announced(), &cancelled));
        assert!(!is_announcement(&roster(8, 50), &roster(9, 50)));
        let spoil: [fn(&mut RosterState); 5] = [
            |it| it.serial += 1,
            |it| it.supply -= 1,
            |it| it.outflow += 1,
            |it| it.threshold += 1,
            |it| it.governance[0] ^= 1,
        ];
        for change in spoil {
            let mut after = announced();
            change(&mut after);
            assert!(!is_announcement(&roster(8, 50), &after));
        }
    }

    fn paying(outputs: &[(u64, u8)]) -> Transaction {
        let output = |(sats, script): &(u64, u8)| TxOut {
            value: Amount::from_sat(*sats),
            script_pubkey: ScriptBuf::from_bytes(vec![*script]),
        };
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: Vec::new(),
            output: outputs.iter().map(output).collect(),
        }
    }

    #[test]
    fn the_vaults_coin_is_carried_along_where_there_is_one() {
        let made = paying(&[(330, 1), (5_000, 1), (7, 2)]);
        assert!(carries_vault(&paying(&[(330, 1), (5_000, 1)]), &made));
        for other in [
            paying(&[(330, 1), (4_999, 1)]),
            paying(&[(330, 1), (5_000, 2)]),
            paying(&[(330, 1), (7, 2), (5_000, 1)]),
            paying(&[(330, 1)]),
        ] {
            assert!(!carries_vault(&other, &made));
        }
        // A bridge without zkBTC has no vault.
        let empty = paying(&[(330, 1), (7, 2)]);
        assert!(carries_vault(&paying(&[(330, 1), (330, 3)]), &empty));
        assert!(!carries_vault(&paying(&[(330, 1), (330, 1)]), &made));
    }
}
