//! Payments from the open wallet: coins chosen, spell proven, signed. Sends nothing.

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use grail_script::nums_key;
use grail_types::Bridge;
use grail_wallet::fund::Wanted;
use grail_wallet::holdings::PlainCoin;
use grail_wallet::sign::sign;
use grail_wallet::transfer::{TokenOutput, TokenPayment, choose_tokens};

use super::Session;
use crate::failure::Failure;
use crate::home::contract_of;
use crate::prover::prover;

/// A signed transaction and its fee.
pub struct Paid {
    /// The transaction, complete.
    pub transaction: Transaction,
    /// Its fee.
    pub fee: Amount,
}

/// Whether the wallet can pay this much BTC to a taproot address. Signs nothing.
pub fn can_pay_btc(
    session: &mut Session,
    amount: Amount,
    fee_rate: FeeRate,
) -> Result<(), Failure> {
    let script = some_script(session);
    let plain = session.wallet.plain_coins();
    btc_payment(&plain, script.clone(), amount, fee_rate, script).fund()?;
    Ok(())
}

/// Whether the wallet can pay this much zkBTC to a taproot address. Signs and proves nothing.
pub fn can_pay_zkbtc(
    session: &mut Session,
    amount: Amount,
    fee_rate: FeeRate,
) -> Result<(), Failure> {
    let protocol = session.protocol()?;
    let Bridge { network, app } = protocol.bridge();
    prover(*network)?;
    let contract = contract_of(app, &session.home)?;
    let script = some_script(session);
    let (inputs, excess) = choose_tokens(session.wallet.token_coins(), amount)?;
    let change = (excess > Amount::ZERO).then_some(excess);
    let outputs = [Some(amount), change].into_iter().flatten();
    let plain = session.wallet.plain_coins();
    TokenPayment {
        bridge: app,
        carrier: protocol.params().carrier,
        outputs: outputs
            .map(|amount| TokenOutput {
                script: script.clone(),
                amount,
            })
            .collect(),
        inputs,
        foreign: None,
        plain: &plain,
        fee_rate,
        change_script: script.clone(),
        contract: &contract,
        previous: &|_| None,
    }
    .rehearse()?;
    Ok(())
}

/// Signs a payment of BTC as output 0. Does not send it.
pub fn pay_btc(
    session: &mut Session,
    script: ScriptBuf,
    amount: Amount,
    fee_rate: FeeRate,
) -> Result<Paid, Failure> {
    let plain = session.wallet.plain_coins();
    let change_script = session.wallet.fresh_change_script()?;
    let funded = btc_payment(&plain, script, amount, fee_rate, change_script).fund()?;
    let seed = session.home.seed()?;
    Ok(Paid {
        transaction: sign(
            &session.secp,
            &seed,
            funded.transaction,
            &[],
            &funded.inputs,
        )?,
        fee: funded.fee,
    })
}

/// Signs a payment of zkBTC as output 0, with its spell. Does not send it.
pub fn pay_zkbtc(
    session: &mut Session,
    script: ScriptBuf,
    amount: Amount,
    fee_rate: FeeRate,
) -> Result<Paid, Failure> {
    let protocol = session.protocol()?;
    let Bridge { network, app } = protocol.bridge();
    let prover = prover(*network)?;
    let contract = contract_of(app, &session.home)?;
    let (inputs, excess) = choose_tokens(session.wallet.token_coins(), amount)?;
    let mut outputs = vec![TokenOutput { script, amount }];
    if excess > Amount::ZERO {
        outputs.push(TokenOutput {
            script: session.wallet.fresh_change_script()?,
            amount: excess,
        });
    }
    let plain = session.wallet.plain_coins();
    let change_script = session.wallet.fresh_change_script()?;
    let wallet = &session.wallet;
    let previous = |txid: &Txid| {
        wallet
            .transaction(txid)
            .map(|transaction| (*transaction).clone())
    };
    let funded = TokenPayment {
        bridge: app,
        carrier: protocol.params().carrier,
        outputs,
        inputs,
        foreign: None,
        plain: &plain,
        fee_rate,
        change_script,
        contract: &contract,
        previous: &previous,
    }
    .prove(&prover)?;
    let seed = session.home.seed()?;
    Ok(Paid {
        transaction: sign(
            &session.secp,
            &seed,
            funded.transaction,
            &[],
            &funded.inputs,
        )?,
        fee: funded.fee,
    })
}

fn btc_payment(
    plain: &[PlainCoin],
    script: ScriptBuf,
    amount: Amount,
    fee_rate: FeeRate,
    change_script: ScriptBuf,
) -> Wanted<'_> {
    Wanted {
        outputs: vec![TxOut {
            value: amount,
            script_pubkey: script,
        }],
        inputs: Vec::new(),
        foreign: None,
        plain,
        fee_rate,
        change_script,
    }
}

/// Any script of a taproot output, to reckon with.
pub(super) fn some_script(session: &Session) -> ScriptBuf {
    ScriptBuf::new_p2tr(&session.secp, nums_key(), None)
}

/// The first output of a transaction.
pub fn first_output(transaction: &Transaction) -> OutPoint {
    OutPoint::new(transaction.compute_txid(), 0)
}
