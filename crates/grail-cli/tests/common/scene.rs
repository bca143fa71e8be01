//! A chain with a deployed bridge, its API, and a user with money.

use bitcoin::{OutPoint, Transaction, TxOut};
use grail_chain::Chain;
use grail_cli::progress::Quiet;
use grail_cli::report::{Pegged, Reclaimed};
use grail_cli::{Failure, arguments, commands};

use super::api::Api;
use super::{
    Chain1, Charm, User, bridge as bridge_id, evidence, params, protocol, roster, roster_state,
    sat, vault,
};

/// A chain with the roster NFT, an API, and a user with BTC and zkBTC.
pub struct Scene {
    pub chain: Chain1,
    pub api: Api,
    pub user: User,
    pub nft: OutPoint,
}

impl Scene {
    pub fn new() -> Self {
        Self::on(Chain1::start())
    }

    pub fn on(chain: Chain1) -> Self {
        let nft = deploy(&chain, 50_000);
        let api = Api::start(nft);
        let user = User::new(&chain.node, Some(&api.url()));
        chain.pay(&user.script(), 500_000);
        chain.mint(&user.script(), 50_000, 330);
        Self {
            chain,
            api,
            user,
            nft,
        }
    }

    pub fn peg_in(&self, amount: u64) -> Result<Pegged, Failure> {
        commands::peg_in(&mut self.user.open(), &peg(amount), &mut Quiet)
    }

    pub fn peg_out(&self, amount: u64) -> Result<Pegged, Failure> {
        commands::peg_out(&mut self.user.open(), &peg(amount), &mut Quiet)
    }

    pub fn reclaim(&self, reclaim: &arguments::Reclaim) -> Result<Reclaimed, Failure> {
        commands::reclaim(&mut self.user.open(), reclaim, &mut Quiet)
    }

    pub fn in_mempool(&self, txid: &str) -> Transaction {
        let txid = txid.parse().unwrap();
        self.chain.node.chain().mempool_tx(&txid).unwrap().unwrap()
    }

    pub fn nothing_was_paid(&self) {
        assert!(self.chain.node.chain().mempool_txids().unwrap().is_empty());
        assert!(
            self.user
                .open()
                .home
                .receipts()
                .unwrap()
                .receipts
                .is_empty()
        );
    }
}

pub fn deploy(chain: &Chain1, supply: u64) -> OutPoint {
    let output = TxOut {
        value: params().nft_carrier,
        script_pubkey: vault(&roster(0)),
    };
    let state = roster_state(&roster(0), &protocol(), supply);
    let transaction = chain.conjure(&[(output, Charm::Nft(Box::new(state)))]);
    chain.node.mine(1);
    OutPoint::new(transaction.compute_txid(), 0)
}

pub fn peg(amount: u64) -> arguments::Peg {
    arguments::Peg {
        amount: sat(amount),
        anyway: false,
        to: None,
        fee_cap: None,
        reclaim_delay: None,
        fee_rate: None,
        one_way: false,
    }
}

pub fn reclaim(receipt: &str) -> arguments::Reclaim {
    arguments::Reclaim {
        receipt: receipt.to_owned(),
        outpoint: None,
        amount: None,
        deposit_tx: None,
        to: None,
        fee_rate: None,
        broadcast: false,
    }
}

/// The unused key of an enclave that runs another program.
pub fn stranger_evidence() -> &'static str {
    use base64::Engine;
    static EVIDENCE: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    EVIDENCE.get_or_init(|| {
        let signer = roster(0).signers()[0];
        base64::engine::general_purpose::STANDARD.encode(evidence(
            b"another program",
            &bridge_id(),
            &signer,
        ))
    })
}
