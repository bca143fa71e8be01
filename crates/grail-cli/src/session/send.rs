//! Payments handed to the node.
//!
//! Written down before they are sent. Afterwards one of three things is said, and never another:
//! sent; not sent, because the node refused it; or perhaps sent, because its answer is missing.

use bitcoin::{Address, Transaction, Txid};
use grail_chain::{BitcoinCore, Chain as _, ChainError, SendError};
use grail_types::Network;

use super::{Session, now};
use crate::failure::Failure;
use crate::progress::{Note, Progress};
use crate::wallet::sync;

/// How Bitcoin Core begins its refusal of what depends on too many others that are in no block.
const TOO_MANY_UNCONFIRMED: [&str; 3] = [
    "too-large-cluster",
    "too-long-mempool-chain",
    "package-mempool-limits",
];

/// How it begins that of an output too small to be worth its spend.
pub(super) const DUST: &str = "dust";

impl Session {
    /// Writes a payment down, hands it to the node, and counts it from then on.
    pub fn broadcast(
        &mut self,
        transaction: &Transaction,
        progress: &mut dyn Progress,
    ) -> Result<Txid, Failure> {
        let txid = transaction.compute_txid();
        // A node that is not there at all is found out before anything could be sent.
        self.node()?;
        // The very same transaction may be out already: then no refusal makes it unsent.
        let was_kept = self.wallet.keeps_payment(&txid);
        self.wallet
            .keep_payment(transaction, now())
            .map_err(|error| Failure::from(error).adding("nothing was sent"))?;
        match self.node()?.send(transaction) {
            Ok(_) | Err(SendError::AlreadyConfirmed | SendError::AlreadyInMempool) => (),
            Err(SendError::Chain(error)) if may_have_arrived(&error) => {
                self.count(transaction, progress);
                return Err(perhaps_sent(txid, &error.to_string()));
            }
            Err(refused) if was_kept => return Err(explained(refused)),
            Err(refused) => {
                return Err(match self.wallet.forget_payment(&txid) {
                    Ok(()) => explained(refused).adding("nothing was sent"),
                    // It would be handed over again, so it cannot be called unsent.
                    Err(kept) => perhaps_sent(txid, &format!("{refused}, and {kept}")),
                });
            }
        }
        self.count(transaction, progress);
        self.note_if_alone(progress);
        if let Err(error) = self.wallet.tell_payment(transaction, now()) {
            progress.note(Note::new(error.code(), error.to_string()));
        }
        Ok(txid)
    }

    /// A node without company keeps a payment to itself. One that does not say is taken to have
    /// some.
    fn note_if_alone(&self, progress: &mut dyn Progress) {
        let company = self.node.as_ref().map(BitcoinCore::company);
        let why = match company {
            Some(Ok(company)) if !company.is_active => "its network is off (-networkactive=0)",
            // On regtest that is usual.
            Some(Ok(company)) if company.connections == 0 && self.network() != Network::Regtest => {
                "it is connected to no other node"
            }
            _ => return,
        };
        progress.note(Note::new(
            "node-alone",
            format!(
                "nobody but the node has the payment yet: {why}; it passes the payment on once it has company"
            ),
        ));
    }

    /// Brings the wallet up to the node before it pays. A payment that an earlier command began,
    /// and of which nobody has said that it was sent, is told of in the new one's place: whoever
    /// gave that command may only be giving it again.
    pub fn sync_to_pay(&mut self, progress: &mut dyn Progress) -> Result<(), Failure> {
        match self.sync_untold(progress)?.first() {
            None => Ok(()),
            Some(found) => Err(Failure {
                txid: Some(found.compute_txid()),
                ..Failure::new(
                    "payment-was-open",
                    format!(
                        "{}; this command sent nothing: give it again if you mean another payment",
                        self.describe(found)
                    ),
                )
            }),
        }
    }

    /// Brings the wallet up to the node.
    pub fn sync(&mut self, progress: &mut dyn Progress) -> Result<(), Failure> {
        for found in self.sync_untold(progress)? {
            progress.note(Note::new("payment-was-open", self.describe(&found)));
        }
        Ok(())
    }

    fn sync_untold(&mut self, progress: &mut dyn Progress) -> Result<Vec<Transaction>, Failure> {
        self.node()?;
        let node = self
            .node
            .as_ref()
            .ok_or_else(|| Failure::new("no-node", "no node"))?;
        sync(&mut self.wallet, node, now(), progress)?;
        Ok(self.wallet.take_untold(now())?)
    }

    fn describe(&self, payment: &Transaction) -> String {
        let network = bitcoin::Network::from(self.network());
        let to = payment
            .output
            .first()
            .and_then(|first| Address::from_script(&first.script_pubkey, network).ok())
            .map_or_else(String::new, |address| format!(" to {address}"));
        format!(
            "the payment {}{to} was begun by an earlier command that did not see it through; it counts as sent",
            payment.compute_txid()
        )
    }

    /// The payment is on disk already: a log that cannot be written loses nothing.
    fn count(&mut self, transaction: &Transaction, progress: &mut dyn Progress) {
        if let Err(error) = self.wallet.note_sent(transaction, now()) {
            progress.note(Note::new(
                error.code(),
                format!("{error}; the payment itself is kept and counted"),
            ));
        }
    }
}

/// Whether the node may have taken a transaction though it did not say so.
fn may_have_arrived(error: &ChainError) -> bool {
    match error {
        ChainError::Unreachable { .. }
        | ChainError::Busy { .. }
        | ChainError::Unavailable { .. }
        | ChainError::NotKept { .. }
        | ChainError::BadAnswer { .. }
        // Of several nodes: a wallet has one.
        | ChainError::NodesDisagree { .. }
        | ChainError::NodesBehind { .. } => true,
        ChainError::Credentials { .. }
        | ChainError::NotAllowed { .. }
        | ChainError::Refused { .. }
        | ChainError::BadUrl { .. } => false,
    }
}

fn perhaps_sent(txid: Txid, why: &str) -> Failure {
    Failure {
        txid: Some(txid),
        ..Failure::new(
            "perhaps-sent",
            format!(
                "the transaction {txid} may have been sent: {why}; it counts as sent and is handed over again by the \
                 next command that asks the node: do not pay again"
            ),
        )
    }
}

fn explained(refused: SendError) -> Failure {
    match refused {
        SendError::Rejected { reason, .. }
            if TOO_MANY_UNCONFIRMED
                .iter()
                .any(|words| reason.starts_with(words)) =>
        {
            Failure::new(
                "too-many-unconfirmed",
                format!(
                    "too many payments of this wallet build on each other and are in no block yet: wait for a block, or \
                     raise the fee of the last of them with `grail bump` ({reason})"
                ),
            )
        }
        SendError::Rejected { reason, .. } if reason.starts_with(DUST) => Failure::new(
            "node-refuses-dust",
            format!(
                "the node calls an output of the payment dust ({reason}): it is set to a -dustrelayfee above Bitcoin \
                 Core's own, or the change is too small for it; set it back, use another node, or send another amount"
            ),
        ),
        other => other.into(),
    }
}
