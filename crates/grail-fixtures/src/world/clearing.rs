//! A zk-app on paper and a clearing of two of its orders, in pieces, to be broken one at a time and
//! proven again. The app's contract agrees to everything, so that only the policy stands in the
//! way; what it is told is built here from the orders' terms alone.

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, XOnlyPublicKey, absolute::LockTime};
use charms_data::{App, Data};
use grail_app_facts::{self as facts, Facts, public_input};
use grail_policy::{Approved, Decision, Refusal};
use grail_script::{DepositTree, HomeTree, InternalKey};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, charms_app, utxo_id_from_outpoint,
};
use grail_types::{
    Age, Asset, BoundedVec, CharmApp, OrderCoin, OrderTerms, Payload, Want, Wants, ZkApp,
    author_digest,
};
use grail_wire::{Action, ClearingRequest, PlacedOrder, ShownRoster};

use super::{
    AGREES_TOO, Draft, World, code, coin, funding, hash_of, keypair, output, p2tr, p2wpkh, prove,
    public, transaction,
};

/// Seed of the key that the orders' owner has.
const OWNER: u16 = 1_500;
/// What the app's main cell holds, satoshis and tokens.
pub const HELD: u64 = 1_000_000;
/// What each of the two orders pays.
pub const SHARE: u64 = 3_000;

/// A clearing, told and proven anew whenever it is proposed.
#[derive(Clone, Debug)]
pub struct ClearingDraft {
    /// Transaction, spell and what is behind them. Its requests are not a clearing's.
    pub draft: Draft,
    pub request: ClearingRequest,
    /// What the contract is shown, where it is not what the orders say.
    pub told: Option<Facts>,
}

/// The app whose orders are cleared.
pub fn app() -> ZkApp {
    ZkApp::try_from(charm_app('p')).unwrap()
}

/// The token that it trades.
pub fn token() -> CharmApp {
    charm_app('f')
}

fn charm_app(tag: char) -> CharmApp {
    CharmApp {
        tag,
        identity: [0x51; 32],
        vk: hash_of(AGREES_TOO),
    }
}

fn main_app() -> App {
    charms_app(app().charm())
}

pub fn wants(wants: &[(Asset, u64)]) -> Wants {
    let wants = wants.iter().map(|&(asset, amount)| Want { asset, amount });
    Wants::try_from(BoundedVec::new(wants.collect()).unwrap()).unwrap()
}

/// An output to be: satoshis, script, charms.
pub type Conjured<'a> = (u64, ScriptBuf, &'a [(App, Data)]);

/// An outpoint as Charms hashes it.
pub fn outpoint_bytes(outpoint: OutPoint) -> [u8; 36] {
    utxo_id_from_outpoint(outpoint).to_bytes()
}

impl World {
    /// Where the app's coins lie.
    pub fn home(&self) -> ScriptBuf {
        let roster = &self.roster;
        let nums = InternalKey::Nums;
        HomeTree::new(&self.secp, nums, &app(), &self.bridge, roster).script_pubkey
    }

    /// An order that gives BTC and wants tokens.
    pub fn buying(&self) -> OrderTerms {
        OrderTerms {
            bridge: self.bridge,
            app: app(),
            destination: p2tr(21).try_into().unwrap(),
            coin: OrderCoin::Offer {
                keep: Amount::from_sat(5_000),
            },
            wants: wants(&[(Asset::Charm(token()), 100)]),
            fee_cap: Amount::from_sat(SHARE),
            epoch: self.roster.epoch(),
            reclaim_key: owner(),
            reclaim_delay: 144,
            authored: false,
            payload: Payload::try_from(b"buy".to_vec()).unwrap(),
            nonce: [1; 16],
        }
    }

    /// An order that gives tokens and wants BTC.
    pub fn selling(&self) -> OrderTerms {
        OrderTerms {
            destination: p2wpkh(22).try_into().unwrap(),
            coin: OrderCoin::Keep,
            wants: wants(&[(Asset::Btc, 45_000)]),
            payload: Payload::try_from(b"sell".to_vec()).unwrap(),
            nonce: [2; 16],
            ..self.buying()
        }
    }

    pub fn order_script(&self, terms: &OrderTerms) -> ScriptBuf {
        let nums = InternalKey::Nums;
        DepositTree::of_order(&self.secp, nums, terms, &self.roster).script_pubkey
    }

    /// A transaction that puts charms on outputs by fiat.
    pub fn conjured(&self, seed: u64, outputs: &[Conjured<'_>]) -> Transaction {
        let source = funding(seed, vec![output(90_000_000, p2tr(30))]);
        let paid = outputs.iter();
        let paid = paid.map(|(sats, script, _)| output(*sats, script.clone()));
        let mut made = transaction(&[coin(&source, 0).outpoint], paid.collect());
        let charms = || outputs.iter().flat_map(|(_, _, charms)| charms.iter());
        let mut spell = NormalizedSpell {
            app_public_inputs: charms()
                .map(|(app, _)| (app.clone(), Data::empty()))
                .collect(),
            ..NormalizedSpell::default()
        };
        let outs = outputs.iter().map(|(_, _, charms)| {
            let on = charms.iter();
            on.map(|(app, data)| (spell.app_index(app).unwrap(), data.clone()))
                .collect()
        });
        spell.tx = NormalizedTransaction {
            outs: outs.collect(),
            ..NormalizedTransaction::default()
        };
        let spell = spell.committed_to(&made).unwrap();
        let proven = prove(&[], spell, &[&source]);
        made.output.push(output(0, proven.op_return));
        made
    }

    /// Two orders, one of each side, beside the main cell; approved as it is.
    pub fn clearing(&self) -> ClearingDraft {
        self.clearing_of(self.buying(), self.selling())
    }

    /// The same of other terms.
    pub fn clearing_of(&self, buying: OrderTerms, selling: OrderTerms) -> ClearingDraft {
        let tokens = |amount: u64| (charms_app(&token()), Data::from(&amount));
        let cell = [(main_app(), Data::from(&"one")), tokens(HELD)];
        let given = [tokens(5_000)];
        let pooled = self.conjured(
            300,
            &[
                (HELD, self.home(), &cell),
                (30_000, self.order_script(&selling), &given),
            ],
        );
        let paid = funding(301, vec![output(100_000, self.order_script(&buying))]);
        let inputs = [coin(&pooled, 0), coin(&paid, 0), coin(&pooled, 1)];
        let inputs = inputs.map(|coin| coin.outpoint);
        let made = vec![
            output(HELD + 95_000 - 45_000, self.home()),
            output(5_000 - SHARE, buying.destination.clone().into()),
            output(30_000 + 45_000 - SHARE, selling.destination.clone().into()),
        ];
        let share = Amount::from_sat(SHARE);
        let orders = [buying, selling].map(|terms| PlacedOrder::new(terms, None, share));
        let mut draft = Draft {
            epoch: self.roster.epoch(),
            params: self.params.clone(),
            governance: self.governance.clone(),
            transaction: transaction(&inputs, made),
            spell: NormalizedSpell {
                tx: NormalizedTransaction {
                    outs: vec![NormalizedCharms::new(); 3],
                    ..NormalizedTransaction::default()
                },
                ..NormalizedSpell::default()
            },
            uncommitted: Vec::new(),
            after_spell: Vec::new(),
            previous: vec![pooled, paid],
            requests: Vec::new(),
            former: None,
        };
        draft.put_charm(0, &main_app(), Data::from(&"two"));
        draft.put_charm(0, &charms_app(&token()), Data::from(&(HELD + 5_000 - 100)));
        draft.put_charm(1, &charms_app(&token()), Data::from(&100_u64));
        ClearingDraft {
            draft,
            request: ClearingRequest {
                app: app(),
                roster: ShownRoster(self.roster.clone()),
                orders: BoundedVec::new(orders.into()).unwrap(),
            },
            told: None,
        }
    }
}

/// The key that the orders' owner has.
pub fn owner() -> XOnlyPublicKey {
    public(&keypair(OWNER))
}

impl ClearingDraft {
    /// What the orders and the transaction say.
    pub fn seen(&self, world: &World) -> Facts {
        let transaction = &self.draft.transaction;
        let cells_in = transaction.input.len() - self.request.orders.len();
        let deposits = transaction.input.iter().skip(cells_in);
        let orders = self.request.orders.iter().zip(deposits);
        let orders = orders.map(|(placed, input)| {
            let terms = self.request.terms(placed, &world.bridge);
            facts::Order {
                outpoint: outpoint_bytes(input.previous_output),
                id: terms.id().0,
                destination: terms.destination.script().as_bytes().try_into().unwrap(),
                coin: match terms.coin {
                    OrderCoin::Keep => facts::Coin::Keep,
                    OrderCoin::Offer { keep } => facts::Coin::Offer {
                        keep: keep.to_sat(),
                    },
                },
                fee_share: placed.fee_share.to_sat(),
                author: terms.authored.then(|| terms.reclaim_key.serialize()),
                wants: terms.wants.iter().map(want).collect(),
                payload: terms.payload.to_vec(),
            }
        });
        Facts {
            home: None,
            lock_height: transaction.lock_time.to_consensus_u32(),
            age: Age::from_sequence(transaction.input[0].sequence).map_or(0, |age| age.0),
            cells_in: u16::try_from(cells_in).unwrap(),
            prices: Vec::new(),
            orders: orders.collect(),
        }
    }

    /// The contract is shown what the orders say, changed.
    pub fn told(&mut self, world: &World, change: impl FnOnce(&mut Facts)) {
        let mut facts = self.seen(world);
        change(&mut facts);
        self.told = Some(facts);
    }

    pub fn order(&mut self, index: usize, change: impl FnOnce(&mut PlacedOrder)) {
        let mut orders = self.request.orders.clone().into_inner();
        change(&mut orders[index]);
        self.request.orders = BoundedVec::new(orders).unwrap();
    }

    /// The proposal, its spell proven for the transaction as it is now.
    pub fn propose(&self, world: &World) -> grail_wire::Proposal {
        let mut draft = self.draft.clone();
        let facts = self.told.clone().unwrap_or_else(|| self.seen(world));
        let input = Data::try_from_bytes(&public_input(&facts.hash())).unwrap();
        if let Some(told) = draft.spell.app_public_inputs.get_mut(&main_app()) {
            *told = input;
        }
        draft.previous.sort_by_key(Transaction::compute_txid);
        let proposal = draft.try_propose(world).unwrap().wire();
        grail_wire::Proposal {
            action: Action::Clearing(Box::new(self.request.clone())),
            ..proposal
        }
    }

    pub fn approve(&self, world: &World) -> Result<Approved<Decision>, Refusal> {
        let signer = public(&world.keys[0]);
        grail_policy::approve(&world.secp, &self.propose(world), &world.bridge, &signer)
    }

    /// The code of the refusal that the clearing meets as it is now.
    pub fn refusal(&self, world: &World) -> &'static str {
        code(&self.approve(world))
    }

    pub fn set_lock_height(&mut self, height: u32) {
        self.draft.transaction.lock_time = LockTime::from_height(height).unwrap();
    }
}

/// The owner's word for one coin of one order.
pub fn authored(terms: &OrderTerms, deposit: OutPoint) -> bitcoin::secp256k1::schnorr::Signature {
    let secp = bitcoin::secp256k1::Secp256k1::new();
    secp.sign_schnorr_no_aux_rand(&author_digest(terms.id(), deposit), &keypair(OWNER))
}

fn want(want: &Want) -> facts::Want {
    let asset = match &want.asset {
        Asset::Btc => facts::Asset::Btc,
        Asset::Charm(app) => facts::Asset::Charm(facts::AppId {
            tag: app.tag,
            identity: app.identity,
            vk: app.vk,
        }),
    };
    let amount = want.amount;
    facts::Want { asset, amount }
}
