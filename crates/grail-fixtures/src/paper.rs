//! A bridge on paper: transactions that follow from each other, and wasm that always agrees or
//! never does.

use std::collections::BTreeMap;

use bitcoin::hashes::Hash as _;
use bitcoin::hex::FromHex as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use charms_data::B32;
use grail_bridge_contract::RosterState;
use grail_charms::{SettlementItem, deployment_spell, settlement_spell};
use grail_prover::{MockProver, ProveRequest, Proven, Prover, ProverError};
use grail_spell::{NormalizedSpell, PROTOCOL_VERSION, deployment_identity, without_witnesses};
use grail_types::{BridgeApp, MockAllowed, Network};
use sha2::{Digest as _, Sha256};

pub use crate::world::transaction;

/// The bridge's own contract.
pub const BRIDGE: &[u8] = include_bytes!("../../../contracts/bridge.wasm");
/// `_start` returns: a contract that agrees to everything.
pub const AGREES: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
/// `_start` traps: a contract that agrees to nothing.
pub const REFUSES: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x05\x01\x03\0\0\x0b";
/// `_start` loops: a contract that never answers.
pub const LOOPS: &[u8] =
    b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x09\x01\x07\0\x03\x40\x0c\0\x0b\x0b";

pub fn mock_allowed() -> MockAllowed {
    MockAllowed::on(Network::Regtest).expect("regtest allows mock proofs")
}

pub fn vk_of(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}

/// A P2TR script told apart by `byte`.
pub fn script(byte: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[byte; 32]].concat())
}

pub fn output(sats: u64, byte: u8) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey: script(byte),
    }
}

/// Where money comes from: no spell, spends what nobody asks about.
pub fn funding(byte: u8, sats: &[u64]) -> Transaction {
    let source = OutPoint {
        txid: Txid::from_byte_array([byte; 32]),
        vout: 0,
    };
    transaction(
        &[source],
        sats.iter().map(|&sats| output(sats, byte)).collect(),
    )
}

pub fn at(tx: &Transaction, vout: u32) -> OutPoint {
    OutPoint {
        txid: tx.compute_txid(),
        vout,
    }
}

pub fn request(
    spell: NormalizedSpell,
    prev_txs: &[&Transaction],
    wasm: Option<&[u8]>,
) -> ProveRequest {
    ProveRequest {
        spell,
        prev_txs: prev_txs.iter().map(|tx| without_witnesses(tx)).collect(),
        app_binaries: wasm
            .map(|wasm| (B32(vk_of(wasm)), wasm.to_vec()))
            .into_iter()
            .collect(),
        app_private_inputs: BTreeMap::new(),
    }
}

pub fn prove(request: &ProveRequest) -> Result<Proven, ProverError> {
    MockProver::new(mock_allowed()).prove(request)
}

/// The transaction with its proven spell as last output.
pub fn enchanted(mut tx: Transaction, proven: &Proven) -> Transaction {
    tx.output.push(TxOut {
        value: Amount::ZERO,
        script_pubkey: proven.op_return.clone(),
    });
    tx
}

/// A proof as SP1 6.2 writes one, for spells of versions 14 and 15: well-formed in every part, and
/// false.
pub fn false_real_proof() -> Vec<u8> {
    let key_prefix = "4388a21c";
    let exit_code = "00".repeat(32);
    let vk_root = "002f850ee998974d6cc00e50cd0814b098c05bfade466d28573240d057f25352";
    let nonce = "07".repeat(32);
    // The generators of BN254.
    let g1 = format!("{:064x}{:064x}", 1, 2);
    let g2 = [
        "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2",
        "1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed",
        "090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b",
        "12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa",
    ]
    .concat();
    let hex = [key_prefix, &exit_code, vk_root, &nonce, &g1, &g2, &g1].concat();
    Vec::from_hex(&hex).expect("hexadecimal digits")
}

pub const VAULT: u8 = 0xaa;
const DUST: u64 = 1_000;

/// A deployed bridge with zkBTC in circulation.
pub struct Bridge {
    pub wasm: Vec<u8>,
    pub app: BridgeApp,
    pub funding: Transaction,
    pub deployment: Transaction,
    /// Outputs: 0 NFT, 1 vault, 2 zkBTC (60,000), 3 zkBTC (40,000), 4 `OP_RETURN`.
    pub settlement: Transaction,
    pub state: RosterState,
}

/// The NFT's state after `serial` settlements.
pub fn roster(serial: u64, supply: u64) -> RosterState {
    RosterState {
        epoch: 0,
        serial,
        signers: (1..=4).map(|byte| [byte; 32]).collect(),
        threshold: 3,
        vault_script: script(VAULT).into_bytes(),
        supply,
        params_hash: [7; 32],
        governance: [6; 32],
        attempt: 0,
        next: None,
        outflow: 0,
        spell_min: PROTOCOL_VERSION,
        spell_max: PROTOCOL_VERSION,
    }
}

impl Bridge {
    /// Deploys a bridge with contract `wasm` and pegs 100,000 satoshis in.
    pub fn with_contract(wasm: &[u8]) -> Self {
        let funding = funding(1, &[10_000, 110_000]);
        let app = BridgeApp {
            identity: deployment_identity(at(&funding, 0)),
            vk: vk_of(wasm),
        };

        let tx = transaction(&[at(&funding, 0)], vec![output(DUST, VAULT)]);
        let spell = deployment_spell(&tx, &app, &roster(0, 0)).expect("a valid deployment");
        let proven = prove(&request(spell, &[&funding], Some(wasm))).expect("the contract agrees");
        let deployment = enchanted(tx, &proven);

        let state = roster(1, 100_000);
        let tx = transaction(
            &[at(&deployment, 0), at(&funding, 1)],
            vec![
                output(DUST, VAULT),
                output(100_000, VAULT),
                output(DUST, 3),
                output(DUST, 4),
            ],
        );
        let items = [
            SettlementItem::Plain,
            SettlementItem::PegIn { amount: 60_000 },
            SettlementItem::PegIn { amount: 40_000 },
        ];
        let spell = settlement_spell(&tx, &app, &state, &items).expect("a valid settlement");
        let proven = prove(&request(spell, &[&deployment, &funding], Some(wasm)))
            .expect("the contract agrees");
        let settlement = enchanted(tx, &proven);
        Self {
            wasm: wasm.to_vec(),
            app,
            funding,
            deployment,
            settlement,
            state,
        }
    }

    /// A transaction that spends both zkBTC outputs of the settlement.
    pub fn transfer_tx(&self) -> Transaction {
        transaction(
            &[at(&self.settlement, 2), at(&self.settlement, 3)],
            vec![output(DUST, 5), output(500, 6)],
        )
    }
}
