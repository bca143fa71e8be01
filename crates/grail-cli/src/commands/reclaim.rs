//! `grail reclaim`: finds receipt, deposit, destination and fee, then takes the deposit back.

use std::path::Path;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::secp256k1::Keypair;
use bitcoin::{Address, FeeRate, ScriptBuf, Transaction, Txid};
use grail_api::CheckedReceipt;

use grail_wallet::charms::Carried;
use grail_wallet::reclaim::{Deposit, Keys, ReclaimFailure, reclaim_plain, reclaim_tokens};
use grail_wallet::seed::Seed;
use grail_wallet::slot::{Slot, find_reclaim_key};
use grail_wallet::transfer::TokenPayment;

use crate::arguments;
use crate::failure::Failure;
use crate::hex_text;
use crate::home::{contract_of, read_secret};
use crate::node::unspent_output;
use crate::progress::Progress;
use crate::prover::prover;
use crate::report::Reclaimed;
use crate::session::Session;

/// Fee rate when nobody can be asked.
const OFFLINE_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

/// Takes a deposit back. Asks nobody, unless it is to be broadcast.
pub fn reclaim(
    session: &mut Session,
    reclaim: &arguments::Reclaim,
    progress: &mut dyn Progress,
) -> Result<Reclaimed, Failure> {
    let (receipt, slot) = session.home.named_kept_receipt(&reclaim.receipt)?;
    if receipt.terms().network != session.network() {
        return Err(Failure::new(
            "wrong-network",
            format!(
                "the receipt is of {}, the wallet of {}",
                receipt.terms().network,
                session.network()
            ),
        ));
    }
    let fee_rate = if reclaim.broadcast {
        session.sync(progress)?;
        session.fee_rate_or(reclaim.fee_rate, OFFLINE_FEE_RATE, progress)
    } else {
        reclaim.fee_rate.unwrap_or(OFFLINE_FEE_RATE)
    };
    let given = match reclaim.deposit_tx.as_deref() {
        Some(file) => Some(read_transaction(file)?),
        None => on_chain(session, &receipt, reclaim)?,
    };
    let deposit = find_deposit(session, &receipt, reclaim, given.as_ref())?;
    let to = match &reclaim.to {
        Some(to) => session.recipient_offline(to)?,
        None => session.wallet.fresh_address()?.script_pubkey(),
    };
    let seed = session.home.seed()?;
    let key = reclaim_key(session, &seed, &receipt, slot)?;
    let transaction = if let Carried::ZkBtc(_) = deposit.carried {
        if reclaim.broadcast {
            session.must_relay_spells()?;
        }
        with_tokens(
            session,
            &receipt,
            &deposit,
            to.clone(),
            &Paying {
                fee_rate,
                given: given.as_ref(),
                keys: Keys {
                    seed: &seed,
                    reclaim: &key,
                },
            },
        )?
    } else {
        reclaim_plain(
            &session.secp,
            &receipt,
            &deposit,
            to.clone(),
            fee_rate,
            &key,
        )?
    };
    if reclaim.broadcast {
        session.broadcast(&transaction, progress)?;
    }
    let address = Address::from_script(&to, bitcoin::Network::from(session.network()))
        .map_or_else(|_| to.to_hex_string(), |address| address.to_string());
    Ok(Reclaimed {
        id: receipt.request().to_string(),
        txid: transaction.compute_txid().to_string(),
        raw_transaction: serialize_hex(&transaction),
        to: address,
        amount_sat: transaction
            .output
            .first()
            .map_or(0, |output| output.value.to_sat()),
        token_sat: match &deposit.carried {
            Carried::ZkBtc(token) => Some(token.amount.to_sat()),
            _ => None,
        },
        delay: deposit.confirmations_needed(&receipt),
        is_broadcast: reclaim.broadcast,
    })
}

fn reclaim_key(
    session: &Session,
    seed: &Seed,
    receipt: &CheckedReceipt,
    slot: Option<Slot>,
) -> Result<Keypair, Failure> {
    // A wallet that has seen no block does not know how high the chain is.
    let tip = Some(session.wallet.tip().height).filter(|height| *height > 0);
    let wanted = &receipt.terms().reclaim_key;
    Ok(find_reclaim_key(&session.secp, seed, wanted, slot, tip)?)
}

fn find_deposit(
    session: &mut Session,
    receipt: &CheckedReceipt,
    reclaim: &arguments::Reclaim,
    given: Option<&Transaction>,
) -> Result<Deposit, Failure> {
    if let Some(transaction) = given {
        let vout = Deposit::vout_in(receipt, transaction, reclaim.outpoint)?;
        let carried = session.wallet.carried(transaction, vout);
        return Ok(Deposit::from_transaction(
            receipt,
            transaction,
            vout,
            carried,
        )?);
    }
    let known = session.wallet.outputs_at(receipt.script_pubkey());
    let chosen: Vec<_> = known
        .iter()
        .filter(|(outpoint, _)| reclaim.outpoint.is_none_or(|wanted| wanted == *outpoint))
        .collect();
    match (chosen.as_slice(), reclaim.outpoint, reclaim.amount) {
        ([(outpoint, transaction)], _, _) => {
            let carried = session.wallet.carried(transaction, outpoint.vout);
            Ok(Deposit::from_transaction(
                receipt,
                transaction,
                outpoint.vout,
                carried,
            )?)
        }
        // With a node at hand, what it does not show is not spent unseen.
        ([], Some(_), Some(_)) if reclaim.broadcast => Err(ReclaimFailure::NeedsTransaction.into()),
        ([], Some(outpoint), Some(amount)) => Ok(Deposit::plain(receipt, outpoint, amount)?),
        ([], _, _) => Err(ReclaimFailure::NoDeposit(receipt.request()).into()),
        (several, _, _) => Err(ReclaimFailure::SeveralDeposits(several.len()).into()),
    }
}

/// The transaction of a deposit that somebody else made, where a node can be asked: what it carries
/// must be seen before it is spent as BTC.
fn on_chain(
    session: &mut Session,
    receipt: &CheckedReceipt,
    reclaim: &arguments::Reclaim,
) -> Result<Option<Transaction>, Failure> {
    let Some(outpoint) = reclaim.outpoint.filter(|_| reclaim.broadcast) else {
        return Ok(None);
    };
    let known = session.wallet.outputs_at(receipt.script_pubkey());
    if known.iter().any(|(known, _)| *known == outpoint) {
        return Ok(None);
    }
    let unspent = unspent_output(session.node()?, outpoint)?;
    Ok(unspent.map(|unspent| unspent.transaction))
}

/// How a reclaim with zkBTC is paid for and signed.
struct Paying<'a> {
    fee_rate: FeeRate,
    /// The deposit's transaction.
    given: Option<&'a Transaction>,
    keys: Keys<'a>,
}

fn with_tokens(
    session: &mut Session,
    receipt: &CheckedReceipt,
    deposit: &Deposit,
    to: ScriptBuf,
    paying: &Paying<'_>,
) -> Result<Transaction, Failure> {
    let Paying {
        fee_rate,
        given,
        keys,
    } = *paying;
    let prover = prover(session.network())?;
    let contract = contract_of(&receipt.terms().bridge, &session.home)?;
    let carrier = session.protocol()?.params().carrier;
    let plain = session.wallet.plain_coins();
    let change_script = session.wallet.fresh_change_script()?;
    let wallet = &session.wallet;
    let previous = |txid: &Txid| {
        given
            .filter(|given| given.compute_txid() == *txid)
            .cloned()
            .or_else(|| {
                wallet
                    .transaction(txid)
                    .map(|transaction| (*transaction).clone())
            })
    };
    let payment = TokenPayment {
        bridge: &receipt.terms().bridge,
        carrier,
        outputs: Vec::new(),
        inputs: Vec::new(),
        foreign: None,
        plain: &plain,
        fee_rate,
        change_script,
        contract: &contract,
        previous: &previous,
    };
    let secp = &session.secp;
    Ok(reclaim_tokens(
        secp, receipt, deposit, to, keys, payment, &prover,
    )?)
}

fn read_transaction(path: &Path) -> Result<Transaction, Failure> {
    let text = read_secret(path)?;
    deserialize_hex(&text).map_err(|error| {
        Failure::new(
            "bad-transaction",
            format!(
                "{}: expected a transaction in hex: {}",
                path.display(),
                hex_text::explained(error, text.as_bytes())
            ),
        )
    })
}
