//! A bridge of one's own on regtest: its app's contract accepts everything, so that a test can make
//! any charm.
#![allow(clippy::unwrap_used, dead_code)]

pub mod api;
pub mod between;
pub mod houses;
pub mod pty;
pub mod scene;

use bitcoin::key::TapTweak;
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, XOnlyPublicKey};
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_attest::{Protocol, UnixTime};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_bridge_contract::RosterState;
use grail_chain::Chain;
use grail_cli::arguments;
use grail_cli::progress::Quiet;
use grail_cli::report::{Created, Sent};
use grail_cli::{Failure, Session, Settings, commands};
use grail_fixtures::{conjured, paper::AGREES, world::governance};
use grail_tee::attest_signer;
use grail_testkit::{Node, sign_key_spend};
use grail_types::{Bridge, DevelopmentAllowed, Epoch, Network, Params, Roster, Threshold};
use tempfile::TempDir;

#[allow(unused_imports, reason = "each test binary uses a part")]
pub use conjured::{Charm, bridge, bridge_app, vault};

/// The program that the roster's enclaves run.
const PROGRAM: &[u8] = b"the enclave of these tests";
const FEE: Amount = Amount::from_sat(5_000);

pub fn keypair(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap()
}

pub fn public_key(byte: u8) -> XOnlyPublicKey {
    keypair(byte).x_only_public_key().0
}

pub fn allowed() -> DevelopmentAllowed {
    DevelopmentAllowed::on(Network::Regtest).unwrap()
}

pub fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

pub fn tee(program: &[u8], born: u64) -> InsecureDevTee {
    let clock = move || UnixTime::from_secs(born);
    InsecureDevTee::new(allowed(), development_pcr0(program), [7; 32], clock)
}

/// Evidence for a signer's key from an enclave that runs `program`.
pub fn evidence(program: &[u8], bridge: &Bridge, signer: &XOnlyPublicKey) -> Vec<u8> {
    let tee = tee(program, grail_cli::session::now());
    attest_signer(&tee, bridge, signer, None).unwrap()
}

pub fn genuine_evidence(signer: &XOnlyPublicKey, born: u64) -> Vec<u8> {
    attest_signer(&tee(PROGRAM, born), &bridge(), signer, None).unwrap()
}

pub fn images() -> Images {
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: *tee(PROGRAM, 1).measurement(),
    };
    Images::new(1, vec![image]).unwrap()
}

pub fn params() -> Params {
    Params::preset(Network::Regtest, images().hash())
}

pub fn protocol() -> Protocol {
    Protocol::new(bridge(), params(), images(), governance()).unwrap()
}

/// Three of four signers.
pub fn roster(epoch: u64) -> Roster {
    let mut signers: Vec<XOnlyPublicKey> = (1..=4).map(public_key).collect();
    signers.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(epoch), signers, Threshold(3)).unwrap()
}

pub fn roster_state(roster: &Roster, protocol: &Protocol, supply: u64) -> RosterState {
    conjured::roster_state(roster, protocol.hash(), supply)
}

/// A transaction that spends `funding` (the output of key 77) and puts charms on outputs by fiat,
/// signed.
pub fn conjure(funding: &Transaction, vout: u32, outputs: &[(TxOut, Charm)]) -> Transaction {
    let mut transaction = conjured::conjure(funding, vout, outputs);
    let tweaked = keypair(77).tap_tweak(&Secp256k1::new(), None);
    let previous = funding.output[usize::try_from(vout).unwrap()].clone();
    sign_key_spend(&mut transaction, 0, &[previous], &tweaked);
    transaction
}

/// Script of the key that conjures.
pub fn conjurer() -> ScriptBuf {
    ScriptBuf::new_p2tr(&Secp256k1::new(), public_key(77), None)
}

/// A node, and money on it for the one who conjures.
pub struct Chain1 {
    pub node: Node,
}

impl Chain1 {
    pub fn start() -> Self {
        Self {
            node: Node::start(),
        }
    }

    /// Conjures in the mempool.
    pub fn conjure(&self, outputs: &[(TxOut, Charm)]) -> Transaction {
        let total: Amount = outputs.iter().map(|(output, _)| output.value).sum();
        let funding = self.node.fund(&conjurer(), total + FEE);
        let funding_tx = self
            .node
            .chain()
            .mempool_tx(&funding.txid)
            .unwrap()
            .unwrap();
        let transaction = conjure(&funding_tx, funding.vout, outputs);
        self.node.send(&transaction);
        transaction
    }

    /// zkBTC out of thin air, in a block.
    pub fn mint(&self, script: &ScriptBuf, token_sat: u64, coin_sat: u64) -> OutPoint {
        let output = TxOut {
            value: sat(coin_sat),
            script_pubkey: script.clone(),
        };
        let transaction = self.conjure(&[(output, Charm::Token(token_sat))]);
        self.node.mine(1);
        OutPoint::new(transaction.compute_txid(), 0)
    }

    /// Plain BTC, in a block.
    pub fn pay(&self, script: &ScriptBuf, amount: u64) -> OutPoint {
        let outpoint = self.node.fund(script, sat(amount));
        self.node.mine(1);
        outpoint
    }
}

/// A wallet in a folder of its own.
pub struct User {
    pub folder: TempDir,
    pub settings: Settings,
    pub created: Created,
}

impl User {
    pub fn new(node: &Node, api: Option<&str>) -> Self {
        Self::with(node, api, &arguments::Init::default())
    }

    pub fn with(node: &Node, api: Option<&str>, init: &arguments::Init) -> Self {
        let folder = TempDir::new().unwrap();
        let settings = Settings {
            home: folder.path().join("wallet"),
            network: Some(Network::Regtest),
            node: Some(node.rpc_url()),
            node_cookie: Some(node.cookie_path()),
            api: api.map(ToOwned::to_owned),
            ..Settings::default()
        };
        let protocol_file = folder.path().join("protocol.json");
        std::fs::write(&protocol_file, serde_json::to_vec(&protocol()).unwrap()).unwrap();
        let init = arguments::Init {
            mnemonic_file: init.mnemonic_file.clone(),
            birthday_height: init.birthday_height,
            look_ahead: init.look_ahead,
            protocol: Some(init.protocol.clone().unwrap_or(protocol_file)),
            no_passphrase: init.no_passphrase,
        };
        let created = commands::init(&settings, &init).unwrap();
        // The test's bridge was deployed with a contract of its own, which the user brings along.
        let contracts = settings.home.join("contracts");
        std::fs::create_dir(&contracts).unwrap();
        let name = format!("{}.wasm", hex::encode(bridge().app.vk));
        std::fs::write(contracts.join(name), AGREES).unwrap();
        Self {
            folder,
            settings,
            created,
        }
    }

    pub fn open(&self) -> Session {
        Session::open(self.settings.clone()).unwrap()
    }

    pub fn synced(&self) -> Session {
        let mut session = self.open();
        session.sync(&mut Quiet).unwrap();
        session
    }

    pub fn script(&self) -> ScriptBuf {
        self.open().wallet.fresh_address().unwrap().script_pubkey()
    }

    pub fn address(&self) -> String {
        commands::address(&mut self.open()).unwrap().address
    }

    pub fn send(&self, amount: u64, address: &str) -> Result<Sent, Failure> {
        commands::send(&mut self.open(), &send_args(amount, address), &mut Quiet)
    }

    pub fn send_zkbtc(&self, amount: u64, address: &str) -> Result<Sent, Failure> {
        commands::send_zkbtc(&mut self.open(), &send_args(amount, address), &mut Quiet)
    }

    /// (BTC, zkBTC) that may be spent.
    pub fn funds(&self) -> (u64, u64) {
        let balance = self.synced().wallet.balance();
        (balance.btc.to_sat(), balance.zkbtc.to_sat())
    }
}

pub fn send_args(amount: u64, address: &str) -> arguments::Send {
    arguments::Send {
        amount: sat(amount),
        address: address.to_owned(),
        fee_rate: None,
    }
}
