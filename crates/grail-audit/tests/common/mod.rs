//! A chain made by hand: every transaction is what a test makes of an honest one, proven by the
//! forger's prover.

#![allow(clippy::unwrap_used, dead_code, missing_docs)]

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version as BlockVersion};
use bitcoin::hashes::Hash as _;
use bitcoin::secp256k1::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, BlockHash, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn,
    TxMerkleNode, TxOut, Txid, Witness, XOnlyPublicKey,
};
use charms_data::{App, Data};
use grail_audit::{Anchor, Auditor, Finding, Step, Watch};
use grail_bridge_contract::{Action, Next, RosterState};
use grail_prover::MockProver;
use grail_script::{InternalKey, VaultTree};
use grail_spell::{
    NormalizedCharms, NormalizedSpell, NormalizedTransaction, deployment_identity, nft_app,
    token_app,
};
use grail_types::{
    Age, Bridge, BridgeApp, Epoch, Governance, ImagesHash, MockAllowed, Network, Params,
    ParamsValues, Roster, Threshold,
};

/// Most that may leave at once, and with each block besides; most that may exist.
pub const CAP: u64 = 200_000;
pub const RATE: u64 = 1_000;
pub const SUPPLY_MAX: u64 = 1_000_000;
/// Coin under the NFT.
const NFT_COIN: u64 = 1_000;
/// Coin under zkBTC.
const CARRIER: u64 = 330;

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "a handful of a test's outputs")]
pub enum Charm {
    Nothing,
    Token(u64),
    State(RosterState),
    Garbage,
}

/// A transaction before its spell.
#[derive(Clone, Debug)]
pub struct Draft {
    pub inputs: Vec<TxIn>,
    pub outputs: Vec<(TxOut, Charm)>,
    /// Outputs after those that the spell speaks of.
    pub uncounted: Vec<TxOut>,
    /// Value of the spell's own output.
    pub spell_value: u64,
    pub has_spell: bool,
    pub version: Version,
}

pub fn funding() -> OutPoint {
    outpoint(0xf0)
}

pub fn outpoint(byte: u8) -> OutPoint {
    OutPoint::new(Txid::from_byte_array([byte; 32]), 0)
}

pub fn bridge() -> BridgeApp {
    BridgeApp {
        identity: deployment_identity(funding()),
        vk: [0xee; 32],
    }
}

pub fn params() -> Params {
    let preset = Params::preset(Network::Regtest, ImagesHash([0xaa; 32]));
    let small = |values: &mut ParamsValues| {
        values.deposit_max = Amount::from_sat(CAP);
        values.outflow_cap = Amount::from_sat(CAP);
        values.outflow_rate = Amount::from_sat(RATE);
        values.supply_max = Amount::from_sat(SUPPLY_MAX);
    };
    preset.with(small).unwrap()
}

pub fn params_hash() -> [u8; 32] {
    let bridge = Bridge {
        network: Network::Regtest,
        app: bridge(),
    };
    params().hash(&bridge).0
}

pub fn user_script() -> ScriptBuf {
    ScriptBuf::from_bytes([[0x51, 0x20].as_slice(), &[7; 32]].concat())
}

pub fn coin(script: &ScriptBuf, sat: u64) -> TxOut {
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: script.clone(),
    }
}

/// Three of four signers, from keys that begin at `first`.
pub fn roster(epoch: u64, first: u8) -> Roster {
    let secp = Secp256k1::new();
    let mut signers: Vec<XOnlyPublicKey> = (first..first + 4)
        .map(|n| Keypair::from_seckey_slice(&secp, &[n; 32]).unwrap())
        .map(|pair| pair.x_only_public_key().0)
        .collect();
    signers.sort_by_key(XOnlyPublicKey::serialize);
    Roster::new(Epoch(epoch), signers, Threshold(3)).unwrap()
}

/// One administrator.
pub fn governance() -> Governance {
    let key = Keypair::from_seckey_slice(&Secp256k1::new(), &[0x66; 32]).unwrap();
    Governance::new(vec![key.x_only_public_key().0], 1).unwrap()
}

pub fn tree(roster: &Roster) -> VaultTree {
    VaultTree::new(&Secp256k1::new(), InternalKey::Nums, roster, &governance())
}

pub fn vault(roster: &Roster) -> ScriptBuf {
    tree(roster).script_pubkey
}

pub fn state(roster: &Roster) -> RosterState {
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
        supply: 0,
        params_hash: params_hash(),
        governance: governance().hash(),
        attempt: 0,
        next: None,
        outflow: 0,
        spell_min: 15,
        spell_max: 15,
    }
}

/// A witness as a quorum of three makes it.
pub fn signed(roster: &Roster) -> Witness {
    signed_by(roster, &[true, true, false, true])
}

pub fn signed_by(roster: &Roster, places: &[bool]) -> Witness {
    let tree = tree(roster);
    let mut witness = Witness::new();
    for is_signed in places.iter().rev() {
        witness.push(if *is_signed { vec![7; 64] } else { Vec::new() });
    }
    witness.push(tree.leaf.script().as_bytes());
    witness.push(tree.leaf.control_block().serialize());
    witness
}

pub fn input(previous_output: OutPoint, witness: Witness) -> TxIn {
    TxIn {
        previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness,
    }
}

impl Draft {
    pub fn new(inputs: Vec<TxIn>, outputs: Vec<(TxOut, Charm)>) -> Self {
        Self {
            inputs,
            outputs,
            uncounted: Vec::new(),
            spell_value: 0,
            has_spell: true,
            version: Version::TWO,
        }
    }

    /// The transaction with its spell, proven or not.
    pub fn seal(self) -> Transaction {
        let mut transaction = Transaction {
            version: self.version,
            lock_time: LockTime::ZERO,
            input: self.inputs,
            output: self
                .outputs
                .iter()
                .map(|(output, _)| output.clone())
                .collect(),
        };
        if self.has_spell {
            let (nft, token) = (nft_app(&bridge()), token_app(&bridge()));
            let mut spell = NormalizedSpell {
                app_public_inputs: [
                    (nft.clone(), Action::Settle.to_data()),
                    (token.clone(), Data::empty()),
                ]
                .into(),
                ..NormalizedSpell::default()
            };
            let one = |app: &App, data: Data| {
                NormalizedCharms::from([(spell.app_index(app).unwrap(), data)])
            };
            let outs = self
                .outputs
                .iter()
                .map(|(_, charm)| match charm {
                    Charm::Nothing => NormalizedCharms::new(),
                    Charm::Token(amount) => one(&token, Data::from(amount)),
                    Charm::State(state) => one(&nft, state.to_data()),
                    Charm::Garbage => one(&nft, Data::from(&"garbage")),
                })
                .collect();
            spell.tx = NormalizedTransaction {
                outs,
                ..NormalizedTransaction::default()
            };
            let prover = MockProver::new(MockAllowed::on(Network::Regtest).unwrap());
            let proven = prover
                .prove_unchecked(&spell.committed_to(&transaction).unwrap())
                .unwrap();
            transaction.output.push(TxOut {
                value: Amount::from_sat(self.spell_value),
                script_pubkey: proven.op_return,
            });
        }
        transaction.output.extend(self.uncounted);
        transaction
    }
}

pub fn watch() -> Watch {
    Watch {
        network: Network::Regtest,
        anchor: Anchor::Bridge(bridge()),
        params: vec![params()],
        governances: vec![governance()],
        vault_scripts: [].into(),
    }
}

/// A chain, its auditor, and what an honest backend would know.
pub struct World {
    pub auditor: Auditor,
    pub blocks: Vec<Block>,
    pub roster: Roster,
    pub state: RosterState,
    pub nft: OutPoint,
    pub vault: Option<(OutPoint, u64)>,
    fresh: u8,
}

impl World {
    /// Nothing but an auditor.
    pub fn empty(watch: Watch) -> Self {
        let roster = roster(0, 1);
        Self {
            auditor: Auditor::new(watch),
            blocks: Vec::new(),
            state: state(&roster),
            roster,
            nft: OutPoint::null(),
            vault: None,
            fresh: 0,
        }
    }

    /// With a deployed bridge.
    pub fn new() -> Self {
        let mut world = Self::empty(watch());
        let step = world.deploy(|_| {});
        assert_eq!(codes(&step), [""; 0]);
        world
    }

    pub fn deploy(&mut self, change: impl FnOnce(&mut Draft)) -> Step {
        let output = coin(&vault(&self.roster), NFT_COIN);
        let mut draft = Draft::new(
            vec![input(funding(), Witness::new())],
            vec![(output, Charm::State(self.state.clone()))],
        );
        change(&mut draft);
        let transaction = draft.seal();
        self.nft = OutPoint::new(transaction.compute_txid(), 0);
        self.mine(&transaction).unwrap()
    }

    /// A block with one transaction.
    pub fn mine(&mut self, transaction: &Transaction) -> Option<Step> {
        let block = Block {
            header: Header {
                version: BlockVersion::TWO,
                prev_blockhash: self
                    .blocks
                    .last()
                    .map_or(BlockHash::all_zeros(), Block::block_hash),
                merkle_root: TxMerkleNode::all_zeros(),
                time: u32::try_from(self.blocks.len()).unwrap(),
                bits: CompactTarget::from_consensus(0),
                nonce: 0,
            },
            txdata: vec![transaction.clone()],
        };
        self.blocks.push(block.clone());
        let height = u32::try_from(self.blocks.len()).unwrap();
        let mut steps = self.auditor.connect_block(height, &block).unwrap();
        assert!(steps.len() <= 1);
        steps.pop()
    }

    /// The honest settlement that mints `mint` and burns `burn`, which `tokens` carry.
    pub fn draft(&self, mint: u64, tokens: &[OutPoint], burn: u64) -> (Draft, RosterState) {
        let mut inputs = vec![input(self.nft, signed(&self.roster))];
        let locked = self.vault.map_or(0, |(outpoint, sat)| {
            inputs.push(input(outpoint, signed(&self.roster)));
            sat
        });
        inputs.extend(tokens.iter().map(|at| input(*at, Witness::new())));
        if mint > 0 {
            inputs.push(input(outpoint(0xd0 + self.fresh), Witness::new()));
        }
        let next = RosterState {
            serial: self.state.serial + 1,
            supply: self.state.supply + mint - burn,
            outflow: params()
                .outflow_limit()
                .after(self.state.outflow, Age(0), mint, burn),
            ..self.state.clone()
        };
        let script = vault(&self.roster);
        let mut outputs = vec![
            (coin(&script, NFT_COIN), Charm::State(next.clone())),
            (coin(&script, locked + mint - burn), Charm::Nothing),
        ];
        if mint > 0 {
            outputs.push((coin(&user_script(), CARRIER), Charm::Token(mint)));
        }
        if burn > 0 {
            outputs.push((coin(&user_script(), burn), Charm::Nothing));
        }
        (Draft::new(inputs, outputs), next)
    }

    /// Mines a settlement and goes on from it as if it were honest.
    pub fn settle_with(&mut self, draft: Draft) -> (Step, Transaction) {
        let locked = draft
            .outputs
            .get(1)
            .map(|(output, _)| output.value.to_sat());
        if let Some((_, Charm::State(next))) = draft.outputs.first() {
            self.state = next.clone();
        }
        let transaction = draft.seal();
        let txid = transaction.compute_txid();
        self.nft = OutPoint::new(txid, 0);
        self.vault = locked.map(|sat| (OutPoint::new(txid, 1), sat));
        self.fresh += 1;
        let step = self.mine(&transaction).unwrap();
        (step, transaction)
    }

    /// Mints; `change` spoils it. Returns the step and where the zkBTC is.
    pub fn mint_with(
        &mut self,
        sat: u64,
        change: impl FnOnce(&mut Draft, &mut RosterState),
    ) -> (Step, OutPoint) {
        let (mut draft, mut next) = self.draft(sat, &[], 0);
        change(&mut draft, &mut next);
        if let Some((_, Charm::State(state))) = draft.outputs.first_mut() {
            *state = next;
        }
        let (step, transaction) = self.settle_with(draft);
        (step, OutPoint::new(transaction.compute_txid(), 2))
    }

    /// Mints honestly.
    pub fn mint(&mut self, sat: u64) -> OutPoint {
        let (step, token) = self.mint_with(sat, |_, _| {});
        assert_eq!(codes(&step), [""; 0]);
        token
    }

    /// A rotation to the roster whose keys begin at `first`, moving the whole vault; `change`
    /// spoils it.
    pub fn rotate_with(
        &mut self,
        first: u8,
        change: impl FnOnce(&mut Draft, &mut RosterState),
    ) -> Step {
        let new = roster(self.state.epoch + 1, first);
        let (mut draft, next) = self.draft(0, &[], 0);
        let mut next = RosterState {
            serial: next.serial + 1,
            supply: next.supply,
            attempt: next.attempt + 1,
            outflow: next.outflow,
            ..state(&new)
        };
        for (output, _) in draft.outputs.iter_mut().take(2) {
            output.script_pubkey = vault(&new);
        }
        change(&mut draft, &mut next);
        let places = |world: &Self| [Some(world.nft), world.vault.map(|(at, _)| at)];
        let before = places(self);
        let announcement = self.announce(next.next_hash());
        assert_eq!(codes(&announcement), [""; 0]);
        // What was drafted spends what the announcement left.
        for input in &mut draft.inputs {
            let moved = before.iter().zip(places(self));
            let mut moved = moved.filter(|(at, _)| **at == Some(input.previous_output));
            if let Some((_, Some(now))) = moved.next() {
                input.previous_output = now;
            }
        }
        draft.outputs[0].1 = Charm::State(next);
        self.roster = new;
        self.settle_with(draft).0
    }

    /// Announces a rotation to a state of that hash.
    pub fn announce(&mut self, hash: [u8; 32]) -> Step {
        let (mut draft, next) = self.draft(0, &[], 0);
        let serial = next.serial;
        let next = RosterState {
            attempt: next.attempt + 1,
            next: Some(Next {
                hash,
                serial,
                wait: 1,
            }),
            ..next
        };
        draft.outputs[0].1 = Charm::State(next);
        self.settle_with(draft).0
    }

    /// A transaction of users: spends and makes zkBTC.
    pub fn move_tokens(&mut self, from: &[OutPoint], to: &[u64]) -> (Option<Step>, Transaction) {
        let inputs = from.iter().map(|at| input(*at, Witness::new())).collect();
        let outputs = to
            .iter()
            .map(|amount| (coin(&user_script(), CARRIER), Charm::Token(*amount)))
            .collect();
        let transaction = Draft::new(inputs, outputs).seal();
        (self.mine(&transaction), transaction)
    }

    /// A transaction without a spell.
    pub fn plain(&mut self, inputs: Vec<TxIn>, outputs: Vec<TxOut>) -> (Option<Step>, Transaction) {
        let transaction = Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: inputs,
            output: outputs,
        };
        (self.mine(&transaction), transaction)
    }

    pub fn final_codes(&self) -> Vec<&'static str> {
        let verdict = self.auditor.verdict();
        verdict.findings.iter().map(Finding::code).collect()
    }

    /// No alarm in any step, and the books balance.
    pub fn is_clean(&self) {
        let verdict = self.auditor.verdict();
        assert_eq!((verdict.alarm_count, verdict.findings), (0, Vec::new()));
    }
}

/// The distinct codes of a step.
pub fn codes(step: &Step) -> Vec<&'static str> {
    let mut codes: Vec<_> = step.findings.iter().map(Finding::code).collect();
    codes.dedup();
    codes
}
