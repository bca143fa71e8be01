//! The bridge's charms and its contract: what any spell may carry, and any prover may show.

use charms_data::{App, B32, Charms, Data, Transaction, util};
use grail_bridge_contract::{RosterState, check};
use grail_charms::{roster_state as state_of, token_amount};
use grail_spell::{BridgeCharms, bridge_charms, nft_app, token_app};
use grail_types::BridgeApp;

const BRIDGE: BridgeApp = BridgeApp {
    identity: [1; 32],
    vk: [2; 32],
};

/// The data of a charm, read as everything that the bridge's charms can be. A state that is read is
/// valid and has this one encoding.
pub fn roster_state(bytes: &[u8]) {
    let Ok(data) = util::read::<Data, _>(bytes) else {
        return;
    };
    if let Ok(state) = RosterState::from_data(&data) {
        state.validate().expect("a state that was read is valid");
        assert_eq!(
            encoded(&state.to_data()),
            encoded(&data),
            "two encodings of one state"
        );
    }
    let (nft, token) = (nft_app(&BRIDGE), token_app(&BRIDGE));
    let foreign = App {
        tag: 'x',
        identity: B32([3; 32]),
        vk: B32([4; 32]),
    };
    for apps in [
        &[&nft][..],
        &[&token],
        &[&foreign],
        &[&nft, &token],
        &[&token, &foreign],
    ] {
        let charms: Charms = apps
            .iter()
            .map(|app| ((*app).clone(), data.clone()))
            .collect();
        let read = bridge_charms(&charms, &BRIDGE);
        assert!(apps.len() == 1 || read == BridgeCharms::Other);
        let _ = token_amount(&charms, &token);
        let _ = state_of(&charms, &nft);
    }
}

fn encoded(data: &Data) -> Vec<u8> {
    util::write(data).expect("data encodes into memory")
}

/// The contract on any transaction that a runner could show it: CBOR of the app, the transaction,
/// public and private input. Both of the app's tags are asked, and every app that the transaction
/// lists.
pub fn contract(bytes: &[u8]) {
    let Ok((app, tx, x, w)) = util::read::<(App, Transaction, Data, Data), _>(bytes) else {
        return;
    };
    let _ = check(&app, &tx, &x, &w);
    let bridge = BridgeApp {
        identity: app.identity.0,
        vk: app.vk.0,
    };
    for app in [nft_app(&bridge), token_app(&bridge)] {
        let x = tx.app_public_inputs.get(&app).unwrap_or(&x);
        let _ = check(&app, &tx, x, &w);
        let _ = check(&app, &tx, x, &Data::empty());
    }
}
