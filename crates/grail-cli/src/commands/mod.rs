//! Commands about the wallet itself: make, show, send.

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use grail_api::client::Client;
use grail_chain::BlockSource;
use grail_script::nums_key;

use crate::amount::parse_address;
use crate::args;
use crate::contract::contract_of;
use crate::failure::Failure;
use crate::fund::Wanted;
use crate::holdings::{Holding, PlainCoin};
use crate::home::{Config, Home, read_json, read_secret};
use crate::progress::Progress;
use crate::report::{
    BalanceReport, Created, FreshAddress, ListedOutput, Listing, ReceiptLine, Receipts, Sent,
};
use crate::seed::{Branch, Seed};
use crate::session::{Session, Settings, served_params};
use crate::sign::sign;
use crate::spell::{TokenOutput, TokenPayment, choose_tokens, prover};

/// A signed transaction and its fee.
pub struct Paid {
    /// The transaction, complete.
    pub transaction: Transaction,
    /// Its fee.
    pub fee: Amount,
}

/// Makes a wallet.
pub fn init(settings: &Settings, init: &args::Init) -> Result<Created, Failure> {
    let network = settings
        .network
        .ok_or_else(|| Failure::new("network-needed", "a new wallet needs --network"))?;
    let seed = match &init.mnemonic_file {
        Some(file) => Seed::parse(&read_secret(file)?, network)?,
        None => Seed::generate(network)?,
    };
    let node = settings.connect(network, grail_chain::CALL_TIMEOUT)?;
    let birthday_height = match (init.birthday_height, &init.mnemonic_file, &node) {
        (Some(height), _, _) => height,
        // Nobody can have paid to a mnemonic that did not exist.
        (None, None, Some(node)) => node.tip()?.height,
        (None, _, _) => 1,
    };
    // Before anything is written: what cannot be had leaves no half-made wallet.
    let params = match (&init.params, &settings.api) {
        (Some(file), _) => Some(read_json(file)?),
        (None, Some(url)) => Some(served_params(&Client::new(url))?),
        (None, None) => None,
    };
    let config = Config {
        network,
        birthday_height: birthday_height.max(1),
        descriptors: [Branch::Receive, Branch::Change].map(|branch| seed.descriptor(branch)),
        node: settings.node.clone(),
        node_cookie: settings.node_cookie.clone(),
        node_user: settings.node_user.clone(),
        node_password_file: settings.node_password_file.clone(),
        api: settings.api.clone(),
    };
    let birthday_height = config.birthday_height;
    drop(Home::create(
        &settings.home,
        config,
        params.as_ref(),
        &seed,
    )?);

    let mut session = Session::open(settings.clone())?;
    let params_hash = session
        .pinned_params()
        .map(|params| params.hash().to_string());
    Ok(Created {
        home: session.home.path().display().to_string(),
        network: network.to_string(),
        mnemonic_file: session.home.mnemonic_path().display().to_string(),
        birthday_height,
        params_hash,
        address: session.wallet.fresh_address()?.to_string(),
    })
}

/// A fresh address. Asks nobody.
pub fn address(session: &mut Session) -> Result<FreshAddress, Failure> {
    Ok(FreshAddress {
        address: session.wallet.fresh_address()?.to_string(),
    })
}

/// BTC and zkBTC, apart.
pub fn balance(
    session: &mut Session,
    progress: &mut dyn Progress,
) -> Result<BalanceReport, Failure> {
    refresh(session, progress)?;
    let balance = session.wallet.balance();
    Ok(BalanceReport {
        btc_sat: balance.btc.to_sat(),
        btc_pending_sat: balance.btc_pending.to_sat(),
        zkbtc_sat: balance.zkbtc.to_sat(),
        zkbtc_pending_sat: balance.zkbtc_pending.to_sat(),
        carriers_sat: balance.carriers.to_sat(),
        set_aside_sat: balance.set_aside.to_sat(),
        knows_zkbtc: session.pinned_params().is_some(),
        height: session.wallet.tip().height,
    })
}

/// Unspent outputs and what they carry.
pub fn list(session: &mut Session, progress: &mut dyn Progress) -> Result<Listing, Failure> {
    refresh(session, progress)?;
    let mut outputs: Vec<ListedOutput> = session.wallet.holdings().iter().map(listed).collect();
    outputs.sort_by_key(|output| std::cmp::Reverse(output.confirmations));
    Ok(Listing { outputs })
}

/// Sends BTC.
pub fn send(
    session: &mut Session,
    send: &args::Send,
    progress: &mut dyn Progress,
) -> Result<Sent, Failure> {
    let script = parse_address(&send.address, session.network())?;
    session.sync(progress)?;
    let fee_rate = session.fee_rate(send.fee_rate)?;
    let paid = pay_btc(session, script, send.amount, fee_rate)?;
    let txid = session.broadcast(&paid.transaction)?;
    Ok(sent(txid, send, "btc", paid.fee))
}

/// Sends zkBTC.
pub fn send_zkbtc(
    session: &mut Session,
    send: &args::Send,
    progress: &mut dyn Progress,
) -> Result<Sent, Failure> {
    let script = parse_address(&send.address, session.network())?;
    session.params()?;
    session.sync(progress)?;
    let fee_rate = session.fee_rate(send.fee_rate)?;
    let paid = pay_zkbtc(session, script, send.amount, fee_rate)?;
    let txid = session.broadcast(&paid.transaction)?;
    Ok(sent(txid, send, "zkbtc", paid.fee))
}

/// Receipts of requests made here.
pub fn receipts(session: &Session) -> Result<Receipts, Failure> {
    let mut lines = Vec::new();
    for stored in session.home.receipts()? {
        let checked = stored.receipt.check()?;
        let deposits = session.wallet.outputs_at(checked.script_pubkey());
        lines.push(ReceiptLine {
            id: checked.request().to_string(),
            kind: stored.receipt.kind.to_string(),
            deposit_address: stored.receipt.deposit_address.clone(),
            reclaim_delay: stored.receipt.terms.reclaim_delay,
            deposits: deposits
                .iter()
                .map(|(outpoint, _)| outpoint.to_string())
                .collect(),
            stored_at: stored.stored_at,
        });
    }
    Ok(Receipts { receipts: lines })
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
    let params = session.params()?;
    prover(params.network)?;
    let contract = contract_of(&params.bridge, &session.home)?;
    let script = some_script(session);
    let (inputs, excess) = choose_tokens(session.wallet.token_coins(), amount)?;
    let change = (excess > Amount::ZERO).then_some(excess);
    let outputs = [Some(amount), change].into_iter().flatten();
    let plain = session.wallet.plain_coins();
    TokenPayment {
        bridge: &params.bridge,
        carrier: params.carrier,
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
    let params = session.params()?;
    let prover = prover(params.network)?;
    let contract = contract_of(&params.bridge, &session.home)?;
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
        bridge: &params.bridge,
        carrier: params.carrier,
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
fn some_script(session: &Session) -> ScriptBuf {
    ScriptBuf::new_p2tr(&session.secp, nums_key(), None)
}

/// With a node, up to date; without one, as of the last time.
fn refresh(session: &mut Session, progress: &mut dyn Progress) -> Result<(), Failure> {
    if session.has_api() && session.pinned_params().is_none() {
        session.params()?;
    }
    if session.has_node() {
        session.sync(progress)?;
    }
    Ok(())
}

fn sent(txid: Txid, send: &args::Send, asset: &'static str, fee: Amount) -> Sent {
    Sent {
        txid: txid.to_string(),
        amount_sat: send.amount.to_sat(),
        asset,
        to: send.address.clone(),
        fee_sat: fee.to_sat(),
    }
}

fn listed(holding: &Holding) -> ListedOutput {
    let code = Some(holding.carried().code());
    let (carries, token, code) = match holding {
        Holding::Plain(_) => ("nothing", None, None),
        Holding::ZkBtc(token) => ("zkbtc", Some(token.amount()), None),
        Holding::Other(..) => ("other-charms", None, code),
        Holding::Unverified(..) => ("unverified-spell", None, code),
    };
    let coin = holding.coin();
    ListedOutput {
        outpoint: coin.outpoint.to_string(),
        amount_sat: coin.output.value.to_sat(),
        carries,
        token_sat: token.map(Amount::to_sat),
        code,
        confirmations: coin.confirmations,
        is_spendable: coin.is_spendable(),
    }
}

/// The first output of a transaction.
pub(crate) fn first_output(transaction: &Transaction) -> OutPoint {
    OutPoint::new(transaction.compute_txid(), 0)
}
