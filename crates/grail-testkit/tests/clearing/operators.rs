//! Sixteen signers in simulated TEEs, without hosts: what they are asked and what they answer.

use std::{cell::RefCell, collections::BTreeMap};

use bitcoin::{ScriptBuf, Transaction, secp256k1::Secp256k1};
use grail_attest::UnixTime;
use grail_attest_dev::InsecureDevTee;
use grail_fixtures::world::governance;
use grail_script::{DepositTree, HomeTree, InternalKey, Spend};
use grail_signer::{Effect, Entropy, EntropyError, Input, Node};
use grail_types::{
    BoundedBytes, Bridge, BridgeApp, DevelopmentAllowed, Epoch, ImagesHash, Network, OrderTerms,
    Params, Roster, SignerIndex, Threshold, ZkApp,
};
use grail_wire::{
    Action, AskerId, Attempt, Boot, Booted, Contribution, Proposal, Request, Response, Verdict,
    encode_proposal,
};
use grail_witness::leaf_witness;

const NOW: UnixTime = UnixTime::from_millis(1_780_000_000_000);

pub struct Operators {
    /// In roster order.
    nodes: RefCell<Vec<Node>>,
    pub roster: Roster,
}

/// No NFT is needed for a clearing: any bridge's operators serve apps.
pub fn bridge() -> Bridge {
    Bridge {
        network: Network::Regtest,
        app: BridgeApp {
            identity: [3; 32],
            vk: [4; 32],
        },
    }
}

struct Drawn(u64);

impl Entropy for Drawn {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self.0 += 1;
        bytes.fill(0x44);
        bytes[..8].copy_from_slice(&self.0.to_be_bytes());
        Ok(())
    }
}

impl Operators {
    pub fn start() -> Self {
        let mut nodes: Vec<_> = (1..=16_u8).map(boot).collect();
        nodes.sort_by_key(|(key, _)| key.serialize());
        let keys = nodes.iter().map(|(key, _)| *key).collect();
        Self {
            roster: Roster::new(Epoch(0), keys, Threshold(12)).unwrap(),
            nodes: RefCell::new(nodes.into_iter().map(|(_, node)| node).collect()),
        }
    }

    pub fn home(&self, app: &ZkApp) -> ScriptBuf {
        let secp = Secp256k1::new();
        HomeTree::new(&secp, InternalKey::Nums, app, &bridge(), &self.roster).script_pubkey
    }

    pub fn order_script(&self, terms: &OrderTerms) -> ScriptBuf {
        let secp = Secp256k1::new();
        DepositTree::of_order(&secp, InternalKey::Nums, terms, &self.roster).script_pubkey
    }

    /// The transaction with the witnesses of the first twelve, or the first one's refusal.
    pub fn sign(
        &self,
        mut transaction: Transaction,
        previous: &[Transaction],
        action: Action,
    ) -> Result<Transaction, String> {
        let params = Params::preset(Network::Regtest, ImagesHash([7; 32]));
        let epoch = self.roster.epoch();
        let unsigned = transaction.clone();
        let proposal =
            Proposal::new(epoch, params, governance(), unsigned, previous, action).unwrap();
        let encoded = encode_proposal(&proposal).unwrap();
        let mut signatures = vec![BTreeMap::new(); transaction.input.len()];
        for (position, node) in (0..12_u16).zip(self.nodes.borrow_mut().iter_mut()) {
            for contribution in decide(node, &encoded)? {
                let Contribution::Signature {
                    input_index,
                    signature,
                } = contribution;
                signatures[usize::from(input_index)].insert(SignerIndex(position), signature);
            }
        }
        let secp = Secp256k1::new();
        let judged = grail_policy::judge(&secp, &proposal, &bridge()).unwrap();
        for ((input, signed), by) in transaction
            .input
            .iter_mut()
            .zip(&judged.get().signing().inputs)
            .zip(signatures)
        {
            let Spend::Leaf(spend) = &signed.spend else {
                panic!("no group key here")
            };
            input.witness = leaf_witness(spend, &by).unwrap();
        }
        Ok(transaction)
    }
}

fn respond(node: &mut Node, request: Request) -> Response {
    let mut effects = node.handle(Input::Request(request), &mut Drawn(1_000));
    match effects.pop() {
        Some(Effect::Respond { response, .. }) => response,
        other => panic!("the last effect is the response: {other:?}"),
    }
}

fn boot(seed: u8) -> (bitcoin::XOnlyPublicKey, Node) {
    let allowed = DevelopmentAllowed::on(Network::Regtest).unwrap();
    let tee = InsecureDevTee::new(allowed, [0x21; 48], [seed; 32], || NOW);
    let mut node = Node::new(Box::new(tee));
    let request = Request::Boot(Boot {
        bridge: bridge(),
        sealed: None::<BoundedBytes<_>>,
    });
    let mut effects = node.handle(Input::Request(request), &mut Drawn(u64::from(seed) << 32));
    match effects.pop() {
        Some(Effect::Respond {
            response: Response::Booted(Booted { public_key, .. }),
            ..
        }) => (public_key, node),
        other => panic!("expected a boot: {other:?}"),
    }
}

fn decide(node: &mut Node, proposal: &[u8]) -> Result<Vec<Contribution>, String> {
    let request = Request::Decide {
        attempt: Attempt {
            asker: AskerId([7; 16]),
            number: 0,
        },
        proposal: BoundedBytes::new(proposal.to_vec()).unwrap(),
    };
    match respond(node, request) {
        Response::Decided(answer) => match answer.verdict {
            Verdict::Contributed(contributions) => Ok(contributions.iter().copied().collect()),
            Verdict::Refused(record) => Err(record.code.to_string()),
        },
        other => panic!("expected an answer: {other:?}"),
    }
}
