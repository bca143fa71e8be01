//! `grail wallet explain`: why an output is or is not counted in the balance.

use std::sync::Arc;

use bitcoin::{OutPoint, Transaction};
use grail_chain::{BitcoinCore, Chain, View};
use grail_spell::Place;
use grail_wallet::charms::Carried;
use grail_wallet::explain::{Explanation as Why, Standing, explain as why};
use grail_wallet::holdings::Holding;

use super::follow;
use crate::failure::Failure;
use crate::node::transaction_of;
use crate::progress::Progress;
use crate::report::{Explanation, PlaceView, SpellSummary};
use crate::session::Session;
use crate::wallet::Wallet;

/// Explains an output. With a node, as of now; without one, as of the last time.
pub fn explain(
    session: &mut Session,
    outpoint: OutPoint,
    progress: &mut dyn Progress,
) -> Result<Explanation, Failure> {
    let has_node = session.has_node();
    follow(session, progress)?;
    let known = session.wallet.transaction(&outpoint.txid);
    let transaction = match known {
        Some(transaction) => Some(transaction),
        None if has_node => find(session.node()?, outpoint)?.map(Arc::new),
        None => None,
    };
    let height = session.wallet.tip().height;
    let Some(transaction) = transaction else {
        let mut unknown = Why::default();
        unknown.because(
            "unknown-output",
            if has_node {
                "neither the wallet nor the node's unspent outputs know it: it never existed, or was spent long ago"
            } else {
                "the wallet does not know its transaction, and no node is named to ask: give --node"
            },
        );
        return Ok(Explanation::new(outpoint, height, unknown));
    };
    Ok(describe(
        &mut session.wallet,
        &transaction,
        outpoint,
        height,
    ))
}

/// A transaction that the node still has an unspent output of, or has in its mempool.
fn find(node: &BitcoinCore, outpoint: OutPoint) -> Result<Option<Transaction>, Failure> {
    if let Some(transaction) = node.mempool_tx(&outpoint.txid)? {
        return Ok(Some(transaction));
    }
    match node.tx_out(&outpoint, View::Confirmed)? {
        Some(status) => Ok(transaction_of(node, outpoint, &status)?),
        None => Ok(None),
    }
}

/// Explains an output of `transaction` by what the wallet knows.
fn describe(
    wallet: &mut Wallet,
    transaction: &Transaction,
    outpoint: OutPoint,
    height: u32,
) -> Explanation {
    let output = usize::try_from(outpoint.vout)
        .ok()
        .and_then(|vout| transaction.output.get(vout));
    let Some(output) = output else {
        return Explanation::new(outpoint, height, Why::no_such_output(transaction));
    };
    let standing = wallet.standing(outpoint, &output.script_pubkey);
    let carried = match &standing {
        Standing::Held(holding) => Holding::carried(holding),
        Standing::Foreign | Standing::Lost { .. } => wallet.carried(transaction, outpoint.vout),
    };
    let mut explanation =
        Explanation::new(outpoint, height, why(output.value, &standing, &carried));
    explanation.spell = summary(&carried, transaction);
    explanation.token_sat = carried.zkbtc().map(bitcoin::Amount::to_sat);
    explanation
}

fn summary(carried: &Carried, transaction: &Transaction) -> Option<SpellSummary> {
    carried.spell().map(|spell| SpellSummary {
        version: spell.version,
        is_mock: spell.is_mock,
        place: match spell.place {
            Place::OpReturn { output_index } => PlaceView::OpReturn { output_index },
            Place::Witness => PlaceView::Witness {
                input_index: transaction.input.len().saturating_sub(1),
            },
        },
        apps: carried.apps().iter().map(ToString::to_string).collect(),
    })
}
