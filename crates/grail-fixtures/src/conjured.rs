//! A bridge of one's own: its app's contract accepts everything, so that a test of a wallet can
//! make any charm.

use std::collections::BTreeMap;

use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut};
use charms_data::{App, B32, Data};
use grail_bridge_contract::{Action, RosterState};
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_script::{InternalKey, VaultTree};
use grail_spell::{NormalizedCharms, NormalizedSpell, NormalizedTransaction, nft_app, token_app};
use grail_txbuild::first_state;
use grail_types::{Bridge, BridgeApp, Network, ParamsHash, Roster};

use crate::{
    paper::{AGREES, mock_allowed, transaction, vk_of},
    world::governance,
};

/// The bridges are told apart by `identity`.
pub fn bridge_app(identity: u8) -> BridgeApp {
    BridgeApp {
        identity: [identity; 32],
        vk: vk_of(AGREES),
    }
}

pub fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: bridge_app(1),
    }
}

pub fn vault(roster: &Roster) -> ScriptBuf {
    VaultTree::new(&Secp256k1::new(), InternalKey::Nums, roster, &governance()).script_pubkey
}

pub fn roster_state(roster: &Roster, params_hash: ParamsHash, supply: u64) -> RosterState {
    let tree = VaultTree::new(&Secp256k1::new(), InternalKey::Nums, roster, &governance());
    RosterState {
        supply,
        ..first_state(params_hash, governance().hash(), roster, &tree)
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
    let spent = OutPoint::new(funding.compute_txid(), vout);
    let made = outputs.iter().map(|(output, _)| output.clone()).collect();
    let mut transaction = transaction(&[spent], made);
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
    let proven = MockProver::new(mock_allowed())
        .prove(&ProveRequest {
            spell: spell.committed_to(&transaction).unwrap(),
            prev_txs: vec![funding.clone()],
            app_binaries: BTreeMap::from([(B32(bridge.vk), AGREES.to_vec())]),
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
