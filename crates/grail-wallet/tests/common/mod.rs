//! A bridge of one's own on paper: its app's contract accepts everything, so that a test can make
//! any charm, and nothing is ever broadcast.
#![allow(clippy::unwrap_used, dead_code)]

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::absolute::LockTime;
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{Address, Amount, OutPoint, ScriptBuf, Transaction, TxOut, XOnlyPublicKey};
use grail_api::{RosterAnswer, Signer};
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_attest::{Protocol, UnixTime};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_bridge_contract::RosterState;
use grail_fixtures::{conjured, world::governance};
use grail_tee::attest_signer;
use grail_types::{Bridge, DevelopmentAllowed, Epoch, Network, Params, Roster, Threshold};
use grail_wallet::charms::CharmReader;
use grail_wallet::holdings::{Coin, Holding, PlainCoin, TokenCoin, classify};
use grail_wallet::seed::Branch;

#[allow(unused_imports, reason = "each test binary uses a part")]
pub use conjured::{Charm, bridge, bridge_app, conjure, vault};

/// The program that the roster's enclaves run.
pub const PROGRAM: &[u8] = b"the enclave of these tests";
/// When the evidence is made.
pub const BORN: u64 = 1_790_000_000;
/// When it is looked at.
pub const NOW: u64 = BORN + 1_000_000;

pub fn public_key(byte: u8) -> XOnlyPublicKey {
    let pair = Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap();
    pair.x_only_public_key().0
}

pub fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

fn tee(program: &[u8]) -> InsecureDevTee {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    InsecureDevTee::new(allowed, development_pcr0(program), [7; 32], || {
        UnixTime::from_secs(BORN)
    })
}

/// Evidence for a signer's key from an enclave that runs `program`, base64.
pub fn evidence(program: &[u8], bridge: &Bridge, signer: &XOnlyPublicKey) -> String {
    BASE64.encode(attest_signer(&tee(program), bridge, signer, None).unwrap())
}

/// The image of [`PROGRAM`] alone.
pub fn images() -> Images {
    images_of(PROGRAM)
}

pub fn images_of(program: &[u8]) -> Images {
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: *tee(program).measurement(),
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
    roster_of(epoch, 1..=4)
}

pub fn roster_of(epoch: u64, keys: impl Iterator<Item = u8>) -> Roster {
    let mut signers: Vec<XOnlyPublicKey> = keys.map(public_key).collect();
    signers.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(epoch), signers, Threshold(3)).unwrap()
}

pub fn roster_state(roster: &Roster, protocol: &Protocol, supply: u64) -> RosterState {
    conjured::roster_state(roster, protocol.hash(), supply)
}

/// What the API says of the tests' roster, truthfully.
pub fn roster_answer() -> RosterAnswer {
    let roster = roster(0);
    RosterAnswer {
        former: Vec::new(),
        epoch: roster.epoch(),
        threshold: roster.threshold(),
        address: Address::from_script(&vault(&roster), bitcoin::Network::Regtest)
            .unwrap()
            .to_string(),
        nft_outpoint: OutPoint::null(),
        signers: (0..)
            .zip(roster.signers())
            .map(|(index, signer)| Signer {
                index,
                public_key: *signer,
                name: format!("operator {index}"),
                evidence: evidence(PROGRAM, &bridge(), signer),
                nonce: None,
                pcr0: hex::encode(development_pcr0(PROGRAM)),
                attested_at: BORN,
                fail_safe: None,
            })
            .collect(),
    }
}

/// Some taproot script.
pub fn conjurer() -> ScriptBuf {
    ScriptBuf::new_p2tr(&Secp256k1::new(), public_key(77), None)
}

/// A transaction without inputs that pays this to [`conjurer`].
pub fn funding(value: u64) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: Vec::new(),
        output: vec![output(value)],
    }
}

pub fn output(value: u64) -> TxOut {
    TxOut {
        value: sat(value),
        script_pubkey: conjurer(),
    }
}

pub fn coin(transaction: &Transaction, vout: u32, confirmations: u32) -> Coin {
    Coin {
        outpoint: OutPoint::new(transaction.compute_txid(), vout),
        output: transaction.output[usize::try_from(vout).unwrap()].clone(),
        branch: Branch::Receive,
        index: 0,
        confirmations,
        is_coinbase: false,
    }
}

pub fn reader() -> CharmReader {
    CharmReader::new(Network::Regtest, Some(&bridge().app))
}

/// Plain coins of these values.
pub fn plain(values: &[u64]) -> Vec<PlainCoin> {
    values
        .iter()
        .map(|value| {
            let transaction = funding(*value);
            match classify(&mut reader(), coin(&transaction, 0, 1), &transaction) {
                Holding::Plain(plain) => plain,
                other => panic!("{other:?}"),
            }
        })
        .collect()
}

/// Coins of 330 sat with this zkBTC, all of one transaction.
pub fn tokens(amounts: &[u64]) -> Vec<TokenCoin> {
    let outputs: Vec<_> = amounts
        .iter()
        .map(|amount| (output(330), Charm::Token(*amount)))
        .collect();
    let transaction = conjure(&funding(1_000_000), 0, &outputs);
    let mut reader = reader();
    (0..)
        .zip(amounts)
        .map(
            |(vout, _)| match classify(&mut reader, coin(&transaction, vout, 1), &transaction) {
                Holding::ZkBtc(token) => token,
                other => panic!("{other:?}"),
            },
        )
        .collect()
}
