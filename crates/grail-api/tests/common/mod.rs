//! A roster and parameters for the tests.
#![allow(clippy::unwrap_used, dead_code)]

use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::{Address, Amount, ScriptBuf, XOnlyPublicKey};
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_types::{
    Bridge, BridgeApp, Epoch, Governance, Kind, Measurement, Network, Params, Roster, Terms,
    Threshold,
};

pub fn key(byte: u8) -> XOnlyPublicKey {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32])
        .unwrap()
        .x_only_public_key()
        .0
}

pub fn roster() -> Roster {
    let mut signers: Vec<_> = (1..=16).map(key).collect();
    signers.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(3), signers, Threshold(12)).unwrap()
}

pub fn governance() -> Governance {
    Governance::new(vec![key(90)], 1).unwrap()
}

pub fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [1; 32],
            vk: [2; 32],
        },
    }
}

pub fn images() -> Images {
    let measurement = Measurement {
        pcr0: [1; 48],
        pcr1: [2; 48],
        pcr2: [3; 48],
    };
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement,
    };
    Images::new(1, vec![image]).unwrap()
}

pub fn params() -> Params {
    Params::preset(Network::Regtest, images().hash())
}

pub fn taproot_address(network: bitcoin::Network) -> String {
    Address::p2tr(&Secp256k1::new(), key(50), None, network).to_string()
}

pub fn terms() -> Terms {
    Terms {
        kind: Kind::PegIn,
        network: Network::Regtest,
        bridge: bridge().app,
        destination: ScriptBuf::new_p2tr(&Secp256k1::new(), key(50), None)
            .try_into()
            .unwrap(),
        fee_cap: Amount::from_sat(5_000),
        epoch: Epoch(3),
        reclaim_key: key(60),
        reclaim_delay: 24,
        nonce: [9; 16],
    }
}
