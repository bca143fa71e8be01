//! A bridge of one's own on paper: its app's contract accepts everything, so that a test can make any
//! charm, and nothing is ever broadcast.
#![allow(clippy::unwrap_used, dead_code)]

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness,
    XOnlyPublicKey,
};
use charms_data::{App, B32, Data};
use grail_api::{RosterAnswer, Signer};
use grail_attest::{Protocol, UnixTime, attest_signer};
use grail_attest_dev::{InsecureDevTee, development_pcr0};
use grail_bridge_contract::{Action, RosterState};
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_script::{InternalKey, VaultTree};
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, nft_app, token_app};
use grail_types::{
    Bridge, BridgeApp, DevelopmentAllowed, Epoch, Image, ImageClass, Images, MockAllowed, Network,
    Params, Roster, TeeKind, Threshold,
};
use grail_wallet::charms::CharmReader;
use grail_wallet::holdings::{Coin, Holding, PlainCoin, TokenCoin, classify};
use grail_wallet::seed::Branch;

/// `(module (func (export "_start")))`: a contract that accepts everything.
const ACCEPT_ALL: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
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

pub fn bridge_app(identity: u8) -> BridgeApp {
    BridgeApp {
        identity: [identity; 32],
        vk: sha256::Hash::hash(ACCEPT_ALL).to_byte_array(),
    }
}

pub fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: bridge_app(1),
    }
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
    Protocol::new(bridge(), params(), images()).unwrap()
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

pub fn vault(roster: &Roster) -> ScriptBuf {
    VaultTree::new(&Secp256k1::new(), InternalKey::Nums, roster).script_pubkey
}

pub fn roster_state(roster: &Roster, protocol: &Protocol, supply: u64) -> RosterState {
    RosterState {
        epoch: roster.epoch().0,
        serial: 0,
        signers: roster
            .signers()
            .iter()
            .map(XOnlyPublicKey::serialize)
            .collect(),
        threshold: roster.threshold().0,
        vault_script: vault(roster).to_bytes(),
        supply,
        params_hash: protocol.hash().0,
    }
}

/// What the API says of the tests' roster, truthfully.
pub fn roster_answer() -> RosterAnswer {
    let roster = roster(0);
    RosterAnswer {
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
            })
            .collect(),
    }
}

/// What an output of a test's transaction carries.
#[derive(Clone, Debug)]
pub enum Charm {
    Nothing,
    Token(u64),
    /// A token of another bridge.
    OtherToken(u64),
    Nft(Box<RosterState>),
}

/// A transaction that spends an output of `funding` and puts charms on outputs by fiat, unsigned.
pub fn conjure(funding: &Transaction, vout: u32, outputs: &[(TxOut, Charm)]) -> Transaction {
    let bridge = bridge().app;
    let other = bridge_app(2);
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(funding.compute_txid(), vout),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output: outputs.iter().map(|(output, _)| output.clone()).collect(),
    };
    let mut spell = NormalizedSpell {
        app_public_inputs: [
            (nft_app(&bridge), Action::Deploy.to_data()),
            (token_app(&bridge), Data::empty()),
            (token_app(&other), Data::empty()),
        ]
        .into(),
        ..NormalizedSpell::default()
    };
    let outs = outputs
        .iter()
        .map(|(_, charm)| match charm {
            Charm::Nothing => NormalizedCharms::new(),
            Charm::Token(amount) => one(&spell, &token_app(&bridge), Data::from(amount)),
            Charm::OtherToken(amount) => one(&spell, &token_app(&other), Data::from(amount)),
            Charm::Nft(state) => one(&spell, &nft_app(&bridge), state.to_data()),
        })
        .collect();
    spell.tx = NormalizedTransaction {
        outs,
        ..NormalizedTransaction::default()
    };
    let prover = MockProver::new(MockAllowed::on(Network::Regtest).unwrap());
    let proven = prover
        .prove(&ProveRequest {
            spell: spell.committed_to(&transaction).unwrap(),
            prev_txs: vec![funding.clone()],
            app_binaries: BTreeMap::from([(B32(bridge.vk), ACCEPT_ALL.to_vec())]),
            app_private_inputs: BTreeMap::new(),
        })
        .unwrap();
    transaction.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return,
    });
    transaction
}

fn one(spell: &NormalizedSpell, app: &App, data: Data) -> NormalizedCharms {
    NormalizedCharms::from([(spell.app_index(app).unwrap(), data)])
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
