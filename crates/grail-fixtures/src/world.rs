//! A bridge on paper whose settlements are real: sixteen keys, a deployed roster NFT, zkBTC in
//! circulation, deposits, spells proven by the mock prover. Everything that an operator would be
//! asked to judge, and ways to break it.
//!
//! Shared by the tests of the policy, the signer and the builder.

pub mod clearing;
pub mod draft;
pub mod model;
mod proposal;
pub mod steps;

use std::{collections::BTreeMap, sync::OnceLock};

use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash,
    Witness, XOnlyPublicKey,
    absolute::LockTime,
    hashes::Hash,
    secp256k1::{All, Keypair, Secp256k1},
    transaction::Version,
};
use charms_data::B32;
use grail_attest::{Image, ImageClass, Images, TeeKind};
use grail_bridge_contract::RosterState;
use grail_charms::transfer_spell;
use grail_prover::{MockProver, ProveRequest, Proven, Prover, ProverError};
use grail_script::{DepositTree, InternalKey, VaultTree};
use grail_spell::{NormalizedSpell, deployment_identity, without_witnesses};
use grail_txbuild::{Coin, Deployment, Deposit, SettlementPlan, SettlementRequest};
use grail_types::{
    Bridge, BridgeApp, Epoch, Governance, Kind, Measurement, MockAllowed, Network, Params,
    ParamsHash, ParamsValues, Roster, TaggedHasher, Terms, Threshold,
};
use sha2::{Digest as _, Sha256};

pub use clearing::ClearingDraft;
pub use draft::Draft;
pub use proposal::{Proposal, code};
pub use steps::StepDraft;

/// The bridge's own contract.
pub const BRIDGE: &[u8] = include_bytes!("../../../contracts/bridge.wasm");
/// A contract that agrees to everything: for a spell that the bridge's own would never let through.
pub const AGREES: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b";

/// The same under another hash: with a custom section at its end.
pub const AGREES_TOO: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x07\x0a\x01\x06_start\0\0\x0a\x04\x01\x02\0\x0b\0\x02\x01x";

/// Bytes of a mock proof.
pub const PROOF_BYTES: usize = 192;
/// The fee rate that settlements of the tests aim at.
pub const FEE_RATE: FeeRate = FeeRate::from_sat_per_kwu(1_000);
/// zkBTC in circulation before a test's settlement, about.
const CIRCULATING: u64 = 500_000_000;

/// A key pair told apart by `seed`.
pub fn keypair(seed: u16) -> Keypair {
    let secret = TaggedHasher::new("grail/test-key/v1")
        .u64(u64::from(seed))
        .finish();
    Keypair::from_seckey_slice(&Secp256k1::new(), &secret).unwrap()
}

pub fn public(keypair: &Keypair) -> XOnlyPublicKey {
    keypair.x_only_public_key().0
}

pub fn p2wpkh(byte: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([byte; 20]))
}

pub fn p2tr(byte: u8) -> ScriptBuf {
    let key = public(&keypair(1_000 + u16::from(byte)));
    ScriptBuf::new_p2tr(&Secp256k1::new(), key, None)
}

pub fn output(sats: u64, script_pubkey: ScriptBuf) -> TxOut {
    TxOut {
        value: Amount::from_sat(sats),
        script_pubkey,
    }
}

pub fn input(previous_output: OutPoint) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::new(),
    }
}

/// An unsigned transaction.
pub fn transaction(inputs: &[OutPoint], output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: inputs.iter().copied().map(input).collect(),
        output,
    }
}

/// Where plain money comes from: no spell, spends what nobody asks about.
pub fn funding(seed: u64, output: Vec<TxOut>) -> Transaction {
    let source = OutPoint {
        txid: Txid::from_byte_array(TaggedHasher::new("grail/test-txid/v1").u64(seed).finish()),
        vout: 0,
    };
    transaction(&[source], output)
}

pub fn coin(transaction: &Transaction, vout: u32) -> Coin {
    Coin {
        outpoint: OutPoint {
            txid: transaction.compute_txid(),
            vout,
        },
        output: transaction.output[vout as usize].clone(),
    }
}

/// The images that every world allows: one.
pub fn images() -> Images {
    let image = Image {
        tee: TeeKind::Development,
        class: ImageClass::Resident,
        measurement: Measurement {
            pcr0: [1; 48],
            pcr1: [2; 48],
            pcr2: [3; 48],
        },
    };
    Images::new(1, vec![image]).unwrap()
}

/// A request to be.
#[derive(Clone, Debug)]
pub struct Peg {
    pub kind: Kind,
    /// Peg-in: the deposit's coin. Peg-out: its zkBTC.
    pub amount: u64,
    pub fee_cap: u64,
    pub destination: ScriptBuf,
}

pub fn peg_in(amount: u64) -> Peg {
    Peg {
        kind: Kind::PegIn,
        amount,
        fee_cap: 50_000,
        destination: p2tr(1),
    }
}

pub fn peg_out(amount: u64) -> Peg {
    Peg {
        kind: Kind::PegOut,
        amount,
        fee_cap: 50_000,
        destination: p2wpkh(2),
    }
}

/// How a world differs from the usual one.
#[derive(Clone, Copy)]
pub struct Setup<'a> {
    pub network: Network,
    pub wasm: &'static [u8],
    pub signers: u16,
    pub threshold: u16,
    /// A further signer, whose key nobody here has.
    pub guest: Option<XOnlyPublicKey>,
    pub params: &'a dyn Fn(&mut ParamsValues),
    /// Alters the settlement that everything starts from.
    pub genesis: &'a dyn Fn(&World, &mut Draft),
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            network: Network::Regtest,
            wasm: AGREES,
            signers: 16,
            threshold: 12,
            guest: None,
            params: &|_| {},
            genesis: &|_, _| {},
        }
    }
}

/// A deployed bridge with zkBTC in circulation.
pub struct World {
    pub secp: Secp256k1<All>,
    pub wasm: &'static [u8],
    pub bridge: Bridge,
    pub images: Images,
    pub params: Params,
    pub governance: Governance,
    /// In roster order, but for a guest's.
    pub keys: Vec<Keypair>,
    pub roster: Roster,
    /// A roster of before, which holds the deposits of its epoch.
    pub former: Option<Former>,
    pub vault: VaultTree,
    pub deployment: Transaction,
    /// Outputs: 0 NFT, 1 vault, 2 zkBTC of [`Self::holder`], 3 spell.
    pub genesis: Transaction,
    /// What the NFT at output 0 of the genesis carries.
    pub state: RosterState,
}

/// A roster that has handed over.
#[derive(Clone)]
pub struct Former {
    pub roster: Roster,
    /// In roster order.
    pub keys: Vec<Keypair>,
}

impl Former {
    /// The roster of these keys.
    pub fn new(epoch: u64, keys: impl Iterator<Item = Keypair>, threshold: u16) -> Self {
        let mut keys: Vec<_> = keys.collect();
        keys.sort_by_key(|key| public(key).serialize());
        let signers = keys.iter().map(public).collect();
        let roster = Roster::new(Epoch(epoch), signers, Threshold(threshold)).unwrap();
        Self { roster, keys }
    }
}

/// Four administrators, of whom three must agree.
pub fn governance() -> Governance {
    let mut keys: Vec<_> = (901..905).map(|seed| public(&keypair(seed))).collect();
    keys.sort_by_key(XOnlyPublicKey::serialize);
    Governance::new(keys, 3).unwrap()
}

/// The usual world, whose contract agrees to everything.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| World::new(Setup::default()))
}

/// The usual world under the bridge's own contract.
pub fn real_world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        World::new(Setup {
            wasm: BRIDGE,
            ..Setup::default()
        })
    })
}

/// The epoch of [`later_world`], and of its former roster.
pub const LATER: u64 = 3;
pub const FORMER: u64 = 1;

/// The usual world some epochs on. Of its former roster, 5 of 7, three sign for it still.
pub fn later_world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let setup = Setup {
            genesis: &|world, draft| {
                let state = RosterState {
                    epoch: LATER,
                    ..draft.state(world)
                };
                draft.set_state(world, &state);
            },
            ..Setup::default()
        };
        let mut world = World::new(setup);
        world.state.epoch = LATER;
        let keys = (1..=16).map(keypair);
        world.roster = Former::new(LATER, keys, 12).roster;
        let kept = (1..=3).chain(801..=804);
        world.former = Some(Former::new(FORMER, kept.map(keypair), 5));
        world
    })
}

/// A settlement about to be proposed, and what it was planned from.
pub struct Case {
    pub plan: SettlementPlan,
    pub draft: Draft,
}

impl World {
    pub fn new(setup: Setup<'_>) -> Self {
        let source = funding(0, vec![output(1_000_000, Self::deployer())]);
        let mut world = Self::deployed(setup, &source, 0);
        let deposit = world.deposits(0, &[peg_in(CIRCULATING)]);
        let request = SettlementRequest {
            vault: None,
            ..world.request(deposit.iter().map(|(deposit, _)| deposit.clone()).collect())
        };
        let plan = request.plan(&world.secp).unwrap();
        let mut draft = Draft::of_plan(&world, &plan, &[deposit[0].1.clone()]);
        (setup.genesis)(&world, &mut draft);
        world.state = plan.state;
        world.genesis = draft.propose(&world).transaction;
        world
    }

    /// Where the deployer's coin lies.
    pub fn deployer() -> ScriptBuf {
        ScriptBuf::new_p2tr(&Secp256k1::new(), public(&keypair(500)), None)
    }

    /// A deployed bridge without zkBTC, made of an output at [`Self::deployer`].
    pub fn deployed(setup: Setup<'_>, source: &Transaction, vout: u32) -> Self {
        let secp = Secp256k1::new();
        let mut keys: Vec<_> = (1..=setup.signers).map(keypair).collect();
        keys.sort_by_key(|key| public(key).serialize());
        let mut signers: Vec<_> = keys.iter().map(public).chain(setup.guest).collect();
        signers.sort_by_key(XOnlyPublicKey::serialize);
        let roster = Roster::new(Epoch(0), signers, Threshold(setup.threshold)).unwrap();
        let vault = VaultTree::new(&secp, InternalKey::Nums, &roster, &governance());

        let deployer = keypair(500);
        let bridge = Bridge {
            network: setup.network,
            app: BridgeApp {
                identity: deployment_identity(coin(source, vout).outpoint),
                vk: hash_of(setup.wasm),
            },
        };
        let images = images();
        let params = Params::preset(setup.network, images.hash())
            .with(|values| (setup.params)(values))
            .unwrap();
        let deployment = Deployment {
            bridge: &bridge,
            params: &params,
            roster: &roster,
            governance: &governance(),
            funding: coin(source, vout),
            fee_rate: FEE_RATE,
        };
        let plan = deployment.plan(&secp).unwrap();
        let state = plan.state.clone();
        let proven = prove(setup.wasm, plan.spell.clone(), &[source]);
        let deployed = deployment
            .finish(&secp, plan, proven.op_return, &deployer)
            .unwrap();

        Self {
            secp,
            wasm: setup.wasm,
            bridge,
            images,
            params,
            governance: governance(),
            keys,
            roster,
            former: None,
            vault,
            deployment: deployed.clone(),
            genesis: deployed,
            state,
        }
    }

    /// Terms of a request, told apart by `nonce`.
    pub fn terms(&self, peg: &Peg, nonce: u64) -> Terms {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&nonce.to_be_bytes());
        Terms {
            kind: peg.kind,
            network: self.bridge.network,
            bridge: self.bridge.app,
            destination: peg.destination.clone().try_into().unwrap(),
            fee_cap: Amount::from_sat(peg.fee_cap),
            epoch: self.roster.epoch(),
            reclaim_key: public(&keypair(600)),
            reclaim_delay: 1_008,
            nonce: bytes,
        }
    }

    pub fn deposit_script(&self, terms: &Terms) -> ScriptBuf {
        DepositTree::new(&self.secp, InternalKey::Nums, terms, self.holder(terms)).script_pubkey
    }

    /// The roster of the terms' epoch; that of now where it is unknown.
    pub fn holder(&self, terms: &Terms) -> &Roster {
        let former = self.former.iter().map(|former| &former.roster);
        let mut of_epoch = former.filter(|roster| roster.epoch() == terms.epoch);
        of_epoch.next().unwrap_or(&self.roster)
    }

    /// Terms of a request to the former roster.
    pub fn former_terms(&self, peg: &Peg, nonce: u64) -> Terms {
        let former = self.former.as_ref().unwrap();
        Terms {
            epoch: former.roster.epoch(),
            ..self.terms(peg, nonce)
        }
    }

    pub fn params_hash(&self) -> ParamsHash {
        self.params.hash(&self.bridge)
    }

    pub fn nft(&self) -> Coin {
        coin(&self.genesis, 0)
    }

    pub fn vault_coin(&self) -> Coin {
        coin(&self.genesis, 1)
    }

    /// zkBTC in circulation, all on output 2 of the genesis.
    pub fn circulating(&self) -> u64 {
        self.state.supply
    }

    /// A settlement of `deposits` from the state of the world.
    pub fn request(&self, deposits: Vec<Deposit>) -> SettlementRequest<'_> {
        SettlementRequest {
            bridge: &self.bridge,
            params: &self.params,
            roster: &self.roster,
            former: self.former.as_ref().map(|house| &house.roster),
            governance: &self.governance,
            state: &self.state,
            nft: self.nft(),
            nft_confirmations: 0,
            vault: Some(self.vault_coin()),
            deposits,
            fee_rate: FEE_RATE,
            deficit: Amount::ZERO,
            proof_bytes: PROOF_BYTES,
            prover_fee: None,
        }
    }

    /// A transaction that pays `coins` sats to the deposit address of every terms, carrying
    /// `tokens` of zkBTC each; what is left of the zkBTC in circulation goes after them.
    pub fn transfer(&self, outputs: &[(ScriptBuf, u64)]) -> Transaction {
        let moved: u64 = outputs.iter().map(|(_, amount)| amount).sum();
        let rest = self.circulating().checked_sub(moved).unwrap();
        let carrier = self.params.carrier.to_sat();
        let mut amounts: Vec<u64> = outputs.iter().map(|(_, amount)| *amount).collect();
        let mut paid: Vec<_> = outputs
            .iter()
            .map(|(script, _)| output(carrier, script.clone()))
            .collect();
        if rest > 0 {
            amounts.push(rest);
            paid.push(output(carrier, p2tr(0)));
        }
        let mut transfer = transaction(&[coin(&self.genesis, 2).outpoint], paid);
        let spell = transfer_spell(&transfer, &self.bridge.app, &amounts).unwrap();
        let proven = prove(self.wasm, spell, &[&self.genesis]);
        transfer.output.push(output(0, proven.op_return));
        transfer
    }

    /// One deposit per peg with the transaction behind it: a plain one for each peg-in, one
    /// transfer for all peg-outs.
    pub fn deposits(&self, nonce: u64, pegs: &[Peg]) -> Vec<(Deposit, Transaction)> {
        let terms: Vec<_> = (nonce..)
            .zip(pegs)
            .map(|(nonce, peg)| self.terms(peg, nonce))
            .collect();
        self.deposits_for(pegs, terms)
    }

    pub fn deposits_for(&self, pegs: &[Peg], terms: Vec<Terms>) -> Vec<(Deposit, Transaction)> {
        let peg_outs: Vec<_> = pegs
            .iter()
            .zip(&terms)
            .filter(|(peg, _)| peg.kind == Kind::PegOut)
            .map(|(peg, terms)| (self.deposit_script(terms), peg.amount))
            .collect();
        let transfer = (!peg_outs.is_empty()).then(|| self.transfer(&peg_outs));
        let mut vout = 0;
        pegs.iter()
            .zip(terms)
            .map(|(peg, terms)| {
                let (made, coin, token) = match peg.kind {
                    Kind::PegIn
                    | Kind::SponsorAnnounce
                    | Kind::SponsorCancel
                    | Kind::SponsorExecute
                    | Kind::SponsorMerge => {
                        let script = self.deposit_script(&terms);
                        let seed = u64::from_be_bytes(terms.nonce[..8].try_into().unwrap()) + 1_000;
                        let made = funding(seed, vec![output(peg.amount, script)]);
                        let coin = coin(&made, 0);
                        (made, coin, 0)
                    }
                    Kind::PegOut => {
                        let made = transfer.clone().unwrap();
                        let coin = coin(&made, vout);
                        vout += 1;
                        (made, coin, peg.amount)
                    }
                };
                let deposit = Deposit {
                    terms,
                    coin,
                    token,
                    previous_bytes: made.total_size(),
                };
                (deposit, made)
            })
            .collect()
    }

    /// A settlement of `pegs`, all of which must fit.
    pub fn case(&self, pegs: &[Peg]) -> Case {
        self.case_of(self.deposits(1, pegs), &|_| {})
    }

    /// A settlement of one peg whose terms are changed before the deposit is made.
    pub fn case_for(&self, peg: &Peg, change: impl Fn(&mut Terms)) -> Case {
        let mut terms = self.terms(peg, 1);
        change(&mut terms);
        let deposits = self.deposits_for(std::slice::from_ref(peg), vec![terms]);
        self.case_of(deposits, &|_| {})
    }

    /// A settlement of deposits, all of which must fit, planned from a changed request.
    pub fn case_of(
        &self,
        deposits: Vec<(Deposit, Transaction)>,
        change: &dyn Fn(&mut SettlementRequest<'_>),
    ) -> Case {
        let (deposits, made): (Vec<_>, Vec<_>) = deposits.into_iter().unzip();
        let mut request = self.request(deposits);
        change(&mut request);
        let plan = request.plan(&self.secp).unwrap();
        assert_eq!(plan.left_out, []);
        let draft = Draft::of_plan(self, &plan, &made);
        Case { plan, draft }
    }

    /// The usual settlement: two peg-ins, two peg-outs.
    pub fn usual(&self) -> Case {
        self.case(&[
            peg_in(1_000_000),
            peg_out(700_000),
            Peg {
                destination: p2tr(3),
                ..peg_in(2_000_000)
            },
            Peg {
                destination: p2wpkh(4),
                ..peg_out(300_000)
            },
        ])
    }
}

/// Proves a mock spell, running `wasm` where a contract has to run, or one that agrees where the
/// spell lists further apps; panics where the prover refuses.
pub fn prove(wasm: &[u8], spell: NormalizedSpell, previous: &[&Transaction]) -> Proven {
    try_prove(wasm, spell, previous).unwrap()
}

pub fn try_prove(
    wasm: &[u8],
    spell: NormalizedSpell,
    previous: &[&Transaction],
) -> Result<Proven, ProverError> {
    let listed = |hash: &[u8; 32]| spell.app_public_inputs.keys().any(|app| app.vk.0 == *hash);
    let further = [AGREES, AGREES_TOO].map(|wasm| if listed(&hash_of(wasm)) { wasm } else { &[] });
    let binaries = [wasm, further[0], further[1]].map(|wasm| (B32(hash_of(wasm)), wasm.to_vec()));
    let request = ProveRequest {
        spell,
        prev_txs: previous.iter().map(|tx| without_witnesses(tx)).collect(),
        app_binaries: binaries
            .into_iter()
            .filter(|(_, wasm)| !wasm.is_empty())
            .collect(),
        app_private_inputs: BTreeMap::new(),
    };
    let allowed = MockAllowed::on(Network::Regtest).unwrap();
    MockProver::new(allowed).prove(&request)
}

pub fn hash_of(wasm: &[u8]) -> [u8; 32] {
    Sha256::digest(wasm).into()
}
