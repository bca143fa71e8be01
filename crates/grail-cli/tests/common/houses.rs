//! A bridge on a real chain whose keys the test holds, with houses that hand over to each other.

use bitcoin::secp256k1::{All, Secp256k1};
use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction};
use grail_attest::Protocol;
use grail_bridge_contract::RosterState;
use grail_chain::Chain as _;
use grail_cli::arguments::Init;
use grail_fixtures::house::{House, Rotated, Rotation};
use grail_fixtures::world::{self, BRIDGE, governance, images, keypair, public};
use grail_prover::{MockProver, ProveRequest, Prover as _};
use grail_spell::deployment_identity;
use grail_testkit::Node;
use grail_txbuild::Deployment as Plan;
use grail_types::{Bridge, BridgeApp, Governance, MockAllowed, Network, Params};
use sha2::{Digest as _, Sha256};

use super::User;

const FUNDING: u16 = 500;

/// A bridge on a real chain whose keys the test holds.
pub struct World {
    pub node: Node,
    pub secp: Secp256k1<All>,
    pub protocol: Protocol,
    pub deployment: Transaction,
    pub houses: [House; 3],
}

pub fn prover() -> MockProver {
    MockProver::new(MockAllowed::on(Network::Regtest).unwrap())
}

impl World {
    pub fn new() -> Self {
        Self::under([governance(), governance(), governance()])
    }

    /// Whose houses have these administrators.
    pub fn under(governances: [Governance; 3]) -> Self {
        let (node, secp) = (Node::start(), Secp256k1::new());
        let mut epoch = 0_u16;
        let houses = governances.map(|governance| {
            // One signer of each stays for the next.
            let keys = (epoch * 3..epoch * 3 + 4).map(keypair).collect();
            let house = House::under(&secp, epoch.into(), keys, 3, governance);
            epoch += 1;
            house
        });
        let (paid, vout) = pay(&node, 100_000);
        let funding = world::coin(&paid, vout);
        let bridge = Bridge {
            network: Network::Regtest,
            app: BridgeApp {
                identity: deployment_identity(funding.outpoint),
                vk: Sha256::digest(BRIDGE).into(),
            },
        };
        let params = Params::preset(bridge.network, images().hash());
        let protocol =
            Protocol::new(bridge, params, images(), houses[0].governance.clone()).unwrap();
        let builder = Plan {
            bridge: protocol.bridge(),
            params: protocol.params(),
            roster: &houses[0].roster,
            governance: protocol.governance(),
            funding,
            fee_rate: FeeRate::from_sat_per_vb_u32(2),
        };
        let plan = builder.plan(&secp).unwrap();
        let request = ProveRequest::of_bridge(plan.spell.clone(), [&paid], BRIDGE.to_vec());
        let op_return = prover().prove(&request).unwrap().op_return;
        let deployment = builder
            .finish(&secp, plan, op_return, &keypair(FUNDING))
            .unwrap();
        node.send(&deployment);
        node.mine(1);
        Self {
            node,
            secp,
            protocol,
            deployment,
            houses,
        }
    }

    /// The rotation from one house to the next, by so many signers; a coin of its own pays for it.
    pub fn rotation(&self, made: &Transaction, from: usize, signers: usize) -> Rotated {
        self.rotation_to(made, from, signers, |_| {})
    }

    /// The same to another state.
    pub fn rotation_to(
        &self,
        made: &Transaction,
        from: usize,
        signers: usize,
        change: impl FnOnce(&mut RosterState),
    ) -> Rotated {
        let ((paid, vout), key) = (pay(&self.node, 10_000), keypair(FUNDING));
        let rotation = Rotation {
            bridge: self.protocol.bridge(),
            wasm: BRIDGE,
            made,
            funding: Some((&paid, vout, &key)),
            from: &self.houses[from],
            to: &self.houses[from + 1],
        };
        rotation.with_state(signers, change)
    }

    /// A user of this bridge, whose API is there.
    pub fn user(&self, api: &str) -> User {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("protocol.json");
        std::fs::write(&file, serde_json::to_vec(&self.protocol).unwrap()).unwrap();
        let init = Init {
            protocol: Some(file),
            ..Init::default()
        };
        User::with(&self.node, Some(api), &init)
    }
}

/// Pays the funding key: the transaction, in the mempool, and which of its outputs it is.
fn pay(node: &Node, sat: u64) -> (Transaction, u32) {
    let own = ScriptBuf::new_p2tr(&Secp256k1::new(), public(&keypair(FUNDING)), None);
    let outpoint = node.fund(&own, Amount::from_sat(sat));
    let made = node.chain().mempool_tx(&outpoint.txid).unwrap().unwrap();
    (made, outpoint.vout)
}
