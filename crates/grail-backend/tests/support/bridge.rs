//! A deployed bridge with real spells, under the real contract.

use std::sync::LazyLock;

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid, hashes::Hash,
    secp256k1::Secp256k1,
};
use grail_attest::Protocol;
use grail_backend::deployment::Deployment;
pub use grail_fixtures::world::transaction;
use grail_fixtures::{house::House, world::governance};
use grail_prover::{MockProver, ProveRequest, Prover};
use grail_spell::{NormalizedSpell, deployment_identity};
use grail_txbuild::{Coin, Deployment as Plan};
use grail_types::{Bridge, BridgeApp, MockAllowed, Network, Params};
use sha2::{Digest, Sha256};

use super::operators::{SIGNER_COUNT, images, key, keypair, record};

/// The bridge contract.
pub const WASM: &[u8] = include_bytes!("../../../../contracts/bridge.wasm");
/// Key of the funds that deploy.
const FUNDING_KEY: u8 = 99;

/// The prover of regtest.
pub fn prover() -> MockProver {
    MockProver::new(MockAllowed::on(Network::Regtest).unwrap())
}

/// A transaction out of nowhere that pays `sat` to a script; different for each `seed`.
pub fn payment(seed: u8, script_pubkey: ScriptBuf, sat: u64) -> Transaction {
    let source = OutPoint::new(Txid::from_byte_array([seed; 32]), 0);
    let output = TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    };
    transaction(&[source], vec![output])
}

/// The script of key number `seed`.
pub fn own_script(seed: u8) -> ScriptBuf {
    ScriptBuf::new_p2tr(&Secp256k1::new(), key(seed), None)
}

fn prove(spell: NormalizedSpell, previous: &Transaction) -> ScriptBuf {
    let request = ProveRequest::of_bridge(spell, [previous], WASM.to_vec());
    prover().prove(&request).unwrap().op_return
}

static DEPLOYMENT: LazyLock<Deployment> = LazyLock::new(|| {
    let secp = Secp256k1::new();
    let funding = payment(1, own_script(FUNDING_KEY), 100_000);
    let coin = Coin {
        outpoint: OutPoint::new(funding.compute_txid(), 0),
        output: funding.output[0].clone(),
    };
    let app = BridgeApp {
        identity: deployment_identity(coin.outpoint),
        vk: Sha256::digest(WASM).into(),
    };
    let bridge = Bridge {
        network: Network::Regtest,
        app,
    };
    let images = images();
    let params = Params::preset(bridge.network, images.hash());
    let protocol = Protocol::new(bridge, params, images, governance()).unwrap();
    let mut signers: Vec<_> = (1..=SIGNER_COUNT)
        .map(|seed| record(seed, protocol.bridge()))
        .collect();
    signers.sort_by_key(|signer| signer.public_key.serialize());
    let roster = first_house().roster;
    let builder = Plan {
        bridge: protocol.bridge(),
        params: protocol.params(),
        roster: &roster,
        governance: protocol.governance(),
        funding: coin,
        fee_rate: FeeRate::from_sat_per_vb_u32(2),
    };
    let plan = builder.plan(&secp).unwrap();
    let op_return = prove(plan.spell.clone(), &funding);
    let transaction = builder
        .finish(&secp, plan, op_return, &keypair(FUNDING_KEY))
        .unwrap();
    let deployment = Deployment::new(protocol, roster, signers, &transaction, 0);
    deployment.check().unwrap();
    deployment
});

/// Who holds the first roster.
pub fn first_house() -> House {
    let keys = (1..=SIGNER_COUNT).map(keypair).collect();
    House::new(&Secp256k1::new(), 0, keys, 3)
}

/// Script of the first roster's vault.
pub fn vault_script() -> ScriptBuf {
    first_house().vault.script_pubkey
}

/// The deployment of all tests.
pub fn deployment() -> Deployment {
    DEPLOYMENT.clone()
}
